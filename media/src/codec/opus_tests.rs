//! Packets of ours, packets of nobody.

use super::*;
use crate::FRAME_SAMPLES;

fn tone(n: usize) -> Frame {
    std::array::from_fn(|k| {
        let at = (n * FRAME_SAMPLES + k) as f64 / f64::from(SAMPLE_RATE_HZ);
        (6_000.0 * (std::f64::consts::TAU * 440.0 * at).sin()) as i16
    })
}

fn rms(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|&s| f64::from(s).powi(2)).sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

#[test]
fn sound_survives() {
    let (mut encoder, mut decoder) = (Encoder::new(Settings::default()), Decoder::new());
    let mut output = Vec::new();
    for n in 0..100 {
        let payload = encoder.encode(&tone(n));
        assert_eq!(duration(&payload), 960);
        output.extend(decoder.decode(&payload));
    }
    assert_eq!(output.len(), 100 * FRAME_SAMPLES);
    let level = rms(&output[8_000..]);
    assert!((level - 6_000.0 / 2f64.sqrt()).abs() < 400.0, "{level}");
}

#[test]
fn silence_may_go_unsent() {
    for dtx in [false, true] {
        let mut encoder = Encoder::new(Settings {
            dtx,
            ..Settings::default()
        });
        let short = (0..100)
            .filter(|_| encoder.encode(&crate::SILENCE).len() <= 2)
            .count();
        assert_eq!(short > 70, dtx, "{short}");
    }
}

#[test]
fn what_is_no_packet_has_no_duration() {
    // A code 3 packet with no count, with 63 frames of 20 ms; an empty one.
    for payload in [&[][..], &[0x4b], &[0x4b, 63]] {
        assert_eq!(duration(payload), 0, "{payload:?}");
        assert!(Decoder::new().decode(payload).is_empty());
    }
}

#[test]
fn any_bytes_decode_or_do_not() {
    use rand::{Rng, SeedableRng};
    let mut random = rand::rngs::StdRng::seed_from_u64(6_716);
    let mut decoder = Decoder::new();
    for _ in 0..3_000 {
        let length = random.next_u32() as usize % 200;
        let payload: Vec<u8> = (0..length).map(|_| random.next_u32() as u8).collect();
        let pcm = decoder.decode(&payload);
        assert!(pcm.len() <= PACKET_SAMPLES_MAX);
        if !pcm.is_empty() {
            assert_eq!(pcm.len() as u32 * 3, duration(&payload));
        }
    }
}
