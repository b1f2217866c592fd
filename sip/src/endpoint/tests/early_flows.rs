//! What happens before an answer: early media that must arrive, changes of it, cancelling and ringing out.

use super::stage::Do::*;
use super::stage::{Do, Stage, check, check_over, sent};
use super::world::Side::{Phone, Server};
use super::world::{ANSWER, Network, OFFER, World};
use crate::endpoint::CallParams;
use crate::flow::Transport;

/// RFC 3262: early media arrives for sure, whatever is lost.
#[test]
fn early_media_is_acknowledged() {
    let rows: [(&[Do], usize); 3] = [
        (&[], 1),
        (&[Lose("Server 183", 2)], 3),
        (&[Lose("Phone PRACK", 1)], 2),
    ];
    for (losses, responses) in rows {
        let mut script = losses.to_vec();
        script.extend([
            Dial,
            Until("Server IncomingCall"),
            Ring(183, Some(ANSWER)),
            Until("Phone CallProgress"),
            Wait(5_000),
            Answer(ANSWER),
            Until("Server CallConfirmed"),
            Hangup(Phone, None),
        ]);
        let world = check_over(
            &[Transport::Udp],
            &[],
            &script,
            &[
                "Server IncomingCall phone1 100 sdp",
                "Phone CallProgress 183 sdp",
                "Phone CallAnswered sdp",
                "Server CallConfirmed -",
                "Phone CallEnded ByeSent",
                "Server CallEnded ByeReceived { reason: None }",
            ],
        );
        assert!(sent(&world, "Server 183") >= responses, "{:#?}", world.wire);
    }
}

#[test]
fn the_answer_waits_until_early_media_is_acknowledged() {
    let world = check_over(
        &[Transport::Udp],
        &[],
        &[
            Lose("Phone PRACK", 2),
            Dial,
            Until("Server IncomingCall"),
            Ring(183, Some(ANSWER)),
            Ring(180, None),
            Answer(ANSWER),
            Until("Server CallConfirmed"),
        ],
        &[
            "Server IncomingCall phone1 100 sdp",
            "Phone CallProgress 183 sdp",
            "Phone CallProgress 180 -",
            "Phone CallAnswered sdp",
            "Server CallConfirmed -",
        ],
    );
    let place = |what: &str| world.wire.iter().rposition(|line| line == what);
    assert!(
        place("Phone PRACK") < place("Server 200"),
        "{:#?}",
        world.wire
    );
}

#[test]
fn early_media_nobody_acknowledges_ends_the_call() {
    check_over(
        &[Transport::Udp],
        &[],
        &[
            Lose("Phone PRACK", u32::MAX),
            Dial,
            Until("Server IncomingCall"),
            Ring(183, Some(ANSWER)),
            Wait(40_000),
        ],
        &[
            "Server IncomingCall phone1 100 sdp",
            "Phone CallProgress 183 sdp",
            "Server CallEnded Failed { status: 504, why: \"a provisional response was never acknowledged\" }",
            "Phone CallEnded Rejected { status: 504 }",
        ],
    );
}

/// RFC 3262 §5: our offer in the 183, the answer in the PRACK, and none in the 200.
#[test]
fn early_media_in_a_call_without_an_offer() {
    check(
        &[
            DialLate,
            Until("Server IncomingCall"),
            Ring(183, Some(OFFER)),
            Until("Phone CallProgress"),
            Acknowledge(Phone, ANSWER),
            Until("Server ReofferAnswered"),
            Answer(OFFER),
            Until("Server CallConfirmed"),
            Hangup(Server, None),
        ],
        &[
            "Server IncomingCall phone1 100 -",
            "Phone CallProgress 183 sdp",
            "Server ReofferAnswered sdp",
            "Phone CallAnswered -",
            "Server CallConfirmed -",
            "Server CallEnded ByeSent",
            "Phone CallEnded ByeReceived { reason: None }",
        ],
    );
}

/// What was said early is the answer; another description follows as a change.
#[test]
fn another_answer_than_the_early_one_becomes_a_change() {
    check(
        &[
            Dial,
            Until("Server IncomingCall"),
            Ring(183, Some(ANSWER)),
            Until("Phone CallProgress"),
            Wait(1_000),
            Answer(OFFER),
            Until("Phone ReInvite"),
            AnswerReinvite(Phone, Ok(ANSWER)),
        ],
        &[
            "Server IncomingCall phone1 100 sdp",
            "Phone CallProgress 183 sdp",
            "Phone CallAnswered sdp",
            "Server CallConfirmed -",
            "Phone ReInvite sdp",
            "Server ReofferAnswered sdp",
        ],
    );
}

/// RFC 3311: UPDATE before the answer, by either side.
#[test]
fn an_early_session_is_changed() {
    for (side, peer) in [(Server, Phone), (Phone, Server)] {
        let world = check(
            &[
                Dial,
                Until("Server IncomingCall"),
                Ring(183, Some(ANSWER)),
                Until("Phone CallProgress"),
                Wait(1_000),
                Reoffer(side, Some(OFFER)),
                Wait(100),
                AnswerReinvite(peer, Ok(ANSWER)),
                Wait(100),
                Answer(ANSWER),
                Until("Server CallConfirmed"),
                Hangup(Phone, None),
            ],
            &[
                "Server IncomingCall phone1 100 sdp",
                "Phone CallProgress 183 sdp",
                &format!("{peer:?} ReInvite sdp"),
                &format!("{side:?} ReofferAnswered sdp"),
                "Phone CallAnswered sdp",
                "Server CallConfirmed -",
                "Phone CallEnded ByeSent",
                "Server CallEnded ByeReceived { reason: None }",
            ],
        );
        assert_eq!(sent(&world, &format!("{side:?} UPDATE")), 1);
    }
}

/// The answer comes while an UPDATE waits for the program: it goes out after it.
#[test]
fn the_answer_waits_for_an_early_change() {
    check(
        &[
            Dial,
            Until("Server IncomingCall"),
            Ring(183, Some(ANSWER)),
            Until("Phone CallProgress"),
            Wait(1_000),
            Reoffer(Phone, Some(OFFER)),
            Until("Server ReInvite"),
            Answer(ANSWER),
            Wait(1_000),
            AnswerReinvite(Server, Ok(ANSWER)),
        ],
        &[
            "Server IncomingCall phone1 100 sdp",
            "Phone CallProgress 183 sdp",
            "Server ReInvite sdp",
            "Phone ReofferAnswered sdp",
            "Phone CallAnswered sdp",
            "Server CallConfirmed -",
        ],
    );
}

#[test]
fn a_cancel_says_why() {
    check(
        &[
            Dial,
            Until("Server IncomingCall"),
            Ring(180, None),
            Until("Phone CallProgress"),
            Hangup(
                Phone,
                Some("SIP;cause=200;text=\"Call completed elsewhere\""),
            ),
        ],
        &[
            "Server IncomingCall phone1 100 sdp",
            "Phone CallProgress 180 -",
            "Phone CallEnded Cancelled { reason: None }",
            "Server CallEnded Cancelled { reason: Some(\"SIP;cause=200;text=\\\"Call completed elsewhere\\\"\") }",
        ],
    );
    // Before the first response the CANCEL waits, and its reason with it.
    let mut stage = Stage::new(Transport::Udp);
    stage.play(&[Dial, Hangup(Phone, Some("SIP;cause=200"))]);
    stage.world.settle();
    assert_eq!(stage.world.story.len(), 1, "{:?}", stage.world.story);
}

#[test]
fn ringing_has_the_bound_it_is_given() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 1).registered();
    let params = CallParams {
        ring_s: Some(20),
        ..world.call_params("100")
    };
    world.act(Phone, |p, now| p.call(now, params));
    world.run_until("Server IncomingCall");
    let (call, from) = (world.incoming(), world.now);
    world
        .act(Server, |s, now| s.provisional(now, call, 180, None))
        .expect("ring");
    world.run_until("Phone CallEnded RangOut");
    let rang_s = (world.now - from).as_secs();
    assert!((19..=20).contains(&rang_s), "{rang_s}");
    world.settle();
    world.assert_empty();
}
