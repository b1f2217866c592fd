//! What words or keys say to a question of ours. Owns the words of yes-by-code and of no; an answer is the code and
//! nothing but the code, or it is none.
//! PURE.

use crate::words::{canonical, is_filler, tokens};

/// Letters of an answer that are looked at; a longer one is no answer.
const ANSWER_CHARS_MAX: usize = 200;
/// Digits of the code of one request.
pub const CODE_DIGITS: usize = 3;
/// Digits of a PIN.
pub const PIN_DIGITS_MIN: usize = 4;
pub const PIN_DIGITS_MAX: usize = 8;

/// What stands beside a code without changing it.
const BESIDE: [&str; 16] = [
    "yes", "okay", "please", "the", "code", "is", "it", "my", "pin", "number", "and", "allow",
    "approve", "once", "so", "sure",
];
const NO: [&str; 22] = [
    "no", "nope", "nah", "not", "never", "stop", "cancel", "refuse", "refused", "deny", "denied",
    "negative", "wait", "abort", "reject", "wrong", "nothing", "forget", "star", "none", "hang",
    "don't",
];
/// Digits as recognisers write them where they expect words.
const ALIKE: [(&str, &str); 10] = [
    ("for", "4"),
    ("fore", "4"),
    ("to", "2"),
    ("too", "2"),
    ("ate", "8"),
    ("won", "1"),
    ("oh", "0"),
    ("o", "0"),
    ("tree", "3"),
    ("free", "3"),
];

/// What somebody answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These digits and nothing that speaks against them.
    Digits(String),
    No,
    /// No words: a cough, a breath.
    Nothing,
    Unclear,
}

/// Reads a spoken answer. Digits are looked for whatever their number.
pub fn read(text: &str) -> Answer {
    if text.chars().nth(ANSWER_CHARS_MAX).is_some() {
        return Answer::Unclear;
    }
    let said = tokens(text);
    let said: Vec<&str> = said
        .iter()
        .map(String::as_str)
        .filter(|word| !is_filler(word))
        .collect();
    if said.is_empty() {
        return Answer::Nothing;
    }
    let words = canonical(text);
    if said.iter().any(|word| NO.contains(word))
        || words.iter().any(|word| NO.contains(&word.as_str()))
    {
        return Answer::No;
    }
    let is_digits = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let mut others = words.iter().filter(|word| !BESIDE.contains(&word.as_str()));
    if let (Some(digits), None) = (others.next(), others.next())
        && is_digits(digits)
    {
        return Answer::Digits(digits.clone());
    }
    // "for seven one": every word has to be a digit, or sound like one.
    let mut digits = String::new();
    for word in &said {
        let one = std::slice::from_ref(word)
            .iter()
            .map(|word| (*word).to_owned());
        let value = crate::words::numbers::joined(&one.collect::<Vec<_>>());
        let alike = ALIKE.iter().find(|(name, _)| name == word);
        match (alike, value.first()) {
            (Some((_, digit)), _) => digits.push_str(digit),
            (None, Some(value)) if is_digits(value) => digits.push_str(value),
            _ => return Answer::Unclear,
        }
    }
    Answer::Digits(digits)
}

/// What somebody wants of us, whatever the agent is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Stop everything.
    Stop,
    /// Take my PIN.
    Pin,
    /// Allow approvals again.
    Lift,
}

/// Words that are for us, and not for the agent. The whole of what was said, so that a story about it is none.
pub fn order(text: &str) -> Option<Order> {
    if text.chars().nth(ANSWER_CHARS_MAX).is_some() {
        return None;
    }
    let words = canonical(text);
    let words: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| {
            !matches!(
                *word,
                "please" | "now" | "okay" | "offhook" | "just" | "immediately"
            )
        })
        .collect();
    // Said twice is meant all the more.
    let half = words.len() / 2;
    let words = match words.len().is_multiple_of(2) && words[..half] == words[half..] {
        true => &words[..half],
        false => &words[..],
    };
    match words {
        ["stop" | "abort" | "cancel" | "kill", "everything"]
        | ["stop", "it", "all"]
        | ["stop", "all", "of", "it"]
        | ["emergency", "stop"] => Some(Order::Stop),
        ["enter" | "use" | "take", "my" | "the", "pin"] | ["my", "pin"] => Some(Order::Pin),
        ["lift" | "end" | "undo", "the", "stop"] | ["allow", "approvals", "again"] => {
            Some(Order::Lift)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let digits = |digits: &str| Answer::Digits(digits.to_owned());
        let rows = [
            ("four seven one", digits("471")),
            ("Four, seven, one.", digits("471")),
            ("4 7 1", digits("471")),
            ("4-7-1", digits("471")),
            ("471", digits("471")),
            ("four seventy one", digits("471")),
            ("four hundred and seventy one", digits("471")),
            ("um, the code is four seven one", digits("471")),
            ("yes please, 4 7 1", digits("471")),
            ("for seven won", digits("471")),
            ("to oh eight", digits("208")),
            ("two oh eight", digits("208")),
            ("double four one", digits("441")),
            ("my pin is one two three four", digits("1234")),
            ("four", digits("4")),
            ("no", Answer::No),
            ("No, not four seven one", Answer::No),
            ("four seven one, no wait", Answer::No),
            ("don't do that", Answer::No),
            ("I do not want four seven one", Answer::No),
            ("cancel", Answer::No),
            ("stop", Answer::No),
            ("", Answer::Nothing),
            ("um", Answer::Nothing),
            ("[coughs]", Answer::Nothing),
            ("yes", Answer::Unclear),
            ("okay do it", Answer::Unclear),
            ("what was the code", Answer::Unclear),
            ("press or say four seven one", Answer::Unclear),
            ("four seven one or four seven two", Answer::Unclear),
            ("it is half past four", Answer::Unclear),
            ("for free", digits("43")),
            ("vier sieben eins", Answer::Unclear),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text), expected, "{text:?}");
        }
        assert_eq!(read(&"four ".repeat(100)), Answer::Unclear);
    }

    #[test]
    fn orders() {
        let rows = [
            ("Stop everything!", Some(Order::Stop)),
            ("please stop everything now", Some(Order::Stop)),
            ("stop everything, stop everything", Some(Order::Stop)),
            ("Stop it all.", Some(Order::Stop)),
            ("stop", None),
            ("can you stop everything at five", None),
            ("don't stop everything", None),
            ("Enter my PIN.", Some(Order::Pin)),
            ("what is my pin", None),
            ("lift the stop", Some(Order::Lift)),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(order(text), expected, "{text:?}");
        }
    }
}
