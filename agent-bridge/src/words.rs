//! What a transcript says apart from how it is written: words without case, punctuation and fillers, and
//! whether two transcripts are the same turn. Owns spelling variants and nothing about meaning. English;
//! the words of other languages pass through as they are.
//! PURE.

pub(crate) mod numbers;

/// Sounds of thinking, as recognisers write them.
pub(crate) const FILLERS: [&str; 13] = [
    "um", "umm", "uh", "uhm", "uhh", "er", "erm", "err", "hm", "hmm", "hmmm", "ah", "eh",
];

/// Spellings of the same spoken words. The right side is what `same` compares.
const VARIANTS: [(&str, &str); 42] = [
    ("ok", "okay"),
    ("alright", "all right"),
    ("gonna", "going to"),
    ("wanna", "want to"),
    ("gotta", "got to"),
    ("cannot", "can not"),
    ("can't", "can not"),
    ("won't", "will not"),
    ("shan't", "shall not"),
    ("what's", "what is"),
    ("who's", "who is"),
    ("where's", "where is"),
    ("when's", "when is"),
    ("how's", "how is"),
    ("that's", "that is"),
    ("there's", "there is"),
    ("here's", "here is"),
    ("it's", "it is"),
    ("he's", "he is"),
    ("she's", "she is"),
    ("let's", "let us"),
    ("i'm", "i am"),
    ("nevermind", "never mind"),
    ("goodnight", "good night"),
    ("email", "e mail"),
    ("tv", "television"),
    ("mr", "mister"),
    ("dr", "doctor"),
    ("vs", "versus"),
    ("o'clock", "oclock"),
    ("mom", "mum"),
    ("yep", "yes"),
    ("yup", "yes"),
    ("yeah", "yes"),
    ("yea", "yes"),
    ("colour", "color"),
    ("colours", "colors"),
    ("metres", "meters"),
    ("kilometres", "kilometers"),
    ("centre", "center"),
    ("theatre", "theater"),
    ("favourite", "favorite"),
];
/// Endings that stand for a word.
const CONTRACTIONS: [(&str, &str); 5] = [
    ("n't", "not"),
    ("'re", "are"),
    ("'ll", "will"),
    ("'ve", "have"),
    ("'d", "would"),
];

/// Lower case, punctuation gone (apostrophes inside words and points inside numbers kept), spaces collapsed,
/// fillers (um, uh, er, hmm) gone. What stands in brackets is a remark of the recogniser and goes as well.
pub fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(4_096));
    for word in tokens(text) {
        if is_filler(&word) {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&word);
    }
    out
}

/// Whether two transcripts are the same turn: equal after normalisation, where a number in words is the same
/// number in digits ("ten thirty", "10:30") and a contraction the same as its long form ("what's", "what is").
pub fn same(a: &str, b: &str) -> bool {
    a == b || canonical(a) == canonical(b)
}

pub(crate) fn is_filler(word: &str) -> bool {
    FILLERS.contains(&word)
}

/// The words `same` compares: no fillers, variants resolved, neighbouring numbers as one run of digits.
pub(crate) fn canonical(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in tokens(text) {
        if is_filler(&word) {
            continue;
        }
        if let Some((_, long)) = VARIANTS.iter().find(|(short, _)| *short == word) {
            words.extend(long.split(' ').map(str::to_owned));
        } else if let Some((stem, rest)) = CONTRACTIONS
            .iter()
            .find_map(|(end, rest)| Some((word.strip_suffix(end)?, *rest)))
            && !stem.is_empty()
        {
            words.push(stem.to_owned());
            words.push(rest.to_owned());
        } else {
            words.push(word);
        }
    }
    // "p m" is "pm": letters said one by one.
    let mut merged: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        match merged.last_mut() {
            Some(last) if word == "m" && (last == "a" || last == "p") => last.push('m'),
            _ => merged.push(word),
        }
    }
    numbers::joined(&merged)
}

/// The words in lower case, fillers included. Hyphens part words; signs that are spoken become words.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    // A currency sign stands before its number and is said after it.
    let mut unit: Option<&str> = None;
    let mut closing: Option<char> = None;
    let mut before = ' ';
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if let Some(end) = closing {
            if letter == end {
                closing = None;
            }
            continue;
        }
        let after = letters.peek().copied().unwrap_or(' ');
        let spoken = match letter {
            '%' => Some("percent"),
            '&' => Some("and"),
            '+' => Some("plus"),
            '=' => Some("equals"),
            '@' => Some("at"),
            '°' => Some("degrees"),
            _ => None,
        };
        let is_inside = match letter {
            '\'' | '’' => before.is_alphanumeric() && after.is_alphabetic(),
            '.' => before.is_ascii_digit() && after.is_ascii_digit(),
            // Accents as letters of their own.
            '\u{300}'..='\u{36f}' => !word.is_empty(),
            _ => letter.is_alphanumeric(),
        };
        if is_inside {
            match letter {
                '’' => word.push('\''),
                letter => word.extend(letter.to_lowercase()),
            }
        } else if letter == ',' && before.is_ascii_digit() && is_thousand(&letters) {
            // "1,000" is one number.
        } else if letter == '.' && word.chars().count() == 1 && after.is_alphabetic() {
            // "p.m." and "U.S." are one word each; the last point ends it.
            while let Some(next) = letters.next_if(|next| next.is_alphabetic()) {
                word.extend(next.to_lowercase());
                letters.next_if_eq(&'.');
            }
        } else {
            flush(&mut out, &mut word, &mut unit);
            match letter {
                '$' => unit = Some("dollars"),
                '€' => unit = Some("euros"),
                '£' => unit = Some("pounds"),
                '[' if has_closing(&letters, ']') => closing = Some(']'),
                '(' if has_closing(&letters, ')') => closing = Some(')'),
                _ => {}
            }
            out.extend(spoken.map(str::to_owned));
        }
        before = letter;
    }
    flush(&mut out, &mut word, &mut unit);
    out
}

fn flush(out: &mut Vec<String>, word: &mut String, unit: &mut Option<&str>) {
    if word.is_empty() {
        return;
    }
    let is_number = word.starts_with(|letter: char| letter.is_ascii_digit());
    out.push(std::mem::take(word));
    if let Some(unit) = unit.take()
        && is_number
    {
        out.push(unit.to_owned());
    }
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Three digits and no fourth follow.
fn is_thousand(letters: &Letters<'_>) -> bool {
    let digits = letters
        .clone()
        .take(4)
        .take_while(char::is_ascii_digit)
        .count();
    digits == 3
}

/// A remark is short; a bracket that never closes is a stray letter.
fn has_closing(letters: &Letters<'_>, end: char) -> bool {
    letters.clone().take(40).any(|letter| letter == end)
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
