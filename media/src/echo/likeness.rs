//! Is what came a copy of what we played, and from when: the normalised cross-correlation of the last 100 ms with
//! everything played in the half second before. Not here: what follows from it.
//!
//! PURE.

use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::history::{FarHistory, HALF_FRAME};

/// Window of received sound, at 8 kHz: 100 ms.
const WINDOW: usize = 5 * HALF_FRAME;
/// Widest delay looked at, at 8 kHz: 480 ms.
pub(super) const LAG_MAX: usize = 24 * HALF_FRAME;
const SPAN: usize = LAG_MAX + WINDOW;
/// A whole number of small factors, at least `SPAN`.
const FFT: usize = 4_800;
/// Most of what we play that can come back, as a ratio of powers: −3 dB. Sound louder than that is no copy.
const GAIN_MAX: f32 = 0.5;

/// The best match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Likeness {
    /// 0 for nothing alike, 1 for a scaled copy.
    pub degree: f32,
    /// Delay of the copy in samples at 16 kHz.
    pub lag: i64,
    /// Power of the copy over that of the original.
    pub gain: f32,
}

pub(super) struct Matcher {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    near: [f32; WINDOW],
    far_time: Vec<f32>,
    far_freq: Vec<Complex32>,
    time: Vec<f32>,
    freq: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl Matcher {
    pub(super) fn new() -> Matcher {
        let mut planner = RealFftPlanner::new();
        let forward = planner.plan_fft_forward(FFT);
        let inverse = planner.plan_fft_inverse(FFT);
        let scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Matcher {
            far_time: forward.make_input_vec(),
            far_freq: forward.make_output_vec(),
            time: forward.make_input_vec(),
            freq: forward.make_output_vec(),
            scratch: vec![Complex32::default(); scratch],
            near: [0.0; WINDOW],
            forward,
            inverse,
        }
    }

    /// Takes the next received frame at 8 kHz.
    pub(super) fn push(&mut self, half: &[f32; HALF_FRAME]) {
        self.near.copy_within(HALF_FRAME.., 0);
        self.near[WINDOW - HALF_FRAME..].copy_from_slice(half);
    }

    pub(super) fn clear(&mut self) {
        self.near.fill(0.0);
    }

    /// Compares the received window, which ends at position `end` (8 kHz), with what was played before.
    pub(super) fn compare(&mut self, far: &FarHistory, end: i64) -> Option<Likeness> {
        let near_energy: f32 = self.near.iter().map(|s| s * s).sum();
        if near_energy < 1.0 {
            return None;
        }
        far.read_half(end - SPAN as i64, &mut self.far_time[..SPAN]);
        self.far_time[SPAN..].fill(0.0);
        let mut far_energy: f32 = self.far_time[..WINDOW].iter().map(|s| s * s).sum();
        self.time[..WINDOW].copy_from_slice(&self.near);
        self.time[WINDOW..].fill(0.0);
        // The energies of all windows of the far side, before its buffer is used up by the transform.
        let mut energies = [0.0_f32; LAG_MAX + 1];
        for (at, energy) in energies.iter_mut().enumerate() {
            *energy = far_energy;
            if at < LAG_MAX {
                let (gone, come) = (self.far_time[at], self.far_time[at + WINDOW]);
                far_energy += come * come - gone * gone;
            }
        }
        // Lengths are fixed at construction; a failure could only be a length.
        self.forward
            .process_with_scratch(&mut self.far_time, &mut self.far_freq, &mut self.scratch)
            .ok()?;
        self.forward
            .process_with_scratch(&mut self.time, &mut self.freq, &mut self.scratch)
            .ok()?;
        for (near, far) in self.freq.iter_mut().zip(&self.far_freq) {
            *near = far * near.conj() / FFT as f32;
        }
        self.freq[0].im = 0.0;
        if let Some(last) = self.freq.last_mut() {
            last.im = 0.0;
        }
        self.inverse
            .process_with_scratch(&mut self.freq, &mut self.time, &mut self.scratch)
            .ok()?;
        let (mut best, mut best_at) = (0.0, 0);
        for (at, (&product, &energy)) in self.time.iter().zip(&energies).enumerate() {
            let degree = product * product / energy.max(near_energy / GAIN_MAX);
            if degree > best {
                (best, best_at) = (degree, at);
            }
        }
        Some(Likeness {
            degree: (best / near_energy).sqrt().min(1.0),
            lag: 2 * (LAG_MAX - best_at) as i64,
            gain: near_energy / energies[best_at].max(near_energy / GAIN_MAX),
        })
    }
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Matcher").finish_non_exhaustive()
    }
}
