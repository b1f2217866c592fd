//! Phones as targets: in which order, over which way, and which are left out.

use super::peer::{Peer, request};
use super::raw::{last_request, peer};
use super::world::{OFFER, server_address};
use crate::endpoint::{CallParams, Input};
use crate::flow::{ConnId, Flow, Transport};
use crate::header::NameAddr;

/// Registers a contact over a flow of that transport; connection numbers are ports.
fn phone(peer: &mut Peer, transport: Transport, remote: &str, contact: &str, n: u32) {
    let remote: std::net::SocketAddr = remote.parse().expect("an address");
    peer.flow = match transport {
        Transport::Udp => Flow::udp(server_address(), remote),
        _ => Flow::stream(
            transport,
            server_address(),
            remote,
            ConnId(u64::from(remote.port())),
        ),
    };
    if transport != Transport::Udp {
        let flow = peer.flow;
        peer.endpoint.handle(peer.now, Input::StreamOpened { flow });
        peer.drain();
    }
    let extra = format!("Contact: {contact}\nExpires: 600\nCall-ID: reg{n}");
    let mut register = request("REGISTER sip:192.0.2.1", &format!("r{n}"), &extra);
    let via = format!(
        "SIP/2.0/{} 192.0.2.7:5062;branch=z9hG4bKr{n};rport",
        transport.via_token()
    );
    register.headers.set(crate::HeaderName::Via, via);
    assert_eq!(peer.ask_as("phone1", register).status, 200);
    peer.wait_ms(1_000);
}

fn targets(peer: &Peer) -> Vec<String> {
    let targets = peer.endpoint.targets("phone1", peer.now).into_iter();
    targets
        .map(|target| {
            format!(
                "{} {} {}",
                target.uri, target.flow.transport, target.flow.remote
            )
        })
        .collect()
}

#[test]
fn the_preferred_first_and_the_dead_not_at_all() {
    let mut peer = peer();
    phone(
        &mut peer,
        Transport::Udp,
        "198.51.100.1:7001",
        "<sip:a@10.0.0.1:5060>;q=0.5",
        1,
    );
    phone(
        &mut peer,
        Transport::Tcp,
        "198.51.100.2:7002",
        "<sip:b@10.0.0.2:5060;transport=tcp>",
        2,
    );
    phone(
        &mut peer,
        Transport::Tcp,
        "198.51.100.3:7003",
        "<sip:c@198.51.100.3:5070;transport=tcp>;q=0.1",
        3,
    );
    phone(
        &mut peer,
        Transport::Ws,
        "198.51.100.4:7004",
        "<sip:d@x.invalid;transport=ws>",
        4,
    );
    // Equal preference: the one heard of last goes first.
    let all = [
        "sip:d@x.invalid;transport=ws ws 198.51.100.4:7004",
        "sip:b@10.0.0.2:5060;transport=tcp tcp 198.51.100.2:7002",
        "sip:a@10.0.0.1:5060 udp 198.51.100.1:7001",
        "sip:c@198.51.100.3:5070;transport=tcp tcp 198.51.100.3:7003",
    ];
    assert_eq!(targets(&peer), all);
    assert!(peer.endpoint.targets("phone2", peer.now).is_empty());
    // A call takes the connection that is there.
    let target = peer.endpoint.targets("phone1", peer.now).remove(1);
    let own: crate::Uri = "sip:100@192.0.2.1".parse().expect("a URI");
    let params = CallParams::new(
        target.uri,
        target.flow,
        NameAddr::new(own.clone()),
        own,
        OFFER.to_owned(),
    );
    peer.endpoint.call(peer.now, params);
    peer.drain();
    assert!(peer.opened.is_empty());
    assert_eq!(
        last_request(&mut peer).1.uri.to_string(),
        "sip:b@10.0.0.2:5060;transport=tcp"
    );
    // With its connection a phone behind a NAT is gone; one that listens where its Contact says is called there.
    for port in [7002, 7003, 7004] {
        peer.endpoint
            .handle(peer.now, Input::StreamClosed { conn: ConnId(port) });
        peer.drain();
    }
    assert_eq!(
        targets(&peer),
        [
            "sip:a@10.0.0.1:5060 udp 198.51.100.1:7001",
            "sip:c@198.51.100.3:5070;transport=tcp tcp 198.51.100.3:5070",
        ]
    );
    peer.wait_ms(600_000);
    assert!(targets(&peer).is_empty());
}

#[test]
fn two_flows_of_one_phone_ring_it_once() {
    let mut peer = peer();
    let contact = |reg_id: u32| {
        format!("<sip:a@10.0.0.1;transport=tcp>;reg-id={reg_id};+sip.instance=\"<urn:uuid:1>\"")
    };
    phone(
        &mut peer,
        Transport::Tcp,
        "198.51.100.1:7001",
        &contact(1),
        1,
    );
    phone(
        &mut peer,
        Transport::Tcp,
        "198.51.100.1:7002",
        &contact(2),
        2,
    );
    let [first, second] = [
        "sip:a@10.0.0.1;transport=tcp tcp 198.51.100.1:7001",
        "sip:a@10.0.0.1;transport=tcp tcp 198.51.100.1:7002",
    ];
    assert_eq!(targets(&peer), [second]);
    peer.endpoint
        .handle(peer.now, Input::StreamClosed { conn: ConnId(7002) });
    peer.drain();
    assert_eq!(targets(&peer), [first]);
}
