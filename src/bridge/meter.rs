//! PURE.
//! How much each user has dialled outside today, against the limits of `[outbound]`. Owns the counts; not who may dial what
//! (`routing`), nor their keeping on disk (the shell is told each change).

use std::collections::HashMap;
use std::time::Duration;

use crate::config::Outbound;

/// Users counted. Accounts are few; at the bound the one with the oldest day is forgotten.
const USERS_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    day: u32,
    calls: u32,
    seconds: u32,
}

/// Today's counts.
#[derive(Debug, Default)]
pub struct Meter {
    users: HashMap<String, Count>,
}

impl Meter {
    /// What was kept before a restart.
    pub fn restore(&mut self, user: &str, day: u32, calls: u32, seconds: u32) {
        self.users.insert(
            user.to_owned(),
            Count {
                day,
                calls,
                seconds,
            },
        );
    }

    /// Whether another call is within the day's limits.
    pub fn allows(&self, limits: &Outbound, user: &str, day: u32) -> bool {
        let count = self.of(user, day);
        count.calls < limits.calls_per_user_per_day
            && count.seconds / 60 < limits.minutes_per_user_per_day
    }

    /// How long a call may last now: the limit of one call, or what is left of the day's minutes.
    pub fn longest(&self, limits: &Outbound, user: &str, day: u32) -> Duration {
        let left = (limits.minutes_per_user_per_day.saturating_mul(60))
            .saturating_sub(self.of(user, day).seconds);
        Duration::from_secs(u64::from(left.min(limits.duration_s_max).max(1)))
    }

    /// Counts a call that is placed.
    pub fn placed(&mut self, user: &str, day: u32) {
        self.add(user, day, 1, 0);
    }

    /// Counts the seconds of a call that is over; how many they are.
    pub fn talked(&mut self, user: &str, day: u32, talked: Duration) -> u32 {
        let seconds = u32::try_from(talked.as_secs()).unwrap_or(u32::MAX);
        self.add(user, day, 0, seconds);
        seconds
    }

    fn of(&self, user: &str, day: u32) -> Count {
        let found = self.users.get(user).filter(|count| count.day == day);
        found.copied().unwrap_or(Count {
            day,
            ..Count::default()
        })
    }

    fn add(&mut self, user: &str, day: u32, calls: u32, seconds: u32) {
        let mut count = self.of(user, day);
        count.calls = count.calls.saturating_add(calls);
        count.seconds = count.seconds.saturating_add(seconds);
        if self.users.len() >= USERS_MAX && !self.users.contains_key(user) {
            let oldest = self.users.iter().min_by_key(|(_, count)| count.day);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.users.remove(&oldest);
            }
        }
        self.users.insert(user.to_owned(), count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_for_themselves() {
        let limits = Outbound {
            calls_per_user_per_day: 2,
            minutes_per_user_per_day: 10,
            duration_s_max: 300,
            ..Outbound::default()
        };
        let mut meter = Meter::default();
        assert_eq!(meter.longest(&limits, "anna", 1), Duration::from_secs(300));
        meter.placed("anna", 1);
        assert!(meter.allows(&limits, "anna", 1));
        meter.placed("anna", 1);
        assert!(!meter.allows(&limits, "anna", 1));
        assert!(meter.allows(&limits, "anna", 2) && meter.allows(&limits, "bert", 1));
        meter.talked("bert", 1, Duration::from_secs(500));
        assert_eq!(meter.longest(&limits, "bert", 1), Duration::from_secs(100));
        meter.talked("bert", 1, Duration::from_secs(100));
        assert!(!meter.allows(&limits, "bert", 1));
        meter.restore("carl", 3, 2, 0);
        assert!(!meter.allows(&limits, "carl", 3) && meter.allows(&limits, "carl", 4));
    }
}
