//! Routes that others wrote into messages.

use super::peer::{invite, register};
use super::raw::{inside, last_request, last_response, peer, ringing};
use super::world::ANSWER;
use crate::header::HeaderName;

#[test]
fn the_route_back_is_the_recorded_one() {
    let rows = [
        // Loose routers stay in Route; a strict one takes the Request-URI.
        (
            "<sip:p1.example;lr>, <sip:p2.example;lr>",
            "sip:phone1@192.0.2.7:5062",
            vec!["<sip:p1.example;lr>", "<sip:p2.example;lr>"],
        ),
        (
            "<sip:p1.example>, <sip:p2.example;lr>",
            "sip:p1.example",
            vec!["<sip:p2.example;lr>", "<sip:phone1@192.0.2.7:5062>"],
        ),
    ];
    for (recorded, uri, routes) in rows {
        let mut peer = peer();
        let mut request = invite("a");
        request.headers.push(HeaderName::RecordRoute, recorded);
        let (call, _) = ringing(&mut peer, request);
        peer.endpoint
            .answer(peer.now, call, ANSWER.into())
            .expect("answer");
        peer.drain();
        let answered = last_response(&mut peer);
        assert_eq!(
            answered.headers.get(&HeaderName::RecordRoute),
            Some(recorded)
        );
        peer.send(&inside("ACK sip:100@192.0.2.1", 2, &answered, "").to_bytes());
        peer.endpoint.hangup(peer.now, call, None).expect("hangup");
        peer.drain();
        let (_, bye) = last_request(&mut peer);
        assert_eq!(bye.uri.to_string(), uri);
        assert_eq!(
            bye.headers.get_all(&HeaderName::Route).collect::<Vec<_>>(),
            routes
        );
    }
}

/// baresip writes its registrar into a Route header.
#[test]
fn a_route_that_names_us_is_taken_off() {
    let mut peer = peer();
    let mut request = register("a");
    request
        .headers
        .push(HeaderName::Route, "<sip:192.0.2.1:5060;lr>");
    assert_eq!(peer.ask_as("phone1", request).status, 200);
}
