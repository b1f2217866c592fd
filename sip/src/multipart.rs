//! PURE.
//! Where the parts of a multipart body lie, RFC 2046 section 5.1. Owns the lines between them; not what a part is, nor what
//! is made of it (`body`, `instant`).

use crate::limits::BODY_PARTS_MAX;

/// What lies between the lines of two dashes and the boundary, without the line break before each, which is the line's.
/// At most [`BODY_PARTS_MAX`] parts.
///
/// # Errors
/// Says what is wrong: too many parts, or no last line.
pub(crate) fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<&'a [u8]>, &'static str> {
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let mut found = Vec::new();
    let (mut open, mut at) = (None, 0);
    while at < body.len() {
        let end = line_end(body, at);
        if let Some(is_last) = delimits(&body[at..end], &delimiter) {
            if let Some(start) = open {
                found.push(without_line_break(&body[start..at]));
            }
            if is_last {
                return Ok(found);
            }
            if found.len() >= BODY_PARTS_MAX {
                return Err("too many parts");
            }
            open = Some(end);
        }
        at = end;
    }
    Err("a multipart without an end")
}

/// Whether a line is the delimiter, and whether the last one. Nothing but white space may follow: a longer boundary that
/// begins like ours is that of another multipart inside.
fn delimits(line: &[u8], delimiter: &[u8]) -> Option<bool> {
    let rest = line.strip_prefix(delimiter)?;
    let (is_last, rest) = match rest.strip_prefix(b"--") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    rest.iter().all(u8::is_ascii_whitespace).then_some(is_last)
}

/// Where the line that starts at `at` ends, its line break included.
pub(crate) fn line_end(text: &[u8], at: usize) -> usize {
    let rest = &text[at..];
    let length = rest.iter().position(|byte| *byte == b'\n');
    at + length.map_or(rest.len(), |length| length + 1)
}

pub(crate) fn without_line_break(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_between_whole_lines() {
        let rows: [(&str, Result<&[&str], &str>); 9] = [
            ("--b\r\none\r\n--b\r\ntwo\r\n--b--\r\n", Ok(&["one", "two"])),
            ("before\r\n--b \t\r\none\r\n--b-- \r\nafter", Ok(&["one"])),
            ("--b\none\n--b--", Ok(&["one"])),
            ("--b\r\n--b--", Ok(&[""])),
            ("--b--", Ok(&[])),
            // Lines that only begin so are content.
            (
                "--b\r\n--bb\r\n--b---\r\n--b--x\r\n--b--",
                Ok(&["--bb\r\n--b---\r\n--b--x"]),
            ),
            ("--b\r\none", Err("a multipart without an end")),
            ("--b\r\none\r\n--b-", Err("a multipart without an end")),
            ("", Err("a multipart without an end")),
        ];
        for (body, expected) in rows {
            let found = parts(body.as_bytes(), "b");
            let expected = expected.map(|all| all.iter().map(|part| part.as_bytes()).collect());
            assert_eq!(found, expected, "{body:?}");
        }
        let many = "--b\r\nx\r\n".repeat(BODY_PARTS_MAX) + "--b--";
        assert_eq!(
            parts(many.as_bytes(), "b").map(|all| all.len()),
            Ok(BODY_PARTS_MAX)
        );
        let more = "--b\r\nx\r\n".repeat(BODY_PARTS_MAX + 1) + "--b--";
        assert_eq!(parts(more.as_bytes(), "b"), Err("too many parts"));
    }
}
