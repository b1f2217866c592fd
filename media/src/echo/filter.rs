//! What our sound becomes on its way back: a linear filter of 160 ms from a given delay on, estimated block by block in
//! the frequency domain with a Kalman gain per bin (Enzner and Vary, "Frequency-domain adaptive Kalman filter for
//! acoustic echo control in hands-free telephones", 2006; partitioned after Kuech and others, 2014). The gain follows
//! from what is known about the filter and about everything else in the signal, so that it learns fast when we speak
//! alone and stands still when somebody speaks too. Not here: finding the delay, judging what is left.
//!
//! PURE.

use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::history::FarHistory;
use crate::FRAME_SAMPLES;

const FFT: usize = 2 * FRAME_SAMPLES;
const BINS: usize = FFT / 2 + 1;
const PARTS: usize = 8;
/// How much of the filter stays true from frame to frame.
const KEEP: f32 = 0.9995;
/// Smoothing of the power of everything that is not echo.
const OTHER_SMOOTH: f32 = 0.6;
/// Each 20 ms of the response is expected this much weaker than the ones before: reverberation of 0.4 s.
const DECAY: f32 = 0.5;

pub(super) struct EchoFilter {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    /// Delay before the first tap, in samples.
    lead: i64,
    weights: Vec<[Complex32; BINS]>,
    doubt: Vec<[f32; BINS]>,
    /// Spectra of what was played, newest first from `newest`.
    played: Vec<[Complex32; BINS]>,
    newest: usize,
    other: [f32; BINS],
    time: Vec<f32>,
    freq: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl EchoFilter {
    pub(super) fn new() -> EchoFilter {
        let mut planner = RealFftPlanner::new();
        let forward = planner.plan_fft_forward(FFT);
        let inverse = planner.plan_fft_inverse(FFT);
        let scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        EchoFilter {
            lead: 0,
            weights: vec![[Complex32::default(); BINS]; PARTS],
            doubt: vec![[0.0; BINS]; PARTS],
            played: vec![[Complex32::default(); BINS]; PARTS],
            newest: 0,
            other: [0.0; BINS],
            time: forward.make_input_vec(),
            freq: forward.make_output_vec(),
            scratch: vec![Complex32::default(); scratch],
            forward,
            inverse,
        }
    }

    /// Forgets all, and expects an echo of `gain` (powers) from `lead` samples on.
    pub(super) fn start(&mut self, far: &FarHistory, end: i64, lead: i64, gain: f32) {
        self.weights.fill([Complex32::default(); BINS]);
        self.other.fill(0.0);
        self.doubt_again(gain);
        self.shift(far, end, lead);
    }

    /// The same response, heard earlier or later. `end` is the position after the last received frame.
    pub(super) fn shift(&mut self, far: &FarHistory, end: i64, lead: i64) {
        self.lead = lead;
        self.newest = 0;
        for part in 0..PARTS {
            self.load(far, end - (part * FRAME_SAMPLES) as i64, part);
        }
    }

    /// Opens the filter for learning.
    pub(super) fn doubt_again(&mut self, gain: f32) {
        let mut expected = gain;
        for part in &mut self.doubt {
            part.iter_mut()
                .for_each(|doubt| *doubt = doubt.max(expected));
            expected *= DECAY;
        }
    }

    fn load(&mut self, far: &FarHistory, end: i64, slot: usize) {
        far.read(end - self.lead - FFT as i64, &mut self.time);
        self.transform();
        self.played[slot].copy_from_slice(&self.freq);
    }

    // Lengths are fixed at construction, so the transforms have nothing to refuse.
    fn transform(&mut self) {
        let done =
            self.forward
                .process_with_scratch(&mut self.time, &mut self.freq, &mut self.scratch);
        debug_assert!(done.is_ok());
    }

    fn transform_back(&mut self) {
        self.freq[0].im = 0.0;
        self.freq[BINS - 1].im = 0.0;
        let done =
            self.inverse
                .process_with_scratch(&mut self.freq, &mut self.time, &mut self.scratch);
        debug_assert!(done.is_ok());
        self.time.iter_mut().for_each(|s| *s /= FFT as f32);
    }

    /// The echo expected in the received frame that ends at `end`; call [`EchoFilter::learn`] next.
    pub(super) fn expect(&mut self, far: &FarHistory, end: i64) -> [f32; FRAME_SAMPLES] {
        self.newest = (self.newest + PARTS - 1) % PARTS;
        self.load(far, end, self.newest);
        self.freq.fill(Complex32::default());
        for (part, weights) in self.weights.iter().enumerate() {
            let played = &self.played[(self.newest + part) % PARTS];
            for ((sum, w), x) in self.freq.iter_mut().zip(weights).zip(played) {
                *sum += w * x;
            }
        }
        self.transform_back();
        let mut echo = [0.0; FRAME_SAMPLES];
        echo.copy_from_slice(&self.time[FRAME_SAMPLES..]);
        echo
    }

    /// Learns from what the expectation left over.
    pub(super) fn learn(&mut self, rest: &[f32; FRAME_SAMPLES]) {
        self.time[..FRAME_SAMPLES].fill(0.0);
        self.time[FRAME_SAMPLES..].copy_from_slice(rest);
        self.transform();
        let rest: Vec<Complex32> = self.freq.clone();
        let mut scale = [0.0_f32; BINS];
        for (bin, scale) in scale.iter_mut().enumerate() {
            let power = rest[bin].norm_sqr();
            self.other[bin] = OTHER_SMOOTH * self.other[bin] + (1.0 - OTHER_SMOOTH) * power;
            let mut unsure = 0.0;
            for part in 0..PARTS {
                let played = self.played[(self.newest + part) % PARTS][bin];
                unsure += self.doubt[part][bin] * played.norm_sqr();
            }
            *scale = 1.0 / (0.5 * unsure + self.other[bin] + 1.0);
        }
        for part in 0..PARTS {
            let slot = (self.newest + part) % PARTS;
            for bin in 0..BINS {
                let played = self.played[slot][bin];
                let doubt = &mut self.doubt[part][bin];
                let gain = *doubt * scale[bin];
                self.freq[bin] = played.conj() * rest[bin] * gain;
                let known = (0.5 * gain * played.norm_sqr()).min(1.0);
                *doubt = KEEP * KEEP * (1.0 - known) * *doubt
                    + (1.0 - KEEP * KEEP) * self.weights[part][bin].norm_sqr();
            }
            // A tap beyond the part's own 20 ms would be the next part's.
            self.transform_back();
            self.time[FRAME_SAMPLES..].fill(0.0);
            self.transform();
            for (weight, step) in self.weights[part].iter_mut().zip(&self.freq) {
                *weight += step;
            }
        }
    }
}

impl std::fmt::Debug for EchoFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EchoFilter")
            .field("lead", &self.lead)
            .finish_non_exhaustive()
    }
}
