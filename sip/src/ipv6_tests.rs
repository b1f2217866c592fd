//! The cases of RFC 5118 §4: IPv6 addresses in SIP and in SDP, well and badly written, and what becomes of each before any
//! user, dialog or transaction is asked. The messages are our own, with the trouble of each case in the same place.

use std::net::SocketAddr;

use crate::admission;
use crate::error::ParseError;
use crate::message::Message;
use crate::offer_answer::{self, AudioCodec, LocalMedia, LocalSecurity};
use crate::relayed::{self, RelayLocal};
use crate::sdp::{Connection, Session};
use crate::uri::Uri;

/// A request with this Request-URI, Via, Contact and Call-ID.
fn message(uri: &str, via: &str, contact: &str) -> String {
    format!(
        "REGISTER {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nTo: <sip:user@example.com>\r\n\
         From: <sip:user@example.com>;tag=81x2\r\nCall-ID: SSG9559905523997077@hlau_4100\r\n\
         Contact: {contact}\r\nCSeq: 98176 REGISTER\r\nContent-Length: 0\r\n\r\n"
    )
}

const VIA: &str = "SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111";
const CONTACT: &str = "\"Caller\" <sip:caller@[2001:db8::1]>";

/// `Ok` goes on; `Err` is answered with this status, 0 is forgotten.
fn verdict(text: &str) -> Result<(), u16> {
    match Message::parse_datagram(text.as_bytes()) {
        Err(ParseError::Drop { .. }) => Err(0),
        Err(ParseError::Refuse { response, .. }) => Err(response.status),
        Ok(Message::Request(request)) => {
            admission::check(&request).map_err(|refusal| refusal.status)
        }
        Ok(Message::Response(_)) => panic!("a request"),
    }
}

#[test]
fn addresses_in_every_place() {
    let rows = [
        // §4.1: valid, with the reference in its brackets.
        ("sip:[2001:db8::10]", VIA, CONTACT, Ok(())),
        // §4.2: without brackets nobody can tell a port from an address.
        ("sip:2001:db8::10", VIA, CONTACT, Err(400)),
        // §4.3: inside the brackets what looks like a port is part of the address.
        ("sip:[2001:db8::10:5070]", VIA, CONTACT, Ok(())),
        // §4.4: outside of them it is one.
        ("sip:[2001:db8::10]:5070", VIA, CONTACT, Ok(())),
        // §4.5: `received` is written with and without brackets by peers, and read both ways.
        (
            "sip:[2001:db8::10]",
            "SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111",
            CONTACT,
            Ok(()),
        ),
        (
            "sip:[2001:db8::10]",
            "SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3",
            CONTACT,
            Ok(()),
        ),
        // §4.7: both families in one header.
        (
            "sip:user@example.com",
            "SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111, SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144",
            CONTACT,
            Ok(()),
        ),
        // §4.9: mapped addresses, without a scope.
        (
            "sip:[::ffff:192.0.2.10]:19823",
            VIA,
            "\"T\" <sip:t@[::ffff:192.0.2.2]>",
            Ok(()),
        ),
        // §4.10: one colon too many, which the grammar of RFC 3261 asked for by mistake, is read nonetheless.
        ("sip:[2001:db8:::192.0.2.1]", VIA, CONTACT, Ok(())),
        ("sip:[2001:db8::192.0.2.1]", VIA, CONTACT, Ok(())),
        (
            "sip:[2001:db8::10]",
            "SIP/2.0/UDP [2001:db8:::192.0.2.1]:5062;branch=z9hG4bKas3",
            "<sip:c@[2001:db8:::192.0.2.1]:5062>",
            Ok(()),
        ),
        // Not where no IPv4 address follows, nor where the address has its two colons already.
        ("sip:[2001:db8:::10]", VIA, CONTACT, Err(400)),
        ("sip:[2001:db8::::192.0.2.1]", VIA, CONTACT, Err(400)),
        ("sip:[2001::db8:::192.0.2.1]", VIA, CONTACT, Err(400)),
        ("sip:[2001:db8:::192.0.2]", VIA, CONTACT, Err(400)),
        // The same mistakes elsewhere.
        (
            "sip:[2001:db8::10]",
            "SIP/2.0/UDP 2001:db8::9:1;branch=z9hG4bKas3",
            CONTACT,
            Err(400),
        ),
        (
            "sip:[2001:db8::10]",
            VIA,
            "<sip:caller@2001:db8::1>",
            Err(400),
        ),
        ("sip:[2001:db8::10", VIA, CONTACT, Err(400)),
        ("sip:[]", VIA, CONTACT, Err(400)),
    ];
    for (uri, via, contact, expected) in rows {
        let found = verdict(&message(uri, via, contact));
        assert_eq!(found, expected, "{uri} {via} {contact}");
    }
}

#[test]
fn ports_and_addresses_are_told_apart() {
    for (uri, host, port) in [
        ("sip:[2001:db8::10:5070]", "[2001:db8::10:5070]", None),
        ("sip:[2001:db8::10]:5070", "[2001:db8::10]", Some(5070)),
        // §4.10: what is written again is written right.
        (
            "sip:[2001:db8:::192.0.2.1]:5070",
            "[2001:db8::c000:201]",
            Some(5070),
        ),
    ] {
        let Ok(Message::Request(request)) =
            Message::parse_datagram(message(uri, VIA, CONTACT).as_bytes())
        else {
            panic!("{uri}");
        };
        assert_eq!(request.uri.host.to_string(), host);
        assert_eq!(request.uri.port, port);
    }
}

/// §4.10: one address, however many colons it was written with.
#[test]
fn an_extra_colon_makes_no_other_address() {
    let uri = |text: &str| text.parse::<Uri>().expect("a URI");
    let wrong = uri("sip:user@[2001:db8:::192.0.2.1]");
    let right = uri("sip:user@[2001:db8::192.0.2.1]");
    assert!(wrong.equivalent(&right));
    assert_eq!(wrong.host.ip(), "2001:db8::c000:201".parse().ok());
}

/// Descriptions, and where they say that the sound goes: section by section, `None` where it cannot be told.
const DESCRIPTIONS: [(&str, &str, &[Option<&str>]); 7] = [
    // §4.6: everything in IPv6.
    (
        "o=assistant 9717 0 IN IP6 2001:db8::20\r\ns=-\r\nc=IN IP6 2001:db8::20\r\nt=3338481189 3370017201\r\n\
         m=audio 6000 RTP/AVP 0\r\nm=video 6024 RTP/AVP 107\r\na=rtpmap:107 H263-1998/90000\r\n",
        "2001:db8::20",
        &[Some("[2001:db8::20]:6000"), Some("[2001:db8::20]:6024")],
    ),
    // §4.8: a name for an origin, one family for the sound and the other for the picture.
    (
        "o=bob 2807 2897 IN IP4 host.example.com\r\ns=\r\nt=0 0\r\nm=audio 22334 RTP/AVP 0\r\n\
         c=IN IP4 192.0.2.1\r\nm=video 6024 RTP/AVP 107\r\nc=IN IP6 2001:db8::1\r\n\
         a=rtpmap:107 H263-1998/90000\r\n",
        "",
        &[Some("192.0.2.1:22334"), Some("[2001:db8::1]:6024")],
    ),
    // The same the other way round, and over a session-wide line of the other family.
    (
        "o=bob 2807 2897 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 22334 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\n",
        "192.0.2.1",
        &[Some("[2001:db8::1]:22334")],
    ),
    // §4.9: mapped addresses. To send to one is to send to the IPv4 address in it.
    (
        "o=tedd 2807 2897 IN IP6 ::ffff:192.0.2.2\r\ns=-\r\nc=IN IP6 ::ffff:192.0.2.2\r\nt=0 0\r\n\
         m=audio 6000 RTP/AVP 0\r\n",
        "::ffff:192.0.2.2",
        &[Some("[::ffff:192.0.2.2]:6000")],
    ),
    // SDP knows no brackets, and phones write them.
    (
        "o=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 [2001:db8::1]\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n",
        "2001:db8::1",
        &[Some("[2001:db8::1]:6000")],
    ),
    // RFC 3264 §5.1, RFC 6157 §3.3: nobody to send to yet, in either family.
    (
        "o=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 ::\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n",
        "::",
        &[None],
    ),
    // RTCP of its own address and family, RFC 3605 §2.1.
    (
        "o=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n\
         a=rtcp:53020 IN IP6 2001:db8::2\r\n",
        "2001:db8::1",
        &[Some("[2001:db8::1]:6000")],
    ),
];

fn description(lines: &str) -> String {
    format!("v=0\r\n{lines}")
}

#[test]
fn addresses_in_descriptions() {
    for (lines, of_session, sections) in DESCRIPTIONS {
        let text = description(lines);
        let session = Session::parse(&text).unwrap_or_else(|error| panic!("{lines}: {error}"));
        let connection = session.connection.as_ref().and_then(Connection::ip);
        assert_eq!(connection, of_session.parse().ok(), "{lines}");
        assert_eq!(session.media.len(), sections.len());
        let again = Session::parse(&session.to_string()).expect("what we write can be read");
        assert_eq!(again.to_string(), session.to_string());
    }
}

/// As a request brings it, as we answer it, and as it is passed on to another phone: the first section's address.
#[test]
fn descriptions_are_answered_and_passed_on() {
    for local in ["2001:db8::99", "192.0.2.99"] {
        let ip = local.parse().expect("an address");
        for (lines, _, sections) in DESCRIPTIONS {
            let offer = description(lines);
            let message = format!(
                "INVITE sip:user@[2001:db8::10] SIP/2.0\r\nVia: {VIA}\r\nMax-Forwards: 70\r\n\
                 To: sip:user@[2001:db8::10]\r\nFrom: sip:user@example.com;tag=81x2\r\nCall-ID: SSG95\r\n\
                 Contact: {CONTACT}\r\nCSeq: 8612 INVITE\r\nContent-Type: application/sdp\r\n\
                 Content-Length: {}\r\n\r\n{offer}",
                offer.len()
            );
            assert_eq!(verdict(&message), Ok(()), "{lines}");
            let expected: Option<SocketAddr> =
                sections[0].map(|at| at.parse().expect("an address"));
            let media = LocalMedia {
                codecs: vec![AudioCodec::Pcmu],
                ..LocalMedia::new(ip, 40_000)
            };
            let (answer, negotiated) =
                offer_answer::answer(&offer, &media).expect("PCMU in common");
            assert_eq!(negotiated.remote_rtp, expected, "{lines}");
            let family = if local.contains(':') { "IP6" } else { "IP4" };
            assert!(
                answer.contains(&format!("c=IN {family} {local}\r\n")),
                "{answer}"
            );
            let relay = RelayLocal {
                address: ip,
                ports: vec![40_000; sections.len()],
                session_id: 1,
                session_version: 1,
                rtcp_mux: false,
                security: LocalSecurity::default(),
                extra_codecs: Vec::new(),
            };
            let none = LocalSecurity::default();
            let passed =
                relayed::rewrite_offer(&offer, &none, &relay).expect("it can be passed on");
            let passed = Session::parse(&passed).expect("what we write can be read");
            assert_eq!(passed.media.len(), sections.len());
            assert_eq!(
                passed.connection.as_ref().and_then(Connection::ip),
                Some(ip)
            );
            let of_them = |at: &str| passed.to_string().contains(&format!(" {at}\r\n"));
            assert!(
                !of_them("2001:db8::20") && !of_them("192.0.2.1") && !of_them("2001:db8::2"),
                "{passed}"
            );
        }
    }
}
