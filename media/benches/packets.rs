//! What a packet costs: nanoseconds per call, and the ratio to copying the same bytes. No assertion, no framework.
//!
//! `cargo bench -p offhook-media`

// A bench is there to read the clock.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use media::codec::{Codec, Decoder, Encoder};
use media::concealment::Concealer;
use media::playout::{Playout, PlayoutConfig};
use media::resample::Resampler;
use media::session::{Input, Session, SessionConfig};
use media::tones::ToneDetector;
use media::{FRAME_SAMPLES, Frame, rtp};

/// Best of seven rounds, in nanoseconds per call.
fn measure(calls: u32, mut body: impl FnMut()) -> f64 {
    (0..7)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..calls {
                body();
            }
            start.elapsed().as_nanos() as f64 / f64::from(calls)
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    let frame: Frame = std::array::from_fn(|n| ((n * 7_919) % 20_000) as i16 - 10_000);
    let payload = [0x9a; 160];
    let packet = rtp::Packet {
        marker: false,
        payload_type: 0,
        sequence: 1,
        timestamp: 160,
        ssrc: 7,
        payload: &payload,
    };
    let bytes = packet.to_bytes();
    let mut copy = bytes.clone();
    let baseline = measure(2_000_000, || {
        copy.copy_from_slice(black_box(&bytes));
        black_box(&mut copy);
    });
    let report = |name: &str, ns: f64| {
        println!("{name:<44} {ns:>10.1} ns {:>9.1} x copy", ns / baseline);
    };
    report("copy of one datagram (172 bytes)", baseline);
    report(
        "rtp-rs reader alone",
        measure(2_000_000, || {
            black_box(rtp_rs::RtpReader::new(black_box(&bytes)).is_ok());
        }),
    );
    report(
        "rtp parse",
        measure(2_000_000, || {
            black_box(rtp::Packet::parse(black_box(&bytes)).is_ok());
        }),
    );
    report(
        "rtp write",
        measure(1_000_000, || {
            black_box(black_box(&packet).to_bytes());
        }),
    );
    let mut up = Resampler::new(8_000, 16_000);
    let half = [1_000i16; 160];
    report(
        "resample 20 ms, 8 to 16 kHz",
        measure(20_000, || {
            black_box(up.process(black_box(&half)));
        }),
    );
    let mut down = Resampler::new(16_000, 8_000);
    report(
        "resample 20 ms, 16 to 8 kHz",
        measure(20_000, || {
            black_box(down.process(black_box(&frame)));
        }),
    );
    let mut voice = Resampler::new(22_050, 16_000);
    let chunk = [1_000i16; 441];
    report(
        "resample 20 ms, 22.05 to 16 kHz (rubato)",
        measure(5_000, || {
            black_box(voice.process(black_box(&chunk)));
        }),
    );
    let mut decoder = Decoder::new(Codec::Pcmu);
    report(
        "decode 20 ms of PCMU to 16 kHz",
        measure(20_000, || {
            black_box(decoder.decode(black_box(&payload)));
        }),
    );
    let mut encoder = Encoder::new(Codec::Pcmu);
    report(
        "encode 20 ms of 16 kHz to PCMU",
        measure(20_000, || {
            black_box(encoder.encode(black_box(&frame)));
        }),
    );
    let mut concealer = Concealer::new();
    report(
        "conceal one lost packet",
        measure(5_000, || {
            concealer.heard(&mut frame.to_vec());
            black_box(concealer.conceal(FRAME_SAMPLES));
        }),
    );
    let mut detector = ToneDetector::new();
    report(
        "tone detector, one frame",
        measure(2_000, || {
            black_box(detector.push(black_box(&frame)));
        }),
    );
    let mut playout = Playout::new(PlayoutConfig::default());
    let now = Instant::now();
    report(
        "playout, one frame pushed and taken",
        measure(20_000, || {
            let _ = playout.push(1, 0, "", black_box(&frame), false);
            black_box(playout.next_frame(now));
        }),
    );
    session(&report, &packet, &frame);
}

/// A whole session: one packet in and its frame out; one frame in and its packet out.
fn session(report: &dyn Fn(&str, f64), packet: &rtp::Packet<'_>, frame: &Frame) {
    let start = Instant::now();
    let remote = std::net::SocketAddr::from(([192, 0, 2, 1], 4_000));
    let config = SessionConfig {
        codec: Codec::Pcmu,
        payload_type: 0,
        receive_payload_types: vec![(0, Codec::Pcmu)],
        telephone_event: Some(101),
        remote_rtp: Some(remote),
        cname: "bench".into(),
        ..SessionConfig::default()
    };
    let mut session = Session::new(config, [1; 32], start);
    let mut n = 0u32;
    let received = measure(20_000, || {
        n += 1;
        let now = start + Duration::from_millis(20) * n;
        let next = rtp::Packet {
            sequence: n as u16,
            timestamp: n.wrapping_mul(160),
            ..*packet
        };
        let input = Input::Rtp {
            from: remote,
            data: &next.to_bytes(),
        };
        session.handle(now, input);
        while let Some(output) = session.poll_output() {
            black_box(output);
        }
    });
    report("session, one packet to one frame", received);
    let sent = measure(20_000, || {
        n += 1;
        let now = start + Duration::from_millis(20) * n;
        session.send_frame(now, black_box(frame));
        while let Some(output) = session.poll_output() {
            black_box(output);
        }
    });
    report("session, one frame to one packet", sent);
}
