//! The timers that a caller asks for ("set a timer for three minutes") while the call is up.
//! Owns their due times; what is said when one ends is the call's business.
//! PURE.

use std::time::{Duration, Instant};

/// More than anybody keeps in their head; the next one is refused.
pub const ALARMS_MAX: usize = 8;
/// A call does not last longer than a day.
pub const ALARM_S_MAX: u64 = 24 * 3600;

#[derive(Debug, Clone)]
pub struct Alarm {
    pub due: Instant,
    pub label: String,
}

#[derive(Debug, Default)]
pub struct Alarms {
    pending: Vec<Alarm>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum AlarmError {
    TooMany,
    TooLong,
}

impl Alarms {
    pub fn set(&mut self, now: Instant, seconds: u64, label: String) -> Result<(), AlarmError> {
        if seconds > ALARM_S_MAX {
            return Err(AlarmError::TooLong);
        }
        if self.pending.len() >= ALARMS_MAX {
            return Err(AlarmError::TooMany);
        }
        let due = now + Duration::from_secs(seconds);
        let at = self.pending.partition_point(|alarm| alarm.due <= due);
        self.pending.insert(at, Alarm { due, label });
        Ok(())
    }

    pub fn cancel_all(&mut self) -> usize {
        let count = self.pending.len();
        self.pending.clear();
        count
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.pending.first().map(|alarm| alarm.due)
    }

    /// The next alarm that has ended by `now`.
    pub fn take_due(&mut self, now: Instant) -> Option<Alarm> {
        (self.next_due()? <= now).then(|| self.pending.remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_end_in_order_and_are_bounded() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut alarms = Alarms::default();
        assert_eq!(alarms.set(start, 60, "eggs".into()), Ok(()));
        assert_eq!(alarms.set(start, 30, "tea".into()), Ok(()));
        assert_eq!(alarms.next_due(), Some(at(30)));
        assert!(alarms.take_due(at(29)).is_none());
        assert_eq!(alarms.take_due(at(61)).map(|a| a.label), Some("tea".into()));
        assert_eq!(
            alarms.take_due(at(61)).map(|a| a.label),
            Some("eggs".into())
        );
        assert!(alarms.take_due(at(61)).is_none());
        assert_eq!(
            alarms.set(start, ALARM_S_MAX + 1, String::new()),
            Err(AlarmError::TooLong)
        );
        for n in 0..ALARMS_MAX {
            assert_eq!(alarms.set(start, n as u64, String::new()), Ok(()));
        }
        assert_eq!(
            alarms.set(start, 1, String::new()),
            Err(AlarmError::TooMany)
        );
        assert_eq!(alarms.cancel_all(), ALARMS_MAX);
    }
}
