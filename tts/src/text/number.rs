//! Numbers in words: cardinals, ordinals, years, decimals, digit strings. Owns the words; not what kind of number a text
//! means.
//! PURE.

/// Digits spoken of one string; what is longer is nobody's phone number.
const DIGITS_MAX: usize = 40;

const ONES: [&str; 20] = [
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
const TENS: [&str; 10] = [
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];
const SCALES: [(u64, &str); 6] = [
    (1_000_000_000_000_000_000, "quintillion"),
    (1_000_000_000_000_000, "quadrillion"),
    (1_000_000_000_000, "trillion"),
    (1_000_000_000, "billion"),
    (1_000_000, "million"),
    (1_000, "thousand"),
];

/// 1234 is "one thousand two hundred thirty four".
pub fn cardinal(mut number: u64) -> String {
    if number == 0 {
        return ONES[0].to_owned();
    }
    let mut words: Vec<&str> = Vec::new();
    for (scale, name) in SCALES {
        if number >= scale {
            below_thousand(number / scale, &mut words);
            words.push(name);
            number %= scale;
        }
    }
    below_thousand(number, &mut words);
    words.join(" ")
}

/// Words for `number`, which is below 1000; nothing for 0.
fn below_thousand(number: u64, words: &mut Vec<&'static str>) {
    let number = number as usize % 1_000;
    if number >= 100 {
        words.extend([ONES[number / 100], "hundred"]);
    }
    match number % 100 {
        0 => {}
        rest @ 1..20 => words.push(ONES[rest]),
        rest => {
            words.push(TENS[rest / 10]);
            if !rest.is_multiple_of(10) {
                words.push(ONES[rest % 10]);
            }
        }
    }
}

/// 21 is "twenty first".
pub fn ordinal(number: u64) -> String {
    let words = cardinal(number);
    let (head, last) = words.rsplit_once(' ').unwrap_or(("", &words));
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        tens if tens.ends_with('y') => format!("{}ieth", &tens[..tens.len() - 1]),
        other => format!("{other}th"),
    };
    if head.is_empty() {
        last
    } else {
        format!("{head} {last}")
    }
}

/// 1984 is "nineteen eighty four", 2005 is "two thousand five", 1900 is "nineteen hundred".
pub fn year(number: u64) -> String {
    let (century, rest) = (number / 100, number % 100);
    match rest {
        _ if !(1_100..=2_099).contains(&number) || (2_000..2_010).contains(&number) => {
            cardinal(number)
        }
        0 => format!("{} hundred", cardinal(century)),
        1..10 => format!("{} oh {}", cardinal(century), cardinal(rest)),
        _ => format!("{} {}", cardinal(century), cardinal(rest)),
    }
}

/// Each digit by itself; other characters make a pause between groups.
pub fn digits(text: &str) -> String {
    let mut words = String::new();
    let mut spoken = 0;
    let mut has_gap = false;
    for c in text.chars() {
        let Some(digit) = c.to_digit(10) else {
            has_gap = spoken > 0;
            continue;
        };
        if spoken == DIGITS_MAX {
            words.push_str(" and so on");
            break;
        }
        if spoken > 0 {
            words.push_str(if has_gap { ", " } else { " " });
        }
        words.push_str(ONES[digit as usize]);
        has_gap = false;
        spoken += 1;
    }
    words
}

/// A number as people write it: "1,234", "3.14", "-5", "007", "1e9" is none. None if it is no number.
pub fn written(text: &str) -> Option<String> {
    let (sign, size) = match text.strip_prefix(['-', '−', '–']) {
        Some(size) => ("minus ", size),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let plus = if text.starts_with('+') { "plus " } else { sign };
    let (whole, fraction) = size
        .split_once('.')
        .map_or((size, None), |(w, f)| (w, Some(f)));
    let whole = whole_words(whole, fraction.is_some())?;
    match fraction {
        None => Some(format!("{plus}{whole}")),
        Some(f) if !f.is_empty() && is_digits(f) => {
            Some(format!("{plus}{whole} point {}", digits(f)))
        }
        Some(_) => None,
    }
}

fn whole_words(text: &str, has_fraction: bool) -> Option<String> {
    if text.is_empty() && has_fraction {
        return Some(ONES[0].to_owned());
    }
    let plain = without_groups(text)?;
    let is_code = plain.len() > 1 && plain.starts_with('0');
    match plain.parse::<u64>() {
        Ok(number) if !is_code && plain.len() <= 15 => Some(cardinal(number)),
        _ => Some(digits(&plain)),
    }
}

/// "1,234,567" without its commas; None if that is not where commas go, or it is no number.
pub fn without_groups(text: &str) -> Option<String> {
    if !text.contains(',') {
        return is_digits(text).then(|| text.to_owned());
    }
    let mut groups = text.split(',');
    let first = groups.next()?;
    let right =
        is_digits(first) && first.len() <= 3 && groups.all(|g| g.len() == 3 && is_digits(g));
    right.then(|| text.replace(',', ""))
}

/// Whether `text` is one digit or more, and nothing else.
pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        for (number, expected) in [
            (0, "zero"),
            (7, "seven"),
            (19, "nineteen"),
            (20, "twenty"),
            (42, "forty two"),
            (100, "one hundred"),
            (110, "one hundred ten"),
            (1_000, "one thousand"),
            (1_234, "one thousand two hundred thirty four"),
            (1_000_001, "one million one"),
            (2_500_000_000, "two billion five hundred million"),
        ] {
            assert_eq!(cardinal(number), expected);
        }
        assert!(cardinal(u64::MAX).starts_with("eighteen quintillion"));
        for (number, expected) in [
            (1, "first"),
            (2, "second"),
            (3, "third"),
            (12, "twelfth"),
            (20, "twentieth"),
            (21, "twenty first"),
            (100, "one hundredth"),
            (108, "one hundred eighth"),
        ] {
            assert_eq!(ordinal(number), expected);
        }
        for (number, expected) in [
            (1066, "one thousand sixty six"),
            (1492, "fourteen ninety two"),
            (1800, "eighteen hundred"),
            (1905, "nineteen oh five"),
            (1984, "nineteen eighty four"),
            (2000, "two thousand"),
            (2005, "two thousand five"),
            (2026, "twenty twenty six"),
            (2100, "two thousand one hundred"),
        ] {
            assert_eq!(year(number), expected);
        }
    }

    #[test]
    fn only_numbers_are_numbers() {
        for (text, expected) in [
            ("1,234", Some("one thousand two hundred thirty four")),
            ("12,34", None),
            ("1,2345", None),
            ("3.14", Some("three point one four")),
            (".5", Some("zero point five")),
            ("5.", None),
            ("-5", Some("minus five")),
            ("+5", Some("plus five")),
            ("007", Some("zero zero seven")),
            ("", None),
            ("-", None),
            ("x", None),
            ("1e9", None),
        ] {
            assert_eq!(written(text).as_deref(), expected, "{text}");
        }
        assert!(digits(&"1".repeat(1_000)).ends_with("and so on"));
    }
}
