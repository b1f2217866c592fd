//! From a voice's sample rate to 16 kHz: a windowed sinc, one set of taps per phase. Works on a sentence at a time.
//! PURE.

use std::f64::consts::PI;

use crate::SAMPLE_RATE_HZ;

/// Lowest and highest rate a voice may have.
pub const RATE_HZ_MIN: u32 = 8_000;
pub const RATE_HZ_MAX: u32 = 48_000;

/// Zero crossings of the sinc on either side. With the window below, what would fold back is 70 dB down.
const CROSSINGS: f64 = 16.0;
/// Share of the narrower band that passes: the rest is where the filter falls.
const PASS: f64 = 0.94;

/// Taps for one rate.
#[derive(Debug, Clone)]
pub struct Resampler {
    /// Output samples per `down` input samples.
    up: usize,
    down: usize,
    /// Taps on either side of the sample sought.
    half: usize,
    /// `up` phases of `2 * half` taps each.
    taps: Vec<f32>,
}

impl Resampler {
    /// From `rate_hz` to [`SAMPLE_RATE_HZ`]. None outside [`RATE_HZ_MIN`] to [`RATE_HZ_MAX`].
    pub fn new(rate_hz: u32) -> Option<Resampler> {
        if !(RATE_HZ_MIN..=RATE_HZ_MAX).contains(&rate_hz) {
            return None;
        }
        let common = gcd(rate_hz, SAMPLE_RATE_HZ);
        let (up, down) = (
            (SAMPLE_RATE_HZ / common) as usize,
            (rate_hz / common) as usize,
        );
        // Relative to half the input rate.
        let cutoff = f64::from(SAMPLE_RATE_HZ.min(rate_hz)) / f64::from(rate_hz) * PASS;
        let half = (CROSSINGS / cutoff).ceil() as usize;
        let mut taps = Vec::with_capacity(up * 2 * half);
        for phase in 0..up {
            let shift = phase as f64 / up as f64;
            let row: Vec<f64> = (0..2 * half)
                .map(|tap| {
                    let at = tap as f64 - (half as f64 - 1.0) - shift;
                    sinc(at * cutoff) * window(at / half as f64)
                })
                .collect();
            // Each phase lets a constant through unchanged, or the phases would be heard as a tone.
            let sum: f64 = row.iter().sum();
            taps.extend(row.iter().map(|tap| (tap / sum) as f32));
        }
        Some(Resampler {
            up,
            down,
            half,
            taps,
        })
    }

    /// `input` between −1 and 1 as samples at [`SAMPLE_RATE_HZ`]. What is no number is silence.
    pub fn resample(&self, input: &[f32]) -> Vec<i16> {
        let length = input.len() * self.up / self.down;
        let mut output = Vec::with_capacity(length);
        if self.up == self.down {
            output.extend(input.iter().map(|&sample| to_pcm(sane(sample))));
            return output;
        }
        for place in 0..length {
            let (whole, phase) = (place * self.down / self.up, place * self.down % self.up);
            let row = &self.taps[phase * 2 * self.half..][..2 * self.half];
            let mut sum = 0.0;
            for (tap, weight) in row.iter().enumerate() {
                // Before the start and after the end is silence.
                let at = (whole + tap + 1).checked_sub(self.half);
                if let Some(&sample) = at.and_then(|at| input.get(at)) {
                    sum += sane(sample) * weight;
                }
            }
            output.push(to_pcm(sum));
        }
        output
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else {
        (PI * x).sin() / (PI * x)
    }
}

/// Blackman's window, from −1 to 1.
fn window(x: f64) -> f64 {
    if x.abs() >= 1.0 {
        return 0.0;
    }
    0.42 + 0.5 * (PI * x).cos() + 0.08 * (2.0 * PI * x).cos()
}

fn sane(sample: f32) -> f32 {
    if sample.is_finite() {
        sample.clamp(-1.0, 1.0)
    } else {
        0.0
    }
}

fn to_pcm(sample: f32) -> i16 {
    (sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate_hz: u32, tone_hz: f64) -> Vec<f32> {
        (0..rate_hz)
            .map(|at| {
                (0.5 * (2.0 * PI * tone_hz * f64::from(at) / f64::from(rate_hz)).sin()) as f32
            })
            .collect()
    }

    #[test]
    fn tones_keep_their_pitch_and_level() {
        for rate_hz in [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000] {
            let resampler = Resampler::new(rate_hz).unwrap();
            for tone_hz in [200.0, 1_000.0, 3_000.0] {
                let output = resampler.resample(&tone(rate_hz, tone_hz));
                assert_eq!(output.len(), 16_000, "{rate_hz}");
                for (at, &sample) in output.iter().enumerate().skip(200).take(15_600) {
                    let expected = 16_383.5 * (2.0 * PI * tone_hz * at as f64 / 16_000.0).sin();
                    assert!(
                        (f64::from(sample) - expected).abs() < 40.0,
                        "{rate_hz} Hz, {tone_hz} Hz: {sample} at {at}, not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_does_not_fold_back() {
        for (rate_hz, tone_hz) in [(22_050, 9_500.0), (44_100, 12_000.0), (48_000, 20_000.0)] {
            let output = Resampler::new(rate_hz)
                .unwrap()
                .resample(&tone(rate_hz, tone_hz));
            let loudest = output[200..15_800].iter().map(|s| s.unsigned_abs()).max();
            assert!(loudest < Some(30), "{rate_hz}: {loudest:?}");
        }
    }

    #[test]
    fn odd_input_is_bounded() {
        for rate_hz in [0, 1, 7_999, 48_001, u32::MAX] {
            assert!(Resampler::new(rate_hz).is_none(), "{rate_hz}");
        }
        // The two rates share no factor: the most phases there are.
        let resampler = Resampler::new(22_051).unwrap();
        let odd = [f32::NAN, f32::INFINITY, 1e30, -1e30, 0.0];
        for length in 0..odd.len() {
            assert!(resampler.resample(&odd[..length]).len() <= length);
        }
        assert_eq!(
            Resampler::new(16_000).unwrap().resample(&odd),
            [0, 0, 32_767, -32_767, 0]
        );
    }
}
