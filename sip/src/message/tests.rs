//! Messages in the wild: line ends, folds, odd octets, lengths; and what we write, read by somebody stricter.

use rsip::headers::UntypedHeader;
use rsip::message::HeadersExt;

use super::*;
use crate::header::{NameAddr, Via};

const HEAD: &str = "v: SIP/2.0/UDP h;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\nt: <sip:c@d>\r\ni: x\r\nCSeq: 1 INFO\r\n";

/// `Ok` the body, `Err` the status of the refusal, 0 for a drop.
fn check(data: &[u8], expected: Result<&[u8], u16>) {
    let got = match Message::parse_datagram(data) {
        Ok(Message::Request(Request { body, .. }) | Message::Response(Response { body, .. })) => {
            Ok(body)
        }
        Err(ParseError::Refuse { response, .. }) => Err(response.status),
        Err(ParseError::Drop { .. }) => Err(0),
    };
    assert_eq!(
        got.as_deref(),
        expected.as_ref().map(|body| *body),
        "{}",
        String::from_utf8_lossy(data)
    );
}

fn info(rest: &str) -> Vec<u8> {
    format!("INFO sip:c@d SIP/2.0\r\n{HEAD}{rest}").into_bytes()
}

#[test]
fn where_the_body_ends() {
    for (rest, expected) in [
        ("\r\n", Ok("")),
        ("\r\nhello", Ok("hello")),
        ("l: 2\r\n\r\nhello", Ok("he")),
        ("Content-Length : 5\r\n\r\nhello", Ok("hello")),
        ("l:\r\n 5\r\n\r\nhello", Ok("hello")),
        ("l: 6\r\n\r\nhello", Err(400)),
        ("l: 99999999999999999999\r\n\r\nhello", Err(400)),
        ("l: x\r\n\r\nhello", Err(400)),
        ("l:\r\n\r\nhello", Err(400)),
        ("l: 5\r\nl: 5\r\n\r\nhello", Err(400)),
        ("", Err(400)),
        ("no header\r\n\r\n", Err(400)),
        (": nameless\r\n\r\n", Err(400)),
    ] {
        check(&info(rest), expected.map(str::as_bytes));
    }
}

#[test]
fn start_lines() {
    for (line, expected) in [
        ("INFO sip:c@d SIP/2.0", Ok(())),
        ("info sip:c@d sip/2.0", Ok(())),
        ("WHAT tel:+1 SIP/2.0", Ok(())),
        ("SIP/2.0 200 OK", Ok(())),
        ("SIP/2.0 200", Ok(())),
        ("INFO sip:c@d SIP/3.0", Err(505)),
        ("INFO sip:c@d SIP/two", Err(400)),
        ("INFO  sip:c@d SIP/2.0", Err(400)),
        ("INFO sip:c@d  SIP/2.0", Err(400)),
        ("INFO sip:c@d SIP/2.0 ", Err(400)),
        ("INFO SIP/2.0", Err(400)),
        ("IN(FO sip:c@d SIP/2.0", Err(400)),
        ("INFO nothing SIP/2.0", Err(400)),
        ("ACK nothing SIP/2.0", Err(0)),
        ("GET / HTTP/1.1", Err(0)),
        ("\u{16}\u{3}\u{1}", Err(0)),
        ("SIP/2.0 99 Low", Err(0)),
        ("SIP/2.0 700 High", Err(0)),
        ("SIP/2.0 0200 Long", Err(0)),
        ("SIP/3.0 200 OK", Err(0)),
    ] {
        check(
            format!("{line}\r\n{HEAD}\r\n").as_bytes(),
            expected.map(|()| &b""[..]),
        );
    }
    check(b"INFO sip:c@d SIP/2.0\r\nf: <sip:a@b>\r\n\r\n", Ok(b""));
    check(b"INFO nothing SIP/2.0\r\nf: <sip:a@b>\r\n\r\n", Err(0));
    check(b"\r\n\r\n", Err(0));
    check(b"", Err(0));
}

#[test]
fn bare_line_feeds_and_blank_starts_are_read() {
    let text = String::from_utf8(info("l: 2\r\n\r\nhi")).unwrap();
    check(text.replace("\r\n", "\n").as_bytes(), Ok(b"hi"));
    check(format!("\r\n\r\n{text}").as_bytes(), Ok(b"hi"));
}

#[test]
fn octets_that_are_no_text_hide_nothing() {
    let mut data = b"INFO sip:c@d SIP/2.0\r\nSubject: J\xfcrgen \0\r\n".to_vec();
    data.extend_from_slice(HEAD.as_bytes());
    data.extend_from_slice(b"l: 3\r\n\r\n\0\xff\n");
    let Ok(Message::Request(request)) = Message::parse_datagram(&data) else {
        panic!("not taken")
    };
    assert_eq!(
        request.headers.get(&HeaderName::Subject),
        Some("J\u{fffd}rgen")
    );
    assert_eq!(request.headers.call_id(), Ok("x"));
    assert_eq!(request.body, b"\0\xff\n");
}

#[test]
fn limits() {
    let long = |length: usize| info(&format!("Subject: {}\r\n\r\n", "x".repeat(length)));
    check(&long(LINE_BYTES_MAX - 9), Ok(b""));
    check(&long(LINE_BYTES_MAX), Err(400));
    check(
        &info(&format!("{}\r\n", "a: b\r\n".repeat(HEADERS_MAX - 5))),
        Ok(b""),
    );
    check(
        &info(&format!("{}\r\n", "a: b\r\n".repeat(HEADERS_MAX))),
        Err(0),
    );
    let uri = format!(
        "INFO sip:{}@d SIP/2.0\r\n{HEAD}\r\n",
        "x".repeat(LINE_BYTES_MAX)
    );
    check(uri.as_bytes(), Err(414));
    check(
        &info(&format!("\r\n{}", "x".repeat(MESSAGE_BYTES_MAX))),
        Err(0),
    );
}

#[test]
fn streams_need_a_length() {
    assert!(Message::parse_stream_message(&info("l: 0\r\n\r\n")).is_ok());
    assert!(Message::parse_stream_message(&info("\r\n")).is_err());
}

/// RFC 3261 §8.2.6.
#[test]
fn a_response_repeats_what_it_must() {
    let data = info("v: SIP/2.0/UDP second\r\nTimestamp: 54\r\nSubject: no\r\n\r\n");
    let Ok(Message::Request(request)) = Message::parse_datagram(&data) else {
        panic!("not taken")
    };
    let text =
        |status| String::from_utf8(Response::to_request(&request, status).to_bytes()).unwrap();
    let shared = "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP second\r\nFrom: <sip:a@b>;tag=1\r\n\
                  To: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INFO\r\n";
    assert_eq!(
        text(404),
        format!("SIP/2.0 404 Not Found\r\n{shared}Content-Length: 0\r\n\r\n")
    );
    assert_eq!(
        text(100),
        format!("SIP/2.0 100 Trying\r\n{shared}Timestamp: 54\r\nContent-Length: 0\r\n\r\n")
    );
}

#[test]
fn content_length_is_ours() {
    let mut request = Request::new(Method::Info, "sip:c@d".parse().unwrap());
    request.headers.push(HeaderName::ContentLength, "999");
    request.set_body("text/plain", "four");
    let expected =
        "INFO sip:c@d SIP/2.0\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nfour";
    assert_eq!(String::from_utf8(request.to_bytes()).unwrap(), expected);
}

/// An independent reader, stricter than the wire, understands what we write.
#[test]
fn rsip_reads_what_we_write() {
    let mut invite = Request::new(
        Method::Invite,
        "sip:100@192.0.2.1:5060;transport=tcp".parse().unwrap(),
    );
    let via = Via::parse("SIP/2.0/TCP 192.0.2.9:5062;rport;branch=z9hG4bKabc").unwrap();
    let address = |text: &str| NameAddr::parse(text).unwrap();
    for (name, value) in [
        (HeaderName::Via, via.to_string()),
        (HeaderName::MaxForwards, "70".to_owned()),
        (
            HeaderName::From,
            address("\"A \\\"B\\\" C\" <sip:a@example.com>")
                .with_tag("t1")
                .to_string(),
        ),
        (HeaderName::To, address("sip:100@example.com").to_string()),
        (HeaderName::CallId, "c1@192.0.2.9".to_owned()),
        (HeaderName::CSeq, "7 INVITE".to_owned()),
        (
            HeaderName::Contact,
            address("<sip:a@192.0.2.9:5062;transport=tcp>").to_string(),
        ),
    ] {
        invite.headers.push(name, value);
    }
    invite.set_body("application/sdp", "v=0\r\n");
    let read = rsip::Request::try_from(invite.to_bytes()).expect("a request");
    assert_eq!(read.method, rsip::Method::Invite);
    // It prints the transport in capitals.
    assert_eq!(read.uri.to_string().to_lowercase(), invite.uri.to_string());
    assert_eq!(read.body, b"v=0\r\n");
    assert_eq!(read.via_header().unwrap().value(), via.to_string());
    assert_eq!(read.call_id_header().unwrap().value(), "c1@192.0.2.9");
    assert_eq!(read.cseq_header().unwrap().seq().unwrap(), 7);
    assert_eq!(
        read.from_header()
            .unwrap()
            .tag()
            .unwrap()
            .map(|tag| tag.to_string())
            .as_deref(),
        Some("t1")
    );
    let response = Response::to_request(&invite, 183);
    let read = rsip::Response::try_from(response.to_bytes()).expect("a response");
    assert_eq!(u16::from(read.status_code.clone()), 183);
    assert_eq!(read.to_header().unwrap().value(), "<sip:100@example.com>");
}
