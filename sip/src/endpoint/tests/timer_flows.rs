//! Session timers between two endpoints: refreshes, their failures and the end of sessions nobody refreshed.

use super::stage::Do::*;
use super::stage::{STANDING, STANDING_STORY, Stage, sent};
use super::world::Side::{Phone, Server};
use super::world::{ANSWER, Network, OFFER, World};
use crate::endpoint::EndpointConfig;
use crate::flow::Transport;

/// RFC 4028: the callee's endpoint refreshes at half of the interval, by UPDATE since the phone allows it.
#[test]
fn a_session_is_refreshed_and_a_vanished_phone_noticed() {
    let mut stage = Stage::new(Transport::Udp);
    stage.world.ask_nobody();
    stage.play(STANDING);
    stage.world.wire.clear();
    stage.world.run_ms(1_800_000 * 2);
    assert_eq!(sent(&stage.world, "Server UPDATE"), 4);
    assert_eq!(sent(&stage.world, "Phone 200"), 4);
    assert_eq!(
        stage.world.story.len(),
        STANDING_STORY,
        "nobody hears of it"
    );
    // The phone's battery is empty.
    for lost in ["Phone 200", "Phone BYE"] {
        stage.world.swallow.push((lost, u32::MAX));
    }
    stage.world.run_ms(1_000_000);
    assert_eq!(
        stage.world.story[STANDING_STORY..][0],
        "Server CallEnded TransactionTimeout"
    );
    stage.world.run_ms(2_000_000);
    stage.world.assert_empty();
}

/// Nobody refreshes: the other side hangs up shortly before the session expires.
#[test]
fn a_session_nobody_refreshes_is_over() {
    let mut stage = Stage::new(Transport::Udp);
    stage.world.ask_nobody();
    stage.play(STANDING);
    stage.world.swallow.push(("Server UPDATE", u32::MAX));
    stage.world.swallow.push(("Server BYE", u32::MAX));
    stage.world.run_ms(1_800_000);
    assert_eq!(
        stage.world.story[STANDING_STORY..],
        [
            "Server CallEnded TransactionTimeout",
            "Phone CallEnded Failed { status: 408, why: \"the session timer ran out\" }",
        ]
    );
    stage.world.settle();
    stage.world.assert_empty();
}

/// A phone without UPDATE gets the same description by re-INVITE, and answers for itself.
#[test]
fn a_session_is_refreshed_by_reinvite() {
    let mut stage = Stage::new(Transport::Udp);
    stage.play(STANDING);
    let call = stage.key(Server);
    if let Some(call) = stage.world.server.calls.get_mut(&call) {
        call.takes_update = false;
    }
    stage.world.run_ms(901_000);
    assert_eq!(
        stage.world.story[STANDING_STORY..],
        ["Phone ReInvite sdp"],
        "it is an offer to the phone"
    );
    stage.play(&[AnswerReinvite(Phone, Ok(OFFER)), Wait(1_000)]);
    // The same description as before: the program hears nothing.
    assert_eq!(stage.world.story.len(), STANDING_STORY + 1);
    // The next refresh repeats that exchange, and needs no program on the other side either.
    stage.world.run_ms(901_000);
    let reinvites = |story: &[String]| {
        story
            .iter()
            .filter(|line| line.contains("ReInvite"))
            .count()
    };
    assert_eq!(reinvites(&stage.world.story), 1);
}

/// RFC 4028 §7.3: 422, and again with what it asks for.
#[test]
fn a_session_too_brief_is_asked_for_again() {
    let config = EndpointConfig {
        min_se_s: 3_600,
        session_expires_s: 3_600,
        ..EndpointConfig::default()
    };
    let mut world = World::with_config(Transport::Udp, Network::GOOD, 1, config).registered();
    world.dial("100");
    world.run_until("Server IncomingCall");
    assert_eq!(sent(&world, "Server 422"), 1);
    let call = world.incoming();
    world
        .act(Server, |s, now| s.answer(now, call, ANSWER.into()))
        .expect("answer");
    world.run_until("Server CallConfirmed");
    let session = world.server.calls[&call].session.expect("a session timer");
    assert_eq!((session.interval_s, session.we_refresh), (3_600, true));
}
