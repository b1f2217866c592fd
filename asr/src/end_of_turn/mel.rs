//! PURE.
//!
//! Whisper's log-mel features of the last 8 s, as Smart Turn models take them: 80 bands by 800 frames, zeros before a
//! shorter sound, the waveform brought to mean 0 and variance 1 first. Owns the transform; not the model. The shape and
//! the order of the steps follow the feature extractor that such models are trained with (`chunk_length=8`,
//! `do_normalize=True`); the mel scale is Slaney's, with bands of equal area.

use crate::SAMPLE_RATE_HZ;

/// Mel bands.
pub const BANDS: usize = 80;
/// Frames of 10 ms.
pub const FRAMES: usize = 800;
/// Sound that is looked at: 8 s.
pub const SAMPLES: usize = 8 * SAMPLE_RATE_HZ as usize;

/// Length of a window and distance of two, in samples.
const WINDOW: usize = 400;
const STEP: usize = 160;
const BINS: usize = WINDOW / 2 + 1;
/// 400 is 16 times 25: sixteen transforms of 25 points are joined in four steps of two.
const ODD: usize = 25;
const VARIANCE_MIN: f64 = 1e-7;

/// Tables for the transform.
#[derive(Debug, Clone)]
pub struct LogMel {
    window: [f32; WINDOW],
    /// Cosine and sine of −2π n/400.
    turns: [(f32, f32); WINDOW],
    /// For each band its first bin and its weights.
    bands: Vec<(usize, Vec<f32>)>,
}

impl Default for LogMel {
    fn default() -> LogMel {
        LogMel::new()
    }
}

impl LogMel {
    /// Computes the tables.
    pub fn new() -> LogMel {
        let angle = |n: usize| std::f64::consts::TAU * n as f64 / WINDOW as f64;
        LogMel {
            window: std::array::from_fn(|n| (0.5 - 0.5 * angle(n).cos()) as f32),
            turns: std::array::from_fn(|n| (angle(n).cos() as f32, -angle(n).sin() as f32)),
            bands: bands(),
        }
    }

    /// Features of the last 8 s of `pcm`, 16 kHz: band by band, 800 values each, about −1 to 2.
    pub fn features(&self, pcm: &[i16]) -> Vec<f32> {
        let samples = normalised(pcm);
        let mut out = vec![0.0_f32; BANDS * FRAMES];
        let mut highest = f32::MIN;
        let mut windowed = [0.0_f32; WINDOW];
        for frame in 0..FRAMES {
            // The window's middle is at the frame's place; the sound is mirrored at both ends.
            for (n, (value, weight)) in windowed.iter_mut().zip(&self.window).enumerate() {
                let place = (frame * STEP + n) as isize - (WINDOW / 2) as isize;
                *value = weight * samples[mirrored(place)];
            }
            let power = self.power(&windowed);
            for (band, (first, weights)) in self.bands.iter().enumerate() {
                let sum: f32 = power[*first..]
                    .iter()
                    .zip(weights)
                    .map(|(p, w)| p * w)
                    .sum();
                let value = sum.max(1e-10).log10();
                highest = highest.max(value);
                out[band * FRAMES + frame] = value;
            }
        }
        for value in &mut out {
            *value = (value.max(highest - 8.0) + 4.0) / 4.0;
        }
        out
    }

    /// The power spectrum of one window.
    fn power(&self, samples: &[f32; WINDOW]) -> [f32; BINS] {
        let mut spectrum = [(0.0, 0.0); WINDOW];
        self.transform(samples, 1, &mut spectrum);
        std::array::from_fn(|bin| {
            let (re, im) = spectrum[bin];
            re * re + im * im
        })
    }

    /// The transform of every `stride`-th of `samples`, as many as `out` has places.
    fn transform(&self, samples: &[f32], stride: usize, out: &mut [(f32, f32)]) {
        let length = out.len();
        if length == ODD {
            for (k, value) in out.iter_mut().enumerate() {
                let (mut re, mut im) = (0.0, 0.0);
                for n in 0..ODD {
                    let (cos, sin) = self.turns[n * k % ODD * (WINDOW / ODD)];
                    let sample = samples[n * stride];
                    re += sample * cos;
                    im += sample * sin;
                }
                *value = (re, im);
            }
            return;
        }
        let (even, odd) = out.split_at_mut(length / 2);
        self.transform(samples, 2 * stride, even);
        self.transform(&samples[stride..], 2 * stride, odd);
        for (k, (a, b)) in even.iter_mut().zip(odd).enumerate() {
            let (cos, sin) = self.turns[k * stride];
            let turned = (b.0 * cos - b.1 * sin, b.0 * sin + b.1 * cos);
            *b = (a.0 - turned.0, a.1 - turned.1);
            *a = (a.0 + turned.0, a.1 + turned.1);
        }
    }
}

/// The last 8 s with zeros before them, mean 0 and variance 1 over all 8 s.
fn normalised(pcm: &[i16]) -> Vec<f32> {
    let kept = &pcm[pcm.len().saturating_sub(SAMPLES)..];
    let mut out = vec![0.0_f32; SAMPLES - kept.len()];
    out.extend(kept.iter().map(|&sample| f32::from(sample) / 32_768.0));
    let count = SAMPLES as f64;
    let mean = out.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let variance = out
        .iter()
        .map(|&v| (f64::from(v) - mean) * (f64::from(v) - mean))
        .sum::<f64>()
        / count;
    let scale = 1.0 / (variance + VARIANCE_MIN).sqrt();
    for value in &mut out {
        *value = ((f64::from(*value) - mean) * scale) as f32;
    }
    out
}

/// A place up to half a window outside the sound, reflected into it without repeating the edge.
fn mirrored(place: isize) -> usize {
    let last = SAMPLES as isize - 1;
    let inside = if place < 0 {
        -place
    } else if place > last {
        2 * last - place
    } else {
        place
    };
    inside as usize
}

/// Slaney's mel scale: linear up to 1 kHz, then 27 steps for a factor of 6.4.
fn mel(hz: f64) -> f64 {
    if hz < 1_000.0 {
        3.0 * hz / 200.0
    } else {
        15.0 + 27.0 * (hz / 1_000.0).ln() / 6.4_f64.ln()
    }
}

fn hertz(mel: f64) -> f64 {
    if mel < 15.0 {
        200.0 * mel / 3.0
    } else {
        1_000.0 * (6.4_f64.ln() * (mel - 15.0) / 27.0).exp()
    }
}

/// Triangles between neighbouring places of the mel scale, 0 to 8 kHz, each of area 1.
fn bands() -> Vec<(usize, Vec<f32>)> {
    let top = mel(f64::from(SAMPLE_RATE_HZ) / 2.0);
    let edge = |n: usize| hertz(top * n as f64 / (BANDS + 1) as f64);
    let bin_hz = f64::from(SAMPLE_RATE_HZ) / WINDOW as f64;
    (0..BANDS)
        .map(|band| {
            let (low, middle, high) = (edge(band), edge(band + 1), edge(band + 2));
            let weight = |bin: usize| {
                let hz = bin as f64 * bin_hz;
                let rising = (hz - low) / (middle - low);
                let falling = (high - hz) / (high - middle);
                (rising.min(falling).max(0.0) * 2.0 / (high - low)) as f32
            };
            let first = (0..BINS).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            let weights = (first..BINS)
                .map(weight)
                .take_while(|&weight| weight > 0.0)
                .collect();
            (first, weights)
        })
        .collect()
}

#[cfg(test)]
#[path = "mel_tests.rs"]
mod tests;
