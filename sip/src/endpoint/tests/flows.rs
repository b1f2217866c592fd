//! The ways between us and a phone: WebSocket frames, connections kept for a registration, RFC 5626, STUN on the SIP port,
//! and the addresses we call ourselves by.

use super::peer::{Peer, register, request, status_of};
use crate::endpoint::{Advertised, EndpointConfig, Input, Output};
use crate::flow::{ConnId, Flow, Transport};
use crate::header::HeaderName;
use crate::message::{Message, Request};

const OUTBOUND: &str = "Supported: path, outbound\n\
     Contact: <sip:phone1@192.0.2.7:5062>;reg-id=1;+sip.instance=\"<urn:uuid:0001>\"\nExpires: 600";

fn opened(transport: Transport, config: EndpointConfig) -> Peer {
    let mut peer = Peer::new(config);
    let local = super::world::server_address();
    let remote = "192.0.2.7:4000".parse().expect("an address");
    peer.flow = Flow::stream(transport, local, remote, ConnId(1));
    peer.endpoint
        .handle(peer.now, Input::StreamOpened { flow: peer.flow });
    peer.drain();
    peer
}

/// The request as a phone on this transport writes it.
fn over(transport: Transport, mut request: Request) -> Request {
    let via = format!(
        "SIP/2.0/{} df7jal23ls0d.invalid;branch=z9hG4bKa;rport",
        transport.via_token()
    );
    request.headers.set(HeaderName::Via, via);
    request
}

#[test]
fn a_frame_of_a_web_socket_is_a_message() {
    let mut peer = opened(Transport::Wss, EndpointConfig::default());
    let mut options = over(Transport::Wss, request("OPTIONS sip:192.0.2.1", "a", ""));
    // RFC 7118 §5: no Content-Length is needed; a body is what is left of the frame.
    options.headers.remove(&HeaderName::ContentLength);
    assert_eq!(peer.statuses(&options), [200]);
    // Half a message is a whole frame, and wrong; the next frame starts afresh.
    peer.send(b"OPTIONS sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/WSS a.inv");
    peer.send(&[0xff; 300]);
    let mut again = over(Transport::Wss, request("OPTIONS sip:192.0.2.1", "b", ""));
    again.headers.set(HeaderName::CallId, "again");
    peer.take();
    assert_eq!(peer.statuses(&again), [200]);
    assert!(peer.closed.is_empty());
    // Keep-alive of RFC 5626 in frames, RFC 7118 §6.
    peer.endpoint.handle(
        peer.now,
        Input::StreamData {
            conn: ConnId(1),
            data: b"\r\n\r\n",
        },
    );
    let pong = peer.endpoint.poll_output();
    assert!(
        matches!(&pong, Some(Output::StreamData { data, .. }) if data == b"\r\n"),
        "{pong:?}"
    );
    assert!(peer.endpoint.poll_output().is_none());
    // A STUN request is for UDP.
    peer.send(&crate::fuzz::STUN_REQUEST);
    assert!(peer.take().is_empty());
}

#[test]
fn a_connection_lives_as_long_as_its_registration() {
    let config = || EndpointConfig {
        expires_s_max: 86_400,
        ..EndpointConfig::default()
    };
    for transport in [
        Transport::Tcp,
        Transport::Tls,
        Transport::Ws,
        Transport::Wss,
    ] {
        let mut peer = opened(transport, config());
        let day = request("REGISTER sip:192.0.2.1", "a", "Expires: 86400");
        assert_eq!(peer.ask_as("phone1", over(transport, day)).status, 200);
        // Not a byte all day: nothing asks the phone to say anything.
        peer.wait_ms(86_400_000);
        assert!(peer.closed.is_empty(), "{transport}");
        peer.wait_ms(60_000);
        assert_eq!(peer.closed, [ConnId(1)], "{transport}");
    }
}

#[test]
fn a_phone_that_manages_flows_is_told_how() {
    let timer = HeaderName::from("Flow-Timer");
    for (transport, extra, is_told, has_timer) in [
        (Transport::Udp, OUTBOUND, true, false),
        (Transport::Tcp, OUTBOUND, true, true),
        (Transport::Wss, OUTBOUND, true, true),
        // An instance alone is no flow, and neither helps who does not say that it can.
        (
            Transport::Tcp,
            "Supported: outbound\nExpires: 600",
            false,
            false,
        ),
        (
            Transport::Tcp,
            "Contact: <sip:phone1@192.0.2.7:5062>;reg-id=1;+sip.instance=\"<urn:uuid:0001>\"",
            false,
            false,
        ),
    ] {
        let mut peer = match transport {
            Transport::Udp => Peer::new(EndpointConfig::default()),
            _ => opened(transport, EndpointConfig::default()),
        };
        let request = over(transport, request("REGISTER sip:192.0.2.1", "a", extra));
        let accepted = peer.ask_as("phone1", request);
        assert_eq!(accepted.status, 200);
        let required = accepted.headers.option_tags(&HeaderName::Require);
        assert_eq!(
            required.is_ok_and(|tags| tags == ["outbound"]),
            is_told,
            "{extra}"
        );
        assert_eq!(accepted.headers.has(&timer), has_timer, "{transport}");
    }
    // Behind a proxy the flow is the proxy's.
    let mut peer = opened(Transport::Tcp, EndpointConfig::default());
    let mut request = over(
        Transport::Tcp,
        request("REGISTER sip:192.0.2.1", "a", OUTBOUND),
    );
    request
        .headers
        .push(HeaderName::Via, "SIP/2.0/TCP 192.0.2.9;branch=z9hG4bKp");
    let accepted = peer.ask_as("phone1", request);
    assert!(!accepted.headers.has(&HeaderName::Require) && !accepted.headers.has(&timer));
}

/// From Wi-Fi to mobile: another address, another connection, the same phone.
#[test]
fn a_phone_that_moved_is_found_where_it_is() {
    let mut peer = opened(Transport::Tcp, EndpointConfig::default());
    let first = over(
        Transport::Tcp,
        request("REGISTER sip:192.0.2.1", "a", OUTBOUND),
    );
    assert_eq!(peer.ask_as("phone1", first).status, 200);
    peer.from("198.51.100.9:40000");
    let moved = OUTBOUND.replace("192.0.2.7:5062", "198.51.100.9:40000");
    let mut moved = request("REGISTER sip:192.0.2.1", "b", &moved);
    moved.headers.set(HeaderName::CallId, "moved");
    assert_eq!(peer.ask_as("phone1", moved).status, 200);
    let bindings = peer.endpoint.bindings("phone1", peer.now);
    assert_eq!(bindings.len(), 1, "the old flow is replaced");
    assert_eq!(bindings[0].flow, peer.flow);
    // The connection left behind dies later, and takes nothing with it.
    let conn = ConnId(1);
    peer.endpoint.handle(peer.now, Input::StreamClosed { conn });
    peer.drain();
    assert_eq!(peer.endpoint.bindings("phone1", peer.now), bindings);
}

/// An authenticated request from elsewhere is proof of where its phone is: calls find it there at once.
#[test]
fn a_phone_that_moved_is_found_at_its_next_request() {
    let instance = "Contact: <sip:phone1@10.0.0.9:5060>;+sip.instance=\"<urn:uuid:0001>\"";
    let other = "Contact: <sip:phone1@10.0.0.9:5060>;+sip.instance=\"<urn:uuid:0002>\"";
    let same_uri = "Contact: <sip:phone1@192.0.2.7:5062>";
    let another_uri = "Contact: <sip:phone1@10.0.0.9:5060>";
    for (registered, moved, is_found) in [
        (OUTBOUND, instance, true),
        (OUTBOUND, other, false),
        (OUTBOUND, same_uri, true),
        (OUTBOUND, another_uri, false),
        ("Expires: 600", same_uri, true),
        ("Expires: 600", instance, false),
    ] {
        for (method, answered) in [("INVITE", 100), ("OPTIONS", 200), ("SUBSCRIBE", 489)] {
            // Another network, and another port of the same one.
            for from in ["198.51.100.9:40000", "192.0.2.7:40000"] {
                let mut peer = Peer::new(EndpointConfig::default());
                let first = request("REGISTER sip:192.0.2.1", "a", registered);
                assert_eq!(peer.ask_as("phone1", first).status, 200);
                let before = peer.endpoint.bindings("phone1", peer.now);
                peer.order.clear();
                peer.from(from);
                let mut asked = request(&format!("{method} sip:100@192.0.2.1"), "b", moved);
                asked.headers.set(HeaderName::CallId, "moved");
                if method == "INVITE" {
                    asked.set_body("application/sdp", super::world::OFFER);
                }
                // Nothing moves for a request that proves nothing, nor for a wrong answer.
                let challenged = peer.ask(&asked);
                if method != "INVITE" {
                    assert_eq!(challenged.status, answered);
                    // What is challenged only where it brings an answer: one to an old nonce, from before.
                    let stale = "Digest username=\"phone1\", realm=\"offhook\", nonce=\"x\", uri=\"sip:100@192.0.2.1\", \
                                 response=\"00\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"a\"";
                    asked.headers.set(HeaderName::Authorization, stale);
                }
                peer.send(b"\r\n\r\n");
                peer.send(&crate::fuzz::STUN_REQUEST[..4]);
                assert_eq!(peer.endpoint.bindings("phone1", peer.now), before);
                let response = peer.ask_as("phone1", asked);
                assert_eq!(response.status, answered, "{method}");
                let found = peer.endpoint.bindings("phone1", peer.now);
                assert_eq!(found.len(), 1);
                let expected = if is_found { peer.flow } else { before[0].flow };
                assert_eq!(found[0].flow, expected, "{method} {registered} {moved}");
                assert_eq!(found[0].contact, before[0].contact);
                assert_eq!(found[0].expires_unix_ms, before[0].expires_unix_ms);
                let saves = peer.order.iter().filter(|word| **word == "save").count();
                assert_eq!(saves, usize::from(is_found), "on disk, too");
            }
        }
    }
}

/// A phone that registered over a connection and calls over a new one; and what its other flows have to say to that.
#[test]
fn the_flow_that_broke_is_the_one_that_moves() {
    let mut peer = opened(Transport::Tcp, EndpointConfig::default());
    let register = |reg_id: u32, branch: &str| {
        let extra = OUTBOUND.replace("reg-id=1", &format!("reg-id={reg_id}"));
        let mut register = request("REGISTER sip:192.0.2.1", branch, &extra);
        register
            .headers
            .set(HeaderName::CallId, format!("reg{reg_id}"));
        over(Transport::Tcp, register)
    };
    let open = |peer: &mut Peer, conn: u64| {
        let remote = format!("192.0.2.7:{}", 4000 + conn)
            .parse()
            .expect("an address");
        peer.flow = Flow::stream(
            Transport::Tcp,
            super::world::server_address(),
            remote,
            ConnId(conn),
        );
        peer.endpoint
            .handle(peer.now, Input::StreamOpened { flow: peer.flow });
        peer.drain();
    };
    let first_flow = peer.flow;
    assert_eq!(peer.ask_as("phone1", register(1, "a")).status, 200);
    open(&mut peer, 2);
    assert_eq!(peer.ask_as("phone1", register(2, "b")).status, 200);
    let second_flow = peer.flow;
    let flows = |peer: &Peer| {
        let bindings = peer.endpoint.bindings("phone1", peer.now);
        bindings
            .into_iter()
            .map(|binding| binding.flow)
            .collect::<Vec<_>>()
    };
    let call = |branch: &str| {
        let mut invite = over(Transport::Tcp, super::peer::invite(branch));
        let contact = "<sip:phone1@192.0.2.7:5062;ob>;+sip.instance=\"<urn:uuid:0001>\"";
        invite.headers.set(HeaderName::Contact, contact);
        invite
            .headers
            .set(HeaderName::CallId, format!("call{branch}"));
        let via = format!("SIP/2.0/TCP df7jal23ls0d.invalid;branch=z9hG4bK{branch};rport");
        invite.headers.set(HeaderName::Via, via);
        invite
    };
    // Over one of its flows: nothing to move.
    assert_eq!(peer.ask_as("phone1", call("c")).status, 100);
    assert_eq!(flows(&peer), [first_flow, second_flow]);
    // Over a third, while both stand: it cannot be told which.
    open(&mut peer, 3);
    assert_eq!(peer.ask_as("phone1", call("d")).status, 100);
    assert_eq!(flows(&peer), [first_flow, second_flow]);
    // One broke: that one.
    let conn = ConnId(1);
    peer.endpoint.handle(peer.now, Input::StreamClosed { conn });
    peer.drain();
    peer.take();
    open(&mut peer, 4);
    assert_eq!(peer.ask_as("phone1", call("e")).status, 100);
    assert_eq!(flows(&peer), [peer.flow, second_flow]);
    // The connection lives as long as what moved to it.
    peer.wait_ms(600_000);
    assert!(!peer.closed.contains(&ConnId(4)));
}

/// Through a proxy, or over another transport than it registered by, a phone may well be where it was.
#[test]
fn what_says_nothing_of_the_way_moves_nothing() {
    for (transport, vias) in [(Transport::Udp, 2), (Transport::Tcp, 1)] {
        let mut peer = Peer::new(EndpointConfig::default());
        let first = request("REGISTER sip:192.0.2.1", "a", "Expires: 600");
        assert_eq!(peer.ask_as("phone1", first).status, 200);
        let before = peer.endpoint.bindings("phone1", peer.now);
        match transport {
            Transport::Udp => peer.from("198.51.100.9:40000"),
            _ => {
                let remote = "192.0.2.7:4000".parse().expect("an address");
                let local = super::world::server_address();
                peer.flow = Flow::stream(transport, local, remote, ConnId(1));
                peer.endpoint
                    .handle(peer.now, Input::StreamOpened { flow: peer.flow });
                peer.drain();
            }
        }
        let mut invite = super::peer::invite("b");
        if vias == 2 {
            invite
                .headers
                .push(HeaderName::Via, "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKp");
        } else {
            invite = over(transport, invite);
        }
        assert_eq!(peer.ask_as("phone1", invite).status, 100);
        assert_eq!(peer.endpoint.bindings("phone1", peer.now), before);
    }
}

/// A phone that names its instance and no flow: its new Contact takes the place of the old one.
#[test]
fn an_instance_has_one_contact() {
    let mut peer = Peer::new(EndpointConfig::default());
    let mut registered = |from: &str, contacts: &str, cseq: u32, transport: Transport| {
        peer.from(from);
        let extra = format!("{contacts}\nExpires: 600\nCSeq: {cseq} REGISTER");
        let register = request("REGISTER sip:192.0.2.1", &format!("a{cseq}"), &extra);
        assert_eq!(transport, Transport::Udp);
        assert_eq!(peer.ask_as("phone1", register).status, 200);
        let bindings = peer.endpoint.bindings("phone1", peer.now);
        bindings
            .into_iter()
            .map(|binding| binding.contact)
            .collect::<Vec<_>>()
    };
    let named = |host: &str| format!("<sip:phone1@{host}>;+sip.instance=\"<urn:uuid:0001>\"");
    let mut register = |from: &str, contacts: &[String], cseq: u32| {
        registered(
            from,
            &format!("Contact: {}", contacts.join(", ")),
            cseq,
            Transport::Udp,
        )
    };
    let (wifi, mobile) = ("192.0.2.7:5062", "198.51.100.9:40000");
    assert_eq!(
        register(wifi, &[named(wifi)], 1),
        [format!("sip:phone1@{wifi}")]
    );
    assert_eq!(
        register(mobile, &[named(mobile)], 10),
        [format!("sip:phone1@{mobile}")]
    );
    // Another phone of the same user is another phone.
    let other = "<sip:phone1@192.0.2.8:5060>;+sip.instance=\"<urn:uuid:0002>\"".to_owned();
    assert_eq!(register("192.0.2.8:5060", &[other], 20).len(), 2);
    // Two contacts of one REGISTER are meant as two; taking back one that is not there takes back nothing.
    let third = named("192.0.2.7:7000");
    assert_eq!(register(mobile, &[named(mobile), third], 30).len(), 3);
    let gone = format!("{};expires=0", named("192.0.2.99:1"));
    assert_eq!(register(mobile, &[gone], 40).len(), 3);
}

#[test]
fn stun_on_the_sip_port() {
    let mut peer = Peer::new(EndpointConfig::default());
    let data = crate::fuzz::STUN_REQUEST;
    let flow = peer.flow;
    let mut answers = 0;
    for _ in 0..1_000 {
        peer.endpoint
            .handle(peer.now, Input::Datagram { flow, data: &data });
        while let Some(output) = peer.endpoint.poll_output() {
            let Output::Datagram {
                flow: to,
                data: answer,
            } = output
            else {
                panic!("{output:?}")
            };
            assert_eq!(
                (to, Some(answer)),
                (flow, crate::stun::answer(&data, flow.remote))
            );
            answers += 1;
        }
    }
    // A flood of them is a flood.
    assert!(answers > 0 && answers < 1_000, "{answers}");
}

#[test]
fn we_are_called_what_the_world_calls_us() {
    let ip = |text: &str| text.parse().expect("an address");
    let config = || EndpointConfig {
        domains: vec!["pbx.example".to_owned()],
        advertised: vec![
            Advertised {
                local: ip("10.0.0.5"),
                outside: ip("203.0.113.9"),
            },
            Advertised {
                local: ip("fd00::5"),
                outside: ip("2001:db8::9"),
            },
        ],
        ..EndpointConfig::default()
    };
    for (local, remote, named, expected) in [
        (
            "10.0.0.5:5060",
            "198.51.100.1:5062",
            "203.0.113.9",
            "203.0.113.9:5060",
        ),
        (
            "10.0.0.5:5060",
            "198.51.100.1:5062",
            "10.0.0.5",
            "203.0.113.9:5060",
        ),
        (
            "127.0.0.1:5060",
            "127.0.0.1:5062",
            "127.0.0.1",
            "127.0.0.1:5060",
        ),
        (
            "[fd00::5]:5060",
            "[fd00::7]:5062",
            "[2001:db8::9]",
            "[2001:db8::9]:5060",
        ),
        // A socket for both families, and a link-local peer: no wrapping and no zone gets out.
        (
            "[::ffff:10.0.0.5]:5060",
            "[::ffff:10.0.0.7]:5062",
            "203.0.113.9",
            "203.0.113.9:5060",
        ),
        (
            "[fe80::5%3]:5060",
            "[fe80::7%3]:5062",
            "[fe80::5]",
            "[fe80::5]:5060",
        ),
    ] {
        let mut peer = Peer::new(config());
        let address = |text: &str| {
            text.parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"))
        };
        peer.flow = Flow::udp(address(local), address(remote));
        let mut invite = super::peer::invite("a");
        invite.uri = format!("sip:100@{named}").parse().expect("a URI");
        assert_eq!(peer.ask_as("phone1", invite).status, 100, "{named}");
        let Some(crate::Event::IncomingCall { call, .. }) = peer.events.pop() else {
            panic!("no call")
        };
        let ringing = peer.endpoint.provisional(peer.now, call, 180, None);
        assert_eq!(ringing, Ok(()));
        peer.drain();
        let (_, message) = peer.take().pop().expect("a response");
        assert_eq!(status_of(&message), Some(180));
        let Message::Response(response) = message else {
            unreachable!("it has a status")
        };
        let contact = response.headers.get(&HeaderName::Contact);
        assert_eq!(
            contact,
            Some(format!("<sip:100@{expected}>").as_str()),
            "{local}"
        );
        // Our name is none of anybody else's.
        let mut other = register("c");
        other.uri = "sip:198.51.100.77".parse().expect("a URI");
        assert_eq!(peer.statuses(&other), [404]);
    }
}
