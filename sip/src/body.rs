//! PURE.
//! Which part of a body is the session description: alone, or as one part of a multipart, with or without a disposition.
//! RFC 3261 §8.2.3 and §20.11, RFC 5621 §3. Does not own what the description says (see `sdp`).

use crate::header::{HeaderName, Headers, Params};
use crate::limits::SDP_BYTES_MAX;
use crate::multipart::{self, line_end, without_line_break};
use crate::syntax;

const SDP: &str = "application/sdp";

/// A body that a request is refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// 415: a type, a coding or a disposition that must be understood and is not.
    Unsupported(&'static str),
    /// 413.
    TooLarge,
}

/// The session description in a body; `None` where there is no body, or none that must be understood.
pub(crate) fn session_part<'a>(
    headers: &Headers,
    body: &'a [u8],
) -> Result<Option<&'a str>, BodyError> {
    if body.is_empty() {
        return Ok(None);
    }
    let head = PartHead {
        kind: headers.get(&HeaderName::ContentType),
        disposition: headers.get(&HeaderName::ContentDisposition),
        encoding: headers.get(&HeaderName::ContentEncoding),
    };
    let Some(kind) = head.kind else {
        // RFC 3261 §20.15 demands a type; a body that starts so is nothing else.
        return match body.starts_with(b"v=0") {
            true => description(body),
            false => Err(BodyError::Unsupported("a body without a type")),
        };
    };
    let media_type = media_type(kind);
    if media_type != "multipart/mixed" && media_type != "multipart/alternative" {
        return part(&head, body);
    }
    if head.has_coding() {
        return Err(BodyError::Unsupported("a content coding"));
    }
    let boundary = parameter(kind, "boundary").filter(|text| !text.is_empty());
    let Some(boundary) = boundary else {
        return Err(BodyError::Unsupported("a multipart without a boundary"));
    };
    // RFC 5621 §3.1: one description. Of alternatives the last we can read is the best.
    let mut found = None;
    for (head, content) in parts(body, &boundary)? {
        if let Some(sdp) = part(&head, content)? {
            if found.is_some() && media_type == "multipart/mixed" {
                return Err(BodyError::Unsupported("two session descriptions"));
            }
            found = Some(sdp);
        }
    }
    match found {
        None if head.must_be_read() => {
            Err(BodyError::Unsupported("a multipart without a description"))
        }
        found => Ok(found),
    }
}

/// The headers of one part that matter.
struct PartHead<'a> {
    kind: Option<&'a str>,
    disposition: Option<&'a str>,
    encoding: Option<&'a str>,
}

impl PartHead<'_> {
    fn has_coding(&self) -> bool {
        let coding = self.encoding.map(syntax::trim);
        coding.is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
    }

    /// RFC 5621 §8.2: a part must be understood unless its disposition says otherwise.
    fn must_be_read(&self) -> bool {
        let handling = self
            .disposition
            .and_then(|text| parameter(text, "handling"));
        !handling.is_some_and(|handling| handling.eq_ignore_ascii_case("optional"))
    }

    /// RFC 3261 §20.11: a session description without a disposition is for the session.
    fn is_for_session(&self) -> bool {
        let Some(text) = self.disposition else {
            return true;
        };
        let end = text.find(';').unwrap_or(text.len());
        syntax::trim(&text[..end]).eq_ignore_ascii_case("session")
    }

    /// A stranger part inside a multipart says so itself if it must be read: gateways and location servers put theirs
    /// beside a description without a word, and mean no harm.
    fn insists(&self) -> bool {
        let handling = self
            .disposition
            .and_then(|text| parameter(text, "handling"));
        handling.is_some_and(|handling| handling.eq_ignore_ascii_case("required"))
    }
}

/// The description in a part that stands alone or in a multipart.
fn part<'a>(head: &PartHead<'_>, content: &'a [u8]) -> Result<Option<&'a str>, BodyError> {
    let is_sdp = head.kind.is_some_and(|kind| media_type(kind) == SDP);
    if is_sdp && head.is_for_session() && !head.has_coding() {
        return description(content);
    }
    if !head.must_be_read() {
        return Ok(None);
    }
    match is_sdp {
        true if head.has_coding() => Err(BodyError::Unsupported("a content coding")),
        true => Err(BodyError::Unsupported("a disposition other than session")),
        false => Err(BodyError::Unsupported("not a session description")),
    }
}

fn description(content: &[u8]) -> Result<Option<&str>, BodyError> {
    if content.len() > SDP_BYTES_MAX {
        return Err(BodyError::TooLarge);
    }
    match std::str::from_utf8(content) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(BodyError::Unsupported("a description that is no text")),
    }
}

/// Parts we have no use for and that do not insist are left out here.
#[allow(clippy::type_complexity, reason = "a list of parts")]
fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<(PartHead<'a>, &'a [u8])>, BodyError> {
    let found = multipart::parts(body, boundary).map_err(BodyError::Unsupported)?;
    let parts = found.into_iter().map(split_part).filter(|(head, _)| {
        let is_sdp = head.kind.is_some_and(|kind| media_type(kind) == SDP);
        is_sdp || head.insists()
    });
    Ok(parts.collect())
}

/// Headers, an empty line, content. A part without an empty line has headers only.
fn split_part(text: &[u8]) -> (PartHead<'_>, &[u8]) {
    let mut head = PartHead {
        kind: None,
        disposition: None,
        encoding: None,
    };
    let mut at = 0;
    while at < text.len() {
        let end = line_end(text, at);
        let line = without_line_break(&text[at..end]);
        at = end;
        if line.is_empty() {
            return (head, &text[at..]);
        }
        let Some((name, value)) = std::str::from_utf8(line)
            .ok()
            .and_then(|line| line.split_once(':'))
        else {
            continue;
        };
        let value = Some(syntax::trim(value));
        match HeaderName::from(syntax::trim(name)) {
            HeaderName::ContentType => head.kind = value,
            HeaderName::ContentDisposition => head.disposition = value,
            HeaderName::ContentEncoding => head.encoding = value,
            _ => {}
        }
    }
    (head, &[])
}

/// In lower case, without parameters and without white space.
fn media_type(value: &str) -> String {
    let end = value.find(';').unwrap_or(value.len());
    value[..end].replace([' ', '\t'], "").to_ascii_lowercase()
}

fn parameter(value: &str, name: &str) -> Option<String> {
    let start = value.find(';')?;
    Params::parse_header(&value[start + 1..]).ok()?.value(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V: &str = "v=0\r\n";

    type Heads<'a> = &'a [(HeaderName, &'a str)];
    type Read = Result<Option<String>, bool>;

    fn read(heads: &[(HeaderName, &str)], body: &str) -> Result<Option<String>, BodyError> {
        let mut headers = Headers::new();
        for (name, value) in heads {
            headers.push(name.clone(), *value);
        }
        session_part(&headers, body.as_bytes()).map(|sdp| sdp.map(str::to_owned))
    }

    #[test]
    fn bodies_by_type_and_disposition() {
        let kind = HeaderName::ContentType;
        let disposition = HeaderName::ContentDisposition;
        let some = Ok(Some(V.to_owned()));
        let rows: [(Heads<'_>, &str, Read); 10] = [
            (&[], "", Ok(None)),
            (&[], V, some.clone()),
            (&[], "hello", Err(false)),
            (&[(kind.clone(), "Application / SDP;x=y")], V, some.clone()),
            (&[(kind.clone(), "text/plain")], "hello", Err(false)),
            (
                &[
                    (kind.clone(), "text/plain"),
                    (disposition.clone(), "render;handling=optional"),
                ],
                "hello",
                Ok(None),
            ),
            (
                &[(kind.clone(), SDP), (disposition.clone(), "session")],
                V,
                some.clone(),
            ),
            (
                &[(kind.clone(), SDP), (disposition.clone(), "early-session")],
                V,
                Err(false),
            ),
            (
                &[
                    (kind.clone(), SDP),
                    (disposition, "early-session;handling=optional"),
                ],
                V,
                Ok(None),
            ),
            (
                &[(kind, SDP), (HeaderName::ContentEncoding, "gzip")],
                V,
                Err(false),
            ),
        ];
        for (heads, body, expected) in rows {
            let got = read(heads, body).map_err(|error| error == BodyError::TooLarge);
            assert_eq!(got, expected, "{heads:?}");
        }
    }

    #[test]
    fn parts_of_a_multipart() {
        let mixed = "multipart/mixed;boundary=\"a b\"";
        let sdp = "Content-Type: application/sdp\r\n\r\nv=0\r\n";
        let isup = "Content-Type: application/isup;version=itu\r\n\r\n\x01\x02";
        let required = "Content-Type: application/isup\r\nContent-Disposition: signal;handling=required\r\n\r\nx";
        let joined = |parts: &[&str]| {
            let mut body = "preamble\r\n".to_owned();
            for part in parts {
                body.push_str(&format!("--a b\r\n{part}\r\n"));
            }
            body + "--a b--\r\n"
        };
        let some = Ok(Some(V.to_owned()));
        let rows = [
            (mixed, joined(&[sdp]), some.clone()),
            (mixed, joined(&[isup, sdp]), some.clone()),
            (mixed, joined(&[sdp, sdp]), Err(false)),
            // A line that only begins like the delimiter is content.
            (mixed, joined(&["X: y\r\n\r\n--a b--c", sdp]), some.clone()),
            (mixed, joined(&[sdp, required]), Err(false)),
            (mixed, joined(&[isup]), Err(false)),
            (
                "multipart/alternative;boundary=\"a b\"",
                joined(&[sdp, sdp]),
                some,
            ),
            (mixed, "--a b\r\nno end".to_owned(), Err(false)),
            ("multipart/mixed", joined(&[sdp]), Err(false)),
            ("multipart/related;boundary=x", joined(&[sdp]), Err(false)),
            (mixed, joined(&[isup; 20]), Err(false)),
        ];
        for (kind, body, expected) in rows {
            let got = read(&[(HeaderName::ContentType, kind)], &body);
            let got = got.map_err(|error| error == BodyError::TooLarge);
            assert_eq!(got, expected, "{kind} {body}");
        }
    }

    #[test]
    fn a_description_has_a_bound() {
        let body = "v=0\r\n".repeat(SDP_BYTES_MAX);
        let got = read(&[(HeaderName::ContentType, SDP)], &body);
        assert_eq!(got, Err(BodyError::TooLarge));
    }
}
