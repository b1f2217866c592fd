//! Two phones and strangers around one relayed stream, on virtual time.

use super::*;

const A: &str = "192.0.2.1:4000";
const B: &str = "198.51.100.2:5000";
const STRANGER: &str = "203.0.113.66:9";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn peer(rtp: &str) -> RelayPeer {
    RelayPeer {
        remote_rtp: Some(address(rtp)),
        telephone_events: vec![(101, 8_000), (110, 48_000)],
        silence_s: Some(5),
        ..RelayPeer::default()
    }
}

fn packet(payload_type: u8, sequence: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    rtp::Packet {
        marker: false,
        payload_type,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc,
        payload,
    }
    .to_bytes()
}

struct Rig {
    start: Instant,
    now: Instant,
    relay: Relay,
}

impl Rig {
    fn new() -> Rig {
        let start = Instant::now();
        let mut relay = Relay::new(start);
        relay.connect(start, Side::A, peer(A));
        relay.connect(start, Side::B, peer(B));
        Rig {
            start,
            now: start,
            relay,
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.relay.time(self.now);
    }

    fn send(
        &mut self,
        side: Side,
        port: Port,
        from: &str,
        bytes: &[u8],
    ) -> Option<(String, Port, Vec<u8>)> {
        let len = bytes.len();
        let mut bytes = bytes.to_vec();
        bytes.resize(len + ROOM, 0xee);
        let forward = self
            .relay
            .receive(self.now, side, port, address(from), &mut bytes, len)?;
        bytes.truncate(forward.len);
        Some((forward.to.to_string(), forward.port, bytes))
    }

    fn events(&mut self) -> Vec<RelayEvent> {
        std::iter::from_fn(|| self.relay.poll_event()).collect()
    }
}

#[test]
fn what_passes_passes_untouched() {
    let mut rig = Rig::new();
    for (name, bytes) in [
        ("PCMU", packet(0, 1, 7, &[0xff; 160])),
        ("a payload type nobody knows", packet(125, 2, 7, &[1, 2, 3])),
        ("another SSRC", packet(0, 9_999, 8, &[])),
        (
            "padding",
            vec![0xa0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 2],
        ),
        (
            "an extension",
            vec![0x90, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 7, 0xbe, 0xde, 0, 0],
        ),
    ] {
        let out = rig.send(Side::A, Port::Rtp, A, &bytes);
        assert_eq!(out, Some((B.to_owned(), Port::Rtp, bytes)), "{name}");
    }
}

#[test]
fn what_does_not_pass() {
    let sound = packet(0, 1, 7, &[0; 160]);
    let check = |name: &str, side, port, from: &str, bytes: &[u8]| {
        let mut rig = Rig::new();
        rig.send(side, Port::Rtp, if side == Side::A { A } else { B }, &sound);
        assert_eq!(rig.send(side, port, from, bytes), None, "{name}");
        // The way stays as it was.
        let out = rig.send(
            side.other(),
            Port::Rtp,
            if side == Side::A { B } else { A },
            &sound,
        );
        assert_eq!(
            out.map(|out| out.0).as_deref(),
            Some(if side == Side::A { A } else { B })
        );
    };
    check("a stranger", Side::A, Port::Rtp, STRANGER, &sound);
    check("the other side's address", Side::A, Port::Rtp, B, &sound);
    check(
        "a stranger's report",
        Side::A,
        Port::Rtcp,
        STRANGER,
        &[0x80, 201, 0, 1, 0, 0, 0, 1],
    );
    check("RTP on the RTCP port", Side::A, Port::Rtcp, A, &sound);
    check(
        "STUN",
        Side::A,
        Port::Rtp,
        A,
        &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0],
    );
    check("a header cut short", Side::B, Port::Rtp, B, &sound[..11]);
    check("nothing", Side::B, Port::Rtp, B, &[]);
    check(
        "too much",
        Side::B,
        Port::Rtp,
        B,
        &vec![0x80; DATAGRAM_LEN_MAX + 1],
    );
}

#[test]
fn phones_may_agree_on_keys_of_their_own() {
    let mut rig = Rig::new();
    let mut hello = vec![0x10, 0, 0, 1];
    hello.extend_from_slice(b"ZRTP\x01\x02\x03\x04Hello   ");
    let out = rig.send(Side::A, Port::Rtp, A, &hello);
    assert_eq!(out, Some((B.to_owned(), Port::Rtp, hello.clone())));
    assert_eq!(rig.send(Side::A, Port::Rtp, STRANGER, &hello), None);
    assert_eq!(rig.send(Side::A, Port::Rtcp, A, &hello), None);
}

#[test]
fn nothing_passes_before_both_sides_are_known() {
    let start = Instant::now();
    let mut relay = Relay::new(start);
    let mut sound = packet(0, 1, 7, &[0; 160]);
    let len = sound.len();
    assert_eq!(
        relay.receive(start, Side::A, Port::Rtp, address(A), &mut sound, len),
        None
    );
    relay.connect(start, Side::A, peer(A));
    assert_eq!(
        relay.receive(start, Side::A, Port::Rtp, address(A), &mut sound, len),
        None
    );
    assert_eq!(relay.stats(Side::A).packets_homeless, 1);
    relay.connect(start, Side::B, peer(B));
    let forward = relay.receive(start, Side::A, Port::Rtp, address(A), &mut sound, len);
    assert_eq!(forward.map(|forward| forward.to), Some(address(B)));
}

#[test]
fn reports_go_the_way_each_side_agreed() {
    let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
    let check = |name: &str, mux_b: bool, named_b: Option<&str>, to: &str, port: Port| {
        let mut rig = Rig::new();
        let b = RelayPeer {
            rtcp_mux: mux_b,
            remote_rtcp: named_b.map(address),
            ..peer(B)
        };
        rig.relay.connect(rig.now, Side::B, b);
        for from in [Port::Rtp, Port::Rtcp] {
            let out = rig.send(Side::A, from, A, &report).expect(name);
            assert_eq!((out.0.as_str(), out.1), (to, port), "{name}");
        }
    };
    check(
        "the port above",
        false,
        None,
        "198.51.100.2:5001",
        Port::Rtcp,
    );
    check(
        "a port of its own",
        false,
        Some("198.51.100.2:7777"),
        "198.51.100.2:7777",
        Port::Rtcp,
    );
    check("beside RTP", true, Some("198.51.100.2:7777"), B, Port::Rtp);
    // Where B's reports really come from.
    let mut rig = Rig::new();
    rig.send(Side::B, Port::Rtcp, "198.51.100.2:61001", &report);
    let out = rig.send(Side::A, Port::Rtcp, A, &report).unwrap();
    assert_eq!(out.0, "198.51.100.2:61001");
}

#[test]
fn hold_stops_one_way_and_nothing_else() {
    let mut rig = Rig::new();
    let sound = packet(0, 1, 7, &[0; 160]);
    rig.send(Side::A, Port::Rtp, "192.0.2.1:61000", &sound);
    rig.relay.connect(
        rig.now,
        Side::A,
        RelayPeer {
            remote_rtp: None,
            silence_s: None,
            ..peer(A)
        },
    );
    assert_eq!(rig.send(Side::B, Port::Rtp, B, &sound), None);
    assert!(
        rig.send(Side::A, Port::Rtp, "192.0.2.1:61000", &sound)
            .is_some()
    );
    rig.relay.connect(rig.now, Side::A, peer(A));
    let out = rig.send(Side::B, Port::Rtp, B, &sound).unwrap();
    assert_eq!(out.0, "192.0.2.1:61000");
}

#[test]
fn events_in_the_life_of_a_stream() {
    let mut rig = Rig::new();
    let side = Side::A;
    let sound = packet(0, 1, 7, &[0; 160]);
    let from = address(A);
    rig.send(side, Port::Rtp, A, &sound);
    assert_eq!(rig.events(), [RelayEvent::FirstPacket { side, from }]);
    rig.send(side, Port::Rtp, STRANGER, &sound);
    rig.send(side, Port::Rtp, STRANGER, &sound);
    let stranger = address(STRANGER);
    assert_eq!(
        rig.events(),
        [RelayEvent::Stranger {
            side,
            from: stranger
        }]
    );
    rig.wait(4_999);
    assert_eq!(rig.events(), []);
    rig.wait(1);
    let silent = |side| RelayEvent::NoPackets { side, for_s: 5 };
    assert_eq!(rig.events(), [silent(Side::A), silent(Side::B)]);
    rig.wait(60_000);
    assert_eq!(rig.events(), []);
    rig.send(side, Port::Rtp, "192.0.2.1:61000", &sound);
    let from = address("192.0.2.1:61000");
    assert_eq!(
        rig.events(),
        [
            RelayEvent::SourceChanged { side, from },
            RelayEvent::PacketsResumed { side }
        ]
    );
    // On hold silence means nothing.
    rig.relay.connect(
        rig.now,
        side,
        RelayPeer {
            silence_s: None,
            ..peer(A)
        },
    );
    rig.wait(60_000);
    assert_eq!(rig.events(), []);
    // And afterwards it counts from then.
    rig.relay.connect(rig.now, side, peer(A));
    rig.wait(4_999);
    assert_eq!(rig.events(), []);
    rig.wait(1);
    assert_eq!(rig.events(), [silent(Side::A)]);
    assert!(rig.now > rig.start);
}

#[test]
fn events_have_a_bound() {
    let mut rig = Rig::new();
    for n in 0..200 {
        rig.wait(3_000);
        rig.send(
            Side::A,
            Port::Rtp,
            &format!("192.0.2.1:{}", 10_000 + n),
            &packet(0, n, 7, &[]),
        );
    }
    assert_eq!(rig.events().len(), EVENTS_MAX);
}

#[test]
fn keys_are_seen_and_pass() {
    let mut rig = Rig::new();
    let key = |sequence, end: bool, duration| {
        let event = dtmf::Event {
            code: 5,
            end,
            volume: 10,
            duration,
        };
        let mut bytes = packet(101, sequence, 7, &event.to_bytes());
        bytes[4..8].copy_from_slice(&[0, 0, 9, 0]);
        bytes
    };
    for (sequence, end, duration) in [
        (1, false, 160),
        (2, false, 320),
        (3, true, 480),
        (4, true, 480),
        (5, true, 480),
    ] {
        assert!(
            rig.send(Side::A, Port::Rtp, A, &key(sequence, end, duration))
                .is_some()
        );
    }
    let digit = RelayEvent::Digit {
        side: Side::A,
        digit: '5',
        duration_ms: 60,
    };
    assert_eq!(rig.events()[1..], [digit]);
    // One that counts in 48 kHz, as beside Opus.
    let mut bytes = key(6, true, 4_800);
    bytes[1] = 110;
    rig.send(Side::A, Port::Rtp, A, &bytes);
    let digit = RelayEvent::Digit {
        side: Side::A,
        digit: '5',
        duration_ms: 100,
    };
    assert_eq!(rig.events(), [digit]);
    // One whose end is lost.
    let mut bytes = key(6, false, 800);
    bytes[4..8].copy_from_slice(&[0, 0, 99, 0]);
    rig.send(Side::A, Port::Rtp, A, &bytes);
    rig.wait(200);
    let digit = RelayEvent::Digit {
        side: Side::A,
        digit: '5',
        duration_ms: 100,
    };
    assert_eq!(rig.events(), [digit]);
}

#[test]
fn a_transfer_goes_on_in_the_same_stream() {
    let mut rig = Rig::new();
    rig.send(Side::A, Port::Rtp, A, &packet(0, 10, 7, &[1]));
    rig.wait(100);
    rig.relay.connect(rig.now, Side::A, peer("192.0.2.99:4000"));
    // Late packets of the first phone are no longer taken.
    assert_eq!(
        rig.send(Side::A, Port::Rtp, A, &packet(0, 11, 7, &[2])),
        None
    );
    let out = rig
        .send(
            Side::A,
            Port::Rtp,
            "192.0.2.99:4000",
            &packet(0, 900, 8, &[3]),
        )
        .unwrap();
    let packet = rtp::Packet::parse(&out.2).unwrap();
    assert_eq!((packet.ssrc, packet.sequence, packet.marker), (7, 11, true));
    assert_eq!(packet.timestamp, 10 * 160 + 800);
    assert_eq!(packet.payload, [3]);
}

#[test]
fn figures_of_a_side() {
    let mut rig = Rig::new();
    for sequence in [1u16, 2, 4, 5] {
        rig.wait(20);
        rig.send(Side::A, Port::Rtp, A, &packet(0, sequence, 7, &[0; 160]));
    }
    let stats = rig.relay.stats(Side::A);
    assert_eq!(
        (
            stats.packets_received,
            stats.packets_expected,
            stats.packets_lost
        ),
        (4, 5, 1)
    );
    assert_eq!(stats.octets_received, 4 * 172);
    assert!(
        stats.jitter_ms > 0.5 && stats.jitter_ms < 3.0,
        "{}",
        stats.jitter_ms
    );
    assert_eq!(stats.source, Some(address(A)));
    assert_eq!(rig.relay.stats(Side::B).packets_sent, 4);
}

#[test]
fn datagrams_of_a_fax_pass_unread() {
    let mut rig = Rig::new();
    for (side, rtp) in [(Side::A, A), (Side::B, B)] {
        rig.relay.connect(
            rig.now,
            side,
            RelayPeer {
                is_opaque: true,
                ..peer(rtp)
            },
        );
    }
    let out = rig.send(Side::A, Port::Rtp, A, &[0, 1, 2]);
    assert_eq!(out, Some((B.to_owned(), Port::Rtp, vec![0, 1, 2])));
    assert_eq!(rig.send(Side::A, Port::Rtp, STRANGER, &[0, 1, 2]), None);
}
