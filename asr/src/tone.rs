//! PURE.
//!
//! Whether a stretch of sound is a line tone: dial, ringback, busy, special information, DTMF, a fax's or a modem's
//! calling tone, a whistle. Such tones are one or two sines that stand still, which no voice does for long. Knows nothing
//! of cadences or of which tone it is (ITU-T E.180 lists them; RFC 4733 section 3 carries them as events).

use std::f32::consts::PI;

/// Samples looked at together: 32 ms, a bin is 31.25 Hz.
pub(crate) const WINDOW_SAMPLES: usize = 512;
const BINS: usize = WINDOW_SAMPLES / 2;
/// Below is mains hum and rumble, not a line tone: 125 Hz.
const BIN_MIN: usize = 4;
/// A Hann-windowed sine lights up its bin and two on either side.
const PEAK_REACH: usize = 2;
const PEAKS: usize = 2;
/// Share of the energy that the peaks of a tone hold. µ-law noise and a little line noise leave this much.
const PEAK_SHARE_MIN: f32 = 0.97;
/// Peaks this much weaker than the strongest (13 dB) are not compared for standing still.
const PEAK_POWER_MIN: f32 = 0.05;
/// Hops of 16 ms for which the peaks must not have moved.
const STILL_HOPS: u32 = 6;
/// Hops after a tone that still count as one, less one.
const HANGOVER_HOPS: u32 = 4;

/// What a hop sounds like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tonality {
    /// No tone.
    None,
    /// Like a tone, but not yet for long enough. Vowels are, now and then.
    Doubtful,
    /// A standing tone, or its end.
    Tone,
}

/// Follows one stream in hops of half a window.
#[derive(Debug)]
pub(crate) struct ToneGuard {
    hann: Vec<f32>,
    twiddles: Vec<(f32, f32)>,
    peaks: Vec<usize>,
    still_hops: u32,
    hangover_hops: u32,
}

impl ToneGuard {
    pub(crate) fn new() -> ToneGuard {
        let step = 2.0 * PI / WINDOW_SAMPLES as f32;
        ToneGuard {
            hann: (0..WINDOW_SAMPLES)
                .map(|n| 0.5 - 0.5 * (step * n as f32).cos())
                .collect(),
            twiddles: (0..BINS)
                .map(|k| ((step * k as f32).cos(), -(step * k as f32).sin()))
                .collect(),
            peaks: Vec::new(),
            still_hops: 0,
            hangover_hops: 0,
        }
    }

    /// Takes the latest window.
    pub(crate) fn hop(&mut self, window: &[i16; WINDOW_SAMPLES]) -> Tonality {
        let peaks = self.tonal_peaks(window);
        let still = !peaks.is_empty()
            && peaks.iter().all(|new| {
                let near = |old: &usize| new.abs_diff(*old) <= PEAK_REACH;
                self.peaks.iter().any(near)
            });
        self.still_hops = match (still, peaks.is_empty()) {
            (true, _) => self.still_hops + 1,
            (false, false) => 1,
            (false, true) => 0,
        };
        let tonal = !peaks.is_empty();
        self.peaks = peaks;
        if self.still_hops >= STILL_HOPS {
            self.hangover_hops = HANGOVER_HOPS;
            return Tonality::Tone;
        }
        // The edge of a tone lights up the whole spectrum, and the network takes it for voice.
        self.hangover_hops = self.hangover_hops.saturating_sub(1);
        if self.hangover_hops > 0 {
            Tonality::Tone
        } else if tonal {
            Tonality::Doubtful
        } else {
            Tonality::None
        }
    }

    pub(crate) fn reset(&mut self) {
        self.peaks.clear();
        self.still_hops = 0;
        self.hangover_hops = 0;
    }

    /// Bins of the one or two peaks, in rising order, when these hold nearly all the energy; else none.
    fn tonal_peaks(&self, window: &[i16; WINDOW_SAMPLES]) -> Vec<usize> {
        let mut power = self.power(window);
        let total: f32 = power[BIN_MIN..].iter().sum();
        let mut peaks = Vec::with_capacity(PEAKS);
        let (mut held, mut strongest) = (0.0, 0.0_f32);
        while peaks.len() < PEAKS {
            let Some(bin) = (BIN_MIN..BINS).max_by(|a, b| power[*a].total_cmp(&power[*b])) else {
                break;
            };
            let reach =
                bin.saturating_sub(PEAK_REACH).max(BIN_MIN)..(bin + PEAK_REACH + 1).min(BINS);
            let energy: f32 = power[reach.clone()].iter().sum();
            power[reach].fill(0.0);
            strongest = strongest.max(energy);
            held += energy;
            if energy >= strongest * PEAK_POWER_MIN {
                peaks.push(bin);
            } else {
                break;
            }
        }
        // One part of silence keeps a window of zeros from being all peak.
        if held < PEAK_SHARE_MIN * total || total < 1.0 {
            peaks.clear();
        }
        peaks.sort_unstable();
        peaks
    }

    /// Power of bins 0 to 255: an iterative radix-2 Fourier transform, in place.
    fn power(&self, window: &[i16; WINDOW_SAMPLES]) -> [f32; BINS] {
        let shift = usize::BITS - WINDOW_SAMPLES.trailing_zeros();
        let mut re = [0.0_f32; WINDOW_SAMPLES];
        let mut im = [0.0_f32; WINDOW_SAMPLES];
        for (n, (sample, weight)) in window.iter().zip(&self.hann).enumerate() {
            re[n.reverse_bits() >> shift] = f32::from(*sample) / 32_768.0 * weight;
        }
        let mut half = 1;
        while half < WINDOW_SAMPLES {
            let stride = BINS / half;
            for start in (0..WINDOW_SAMPLES).step_by(2 * half) {
                for k in 0..half {
                    let (cos, sin) = self.twiddles[k * stride];
                    let (a, b) = (start + k, start + k + half);
                    let (x, y) = (re[b] * cos - im[b] * sin, re[b] * sin + im[b] * cos);
                    (re[b], im[b]) = (re[a] - x, im[a] - y);
                    (re[a], im[a]) = (re[a] + x, im[a] + y);
                }
            }
            half *= 2;
        }
        let mut power = [0.0; BINS];
        for (bin, out) in power.iter_mut().enumerate() {
            *out = (re[bin] * re[bin] + im[bin] * im[bin]) * 1e4;
        }
        power
    }
}
