//! What a voice should say for a written text: numbers, dates, money, addresses, abbreviations, marks and signs in words.
//! Owns the order in which a word is tried as this or that; the forms themselves stand in the modules below. English.
//! PURE.

mod address;
pub mod ascii;
mod date;
mod markdown;
mod number;
mod punctuation;
mod quantity;
mod token;
mod word;

use punctuation::{append, closing, opening, tidy};
use token::{Token, is_shouting, pieces, spaced};

/// Most letters of one text that are read; clauses are far shorter.
pub const TEXT_CHARS_MAX: usize = 16_000;
/// Most bytes given out for one text. Words for numbers are longer than the numbers.
pub const SPOKEN_BYTES_MAX: usize = 96_000;

/// `text` as it should be said: plain words and `. , ; : ? ! ' -`, in one line. Empty when there is nothing to say.
///
/// Never fails; what is not known is passed on as it is, without signs no voice can say.
pub fn normalise(text: &str) -> String {
    let end = text
        .char_indices()
        .nth(TEXT_CHARS_MAX)
        .map_or(text.len(), |(at, _)| at);
    let plain = spaced(&markdown::strip(&text[..end]));
    let words: Vec<Token> = plain
        .split_whitespace()
        .flat_map(pieces)
        .map(Token::new)
        .collect();
    let is_shouting = is_shouting(&words);
    let mut out = String::with_capacity(plain.len() * 2);
    let mut at = 0;
    while at < words.len() && out.len() < SPOKEN_BYTES_MAX {
        let reading = read(&words, at, is_shouting);
        let last = words[at + reading.used - 1];
        append(&mut out, opening(words[at].before));
        append(&mut out, &reading.said);
        let is_last = at + reading.used == words.len();
        append(
            &mut out,
            &closing(last.after, reading.took_stop && !is_last),
        );
        at += reading.used;
    }
    let mut end = out.len().min(SPOKEN_BYTES_MAX);
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    tidy(&out[..end])
}

/// What some tokens say.
struct Reading {
    said: String,
    /// Tokens it took, at least one.
    used: usize,
    /// Whether the full stop after it belonged to an abbreviation.
    took_stop: bool,
}

impl Reading {
    fn of(said: String, used: usize) -> Reading {
        Reading {
            said,
            used,
            took_stop: false,
        }
    }
}

fn read(words: &[Token], at: usize, is_shouting: bool) -> Reading {
    let token = words[at];
    let core = token.core;
    // A neighbour counts only where no punctuation comes between.
    let previous = at
        .checked_sub(1)
        .map(|b| words[b])
        .filter(|t| t.after.is_empty())
        .map(|t| t.core);
    let next = words.get(at + 1).copied();
    let beside = next.filter(|n| token.after.is_empty() && n.before.is_empty());
    if core.is_empty() {
        return Reading::of(String::new(), 1);
    }
    if let Some(reading) = several(words, at, beside) {
        return reading;
    }
    if let Some(said) = word::symbol(core) {
        return Reading::of(said.to_owned(), 1);
    }
    let next_core = next.map(|n| n.core);
    if let Some(said) = word::abbreviation(core, token.has_stop(), next_core) {
        // Whether the stop was of the abbreviation only shows in whether it changed anything.
        let took_stop = token.has_stop() && next_core.is_none_or(|n| !starts_sentence(core, n));
        return Reading {
            said,
            used: 1,
            took_stop,
        };
    }
    if core.contains(|c: char| c.is_ascii_digit())
        && let Some(said) = numeric(core, previous)
    {
        return Reading::of(said, 1);
    }
    Reading::of(plain_word(core, previous, is_shouting), 1)
}

/// After "etc." or "p.m." a capital begins a sentence; after "Dr." it does not.
fn starts_sentence(core: &str, next: &str) -> bool {
    let ends = matches!(
        core.to_lowercase().as_str(),
        "etc" | "a.m" | "p.m" | "inc" | "ltd" | "corp" | "jr" | "min" | "max"
    );
    ends && next.starts_with(char::is_uppercase)
}

/// Readings of two tokens or more.
fn several(words: &[Token], at: usize, beside: Option<Token>) -> Option<Reading> {
    let token = words[at];
    let core = token.core;
    if let Some(reading) = phone(words, at) {
        return Some(reading);
    }
    let full_month = date::month(core);
    // "Nov. 21", "November 21, 2026", "June 2026".
    if let Some(name) = full_month
        && let Some(next) = words.get(at + 1).filter(|n| n.before.is_empty())
        && (token.after.is_empty() || token.after == ".")
    {
        if let Some(day) = date::day(next.core) {
            let said = format!("{name} {}", number::ordinal(day));
            if next.after == ","
                && let Some(year) = words.get(at + 2).and_then(|t| year(t.core))
            {
                return Some(Reading::of(format!("{said}, {year}"), 3));
            }
            return Some(Reading::of(said, 2));
        }
        if let Some(year) = year(next.core) {
            return Some(Reading::of(format!("{name} {year}"), 2));
        }
        if core.len() <= 4 && name.len() > 4 && token.after == "." {
            return Some(Reading {
                said: name.to_owned(),
                used: 1,
                took_stop: true,
            });
        }
    }
    let next = beside?;
    // "21 Nov", "21st of November".
    if let Some(day) = date::day(core)
        && let Some(name) = date::month(next.core)
    {
        let said = format!("{} of {name}", number::ordinal(day));
        let said = if previous_is_the(words, at) {
            said
        } else {
            format!("the {said}")
        };
        if next.after.is_empty()
            && let Some(year) = words.get(at + 2).and_then(|t| year(t.core))
        {
            return Some(Reading::of(format!("{said} {year}"), 3));
        }
        return Some(Reading::of(said, 2));
    }
    // "7:05 am", "7 p.m."
    if let Some(half) = date::half_day(next.core) {
        let clock = date::time(core)
            .filter(|(_, has_half)| !has_half)
            .and_then(|_| date::time(&format!("{core}{}", next.core)))
            .or_else(|| date::time(&format!("{core}{}", half.replace(' ', ""))));
        if let Some((said, _)) = clock {
            let is_end = words
                .get(at + 2)
                .is_none_or(|n| n.core.starts_with(char::is_uppercase));
            return Some(Reading {
                said,
                used: 2,
                took_stop: next.core.contains('.') && !is_end,
            });
        }
    }
    if let Some(scale @ ("thousand" | "million" | "billion" | "trillion")) = Some(next.core)
        && let Some(said) = quantity::money(core, Some(scale))
    {
        return Some(Reading::of(said, 2));
    }
    let said = number::written(core).or_else(|| quantity::range(core, number::written))?;
    let unit = quantity::unit_after(core, next.core)?;
    Some(Reading::of(format!("{said} {unit}"), 2))
}

fn previous_is_the(words: &[Token], at: usize) -> bool {
    at > 0 && words[at - 1].core.eq_ignore_ascii_case("the")
}

/// A year by itself: four digits from 1100 to 2099.
fn year(core: &str) -> Option<String> {
    let number: u64 = Some(core)
        .filter(|c| c.len() == 4 && number::is_digits(c))?
        .parse()
        .ok()?;
    (1_100..2_100)
        .contains(&number)
        .then(|| number::year(number))
}

/// A phone number over as many tokens as belong to it.
fn phone(words: &[Token], at: usize) -> Option<Reading> {
    let first = words[at];
    let opens = first.before == "(" && first.after == ")" && number::is_digits(first.core);
    let is_start = opens
        || first.core.starts_with(['+', '0'])
        || first.core.contains('-')
        || number::is_digits(first.core);
    if !is_start
        || !first
            .core
            .starts_with(|c: char| c.is_ascii_digit() || c == '+')
    {
        return None;
    }
    let mut joined = String::new();
    let mut best = None;
    for (used, token) in words[at..].iter().take(7).enumerate() {
        let is_group = token
            .core
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '/' | '.'));
        if !is_group || token.core.is_empty() || used > 0 && !matches!(token.before, "" | "(") {
            break;
        }
        if used > 0 {
            joined.push(' ');
        }
        joined.push_str(token.core);
        if let Some(said) = address::phone(&joined) {
            best = Some(Reading::of(said, used + 1));
        }
        if !matches!(token.after, "" | ")") {
            break;
        }
    }
    best
}

/// A word with a digit in it.
fn numeric(core: &str, previous: Option<&str>) -> Option<String> {
    if core == "24/7" {
        return Some("twenty four seven".to_owned());
    }
    if let Some(said) = address::ip(core).or_else(|| address::hexadecimal(core)) {
        return Some(said);
    }
    if let Some((said, _)) = date::time(core) {
        return Some(said);
    }
    if let Some(said) = date::numeric(core).or_else(|| address::version(core)) {
        return Some(said);
    }
    if let Some(said) = address::url(core)
        .or_else(|| address::email(core))
        .or_else(|| address::path(core))
    {
        return Some(said);
    }
    if let Some(rest) = core.strip_prefix(['~', '≈']) {
        return Some(format!("about {}", amount(rest, None)?));
    }
    if let Some(rest) = core.strip_prefix('#') {
        return Some(match amount(rest, None) {
            Some(said) => format!("number {said}"),
            None => format!("hashtag {}", word::code(rest)),
        });
    }
    for (sign, said) in [
        ("<=", "at most"),
        (">=", "at least"),
        ("<", "less than"),
        (">", "more than"),
        ("±", "plus or minus"),
    ] {
        if let Some(rest) = core.strip_prefix(sign) {
            return Some(format!("{said} {}", amount(rest, None)?));
        }
    }
    amount(core, previous)
}

/// A number with whatever belongs to it.
fn amount(core: &str, previous: Option<&str>) -> Option<String> {
    let is_year_word = previous.is_some_and(|p| {
        matches!(
            p.to_lowercase().as_str(),
            "in" | "since"
                | "by"
                | "until"
                | "year"
                | "of"
                | "from"
                | "spring"
                | "summer"
                | "autumn"
                | "fall"
                | "winter"
                | "around"
                | "circa"
                | "before"
                | "after"
        )
    });
    if let Some(said) = year(core)
        .filter(|_| is_year_word || matches!(core.as_bytes(), [b'1', b'9', ..] | [b'2', b'0', ..]))
    {
        return Some(said);
    }
    if let Some(said) = number::written(core) {
        return Some(said);
    }
    // "1990s", "the 90s"; but "a 30s wait".
    let decade = core.strip_suffix('s').filter(|n| {
        number::is_digits(n)
            && n.ends_with('0')
            && (n.len() == 4 || n.len() == 2 && previous == Some("the"))
    });
    if let Some(said) = decade.and_then(|n| year(n).or_else(|| number::written(n))) {
        return Some(match said.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None => format!("{said}s"),
        });
    }
    if let Some(said) = quantity::money(core, None).or_else(|| quantity::with_unit(core)) {
        return Some(said);
    }
    if let Some(said) = ["st", "nd", "rd", "th"]
        .iter()
        .find_map(|end| core.strip_suffix(end))
    {
        let plain = number::without_groups(said).filter(|p| p.len() <= 15);
        if let Some(number) = plain.and_then(|p| p.parse().ok()) {
            return Some(number::ordinal(number));
        }
    }
    if let Some(said) = quantity::fraction(core) {
        return Some(said);
    }
    quantity::range(core, |part| {
        date::time(part)
            .map(|(said, _)| said)
            .or_else(|| number::written(part))
            .or_else(|| quantity::money(part, None))
            .or_else(|| quantity::with_unit(part))
    })
    .or_else(|| {
        let (from, to) = core.split_once(['-', '–'])?;
        Some(format!("{} to {}", date::time(from)?.0, date::time(to)?.0))
    })
}

fn plain_word(core: &str, previous: Option<&str>, is_shouting: bool) -> String {
    if let Some(said) = address::email(core)
        .or_else(|| address::url(core))
        .or_else(|| address::path(core))
    {
        return said;
    }
    if let Some(said) = date::month(core).filter(|name| core.len() <= 4 && name.len() > core.len())
    {
        return said.to_owned();
    }
    if let Some(said) = word::roman(core, previous) {
        return said;
    }
    if let Some(name) = core.strip_prefix('@').filter(|n| !n.is_empty()) {
        return format!("at {}", plain_word(name, None, is_shouting));
    }
    if let Some(tag) = core.strip_prefix('#').filter(|t| !t.is_empty()) {
        return format!("hashtag {}", plain_word(tag, None, is_shouting));
    }
    if is_shouting && core.chars().all(|c| c.is_uppercase() || c == '\'') {
        return word::shortened(&core.to_lowercase());
    }
    if let Some(said) = word::acronym(core) {
        return said;
    }
    let is_simple = core
        .chars()
        .all(|c| c.is_alphabetic() || c == '\'' || c == '\u{301}');
    if is_simple {
        return word::shortened(core);
    }
    // The hyphen of a word stays in it, or the voice would stress it wrongly.
    let is_compound = core.len() <= 60
        && core.split('-').all(|part| {
            !part.is_empty()
                && part.chars().all(|c| c.is_alphabetic() || c == '\'')
                && (part.len() < 2 || part.chars().any(char::is_lowercase))
        });
    if is_compound {
        return core.to_owned();
    }
    // "and/or", "R&D", "snake_case", "well-known", "COVID-19", "f(x)": parts, and the signs between that are said.
    let mut said = String::new();
    let mut part = String::new();
    let flush = |part: &mut String, said: &mut String| {
        if !part.is_empty() {
            let words = if part.chars().any(|c| c.is_ascii_digit()) {
                amount(part, None).unwrap_or_else(|| word::code(part))
            } else {
                word::acronym(part)
                    .filter(|_| !is_shouting)
                    .unwrap_or_else(|| word::shortened(part))
            };
            append(said, &words);
            part.clear();
        }
    };
    for c in core.chars() {
        if c.is_alphanumeric() || c == '\'' || is_mark(c) {
            part.push(c);
            continue;
        }
        flush(&mut part, &mut said);
        append(&mut said, sign_inside(c));
    }
    flush(&mut part, &mut said);
    said
}

/// Combining marks belong to the letter before.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{900}'..='\u{d7f}' | '\u{e00}'..='\u{e7f}')
}

fn sign_inside(c: char) -> &'static str {
    match c {
        '&' => "and",
        '+' => "plus",
        '@' => "at",
        '%' => "percent",
        '=' => "equals",
        '<' => "less than",
        '>' => "greater than",
        '$' => "dollar",
        '€' => "euro",
        '£' => "pound",
        '#' => "sharp",
        '°' => "degrees",
        ',' | ';' | '(' | ')' | '[' | ']' | '{' | '}' => ",",
        '?' => "?",
        '!' => "!",
        _ => "",
    }
}

/// Bodies for fuzzing: properties that hold for any input.
#[doc(hidden)]
pub mod fuzz {
    /// No panic, one line, no control characters, bounded.
    pub fn normalise_any(data: &[u8]) {
        let said = super::normalise(&String::from_utf8_lossy(data));
        assert!(said.len() <= super::SPOKEN_BYTES_MAX + 1);
        assert!(!said.chars().any(char::is_control), "{said:?}");
        assert_eq!(said.trim(), said);
        assert!(!said.contains("  "), "{said:?}");
    }
}

#[cfg(test)]
#[path = "text/tests.rs"]
mod tests;
