//! Trunks by hand: who is taken for one, what it may say about its callers, and registrations kept with it.

use super::peer::{Peer, invite, register, request};
use super::raw::{last_request, peer, story};
use super::world::{OFFER, PASSWORD, account, server_address};
use crate::endpoint::{Caller, Event, Input, TrunkRegistration};
use crate::flow::{ConnId, Flow, FlowTarget, Transport};
use crate::header::HeaderName;
use crate::identity::{CallerId, IdentityForm};
use crate::message::{Request, Response};
use crate::trunk::{Trunk, TrunkRoute};
use crate::uri::Host;

fn carrier() -> Trunk {
    Trunk {
        name: "carrier".to_owned(),
        addresses: vec![("203.0.113.0".parse().expect("an address"), 24)],
        transport: None,
        trusts_udp: false,
        account: None,
    }
}

fn with(trunk: Trunk) -> Peer {
    let mut peer = peer();
    peer.endpoint.set_trunks(peer.now, vec![trunk]);
    peer
}

/// From now on the peer speaks over a connection of its own.
fn connect(peer: &mut Peer, address: &str, conn: u64) {
    let remote = address.parse().expect("an address");
    peer.flow = Flow::stream(Transport::Tcp, server_address(), remote, ConnId(conn));
    let flow = peer.flow;
    peer.endpoint.handle(peer.now, Input::StreamOpened { flow });
    peer.drain();
}

fn trunk_invite(uri: &str, extra: &str) -> Request {
    let mut request = request(&format!("INVITE {uri}"), "t", extra);
    request.set_body("application/sdp", OFFER);
    request
}

fn caller(peer: &Peer) -> Option<(Caller, String, Option<String>)> {
    peer.events.iter().rev().find_map(|event| match event {
        Event::IncomingCall {
            caller,
            from,
            diversion,
            ..
        } => Some((caller.clone(), from.to_string(), diversion.clone())),
        _ => None,
    })
}

const FROM: &str =
    "From: \"Ada\" <sip:+49301@carrier.example>;tag=their\nTo: <sip:+49302@192.0.2.1>";

#[test]
fn a_trunk_is_known_by_an_address_that_proves_something() {
    let trusting = || Trunk {
        trusts_udp: true,
        ..carrier()
    };
    let tls_only = || Trunk {
        transport: Some(Transport::Tls),
        ..carrier()
    };
    // trunk, over a connection, from, what comes back
    let table = [
        (carrier(), true, "203.0.113.9:4000", 100),
        (carrier(), false, "203.0.113.9:5060", 401),
        (trusting(), false, "203.0.113.9:5060", 100),
        (trusting(), false, "198.51.100.9:5060", 401),
        (carrier(), true, "198.51.100.9:4000", 401),
        (tls_only(), true, "203.0.113.9:4000", 401),
    ];
    for (trunk, over_tcp, from, expected) in table {
        let mut peer = with(trunk);
        match over_tcp {
            true => connect(&mut peer, from, 1),
            false => peer.from(from),
        }
        let statuses = peer.statuses(&trunk_invite("sip:+49302@192.0.2.1", FROM));
        assert_eq!(statuses, [expected], "{from} {over_tcp}");
        let known = caller(&peer).map(|(caller, ..)| caller);
        let trunk = (expected == 100).then(|| Caller::Trunk("carrier".to_owned()));
        assert_eq!(known, trunk);
    }
}

#[test]
fn what_a_trunk_says_of_its_callers_is_believed_and_a_phone_is_not() {
    let said = "P-Asserted-Identity: <sip:+49309@carrier.example>\nDiversion: <sip:+49300@carrier.example>;reason=no-answer";
    let mut peer = with(carrier());
    connect(&mut peer, "203.0.113.9:4000", 1);
    peer.statuses(&trunk_invite(
        "sip:+49302@192.0.2.1",
        &format!("{FROM}\n{said}"),
    ));
    let (_, from, diversion) = caller(&peer).expect("a call");
    assert_eq!(from, "\"Ada\" <sip:+49309@carrier.example>");
    assert_eq!(diversion.as_deref(), Some("+49300"));

    // From of an account, what is shown or the refusal.
    let table = [
        (
            "\"Ada\" <sip:phone1@192.0.2.1>;tag=their",
            Some("\"Ada\" <sip:phone1@192.0.2.1>;tag=their"),
        ),
        (
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=their",
            Some("\"Anonymous\" <sip:anonymous@anonymous.invalid>"),
        ),
        ("<sip:+49301@192.0.2.1>;tag=their", None),
        ("<sip:phone2@192.0.2.1>;tag=their", None),
    ];
    for (from, shown) in table {
        let mut peer = with(carrier());
        let request = trunk_invite("sip:100@192.0.2.1", &format!("From: {from}\n{said}"));
        let response = peer.ask_as("phone1", request);
        assert_eq!(
            response.status,
            if shown.is_some() { 100 } else { 403 },
            "{from}"
        );
        let known = caller(&peer).map(|(caller, from, diversion)| {
            assert_eq!(
                (caller, diversion),
                (Caller::User("phone1".to_owned()), None)
            );
            from
        });
        assert_eq!(known.as_deref(), shown);
    }
}

/// The number is ours, whatever name the trunk was given for this machine; of others it must be a name of ours.
#[test]
fn a_trunk_may_call_us_by_any_name() {
    let mut peer = with(carrier());
    peer.endpoint.config.domains = vec!["home.example".to_owned()];
    let elsewhere = trunk_invite("sip:+49302@other.example", FROM);
    assert_eq!(peer.statuses(&elsewhere), [404]);
    connect(&mut peer, "203.0.113.9:4000", 1);
    assert_eq!(peer.statuses(&elsewhere), [100]);
}

#[test]
fn a_trunk_with_an_account_answers_the_challenge() {
    // account's trunk with a list or without, where it calls from, what comes back
    let table = [
        (true, "203.0.113.9:5060", 100),
        (true, "198.51.100.9:5060", 403),
        (false, "198.51.100.9:5060", 100),
    ];
    for (listed, from, expected) in table {
        let mut trunk = Trunk {
            account: Some(account("carrier-account")),
            trusts_udp: true,
            ..carrier()
        };
        if !listed {
            trunk.addresses.clear();
        }
        let mut peer = with(trunk);
        peer.from(from);
        let response = peer.ask_as(
            "carrier-account",
            trunk_invite("sip:+49302@192.0.2.1", FROM),
        );
        assert_eq!(response.status, expected, "{from}");
        let known = caller(&peer).map(|(caller, ..)| caller);
        assert_eq!(
            known,
            (expected == 100).then(|| Caller::Trunk("carrier".to_owned()))
        );
    }
}

#[test]
fn a_trunk_registers_from_its_own_addresses_and_never_shadows_a_user() {
    let mut peer = with(Trunk {
        account: Some(account("carrier-account")),
        ..carrier()
    });
    assert_eq!(
        peer.ask_as("carrier-account", register("a")).status,
        403,
        "from elsewhere"
    );
    let mut peer = with(Trunk {
        account: Some(account("carrier-account")),
        addresses: Vec::new(),
        ..carrier()
    });
    let mut request = register("a");
    request
        .headers
        .set(HeaderName::To, "<sip:carrier-account@192.0.2.1>");
    assert_eq!(peer.ask_as("carrier-account", request).status, 200);
    assert_eq!(peer.endpoint.targets("carrier-account", peer.now).len(), 1);
    // Users may change without it, and it goes with its trunk.
    peer.endpoint.set_users(vec![account("phone1")]);
    peer.drain();
    assert_eq!(peer.endpoint.targets("carrier-account", peer.now).len(), 1);
    peer.endpoint.set_trunks(peer.now, Vec::new());
    peer.drain();
    assert!(
        peer.endpoint
            .targets("carrier-account", peer.now)
            .is_empty()
    );
    let mut peer = with(Trunk {
        account: Some(account("phone1")),
        ..carrier()
    });
    assert_eq!(peer.ask_as("phone1", register("a")).status, 200);
    // Trunks that are gone are strangers.
    peer.endpoint.set_trunks(peer.now, Vec::new());
    connect(&mut peer, "203.0.113.9:4000", 1);
    assert_eq!(peer.statuses(&trunk_invite("sip:1@192.0.2.1", FROM)), [401]);
}

#[test]
fn a_phone_that_shares_the_address_of_a_trunk_is_challenged() {
    let mut peer = with(carrier());
    connect(&mut peer, "203.0.113.9:4000", 1);
    assert_eq!(peer.ask_as("phone1", register("a")).status, 200);
    assert_eq!(peer.statuses(&invite("b")), [401]);
    connect(&mut peer, "203.0.113.9:4001", 2);
    assert_eq!(peer.statuses(&trunk_invite("sip:1@192.0.2.1", FROM)), [100]);
}

fn registration(targets: &[(Transport, &str)]) -> TrunkRegistration {
    TrunkRegistration {
        trunk: "carrier".to_owned(),
        registrar: "sip:carrier.example".parse().expect("a URI"),
        targets: targets
            .iter()
            .map(|(transport, remote)| FlowTarget {
                transport: *transport,
                local: server_address(),
                remote: remote.parse().expect("an address"),
            })
            .collect(),
        user: "+49302".to_owned(),
        auth_user: Some("auth-302".to_owned()),
        password: PASSWORD.into(),
        expires_s: 600,
        contact: "sip:+49302@192.0.2.1".parse().expect("a URI"),
        proxy: Some("sip:edge.carrier.example;lr".parse().expect("a URI")),
    }
}

/// The trunk answers the last REGISTER with this status.
fn registrar_says(peer: &mut Peer, status: u16, extra: &[(HeaderName, &str)]) -> Request {
    let (_, asked) = last_request(peer);
    let mut response = Response::to_request(&asked, status);
    let to = asked.headers.get(&HeaderName::To).expect("To");
    response.headers.set(HeaderName::To, format!("{to};tag=r"));
    if status == 200 {
        let contact = asked.headers.get(&HeaderName::Contact).expect("Contact");
        response
            .headers
            .push(HeaderName::Contact, format!("{contact};expires=300"));
    }
    for (name, value) in extra {
        response.headers.push(name.clone(), *value);
    }
    peer.send(&response.to_bytes());
    asked
}

#[test]
fn a_registration_answers_its_challenge_refreshes_and_marks_its_calls() {
    let mut peer = with(carrier());
    peer.from("198.51.100.5:5060");
    peer.endpoint.register_trunk(
        peer.now,
        registration(&[(Transport::Udp, "198.51.100.5:5060")]),
    );
    peer.drain();
    let challenge = "Digest realm=\"carrier\", nonce=\"n\", qop=\"auth\"";
    registrar_says(&mut peer, 401, &[(HeaderName::WwwAuthenticate, challenge)]);
    let asked = registrar_says(&mut peer, 200, &[]);
    let answer = asked
        .headers
        .get(&HeaderName::Authorization)
        .expect("an answer");
    assert!(answer.contains("username=\"auth-302\""), "{answer}");
    assert_eq!(asked.uri.to_string(), "sip:carrier.example");
    assert_eq!(
        asked.headers.get(&HeaderName::Route),
        Some("<sip:edge.carrier.example;lr>")
    );
    let to = asked.headers.to().expect("To");
    assert_eq!(to.uri.to_string(), "sip:+49302@carrier.example");
    assert_eq!(
        story(&peer),
        ["TrunkRegistration carrier Ok(300) retry=false"]
    );

    // Its NAT is held open, and the registration renewed at three quarters of its time.
    peer.wait_ms(224_000);
    assert_eq!(peer.pings, 8);
    assert!(peer.take().is_empty());
    peer.wait_ms(1_000);
    registrar_says(&mut peer, 200, &[]);

    // Calls over it: the line's mark counts from the registrar's address or the trunk's list, over UDP, too.
    let contact = match asked.headers.contacts() {
        Ok(crate::header::Contacts::List(contacts)) => contacts[0].uri.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(
        contact.starts_with("sip:+49302@192.0.2.1;line="),
        "{contact}"
    );
    let table = [
        (contact.as_str(), "198.51.100.5:5071", 100),
        (contact.as_str(), "203.0.113.77:5060", 100),
        (contact.as_str(), "198.51.100.6:5060", 401),
        ("sip:+49302@192.0.2.1", "198.51.100.5:5060", 401),
        (
            "sip:+49302@192.0.2.1;line=0123456789abcdef",
            "198.51.100.5:5060",
            401,
        ),
    ];
    for (n, (uri, from, expected)) in table.into_iter().enumerate() {
        peer.from(from);
        let mut request = trunk_invite(uri, &format!("{FROM}\nCall-ID: c{n}"));
        let via = format!("SIP/2.0/UDP 198.51.100.5;branch=z9hG4bKline{n};rport");
        request.headers.set(HeaderName::Via, via);
        assert_eq!(peer.statuses(&request), [expected], "{uri} from {from}");
    }
}

#[test]
fn a_registration_is_tried_elsewhere_and_again() {
    let mut peer = with(carrier());
    peer.from("198.51.100.5:5060");
    let two = [
        (Transport::Udp, "198.51.100.5:5060"),
        (Transport::Udp, "198.51.100.6:5060"),
    ];
    peer.endpoint.register_trunk(peer.now, registration(&two));
    peer.drain();
    registrar_says(&mut peer, 503, &[]);
    // The second target at once; then silence.
    let (flow, _) = last_request(&mut peer);
    assert_eq!(flow.remote.to_string(), "198.51.100.6:5060");
    peer.wait_ms(32_000);
    peer.take();
    assert_eq!(
        story(&peer),
        [
            "TrunkRegistration carrier Err(503) retry=true",
            "TrunkRegistration carrier Err(408) retry=true"
        ]
    );
    // A new round within half a minute, from the first on.
    peer.wait_ms(30_000);
    let sent = peer.take();
    assert_eq!(sent[0].0.remote.to_string(), "198.51.100.5:5060");
    peer.received = sent;
    registrar_says(&mut peer, 403, &[]);
    // Refused: not for a long while.
    peer.wait_ms(800_000);
    assert!(peer.take().is_empty());
    for _ in 0..110 {
        if peer.received.is_empty() {
            peer.wait_ms(10_000);
        }
    }
    registrar_says(&mut peer, 200, &[]);
    peer.endpoint.unregister_trunk(peer.now, "carrier");
    peer.drain();
    let asked = registrar_says(&mut peer, 200, &[]);
    assert_eq!(asked.headers.get(&HeaderName::Expires), Some("0"));
    assert_eq!(
        story(&peer)[2..],
        [
            "TrunkRegistration carrier Err(403) retry=true",
            "TrunkRegistration carrier Ok(300) retry=false",
            "TrunkRegistration carrier Ok(0) retry=false"
        ]
    );
    peer.wait_ms(4_000_000);
    assert!(peer.take().is_empty());
}

#[test]
fn a_broken_connection_is_registered_anew() {
    let mut peer = with(carrier());
    peer.endpoint.register_trunk(
        peer.now,
        registration(&[(Transport::Tcp, "198.51.100.5:5060")]),
    );
    peer.drain();
    let open = |peer: &mut Peer| {
        let flow = peer.opened.pop().expect("a connection was asked for");
        peer.flow = flow;
        peer.endpoint.handle(peer.now, Input::StreamOpened { flow });
        peer.drain();
        registrar_says(peer, 200, &[]);
        flow
    };
    let first = open(&mut peer);
    // What comes over it is the trunk's, whoever it names.
    let statuses = peer.statuses(&trunk_invite("sip:anything@192.0.2.1", FROM));
    assert_eq!(statuses, [100]);
    peer.wait_ms(115_000);
    assert_eq!(peer.pings, 1);
    let conn = first.conn.expect("a connection");
    peer.endpoint.handle(peer.now, Input::StreamClosed { conn });
    peer.drain();
    peer.wait_ms(1_000);
    let second = open(&mut peer);
    assert_ne!(first.conn, second.conn);
    let told: Vec<String> = story(&peer)
        .into_iter()
        .filter(|line| line.starts_with("Trunk"))
        .collect();
    assert_eq!(
        told,
        [
            "TrunkRegistration carrier Ok(300) retry=false",
            "TrunkRegistration carrier Err(503) retry=true",
            "TrunkRegistration carrier Ok(300) retry=false"
        ]
    );
    // With the end of the program the registration ends.
    peer.take();
    peer.endpoint.shutdown(peer.now);
    peer.drain();
    let received = peer.take();
    let unregistered = received
        .iter()
        .any(|(_, message)| message.headers().get(&HeaderName::Expires) == Some("0"));
    assert!(unregistered);
}

#[test]
fn a_call_to_a_trunk_is_written_as_it_wants_and_answers_its_challenge() {
    let mut peer = with(carrier());
    peer.from("198.51.100.5:5060");
    let route = TrunkRoute {
        trunk: "carrier".to_owned(),
        domain: Host::Name("carrier.example".to_owned()),
        port: None,
        flow: FlowTarget {
            transport: Transport::Udp,
            local: server_address(),
            remote: peer.flow.remote,
        },
        proxy: Some("sip:edge.carrier.example;lr".parse().expect("a URI")),
        account: Some("account".to_owned()),
        credentials: Some(("auth-302".to_owned(), PASSWORD.into())),
        identity: IdentityForm::Asserted,
        headers: vec![(HeaderName::from("X-Tenant"), "home".to_owned())],
    };
    let caller = CallerId {
        number: "+49302".to_owned(),
        display: None,
        is_withheld: false,
    };
    let contact = "sip:+49302@192.0.2.1".parse().expect("a URI");
    let extra = vec![(HeaderName::from("X-Caller-ID"), "ada".to_owned())];
    let params = route.call("+49301", &caller, contact, Some(OFFER.to_owned()), extra);
    let call = peer.endpoint.call(peer.now, params);
    peer.drain();
    let (_, first) = last_request(&mut peer);
    let mut challenged = Response::to_request(&first, 407);
    let challenge = "Digest realm=\"carrier\", nonce=\"n\", qop=\"auth\"";
    challenged
        .headers
        .push(HeaderName::ProxyAuthenticate, challenge);
    peer.send(&challenged.to_bytes());
    let (_, second) = last_request(&mut peer);
    for invite in [&first, &second] {
        let value = |name: &str| {
            invite
                .headers
                .get(&HeaderName::from(name))
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(invite.uri.to_string(), "sip:+49301@carrier.example");
        assert!(value("From").starts_with("<sip:account@carrier.example>;tag="));
        assert_eq!(value("To"), "<sip:+49301@carrier.example>");
        assert_eq!(value("Route"), "<sip:edge.carrier.example;lr>");
        assert_eq!(value("P-Asserted-Identity"), "<sip:+49302@carrier.example>");
        assert_eq!(
            (value("X-Tenant"), value("X-Caller-ID")),
            ("home".to_owned(), "ada".to_owned())
        );
    }
    let answer = second
        .headers
        .get(&HeaderName::ProxyAuthorization)
        .expect("an answer");
    assert!(answer.contains("username=\"auth-302\""), "{answer}");
    // Moved: told, sorted, not followed.
    let mut moved = Response::to_request(&second, 302);
    let to = second.headers.get(&HeaderName::To).expect("To");
    moved.headers.set(HeaderName::To, format!("{to};tag=m"));
    moved
        .headers
        .push(HeaderName::Contact, "<sip:1@h>;q=0.1, <sip:2@h>;q=0.9");
    peer.send(&moved.to_bytes());
    match &peer.events[..] {
        [
            Event::Redirected {
                call: moved,
                contacts,
            },
            Event::CallEnded { .. },
        ] => {
            assert_eq!(*moved, call);
            let contacts: Vec<String> = contacts.iter().map(ToString::to_string).collect();
            assert_eq!(contacts, ["sip:2@h", "sip:1@h"]);
        }
        other => panic!("{other:?}"),
    }
    let sent = peer.take();
    assert_eq!(sent.len(), 1, "the ACK and no other call");
}
