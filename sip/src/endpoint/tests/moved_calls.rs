//! What comes inside a call from another address: whoever has read its tags is asked for the account's password.

use super::peer::Peer;
use super::raw::{inside, last_request, peer, standing, story};
use super::world::{OFFER, PASSWORD};
use crate::header::HeaderName;
use crate::message::{Message, Request, Response};

const ELSEWHERE: &str = "198.51.100.9:40000";

/// A request in the standing call that would change it.
fn change(method: &str, answered: &Response) -> Request {
    let extra = match method {
        "REFER" => "Refer-To: <sip:101@192.0.2.1>\nContact: <sip:x@198.51.100.9:40000>",
        _ => "Contact: <sip:x@198.51.100.9:40000>",
    };
    let first = format!("{method} sip:192.0.2.1:5060");
    let mut request = inside(&first, 3, answered, extra);
    if method != "REFER" {
        request.set_body("application/sdp", OFFER);
    }
    request
}

/// Where our BYE goes.
fn bye_goes_to(peer: &mut Peer, call: crate::CallKey) -> String {
    peer.endpoint.hangup(peer.now, call, None).expect("a call");
    peer.drain();
    last_request(peer).0.remote.to_string()
}

#[test]
fn nobody_takes_a_call_over_by_its_tags() {
    for method in ["INVITE", "UPDATE", "REFER"] {
        let mut peer = peer();
        let (call, answered) = standing(&mut peer);
        let before = story(&peer);
        peer.from(ELSEWHERE);
        let mut request = change(method, &answered);
        let challenged = peer.ask(&request);
        assert_eq!(challenged.status, 401, "{method}");
        // Another account does not help.
        peer.authorize("phone2", PASSWORD, &mut request, &challenged);
        assert_eq!(peer.ask(&request).status, 403, "{method}");
        assert_eq!(story(&peer), before, "{method}");
        assert_eq!(bye_goes_to(&mut peer, call), "192.0.2.7:5062", "{method}");
    }
    // What changes nothing is answered and moves nothing.
    let mut peer = peer();
    let (call, answered) = standing(&mut peer);
    peer.from(ELSEWHERE);
    assert_eq!(
        peer.ask(&inside("OPTIONS sip:192.0.2.1", 3, &answered, ""))
            .status,
        200
    );
    assert_eq!(bye_goes_to(&mut peer, call), "192.0.2.7:5062");
}

#[test]
fn a_phone_that_has_moved_proves_who_it_is_and_is_followed() {
    let mut peer = peer();
    let (call, answered) = standing(&mut peer);
    peer.from(ELSEWHERE);
    let mut request = change("INVITE", &answered);
    let challenged = peer.ask(&request);
    peer.authorize("phone1", PASSWORD, &mut request, &challenged);
    peer.send(&request.to_bytes());
    assert!(
        story(&peer)
            .last()
            .is_some_and(|line| line.starts_with("ReInvite"))
    );
    let answer = super::world::ANSWER.to_owned();
    peer.endpoint
        .answer_reinvite(peer.now, call, Ok(answer))
        .expect("it waits");
    peer.drain();
    let accepted = peer.take().into_iter().any(|(flow, message)| {
        let is_it = matches!(&message, Message::Response(response) if response.status == 200);
        is_it && flow.remote.to_string() == ELSEWHERE
    });
    assert!(accepted);
    peer.send(&inside("ACK sip:192.0.2.1", 4, &answered, "").to_bytes());
    assert_eq!(bye_goes_to(&mut peer, call), ELSEWHERE);
    // Another port of the same address is a NAT's doing.
    let mut peer = super::raw::peer();
    let (call, answered) = standing(&mut peer);
    peer.from("192.0.2.7:40000");
    let request = change("INVITE", &answered);
    assert!(!request.headers.has(&HeaderName::Authorization));
    assert!(peer.statuses(&request).iter().all(|status| *status < 400));
    let _ = bye_goes_to(&mut peer, call);
}
