//! Typed header values: what is read, what is printed back, what is refused.

use super::*;

fn headers(lines: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in lines {
        headers.push(HeaderName::from(*name), *value);
    }
    headers
}

#[test]
fn names() {
    for (text, expected) in [
        ("v", HeaderName::Via),
        ("VIA", HeaderName::Via),
        ("I", HeaderName::CallId),
        ("call-id", HeaderName::CallId),
        ("k", HeaderName::Supported),
        ("x-Mine", HeaderName::Other("X-mine".to_owned())),
    ] {
        assert_eq!(HeaderName::from(text), expected, "{text}");
    }
    assert_eq!(
        HeaderName::from("www-authenticate").to_string(),
        "WWW-Authenticate"
    );
    assert_eq!(HeaderName::from("x-Mine").to_string(), "x-Mine");
}

#[test]
fn name_addr() {
    let table = [
        ("sip:a@b;tag=1", Some("<sip:a@b>;tag=1")),
        ("<sip:a@b;lr>;tag=1", Some("<sip:a@b;lr>;tag=1")),
        ("\"A, B\" <sip:a@b>", Some("\"A, B\" <sip:a@b>")),
        (
            "\"a \\\"q\\\" <x>\" <sip:a@b>",
            Some("\"a \\\"q\\\" <x>\" <sip:a@b>"),
        ),
        (
            "Jürgen Müller (büro) <sip:a@b>",
            Some("\"Jürgen Müller (büro)\" <sip:a@b>"),
        ),
        ("\"\" <sip:a@b>", Some("<sip:a@b>")),
        (
            "<sip:a@b>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\";reg-id=1",
            Some(
                "<sip:a@b>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\";reg-id=1",
            ),
        ),
        ("Bell, A <sip:a@b>", None),
        ("\"open <sip:a@b>", None),
        ("<sip:a@b", None),
        ("< sip:a@b >", None),
        ("<sip:a@b> x", None),
        ("<sip:a@b>;;", None),
        ("<sip:a@b>;tag=1;TAG=2", None),
        ("sip:a@b?x=y", None),
        ("a@b", None),
    ];
    for (text, expected) in table {
        let got = NameAddr::parse(text).map(|address| address.to_string());
        assert_eq!(got.as_deref().ok(), expected, "{text}: {got:?}");
    }
    let contact = NameAddr::parse("<sip:a@b>;+sip.instance=\"<urn:x>\";q=0.5").unwrap();
    assert_eq!(
        contact.params.value("+SIP.instance").as_deref(),
        Some("<urn:x>")
    );
}

#[test]
fn via() {
    let table = [
        ("SIP/2.0/UDP h", Some("SIP/2.0/UDP h")),
        (
            "SIP / 2.0 / TCP [::1]:5061 ; rport ; branch = z9hG4bKx",
            Some("SIP/2.0/TCP [::1]:5061;rport;branch=z9hG4bKx"),
        ),
        (
            "SIP/2.0/UDP h;received=2001:db8::1",
            Some("SIP/2.0/UDP h;received=2001:db8::1"),
        ),
        ("SIP/2.0/UDP", None),
        ("SIP/3.0/UDP h", None),
        ("SIP/2.0/UDP h:", None),
        ("SIP/2.0/UDP h;;", None),
        ("HTTP/2.0/UDP h", None),
    ];
    for (text, expected) in table {
        let got = Via::parse(text).map(|via| via.to_string());
        assert_eq!(got.as_deref().ok(), expected, "{text}: {got:?}");
    }
    let via = Via::parse("SIP/2.0/UDP h;rport;received=[2001:db8::1];branch=b").unwrap();
    assert_eq!((via.rport(), via.branch()), (Some(None), Some("b")));
    assert_eq!(via.received(), "2001:db8::1".parse().ok());
    assert_eq!(
        Via::parse("SIP/2.0/UDP h;rport=99").unwrap().rport(),
        Some(Some(99))
    );
}

#[test]
fn the_top_via_changes_alone() {
    let mut headers = headers(&[
        ("Via", "SIP/2.0/UDP a;rport;x=\",\", SIP/2.0/UDP b"),
        ("Via", "SIP/2.0/UDP c"),
        ("Route", "<sip:r1;lr>,<sip:r2;lr>"),
    ]);
    let mut top = headers.top_via().unwrap();
    top.params.set("rport", Some("5062"));
    top.params.set("received", Some("192.0.2.1"));
    headers.set_top_via(&top);
    let lines: Vec<_> = headers.get_all(&HeaderName::Via).collect();
    assert_eq!(
        lines[0],
        "SIP/2.0/UDP a;rport=5062;x=\",\";received=192.0.2.1, SIP/2.0/UDP b"
    );
    assert_eq!(lines[1], "SIP/2.0/UDP c");
    for left in [3, 2, 1] {
        assert_eq!(headers.vias().unwrap().len(), left);
        headers.pop_top_via();
    }
    assert_eq!(headers.vias(), Err(HeaderError::Missing(HeaderName::Via)));
    headers.pop_route();
    assert_eq!(headers.routes().unwrap()[0].to_string(), "<sip:r2;lr>");
    headers.pop_route();
    headers.pop_route();
    assert!(headers.is_empty());
}

#[test]
fn numbers() {
    let table = [
        ("Max-Forwards", "70", Ok(70)),
        ("Max-Forwards", "0068", Ok(68)),
        ("Max-Forwards", "256", Err(())),
        ("Max-Forwards", "-1", Err(())),
        ("Max-Forwards", "+1", Err(())),
        ("Max-Forwards", "", Err(())),
        ("Max-Forwards", "1 2", Err(())),
    ];
    for (name, value, expected) in table {
        let got = headers(&[(name, value)]).max_forwards().map_err(|_| ());
        assert_eq!(got, expected.map(Some), "{value:?}");
    }
    assert_eq!(
        headers(&[("Expires", "4294967295")]).expires(),
        Ok(Some(u32::MAX))
    );
    assert!(headers(&[("Expires", "4294967296")]).expires().is_err());
    assert_eq!(headers(&[]).expires(), Ok(None));
    let cseqs = [
        ("2147483647 X", true),
        ("2147483648 X", false),
        ("1", false),
        ("1 A B", false),
        ("x A", false),
    ];
    for (value, good) in cseqs {
        assert_eq!(headers(&[("CSeq", value)]).cseq().is_ok(), good, "{value}");
    }
}

#[test]
fn lists_and_limits() {
    let list = headers(&[
        ("m", "<sip:a@b;x=1,2>, \"c,d\" <sip:e@f>;q=0.1"),
        ("Contact", "sip:g@h"),
    ]);
    // A comma inside angle brackets does not separate, even where the URI may not have it.
    assert!(list.contacts().is_err());
    let list = headers(&[
        ("m", "<sip:a@b>, \"c,d\" <sip:e@f>;q=0.1"),
        ("Contact", "sip:g@h"),
    ]);
    let Ok(Contacts::List(contacts)) = list.contacts() else {
        panic!("no list")
    };
    assert_eq!(contacts.len(), 3);
    assert_eq!(headers(&[("m", " * ")]).contacts(), Ok(Contacts::Star));
    assert!(headers(&[("m", "*, <sip:a@b>")]).contacts().is_err());
    assert_eq!(headers(&[]).contacts(), Ok(Contacts::List(Vec::new())));
    let many = vec![("m", "<sip:a@b>"); 17];
    assert_eq!(
        headers(&many).contacts(),
        Err(HeaderError::TooMany(HeaderName::Contact))
    );
    let vias = vec![("v", "SIP/2.0/UDP a"); 72];
    assert_eq!(
        headers(&vias).vias(),
        Err(HeaderError::TooMany(HeaderName::Via))
    );
    let twice = [("f", "<sip:a@b>"), ("From", "<sip:a@b>")];
    assert_eq!(
        headers(&twice).from(),
        Err(HeaderError::Repeated(HeaderName::From))
    );
}

#[test]
fn credentials() {
    let one = headers(&[(
        "Authorization",
        "Digest username=\"a, \\\"b\\\"\", Realm=\"r\", nc=0000000a,, uri=\"sip:<x\", response=\"s3cret\"",
    )]);
    let read = one.credentials(&HeaderName::Authorization);
    assert_eq!(read.len(), 1);
    assert!(read[0].is_digest());
    let expected = [
        ("username", "a, \"b\""),
        ("realm", "r"),
        ("nc", "0000000a"),
        ("uri", "sip:<x"),
        ("response", "s3cret"),
    ];
    for (name, value) in expected {
        assert_eq!(read[0].get(name), Some(value));
    }
    for debug in [format!("{read:?}"), format!("{one:?}")] {
        assert!(!debug.contains("s3cret"), "{debug}");
    }
    for bad in [
        "",
        "Digest x",
        "Digest a=\"b",
        "Digest a=1, A=2",
        "Di gest=1 =2",
    ] {
        assert!(AuthParams::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_value_cannot_become_a_header() {
    let mut headers = Headers::new();
    headers.push(HeaderName::Reason, "x\r\nVia: SIP/2.0/UDP evil");
    headers.set(HeaderName::UserAgent, "\na\0b\t");
    assert_eq!(
        headers.get(&HeaderName::Reason),
        Some("x  Via: SIP/2.0/UDP evil")
    );
    assert_eq!(headers.get(&HeaderName::UserAgent), Some("a b"));
}
