//! The moment an agent gateway puts before a caller's words, `[Sat 2026-11-21 02:14 UTC] `. Owns reading it, taking it
//! off, and making the next one in the same zone.
//! PURE.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

const FORMAT: &str = "%a %Y-%m-%d %H:%M";
/// Longest text between the brackets that is looked at.
const BYTES_MAX: usize = 64;
/// Zones differ from UTC by whole quarters of an hour.
const QUARTER_S: i64 = 900;
/// ... and by no more than this.
const OFFSET_S_MAX: i64 = 16 * 3600;

/// How a gateway writes moments: its zone's name, and how far that is from UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    offset_s: i64,
}

/// The text's stamp without its brackets, and what stands behind it.
pub fn split(text: &str) -> (Option<&str>, &str) {
    let stamped = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
        .filter(|(stamp, _)| civil(stamp).is_some());
    match stamped {
        Some((stamp, words)) => (Some(stamp), words),
        None => (None, text),
    }
}

fn civil(stamp: &str) -> Option<(DateTime, &str)> {
    if stamp.len() > BYTES_MAX {
        return None;
    }
    let (moment, name) = stamp.rsplit_once(' ')?;
    Some((DateTime::strptime(FORMAT, moment).ok()?, name))
}

impl Zone {
    /// The zone of a stamp that was written at about `unix_s`.
    pub fn of(stamp: &str, unix_s: i64) -> Option<Zone> {
        let (moment, name) = civil(stamp)?;
        let as_utc = moment
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_second();
        // The stamp has lost its seconds, so half a quarter is added before cutting.
        let ahead = as_utc.checked_sub(unix_s)?.checked_add(QUARTER_S / 2)?;
        let offset_s = ahead.div_euclid(QUARTER_S) * QUARTER_S;
        (offset_s.abs() <= OFFSET_S_MAX).then(|| Zone {
            name: name.to_owned(),
            offset_s,
        })
    }

    /// The stamp of this moment, without brackets.
    pub fn stamp(&self, unix_s: i64) -> Option<String> {
        let moment = Timestamp::from_second(unix_s)
            .ok()?
            .checked_add(SignedDuration::from_secs(self.offset_s))
            .ok()?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .datetime();
        Some(format!("{} {}", moment.strftime(FORMAT), self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 02:14:37 UTC.
    const NOW: i64 = 1_795_227_277;

    #[test]
    fn stamps_come_off_and_nothing_else_does() {
        for (text, stamp, words) in [
            (
                "[Sat 2026-11-21 02:14 UTC] hello",
                Some("Sat 2026-11-21 02:14 UTC"),
                "hello",
            ),
            (
                "[Sat 2026-11-21 02:14 UTC]  two",
                Some("Sat 2026-11-21 02:14 UTC"),
                " two",
            ),
            (
                "[Sat 2026-11-21 02:14 GMT+1] x",
                Some("Sat 2026-11-21 02:14 GMT+1"),
                "x",
            ),
            ("[1] hello", None, "[1] hello"),
            (
                "[Sat 2026-11-21 02:14 UTC]hello",
                None,
                "[Sat 2026-11-21 02:14 UTC]hello",
            ),
            (
                "[Sat 2026-13-21 02:14 UTC] a",
                None,
                "[Sat 2026-13-21 02:14 UTC] a",
            ),
            ("hello", None, "hello"),
            ("", None, ""),
        ] {
            assert_eq!(split(text), (stamp, words), "{text}");
        }
    }

    #[test]
    fn the_next_stamp_is_in_the_same_zone() {
        for (stamp, later_s, wanted) in [
            ("Sat 2026-11-21 02:14 UTC", 0, "Sat 2026-11-21 02:14 UTC"),
            ("Sat 2026-11-21 02:14 UTC", 30, "Sat 2026-11-21 02:15 UTC"),
            (
                "Fri 2026-11-20 21:14 EST",
                86_400,
                "Sat 2026-11-21 21:14 EST",
            ),
            (
                "Sat 2026-11-21 07:44 GMT+5:30",
                60,
                "Sat 2026-11-21 07:45 GMT+5:30",
            ),
            // Written a minute before it arrived.
            ("Sat 2026-11-21 02:13 UTC", 0, "Sat 2026-11-21 02:14 UTC"),
        ] {
            let zone = Zone::of(stamp, NOW).expect("a zone");
            assert_eq!(zone.stamp(NOW + later_s).as_deref(), Some(wanted));
        }
        assert_eq!(Zone::of("Sat 2027-11-21 02:14 UTC", NOW), None);
        assert_eq!(Zone::of("nonsense", NOW), None);
    }
}
