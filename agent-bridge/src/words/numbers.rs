//! Number words as digits, far enough to compare two transcripts and to count the digits of a PIN. Owns no
//! arithmetic: values are strings of digits, so leading zeros and long numbers stay.
//! PURE.

pub(crate) const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
pub(crate) const TENS: [&str; 8] = [
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];
const ORDINALS: [(&str, u32); 29] = [
    ("first", 1),
    ("second", 2),
    ("third", 3),
    ("fourth", 4),
    ("fifth", 5),
    ("sixth", 6),
    ("seventh", 7),
    ("eighth", 8),
    ("ninth", 9),
    ("tenth", 10),
    ("eleventh", 11),
    ("twelfth", 12),
    ("thirteenth", 13),
    ("fourteenth", 14),
    ("fifteenth", 15),
    ("sixteenth", 16),
    ("seventeenth", 17),
    ("eighteenth", 18),
    ("nineteenth", 19),
    ("twentieth", 20),
    ("thirtieth", 30),
    ("fortieth", 40),
    ("fiftieth", 50),
    ("sixtieth", 60),
    ("seventieth", 70),
    ("eightieth", 80),
    ("ninetieth", 90),
    ("hundredth", 100),
    ("thousandth", 1000),
];

/// A word of a number: digits, a unit, tens or a scale. "oh" is one only beside another.
pub(crate) fn is_number(word: &str) -> bool {
    small(word).is_some()
        || matches!(word, "hundred" | "thousand" | "million" | "billion")
        || is_digits(word)
}

/// Twenty, thirty … ninety: a unit may follow.
pub(crate) fn is_tens(word: &str) -> bool {
    TENS.contains(&word)
}

/// "third", "21st".
pub(crate) fn is_ordinal(word: &str) -> bool {
    ORDINALS.iter().any(|(name, _)| *name == word) || ordinal_digits(word).is_some()
}

/// The words with each run of number words as its digits: "seven oh five" → "705", "ten thirty" → "1030",
/// "twenty fourth" → "24th".
pub(crate) fn joined(words: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    // Whether the last of `out` is a number that the next one is joined to.
    let mut is_open = false;
    let mut at = 0;
    while at < words.len() {
        if let Some((digits, used)) = value(&words[at..], is_open) {
            at += used;
            let ordinal = words.get(at).and_then(|word| ordinal(word));
            match out.last_mut().filter(|_| is_open) {
                Some(last) => last.push_str(&digits),
                None => out.push(digits),
            }
            is_open = true;
            // "twenty fourth": the tens make room for the unit.
            if let (Some(unit @ 1..10), Some(last)) = (ordinal, out.last_mut())
                && is_tens(&words[at - 1])
            {
                last.pop();
                last.push_str(&format!("{unit}th"));
                is_open = false;
                at += 1;
            }
            continue;
        }
        is_open = false;
        match ordinal(&words[at]) {
            Some(unit) => out.push(format!("{unit}th")),
            None => out.push(words[at].clone()),
        }
        at += 1;
    }
    out
}

/// How many digits the text names at its end: "my pin is two one" → 2. Words after the last digit: 0.
pub(crate) fn trailing_digits(words: &[String]) -> usize {
    match joined(words).last() {
        Some(last) if is_digits(last) => last.chars().filter(char::is_ascii_digit).count(),
        _ => 0,
    }
}

/// A number at the front: its digits and how many words it takes.
fn value(words: &[String], after_number: bool) -> Option<(String, usize)> {
    let at = |index: usize| words.get(index).map_or("", String::as_str);
    let first = at(0);
    let repeats = match first {
        "double" => 2,
        "triple" | "treble" => 3,
        _ => 1,
    };
    if repeats > 1 {
        let digit = small(at(1)).filter(|digit| *digit < 10);
        let digit = digit.or((at(1) == "oh" || at(1) == "o").then_some(0))?;
        return Some((digit.to_string().repeat(repeats), 2));
    }
    if first == "oh" || first == "o" {
        let before_number = small(at(1)).is_some() || is_digits(at(1)) || at(1) == "oh";
        return (after_number || before_number).then(|| ("0".to_owned(), 1));
    }
    if is_digits(first) {
        let scale = scale(at(1));
        return match first.parse::<u64>().ok().zip(scale) {
            Some((value, scale)) => Some((value.checked_mul(scale)?.to_string(), 2)),
            None => Some((first.to_owned(), 1)),
        };
    }
    // Cardinals: [group] scale [group] scale … group, where a group is below a thousand.
    let mut total: u64 = 0;
    let mut scale_before = u64::MAX;
    let mut used = 0;
    while let Some((group, taken)) = group(&words[used..]) {
        match scale(at(used + taken)).filter(|scale| *scale >= 1_000) {
            Some(scale) if scale < scale_before => {
                total = total.checked_add(group.checked_mul(scale)?)?;
                used += taken + 1;
                scale_before = scale;
                // "one thousand and five".
                if at(used) == "and" && self::group(&words[used + 1..]).is_some() {
                    used += 1;
                }
            }
            _ if scale_before != u64::MAX || used == 0 => {
                total = total.checked_add(group)?;
                used += taken;
                break;
            }
            _ => break,
        }
    }
    (used > 0).then(|| (total.to_string(), used))
}

/// A number below a thousand: "five", "twenty five", "three hundred and one".
fn group(words: &[String]) -> Option<(u64, usize)> {
    let at = |index: usize| words.get(index).map_or("", String::as_str);
    let (low, used) = below_hundred(words)?;
    if low < 10 && at(used) == "hundred" {
        let mut next = used + 1;
        if at(next) == "and" {
            next += 1;
        }
        return match below_hundred(words.get(next..).unwrap_or(&[])) {
            Some((rest, more)) => Some((low * 100 + rest, next + more)),
            None => Some((low * 100, used + 1)),
        };
    }
    Some((low, used))
}

fn below_hundred(words: &[String]) -> Option<(u64, usize)> {
    let at = |index: usize| words.get(index).map_or("", String::as_str);
    let first = small(at(0))?;
    if first >= 20
        && let Some(unit @ 1..10) = small(at(1))
    {
        return Some((first + unit, 2));
    }
    Some((first, 1))
}

fn small(word: &str) -> Option<u64> {
    if let Some(unit) = UNITS.iter().position(|name| *name == word) {
        return Some(unit as u64);
    }
    let tens = TENS.iter().position(|name| *name == word)?;
    Some(tens as u64 * 10 + 20)
}

fn scale(word: &str) -> Option<u64> {
    match word {
        "hundred" => Some(100),
        "thousand" => Some(1_000),
        "million" => Some(1_000_000),
        "billion" => Some(1_000_000_000),
        _ => None,
    }
}

fn ordinal(word: &str) -> Option<u32> {
    let named = ORDINALS.iter().find(|(name, _)| *name == word);
    named
        .map(|(_, value)| *value)
        .or_else(|| ordinal_digits(word))
}

fn ordinal_digits(word: &str) -> Option<u32> {
    let digits = ["st", "nd", "rd", "th"]
        .iter()
        .find_map(|end| word.strip_suffix(end))?;
    if digits.len() > 4 {
        return None;
    }
    digits.parse().ok()
}

fn is_digits(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_ascii_digit())
        && word
            .chars()
            .all(|letter| letter.is_ascii_digit() || letter == '.')
}
