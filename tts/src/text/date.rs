//! Times and dates in words. Owns their written forms; not numbers (`number`).
//! PURE.
//!
//! A date that can be read both ways ("3/4") is taken as month and day, as the voice's language does; where only one
//! reading is possible ("21/11") that one is taken.

use super::number::{cardinal, is_digits, ordinal, year};

const MONTHS: [(&str, &str); 12] = [
    ("January", "jan"),
    ("February", "feb"),
    ("March", "mar"),
    ("April", "apr"),
    ("May", "may"),
    ("June", "jun"),
    ("July", "jul"),
    ("August", "aug"),
    ("September", "sep"),
    ("October", "oct"),
    ("November", "nov"),
    ("December", "dec"),
];

/// The month a word names, in full; "Sept" and "Nov" too. "may" and "march" only with a capital.
pub fn month(word: &str) -> Option<&'static str> {
    let lower = word.to_lowercase();
    let is_capital = word.starts_with(char::is_uppercase);
    MONTHS
        .iter()
        .find(|(name, short)| {
            is_capital
                && (name.to_lowercase() == lower
                    || *short == lower
                    || (lower == "sept" && *short == "sep"))
        })
        .map(|(name, _)| *name)
}

/// Two digits at most, within a range.
fn small(text: &str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    if text.len() > 2 || !is_digits(text) {
        return None;
    }
    text.parse().ok().filter(|n| range.contains(n))
}

fn four_digit_year(text: &str) -> Option<u64> {
    if text.len() != 4 || !is_digits(text) {
        return None;
    }
    text.parse().ok()
}

/// "7:05", "19:30", "7:05pm", "07:05:30": the words, and whether am or pm was said.
pub fn time(text: &str) -> Option<(String, bool)> {
    let lower = text.to_lowercase();
    let (clock, half) = split_half(&lower);
    let mut parts = clock.split(':');
    let hour_text = parts.next()?;
    let hour = small(hour_text, 0..=24)?;
    let Some(minute_text) = parts.next() else {
        // "7pm", never a bare "7".
        let half = half.filter(|_| (1..=12).contains(&hour))?;
        return Some((format!("{} {half}", cardinal(hour)), true));
    };
    let minute = small(minute_text, 0..=59).filter(|_| minute_text.len() == 2)?;
    let second = match parts.next() {
        Some(second) => Some(small(second, 0..=59).filter(|_| second.len() == 2)?),
        None => None,
    };
    if parts.next().is_some() {
        return None;
    }
    let mut words = cardinal(hour);
    match (minute, half) {
        (0, Some(_)) => {}
        (0, None) if (1..=12).contains(&hour) => words.push_str(" o'clock"),
        (0, None) => words.push_str(" hundred"),
        (1..10, _) => words.push_str(&format!(" oh {}", cardinal(minute))),
        _ => words.push_str(&format!(" {}", cardinal(minute))),
    }
    if let Some(second) = second.filter(|s| *s > 0) {
        words.push_str(&format!(
            " and {} second{}",
            cardinal(second),
            if second == 1 { "" } else { "s" }
        ));
    }
    if let Some(half) = half {
        words.push_str(&format!(" {half}"));
    }
    Some((words, half.is_some()))
}

/// "a m" or "p m" if a word says so.
pub fn half_day(word: &str) -> Option<&'static str> {
    match word.to_lowercase().trim_end_matches('.') {
        "am" | "a.m" => Some("A M"),
        "pm" | "p.m" => Some("P M"),
        _ => None,
    }
}

fn split_half(lower: &str) -> (&str, Option<&'static str>) {
    for (suffix, half) in [
        ("am", "A M"),
        ("a.m", "A M"),
        ("a.m.", "A M"),
        ("pm", "P M"),
        ("p.m", "P M"),
        ("p.m.", "P M"),
    ] {
        if let Some(clock) = lower.strip_suffix(suffix) {
            return (clock, Some(half));
        }
    }
    (lower, None)
}

/// "2026-11-21", "2026-11-21T07:05", "21/11/2026", "11/21/2026", "21.11.2026", "21/11".
pub fn numeric(text: &str) -> Option<String> {
    if let Some((day, clock)) = text.split_once('T') {
        let clock = clock.trim_end_matches('Z');
        let clock = clock.split(['+', '.']).next().unwrap_or(clock);
        return Some(format!("{} at {}", numeric(day)?, time(clock)?.0));
    }
    let separator = ['-', '/', '.'].into_iter().find(|s| text.contains(*s))?;
    let parts: Vec<&str> = text.split(separator).collect();
    match (separator, parts.as_slice()) {
        ('-' | '/', [y, m, d]) if y.len() == 4 => {
            full(four_digit_year(y)?, small(m, 1..=12)?, small(d, 1..=31)?)
        }
        ('.', [d, m, y]) => full(four_digit_year(y)?, small(m, 1..=12)?, small(d, 1..=31)?),
        ('/' | '-', [a, b, y]) => {
            let (month, day) = month_and_day(a, b)?;
            full(four_digit_year(y)?, month, day)
        }
        // Only what cannot be a fraction or a score.
        ('/', [a, b]) if small(a, 13..=31).is_some() || small(b, 13..=31).is_some() => {
            let (month, day) = month_and_day(a, b)?;
            Some(format!("{} {}", MONTHS[month as usize - 1].0, ordinal(day)))
        }
        _ => None,
    }
}

fn month_and_day(a: &str, b: &str) -> Option<(u64, u64)> {
    let (a, b) = (small(a, 1..=31)?, small(b, 1..=31)?);
    match (a, b) {
        (1..=12, _) => Some((a, b)),
        (_, 1..=12) => Some((b, a)),
        _ => None,
    }
}

fn full(y: u64, month: u64, day: u64) -> Option<String> {
    Some(format!(
        "{} {}, {}",
        MONTHS.get(month as usize - 1)?.0,
        ordinal(day),
        year(y)
    ))
}

/// Day of a month as written beside its name: "21", "21st".
pub fn day(text: &str) -> Option<u64> {
    let bare = ["st", "nd", "rd", "th"]
        .iter()
        .find_map(|suffix| text.strip_suffix(suffix))
        .unwrap_or(text);
    small(bare, 1..=31)
}
