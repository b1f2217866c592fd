//! The cases of RFC 5118 §4: IPv6 addresses in SIP, well and badly written, and what becomes of each before any user,
//! dialog or transaction is asked. The descriptions of §4.6, §4.8 and §4.10 are read by the offer's own tests.

use crate::admission;
use crate::error::ParseError;
use crate::message::Message;

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
        // §4.10: one colon too many, which the grammar of RFC 3261 allowed by mistake.
        ("sip:[2001:db8:::192.0.2.1]", VIA, CONTACT, Err(400)),
        ("sip:[2001:db8::192.0.2.1]", VIA, CONTACT, Ok(())),
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
