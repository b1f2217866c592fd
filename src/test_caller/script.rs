//! What a drill does, step by step: reading its file, and the drills that come with the program.
//! Owns the words of the file; how a step is played is `drill`'s, what it measures `figures`'s.
//!
//! One step a line, `#` begins a comment:
//!
//! ```text
//! turn What time is it?                                ask, wait for the answer
//! pause 900 Turn on the lights | in the kitchen.       one utterance with so many ms of silence inside
//! barge 1500 Tell me about space. | Stop.              so long into the answer, speak over it
//! backchannel 1500 Tell me about space. | Uh-huh.      the same, and the answer should go on
//! echo -20 100 Tell me about space.                    the answer comes back 20 dB quieter after 100 ms
//! echo -20 100 Tell me about space. | Stop.            and is spoken over all the same
//! ```
//!
//! A text in the place of words may be `<cough>`, `<door>`, `<laugh>` or `file:PATH` (from the drill's folder).
//! PURE.

use std::path::PathBuf;

use super::noises::Noise;

/// Steps of a drill at the most: hours.
const STEPS_MAX: usize = 2_000;
const PAUSE_MS_MAX: u32 = 5_000;
const AFTER_MS_MAX: u32 = 20_000;
const DELAY_MS_MAX: u32 = 1_000;

#[derive(Debug, Clone, PartialEq)]
pub enum Sound {
    Text(String),
    File(PathBuf),
    Noise(Noise),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Turn {
        say: Sound,
    },
    /// A text whose halves are joined with `pause_ms` of silence, or a clip with a pause of its own.
    Pause {
        pause_ms: u32,
        first: Sound,
        second: Option<Sound>,
    },
    Barge {
        after_ms: u32,
        prompt: Sound,
        over: Sound,
    },
    Backchannel {
        after_ms: u32,
        prompt: Sound,
        over: Sound,
    },
    /// The caller's own loudspeaker is heard by its microphone.
    Echo {
        level_db: f64,
        delay_ms: u32,
        prompt: Sound,
        over: Option<Sound>,
    },
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    #[error("line {line}: {why}")]
    Line { line: usize, why: &'static str },
    #[error("there is no step in it")]
    Empty,
    #[error("more than {STEPS_MAX} steps")]
    TooLong,
}

/// Questions that the program's own small model hears right in the drill's voice (flite:rms, telephone band).
const QUESTIONS: [&str; 50] = [
    "What time is it?",
    "What day is it?",
    "What can you do?",
    "How does that work?",
    "Could you repeat that?",
    "Can you help me?",
    "How are you?",
    "What's new?",
    "What's the weather in London?",
    "Will it rain in Berlin today?",
    "Do I need an umbrella today?",
    "Do I need a coat tomorrow?",
    "When is the next train to Paris?",
    "When is the next bus to London?",
    "When is the next flight to Tokyo?",
    "What is the capital of France?",
    "What is the capital of Japan?",
    "What is the population of Spain?",
    "Set a timer for ten minutes.",
    "Set a timer for five minutes.",
    "Set a timer for an hour.",
    "Set an alarm for noon.",
    "Wake me up at seven thirty.",
    "Wake me up at six o'clock.",
    "Remind me to buy milk.",
    "Remind me to feed the cat.",
    "Cancel the timer.",
    "Cancel the alarm.",
    "How many messages do I have?",
    "How many reminders do I have?",
    "What's on my calendar today?",
    "What's on my calendar tomorrow?",
    "When is my next meeting?",
    "When is my next appointment?",
    "Read me my messages.",
    "Read my last email.",
    "Add milk to my shopping list.",
    "Add bread to my shopping list.",
    "Add coffee to my shopping list.",
    "Turn on the lights in the kitchen.",
    "Turn off the lights in the bedroom.",
    "Turn on the radio.",
    "Turn off the heating in the hall.",
    "Open the garage.",
    "Open the door.",
    "Restart the server.",
    "Check the database.",
    "Play some music please.",
    "My name is Peter.",
    "Delete the last line.",
];
/// Sentences with a place where people stop to think.
const HALVES: [(&str, &str); 8] = [
    ("Turn on the lights", "in the kitchen."),
    ("Turn off the heating", "in the hall."),
    ("Set a timer", "for ten minutes."),
    ("When is the next train", "to Paris?"),
    ("Remind me to", "feed the cat."),
    ("What's the weather", "in London?"),
    ("Wake me up", "at seven thirty."),
    ("I'd like to", "set an alarm for noon."),
];
const PAUSES_MS: [u32; 3] = [700, 950, 1_200];
/// Asks the measuring agent for a long answer.
const LONG: &str = "Tell me about space.";
const INTERRUPTIONS: [&str; 4] = ["Stop.", "Never mind.", "Wait a second.", "What time is it?"];
const AGREEMENTS: [&str; 7] = [
    "Uh-huh.", "Okay.", "Right.", "Mm-hmm.", "<cough>", "<door>", "<laugh>",
];
const ECHOES: [(f64, u32); 6] = [
    (-10.0, 40),
    (-10.0, 250),
    (-20.0, 100),
    (-20.0, 250),
    (-30.0, 40),
    (-30.0, 250),
];

/// A drill that comes with the program: `standard` (everything, 100 turns, about 35 minutes), `quick` (a taste of each,
/// about 5 minutes), `turns` (100 turns).
pub fn built_in(name: &str) -> Option<Vec<Step>> {
    let turns = |count: usize| {
        QUESTIONS
            .iter()
            .cycle()
            .take(count)
            .map(|question| Step::Turn {
                say: sound(question),
            })
    };
    let pauses = |lengths: &'static [u32]| {
        lengths.iter().flat_map(|pause_ms| {
            HALVES.iter().map(|(first, second)| Step::Pause {
                pause_ms: *pause_ms,
                first: sound(first),
                second: Some(sound(second)),
            })
        })
    };
    let barges = |count: usize| {
        (0..count).map(|n| Step::Barge {
            after_ms: 900 + 370 * (n as u32 % 5),
            prompt: sound(LONG),
            over: sound(INTERRUPTIONS[n % INTERRUPTIONS.len()]),
        })
    };
    let agreements = |count: usize| {
        (0..count).map(|n| Step::Backchannel {
            after_ms: 1_100 + 370 * (n as u32 % 4),
            prompt: sound(LONG),
            over: sound(AGREEMENTS[n % AGREEMENTS.len()]),
        })
    };
    let echo = |(level_db, delay_ms): (f64, u32), over: Option<&str>| Step::Echo {
        level_db,
        delay_ms,
        prompt: sound(LONG),
        over: over.map(sound),
    };
    let echoes = |count: usize| {
        ECHOES
            .into_iter()
            .take(count)
            .map(move |place| echo(place, None))
    };
    match name {
        "turns" => Some(turns(100).collect()),
        "quick" => {
            let mut steps: Vec<Step> = turns(20).collect();
            steps.extend(pauses(&PAUSES_MS[1..2]));
            steps.extend(barges(4));
            steps.extend(agreements(AGREEMENTS.len()));
            steps.extend([echo((-20.0, 100), None), echo((-20.0, 100), Some("Stop."))]);
            Some(steps)
        }
        "standard" => {
            let mut steps: Vec<Step> = turns(100).collect();
            steps.extend(pauses(&PAUSES_MS));
            steps.extend(barges(20));
            steps.extend(agreements(3 * AGREEMENTS.len()));
            steps.extend(echoes(ECHOES.len()));
            steps.extend((0..3).map(|_| echo((-20.0, 100), Some("Stop."))));
            Some(steps)
        }
        _ => None,
    }
}

/// Reads a drill's file.
pub fn parse(text: &str) -> Result<Vec<Step>, ScriptError> {
    let mut steps = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        steps.push(step(line).map_err(|why| ScriptError::Line {
            line: number + 1,
            why,
        })?);
        if steps.len() > STEPS_MAX {
            return Err(ScriptError::TooLong);
        }
    }
    match steps.is_empty() {
        true => Err(ScriptError::Empty),
        false => Ok(steps),
    }
}

fn step(line: &str) -> Result<Step, &'static str> {
    let (kind, rest) = line
        .split_once(char::is_whitespace)
        .ok_or("nothing to say in it")?;
    match kind {
        "turn" => Ok(Step::Turn { say: words(rest)? }),
        "pause" => {
            let (pause_ms, rest) = milliseconds(rest, PAUSE_MS_MAX)?;
            let (first, second) = halves(rest)?;
            match (&first, &second) {
                (Sound::Text(_), None) => Err("a pause is between two halves: first | second"),
                _ => Ok(Step::Pause {
                    pause_ms,
                    first,
                    second,
                }),
            }
        }
        "barge" | "backchannel" => {
            let (after_ms, rest) = milliseconds(rest, AFTER_MS_MAX)?;
            let (prompt, over) = halves(rest)?;
            let over = over.ok_or("what is asked, |, and what is said over the answer")?;
            Ok(match kind {
                "barge" => Step::Barge {
                    after_ms,
                    prompt,
                    over,
                },
                _ => Step::Backchannel {
                    after_ms,
                    prompt,
                    over,
                },
            })
        }
        "echo" => {
            let (level, rest) = rest
                .trim()
                .split_once(char::is_whitespace)
                .ok_or("a level, a delay, a question")?;
            let level_db: f64 = level
                .parse()
                .map_err(|_| "the level is a number of decibels")?;
            if !(-60.0..=0.0).contains(&level_db) {
                return Err("the level is from -60 to 0 decibels");
            }
            let (delay_ms, rest) = milliseconds(rest, DELAY_MS_MAX)?;
            let (prompt, over) = halves(rest)?;
            Ok(Step::Echo {
                level_db,
                delay_ms,
                prompt,
                over,
            })
        }
        _ => Err("a step is turn, pause, barge, backchannel or echo"),
    }
}

fn milliseconds(rest: &str, most: u32) -> Result<(u32, &str), &'static str> {
    let (number, rest) = rest
        .trim()
        .split_once(char::is_whitespace)
        .ok_or("milliseconds, then words")?;
    let number: u32 = number
        .parse()
        .map_err(|_| "milliseconds are a whole number")?;
    match number <= most {
        true => Ok((number, rest)),
        false => Err("that is too long"),
    }
}

fn halves(rest: &str) -> Result<(Sound, Option<Sound>), &'static str> {
    match rest.split_once('|') {
        Some((first, second)) => Ok((words(first)?, Some(words(second)?))),
        None => Ok((words(rest)?, None)),
    }
}

fn words(text: &str) -> Result<Sound, &'static str> {
    let text = text.trim();
    match text {
        "" | "file:" => Err("nothing to say in it"),
        _ if text.starts_with('<') && Noise::named(text).is_none() => {
            Err("a noise is <cough>, <door> or <laugh>")
        }
        _ => Ok(sound(text)),
    }
}

fn sound(text: &str) -> Sound {
    match (text.strip_prefix("file:"), Noise::named(text)) {
        (Some(path), _) => Sound::File(PathBuf::from(path)),
        (None, Some(noise)) => Sound::Noise(noise),
        (None, None) => Sound::Text(text.to_owned()),
    }
}

impl Step {
    pub fn kind(&self) -> &'static str {
        match self {
            Step::Turn { .. } => "turn",
            Step::Pause { .. } => "pause",
            Step::Barge { .. } => "barge",
            Step::Backchannel { .. } => "backchannel",
            Step::Echo { over: None, .. } => "echo",
            Step::Echo { over: Some(_), .. } => "echo barge",
        }
    }

    /// For people: what is said, and how.
    pub fn label(&self) -> String {
        match self {
            Step::Turn { say } => name(say),
            Step::Pause {
                pause_ms,
                first,
                second,
            } => match second {
                Some(second) => format!("{} ({pause_ms} ms) {}", name(first), name(second)),
                None => name(first),
            },
            Step::Barge { after_ms, over, .. } | Step::Backchannel { after_ms, over, .. } => {
                format!("{} after {after_ms} ms", name(over))
            }
            Step::Echo {
                level_db,
                delay_ms,
                over,
                ..
            } => {
                let over = over.as_ref().map(name).unwrap_or_default();
                format!("{level_db} dB after {delay_ms} ms {over}")
                    .trim_end()
                    .to_owned()
            }
        }
    }
}

pub fn name(sound: &Sound) -> String {
    match sound {
        Sound::Text(text) => text.clone(),
        Sound::File(path) => path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        Sound::Noise(noise) => format!("{noise:?}").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_steps() {
        let text = |text: &str| Sound::Text(text.to_owned());
        let drill = "# a comment\n\nturn Hello? # and another\npause 900 One | two.\npause 900 file:a/b.wav\n\
            barge 1500 Tell. | Stop.\nbackchannel 10 Tell. | <cough>\necho -20 100 Tell.\n";
        let expected = vec![
            Step::Turn {
                say: text("Hello?"),
            },
            Step::Pause {
                pause_ms: 900,
                first: text("One"),
                second: Some(text("two.")),
            },
            Step::Pause {
                pause_ms: 900,
                first: Sound::File("a/b.wav".into()),
                second: None,
            },
            Step::Barge {
                after_ms: 1500,
                prompt: text("Tell."),
                over: text("Stop."),
            },
            Step::Backchannel {
                after_ms: 10,
                prompt: text("Tell."),
                over: Sound::Noise(Noise::Cough),
            },
            Step::Echo {
                level_db: -20.0,
                delay_ms: 100,
                prompt: text("Tell."),
                over: None,
            },
        ];
        assert_eq!(parse(drill), Ok(expected));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (drill, line) in [
            ("turn a\nturn", 2),
            ("shout a", 1),
            ("pause 900 a", 1),
            ("pause x a | b", 1),
            ("pause 99999 a | b", 1),
            ("barge 100 a", 1),
            ("barge 100 a |", 1),
            ("turn <sneeze>", 1),
            ("turn file:", 1),
            ("echo loud 1 a", 1),
            ("echo 3 1 a", 1),
            ("echo -3 a", 1),
        ] {
            assert!(
                matches!(parse(drill), Err(ScriptError::Line { line: at, .. }) if at == line),
                "{drill}"
            );
        }
        assert_eq!(parse("# nothing\n"), Err(ScriptError::Empty));
        assert_eq!(
            parse(&"turn a\n".repeat(STEPS_MAX + 1)),
            Err(ScriptError::TooLong)
        );
    }

    #[test]
    fn drills_that_come_along_have_what_they_promise() {
        let count = |name: &str, kind: &str| {
            let steps = built_in(name).unwrap_or_default();
            steps.iter().filter(|step| step.kind() == kind).count()
        };
        for (name, kind, expected) in [
            ("turns", "turn", 100),
            ("standard", "turn", 100),
            ("standard", "pause", 24),
            ("standard", "barge", 20),
            ("standard", "backchannel", 21),
            ("standard", "echo", 6),
            ("quick", "turn", 20),
            ("quick", "backchannel", 7),
        ] {
            assert_eq!(count(name, kind), expected, "{name} {kind}");
        }
        assert_eq!(built_in("other"), None);
    }
}
