//! What keeps or changes a session: session timers (RFC 4028), PRACK (RFC 3262), UPDATE (RFC 3311), offers that come late
//! (RFC 3264). SIPp plays the other side; the endpoint's own clock is put forward where minutes would have to pass.

use std::time::Duration;

use sip::{CallKey, EndCause, EndpointConfig, Event};

use crate::line::Line;
use crate::peers::{SIPP, take_floor};
use crate::sipp::{Played, answer, play};

/// More than half of 90 s: who refreshes does so now.
const UNTIL_REFRESH: Duration = Duration::from_secs(46);
/// More than 90 s less a third: an unrefreshed session ends now (RFC 4028 section 10).
const UNTIL_EXPIRY: Duration = Duration::from_secs(61);
/// Not enough for that, but twice this is.
const PART: Duration = Duration::from_secs(50);

fn called(line: &mut Line, scenario: &str, offer: Option<String>) -> Played {
    let mut played = play(line, scenario, &[]);
    played.wait_until_listening();
    line.call_with("200", played.address, offer);
    played
}

fn hang_up(line: &mut Line, call: CallKey) {
    line.act(|endpoint, now| endpoint.hangup(now, call, None))
        .expect("hangup");
}

/// Messages on the wire that begin so: `-> BYE` are those of ours.
fn on_wire(line: &Line, beginning: &str) -> usize {
    let rows = line.wire.iter();
    rows.filter(|row| row.starts_with(beginning)).count()
}

fn assert_ended_by_peer(line: &Line, ends: &[EndCause]) {
    assert!(
        matches!(ends, [EndCause::ByeReceived { .. }]),
        "{ends:?}\n{:#?}",
        line.wire
    );
}

#[test]
fn we_refresh_a_session_in_the_way_the_callee_knows() {
    for scenario in ["refresh_update.xml", "refresh_reinvite.xml"] {
        let Some(_floor) = take_floor("we_refresh_a_session", Some(SIPP)) else {
            return;
        };
        let mut line = Line::new(EndpointConfig::default());
        let offer = Some(line.sdp());
        let mut up = None;
        called(&mut line, scenario, offer).verdict_watching(&mut line, |line, event| {
            if let Some(Event::CallAnswered { call, .. }) = event {
                up = Some(call);
                line.skip(UNTIL_REFRESH);
            }
            // No event tells of a refresh: the second 200 is its answer.
            if on_wire(line, "<- SIP/2.0 200") == 2
                && let Some(call) = up.take()
            {
                hang_up(line, call);
            }
        });
    }
}

#[test]
fn a_session_that_nobody_refreshes_ends() {
    let Some(_floor) = take_floor("a_session_that_nobody_refreshes_ends", Some(SIPP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig::default());
    let mut ends = Vec::new();
    play(&line, "session_expires.xml", &[]).verdict(&mut line, |line, event| match event {
        Event::IncomingCall { call, .. } => answer(line, call),
        Event::CallConfirmed { .. } => line.skip(UNTIL_EXPIRY),
        Event::CallEnded { cause, .. } => ends.push(cause),
        _ => {}
    });
    assert_eq!(ends.len(), 1, "{ends:?}\n{:#?}", line.wire);
}

#[test]
fn a_session_that_the_caller_refreshes_stands() {
    let Some(_floor) = take_floor("a_session_that_the_caller_refreshes_stands", Some(SIPP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig::default());
    let (mut ends, mut skipped) = (Vec::new(), 0);
    play(&line, "session_refreshed.xml", &[]).verdict_watching(&mut line, |line, event| {
        match event {
            Some(Event::IncomingCall { call, .. }) => answer(line, call),
            Some(Event::CallEnded { cause, .. }) => ends.push(cause),
            _ => {}
        }
        // After the answer and after each refresh, so much that without the refresh before the session would be over.
        if on_wire(line, "-> SIP/2.0 200") > skipped {
            skipped += 1;
            line.skip(PART);
        }
    });
    assert_ended_by_peer(&line, &ends);
}

#[test]
fn a_caller_gets_early_media_reliably_and_holds_before_the_answer() {
    let Some(_floor) = take_floor("a_caller_gets_early_media_reliably", Some(SIPP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig::default());
    let (mut ends, mut changes) = (Vec::new(), 0);
    play(&line, "prack.xml", &[]).verdict(&mut line, |line, event| match event {
        Event::IncomingCall { call, .. } => {
            let sdp = Some(line.sdp());
            line.act(|endpoint, now| endpoint.provisional(now, call, 183, sdp))
                .expect("a provisional response");
        }
        Event::ReInvite { call, offer } => {
            changes += 1;
            answer_change(line, call, offer.as_deref());
            if changes == 2 {
                answer(line, call);
            }
        }
        Event::CallEnded { cause, .. } => ends.push(cause),
        _ => {}
    });
    assert_eq!(changes, 2);
    assert_ended_by_peer(&line, &ends);
}

#[test]
fn a_callee_that_rings_reliably_gets_its_prack() {
    let Some(_floor) = take_floor("a_callee_that_rings_reliably_gets_its_prack", Some(SIPP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig::default());
    let offer = Some(line.sdp());
    let mut answers = Vec::new();
    called(&mut line, "prack_callee.xml", offer).verdict(&mut line, |line, event| match event {
        Event::CallProgress { status, sdp, .. } => answers.push((status, sdp.is_some())),
        Event::CallAnswered { call, answer, .. } => {
            answers.push((200, answer.is_some()));
            hang_up(line, call);
        }
        _ => {}
    });
    assert_eq!(answers, [(183, true), (200, true)]);
}

#[test]
fn a_caller_holds_by_update() {
    let Some(_floor) = take_floor("a_caller_holds_by_update", Some(SIPP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig::default());
    let (mut ends, mut changes) = (Vec::new(), 0);
    play(&line, "update_hold.xml", &[]).verdict(&mut line, |line, event| match event {
        Event::IncomingCall { call, .. } => answer(line, call),
        Event::ReInvite { call, offer } => {
            changes += 1;
            answer_change(line, call, offer.as_deref());
        }
        Event::CallEnded { cause, .. } => ends.push(cause),
        _ => {}
    });
    assert_eq!(changes, 2);
    assert_ended_by_peer(&line, &ends);
}

#[test]
fn a_callee_that_is_asked_for_the_offer_gets_an_answer() {
    let Some(_floor) = take_floor("a_callee_that_is_asked_for_the_offer", Some(SIPP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig::default());
    let mut offers = 0;
    called(&mut line, "late_offer_callee.xml", None).verdict(&mut line, |line, event| {
        if let Event::CallAnswered { call, answer, .. } = event {
            offers += usize::from(answer.is_some());
            let sdp = line.sdp();
            line.act(|endpoint, now| endpoint.acknowledge(now, call, sdp))
                .expect("an ACK");
            hang_up(line, call);
        }
    });
    assert_eq!(offers, 1);
}

/// The answer to a changed offer: who is held only listens (RFC 3264 section 8.4).
fn answer_change(line: &mut Line, call: CallKey, offer: Option<&str>) {
    let is_held = offer.is_some_and(|offer| offer.contains("a=sendonly"));
    let mut sdp = line.sdp();
    if is_held {
        sdp.push_str("a=recvonly\r\n");
    }
    line.act(|endpoint, now| endpoint.answer_reinvite(now, call, Ok(sdp)))
        .expect("an answer");
}
