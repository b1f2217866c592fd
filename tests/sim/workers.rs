//! Scripted engines and agent on virtual time: they answer late, fail, call tools, or never answer.
//! Owns what is due when. Named for what they are: no speech is recognised or synthesised here.
//! PURE.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use agent_bridge::turn::{Blame, ReplyError, ReplyErrorKind, ReplyId, ToolCall};
use offhook::call::{Question, ReplyEvent, Sound, Words};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// An answer on its way to the call.
#[derive(Debug)]
pub enum Answer {
    Transcript {
        ticket: u32,
        result: Result<Words, String>,
    },
    Sound {
        reply: ReplyId,
        clause: u32,
        sound: Sound,
    },
    Reply {
        id: ReplyId,
        event: ReplyEvent,
    },
}

#[derive(Debug)]
pub struct Workers {
    rng: StdRng,
    due: BTreeMap<(Instant, u64), Answer>,
    counter: u64,
    questions: u32,
    /// Where the voice is done with what it has.
    voice_free_at: Option<Instant>,
}

const TEXTS: [&str; 6] = [
    "It is half past nine.",
    "Yes. I have set that for you, and I will remind you in good time.",
    "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen.",
    "No.",
    "The first thing to know is that this answer is rather long. It has several sentences. Each of them \
     takes a while to say. So there is time to interrupt it, and somebody will.",
    "Sure!",
];

/// Samples per letter of the scripted voice: 60 ms.
pub const SAMPLES_PER_LETTER: usize = 960;
/// Replies sound each at a loudness of its own, so that a packet tells whose sound is in it; after so many they repeat.
pub const LEVELS: u32 = 12;
/// Its lowest loudness.
pub const VOICE_LEVEL: i16 = 800;

/// Steps of a quarter, which G.711 keeps apart.
pub fn level(reply: ReplyId) -> i16 {
    let step = i32::try_from(reply.0 % LEVELS).unwrap_or(0);
    (f64::from(VOICE_LEVEL) * 1.25f64.powi(step)) as i16
}

/// What is heard in so much sound: more words in more of it, the same ones in the same.
const HEARD: [&str; 10] = [
    "set", "the", "timer", "for", "tea", "to", "ten", "minutes", "from", "now",
];
/// Samples of one word.
const WORD_SAMPLES: usize = 5_600;
/// Less than this may be anything short.
const SHORT_SAMPLES: usize = 20_000;

impl Workers {
    pub fn new(seed: u64) -> Workers {
        Workers {
            rng: StdRng::seed_from_u64(seed),
            due: BTreeMap::new(),
            counter: 0,
            questions: 0,
            voice_free_at: None,
        }
    }

    pub fn transcribe(&mut self, now: Instant, ticket: u32, pcm: &[i16], speech: bool) {
        let delay = Duration::from_millis(self.rng.random_range(20..250));
        let result = match self.rng.random_range(0..20) {
            0 => Err("scripted failure".to_owned()),
            1 => Ok(String::new()),
            _ if !speech || pcm.is_empty() => Ok(String::new()),
            2 | 3 if pcm.len() < SHORT_SAMPLES => Ok("uh-huh".to_owned()),
            4 if pcm.len() < SHORT_SAMPLES => Ok("stop".to_owned()),
            _ => {
                let words = HEARD.iter().cycle().take(pcm.len().div_ceil(WORD_SAMPLES));
                Ok(words.copied().collect::<Vec<_>>().join(" "))
            }
        };
        let result = result.map(|text| Words {
            certainty: 1.0,
            text,
            decode_ms: 40,
        });
        self.at(now + delay, Answer::Transcript { ticket, result });
    }

    pub fn synthesise(&mut self, now: Instant, reply: ReplyId, clause: u32, text: &str) {
        let start = self.voice_free_at.map_or(now, |free| free.max(now));
        let first = start + Duration::from_millis(self.rng.random_range(10..80));
        if self.rng.random_range(0..40) == 0 {
            let sound = Sound::Failed("scripted failure".to_owned());
            self.at(
                first,
                Answer::Sound {
                    reply,
                    clause,
                    sound,
                },
            );
            return;
        }
        let samples = vec![level(reply); text.chars().count() * SAMPLES_PER_LETTER];
        let mut at = first;
        for chunk in samples.chunks(8_000) {
            let sound = Sound::Samples(chunk.to_vec());
            self.at(
                at,
                Answer::Sound {
                    reply,
                    clause,
                    sound,
                },
            );
            at += Duration::from_millis(5);
        }
        self.at(
            at,
            Answer::Sound {
                reply,
                clause,
                sound: Sound::Done,
            },
        );
        self.voice_free_at = Some(at);
    }

    /// Half of the time a cancelled clause's sound still comes: the call has to drop it.
    pub fn cancel_speech(&mut self, reply: ReplyId) {
        if self.rng.random_bool(0.5) {
            self.due.retain(
                |_, answer| !matches!(answer, Answer::Sound { reply: r, .. } if *r == reply),
            );
        }
    }

    pub fn ask(&mut self, now: Instant, question: &Question) {
        self.questions += 1;
        let id = question.id;
        let mut at = now + Duration::from_millis(self.rng.random_range(50..1500));
        let fail = |kind| {
            ReplyEvent::Failed(ReplyError {
                kind,
                blame: Blame::Upstream,
            })
        };
        match self.rng.random_range(0..16) {
            // Never answers.
            0 => return,
            1 => {
                return self.at(
                    at,
                    Answer::Reply {
                        id,
                        event: fail(ReplyErrorKind::Unreachable),
                    },
                );
            }
            2 => at += Duration::from_secs(4),
            _ => {}
        }
        // Some act before they speak.
        if self.rng.random_range(0..5) == 0 {
            let event = self.timer(id);
            self.at(at, Answer::Reply { id, event });
            at += Duration::from_millis(self.rng.random_range(0..300));
        }
        let text = TEXTS[self.rng.random_range(0..TEXTS.len())];
        for word in text.split_inclusive(' ') {
            self.at(
                at,
                Answer::Reply {
                    id,
                    event: ReplyEvent::Text(word.to_owned()),
                },
            );
            at += Duration::from_millis(self.rng.random_range(5..60));
        }
        match self.rng.random_range(0..8) {
            0 => {
                let event = self.timer(id);
                self.at(at, Answer::Reply { id, event });
            }
            1 => {
                return self.at(
                    at,
                    Answer::Reply {
                        id,
                        event: fail(ReplyErrorKind::Cut),
                    },
                );
            }
            _ => {}
        }
        self.at(
            at,
            Answer::Reply {
                id,
                event: ReplyEvent::Done,
            },
        );
    }

    /// A tool that can be heard: the alarm says whose it was.
    fn timer(&mut self, id: ReplyId) -> ReplyEvent {
        let seconds = self.rng.random_range(1..6);
        ReplyEvent::ToolCall(ToolCall {
            id: "1".to_owned(),
            name: "set_timer".to_owned(),
            arguments: serde_json::json!({ "seconds": seconds, "label": format!("tea{}", id.0) }),
        })
    }

    pub fn cancel_reply(&mut self, id: ReplyId) {
        if self.rng.random_bool(0.5) {
            self.due
                .retain(|_, answer| !matches!(answer, Answer::Reply { id: i, .. } if *i == id));
        }
    }

    pub fn next(&self) -> Option<Instant> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    pub fn take(&mut self, now: Instant) -> Option<Answer> {
        if self.next()? > now {
            return None;
        }
        self.due.pop_first().map(|(_, answer)| answer)
    }

    fn at(&mut self, at: Instant, answer: Answer) {
        self.counter += 1;
        self.due.insert((at, self.counter), answer);
    }
}
