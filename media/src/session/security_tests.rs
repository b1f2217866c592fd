//! Two sessions that talk in secret: with keys from SDP, with a handshake, with other keys in the middle, with strangers.

use std::time::{Duration, Instant};

use super::*;
use crate::SILENCE;
use crate::dtls::{Certificate, DtlsConfig, Fingerprint, FingerprintHash, Role};
use crate::srtp::{KeySalt, SrtpKeys, Suite};

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 4_000))
}

fn config(peer: u8, security: Security) -> SessionConfig {
    SessionConfig {
        receive_payload_types: vec![(0, crate::codec::Codec::Pcmu)],
        remote_rtp: Some(at(peer)),
        rtcp_mux: true,
        cname: "test".to_owned(),
        security,
        ..SessionConfig::default()
    }
}

fn sdes(send: u8, receive: u8) -> Security {
    let suite = Suite::AesCm128HmacSha1_80;
    let key = |octet: u8| KeySalt::new(suite, &[octet; 30]).unwrap();
    Security::Sdes(SrtpKeys {
        suite,
        send: key(send),
        receive: key(receive),
        receive_mki_len: 0,
    })
}

fn dtls(own: &Certificate, peer: &Certificate, role: Role) -> Security {
    Security::Dtls(DtlsConfig {
        certificate: own.clone(),
        peer: Fingerprint {
            hash: FingerprintHash::Sha256,
            octets: peer.fingerprint().to_vec(),
        },
        role,
    })
}

struct Line {
    now: Instant,
    ends: [Session; 2],
    events: [Vec<MediaEvent>; 2],
    wire: Vec<Vec<u8>>,
}

impl Line {
    fn new(a: Security, b: Security) -> Line {
        let now = Instant::now();
        Line {
            now,
            ends: [
                Session::new(config(2, a), [1; 32], now),
                Session::new(config(1, b), [2; 32], now),
            ],
            events: [Vec::new(), Vec::new()],
            wire: Vec::new(),
        }
    }

    fn drain(&mut self, end: usize) {
        let mut datagrams = Vec::new();
        while let Some(output) = self.ends[end].poll_output() {
            match output {
                Output::Rtp { data, .. } | Output::Rtcp { data, .. } => datagrams.push(data),
                Output::Event(event) => self.events[end].push(event),
                Output::Frame { .. } | Output::Dtmf { .. } => {}
            }
        }
        for data in datagrams {
            let from = at(end as u8 + 1);
            self.wire.push(data.clone());
            self.ends[1 - end].handle(self.now, Input::Rtp { from, data: &data });
            self.drain(1 - end);
        }
    }

    /// Both speak for so many frames.
    fn talk(&mut self, frames: u32) {
        for _ in 0..frames {
            for end in 0..2 {
                self.ends[end].handle(self.now, Input::Timeout);
                self.drain(end);
                self.ends[end].send_frame(self.now, &SILENCE);
                self.drain(end);
            }
            self.now += Duration::from_millis(20);
        }
    }

    fn received(&self) -> [u64; 2] {
        [0, 1].map(|end| self.ends[end].stats().packets_received)
    }
}

#[test]
fn keys_from_sdp() {
    let mut line = Line::new(sdes(1, 2), sdes(2, 1));
    line.talk(400);
    assert_eq!(line.received(), [400, 400]);
    // Sound, reports, and nothing of it in clear: silence in PCMU is 0xff.
    assert!(line.wire.iter().any(|data| rtp::is_rtcp(data)));
    assert!(line.wire.iter().all(|data| !data.ends_with(&[0xff; 8])));
    assert_eq!(line.ends[0].stats().packets_refused, 0);

    // A stranger's packet, and one of the peer's again.
    let again = line.wire[line.wire.len() - 2].clone();
    for data in [&again, &vec![0x80; 60]] {
        for end in 0..2 {
            let from = at(9);
            line.ends[end].handle(line.now, Input::Rtp { from, data });
            line.drain(end);
        }
    }
    let refused: u64 = (0..2)
        .map(|end| line.ends[end].stats().packets_refused)
        .sum();
    assert_eq!(refused, 4);
    assert_eq!(line.received(), [400, 400]);

    // A re-INVITE with another key on one side, and back to none.
    let now = line.now;
    line.ends[0].reconfigure(now, config(2, sdes(5, 2)));
    line.drain(0);
    line.ends[1].reconfigure(now, config(1, sdes(2, 5)));
    line.drain(1);
    line.talk(50);
    assert_eq!(line.received(), [450, 450]);
    for end in 0..2 {
        line.ends[end].reconfigure(now, config(2 - end as u8, Security::None));
        line.drain(end);
    }
    line.talk(50);
    assert_eq!(line.received(), [500, 500]);
}

#[test]
fn keys_that_differ_let_nothing_through() {
    let mut line = Line::new(sdes(1, 2), sdes(2, 3));
    line.talk(100);
    assert_eq!(line.received(), [100, 0]);
    assert!(line.ends[1].stats().packets_refused >= 100);
    let mut line = Line::new(sdes(1, 2), Security::None);
    line.talk(100);
    assert_eq!(line.received()[0], 0);
}

#[test]
fn keys_from_a_handshake() {
    let own = [(); 2].map(|()| Certificate::generate().unwrap());
    let mut line = Line::new(
        dtls(&own[0], &own[1], Role::Active),
        dtls(&own[1], &own[0], Role::Passive),
    );
    line.talk(100);
    for end in 0..2 {
        assert!(
            line.events[end].contains(&MediaEvent::Secured),
            "{:?}",
            line.events
        );
    }
    assert!(
        line.received().iter().all(|received| *received >= 98),
        "{:?}",
        line.received()
    );
    // The same agreed on again disturbs nothing.
    let now = line.now;
    line.ends[0].reconfigure(now, config(2, dtls(&own[0], &own[1], Role::Active)));
    line.drain(0);
    let before = line.received();
    line.talk(50);
    assert_eq!(line.received(), before.map(|received| received + 50));
    let sent = line.wire.iter().filter(|data| !crate::dtls::is_dtls(data));
    assert!(sent.into_iter().all(|data| !data.ends_with(&[0xff; 8])));
}

#[test]
fn a_handshake_with_somebody_else_is_told_and_nothing_passes() {
    let own = [(); 3].map(|()| Certificate::generate().unwrap());
    let mut line = Line::new(
        dtls(&own[0], &own[1], Role::Active),
        dtls(&own[2], &own[0], Role::Passive),
    );
    line.talk(1_100);
    let is_failure = |event: &MediaEvent| matches!(event, MediaEvent::NotSecured { .. });
    assert!(line.events[0].iter().any(is_failure), "{:?}", line.events);
    assert_eq!(line.received(), [0, 0]);
}
