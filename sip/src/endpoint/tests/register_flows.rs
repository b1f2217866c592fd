//! Registrations between two endpoints and by hand: the challenge, refreshes, the end, a restart, and what is refused.

use super::peer::{Peer, next_request, register, request};
use super::world::{Network, PASSWORD, Side, World, account, line};
use crate::endpoint::{Endpoint, EndpointConfig, Input, Output};
use crate::flow::Transport;
use crate::header::{Contacts, HeaderName};
use crate::message::Response;

#[test]
fn registers_refreshes_and_unregisters() {
    for transport in Transport::ALL {
        let mut world = World::new(transport, Network::GOOD, 1);
        let params = world.register_params("phone1", PASSWORD);
        let key = world.act(Side::Phone, |p, now| p.register(now, params));
        world.run_until("Phone RegistrationResult");
        assert_eq!(
            world.wire,
            [
                "Phone REGISTER",
                "Server 401",
                "Phone REGISTER",
                "Server 200"
            ]
        );
        world.run_ms(1_000_000);
        world.act(Side::Phone, |p, now| p.unregister(now, key));
        world.settle();
        let transport_param = transport
            .uri_param()
            .map_or_else(String::new, |param| format!(";transport={param}"));
        assert_eq!(
            world.story,
            [
                "Server Registered phone1 600 refreshed=false",
                "Phone RegistrationResult Ok(600)",
                "Server Registered phone1 600 refreshed=true",
                "Phone RegistrationResult Ok(600)",
                "Server Registered phone1 600 refreshed=true",
                "Phone RegistrationResult Ok(600)",
                "Server Unregistered phone1 Asked",
                "Phone RegistrationResult Ok(0)",
            ]
        );
        let saved: Vec<usize> = world
            .saved
            .iter()
            .map(|(_, bindings)| bindings.len())
            .collect();
        // The second refresh is promised no longer than what the first write keeps.
        assert_eq!(saved, [1, 1, 0]);
        let contact = &world.saved[0].1[0].contact;
        assert_eq!(
            *contact,
            format!("sip:phone1@192.0.2.7:5062{transport_param}")
        );
        world.assert_empty();
    }
}

/// The nonce of the last answer serves the next refresh too, while it is young.
#[test]
fn a_kept_nonce_saves_a_challenge() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 2);
    let mut params = world.register_params("phone1", PASSWORD);
    params.expires_s = 120;
    world.act(Side::Phone, |p, now| p.register(now, params));
    world.run_ms(100_000);
    assert_eq!(
        world.wire,
        [
            "Phone REGISTER",
            "Server 401",
            "Phone REGISTER",
            "Server 200",
            "Phone REGISTER",
            "Server 200"
        ]
    );
    // The third refresh comes after 270 s, the fourth after 360 s: that nonce is stale, and says so.
    world.wire.clear();
    world.run_ms(270_000);
    assert_eq!(
        world
            .wire
            .iter()
            .filter(|line| *line == "Server 401")
            .count(),
        1
    );
    assert!(world.story.iter().all(|line| !line.contains("Failed")));
}

#[test]
fn a_registration_that_is_not_refreshed_ends() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 3).registered();
    world.network.loss = 100;
    world.run_ms(599_000);
    assert_eq!(world.server.bindings("phone1", world.now).len(), 1);
    world.run_ms(3_000);
    assert!(world.server.bindings("phone1", world.now).is_empty());
    assert_eq!(
        world.story,
        [
            "Phone RegistrationResult Err(408)",
            "Server Unregistered phone1 Expired"
        ]
    );
    assert_eq!(
        world.saved.last().map(|(_, bindings)| bindings.len()),
        Some(0)
    );
}

#[test]
fn refusals_end_a_registration() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 4);
    for (user, password, expected) in [
        ("phone1", "wrong", "Phone RegistrationResult Err(401)"),
        ("nobody", PASSWORD, "Phone RegistrationResult Err(401)"),
    ] {
        let params = world.register_params(user, password);
        world.act(Side::Phone, |p, now| p.register(now, params));
        world.run_until("Phone RegistrationResult");
        assert_eq!(world.story.last().map(String::as_str), Some(expected));
    }
    let mut brief = world.register_params("phone1", PASSWORD);
    brief.expires_s = 10;
    world.act(Side::Phone, |p, now| p.register(now, brief));
    world.run_until("Phone RegistrationResult");
    assert_eq!(
        world.story.last().map(String::as_str),
        Some("Phone RegistrationResult Ok(60)"),
        "after a 423"
    );
}

#[test]
fn a_tcp_server_that_is_not_there() {
    let mut world = World::new(Transport::Tcp, Network::GOOD, 5);
    let params = world.register_params("phone1", PASSWORD);
    world.phone.register(world.now, params);
    let mut opened = None;
    while let Some(output) = world.phone.poll_output() {
        if let Output::OpenStream { conn, .. } = output {
            opened = Some(conn);
        }
    }
    let conn = opened.expect("a connection is asked for");
    world.act(Side::Phone, |p, now| {
        p.handle(now, Input::StreamClosed { conn })
    });
    assert_eq!(world.story, ["Phone RegistrationResult Err(503)"]);
    assert_eq!(world.phone.stats().streams, 0);
}

#[test]
fn saved_before_it_is_promised() {
    let mut peer = Peer::new(EndpointConfig::default());
    let challenged = peer.ask(&register("a"));
    let mut authorized = register("a");
    peer.authorize("phone1", PASSWORD, &mut authorized, &challenged);
    peer.order.clear();
    assert_eq!(peer.statuses(&authorized), [200]);
    assert_eq!(peer.order, ["save", "send", "event"]);
    // The same once more over the wire is answered, not done again; the first write may not be through yet.
    peer.order.clear();
    assert_eq!(peer.statuses(&authorized), [200]);
    assert_eq!(peer.order, ["save", "send"]);
}

#[test]
fn a_restart_loses_no_registration() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 6).registered();
    let saved = world.saved.last().expect("saved").1.clone();
    let unix_ms = 1_000_000 + 60_000;
    let mut server = Endpoint::new(EndpointConfig::default(), [99; 32], world.now, unix_ms);
    server.set_users(vec![account("phone1")]);
    server.restore_bindings(world.now, saved);
    world.server = server;
    assert_eq!(world.server.bindings("phone1", world.now).len(), 1);
    // The refresh answers a nonce of the old process: stale, no failure.
    world.run_ms(460_000);
    assert_eq!(
        world.story,
        [
            "Server Registered phone1 600 refreshed=true",
            "Phone RegistrationResult Ok(600)"
        ]
    );
    assert_eq!(
        world.wire,
        [
            "Phone REGISTER",
            "Server 401",
            "Phone REGISTER",
            "Server 200"
        ]
    );
}

#[test]
fn a_removed_user_is_gone_at_once() {
    let mut world = World::new(Transport::Udp, Network::GOOD, 7).registered();
    world.act(Side::Server, |s, _| s.set_users(vec![account("phone2")]));
    assert!(world.server.bindings("phone1", world.now).is_empty());
    assert_eq!(world.story, ["Server Unregistered phone1 UserRemoved"]);
}

fn contacts(response: &Response) -> Vec<String> {
    match response.headers.contacts().expect("contacts") {
        Contacts::List(list) => list.iter().map(ToString::to_string).collect(),
        Contacts::Star => panic!("a star"),
    }
}

/// Rows: what is added to a REGISTER of phone1, the status, and the contacts in the answer.
#[test]
fn by_hand() {
    let rows: [(&str, u16, &[&str]); 9] = [
        ("", 200, &["<sip:phone1@192.0.2.7:5062>;expires=3600"]),
        (
            "Contact: <sip:a@b>;q=0.3;x=\"y;z\";expires=120",
            200,
            &["<sip:a@b>;x=\"y;z\";q=0.300;expires=120"],
        ),
        (
            "Contact: <sip:a@b>, <sip:c@d;transport=tcp>;+sip.instance=\"<urn:uuid:1>\"\nExpires: 90",
            200,
            &[
                "<sip:a@b>;expires=90",
                "<sip:c@d;transport=tcp>;+sip.instance=\"<urn:uuid:1>\";expires=90",
            ],
        ),
        ("Contact: *\nExpires: 0", 200, &[]),
        ("Contact: *\nExpires: 60", 400, &[]),
        ("Contact: <sip:a@b>;expires=5", 423, &[]),
        // Somebody else's name.
        ("To: <sip:phone2@192.0.2.1>", 403, &[]),
        ("To: <sip:Phone1@192.0.2.1>", 403, &[]),
        // The same name, escaped.
        (
            "To: <sip:phone%31@192.0.2.1>\nContact: <sip:a@b>;expires=60",
            200,
            &["<sip:a@b>;expires=60"],
        ),
    ];
    for (extra, status, expected) in rows {
        let mut peer = Peer::new(EndpointConfig::default());
        let response = peer.ask_as("phone1", request("REGISTER sip:192.0.2.1", "a", extra));
        assert_eq!(response.status, status, "{extra}");
        assert_eq!(contacts(&response), expected, "{extra}");
        assert_eq!(
            response.headers.get(&HeaderName::MinExpires),
            (status == 423).then_some("60")
        );
    }
}

#[test]
fn out_of_order_and_fetched() {
    let mut peer = Peer::new(EndpointConfig::default());
    assert_eq!(
        peer.ask_as(
            "phone1",
            request("REGISTER sip:192.0.2.1", "a", "CSeq: 7 REGISTER")
        )
        .status,
        200
    );
    assert_eq!(
        peer.ask_as(
            "phone1",
            request("REGISTER sip:192.0.2.1", "b", "CSeq: 6 REGISTER")
        )
        .status,
        500
    );
    let mut fetch = request("REGISTER sip:192.0.2.1", "c", "CSeq: 9 REGISTER");
    fetch.headers.remove(&HeaderName::Contact);
    let response = peer.ask_as("phone1", fetch);
    assert_eq!(
        contacts(&response),
        ["<sip:phone1@192.0.2.7:5062>;expires=3600"]
    );
    assert_eq!(
        peer.events.iter().map(line).collect::<Vec<_>>(),
        ["Registered phone1 3600 refreshed=false"]
    );
}

#[test]
fn limits_are_kept() {
    let config = EndpointConfig {
        contacts_per_user_max: 1,
        bindings_max: 1,
        ..EndpointConfig::default()
    };
    let mut peer = Peer::new(config);
    assert_eq!(peer.ask_as("phone1", register("a")).status, 200);
    let second = request(
        "REGISTER sip:192.0.2.1",
        "b",
        "Contact: <sip:other@192.0.2.7>\nCall-ID: b",
    );
    assert_eq!(peer.ask_as("phone1", second).status, 403);
    let mut stranger = request(
        "REGISTER sip:192.0.2.1",
        "c",
        "To: <sip:phone2@192.0.2.1>\nFrom: <sip:phone2@192.0.2.1>;tag=x\nCall-ID: c",
    );
    let full = peer.ask_as("phone2", stranger.clone());
    assert_eq!(full.status, 503);
    assert!(full.headers.has(&HeaderName::RetryAfter));
    next_request(&mut stranger);
    assert_eq!(peer.endpoint.stats().bindings, 1);
}
