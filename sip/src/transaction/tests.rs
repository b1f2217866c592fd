//! The four machines against the figures and timers of RFC 3261 §17 and RFC 6026, as rows of time, input and outcome.

#![allow(clippy::type_complexity, reason = "rows of a table")]

use std::time::{Duration, Instant};

use super::client::ClientTransaction;
use super::client_invite::ClientInviteTransaction;
use super::server::ServerTransaction;
use super::server_invite::ServerInviteTransaction;
use super::{Fired, Received};
use crate::timer::TimerConfig;

const UDP: bool = false;
const TCP: bool = true;

/// What a machine does on its own from one moment on: (ms, what), until it stops.
fn alone(
    base: Instant,
    mut next: impl FnMut() -> Option<Instant>,
    mut fire: impl FnMut(Instant) -> Fired,
) -> Vec<(u128, Fired)> {
    let mut log = Vec::new();
    while let Some(at) = next() {
        let fired = fire(at);
        assert_ne!(fired, Fired::Nothing, "woken for nothing");
        log.push(((at - base).as_millis(), fired));
        if matches!(fired, Fired::Ended | Fired::TimedOut) {
            break;
        }
        assert!(log.len() < 100, "never ends");
    }
    log
}

macro_rules! alone {
    ($base:expr, $machine:expr) => {{
        let machine = std::cell::RefCell::new(&mut $machine);
        alone(
            $base,
            || machine.borrow().next_timeout(),
            |at| machine.borrow_mut().on_timeout(at),
        )
    }};
}

fn resends(times: &[u128], end: u128, how: Fired) -> Vec<(u128, Fired)> {
    let mut log: Vec<_> = times.iter().map(|at| (*at, Fired::Resend)).collect();
    log.push((end, how));
    log
}

#[test]
fn client_invite_without_any_answer() {
    let base = crate::testing::start();
    let timers = TimerConfig::default();
    // Timers A and B.
    let mut machine = ClientInviteTransaction::new(base, timers, UDP);
    let expected = resends(
        &[500, 1_500, 3_500, 7_500, 15_500, 31_500],
        32_000,
        Fired::TimedOut,
    );
    assert_eq!(alone!(base, machine), expected);
    let mut machine = ClientInviteTransaction::new(base, timers, TCP);
    assert_eq!(alone!(base, machine), [(32_000, Fired::TimedOut)]);
}

#[test]
fn client_other_without_any_answer() {
    let base = crate::testing::start();
    let timers = TimerConfig::default();
    // Timers E and F.
    let times = [
        500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ];
    let mut machine = ClientTransaction::new(base, timers, UDP);
    assert_eq!(
        alone!(base, machine),
        resends(&times, 32_000, Fired::TimedOut)
    );
    let mut machine = ClientTransaction::new(base, timers, TCP);
    assert_eq!(alone!(base, machine), [(32_000, Fired::TimedOut)]);
}

/// Rows: transport, statuses that arrive 100 ms apart with what shall become of each, then what happens alone.
#[test]
fn client_invite_answers() {
    use Received::{Absorb, Ack, Pass, PassAndAck};
    let ended = |at| vec![(at, Fired::Ended)];
    let rows: [(bool, Vec<(u16, Received)>, Vec<(u128, Fired)>); 8] = [
        // Proceeding: no timer runs any more.
        (UDP, vec![(100, Pass), (180, Pass)], vec![]),
        // Timer M after a 2xx, on every transport; further 2xx pass, anything else is absorbed.
        (UDP, vec![(200, Pass)], ended(32_100)),
        (
            TCP,
            vec![
                (180, Pass),
                (200, Pass),
                (200, Pass),
                (486, Absorb),
                (180, Absorb),
            ],
            ended(32_200),
        ),
        // Timer D after a refusal: 32 s, or nothing where the transport is reliable.
        (UDP, vec![(486, PassAndAck)], ended(32_100)),
        (
            UDP,
            vec![
                (100, Pass),
                (486, PassAndAck),
                (486, Ack),
                (180, Absorb),
                (200, Absorb),
            ],
            ended(32_200),
        ),
        (TCP, vec![(486, PassAndAck)], ended(100)),
        (UDP, vec![(302, PassAndAck), (302, Ack)], ended(32_100)),
        (UDP, vec![(603, PassAndAck)], ended(32_100)),
    ];
    for (reliable, arrivals, expected) in rows {
        let base = crate::testing::start();
        let mut machine = ClientInviteTransaction::new(base, TimerConfig::default(), reliable);
        for (n, (status, outcome)) in arrivals.iter().enumerate() {
            let at = base + Duration::from_millis(100 * (n as u64 + 1));
            assert_eq!(
                machine.on_response(at, *status),
                *outcome,
                "{status} of {arrivals:?}"
            );
        }
        assert_eq!(alone!(base, machine), expected, "{arrivals:?}");
    }
}

/// RFC 3261 §9.1: after a CANCEL the wait for a final response ends at 64*T1.
#[test]
fn client_invite_cancelled_and_never_answered() {
    let base = crate::testing::start();
    let mut machine = ClientInviteTransaction::new(base, TimerConfig::default(), UDP);
    assert!(!machine.has_provisional());
    machine.on_response(base, 180);
    assert!(machine.has_provisional());
    machine.give_up_by(base + Duration::from_secs(10));
    machine.on_response(base + Duration::from_secs(11), 180);
    assert_eq!(alone!(base, machine), [(42_000, Fired::TimedOut)]);
}

#[test]
fn client_other_answers() {
    use Received::{Absorb, Pass};
    let rows: [(bool, Vec<(u16, Received)>, Vec<(u128, Fired)>); 4] = [
        // Timer K: 5 s, or nothing where the transport is reliable.
        (
            UDP,
            vec![(200, Pass), (200, Absorb)],
            vec![(5_100, Fired::Ended)],
        ),
        (TCP, vec![(200, Pass)], vec![(100, Fired::Ended)]),
        (
            UDP,
            vec![(100, Pass), (401, Pass)],
            vec![(5_200, Fired::Ended)],
        ),
        // Proceeding: timer E goes on at T2, timer F stands.
        (
            UDP,
            vec![(100, Pass)],
            resends(
                &[500, 4_500, 8_500, 12_500, 16_500, 20_500, 24_500, 28_500],
                32_000,
                Fired::TimedOut,
            ),
        ),
    ];
    for (reliable, arrivals, expected) in rows {
        let base = crate::testing::start();
        let mut machine = ClientTransaction::new(base, TimerConfig::default(), reliable);
        for (n, (status, outcome)) in arrivals.iter().enumerate() {
            let at = base + Duration::from_millis(100 * (n as u64 + 1));
            assert_eq!(
                machine.on_response(at, *status),
                *outcome,
                "{status} of {arrivals:?}"
            );
        }
        // The last row's end coincides with a resend at 32.5 s, which never comes.
        assert_eq!(alone!(base, machine), expected, "{arrivals:?}");
    }
}

/// Rows: transport, statuses sent at once with whether each may go out, whether the request again wants an answer.
#[test]
fn server_other() {
    let rows: [(bool, Vec<(u16, bool)>, bool, Vec<(u128, Fired)>); 5] = [
        (UDP, vec![], false, vec![]),
        (UDP, vec![(100, true)], true, vec![]),
        // Timer J: 32 s, or nothing where the transport is reliable.
        (UDP, vec![(200, true)], true, vec![(32_000, Fired::Ended)]),
        (
            UDP,
            vec![(401, true), (200, false)],
            true,
            vec![(32_000, Fired::Ended)],
        ),
        (TCP, vec![(200, true)], true, vec![(0, Fired::Ended)]),
    ];
    for (reliable, sent, again, expected) in rows {
        let base = crate::testing::start();
        let mut machine = ServerTransaction::new(TimerConfig::default(), reliable);
        for (status, goes) in &sent {
            assert_eq!(
                machine.on_respond(base, *status),
                *goes,
                "{status} of {sent:?}"
            );
        }
        assert_eq!(machine.on_retransmission(), again, "{sent:?}");
        assert_eq!(alone!(base, machine), expected, "{sent:?}");
    }
}

#[test]
fn server_invite() {
    let g = [
        500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ];
    let rows: [(bool, Vec<(u16, bool)>, bool, Vec<(u128, Fired)>); 6] = [
        (UDP, vec![], false, vec![]),
        (UDP, vec![(100, true), (180, true)], true, vec![]),
        // Timer L after a 2xx; the INVITE again is swallowed, a 2xx again goes through, nothing else does.
        (
            UDP,
            vec![(200, true), (200, true), (180, false), (486, false)],
            false,
            vec![(32_000, Fired::Ended)],
        ),
        (TCP, vec![(200, true)], false, vec![(32_000, Fired::Ended)]),
        // Timers G and H after a refusal.
        (
            UDP,
            vec![(486, true), (200, false)],
            true,
            resends(&g, 32_000, Fired::TimedOut),
        ),
        (
            TCP,
            vec![(486, true)],
            true,
            vec![(32_000, Fired::TimedOut)],
        ),
    ];
    for (reliable, sent, again, expected) in rows {
        let base = crate::testing::start();
        let mut machine = ServerInviteTransaction::new(TimerConfig::default(), reliable);
        for (status, goes) in &sent {
            assert_eq!(
                machine.on_respond(base, *status),
                *goes,
                "{status} of {sent:?}"
            );
        }
        assert_eq!(machine.on_retransmission(), again, "{sent:?}");
        assert_eq!(alone!(base, machine), expected, "{sent:?}");
    }
}

/// Timer I, and whose ACK it was.
#[test]
fn server_invite_acknowledged() {
    for (reliable, end) in [(UDP, 5_100), (TCP, 100)] {
        let base = crate::testing::start();
        let at = base + Duration::from_millis(100);
        let mut machine = ServerInviteTransaction::new(TimerConfig::default(), reliable);
        machine.on_respond(base, 486);
        assert!(!machine.on_ack(at), "the ACK of a refusal ends here");
        assert!(
            !machine.on_retransmission(),
            "an INVITE after its ACK is an echo"
        );
        assert!(!machine.on_ack(at));
        assert_eq!(alone!(base, machine), [(end, Fired::Ended)]);
    }
    let base = crate::testing::start();
    let mut machine = ServerInviteTransaction::new(TimerConfig::default(), UDP);
    machine.on_respond(base, 200);
    assert!(machine.on_ack(base), "the ACK of a 2xx is the user's");
}
