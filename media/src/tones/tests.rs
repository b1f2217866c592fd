//! Tones are seen; noise and a synthetic voice are not taken for them.

use super::*;
use crate::codec::{Codec, Decoder, Encoder};
use crate::{FRAME_SAMPLES, Frame};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Verdicts over the frames of a sound that went over a telephone line.
fn verdicts(sample: impl FnMut(usize) -> f64, frames: usize) -> Vec<Option<LineTone>> {
    let mut encoder = Encoder::new(Codec::Pcmu);
    let mut decoder = Decoder::new(Codec::Pcmu);
    let mut detector = ToneDetector::new();
    let samples: Vec<i16> = (0..frames * FRAME_SAMPLES)
        .map(sample)
        .map(|value| value as i16)
        .collect();
    samples
        .chunks_exact(FRAME_SAMPLES)
        .map(|frame| {
            let frame: &Frame = frame.try_into().unwrap();
            let pcm = decoder.decode(&encoder.encode(frame));
            detector.push(pcm.as_slice().try_into().unwrap())
        })
        .collect()
}

fn sines(hz: &[f64], amplitude: f64) -> impl Fn(usize) -> f64 + use<> {
    let hz = hz.to_vec();
    move |n| {
        hz.iter()
            .map(|hz| amplitude * (std::f64::consts::TAU * hz * n as f64 / 16_000.0).sin())
            .sum()
    }
}

#[test]
fn tones_are_named() {
    use LineTone::*;
    let table: [(&[f64], LineTone); 14] = [
        (&[425.0], CallProgress),
        (&[400.0], CallProgress),
        (&[450.0], CallProgress),
        (&[440.0, 480.0], CallProgress),
        (&[350.0, 440.0], CallProgress),
        (&[480.0, 620.0], CallProgress),
        (&[950.0], SpecialInformation),
        (&[1_400.0], SpecialInformation),
        (&[1_800.0], SpecialInformation),
        (&[50.0], Hum),
        (&[120.0], Hum),
        (&[1_000.0], Sine),
        (&[2_713.0], Sine),
        (&[697.0, 1_209.0], Dtmf('1')),
    ];
    for (hz, expected) in table {
        for amplitude in [300.0, 3_000.0, 12_000.0] {
            let seen = verdicts(sines(hz, amplitude), 20);
            assert!(
                seen[6..].iter().all(|tone| *tone == Some(expected)),
                "{hz:?} at {amplitude}: {seen:?}"
            );
        }
    }
}

#[test]
fn every_key_of_65_ms_is_seen() {
    for (row, keys) in DTMF_KEYS.iter().enumerate() {
        for (column, key) in keys.iter().enumerate() {
            let tone = sines(
                &[
                    f64::from(DTMF_ROWS_HZ[row]),
                    f64::from(DTMF_COLUMNS_HZ[column]),
                ],
                4_000.0,
            );
            // Anywhere within a frame.
            for from in [320, 400, 560] {
                let seen = verdicts(
                    |n| {
                        if (from..from + 1_120).contains(&n) {
                            tone(n)
                        } else {
                            0.0
                        }
                    },
                    10,
                );
                let named: Vec<LineTone> = seen.iter().copied().flatten().collect();
                assert!(
                    !named.is_empty() && named.iter().all(|tone| *tone == LineTone::Dtmf(*key)),
                    "{key} from {from}: {seen:?}"
                );
            }
        }
    }
}

#[test]
fn our_own_tones_are_seen() {
    for (tone, expected) in [
        (Tone::Dial, LineTone::CallProgress),
        (Tone::Ringback, LineTone::CallProgress),
        (Tone::Busy, LineTone::CallProgress),
        (Tone::Congestion, LineTone::CallProgress),
        (Tone::Beep, LineTone::Sine),
        (Tone::Dtmf('7'), LineTone::Dtmf('7')),
    ] {
        let mut generator = ToneGenerator::new(tone);
        let mut detector = ToneDetector::new();
        let named: Vec<LineTone> = (0..50)
            .filter_map(|_| detector.push(&generator.next_frame()))
            .collect();
        assert!(
            !named.is_empty() && named.iter().all(|&seen| seen == expected),
            "{tone:?}: {named:?}"
        );
    }
    assert!(ToneGenerator::clip(Tone::Dial).is_empty());
    let beep = ToneGenerator::clip(Tone::Beep);
    assert_eq!(beep.len(), 3_200);
    assert!(beep[0].abs() < 200 && beep[3_199].abs() < 200, "soft edges");
}

#[test]
fn cadence() {
    let mut generator = ToneGenerator::new(Tone::Busy);
    let loud: String = (0..100)
        .map(|_| {
            if generator
                .next_frame()
                .iter()
                .any(|&sample| sample.abs() > 3_000)
            {
                '#'
            } else {
                '.'
            }
        })
        .collect();
    assert_eq!(
        loud,
        format!("{}{}", "#".repeat(25), ".".repeat(25)).repeat(2)
    );
    assert!(!generator.is_over());
}

#[test]
fn noise_is_no_tone() {
    let mut random = StdRng::from_seed([4; 32]);
    for (amplitude, smoothing) in [
        (200.0, 0.0),
        (5_000.0, 0.0),
        (5_000.0, 0.9),
        (20_000.0, 0.98),
    ] {
        let mut low = 0.0;
        let seen = verdicts(
            |_| {
                let white = amplitude * (2.0 * random.random::<f64>() - 1.0);
                low = smoothing * low + (1.0 - smoothing) * white;
                low
            },
            500,
        );
        assert!(seen.iter().all(Option::is_none), "{amplitude} {smoothing}");
    }
    assert!(verdicts(|_| 0.0, 10).iter().all(Option::is_none));
}

/// Glottal pulses through two resonances, with the pitch of a voice: it glides, and each period is a little off.
fn voice(pitch_hz: f64, formants_hz: [f64; 2], frames: usize) -> Vec<Option<LineTone>> {
    let mut random = StdRng::from_seed([9; 32]);
    let mut phase = 0.0;
    let mut tremble = 1.0;
    let mut states = [[0.0f64; 2]; 2];
    verdicts(
        |n| {
            let seconds = n as f64 / 16_000.0;
            let glide = 1.0 + 0.12 * (std::f64::consts::TAU * 0.9 * seconds).sin();
            phase += pitch_hz * glide * tremble / 16_000.0;
            let mut value = 0.0;
            if phase >= 1.0 {
                phase -= 1.0;
                tremble = 1.0 + 0.03 * (random.random::<f64>() - 0.5);
                value = 0.9 + 0.2 * random.random::<f64>();
            }
            for (state, hz) in states.iter_mut().zip(formants_hz) {
                let radius = (-std::f64::consts::PI * 90.0 / 16_000.0f64).exp();
                let next = value
                    + 2.0 * radius * (std::f64::consts::TAU * hz / 16_000.0).cos() * state[0]
                    - radius * radius * state[1];
                state[1] = state[0];
                state[0] = next;
                value = next * 0.1;
            }
            (value * 30_000.0).clamp(-20_000.0, 20_000.0)
        },
        frames,
    )
}

#[test]
fn a_voice_is_no_tone() {
    for pitch_hz in [95.0, 140.0, 210.0, 280.0] {
        // The vowels of father, see, boot and bed.
        for formants_hz in [
            [710.0, 1_100.0],
            [280.0, 2_250.0],
            [310.0, 870.0],
            [550.0, 1_770.0],
        ] {
            let seen = voice(pitch_hz, formants_hz, 150);
            let taken = seen.iter().flatten().count();
            // A high voice whose pitch sits on its first resonance is all but a sine where its glide turns.
            assert!(
                taken <= 7,
                "{pitch_hz} Hz {formants_hz:?}: {taken} of 150, {seen:?}"
            );
        }
    }
}
