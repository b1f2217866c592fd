//! What comes out for what goes in, over UDP, where anybody may have written anybody's address on a packet: every kind of
//! datagram from somebody who has proven nothing, and all octets that follow within minutes. The table is the one that
//! `docs/strangers.md` prints.

use std::time::Duration;

use super::world::{account, server_address};
use crate::endpoint::reply::UDP_GROWTH_MAX;
use crate::endpoint::{Endpoint, EndpointConfig, Input, Output};
use crate::flow::Flow;
use crate::stun;

const PAGE: &str = include_str!("../../../../docs/strangers.md");

/// Longer than any timer of RFC 3261 that a request could start, and than our longest ringing.
const WATCHED: Duration = Duration::from_secs(300);

const OFFER: &str = "v=0\r\no=- 3987 3987 IN IP4 192.0.2.7\r\ns=call\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
                     m=audio 40000 RTP/AVP 96 9 8 0 101\r\na=rtpmap:96 opus/48000/2\r\n\
                     a=fmtp:96 useinbandfec=1\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendrecv\r\n";

/// As a phone writes it.
fn full(method: &str, uri: &str, extra: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.23:5060;branch=z9hG4bK.oSLgY3xUf;rport\r\n\
         Max-Forwards: 70\r\nFrom: \"Kitchen\" <sip:kitchen@pbx.example.net>;tag=3Jk9~a1wQ\r\n\
         To: <{uri}>\r\nCall-ID: sXk2rU0y6W@192.168.1.23\r\nCSeq: 20 {method}\r\n\
         Contact: <sip:kitchen@192.168.1.23:5060;transport=udp>;+sip.instance=\"<urn:uuid:5d4cf5a2-8b0f-4d1f>\"\r\n\
         User-Agent: Phone/5.2.0\r\nAllow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, INFO, UPDATE\r\n\
         {extra}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The least that can be answered at all.
fn bare(method: &str) -> Vec<u8> {
    format!(
        "{method} sip:h SIP/2.0\r\nv:SIP/2.0/UDP h;branch=z9hG4bKa\r\nf:<sip:a@h>;tag=1\r\nt:<sip:a@h>\r\ni:1\r\n\
         CSeq:1 {method}\r\n\r\n"
    )
    .into_bytes()
}

const URI: &str = "sip:pbx.example.net";

fn kinds() -> Vec<(String, Vec<u8>)> {
    let mut kinds: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, data: Vec<u8>| kinds.push((name.to_owned(), data));
    add("REGISTER", full("REGISTER", URI, "Expires: 3600\r\n", ""));
    let sdp = "Content-Type: application/sdp\r\n";
    add(
        "INVITE",
        full("INVITE", "sip:100@pbx.example.net", sdp, OFFER),
    );
    for method in [
        "OPTIONS",
        "MESSAGE",
        "SUBSCRIBE",
        "PUBLISH",
        "NOTIFY",
        "REFER",
        "INFO",
        "UPDATE",
        "PRACK",
        "BYE",
        "CANCEL",
        "ACK",
        "FROBNICATE",
    ] {
        add(method, full(method, URI, "", ""));
    }
    for method in [
        "REGISTER",
        "INVITE",
        "OPTIONS",
        "MESSAGE",
        "BYE",
        "ACK",
        "FROBNICATE",
    ] {
        add(&format!("{method}, as short as can be"), bare(method));
    }
    let answer = "Authorization: Digest username=\"kitchen\", realm=\"offhook\", nonce=\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", \
                  uri=\"sip:pbx.example.net\", response=\"0123456789abcdef0123456789abcdef\", algorithm=MD5, cnonce=\"x\", \
                  nc=00000001, qop=auth\r\n";
    add(
        "REGISTER with a made-up nonce",
        full("REGISTER", URI, answer, ""),
    );
    add(
        "MESSAGE with a made-up nonce",
        full("MESSAGE", URI, answer, ""),
    );
    let scanner = full("OPTIONS", URI, "", "");
    let scanner = String::from_utf8_lossy(&scanner).replace("Phone/5.2.0", "friendly-scanner");
    add("OPTIONS of a scanner", scanner.into_bytes());
    let require = format!("Require: {}\r\n", ["x"; 60].join(", "));
    add(
        "sixty extensions required",
        full("OPTIONS", URI, &require, ""),
    );
    let vias = "Via: SIP/2.0/UDP a;branch=z9hG4bKb\r\n".repeat(60);
    add("sixty Vias", full("OPTIONS", URI, &vias, ""));
    let wrong = |from: &str, to: &str| {
        let request = full("INVITE", "sip:100@pbx.example.net", sdp, OFFER);
        String::from_utf8_lossy(&request)
            .replace(from, to)
            .into_bytes()
    };
    add("another version", wrong("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"));
    add("no Call-ID", wrong("Call-ID", "Call-It"));
    add("CSeq of another method", wrong("20 INVITE", "20 BYE"));
    add(
        "longer than it says",
        wrong("Content-Length: 2", "Content-Length: 9"),
    );
    add(
        "a body that nobody reads",
        wrong("application/sdp", "text/html"),
    );
    add(
        "a scheme of its own",
        full("OPTIONS", "nobody:knows", "", ""),
    );
    let mut ack = bare("ACK");
    ack.extend(b"x".repeat(400));
    add("ACK that is no SIP", ack);
    add("not SIP", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec());
    add("1,400 octets of nothing", vec![0; 1_400]);
    add(
        "a first line and no more",
        b"INVITE sip:100@h SIP/2.0\r\n\r\n".to_vec(),
    );
    for status in ["100 Trying", "200 OK", "401 Unauthorized"] {
        let response = full("INVITE", URI, "", "");
        let text = String::from_utf8_lossy(&response).into_owned();
        let (_, rest) = text.split_once("\r\n").expect("lines");
        add(
            &format!("response {status}"),
            format!("SIP/2.0 {status}\r\n{rest}").into_bytes(),
        );
    }
    add("line end", b"\r\n".to_vec());
    add("two line ends", b"\r\n\r\n".to_vec());
    let binding = crate::fuzz::STUN_REQUEST.to_vec();
    add("STUN Binding request", binding.clone());
    let mut unknown = binding.clone();
    unknown[3] = 16;
    unknown.extend(b"\x00\x03\x00\x04\x00\x00\x00\x06\x00\x05\x00\x04\x00\x00\x00\x00");
    add("STUN with attributes unknown", unknown);
    let mut indication = binding.clone();
    indication[1] = 0x11;
    add("STUN indication", indication);
    let mut success = binding;
    success[0] = 1;
    add("STUN response", success);
    add(
        "DTLS",
        b"\x16\xfe\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40".to_vec(),
    );
    kinds
}

/// One datagram to an endpoint of its own, from an address nobody knows: the sizes of all that follows.
fn answered(data: &[u8], remote: &str) -> Vec<usize> {
    let start = crate::testing::start();
    let mut endpoint = Endpoint::new(EndpointConfig::default(), [5; 32], start, 1_000_000);
    endpoint.set_users(vec![account("kitchen")]);
    let flow = Flow::udp(server_address(), remote.parse().expect("address"));
    endpoint.handle(start, Input::Datagram { flow, data });
    let mut sizes = Vec::new();
    loop {
        while let Some(output) = endpoint.poll_output() {
            match output {
                Output::Datagram { flow: to, data } => {
                    assert_eq!(
                        to.remote.ip(),
                        flow.remote.ip(),
                        "answers go where questions came from"
                    );
                    sizes.push(data.len());
                }
                Output::Log(_) => {}
                other => panic!("a stranger caused {other:?}"),
            }
        }
        match endpoint.next_timeout() {
            Some(at) if at <= start + WATCHED => endpoint.handle(at, Input::Timeout),
            _ => return sizes,
        }
    }
}

#[test]
fn nobody_gets_more_than_the_protocol_needs() {
    let mut rows = Vec::new();
    for (name, data) in kinds() {
        for remote in ["198.51.100.9:5060", "[2001:db8::9]:5060"] {
            let sizes = answered(&data, remote);
            let total: usize = sizes.iter().sum();
            assert!(
                sizes.len() <= 1,
                "{name}: an answer, and never again: {sizes:?}"
            );
            let bound = match stun::is_stun(&data) {
                true => data.len() + stun::GROWTH_MAX,
                false => data.len() * UDP_GROWTH_MAX,
            };
            assert!(total <= bound, "{name}: {total} octets for {}", data.len());
            if remote.starts_with('1') {
                let factor = total as f64 / data.len() as f64;
                rows.push(format!(
                    "| {name} | {} | {total} | {factor:.2} |",
                    data.len()
                ));
            }
        }
    }
    let table = rows.join("\n");
    assert!(
        PAGE.contains(&table),
        "docs/strangers.md should have:\n{table}"
    );
}

/// What would be longer comes shorter, or not at all.
#[test]
fn short_questions_get_short_answers_or_none() {
    let remote = "198.51.100.9:5060";
    for (method, is_answered) in [("REGISTER", true), ("INVITE", true), ("ACK", false)] {
        assert_eq!(
            !answered(&bare(method), remote).is_empty(),
            is_answered,
            "{method}"
        );
    }
    // Named as a phone that knows SHA-256: with two challenges it would be too long.
    let text = String::from_utf8(bare("REGISTER")).expect("text");
    let named = text
        .replace("\r\n\r\n", "\r\nUser-Agent:P\r\n\r\n")
        .into_bytes();
    let [size] = answered(&named, remote)[..] else {
        panic!("one answer")
    };
    assert!(size <= named.len() * UDP_GROWTH_MAX);
    // Long enough, it gets both.
    let padded = text.replace(
        "\r\n\r\n",
        &format!("\r\nUser-Agent:P{}\r\n\r\n", "x".repeat(90)),
    );
    let [long] = answered(padded.as_bytes(), remote)[..] else {
        panic!("one answer")
    };
    assert!(long > size + 90, "{long} {size}");
}
