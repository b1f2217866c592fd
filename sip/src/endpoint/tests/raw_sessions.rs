//! Messages by hand about sessions: UPDATE, PRACK, session timers and early dialogs, as no two endpoints of ours would
//! send them.

#![allow(clippy::type_complexity, reason = "rows of a table")]

use super::peer::{Peer, invite};
use super::raw::{inside, last_request, last_response, peer, ringing, standing, story};
use super::raw_uac::{answer_from, calling, requests};
use super::world::{ANSWER, OFFER};
use crate::endpoint::{CallKey, EndpointConfig};
use crate::header::HeaderName;
use crate::message::{Request, Response};
use crate::method::Method;

const UPDATE: &str = "UPDATE sip:100@192.0.2.1";
const CHANGED: &str = "v=0\r\no=- 1 2 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

fn with_sdp(mut request: Request, sdp: &str) -> Request {
    request.set_body("application/sdp", sdp);
    request
}

fn value<'a>(response: &'a Response, name: &HeaderName) -> &'a str {
    response.headers.get(name).unwrap_or_default()
}

/// RFC 3311 §5.2 in an answered call.
#[test]
fn updates_in_a_call() {
    let mut peer = peer();
    let (call, answered) = standing(&mut peer);
    let update = |cseq, sdp: Option<&str>| {
        let request = inside(UPDATE, cseq, &answered, "");
        sdp.map_or(request.clone(), |sdp| with_sdp(request, sdp))
    };
    // Nothing but a new target.
    let moved = inside(UPDATE, 3, &answered, "Contact: <sip:phone1@192.0.2.7:7777>");
    let refreshed = peer.ask(&moved);
    assert_eq!(refreshed.status, 200);
    assert!(refreshed.headers.has(&HeaderName::Contact));
    assert!(value(&refreshed, &HeaderName::Allow).contains("UPDATE"));
    // An offer is for the program; while it thinks, nothing else is taken.
    assert!(peer.statuses(&update(4, Some(CHANGED))).is_empty());
    let early = peer.ask(&update(5, None));
    assert_eq!(early.status, 500);
    let wait: u64 = value(&early, &HeaderName::RetryAfter).parse().expect("s");
    assert!(wait <= 10);
    assert_eq!(peer.statuses(&update(6, Some(OFFER))), [500]);
    let reinvite = inside("INVITE sip:100@192.0.2.1", 7, &answered, "");
    assert_eq!(peer.statuses(&with_sdp(reinvite, OFFER)), [500]);
    peer.endpoint
        .answer_reinvite(peer.now, call, Ok(ANSWER.into()))
        .expect("answer");
    peer.drain();
    let taken = last_response(&mut peer);
    assert_eq!((taken.status, taken.sdp()), (200, Some(ANSWER)));
    // Refused; left alone: half of what the peer waits.
    assert!(peer.statuses(&update(8, Some(OFFER))).is_empty());
    peer.endpoint
        .answer_reinvite(peer.now, call, Err(488))
        .expect("refuse");
    peer.drain();
    assert_eq!(last_response(&mut peer).status, 488);
    assert!(peer.statuses(&update(9, Some(OFFER))).is_empty());
    peer.wait_ms(16_000);
    assert_eq!(last_response(&mut peer).status, 500);
    // Glare: an offer of ours is open.
    peer.endpoint
        .reoffer(peer.now, call, Some(OFFER.into()))
        .expect("reoffer");
    peer.drain();
    let (_, ours) = last_request(&mut peer);
    assert_eq!(ours.uri.to_string(), "sip:phone1@192.0.2.7:5062");
    assert_eq!(peer.statuses(&update(10, Some(CHANGED))), [491]);
    assert_eq!(peer.statuses(&update(11, None)), [200]);
    assert_eq!(
        story(&peer)[2..],
        ["ReInvite sdp", "ReInvite sdp", "ReInvite sdp"]
    );
}

/// RFC 3261 §14.1 and §12.2.1.2. Rows: what comes back for a re-INVITE of ours, what the program hears, and whether a BYE
/// follows.
#[test]
fn what_comes_back_for_a_change() {
    let rows: [(u16, &str, Option<&str>, bool); 7] = [
        (488, "", Some("ReofferAnswered 488"), false),
        (500, "", Some("ReofferAnswered 500"), false),
        (500, "3", None, false),
        (503, "3600", Some("ReofferAnswered 503"), false),
        (491, "", None, false),
        (
            481,
            "",
            Some("CallEnded Failed { status: 481, why: \"the peer no longer knows this call\" }"),
            true,
        ),
        (
            408,
            "",
            Some("CallEnded Failed { status: 408, why: \"the peer no longer knows this call\" }"),
            true,
        ),
    ];
    for (status, retry_after, told, ends) in rows {
        let mut peer = peer();
        let (call, _) = standing(&mut peer);
        peer.endpoint
            .reoffer(peer.now, call, Some(OFFER.into()))
            .expect("reoffer");
        peer.drain();
        let (_, ours) = last_request(&mut peer);
        let mut refused = Response::to_request(&ours, status);
        if !retry_after.is_empty() {
            refused.headers.push(HeaderName::RetryAfter, retry_after);
        }
        peer.send(&refused.to_bytes());
        let sent = requests(&mut peer);
        assert!(sent[0].starts_with("ACK"), "{status}: {sent:?}");
        let bye = sent.iter().any(|line| line.starts_with("BYE"));
        assert_eq!(bye, ends, "{status}");
        assert_eq!(story(&peer).get(2).map(String::as_str), told, "{status}");
        if told.is_none() {
            // Again, by itself, in the time RFC 3261 §14.1 gives the callee, or the peer gave us.
            peer.wait_ms(3_000);
            let (_, again) = last_request(&mut peer);
            assert_eq!(
                (again.method.clone(), again.sdp()),
                (Method::Invite, Some(OFFER))
            );
            let number = |request: &Request| request.headers.cseq().expect("CSeq").number;
            assert!(number(&again) > number(&ours));
        }
    }
}

fn reliable_peer(extra: &str) -> (Peer, CallKey, Request) {
    let mut peer = peer();
    let mut request = invite("a");
    let (name, tags) = extra.split_once(": ").expect("a header");
    request.headers.push(HeaderName::from(name), tags);
    request
        .headers
        .push(HeaderName::Allow, "INVITE, PRACK, UPDATE");
    let (call, invited) = ringing(&mut peer, request);
    (peer, call, invited)
}

/// RFC 3262 §3: who requires it gets every response reliably, who supports it those with SDP.
#[test]
fn provisional_responses_by_what_the_caller_can() {
    let rows = [
        ("Require: 100rel", None, true),
        ("Require: 100rel", Some(ANSWER), true),
        ("Supported: 100rel", None, false),
        ("Supported: timer, 100REL", Some(ANSWER), true),
        ("Supported: timer", Some(ANSWER), false),
    ];
    for (extra, sdp, expected) in rows {
        let (mut peer, call, _) = reliable_peer(extra);
        peer.endpoint
            .provisional(peer.now, call, 183, sdp.map(str::to_owned))
            .expect("183");
        peer.drain();
        let response = last_response(&mut peer);
        assert_eq!(response.headers.has(&HeaderName::RSeq), expected, "{extra}");
        let required = value(&response, &HeaderName::Require) == "100rel";
        assert_eq!(required, expected, "{extra}");
        assert_eq!(response.sdp(), sdp, "{extra}");
    }
}

#[test]
fn acknowledgements_by_hand() {
    let (mut peer, call, _) = reliable_peer("Require: 100rel");
    for status in [180, 183] {
        peer.endpoint
            .provisional(
                peer.now,
                call,
                status,
                (status == 183).then(|| ANSWER.into()),
            )
            .expect("provisional");
    }
    peer.drain();
    let first = last_response(&mut peer);
    assert_eq!(first.status, 180, "the second waits for the first");
    let rseq: u32 = value(&first, &HeaderName::RSeq).parse().expect("RSeq");
    let prack = |cseq: u32, rack: &str| {
        inside(
            "PRACK sip:100@192.0.2.1",
            cseq,
            &first,
            &format!("RAck: {rack}"),
        )
    };
    let rows = [
        (format!("{} 2 INVITE", rseq + 1), vec![481]),
        (format!("{rseq} 3 INVITE"), vec![481]),
        (format!("{rseq} 2 UPDATE"), vec![481]),
        ("nonsense".to_owned(), vec![400]),
        (format!("{rseq} 2 INVITE"), vec![200, 183]),
        // RFC 3262 §3: it is acknowledged already.
        (format!("{rseq} 2 INVITE"), vec![481]),
        (format!("{} 2 INVITE", rseq + 1), vec![200]),
    ];
    for (at, (rack, expected)) in rows.into_iter().enumerate() {
        let cseq = u32::try_from(at).expect("few") + 3;
        assert_eq!(peer.statuses(&prack(cseq, &rack)), expected, "{rack}");
    }
    // In a dialog only.
    let outside = super::peer::request("PRACK sip:100@192.0.2.1", "o", "RAck: 1 1 INVITE");
    assert_eq!(peer.statuses(&outside), [481]);
    let outside = super::peer::request(UPDATE, "p", "");
    assert_eq!(peer.statuses(&outside), [481]);
    // A minute later the phone still rings: said anew, under the next number.
    peer.wait_ms(60_000);
    let again = last_response(&mut peer);
    assert_eq!(value(&again, &HeaderName::RSeq), (rseq + 2).to_string());
}

/// RFC 3262 §5: a PRACK may bring another offer; its 200 brings the answer.
#[test]
fn an_offer_in_an_acknowledgement() {
    for answer in [Ok(ANSWER), Err(603)] {
        let (mut peer, call, _) = reliable_peer("Supported: 100rel");
        peer.endpoint
            .provisional(peer.now, call, 183, Some(ANSWER.into()))
            .expect("183");
        peer.drain();
        let early = last_response(&mut peer);
        let rack = format!("RAck: {} 2 INVITE", value(&early, &HeaderName::RSeq));
        let prack = inside("PRACK sip:100@192.0.2.1", 3, &early, &rack);
        assert!(peer.statuses(&with_sdp(prack, CHANGED)).is_empty());
        peer.endpoint
            .answer_reinvite(peer.now, call, answer.map(str::to_owned))
            .expect("answer");
        peer.drain();
        let response = last_response(&mut peer);
        let expected = match answer {
            Ok(sdp) => (200, Some(sdp)),
            Err(_) => (488, None),
        };
        assert_eq!((response.status, response.sdp()), expected);
        assert_eq!(story(&peer)[1..], ["ReInvite sdp"]);
    }
}

/// RFC 4028 §9 as it looks on the wire. Rows: headers of the INVITE; status, Session-Expires and Require of what comes.
#[test]
fn session_timers_by_what_the_caller_can() {
    let rows = [
        (
            "Supported: timer\nSession-Expires: 600",
            200,
            "600;refresher=uas",
            "",
        ),
        (
            "Supported: timer\nSession-Expires: 600;refresher=uac",
            200,
            "600;refresher=uac",
            "timer",
        ),
        (
            "Require: timer\nx: 600;refresher=uac",
            200,
            "600;refresher=uac",
            "timer",
        ),
        ("Session-Expires: 600", 200, "600;refresher=uas", ""),
        ("Supported: timer", 200, "1800;refresher=uas", ""),
        ("Subject: nothing of that", 200, "", ""),
        ("Supported: timer\nSession-Expires: 89", 422, "", ""),
    ];
    for (extra, status, expires, require) in rows {
        let mut peer = peer();
        let mut request = invite("a");
        for line in extra.lines() {
            let (name, value) = line.split_once(": ").expect("a header");
            request.headers.push(HeaderName::from(name), value);
        }
        let challenged = peer.ask(&request);
        peer.authorize("phone1", super::world::PASSWORD, &mut request, &challenged);
        let mut response = peer.ask(&request);
        if status == 200 {
            let Some(crate::Event::IncomingCall { call, .. }) = peer.events.last() else {
                panic!("{extra}: {response:?}");
            };
            let call = *call;
            peer.endpoint
                .answer(peer.now, call, ANSWER.into())
                .expect("answer");
            peer.drain();
            response = last_response(&mut peer);
        } else {
            assert_eq!(value(&response, &HeaderName::MinSe), "90");
        }
        assert_eq!(response.status, status, "{extra}");
        assert_eq!(
            value(&response, &HeaderName::SessionExpires),
            expires,
            "{extra}"
        );
        assert_eq!(value(&response, &HeaderName::Require), require, "{extra}");
    }
}

/// The caller's turn to refresh: with each refresh the time starts anew, without one the call ends before it expires.
#[test]
fn the_peers_refreshes() {
    let mut peer = peer();
    peer.endpoint.config.keepalive_s = 0;
    let mut request = invite("a");
    request.headers.push(HeaderName::Supported, "timer");
    let asked = "300;refresher=uac";
    request.headers.push(HeaderName::SessionExpires, asked);
    let (call, _) = ringing(&mut peer, request);
    peer.endpoint
        .answer(peer.now, call, ANSWER.into())
        .expect("answer");
    peer.drain();
    let answered = last_response(&mut peer);
    peer.send(&inside("ACK sip:100@192.0.2.1", 2, &answered, "").to_bytes());
    let extra = format!("Supported: timer\nSession-Expires: {asked}");
    // By UPDATE, and by the same description again: the program hears of neither.
    peer.wait_ms(150_000);
    let update = inside(UPDATE, 3, &answered, &extra);
    let refreshed = peer.ask(&update);
    assert_eq!(value(&refreshed, &HeaderName::SessionExpires), asked);
    peer.wait_ms(150_000);
    let reinvite = inside("INVITE sip:100@192.0.2.1", 4, &answered, &extra);
    let refreshed = peer.ask(&with_sdp(reinvite, OFFER));
    assert_eq!((refreshed.status, refreshed.sdp()), (200, Some(ANSWER)));
    peer.send(&inside("ACK sip:100@192.0.2.1", 4, &answered, "").to_bytes());
    let brief = inside(
        UPDATE,
        5,
        &answered,
        "Supported: timer\nSession-Expires: 30",
    );
    assert_eq!(peer.statuses(&brief), [422]);
    assert_eq!(story(&peer).len(), 2, "{:?}", story(&peer));
    // 300 s less the grace of 32 s.
    peer.wait_ms(267_000);
    assert!(peer.take().is_empty());
    peer.wait_ms(2_000);
    let (_, bye) = last_request(&mut peer);
    assert_eq!(bye.method, Method::Bye);
    assert!(
        bye.headers
            .get(&HeaderName::Reason)
            .is_some_and(|reason| reason.contains("408"))
    );
    assert!(story(&peer)[2].starts_with("CallEnded Failed { status: 408"));
}

fn reliable_from(invited: &Request, tag: &str, rseq: u32, sdp: Option<&str>) -> Response {
    let mut response = answer_from(invited, 183, tag);
    response.headers.push(HeaderName::Require, "100rel");
    response.headers.push(HeaderName::RSeq, rseq.to_string());
    if let Some(sdp) = sdp {
        response.set_body("application/sdp", sdp);
    }
    response
}

/// Two branches ring reliably and both answer: numbers go on in each dialog, and only one of them is the call.
#[test]
fn forked_early_dialogs() {
    let mut peer = peer();
    let (call, invited) = calling(&mut peer);
    for option in ["100rel", "timer"] {
        assert!(
            invited
                .headers
                .get(&HeaderName::Supported)
                .is_some_and(|tags| tags.contains(option))
        );
    }
    let rows = [
        ("one", 7, Some(ANSWER), vec!["PRACK sip:one@192.0.2.7:5062"]),
        ("two", 1, None, vec!["PRACK sip:two@192.0.2.7:5062"]),
        // A repetition, one out of order, the next.
        ("one", 7, Some(ANSWER), vec![]),
        ("one", 9, None, vec![]),
        ("one", 8, None, vec!["PRACK sip:one@192.0.2.7:5062"]),
    ];
    for (tag, rseq, sdp, expected) in rows {
        peer.send(&reliable_from(&invited, tag, rseq, sdp).to_bytes());
        assert_eq!(requests(&mut peer), expected, "{tag} {rseq}");
    }
    // A change in a branch that has no session yet makes no sense; where one stands it is an UPDATE, if they take it.
    assert!(
        peer.endpoint
            .reoffer(peer.now, call, Some(OFFER.into()))
            .is_err()
    );
    // The peer asks inside an early dialog, too.
    let mut update = super::peer::request(
        "UPDATE sip:assistant@192.0.2.1",
        "early",
        "From: <sip:bob@192.0.2.7:5062>;tag=two\nCSeq: 1 UPDATE",
    );
    for (name, from) in [
        (HeaderName::To, HeaderName::From),
        (HeaderName::CallId, HeaderName::CallId),
    ] {
        let copied = invited.headers.get(&from).expect("there").to_owned();
        update.headers.set(name, copied);
    }
    assert_eq!(peer.statuses(&update), [200]);
    peer.send(&answer_from(&invited, 200, "one").to_bytes());
    assert_eq!(requests(&mut peer), ["ACK sip:one@192.0.2.7:5062"]);
    // Its 200 says nothing new: the answer is the one that came for sure.
    peer.send(&answer_from(&invited, 200, "two").to_bytes());
    let received = peer.take();
    let bye = received
        .iter()
        .rev()
        .find_map(|(_, message)| match message {
            crate::Message::Request(request) if request.method == Method::Bye => Some(request),
            _ => None,
        });
    let invite_cseq = invited.headers.cseq().expect("CSeq").number;
    let bye_cseq = bye.expect("a BYE").headers.cseq().expect("CSeq").number;
    assert_eq!(bye_cseq, invite_cseq + 2, "after the PRACK of that branch");
    // The losing branch has no call any more.
    super::peer::next_request(&mut update);
    assert_eq!(peer.statuses(&update), [481]);
    assert_eq!(
        story(&peer),
        [
            "CallProgress 183 sdp",
            "CallProgress 183 -",
            "CallProgress 183 -",
            "CallAnswered sdp"
        ]
    );
    peer.endpoint.hangup(peer.now, call, None).expect("hangup");
    peer.drain();
    let (_, bye) = last_request(&mut peer);
    assert_eq!(bye.headers.cseq().expect("CSeq").number, invite_cseq + 3);
}

/// A trunk that challenges everything: the INVITE, what changes it, and the BYE.
#[test]
fn challenges_inside_a_call() {
    let mut peer = peer();
    let (call, invited) = calling(&mut peer);
    peer.send(&answer_from(&invited, 200, "one").to_bytes());
    peer.take();
    peer.endpoint
        .reoffer(peer.now, call, Some(OFFER.into()))
        .expect("reoffer");
    peer.drain();
    let mut numbers = Vec::new();
    for nonce in ["n1", "n2"] {
        let (_, asked) = last_request(&mut peer);
        numbers.push(asked.headers.cseq().expect("CSeq").number);
        let mut refused = Response::to_request(&asked, 407);
        refused.headers.push(
            HeaderName::ProxyAuthenticate,
            format!("Digest realm=\"r\", nonce=\"{nonce}\", qop=\"auth\""),
        );
        peer.send(&refused.to_bytes());
    }
    // The first is answered with credentials; a second in a row says they are wrong.
    assert_eq!(numbers[1], numbers[0] + 1);
    assert_eq!(story(&peer)[1..], ["ReofferAnswered 407"]);
    peer.endpoint.hangup(peer.now, call, None).expect("hangup");
    peer.drain();
    let (_, bye) = last_request(&mut peer);
    assert!(
        bye.headers.get(&HeaderName::ProxyAuthorization).is_some(),
        "unasked"
    );
    assert_eq!(bye.headers.cseq().expect("CSeq").number, numbers[1] + 1);
}

/// RFC 5621: one description in a multipart is enough, on both sides.
#[test]
fn descriptions_in_parts() {
    let mut peer = peer();
    let mut request = invite("a");
    let body = format!(
        "--x\r\nContent-Type: application/isup\r\nContent-Disposition: signal;handling=optional\r\n\r\n\u{1}\r\n\
         --x\r\nContent-Type: application/sdp\r\n\r\n{OFFER}\r\n--x--\r\n"
    );
    request.set_body("multipart/mixed;boundary=x", body.into_bytes());
    let (call, _) = ringing(&mut peer, request);
    let Some(crate::Event::IncomingCall { offer, .. }) = peer.events.last() else {
        panic!("no call");
    };
    assert_eq!(offer.as_deref(), Some(OFFER));
    peer.endpoint
        .answer(peer.now, call, ANSWER.into())
        .expect("answer");
    peer.drain();
    assert_eq!(last_response(&mut peer).sdp(), Some(ANSWER));

    let mut peer = Peer::new(EndpointConfig::default());
    let mut large = invite("b");
    large.set_body("application/sdp", "a=x\r\n".repeat(8_000));
    assert_eq!(peer.statuses(&large), [413]);
}
