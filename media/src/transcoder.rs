//! Two peers that have no codec in common: what one says is decoded and encoded again for the other.
//!
//! Owns: joining two sessions (`session`): frames of one are sent by the other, and keys with them, as telephone-event
//! where it was agreed and else as the two tones of the key in the sound. Does not own: codecs, packets, reports, the pace
//! of frames, which is steady: one every 20 ms, whatever the network does.
//!
//! Contract: as that of a session: one input, then [`Transcoder::poll_output`] until `None`, then the next input or
//! [`Transcoder::next_timeout`]. Bounds: those of the sessions, and [`KEYS_MAX`] keys to be played as sound; further ones are
//! dropped.
//!
//! PURE.

use std::collections::VecDeque;
use std::f32::consts::TAU;
use std::net::SocketAddr;
use std::time::Instant;

use crate::association::Association;
use crate::relay::Side;
use crate::session::{Delivery, Input, MediaEvent, Output, Session, SessionConfig, Stats};
use crate::{FRAME_SAMPLES, Frame, SAMPLE_RATE_HZ};

/// Keys that wait to be played as sound, per side.
pub const KEYS_MAX: usize = 32;

/// Bounds of a key played as sound: shorter ones are not recognised, longer ones say no more.
const KEY_MS: std::ops::RangeInclusive<u32> = 80..=500;
/// Silence after a key, so that the next one is told apart.
const PAUSE_MS: u32 = 80;
/// Of each of the two tones: -9 dBFS together.
const AMPLITUDE: f32 = 5_800.0;

/// ITU-T Q.23: the tones of rows and columns, in hertz.
const ROWS_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS_HZ: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYPAD: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

/// One output: what one of the two sessions wants, without frames, which stay inside.
#[derive(Debug, Clone, PartialEq)]
pub enum TranscoderOutput {
    /// To be sent to that side from its RTP port.
    Rtp {
        side: Side,
        to: SocketAddr,
        data: Vec<u8>,
    },
    /// To be sent to that side from its RTCP port.
    Rtcp {
        side: Side,
        to: SocketAddr,
        data: Vec<u8>,
    },
    /// A key was pressed on that side; the other side gets it as well.
    Dtmf {
        side: Side,
        digit: char,
        duration_ms: u32,
    },
    Event {
        side: Side,
        event: MediaEvent,
    },
}

/// Something on its way from one session to the other.
#[derive(Debug)]
enum Carried {
    Frame(Box<Frame>),
    Key { digit: char, duration_ms: u32 },
}

/// A key that is played into the sound.
#[derive(Debug)]
struct Playing {
    tones_hz: [f32; 2],
    /// Samples of tone, and of tone and pause together.
    tone: u32,
    all: u32,
    at: u32,
}

#[derive(Debug)]
struct Leg {
    session: Session,
    has_events: bool,
    playing: VecDeque<Playing>,
}

/// Two sessions, joined.
#[derive(Debug)]
pub struct Transcoder {
    legs: [Leg; 2],
    carried: VecDeque<(Side, Carried)>,
    outputs: VecDeque<TranscoderOutput>,
}

fn steady(config: SessionConfig) -> SessionConfig {
    SessionConfig {
        delivery: Delivery::Steady,
        // A phone that agreed on events says its keys with them.
        in_band_digits: config.telephone_event.is_none(),
        ..config
    }
}

impl Playing {
    fn new(digit: char, duration_ms: u32) -> Option<Playing> {
        let digit = digit.to_ascii_uppercase();
        let keys = KEYPAD.iter().zip(ROWS_HZ);
        let mut found = keys.filter_map(|(row, row_hz)| {
            let column = row.iter().position(|&key| key == digit)?;
            Some([row_hz, COLUMNS_HZ[column]])
        });
        let samples = |ms: u32| ms * (SAMPLE_RATE_HZ / 1_000);
        let tone = samples(duration_ms.clamp(*KEY_MS.start(), *KEY_MS.end()));
        Some(Playing {
            tones_hz: found.next()?,
            tone,
            all: tone + samples(PAUSE_MS),
            at: 0,
        })
    }

    fn next_sample(&mut self) -> i16 {
        let at = self.at;
        self.at += 1;
        if at >= self.tone {
            return 0;
        }
        // The phase of each tone from the place alone: nothing drifts.
        let second = at as f32 / SAMPLE_RATE_HZ as f32;
        let tones = self.tones_hz.map(|hz| (TAU * hz * second).sin());
        (AMPLITUDE * (tones[0] + tones[1])) as i16
    }
}

impl Leg {
    /// What this leg sends in place of `frame` while a key is played.
    fn with_keys(&mut self, frame: &mut Frame) {
        if self.playing.is_empty() {
            return;
        }
        *frame = [0; FRAME_SAMPLES];
        for sample in frame {
            let Some(key) = self.playing.front_mut() else {
                return;
            };
            *sample = key.next_sample();
            if key.at >= key.all {
                self.playing.pop_front();
            }
        }
    }
}

impl Transcoder {
    /// Both sides as their offers and answers agreed. `seeds` are those of the sessions.
    pub fn new(configs: [SessionConfig; 2], seeds: [[u8; 32]; 2], start: Instant) -> Transcoder {
        let [a, b] = configs;
        let leg = |config: SessionConfig, seed| Leg {
            has_events: config.telephone_event.is_some(),
            session: Session::new(steady(config), seed, start),
            playing: VecDeque::new(),
        };
        Transcoder {
            legs: [leg(a, seeds[0]), leg(b, seeds[1])],
            carried: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes a datagram that came from `side`. Time passes with it for both sides.
    pub fn handle(&mut self, now: Instant, side: Side, input: Input<'_>) {
        self.legs[side.index()].session.handle(now, input);
        self.join(now);
        self.timeout(now);
    }

    /// The instant named by [`Transcoder::next_timeout`] has come.
    pub fn timeout(&mut self, now: Instant) {
        for side in Side::BOTH {
            let session = &mut self.legs[side.index()].session;
            if session.next_timeout().is_some_and(|due| due <= now) {
                session.handle(now, Input::Timeout);
                self.join(now);
            }
        }
    }

    /// Takes what a new offer and answer agreed with one side. The stream to the other side goes on.
    pub fn reconfigure(&mut self, now: Instant, side: Side, config: SessionConfig) {
        let leg = &mut self.legs[side.index()];
        leg.has_events = config.telephone_event.is_some();
        leg.session.reconfigure(now, steady(config));
        self.join(now);
    }

    /// Goes on with paths and keys of one side that were agreed upon elsewhere on the same port; before the first input.
    pub fn adopt(&mut self, side: Side, association: Box<Association>) {
        self.legs[side.index()].session.adopt(association);
    }

    /// Gives paths and keys of one side up to whoever goes on with its port.
    pub fn release(&mut self, side: Side) -> Option<Box<Association>> {
        self.legs[side.index()].session.release()
    }

    /// Says goodbye to both by RTCP BYE; nothing comes out afterwards.
    pub fn goodbye(&mut self, now: Instant) {
        for leg in &mut self.legs {
            leg.session.goodbye(now);
        }
        self.join(now);
    }

    /// The next output, in order.
    pub fn poll_output(&mut self) -> Option<TranscoderOutput> {
        self.outputs.pop_front()
    }

    /// When [`Transcoder::timeout`] is due, if nothing else comes before.
    pub fn next_timeout(&self) -> Option<Instant> {
        let timeouts = self.legs.iter();
        timeouts.filter_map(|leg| leg.session.next_timeout()).min()
    }

    pub fn stats(&self, side: Side) -> Stats {
        self.legs[side.index()].session.stats()
    }

    /// Takes what the sessions have to say and carries sound and keys across, until both are silent.
    fn join(&mut self, now: Instant) {
        loop {
            for side in Side::BOTH {
                self.drain(side);
            }
            let Some((side, carried)) = self.carried.pop_front() else {
                return;
            };
            let leg = &mut self.legs[side.index()];
            match carried {
                Carried::Frame(mut frame) => {
                    leg.with_keys(&mut frame);
                    leg.session.send_frame(now, &frame);
                }
                Carried::Key { digit, duration_ms } if leg.has_events => {
                    leg.session.send_dtmf(now, digit, duration_ms);
                }
                Carried::Key { digit, duration_ms } => {
                    if leg.playing.len() < KEYS_MAX {
                        leg.playing.extend(Playing::new(digit, duration_ms));
                    }
                }
            }
        }
    }

    fn drain(&mut self, side: Side) {
        while let Some(output) = self.legs[side.index()].session.poll_output() {
            let output = match output {
                Output::Frame { pcm, .. } => {
                    let frame = Carried::Frame(Box::new(pcm));
                    self.carried.push_back((side.other(), frame));
                    continue;
                }
                Output::Dtmf { digit, duration_ms } => {
                    // Without events at either end the key was in the sound, and crosses with it.
                    if self.legs.iter().any(|leg| leg.has_events) {
                        let key = Carried::Key { digit, duration_ms };
                        self.carried.push_back((side.other(), key));
                    }
                    TranscoderOutput::Dtmf {
                        side,
                        digit,
                        duration_ms,
                    }
                }
                Output::Rtp { to, data } => TranscoderOutput::Rtp { side, to, data },
                Output::Rtcp { to, data } => TranscoderOutput::Rtcp { side, to, data },
                Output::Event(event) => TranscoderOutput::Event { side, event },
            };
            self.outputs.push_back(output);
        }
    }
}

#[cfg(test)]
#[path = "transcoder_tests.rs"]
mod tests;
