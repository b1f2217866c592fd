//! Bindings against RFC 3261 §10.3, as scripts of REGISTERs: when, which Call-ID and CSeq, which headers, and what is
//! bound afterwards.

#![allow(clippy::type_complexity, reason = "rows of a table")]

use super::*;
use crate::method::Method;

const START_MS: u64 = 1_000_000;

fn flow() -> Flow {
    Flow::udp(
        "192.0.2.1:5060".parse().expect("address"),
        "192.0.2.7:5062".parse().expect("address"),
    )
}

fn register(call_id: &str, cseq: u32, headers: &[(&str, &str)]) -> Request {
    let mut request = Request::new(Method::Register, "sip:192.0.2.1".parse().expect("uri"));
    request.headers.push(HeaderName::CallId, call_id);
    request
        .headers
        .push(HeaderName::CSeq, format!("{cseq} REGISTER"));
    for (name, value) in headers {
        request.headers.push(HeaderName::from(*name), *value);
    }
    request
}

fn config() -> EndpointConfig {
    EndpointConfig {
        expires_s_min: 60,
        expires_s_default: 3_600,
        expires_s_max: 7_200,
        contacts_per_user_max: 3,
        bindings_max: 5,
        ..EndpointConfig::default()
    }
}

/// One REGISTER: second, Call-ID, CSeq, headers; and what comes of it: `Ok` with contact and seconds left, most
/// preferred first, or the error.
type Row<'a> = (
    u64,
    &'a str,
    u32,
    &'a [(&'a str, &'a str)],
    Result<&'a [(&'a str, u64)], RegisterError>,
);

fn check(script: &[Row<'_>]) {
    let mut registrar = Registrar::new(&config());
    for (second, call_id, cseq, headers, expected) in script {
        let now = START_MS + second * 1000;
        let result = registrar.register(now, "ann", &register(call_id, *cseq, headers), flow());
        let bound: Vec<(String, u64)> = registrar
            .of("ann", now)
            .into_iter()
            .map(|b| (b.contact, (b.expires_unix_ms - now) / 1000))
            .collect();
        match (result, expected) {
            (Ok(_), Ok(expected)) => {
                let expected: Vec<(String, u64)> = expected
                    .iter()
                    .map(|(contact, left)| ((*contact).to_owned(), *left))
                    .collect();
                assert_eq!(bound, expected, "after {cseq} {headers:?}");
            }
            (result, expected) => {
                assert_eq!(
                    result.err().as_ref(),
                    expected.as_ref().err(),
                    "{cseq} {headers:?}"
                );
            }
        }
    }
}

const A: &str = "sip:ann@192.0.2.7:5062";
const B: &str = "sip:ann@192.0.2.8:5062";

#[test]
fn lifetimes() {
    check(&[
        (
            0,
            "x",
            1,
            &[("Contact", "<sip:ann@192.0.2.7:5062>")],
            Ok(&[(A, 3_600)]),
        ),
        (
            1,
            "x",
            2,
            &[("Contact", "<sip:ann@192.0.2.7:5062>"), ("Expires", "600")],
            Ok(&[(A, 600)]),
        ),
        (
            2,
            "x",
            3,
            &[
                ("m", "<sip:ann@192.0.2.7:5062>;expires=300"),
                ("Expires", "600"),
            ],
            Ok(&[(A, 300)]),
        ),
        (
            3,
            "x",
            4,
            &[("Contact", "<sip:ann@192.0.2.7:5062>;expires=999999")],
            Ok(&[(A, 7_200)]),
        ),
        (
            4,
            "x",
            5,
            &[("Contact", "<sip:ann@192.0.2.7:5062>;expires=9")],
            Err(RegisterError::TooBrief { expires_s_min: 60 }),
        ),
        // A value that cannot be read is the default.
        (
            5,
            "x",
            6,
            &[("Contact", "<sip:ann@192.0.2.7:5062>;expires=soon")],
            Ok(&[(A, 3_600)]),
        ),
        (
            6,
            "x",
            7,
            &[
                ("Contact", "<sip:ann@192.0.2.7:5062>"),
                ("Expires", "later"),
            ],
            Ok(&[(A, 3_600)]),
        ),
        // A fetch changes nothing.
        (10, "y", 1, &[], Ok(&[(A, 3_596)])),
        (3_606, "y", 2, &[], Ok(&[])),
    ]);
}

#[test]
fn several_contacts_and_their_removal() {
    check(&[
        (
            0,
            "x",
            1,
            &[(
                "Contact",
                "<sip:ann@192.0.2.7:5062>;q=0.5, <sip:ann@192.0.2.8:5062>;q=0.75;expires=60",
            )],
            Ok(&[(B, 60), (A, 3_600)]),
        ),
        (
            1,
            "x",
            2,
            &[("Contact", "<sip:ann@192.0.2.8:5062>;expires=0")],
            Ok(&[(A, 3_599)]),
        ),
        // Removing what is not there is no mistake.
        (
            2,
            "x",
            3,
            &[("Contact", "<sip:ann@192.0.2.9>;expires=0")],
            Ok(&[(A, 3_598)]),
        ),
        (
            3,
            "y",
            1,
            &[("Contact", "*"), ("Expires", "60")],
            Err(RegisterError::Malformed("Contact * needs Expires: 0")),
        ),
        (
            3,
            "y",
            1,
            &[("Contact", "*")],
            Err(RegisterError::Malformed("Contact * needs Expires: 0")),
        ),
        (4, "y", 1, &[("Contact", "*"), ("Expires", "0")], Ok(&[])),
    ]);
}

#[test]
fn order_within_a_call_id() {
    check(&[
        (
            0,
            "x",
            5,
            &[("Contact", "<sip:ann@192.0.2.7:5062>")],
            Ok(&[(A, 3_600)]),
        ),
        (
            1,
            "x",
            5,
            &[("Contact", "<sip:ann@192.0.2.7:5062>;expires=60")],
            Err(RegisterError::OutOfOrder),
        ),
        (
            1,
            "x",
            4,
            &[("Contact", "*"), ("Expires", "0")],
            Err(RegisterError::OutOfOrder),
        ),
        // Another Call-ID: the phone restarted.
        (
            2,
            "z",
            1,
            &[("Contact", "<sip:ann@192.0.2.7:5062>;expires=60")],
            Ok(&[(A, 60)]),
        ),
        // All or nothing: the second contact is too brief, so the first is not bound either.
        (
            3,
            "z",
            2,
            &[(
                "Contact",
                "<sip:ann@192.0.2.8:5062>, <sip:ann@192.0.2.9>;expires=1",
            )],
            Err(RegisterError::TooBrief { expires_s_min: 60 }),
        ),
        (4, "z", 3, &[], Ok(&[(A, 58)])),
    ]);
}

/// RFC 3261 §19.1.4: which URIs are the same contact; RFC 5626 §6 where the phone says which of its flows it is.
#[test]
fn the_same_contact() {
    check(&[
        (
            0,
            "x",
            1,
            &[("Contact", "<sip:ann@Phone.Example:5062>")],
            Ok(&[("sip:ann@Phone.Example:5062", 3_600)]),
        ),
        (
            0,
            "x",
            2,
            &[("Contact", "<SIP:%61nn@phone.example:5062>")],
            Ok(&[("sip:%61nn@phone.example:5062", 3_600)]),
        ),
        (
            0,
            "x",
            3,
            &[(
                "Contact",
                "<sip:ann@phone.example:5062;transport=tcp>;q=0.1",
            )],
            Ok(&[
                ("sip:%61nn@phone.example:5062", 3_600),
                ("sip:ann@phone.example:5062;transport=tcp", 3_600),
            ]),
        ),
        (1, "w", 1, &[("Contact", "*"), ("Expires", "0")], Ok(&[])),
        (
            2,
            "y",
            1,
            &[(
                "Contact",
                "<sip:ann@192.0.2.7:1111>;+sip.instance=\"<urn:uuid:1>\";reg-id=1",
            )],
            Ok(&[("sip:ann@192.0.2.7:1111", 3_600)]),
        ),
        (
            3,
            "y",
            2,
            &[(
                "Contact",
                "<sip:ann@192.0.2.7:2222>;+sip.instance=\"<urn:uuid:1>\";reg-id=1",
            )],
            Ok(&[("sip:ann@192.0.2.7:2222", 3_600)]),
        ),
        (
            4,
            "y",
            3,
            &[(
                "Contact",
                "<sip:ann@192.0.2.7:3333>;+sip.instance=\"<urn:uuid:1>\";reg-id=2;q=0.5",
            )],
            Ok(&[
                ("sip:ann@192.0.2.7:2222", 3_599),
                ("sip:ann@192.0.2.7:3333", 3_600),
            ]),
        ),
    ]);
}

#[test]
fn a_full_user_may_only_replace_what_is_the_devices_own() {
    check(&[
        (
            0,
            "x",
            1,
            &[("Contact", "<sip:a@192.0.2.7:1>;+sip.instance=\"<i>\"")],
            Ok(&[("sip:a@192.0.2.7:1", 3_600)]),
        ),
        (
            0,
            "x",
            2,
            &[("Contact", "<sip:a@192.0.2.7:2>, <sip:a@192.0.2.7:3>")],
            Ok(&[
                ("sip:a@192.0.2.7:1", 3_600),
                ("sip:a@192.0.2.7:2", 3_600),
                ("sip:a@192.0.2.7:3", 3_600),
            ]),
        ),
        (
            0,
            "x",
            3,
            &[("Contact", "<sip:a@192.0.2.7:4>")],
            Err(RegisterError::TooManyContacts),
        ),
        (
            0,
            "x",
            4,
            &[("Contact", "<sip:a@192.0.2.7:5>;+sip.instance=\"<i>\"")],
            Ok(&[
                ("sip:a@192.0.2.7:5", 3_600),
                ("sip:a@192.0.2.7:2", 3_600),
                ("sip:a@192.0.2.7:3", 3_600),
            ]),
        ),
        (
            0,
            "y",
            1,
            &[("Contact", "<sip:1@a>,<sip:2@a>,<sip:3@a>,<sip:4@a>")],
            Err(RegisterError::TooManyContacts),
        ),
    ]);
}

#[test]
fn a_full_registrar_takes_no_more_and_lets_go() {
    let mut registrar = Registrar::new(&config());
    let contacts = [("Contact", "<sip:1@a>;expires=60,<sip:2@a>,<sip:3@a>")];
    for (user, expected) in [("ann", true), ("bob", false)] {
        let result = registrar.register(START_MS, user, &register("x", 1, &contacts), flow());
        assert_eq!(result.is_ok(), expected, "{user}");
    }
    assert_eq!(registrar.count(), 3);
    assert_eq!(registrar.next_expiry_unix_ms(), Some(START_MS + 60_000));
    let ended = registrar.expire(START_MS + 60_000);
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (ended[0].0.as_str(), ended[0].1.len(), ended[0].2.len()),
        ("ann", 1, 2)
    );
    assert_eq!(registrar.count(), 2);
    assert_eq!(registrar.retain_users(|user| user != "ann").len(), 1);
    assert_eq!(
        (registrar.count(), registrar.next_expiry_unix_ms()),
        (0, None)
    );
}

#[test]
fn bindings_outlive_a_restart_but_not_their_time() {
    let mut registrar = Registrar::new(&config());
    let contacts = [(
        "Contact",
        "<sip:1@a>;expires=60;q=0.25;+sip.instance=\"<i>\",<sip:2@a>",
    )];
    let tcp = Flow {
        conn: Some(ConnId(3)),
        ..flow()
    };
    registrar
        .register(START_MS, "ann", &register("x", 1, &contacts), tcp)
        .expect("registers");
    let saved = registrar.of("ann", START_MS);
    let mut again = Registrar::new(&config());
    again.restore(START_MS + 61_000, saved.clone());
    let restored = again.of("ann", START_MS + 61_000);
    assert_eq!(restored.len(), 1);
    assert_eq!(restored[0].contact, "sip:2@a");
    assert_eq!(
        restored[0].flow.conn, None,
        "connections do not outlive a restart"
    );
    assert_eq!(saved[1].instance.as_deref(), Some("<i>"));
    assert_eq!(
        contact_value(&saved[1], START_MS + 500),
        "<sip:1@a>;+sip.instance=\"<i>\";q=0.250;expires=60"
    );
}

#[test]
fn preferences() {
    let rows = [
        ("1", Some(1000)),
        ("1.000", Some(1000)),
        ("0", Some(0)),
        ("0.5", Some(500)),
        ("0.05", Some(50)),
        ("0.123", Some(123)),
        ("0.", Some(0)),
        ("1.1", None),
        ("0.1234", None),
        (".5", None),
        ("-0.5", None),
        ("", None),
    ];
    for (text, expected) in rows {
        assert_eq!(parse_q(text), expected, "{text}");
    }
}
