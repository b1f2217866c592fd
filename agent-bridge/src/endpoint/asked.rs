//! What our last words ask of the caller. Owns reading a reply for its question; not what was answered.
//! PURE.

use serde::{Deserialize, Serialize};

use super::tables::{AUXILIARIES, QUESTION_WORDS};
use crate::words::{numbers, tokens};

/// Bytes at the end of a reply that are read for its question.
const REPLY_TAIL_MAX: usize = 600;

/// What we last asked the caller, as far as it tells what an answer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    #[default]
    Nothing,
    /// "Shall I book it?"
    YesNo,
    /// A number said digit by digit; `count` where the question names it ("the last four digits").
    Digits { count: Option<u8> },
    /// Letters one by one.
    Spelling,
    /// A question that any words may answer.
    Open,
}

/// What is said digit by digit.
const DIGIT_NOUNS: [&str; 11] = [
    "pin",
    "digits",
    "digit",
    "code",
    "passcode",
    "extension",
    "zip",
    "postcode",
    "phone",
    "telephone",
    "mobile",
];
/// Before "number" these are said digit by digit too.
const NUMBERED: [&str; 12] = [
    "account",
    "order",
    "card",
    "reference",
    "customer",
    "member",
    "ticket",
    "booking",
    "flight",
    "confirmation",
    "invoice",
    "security",
];
/// Ways to ask for something without a question mark, and requests in the form of a yes/no question.
const REQUESTS: [&str; 19] = [
    "tell me",
    "give me",
    "let me know",
    "say your",
    "say the",
    "enter",
    "spell",
    "repeat",
    "i need your",
    "i have your",
    "i get your",
    "i have the",
    "i get the",
    "i take your",
    "describe",
    "read me",
    "i will need",
    "i'll need",
    "type in",
];
/// Ends of a statement that turn it into a yes/no question.
const TAGS: [&str; 12] = [
    "right",
    "correct",
    "okay",
    "ok",
    "yes",
    "isn't it",
    "is that right",
    "shall i",
    "can i",
    "ready",
    "don't you",
    "agreed",
];

impl Asked {
    /// From what we said: "Shall I book it?" → `YesNo`, "What is your PIN?" → `Digits`, "How do you spell
    /// that?" → `Spelling`. The last question counts; without one, a request in the last sentence.
    pub fn by(reply: &str) -> Asked {
        let mut start = reply.len().saturating_sub(REPLY_TAIL_MAX);
        while !reply.is_char_boundary(start) {
            start += 1;
        }
        let sentences = sentences(&reply[start..]);
        // A question still stands when one short sentence follows it.
        let question = sentences
            .iter()
            .rev()
            .take(2)
            .find(|sentence| sentence.is_question);
        let Some(sentence) = question.or(sentences.last()) else {
            return Asked::Nothing;
        };
        let words = tokens(sentence.text);
        let text = format!(" {} ", words.join(" "));
        let has = |phrase: &str| text.contains(&format!(" {phrase} "));
        // "Your PIN, please."
        let is_short_request =
            words.last().is_some_and(|last| last == "please") && is_digits(&words, &has);
        let is_request = is_short_request || REQUESTS.iter().any(|phrase| has(phrase));
        if !sentence.is_question && !is_request {
            return Asked::Nothing;
        }
        let first = lead(&words);
        let is_inverted =
            AUXILIARIES.contains(&first) || matches!(first, "shall" | "may" | "might");
        let offers_yes = is_inverted && !is_request
            || TAGS.iter().any(|tag| text.ends_with(&format!(" {tag} ")))
            || [
                "want me to",
                "would you like me to",
                "anything else",
                "sound good",
                "sounds good",
            ]
            .iter()
            .any(|phrase| has(phrase));
        let asks_what = QUESTION_WORDS.contains(&first) || is_request;
        if offers_yes && !asks_what {
            return if has("or") && !has("or not") {
                Asked::Open
            } else {
                Asked::YesNo
            };
        }
        if has("spell") || has("spelled") || has("spelling") || has("letter by letter") {
            return Asked::Spelling;
        }
        if is_digits(&words, &has) {
            return Asked::Digits {
                count: count(&words),
            };
        }
        Asked::Open
    }
}

struct Sentence<'a> {
    text: &'a str,
    is_question: bool,
}

fn sentences(text: &str) -> Vec<Sentence<'_>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, letter) in text.char_indices() {
        if !matches!(letter, '?' | '!' | '.' | '\n' | '？') {
            continue;
        }
        let end = at + letter.len_utf8();
        // A point inside a number or an abbreviation ends nothing.
        let is_inside =
            letter == '.' && text[end..].starts_with(|next: char| next.is_alphanumeric());
        if is_inside {
            continue;
        }
        push(&mut found, &text[start..at], matches!(letter, '?' | '？'));
        start = end;
    }
    push(&mut found, &text[start..], false);
    found
}

fn push<'a>(found: &mut Vec<Sentence<'a>>, text: &'a str, is_question: bool) {
    if text.contains(char::is_alphanumeric) {
        found.push(Sentence { text, is_question });
    }
}

/// The first word that tells the kind of sentence: openers are passed over.
fn lead(words: &[String]) -> &str {
    const OPENERS: [&str; 14] = [
        "and", "so", "okay", "ok", "well", "now", "great", "alright", "right", "sorry", "sure",
        "good", "but", "then",
    ];
    let word = words
        .iter()
        .find(|word| !OPENERS.contains(&word.as_str()))
        .map_or("", String::as_str);
    word.strip_suffix("'s")
        .filter(|stem| QUESTION_WORDS.contains(stem))
        .unwrap_or(word)
}

fn is_digits(words: &[String], has: &dyn Fn(&str) -> bool) -> bool {
    // "Which phone" asks for a name, "phone number" for digits.
    let numbered = |noun: &str| has(&format!("{noun} number"));
    if ["phone", "telephone", "mobile"]
        .iter()
        .any(|noun| has(noun))
    {
        return ["phone", "telephone", "mobile"]
            .iter()
            .any(|noun| numbered(noun));
    }
    words
        .iter()
        .any(|word| DIGIT_NOUNS.contains(&word.as_str()))
        || NUMBERED.iter().any(|noun| numbered(noun))
        || has("your number")
        || has("number can")
        || has("number should")
}

/// "the last four digits", "a 6-digit code".
fn count(words: &[String]) -> Option<u8> {
    let joined = numbers::joined(words);
    let at = joined
        .iter()
        .position(|word| matches!(word.as_str(), "digit" | "digits" | "number" | "numbers"))?;
    let count = joined.get(at.checked_sub(1)?)?.parse().ok()?;
    (1..=30).contains(&count).then_some(count)
}
