//! URIs that are read, those that are not, and those that mean the same.

use super::*;

fn check(text: &str, expected: Option<&str>) {
    let got = text.parse::<Uri>().map(|uri| uri.to_string());
    assert_eq!(got.as_deref().ok(), expected, "{text}: {got:?}");
}

#[test]
fn reading_and_printing() {
    for same in [
        "sip:alice@example.com",
        "sip:alice:secret@example.com:5070;transport=tcp?subject=x&priority=urgent",
        "sips:1212@gateway.example.com",
        "sip:example.com",
        "sip:100@192.0.2.4",
        "sip:alice@[2001:db8::1]:5060;lr",
        "sip:alice;day=tuesday@example.com",
        "sip:*31#@pbx_1.local",
        "sip:a@host.example.",
        "tel:+1-201-555-0123;phone-context=example.com",
        "mailto:a@b?c",
        "urn:service:sos",
    ] {
        check(same, Some(same));
    }
    check("SIP:Alice@Example.COM", Some("sip:Alice@Example.COM"));
    for bad in [
        "",
        "sip",
        "sip:",
        "sip:@example.com",
        ":x",
        "1sip:x",
        "sip:a b@c",
        "<sip:a@b>",
        "sip:a@b@c",
        "sip:a%4@b",
        "sip:a@b:0",
        "sip:a@b:65536",
        "sip:a@b:",
        "sip:a@256.1.1.1",
        "sip:a@1.2.3",
        "sip:a@[::1",
        "sip:a@b..c",
        "sip:a@b;",
        "sip:a@b;x=",
        "sip:a@b;x=1;X=2",
        "sip:a@b?",
        "sip:a@b\r\nX: y",
        "sip:ä@b",
        "sip:a@b;\"x\"",
        "tel:",
        "tel:abcxyz",
    ] {
        check(bad, None);
    }
}

#[test]
fn a_user_gets_its_escapes() {
    let uri = Uri::sip(Some("a b@c%"), Host::Name("h".to_owned()), Some(5070));
    assert_eq!(uri.to_string(), "sip:a%20b%40c%25@h:5070");
    assert_eq!(uri.user_decoded().as_deref(), Some("a b@c%"));
}

#[test]
fn passwords_stay_out_of_debug() {
    let uri: Uri = "sip:alice:secret@example.com".parse().unwrap();
    assert_eq!(format!("{uri:?}"), "sip:alice:redacted@example.com");
}

/// The examples of RFC 3261 §19.1.4 and what they leave open.
#[test]
fn equivalence() {
    let table = [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
            true,
        ),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com;newparam=5",
            true,
        ),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;newparam=5",
            true,
        ),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            true,
        ),
        (
            "sip:alice@atlanta.com?subject=x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=x",
            true,
        ),
        (
            "SIP:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtLanTa.CoM;Transport=UDP",
            false,
        ),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false),
        (
            "sip:bob@biloxi.com",
            "sip:bob@biloxi.com;transport=udp",
            false,
        ),
        (
            "sip:bob@biloxi.com",
            "sip:bob@biloxi.com:6000;transport=tcp",
            false,
        ),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
            false,
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
            false,
        ),
        ("sip:a@b", "sips:a@b", false),
        ("sip:a@b", "sip:a:p@b", false),
        ("sip:a%3Bb@c", "sip:a;b@c", false),
        ("sip:a@[2001:db8:0::1]", "sip:a@[2001:db8::1]", true),
    ];
    for (a, b, expected) in table {
        let (first, second): (Uri, Uri) = (a.parse().unwrap(), b.parse().unwrap());
        assert_eq!(first.equivalent(&second), expected, "{a} and {b}");
        assert_eq!(second.equivalent(&first), expected, "{b} and {a}");
    }
}
