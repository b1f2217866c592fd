//! What the endpoint does when it is full, flooded, fed garbage, or driven wrongly.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::peer::{Peer, invite, next_request, register, request, status_of};
use super::world::{PASSWORD, server_address};
use crate::endpoint::{EndpointConfig, Event, GuardConfig, Input, Output, StreamConfig};
use crate::flow::{ConnId, Flow};
use crate::header::HeaderName;

fn tcp(remote: &str, conn: u64) -> Flow {
    Flow::tcp(
        server_address(),
        remote.parse().expect("address"),
        ConnId(conn),
    )
}

#[test]
fn a_flood_is_not_answered() {
    let guard = GuardConfig {
        tokens_per_s: 10,
        tokens_max: 20,
        sources_max: 16,
        ..GuardConfig::default()
    };
    let mut peer = Peer::new(EndpointConfig {
        guard,
        ..EndpointConfig::default()
    });
    let options = request("OPTIONS sip:192.0.2.1", "a", "");
    let answered = (0..100)
        .filter(|_| !peer.statuses(&options).is_empty())
        .count();
    assert_eq!(answered, 20);
    assert_eq!(peer.endpoint.stats().messages_throttled, 80);
    peer.wait_ms(1_000);
    let answered = (0..100)
        .filter(|_| !peer.statuses(&options).is_empty())
        .count();
    assert_eq!(answered, 10);
    peer.from("192.0.2.8:5060");
    assert_eq!(
        peer.statuses(&options),
        [200],
        "another address has its own bucket"
    );
    peer.from("127.0.0.1:5060");
    let answered = (0..100)
        .filter(|_| !peer.statuses(&options).is_empty())
        .count();
    assert_eq!(answered, 100, "this machine does not flood itself");
}

#[test]
fn those_who_log_in_pay_nothing() {
    let guard = GuardConfig {
        tokens_per_s: 0,
        tokens_max: 3,
        sources_max: 16,
        ..GuardConfig::default()
    };
    let mut peer = Peer::new(EndpointConfig {
        guard,
        ..EndpointConfig::default()
    });
    for n in 0..20 {
        let mut request = register(&format!("a{n}"));
        request.headers.set(HeaderName::CallId, format!("call{n}"));
        assert_eq!(peer.ask_as("phone1", request).status, 200);
    }
}

#[test]
fn full_tables_say_503() {
    let config = EndpointConfig {
        calls_max: 1,
        ..EndpointConfig::default()
    };
    let mut peer = Peer::new(config);
    assert_eq!(peer.ask_as("phone1", invite("a")).status, 100);
    let mut second = invite("b");
    second.headers.set(HeaderName::CallId, "second");
    let refused = peer.ask_as("phone1", second);
    assert_eq!(refused.status, 503);
    assert!(refused.headers.has(&HeaderName::RetryAfter));

    // The first one is answered and never acknowledged. While its BYE waits for an answer it takes nobody's room.
    let call = peer.events.iter().find_map(|event| match event {
        Event::IncomingCall { call, .. } => Some(*call),
        _ => None,
    });
    let call = call.expect("a call");
    let answered = peer.endpoint.answer(peer.now, call, "v=0\r\n".to_owned());
    answered.expect("it rings");
    peer.drain();
    peer.wait_ms(33_000);
    peer.drain();
    peer.take();
    assert_eq!(peer.endpoint.stats().dialogs, 1);
    let mut third = invite("c");
    third.headers.set(HeaderName::CallId, "third");
    assert_eq!(peer.ask_as("phone1", third).status, 100);
    assert_eq!(peer.endpoint.stats().dialogs, 2);

    let config = EndpointConfig {
        transactions_max: 1,
        ..EndpointConfig::default()
    };
    let mut peer = Peer::new(config);
    assert_eq!(peer.ask_as("phone1", invite("a")).status, 100);
    let mut second = invite("b");
    second.headers.set(HeaderName::CallId, "second");
    assert_eq!(peer.statuses(&second), [503]);
    assert_eq!(
        peer.ask_as("phone1", register("c")).status,
        200,
        "a registration needs no transaction"
    );
    // The call rings out, and its transaction waits for an ACK.
    peer.wait_ms(180_000 + 32_000);
    peer.take();
    next_request(&mut second);
    assert_eq!(peer.statuses(&second), [401]);
}

#[test]
fn a_response_to_a_stranger_stays_small() {
    let config = EndpointConfig {
        udp_response_max: 700,
        ..EndpointConfig::default()
    };
    let mut peer = Peer::new(config);
    let long = format!("From: \"{}\" <sip:phone1@192.0.2.1>;tag=x", "x".repeat(600));
    assert_eq!(
        peer.statuses(&request("OPTIONS sip:192.0.2.1", "a", &long)),
        [] as [u16; 0]
    );
    assert_eq!(
        peer.statuses(&request("OPTIONS sip:192.0.2.1", "b", "")),
        [200]
    );
}

#[test]
fn connections_are_counted() {
    let streams = StreamConfig {
        streams_max: 3,
        streams_per_address_max: 2,
        ..StreamConfig::default()
    };
    let mut peer = Peer::new(EndpointConfig {
        streams,
        ..EndpointConfig::default()
    });
    for (n, address) in [
        "192.0.2.7:1",
        "192.0.2.7:2",
        "192.0.2.7:3",
        "192.0.2.8:1",
        "192.0.2.9:1",
    ]
    .into_iter()
    .enumerate()
    {
        let flow = tcp(address, n as u64);
        peer.endpoint.handle(peer.now, Input::StreamOpened { flow });
        peer.drain();
    }
    assert_eq!(peer.closed, [ConnId(2), ConnId(4)]);
    peer.endpoint
        .handle(peer.now, Input::StreamClosed { conn: ConnId(0) });
    peer.endpoint.handle(
        peer.now,
        Input::StreamOpened {
            flow: tcp("192.0.2.7:4", 9),
        },
    );
    peer.drain();
    assert_eq!((peer.closed.len(), peer.endpoint.stats().streams), (2, 3));
}

fn open(peer: &mut Peer) -> ConnId {
    peer.flow = tcp("192.0.2.7:4000", 1);
    peer.endpoint
        .handle(peer.now, Input::StreamOpened { flow: peer.flow });
    peer.drain();
    ConnId(1)
}

#[test]
fn a_silent_connection_is_closed_one_that_logged_in_is_kept() {
    let mut peer = Peer::new(EndpointConfig::default());
    let conn = open(&mut peer);
    // Keeping it alive does not help a stranger.
    peer.wait_ms(20_000);
    peer.send(b"\r\n\r\n");
    peer.wait_ms(11_999);
    assert!(peer.closed.is_empty());
    peer.wait_ms(1);
    assert_eq!(peer.closed, [conn]);

    let mut peer = Peer::new(EndpointConfig::default());
    open(&mut peer);
    let mut register = register("a");
    register.headers.set(
        HeaderName::Via,
        "SIP/2.0/TCP 192.0.2.7:4000;branch=z9hG4bKa;rport",
    );
    assert_eq!(peer.ask_as("phone1", register).status, 200);
    peer.wait_ms(7_000_000);
    assert!(peer.closed.is_empty());
    peer.wait_ms(500_000);
    assert_eq!(peer.closed.len(), 1);
    assert_eq!(peer.endpoint.stats().streams, 0);
}

#[test]
fn a_stream_in_pieces_with_pings() {
    let mut peer = Peer::new(EndpointConfig::default());
    open(&mut peer);
    let mut bytes = request("OPTIONS sip:192.0.2.1", "a", "").to_bytes();
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes.extend_from_slice(&request("OPTIONS sip:192.0.2.1", "b", "").to_bytes());
    for byte in bytes {
        peer.send(&[byte]);
    }
    let statuses: Vec<_> = peer
        .take()
        .iter()
        .filter_map(|(_, message)| status_of(message))
        .collect();
    assert_eq!(statuses, [200, 200]);
    // The ping was answered: what is sent beside the two responses.
    assert_eq!(peer.order.iter().filter(|what| **what == "send").count(), 3);
}

#[test]
fn a_stream_that_lost_its_framing_is_closed() {
    let mut peer = Peer::new(EndpointConfig::default());
    let conn = open(&mut peer);
    peer.send(b"OPTIONS sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n");
    assert_eq!(peer.closed, [conn]);
    assert_eq!(peer.endpoint.stats().streams, 0);
    // What still arrives on it is nobody's.
    peer.send(&request("OPTIONS sip:192.0.2.1", "a", "").to_bytes());
    assert!(peer.take().is_empty());
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "drain poll_output")]
fn a_driver_that_does_not_drain() {
    let mut peer = Peer::new(EndpointConfig::default());
    let data = request("OPTIONS sip:192.0.2.1", "a", "").to_bytes();
    for _ in 0..2 {
        peer.endpoint.handle(
            peer.now,
            Input::Datagram {
                flow: peer.flow,
                data: &data,
            },
        );
    }
}

/// Mutations of everything a phone says, thrown at an endpoint in every state. Nothing panics, nothing grows, and each
/// datagram causes a handful of outputs at most.
#[test]
fn garbage() {
    let mut rng = StdRng::seed_from_u64(4475);
    let guard = GuardConfig {
        tokens_max: u32::MAX,
        ..GuardConfig::default()
    };
    let mut peer = Peer::new(EndpointConfig {
        guard,
        ..EndpointConfig::default()
    });
    let mut corpus = Vec::new();
    for user_request in [
        invite("a"),
        register("b"),
        request("OPTIONS sip:192.0.2.1", "c", ""),
    ] {
        let mut request = user_request;
        let challenged = peer.ask(&request);
        if challenged.status == 401 {
            peer.authorize("phone1", PASSWORD, &mut request, &challenged);
            peer.ask(&request);
        }
        corpus.push(request.to_bytes());
        corpus.push(challenged.to_bytes());
        for method in ["ACK", "CANCEL", "BYE"] {
            let text = String::from_utf8_lossy(&request.to_bytes()).replace("INVITE", method);
            corpus.push(text.into_bytes());
        }
    }
    let Some(Event::IncomingCall { call, .. }) = peer.events.first() else {
        panic!("no call")
    };
    peer.endpoint
        .answer(peer.now, *call, super::world::ANSWER.into())
        .expect("answer");
    peer.drain();
    for _ in 0..40_000 {
        let mut data = corpus[rng.next_u32() as usize % corpus.len()].clone();
        for _ in 0..1 + rng.next_u32() % 4 {
            let at = rng.next_u32() as usize % data.len().max(1);
            match rng.next_u32() % 4 {
                0 => data[at] = rng.next_u32() as u8,
                1 => data.truncate(at.max(1)),
                2 => data.insert(at, rng.next_u32() as u8),
                _ => {
                    data.remove(at);
                }
            }
            if data.is_empty() {
                data.push(0);
            }
        }
        peer.endpoint.handle(
            peer.now,
            Input::Datagram {
                flow: peer.flow,
                data: &data,
            },
        );
        let mut outputs = 0;
        while let Some(output) = peer.endpoint.poll_output() {
            outputs += 1;
            if let Output::Datagram { data, .. } = output {
                assert!(crate::Message::parse_datagram(&data).is_ok());
            }
        }
        assert!(outputs < 16, "{outputs} outputs");
    }
    peer.wait_ms(400_000);
    let stats = peer.endpoint.stats();
    assert_eq!(
        (
            stats.server_transactions,
            stats.client_transactions,
            stats.calls
        ),
        (0, 0, 0)
    );
}
