//! What was played, by sample position: the sound itself, its telephone band at half the rate, and its loudness per
//! frame. Not here: what any of it means.
//!
//! PURE.

use std::f32::consts::PI;

use crate::{FRAME_SAMPLES, Frame};

/// Frames kept: 1.4 s. The longest look back is the widest delay and a correlation window.
pub(super) const FRAMES_KEPT: usize = 70;
const TAPS: usize = 31;

/// Samples with positions; older ones are forgotten, later ones read as silence.
#[derive(Debug)]
struct Track {
    samples: Vec<f32>,
    /// Position just after the last sample.
    end: i64,
    keep: usize,
}

impl Track {
    fn new(keep: usize) -> Track {
        Track {
            samples: vec![0.0; keep],
            end: 0,
            keep,
        }
    }

    fn push(&mut self, new: impl Iterator<Item = f32>) {
        let before = self.samples.len();
        self.samples.extend(new);
        self.end += (self.samples.len() - before) as i64;
        // Moving once per `keep` samples costs less than a ring costs its readers.
        if self.samples.len() >= 2 * self.keep {
            self.samples.drain(..self.samples.len() - self.keep);
        }
    }

    /// The samples from `from` on; silence where there is none (yet, or any more).
    fn read(&self, from: i64, out: &mut [f32]) {
        let start = self.end - self.samples.len() as i64;
        for (n, sample) in out.iter_mut().enumerate() {
            let at = from + n as i64 - start;
            *sample = usize::try_from(at)
                .ok()
                .and_then(|at| self.samples.get(at))
                .copied()
                .unwrap_or(0.0);
        }
    }
}

/// Halves the rate (16 to 8 kHz) and lifts the upper band, so that a correlation is not of vowels' first formants only.
#[derive(Debug)]
pub(super) struct Halver {
    taps: [f32; TAPS],
    tail: [f32; TAPS - 1],
    last: f32,
    power: f32,
}

/// Samples of one frame at half the rate.
pub(super) const HALF_FRAME: usize = FRAME_SAMPLES / 2;
/// First-order lift at half the rate.
const LIFT: f32 = 0.9;

impl Halver {
    pub(super) fn new() -> Halver {
        // Windowed sinc with its edge at 3.6 kHz; the filter is the same on both sides, so its delay cancels.
        let mut taps: [f32; TAPS] = std::array::from_fn(|n| {
            let t = n as f32 - (TAPS / 2) as f32;
            let sinc = if t == 0.0 {
                0.45
            } else {
                (0.45 * PI * t).sin() / (PI * t)
            };
            sinc * (0.54 + 0.46 * (2.0 * PI * t / TAPS as f32).cos())
        });
        let sum: f32 = taps.iter().sum();
        taps.iter_mut().for_each(|tap| *tap /= sum);
        Halver {
            taps,
            tail: [0.0; TAPS - 1],
            last: 0.0,
            power: 0.0,
        }
    }

    pub(super) fn frame(&mut self, pcm: &Frame) -> [f32; HALF_FRAME] {
        let mut samples = [0.0; TAPS - 1 + FRAME_SAMPLES];
        samples[..TAPS - 1].copy_from_slice(&self.tail);
        for (to, &from) in samples[TAPS - 1..].iter_mut().zip(pcm) {
            *to = f32::from(from);
        }
        self.tail.copy_from_slice(&samples[FRAME_SAMPLES..]);
        self.power = 0.0;
        std::array::from_fn(|n| {
            let window = &samples[2 * n..2 * n + TAPS];
            let low: f32 = window.iter().zip(&self.taps).map(|(s, t)| s * t).sum();
            let lifted = low - LIFT * self.last;
            self.last = low;
            self.power += low * low / HALF_FRAME as f32;
            lifted
        })
    }

    /// Mean square of the last frame below 4 kHz, not lifted: what a telephone line carries of it.
    pub(super) fn power(&self) -> f32 {
        self.power
    }
}

/// Everything played lately.
#[derive(Debug)]
pub(super) struct FarHistory {
    full: Track,
    half: Track,
    halver: Halver,
    /// Mean square per frame of what a telephone line carries, by frame number modulo the length.
    powers: [f32; FRAMES_KEPT],
    frames: i64,
}

impl FarHistory {
    pub(super) fn new() -> FarHistory {
        FarHistory {
            full: Track::new(FRAMES_KEPT * FRAME_SAMPLES),
            half: Track::new(FRAMES_KEPT * HALF_FRAME),
            halver: Halver::new(),
            powers: [0.0; FRAMES_KEPT],
            frames: 0,
        }
    }

    pub(super) fn push(&mut self, pcm: &Frame) {
        self.full.push(pcm.iter().map(|&s| f32::from(s)));
        let half = self.halver.frame(pcm);
        self.half.push(half.into_iter());
        self.powers[self.frames as usize % FRAMES_KEPT] = self.halver.power();
        self.frames += 1;
    }

    /// Frames played so far.
    pub(super) fn frames(&self) -> i64 {
        self.frames
    }

    /// Samples at 16 kHz from position `from` on.
    pub(super) fn read(&self, from: i64, out: &mut [f32]) {
        self.full.read(from, out);
    }

    /// Samples at 8 kHz, lifted, from position `from` (at that rate) on.
    pub(super) fn read_half(&self, from: i64, out: &mut [f32]) {
        self.half.read(from, out);
    }

    /// Mean square of a frame by number; 0 for one that is not known.
    pub(super) fn power(&self, frame: i64) -> f32 {
        if frame < 0 || frame >= self.frames || frame < self.frames - FRAMES_KEPT as i64 {
            0.0
        } else {
            self.powers[frame as usize % FRAMES_KEPT]
        }
    }

    /// The loudest of the `count` frames up to and without `end`.
    pub(super) fn power_max(&self, end: i64, count: i64) -> f32 {
        (end - count..end).fold(0.0, |max, frame| self.power(frame).max(max))
    }
}

/// Mean square of a frame.
pub(super) fn power(pcm: &Frame) -> f32 {
    let sum: f32 = pcm.iter().map(|&s| f32::from(s) * f32::from(s)).sum();
    sum / FRAME_SAMPLES as f32
}
