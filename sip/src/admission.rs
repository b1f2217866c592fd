//! PURE.
//! Whether a request that could be read may go on: the checks of RFC 3261 §8.2.1 to §8.2.3 and §8.1.1, and what
//! RFC 4475 §3.1.2 and §3.3 want refused. Does not know methods we serve, users, dialogs or transactions.

use crate::body::{BodyError, session_part};
use crate::error::HeaderError;
use crate::header::HeaderName;
use crate::message::{Request, Response};
use crate::method::Method;
use crate::status::reason_phrase;
use crate::uri::Scheme;

#[cfg(test)]
mod tests;

/// Option tags a request may require of us, RFC 3261 §19.2: reliable provisional responses (RFC 3262), session timers
/// (RFC 4028), calls that replace others (RFC 3891) and transfers without reports (RFC 4488).
pub const SUPPORTED: &[&str] = &["100rel", "timer", "replaces", "norefersub"];

/// Bodies we can read, RFC 3261 §20.1 and RFC 5621 §3.1.
pub const ACCEPT: &str = "application/sdp, multipart/mixed";

/// What to answer instead of going on. Never answer it to an ACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// The registered phrase and what is wrong, for whoever reads a trace. Quotes the peer only in part.
    pub reason: String,
    pub headers: Vec<(HeaderName, String)>,
}

impl Refusal {
    fn new(status: u16, why: impl std::fmt::Display) -> Refusal {
        Refusal {
            status,
            reason: format!("{} ({why})", reason_phrase(status)),
            headers: Vec::new(),
        }
    }

    fn with(mut self, name: HeaderName, value: impl Into<String>) -> Refusal {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Refusal {
        Refusal::new(400, error)
    }
}

/// Refuses what no part of the endpoint could make sense of. Order follows RFC 3261 §8.2.
pub fn check(request: &Request) -> Result<(), Refusal> {
    required_headers(request)?;
    request_uri(request)?;
    header_values(request)?;
    extensions(request)?;
    body(request)
}

/// Whether a response can be matched at all; if not, it is dropped. RFC 3261 §8.1.3 and §18.1.2. One that is to go on to
/// somebody behind us has gone astray (§8.1.3.3, RFC 4475 §3.3.10): we are no proxy.
pub fn check_response(response: &Response) -> Result<(), HeaderError> {
    let headers = &response.headers;
    if headers.vias()?.len() > 1 {
        return Err(HeaderError::Repeated(HeaderName::Via));
    }
    headers.cseq()?;
    headers.call_id()?;
    headers.from()?;
    headers.to().map(|_| ())
}

/// RFC 3261 §8.1.1. Max-Forwards is required too, but peers after RFC 2543 do not know it.
fn required_headers(request: &Request) -> Result<(), Refusal> {
    let headers = &request.headers;
    // RFC 3261 §7.3.1.
    for (name, _) in headers.iter().filter(|(name, _)| name.is_single()) {
        if headers.iter().filter(|(other, _)| *other == name).count() > 1 {
            return Err(HeaderError::Repeated(name.clone()).into());
        }
    }
    headers.vias()?;
    headers.call_id()?;
    headers.from()?;
    headers.to()?;
    let cseq = headers.cseq()?;
    // RFC 3261 §8.1.1.5: the method must match that of the request.
    if cseq.method != request.method {
        return Err(Refusal::new(400, "CSeq names another method"));
    }
    Ok(())
}

/// RFC 3261 §8.2.2.1.
fn request_uri(request: &Request) -> Result<(), Refusal> {
    if let Scheme::Other(scheme) = &request.uri.scheme {
        return Err(Refusal::new(
            416,
            format_args!("{scheme:.40} is not for phones"),
        ));
    }
    // RFC 3261 §19.1.5, Table 1: no headers in a Request-URI. Obeying them would let one request forge another.
    if request.uri.headers.is_some() {
        return Err(Refusal::new(400, "headers in the Request-URI"));
    }
    Ok(())
}

/// Headers that may be absent but must make sense.
fn header_values(request: &Request) -> Result<(), Refusal> {
    let headers = &request.headers;
    headers.max_forwards()?;
    headers.expires()?;
    headers.contacts()?;
    headers.routes()?;
    headers.record_routes()?;
    headers.content_length()?;
    headers.content_type()?;
    if let Some(date) = headers.get(&HeaderName::Date) {
        // RFC 3261 §20.17: the only zone is GMT.
        if !date.ends_with("GMT") {
            return Err(HeaderError::Malformed {
                name: HeaderName::Date,
                why: "the time zone is not GMT",
            }
            .into());
        }
    }
    Ok(())
}

/// RFC 3261 §8.2.2.3. Proxy-Require is for proxies, so it does not count here.
fn extensions(request: &Request) -> Result<(), Refusal> {
    // Neither may be refused for it: an ACK cannot be, a CANCEL must not be.
    if matches!(request.method, Method::Ack | Method::Cancel) {
        return Ok(());
    }
    let required = request.headers.option_tags(&HeaderName::Require)?;
    let is_unknown = |tag: &&str| !SUPPORTED.iter().any(|own| own.eq_ignore_ascii_case(tag));
    let unknown: Vec<&str> = required.into_iter().filter(is_unknown).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let listed = unknown.join(", ");
    Err(
        Refusal::new(420, format_args!("no support for {listed:.80}"))
            .with(HeaderName::Unsupported, listed),
    )
}

/// RFC 3261 §8.2.3, for the methods whose body is a session description.
fn body(request: &Request) -> Result<(), Refusal> {
    let headers = &request.headers;
    if !matches!(
        request.method,
        Method::Invite | Method::Update | Method::Prack | Method::Ack
    ) {
        return Ok(());
    }
    match session_part(headers, &request.body) {
        Ok(_) => {}
        Err(BodyError::TooLarge) => return Err(Refusal::new(413, "session description")),
        Err(BodyError::Unsupported(why)) => {
            return Err(Refusal::new(415, why)
                .with(HeaderName::Accept, ACCEPT)
                .with(HeaderName::AcceptEncoding, "identity"));
        }
    }
    accepted_type(request)
}

/// RFC 3261 §20.1 and §21.4.7: whoever will not take a session description cannot be called.
fn accepted_type(request: &Request) -> Result<(), Refusal> {
    let accepted = request
        .headers
        .values(&HeaderName::Accept, crate::limits::HEADERS_MAX)?;
    let takes_sdp = accepted.iter().any(|range| {
        let end = range.find(';').unwrap_or(range.len());
        let range = range[..end].replace([' ', '\t'], "").to_ascii_lowercase();
        matches!(range.as_str(), "application/sdp" | "application/*" | "*/*")
    });
    // An empty Accept takes nothing, but is what some phones send for anything.
    let says_nothing = accepted.iter().all(|range| range.is_empty());
    if request.method != Method::Invite || takes_sdp || says_nothing {
        return Ok(());
    }
    Err(Refusal::new(406, "application/sdp is not accepted"))
}
