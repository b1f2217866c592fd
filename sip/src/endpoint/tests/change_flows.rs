//! Changes of sessions inside answered calls, and calls without an offer.

use super::stage::Do::*;
use super::stage::{BOTH, CHANGED, STANDING, Stage, check, check_over, inside, sent};
use super::world::Side::{Phone, Server};
use super::world::{ANSWER, OFFER};
use crate::CallError;
use crate::flow::Transport;

#[test]
fn either_side_changes_a_session() {
    for (side, peer) in [(Server, Phone), (Phone, Server)] {
        let world = inside(
            &[
                Reoffer(side, Some(CHANGED)),
                Wait(100),
                AnswerReinvite(peer, Ok(ANSWER)),
                Wait(100),
                Reoffer(side, Some(ANSWER)),
                Wait(100),
                AnswerReinvite(peer, Err(488)),
            ],
            &[
                &format!("{peer:?} ReInvite sdp"),
                &format!("{side:?} ReofferAnswered sdp"),
                &format!("{peer:?} ReInvite sdp"),
                &format!("{side:?} ReofferAnswered 488"),
            ],
        );
        assert_eq!(world.server.stats().calls, 1, "the call goes on");
    }
}

#[test]
fn the_peer_is_asked_for_its_offer() {
    for (side, peer) in [(Server, Phone), (Phone, Server)] {
        inside(
            &[
                Reoffer(side, None),
                Wait(100),
                AnswerReinvite(peer, Ok(OFFER)),
                Wait(100),
                Acknowledge(side, ANSWER),
            ],
            &[
                &format!("{peer:?} ReInvite -"),
                &format!("{side:?} ReofferAnswered sdp"),
                &format!("{peer:?} CallConfirmed sdp"),
            ],
        );
    }
}

/// RFC 3261 §14.1: both are refused, the callee tries again within two seconds, the caller after.
#[test]
fn glare_is_met_on_both_sides() {
    for transport in BOTH {
        let mut stage = Stage::new(transport);
        stage.play(STANDING);
        stage.world.story.clear();
        stage.play(&[Glare, Until("Phone ReInvite")]);
        stage.play(&[AnswerReinvite(Phone, Ok(ANSWER)), Until("Server ReInvite")]);
        stage.play(&[AnswerReinvite(Server, Ok(ANSWER)), Wait(40_000)]);
        let story = &stage.world.story;
        assert_eq!(
            *story,
            [
                "Phone ReInvite sdp",
                "Server ReofferAnswered sdp",
                "Server ReInvite sdp",
                "Phone ReofferAnswered sdp",
            ]
        );
        assert_eq!(sent(&stage.world, "Server 491"), 1);
        assert_eq!(sent(&stage.world, "Phone 491"), 1);
    }
}

/// One that comes too early is not refused to the program: it waits its turn.
#[test]
fn a_change_waits_for_the_acknowledgement() {
    check(
        &[
            Dial,
            Until("Server IncomingCall"),
            Answer(ANSWER),
            Reoffer(Server, Some(OFFER)),
            Until("Phone ReInvite"),
            AnswerReinvite(Phone, Ok(ANSWER)),
        ],
        &[
            "Server IncomingCall phone1 100 sdp",
            "Phone CallAnswered sdp",
            "Server CallConfirmed -",
            "Phone ReInvite sdp",
            "Server ReofferAnswered sdp",
        ],
    );
    let mut stage = Stage::new(Transport::Udp);
    stage.play(&[Dial, Until("Server IncomingCall")]);
    let early = stage.step(Reoffer(Server, Some(OFFER)));
    assert_eq!(early, Err(CallError::WrongState), "nothing to change yet");
    stage.play(&[Answer(ANSWER), Until("Server CallConfirmed")]);
    stage.play(&[Reoffer(Server, Some(OFFER))]);
    let second = stage.step(Reoffer(Server, Some(OFFER)));
    assert_eq!(second, Err(CallError::WrongState), "one at a time");
}

#[test]
fn hanging_up_in_the_middle_of_a_change() {
    for (side, peer) in [(Server, Phone), (Phone, Server)] {
        for ends in [side, peer] {
            let other = if ends == side { peer } else { side };
            let mut expected = vec![
                format!("{peer:?} ReInvite sdp"),
                format!("{ends:?} CallEnded ByeSent"),
                format!("{other:?} CallEnded ByeReceived {{ reason: None }}"),
            ];
            if ends == peer {
                // RFC 3261 §15.1.2: what it has not answered is over, too.
                expected.insert(2, format!("{side:?} ReofferAnswered 487"));
            }
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            inside(
                &[
                    Reoffer(side, Some(CHANGED)),
                    Wait(100),
                    Hangup(ends, None),
                    Wait(100),
                ],
                &expected,
            );
        }
    }
}

#[test]
fn a_peer_that_is_gone_ends_the_call() {
    check_over(
        &[Transport::Udp],
        STANDING,
        &[
            Lose("Phone 100", u32::MAX),
            Lose("Phone 200", u32::MAX),
            Lose("Server INVITE", u32::MAX),
            Lose("Server BYE", u32::MAX),
            Reoffer(Server, Some(OFFER)),
            Wait(40_000),
            Hangup(Phone, None),
        ],
        &[
            "Server CallEnded TransactionTimeout",
            "Phone CallEnded ByeSent",
        ],
    );
}

#[test]
fn a_change_nobody_decides_on_is_given_up() {
    // The peer's program never answers: its endpoint says 500 after 32 s.
    inside(
        &[Reoffer(Server, Some(OFFER)), Wait(33_000)],
        &["Phone ReInvite sdp", "Server ReofferAnswered 500"],
    );
}

#[test]
fn a_call_without_an_offer() {
    check(
        &[
            DialLate,
            Until("Server IncomingCall"),
            Ring(180, None),
            Answer(OFFER),
            Until("Phone CallAnswered"),
            Wait(2_000),
            Acknowledge(Phone, ANSWER),
            Wait(1_000),
            Hangup(Server, None),
        ],
        &[
            "Server IncomingCall phone1 100 -",
            "Phone CallProgress 180 -",
            "Phone CallAnswered sdp",
            "Server CallConfirmed sdp",
            "Server CallEnded ByeSent",
            "Phone CallEnded ByeReceived { reason: None }",
        ],
    );
    check(
        &[
            DialLate,
            Until("Server IncomingCall"),
            Answer(OFFER),
            Until("Phone CallAnswered"),
            Hangup(Phone, None),
        ],
        &[
            "Server IncomingCall phone1 100 -",
            "Phone CallAnswered sdp",
            "Phone CallEnded ByeSent",
            "Server CallConfirmed -",
            "Server CallEnded ByeReceived { reason: None }",
        ],
    );
}

#[test]
fn an_offer_left_unanswered_ends_the_call() {
    let world = check_over(
        &[Transport::Tcp],
        &[],
        &[
            DialLate,
            Until("Server IncomingCall"),
            Answer(OFFER),
            Until("Phone CallAnswered"),
            Wait(40_000),
        ],
        &[
            "Server IncomingCall phone1 100 -",
            "Phone CallAnswered sdp",
            "Server CallEnded AckTimeout",
            "Phone CallEnded ByeReceived { reason: None }",
        ],
    );
    assert!(sent(&world, "Phone ACK") <= 3, "{:#?}", world.wire);
}
