//! Numbers as people say them and as recognisers write them: "twenty five", "three hundred and one",
//! "25", "two point five". Owns both directions and nothing around the number.
//! PURE.

use crate::words::numbers::{TENS, UNITS};

/// Larger values are not understood, so that sums stay exact in a `f64`.
const VALUE_MAX: f64 = 1e12;

const SCALES: [(&str, f64); 3] = [("thousand", 1e3), ("million", 1e6), ("billion", 1e9)];

/// A number at the front of `words` (lower case, without punctuation): its value and how many words
/// it takes.
pub fn parse<W: AsRef<str>>(words: &[W]) -> Option<(f64, usize)> {
    let at = |index: usize| words.get(index).map(AsRef::as_ref);
    let (negative, start) = match at(0)? {
        "minus" | "negative" => (true, 1),
        _ => (false, 0),
    };
    let mut total = 0.0;
    let mut group = 0.0;
    let mut used = start;
    let mut last = Last::Nothing;
    while let Some(word) = at(used) {
        if let Some(value) = digits(word) {
            if last != Last::Nothing && last != Last::Scale {
                break;
            }
            group += value;
            last = Last::Digits;
        } else if let Some(value) = UNITS.iter().position(|unit| *unit == word) {
            let fits = match last {
                Last::Nothing | Last::Hundred | Last::Scale => true,
                Last::Tens => (1..10).contains(&value),
                Last::Unit | Last::Digits => false,
            };
            if !fits {
                break;
            }
            group += value as f64;
            last = Last::Unit;
        } else if let Some(value) = TENS.iter().position(|tens| *tens == word) {
            if !matches!(last, Last::Nothing | Last::Hundred | Last::Scale) {
                break;
            }
            group += (value as f64 + 2.0) * 10.0;
            last = Last::Tens;
        } else if word == "hundred" && (1.0..100.0).contains(&group) {
            group *= 100.0;
            last = Last::Hundred;
        } else if let Some((_, scale)) = SCALES.iter().find(|(name, _)| *name == word) {
            if group == 0.0 {
                break;
            }
            total += group * scale;
            group = 0.0;
            last = Last::Scale;
        } else if matches!(word, "a" | "an") && last == Last::Nothing {
            // "a hundred", "a thousand", "a dozen"; not "a" alone.
            match at(used + 1) {
                Some("hundred" | "thousand" | "million" | "billion" | "dozen") => group = 1.0,
                _ => break,
            }
            last = Last::Unit;
        } else if word == "dozen" && group > 0.0 {
            group *= 12.0;
            used += 1;
            break;
        } else if word == "and" && matches!(last, Last::Hundred | Last::Scale) {
            if !at(used + 1).is_some_and(is_small) {
                break;
            }
        } else {
            break;
        }
        used += 1;
    }
    if used == start {
        return None;
    }
    let mut value = total + group;
    if at(used) == Some("point") {
        let mut scale = 0.1;
        let mut index = used + 1;
        while let Some(digit) = at(index).and_then(digit) {
            value += digit * scale;
            scale /= 10.0;
            index += 1;
        }
        if index > used + 1 {
            used = index;
        }
    }
    let value = if negative { -value } else { value };
    (value.abs() <= VALUE_MAX).then_some((value, used))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Unit,
    Tens,
    Hundred,
    Scale,
    Digits,
}

/// "25", "1,000", "2.5".
fn digits(word: &str) -> Option<f64> {
    if !word.starts_with(|c: char| c.is_ascii_digit()) || word.len() > 16 {
        return None;
    }
    let plain: String = word.chars().filter(|c| *c != ',').collect();
    let is_number = plain.chars().all(|c| c.is_ascii_digit() || c == '.');
    is_number.then(|| plain.parse().ok()).flatten()
}

fn digit(word: &str) -> Option<f64> {
    match word {
        "oh" | "o" => Some(0.0),
        _ => match UNITS[..10].iter().position(|unit| *unit == word) {
            Some(value) => Some(value as f64),
            None => digits(word).filter(|value| *value < 10.0),
        },
    }
}

fn is_small(word: &str) -> bool {
    UNITS.contains(&word) || TENS.contains(&word) || digits(word).is_some_and(|v| v < 100.0)
}

/// A whole number in words: 125 is "one hundred twenty five".
pub fn words(value: i64) -> String {
    if value < 0 {
        return format!("minus {}", count_words(value.unsigned_abs()));
    }
    count_words(value.unsigned_abs())
}

fn count_words(value: u64) -> String {
    let join = |head: String, rest: u64| match rest {
        0 => head,
        rest => format!("{head} {}", count_words(rest)),
    };
    match value {
        0..20 => UNITS[value as usize].to_owned(),
        20..100 => join(TENS[value as usize / 10 - 2].to_owned(), value % 10),
        100..1_000 => join(format!("{} hundred", count_words(value / 100)), value % 100),
        1_000..1_000_000 => join(
            format!("{} thousand", count_words(value / 1_000)),
            value % 1_000,
        ),
        1_000_000..1_000_000_000 => join(
            format!("{} million", count_words(value / 1_000_000)),
            value % 1_000_000,
        ),
        _ => join(
            format!("{} billion", count_words(value / 1_000_000_000)),
            value % 1_000_000_000,
        ),
    }
}

/// A result as it is read out: whole, or with at most four digits after the point.
pub fn show(value: f64) -> String {
    let rounded = (value * 1e4).round() / 1e4;
    // "-0" is no answer.
    let rounded = if rounded == 0.0 { 0.0 } else { rounded };
    if rounded < 0.0 {
        return format!("minus {}", -rounded);
    }
    format!("{rounded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_understood_as_said() {
        for (text, value, used) in [
            ("seven", 7.0, 1),
            ("twenty five", 25.0, 2),
            ("three hundred", 300.0, 2),
            ("three hundred and one minutes", 301.0, 4),
            ("one hundred twenty five", 125.0, 4),
            ("two thousand and six", 2006.0, 4),
            ("two thousand twenty six", 2026.0, 4),
            ("a hundred", 100.0, 2),
            ("a dozen", 12.0, 2),
            ("two dozen eggs", 24.0, 2),
            ("one million two hundred thousand", 1_200_000.0, 5),
            ("fifteen hundred", 1500.0, 2),
            ("25", 25.0, 1),
            ("1,000", 1000.0, 1),
            ("2.5 hours", 2.5, 1),
            ("two point five", 2.5, 3),
            ("three point one five", 3.15, 4),
            ("minus four", -4.0, 2),
            ("five and six", 5.0, 1),
            ("one two three", 1.0, 1),
            ("twenty twenty", 20.0, 1),
            ("300 thousand", 300_000.0, 2),
            ("zero", 0.0, 1),
        ] {
            let words: Vec<_> = text.split(' ').collect();
            let (got, n) = parse(&words).unwrap_or_else(|| panic!("{text}"));
            assert!((got - value).abs() < 1e-9, "{text}: {got}");
            assert_eq!(n, used, "{text}");
        }
        for text in [
            "a cat",
            "and",
            "hundred",
            "thousand",
            "minus",
            "point five",
            "9999999999999999",
        ] {
            let words: Vec<_> = text.split(' ').collect();
            assert_eq!(parse(&words), None, "{text}");
        }
    }

    #[test]
    fn words_are_what_parse_understands() {
        for value in (0..1_500).chain([9_999, 20_001, 123_456, 1_000_000, 7_654_321, 2_000_000_007])
        {
            let text = words(value);
            let split: Vec<_> = text.split(' ').collect();
            assert_eq!(parse(&split), Some((value as f64, split.len())), "{text}");
        }
        assert_eq!(words(-12), "minus twelve");
        assert_eq!(show(0.1 + 0.2), "0.3");
        assert_eq!(show(-2.0), "minus 2");
        assert_eq!(show(-0.000_001), "0");
    }
}
