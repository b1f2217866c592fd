//! Texts to us and from us: who may write, when they are answered, and that the same text is the same request.

use super::peer::{Peer, invite, register, request, status_of};
use super::raw::{inside, last_request, standing, story};
use super::world::{PASSWORD, server_address};
use crate::endpoint::{Caller, EndpointConfig, Event, TextError, TextKey, TextParams};
use crate::flow::{FlowTarget, Transport};
use crate::header::{HeaderName, NameAddr};
use crate::message::{Message, Request, Response};
use crate::trunk::Trunk;

fn text(branch: &str, body: &str) -> Request {
    let extra = format!("To: <sip:100@192.0.2.1>\nContent-Type: text/plain\n\n{body}");
    request("MESSAGE sip:100@192.0.2.1", branch, &extra)
}

/// A text that waits for an answer: its key, and the request that was let in.
fn written(peer: &mut Peer, mut request: Request) -> (TextKey, Request) {
    let challenged = peer.ask(&request);
    assert_eq!(challenged.status, 401);
    peer.authorize("phone1", PASSWORD, &mut request, &challenged);
    assert_eq!(peer.statuses(&request), []);
    match peer.events.last() {
        Some(Event::Text { text, .. }) => (*text, request),
        other => panic!("{other:?}"),
    }
}

fn peer() -> Peer {
    Peer::new(EndpointConfig::default())
}

#[test]
fn a_text_is_answered_once_and_by_the_program() {
    let mut peer = peer();
    let (key, request) = written(&mut peer, text("a", "hello"));
    match peer.events.last() {
        Some(Event::Text {
            caller,
            target,
            id,
            content_type,
            body,
            ..
        }) => {
            assert_eq!(caller, &Caller::User("phone1".to_owned()));
            assert_eq!(
                (target.as_str(), id.as_str()),
                ("100", "call@192.0.2.7;their;2")
            );
            assert_eq!(content_type.as_deref(), Some("text/plain"));
            assert_eq!(body, b"hello");
        }
        other => panic!("{other:?}"),
    }
    // It comes again while the program thinks: nothing is told twice.
    assert_eq!(peer.statuses(&request), []);
    assert_eq!(
        peer.endpoint.answer_text(peer.now, key, 100, vec![]),
        Err(TextError::BadStatus(100))
    );
    assert_eq!(
        peer.endpoint.answer_text(peer.now, key, 202, vec![]),
        Ok(())
    );
    peer.drain();
    let answered: Vec<u16> = peer
        .take()
        .iter()
        .filter_map(|(_, message)| status_of(message))
        .collect();
    assert_eq!(answered, [202]);
    assert_eq!(peer.statuses(&request), [202], "and again");
    assert_eq!(
        peer.endpoint.answer_text(peer.now, key, 200, vec![]),
        Err(TextError::NoSuchText)
    );
    assert_eq!(story(&peer), ["Text 100 hello"]);
}

#[test]
fn a_text_nobody_answers_is_put_off() {
    let mut peer = peer();
    let (key, _) = written(&mut peer, text("a", "hello"));
    peer.wait_ms(16_000);
    let received = peer.take();
    let [(_, Message::Response(response))] = &received[..] else {
        panic!("{received:?}");
    };
    assert_eq!(response.status, 503);
    assert!(response.headers.has(&HeaderName::RetryAfter));
    assert_eq!(
        peer.endpoint.answer_text(peer.now, key, 200, vec![]),
        Err(TextError::NoSuchText)
    );
    peer.wait_ms(40_000);
    assert_eq!(peer.endpoint.stats().server_transactions, 0);
}

#[test]
fn what_is_refused_without_asking_the_program() {
    let long = "x".repeat(crate::TEXT_BYTES_MAX + 1);
    let rows = [
        ("From: <sip:phone2@192.0.2.1>;tag=t\n", "x", 403),
        ("Content-Encoding: gzip\n", "x", 415),
        ("Content-Encoding: deflate\n", "x", 400),
        ("", long.as_str(), 413),
    ];
    for (n, (header, body, status)) in rows.into_iter().enumerate() {
        let mut peer = peer();
        let extra = format!("{header}Content-Type: text/plain\n\n{body}");
        let asked = request("MESSAGE sip:100@192.0.2.1", &format!("r{n}"), &extra);
        assert_eq!(peer.ask_as("phone1", asked).status, status, "{header}");
        assert!(peer.events.is_empty());
    }
    let config = EndpointConfig {
        domains: vec!["192.0.2.1".to_owned()],
        ..EndpointConfig::default()
    };
    let mut peer = Peer::new(config);
    let elsewhere = request("MESSAGE sip:100@example.org", "e", "");
    assert_eq!(peer.ask(&elsewhere).status, 404);
}

/// As Linphone sends its notices.
#[test]
fn a_packed_text_is_unpacked() {
    let mut peer = peer();
    let mut packed = request(
        "MESSAGE sip:100@192.0.2.1",
        "packed",
        "Content-Type: message/imdn+xml\nContent-Encoding: deflate\n\n",
    );
    packed.set_body(
        "message/imdn+xml",
        miniz_oxide::deflate::compress_to_vec_zlib(b"<imdn/>", 6),
    );
    written(&mut peer, packed);
    let Some(Event::Text { body, .. }) = peer.events.last() else {
        panic!("{:?}", peer.events);
    };
    assert_eq!(body, b"<imdn/>");
}

#[test]
fn a_415_says_what_is_understood() {
    let mut peer = peer();
    let (key, _) = written(&mut peer, text("a", "hello"));
    peer.endpoint
        .answer_text(peer.now, key, 415, vec![])
        .expect("it waits");
    peer.drain();
    let received = peer.take();
    let [(_, Message::Response(response))] = &received[..] else {
        panic!("{received:?}");
    };
    let accept = response.headers.get(&HeaderName::Accept);
    assert!(accept.is_some_and(|accept| accept.contains("text/plain")));
}

#[test]
fn a_trunk_writes_by_its_address_and_a_text_in_a_call_is_for_whom_to_says() {
    let mut peer = peer();
    peer.endpoint.set_trunks(
        peer.now,
        vec![Trunk {
            name: "line".to_owned(),
            addresses: vec![("192.0.2.7".parse().expect("an address"), 32)],
            transport: None,
            trusts_udp: true,
            account: None,
        }],
    );
    peer.send(&text("a", "hello").to_bytes());
    let Some(Event::Text { caller, .. }) = peer.events.last() else {
        panic!("{:?}", peer.events);
    };
    assert_eq!(caller, &Caller::Trunk("line".to_owned()));

    let mut peer = Peer::new(EndpointConfig::default());
    let (_, answered) = standing(&mut peer);
    let mut in_call = inside(
        "MESSAGE sip:192.0.2.1:5060",
        3,
        &answered,
        "Content-Type: text/plain",
    );
    in_call.body = b"during".to_vec();
    let challenged: Response = peer.ask(&in_call);
    peer.authorize("phone1", PASSWORD, &mut in_call, &challenged);
    assert_eq!(peer.statuses(&in_call), []);
    assert_eq!(
        story(&peer).last().map(String::as_str),
        Some("Text 100 during")
    );
}

#[test]
fn a_text_moves_the_phone_that_wrote_it() {
    let mut peer = peer();
    assert_eq!(peer.ask_as("phone1", register("r")).status, 200);
    peer.from("198.51.100.9:40000");
    let mut asked = text("a", "hello");
    asked.headers.set(HeaderName::CallId, "moved");
    written(&mut peer, asked);
    let found = peer.endpoint.bindings("phone1", peer.now);
    assert_eq!(found[0].flow, peer.flow);
}

fn params(peer: &Peer, id: &str, attempt: u32) -> TextParams {
    let address = |user: &str| format!("<sip:{user}@192.0.2.1>");
    TextParams {
        id: id.to_owned(),
        call_id: None,
        attempt,
        target: "sip:phone1@192.0.2.7:5062".parse().expect("a URI"),
        flow: FlowTarget {
            transport: Transport::Udp,
            local: server_address(),
            remote: peer.flow.remote,
        },
        from: NameAddr::parse(&address("100")).expect("an address"),
        to: NameAddr::parse(&address("phone1")).expect("an address"),
        content_type: "text/plain".to_owned(),
        body: b"hi".to_vec(),
    }
}

#[test]
fn the_same_text_is_the_same_request_in_every_run() {
    let sent = |id: &str, attempt: u32| {
        let mut peer = peer();
        let wanted = params(&peer, id, attempt);
        peer.endpoint.send_text(peer.now, wanted).expect("room");
        peer.drain();
        last_request(&mut peer).1
    };
    let first = sent("one", 0);
    assert_eq!(first.to_bytes(), sent("one", 0).to_bytes());
    assert_eq!(
        (first.body.as_slice(), first.method.as_str()),
        (&b"hi"[..], "MESSAGE")
    );
    assert!(
        !first.headers.has(&HeaderName::Contact),
        "RFC 3428 section 4"
    );
    let branch = |request: &Request| {
        request
            .headers
            .top_via()
            .ok()
            .and_then(|via| via.branch().map(str::to_owned))
    };
    let call = |request: &Request| request.headers.call_id().map(str::to_owned).ok();
    // After a no it is a new request of the same text; another text has nothing in common with it.
    let again = sent("one", 1);
    assert_eq!(call(&first), call(&again));
    assert_ne!(branch(&first), branch(&again));
    let other = sent("two", 0);
    assert_ne!(call(&first), call(&other));
    assert_ne!(branch(&first), branch(&other));
}

#[test]
fn a_text_that_is_passed_on_keeps_its_call_id() {
    let mut peer = peer();
    let mut wanted = params(&peer, "one", 0);
    wanted.call_id = Some("theirs@192.0.2.7".to_owned());
    peer.endpoint.send_text(peer.now, wanted).expect("room");
    peer.drain();
    let (_, request) = last_request(&mut peer);
    assert_eq!(request.headers.call_id().ok(), Some("theirs@192.0.2.7"));
}

#[test]
fn what_comes_of_a_text() {
    for (status, expected) in [
        (Some(200), "TextAnswered Ok(())"),
        (Some(202), "TextAnswered Ok(())"),
        (Some(415), "TextAnswered Err(415)"),
        (None, "TextAnswered Err(408)"),
    ] {
        let mut peer = peer();
        let wanted = params(&peer, "one", 0);
        peer.endpoint
            .send_text(peer.now, wanted.clone())
            .expect("room");
        let twice = peer.endpoint.send_text(peer.now, wanted);
        assert_eq!(twice, Err(TextError::UnderWay));
        peer.drain();
        let (_, request) = last_request(&mut peer);
        if let Some(status) = status {
            peer.send(&Response::to_request(&request, status).to_bytes());
            peer.send(&Response::to_request(&request, status).to_bytes());
        }
        peer.wait_ms(40_000);
        assert_eq!(story(&peer), [expected]);
        assert_eq!(peer.endpoint.stats().client_transactions, 0);
    }
}

#[test]
fn an_invite_still_says_that_texts_are_taken() {
    let mut peer = peer();
    let response = peer.ask(&request("OPTIONS sip:192.0.2.1", "o", ""));
    let allow = response.headers.get(&HeaderName::Allow);
    assert!(allow.is_some_and(|allow| allow.contains("MESSAGE")));
    assert_eq!(peer.ask(&invite("i")).status, 401);
}
