//! Fuzz bodies: plain functions that take any bytes and assert what must always hold. The unit tests run them
//! over seeded mutations of good inputs; a fuzzer can call them as they are.
//!
//! PURE.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::codec::Codec;
use crate::session::{Delivery, Input, Output, Session, SessionConfig};
use crate::{SILENCE, comfort_noise, dtmf, dtmf_inband, file, frame_clock, rtcp, rtp};

/// What parses is written and parsed again to the same packet.
pub fn parse_rtp(data: &[u8]) {
    if let Ok(packet) = rtp::Packet::parse(data) {
        assert!(packet.payload.len() + rtp::HEADER_LEN <= data.len());
        let bytes = packet.to_bytes();
        assert_eq!(rtp::Packet::parse(&bytes), Ok(packet));
    }
}

/// What parses is written and parsed again to the same packets, unless a text had to be repaired or cut.
pub fn parse_rtcp(data: &[u8]) {
    if let Ok(packets) = rtcp::parse(data) {
        assert!(packets.len() <= rtcp::PACKETS_MAX);
        let bytes = rtcp::write(&packets);
        if bytes.is_empty() {
            return;
        }
        if bytes.len() <= rtcp::DATAGRAM_LEN_MAX {
            let again = rtcp::parse(&bytes).expect("what we write parses");
            assert_eq!(rtcp::write(&again), bytes);
        }
    }
}

/// An event survives a round trip, except for the reserved bit.
pub fn parse_dtmf(data: &[u8]) {
    if let Ok(event) = dtmf::Event::parse(data) {
        let bytes = event.to_bytes();
        assert_eq!(dtmf::Event::parse(&bytes), Ok(event));
        assert_eq!(bytes[1] | 0x40, data[1] | 0x40);
    }
}

/// Any sound may be listened to for keys, in any pieces; any description of silence makes noise that stays in bounds.
pub fn sound(data: &[u8]) {
    let pcm: Vec<i16> = data
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let mut detector = dtmf_inband::Detector::new();
    let size = 1 + usize::from(data.first().copied().unwrap_or(0)) * 4;
    for part in pcm.chunks(size) {
        for pressed in detector.push(part) {
            assert!(dtmf::code(pressed.digit).is_some());
        }
    }
    if let Some(description) = comfort_noise::Description::parse(data) {
        let noise = comfort_noise::Generator::new(&description).noise(4_000);
        assert!(noise.iter().all(|sample| sample.unsigned_abs() < 30_000));
    }
}

/// A file that reads is no longer than allowed, and survives being written as wav.
pub fn read_file(data: &[u8]) {
    const SECONDS_MAX: u32 = 20;
    if let Ok(clip) = file::read_up_to(data, SECONDS_MAX) {
        assert!(clip.duration_ms() <= u64::from(SECONDS_MAX) * 1_000);
        assert_eq!(file::read(&file::wav::write(&clip)), Ok(clip));
    }
}

/// A script of operations on a session: each takes an operation byte and its arguments from the data.
///
/// Asserted: outputs per input are bounded, frames never run ahead of real time by more than the bound, the next
/// timeout never stands still, what is sent parses.
pub fn session(start: Instant, data: &[u8]) {
    let address = |n: u8| SocketAddr::from(([192, 0, 2, n % 4 + 1], 4_000 + u16::from(n) * 2));
    let config = |n: u8| SessionConfig {
        codec: [Codec::Pcmu, Codec::Pcma, Codec::Opus, Codec::G722]
            [usize::from(n & 1 | n >> 6 & 2)],
        payload_type: [0, 8, 96, 9][usize::from(n & 1 | n >> 6 & 2)],
        receive_payload_types: vec![
            (0, Codec::Pcmu),
            (8, Codec::Pcma),
            (9, Codec::G722),
            (96, Codec::Opus),
        ],
        telephone_event: (n & 2 == 0).then_some(101),
        remote_rtp: (n & 4 == 0).then(|| address(n >> 5)),
        cname: "fuzz".into(),
        ntp_offset: u64::from(n) << 56,
        send: n & 8 == 0,
        receive: n & 16 == 0,
        ..SessionConfig::default()
    };
    let delivery = match data.first() {
        Some(first) if first & 0x80 != 0 => Delivery::Steady,
        _ => Delivery::Eager,
    };
    let first = SessionConfig {
        delivery,
        ..config(0)
    };
    let mut session = Session::new(first, [5; 32], start);
    let mut now = start;
    let mut frames = 0u64;
    let mut rest = data;
    while let [operation, argument, tail @ ..] = rest {
        rest = tail;
        match operation % 8 {
            0 | 1 => now += Duration::from_millis(u64::from(*argument)),
            2 | 3 => {
                // A well-formed packet: sequence, timestamp, payload type and source from the data.
                let mut bytes = vec![
                    0x80,
                    [0, 8, 101, 13, 96, 0, 9, 96][usize::from(*argument >> 5)],
                ];
                let fields = tail.get(..10).unwrap_or(&[0; 10]);
                bytes.extend_from_slice(fields);
                bytes.resize(12 + usize::from(*argument) * 4, *argument);
                let from = address(*argument & 1);
                session.handle(now, Input::Rtp { from, data: &bytes });
                rest = tail.get(10..).unwrap_or_default();
            }
            4 => {
                let length = usize::from(*argument).min(tail.len());
                let from = address(*operation >> 6);
                session.handle(
                    now,
                    Input::Rtp {
                        from,
                        data: &tail[..length],
                    },
                );
            }
            5 => {
                let length = usize::from(*argument).min(tail.len());
                let from = address(*operation >> 6);
                session.handle(
                    now,
                    Input::Rtcp {
                        from,
                        data: &tail[..length],
                    },
                );
            }
            6 => session.send_frame(now, &SILENCE),
            _ if argument & 1 == 0 => session.reconfigure(now, config(argument >> 1)),
            _ => session.send_dtmf(now, '5', u32::from(*argument)),
        }
        frames += drain(&mut session);
        // As a driver would: woken until nothing is due. Each wake moves what is due.
        let mut wakes = 0;
        while session.next_timeout().is_some_and(|due| due <= now) {
            session.handle(now, Input::Timeout);
            frames += drain(&mut session);
            wakes += 1;
            assert!(wakes < 256, "the next timeout stands still");
        }
        let passed_ms = now.duration_since(start).as_millis() as u64;
        let ahead = frame_clock::LEAD_MS_MAX as u64 + 20;
        assert!(
            frames * 20 <= passed_ms + ahead,
            "{frames} frames in {passed_ms} ms"
        );
    }
    session.goodbye(now);
    drain(&mut session);
    assert_eq!(session.next_timeout(), None);
}

/// Takes all outputs, checks them, and counts the frames among them.
fn drain(session: &mut Session) -> u64 {
    let mut frames = 0;
    let mut outputs = 0;
    while let Some(output) = session.poll_output() {
        outputs += 1;
        assert!(outputs < 256, "one input, and no end of outputs");
        match output {
            Output::Frame { .. } => frames += 1,
            Output::Rtp { data, .. } => assert!(rtp::Packet::parse(&data).is_ok()),
            Output::Rtcp { data, .. } => assert!(rtcp::parse(&data).is_ok()),
            Output::Dtmf { digit, .. } => assert!(dtmf::code(digit).is_some()),
            Output::Event(_) => {}
        }
    }
    frames
}

#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod tests;
