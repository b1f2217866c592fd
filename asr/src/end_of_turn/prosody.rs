//! PURE.
//!
//! The prosody rule: follows a caller's sound frame by frame and says at a pause how finished the speech before it
//! sounded. Owns the track of hops, the caller's own usual pitch and level, and the fitted rule's arithmetic; measuring is
//! `features`' part and the rule's numbers stand in `table`. Needs no model file. Keeps no audio but 49 ms.

use crate::FRAME_SAMPLES;

use super::features::{self, FEATURES, Hop, Track};
use super::pitch::{HOP_SAMPLES, PitchTracker, VOICED_MIN};
use super::table;

/// Voice needed since the turn began before anything is said about it: 150 ms.
const VOICED_HOPS_MIN: u32 = 15;
/// The noise floor rises by this many decibels per hop, 3 dB/s, and falls at once.
const FLOOR_RISE_DB: f32 = 0.03;
/// The loudest speech is forgotten at this pace: 2 dB/s.
const PEAK_FALL_DB: f32 = 0.02;
/// Speech stands out from the floor by this much; where it is periodic, by the second figure.
const SPEECH_OVER_FLOOR_DB: f32 = 10.0;
const VOICED_OVER_FLOOR_DB: f32 = 6.0;
/// Anything this far below the loudest speech is room.
const SPEECH_UNDER_PEAK_DB: f32 = 32.0;
/// Root mean square of 32: quieter is silence on any line.
const SPEECH_DB_MIN: f32 = 30.0;

/// One caller's sound, for the length of a call.
#[derive(Debug, Clone)]
pub struct Prosody {
    pitch: PitchTracker,
    /// The last sample of the frame before, for the halved rate.
    last_sample: f32,
    track: Track,
    floor_db: f32,
    peak_db: f32,
    voiced_hops: u32,
}

impl Default for Prosody {
    fn default() -> Prosody {
        Prosody::new()
    }
}

impl Prosody {
    /// A caller not heard yet.
    pub fn new() -> Prosody {
        Prosody {
            pitch: PitchTracker::default(),
            last_sample: 0.0,
            track: Track::new(),
            floor_db: SPEECH_DB_MIN,
            peak_db: 0.0,
            voiced_hops: 0,
        }
    }

    /// A new turn begins. What was learnt of the caller's pitch and level stays.
    pub fn reset(&mut self) {
        self.track.begin_turn();
        self.voiced_hops = 0;
    }

    /// Takes the next 20 ms of the call, mono at 16 kHz: every frame, silence too.
    pub fn push_frame(&mut self, pcm: &[i16; FRAME_SAMPLES]) {
        for half in pcm.chunks_exact(2 * HOP_SAMPLES) {
            let mut samples = [0.0; HOP_SAMPLES];
            for (sample, pair) in samples.iter_mut().zip(half.chunks_exact(2)) {
                // One, two, one: enough of a low pass for sound that has nothing above 4 kHz, or little.
                let (first, second) = (f32::from(pair[0]), f32::from(pair[1]));
                *sample = 0.25 * self.last_sample + 0.5 * first + 0.25 * second;
                self.last_sample = second;
            }
            self.hop(&samples);
        }
    }

    fn hop(&mut self, samples: &[f32; HOP_SAMPLES]) {
        let mean = samples.iter().sum::<f32>() / HOP_SAMPLES as f32;
        let power = samples.iter().map(|s| (s - mean) * (s - mean)).sum::<f32>();
        let level_db = 10.0 * (power / HOP_SAMPLES as f32 + 1.0).log10();
        let crossings = samples
            .windows(2)
            .filter(|pair| (pair[0] > mean) != (pair[1] > mean))
            .count();
        let period = self.pitch.hop(samples);
        self.floor_db = (self.floor_db + FLOOR_RISE_DB).min(level_db).max(0.0);
        self.peak_db -= PEAK_FALL_DB;
        let correlation = period.map_or(0.0, |p| p.correlation);
        let periodic = correlation >= VOICED_MIN;
        let over_floor = if periodic {
            VOICED_OVER_FLOOR_DB
        } else {
            SPEECH_OVER_FLOOR_DB
        };
        let is_speech = level_db
            > (self.floor_db + over_floor)
                .max(self.peak_db - SPEECH_UNDER_PEAK_DB)
                .max(SPEECH_DB_MIN);
        if is_speech {
            self.peak_db = self.peak_db.max(level_db);
        }
        let pitch_semitones = period
            .filter(|_| is_speech && periodic)
            .map(|p| 12.0 * (p.pitch_hz / 100.0).log2());
        if pitch_semitones.is_some() {
            self.voiced_hops = self.voiced_hops.saturating_add(1);
        }
        self.track.push(Hop {
            level_db,
            pitch_semitones,
            correlation,
            crossings: crossings as f32 / HOP_SAMPLES as f32,
            is_speech,
        });
    }

    /// What the rule looks at, in the order of [`FEATURE_NAMES`](super::FEATURE_NAMES) and their units, as of now. None
    /// with less than 150 ms of voice since the turn began. A measure that the sound does not allow is NaN.
    pub fn features(&self) -> Option<[f32; FEATURES]> {
        (self.voiced_hops >= VOICED_HOPS_MIN)
            .then(|| features::measure(&self.track))
            .flatten()
    }

    /// How finished the turn sounds: 0 not at all, 1 surely. Calibrated on pauses of which half end a turn. Meant to be
    /// asked 80 and 200 ms after the last voice; None with less than 150 ms of voice since [`reset`](Self::reset).
    pub fn probability(&self) -> Option<f32> {
        self.features().map(|measured| probability(&measured))
    }
}

/// The fitted rule: each measure in units of its spread, weighed and summed to log odds.
fn probability(measured: &[f32; FEATURES]) -> f32 {
    let mut z = table::BIAS;
    for (index, value) in measured.iter().enumerate() {
        if value.is_nan() {
            // As if usual: it says nothing either way.
            continue;
        }
        let usual = (value - table::MEAN[index]) / table::SPREAD[index];
        z += table::WEIGHT[index] * usual.clamp(-table::LIMIT, table::LIMIT);
    }
    1.0 / (1.0 + (-z).exp())
}

#[cfg(test)]
#[path = "prosody_tests.rs"]
mod tests;
