//! Spans of time as people say them: "ten minutes and thirty seconds", "an hour and a half". Owns the
//! way from words to seconds and back.
//! PURE.

use super::heard::Word;
use super::numbers;

/// A span found in an utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub seconds: u64,
    /// The words it was told with: first, and one behind the last.
    pub from: usize,
    pub to: usize,
}

/// Longest span understood: a year.
const SECONDS_MAX: f64 = 366.0 * 86_400.0;

fn unit(word: Option<&Word>) -> Option<f64> {
    match word?.text.as_str() {
        "second" | "seconds" | "sec" | "secs" => Some(1.0),
        "minute" | "minutes" | "min" | "mins" | "minuets" | "minuet" => Some(60.0),
        "hour" | "hours" | "our" | "ours" => Some(3_600.0),
        "day" | "days" => Some(86_400.0),
        _ => None,
    }
}

/// The first span in the words, with all its parts.
pub fn find(words: &[Word]) -> Option<Span> {
    let (from, (mut seconds, mut to)) =
        (0..words.len()).find_map(|at| Some((at, part(words, at)?)))?;
    loop {
        let next = match words.get(to).map(|word| word.text.as_str()) {
            Some("and") => to + 1,
            _ => to,
        };
        match part(words, next) {
            Some((more, end)) => (seconds, to) = (seconds + more, end),
            None => break,
        }
    }
    (seconds <= SECONDS_MAX).then_some(Span {
        seconds: seconds.round() as u64,
        from,
        to,
    })
}

/// One amount with its unit at a place: seconds, and the place behind it.
fn part(words: &[Word], at: usize) -> Option<(f64, usize)> {
    let is = |index: usize, text: &str| words.get(index).is_some_and(|word| word.text == text);
    let is_article = |index: usize| is(index, "a") || is(index, "an") || is(index, "one");
    let quarters = match () {
        () if is(at, "quarter") => Some((1.0, at + 1)),
        () if is_article(at) && is(at + 1, "quarter") => Some((1.0, at + 2)),
        () if is(at, "three") && is(at + 1, "quarters") => Some((3.0, at + 2)),
        () => None,
    };
    if let Some((count, next)) = quarters {
        let next = next + usize::from(is(next, "of"));
        let next = next + usize::from(is_article(next));
        return unit(words.get(next)).map(|unit| (count * unit / 4.0, next + 1));
    }
    if is(at, "half") {
        let next = at + 1 + usize::from(is_article(at + 1));
        return unit(words.get(next)).map(|unit| (unit / 2.0, next + 1));
    }
    if is_article(at) && is(at + 1, "couple") {
        let next = at + 2 + usize::from(is(at + 2, "of"));
        return unit(words.get(next)).map(|unit| (2.0 * unit, next + 1));
    }
    let (mut amount, mut next) = match numbers::parse(words.get(at..)?) {
        Some((amount, used)) if amount >= 0.0 => (amount, at + used),
        _ if is_article(at) => (1.0, at + 1),
        _ => return None,
    };
    let half = |index: usize| is(index, "and") && is(index + 1, "a") && is(index + 2, "half");
    if half(next) {
        (amount, next) = (amount + 0.5, next + 3);
    }
    let unit = unit(words.get(next))?;
    next += 1;
    // "an hour and a half", but not "an hour and a half minute".
    if half(next) && self::unit(words.get(next + 3)).is_none() {
        (amount, next) = (amount + 0.5, next + 3);
    }
    Some((amount * unit, next))
}

/// "1 hour, 2 minutes and 5 seconds".
pub fn show(seconds: u64) -> String {
    let mut parts = Vec::new();
    for (size, name) in [
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
        (1, "second"),
    ] {
        let rest = match size {
            86_400 => seconds,
            3_600 => seconds % 86_400,
            60 => seconds % 3_600,
            _ => seconds % 60,
        };
        let count = rest / size;
        if count > 0 {
            let ending = if count == 1 { "" } else { "s" };
            parts.push(format!("{count} {name}{ending}"));
        }
    }
    match parts.pop() {
        None => "0 seconds".to_owned(),
        Some(last) if parts.is_empty() => last,
        Some(last) => format!("{} and {last}", parts.join(", ")),
    }
}

/// As a name: "3 minute", "1 hour 30 minute".
pub fn name(seconds: u64) -> String {
    show(seconds)
        .split(' ')
        .filter(|word| *word != "and")
        .map(|word| word.trim_end_matches(',').trim_end_matches('s'))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::heard::Heard;
    use super::*;

    #[test]
    fn spans_are_understood_as_said() {
        for (text, seconds) in [
            ("set a timer for three minutes", 180),
            ("ten minutes and thirty seconds please", 630),
            ("an hour and a half", 5_400),
            ("one and a half hours", 5_400),
            ("two and a half minutes", 150),
            ("half an hour", 1_800),
            ("a quarter of an hour", 900),
            ("three quarters of an hour", 2_700),
            ("a couple of minutes", 120),
            ("90 seconds", 90),
            ("1 hour, 2 minutes and 5 seconds", 3_725),
            ("a minute", 60),
            ("twenty-five minutes", 1_500),
            ("in two hours", 7_200),
            ("a 5-minute timer", 300),
            ("0.5 minutes", 30),
        ] {
            let heard = Heard::new(text);
            let span = find(heard.words()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(span.seconds, seconds, "{text}");
        }
        for text in [
            "set a timer",
            "five",
            "a cat",
            "minutes",
            "nine billion hours",
        ] {
            assert_eq!(find(Heard::new(text).words()), None, "{text}");
        }
    }

    #[test]
    fn spans_are_shown() {
        for (seconds, shown, named) in [
            (0, "0 seconds", "0 second"),
            (1, "1 second", "1 second"),
            (180, "3 minutes", "3 minute"),
            (
                3_725,
                "1 hour, 2 minutes and 5 seconds",
                "1 hour 2 minute 5 second",
            ),
        ] {
            assert_eq!(show(seconds), shown);
            assert_eq!(name(seconds), named);
        }
    }
}
