//! The 49 messages of RFC 4475 and what becomes of each before any user, dialog or transaction is asked.
//!
//! The files are typed after the RFC. One body differs: the signature in `mpart01` is replaced by every octet value in
//! turn, which is harder on a reader than the original. `longreq` has its Via lines in one place.

use crate::admission;
use crate::error::ParseError;
use crate::header::{Contacts, HeaderName};
use crate::message::{Message, Request};

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Verdict {
    /// Goes on to the transaction layer.
    Accept,
    /// Answered with this status.
    Refuse(u16),
    /// Forgotten.
    Drop,
}
use Verdict::{Accept, Drop, Refuse};

macro_rules! torture {
    ($($section:literal $name:literal $verdict:expr;)+) => {
        const TABLE: &[(&str, &str, &[u8], Verdict)] = &[$((
            $section,
            $name,
            include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/../tests/golden/rfc4475/", $name, ".sip"
            )),
            $verdict,
        )),+];
    };
}

torture! {
    // Valid.
    "3.1.1.1" "wsinv" Accept;
    "3.1.1.2" "intmeth" Accept;
    "3.1.1.3" "esc01" Accept;
    "3.1.1.4" "escnull" Accept;
    "3.1.1.5" "esc02" Accept;
    "3.1.1.6" "lwsdisp" Accept;
    "3.1.1.7" "longreq" Accept;
    "3.1.1.8" "dblreq" Accept;
    "3.1.1.9" "semiuri" Accept;
    "3.1.1.10" "transports" Accept;
    "3.1.1.11" "mpart01" Accept;
    "3.1.1.12" "unreason" Accept;
    "3.1.1.13" "noreason" Accept;
    // Invalid. Where the RFC leaves a choice between refusing and being liberal, we refuse: a peer that is told what is
    // wrong gets mended.
    "3.1.2.1" "badinv01" Refuse(400);
    "3.1.2.2" "clerr" Refuse(400);
    "3.1.2.3" "ncl" Refuse(400);
    "3.1.2.4" "scalar02" Refuse(400);
    "3.1.2.5" "scalarlg" Drop;
    "3.1.2.6" "quotbal" Refuse(400);
    "3.1.2.7" "ltgtruri" Refuse(400);
    "3.1.2.8" "lwsruri" Refuse(400);
    "3.1.2.9" "lwsstart" Refuse(400);
    "3.1.2.10" "trws" Refuse(400);
    "3.1.2.11" "escruri" Refuse(400);
    "3.1.2.12" "baddate" Refuse(400);
    "3.1.2.13" "regbadct" Refuse(400);
    "3.1.2.14" "badaspec" Refuse(400);
    "3.1.2.15" "baddn" Refuse(400);
    "3.1.2.16" "badvers" Refuse(505);
    "3.1.2.17" "mismatch01" Refuse(400);
    "3.1.2.18" "mismatch02" Refuse(400);
    "3.1.2.19" "bigcode" Drop;
    // Transaction layer: a branch of the cookie alone is treated as one of RFC 2543.
    "3.2.1" "badbranch" Accept;
    // Application layer. What only the registrar or the authenticator can judge goes on to them.
    "3.3.1" "insuf" Refuse(400);
    "3.3.2" "unkscm" Refuse(416);
    "3.3.3" "novelsc" Refuse(416);
    "3.3.4" "unksm2" Accept;
    "3.3.5" "bext01" Refuse(420);
    "3.3.6" "invut" Refuse(415);
    "3.3.7" "regaut01" Accept;
    "3.3.8" "multi01" Refuse(400);
    "3.3.9" "mcl01" Refuse(400);
    "3.3.10" "bcast" Drop;
    "3.3.11" "zeromf" Accept;
    "3.3.12" "cparam01" Accept;
    "3.3.13" "cparam02" Accept;
    "3.3.14" "regescrt" Accept;
    "3.3.15" "sdp01" Refuse(406);
    // Backward compatibility.
    "3.4.1" "inv2543" Accept;
}

fn verdict(data: &[u8]) -> (Verdict, String) {
    match Message::parse_datagram(data) {
        Err(ParseError::Drop { why }) => (Drop, why),
        Err(ParseError::Refuse { response, why }) => (Refuse(response.status), why),
        Ok(Message::Request(request)) => match admission::check(&request) {
            Ok(()) => (Accept, String::new()),
            Err(refusal) => (Refuse(refusal.status), refusal.reason),
        },
        Ok(Message::Response(response)) => match admission::check_response(&response) {
            Ok(()) => (Accept, String::new()),
            Err(error) => (Drop, error.to_string()),
        },
    }
}

fn request(name: &str) -> Request {
    let (.., data, _) = TABLE
        .iter()
        .find(|(_, own, ..)| *own == name)
        .expect("in the table");
    match Message::parse_datagram(data) {
        Ok(Message::Request(request)) => request,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_message_gets_its_verdict() {
    assert_eq!(TABLE.len(), 49);
    let mut wrong = Vec::new();
    for (section, name, data, expected) in TABLE {
        let (got, why) = verdict(data);
        if got != *expected {
            wrong.push(format!(
                "{section} {name}: expected {expected:?}, got {got:?} ({why})"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_accepted_survives_being_written() {
    for (_, name, data, _) in TABLE.iter().filter(|row| row.3 == Accept) {
        let first = Message::parse_datagram(data).expect("accepted");
        let mut second = Message::parse_datagram(&first.to_bytes()).expect("written by us");
        // Content-Length is ours to place, and may not have been there at all.
        let mut first = first;
        for message in [&mut first, &mut second] {
            match message {
                Message::Request(request) => request.headers.remove(&HeaderName::ContentLength),
                Message::Response(response) => response.headers.remove(&HeaderName::ContentLength),
            }
        }
        assert_eq!(first, second, "{name}");
    }
}

/// Refusals go back to somebody who must recognise them: they must be readable by the rules we apply ourselves.
#[test]
fn refusals_can_be_read_back() {
    for (_, name, data, _) in TABLE {
        if let Err(ParseError::Refuse { response, .. }) = Message::parse_datagram(data) {
            let read = Message::parse_datagram(&response.to_bytes());
            assert!(matches!(read, Ok(Message::Response(_))), "{name}: {read:?}");
        }
    }
}

#[test]
fn wsinv_means_what_it_says() {
    let invite = request("wsinv");
    let headers = &invite.headers;
    assert_eq!(headers.to().unwrap().tag(), Some("1918181833n"));
    let from = headers.from().unwrap();
    assert_eq!(
        (from.display.as_deref(), from.tag()),
        (Some("J Rosenberg \\\""), Some("98asjd8"))
    );
    assert_eq!(headers.max_forwards(), Ok(Some(68)));
    assert_eq!(headers.cseq().unwrap().to_string(), "9 INVITE");
    let vias = headers.vias().unwrap();
    let branches: Vec<_> = vias.iter().map(|via| via.branch().unwrap()).collect();
    assert_eq!(branches, ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]);
    assert_eq!(
        vias[1].to_string(),
        "SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8"
    );
    assert_eq!(headers.get(&HeaderName::Subject), Some(""));
    let Contacts::List(contacts) = headers.contacts().unwrap() else {
        panic!("a star")
    };
    assert_eq!(contacts[0].display.as_deref(), Some("Quoted string \"\""));
    assert_eq!(contacts[0].params.get("q"), Some(Some("0.33")));
    assert_eq!(headers.routes().unwrap()[0].uri.param("lr"), Some(None));
    assert_eq!(
        headers.get(&HeaderName::from("newfangledheader")),
        Some("newfangled value continued newfangled value")
    );
    assert_eq!(invite.body.len(), 150);
}

#[test]
fn escapes_are_not_undone_too_early() {
    let invite = request("esc01");
    assert_eq!(
        invite.uri.user.as_deref(),
        Some("sips%3Auser%40example.com")
    );
    assert_eq!(
        invite.uri.user_decoded().as_deref(),
        Some("sips:user@example.com")
    );
    assert!(
        invite
            .headers
            .to()
            .unwrap()
            .uri
            .equivalent(&"sip:user@example.com".parse().unwrap())
    );
    let null = request("escnull");
    assert_eq!(
        null.headers.to().unwrap().uri.user_decoded().as_deref(),
        Some("null-\0-null")
    );
    // `C%6Fntact` is another header, `RE%47IST%45R` another method.
    let escaped = request("esc02");
    assert_eq!(escaped.method.to_string(), "RE%47IST%45R");
    let Contacts::List(contacts) = escaped.headers.contacts().unwrap() else {
        panic!("a star")
    };
    assert_eq!(contacts.len(), 2);
    // A header inside a Contact URI stays there.
    let Contacts::List(contacts) = request("regescrt").headers.contacts().unwrap() else {
        panic!("a star")
    };
    assert_eq!(
        contacts[0].uri.headers.as_deref(),
        Some("Route=%3Csip:sip.example.com%3E")
    );
}

#[test]
fn odd_parts_arrive_whole() {
    assert_eq!(
        request("semiuri").uri.user.as_deref(),
        Some("user;par=u%40example.net")
    );
    assert_eq!(
        request("lwsdisp")
            .headers
            .from()
            .unwrap()
            .display
            .as_deref(),
        Some("caller")
    );
    assert_eq!(request("longreq").headers.vias().unwrap().len(), 34);
    assert!(request("dblreq").body.is_empty());
    let multipart = request("mpart01");
    assert!(multipart.body.windows(4).any(|four| four == [0, 1, 2, 3]));
    let cparam = |name| match request(name).headers.contacts().unwrap() {
        Contacts::List(list) => (
            list[0].params.has("unknownparam"),
            list[0].uri.params.has("unknownparam"),
        ),
        Contacts::Star => panic!("a star"),
    };
    assert_eq!(
        (cparam("cparam01"), cparam("cparam02")),
        ((true, false), (false, true))
    );
    let refusal = admission::check(&request("bext01")).unwrap_err();
    let unsupported = "nothingSupportsThis, nothingSupportsThisEither".to_owned();
    assert_eq!(refusal.headers, [(HeaderName::Unsupported, unsupported)]);
}
