//! What the demo agent answers: one pure function from words to words and actions. Owns the skills and
//! their order; the first one that knows what to do with an utterance answers it.
//! PURE.

mod numbers_game;
mod talk;
mod timers;

use jiff::{Timestamp, Zoned};
use rand::Rng;

use super::heard::Heard;
use super::{numbers, spans};
use crate::turn::ToolCall;

/// Letters of an utterance that are repeated or spelled; the rest is left out.
const REPEAT_CHARS_MAX: usize = 300;
const SPELL_LETTERS_MAX: usize = 40;
/// Numbers counted in one go.
const COUNT_MAX: i64 = 50;
const DICE_MAX: u64 = 10;
/// As many as a call keeps.
const TIMERS_MAX: usize = 8;
const TIMER_S_MAX: u64 = 24 * 3_600;

/// What the demo remembers of one caller.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DemoState {
    last_text: String,
    name: Option<String>,
    asked_for: Option<AskedFor>,
    timers: Vec<SetTimer>,
    tool_calls: u64,
    jokes_told: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AskedFor {
    TimerLength,
    WordToSpell,
}

#[derive(Debug, Clone, PartialEq)]
struct SetTimer {
    label: String,
    ends: Timestamp,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DemoReply {
    pub text: String,
    pub tool_calls: Vec<ToolCall>,
}

struct Question<'a, R> {
    heard: Heard<'a>,
    text: &'a str,
    state: &'a mut DemoState,
    now: &'a Zoned,
    rng: &'a mut R,
    /// What the demo itself asked last.
    asked_for: Option<AskedFor>,
}

/// Answers one utterance. `now` is the caller's local time.
pub fn reply<R: Rng>(state: &mut DemoState, text: &str, now: &Zoned, rng: &mut R) -> DemoReply {
    let asked_for = state.asked_for.take();
    state.timers.retain(|timer| timer.ends > now.timestamp());
    let mut question = Question {
        heard: Heard::new(text),
        text,
        state,
        now,
        rng,
        asked_for,
    };
    let reply = question.answer();
    // What is said again is the last thing that was worth hearing.
    if !reply.text.is_empty() {
        reply.text.clone_into(&mut question.state.last_text);
    }
    reply
}

fn said(text: impl Into<String>) -> DemoReply {
    DemoReply {
        text: text.into(),
        tool_calls: Vec::new(),
    }
}

impl<R: Rng> Question<'_, R> {
    fn answer(&mut self) -> DemoReply {
        if self.heard.len() == 0 {
            return said("I did not catch any words. Please say it again.");
        }
        // From the most particular to the vaguest: "say goodbye" is to be repeated, "goodbye" is not.
        let skills: [fn(&mut Self) -> Option<DemoReply>; 18] = [
            Self::say_again,
            Self::open_question,
            Self::repeat,
            Self::spell,
            Self::cancel_timers,
            Self::set_timer,
            Self::timers_left,
            Self::count,
            Self::goodbye,
            Self::sum,
            Self::chance,
            Self::help,
            Self::date,
            Self::time,
            Self::name,
            Self::who,
            Self::joke,
            Self::small_talk,
        ];
        skills
            .into_iter()
            .find_map(|skill| skill(self))
            .unwrap_or_else(|| self.unknown())
    }

    fn tool(&mut self, name: &str, arguments: serde_json::Value) -> ToolCall {
        self.state.tool_calls += 1;
        ToolCall {
            id: format!("demo-{}", self.state.tool_calls),
            name: name.to_owned(),
            arguments,
        }
    }

    fn say_again(&mut self) -> Option<DemoReply> {
        let asks = self.heard.says(&[
            "say that again",
            "say it again",
            "repeat that",
            "repeat it",
            "what did you say",
            "what did you just say",
            "come again",
            "once more",
        ]) || self.heard.is_only(&[
            "pardon",
            "what",
            "sorry what",
            "repeat",
            "again",
            "i beg your pardon",
        ]);
        let last = self.state.last_text.as_str();
        match (asks, last) {
            (false, _) => None,
            (true, "") => Some(said("I have not said anything yet.")),
            (true, last) => Some(said(last)),
        }
    }

    /// The answer to something that the demo asked.
    fn open_question(&mut self) -> Option<DemoReply> {
        match self.asked_for? {
            AskedFor::TimerLength => {
                let span = spans::find(self.heard.words()).or_else(|| {
                    // "Three", when asked for how long, means minutes.
                    let (minutes, used) = numbers::parse(self.heard.words())?;
                    let is_all = used == self.heard.len() && minutes > 0.0;
                    is_all.then_some(spans::Span {
                        seconds: (minutes * 60.0) as u64,
                        from: 0,
                        to: used,
                    })
                })?;
                Some(self.timer(span.seconds, None))
            }
            AskedFor::WordToSpell => {
                (self.heard.len() <= 3).then(|| said(letters(self.heard.original_from(0))))
            }
        }
    }

    fn repeat(&mut self) -> Option<DemoReply> {
        let at = self.heard.after_phrase(&[
            "repeat after me",
            "say after me",
            "please repeat",
            "please say",
            "can you say",
            "could you say",
            "can you repeat",
            "repeat the words",
        ]);
        let first = |keyword| (self.heard.find(keyword) == Some(0)).then_some(1);
        let at = at
            .or_else(|| first("repeat"))
            .or_else(|| first("say"))
            .or_else(|| first("echo"))?;
        let words = self.heard.original_from(at);
        if words.is_empty() {
            return Some(said(
                "Tell me what to repeat: say, repeat after me, and then the words.",
            ));
        }
        let mut text: String = words.chars().take(REPEAT_CHARS_MAX).collect();
        if !text.ends_with(['.', '!', '?']) {
            text.push('.');
        }
        Some(said(capital(&text)))
    }

    fn spell(&mut self) -> Option<DemoReply> {
        let at = self
            .heard
            .find("spell")
            .or_else(|| self.heard.find("spelled"))?;
        let mut at = at + 1;
        let skips = ["the", "word", "me", "for", "out", "name", "my", "please"];
        while at + 1 < self.heard.len() && skips.contains(&self.heard.words()[at].as_ref()) {
            at += 1;
        }
        // "How is Paris spelled?"
        let word = match self.heard.after_phrase(&["how is", "how do you"]) {
            Some(from) if self.heard.original_from(at).is_empty() => {
                self.heard.original_between(from, at - 1)
            }
            _ => self.heard.original_from(at),
        };
        let word = word.trim_end_matches('?');
        let word = word
            .strip_suffix(" please")
            .unwrap_or(word)
            .trim_end_matches(',');
        if word.is_empty() || word == "please" {
            self.state.asked_for = Some(AskedFor::WordToSpell);
            return Some(said("Which word shall I spell?"));
        }
        Some(said(letters(word)))
    }

    fn unknown(&self) -> DemoReply {
        let words: Vec<&str> = self.text.split_whitespace().take(12).collect();
        let heard = words.join(" ");
        let heard: String = heard.chars().take(REPEAT_CHARS_MAX).collect();
        let heard = heard.trim_end_matches(['.', ',', '!', '?']);
        said(format!(
            "I heard: {heard}. I am only the demo and have no answer to that. Say help to hear what I can do."
        ))
    }
}

/// "Cat" is "C, A, T."
fn letters(words: &str) -> String {
    let mut names = Vec::new();
    for c in words.chars().take(SPELL_LETTERS_MAX * 2) {
        match c {
            ' ' if names.last().is_some_and(|name| name != "space") => {
                names.push("space".to_owned())
            }
            '-' => names.push("hyphen".to_owned()),
            '\'' | '’' => names.push("apostrophe".to_owned()),
            c if c.is_alphabetic() => names.push(c.to_uppercase().collect()),
            c if c.is_ascii_digit() => {
                names.push(numbers::words(i64::from(c.to_digit(10).unwrap_or(0))));
            }
            _ => {}
        }
        if names.len() >= SPELL_LETTERS_MAX {
            break;
        }
    }
    if names.is_empty() {
        return "There is nothing to spell in that.".to_owned();
    }
    format!("{}.", names.join(", "))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
