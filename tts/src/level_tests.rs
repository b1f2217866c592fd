//! Tests of `level`: edges, pauses, loudness, no clipping, and that chunking does not matter.

use super::*;

fn tone(samples: usize, peak: f32) -> Vec<i16> {
    (0..samples)
        .map(|n| (peak * (n as f32 * 0.37).sin()) as i16)
        .collect()
}

fn shape(gain: f32, parts: &[&[i16]]) -> Vec<i16> {
    let mut shaper = Shaper::new(gain);
    let mut out = Vec::new();
    for part in parts {
        shaper.push(part, &mut out);
    }
    shaper.finish(&mut out);
    out
}

#[test]
fn silence_at_the_edges_is_trimmed_and_pauses_stay() {
    // (silence before, pause inside, silence after) to the expected ones, all in samples.
    for (input, expected) in [
        ((0, 0, 0), (0, 0, 0)),
        ((16_000, 0, 16_000), (400, 0, 400)),
        ((160, 0, 240), (160, 0, 240)),
        ((0, 4_800, 0), (0, 4_800, 0)),
        ((0, 32_000, 0), (0, 12_800, 0)),
    ] {
        let sound = tone(1_600, 8_000.0);
        let silence = |n: usize| vec![0_i16; n];
        let (before, pause, after) = input;
        let out = shape(
            1.0,
            &[
                &silence(before),
                &sound,
                &silence(pause),
                &sound,
                &silence(after),
            ],
        );
        let (before, pause, after) = expected;
        assert_eq!(out.len(), before + pause + after + 3_200, "{input:?}");
    }
}

#[test]
fn only_silence_gives_nothing() {
    assert!(shape(1.0, &[&[0; 5_000], &[3; 77]]).is_empty());
    assert!(shape(1.0, &[]).is_empty());
}

#[test]
fn chunking_does_not_matter() {
    let mut input = vec![0; 1_000];
    input.extend(tone(5_003, 9_000.0));
    input.extend(vec![0; 999]);
    let whole = shape(1.3, &[&input]);
    for size in [1, 7, 80, 81, 1_000] {
        let parts: Vec<&[i16]> = input.chunks(size).collect();
        assert_eq!(shape(1.3, &parts), whole, "chunks of {size}");
    }
}

#[test]
fn loud_is_bent_and_never_clipped() {
    let out = shape(8.0, &[&tone(16_000, 30_000.0)]);
    let peak = out.iter().map(|s| i32::from(*s).abs()).max();
    assert!(
        peak.is_some_and(|peak| (28_000..32_000).contains(&peak)),
        "{peak:?}"
    );
}

#[test]
fn gain_brings_any_level_to_the_same() {
    for peak in [500.0, 3_000.0, 20_000.0] {
        let mut input = tone(16_000, peak);
        input.extend(vec![0; 16_000]);
        let gain = gain_for(&input);
        let rms = peak / 2.0_f32.sqrt() * gain;
        assert!((rms / TARGET_RMS - 1.0).abs() < 0.02, "{peak}: {rms}");
    }
    assert_eq!(gain_for(&[0; 1_000]), 1.0);
    assert_eq!(gain_for(&[]), 1.0);
}
