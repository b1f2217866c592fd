//! Tones made: what a caller hears while nobody speaks. ITU-T E.180 (425 Hz tones), Q.23 (keys).
//!
//! Owns: frequencies, cadence, soft edges. Does not own: when to play them.
//!
//! PURE.

use super::{DTMF_COLUMNS_HZ, DTMF_KEYS, DTMF_ROWS_HZ};
use crate::{FRAME_SAMPLES, Frame, SAMPLE_RATE_HZ, SILENCE};

/// Loudness of a tone with one frequency: -13 dBFS peak.
const AMPLITUDE: f32 = 7_300.0;

/// Edges of 5 ms keep tones from clicking.
const EDGE_SAMPLES: u64 = 80;

const SAMPLES_PER_MS: u64 = SAMPLE_RATE_HZ as u64 / 1_000;

/// A tone and its cadence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Continuous: the line is ready.
    Dial,
    /// One second on, four off: the other side rings.
    Ringback,
    /// Half a second on, half off.
    Busy,
    /// A quarter of a second on, a quarter off: no way through.
    Congestion,
    /// One short note, for "speak now"; then silence.
    Beep,
    /// A key for 100 ms; then silence. Characters that are no key are silent.
    Dtmf(char),
}

impl Tone {
    fn frequencies_hz(self) -> [f32; 2] {
        match self {
            Tone::Dial | Tone::Ringback | Tone::Busy | Tone::Congestion => [425.0, 0.0],
            Tone::Beep => [1_000.0, 0.0],
            Tone::Dtmf(digit) => {
                let digit = digit.to_ascii_uppercase();
                let key = DTMF_KEYS.iter().enumerate().find_map(|(row, keys)| {
                    let column = keys.iter().position(|&key| key == digit)?;
                    Some([DTMF_ROWS_HZ[row], DTMF_COLUMNS_HZ[column]])
                });
                key.unwrap_or([0.0, 0.0])
            }
        }
    }

    /// Milliseconds on and off; 0 off for a tone without pause; `None` off for one that comes once.
    fn cadence_ms(self) -> (u64, Option<u64>) {
        match self {
            Tone::Dial => (1_000, Some(0)),
            Tone::Ringback => (1_000, Some(4_000)),
            Tone::Busy => (500, Some(500)),
            Tone::Congestion => (250, Some(250)),
            Tone::Beep => (200, None),
            Tone::Dtmf(_) => (100, None),
        }
    }
}

/// Gives a tone frame by frame.
#[derive(Debug, Clone)]
pub struct ToneGenerator {
    tone: Tone,
    position: u64,
}

impl ToneGenerator {
    pub fn new(tone: Tone) -> ToneGenerator {
        ToneGenerator { tone, position: 0 }
    }

    /// Whether only silence follows.
    pub fn is_over(&self) -> bool {
        let (on_ms, off_ms) = self.tone.cadence_ms();
        off_ms.is_none() && self.position >= on_ms * SAMPLES_PER_MS
    }

    /// The next 20 ms.
    pub fn next_frame(&mut self) -> Frame {
        let mut frame = SILENCE;
        for slot in &mut frame {
            *slot = self.sample();
            self.position += 1;
        }
        frame
    }

    fn sample(&self) -> i16 {
        let (on_ms, off_ms) = self.tone.cadence_ms();
        let on = on_ms * SAMPLES_PER_MS;
        let place = match off_ms {
            Some(off_ms) => self.position % (on + off_ms * SAMPLES_PER_MS),
            None => self.position,
        };
        if place >= on {
            return 0;
        }
        let edge = if off_ms == Some(0) {
            self.position
        } else {
            place.min(on - 1 - place)
        };
        let gain = (edge.min(EDGE_SAMPLES) as f32) / EDGE_SAMPLES as f32;
        let seconds = self.position as f64 / f64::from(SAMPLE_RATE_HZ);
        let value: f64 = self
            .tone
            .frequencies_hz()
            .into_iter()
            .filter(|&hz| hz > 0.0)
            .map(|hz| (std::f64::consts::TAU * f64::from(hz) * seconds).sin())
            .sum();
        (value as f32 * AMPLITUDE * gain) as i16
    }

    /// The whole of a tone that comes once, at 16 kHz; empty for one that repeats.
    pub fn clip(tone: Tone) -> Vec<i16> {
        let mut generator = ToneGenerator::new(tone);
        let (on_ms, off_ms) = tone.cadence_ms();
        if off_ms.is_some() {
            return Vec::new();
        }
        let frames = on_ms.div_ceil(1_000 * FRAME_SAMPLES as u64 / u64::from(SAMPLE_RATE_HZ));
        (0..frames).flat_map(|_| generator.next_frame()).collect()
    }
}
