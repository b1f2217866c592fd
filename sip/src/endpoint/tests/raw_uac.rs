//! Answers by hand to the endpoint as UAC: forks, challenges, refusals and forgeries.

#![allow(clippy::type_complexity, reason = "rows of a table")]

use super::peer::{Peer, next_request, register, status_of};
use super::raw::{last_request, peer, story};
use super::world::{ANSWER, OFFER, PASSWORD, server_address};
use crate::endpoint::{CallKey, CallParams};
use crate::flow::{FlowTarget, Transport};
use crate::header::{HeaderName, NameAddr};
use crate::message::{Message, Request, Response};

pub(super) fn calling(peer: &mut Peer) -> (CallKey, Request) {
    let params = CallParams {
        credentials: Some(("assistant".to_owned(), PASSWORD.into())),
        ..CallParams::new(
            "sip:bob@192.0.2.7:5062".parse().expect("uri"),
            FlowTarget {
                transport: Transport::Udp,
                local: server_address(),
                remote: peer.flow.remote,
            },
            NameAddr::new("sip:assistant@192.0.2.1".parse().expect("uri")),
            "sip:assistant@192.0.2.1".parse().expect("uri"),
            OFFER.to_owned(),
        )
    };
    let call = peer.endpoint.call(peer.now, params);
    peer.drain();
    let (_, request) = last_request(peer);
    (call, request)
}

pub(super) fn answer_from(invited: &Request, status: u16, tag: &str) -> Response {
    let mut response = Response::to_request(invited, status);
    let to = invited.headers.get(&HeaderName::To).expect("To");
    response
        .headers
        .set(HeaderName::To, format!("{to};tag={tag}"));
    response
        .headers
        .push(HeaderName::Contact, format!("<sip:{tag}@192.0.2.7:5062>"));
    if status == 200 {
        response.set_body("application/sdp", ANSWER);
    }
    response
}

pub(super) fn requests(peer: &mut Peer) -> Vec<String> {
    let received = peer.take().into_iter();
    let requests = received.filter(|(_, message)| status_of(message).is_none());
    requests
        .map(|(_, message)| match message {
            Message::Request(request) => format!("{} {}", request.method, request.uri),
            Message::Response(_) => String::new(),
        })
        .collect()
}

/// RFC 3261 §13.2.2.4: the first branch is the call, the others are acknowledged and hung up; each repetition of a 2xx
/// is acknowledged again.
#[test]
fn forked_answers() {
    let mut peer = peer();
    let (_, invited) = calling(&mut peer);
    peer.send(&answer_from(&invited, 180, "one").to_bytes());
    peer.send(&answer_from(&invited, 180, "two").to_bytes());
    peer.send(&answer_from(&invited, 200, "two").to_bytes());
    assert_eq!(requests(&mut peer), ["ACK sip:two@192.0.2.7:5062"]);
    peer.send(&answer_from(&invited, 200, "two").to_bytes());
    assert_eq!(requests(&mut peer), ["ACK sip:two@192.0.2.7:5062"]);
    peer.send(&answer_from(&invited, 200, "one").to_bytes());
    assert_eq!(
        requests(&mut peer),
        ["ACK sip:one@192.0.2.7:5062", "BYE sip:one@192.0.2.7:5062"]
    );
    peer.send(&answer_from(&invited, 200, "one").to_bytes());
    assert_eq!(requests(&mut peer), ["ACK sip:one@192.0.2.7:5062"]);
    assert_eq!(
        story(&peer),
        [
            "CallProgress 180 -",
            "CallProgress 180 -",
            "CallAnswered sdp"
        ]
    );
    // RFC 6026: after timer M a 2xx is nobody's.
    peer.wait_ms(33_000);
    peer.take();
    peer.send(&answer_from(&invited, 200, "three").to_bytes());
    assert!(peer.take().is_empty());
}

#[test]
fn the_ack_of_a_refusal_copies_the_invite() {
    let mut peer = peer();
    let (_, invited) = calling(&mut peer);
    peer.send(&answer_from(&invited, 486, "one").to_bytes());
    let (_, ack) = last_request(&mut peer);
    assert_eq!(ack.method, crate::Method::Ack);
    assert_eq!(ack.uri, invited.uri);
    for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId] {
        assert_eq!(ack.headers.get(&name), invited.headers.get(&name), "{name}");
    }
    assert_eq!(ack.headers.to().expect("To").tag(), Some("one"));
    assert_eq!(story(&peer), ["CallEnded Rejected { status: 486 }"]);
}

#[test]
fn challenges_are_answered_as_often_as_they_make_sense() {
    // Rows: challenges in a row, each with whether it says stale; what becomes of the call.
    let rows: [(&[(u16, bool)], &[&str]); 4] = [
        (&[(407, false)], &[]),
        (&[(401, false), (401, true)], &[]),
        (
            &[(401, false), (401, false)],
            &["CallEnded Rejected { status: 401 }"],
        ),
        (
            &[(407, false), (407, true), (407, true)],
            &["CallEnded Rejected { status: 407 }"],
        ),
    ];
    for (challenges, expected) in rows {
        let mut peer = peer();
        let (_, mut invited) = calling(&mut peer);
        let mut cseq = invited.headers.cseq().expect("CSeq").number;
        for (status, stale) in challenges {
            let mut refused = answer_from(&invited, *status, "one");
            let name = if *status == 407 {
                HeaderName::ProxyAuthenticate
            } else {
                HeaderName::WwwAuthenticate
            };
            let stale = if *stale { ", stale=TRUE" } else { "" };
            refused.headers.push(
                name,
                format!("Digest realm=\"pbx\", nonce=\"n\", qop=\"auth\"{stale}"),
            );
            peer.send(&refused.to_bytes());
            let (_, next) = last_request(&mut peer);
            if next.method == crate::Method::Invite {
                cseq += 1;
                assert_eq!(next.headers.cseq().expect("CSeq").number, cseq);
                assert!(
                    next.headers.has(&HeaderName::Authorization)
                        || next.headers.has(&HeaderName::ProxyAuthorization)
                );
                assert_ne!(next.headers.top_via(), invited.headers.top_via());
                assert_eq!(next.headers.vias().expect("Via").len(), 1);
                invited = next;
            }
        }
        assert_eq!(story(&peer), expected, "{challenges:?}");
    }
}

#[test]
fn strangers_responses_are_nothing() {
    let mut peer = peer();
    let (_, invited) = calling(&mut peer);
    let mut forged = answer_from(&invited, 200, "one");
    let mut via = forged.headers.top_via().expect("Via");
    via.params.set("branch", Some("z9hG4bKguess"));
    forged.headers.set_top_via(&via);
    peer.send(&forged.to_bytes());
    let mut other_method = answer_from(&invited, 200, "one");
    other_method.headers.set(HeaderName::CSeq, "1 BYE");
    peer.send(&other_method.to_bytes());
    assert!(peer.take().is_empty() && peer.events.is_empty());
    assert_eq!(peer.endpoint.stats().messages_dropped, 2);
    let mut again = register("z");
    next_request(&mut again);
    assert_eq!(peer.statuses(&again), [401], "and nothing is broken");
}

/// RFC 3261 §8.1.3.3, RFC 4475 §3.3.10: what is to be sent on, to everybody maybe, ends here.
#[test]
fn a_response_for_somebody_behind_us_is_dropped() {
    let mut peer = peer();
    let (_, invited) = calling(&mut peer);
    let refused = answer_from(&invited, 486, "busy");
    let mut astray = refused.clone();
    let behind = "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKbehind";
    astray.headers.push(HeaderName::Via, behind);
    peer.send(&astray.to_bytes());
    assert!(requests(&mut peer).is_empty(), "not even acknowledged");
    peer.send(&refused.to_bytes());
    let answered = requests(&mut peer);
    assert!(
        answered.len() == 1 && answered[0].starts_with("ACK"),
        "{answered:?}"
    );
}
