//! Who is let in, who is locked out, and that neither answer tells whether a name exists.

use super::peer::{Peer, next_request, register, request};
use super::world::{PASSWORD, line};
use crate::endpoint::{AuthConfig, EndpointConfig};
use crate::header::HeaderName;
use crate::message::Request;

fn config(per_address: u32, per_user: u32) -> EndpointConfig {
    EndpointConfig {
        auth: AuthConfig {
            failures_per_address_max: per_address,
            failures_per_user_max: per_user,
            failure_window_s: 60,
            lockout_s: 30,
            ..AuthConfig::default()
        },
        ..EndpointConfig::default()
    }
}

fn register_as(user: &str, branch: &str) -> Request {
    let extra = format!(
        "From: <sip:{user}@192.0.2.1>;tag={branch}\nTo: <sip:{user}@192.0.2.1>\nCall-ID: {branch}"
    );
    request("REGISTER sip:192.0.2.1", branch, &extra)
}

/// One try to log in: the status after the challenge.
fn attempt(peer: &mut Peer, user: &str, password: &str, branch: &str) -> u16 {
    let mut request = register_as(user, branch);
    let challenged = peer.ask(&request);
    if challenged.status != 401 {
        return challenged.status;
    }
    peer.authorize(user, password, &mut request, &challenged);
    let response = peer.ask(&request);
    if response.status == 403 {
        assert!(response.headers.has(&HeaderName::RetryAfter));
    }
    response.status
}

#[test]
fn guessing_from_one_address_is_locked_out() {
    let mut peer = Peer::new(config(3, 100));
    for n in 0..3 {
        assert_eq!(
            attempt(&mut peer, &format!("name{n}"), "guess", &format!("a{n}")),
            401
        );
    }
    assert_eq!(attempt(&mut peer, "phone1", "guess", "b"), 403);
    assert_eq!(
        attempt(&mut peer, "phone1", PASSWORD, "c"),
        403,
        "the right one is not heard either"
    );
    peer.from("192.0.2.99:5060");
    assert_eq!(
        attempt(&mut peer, "phone1", PASSWORD, "d"),
        200,
        "from elsewhere it is"
    );
    peer.from("192.0.2.7:5062");
    peer.wait_ms(30_000);
    assert_eq!(attempt(&mut peer, "phone1", PASSWORD, "e"), 200);
    let failures: Vec<String> = peer
        .events
        .iter()
        .map(line)
        .filter(|line| line.starts_with("Auth"))
        .collect();
    assert_eq!(failures.len(), 4);
    assert_eq!(failures[3], "AuthenticationFailed phone1 locked=true");
    assert_eq!(peer.endpoint.stats().authentication_failures, 4);
}

#[test]
fn guessing_one_name_from_everywhere_locks_the_name_but_not_its_owner() {
    for name in ["phone1", "nobody"] {
        let mut peer = Peer::new(config(100, 2));
        if name == "phone1" {
            assert_eq!(attempt(&mut peer, name, PASSWORD, "own"), 200);
        }
        for n in 0..2 {
            peer.from(&format!("192.0.2.{}:5060", 50 + n));
            assert_eq!(attempt(&mut peer, name, "guess", &format!("a{n}")), 401);
        }
        peer.from("192.0.2.60:5060");
        assert_eq!(attempt(&mut peer, name, "guess", "b"), 403, "{name}");
        peer.from("192.0.2.61:5060");
        assert_eq!(attempt(&mut peer, name, PASSWORD, "c"), 403, "{name}");
        if name == "phone1" {
            peer.from("192.0.2.7:5063");
            assert_eq!(
                attempt(&mut peer, name, PASSWORD, "d"),
                200,
                "registered from there"
            );
        }
    }
}

/// The answers to a wrong password and to a name that does not exist differ in nothing but the nonce.
#[test]
fn names_cannot_be_told_apart() {
    let mut shapes = Vec::new();
    for name in ["phone1", "nobody"] {
        let mut peer = Peer::new(EndpointConfig::default());
        let mut request = register_as(name, "a");
        let challenged = peer.ask(&request);
        peer.authorize(name, "guess", &mut request, &challenged);
        let response = peer.ask(&request);
        let mut names: Vec<String> = response
            .headers
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        let lengths: Vec<usize> = response
            .headers
            .get_all(&HeaderName::WwwAuthenticate)
            .map(str::len)
            .collect();
        names.push(format!("{} {lengths:?}", response.status));
        shapes.push(names);
    }
    assert_eq!(shapes[0], shapes[1]);
}

#[test]
fn a_captured_answer_is_worth_nothing() {
    let mut peer = Peer::new(EndpointConfig::default());
    let mut captured = register("a");
    let challenged = peer.ask(&captured);
    peer.authorize("phone1", PASSWORD, &mut captured, &challenged);
    assert_eq!(peer.ask(&captured).status, 200);
    next_request(&mut captured);
    let replayed = peer.ask(&captured);
    assert_eq!(replayed.status, 401);
    let values: Vec<&str> = replayed
        .headers
        .get_all(&HeaderName::WwwAuthenticate)
        .collect();
    assert!(
        values.iter().all(|value| value.ends_with("stale=true")),
        "{values:?}"
    );
    peer.from("192.0.2.99:5062");
    next_request(&mut captured);
    assert_eq!(peer.ask(&captured).status, 401);
    assert_eq!(
        peer.endpoint.stats().authentication_failures,
        0,
        "neither is a wrong password"
    );
}

#[test]
fn an_unreadable_answer() {
    let mut peer = Peer::new(EndpointConfig::default());
    let mut request = register("a");
    let challenged = peer.ask(&request);
    peer.authorize("phone1", PASSWORD, &mut request, &challenged);
    let value = request
        .headers
        .get(&HeaderName::Authorization)
        .expect("there")
        .to_owned();
    for (broken, expected) in [
        (value.replace("nc=00000001", "nc=one"), 400),
        (value.replace("qop=auth", "qop=none"), 400),
        (value.replace("Digest", "Bearer"), 401),
        ("Digest".to_owned(), 401),
        ("Digest username=\"phone1".to_owned(), 401),
    ] {
        request
            .headers
            .set(HeaderName::Authorization, broken.clone());
        next_request(&mut request);
        assert_eq!(peer.ask(&request).status, expected, "{broken}");
    }
}
