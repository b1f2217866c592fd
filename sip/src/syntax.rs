//! PURE.
//! The basic rules of RFC 3261 §25.1 that every header shares: tokens, quoted strings, lists, escapes. Owns no header;
//! each of those reads itself with these.

/// `token` of RFC 3261 §25.1, one octet.
pub(crate) fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            '-' | '.' | '!' | '%' | '*' | '_' | '+' | '`' | '\'' | '~'
        )
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

/// Optional white space around separators (`SWS`), folds being joined already.
pub(crate) fn trim(text: &str) -> &str {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let bytes = text.as_bytes();
    let Some(start) = bytes.iter().position(|byte| !is_space(byte)) else {
        return "";
    };
    let end = bytes.iter().rposition(|byte| !is_space(byte));
    // Both are at ASCII characters or at the first octet of one, and there is an end where there is a start.
    text.get(start..).map_or("", |rest| {
        let length = end.map_or(0, |end| end + 1 - start);
        rest.get(..length).unwrap_or(rest)
    })
}

/// A quoted string or an angle-bracketed part was not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unbalanced;

/// Splits at `separator`, but not inside quoted strings or angle brackets. Parts are trimmed and may be empty.
pub(crate) fn split(text: &str, separator: char) -> Result<Vec<&str>, Unbalanced> {
    let mut parts = Vec::new();
    let mut start = 0;
    while let Some(at) = find(&text[start..], separator)? {
        parts.push(trim(&text[start..start + at]));
        start += at + separator.len_utf8();
    }
    parts.push(trim(&text[start..]));
    Ok(parts)
}

/// Where `wanted`, an ASCII character, first stands outside quoted strings and angle brackets, as a byte offset.
pub(crate) fn find(text: &str, wanted: char) -> Result<Option<usize>, Unbalanced> {
    let mut quoted = false;
    let mut escaped = false;
    let mut bracketed = false;
    // Octet by octet: no part of a longer character looks like an ASCII one.
    for (at, byte) in text.bytes().enumerate() {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        if !bracketed && char::from(byte) == wanted {
            return Ok(Some(at));
        }
        match byte {
            // Inside angle brackets stands a URI, which has no quoted strings.
            b'"' if !bracketed => quoted = true,
            b'<' => bracketed = true,
            b'>' => bracketed = false,
            _ => {}
        }
    }
    if quoted || bracketed {
        Err(Unbalanced)
    } else {
        Ok(None)
    }
}

/// What a `quoted-string` says, or `None` where `text` is not exactly one. RFC 3261 §25.1.
pub(crate) fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?;
    let mut said = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    loop {
        match rest.next()? {
            '"' => break,
            '\\' => said.push(rest.next()?),
            c => said.push(c),
        }
    }
    rest.as_str().is_empty().then_some(said)
}

/// Writes `text` as a `quoted-string`.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Digits only (no sign, no space), within `max`. RFC 3261 §25.1, `1*DIGIT`.
pub(crate) fn number(text: &str, max: u64) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Leading zeros are legal and may be many.
    let significant = text.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    significant.parse().ok().filter(|value| *value <= max)
}

/// Every `%` is followed by two hexadecimal digits.
pub(crate) fn has_whole_escapes(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes
        .iter()
        .enumerate()
        .all(|(at, byte)| *byte != b'%' || escaped_octet(&bytes[at..]).is_some())
}

/// The octet a leading `%HH` stands for.
pub(crate) fn escaped_octet(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else {
        return None;
    };
    let digit = |byte: u8| (byte as char).to_digit(16).map(|value| value as u8);
    Some(digit(*high)? * 16 + digit(*low)?)
}

/// Undoes `%HH`. Octets that make no UTF-8 become U+FFFD.
pub(crate) fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match escaped_octet(&bytes[at..]) {
            Some(octet) => {
                plain.push(octet);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Writes every octet but those `keep` allows as `%HH`.
pub(crate) fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    use std::fmt::Write;
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && keep(c) {
            escaped.push(c);
        } else {
            let mut utf8 = [0; 4];
            for octet in c.encode_utf8(&mut utf8).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "%{octet:02X}");
            }
        }
    }
    escaped
}
