//! A request as it may be shown and read out. Owns the way from untrusted text to words that can't be taken for ours:
//! no control characters, no markup, signs by their names, and a plain statement of what was left out. Owns no question
//! and no code.
//!
//! A command is never made to sound harmless by its length: its beginning and its end are both read, and what is
//! risky in between is named.
//! PURE.

use super::{ApprovalKind, ApprovalRequest};
use crate::words::canonical;

/// Letters of a request that are looked at.
pub const TEXT_CHARS_MAX: usize = 8_000;
/// Spoken words of a request that is read whole.
const WORDS_MAX: usize = 36;
/// Of a longer one: so many from the front, and so many from the end.
const HEAD_WORDS: usize = 16;
const TAIL_WORDS: usize = 12;
/// Risky signs that are named of what is left out.
const RISKS_MAX: usize = 5;
/// Letters of a word that is read; a longer one is cut, and that is said.
const WORD_CHARS_MAX: usize = 40;

/// Programs and signs that change what a command does to a machine.
const RISKY: [&str; 31] = [
    "rm",
    "sudo",
    "su",
    "doas",
    "dd",
    "mkfs",
    "shred",
    "kill",
    "killall",
    "chmod",
    "chown",
    "curl",
    "wget",
    "nc",
    "ssh",
    "scp",
    "rsync",
    "eval",
    "exec",
    "bash",
    "sh",
    "python",
    "perl",
    "base64",
    "crontab",
    "systemctl",
    "git",
    "docker",
    "mv",
    "iptables",
    "reboot",
];

/// How a request is read out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Plain words, without signs but commas.
    pub what: String,
    pub place: String,
    /// Spoken words of `what` that were left out.
    pub unsaid: usize,
    /// Risky parts of what was left out.
    pub risks: Vec<String>,
    /// There was something that can't be seen or heard: control characters, letters that only look like others.
    pub has_hidden: bool,
    /// It speaks to the caller as if it were us.
    pub is_imitation: bool,
}

/// How a request is read out.
pub fn read_out(request: &ApprovalRequest) -> Reading {
    let (clean, has_controls) = cleaned(&request.what);
    let (place, place_has_controls) = cleaned(&request.place);
    let words = spoken_words(&clean);
    let mut risks = Vec::new();
    let mut unsaid = 0;
    let what = if words.len() <= WORDS_MAX {
        words.join(" ")
    } else {
        let tail_at = words.len() - TAIL_WORDS;
        let middle = &words[HEAD_WORDS..tail_at];
        unsaid = middle.len();
        risks = risky(middle);
        format!(
            "{}, and so on, and it ends with, {}",
            words[..HEAD_WORDS].join(" "),
            words[tail_at..].join(" ")
        )
    };
    let place_words = spoken_words(&place);
    let is_cut = request.what.chars().count() > TEXT_CHARS_MAX;
    Reading {
        what,
        place: place_words[..place_words.len().min(TAIL_WORDS)].join(" "),
        unsaid,
        risks,
        has_hidden: has_controls || place_has_controls || is_cut || has_foreign(&clean),
        is_imitation: imitates(&clean) || imitates(&place),
    }
}

/// What kind of thing it is, for a sentence that begins "The agent wants to".
pub fn intent(kind: ApprovalKind) -> &'static str {
    match kind {
        ApprovalKind::Exec => "run a command",
        ApprovalKind::Plugin => "use a plugin",
        ApprovalKind::Tool => "use a tool",
    }
}

/// Text for a screen, a log or a file: nothing in it moves the cursor, turns the writing around or hides.
pub fn on_screen(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    for (n, letter) in text.chars().enumerate() {
        if n >= chars_max {
            out.push_str(&format!(" … ({} more letters)", text.chars().count() - n));
            break;
        }
        match letter {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            letter if is_hidden(letter) => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    out
}

/// The same without what looks like a password or a token: for records that are kept.
pub fn masked(text: &str, chars_max: usize) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut hides_next = false;
    for word in text.split_whitespace() {
        let lower = word.to_lowercase();
        let names_secret = |part: &str| {
            ["pass", "token", "secret", "key", "auth", "credential"]
                .iter()
                .any(|name| part.contains(name))
        };
        // The word between a header's name and its secret.
        if lower.ends_with("bearer") || lower.ends_with("basic") {
            hides_next = true;
            out.push(word.to_owned());
        } else if std::mem::take(&mut hides_next) {
            out.push("***".to_owned());
        } else if let Some(at) = word.find(['=', ':'])
            && names_secret(&lower[..lower.floor_char_boundary(at)])
        {
            hides_next = at + 1 == word.len();
            out.push(format!("{}***", &word[..=at]));
        } else if lower.starts_with('-') && names_secret(&lower) {
            hides_next = true;
            out.push(word.to_owned());
        } else if let Some((scheme, rest)) = word.split_once("://")
            && let Some((_, host)) = rest.split_once('@')
        {
            out.push(format!("{scheme}://***@{host}"));
        } else if is_opaque(word) {
            out.push("***".to_owned());
        } else {
            out.push(word.to_owned());
        }
    }
    on_screen(&out.join(" "), chars_max)
}

/// Letters and digits mixed without end: nobody types that but a key.
fn is_opaque(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.');
    let mut letters = word.chars();
    word.len() >= 32
        && letters.clone().all(plain)
        && letters.clone().any(|c| c.is_ascii_digit())
        && letters.any(|c| c.is_ascii_alphabetic())
}

/// Without what can't be heard; whether there was such a thing.
fn cleaned(text: &str) -> (String, bool) {
    let mut has_hidden = false;
    let clean = text
        .chars()
        .take(TEXT_CHARS_MAX)
        .map(|letter| {
            let is_space = matches!(letter, '\n' | '\t' | '\r' | ' ');
            // A new line ends a command, as a semicolon does.
            match letter {
                '\n' => ';',
                _ if is_space => ' ',
                letter if is_hidden(letter) => {
                    has_hidden = true;
                    ' '
                }
                letter => letter,
            }
        })
        .collect::<String>();
    let clean = clean.trim_matches([' ', ';']).to_owned();
    (clean, has_hidden)
}

/// Control characters, marks that turn writing around, letters without width.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
            | '\u{205f}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A word that mixes our alphabet with another: it only looks like what it is read as.
fn has_foreign(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| {
        let has_latin = word.chars().any(|c| c.is_ascii_alphabetic());
        let has_other = word.chars().any(|c| c.is_alphabetic() && !is_latin(c));
        has_latin && has_other
    })
}

fn is_latin(letter: char) -> bool {
    letter.is_ascii_alphabetic() || matches!(letter, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
}

/// The text as words for the ear: signs by their names, each with a word of its own.
fn spoken_words(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_alphanumeric() {
            word.push(letter);
            continue;
        }
        flush(&mut out, &mut word);
        let mut twice = |sign: char| letters.next_if_eq(&sign).is_some();
        let name = match letter {
            ' ' | '"' | '\'' => "",
            '|' if twice('|') => "or else",
            '|' => "piped into",
            '&' if twice('&') => "and then",
            '&' => "and",
            ';' => "then",
            '>' if twice('>') => "appended to",
            '>' => "written to",
            '<' => "read from",
            '$' if twice('(') => "the output of",
            '$' => "dollar",
            '`' => "backtick",
            '-' if twice('-') => "dash dash",
            '-' => "dash",
            '/' => "slash",
            '\\' => "backslash",
            '.' => "dot",
            ',' => "comma",
            ':' => "colon",
            '_' => "underscore",
            '~' => "tilde",
            '*' => "asterisk",
            '?' => "question mark",
            '!' => "exclamation mark",
            '@' => "at",
            '#' => "number sign",
            '%' => "percent",
            '+' => "plus",
            '=' => "equals",
            '^' => "caret",
            '(' | ')' | '[' | ']' | '{' | '}' => "bracket",
            _ => "sign",
        };
        if !name.is_empty() {
            out.push(name.to_owned());
        }
    }
    flush(&mut out, &mut word);
    out
}

fn flush(out: &mut Vec<String>, word: &mut String) {
    if word.is_empty() {
        return;
    }
    let whole = std::mem::take(word);
    let count = whole.chars().count();
    if count > WORD_CHARS_MAX {
        let head: String = whole.chars().take(WORD_CHARS_MAX / 2).collect();
        out.push(format!("{head}, a word of {count} letters"));
    } else if count <= 3
        && whole.chars().all(|c| c.is_ascii_alphabetic())
        && out.last().is_some_and(|last| last == "dash")
    {
        // Options are letters, not a word.
        out.extend(whole.chars().map(String::from));
    } else {
        out.push(whole);
    }
}

fn risky(words: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in words {
        let is_sign = matches!(
            word.as_str(),
            "piped into"
                | "and then"
                | "or else"
                | "then"
                | "written to"
                | "appended to"
                | "the output of"
        );
        let is_risky = is_sign || RISKY.contains(&word.to_lowercase().as_str());
        if is_risky && !found.contains(word) && found.len() < RISKS_MAX {
            found.push(word.clone());
        }
    }
    found
}

/// Whether the text asks the caller for something, as only we may: keys, codes, PINs, a yes.
fn imitates(text: &str) -> bool {
    let words = canonical(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_digits = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    const BIDS: [&str; 12] = [
        "press", "say", "dial", "type", "enter", "key", "code", "pin", "speak", "push", "tap",
        "answer",
    ];
    const PHRASES: [&[&str]; 17] = [
        &["to", "allow"],
        &["to", "approve"],
        &["to", "refuse"],
        &["to", "deny"],
        &["to", "confirm"],
        &["to", "reject"],
        &["to", "cancel"],
        &["approval", "needed"],
        &["end", "of", "the", "request"],
        &["your", "pin"],
        &["your", "code"],
        &["the", "code", "is"],
        &["already", "approved"],
        &["has", "been", "approved"],
        &["has", "been", "allowed"],
        &["press", "star"],
        &["stop", "everything"],
    ];
    let bids = words.iter().enumerate().any(|(at, word)| {
        let near = &words[at + 1..words.len().min(at + 4)];
        // A path or an option is no sentence: a bid is followed by the digits at once, or nearly so.
        BIDS.contains(word) && near.iter().any(|near| is_digits(near) && near.len() >= 3)
    });
    bids || PHRASES
        .iter()
        .any(|phrase| words.windows(phrase.len()).any(|window| window == *phrase))
}

#[cfg(test)]
#[path = "wording_tests.rs"]
mod tests;
