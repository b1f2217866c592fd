//! PURE.
//! The base times of RFC 3261 §17 (Table 4) and the table that says which deadline comes next. Does not own what a
//! deadline means: each machine knows its own timers, this table only wakes it.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// RFC 3261 §17.1.1.1 and Table 4. All other timers are derived from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerConfig {
    /// Round-trip estimate.
    pub t1_ms: u64,
    /// Longest interval between retransmissions of a non-INVITE request or an INVITE response.
    pub t2_ms: u64,
    /// Longest time a message stays in the network.
    pub t4_ms: u64,
    /// Timer D over an unreliable transport: how long answers to a refused INVITE are acknowledged again.
    pub d_ms: u64,
    /// RFC 3261 §13.3.1.1: a proxy gives up after three minutes without news, so a ringing UAS repeats itself.
    pub provisional_repeat_ms: u64,
}

impl Default for TimerConfig {
    fn default() -> TimerConfig {
        TimerConfig {
            t1_ms: 500,
            t2_ms: 4_000,
            t4_ms: 5_000,
            d_ms: 32_000,
            provisional_repeat_ms: 60_000,
        }
    }
}

impl TimerConfig {
    pub fn t1(&self) -> Duration {
        Duration::from_millis(self.t1_ms)
    }

    pub fn t2(&self) -> Duration {
        Duration::from_millis(self.t2_ms)
    }

    pub fn t4(&self) -> Duration {
        Duration::from_millis(self.t4_ms)
    }

    /// Timers B, F, H, L and M.
    pub fn t1_x64(&self) -> Duration {
        Duration::from_millis(self.t1_ms.saturating_mul(64))
    }

    /// Timer D: zero over a reliable transport.
    pub fn d(&self, reliable: bool) -> Duration {
        if reliable {
            Duration::ZERO
        } else {
            Duration::from_millis(self.d_ms)
        }
    }

    /// Timer I and timer K: zero over a reliable transport.
    pub fn t4_unless(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.t4() }
    }

    /// Timer J: zero over a reliable transport.
    pub fn t1_x64_unless(&self, reliable: bool) -> Duration {
        if reliable {
            Duration::ZERO
        } else {
            self.t1_x64()
        }
    }

    pub fn provisional_repeat(&self) -> Duration {
        Duration::from_millis(self.provisional_repeat_ms)
    }
}

/// Deadlines by owner, at most one each. Setting, clearing and finding the earliest are logarithmic, and an owner that is
/// gone leaves nothing behind, so the table is as bounded as its owners are.
#[derive(Debug)]
pub(crate) struct TimerTable<K> {
    by_deadline: BTreeSet<(Instant, K)>,
    by_owner: HashMap<K, Instant>,
}

impl<K: Copy + Ord + Hash> TimerTable<K> {
    pub(crate) fn new() -> TimerTable<K> {
        TimerTable {
            by_deadline: BTreeSet::new(),
            by_owner: HashMap::new(),
        }
    }

    /// Replaces the owner's deadline; `None` clears it.
    pub(crate) fn set(&mut self, owner: K, deadline: Option<Instant>) {
        if let Some(old) = self.by_owner.remove(&owner) {
            self.by_deadline.remove(&(old, owner));
        }
        if let Some(deadline) = deadline {
            self.by_owner.insert(owner, deadline);
            self.by_deadline.insert((deadline, owner));
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Takes one owner whose deadline has come, earliest first.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (deadline, owner) = *self.by_deadline.first()?;
        if deadline > now {
            return None;
        }
        self.by_deadline.remove(&(deadline, owner));
        self.by_owner.remove(&owner);
        Some(owner)
    }
}

/// The earlier of two deadlines, where a missing one never comes.
pub(crate) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wakes_in_order_and_forgets_what_was_cleared() {
        let base = crate::testing::start();
        let at = |ms| base + Duration::from_millis(ms);
        let mut table = TimerTable::new();
        table.set('a', Some(at(30)));
        table.set('b', Some(at(10)));
        table.set('c', Some(at(20)));
        table.set('a', Some(at(5)));
        table.set('c', None);
        assert_eq!(table.next(), Some(at(5)));
        assert_eq!(table.pop_due(at(4)), None);
        assert_eq!(table.pop_due(at(10)), Some('a'));
        assert_eq!(table.pop_due(at(10)), Some('b'));
        assert_eq!(table.pop_due(at(99)), None);
        assert_eq!(table.next(), None);
    }
}
