//! What is said while nothing can be said yet: only into silence, only about what is really going on, and
//! never the same twice in a row. Owns when and which.
//! PURE.

use std::time::Instant;

use super::state::Reply;
use super::{Progress, Turn};

/// Letters of a tool's name that is said as it is.
const NAME_CHARS_MAX: usize = 40;

impl Turn {
    /// Only silence is filled: not while something is heard, and not while the caller may be speaking.
    pub(super) fn filler_due(&self, reply: &Reply) -> Option<Instant> {
        let is_silent = self.voice.is_none() && self.claim.is_none() && !reply.spoken;
        reply.filler_at.filter(|_| is_silent)
    }

    pub(super) fn fill(&mut self, now: Instant) {
        let Some(reply) = &mut self.reply else { return };
        reply.filler_at = None;
        let phrases = &self.config.phrases;
        let fact = match &reply.progress {
            Some(Progress::Tool { name }) => Some(phrases.using_tool.replace("{}", &doing(name))),
            Some(Progress::Trying { .. }) => Some(phrases.trying_next.clone()),
            Some(Progress::Cloud { .. }) => Some(phrases.asking_cloud.clone()),
            Some(Progress::Spent(reached)) => {
                Some(phrases.staying_local.replace("{}", reached.sayable()))
            }
            Some(Progress::Waiting) | None => None,
        };
        let is_promised = reply.progress.as_ref().is_some_and(Progress::is_promised);
        let text = match fact.filter(|fact| is_promised || *fact != self.filler_last) {
            Some(fact) => fact,
            None => {
                let fillers = &phrases.fillers;
                if fillers.is_empty() {
                    return;
                }
                let mut text = &fillers[self.fillers_said % fillers.len()];
                self.fillers_said += 1;
                if *text == self.filler_last {
                    text = &fillers[self.fillers_said % fillers.len()];
                    self.fillers_said += 1;
                }
                text.clone()
            }
        };
        if text == self.filler_last && !is_promised {
            return;
        }
        self.filler_last.clone_from(&text);
        self.say(now, text);
    }
}

/// What a tool does, in words for the ear.
fn doing(name: &str) -> String {
    let words: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .take(NAME_CHARS_MAX)
        .collect::<String>()
        .to_lowercase();
    let known = [
        ("calendar", "checking the calendar"),
        ("mail", "looking through the mail"),
        ("weather", "checking the weather"),
        ("search", "searching"),
        ("browser", "looking at a web page"),
        ("web", "looking at the web"),
        ("file", "looking at the files"),
        ("read", "reading"),
        ("write", "writing that down"),
        ("exec", "running a command"),
        ("bash", "running a command"),
        ("shell", "running a command"),
        ("memory", "looking in my notes"),
        ("light", "switching that"),
        ("home", "asking the house"),
        ("timer", "setting the timer"),
        ("message", "writing the message"),
    ];
    match known.iter().find(|(key, _)| words.contains(key)) {
        Some((_, doing)) => (*doing).to_owned(),
        None => "working on it".to_owned(),
    }
}
