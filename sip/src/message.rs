//! PURE.
//! Requests and responses: from octets, to octets, and a response to a request. RFC 3261 §7, §8.2.6, §18.3.
//! Reads what can be read and keeps header values raw; whether a request makes sense is decided by `admission`.

use std::fmt;

use crate::body;
use crate::error::ParseError;
use crate::header::{HeaderName, Headers};
use crate::limits::{HEADERS_MAX, LINE_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::lines::{self, Head};
use crate::method::Method;
use crate::status::reason_phrase;
use crate::syntax;
use crate::uri::Uri;

#[cfg(test)]
mod tests;

#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub uri: Uri,
    pub headers: Headers,
    pub body: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// 100 to 699.
    pub status: u16,
    pub reason: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    Response(Response),
}

impl Request {
    pub fn new(method: Method, uri: Uri) -> Request {
        Request {
            method,
            uri,
            headers: Headers::new(),
            body: Vec::new(),
        }
    }

    /// Sets the body and its Content-Type.
    pub fn set_body(&mut self, content_type: &str, body: impl Into<Vec<u8>>) {
        self.headers.set(HeaderName::ContentType, content_type);
        self.body = body.into();
    }

    /// The session description, where the body is one. RFC 3261 §13.2.1.
    pub fn sdp(&self) -> Option<&str> {
        sdp_of(&self.headers, &self.body)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        write(
            &format!("{} {} SIP/2.0", self.method, self.uri),
            &self.headers,
            &self.body,
        )
    }
}

impl Response {
    /// A response without headers, with the registered reason phrase.
    pub fn new(status: u16) -> Response {
        Response {
            status,
            reason: reason_phrase(status).to_owned(),
            headers: Headers::new(),
            body: Vec::new(),
        }
    }

    /// RFC 3261 §8.2.6.2: Via, From, To, Call-ID and CSeq as they came. The To tag is the dialog's business, so none is
    /// added here.
    pub fn to_request(request: &Request, status: u16) -> Response {
        Response::to_headers(&request.headers, status)
    }

    fn to_headers(headers: &Headers, status: u16) -> Response {
        const COPIED: [HeaderName; 5] = [
            HeaderName::Via,
            HeaderName::From,
            HeaderName::To,
            HeaderName::CallId,
            HeaderName::CSeq,
        ];
        let mut response = Response::new(status);
        for name in COPIED {
            // A header that must not be repeated is not, even where the request did.
            let lines = if name.is_single() { 1 } else { usize::MAX };
            for value in headers.get_all(&name).take(lines) {
                response.headers.push(name.clone(), value);
            }
        }
        // RFC 3261 §8.2.6.1: a 100 carries the request's Timestamp.
        if status == 100
            && let Some(stamp) = headers.get(&HeaderName::Timestamp)
        {
            response.headers.push(HeaderName::Timestamp, stamp);
        }
        response
    }

    /// Sets the body and its Content-Type.
    pub fn set_body(&mut self, content_type: &str, body: impl Into<Vec<u8>>) {
        self.headers.set(HeaderName::ContentType, content_type);
        self.body = body.into();
    }

    /// The session description, where the body is one.
    pub fn sdp(&self) -> Option<&str> {
        sdp_of(&self.headers, &self.body)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        // A line break in the phrase would be a header of somebody else's choice.
        let reason = self.reason.replace(char::is_control, " ");
        write(
            &format!("SIP/2.0 {} {reason}", self.status),
            &self.headers,
            &self.body,
        )
    }
}

fn sdp_of<'a>(headers: &Headers, body: &'a [u8]) -> Option<&'a str> {
    body::session_part(headers, body).ok().flatten()
}

fn write(start_line: &str, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(512 + body.len());
    text.push_str(start_line);
    text.push_str("\r\n");
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| **name != HeaderName::ContentLength)
    {
        text.push_str(name.as_str());
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    // RFC 3261 §20.14: always stated, and always true.
    text.push_str(&format!(
        "{}: {}\r\n\r\n",
        HeaderName::ContentLength,
        body.len()
    ));
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Where a message ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Datagram,
    /// The framer has counted already.
    Stream,
}

enum StartLine {
    Request { method: Method, uri: Uri },
    Response { status: u16, reason: String },
}

/// Why a message is not taken, and with which status a request is refused for it.
struct Flaw {
    status: u16,
    why: String,
}

impl Flaw {
    fn new(status: u16, why: impl Into<String>) -> Flaw {
        Flaw {
            status,
            why: why.into(),
        }
    }
}

impl Message {
    /// Reads one UDP datagram.
    ///
    /// RFC 3261 §18.3: the body ends where Content-Length says; octets after that are ignored, too few are an error;
    /// without the header it runs to the end of the datagram.
    pub fn parse_datagram(data: &[u8]) -> Result<Message, ParseError> {
        parse(data, Ending::Datagram)
    }

    /// Reads one message as `StreamFramer` cut it out.
    pub fn parse_stream_message(data: &[u8]) -> Result<Message, ParseError> {
        parse(data, Ending::Stream)
    }

    /// Content-Length is set from the body, whatever the headers say.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Message::Request(request) => request.to_bytes(),
            Message::Response(response) => response.to_bytes(),
        }
    }

    pub fn headers(&self) -> &Headers {
        match self {
            Message::Request(request) => &request.headers,
            Message::Response(response) => &response.headers,
        }
    }
}

fn dropped(why: impl Into<String>) -> ParseError {
    ParseError::Drop { why: why.into() }
}

fn parse(data: &[u8], ending: Ending) -> Result<Message, ParseError> {
    if data.len() > MESSAGE_BYTES_MAX {
        return Err(dropped("message too large"));
    }
    // RFC 3261 §7.5: line ends before the start line are ignored.
    let blank = data
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    let data = &data[blank..];
    if data.is_empty() {
        return Err(dropped("nothing but line ends"));
    }
    let Some(head) = lines::head(data, HEADERS_MAX) else {
        return Err(dropped("too many headers"));
    };
    let is_response = head
        .start_line
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
    // What is answered to an ACK is nobody's transaction, RFC 3261 §17.
    let is_ack = head.start_line.starts_with(b"ACK ");
    let (headers, headers_flaw) = read_headers(&head);
    // A message whose start line is not SIP at all gets no answer: it might be anything.
    let start_line = if looks_like_sip(&head) {
        read_start_line(head.start_line, is_response)
    } else {
        return Err(dropped("not SIP"));
    };
    let body = read_body(data, &head, &headers, ending);
    match (start_line, headers_flaw, body) {
        (Ok(StartLine::Request { method, uri }), None, Ok(body)) => Ok(Message::Request(Request {
            method,
            uri,
            headers,
            body: body.to_vec(),
        })),
        (Ok(StartLine::Response { status, reason }), None, Ok(body)) => {
            Ok(Message::Response(Response {
                status,
                reason,
                headers,
                body: body.to_vec(),
            }))
        }
        (start_line, headers_flaw, body) => {
            let flaw = start_line.err().or(headers_flaw).or(body.err());
            let Flaw { status, why } = flaw.unwrap_or(Flaw::new(400, "unreadable"));
            if is_response || is_ack || !headers.has(&HeaderName::Via) {
                return Err(dropped(why));
            }
            let mut response = Response::to_headers(&headers, status);
            response.reason = format!("{} ({why})", response.reason);
            Err(ParseError::Refuse {
                response: Box::new(response),
                why,
            })
        }
    }
}

/// Some word of the start line starts with `SIP/`.
fn looks_like_sip(head: &Head<'_>) -> bool {
    head.start_line.split(|byte| *byte == b' ').any(|word| {
        word.get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
    })
}

fn read_start_line(line: &[u8], is_response: bool) -> Result<StartLine, Flaw> {
    if line.len() > LINE_BYTES_MAX {
        return Err(Flaw::new(414, "start line too long"));
    }
    let line = String::from_utf8_lossy(line);
    if is_response {
        read_status_line(&line)
    } else {
        read_request_line(&line)
    }
}

/// RFC 3261 §7.2.
fn read_status_line(line: &str) -> Result<StartLine, Flaw> {
    let (version, rest) = line
        .split_once(' ')
        .ok_or_else(|| Flaw::new(400, "no status"))?;
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(Flaw::new(505, "version is not SIP/2.0"));
    }
    let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    match syntax::number(status, 699) {
        Some(number @ 100..) if status.len() == 3 => {
            let reason = reason.replace(char::is_control, " ");
            Ok(StartLine::Response {
                status: number as u16,
                reason,
            })
        }
        _ => Err(Flaw::new(400, "status out of range")),
    }
}

/// RFC 3261 §7.1: three words with exactly one space between them.
fn read_request_line(line: &str) -> Result<StartLine, Flaw> {
    let bad = |why| Flaw::new(400, why);
    let (method, rest) = line
        .split_once(' ')
        .ok_or_else(|| bad("bad request line"))?;
    let (uri, version) = rest
        .rsplit_once(' ')
        .ok_or_else(|| bad("bad request line"))?;
    let method = method.parse::<Method>().map_err(|_| bad("bad method"))?;
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        let numbers = version.get(4..).and_then(|numbers| numbers.split_once('.'));
        let is_number = |text: &str| syntax::number(text, u64::MAX).is_some();
        return Err(match numbers {
            Some((major, minor)) if is_number(major) && is_number(minor) => {
                Flaw::new(505, "version is not SIP/2.0")
            }
            _ => bad("bad version"),
        });
    }
    let uri = uri
        .parse::<Uri>()
        .map_err(|error| Flaw::new(400, format!("Request-URI: {error}")))?;
    Ok(StartLine::Request { method, uri })
}

/// All headers that can be read, and the first thing wrong with the others.
fn read_headers(head: &Head<'_>) -> (Headers, Option<Flaw>) {
    let mut headers = Headers::new();
    let mut flaw = None;
    for lines in &head.headers {
        let lines = lines.as_slice();
        if lines.iter().map(|line| line.len()).sum::<usize>() > LINE_BYTES_MAX {
            flaw.get_or_insert(Flaw::new(400, "header too long"));
            continue;
        }
        match lines::field(lines) {
            Some((name, value)) => headers.push(name, value),
            None => {
                flaw.get_or_insert(Flaw::new(400, "line that is no header"));
            }
        }
    }
    if head.body_at.is_none() {
        flaw.get_or_insert(Flaw::new(400, "no empty line after the headers"));
    }
    (headers, flaw)
}

fn read_body<'a>(
    data: &'a [u8],
    head: &Head<'_>,
    headers: &Headers,
    ending: Ending,
) -> Result<&'a [u8], Flaw> {
    let rest = &data[head.body_at.unwrap_or(data.len())..];
    match headers.content_length() {
        Ok(Some(length)) => rest
            .get(..length)
            .ok_or_else(|| Flaw::new(400, "body shorter than Content-Length")),
        // RFC 3261 §18.3: over UDP the body then ends with the datagram.
        Ok(None) if ending == Ending::Datagram => Ok(rest),
        Ok(None) => Err(Flaw::new(400, "Content-Length is missing")),
        Err(error) => Err(Flaw::new(400, error.to_string())),
    }
}

/// Without the body, which may hold keys.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:?} {:?} +{} bytes",
            self.method,
            self.uri,
            self.headers,
            self.body.len()
        )
    }
}

/// Without the body, which may hold keys.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {:?} +{} bytes",
            self.status,
            self.reason,
            self.headers,
            self.body.len()
        )
    }
}
