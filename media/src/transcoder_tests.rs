//! A phone with PCMU and one with Opus or G.722, joined, on virtual time: sound, keys, loss, hold.

use std::time::Duration;

use super::*;
use crate::codec::Codec;
use crate::dtmf;
use crate::rtp::Packet;

const A: &str = "192.0.2.1:4000";
const B: &str = "198.51.100.2:5000";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn config(codec: Codec, payload_type: u8, rtp: &str, event: Option<u8>) -> SessionConfig {
    SessionConfig {
        codec,
        payload_type,
        telephone_event: event,
        remote_rtp: Some(address(rtp)),
        cname: "x".to_owned(),
        ..SessionConfig::default()
    }
}

/// A phone: a session of its own, whose sound goes through the transcoder.
struct Rig {
    now: Instant,
    transcoder: Transcoder,
    phones: [Session; 2],
    wire: VecDeque<(Side, Vec<u8>)>,
    /// Sound each phone got.
    heard: [Vec<i16>; 2],
    keys: Vec<(Side, char)>,
    told: Vec<(Side, char)>,
}

impl Rig {
    fn new(codecs: [(Codec, u8); 2], events: [Option<u8>; 2]) -> Rig {
        let now = Instant::now();
        let one = |n: usize, rtp| config(codecs[n].0, codecs[n].1, rtp, events[n]);
        let phone = |n: usize| {
            let config = SessionConfig {
                delivery: Delivery::Steady,
                ..one(n, "203.0.113.9:9")
            };
            Session::new(config, [10 + n as u8; 32], now)
        };
        Rig {
            now,
            transcoder: Transcoder::new([one(0, A), one(1, B)], [[1; 32], [2; 32]], now),
            phones: [phone(0), phone(1)],
            wire: VecDeque::new(),
            heard: [Vec::new(), Vec::new()],
            keys: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Takes what a phone has to say; its packets go on the wire.
    fn drain(&mut self, side: Side) {
        while let Some(output) = self.phones[side.index()].poll_output() {
            match output {
                Output::Rtp { data, .. } => self.wire.push_back((side, data)),
                Output::Frame { pcm, .. } => self.heard[side.index()].extend(pcm),
                Output::Dtmf { digit, .. } => self.keys.push((side, digit)),
                _ => {}
            }
        }
    }

    /// Carries all packets to where they go.
    fn carry(&mut self) {
        Side::BOTH.into_iter().for_each(|side| self.drain(side));
        self.deliver();
        while let Some((side, data)) = self.wire.pop_front() {
            let from = address(if side == Side::A { A } else { B });
            let input = Input::Rtp { from, data: &data };
            self.transcoder.handle(self.now, side, input);
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        while let Some(output) = self.transcoder.poll_output() {
            match output {
                TranscoderOutput::Rtp { side, to, data } => {
                    assert_eq!(to, address(if side == Side::A { A } else { B }));
                    let from = address("203.0.113.9:9");
                    let input = Input::Rtp { from, data: &data };
                    self.phones[side.index()].handle(self.now, input);
                    self.drain(side);
                }
                TranscoderOutput::Dtmf { side, digit, .. } => self.told.push((side, digit)),
                _ => {}
            }
        }
    }

    /// Both phones speak for so long: a tone each.
    fn speak(&mut self, ms: u64, tones_hz: [f32; 2]) {
        for n in 0..ms / 20 {
            for side in Side::BOTH {
                let mut frame = [0i16; FRAME_SAMPLES];
                for (k, sample) in frame.iter_mut().enumerate() {
                    let second = (n as usize * FRAME_SAMPLES + k) as f32 / SAMPLE_RATE_HZ as f32;
                    *sample = (8_000.0 * (TAU * tones_hz[side.index()] * second).sin()) as i16;
                }
                self.phones[side.index()].send_frame(self.now, &frame);
                self.carry();
            }
            self.wait(20);
        }
    }

    fn wait(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while self.now < end {
            self.now += Duration::from_millis(5);
            self.transcoder.timeout(self.now);
            self.carry();
            for side in Side::BOTH {
                self.phones[side.index()].handle(self.now, Input::Timeout);
                self.carry();
            }
        }
    }
}

/// Power of one tone in sound, over the power of the sound; 1 is that tone alone.
fn share(sound: &[i16], hz: f32) -> f32 {
    let (mut sine, mut cosine, mut power) = (0.0f64, 0.0f64, 0.0f64);
    for (n, &sample) in sound.iter().enumerate() {
        let phase = std::f64::consts::TAU * f64::from(hz) * n as f64 / f64::from(SAMPLE_RATE_HZ);
        sine += f64::from(sample) * phase.sin();
        cosine += f64::from(sample) * phase.cos();
        power += f64::from(sample) * f64::from(sample);
    }
    (2.0 * (sine * sine + cosine * cosine) / (power.max(1.0) * sound.len() as f64)) as f32
}

fn tail(sound: &[i16], ms: usize) -> &[i16] {
    &sound[sound.len().saturating_sub(ms * 16)..]
}

#[test]
fn sound_crosses_between_codecs() {
    for (name, b) in [
        ("G.722", (Codec::G722, 9)),
        ("Opus", (Codec::Opus, 111)),
        ("PCMA", (Codec::Pcma, 8)),
    ] {
        let mut rig = Rig::new([(Codec::Pcmu, 0), b], [None, None]);
        rig.speak(1_500, [440.0, 1_000.0]);
        let at_b = share(tail(&rig.heard[1], 800), 440.0);
        let at_a = share(tail(&rig.heard[0], 800), 1_000.0);
        assert!(at_b > 0.8, "{name}: {at_b} of what B hears is A's tone");
        assert!(at_a > 0.8, "{name}: {at_a} of what A hears is B's tone");
        // One frame every 20 ms, neither more nor less, but for the first few.
        for side in Side::BOTH {
            let ms = rig.heard[side.index()].len() / 16;
            assert!((1_300..=1_560).contains(&ms), "{name}: {ms} ms at {side:?}");
        }
    }
}

#[test]
fn keys_cross_as_events() {
    let mut rig = Rig::new(
        [(Codec::Pcmu, 0), (Codec::Opus, 111)],
        [Some(101), Some(110)],
    );
    rig.speak(200, [440.0, 440.0]);
    for digit in ['5', '#'] {
        rig.phones[0].send_dtmf(rig.now, digit, 100);
        rig.carry();
        rig.speak(400, [440.0, 440.0]);
    }
    rig.phones[1].send_dtmf(rig.now, '9', 100);
    rig.carry();
    rig.speak(600, [440.0, 440.0]);
    assert_eq!(rig.told, [(Side::A, '5'), (Side::A, '#'), (Side::B, '9')]);
    assert_eq!(rig.keys, [(Side::B, '5'), (Side::B, '#'), (Side::A, '9')]);
}

#[test]
fn keys_are_played_to_a_phone_without_events() {
    let mut rig = Rig::new([(Codec::Pcmu, 0), (Codec::G722, 9)], [Some(101), None]);
    rig.speak(400, [300.0, 300.0]);
    rig.phones[0].send_dtmf(rig.now, '7', 400);
    rig.carry();
    let before = rig.heard[1].len();
    rig.speak(1_200, [300.0, 300.0]);
    assert_eq!(rig.told, [(Side::A, '7')]);
    // The phone hears it in the sound.
    assert_eq!(rig.keys, [(Side::B, '7')]);
    // Somewhere in what followed there are 200 ms of the two tones and nothing else.
    let windows = rig.heard[1][before..].windows(200 * 16).step_by(320);
    let best = windows
        .map(|sound| share(sound, 852.0) + share(sound, 1_209.0))
        .fold(0.0, f32::max);
    assert!(best > 0.9, "{best}");
}

#[test]
fn a_gap_is_bridged_at_the_same_pace() {
    let mut rig = Rig::new([(Codec::Pcmu, 0), (Codec::Opus, 111)], [None, None]);
    rig.speak(1_000, [440.0, 440.0]);
    let before = rig.heard[1].len();
    // Nothing from either phone for a while: the other side still gets a steady stream.
    rig.wait(500);
    let ms = (rig.heard[1].len() - before) / 16;
    assert!((460..=540).contains(&ms), "{ms}");
}

#[test]
fn goodbye_is_the_last_word() {
    let now = Instant::now();
    let configs = [
        config(Codec::Pcmu, 0, A, None),
        config(Codec::G722, 9, B, None),
    ];
    let mut transcoder = Transcoder::new(configs, [[1; 32], [2; 32]], now);
    transcoder.goodbye(now);
    let mut goodbyes = 0;
    while let Some(output) = transcoder.poll_output() {
        goodbyes += usize::from(matches!(output, TranscoderOutput::Rtcp { .. }));
    }
    assert_eq!(goodbyes, 2);
    assert_eq!(transcoder.next_timeout(), None);
    let packet = Packet {
        marker: false,
        payload_type: 0,
        sequence: 1,
        timestamp: 1,
        ssrc: 1,
        payload: &[0xff; 160],
    };
    let data = packet.to_bytes();
    let from = address(A);
    transcoder.handle(now, Side::A, Input::Rtp { from, data: &data });
    assert_eq!(transcoder.poll_output(), None);
}

#[test]
fn every_key_has_two_tones() {
    for code in 0..16 {
        let digit = dtmf::digit(code).unwrap();
        let mut key = Playing::new(digit, 100).unwrap();
        let sound: Vec<i16> = (0..1_600).map(|_| key.next_sample()).collect();
        let sum: f32 = key.tones_hz.iter().map(|&hz| share(&sound, hz)).sum();
        assert!(sum > 0.95, "{digit}: {sum}");
        assert!(sound.iter().all(|sample| sample.unsigned_abs() < 12_000));
    }
    assert!(Playing::new('x', 100).is_none());
}

/// RFC 3389: a phone that tells its silence instead of sending it. The other one hears it, at the usual pace.
#[test]
fn comfort_noise_crosses_as_sound() {
    let mut rig = Rig::new([(Codec::Pcmu, 0), (Codec::Opus, 111)], [None, None]);
    rig.speak(500, [440.0, 1_000.0]);
    let before = rig.heard[1].len();
    // What A says from now on: one packet of noise at -40 dBov, then nothing.
    let packet = [0x80, 13, 0xff, 0, 0, 1, 0, 0, 9, 9, 9, 9, 40];
    rig.transcoder.handle(
        rig.now,
        Side::A,
        Input::Rtp {
            from: address(A),
            data: &packet,
        },
    );
    rig.carry();
    rig.wait(1_000);
    let heard = &rig.heard[1][before..];
    assert!(
        (14_000..=17_500).contains(&heard.len()),
        "{} samples",
        heard.len()
    );
    let loudest = tail(heard, 500).iter().map(|sample| sample.abs()).max();
    assert!(
        loudest.is_some_and(|loudest| (20..3_000).contains(&loudest)),
        "{loudest:?}"
    );
}
