//! Requests that may go on, and what the others are told.

use crate::message::Message;

fn check(method: &str, extra: &str, body: &str, expected: Result<(), u16>) {
    let text = format!(
        "{method} sip:c@d SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n\
         Call-ID: x\r\nCSeq: 1 {method}\r\n{extra}\r\n{body}"
    );
    let Ok(Message::Request(request)) = Message::parse_datagram(text.as_bytes()) else {
        panic!("unreadable: {text}")
    };
    let got = super::check(&request).map_err(|refusal| refusal.status);
    assert_eq!(got, expected, "{text}");
}

#[test]
fn header_values() {
    for (extra, expected) in [
        ("", Ok(())),
        ("Max-Forwards: 0\r\n", Ok(())),
        ("Max-Forwards: 256\r\n", Err(400)),
        ("Max-Forwards: 1\r\nMax-Forwards: 1\r\n", Err(400)),
        ("Subject: a\r\ns: b\r\n", Err(400)),
        ("X-Any: a\r\nX-Any: b\r\n", Ok(())),
        ("m: *\r\n", Ok(())),
        ("m: *\r\nm: *\r\n", Err(400)),
        ("m: <sip:a@b>;expires=99999999999999\r\n", Ok(())),
        ("Route: sip:a@b\r\n", Err(400)),
        ("Date: Sat, 13 Nov 2010 23:29:00 GMT\r\n", Ok(())),
        ("Expires: soon\r\n", Err(400)),
        ("Require: foo\r\n", Err(420)),
        ("Require: 100rel, timer\r\n", Ok(())),
        ("Proxy-Require: foo\r\nSupported: 100rel\r\n", Ok(())),
        ("Require: ,\r\n", Ok(())),
    ] {
        check("OPTIONS", extra, "", expected);
    }
    // Neither an ACK nor a CANCEL is refused for what it requires.
    check("ACK", "Require: foo\r\n", "", Ok(()));
    check("CANCEL", "Require: foo\r\n", "", Ok(()));
}

#[test]
fn bodies() {
    for (method, extra, body, expected) in [
        ("INVITE", "c: application/sdp\r\n", "v=0", Ok(())),
        ("INVITE", "c: Application/SDP;charset=x\r\n", "v=0", Ok(())),
        ("INVITE", "", "v=0", Ok(())),
        ("INVITE", "c: text/plain\r\n", "", Ok(())),
        ("INVITE", "c: text/plain\r\n", "hi", Err(415)),
        ("INVITE", "c: sdp\r\n", "hi", Err(400)),
        (
            "INVITE",
            "c: application/sdp\r\ne: gzip\r\n",
            "hi",
            Err(415),
        ),
        (
            "INVITE",
            "Accept: text/plain, application/sdp;q=0.5\r\n",
            "",
            Ok(()),
        ),
        ("INVITE", "Accept: */*\r\n", "", Ok(())),
        ("INVITE", "Accept:\r\n", "", Ok(())),
        ("INVITE", "Accept: text/plain\r\n", "", Err(406)),
        (
            "MESSAGE",
            "c: text/plain\r\nAccept: text/plain\r\n",
            "hi",
            Ok(()),
        ),
    ] {
        check(method, extra, body, expected);
    }
}
