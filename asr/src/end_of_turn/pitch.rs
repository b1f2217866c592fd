//! PURE.
//!
//! Pitch of telephone-band speech, hop by hop of 10 ms. Owns the cross-correlation and the choice among its peaks; what
//! a contour means is `features`' matter. A telephone takes the fundamental of low voices away, so the period is looked
//! for in the waveform's repetition and never in a spectral peak.

/// Samples per hop at 8 kHz: 10 ms.
pub(crate) const HOP_SAMPLES: usize = 80;
/// Shortest period looked for, in samples at 8 kHz: 400 Hz.
const LAG_MIN: usize = 20;
/// Longest period, 60 Hz.
const LAG_MAX: usize = 133;
/// Compared stretch: 32 ms, two periods of a low voice.
const WINDOW: usize = 256;
const HISTORY: usize = WINDOW + LAG_MAX;
const LAGS: usize = LAG_MAX - LAG_MIN + 1;
/// A peak an octave lower must be this much better to be believed.
const OCTAVE_COST: f32 = 0.04;
/// A peak near the last period is believed with this much less.
const CONTINUITY_BONUS: f32 = 0.08;
/// Hops for which the last period is remembered: 50 ms.
const MEMORY_HOPS: u32 = 5;
/// Correlation from which a hop is periodic enough to be voice.
pub(crate) const VOICED_MIN: f32 = 0.55;

/// What one hop repeats like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Period {
    /// Frequency in hertz, 60 to 400.
    pub pitch_hz: f32,
    /// Correlation of the window with itself one period earlier: 1 is perfect repetition.
    pub correlation: f32,
}

/// The last 49 ms of a voice.
#[derive(Debug, Clone)]
pub struct PitchTracker {
    history: [f32; HISTORY],
    /// The newest samples before smoothing.
    tail: [f32; 4],
    last_lag: f32,
    last_age: u32,
}

impl Default for PitchTracker {
    fn default() -> PitchTracker {
        PitchTracker {
            history: [0.0; HISTORY],
            tail: [0.0; 4],
            last_lag: 0.0,
            last_age: u32::MAX,
        }
    }
}

impl PitchTracker {
    /// Takes 10 ms at 8 kHz and gives the period that fits the last 49 ms best; None where nothing repeats.
    pub fn hop(&mut self, samples: &[f32; HOP_SAMPLES]) -> Option<Period> {
        self.smooth(samples);
        self.last_age = self.last_age.saturating_add(1);
        let correlations = self.correlations()?;
        let (place, score) = self.best(&correlations)?;
        let period = refined(&correlations, place);
        let correlation = correlations[place];
        if correlation >= VOICED_MIN && score > 0.0 {
            self.last_lag = period;
            self.last_age = 0;
        }
        Some(Period {
            pitch_hz: 8_000.0 / period,
            correlation,
        })
    }

    /// Five samples' mean: formants above 1 kHz would give the correlation peaks of their own.
    fn smooth(&mut self, samples: &[f32; HOP_SAMPLES]) {
        self.history.copy_within(HOP_SAMPLES.., 0);
        let mut raw = [0.0; HOP_SAMPLES + 4];
        raw[..4].copy_from_slice(&self.tail);
        raw[4..].copy_from_slice(samples);
        for (out, five) in self.history[HISTORY - HOP_SAMPLES..]
            .iter_mut()
            .zip(raw.windows(5))
        {
            *out = five.iter().sum::<f32>() / 5.0;
        }
        self.tail.copy_from_slice(&samples[HOP_SAMPLES - 4..]);
    }

    fn correlations(&self) -> Option<[f32; LAGS]> {
        let now = &self.history[LAG_MAX..];
        let energy_now = dot(now, now);
        // Less than one step of a 16-bit sample: nothing to repeat.
        if energy_now < WINDOW as f32 {
            return None;
        }
        let mut energy_then = {
            let then = &self.history[LAG_MAX - LAG_MIN..][..WINDOW];
            dot(then, then)
        };
        let mut out = [0.0; LAGS];
        for (place, value) in out.iter_mut().enumerate() {
            let from = LAG_MAX - LAG_MIN - place;
            let then = &self.history[from..from + WINDOW];
            *value = dot(now, then) / (energy_now * energy_then.max(1.0)).sqrt();
            if from > 0 {
                let (enters, leaves) = (self.history[from - 1], then[WINDOW - 1]);
                energy_then = (energy_then + enters * enters - leaves * leaves).max(0.0);
            }
        }
        Some(out)
    }

    fn best(&self, correlations: &[f32; LAGS]) -> Option<(usize, f32)> {
        let mut best: Option<(usize, f32)> = None;
        for place in 1..LAGS - 1 {
            let value = correlations[place];
            if value < correlations[place - 1] || value < correlations[place + 1] {
                continue;
            }
            let lag = (LAG_MIN + place) as f32;
            let mut score = value - OCTAVE_COST * (lag / LAG_MIN as f32).log2();
            if self.last_age <= MEMORY_HOPS && (lag / self.last_lag - 1.0).abs() < 0.15 {
                score += CONTINUITY_BONUS;
            }
            if best.is_none_or(|(_, so_far)| score > so_far) {
                best = Some((place, score));
            }
        }
        best
    }
}

/// Eight sums beside each other, which a compiler turns into vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// The peak's place between samples, from the parabola through it and its neighbours. In samples.
fn refined(correlations: &[f32; LAGS], place: usize) -> f32 {
    let (before, at, after) = (
        correlations[place - 1],
        correlations[place],
        correlations[place + 1],
    );
    let bend = before - 2.0 * at + after;
    let shift = if bend < -1e-6 {
        (0.5 * (before - after) / bend).clamp(-0.5, 0.5)
    } else {
        0.0
    };
    (LAG_MIN + place) as f32 + shift
}

#[cfg(test)]
#[path = "pitch_tests.rs"]
mod tests;
