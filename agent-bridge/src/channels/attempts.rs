//! What is known of deliveries by a network that has no names for them (Telegram, Signal): which pieces went out, and of
//! which one nobody knows. Written down before a piece is sent and after its answer, so that what was sent before a crash
//! is not sent again. Of a piece that was under way in the crash nobody can know; it is sent again and says so.
//! PURE.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Stands before a piece that may have arrived already.
pub const DOUBT: &str = "(Sent again after an interruption; you may have this already.)";
/// Deliveries that are remembered; the oldest is forgotten.
const DELIVERIES_MAX: usize = 64;
const ID_BYTES_MAX: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Attempt {
    id: String,
    /// Pieces that certainly arrived.
    sent: usize,
    /// The next piece is under way, or was when the program ended.
    open: bool,
    /// The other side's id of the first piece.
    first: Option<String>,
}

/// The latest deliveries of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempts {
    all: VecDeque<Attempt>,
}

/// Where a delivery goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct At {
    /// Pieces that need not be sent.
    pub sent: usize,
    /// The piece behind them may have arrived.
    pub in_doubt: bool,
    pub first: Option<String>,
}

impl Attempts {
    /// Reads what [`Attempts::written`] wrote. What cannot be read is nothing.
    pub fn read(text: &str) -> Attempts {
        let mut all: VecDeque<Attempt> = serde_json::from_str(text).unwrap_or_default();
        all.truncate(DELIVERIES_MAX);
        Attempts { all }
    }

    pub fn written(&self) -> String {
        serde_json::to_string(&self.all).unwrap_or_default()
    }

    pub fn at(&self, id: &str) -> At {
        let found = self.all.iter().find(|attempt| attempt.id == id);
        found.map_or_else(At::default, |attempt| At {
            sent: attempt.sent,
            in_doubt: attempt.open,
            first: attempt.first.clone(),
        })
    }

    /// The next piece leaves now.
    pub fn begin(&mut self, id: &str) {
        self.entry(id).open = true;
    }

    /// It arrived, under this id of theirs.
    pub fn sent(&mut self, id: &str, theirs: Option<&str>) {
        let attempt = self.entry(id);
        attempt.open = false;
        attempt.sent += 1;
        if attempt.first.is_none() {
            let theirs = theirs.filter(|theirs| theirs.len() <= ID_BYTES_MAX);
            attempt.first = theirs.map(str::to_owned);
        }
    }

    /// It certainly did not arrive.
    pub fn not_sent(&mut self, id: &str) {
        self.entry(id).open = false;
    }

    fn entry(&mut self, id: &str) -> &mut Attempt {
        let at = match self.all.iter().position(|attempt| attempt.id == id) {
            Some(at) => at,
            None => {
                if self.all.len() >= DELIVERIES_MAX {
                    self.all.pop_front();
                }
                self.all.push_back(Attempt {
                    id: id.to_owned(),
                    sent: 0,
                    open: false,
                    first: None,
                });
                self.all.len() - 1
            }
        };
        &mut self.all[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known after a crash at each step.
    #[test]
    fn a_crash_forgets_nothing_that_was_written() {
        let mut live = Attempts::default();
        let after = |live: &Attempts| Attempts::read(&live.written()).at("d1");
        assert_eq!(after(&live), At::default());
        live.begin("d1");
        let doubt = At {
            sent: 0,
            in_doubt: true,
            first: None,
        };
        assert_eq!(after(&live), doubt);
        live.not_sent("d1");
        assert_eq!(after(&live), At::default());
        live.begin("d1");
        live.sent("d1", Some("55"));
        let one = At {
            sent: 1,
            in_doubt: false,
            first: Some("55".to_owned()),
        };
        assert_eq!(after(&live), one);
        live.begin("d1");
        assert!(after(&live).in_doubt);
        live.sent("d1", Some("56"));
        let two = At { sent: 2, ..one };
        assert_eq!(after(&live), two);
        assert_eq!(live.at("d2"), At::default());
    }

    #[test]
    fn memory_has_a_bound() {
        let mut live = Attempts::default();
        for n in 0..1_000 {
            live.begin(&format!("d{n}"));
        }
        assert_eq!(live.all.len(), DELIVERIES_MAX);
        assert!(live.at("d999").in_doubt && !live.at("d0").in_doubt);
        for odd in ["", "{}", "[1]", "[{\"id\":1}]", "null"] {
            assert_eq!(Attempts::read(odd), Attempts::default(), "{odd}");
        }
    }
}
