//! Cuts a reply that is still being written into clauses to speak. Owns where a cut may be; not what a clause says aloud
//! (`text`). The first clause is short, so that speech starts early; later ones are sentences.
//! PURE.
//!
//! The clauses in a row are the text again, but for white space and for the inside of code blocks longer than
//! [`FENCE_CHARS_MAX`], which nobody would hear anyway.

/// Where to cut. Lengths are in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitterConfig {
    /// The first clause may end at a comma after this many.
    pub first_chars_min: usize,
    /// The first clause may end before a conjunction after this many words.
    pub first_words_min: usize,
    /// The first clause may end before a preposition that opens a phrase after this many words.
    pub first_phrase_words_min: usize,
    /// The first clause is cut between two words after this many.
    pub first_chars_max: usize,
    /// Later clauses end at the end of a sentence after this many; shorter sentences are joined.
    pub chars_min: usize,
    /// Longest clause; a longer sentence is cut at its last comma, or else between two words.
    pub chars_max: usize,
}

impl Default for SplitterConfig {
    fn default() -> SplitterConfig {
        SplitterConfig {
            first_chars_min: 4,
            first_words_min: 5,
            first_phrase_words_min: 6,
            first_chars_max: 90,
            chars_min: 30,
            chars_max: 220,
        }
    }
}

/// Most of a code block that is kept.
pub const FENCE_CHARS_MAX: usize = 4_096;
/// How far a backtick or bracket may be from its partner and still hold a cut back.
const SPAN_BYTES_MAX: usize = 200;
/// A run without white space is cut after this many times the longest clause.
const UNBROKEN_FACTOR: usize = 4;

/// Never end a sentence.
const ABBREVIATIONS: &[&str] = &[
    "dr", "mr", "mrs", "ms", "prof", "st", "mt", "e.g", "i.e", "eg", "ie", "vs", "cf", "fig",
    "approx", "gen", "sen", "rep", "rev", "hon", "lt", "col", "capt", "sgt", "sr", "est", "tel",
    "ext", "ave", "blvd", "vol", "pp", "viz", "al",
];
/// End a sentence only when a capital follows.
const MAYBE_FINAL: &[&str] = &[
    "etc", "a.m", "p.m", "am", "pm", "inc", "ltd", "co", "corp", "jr", "u.s", "u.k", "u.s.a",
    "ph.d", "dept", "min", "max", "hr", "sec", "jan", "feb", "mar", "apr", "jun", "jul", "aug",
    "sep", "sept", "oct", "nov", "dec", "mon", "tue", "wed", "thu", "fri", "sat", "sun",
];
/// Abbreviations only before a number.
const BEFORE_NUMBER: &[&str] = &["no", "nos", "p", "art", "sect", "ch"];
/// Words before which a long first clause may end.
const CONJUNCTIONS: &[&str] = &[
    "and", "but", "or", "so", "because", "which", "while", "when", "if", "then", "although",
    "unless", "until", "where", "since", "before", "after", "whereas", "though",
];

/// Words that open a phrase of their own. Those that often belong to the verb before them ("turn on", "log in", "go to")
/// are left out.
const PHRASE_OPENERS: &[&str] = &[
    "from", "with", "for", "at", "about", "during", "between", "without", "near", "into", "among",
    "against", "within",
];
/// Words that nobody pauses after.
const LEANING: &[&str] = &[
    "a", "an", "the", "this", "these", "those", "my", "your", "his", "her", "its", "our", "their",
    "to", "of", "in", "on", "at", "by", "for", "from", "with", "about", "as", "and", "or", "but",
    "so", "than", "that", "not", "no", "is", "are", "was", "were", "am", "be", "been", "being",
    "has", "have", "had", "do", "does", "did", "can", "could", "will", "would", "shall", "should",
    "may", "might", "must", "i", "you", "he", "she", "it", "we", "they", "very", "too", "just",
    "look", "looking", "ask", "wait", "waiting", "search", "even", "only", "what", "who", "how",
    "or", "it's", "that's", "there's", "i'm", "you're", "we're", "they're", "i've", "more", "less",
    "such", "if", "when",
];

/// Takes text as it comes, gives clauses as soon as they are sure.
#[derive(Debug, Clone, Default)]
pub struct Splitter {
    config: SplitterConfig,
    buffer: String,
    has_given: bool,
}

impl Splitter {
    /// A splitter at the beginning of a reply.
    pub fn new(config: SplitterConfig) -> Splitter {
        Splitter {
            config,
            ..Splitter::default()
        }
    }

    /// Takes more of the reply, gives the clauses that are complete with it.
    pub fn push(&mut self, delta: &str) -> Vec<String> {
        self.buffer.push_str(delta);
        let mut clauses = Vec::new();
        let mut from = 0;
        while let Some(length) = self.cut(&self.buffer[from..], false) {
            self.give(from, length, &mut clauses);
            from += length;
        }
        self.buffer.drain(..from);
        self.shorten_fence();
        clauses
    }

    /// The end of the reply: what is left, if anything. The splitter is then at the beginning again.
    ///
    /// What is left is at most one clause: [`push`](Splitter::push) has given all the others.
    pub fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.buffer);
        self.has_given = false;
        let rest = rest.trim();
        (!rest.is_empty()).then(|| rest.to_owned())
    }

    fn give(&mut self, from: usize, length: usize, clauses: &mut Vec<String>) {
        let clause = self.buffer[from..from + length].trim();
        if !clause.is_empty() {
            clauses.push(clause.to_owned());
            self.has_given = true;
        }
    }

    /// Drops the inside of a code block that grows past what is kept of it.
    fn shorten_fence(&mut self) {
        if self.buffer.len() <= FENCE_CHARS_MAX || !self.buffer.trim_start().starts_with("```") {
            return;
        }
        // A closing fence may be half there: the last few bytes stay.
        let keep_from = floor(&self.buffer, self.buffer.len() - 8);
        let keep_to = floor(&self.buffer, FENCE_CHARS_MAX / 2);
        self.buffer.replace_range(keep_to..keep_from, "");
    }

    /// Bytes of `text` up to the first place where a clause ends for sure.
    fn cut(&self, text: &str, at_end: bool) -> Option<usize> {
        let mut scan = Scan::default();
        let start = text.len() - text.trim_start().len();
        let mut at = start;
        while let Some(c) = text[at..].chars().next() {
            let next = at + c.len_utf8();
            if text[at..].starts_with("```") && is_line_start(text, at) {
                if at > start {
                    return Some(at);
                }
                return fence_end(text, at);
            }
            let span = match c {
                '`' => inline_code(&text[at..]),
                '[' => link(&text[at..]),
                _ => Span::Not,
            };
            match span {
                Span::Bytes(length) => {
                    scan.chars += text[at..at + length].chars().count();
                    scan.in_word = true;
                    at += length;
                    continue;
                }
                Span::Open if !at_end => return scan.forced(text, self.limit(), &self.config),
                Span::Open | Span::Not => {}
            }
            if c.is_whitespace() {
                match self.white_space(text, at, &mut scan) {
                    Verdict::Cut(length) => return Some(length),
                    Verdict::Wait => return None,
                    Verdict::Go => {}
                }
            } else {
                if !scan.in_word {
                    scan.in_word = true;
                    scan.words += 1;
                }
                if matches!(c, '。' | '！' | '？') && scan.chars + 1 >= self.sentence_min() {
                    return Some(next);
                }
                if matches!(c, '、' | '，' | '；') {
                    scan.weak = Some(next);
                }
            }
            scan.chars += 1;
            at = next;
            if scan.chars > self.limit()
                && let Some(length) = scan.forced(text, self.limit(), &self.config)
            {
                return Some(length);
            }
        }
        None
    }

    fn limit(&self) -> usize {
        if self.has_given {
            self.config.chars_max
        } else {
            self.config.first_chars_max.min(self.config.chars_max)
        }
    }

    fn sentence_min(&self) -> usize {
        if self.has_given {
            self.config.chars_min
        } else {
            2
        }
    }

    /// What the white space at `at` means, given what is before and, as far as it has come, after it.
    fn white_space(&self, text: &str, at: usize, scan: &mut Scan) -> Verdict {
        if !scan.in_word {
            return Verdict::Go;
        }
        scan.in_word = false;
        let before = &text[..at];
        let after = text[at..].trim_start();
        let gap = &text[at..text.len() - after.len()];
        let end = at + gap.len();
        let next = after.chars().next();

        if gap.contains('\n') {
            // A paragraph or a list item ends; a line that goes on in lower case does not.
            match next {
                None => return Verdict::Wait,
                Some(c) if gap.matches('\n').count() > 1 || !c.is_lowercase() => {
                    return Verdict::Cut(end);
                }
                Some(_) => {}
            }
        }
        let core = before.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»', '*', '_']);
        let is_long = scan.chars >= self.sentence_min();
        match core.chars().next_back() {
            Some('!' | '?' | '…') if is_long => return Verdict::Cut(end),
            Some('.') if is_long => match full_stop(core, next) {
                Some(true) => return Verdict::Cut(end),
                Some(false) => {}
                None => return Verdict::Wait,
            },
            Some(',' | ';' | ':' | '–' | '—') => {
                let after_digit = core
                    .chars()
                    .rev()
                    .nth(1)
                    .is_some_and(|c| c.is_ascii_digit());
                let is_date = match next {
                    None if after_digit && !self.has_given => return Verdict::Wait,
                    // "November 21, 2026" and "4, 5 and 6" stay together.
                    Some(c) => after_digit && c.is_ascii_digit(),
                    None => false,
                };
                if !is_date {
                    if !self.has_given && scan.chars >= self.config.first_chars_min {
                        return Verdict::Cut(end);
                    }
                    scan.weak = Some(end);
                }
            }
            _ => {}
        }
        let between_digits = before.ends_with(|c: char| c.is_ascii_digit())
            && next.is_some_and(|c| c.is_ascii_digit());
        if !between_digits {
            scan.space = Some(end);
        }
        if !self.has_given && !between_digits && self.opens_phrase(core, after, scan.words) {
            return Verdict::Cut(end);
        }
        Verdict::Go
    }

    /// Whether the first clause, `words` long so far, may end between `before` and `after`, with no sign between them.
    fn opens_phrase(&self, before: &str, after: &str, words: usize) -> bool {
        if words
            < self
                .config
                .first_words_min
                .min(self.config.first_phrase_words_min)
        {
            return false;
        }
        let next = after.split(char::is_whitespace).next().unwrap_or("");
        // Until white space follows, "so" may still become "some".
        if next.len() == after.len() {
            return false;
        }
        let next = next.to_lowercase();
        let last = before.rsplit(char::is_whitespace).next().unwrap_or("");
        // "5 or 6 days" stays together.
        if !last.ends_with(char::is_alphabetic) || LEANING.contains(&last.to_lowercase().as_str()) {
            return false;
        }
        let opens = |list: &[&str], words_min| words >= words_min && list.contains(&next.as_str());
        opens(CONJUNCTIONS, self.config.first_words_min)
            || opens(PHRASE_OPENERS, self.config.first_phrase_words_min)
    }
}

enum Verdict {
    Cut(usize),
    Wait,
    Go,
}

/// What has been seen of a clause so far.
#[derive(Debug, Default)]
struct Scan {
    chars: usize,
    words: usize,
    in_word: bool,
    /// After the last comma or the like.
    weak: Option<usize>,
    /// After the last white space.
    space: Option<usize>,
}

impl Scan {
    /// The best cut in a clause that has become too long.
    fn forced(&self, text: &str, limit: usize, config: &SplitterConfig) -> Option<usize> {
        if self.chars <= limit {
            return None;
        }
        let best = self
            .weak
            .filter(|at| *at > limit / 3)
            .or(self.space)
            .or(self.weak);
        if best.is_some() {
            return best;
        }
        let unbroken = config.chars_max.max(1).saturating_mul(UNBROKEN_FACTOR);
        (self.chars >= unbroken).then(|| {
            text.char_indices()
                .nth(unbroken)
                .map_or(text.len(), |(at, _)| at)
        })
    }
}

enum Span {
    /// A whole span of this many bytes, not to be cut.
    Bytes(usize),
    /// The beginning of one, perhaps.
    Open,
    Not,
}

fn inline_code(text: &str) -> Span {
    span(text, '`', |rest| rest.find('`').map(|at| at + 1))
}

/// `[text](address)`.
fn link(text: &str) -> Span {
    span(text, '[', |rest| {
        let close = rest.find(']')? + 1;
        match rest[close..].strip_prefix('(') {
            Some(address) => address.find(')').map(|at| close + at + 2),
            // Brackets alone: the whole is as long as the opening one.
            None if rest.len() > close => Some(0),
            None => None,
        }
    })
}

/// A span that opens with `open`, whose length after it `length` finds; both within one line and not too far.
fn span(text: &str, open: char, length: impl Fn(&str) -> Option<usize>) -> Span {
    let rest = &text[open.len_utf8()..];
    let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
    let is_open_ended = line.len() == rest.len() && line.len() < SPAN_BYTES_MAX;
    match length(&line[..floor(line, SPAN_BYTES_MAX)]) {
        Some(0) => Span::Not,
        Some(found) => Span::Bytes(open.len_utf8() + found),
        None if is_open_ended => Span::Open,
        None => Span::Not,
    }
}

/// Nearest character border at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn is_line_start(text: &str, at: usize) -> bool {
    text[..at]
        .chars()
        .rev()
        .take_while(|c| *c != '\n')
        .all(char::is_whitespace)
}

/// Bytes up to the end of the code block that opens at `at`, when its last line is there.
fn fence_end(text: &str, at: usize) -> Option<usize> {
    let inside = at + 3;
    let close = inside + text[inside..].find("\n```")? + 4;
    let line_end = text[close..].find('\n')?;
    Some(close + line_end + 1)
}

/// Whether the full stop at the end of `before` ends a sentence; None while that depends on what follows.
fn full_stop(before: &str, next: Option<char>) -> Option<bool> {
    let word = before
        .rsplit(char::is_whitespace)
        .next()
        .unwrap_or("")
        .trim_start_matches(['(', '[', '"', '\'', '“', '‘', '*', '_'])
        .trim_end_matches('.');
    let lower = word.to_lowercase();
    let listed = |list: &[&str]| list.contains(&lower.as_str());
    if listed(ABBREVIATIONS) {
        return Some(false);
    }
    // An initial: "J. Smith". The word "I" ends sentences.
    let mut letters = word.chars();
    if let (Some(c), None) = (letters.next(), letters.next())
        && c.is_uppercase()
        && c != 'I'
    {
        return Some(false);
    }
    if listed(BEFORE_NUMBER) {
        return next.map(|c| !c.is_ascii_digit());
    }
    if listed(MAYBE_FINAL) {
        return next.map(|c| !c.is_lowercase() && !c.is_ascii_digit());
    }
    // "1. First thing": a list marker belongs to what follows.
    let is_marker = !word.is_empty()
        && word.len() <= 2
        && word.bytes().all(|b| b.is_ascii_digit())
        && is_line_start(before, before.len() - word.len() - 1);
    Some(!is_marker)
}

/// Bodies for fuzzing: properties that hold for any input.
#[doc(hidden)]
pub mod fuzz {
    use super::{FENCE_CHARS_MAX, Splitter};

    /// The clauses in a row are the text but for white space, whatever pieces of `size` characters it comes in, and no
    /// clause is empty.
    pub fn split_any(data: &[u8], size: usize) {
        let text = String::from_utf8_lossy(data);
        let mut splitter = Splitter::default();
        let mut clauses = Vec::new();
        let letters: Vec<char> = text.chars().collect();
        for piece in letters.chunks(size.max(1)) {
            clauses.extend(splitter.push(&piece.iter().collect::<String>()));
        }
        clauses.extend(splitter.finish());
        assert!(clauses.iter().all(|clause| !clause.trim().is_empty()));
        let solid = |text: &str| text.split_whitespace().collect::<String>();
        if text.len() <= FENCE_CHARS_MAX {
            assert_eq!(solid(&clauses.concat()), solid(&text));
        }
    }
}

#[cfg(test)]
#[path = "clause_tests.rs"]
mod tests;
