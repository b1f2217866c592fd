//! Phones with keys, of their own each, around one relayed stream.

use super::*;
use crate::srtp::{KeySalt, SrtpContext, Suite};

const A: &str = "192.0.2.1:4000";
const B: &str = "198.51.100.2:5000";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Ours, and those of the phone.
fn keys(suite: Suite, seed: u8) -> (SrtpKeys, SrtpContext) {
    let one = |seed| KeySalt::new(suite, &vec![seed; suite.key_len() + suite.salt_len()]).unwrap();
    let pair = |send, receive| SrtpKeys {
        suite,
        send: one(send),
        receive: one(receive),
        receive_mki_len: 0,
    };
    let phone = SrtpContext::new(&pair(seed + 1, seed));
    (pair(seed, seed + 1), phone)
}

fn packet(sequence: u16, ssrc: u32) -> Vec<u8> {
    rtp::Packet {
        marker: false,
        payload_type: 0,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc,
        payload: &[7; 160],
    }
    .to_bytes()
}

struct Rig {
    now: Instant,
    relay: Relay,
}

impl Rig {
    fn new(a: RelaySecurity, b: RelaySecurity) -> Rig {
        let now = Instant::now();
        let mut relay = Relay::new(now);
        for (side, rtp, security) in [(Side::A, A, a), (Side::B, B, b)] {
            let peer = RelayPeer {
                remote_rtp: Some(address(rtp)),
                security,
                ..RelayPeer::default()
            };
            relay.connect(now, side, peer);
        }
        Rig { now, relay }
    }

    fn send(&mut self, side: Side, port: Port, from: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let len = bytes.len();
        let mut buffer = bytes.to_vec();
        buffer.resize(len + ROOM, 0);
        let from = address(from);
        let forward = self
            .relay
            .receive(self.now, side, port, from, &mut buffer, len)?;
        buffer.truncate(forward.len);
        Some(buffer)
    }
}

#[test]
fn each_side_has_its_own_keys() {
    let suites = [
        Suite::AesCm128HmacSha1_80,
        Suite::AesCm128HmacSha1_32,
        Suite::AeadAes128Gcm,
        Suite::AeadAes256Gcm,
    ];
    for suite in suites {
        let (a, mut phone_a) = keys(suite, 1);
        let (b, mut phone_b) = keys(Suite::AesCm128HmacSha1_80, 11);
        let mut rig = Rig::new(RelaySecurity::Srtp(a), RelaySecurity::Srtp(b));
        for sequence in 65_530..=65_535u16 {
            let plain = packet(sequence, 7);
            let mut bytes = plain.clone();
            phone_a.protect(&mut bytes).unwrap();
            let mut out = rig.send(Side::A, Port::Rtp, A, &bytes).expect("it passes");
            assert_ne!(out[12..], plain[12..], "nothing in clear");
            phone_b.unprotect(&mut out).unwrap();
            assert_eq!(out, plain, "{suite:?}");
        }
        let report = vec![0x80, 201, 0, 1, 0, 0, 0, 7];
        let mut bytes = report.clone();
        phone_b.protect_rtcp(&mut bytes).unwrap();
        let mut out = rig.send(Side::B, Port::Rtcp, B, &bytes).expect("it passes");
        phone_a.unprotect_rtcp(&mut out).unwrap();
        assert_eq!(out, report, "{suite:?}");
    }
}

#[test]
fn keys_on_one_side_only() {
    let (a, mut phone_a) = keys(Suite::AesCm128HmacSha1_80, 1);
    let mut rig = Rig::new(RelaySecurity::Srtp(a), RelaySecurity::None);
    let plain = packet(1, 7);
    let mut bytes = plain.clone();
    phone_a.protect(&mut bytes).unwrap();
    assert_eq!(rig.send(Side::A, Port::Rtp, A, &bytes), Some(plain.clone()));
    let mut out = rig.send(Side::B, Port::Rtp, B, &packet(1, 8)).unwrap();
    phone_a.unprotect(&mut out).unwrap();
    assert_eq!(out, packet(1, 8));
    // In clear, where keys were agreed, and even from the right address: nobody's.
    assert_eq!(rig.send(Side::A, Port::Rtp, A, &packet(2, 7)), None);
    assert_eq!(rig.relay.stats(Side::A).packets_refused, 1);
    // The same packet again.
    assert_eq!(rig.send(Side::A, Port::Rtp, A, &bytes), None);
    assert_eq!(rig.relay.stats(Side::A).packets_received, 1);
}

#[test]
fn a_phone_that_changes_its_network_is_heard_at_once() {
    let (a, mut phone_a) = keys(Suite::AeadAes128Gcm, 1);
    let mut rig = Rig::new(RelaySecurity::Srtp(a), RelaySecurity::None);
    let mut sealed = |sequence| {
        let mut bytes = packet(sequence, 7);
        phone_a.protect(&mut bytes).unwrap();
        bytes
    };
    assert!(rig.send(Side::A, Port::Rtp, A, &sealed(1)).is_some());
    // A stranger who heard it all can neither speak nor take the call over.
    assert_eq!(
        rig.send(Side::A, Port::Rtp, "203.0.113.66:9", &packet(2, 7)),
        None
    );
    assert!(
        rig.send(Side::A, Port::Rtp, "203.0.113.5:7000", &sealed(2))
            .is_some()
    );
    let mobile = Some(address("203.0.113.5:7000"));
    assert_eq!(rig.relay.stats(Side::A).source, mobile);
    assert!(
        rig.send(Side::A, Port::Rtp, A, &sealed(3)).is_some(),
        "late, from before"
    );
    assert_eq!(rig.relay.stats(Side::A).source, mobile);
}

#[test]
fn a_transfer_to_other_keys_goes_on_in_the_same_stream() {
    let (a, mut first) = keys(Suite::AesCm128HmacSha1_80, 1);
    let (b, mut phone_b) = keys(Suite::AesCm128HmacSha1_80, 11);
    let (c, mut second) = keys(Suite::AeadAes256Gcm, 21);
    let mut rig = Rig::new(RelaySecurity::Srtp(a), RelaySecurity::Srtp(b));
    let mut bytes = packet(10, 7);
    first.protect(&mut bytes).unwrap();
    let mut out = rig.send(Side::A, Port::Rtp, A, &bytes).unwrap();
    phone_b.unprotect(&mut out).unwrap();
    let peer = RelayPeer {
        remote_rtp: Some(address("192.0.2.99:4000")),
        security: RelaySecurity::Srtp(c),
        ..RelayPeer::default()
    };
    rig.relay.connect(rig.now, Side::A, peer);
    let mut bytes = packet(900, 8);
    second.protect(&mut bytes).unwrap();
    let mut out = rig
        .send(Side::A, Port::Rtp, "192.0.2.99:4000", &bytes)
        .unwrap();
    // The other phone's counters go on: the stream is the old one, one packet later.
    phone_b.unprotect(&mut out).unwrap();
    let packet = rtp::Packet::parse(&out).unwrap();
    assert_eq!((packet.ssrc, packet.sequence), (7, 11));
}
