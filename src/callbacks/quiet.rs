//! PURE. Quiet hours: from when until when, in somebody's own time, and when they end. Summer time included: the hours are
//! those of the clock on the wall, whatever the clock does meanwhile.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::boundary::UnixMs;

/// Hours in which nobody is rung, `from` included, `until` not; over midnight where `until` is the earlier one. Equal: none.
#[derive(Debug, Clone, PartialEq)]
pub struct Quiet {
    pub hours: Option<(Time, Time)>,
    pub zone: TimeZone,
}

impl Quiet {
    pub fn none() -> Quiet {
        Quiet {
            hours: None,
            zone: TimeZone::UTC,
        }
    }

    /// `22:00-07:00`; empty: none.
    pub fn parse(text: &str) -> Option<Option<(Time, Time)>> {
        if text.is_empty() {
            return Some(None);
        }
        let (from, until) = text.split_once('-')?;
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let is_plain = |part: &str| {
                (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
            };
            if !is_plain(hour) || !is_plain(minute) {
                return None;
            }
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        };
        Some(Some((time(from)?, time(until)?)))
    }

    /// The first moment from `now` on that is not quiet.
    pub fn over_at(&self, now: UnixMs) -> UnixMs {
        let Some((from, until)) = self.hours.filter(|(from, until)| from != until) else {
            return now;
        };
        let Some(local) = i64::try_from(now)
            .ok()
            .and_then(|now| Timestamp::from_millisecond(now).ok())
            .map(|now| now.to_zoned(self.zone.clone()))
        else {
            return now;
        };
        let time = local.time();
        let is_quiet = match from < until {
            true => (from..until).contains(&time),
            false => time >= from || time < until,
        };
        if !is_quiet {
            return now;
        }
        let is_tomorrow = time >= until;
        let date = match is_tomorrow {
            true => local.date().tomorrow().unwrap_or(local.date()),
            false => local.date(),
        };
        // A time that the clock leaves out is the first one after the gap; one that comes twice is its first.
        let end = date.to_datetime(until).to_zoned(self.zone.clone());
        let end = end.map(|end| end.timestamp().as_millisecond());
        // On the day the clock goes back, an hour is there twice, and its second half may lie behind that first one.
        end.ok()
            .and_then(|end| u64::try_from(end).ok())
            .map_or(now, |end| end.max(now))
    }
}
