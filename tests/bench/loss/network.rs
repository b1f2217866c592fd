//! A phone, a network and a receiver on virtual time. Deterministic by the seed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::codec::{Codec, Decoder, Encoder, opus};
use media::rtp::Packet;
use media::session::{Delivery, Input, Output, Session, SessionConfig};
use media::{FRAME_SAMPLES, Frame, SILENCE};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// What is sent before the sentence: the receiver gets to know the path.
const BEFORE: usize = 250;
/// How much of that the recogniser gets, and of what follows.
const LEAD: usize = 15;
const AFTER: usize = 25;

/// The phone that speaks.
pub struct Phone {
    pub codec: Codec,
    /// For Opus: what it has learned of the loss from reports. Above 0 it sends in-band FEC.
    pub loss_percent: u8,
}

impl Phone {
    pub const fn of(codec: Codec) -> Phone {
        Phone {
            codec,
            loss_percent: 0,
        }
    }

    pub const OPUS_FEC: Phone = Phone {
        codec: Codec::Opus,
        loss_percent: 15,
    };
}

/// What happens to packets.
pub struct Path {
    pub loss: f64,
    /// Packets lost in one run, on average; 1 is random loss.
    pub run: f64,
    /// Around the mean delay, to both sides, evenly: packets overtake each other.
    pub jitter_ms: u64,
}

impl Path {
    pub const CLEAN: Path = Path {
        loss: 0.0,
        run: 1.0,
        jitter_ms: 0,
    };
}

pub enum Receiver {
    /// Waits 200 ms for each packet; what is not there then is silence.
    Holes,
    Session(Delivery),
}

/// What the recogniser gets.
pub struct Heard {
    pub pcm: Vec<i16>,
    /// Frames of it with made-up or missing sound.
    pub made_up: usize,
}

struct Arrival {
    at: Duration,
    n: usize,
    payload: Vec<u8>,
}

/// Sends the sentence and gives what comes out at the far end.
pub fn call(phone: &Phone, path: &Path, receiver: &Receiver, sentence: &[i16], seed: u64) -> Heard {
    let mut random = StdRng::seed_from_u64(seed);
    let mut encoder = Encoder::new(phone.codec);
    encoder.set_opus(opus::Settings {
        loss_percent: phone.loss_percent,
        ..opus::Settings::default()
    });
    let frames = BEFORE + sentence.len().div_ceil(FRAME_SAMPLES) + AFTER;
    let mut arrivals = Vec::new();
    let mut is_lost = false;
    for n in 0..frames {
        let mut frame: Frame = SILENCE;
        // A quiet room, so that nothing is helped by digital silence.
        frame.fill_with(|| random.random_range(-8..=8));
        if let Some(rest) = n
            .checked_sub(BEFORE)
            .and_then(|n| sentence.get(n * FRAME_SAMPLES..))
        {
            for (sample, said) in frame.iter_mut().zip(rest) {
                *sample = sample.saturating_add(*said);
            }
        }
        let payload = encoder.encode(&frame);
        // Two states: in a run of losses the next packet is lost, too, unless the run ends.
        let ends = 1.0 / path.run;
        let begins = if path.run > 1.0 {
            path.loss * ends / (1.0 - path.loss)
        } else {
            path.loss
        };
        is_lost = match is_lost && path.run > 1.0 {
            true => !random.random_bool(ends),
            false => random.random_bool(begins),
        };
        let jitter_ms = random.random_range(0..=2 * path.jitter_ms * 1_000) as f64 / 1_000.0;
        if !is_lost {
            let at = Duration::from_secs_f64(n as f64 * 0.02 + 0.02 + jitter_ms / 1_000.0);
            arrivals.push(Arrival { at, n, payload });
        }
    }
    let mut heard: Vec<(Frame, bool)> = match receiver {
        Receiver::Holes => holes(phone.codec, frames, &arrivals),
        Receiver::Session(delivery) => session(phone.codec, *delivery, frames, arrivals),
    };
    heard.drain(..BEFORE - LEAD);
    Heard {
        made_up: heard.iter().filter(|(_, made_up)| *made_up).count(),
        pcm: heard.iter().flat_map(|(pcm, _)| *pcm).collect(),
    }
}

fn holes(codec: Codec, frames: usize, arrivals: &[Arrival]) -> Vec<(Frame, bool)> {
    let mut decoder = Decoder::new(codec);
    let mut heard = vec![(SILENCE, true); frames];
    // All come within 200 ms: the arrivals are in the order they were sent.
    for arrival in arrivals {
        let pcm = decoder.decode(&arrival.payload);
        if let Ok(pcm) = pcm.try_into() {
            heard[arrival.n] = (pcm, false);
        }
    }
    heard
}

fn session(
    codec: Codec,
    delivery: Delivery,
    frames: usize,
    mut arrivals: Vec<Arrival>,
) -> Vec<(Frame, bool)> {
    arrivals.sort_by_key(|arrival| arrival.at);
    let from = SocketAddr::from(([192, 0, 2, 1], 4_000));
    let payload_type = codec.static_payload_type().unwrap_or(96);
    let config = SessionConfig {
        codec,
        payload_type,
        receive_payload_types: vec![(payload_type, codec)],
        remote_rtp: Some(from),
        delivery,
        ..SessionConfig::default()
    };
    // One instant to count from; no other is read.
    let start = Instant::now();
    let mut session = Session::new(config, [7; 32], start);
    let mut heard = Vec::new();
    let mut take = |session: &mut Session| {
        while let Some(output) = session.poll_output() {
            if let Output::Frame { pcm, concealed } = output {
                heard.push((pcm, concealed));
            }
        }
    };
    let end = start + Duration::from_millis(frames as u64 * 20 + 200);
    for arrival in arrivals {
        let now = start + arrival.at;
        while let Some(due) = session.next_timeout().filter(|due| *due < now) {
            session.handle(due, Input::Timeout);
            take(&mut session);
        }
        let packet = Packet {
            marker: false,
            payload_type,
            sequence: arrival.n as u16,
            timestamp: arrival.n as u32 * (codec.clock_rate_hz() / 50),
            ssrc: 1,
            payload: &arrival.payload,
        };
        let data = packet.to_bytes();
        session.handle(now, Input::Rtp { from, data: &data });
        take(&mut session);
    }
    while let Some(due) = session.next_timeout().filter(|due| *due < end) {
        session.handle(due, Input::Timeout);
        take(&mut session);
    }
    heard
}
