//! A browser on one side of a relayed stream and a plain phone on the other: checks, handshake, sound both ways; then the
//! browser goes to another network, and a stranger tries.

use std::time::Duration;

use super::*;
use crate::dtls::{
    Certificate, DtlsConfig, Fingerprint, FingerprintHash, Handshake, Progress, Role,
};
use crate::ice::{IceConfig, stun};
use crate::relay::{ROOM, RelayPeer, RelaySecurity};
use crate::rtp;
use crate::srtp::SrtpContext;

const PHONE: &str = "198.51.100.2:5000";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn packet(sequence: u16) -> Vec<u8> {
    rtp::Packet {
        marker: false,
        payload_type: 0,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc: 7,
        payload: &[9; 160],
    }
    .to_bytes()
}

struct Rig {
    now: Instant,
    relay: Relay,
    browser: Handshake,
}

fn config(own: &Certificate, peer: &Certificate, role: Role) -> DtlsConfig {
    DtlsConfig {
        certificate: own.clone(),
        peer: Fingerprint {
            hash: FingerprintHash::Sha256,
            octets: peer.fingerprint().to_vec(),
        },
        role,
    }
}

fn names() -> IceConfig {
    IceConfig {
        local_ufrag: "ours".to_owned(),
        local_pwd: "the password of ours".to_owned(),
        remote_ufrag: "theirs".to_owned(),
    }
}

impl Rig {
    fn new(role: Role) -> Rig {
        let now = Instant::now();
        let [ours, theirs] = [(); 2].map(|()| Certificate::generate().unwrap());
        let mut relay = Relay::new(now);
        let web = RelayPeer {
            rtcp_mux: true,
            security: RelaySecurity::Dtls(config(&ours, &theirs, role)),
            ice: Some(names()),
            ..RelayPeer::default()
        };
        let phone = RelayPeer {
            remote_rtp: Some(address(PHONE)),
            ..RelayPeer::default()
        };
        relay.connect(now, Side::A, web);
        relay.connect(now, Side::B, phone);
        let other = match role {
            Role::Active => Role::Passive,
            Role::Passive => Role::Active,
        };
        let browser = Handshake::new(config(&theirs, &ours, other), now).unwrap();
        Rig {
            now,
            relay,
            browser,
        }
    }

    fn receive(&mut self, side: Side, from: &str, data: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let mut buffer = data.to_vec();
        buffer.resize(data.len() + ROOM, 0);
        let from = address(from);
        let port = Port::Rtp;
        let forward = self
            .relay
            .receive(self.now, side, port, from, &mut buffer, data.len())?;
        buffer.truncate(forward.len);
        Some((forward.to, buffer))
    }

    fn check(&mut self, from: &str, nominate: bool, pwd: &str) -> bool {
        let check = stun::ask([1; 12], "ours:theirs", nominate, pwd);
        assert_eq!(self.receive(Side::A, from, &check), None);
        let answer = self.relay.poll_packet();
        assert!(
            answer
                .as_ref()
                .is_none_or(|answer| answer.to == address(from))
        );
        answer.is_some()
    }

    /// Until the browser has its keys, or nothing comes any more.
    fn shake_hands(&mut self, from: &str) {
        for _ in 0..200 {
            while let Some(datagram) = self.browser.poll_datagram() {
                assert_eq!(self.receive(Side::A, from, &datagram), None);
            }
            while let Some(packet) = self.relay.poll_packet() {
                assert_eq!((packet.side, packet.to), (Side::A, address(from)));
                self.browser.receive(self.now, &packet.data);
            }
            self.now += Duration::from_millis(20);
            self.relay.time(self.now);
            self.browser.time(self.now);
        }
    }

    fn keys(&self) -> SrtpContext {
        match self.browser.progress() {
            Progress::Done(keys) => SrtpContext::new(keys),
            other => panic!("{other:?}"),
        }
    }

    fn events(&mut self) -> Vec<RelayEvent> {
        std::iter::from_fn(|| self.relay.poll_event()).collect()
    }
}

#[test]
fn a_browser_and_a_phone() {
    for role in [Role::Passive, Role::Active] {
        let mut rig = Rig::new(role);
        let (home, away) = ("192.0.2.1:4000", "203.0.113.9:9000");
        assert!(rig.relay.is_timed());
        // Before a path is checked nothing goes out, and nothing is taken.
        assert_eq!(rig.relay.poll_packet(), None, "{role:?}");
        assert_eq!(rig.receive(Side::B, PHONE, &packet(1)), None);
        assert!(!rig.check(home, true, "some other password here"));
        assert!(rig.check(home, true, "the password of ours"));
        rig.shake_hands(home);
        assert!(
            rig.events()
                .contains(&RelayEvent::Secured { side: Side::A })
        );
        assert!(rig.relay.stats(Side::A).is_secured && !rig.relay.is_timed());
        let mut keys = rig.keys();

        // Sound both ways: sealed towards the browser, plain towards the phone.
        let (to, data) = rig.receive(Side::B, PHONE, &packet(2)).expect("it passes");
        assert_eq!(to, address(home));
        let mut opened = data;
        assert_eq!(keys.unprotect(&mut opened), Ok(()));
        assert_eq!(opened[12..], packet(2)[12..]);
        let mut sealed = packet(3);
        keys.protect(&mut sealed).unwrap();
        let (to, data) = rig.receive(Side::A, home, &sealed).expect("it passes");
        assert_eq!((to, &data[12..]), (address(PHONE), &packet(3)[12..]));

        // A packet of the right keys from an address nobody has checked.
        let mut sealed = packet(4);
        keys.protect(&mut sealed).unwrap();
        assert_eq!(rig.receive(Side::A, away, &sealed), None);
        assert_eq!(rig.relay.stats(Side::A).packets_stranger, 1);
        // Checked and chosen, it is the browser on another network.
        assert!(rig.check(away, true, "the password of ours"));
        assert!(rig.receive(Side::A, away, &sealed).is_some());
        let (to, _) = rig.receive(Side::B, PHONE, &packet(5)).expect("it passes");
        assert_eq!(to, address(away));
    }
}

#[test]
fn keys_go_with_a_stream_that_is_decoded_from_now_on() {
    let mut rig = Rig::new(Role::Passive);
    let home = "192.0.2.1:4000";
    assert!(rig.check(home, true, "the password of ours"));
    rig.shake_hands(home);
    let association = rig.relay.release(Side::A).expect("there is one");
    assert!(association.is_ready() && association.path() == Some(address(home)));
    // And back: the same agreed on again disturbs nothing.
    rig.relay.adopt(Side::A, association);
    let peer = rig.relay.legs[0].peer.clone().expect("connected");
    rig.relay.connect(rig.now, Side::A, peer);
    let mut sealed = packet(3);
    rig.keys().protect(&mut sealed).unwrap();
    assert!(rig.receive(Side::A, home, &sealed).is_some());
}

/// A browser whose network changes begins its checks anew in the middle of a call.
#[test]
fn sound_goes_on_while_paths_are_looked_for_again() {
    let mut rig = Rig::new(Role::Passive);
    let (home, away) = ("192.0.2.1:4000", "203.0.113.9:9000");
    assert!(rig.check(home, true, "the password of ours"));
    rig.shake_hands(home);
    let mut peer = rig.relay.legs[0].peer.clone().expect("connected");
    peer.ice = peer.ice.map(|ice| IceConfig {
        local_pwd: "another password of ours".to_owned(),
        ..ice
    });
    rig.relay.connect(rig.now, Side::A, peer);
    let mut keys = rig.keys();
    let mut sealed = packet(3);
    keys.protect(&mut sealed).unwrap();
    assert!(rig.receive(Side::A, home, &sealed).is_some());
    let (to, _) = rig.receive(Side::B, PHONE, &packet(5)).expect("it passes");
    assert_eq!(to, address(home));
    assert!(rig.check(away, true, "another password of ours"));
    let (to, _) = rig.receive(Side::B, PHONE, &packet(6)).expect("it passes");
    assert_eq!(to, address(away));
    let mut sealed = packet(4);
    keys.protect(&mut sealed).unwrap();
    assert_eq!(rig.receive(Side::A, home, &sealed), None, "left behind");
    assert!(rig.receive(Side::A, away, &sealed).is_some());
}
