//! An agent's text made fit for the ear, as it streams. Owns what is markup and what is speech. How
//! numbers, dates and addresses are read is the voice's business.
//! PURE.

/// Letters that are kept back while it is open what they will become (a link, a tag, a directive). When
/// exceeded, the first of them is taken literally.
const PENDING_CHARS_MAX: usize = 512;
/// Words that agents send when they want to say nothing.
const SILENT_WORDS: [&str; 2] = ["NO_REPLY", "HEARTBEAT_OK"];
/// Prefixes that some models put before their own answer.
const SPEAKER_PREFIXES: [&str; 3] = ["assistant:", "ai:", "agent:"];
/// Elements whose content is not meant for the caller.
const HIDDEN_TAGS: [&str; 4] = ["think", "thinking", "reasoning", "thought"];

/// Takes a reply piece by piece and gives back what of it is to be spoken. The pieces may be cut
/// anywhere: the result in total is the same.
#[derive(Debug, Clone, Default)]
pub struct Tidy {
    pending: String,
    /// What the text is in the middle of.
    inside: Inside,
    /// Something other than white space has been read.
    begun: bool,
    line: Line,
    /// Line breaks since the last spoken letter, and whether they end a heading, a row or an item.
    breaks: u8,
    block_ended: bool,
    space_due: bool,
    /// The last letter handed out, and the last one read.
    last_out: Option<char>,
    last_in: Option<char>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Inside {
    #[default]
    Text,
    /// Between two code fences: not readable aloud.
    Code,
    /// In an element of `HIDDEN_TAGS`, by index.
    Hidden(usize),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Start,
    Prose,
    /// A heading or a list item.
    Block,
    TableRow,
}

/// What the front of the pending text turned out to be.
enum Token {
    /// Not decidable before more text comes.
    Open,
    /// So many bytes say nothing.
    Skip(usize),
    /// So many bytes are replaced by these words.
    Say(usize, String),
    /// So many bytes are white space.
    Space(usize),
    Break(usize),
    /// So many bytes are markup at the start of a line.
    LineMark(usize, Line, String),
    Enter(usize, Inside),
}

impl Tidy {
    pub fn push(&mut self, text: &str) -> String {
        self.pending.push_str(text);
        self.drain(false)
    }

    /// The end of the reply: what was kept back. Ready for the next reply afterwards.
    pub fn finish(&mut self) -> String {
        let out = self.drain(true);
        *self = Tidy::default();
        out
    }

    fn drain(&mut self, is_end: bool) -> String {
        let mut out = String::new();
        let mut at = 0;
        while at < self.pending.len() {
            let rest = &self.pending[at..];
            let mut token = self.token(rest, is_end);
            if let Token::Open = token {
                if !is_end && rest.chars().nth(PENDING_CHARS_MAX).is_none() {
                    break;
                }
                token = literal(rest);
            }
            at += self.apply(token, &mut out);
        }
        self.pending.drain(..at);
        out
    }

    fn apply(&mut self, token: Token, out: &mut String) -> usize {
        match token {
            Token::Open => 0,
            Token::Skip(length) => length,
            Token::Enter(length, inside) => {
                self.inside = inside;
                length
            }
            Token::Say(length, text) => {
                if self.line == Line::Start {
                    self.line = Line::Prose;
                }
                self.begun = true;
                self.say(&text, out);
                length
            }
            Token::Space(length) => {
                self.space_due = true;
                self.last_in = Some(' ');
                length
            }
            Token::Break(length) => {
                self.breaks = self.breaks.saturating_add(1);
                self.block_ended |= matches!(self.line, Line::Block | Line::TableRow);
                self.line = Line::Start;
                self.last_in = Some('\n');
                length
            }
            Token::LineMark(length, line, text) => {
                self.block_ended |= self.breaks > 0;
                self.line = line;
                self.begun = true;
                self.say(&text, out);
                length
            }
        }
    }

    fn say(&mut self, text: &str, out: &mut String) {
        for c in text.chars() {
            if c.is_whitespace() {
                self.space_due = true;
                self.last_in = Some(' ');
                continue;
            }
            if let Some(last) = self.last_out {
                let ends = self.breaks >= 2 || self.block_ended;
                if ends && (last.is_alphanumeric() || matches!(last, ')' | '"' | '\'' | '%')) {
                    out.push('.');
                }
                let glued = matches!(c, '.' | ',' | ';' | ':' | '!' | '?') && self.breaks == 0;
                if (self.space_due && !glued) || self.breaks > 0 {
                    out.push(' ');
                }
            }
            (self.space_due, self.breaks, self.block_ended) = (false, 0, false);
            out.push(c);
            self.last_out = Some(c);
            self.last_in = Some(c);
        }
    }

    fn token(&self, rest: &str, is_end: bool) -> Token {
        match self.inside {
            Inside::Code => return skip_to(rest, "```", is_end),
            Inside::Hidden(tag) => {
                let close = format!("</{}>", HIDDEN_TAGS[tag]);
                return skip_to(rest, &close, is_end);
            }
            Inside::Text => {}
        }
        if self.line == Line::Start
            && let Some(token) = self.line_mark(rest, is_end)
        {
            return token;
        }
        let Some(first) = rest.chars().next() else {
            return Token::Skip(0);
        };
        match first {
            '\n' => Token::Break(1),
            '\u{2028}' | '\u{2029}' => Token::Break(first.len_utf8()),
            c if c.is_whitespace() => Token::Space(c.len_utf8()),
            c if is_silent(c) => Token::Skip(c.len_utf8()),
            '`' => match lead(rest, '`') {
                3.. => Token::Enter(3, Inside::Code),
                length if length == rest.len() && !is_end => Token::Open,
                length => Token::Skip(length),
            },
            '*' => self.star(rest, is_end),
            '_' => self.underscore(rest, is_end),
            '~' if rest.starts_with("~~") => Token::Skip(2),
            '~' if rest.len() == 1 && !is_end => Token::Open,
            '[' => bracket(rest, is_end),
            '!' if rest.starts_with("![") => Token::Skip(1),
            '!' if rest.len() == 1 && !is_end => Token::Open,
            '<' => tag(rest, is_end),
            '&' => entity(rest, is_end),
            '\\' => match rest[1..].chars().next() {
                None if !is_end => Token::Open,
                None => Token::Skip(1),
                Some(c) if c.is_ascii_punctuation() => Token::Say(2, c.to_string()),
                Some(_) => Token::Skip(1),
            },
            // Headings may be closed by what opened them.
            '#' if self.line == Line::Block => {
                let length = lead(rest, '#');
                let after = rest[length..].trim_start_matches([' ', '\r']);
                match after.chars().next() {
                    None if !is_end => Token::Open,
                    None | Some('\n') => Token::Skip(length),
                    Some(_) => literal(rest),
                }
            }
            '|' if self.line == Line::TableRow => cell(rest, self.last_out, is_end),
            _ => self.word_start(rest, is_end),
        }
    }

    /// Markup that counts only at the start of a line.
    fn line_mark(&self, rest: &str, is_end: bool) -> Option<Token> {
        let first = rest.chars().next()?;
        let after = |length: usize| rest[length..].chars().next();
        let open = |length: usize| length == rest.len() && !is_end;
        match first {
            ' ' | '\t' | '\r' => Some(Token::Space(1)),
            '>' => Some(Token::Skip(1)),
            '|' => {
                let length = ruler(rest);
                Some(match open(length) {
                    true => Token::Open,
                    false => Token::LineMark(length, Line::TableRow, String::new()),
                })
            }
            '#' => {
                let length = lead(rest, '#');
                if open(length) {
                    return Some(Token::Open);
                }
                (length <= 6 && after(length).is_none_or(char::is_whitespace))
                    .then(|| Token::LineMark(length, Line::Block, String::new()))
            }
            '-' | '*' | '+' | '=' | '_' => {
                let length = lead(rest, first);
                if open(length) {
                    return Some(Token::Open);
                }
                let is_line = after(length).is_none_or(|c| c == '\n' || c == '\r');
                if length >= 3 && is_line {
                    return Some(Token::Skip(length));
                }
                let is_bullet = matches!(first, '-' | '*' | '+') && length == 1;
                (is_bullet && after(1).is_some_and(|c| c == ' ' || c == '\t'))
                    .then(|| Token::LineMark(1, Line::Block, String::new()))
            }
            '•' | '◦' | '▪' | '–' => {
                let length = first.len_utf8();
                if open(length) {
                    return Some(Token::Open);
                }
                after(length)
                    .is_some_and(char::is_whitespace)
                    .then(|| Token::LineMark(length, Line::Block, String::new()))
            }
            '0'..='9' => {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                if digits > 2 {
                    return None;
                }
                if open(digits) {
                    return Some(Token::Open);
                }
                if !matches!(after(digits), Some('.' | ')')) {
                    return None;
                }
                if open(digits + 1) {
                    return Some(Token::Open);
                }
                // "1. Milk" is an item; "3.5" and a line that ends in "12." are not.
                (after(digits + 1) == Some(' ')).then(|| {
                    Token::LineMark(digits + 1, Line::Block, format!("{},", &rest[..digits]))
                })
            }
            _ => None,
        }
    }

    fn star(&self, rest: &str, is_end: bool) -> Token {
        let length = lead(rest, '*');
        if length == rest.len() && !is_end {
            return Token::Open;
        }
        let spaced_before = self.last_in.is_none_or(char::is_whitespace);
        let spaced_after = rest[length..].starts_with(char::is_whitespace);
        let between_digits = self.last_in.is_some_and(|c| c.is_ascii_digit())
            && rest[length..].starts_with(|c: char| c.is_ascii_digit());
        if length == 1 && ((spaced_before && spaced_after) || between_digits) {
            return Token::Say(1, " times ".to_owned());
        }
        Token::Skip(length)
    }

    fn underscore(&self, rest: &str, is_end: bool) -> Token {
        let length = lead(rest, '_');
        if length == rest.len() && !is_end {
            return Token::Open;
        }
        let in_word = self.last_in.is_some_and(char::is_alphanumeric)
            && rest[length..].starts_with(char::is_alphanumeric);
        match in_word {
            true => Token::Space(length),
            false => Token::Skip(length),
        }
    }

    /// One letter, unless the word it begins is not to be said.
    fn word_start(&self, rest: &str, is_end: bool) -> Token {
        if self.last_in.is_none_or(|c| !c.is_alphanumeric()) {
            for word in SILENT_WORDS {
                match starts_with_word(rest, word, is_end) {
                    Some(true) => return Token::Skip(word.len()),
                    None => return Token::Open,
                    Some(false) => {}
                }
            }
            if !self.begun {
                for prefix in SPEAKER_PREFIXES {
                    let length = prefix.len().min(rest.len());
                    let is_same = rest
                        .get(..length)
                        .is_some_and(|head| head.eq_ignore_ascii_case(&prefix[..length]));
                    match is_same {
                        true if length == prefix.len() => return Token::Skip(length),
                        true if !is_end => return Token::Open,
                        _ => {}
                    }
                }
            }
        }
        literal(rest)
    }
}

fn literal(rest: &str) -> Token {
    match rest.chars().next() {
        Some(c) if is_silent(c) => Token::Skip(c.len_utf8()),
        Some(c) => Token::Say(c.len_utf8(), c.to_string()),
        None => Token::Skip(0),
    }
}

/// Bytes of `mark` (one byte long) at the front.
fn lead(rest: &str, mark: char) -> usize {
    rest.len() - rest.trim_start_matches(mark).len()
}

/// `None`: it may still become the word.
fn starts_with_word(rest: &str, word: &str, is_end: bool) -> Option<bool> {
    match rest.strip_prefix(word) {
        Some("") if !is_end => None,
        Some(after) => Some(!after.starts_with(|c: char| c.is_alphanumeric() || c == '_')),
        None if !is_end && word.starts_with(rest) => None,
        None => Some(false),
    }
}

fn skip_to(rest: &str, close: &str, is_end: bool) -> Token {
    // `to_ascii_lowercase` keeps byte positions.
    if let Some(at) = rest.to_ascii_lowercase().find(close) {
        return Token::Enter(at + close.len(), Inside::Text);
    }
    if is_end {
        return Token::Skip(rest.len());
    }
    // The last letters may be the beginning of what closes.
    let mut keep = rest.len().saturating_sub(close.len() - 1);
    while !rest.is_char_boundary(keep) {
        keep -= 1;
    }
    match keep {
        0 => Token::Open,
        length => Token::Skip(length),
    }
}

/// A directive `[[…]]`, a link `[text](address)`, a footnote `[1]`, or words in brackets.
fn bracket(rest: &str, is_end: bool) -> Token {
    if rest == "[" && !is_end {
        return Token::Open;
    }
    if rest.starts_with("[[") {
        return match rest.find("]]") {
            Some(at) => Token::Skip(at + 2),
            None if is_end => Token::Skip(rest.len()),
            None => Token::Open,
        };
    }
    let Some(close) = rest.find(']') else {
        return match is_end {
            true => Token::Skip(1),
            false => Token::Open,
        };
    };
    let inner = &rest[1..close];
    let after = &rest[close + 1..];
    if after.is_empty() && !is_end {
        return Token::Open;
    }
    let address = match after.starts_with('(') {
        true => match after.find(')') {
            Some(end) => end + 1,
            None if is_end => after.len(),
            None => return Token::Open,
        },
        false => 0,
    };
    if address == 0 && inner.chars().all(|c| c.is_ascii_digit() || c == '^') {
        return Token::Skip(close + 1);
    }
    let words = inner.replace(['*', '_', '`', '[', '!'], " ");
    let words: String = words.chars().filter(|c| !is_silent(*c)).collect();
    Token::Say(close + 1 + address, words)
}

/// An element is dropped, hidden ones with their content; a lone "<" is not an element.
fn tag(rest: &str, is_end: bool) -> Token {
    match rest[1..].chars().next() {
        None if !is_end => return Token::Open,
        Some(c) if c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?') => {}
        _ => return Token::Say(1, " less than ".to_owned()),
    }
    let Some(close) = rest.find('>') else {
        return match is_end {
            true => Token::Skip(rest.len()),
            false => Token::Open,
        };
    };
    let name: String = rest[1..close]
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect::<String>()
        .to_ascii_lowercase();
    match HIDDEN_TAGS.iter().position(|hidden| *hidden == name) {
        Some(at) => Token::Enter(close + 1, Inside::Hidden(at)),
        None if name == "br" || name == "p" || name == "li" => Token::Break(close + 1),
        None => Token::Skip(close + 1),
    }
}

fn entity(rest: &str, is_end: bool) -> Token {
    const NAMED: [(&str, &str); 8] = [
        ("&amp;", " and "),
        ("&lt;", " less than "),
        ("&gt;", " greater than "),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&nbsp;", " "),
        ("&ndash;", ", "),
    ];
    for (name, words) in NAMED {
        if rest.starts_with(name) {
            return Token::Say(name.len(), words.to_owned());
        }
        if !is_end && name.starts_with(rest) {
            return Token::Open;
        }
    }
    literal(rest)
}

/// The border of a table cell: a comma between cells, nothing at the edges and in ruler rows.
fn cell(rest: &str, last_out: Option<char>, is_end: bool) -> Token {
    let rule = ruler(rest);
    if rule == rest.len() && !is_end {
        return Token::Open;
    }
    let has_more = !rest[rule..].is_empty() && !rest[rule..].starts_with(['\n', '\r']);
    if has_more && last_out.is_some_and(char::is_alphanumeric) {
        Token::Say(rule, ", ".to_owned())
    } else {
        Token::Skip(rule)
    }
}

/// Bytes of table drawing at the front. The minus of "| -5 |" is none.
fn ruler(rest: &str) -> usize {
    let length = |marks: &[char]| rest.len() - rest.trim_start_matches(marks).len();
    let drawn = length(&[' ', '-', ':', '|']);
    let is_line = ["--", ":-", "-:"]
        .iter()
        .any(|part| rest[..drawn].contains(part));
    match is_line || drawn == rest.len() {
        true => drawn,
        false => length(&[' ', '|']),
    }
}

/// Control characters, invisible and direction marks, and pictures.
fn is_silent(c: char) -> bool {
    if c.is_whitespace() {
        return false;
    }
    c.is_control()
        || matches!(u32::from(c),
            0x00AD | 0x061C | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0xFEFF
            // Arrows to dingbats but not currency; pictographs; variation selectors; tags; private use.
            | 0x20E3 | 0x2190..=0x21FF | 0x2300..=0x27BF | 0x2900..=0x297F | 0x2B00..=0x2BFF
            | 0xE000..=0xF8FF | 0xFE00..=0xFE0F | 0x1F000..=0x1FAFF | 0xE0000..=0x10FFFF)
}

#[cfg(test)]
#[path = "tidy_tests.rs"]
mod tests;
