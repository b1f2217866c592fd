//! Messages by hand against the endpoint as UAS: the corners of RFC 3261 that no well-behaved peer visits.

#![allow(clippy::type_complexity, reason = "rows of a table")]

use super::peer::{Peer, invite, request};
use super::world::{ANSWER, OFFER, PASSWORD, line};
use crate::endpoint::{CallKey, EndpointConfig, Event};
use crate::flow::Flow;
use crate::header::HeaderName;
use crate::message::{Message, Request, Response};

pub(super) fn peer() -> Peer {
    Peer::new(EndpointConfig::default())
}

pub(super) fn story(peer: &Peer) -> Vec<String> {
    peer.events.iter().map(line).collect()
}

/// An incoming call: its key, and the INVITE that made it.
pub(super) fn ringing(peer: &mut Peer, mut request: Request) -> (CallKey, Request) {
    let challenged = peer.ask(&request);
    peer.authorize("phone1", PASSWORD, &mut request, &challenged);
    assert_eq!(peer.statuses(&request), [100]);
    match peer.events.last() {
        Some(Event::IncomingCall { call, .. }) => (*call, request),
        other => panic!("{other:?}"),
    }
}

/// A request inside the dialog of an INVITE that was answered.
pub(super) fn inside(first: &str, cseq: u32, answered: &Response, extra: &str) -> Request {
    let method = first.split(' ').next().expect("method");
    let to = answered.headers.get(&HeaderName::To).expect("To");
    let extra = format!("To: {to}\nCSeq: {cseq} {method}\n{extra}");
    request(first, &format!("in{cseq}{method}"), &extra)
}

pub(super) fn last_response(peer: &mut Peer) -> Response {
    let received = peer.take().into_iter().rev();
    let mut responses = received.filter_map(|(_, message)| match message {
        Message::Response(response) => Some(response),
        Message::Request(_) => None,
    });
    responses.next().expect("a response")
}

pub(super) fn last_request(peer: &mut Peer) -> (Flow, Request) {
    let received = peer.take().into_iter().rev();
    let mut requests = received.filter_map(|(flow, message)| match message {
        Message::Request(request) => Some((flow, request)),
        Message::Response(_) => None,
    });
    requests.next().expect("a request")
}

/// Answered and acknowledged.
pub(super) fn standing(peer: &mut Peer) -> (CallKey, Response) {
    let (call, _) = ringing(peer, invite("a"));
    peer.endpoint
        .answer(peer.now, call, ANSWER.into())
        .expect("answer");
    peer.drain();
    let answered = last_response(peer);
    assert_eq!(answered.status, 200);
    peer.send(&inside("ACK sip:100@192.0.2.1", 2, &answered, "").to_bytes());
    assert_eq!(
        story(peer).last().map(String::as_str),
        Some("CallConfirmed -")
    );
    (call, answered)
}

#[test]
fn what_strangers_get() {
    let rows = [
        ("OPTIONS sip:192.0.2.1", "", vec![200]),
        ("OPTIONS sip:anybody@192.0.2.1", "", vec![200]),
        ("INVITE sip:100@192.0.2.1", "", vec![401]),
        ("REGISTER sip:192.0.2.1", "", vec![401]),
        ("MESSAGE sip:100@192.0.2.1", "", vec![401]),
        ("SUBSCRIBE sip:100@192.0.2.1", "Event: presence", vec![489]),
        ("PUBLISH sip:100@192.0.2.1", "Event: presence", vec![405]),
        (
            "NOTIFY sip:100@192.0.2.1",
            "Event: presence\nSubscription-State: active",
            vec![481],
        ),
        ("REFER sip:100@192.0.2.1", "Refer-To: <sip:a@b>", vec![403]),
        ("BYE sip:100@192.0.2.1", "", vec![481]),
        (
            "BYE sip:100@192.0.2.1",
            "To: <sip:100@192.0.2.1>;tag=no",
            vec![481],
        ),
        (
            "INVITE sip:100@192.0.2.1",
            "To: <sip:100@192.0.2.1>;tag=no",
            vec![481],
        ),
        ("CANCEL sip:100@192.0.2.1", "", vec![481]),
        ("ACK sip:100@192.0.2.1", "", vec![]),
        (
            "ACK sip:100@192.0.2.1",
            "To: <sip:100@192.0.2.1>;tag=no",
            vec![],
        ),
        ("DANCE sip:100@192.0.2.1", "", vec![501]),
        ("invite sip:100@192.0.2.1", "", vec![501]),
        (
            "INVITE sip:100@192.0.2.1",
            "Require: nothing-known",
            vec![420],
        ),
    ];
    for (n, (first, extra, expected)) in rows.into_iter().enumerate() {
        let mut peer = peer();
        let request = request(first, &format!("s{n}"), extra);
        assert_eq!(peer.statuses(&request), expected, "{first} {extra}");
        // Statelessly: no transaction, and the same again for the same again.
        assert_eq!(peer.endpoint.stats().server_transactions, 0, "{first}");
        assert_eq!(peer.statuses(&request), expected, "{first} again");
        assert!(peer.events.is_empty());
    }
}

#[test]
fn refusals_say_what_is_possible() {
    let mut peer = peer();
    let options = peer.ask(&request("OPTIONS sip:192.0.2.1", "a", ""));
    for (name, part) in [
        (HeaderName::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS"),
        (HeaderName::Accept, "application/sdp"),
        (HeaderName::Supported, ""),
    ] {
        assert!(
            options
                .headers
                .get(&name)
                .is_some_and(|value| value.contains(part)),
            "{name}"
        );
    }
    let tag = |response: &Response| response.headers.to().expect("To").tag().map(str::to_owned);
    assert!(tag(&options).is_some());
    assert_eq!(
        tag(&options),
        tag(&peer.ask(&request("OPTIONS sip:192.0.2.1", "a", "")))
    );
    let refused = peer.ask(&request("PUBLISH sip:192.0.2.1", "b", ""));
    assert!(refused.headers.has(&HeaderName::Allow));
    let challenged = peer.ask(&invite("c"));
    let values: Vec<&str> = challenged
        .headers
        .get_all(&HeaderName::WwwAuthenticate)
        .collect();
    assert_eq!(values.len(), 2, "one challenge per algorithm: {values:?}");
    assert!(values[0].contains("algorithm=SHA-256") && values[1].contains("algorithm=MD5"));
    assert!(
        values
            .iter()
            .all(|value| value.contains("qop=\"auth\"") && !value.contains("stale"))
    );
}

/// RFC 3261 §18.2.2 and RFC 3581 §4. Rows: Via, source, where the response goes, what its Via says.
#[test]
fn responses_find_their_way() {
    let rows = [
        (
            "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKa;rport",
            "203.0.113.9:4444",
            "203.0.113.9:4444",
            "rport=4444;received=203.0.113.9",
        ),
        (
            "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa",
            "203.0.113.9:4444",
            "203.0.113.9:5070",
            "received=203.0.113.9",
        ),
        (
            "SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKa",
            "203.0.113.9:4444",
            "203.0.113.9:5060",
            "branch=z9hG4bKa",
        ),
        (
            "SIP/2.0/UDP phone.example:5070;branch=z9hG4bKa",
            "203.0.113.9:4444",
            "203.0.113.9:5070",
            "received=203.0.113.9",
        ),
        (
            "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa;maddr=198.51.100.1",
            "203.0.113.9:4444",
            "203.0.113.9:5060",
            "received=203.0.113.9",
        ),
    ];
    for (via, source, goes_to, says) in rows {
        let mut peer = peer();
        peer.from(source);
        let mut options = request("OPTIONS sip:192.0.2.1", "a", "");
        options.headers.set(HeaderName::Via, via);
        options
            .headers
            .push(HeaderName::Via, "SIP/2.0/UDP far.example;branch=z9hG4bKfar");
        peer.send(&options.to_bytes());
        let (flow, message) = peer.take().pop().expect("a response");
        assert_eq!(flow.remote.to_string(), goes_to, "{via}");
        let vias = message.headers().vias().expect("Via");
        assert_eq!(vias.len(), 2);
        assert!(
            vias[0].to_string().contains(says),
            "{} instead of {says}",
            vias[0]
        );
    }
}

#[test]
fn repetitions_are_absorbed() {
    let mut peer = peer();
    let (call, request) = ringing(&mut peer, invite("a"));
    assert_eq!(peer.statuses(&request), [100]);
    peer.endpoint
        .provisional(peer.now, call, 180, None)
        .expect("ring");
    peer.drain();
    peer.take();
    assert_eq!(peer.statuses(&request), [180], "the last provisional again");
    peer.endpoint
        .answer(peer.now, call, ANSWER.into())
        .expect("answer");
    peer.drain();
    peer.take();
    assert_eq!(
        peer.statuses(&request),
        [] as [u16; 0],
        "RFC 6026: the 2xx has its own clock"
    );
    assert_eq!(peer.events.len(), 1);
}

/// RFC 3261 §8.2.2.2.
#[test]
fn the_same_request_by_another_way_is_a_loop() {
    let mut peer = peer();
    let (_, request) = ringing(&mut peer, invite("a"));
    let mut merged = request.clone();
    let mut via = merged.headers.top_via().expect("Via");
    via.params.set("branch", Some("z9hG4bKelsewhere"));
    merged.headers.set_top_via(&via);
    assert_eq!(peer.statuses(&merged), [482]);
}

#[test]
fn cancelling() {
    let mut peer = peer();
    let (_, invited) = ringing(&mut peer, invite("a"));
    let mut cancel = invited.clone();
    cancel.method = crate::Method::Cancel;
    cancel.body.clear();
    cancel.headers.remove(&HeaderName::ContentType);
    cancel.headers.set(HeaderName::CSeq, "2 CANCEL");
    assert_eq!(peer.statuses(&cancel), [200, 487]);
    assert_eq!(
        peer.statuses(&cancel),
        [200],
        "again: the INVITE is settled"
    );
    peer.wait_ms(500);
    let refused = last_response(&mut peer);
    assert_eq!(refused.status, 487, "timer G");
    let mut ack = cancel.clone();
    ack.method = crate::Method::Ack;
    ack.headers.set(HeaderName::CSeq, "2 ACK");
    assert_eq!(peer.statuses(&ack), [] as [u16; 0]);
    peer.wait_ms(10_000);
    assert!(peer.take().is_empty());
    assert_eq!(
        story(&peer),
        [
            "IncomingCall phone1 100 sdp",
            "CallEnded Cancelled { reason: None }"
        ]
    );
}

/// RFC 2543 peers: no magic cookie in the branch, or no branch at all.
#[test]
fn ancient_peers() {
    for via in [
        "SIP/2.0/UDP 192.0.2.7:5062",
        "SIP/2.0/UDP 192.0.2.7:5062;branch=1",
    ] {
        let mut peer = peer();
        let mut invited = invite("a");
        invited.headers.set(HeaderName::Via, via);
        let challenged = peer.ask(&invited);
        let challenges = challenged.headers.credentials(&HeaderName::WwwAuthenticate);
        let mut challenge = crate::auth::client::Challenge::choose(challenges.iter()).expect("one");
        let uri = invited.uri.to_string();
        let answer = challenge.answer("phone1", &PASSWORD.into(), "INVITE", &uri, "c");
        invited.headers.push(HeaderName::Authorization, answer);
        invited.headers.set(HeaderName::CSeq, "2 INVITE");
        assert_eq!(peer.statuses(&invited), [100]);
        assert_eq!(peer.statuses(&invited), [100], "known again");
        let Some(Event::IncomingCall { call, .. }) = peer.events.last() else {
            panic!("no call")
        };
        let call = *call;
        peer.endpoint
            .reject(peer.now, call, 486, Vec::new())
            .expect("reject");
        peer.drain();
        let refused = last_response(&mut peer);
        let mut ack = invited.clone();
        ack.method = crate::Method::Ack;
        ack.headers.set(HeaderName::CSeq, "2 ACK");
        ack.headers.set(
            HeaderName::To,
            refused.headers.get(&HeaderName::To).expect("To"),
        );
        peer.send(&ack.to_bytes());
        peer.wait_ms(40_000);
        assert!(peer.take().is_empty(), "the ACK was matched");
    }
}

#[test]
fn inside_a_call() {
    let mut peer = peer();
    let (_, answered) = standing(&mut peer);
    let rows = [
        ("OPTIONS sip:100@192.0.2.1", 3, "", 200),
        ("INFO sip:100@192.0.2.1", 4, "", 200),
        (
            "INFO sip:100@192.0.2.1",
            5,
            "Content-Type: text/plain\n\nSignal=5",
            415,
        ),
        ("REFER sip:100@192.0.2.1", 6, "", 400),
        ("UPDATE sip:100@192.0.2.1", 7, "", 200),
        ("DANCE sip:100@192.0.2.1", 8, "", 501),
        // RFC 3261 §12.2.2: overtaken.
        ("OPTIONS sip:100@192.0.2.1", 7, "", 500),
        ("BYE sip:100@192.0.2.1", 6, "", 500),
        ("BYE sip:100@192.0.2.1", 9, "", 200),
        ("OPTIONS sip:100@192.0.2.1", 10, "", 481),
        ("BYE sip:100@192.0.2.1", 11, "", 481),
    ];
    for (first, cseq, extra, expected) in rows {
        let request = inside(first, cseq, &answered, extra);
        assert_eq!(peer.statuses(&request), [expected], "{first} {cseq}");
        assert_eq!(peer.statuses(&request), [expected], "{first} {cseq} again");
    }
    assert_eq!(
        story(&peer).last().map(String::as_str),
        Some("CallEnded ByeReceived { reason: None }")
    );
}

#[test]
fn changing_a_call() {
    let mut peer = peer();
    let (call, answered) = standing(&mut peer);
    let reinvite = |cseq: u32, sdp: bool| {
        let mut request = inside(
            "INVITE sip:100@192.0.2.1",
            cseq,
            &answered,
            "Contact: <sip:phone1@192.0.2.7:6666>",
        );
        if sdp {
            request.set_body("application/sdp", OFFER);
        }
        request
    };
    let acknowledge = |peer: &mut Peer, refused: &Request| {
        let mut ack = refused.clone();
        ack.method = crate::Method::Ack;
        let number = refused.headers.cseq().expect("CSeq").number;
        ack.headers.set(HeaderName::CSeq, format!("{number} ACK"));
        peer.send(&ack.to_bytes());
    };
    // Asked, asked once more too early, answered, acknowledged.
    assert_eq!(peer.statuses(&reinvite(3, true)), [100]);
    let early = peer.ask(&reinvite(4, true));
    assert_eq!(early.status, 500);
    acknowledge(&mut peer, &reinvite(4, true));
    let wait: u64 = early
        .headers
        .get(&HeaderName::RetryAfter)
        .expect("Retry-After")
        .parse()
        .expect("a number");
    assert!((1..=10).contains(&wait));
    peer.endpoint
        .answer_reinvite(peer.now, call, Ok(ANSWER.into()))
        .expect("answer");
    peer.drain();
    assert_eq!(last_response(&mut peer).sdp(), Some(ANSWER));
    // Not acknowledged yet: again after T1, and no other re-INVITE meanwhile.
    peer.wait_ms(500);
    assert_eq!(last_response(&mut peer).status, 200);
    assert_eq!(peer.statuses(&reinvite(5, true)), [500]);
    acknowledge(&mut peer, &reinvite(5, true));
    peer.send(&inside("ACK sip:100@192.0.2.1", 3, &answered, "").to_bytes());
    peer.wait_ms(5_000);
    assert!(peer.take().is_empty());
    // Refused: the call goes on.
    assert_eq!(peer.statuses(&reinvite(6, true)), [100]);
    peer.endpoint
        .answer_reinvite(peer.now, call, Err(488))
        .expect("refuse");
    peer.drain();
    assert_eq!(last_response(&mut peer).status, 488);
    acknowledge(&mut peer, &reinvite(6, true));
    // With our offer: the answer comes in the ACK.
    assert_eq!(peer.statuses(&reinvite(7, false)), [100]);
    peer.endpoint
        .answer_reinvite(peer.now, call, Ok(OFFER.into()))
        .expect("offer");
    peer.drain();
    peer.take();
    let mut ack = inside("ACK sip:100@192.0.2.1", 7, &answered, "");
    ack.set_body("application/sdp", ANSWER);
    peer.send(&ack.to_bytes());
    // Left alone: 500 after 32 s.
    assert_eq!(peer.statuses(&reinvite(8, true)), [100]);
    peer.wait_ms(32_000);
    assert_eq!(last_response(&mut peer).status, 500);
    // Cancelled.
    assert_eq!(peer.statuses(&reinvite(9, true)), [100]);
    let mut cancel = reinvite(9, false);
    cancel.method = crate::Method::Cancel;
    cancel.headers.set(HeaderName::CSeq, "9 CANCEL");
    assert_eq!(peer.statuses(&cancel), [200, 487]);
    assert_eq!(
        story(&peer)[2..],
        [
            "ReInvite sdp",
            "ReInvite sdp",
            "ReInvite -",
            "CallConfirmed sdp",
            "ReInvite sdp",
            "ReInvite sdp"
        ]
    );
    // The target it was refreshed with is where the BYE points.
    peer.endpoint.hangup(peer.now, call, None).expect("hangup");
    peer.drain();
    let (_, bye) = last_request(&mut peer);
    assert_eq!(bye.uri.to_string(), "sip:phone1@192.0.2.7:6666");
}

#[test]
fn an_offer_in_the_200_is_answered_in_the_ack() {
    let mut peer = peer();
    let mut plain = invite("a");
    plain.body.clear();
    plain.headers.remove(&HeaderName::ContentType);
    let (call, _) = ringing(&mut peer, plain);
    peer.endpoint
        .answer(peer.now, call, OFFER.into())
        .expect("offer");
    peer.drain();
    let answered = last_response(&mut peer);
    assert_eq!(answered.sdp(), Some(OFFER));
    let mut ack = inside("ACK sip:100@192.0.2.1", 2, &answered, "");
    ack.set_body("application/sdp", ANSWER);
    peer.send(&ack.to_bytes());
    assert_eq!(
        story(&peer),
        ["IncomingCall phone1 100 -", "CallConfirmed sdp"]
    );
}

#[test]
fn bodies_we_cannot_read() {
    let rows = [
        ("Content-Type: text/plain\n\nhello", 415),
        (
            "Content-Type: application/sdp\nContent-Encoding: gzip\n\nxxxx",
            415,
        ),
        ("Content-Type: multipart/mixed;boundary=a\n\n--a--", 415),
    ];
    for (extra, expected) in rows {
        let mut peer = peer();
        let request = request("INVITE sip:100@192.0.2.1", "a", extra);
        // Admission sees it before anybody is asked who they are.
        assert_eq!(peer.statuses(&request), [expected], "{extra}");
        assert!(peer.events.is_empty());
    }
}

#[test]
fn an_invite_may_expire() {
    let mut peer = peer();
    let mut request = invite("a");
    request.headers.push(HeaderName::Expires, "5");
    ringing(&mut peer, request);
    peer.wait_ms(4_999);
    assert!(peer.take().is_empty());
    peer.wait_ms(1);
    assert_eq!(last_response(&mut peer).status, 487);
    assert!(story(&peer)[1].starts_with("CallEnded Failed { status: 487"));
}

/// A phone whose NAT gave it another port is called back where it last spoke from.
#[test]
fn a_call_follows_its_phone() {
    let mut peer = peer();
    let (call, answered) = standing(&mut peer);
    peer.from("192.0.2.7:9999");
    assert_eq!(
        peer.statuses(&inside("OPTIONS sip:100@192.0.2.1", 3, &answered, "")),
        [200]
    );
    peer.endpoint.hangup(peer.now, call, None).expect("hangup");
    peer.drain();
    let (flow, bye) = last_request(&mut peer);
    assert_eq!(flow.remote.to_string(), "192.0.2.7:9999");
    assert_eq!(bye.headers.to().expect("To").tag(), Some("their"));
    assert_eq!(bye.headers.cseq().expect("CSeq").method, crate::Method::Bye);
}

#[test]
fn names_for_this_machine() {
    let rows: [(&[&str], &str, u16); 6] = [
        (&[], "sip:100@anything.example", 401),
        (&["home.example"], "sip:100@anything.example", 404),
        (&["home.example"], "sip:100@HOME.example", 401),
        (&["home.example"], "sip:100@192.0.2.1", 401),
        (&["home.example"], "sip:100@192.0.2.2", 404),
        (&["192.0.2.2"], "sip:100@192.0.2.2", 401),
    ];
    for (domains, uri, expected) in rows {
        let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
        let mut peer = Peer::new(EndpointConfig {
            domains,
            ..EndpointConfig::default()
        });
        assert_eq!(
            peer.statuses(&request(&format!("INVITE {uri}"), "a", "")),
            [expected],
            "{uri}"
        );
    }
}
