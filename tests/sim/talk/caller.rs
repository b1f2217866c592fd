//! People on the telephone: they ask, pause inside, begin again, mumble, interrupt, agree, cough, laugh, say stop, press
//! keys, wait and leave. Owns what is done when; how it is heard and understood is elsewhere.
//! PURE.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

/// One thing a caller does, from the moment it begins.
#[derive(Debug, Clone)]
pub enum Act {
    /// Stretches of voice in order.
    Speak(Vec<Stretch>),
    Key(char),
    Wait(Duration),
    Leave,
}

/// Voice without a gap, and the words in it.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// Silence before it.
    pub after: Duration,
    pub length: Duration,
    /// Each with its end, from the stretch's beginning.
    pub words: Vec<(Duration, String)>,
}

/// A question has a name in it that no other has.
const QUESTIONS: [&str; 9] = [
    "what is the weather in",
    "tell me about",
    "call me back at",
    "who is",
    "please set an alarm for",
    "my name is",
    "hello",
    "read me the message from",
    "the number is five five two",
];
const UNFINISHED: [&str; 5] = [
    "i would like to",
    "set a timer for",
    "um",
    "what about the",
    "and then",
];
const AGREEMENTS: [&str; 6] = ["uh-huh", "okay", "right", "mm-hmm", "yeah okay", "i see"];
const STOPS: [&str; 5] = ["stop", "wait", "never mind", "hold on a second", "be quiet"];
const LAUGHTER: [&str; 2] = ["haha", "hehe"];

fn ms(low: u64, high: u64, rng: &mut StdRng) -> Duration {
    Duration::from_millis(rng.random_range(low..=high))
}

fn one<'a>(list: &[&'a str], rng: &mut StdRng) -> &'a str {
    list[rng.random_range(0..list.len())]
}

/// Words one after the other, without a pause.
fn stretch(after: Duration, text: &str, rng: &mut StdRng) -> Stretch {
    let mut at = Duration::ZERO;
    let words = text
        .split_whitespace()
        .map(|word| {
            at += ms(110, 340, rng);
            (at, word.to_owned())
        })
        .collect();
    Stretch {
        after,
        length: at,
        words,
    }
}

/// A sound without words.
fn noise(low: u64, high: u64, rng: &mut StdRng) -> Stretch {
    Stretch {
        after: Duration::ZERO,
        length: ms(low, high, rng),
        words: Vec::new(),
    }
}

#[derive(Debug)]
pub struct Caller {
    /// Names used so far.
    names: u32,
    pub acts_left: u32,
}

impl Caller {
    pub fn new(rng: &mut StdRng) -> Caller {
        Caller {
            names: 0,
            acts_left: rng.random_range(2..14),
        }
    }

    fn question(&mut self, rng: &mut StdRng) -> String {
        self.names += 1;
        format!("{} kilo{}", one(&QUESTIONS, rng), self.names)
    }

    /// A whole turn, with whatever gets into it.
    fn turn(&mut self, rng: &mut StdRng) -> Vec<Stretch> {
        let now = Duration::ZERO;
        let question = self.question(rng);
        let words: Vec<&str> = question.split(' ').collect();
        let cut = rng.random_range(0..words.len());
        let (head, tail) = (words[..cut].join(" "), words[cut..].join(" "));
        let mut stretches = match rng.random_range(0..12) {
            // A pause inside, as short as a breath or as long as a thought.
            0..=2 if cut > 0 => vec![
                stretch(now, &head, rng),
                stretch(ms(60, 1_300, rng), &tail, rng),
            ],
            // Begun again.
            3 if cut > 0 => vec![
                stretch(now, &head, rng),
                stretch(ms(40, 500, rng), &question, rng),
            ],
            4 => vec![
                stretch(now, one(&UNFINISHED, rng), rng),
                stretch(ms(150, 2_500, rng), &self.question(rng), rng),
            ],
            // Never finished.
            5 => vec![stretch(now, one(&UNFINISHED, rng), rng)],
            // Word by word.
            6 => words
                .iter()
                .map(|word| stretch(ms(90, 260, rng), word, rng))
                .collect(),
            _ => vec![stretch(now, &question, rng)],
        };
        // Something more, when it seemed to be over.
        if rng.random_range(0..8) == 0 {
            let more = self.question(rng);
            stretches.push(stretch(ms(180, 1_800, rng), &more, rng));
        }
        if rng.random_range(0..12) == 0 {
            stretches.push(Stretch {
                after: ms(90, 700, rng),
                ..noise(20, 160, rng)
            });
        }
        stretches
    }

    /// Into silence, or into what is taken for it.
    pub fn while_quiet(&mut self, rng: &mut StdRng) -> Act {
        match rng.random_range(0..40) {
            0 | 1 => Act::Speak(vec![noise(20, 400, rng)]),
            2 | 3 => Act::Key('5'),
            4 => Act::Wait(ms(20_000, 45_000, rng)),
            5 => Act::Leave,
            6 | 7 => Act::Speak(vec![stretch(Duration::ZERO, one(&AGREEMENTS, rng), rng)]),
            8 => Act::Speak(vec![stretch(Duration::ZERO, one(&STOPS, rng), rng)]),
            _ => Act::Speak(self.turn(rng)),
        }
    }

    /// While we speak. `ours`: what we are saying, which a loudspeaker gives back to the microphone.
    pub fn over_us(&mut self, ours: &str, rng: &mut StdRng) -> Act {
        let now = Duration::ZERO;
        match rng.random_range(0..24) {
            0..=5 => Act::Speak(self.turn(rng)),
            6..=10 => Act::Speak(vec![stretch(now, one(&AGREEMENTS, rng), rng)]),
            11..=13 => Act::Speak(vec![stretch(now, one(&STOPS, rng), rng)]),
            14..=16 => Act::Speak(vec![noise(30, 500, rng)]),
            17 => Act::Speak(vec![stretch(now, one(&LAUGHTER, rng), rng)]),
            18 => Act::Key('#'),
            // "Yeah … but what about": agreement that turns into a turn.
            19 | 20 => {
                let turn = self.question(rng);
                let agreement = one(&AGREEMENTS, rng);
                Act::Speak(vec![
                    stretch(now, agreement, rng),
                    stretch(ms(85, 400, rng), &turn, rng),
                ])
            }
            21 => {
                let stop = one(&STOPS, rng);
                let turn = self.question(rng);
                Act::Speak(vec![
                    stretch(now, stop, rng),
                    stretch(ms(85, 900, rng), &turn, rng),
                ])
            }
            22 => {
                let words: Vec<&str> = ours.split_whitespace().take(6).collect();
                Act::Speak(vec![stretch(now, &words.join(" "), rng)])
            }
            // A stammer: bursts with pauses between them, none long enough for words.
            _ => Act::Speak(
                (0..rng.random_range(3..25))
                    .map(|_| Stretch {
                        after: ms(85, 190, rng),
                        ..stretch(now, "well", rng)
                    })
                    .collect(),
            ),
        }
    }
}
