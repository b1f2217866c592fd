//! Bodies as phones send them.

use super::*;

fn content(kind: &str, body: &str) -> Result<Content, bool> {
    match read(Some(kind), body.as_bytes()) {
        Ok(instant) => Ok(instant.content),
        Err(_) => Err(false),
    }
}

/// As Linphone 5 wraps a text.
const WRAPPED: &str = "From: <sip:anna@192.0.2.1>\r\nTo: <sip:100@192.0.2.1>\r\nDateTime: 2026-11-21T12:00:00Z\r\n\
    NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: wv7tQ\r\n\
    imdn.Disposition-Notification: positive-delivery, negative-delivery, display\r\n\r\n\
    Content-Type: text/plain;charset=UTF-8\r\nContent-Length: 6\r\n\r\nSch\u{f6}n";

fn receipt(message_id: &str, what: Disposition) -> Option<Receipt> {
    Some(Receipt {
        message_id: message_id.to_owned(),
        what,
    })
}

#[test]
fn bodies_by_type() {
    let text = |text: &str| Ok(Content::Text(text.to_owned()));
    let mixed = "--b\r\nContent-Type: text/plain\r\n\r\none\r\n--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b\r\n\r\ntwo\r\n--b--\r\n";
    let rows = [
        ("text/plain", "hello", text("hello")),
        ("Text / Plain ; Charset=\"UTF-8\"", "a\r\nb", text("a\nb")),
        ("text/plain;charset=us-ascii", "hi\u{7}", text("hi")),
        ("text/plain;charset=utf-16", "x", Err(false)),
        ("text/plain", " \r\n", Ok(Content::Empty)),
        ("text/html", "<b>x</b>", Err(false)),
        ("application/pidf+xml", "<x/>", Err(false)),
        (FILE_ELSEWHERE, "<file/>", Ok(Content::File)),
        (
            COMPOSING,
            &composing(true, 60),
            Ok(Content::Composing(true)),
        ),
        (
            COMPOSING,
            &composing(false, 60),
            Ok(Content::Composing(false)),
        ),
        (COMPOSING, "garbage", Ok(Content::Composing(false))),
        (
            DISPOSITION,
            &disposition("a<b", "2026-11-21T12:00:00Z", Disposition::Displayed),
            // A name with a bracket in it is none of ours.
            Ok(Content::Notification(receipt(
                "a&lt;b",
                Disposition::Displayed,
            ))),
        ),
        (
            DISPOSITION,
            // As Linphone 5.1 writes it.
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\" ?><imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\
             <message-id>912ad23d</message-id><datetime>2026-11-22T10:06:49Z</datetime><delivery-notification><status>\
             <delivered/></status></delivery-notification></imdn>",
            Ok(Content::Notification(receipt(
                "912ad23d",
                Disposition::Delivered,
            ))),
        ),
        (
            DISPOSITION,
            "<i:imdn><i:message-id> x </i:message-id><i:status>\r\n<i:displayed /></i:status></i:imdn>",
            Ok(Content::Notification(receipt("x", Disposition::Displayed))),
        ),
        (
            DISPOSITION,
            "<imdn><message-id>x</message-id><status><error/></status></imdn>",
            Ok(Content::Notification(None)),
        ),
        (
            DISPOSITION,
            "<imdn><message-id>a b</message-id><status><displayed/></status></imdn>",
            Ok(Content::Notification(None)),
        ),
        (DISPOSITION, "garbage", Ok(Content::Notification(None))),
        (CPIM, WRAPPED, text("Sch\u{f6}n")),
        (CPIM, "From: a", Err(false)),
        ("multipart/mixed;boundary=b", mixed, text("one\ntwo")),
        ("multipart/alternative;boundary=b", mixed, text("two")),
        (
            "multipart/mixed;boundary=b",
            "--b\r\n\r\nno end",
            Err(false),
        ),
        ("multipart/mixed", mixed, Err(false)),
        // Its lines begin like those of the multipart it is in.
        (
            "multipart/mixed;boundary=b",
            "--b\r\nContent-Type: multipart/mixed;boundary=bb\r\n\r\n--bb\r\n\r\none\r\n--bb--\r\n--b--\r\n",
            text("one"),
        ),
    ];
    for (kind, body, expected) in rows {
        assert_eq!(content(kind, body), expected, "{kind}: {body}");
    }
    assert_eq!(read(None, b""), read(Some(""), b""));
    assert_eq!(read(None, b"x"), Err(InstantError::NoType));
    let latin = read(Some("text/plain"), b"Sch\xf6n").map(|read| read.content);
    assert_eq!(latin, Ok(Content::Text("Sch\u{f6}n".to_owned())));
}

#[test]
fn envelopes_say_what_their_sender_wants_to_know() {
    let read = super::read(Some("Message/CPIM"), WRAPPED.as_bytes()).expect("readable");
    assert_eq!(read.message_id.as_deref(), Some("wv7tQ"));
    let both = Wants {
        delivered: true,
        displayed: true,
    };
    assert_eq!(read.wants, both);
    let envelope = read.envelope.expect("an envelope");
    assert_eq!(envelope.from, "<sip:anna@192.0.2.1>");
    // Another prefix, as RFC 3862 allows.
    let other = WRAPPED.replace("imdn <", "x <").replace("imdn.", "x.");
    let read = super::read(Some(CPIM), other.as_bytes()).expect("readable");
    assert_eq!(read.message_id.as_deref(), Some("wv7tQ"));
}

#[test]
fn what_we_wrap_can_be_read() {
    let envelope = Envelope {
        from: "<sip:100@192.0.2.1>".to_owned(),
        to: "<sip:anna@192.0.2.1>\r\nX: y".to_owned(),
        message_id: Some("id1".to_owned()),
        wants: Wants::default(),
    };
    let notice = disposition("wv7tQ", "2026-11-21T12:00:00Z", Disposition::Delivered);
    assert!(notice.contains("<message-id>wv7tQ</message-id>") && notice.contains("<delivered/>"));
    let body = wrap(&envelope, "2026-11-21T12:00:00Z", DISPOSITION, &notice);
    let again = read(Some(CPIM), body.as_bytes()).expect("readable");
    let expected = receipt("wv7tQ", Disposition::Delivered);
    assert_eq!(again.content, Content::Notification(expected));
    assert_eq!(again.message_id.as_deref(), Some("id1"));
    let to = again.envelope.expect("an envelope").to;
    assert_eq!(to, "<sip:anna@192.0.2.1>  X: y");
}

#[test]
fn parts_in_parts_have_an_end() {
    let mut body = "hello".to_owned();
    let mut kind = "text/plain".to_owned();
    let mut read_until = 0;
    for depth in 0..8 {
        if read(Some(&kind), body.as_bytes()).is_ok() {
            read_until = depth;
        }
        body = format!("--b{depth}\r\nContent-Type: {kind}\r\n\r\n{body}\r\n--b{depth}--\r\n");
        kind = format!("multipart/mixed;boundary=b{depth}");
    }
    assert_eq!(read_until, DEPTH_MAX);
}
