//! PURE.
//! What is in the body of a MESSAGE, RFC 3428: plain text, wrapped in CPIM (RFC 3862) or not, one part of a multipart, the
//! notice that somebody is writing (RFC 3994), the notice that a text has come (RFC 5438), a file that lies elsewhere.
//! Does not own requests (see `endpoint`) or what becomes of a text.

use crate::header::{HeaderName, Params};
use crate::multipart::{self, line_end, without_line_break};
use crate::syntax;

mod cpim;
mod notices;

#[cfg(test)]
mod tests;

pub use cpim::{Envelope, wrap};
pub use notices::{Disposition, Receipt, composing, disposition};

/// Types that a text to the assistant may have, RFC 3261 §20.1.
pub const ACCEPT: &str =
    "text/plain, message/cpim, multipart/mixed, application/im-iscomposing+xml, message/imdn+xml";
/// RFC 3994 §2.
pub const COMPOSING: &str = "application/im-iscomposing+xml";
/// RFC 5438 §8.
pub const DISPOSITION: &str = "message/imdn+xml";
/// RFC 3862 §5.
pub const CPIM: &str = "message/cpim";
/// UTF-8, said aloud: some phones take silence for Latin-1.
pub const PLAIN: &str = "text/plain;charset=UTF-8";
/// A file that was put on a server somewhere, as Linphone and phones with rich messages tell of it (GSMA RCC.07).
const FILE_ELSEWHERE: &str = "application/vnd.gsma.rcs-ft-http+xml";
/// Multiparts in multiparts are looked into so deep.
const DEPTH_MAX: usize = 3;

/// A body that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instant {
    pub content: Content,
    /// `imdn.Message-ID` of the envelope.
    pub message_id: Option<String>,
    pub wants: Wants,
    pub envelope: Option<Envelope>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Text(String),
    /// Whether somebody is writing now.
    Composing(bool),
    /// A text of ours has come, was read, or could not be. `None`: what is said is not one of these two.
    Notification(Option<Receipt>),
    /// A file on somebody's server.
    File,
    /// Nothing at all.
    Empty,
}

/// What the sender wants to be told, RFC 5438 §6.2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    pub delivered: bool,
    pub displayed: bool,
}

/// 415: the type, or the coding, that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstantError {
    #[error("a body without a type")]
    NoType,
    #[error("no use for {0}")]
    Type(String),
    #[error("no use for the character set {0}")]
    Charset(String),
    #[error("{0}")]
    Form(&'static str),
}

/// Reads a body. `content_type` as the header has it.
///
/// # Errors
/// A type, a character set or a form that is not understood: a 415 for the sender (RFC 3428 §7).
pub fn read(content_type: Option<&str>, body: &[u8]) -> Result<Instant, InstantError> {
    read_at(content_type, body, 0)
}

fn read_at(content_type: Option<&str>, body: &[u8], depth: usize) -> Result<Instant, InstantError> {
    let plain = |content| Instant {
        content,
        message_id: None,
        wants: Wants::default(),
        envelope: None,
    };
    let kind = match content_type
        .map(syntax::trim)
        .filter(|kind| !kind.is_empty())
    {
        Some(kind) => kind,
        None if body.is_empty() => return Ok(plain(Content::Empty)),
        None => return Err(InstantError::NoType),
    };
    if depth > DEPTH_MAX {
        return Err(InstantError::Form("parts within parts within parts"));
    }
    match media_type(kind).as_str() {
        "text/plain" => {
            let text = text_of(kind, body)?;
            let is_empty = text.trim().is_empty();
            Ok(plain(match is_empty {
                true => Content::Empty,
                false => Content::Text(text),
            }))
        }
        COMPOSING => Ok(plain(Content::Composing(notices::is_active(body)))),
        DISPOSITION => Ok(plain(Content::Notification(notices::receipt(body)))),
        FILE_ELSEWHERE => Ok(plain(Content::File)),
        CPIM => {
            let (envelope, kind, content) = cpim::read(body)?;
            let inner = read_at(Some(kind), content, depth + 1)?;
            Ok(Instant {
                content: inner.content,
                message_id: envelope.message_id.clone(),
                wants: envelope.wants,
                envelope: Some(envelope),
            })
        }
        "multipart/mixed" | "multipart/alternative" => of_parts(kind, body, depth),
        other => Err(InstantError::Type(other.chars().take(64).collect())),
    }
}

/// Texts of a multipart, one after the other; a part of any other type is passed over where there is a text.
fn of_parts(kind: &str, body: &[u8], depth: usize) -> Result<Instant, InstantError> {
    let boundary = parameter(kind, "boundary").filter(|boundary| !boundary.is_empty());
    let boundary = boundary.ok_or(InstantError::Form("a multipart without a boundary"))?;
    let is_alternative = media_type(kind) == "multipart/alternative";
    let mut texts: Vec<String> = Vec::new();
    let mut other = Err(InstantError::Form("a multipart without a text"));
    for part in multipart::parts(body, &boundary).map_err(InstantError::Form)? {
        let (head, content) = split_head(part);
        let kind = head_value(head, &HeaderName::ContentType).unwrap_or("text/plain");
        match read_at(Some(kind), content, depth + 1) {
            Ok(Instant {
                content: Content::Text(text),
                ..
            }) => {
                // Of alternatives the last we can read is the best, RFC 2046 §5.1.4.
                if is_alternative {
                    texts.clear();
                }
                texts.push(text);
            }
            read => other = other.or(read),
        }
    }
    match texts.is_empty() {
        true => other,
        false => Ok(Instant {
            content: Content::Text(texts.join("\n")),
            message_id: None,
            wants: Wants::default(),
            envelope: None,
        }),
    }
}

/// RFC 3428 §8 has UTF-8 for everything; phones that are older than that send Latin-1 and do not say so.
fn text_of(kind: &str, body: &[u8]) -> Result<String, InstantError> {
    let latin = || {
        body.iter()
            .map(|byte| char::from(*byte))
            .collect::<String>()
    };
    let charset = parameter(kind, "charset")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let text = match charset.as_str() {
        "" => match std::str::from_utf8(body) {
            Ok(text) => text.to_owned(),
            Err(_) => latin(),
        },
        "utf-8" | "utf8" | "us-ascii" | "ascii" => String::from_utf8_lossy(body).into_owned(),
        "iso-8859-1" | "iso8859-1" | "latin1" | "windows-1252" => latin(),
        other => return Err(InstantError::Charset(other.chars().take(32).collect())),
    };
    // A text is no place for what moves a terminal's cursor.
    let is_kept = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    Ok(text.replace("\r\n", "\n").chars().filter(is_kept).collect())
}

/// In lower case, without parameters and white space.
pub fn media_type(value: &str) -> String {
    let end = value.find(';').unwrap_or(value.len());
    value[..end].replace([' ', '\t'], "").to_ascii_lowercase()
}

fn parameter(value: &str, name: &str) -> Option<String> {
    let start = value.find(';')?;
    Params::parse_header(&value[start + 1..]).ok()?.value(name)
}

/// Headers and content; without an empty line there is no content.
fn split_head(text: &[u8]) -> (&str, &[u8]) {
    let mut at = 0;
    while at < text.len() {
        let end = line_end(text, at);
        if without_line_break(&text[at..end]).is_empty() {
            let head = std::str::from_utf8(&text[..at]).unwrap_or_default();
            return (head, &text[end..]);
        }
        at = end;
    }
    (std::str::from_utf8(text).unwrap_or_default(), &[])
}

fn head_value<'a>(head: &'a str, name: &HeaderName) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(field, _)| HeaderName::from(syntax::trim(field)) == *name);
    found.map(|(_, value)| syntax::trim(value))
}
