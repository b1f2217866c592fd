//! Keys by INFO, and whether the peer of a quiet call is still there.

use super::raw::{inside, last_request, peer, standing, story};
use super::world::{Network, PASSWORD, Side, World};
use crate::endpoint::{CallError, Event, Input};
use crate::flow::Transport;
use crate::header::HeaderName;
use crate::message::Response;
use crate::method::Method;

#[test]
fn keys_by_info() {
    let table = [
        (
            "Content-Type: application/dtmf-relay\n\nSignal=5\r\nDuration=250",
            200,
            Some("Digits 5 250"),
        ),
        (
            "Content-Type: Application/DTMF-Relay; x=y\n\nSignal=*",
            200,
            Some("Digits * 160"),
        ),
        (
            "Content-Type: application/dtmf\n\n11",
            200,
            Some("Digits # 160"),
        ),
        (
            "Content-Type: application/dtmf-relay\n\nSignal=16",
            200,
            None,
        ),
        ("Content-Type: application/dtmf\n\nhello", 200, None),
        (
            "Content-Type: application/media_control+xml\n\n<x/>",
            415,
            None,
        ),
        (
            "Info-Package: foo\nContent-Type: application/dtmf\n\n1",
            469,
            None,
        ),
        ("Info-Package: foo", 469, None),
        ("", 200, None),
    ];
    let mut peer = peer();
    let (_, answered) = standing(&mut peer);
    for (n, (extra, expected, told)) in table.into_iter().enumerate() {
        let before = peer.events.len();
        let request = inside("INFO sip:100@192.0.2.1", 3 + n as u32, &answered, extra);
        let response = peer.ask(&request);
        assert_eq!(response.status, expected, "{extra}");
        assert_eq!(
            response.headers.has(&HeaderName::RecvInfo),
            expected == 469,
            "{extra}"
        );
        // Sent again it is the same key.
        assert_eq!(peer.statuses(&request), [expected]);
        let lines: Vec<String> = peer.events[before..]
            .iter()
            .map(super::world::line)
            .collect();
        assert_eq!(lines, Vec::from_iter(told), "{extra}");
    }
}

#[test]
fn keys_of_ours_arrive_in_their_order() {
    for seed in 0..40 {
        let mut world = World::new(Transport::Udp, Network::GOOD, seed).registered();
        let (phone_call, _) = world.connected();
        world.network = Network {
            loss: 20,
            duplicate: 20,
            delay_ms: (5, 700),
        };
        for digit in "12*#aD".chars() {
            world
                .act(Side::Phone, |phone, now| {
                    phone.send_info_digit(now, phone_call, digit, 200)
                })
                .expect("a key");
        }
        let bad = world.act(Side::Phone, |phone, now| {
            phone.send_info_digit(now, phone_call, 'E', 200)
        });
        assert_eq!(bad, Err(CallError::WrongState));
        world.run_ms(50_000);
        let keys: String = world
            .events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Digits { digit, .. } => Some(*digit),
                _ => None,
            })
            .collect();
        assert_eq!(keys, "12*#AD", "seed {seed}: {:#?}", world.story);
    }
}

#[test]
fn keys_are_bounded() {
    let mut peer = peer();
    let (call, _) = standing(&mut peer);
    let taken = (0..1_000)
        .filter(|_| {
            peer.endpoint
                .send_info_digit(peer.now, call, '1', 100)
                .is_ok()
        })
        .count();
    assert_eq!(taken, crate::usages::KEYS_MAX);
}

/// The last request of ours gets this answer; its method.
fn answered_with(peer: &mut super::peer::Peer, status: u16) -> Method {
    let (_, asked) = last_request(peer);
    peer.send(&Response::to_request(&asked, status).to_bytes());
    asked.method
}

#[test]
fn a_quiet_call_is_asked() {
    // what the peer answers, how the call ends
    let table = [
        (200, None),
        (405, None),
        (486, None),
        (500, None),
        (
            481,
            Some("CallEnded Failed { status: 481, why: \"the peer knows nothing of the call\" }"),
        ),
        (
            408,
            Some("CallEnded Failed { status: 408, why: \"the peer knows nothing of the call\" }"),
        ),
    ];
    for (status, ends) in table {
        let mut peer = peer();
        let (_, answered) = standing(&mut peer);
        peer.wait_ms(59_000);
        assert!(peer.take().is_empty());
        // Anything heard starts the time anew.
        peer.statuses(&inside("INFO sip:100@192.0.2.1", 3, &answered, ""));
        peer.wait_ms(59_999);
        assert!(peer.take().is_empty());
        peer.wait_ms(1);
        assert_eq!(answered_with(&mut peer, status), Method::Options);
        assert_eq!(story(&peer).get(2).map(String::as_str), ends, "{status}");
        match ends {
            Some(_) => assert_eq!(last_request(&mut peer).1.method, Method::Bye),
            None => {
                peer.wait_ms(59_999);
                assert!(peer.take().is_empty());
                peer.wait_ms(1);
                assert_eq!(answered_with(&mut peer, 200), Method::Options);
            }
        }
    }
}

#[test]
fn a_peer_that_vanished_ends_its_call() {
    let mut peer = peer();
    standing(&mut peer);
    peer.wait_ms(60_000 + 32_000);
    assert_eq!(story(&peer)[2..], ["CallEnded TransactionTimeout"]);
    peer.wait_ms(40_000);
    let stats = peer.endpoint.stats();
    assert_eq!((stats.calls, stats.client_transactions), (0, 0));
    assert!(peer.endpoint.calls.is_empty());
}

/// Two endpoints that ask each other at the same time get on.
#[test]
fn both_sides_may_ask() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = World::new(transport, Network::GOOD, 3).registered();
        let (phone_call, _) = world.connected();
        world.run_ms(500_000);
        let ended = world.story.iter().any(|line| line.contains("CallEnded"));
        assert!(!ended, "{:#?}", world.story);
        let asked = world
            .wire
            .iter()
            .filter(|line| line.ends_with("OPTIONS"))
            .count();
        assert!((7..=18).contains(&asked), "{asked}");
        world
            .act(Side::Phone, |phone, now| {
                phone.hangup(now, phone_call, None)
            })
            .expect("hangup");
        world.settle();
    }
}

/// The connection of a phone breaks in a call. It registers again over a new one, and the call goes on there.
#[test]
fn a_call_follows_its_phone_to_a_new_connection() {
    let mut world = World::new(Transport::Tcp, Network::GOOD, 1).registered();
    world.phone.config.keepalive_s = 0;
    let (_, server_call) = world.connected();
    world.break_streams();
    world.run_ms(1_000);
    let params = world.register_params("phone1", PASSWORD);
    world.act(Side::Phone, |phone, now| phone.register(now, params));
    world.run_until("Phone RegistrationResult");
    let asked = |world: &World| {
        world
            .wire
            .iter()
            .filter(|line| *line == "Server OPTIONS")
            .count()
    };
    world.wire.clear();
    world.run_ms(70_000);
    assert_eq!(asked(&world), 1, "{:#?}", world.wire);
    assert!(world.wire.contains(&"Phone 200".to_owned()));
    world
        .act(Side::Server, |server, now| {
            server.hangup(now, server_call, None)
        })
        .expect("hangup");
    world.run_until("Phone CallEnded");
}

#[test]
fn a_phone_that_never_connects_again_has_three_chances() {
    let mut peer = peer();
    let mut flow = peer.flow;
    flow.transport = Transport::Ws;
    flow.conn = Some(crate::flow::ConnId(7));
    peer.flow = flow;
    peer.endpoint.handle(peer.now, Input::StreamOpened { flow });
    peer.drain();
    let (call, _) = standing(&mut peer);
    let conn = flow.conn.expect("a connection");
    assert_eq!(peer.endpoint.calls_on(conn), [call]);
    peer.endpoint.handle(peer.now, Input::StreamClosed { conn });
    peer.drain();
    assert_eq!(peer.endpoint.calls_on(conn), [call], "it still stands");
    peer.wait_ms(179_000);
    assert_eq!(story(&peer).len(), 2);
    peer.wait_ms(2_000);
    assert_eq!(story(&peer)[2..], ["CallEnded TransportFailed"]);
    assert!(
        peer.opened.is_empty(),
        "only the phone can open a WebSocket"
    );
}
