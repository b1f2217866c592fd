//! INVITE with Replaces: which call it may take the place of, RFC 3891 §3, and for whom.

use super::peer::{Peer, invite};
use super::raw::{last_request, last_response, peer, standing};
use super::world::{OFFER, server_address};
use crate::endpoint::{CallKey, CallParams, Caller, Event};
use crate::flow::{FlowTarget, Transport};
use crate::header::{HeaderName, NameAddr};
use crate::message::{Request, Response};

fn user(name: &str) -> Caller {
    Caller::User(name.to_owned())
}

/// An INVITE of this user with that Replaces value.
fn replacing(as_user: &str, value: &str) -> Request {
    let mut request = invite(&format!("r{as_user}"));
    request.headers.set(
        HeaderName::From,
        format!("<sip:{as_user}@192.0.2.1>;tag=new"),
    );
    request
        .headers
        .set(HeaderName::CallId, format!("new-{as_user}@192.0.2.7"));
    request.headers.push(HeaderName::Replaces, value);
    request.headers.push(HeaderName::Require, "replaces");
    request
}

fn replaced(peer: &Peer) -> Option<CallKey> {
    match peer.events.last() {
        Some(Event::IncomingCall { replaces, .. }) => *replaces,
        _ => None,
    }
}

fn tags(response: &Response) -> String {
    let to = response.headers.to().expect("To");
    format!(
        "call@192.0.2.7;to-tag={};from-tag=their",
        to.tag().unwrap_or_default()
    )
}

#[test]
fn an_answered_call_is_replaced_by_its_owner_and_by_whom_the_program_names() {
    // who calls, whom the program has named, further parameters, what comes back
    let table = [
        ("phone1", None, "", 100),
        ("phone2", None, "", 403),
        ("phone2", Some("phone2"), "", 100),
        ("phone2", Some("phone3"), "", 403),
        ("phone1", None, ";early-only", 486),
        ("phone2", None, ";early-only", 403),
    ];
    for (who, heir, more, expected) in table {
        let mut peer = peer();
        let (call, answered) = standing(&mut peer);
        if let Some(heir) = heir {
            peer.endpoint
                .allow_replacing(call, user(heir))
                .expect("live");
        }
        let value = format!("{}{more}", tags(&answered));
        let response = peer.ask_as(who, replacing(who, &value));
        assert_eq!(response.status, expected, "{who} {heir:?} {more}");
        assert_eq!(replaced(&peer), (expected == 100).then_some(call));
    }
}

#[test]
fn other_calls_are_not_replaced() {
    let mut peer = peer();
    let (call, answered) = standing(&mut peer);
    let right = tags(&answered);
    let swapped = right
        .replace("to-tag", "x")
        .replace("from-tag", "to-tag")
        .replace(";x=", ";from-tag=");
    let table = [
        ("nonsense".to_owned(), 400),
        ("other@192.0.2.7;to-tag=1;from-tag=2".to_owned(), 481),
        (swapped, 481),
        (right.replace("their", "theirs"), 481),
    ];
    for (n, (value, expected)) in table.into_iter().enumerate() {
        let mut request = replacing("phone1", &value);
        request.headers.set(HeaderName::CallId, format!("new{n}@h"));
        let via = format!("SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bKn{n};rport");
        request.headers.set(HeaderName::Via, via);
        assert_eq!(peer.ask_as("phone1", request).status, expected, "{value}");
    }
    // One that is being hung up: RFC 3891 §3 declines.
    peer.endpoint.hangup(peer.now, call, None).expect("hangup");
    peer.drain();
    peer.take();
    assert_eq!(
        peer.ask_as("phone1", replacing("phone1", &right)).status,
        603
    );
}

/// A call that rings here cannot be taken from us by the one who makes it.
#[test]
fn a_call_that_comes_in_is_not_replaced_before_it_is_answered() {
    let mut peer = peer();
    let mut first = invite("a");
    let challenged = peer.ask(&first);
    peer.authorize("phone1", super::world::PASSWORD, &mut first, &challenged);
    peer.statuses(&first);
    let Some(Event::IncomingCall { call, .. }) = peer.events.last() else {
        panic!("{:?}", peer.events);
    };
    peer.endpoint
        .provisional(peer.now, *call, 180, None)
        .expect("ringing");
    peer.drain();
    let ringing = last_response(&mut peer);
    let response = peer.ask_as("phone1", replacing("phone1", &tags(&ringing)));
    assert_eq!(response.status, 481);
}

/// A call of ours that rings or stands elsewhere is picked up, by whose phone rings or whom the program has named.
#[test]
fn a_call_of_ours_is_replaced_by_the_one_called() {
    for status in [180, 200] {
        picked_up(status);
    }
}

fn picked_up(status: u16) {
    let mut peer = peer();
    let own: crate::Uri = "sip:100@192.0.2.1".parse().expect("a URI");
    let flow = FlowTarget {
        transport: Transport::Udp,
        local: server_address(),
        remote: peer.flow.remote,
    };
    let target = "sip:phone2@192.0.2.7:5062".parse().expect("a URI");
    let call = peer.endpoint.call(
        peer.now,
        CallParams {
            party: Some(user("phone2")),
            ..CallParams::new(
                target,
                flow,
                NameAddr::new(own.clone()),
                own,
                OFFER.to_owned(),
            )
        },
    );
    peer.drain();
    let (_, invited) = last_request(&mut peer);
    let mut answer = Response::to_request(&invited, status);
    let to = invited.headers.get(&HeaderName::To).expect("To");
    answer
        .headers
        .set(HeaderName::To, format!("{to};tag=theirs"));
    answer
        .headers
        .push(HeaderName::Contact, "<sip:phone2@192.0.2.7:5062>");
    if status == 200 {
        answer.set_body("application/sdp", super::world::ANSWER);
    }
    peer.send(&answer.to_bytes());
    peer.take();
    let from = invited.headers.from().expect("From");
    let value = format!(
        "{};to-tag={};from-tag=theirs",
        invited.headers.call_id().expect("Call-ID"),
        from.tag().expect("a tag")
    );
    assert_eq!(
        peer.ask_as("phone1", replacing("phone1", &value)).status,
        403
    );
    assert_eq!(
        peer.ask_as("phone2", replacing("phone2", &value)).status,
        100
    );
    assert_eq!(replaced(&peer), Some(call));
}
