//! Keys of every kind that must be taken, sounds that must not.

use super::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// 0 dBm0 of a sine is 3.17 dB below the overload of mu-law: an rms of about 16,000.
const DBM0_RMS: f64 = 16_000.0;

struct Shape {
    on_ms: usize,
    off_ms: usize,
    /// Of the row; the column is louder by `twist_db`.
    level_dbm0: f64,
    twist_db: f64,
    detune: f64,
    noise_dbm0: f64,
}

const PLAIN: Shape = Shape {
    on_ms: 50,
    off_ms: 50,
    level_dbm0: -25.0,
    twist_db: 0.0,
    detune: 0.0,
    noise_dbm0: -45.0,
};

fn amplitude(dbm0: f64) -> f64 {
    DBM0_RMS * 10f64.powf(dbm0 / 20.0) * 2f64.sqrt()
}

/// Keys as a phone sends them, silence first and last.
fn dialled(keys: &str, shape: &Shape, random: &mut StdRng) -> Vec<i16> {
    let mut sound = vec![0.0; 1_600 + random.random_range(0..320)];
    for key in keys.chars() {
        let row = KEYS.iter().position(|row| row.contains(&key)).unwrap();
        let column = KEYS[row].iter().position(|&k| k == key).unwrap();
        let hz = [ROWS_HZ[row], COLUMNS_HZ[column]].map(|hz| f64::from(hz) * (1.0 + shape.detune));
        let loud = [shape.level_dbm0, shape.level_dbm0 + shape.twist_db].map(amplitude);
        let phases: [f64; 2] = [
            random.random_range(0.0..std::f64::consts::TAU),
            random.random_range(0.0..std::f64::consts::TAU),
        ];
        for n in 0..shape.on_ms * 16 {
            let at = n as f64 / 16_000.0 * std::f64::consts::TAU;
            sound.push(
                (0..2)
                    .map(|t| loud[t] * (hz[t] * at + phases[t]).sin())
                    .sum(),
            );
        }
        sound.extend(std::iter::repeat_n(0.0, shape.off_ms * 16));
    }
    sound.extend([0.0; 3_200]);
    let noise = amplitude(shape.noise_dbm0) / 2f64.sqrt();
    sound
        .into_iter()
        .map(|s| {
            // Twelve uniform numbers make a normal one.
            let normal: f64 = (0..12).map(|_| random.random_range(-0.5..0.5)).sum();
            (s + noise * normal).clamp(-32_768.0, 32_767.0) as i16
        })
        .collect()
}

fn heard(sound: &[i16]) -> String {
    let mut detector = Detector::new();
    let parts = sound.chunks(320).flat_map(|part| detector.push(part));
    parts.map(|pressed| pressed.digit).collect()
}

const ALL: &str = "1234567890*#ABCD";

#[test]
fn keys_are_heard() {
    let shapes = [
        ("50/50 ms, -25 dBm0", PLAIN),
        (
            "40/40 ms",
            Shape {
                on_ms: 40,
                off_ms: 40,
                ..PLAIN
            },
        ),
        (
            "65/30 ms",
            Shape {
                on_ms: 65,
                off_ms: 30,
                ..PLAIN
            },
        ),
        (
            "loud",
            Shape {
                level_dbm0: -3.0,
                ..PLAIN
            },
        ),
        (
            "soft",
            Shape {
                level_dbm0: -33.0,
                noise_dbm0: -55.0,
                ..PLAIN
            },
        ),
        (
            "noise 14 dB below",
            Shape {
                noise_dbm0: -39.0,
                on_ms: 60,
                ..PLAIN
            },
        ),
        (
            "column 6 dB louder",
            Shape {
                twist_db: 6.0,
                ..PLAIN
            },
        ),
        (
            "row 6 dB louder",
            Shape {
                twist_db: -6.0,
                ..PLAIN
            },
        ),
        (
            "1.5 % high",
            Shape {
                detune: 0.015,
                ..PLAIN
            },
        ),
        (
            "1.5 % low",
            Shape {
                detune: -0.015,
                ..PLAIN
            },
        ),
        (
            "long",
            Shape {
                on_ms: 900,
                ..PLAIN
            },
        ),
    ];
    let mut random = StdRng::seed_from_u64(23);
    for (name, shape) in shapes {
        let (mut right, mut all) = (0, 0);
        for _ in 0..20 {
            let found = heard(&dialled(ALL, &shape, &mut random));
            all += ALL.len();
            // As many keys as are heard in order.
            let mut rest = found.chars();
            right += ALL.chars().filter(|key| rest.any(|f| f == *key)).count();
            assert!(found.len() <= ALL.len(), "{name}: {found}");
        }
        assert!(right * 100 >= all * 99, "{name}: {right} of {all}");
    }
}

#[test]
fn the_same_key_twice_is_two_keys() {
    let mut random = StdRng::seed_from_u64(5);
    assert_eq!(heard(&dialled("5550005", &PLAIN, &mut random)), "5550005");
}

#[test]
fn durations_are_about_right() {
    let mut random = StdRng::seed_from_u64(6);
    for on_ms in [50, 100, 400] {
        let sound = dialled("7", &Shape { on_ms, ..PLAIN }, &mut random);
        let found = Detector::new().push(&sound);
        let off = found[0].duration_ms.abs_diff(on_ms as u32);
        assert!(found.len() == 1 && off <= 15, "{on_ms}: {found:?}");
    }
}

#[test]
fn what_is_no_key_is_not_heard() {
    let mut random = StdRng::seed_from_u64(9);
    // Q.24: too short, too far off, one tone alone; and noise, and a square wave.
    for (name, shape) in [
        ("20 ms", Shape { on_ms: 20, ..PLAIN }),
        (
            "4 % off",
            Shape {
                detune: 0.04,
                ..PLAIN
            },
        ),
        (
            "row alone",
            Shape {
                twist_db: -40.0,
                ..PLAIN
            },
        ),
        (
            "column alone",
            Shape {
                twist_db: 25.0,
                ..PLAIN
            },
        ),
        (
            "no tone",
            Shape {
                level_dbm0: -90.0,
                noise_dbm0: -15.0,
                ..PLAIN
            },
        ),
    ] {
        let found = heard(&dialled(&ALL.repeat(3), &shape, &mut random));
        assert_eq!(found, "", "{name}");
    }
    let square: Vec<i16> = (0..160_000)
        .map(|n| if n / 8 % 2 == 0 { 9_000 } else { -9_000 })
        .collect();
    assert_eq!(heard(&square), "");
}

#[test]
fn voices_are_no_keys() {
    // Vowels: a glottal pulse train of any pitch through three resonances, gliding.
    let mut random = StdRng::seed_from_u64(12);
    for _ in 0..60 {
        let mut sound = Vec::new();
        let (mut pitch, glide) = (
            random.random_range(80.0..320.0),
            random.random_range(-0.01..0.01),
        );
        let formants: [f64; 3] = [
            random.random_range(300.0..900.0),
            random.random_range(900.0..1_700.0),
            random.random_range(2_000.0..3_000.0),
        ];
        let mut phase = 0.0f64;
        for _ in 0..16_000 {
            pitch *= 1.0 + glide / 160.0;
            phase += pitch / 16_000.0;
            let voice: f64 = (1..20)
                .map(|h| {
                    let hz = pitch * f64::from(h);
                    let gain: f64 = formants
                        .iter()
                        .map(|f| 1.0 / (1.0 + ((hz - f) / 60.0).powi(2)))
                        .sum();
                    gain * (std::f64::consts::TAU * phase * f64::from(h)).sin()
                })
                .sum();
            sound.push((6_000.0 * voice).clamp(-32_768.0, 32_767.0) as i16);
        }
        assert_eq!(heard(&sound), "", "{pitch:.0} Hz, {formants:.0?}");
    }
}

#[test]
fn keys_are_heard_through_codecs() {
    use crate::codec::{Codec, Decoder, Encoder};
    let mut random = StdRng::seed_from_u64(31);
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus] {
        let shape = Shape {
            on_ms: 80,
            off_ms: 80,
            level_dbm0: -12.0,
            ..PLAIN
        };
        let sound = dialled(ALL, &shape, &mut random);
        let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
        let far: Vec<i16> = sound
            .chunks_exact(320)
            .flat_map(|frame| decoder.decode(&encoder.encode(frame.try_into().unwrap())))
            .collect();
        assert_eq!(heard(&far), ALL, "{codec:?}");
    }
}
