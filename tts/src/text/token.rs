//! A text's words with the punctuation around them. Owns where a word begins and ends; not what it says.
//! PURE.

use super::word;

/// Longest run without white space that is read as one word.
const WORD_BYTES_MAX: usize = 400;

/// A word in pieces of bearable length: a script without spaces, or nonsense.
pub fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let mut end = rest.len().min(WORD_BYTES_MAX);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Signs that stand for something get room around them; pictures become names or nothing; quotes and ellipses plain.
pub fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut in_address = false;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if before.is_whitespace() {
            let word = rest.as_str();
            let word = &word[..word.find(char::is_whitespace).unwrap_or(word.len())];
            in_address = word.contains("://");
        }
        let last = std::mem::replace(&mut before, c);
        if in_address && c.is_ascii_graphic() {
            out.push(c);
            continue;
        }
        match c {
            '*' if last.is_ascii_digit() => out.push_str(" * "),
            '→' | '←' | '⇒' | '⇐' | '≈' | '≠' | '≤' | '≥' | '×' | '÷' | '±' | '√' | '=' =>
            {
                // "!=", "<=", "=>" stay one sign.
                if c == '=' && out.ends_with(['!', '<', '>', '=', ' ']) {
                    out.push(c);
                } else {
                    out.extend([' ', c, ' ']);
                }
            }
            '>' if out.ends_with("= ") => {
                out.truncate(out.len() - 1);
                out.push_str("> ");
            }
            '—' => out.push_str(", "),
            '…' => out.push_str("... "),
            '‘' | '’' | 'ʼ' => out.push('\''),
            '“' | '”' | '„' | '«' | '»' => out.push('"'),
            '\u{a0}' | '\u{2009}' | '\u{202f}' => out.push(' '),
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {}
            c if word::picture(c).is_some() => {
                out.extend([", ", word::picture(c).unwrap_or(""), ", "]);
            }
            c if word::is_picture(c) => out.push(' '),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A word and the punctuation around it.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    pub before: &'a str,
    pub core: &'a str,
    pub after: &'a str,
}

impl<'a> Token<'a> {
    pub fn new(word: &'a str) -> Token<'a> {
        // A sign alone is its own word.
        if word::symbol(word).is_some() {
            return Token {
                before: "",
                core: word,
                after: "",
            };
        }
        let opens = |c: char| matches!(c, '(' | '[' | '{' | '"' | '\'' | '¿' | '¡');
        let closes = |c: char| {
            matches!(
                c,
                ')' | ']' | '}' | '"' | '\'' | '.' | ',' | ';' | ':' | '!' | '?'
            )
        };
        let start = word.len() - word.trim_start_matches(opens).len();
        let length = word[start..].trim_end_matches(closes).len();
        Token {
            before: &word[..start],
            core: &word[start..start + length],
            after: &word[start + length..],
        }
    }

    /// Whether a full stop follows, and no ellipsis.
    pub fn has_stop(&self) -> bool {
        self.after.starts_with('.') && !self.after.starts_with("..")
    }
}

/// Whether the whole text is in capitals, so that capitals mean nothing.
pub fn is_shouting(words: &[Token]) -> bool {
    let mut upper = 0;
    for token in words {
        if token.core.chars().any(char::is_lowercase) {
            return false;
        }
        if token.core.chars().filter(|c| c.is_uppercase()).count() >= 2 {
            upper += 1;
        }
    }
    upper >= 3
}
