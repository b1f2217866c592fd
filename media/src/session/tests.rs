//! One session on virtual time, fed with scripts of packets.

use super::*;
use crate::codec::Codec;
use crate::rtp::Packet;
use crate::{FRAME_SAMPLES, SILENCE};

pub(super) const A: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    4_000,
);
pub(super) const B: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)),
    5_000,
);
const ELSEWHERE: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 9)),
    9_000,
);

pub(super) fn config(remote: Option<SocketAddr>) -> SessionConfig {
    SessionConfig {
        codec: Codec::Pcmu,
        payload_type: 0,
        receive_payload_types: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        telephone_event: Some(101),
        remote_rtp: remote,
        cname: "test".into(),
        ntp_offset: 1_700_000_000_000,
        ..SessionConfig::default()
    }
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn drain(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

pub(super) fn events(outputs: &[Output]) -> Vec<MediaEvent> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Event(event) => Some(*event),
            _ => None,
        })
        .collect()
}

pub(super) fn sound(outputs: &[Output]) -> Vec<i16> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Frame { pcm, .. } => Some(*pcm),
            _ => None,
        })
        .flatten()
        .collect()
}

pub(super) fn frames(outputs: &[Output]) -> usize {
    sound(outputs).len() / FRAME_SAMPLES
}

/// One session fed by hand on virtual time.
struct Bench {
    start: Instant,
    now: Instant,
    session: Session,
    seen: Vec<Output>,
}

impl Bench {
    fn new(config: SessionConfig) -> Bench {
        let start = Instant::now();
        Bench {
            start,
            now: start,
            session: Session::new(config, [1; 32], start),
            seen: Vec::new(),
        }
    }

    /// Lets time pass, waking the session whenever it asks to be.
    fn until(&mut self, at_ms: u64) {
        let end = self.start + ms(at_ms);
        while let Some(due) = self.session.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.session.handle(self.now, Input::Timeout);
            self.seen.extend(drain(&mut self.session));
        }
        self.now = end;
    }

    fn datagram(&mut self, from: SocketAddr, data: &[u8]) {
        self.session.handle(self.now, Input::Rtp { from, data });
        self.seen.extend(drain(&mut self.session));
    }

    fn packet(&mut self, at_ms: u64, from: SocketAddr, packet: Packet<'_>) {
        self.until(at_ms);
        self.datagram(from, &packet.to_bytes());
    }

    /// 20 ms of loud PCMU: number `n` of the stream.
    fn loud(&mut self, at_ms: u64, n: u16) {
        self.packet(at_ms, A, loud(n));
    }

    fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.seen)
    }
}

fn loud(n: u16) -> Packet<'static> {
    // Square wave at 1 kHz.
    const PAYLOAD: [u8; 160] = {
        let mut payload = [0x90; 160];
        let mut at = 0;
        while at < 160 {
            if at % 8 >= 4 {
                payload[at] = 0x10;
            }
            at += 1;
        }
        payload
    };
    Packet {
        marker: false,
        payload_type: 0,
        sequence: n,
        timestamp: u32::from(n).wrapping_mul(160),
        ssrc: 77,
        payload: &PAYLOAD,
    }
}

pub(super) fn tone(n: u64) -> Frame {
    std::array::from_fn(|i| {
        let t = (n * 320 + i as u64) as f64 / 16_000.0;
        (9_000.0 * (std::f64::consts::TAU * 440.0 * t).sin()) as i16
    })
}

pub(super) fn rms(samples: &[i16]) -> f64 {
    (samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / samples.len().max(1) as f64)
        .sqrt()
}

#[test]
fn frames_come_at_once_and_never_stop() {
    let mut bench = Bench::new(config(Some(A)));
    bench.until(100);
    // Silence from the start: at 60, 80 and 100 ms.
    assert_eq!(frames(&bench.take()), 3);
    for n in 0..5 {
        bench.loud(110 + u64::from(n) * 20, n);
        assert_eq!(frames(&bench.take()), 1, "packet {n}");
    }
    // The last packet came at 190 ms; 250 ms is 60 later.
    bench.until(249);
    assert_eq!(frames(&bench.take()), 0);
    bench.until(1_000);
    let filler = bench.take();
    assert_eq!(frames(&filler), 38);
    let pcm = sound(&filler);
    assert!(rms(&pcm[..320]) > 1_000.0, "the first is concealment");
    assert!(
        pcm[3 * 320..].iter().all(|&sample| sample == 0),
        "silence follows"
    );
}

#[test]
fn packets_of_any_size_are_cut_anew() {
    for size in [80usize, 160, 240, 320, 480, 33] {
        let mut bench = Bench::new(config(Some(A)));
        let payload = vec![0x90; size];
        let mut timestamp = 0;
        for n in 0..50u16 {
            let packet = Packet {
                timestamp,
                payload: &payload,
                ..loud(n)
            };
            bench.packet(u64::from(timestamp / 8), A, packet);
            timestamp += size as u32;
        }
        let outputs = bench.take();
        assert_eq!(frames(&outputs), 50 * size / 160, "{size}");
        assert_eq!(bench.session.stats().frames_concealed, 0, "{size}");
    }
}

#[test]
fn a_lost_packet_is_concealed() {
    let mut bench = Bench::new(config(Some(A)));
    for n in (0..20).filter(|&n| n != 10) {
        bench.loud(u64::from(n) * 20, n);
    }
    bench.until(430);
    let outputs = bench.take();
    assert_eq!(frames(&outputs), 20);
    let concealed: Vec<bool> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Frame { concealed, .. } => Some(*concealed),
            _ => None,
        })
        .collect();
    assert_eq!(concealed.iter().position(|&made_up| made_up), Some(10));
    assert_eq!(concealed.iter().filter(|&&made_up| made_up).count(), 1);
    assert_eq!(bench.session.stats().packets_lost, 1);
    // Loud throughout.
    let pcm = sound(&outputs);
    assert!(pcm.chunks(320).skip(1).all(|frame| rms(frame) > 2_000.0));
}

#[test]
fn a_heap_after_a_stall_is_heard_and_time_is_won_back_from_silence() {
    let mut bench = Bench::new(config(Some(A)));
    for n in 0..10 {
        bench.loud(u64::from(n) * 20, n);
    }
    // 300 ms of nothing, then all of it, then the stream goes on: 15 packets late by up to 300 ms.
    for n in 10..25 {
        bench.loud(480, n);
    }
    let before = bench.take();
    // No word is lost: 25 packets of sound, and filler from 240 to 480 ms.
    assert_eq!(frames(&before), 25 + 13);
    // Quiet packets: some are left out until the stream is back in real time.
    for n in 25..75 {
        let quiet = Packet {
            payload: &[0xff; 160],
            ..loud(n)
        };
        bench.packet(u64::from(n) * 20, A, quiet);
    }
    let stats = bench.session.stats();
    assert!((8..=13).contains(&stats.frames_swallowed), "{stats:?}");
    assert!((75..=78).contains(&(frames(&before) + frames(&bench.take()))));
}

#[test]
fn a_talkspurt_pause_keeps_its_length() {
    let mut bench = Bench::new(config(Some(A)));
    for n in 0..5 {
        bench.loud(u64::from(n) * 20, n);
    }
    // The sender was silent for a second and says so by its timestamps.
    for n in 5..10u16 {
        let packet = Packet {
            marker: n == 5,
            timestamp: u32::from(n) * 160 + 8_000,
            ..loud(n)
        };
        bench.packet(1_000 + u64::from(n) * 20, A, packet);
    }
    assert_eq!(frames(&bench.take()), 60);
    // A clock that jumped ahead by an hour while no time passed: no silence is made up.
    let packet = Packet {
        timestamp: 28_800_000,
        ..loud(10)
    };
    bench.packet(1_200, A, packet);
    assert_eq!(frames(&bench.take()), 1);
}

#[test]
fn keys_are_told_once_and_sent_whole() {
    let start = Instant::now();
    let mut sender = Session::new(config(Some(B)), [3; 32], start);
    let mut bench = Bench::new(config(Some(A)));
    sender.send_dtmf(start, '4', 100);
    let mut sent = drain(&mut sender);
    sender.send_dtmf(start, '#', 60);
    sent.extend(drain(&mut sender));
    for at in 0..600u64 {
        let now = start + ms(at);
        if sender.next_timeout().is_some_and(|due| due <= now) {
            sender.handle(now, Input::Timeout);
            sent.extend(drain(&mut sender));
        }
        if at % 20 == 0 {
            sender.send_frame(now, &tone(at / 20));
            sent.extend(drain(&mut sender));
        }
        bench.until(at);
        for output in std::mem::take(&mut sent) {
            if let Output::Rtp { data, .. } = output {
                bench.datagram(A, &data);
            }
        }
    }
    let keys: Vec<Output> = bench
        .take()
        .into_iter()
        .filter(|output| matches!(output, Output::Dtmf { .. }))
        .collect();
    assert_eq!(
        keys,
        [
            Output::Dtmf {
                digit: '4',
                duration_ms: 100
            },
            Output::Dtmf {
                digit: '#',
                duration_ms: 60
            },
        ]
    );
    assert_eq!(bench.session.stats().packets_lost, 0);
}

#[test]
fn addresses_are_learned_and_strangers_ignored() {
    let mut bench = Bench::new(config(Some(A)));
    bench.packet(0, ELSEWHERE, loud(0));
    assert_eq!(bench.session.stats().sending_to, Some(ELSEWHERE));
    bench.packet(20, B, loud(1));
    bench.packet(40, B, loud(1));
    bench.packet(60, ELSEWHERE, loud(1));
    // The SDP address wins.
    bench.packet(80, A, loud(2));
    assert_eq!(
        events(&bench.take()),
        [
            MediaEvent::FirstPacket { from: ELSEWHERE },
            MediaEvent::SourceLatched {
                from: ELSEWHERE,
                expected: Some(A)
            },
            MediaEvent::Stranger { from: B },
            MediaEvent::SourceLatched {
                from: A,
                expected: Some(A)
            },
        ]
    );
    assert_eq!(bench.session.stats().packets_stranger, 2);
    let now = bench.now;
    bench.session.send_frame(now, &SILENCE);
    assert!(matches!(drain(&mut bench.session)[..], [Output::Rtp { to, .. }] if to == A));
}

#[test]
fn missing_audio_is_told_once() {
    let mut bench = Bench::new(config(Some(A)));
    bench.until(20_000);
    let silence = MediaEvent::NoAudio {
        for_s: 5,
        expected: Some(A),
    };
    assert_eq!(events(&bench.take()), [silence]);
    bench.loud(20_000, 0);
    assert_eq!(
        events(&bench.take()),
        [
            MediaEvent::FirstPacket { from: A },
            MediaEvent::AudioResumed
        ]
    );
    bench.until(24_999);
    assert!(events(&bench.take()).is_empty());
    bench.until(25_000);
    assert_eq!(events(&bench.take()), [silence]);
    // Not while we take no audio.
    let mut held = Bench::new(SessionConfig {
        receive: false,
        ..config(Some(A))
    });
    held.until(10_000);
    assert!(events(&held.take()).is_empty());
}

#[test]
fn streams_and_types_change() {
    let mut bench = Bench::new(config(Some(A)));
    bench.loud(0, 0);
    bench.packet(
        20,
        A,
        Packet {
            ssrc: 78,
            sequence: 40_000,
            timestamp: 5,
            ..loud(0)
        },
    );
    bench.packet(
        40,
        A,
        Packet {
            ssrc: 78,
            sequence: 40_001,
            timestamp: 165,
            payload_type: 8,
            ..loud(0)
        },
    );
    for at in [60, 80] {
        bench.packet(
            at,
            A,
            Packet {
                ssrc: 78,
                sequence: 40_002,
                timestamp: 325,
                payload_type: 96,
                ..loud(0)
            },
        );
    }
    bench.packet(
        100,
        A,
        Packet {
            ssrc: 78,
            sequence: 40_002,
            timestamp: 325,
            payload_type: 13,
            payload: &[60],
            ..loud(0)
        },
    );
    let outputs = bench.take();
    assert_eq!(frames(&outputs), 4, "three of sound, one of filler");
    assert_eq!(
        events(&outputs),
        [
            MediaEvent::FirstPacket { from: A },
            MediaEvent::SsrcChanged,
            MediaEvent::PayloadTypeUnknown { pt: 96 },
        ]
    );
    bench.datagram(A, b"not rtp at all");
    let stats = bench.session.stats();
    assert_eq!(
        (
            stats.packets_malformed,
            stats.packets_unknown_payload_type,
            stats.ssrc_changes
        ),
        (1, 2, 1)
    );
}

#[test]
fn hold_and_return_keep_the_stream() {
    let mut bench = Bench::new(config(Some(A)));
    let mut sent = Vec::new();
    for n in 0..30u64 {
        bench.until(n * 20);
        let now = bench.now;
        if n == 10 || n == 20 {
            let held = n == 10;
            bench.session.reconfigure(
                now,
                SessionConfig {
                    send: !held,
                    receive: !held,
                    codec: if held { Codec::Pcmu } else { Codec::Pcma },
                    payload_type: if held { 0 } else { 8 },
                    ..config(Some(if held { A } else { B }))
                },
            );
            drain(&mut bench.session);
        }
        bench.session.send_frame(now, &SILENCE);
        for output in drain(&mut bench.session) {
            if let Output::Rtp { to, data } = output {
                let packet = Packet::parse(&data).unwrap();
                sent.push((
                    n,
                    to,
                    packet.payload_type,
                    packet.marker,
                    packet.sequence,
                    packet.timestamp,
                    packet.ssrc,
                ));
            }
        }
    }
    assert_eq!(sent.len(), 20);
    let (first, back) = (sent[0], sent[10]);
    assert_eq!((back.0, back.1, back.2, back.3), (20, B, 8, true));
    assert_eq!(back.4, first.4.wrapping_add(10));
    assert_eq!(back.5, first.5.wrapping_add(20 * 160));
    assert_eq!(back.6, first.6);
}

#[test]
fn goodbye_ends_it() {
    let mut bench = Bench::new(config(Some(A)));
    bench.session.goodbye(bench.now);
    let outputs = drain(&mut bench.session);
    let [Output::Rtcp { to, data }] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(to.port(), A.port() + 1);
    assert_eq!(bench.session.next_timeout(), None);
    bench.loud(20, 0);
    assert!(bench.take().is_empty());

    let mut other = Bench::new(config(Some(B)));
    other.session.handle(
        other.now,
        Input::Rtcp {
            from: ELSEWHERE,
            data,
        },
    );
    assert!(
        drain(&mut other.session).is_empty(),
        "a stranger cannot end a call"
    );
    // On the RTP port just as well.
    other
        .session
        .handle(other.now, Input::Rtp { from: B, data });
    assert_eq!(events(&drain(&mut other.session)), [MediaEvent::RemoteBye]);
}
