//! One stream on virtual time over bad networks: both ways of giving out frames, pauses, comfort noise, drift, FEC.

use super::tests::{A, config, ms, rms};
use super::*;
use crate::codec::{Codec, Encoder};
use crate::rtp::Packet;
use crate::{FRAME_SAMPLES, SILENCE};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// A packet of a script: when it comes, in microseconds, and what it is.
struct Arrival {
    at_us: u64,
    sequence: u16,
    timestamp: u32,
    payload_type: u8,
    payload: Vec<u8>,
}

struct Heard {
    /// When each frame came, in milliseconds, with its sound.
    frames: Vec<(u64, Frame, bool)>,
    digits: Vec<(char, u32)>,
    stats: Stats,
}

impl Heard {
    fn sound(&self) -> Vec<i16> {
        self.frames.iter().flat_map(|(_, pcm, _)| *pcm).collect()
    }
}

/// Plays a script; `until_ms` is when listening ends.
fn play(config: SessionConfig, mut arrivals: Vec<Arrival>, until_ms: u64) -> Heard {
    arrivals.sort_by_key(|arrival| arrival.at_us);
    let start = Instant::now();
    let mut session = Session::new(config, [3; 32], start);
    let mut heard = Heard {
        frames: Vec::new(),
        digits: Vec::new(),
        stats: Stats::default(),
    };
    let mut take = |session: &mut Session, now: Instant| {
        while let Some(output) = session.poll_output() {
            match output {
                Output::Frame { pcm, concealed } => {
                    let at = now.duration_since(start).as_millis() as u64;
                    heard.frames.push((at, pcm, concealed));
                }
                Output::Dtmf { digit, duration_ms } => heard.digits.push((digit, duration_ms)),
                _ => {}
            }
        }
    };
    let end = start + ms(until_ms);
    let mut arrivals = arrivals.into_iter().peekable();
    loop {
        let arrives = arrivals
            .peek()
            .map_or(end, |next| start + Duration::from_micros(next.at_us));
        let due = session.next_timeout().map_or(end, |due| due.min(end));
        if due.min(arrives) >= end {
            break;
        }
        if due < arrives {
            session.handle(due, Input::Timeout);
            take(&mut session, due);
            continue;
        }
        let next = arrivals.next().unwrap();
        let packet = Packet {
            marker: false,
            payload_type: next.payload_type,
            sequence: next.sequence,
            timestamp: next.timestamp,
            ssrc: 9,
            payload: &next.payload,
        };
        let data = packet.to_bytes();
        session.handle(
            arrives,
            Input::Rtp {
                from: A,
                data: &data,
            },
        );
        take(&mut session, arrives);
    }
    heard.stats = session.stats();
    heard
}

fn steady() -> SessionConfig {
    SessionConfig {
        delivery: Delivery::Steady,
        ..config(Some(A))
    }
}

/// A voice of 150 Hz with overtones, loud and soft by turns.
fn voice(n: u64) -> Frame {
    std::array::from_fn(|k| {
        let at = (n * FRAME_SAMPLES as u64 + k as u64) as f64 / 16_000.0;
        let phase = std::f64::consts::TAU * 150.0 * at;
        let loud = 1.0 + 0.5 * (std::f64::consts::TAU * 2.0 * at).sin();
        (loud * (4_000.0 * phase.sin() + 1_500.0 * (3.0 * phase).sin())) as i16
    })
}

/// `count` packets of the voice in a codec; `travel` gives the time under way in milliseconds, or a loss.
fn spoken(
    codec: Codec,
    count: u64,
    ppm: f64,
    mut travel: impl FnMut(u64) -> Option<f64>,
) -> Vec<Arrival> {
    let mut encoder = Encoder::new(codec);
    let payload_type = codec.static_payload_type().unwrap_or(96);
    let per_packet = codec.clock_rate_hz() / 50;
    let mut arrivals = Vec::new();
    for n in 0..count {
        let payload = encoder.encode(&voice(n));
        let Some(travel_ms) = travel(n) else { continue };
        let sent_us = n as f64 * 20_000.0 / (1.0 + ppm / 1e6);
        arrivals.push(Arrival {
            at_us: (sent_us + travel_ms * 1_000.0) as u64,
            sequence: n as u16,
            timestamp: (n as u32).wrapping_mul(per_packet),
            payload_type,
            payload,
        });
    }
    arrivals
}

/// Steepest step between samples.
fn steepest(sound: &[i16]) -> i32 {
    let steps = sound
        .windows(2)
        .map(|w| (i32::from(w[1]) - i32::from(w[0])).abs());
    steps.max().unwrap_or(0)
}

#[test]
fn a_steady_listener_gets_a_frame_every_20_ms() {
    let mut random = StdRng::seed_from_u64(4);
    for spread_ms in [0.0, 20.0, 60.0, 100.0] {
        let arrivals = spoken(Codec::Pcmu, 3_000, 0.0, |_| {
            Some(40.0 + random.random_range(0.0..=spread_ms))
        });
        let heard = play(steady(), arrivals, 60_000);
        assert!(heard.frames.windows(2).all(|w| w[1].0 - w[0].0 == 20));
        assert!(
            heard.frames.len().abs_diff(3_000) <= 1,
            "{}",
            heard.frames.len()
        );
        // Late loss at most one percent, in the end at the delay the spread asks for and little more.
        let given_up = heard.stats.packets_given_up;
        assert!(given_up <= 30, "{spread_ms}: {given_up} given up");
        let delay_ms = heard.stats.playout_delay_ms;
        assert!(
            delay_ms <= spread_ms + 60.0,
            "{spread_ms}: {delay_ms:.0} ms, {:?}",
            heard.stats
        );
        let concealed = heard.frames[50..].iter().filter(|frame| frame.2).count();
        assert!(concealed <= 45, "{spread_ms}: {concealed} concealed");
    }
}

#[test]
fn drifting_clocks_make_no_clicks_and_no_delay() {
    let whole: Vec<i16> = (0..50).flat_map(voice).collect();
    for ppm in [-300.0, 300.0] {
        let arrivals = spoken(Codec::G722, 6_000, ppm, |_| Some(30.0));
        let heard = play(config_of(Codec::G722, Delivery::Steady), arrivals, 119_000);
        let sound = heard.sound();
        let sound = &sound[16_000..];
        assert_eq!(
            heard.frames[100..].iter().filter(|frame| frame.2).count(),
            0
        );
        assert!(
            steepest(sound) <= steepest(&whole) * 13 / 10,
            "{ppm}: {} of {}",
            steepest(sound),
            steepest(&whole)
        );
        assert!(
            heard.stats.playout_delay_ms < 70.0,
            "{ppm}: {:?}",
            heard.stats.playout_delay_ms
        );
        // Without correction 36 ms would have gathered.
        assert_eq!(heard.stats.packets_given_up, 0);
        // An eager listener hears all of it, too: less a quiet frame now and then.
        let arrivals = spoken(Codec::G722, 6_000, ppm, |_| Some(30.0));
        let eager = play(config_of(Codec::G722, Delivery::Eager), arrivals, 119_000);
        assert!(
            eager.frames.len().abs_diff(5_950) <= 10,
            "{}",
            eager.frames.len()
        );
    }
}

fn config_of(codec: Codec, delivery: Delivery) -> SessionConfig {
    let payload_type = codec.static_payload_type().unwrap_or(96);
    SessionConfig {
        codec,
        payload_type,
        receive_payload_types: vec![(payload_type, codec)],
        delivery,
        ..config(Some(A))
    }
}

#[test]
fn every_codec_comes_through_loss_and_jitter() {
    let sent: Vec<i16> = (0..1_000).flat_map(voice).collect();
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus] {
        for delivery in [Delivery::Eager, Delivery::Steady] {
            let mut random = StdRng::seed_from_u64(8);
            let arrivals = spoken(codec, 1_000, 0.0, |_| {
                let lost = random.random_bool(0.1);
                (!lost).then(|| 40.0 + random.random_range(0.0..60.0))
            });
            let lost = 1_000 - arrivals.len() as u64;
            let heard = play(config_of(codec, delivery), arrivals, 20_000);
            let stats = heard.stats;
            let given_up = stats.packets_given_up;
            assert!(
                (lost - 2..=lost + 15).contains(&given_up),
                "{codec:?} {delivery:?}: {given_up} of {lost}"
            );
            if codec == Codec::Opus {
                // Where the encoder finds speech.
                assert!(stats.packets_recovered * 10 > lost * 3, "{stats:?}");
            }
            let sound = heard.sound();
            let (is, was) = (rms(&sound[16_000..]), rms(&sent[16_000..]));
            assert!(
                (0.85..1.1).contains(&(is / was)),
                "{codec:?} {delivery:?}: {is:.0} of {was:.0}"
            );
            assert!(
                heard.frames.len().abs_diff(997) <= 10,
                "{codec:?} {delivery:?}: {} frames",
                heard.frames.len()
            );
        }
    }
}

#[test]
fn a_described_silence_is_heard_and_is_no_loss() {
    // Half a second of voice, then comfort noise of -50 dBov and nothing for two seconds, then voice again.
    for delivery in [Delivery::Eager, Delivery::Steady] {
        let mut arrivals = spoken(Codec::Pcmu, 25, 0.0, |_| Some(20.0));
        arrivals.push(Arrival {
            at_us: 520_000,
            sequence: 25,
            timestamp: 25 * 160,
            payload_type: 13,
            payload: vec![50, 100],
        });
        for mut later in spoken(Codec::Pcmu, 25, 0.0, |_| Some(20.0)) {
            later.at_us += 2_500_000;
            later.sequence += 26;
            later.timestamp += 20_000;
            arrivals.push(later);
        }
        let heard = play(config_of(Codec::Pcmu, delivery), arrivals, 3_100);
        let stats = heard.stats;
        assert_eq!(stats.packets_given_up, 0, "{delivery:?}");
        assert!(
            heard.frames.len().abs_diff(154) <= 3,
            "{delivery:?}: {}",
            heard.frames.len()
        );
        let level = |from_ms: u64, to_ms: u64| {
            let sound: Vec<i16> = heard
                .frames
                .iter()
                .filter(|frame| (from_ms..to_ms).contains(&frame.0))
                .flat_map(|frame| frame.1)
                .collect();
            rms(&sound)
        };
        // -50 dBov is an rms of 104.
        assert!(
            (80.0..130.0).contains(&level(1_000, 2_400)),
            "{delivery:?}: {}",
            level(1_000, 2_400)
        );
        assert!(level(2_700, 3_000) > 2_000.0, "{delivery:?}");
    }
}

#[test]
fn an_opus_sender_may_fall_silent() {
    use crate::codec::opus;
    let mut encoder = opus::Encoder::new(opus::Settings {
        dtx: true,
        ..opus::Settings::default()
    });
    let mut arrivals = Vec::new();
    let mut sequence = 0;
    for n in 0..400u64 {
        let frame = if (100..300).contains(&n) {
            SILENCE
        } else {
            voice(n)
        };
        let payload = encoder.encode(&frame);
        if payload.len() <= 2 {
            continue;
        }
        arrivals.push(Arrival {
            at_us: n * 20_000 + 10_000,
            sequence,
            timestamp: n as u32 * 960,
            payload_type: 96,
            payload,
        });
        sequence += 1;
    }
    assert!(arrivals.len() < 330, "{}", arrivals.len());
    for delivery in [Delivery::Eager, Delivery::Steady] {
        let copies = arrivals.iter().map(|a| Arrival {
            payload: a.payload.clone(),
            ..*a
        });
        let heard = play(config_of(Codec::Opus, delivery), copies.collect(), 8_000);
        assert_eq!(heard.stats.packets_given_up, 0, "{delivery:?}");
        assert!(
            heard.frames.len().abs_diff(398) <= 4,
            "{delivery:?}: {}",
            heard.frames.len()
        );
        let sound = heard.sound();
        assert!(rms(&sound[16_000..32_000]) > 2_000.0);
        assert!(rms(&sound[64_000..90_000]) < 100.0);
        assert!(rms(&sound[112_000..]) > 2_000.0);
    }
}

#[test]
fn keys_survive_loss_jitter_and_a_steady_pace() {
    use crate::dtmf::{Event, code};
    // Keys of 100 ms back to back, each its own timestamp, no marker; every third packet is lost, ends come once.
    for delivery in [Delivery::Eager, Delivery::Steady] {
        let mut random = StdRng::seed_from_u64(11);
        let mut arrivals = spoken(Codec::Pcmu, 50, 0.0, |_| {
            Some(20.0 + random.random_range(0.0..30.0))
        });
        let keys = "123#5550*9";
        let mut sequence = 50u16;
        for (k, key) in keys.chars().enumerate() {
            for step in 1..=5u16 {
                let event = Event {
                    code: code(key).unwrap(),
                    end: step == 5,
                    volume: 10,
                    duration: step * 160,
                };
                let sent_ms = 1_000 + k as u64 * 100 + u64::from(step) * 20;
                if !sequence.is_multiple_of(3) {
                    arrivals.push(Arrival {
                        at_us: sent_ms * 1_000 + random.random_range(20_000..50_000),
                        sequence,
                        timestamp: 8_000 + k as u32 * 800,
                        payload_type: 101,
                        payload: event.to_bytes().to_vec(),
                    });
                }
                sequence += 1;
            }
        }
        for mut later in spoken(Codec::Pcmu, 50, 0.0, |_| Some(35.0)) {
            later.at_us += 2_000_000;
            later.sequence += 100;
            later.timestamp += 16_000;
            arrivals.push(later);
        }
        let heard = play(config_of(Codec::Pcmu, delivery), arrivals, 3_500);
        let digits: String = heard.digits.iter().map(|(digit, _)| *digit).collect();
        assert_eq!(digits, keys, "{delivery:?}");
    }
}

#[test]
fn streams_and_clocks_may_change_under_a_steady_listener() {
    let mut arrivals = spoken(Codec::Pcmu, 100, 0.0, |_| Some(20.0));
    // The timestamp jumps by an hour, the sequence goes on.
    for mut later in spoken(Codec::Pcmu, 100, 0.0, |_| Some(20.0)) {
        later.at_us += 2_000_000;
        later.sequence += 100;
        later.timestamp += 28_800_000;
        arrivals.push(later);
    }
    // And back, with another payload type.
    for mut later in spoken(Codec::Pcma, 100, 0.0, |_| Some(20.0)) {
        later.at_us += 4_000_000;
        later.sequence += 200;
        later.timestamp += 5;
        arrivals.push(later);
    }
    let heard = play(steady(), arrivals, 6_000);
    let sound = heard.sound();
    for second in [1, 3, 5] {
        let level = rms(&sound[second * 16_000 - 8_000..second * 16_000 + 8_000]);
        assert!(level > 2_000.0, "second {second}: {level}");
    }
    assert!(heard.stats.playout_delay_ms < 100.0, "{:?}", heard.stats);
}

#[test]
fn reports_of_loss_reach_the_encoder_and_the_score() {
    use crate::rtcp::{ReportBlock, RtcpPacket, write};
    let start = Instant::now();
    let mut session = Session::new(
        SessionConfig {
            rtcp_mux: true,
            opus: OpusWishes {
                bitrate_bps_max: Some(30_000),
                ..OpusWishes::default()
            },
            ..config_of(Codec::Opus, Delivery::Eager)
        },
        [6; 32],
        start,
    );
    session.send_frame(start, &voice(0));
    let sent: Vec<Output> = std::iter::from_fn(|| session.poll_output()).collect();
    let Some(Output::Rtp { data, .. }) = sent.first() else {
        panic!("{sent:?}");
    };
    let ssrc = Packet::parse(data).unwrap().ssrc;
    let before = session.stats();
    assert_eq!(
        (before.opus_bitrate_bps, before.opus_loss_percent),
        (28_000, 5)
    );
    assert_eq!((before.mos, before.remote_mos), (None, None));
    // Reduced size (RFC 5506): a report alone, on the RTP port.
    for n in 1..=6u64 {
        let report = RtcpPacket::ReceiverReport {
            ssrc: 1,
            blocks: vec![ReportBlock {
                ssrc,
                fraction_lost: 51,
                ..ReportBlock::default()
            }],
        };
        let data = write(&[report]);
        let now = start + ms(n * 1_000);
        session.handle(
            now,
            Input::Rtp {
                from: A,
                data: &data,
            },
        );
        // Our own report goes to the RTP port, too.
        while let Some(output) = session.poll_output() {
            assert!(!matches!(output, Output::Rtcp { .. }), "{output:?}");
        }
    }
    let after = session.stats();
    assert_eq!(
        (after.opus_bitrate_bps, after.opus_loss_percent),
        (18_000, 29)
    );
    assert!(after.remote_mos.unwrap() < 3.0, "{after:?}");
}

#[test]
fn keys_in_the_sound_are_told_until_keys_come_as_events() {
    use crate::dtmf::{Event, code};
    let tone = |n: u64| -> Frame {
        if n % 10 >= 5 {
            return SILENCE;
        }
        std::array::from_fn(|k| {
            let at = (n * 320 + k as u64) as f64 / 16_000.0 * std::f64::consts::TAU;
            (4_000.0 * ((770.0 * at).sin() + (1_336.0 * at).sin())) as i16
        })
    };
    for (event_first, expected) in [(false, "555"), (true, "1")] {
        let mut encoder = Encoder::new(Codec::Pcmu);
        let mut arrivals = Vec::new();
        for n in 0..30u64 {
            arrivals.push(Arrival {
                at_us: n * 20_000 + 500_000,
                sequence: n as u16 + 1,
                timestamp: n as u32 * 160 + 4_000,
                payload_type: 0,
                payload: encoder.encode(&tone(n)),
            });
        }
        if event_first {
            let event = Event {
                code: code('1').unwrap(),
                end: true,
                volume: 10,
                duration: 800,
            };
            arrivals.push(Arrival {
                at_us: 480_000,
                sequence: 0,
                timestamp: 0,
                payload_type: 101,
                payload: event.to_bytes().to_vec(),
            });
        }
        let heard = play(config_of(Codec::Pcmu, Delivery::Eager), arrivals, 1_500);
        let digits: String = heard.digits.iter().map(|(digit, _)| *digit).collect();
        assert_eq!(digits, expected);
        assert!(heard.stats.mos.unwrap() > 4.2, "{:?}", heard.stats);
    }
}
