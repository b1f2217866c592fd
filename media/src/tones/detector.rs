//! Tones told apart from speech: dial, ringback, busy, special information, keys, hum, a plain sine.
//!
//! Owns: the verdict per frame. Does not own: what to do with it (keep it out of the voice detector).
//!
//! A tone is one or two narrow lines that hold nearly all of a frame's energy and stay where they are: same
//! frequencies, same loudness, for [`FRAMES_MIN`] frames. Speech has many lines and moves; noise has none. The price
//! of being sure: the first 100 ms of a tone are not seen as one, and 60 ms for keys. A voice that holds a pure note is
//! one; a speaking voice glides.
//!
//! The spectrum is taken over the last 40 ms, every 20 ms, up to 3.8 kHz in steps of 25 Hz.
//!
//! PURE.

use std::f32::consts::TAU;
use std::sync::LazyLock;

use super::{DTMF_COLUMNS_HZ, DTMF_KEYS, DTMF_ROWS_HZ};
use crate::{FRAME_SAMPLES, Frame};

/// Steady frames before a tone is called one.
pub const FRAMES_MIN: u32 = 4;
/// The same for keys, which may last 65 ms only.
const FRAMES_MIN_KEY: u32 = 2;

/// Analysis at 8 kHz: 40 ms, so that a bin is 25 Hz.
const WINDOW: usize = FRAME_SAMPLES;
const BIN_HZ: f32 = 25.0;
const BINS: usize = 152;
/// Half the main lobe of the window, in bins: a line's energy lies within.
const LOBE: usize = 2;

/// Share of the energy the lines must hold.
const SHARE_MIN: f32 = 0.94;
/// Share of the energy that makes a second line worth naming.
const SECOND_MIN: f32 = 0.05;
/// How far a line may move from where it was when the tone began.
const DRIFT_HZ_MAX: f32 = 1.5;
/// The same for keys, whose frames may be cut by their edges.
const DRIFT_HZ_MAX_KEY: f32 = 9.0;
/// How far the loudness may, as a factor of energy: 1 dB.
const LEVEL_RATIO_MAX: f32 = 1.25;
/// Bins of 400 to 500 Hz. Two lines in there (440 and 480 Hz) cannot be kept apart and beat; the band is judged whole.
const PROGRESS_BINS: std::ops::RangeInclusive<usize> = 15..=21;
const PROGRESS_DRIFT_HZ_MAX: f32 = 25.0;
const PROGRESS_LEVEL_RATIO_MAX: f32 = 8.0;
/// Mean square below which nothing is looked for: about -58 dBFS.
const ENERGY_MIN: f32 = 1_600.0;

/// A tone of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineTone {
    /// A key heard in the sound itself.
    Dtmf(char),
    /// Dial, ringback, busy, congestion.
    CallProgress,
    /// One of the three notes before "the number you have dialled".
    SpecialInformation,
    /// Mains hum.
    Hum,
    /// Any other steady sine, or pair.
    Sine,
}

/// What the transform needs, computed once.
struct Tables {
    /// Hann.
    window: Vec<f32>,
    /// Cosine and sine of every step round the circle.
    circle: Vec<(f32, f32)>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let window = (0..WINDOW)
        .map(|n| 0.5 - 0.5 * (TAU * (n as f32 + 0.5) / WINDOW as f32).cos())
        .collect();
    let circle = (0..WINDOW)
        .map(|n| {
            let phase = f64::from(TAU) * n as f64 / WINDOW as f64;
            (phase.cos() as f32, phase.sin() as f32)
        })
        .collect();
    Tables { window, circle }
});

/// Lines found in one window.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Lines {
    energy: f32,
    first_hz: f32,
    second_hz: Option<f32>,
    /// All of the energy is in the band of [`PROGRESS_BINS`].
    is_progress: bool,
}

/// Watches one stream.
#[derive(Debug)]
pub struct ToneDetector {
    /// The last 40 ms at 8 kHz.
    recent: Vec<f32>,
    /// Where the lines were when the present tone began, with its latest loudness.
    began: Option<Lines>,
    steady: u32,
}

impl Default for ToneDetector {
    fn default() -> Self {
        ToneDetector::new()
    }
}

impl ToneDetector {
    pub fn new() -> ToneDetector {
        ToneDetector {
            recent: vec![0.0; WINDOW],
            began: None,
            steady: 0,
        }
    }

    /// Takes the next frame and says whether a tone is on.
    pub fn push(&mut self, frame: &Frame) -> Option<LineTone> {
        self.recent.drain(..FRAME_SAMPLES / 2);
        // Pairs averaged: telephone sound has nothing above 4 kHz that could fold down.
        let halved = frame
            .chunks_exact(2)
            .map(|pair| (f32::from(pair[0]) + f32::from(pair[1])) / 2.0);
        self.recent.extend(halved);
        let lines = self.lines();
        match (&mut self.began, lines) {
            (Some(began), Some(now)) if is_same(*began, now) => {
                began.energy = now.energy;
                self.steady = self.steady.saturating_add(1);
            }
            _ => {
                self.began = lines;
                self.steady = u32::from(lines.is_some());
            }
        }
        let tone = name_of(lines?);
        let needed = match tone {
            LineTone::Dtmf(_) => FRAMES_MIN_KEY,
            _ => FRAMES_MIN,
        };
        (self.steady >= needed).then_some(tone)
    }

    fn lines(&self) -> Option<Lines> {
        let Tables { window, circle } = &*TABLES;
        let energy = self.recent.iter().map(|x| x * x).sum::<f32>() / WINDOW as f32;
        if energy < ENERGY_MIN {
            return None;
        }
        let windowed: Vec<f32> = self.recent.iter().zip(window).map(|(x, w)| x * w).collect();
        let total: f32 = windowed.iter().map(|x| x * x).sum();
        let mut power = [0f32; BINS + LOBE];
        for (bin, slot) in power.iter_mut().enumerate() {
            let (mut re, mut im) = (0.0, 0.0);
            let mut at = 0;
            for x in &windowed {
                let (cos, sin) = circle[at];
                re += x * cos;
                im += x * sin;
                at += bin;
                if at >= WINDOW {
                    at -= WINDOW;
                }
            }
            // By Parseval, both halves of the spectrum together sum up to `total`.
            let halves = if bin == 0 { 1.0 } else { 2.0 };
            *slot = halves * (re * re + im * im) / WINDOW as f32;
        }
        let band: f32 = power[PROGRESS_BINS].iter().sum();
        let is_progress = band >= SHARE_MIN * total;
        let (first, first_hz) = take_line(&mut power)?;
        let (second, second_hz) = take_line(&mut power)?;
        if first + second < SHARE_MIN * total {
            return None;
        }
        let second_hz = (second > SECOND_MIN * total).then_some(second_hz);
        Some(Lines {
            energy,
            first_hz: second_hz.map_or(first_hz, |second_hz| first_hz.min(second_hz)),
            second_hz: second_hz.map(|second_hz| first_hz.max(second_hz)),
            is_progress,
        })
    }
}

/// Energy and frequency of the strongest line, which is taken out.
fn take_line(power: &mut [f32; BINS + LOBE]) -> Option<(f32, f32)> {
    let peak = (0..BINS).max_by(|&a, &b| power[a].total_cmp(&power[b]))?;
    let range = peak.saturating_sub(LOBE)..=peak + LOBE;
    let energy: f32 = power[range.clone()].iter().sum();
    let moment: f32 = range.clone().map(|bin| power[bin] * bin as f32).sum();
    power[range].fill(0.0);
    let centre = if energy > 0.0 { moment / energy } else { 0.0 };
    Some((energy, centre * BIN_HZ))
}

fn is_same(began: Lines, now: Lines) -> bool {
    let ratio = (now.energy / began.energy).max(began.energy / now.energy);
    if began.is_progress && now.is_progress {
        return ratio <= PROGRESS_LEVEL_RATIO_MAX
            && (now.first_hz - began.first_hz).abs() <= PROGRESS_DRIFT_HZ_MAX;
    }
    let drift_hz_max = match name_of(now) {
        LineTone::Dtmf(_) => DRIFT_HZ_MAX_KEY,
        _ => DRIFT_HZ_MAX,
    };
    let near = |a: f32, b: f32| (a - b).abs() <= drift_hz_max;
    ratio <= LEVEL_RATIO_MAX
        && near(began.first_hz, now.first_hz)
        && match (began.second_hz, now.second_hz) {
            (Some(a), Some(b)) => near(a, b),
            (None, None) => true,
            _ => false,
        }
}

fn name_of(lines: Lines) -> LineTone {
    // 400, 425, 450 Hz, and 440 with 480 Hz.
    if lines.is_progress {
        return LineTone::CallProgress;
    }
    let near = |hz: f32, wanted: f32, tolerance: f32| (hz - wanted).abs() <= tolerance;
    if let Some(second_hz) = lines.second_hz {
        // ITU-T Q.24: keys are taken within 1.8 %, here a little more for the width of a bin.
        let row = DTMF_ROWS_HZ
            .iter()
            .position(|&hz| near(lines.first_hz, hz, hz * 0.025));
        let column = DTMF_COLUMNS_HZ
            .iter()
            .position(|&hz| near(second_hz, hz, hz * 0.025));
        if let (Some(row), Some(column)) = (row, column) {
            return LineTone::Dtmf(DTMF_KEYS[row][column]);
        }
        // North American tones: 350 + 440 and 480 + 620 Hz.
        let progress = [(350.0, 440.0), (480.0, 620.0)];
        if progress
            .iter()
            .any(|&(a, b)| near(lines.first_hz, a, 15.0) && near(second_hz, b, 15.0))
        {
            return LineTone::CallProgress;
        }
        return LineTone::Sine;
    }
    match lines.first_hz {
        hz if hz < 135.0 => LineTone::Hum,
        // ITU-T E.180: 950, 1400 and 1800 Hz; an edge may draw the measure off a little.
        hz if [950.0, 1_400.0, 1_800.0]
            .iter()
            .any(|&note| near(hz, note, 30.0)) =>
        {
            LineTone::SpecialInformation
        }
        _ => LineTone::Sine,
    }
}
