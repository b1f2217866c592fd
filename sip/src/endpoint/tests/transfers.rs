//! Transfers: REFER and its reports between two endpoints, over good networks and bad ones, and by hand where a peer is
//! odd.

use super::peer::Peer;
use super::raw::{inside, last_request, last_response, peer, standing, story};
use super::world::{ANSWER, Network, Side, World, line};
use crate::endpoint::{CallError, CallKey, Caller, EndpointConfig, Event};
use crate::flow::Transport;
use crate::header::HeaderName;
use crate::message::{Message, Request, Response};
use crate::uri::Uri;

const BOTH: [Transport; 2] = [Transport::Udp, Transport::Tcp];

fn uri(text: &str) -> Uri {
    text.parse().expect("a URI")
}

fn world(transport: Transport, network: Network, seed: u64) -> World {
    // Quiet calls are another matter (see `usages`).
    let config = EndpointConfig {
        keepalive_s: 0,
        ..EndpointConfig::default()
    };
    World::with_config(transport, network, seed, config)
}

/// The phone transfers its call; the server's key of it.
fn transferred(world: &mut World, replaces: bool) -> (CallKey, CallKey) {
    let (phone_call, server_call) = world.connected();
    let other = replaces.then(|| world.connected().0);
    world
        .act(Side::Phone, |phone, now| {
            phone.refer(now, phone_call, uri("sip:200@192.0.2.1"), other)
        })
        .expect("refer");
    world.run_until("Server Transfer");
    (phone_call, server_call)
}

fn progress(world: &mut World, call: CallKey, status: u16) -> Result<(), CallError> {
    world.act(Side::Server, |server, now| {
        server.transfer_progress(now, call, status)
    })
}

#[test]
fn a_blind_transfer_is_reported_to_its_end() {
    for transport in BOTH {
        let mut world = world(transport, Network::GOOD, 1).registered();
        let (phone_call, server_call) = transferred(&mut world, false);
        world
            .act(Side::Server, |server, now| {
                server.answer_transfer(now, server_call, Ok(()))
            })
            .expect("answer");
        world.run_ms(1_000);
        for status in [180, 180, 200] {
            progress(&mut world, server_call, status).expect("progress");
            world.run_ms(1_000);
        }
        // The last word was said.
        progress(&mut world, server_call, 486).expect("ignored");
        world
            .act(Side::Phone, |phone, now| {
                phone.hangup(now, phone_call, None)
            })
            .expect("hangup");
        world.settle();
        assert_eq!(
            world.story,
            [
                "Server Transfer sip:200@192.0.2.1 replaces=false",
                "Phone ReferProgress 180 last=false",
                "Phone ReferProgress 180 last=false",
                "Phone ReferProgress 200 last=true",
                "Phone CallEnded ByeSent",
                "Server CallEnded ByeReceived { reason: None }",
            ],
            "{transport}"
        );
        let notifies = world
            .wire
            .iter()
            .filter(|line| *line == "Server NOTIFY")
            .count();
        assert_eq!(notifies, 4, "100, 180, 180 and 200");
        world.assert_empty();
    }
}

#[test]
fn an_attended_transfer_names_the_other_call() {
    let mut world = world(Transport::Udp, Network::GOOD, 1).registered();
    let (_, server_call) = transferred(&mut world, true);
    let named = world
        .events
        .iter()
        .rev()
        .find_map(|(_, event)| match event {
            Event::Transfer {
                call,
                replaces,
                foreign_replaces,
                referred_by,
                ..
            } => Some((
                *call,
                *replaces,
                foreign_replaces.clone(),
                referred_by.clone(),
            )),
            _ => None,
        });
    let (call, replaces, foreign, referred_by) = named.expect("a transfer");
    let newest = world.incoming();
    assert_eq!((call, replaces, foreign), (server_call, Some(newest), None));
    assert!(referred_by.is_some_and(|by| by.contains("phone1")));
    // Refused: the phone hears why, both calls go on.
    world
        .act(Side::Server, |server, now| {
            server.answer_transfer(now, server_call, Err(603))
        })
        .expect("answer");
    world.run_ms(1_000);
    assert_eq!(
        world.story.last().map(String::as_str),
        Some("Phone ReferProgress 603 last=true")
    );
    assert_eq!(world.server.stats().calls, 2);
}

/// The other call is with somebody else of ours: knowing its tags is not being in it.
#[test]
fn nobody_transfers_into_a_call_of_others() {
    let mut world = world(Transport::Udp, Network::GOOD, 1).registered();
    let (phone_call, _) = world.connected();
    let (other, server_other) = world.connected();
    let stranger = Some(Caller::User("phone2".to_owned()));
    world
        .server
        .calls
        .get_mut(&server_other)
        .expect("a call")
        .party = stranger;
    world
        .act(Side::Phone, |phone, now| {
            phone.refer(now, phone_call, uri("sip:200@192.0.2.1"), Some(other))
        })
        .expect("refer");
    world.run_until("Phone ReferProgress");
    assert_eq!(world.story, ["Phone ReferProgress 403 last=true"]);
}

#[test]
fn reports_go_on_when_the_phone_has_hung_up() {
    let mut world = world(Transport::Udp, Network::GOOD, 1).registered();
    let (phone_call, server_call) = transferred(&mut world, false);
    world
        .act(Side::Server, |server, now| {
            server.answer_transfer(now, server_call, Ok(()))
        })
        .expect("answer");
    world.run_ms(1_000);
    world
        .act(Side::Phone, |phone, now| {
            phone.hangup(now, phone_call, None)
        })
        .expect("hangup");
    world.run_until("Server CallEnded");
    world.wire.clear();
    progress(&mut world, server_call, 200).expect("progress");
    world.run_ms(6_000);
    // A phone that has forgotten the call says so, and that is that.
    assert_eq!(world.wire[..2], ["Server NOTIFY", "Phone 481"]);
    assert_eq!(
        progress(&mut world, server_call, 200),
        Err(CallError::NoSuchCall)
    );
    world.settle();
    world.assert_empty();
}

#[test]
fn what_the_program_leaves_undone_is_done_for_it() {
    // Left unanswered: 500 after 16 s.
    let mut one = world(Transport::Udp, Network::GOOD, 1).registered();
    let (_, server_call) = transferred(&mut one, false);
    one.run_ms(16_000);
    one.run_until("Phone ReferProgress");
    assert_eq!(
        one.story.last().map(String::as_str),
        Some("Phone ReferProgress 500 last=true")
    );
    let late = one.act(Side::Server, |server, now| {
        server.answer_transfer(now, server_call, Ok(()))
    });
    assert_eq!(late, Err(CallError::WrongState));
    // Never reported: the last word is the last that was known.
    let mut two = world(Transport::Udp, Network::GOOD, 1).registered();
    let (_, server_call) = transferred(&mut two, false);
    two.act(Side::Server, |server, now| {
        server.answer_transfer(now, server_call, Ok(()))
    })
    .expect("answer");
    two.run_ms(1_000);
    progress(&mut two, server_call, 180).expect("progress");
    two.run_ms(201_000);
    assert_eq!(
        two.story[1..],
        [
            "Phone ReferProgress 180 last=false",
            "Phone ReferProgress 180 last=true"
        ]
    );
    // A call that ends with its transfer unanswered leaves nothing open.
    let mut three = world(Transport::Udp, Network::GOOD, 1).registered();
    let (phone_call, _) = transferred(&mut three, false);
    three
        .act(Side::Phone, |phone, now| {
            phone.hangup(now, phone_call, None)
        })
        .expect("hangup");
    three.run_ms(60_000);
    three.assert_empty();
}

#[test]
fn a_lost_transfer_ends_the_call_it_was_sent_in() {
    let mut world = world(Transport::Udp, Network::GOOD, 1).registered();
    let (phone_call, _) = world.connected();
    world.swallow.push(("Phone REFER", 100));
    world.swallow.push(("Phone BYE", 100));
    let now_to = uri("sip:200@192.0.2.1");
    world
        .act(Side::Phone, |phone, now| {
            phone.refer(now, phone_call, now_to, None)
        })
        .expect("refer");
    let twice = world.act(Side::Phone, |phone, now| {
        phone.refer(now, phone_call, uri("sip:2@h"), None)
    });
    assert_eq!(twice, Err(CallError::WrongState));
    world.run_ms(33_000);
    assert_eq!(
        world.story,
        [
            "Phone ReferProgress 408 last=true",
            "Phone CallEnded TransactionTimeout"
        ]
    );
}

/// Over a bad network: each transfer is told once at the server, ends once at the phone, and leaves nothing behind.
#[test]
fn transfers_over_a_bad_network() {
    let bad = Network {
        loss: 20,
        duplicate: 10,
        delay_ms: (5, 400),
    };
    let mut through = 0;
    for seed in 0..60 {
        let mut world = world(Transport::Udp, Network::GOOD, seed).registered();
        let (phone_call, server_call) = world.connected();
        world.network = bad;
        let target = uri("sip:200@192.0.2.1");
        world
            .act(Side::Phone, |phone, now| {
                phone.refer(now, phone_call, target, None)
            })
            .expect("refer");
        let until = world.now + std::time::Duration::from_secs(10);
        while !world
            .story
            .iter()
            .any(|line| line.starts_with("Server Transfer"))
            && world.step(until)
        {}
        let _ = world.act(Side::Server, |server, now| {
            server.answer_transfer(now, server_call, Ok(()))
        });
        for status in [180, 183, 200] {
            world.run_ms(300);
            let _ = progress(&mut world, server_call, status);
        }
        world.run_ms(80_000);
        let count = |start: &str| {
            world
                .story
                .iter()
                .filter(|line| line.starts_with(start))
                .count()
        };
        assert!(
            count("Server Transfer") <= 1,
            "seed {seed}: {:#?}",
            world.story
        );
        let last = world
            .story
            .iter()
            .filter(|line| line.ends_with("last=true"))
            .count();
        assert_eq!(last, 1, "seed {seed}: {:#?}", world.story);
        through += count("Phone ReferProgress 200 last=true");
        let _ = world.act(Side::Phone, |phone, now| {
            phone.hangup(now, phone_call, None)
        });
        world.run_ms(300_000);
        world.assert_empty();
    }
    assert!(through >= 55, "only {through} of 60 heard of their end");
}

fn refer(cseq: u32, answered: &Response, extra: &str) -> Request {
    inside("REFER sip:100@192.0.2.1", cseq, answered, extra)
}

#[test]
fn odd_transfers_are_refused() {
    let table = [
        ("", 400),
        ("Refer-To: nobody", 400),
        ("Refer-To: <sip:a@b>, <sip:c@d>", 400),
        ("Refer-To: <sip:a@b>\nRefer-To: <sip:c@d>", 400),
        ("Refer-To: <mailto:a@b>", 416),
        ("Refer-To: <sip:a@b;method=BYE>", 501),
        ("Refer-To: <sip:a@b?Replaces=x>", 400),
        ("Refer-To: <sip:a@b>\nRequire: multiple-refer", 420),
    ];
    for (n, (extra, expected)) in table.into_iter().enumerate() {
        let mut peer = peer();
        let (_, answered) = standing(&mut peer);
        let statuses = peer.statuses(&refer(10 + n as u32, &answered, extra));
        assert_eq!(statuses, [expected], "{extra}");
        assert_eq!(story(&peer).len(), 2, "{extra}");
    }
}

#[test]
fn a_transfer_to_a_call_elsewhere_keeps_its_words() {
    let mut peer = peer();
    let (call, answered) = standing(&mut peer);
    let extra = "Refer-To: <sip:a@b?Replaces=x%40y%3Bto-tag%3D1%3Bfrom-tag%3D2>\nRequire: replaces\nReferred-By: <sip:phone1@h>";
    assert!(peer.statuses(&refer(3, &answered, extra)).is_empty());
    match peer.events.last() {
        Some(Event::Transfer {
            target,
            replaces,
            foreign_replaces,
            referred_by,
            ..
        }) => {
            assert_eq!(target.to_string(), "sip:a@b");
            assert_eq!(*replaces, None);
            assert_eq!(foreign_replaces.as_deref(), Some("x@y;to-tag=1;from-tag=2"));
            assert_eq!(referred_by.as_deref(), Some("<sip:phone1@h>"));
        }
        other => panic!("{other:?}"),
    }
    // A second one while the first is open.
    assert_eq!(
        peer.statuses(&refer(4, &answered, "Refer-To: <sip:a@b>")),
        [491]
    );
    assert_eq!(
        peer.endpoint.answer_transfer(peer.now, call, Err(200)),
        Err(CallError::BadStatus(200))
    );
    peer.endpoint
        .answer_transfer(peer.now, call, Ok(()))
        .expect("answer");
    peer.drain();
    let (_, notify) = last_request(&mut peer);
    assert_eq!(notify.headers.get(&HeaderName::Event), Some("refer"));
    assert_eq!(
        notify.headers.get(&HeaderName::SubscriptionState),
        Some("active;expires=200")
    );
    assert_eq!(notify.body, b"SIP/2.0 100 Trying\r\n");
}

/// RFC 4488.
#[test]
fn a_phone_may_want_no_reports() {
    let mut peer = peer();
    let (call, answered) = standing(&mut peer);
    let extra = "Refer-To: <sip:a@b>\nRefer-Sub: false\nRequire: norefersub";
    peer.statuses(&refer(3, &answered, extra));
    peer.endpoint
        .answer_transfer(peer.now, call, Ok(()))
        .expect("answer");
    peer.drain();
    let accepted = last_response(&mut peer);
    assert_eq!(accepted.status, 202);
    assert_eq!(
        accepted.headers.get(&HeaderName::from("Refer-Sub")),
        Some("false")
    );
    peer.endpoint
        .transfer_progress(peer.now, call, 200)
        .expect("nothing to do");
    peer.drain();
    assert!(peer.take().is_empty());
}

fn reported(peer: &mut Peer, status: u16) -> Request {
    let (_, notify) = last_request(peer);
    let response = Response::to_request(&notify, status);
    peer.send(&response.to_bytes());
    notify
}

#[test]
fn reports_come_one_by_one_and_later_transfers_are_numbered() {
    let mut peer = peer();
    let (call, answered) = standing(&mut peer);
    peer.statuses(&refer(3, &answered, "Refer-To: <sip:a@b>"));
    peer.endpoint
        .answer_transfer(peer.now, call, Ok(()))
        .expect("answer");
    peer.drain();
    // While the first NOTIFY has no answer, only the newest report waits.
    for status in [180, 183] {
        peer.endpoint
            .transfer_progress(peer.now, call, status)
            .expect("progress");
        peer.drain();
    }
    assert!(reported(&mut peer, 200).body.starts_with(b"SIP/2.0 100"));
    assert!(reported(&mut peer, 200).body.starts_with(b"SIP/2.0 183"));
    assert!(peer.take().is_empty());
    peer.endpoint
        .transfer_progress(peer.now, call, 486)
        .expect("progress");
    peer.drain();
    let last = reported(&mut peer, 200);
    assert_eq!(
        last.headers.get(&HeaderName::SubscriptionState),
        Some("terminated;reason=noresource")
    );
    // The next one has a number, may be prolonged and may be ended by the phone.
    peer.statuses(&refer(4, &answered, "Refer-To: <sip:c@d>"));
    peer.endpoint
        .answer_transfer(peer.now, call, Ok(()))
        .expect("answer");
    peer.drain();
    assert_eq!(
        reported(&mut peer, 200).headers.get(&HeaderName::Event),
        Some("refer;id=4")
    );
    let subscribe =
        |cseq: u32, extra: &str| inside("SUBSCRIBE sip:100@192.0.2.1", cseq, &answered, extra);
    // Each is answered, and followed by a report.
    peer.send(&subscribe(5, "Event: refer;id=4\nExpires: 3600").to_bytes());
    let [
        (_, Message::Response(prolonged)),
        (_, Message::Request(notify)),
    ] = &peer.take()[..]
    else {
        panic!("an answer and a report");
    };
    assert_eq!(
        (prolonged.status, prolonged.headers.expires()),
        (200, Ok(Some(200)))
    );
    peer.send(&Response::to_request(notify, 200).to_bytes());
    assert_eq!(peer.ask(&subscribe(6, "Event: presence")).status, 489);
    peer.send(&subscribe(7, "Event: refer\nExpires: 0").to_bytes());
    let last = reported(&mut peer, 200);
    assert_eq!(
        last.headers.get(&HeaderName::SubscriptionState),
        Some("terminated;reason=timeout")
    );
    assert_eq!(peer.ask(&subscribe(8, "Event: refer")).status, 481);
}

#[test]
fn a_report_nobody_wants_is_the_last() {
    for status in [481, 489, 501] {
        let mut peer = peer();
        let (call, answered) = standing(&mut peer);
        peer.statuses(&refer(3, &answered, "Refer-To: <sip:a@b>"));
        peer.endpoint
            .answer_transfer(peer.now, call, Ok(()))
            .expect("answer");
        peer.drain();
        reported(&mut peer, status);
        peer.endpoint
            .transfer_progress(peer.now, call, 200)
            .expect("nothing to do");
        peer.drain();
        assert!(peer.take().is_empty(), "{status}");
        // The call is untouched.
        assert_eq!(peer.endpoint.stats().calls, 1);
    }
}

/// Our REFER, answered by hand: the response, the reports, and what the program is told.
#[test]
fn reports_about_a_transfer_of_ours() {
    let notify = |state: &'static str, body: &'static str| (state, body);
    // response, NOTIFYs with the status they get, what is told
    let table = [
        (
            202,
            vec![
                (notify("active;expires=60", "SIP/2.0 100 Trying"), 200),
                (notify("active;expires=60", "SIP/2.0 180 Ringing"), 200),
                (
                    notify("terminated;reason=noresource", "SIP/2.0 200 OK"),
                    200,
                ),
                (
                    notify("terminated;reason=noresource", "SIP/2.0 200 OK"),
                    481,
                ),
            ],
            vec![
                "ReferProgress 180 last=false",
                "ReferProgress 200 last=true",
            ],
        ),
        (
            202,
            vec![(notify("active", "SIP/2.0 603 Decline"), 200)],
            vec!["ReferProgress 603 last=true"],
        ),
        (
            202,
            vec![(notify("terminated;reason=giveup", "nonsense"), 200)],
            vec!["ReferProgress 100 last=true"],
        ),
        (200, vec![], vec!["ReferProgress 408 last=true"]),
        (
            202,
            vec![(notify("active;expires=20", "SIP/2.0 180 Ringing"), 200)],
            vec![
                "ReferProgress 180 last=false",
                "ReferProgress 408 last=true",
            ],
        ),
        (405, vec![], vec!["ReferProgress 405 last=true"]),
    ];
    for (n, (status, notifies, expected)) in table.into_iter().enumerate() {
        let config = EndpointConfig {
            keepalive_s: 0,
            ..EndpointConfig::default()
        };
        let mut peer = Peer::new(config);
        let (call, answered) = standing(&mut peer);
        peer.endpoint
            .refer(peer.now, call, uri("sip:200@h"), None)
            .expect("refer");
        peer.drain();
        let (_, asked) = last_request(&mut peer);
        assert_eq!(asked.headers.get(&HeaderName::ReferTo), Some("<sip:200@h>"));
        peer.send(&Response::to_request(&asked, status).to_bytes());
        for (n, ((state, body), wanted)) in notifies.into_iter().enumerate() {
            let extra = format!(
                "Event: refer\nSubscription-State: {state}\nContent-Type: message/sipfrag;version=2.0\n\n{body}"
            );
            let request = inside("NOTIFY sip:100@192.0.2.1", 3 + n as u32, &answered, &extra);
            assert_eq!(peer.statuses(&request), [wanted], "{state} {body}");
        }
        let foreign = "Event: presence\nSubscription-State: active";
        let request = inside("NOTIFY sip:100@192.0.2.1", 20, &answered, foreign);
        assert_eq!(peer.statuses(&request), [489]);
        peer.wait_ms(33_000);
        let told: Vec<String> = peer.events.iter().skip(2).map(line).collect();
        assert_eq!(told, expected, "row {n}");
    }
}

#[test]
fn a_transfer_needs_a_call_that_stands() {
    let mut world = world(Transport::Udp, Network::GOOD, 1).registered();
    let phone_call = world.dial("100");
    world.run_until("Server IncomingCall");
    let early = world.act(Side::Phone, |phone, now| {
        phone.refer(now, phone_call, uri("sip:2@h"), None)
    });
    assert_eq!(early, Err(CallError::WrongState));
    let server_call = world.incoming();
    world
        .act(Side::Server, |server, now| {
            server.answer(now, server_call, ANSWER.to_owned())
        })
        .expect("answer");
    world.run_until("Server CallConfirmed");
    let itself = world.act(Side::Phone, |phone, now| {
        phone.refer(now, phone_call, uri("sip:2@h"), Some(phone_call))
    });
    assert_eq!(itself, Err(CallError::WrongState));
    let none = world.act(Side::Phone, |phone, now| {
        phone.transfer_progress(now, CallKey(u64::MAX), 200)
    });
    assert_eq!(none, Err(CallError::NoSuchCall));
}
