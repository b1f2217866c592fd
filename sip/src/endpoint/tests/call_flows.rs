//! Calls between two endpoints: set up, answered, ended by either side, cancelled, refused, changed; over UDP and TCP.

use super::world::{ANSWER, Network, PASSWORD, Side, World};
use crate::endpoint::EndCause;
use crate::flow::Transport;
use crate::header::HeaderName;

const EVERY: [Transport; 5] = Transport::ALL;

/// What a test does once something has been told.
enum Do {
    Until(&'static str),
    Dial,
    Ring(u16),
    EarlyMedia,
    Answer,
    Reject(u16),
    ServerHangup,
    PhoneHangup,
    Wait(u64),
}
use Do::*;

/// Plays the script over both transports and compares the story; afterwards nothing may be left.
fn check(script: &[Do], expected: &[&str]) {
    for transport in EVERY {
        let mut world = World::new(transport, Network::GOOD, 1).registered();
        let mut phone_call = None;
        for step in script {
            match step {
                Until(start) => world.run_until(start),
                Wait(ms) => world.run_ms(*ms),
                Dial => phone_call = Some(world.dial("100")),
                Ring(status) => {
                    let call = world.incoming();
                    world
                        .act(Side::Server, |s, now| {
                            s.provisional(now, call, *status, None)
                        })
                        .expect("provisional");
                }
                EarlyMedia => {
                    let call = world.incoming();
                    world
                        .act(Side::Server, |s, now| {
                            s.provisional(now, call, 183, Some(ANSWER.into()))
                        })
                        .expect("early media");
                }
                Answer => {
                    let call = world.incoming();
                    world
                        .act(Side::Server, |s, now| s.answer(now, call, ANSWER.into()))
                        .expect("answer");
                }
                Reject(status) => {
                    let call = world.incoming();
                    world
                        .act(Side::Server, |s, now| {
                            s.reject(now, call, *status, Vec::new())
                        })
                        .expect("reject");
                }
                ServerHangup => {
                    let call = world.incoming();
                    world
                        .act(Side::Server, |s, now| s.hangup(now, call, None))
                        .expect("hangup");
                }
                PhoneHangup => {
                    let call = phone_call.expect("dialled");
                    world
                        .act(Side::Phone, |p, now| p.hangup(now, call, None))
                        .expect("hangup");
                }
            }
        }
        world.settle();
        assert_eq!(world.story, expected, "over {transport}");
        world.assert_empty();
    }
}

#[test]
fn a_call_is_answered_and_ended_by_the_caller() {
    check(
        &[
            Dial,
            Until("Server IncomingCall"),
            Ring(180),
            Until("Phone CallProgress"),
            Answer,
            Until("Server CallConfirmed"),
            Wait(5_000),
            PhoneHangup,
        ],
        &[
            "Server IncomingCall phone1 100 sdp",
            "Phone CallProgress 180 -",
            "Phone CallAnswered sdp",
            "Server CallConfirmed -",
            "Phone CallEnded ByeSent",
            "Server CallEnded ByeReceived { reason: None }",
        ],
    );
}

#[test]
fn a_call_is_answered_and_ended_by_the_server() {
    check(
        &[
            Dial,
            Until("Server IncomingCall"),
            EarlyMedia,
            Answer,
            Until("Server CallConfirmed"),
            Wait(5_000),
            ServerHangup,
        ],
        &[
            "Server IncomingCall phone1 100 sdp",
            "Phone CallProgress 183 sdp",
            "Phone CallAnswered sdp",
            "Server CallConfirmed -",
            "Server CallEnded ByeSent",
            "Phone CallEnded ByeReceived { reason: None }",
        ],
    );
}

#[test]
fn the_callers_second_thought_cancels() {
    check(
        &[
            Dial,
            Until("Server IncomingCall"),
            Ring(180),
            Until("Phone CallProgress"),
            PhoneHangup,
        ],
        &[
            "Server IncomingCall phone1 100 sdp",
            "Phone CallProgress 180 -",
            "Phone CallEnded Cancelled { reason: None }",
            "Server CallEnded Cancelled { reason: None }",
        ],
    );
}

/// RFC 3261 §9.1: before any provisional response the CANCEL waits.
#[test]
fn a_very_early_second_thought_waits_for_the_first_response() {
    check(
        &[Dial, PhoneHangup],
        &["Phone CallEnded Cancelled { reason: None }"],
    );
}

#[test]
fn an_answer_that_crosses_a_cancel_is_hung_up() {
    check(
        &[
            Dial,
            Until("Server IncomingCall"),
            Ring(180),
            Until("Phone CallProgress"),
            Answer,
            PhoneHangup,
        ],
        &[
            "Server IncomingCall phone1 100 sdp",
            "Phone CallProgress 180 -",
            "Phone CallEnded Cancelled { reason: None }",
            "Server CallConfirmed -",
            "Server CallEnded ByeReceived { reason: None }",
        ],
    );
}

#[test]
fn refusals_reach_the_caller() {
    for status in [404, 486, 488, 503, 603] {
        let cause = format!("{:?}", EndCause::Rejected { status });
        check(
            &[Dial, Until("Server IncomingCall"), Reject(status)],
            &[
                "Server IncomingCall phone1 100 sdp",
                &format!("Server CallEnded {cause}"),
                &format!("Phone CallEnded {cause}"),
            ],
        );
    }
}

#[test]
fn hanging_up_before_the_ack_waits_for_it() {
    check(
        &[Dial, Until("Server IncomingCall"), Answer, ServerHangup],
        &[
            "Server IncomingCall phone1 100 sdp",
            "Server CallEnded ByeSent",
            "Phone CallAnswered sdp",
            "Phone CallEnded ByeReceived { reason: None }",
        ],
    );
}

#[test]
fn nobody_rings_for_ever() {
    check(
        &[Dial, Until("Server IncomingCall"), Ring(180), Wait(181_000)],
        &[
            "Server IncomingCall phone1 100 sdp",
            "Phone CallProgress 180 -",
            "Phone CallProgress 180 -",
            "Phone CallProgress 180 -",
            "Phone CallEnded RangOut",
            "Server CallEnded Cancelled { reason: None }",
        ],
    );
}

#[test]
fn an_unacknowledged_answer_ends_the_call() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 3).registered();
    world.swallow.push(("Phone ACK", u32::MAX));
    world.dial("100");
    world.run_until("Server IncomingCall");
    let call = world.incoming();
    world
        .act(Side::Server, |s, now| s.answer(now, call, ANSWER.into()))
        .expect("answer");
    world.settle();
    assert_eq!(
        world.story,
        [
            "Server IncomingCall phone1 100 sdp",
            "Phone CallAnswered sdp",
            "Server CallEnded AckTimeout",
            "Phone CallEnded ByeReceived { reason: None }",
        ]
    );
    // The first 2xx and ten repetitions, RFC 3261 §13.3.1.4; each was acknowledged.
    assert_eq!(
        world
            .wire
            .iter()
            .filter(|line| *line == "Server 200")
            .count(),
        11
    );
    world.settle();
    world.assert_empty();
}

#[test]
fn a_bye_names_its_reason() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 4).registered();
    let (_, call) = world.connected();
    let reason = "SIP;cause=480;text=\"No audio\"".to_owned();
    world
        .act(Side::Server, |s, now| s.hangup(now, call, Some(reason)))
        .expect("hangup");
    world.settle();
    let end = world.story.last().expect("an end");
    assert!(end.contains("No audio"), "{end}");
}

#[test]
fn a_call_is_gone_after_its_end() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 5).registered();
    let (_, call) = world.connected();
    world
        .act(Side::Server, |s, now| s.hangup(now, call, None))
        .expect("hangup");
    for late in [
        world.act(Side::Server, |s, now| s.hangup(now, call, None)),
        world.act(Side::Server, |s, now| s.answer(now, call, ANSWER.into())),
        world.act(Side::Server, |s, now| s.reject(now, call, 486, Vec::new())),
        world.act(Side::Server, |s, now| s.provisional(now, call, 180, None)),
        world.act(Side::Server, |s, now| {
            s.answer_reinvite(now, call, Err(488))
        }),
    ] {
        assert_eq!(late, Err(crate::CallError::NoSuchCall));
    }
}

#[test]
fn statuses_that_make_no_sense_are_refused() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 6).registered();
    world.dial("100");
    world.run_until("Server IncomingCall");
    let call = world.incoming();
    for status in [100, 200, 99] {
        let result = world.act(Side::Server, |s, now| {
            s.provisional(now, call, status, None)
        });
        assert_eq!(result, Err(crate::CallError::BadStatus(status)));
    }
    for status in [180, 200, 299, 700] {
        let result = world.act(Side::Server, |s, now| {
            s.reject(now, call, status, Vec::new())
        });
        assert_eq!(result, Err(crate::CallError::BadStatus(status)));
    }
    let extra = vec![(HeaderName::RetryAfter, "30".to_owned())];
    assert_eq!(
        world.act(Side::Server, |s, now| s.reject(now, call, 503, extra)),
        Ok(())
    );
}

#[test]
fn a_wrong_password_gets_no_call() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 7);
    let mut params = world.call_params("100");
    params.credentials = Some(("phone1".to_owned(), "wrong".into()));
    world.act(Side::Phone, |p, now| p.call(now, params));
    world.settle();
    assert_eq!(
        world.story,
        [
            "Server AuthenticationFailed phone1 locked=false",
            "Phone CallEnded Rejected { status: 401 }",
        ]
    );
    world.assert_empty();
}

#[test]
fn nobody_calls_in_anothers_name() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 8);
    let mut params = world.call_params("100");
    params.credentials = Some(("phone2".to_owned(), PASSWORD.into()));
    world.act(Side::Phone, |p, now| p.call(now, params));
    world.settle();
    assert_eq!(world.story, ["Phone CallEnded Rejected { status: 403 }"]);
}

#[test]
fn a_silent_server_ends_the_call() {
    let mut world = World::new(
        Transport::Udp,
        Network {
            loss: 100,
            ..Network::GOOD
        },
        9,
    );
    world.dial("100");
    world.settle();
    assert_eq!(world.story, ["Phone CallEnded TransactionTimeout"]);
    // Timer A: 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s.
    assert_eq!(world.wire.len(), 7);
    world.assert_empty();
}

#[test]
fn a_lost_connection_ends_what_rings_but_not_what_stands() {
    let mut world = World::new(Transport::Tcp, Network::GOOD, 10).registered();
    world.dial("100");
    world.run_until("Server IncomingCall");
    world.break_streams();
    world.settle();
    assert_eq!(
        world.story,
        [
            "Server IncomingCall phone1 100 sdp",
            "Server CallEnded TransportFailed",
            "Phone CallEnded TransportFailed",
        ]
    );
    world.assert_empty();

    let mut world = World::new(Transport::Tcp, Network::GOOD, 11).registered();
    world.connected();
    world.break_streams();
    world.run_ms(1_000);
    assert!(world.story.is_empty(), "{:?}", world.story);
}

/// A request inside a call opens the way again: the phone to the server's port, the server to the phone's Contact.
#[test]
fn a_call_outlives_its_connection() {
    for ends in [Side::Phone, Side::Server] {
        let mut world = World::new(Transport::Tcp, Network::GOOD, 11).registered();
        let (phone_call, server_call) = world.connected();
        world.break_streams();
        world.run_ms(1_000);
        let call = if ends == Side::Phone {
            phone_call
        } else {
            server_call
        };
        world
            .act(ends, |side, now| side.hangup(now, call, None))
            .expect("hangup");
        world.settle();
        assert_eq!(world.story.len(), 2, "{:?}", world.story);
        world.assert_empty();
    }
}

#[test]
fn shutting_down_ends_every_call_and_takes_no_other() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 12).registered();
    world.connected();
    world.dial("101");
    world.run_until("Server IncomingCall");
    world.act(Side::Server, |s, now| s.shutdown(now));
    assert!(!world.server.is_idle());
    world.run_until("Phone CallEnded");
    world.run_ms(1_000);
    assert!(world.server.is_idle());
    world.dial("100");
    world.settle();
    assert_eq!(
        world.story.last().map(String::as_str),
        Some("Phone CallEnded Rejected { status: 503 }")
    );
    assert_eq!(
        world
            .story
            .iter()
            .filter(|line| line.starts_with("Phone CallEnded"))
            .count(),
        3
    );
    world.assert_empty();
}

#[test]
fn early_responses_bear_what_a_dialog_needs() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 13).registered();
    let (_, call) = world.connected();
    let dialog = world.server.calls[&call].dialog.clone().expect("dialog");
    assert_eq!(
        dialog.remote_target.to_string(),
        "sip:phone1@192.0.2.7:5062"
    );
    assert!(!dialog.id.remote_tag.is_empty() && !dialog.id.local_tag.is_empty());
}

/// The phone's only call. Keys count up per endpoint and the call is the first thing the phone ever did.
pub(super) fn phone_key(world: &World) -> crate::CallKey {
    let mut keys: Vec<_> = world.phone.calls.keys().copied().collect();
    keys.sort_unstable();
    keys.first().copied().unwrap_or(crate::CallKey(0))
}
