//! Sounds that are not words: a cough, a door, a laugh, made from formulas so that every machine hears the same.
//! Owns their shapes only; they are imitations, and what counts in the end are recordings.
//! PURE.

use std::f64::consts::TAU;

use media::SAMPLE_RATE_HZ;

/// About −18 dB of full scale, as loud as a voice near the microphone.
const LOUDNESS: f64 = 9000.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    /// Two bursts of breath with a short voiced end.
    Cough,
    /// A thud and its rattle.
    Door,
    /// Five syllables of "ha".
    Laugh,
}

pub const NAMES: [(&str, Noise); 3] = [
    ("<cough>", Noise::Cough),
    ("<door>", Noise::Door),
    ("<laugh>", Noise::Laugh),
];

impl Noise {
    pub fn named(name: &str) -> Option<Noise> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, noise)| *noise)
    }

    /// The sound at 16 kHz.
    pub fn samples(self) -> Vec<i16> {
        match self {
            Noise::Cough => {
                let mut sound = cough(260, 140.0);
                sound.extend(vec![0.0; count(120)]);
                sound.extend(cough(330, 120.0));
                finish(&sound)
            }
            Noise::Door => finish(&door()),
            Noise::Laugh => {
                let pitches = [250.0, 262.0, 245.0, 225.0, 205.0];
                let syllables = pitches.iter().flat_map(|pitch_hz| ha(*pitch_hz));
                finish(&syllables.collect::<Vec<_>>())
            }
        }
    }
}

fn count(ms: usize) -> usize {
    ms * SAMPLE_RATE_HZ as usize / 1000
}

/// White noise, −1 to 1, by a linear congruence: the same on every machine.
fn white() -> impl FnMut() -> f64 {
    let mut state = 0x1234_5678_9abc_def1u64;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1u32 << 23) - 1.0
    }
}

/// A resonance of a throat or a door: two poles at `hz`, `width_hz` wide.
fn resonance(hz: f64, width_hz: f64) -> impl FnMut(f64) -> f64 {
    let rate = f64::from(SAMPLE_RATE_HZ);
    let radius = (-TAU / 2.0 * width_hz / rate).exp();
    let (a, b) = (2.0 * radius * (TAU * hz / rate).cos(), -radius * radius);
    let (mut last, mut before) = (0.0, 0.0);
    move |input| {
        let output = input * (1.0 - radius) + a * last + b * before;
        (before, last) = (last, output);
        output
    }
}

fn cough(ms: usize, pitch_hz: f64) -> Vec<f64> {
    let (mut noise, mut low, mut high) =
        (white(), resonance(900.0, 500.0), resonance(2400.0, 900.0));
    let length = count(ms);
    (0..length)
        .map(|n| {
            let t = n as f64 / f64::from(SAMPLE_RATE_HZ);
            let rise = (t / 0.004).min(1.0);
            let fall = (-t / 0.09).exp() * (1.0 - n as f64 / length as f64);
            let voiced = if t > 0.1 {
                0.3 * (TAU * pitch_hz * t).sin()
            } else {
                0.0
            };
            let breath = noise() + voiced;
            (low(breath) + 0.6 * high(breath)) * rise * fall
        })
        .collect()
}

fn door() -> Vec<f64> {
    let (mut noise, mut panel, mut latch) =
        (white(), resonance(320.0, 120.0), resonance(1500.0, 400.0));
    (0..count(350))
        .map(|n| {
            let t = n as f64 / f64::from(SAMPLE_RATE_HZ);
            let thud = (-t / 0.06).exp() * (t / 0.002).min(1.0);
            let rattle = if t > 0.05 {
                0.5 * (-(t - 0.05) / 0.03).exp()
            } else {
                0.0
            };
            let shake = noise();
            thud * (panel(shake) * 2.0 + 0.4 * (TAU * 95.0 * t).sin()) + rattle * latch(shake)
        })
        .collect()
}

/// One syllable: breath, then a voice of falling pitch, 200 ms in all.
fn ha(pitch_hz: f64) -> Vec<f64> {
    let (mut noise, mut first, mut second) =
        (white(), resonance(750.0, 120.0), resonance(1250.0, 160.0));
    let mut phase = 0.0;
    (0..count(200))
        .map(|n| {
            let t = n as f64 / f64::from(SAMPLE_RATE_HZ);
            let is_voiced = (0.05..0.15).contains(&t);
            phase += pitch_hz * (1.0 - 0.6 * t) / f64::from(SAMPLE_RATE_HZ);
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase -= pulse;
            let source = if is_voiced {
                6.0 * pulse + 0.05 * noise()
            } else {
                0.15 * noise()
            };
            let swell = (t / 0.03).min(1.0) * ((0.2 - t) / 0.05).min(1.0);
            (first(source) + 0.7 * second(source)) * swell
        })
        .collect()
}

fn finish(sound: &[f64]) -> Vec<i16> {
    let peak = sound
        .iter()
        .fold(1e-9, |peak: f64, sample| peak.max(sample.abs()));
    sound
        .iter()
        .map(|sample| (sample / peak * LOUDNESS) as i16)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noises_have_their_length_and_end_quietly() {
        for (name, noise) in NAMES {
            assert_eq!(Noise::named(name), Some(noise));
            let samples = noise.samples();
            let ms = samples.len() * 1000 / SAMPLE_RATE_HZ as usize;
            assert!((300..=1100).contains(&ms), "{name}: {ms} ms");
            let loudest = samples.iter().map(|s| s.unsigned_abs()).max();
            assert!(
                loudest.is_some_and(|peak| (8_900..=9_000).contains(&peak)),
                "{name}: {loudest:?}"
            );
            let end = &samples[samples.len() - 160..];
            assert!(end.iter().all(|s| s.unsigned_abs() < 1_500), "{name}");
            assert_eq!(samples, noise.samples(), "{name}");
        }
        assert_eq!(Noise::named("cough"), None);
    }
}
