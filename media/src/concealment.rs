//! Sound in place of lost packets: the last pitch period repeated and faded, silence after 60 ms. The idea is that of
//! ITU-T G.711 Appendix I; unlike there nothing is delayed, so the seam into the loss is smoothed inside the period.
//!
//! Owns: one stream's history and its made-up continuation. Does not own: when something is lost.
//!
//! PURE.

/// Pitch periods looked for: 60 to 200 Hz at 16 kHz. Higher voices are found at a multiple of their period, which then
/// need not be cut to whole samples so often.
const LAG_MIN: usize = 80;
const LAG_MAX: usize = 266;
/// Sound the pitch is looked for in: 20 ms.
const WINDOW: usize = 320;
const HISTORY: usize = WINDOW + 2 * LAG_MAX;
/// Full loudness for 10 ms, then down to nothing at 60 ms.
const HOLD_SAMPLES: usize = 160;
const FADE_END_SAMPLES: usize = 960;
/// Overlap of the made-up sound with the first real sound after the loss: 5 ms.
const OVERLAP: usize = 80;

/// Concealment of one 16 kHz stream.
#[derive(Debug, Clone)]
pub struct Concealer {
    history: Vec<i16>,
    loss: Option<Loss>,
}

#[derive(Debug, Clone)]
struct Loss {
    period: Vec<f32>,
    position: usize,
    made_up: usize,
}

impl Loss {
    fn next(&mut self) -> f32 {
        let gain = match self.made_up {
            n if n < HOLD_SAMPLES => 1.0,
            n if n < FADE_END_SAMPLES => {
                (FADE_END_SAMPLES - n) as f32 / (FADE_END_SAMPLES - HOLD_SAMPLES) as f32
            }
            _ => return 0.0,
        };
        let sample = self.period[self.position] * gain;
        self.position = (self.position + 1) % self.period.len();
        self.made_up += 1;
        sample
    }
}

impl Default for Concealer {
    fn default() -> Self {
        Concealer::new()
    }
}

impl Concealer {
    pub fn new() -> Concealer {
        Concealer {
            history: vec![0; HISTORY],
            loss: None,
        }
    }

    /// Real sound: remembered, and after a loss blended with the made-up sound.
    pub fn heard(&mut self, pcm: &mut [i16]) {
        if let Some(mut loss) = self.loss.take() {
            let overlap = OVERLAP.min(pcm.len());
            for (n, sample) in pcm.iter_mut().enumerate().take(overlap) {
                let part = (n + 1) as f32 / (overlap + 1) as f32;
                *sample = (f32::from(*sample) * part + loss.next() * (1.0 - part)).round() as i16;
            }
        }
        self.remember(pcm);
    }

    /// The sender paused: made-up sound would be wrong from here on.
    pub fn paused(&mut self) {
        self.loss = None;
        self.history.fill(0);
    }

    /// `count` samples in place of lost ones.
    pub fn conceal(&mut self, count: usize) -> Vec<i16> {
        let mut loss = match self.loss.take() {
            Some(loss) => loss,
            None => Loss {
                period: self.period(),
                position: 0,
                made_up: 0,
            },
        };
        let made_up = (0..count).map(|_| loss.next().round() as i16).collect();
        self.loss = Some(loss);
        made_up
    }

    fn remember(&mut self, pcm: &[i16]) {
        let keep = &pcm[pcm.len().saturating_sub(HISTORY)..];
        self.history.drain(..keep.len());
        self.history.extend_from_slice(keep);
    }

    /// The last pitch period, its end shaped to lead back into its start.
    fn period(&self) -> Vec<f32> {
        let history: Vec<f32> = self
            .history
            .iter()
            .map(|&sample| f32::from(sample))
            .collect();
        let lag = pitch_lag(&history);
        let end = history.len();
        let mut period = history[end - lag..].to_vec();
        let blend = lag / 4;
        for n in 0..blend {
            let at = lag - blend + n;
            let part = (n + 1) as f32 / (blend + 1) as f32;
            // One period earlier, this sample is followed by the period's start.
            let before = history[end - 2 * lag + at];
            period[at] = period[at] * (1.0 - part) + before * part;
        }
        period
    }
}

/// The lag at which the last 20 ms resemble what came before most.
fn pitch_lag(history: &[f32]) -> usize {
    let end = history.len();
    let window = &history[end - WINDOW..];
    let mut best = (LAG_MAX, f32::MIN);
    // Every second sample is enough to find the period; the lag itself stays exact.
    for lag in LAG_MIN..=LAG_MAX {
        let shifted = &history[end - WINDOW - lag..end - lag];
        let (mut product, mut energy) = (0.0, 1.0);
        for (a, b) in window.iter().zip(shifted).step_by(2) {
            product += a * b;
            energy += b * b;
        }
        let score = product / energy.sqrt();
        // A multiple of the period scores about the same; the shortest is wanted.
        if score > best.1 * 1.02 || best.1 == f32::MIN {
            best = (lag, score);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(hz: f64, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| {
                let phase = std::f64::consts::TAU * hz * n as f64 / 16_000.0;
                (4_000.0 * phase.sin()
                    + 2_000.0 * (2.0 * phase).sin()
                    + 1_000.0 * (3.0 * phase).cos()) as i16
            })
            .collect()
    }

    fn rms(samples: &[i16]) -> f64 {
        (samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
    }

    #[test]
    fn a_voice_goes_on() {
        for hz in [80.0, 120.0, 200.0, 310.0] {
            let whole = voice(hz, 3_200 + 320);
            let mut concealer = Concealer::new();
            concealer.heard(&mut whole[..3_200].to_vec());
            let made_up = concealer.conceal(320);
            // The first 10 ms continue the wave itself.
            let error: Vec<i16> = made_up[..160]
                .iter()
                .zip(&whole[3_200..])
                .map(|(a, b)| a.saturating_sub(*b))
                .collect();
            assert!(
                rms(&error) < 0.25 * rms(&whole),
                "{hz} Hz: {:.0} of {:.0}",
                rms(&error),
                rms(&whole)
            );
        }
    }

    #[test]
    fn it_fades_to_silence() {
        let mut concealer = Concealer::new();
        concealer.heard(&mut voice(150.0, 1_600));
        let made_up = concealer.conceal(2_000);
        assert!(rms(&made_up[..160]) > 3_000.0);
        assert!(rms(&made_up[480..640]) < rms(&made_up[..160]) * 0.7);
        assert!(
            made_up[FADE_END_SAMPLES..]
                .iter()
                .all(|&sample| sample == 0)
        );
    }

    #[test]
    fn seams_do_not_click() {
        let whole = voice(130.0, 4_800);
        let step = |samples: &[i16]| {
            samples
                .windows(2)
                .map(|w| (i32::from(w[1]) - i32::from(w[0])).abs())
                .max()
                .unwrap()
        };
        let mut concealer = Concealer::new();
        concealer.heard(&mut whole[..3_200].to_vec());
        let mut stream = whole[..3_200].to_vec();
        stream.extend(concealer.conceal(320));
        let mut rest = whole[3_520..].to_vec();
        concealer.heard(&mut rest);
        stream.extend(rest);
        assert!(
            step(&stream) <= 2 * step(&whole),
            "{} against {}",
            step(&stream),
            step(&whole)
        );
    }

    #[test]
    fn silence_stays_silent() {
        let mut concealer = Concealer::new();
        assert!(concealer.conceal(640).iter().all(|&sample| sample == 0));
        concealer.heard(&mut []);
        concealer.heard(&mut voice(100.0, 320));
        concealer.paused();
        assert!(concealer.conceal(320).iter().all(|&sample| sample == 0));
    }
}
