//! What the pitch tracker hears in made sounds.

use super::*;

/// Harmonics of `hz` at 8 kHz, those of a telephone only: 300 to 3,400 Hz.
fn voice(hz: f32, hops: usize) -> Vec<[f32; HOP_SAMPLES]> {
    let mut out = vec![[0.0; HOP_SAMPLES]; hops];
    for (n, sample) in out.iter_mut().flatten().enumerate() {
        let time = n as f32 / 8_000.0;
        for harmonic in 1..=20 {
            let at = hz * harmonic as f32;
            if (300.0..3_400.0).contains(&at) {
                *sample += 2_000.0 / harmonic as f32 * (std::f32::consts::TAU * at * time).sin();
            }
        }
    }
    out
}

#[test]
fn a_voice_without_its_fundamental_has_its_pitch() {
    for hz in [75.0, 90.0, 120.0, 160.0, 210.0, 280.0, 350.0] {
        let mut tracker = PitchTracker::default();
        let heard = voice(hz, 12)
            .iter()
            .map(|hop| tracker.hop(hop))
            .last()
            .flatten()
            .expect("a voice repeats");
        assert!(
            (heard.pitch_hz / hz - 1.0).abs() < 0.02,
            "{hz} Hz was heard as {heard:?}"
        );
        assert!(heard.correlation > 0.9, "{hz} Hz: {heard:?}");
    }
}

#[test]
fn silence_and_noise_have_none() {
    let mut tracker = PitchTracker::default();
    assert_eq!(tracker.hop(&[0.0; HOP_SAMPLES]), None);
    let mut seed = 1_u32;
    let mut voiced = 0;
    for _ in 0..200 {
        let noise = std::array::from_fn(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as f32 - 32_768.0
        });
        voiced += u32::from(
            tracker
                .hop(&noise)
                .is_some_and(|p| p.correlation >= VOICED_MIN),
        );
    }
    assert!(voiced < 20, "{voiced} of 200 hops of noise have a pitch");
}
