//! PURE.
//! Where the lines of a message end: shared by the reader of messages and by the framer of streams, so that both agree
//! on every octet. RFC 3261 §7, §7.3.1. Does not know what a line says, but for the length of the body.

use crate::header::HeaderName;
use crate::syntax;

/// One line without its end, and where the next one starts. `None` where the line has no end yet.
fn line_at(data: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let rest = data.get(start..)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = &rest[..end];
    // RFC 3261 §25.1 wants CRLF; a bare LF is what hand-made peers send.
    Some((line.strip_suffix(b"\r").unwrap_or(line), start + end + 1))
}

/// A header with its folded lines still apart. Hardly any has more than one.
pub(crate) enum Lines<'a> {
    One(&'a [u8]),
    Folded(Vec<&'a [u8]>),
}

impl<'a> Lines<'a> {
    fn push(&mut self, line: &'a [u8]) {
        match self {
            Lines::One(first) => *self = Lines::Folded(vec![first, line]),
            Lines::Folded(lines) => lines.push(line),
        }
    }

    pub(crate) fn as_slice(&self) -> &[&'a [u8]] {
        match self {
            Lines::One(line) => std::slice::from_ref(line),
            Lines::Folded(lines) => lines,
        }
    }
}

/// Start line and headers of a message.
pub(crate) struct Head<'a> {
    pub(crate) start_line: &'a [u8],
    pub(crate) headers: Vec<Lines<'a>>,
    /// Where the body starts; `None` where no empty line ended the headers.
    pub(crate) body_at: Option<usize>,
}

/// Room made for headers at once.
const HEADERS_EXPECTED: usize = 16;

/// Cuts `data` into lines up to the empty one. Reads at most `headers_max` headers, then says `None`.
pub(crate) fn head(data: &[u8], headers_max: usize) -> Option<Head<'_>> {
    let (start_line, mut at) = line_at(data, 0).unwrap_or((data, data.len()));
    let mut headers: Vec<Lines<'_>> = Vec::with_capacity(HEADERS_EXPECTED);
    let mut body_at = None;
    while at < data.len() {
        let (line, next) = line_at(data, at).unwrap_or((&data[at..], data.len()));
        at = next;
        if line.is_empty() {
            body_at = Some(at);
            break;
        }
        let is_fold = matches!(line[0], b' ' | b'\t');
        let is_full = headers.len() >= headers_max;
        match headers.last_mut().filter(|_| is_fold) {
            // RFC 3261 §7.3.1: a line that starts with white space goes on where the last one stopped.
            Some(header) => header.push(line),
            None if is_full => return None,
            None => headers.push(Lines::One(line)),
        }
    }
    Some(Head {
        start_line,
        headers,
        body_at,
    })
}

/// Where the octets after the empty line start, looking from `from` on for its end. `None`: more must come.
pub(crate) fn body_start(data: &[u8], from: usize) -> Option<usize> {
    // The end may have begun up to two octets earlier.
    let mut at = from.saturating_sub(2);
    while let Some(found) = data.get(at..)?.iter().position(|byte| *byte == b'\n') {
        at += found + 1;
        match data.get(at..) {
            Some([b'\n', ..]) => return Some(at + 1),
            Some([b'\r', b'\n', ..]) => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Name and value of a header, folds joined by one space. Octets that make no UTF-8 become U+FFFD. `None` where there
/// is no colon or no name.
pub(crate) fn field(lines: &[&[u8]]) -> Option<(HeaderName, String)> {
    let first = lines.first()?;
    let colon = first.iter().position(|byte| *byte == b':')?;
    // RFC 3261 §25.1 `HCOLON`: white space may stand before the colon.
    let name = String::from_utf8_lossy(&first[..colon]);
    let name = name.trim_end_matches([' ', '\t']);
    if !syntax::is_token(name) {
        return None;
    }
    let mut value = String::from_utf8_lossy(&first[colon + 1..]).into_owned();
    for line in &lines[1..] {
        let line = String::from_utf8_lossy(line);
        value.truncate(value.trim_end_matches([' ', '\t']).len());
        value.push(' ');
        value.push_str(syntax::trim(&line));
    }
    Some((HeaderName::from(name), value))
}
