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

/// A glide: what is repeated from before differs from what was lost.
fn glide(n: usize) -> Frame {
    std::array::from_fn(|k| {
        let at = (n * FRAME_SAMPLES + k) as f64 / f64::from(SAMPLE_RATE_HZ);
        let phase = std::f64::consts::TAU * (200.0 * at + 150.0 * at * at);
        (5_000.0 * phase.sin() + 2_500.0 * (2.0 * phase).sin()) as i16
    })
}

#[test]
fn the_next_packet_gives_a_lost_one_back() {
    let mut encoder = Encoder::new(Settings {
        loss_percent: 20,
        ..Settings::default()
    });
    let packets: Vec<Vec<u8>> = (0..100).map(|n| encoder.encode(&glide(n))).collect();
    let repeats = packets.iter().filter(|payload| has_fec(payload)).count();
    assert!(repeats > 80, "{repeats}");
    let mut whole = Decoder::new();
    let reference: Vec<Vec<i16>> = packets.iter().map(|p| whole.decode(p)).collect();
    // Every fifth packet is lost; the error in its place, with and without the next one.
    let error = |with_next: bool| {
        let mut decoder = Decoder::new();
        let mut sum = 0.0;
        for n in 0..99 {
            if n % 5 != 4 || n < 10 {
                decoder.decode(&packets[n]);
                continue;
            }
            let next = with_next.then_some(&packets[n + 1][..]);
            let made = decoder.conceal(FRAME_SAMPLES, next);
            assert_eq!(made.len(), FRAME_SAMPLES);
            let pairs = made.iter().zip(&reference[n]);
            sum += pairs
                .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                .sum::<f64>();
        }
        sum
    };
    let (with, without) = (error(true), error(false));
    assert!(with < without / 2.0, "{with:.2e} against {without:.2e}");
}

#[test]
fn gaps_of_any_length_are_filled() {
    let mut encoder = Encoder::new(Settings::default());
    let mut decoder = Decoder::new();
    for n in 0..10 {
        decoder.decode(&encoder.encode(&tone(n)));
    }
    let next = encoder.encode(&tone(11));
    for count in [0, 1, 39, 320, 333, 1_920, 1_921, 10_000] {
        assert_eq!(decoder.conceal(count, None).len(), count);
        assert_eq!(decoder.conceal(count, Some(&next)).len(), count);
        assert_eq!(decoder.conceal(count, Some(&[0xff])).len(), count);
    }
    assert!(rms(&decoder.conceal(16_000, None)[8_000..]) < 200.0);
}
