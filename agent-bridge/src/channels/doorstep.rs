//! What a stranger at a channel is told: once a code, which the owner may let them in with, and then nothing. Owns who was
//! told and when; the codes are the hub's ([`Door`]).
//! PURE.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::Address;

/// A stranger hears nothing more for this long.
const SILENCE: Duration = Duration::from_secs(24 * 3_600);
/// Strangers that are told something within [`WINDOW`]; the next ones are not answered at all.
const TOLD_MAX: usize = 10;
const WINDOW: Duration = Duration::from_secs(3_600);
/// Strangers that are remembered; the oldest is forgotten.
const STRANGERS_MAX: usize = 256;

/// Who is known, and what a stranger may be told. The hub answers.
pub trait Door: Send + Sync {
    /// Whether messages of this address are those of a person here. Asked before anything is fetched for them.
    fn knows<'a>(&'a self, who: &'a Address) -> BoxFuture<'a, bool>;

    /// A code for this stranger; none: there are too many, or nobody is let in this way.
    fn code<'a>(&'a self, who: &'a Address, shown_name: &'a str) -> BoxFuture<'a, Option<String>>;
}

#[derive(Debug, Default)]
pub struct Doorstep {
    /// Oldest first.
    told: VecDeque<(String, Instant)>,
}

impl Doorstep {
    /// Whether this stranger may be told a code now; who may, counts as told.
    pub fn may_tell(&mut self, now: Instant, id: &str) -> bool {
        let age = |at: Instant| now.saturating_duration_since(at);
        self.told.retain(|(_, at)| age(*at) < SILENCE);
        let is_told = self.told.iter().any(|(other, _)| other == id);
        let lately = self.told.iter().filter(|(_, at)| age(*at) < WINDOW).count();
        if is_told || lately >= TOLD_MAX {
            return false;
        }
        if self.told.len() >= STRANGERS_MAX {
            self.told.pop_front();
        }
        self.told.push_back((id.to_owned(), now));
        true
    }
}

/// What the stranger reads.
pub fn greeting(code: &str) -> String {
    format!(
        "This is a private assistant; it answers only people its owner knows. Your code is {code}. If the owner is you, \
         type on the machine it runs on: offhook people link {code} YOUR-ACCOUNT"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_told_once() {
        // The one moment that all others are counted from.
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        let mut doorstep = Doorstep::default();
        assert!(doorstep.may_tell(now, "1"));
        assert!(!doorstep.may_tell(now + WINDOW, "1"));
        assert!(doorstep.may_tell(now + SILENCE, "1"));
        let later = now + 2 * SILENCE;
        let told = (0..100)
            .filter(|n| doorstep.may_tell(later, &format!("n{n}")))
            .count();
        assert_eq!(told, TOLD_MAX);
        assert!(doorstep.may_tell(later + WINDOW, "n50"));
    }
}
