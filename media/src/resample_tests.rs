//! Frequency response, delay and lengths of the resampler.

use super::*;

fn sine(hz: f64, rate_hz: u32, samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|n| {
            (10_000.0 * (std::f64::consts::TAU * hz * n as f64 / f64::from(rate_hz)).sin()) as i16
        })
        .collect()
}

/// Level of one frequency against the 10,000 peak sine, in dB.
fn level_db(samples: &[i16], hz: f64, rate_hz: u32) -> f64 {
    let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
    let (mut re, mut im) = (0.0, 0.0);
    for (n, &sample) in middle.iter().enumerate() {
        let window = 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / middle.len() as f64).cos();
        let phase = std::f64::consts::TAU * hz * n as f64 / f64::from(rate_hz);
        re += window * f64::from(sample) * phase.cos();
        im += window * f64::from(sample) * phase.sin();
    }
    let amplitude = 4.0 * (re * re + im * im).sqrt() / middle.len() as f64;
    20.0 * (amplitude.max(1e-3) / 10_000.0).log10()
}

#[test]
fn passes_the_band_and_stops_images() {
    // from, to, tone in, tone looked for, level range
    let table: [(u32, u32, f64, f64, std::ops::Range<f64>); 12] = [
        (8_000, 16_000, 1_000.0, 1_000.0, -0.2..0.2),
        (8_000, 16_000, 3_400.0, 3_400.0, -1.0..0.2),
        (8_000, 16_000, 1_000.0, 7_000.0, -200.0..-55.0),
        (8_000, 16_000, 3_400.0, 4_600.0, -200.0..-55.0),
        (16_000, 8_000, 300.0, 300.0, -0.2..0.2),
        (16_000, 8_000, 3_400.0, 3_400.0, -1.0..0.2),
        (16_000, 8_000, 5_000.0, 3_000.0, -200.0..-55.0),
        (16_000, 8_000, 4_100.0, 3_900.0, -200.0..-50.0),
        (22_050, 16_000, 1_000.0, 1_000.0, -0.2..0.2),
        (22_050, 16_000, 9_500.0, 6_500.0, -200.0..-55.0),
        (24_000, 16_000, 3_000.0, 3_000.0, -0.2..0.2),
        (48_000, 16_000, 15_000.0, 1_000.0, -200.0..-55.0),
    ];
    for (from, to, tone, looked_for, range) in table {
        let output = resample_clip(&sine(tone, from, from as usize), from, to);
        let level = level_db(&output, looked_for, to);
        assert!(
            range.contains(&level),
            "{from} to {to}, {tone} Hz seen at {looked_for} Hz: {level:.1} dB"
        );
    }
}

#[test]
fn telephone_rates_delay_three_milliseconds() {
    for (from, to) in [(8_000, 16_000), (16_000, 8_000)] {
        let mut resampler = Resampler::new(from, to);
        let mut impulse = vec![0; from as usize / 10];
        impulse[200] = 20_000;
        let output = resampler.process(&impulse);
        let peak = (0..output.len())
            .max_by_key(|&n| output[n].unsigned_abs())
            .unwrap();
        let expected = 200 * to as usize / from as usize + resampler.delay_samples();
        assert_eq!(peak, expected);
        assert_eq!(resampler.delay_samples() as u32 * 1_000, 3 * to);
    }
}

#[test]
fn clips_keep_their_place_and_length() {
    for (from, to) in [
        (8_000, 16_000),
        (16_000, 8_000),
        (22_050, 16_000),
        (24_000, 16_000),
        (48_000, 16_000),
        (44_100, 16_000),
        (11_025, 16_000),
        (16_000, 48_000),
        (16_000, 16_000),
    ] {
        let mut clip = vec![0; from as usize];
        let at = from as usize / 2;
        // A click of half a millisecond, so that every rate can carry it.
        for sample in &mut clip[at - from as usize / 4_000..=at + from as usize / 4_000] {
            *sample = 15_000;
        }
        let output = resample_clip(&clip, from, to);
        assert_eq!(output.len(), to as usize, "{from} to {to}");
        let centre: f64 = output
            .iter()
            .enumerate()
            .map(|(n, &s)| n as f64 * f64::from(s))
            .sum::<f64>()
            / output.iter().map(|&s| f64::from(s)).sum::<f64>();
        let offset_ms = (centre / f64::from(to) - 0.5) * 1_000.0;
        assert!(
            offset_ms.abs() < 0.2,
            "{from} to {to}: off by {offset_ms:.2} ms"
        );
    }
}

#[test]
fn cutting_the_input_differently_changes_nothing() {
    let clip = sine(700.0, 16_000, 16_000);
    for (from, to) in [
        (16_000, 8_000),
        (8_000, 16_000),
        (24_000, 16_000),
        (22_050, 16_000),
    ] {
        let whole = Resampler::new(from, to).process(&clip);
        for size in [1, 7, 80, 333] {
            let mut resampler = Resampler::new(from, to);
            let pieces: Vec<i16> = clip
                .chunks(size)
                .flat_map(|piece| resampler.process(piece))
                .collect();
            assert_eq!(pieces, whole, "{from} to {to} in pieces of {size}");
        }
    }
}

#[test]
fn a_recording_in_pieces_is_the_clip() {
    let clip = sine(700.0, 16_000, 40_001);
    for (from, to) in [
        (16_000, 8_000),
        (8_000, 16_000),
        (24_000, 16_000),
        (22_050, 16_000),
        (16_000, 16_000),
    ] {
        let whole = resample_clip(&clip, from, to);
        let length = (clip.len() as u64 * u64::from(to)).div_ceil(u64::from(from));
        assert_eq!(whole.len() as u64, length, "{from} to {to}");
        let mut aligned = Aligned::new(from, to);
        let mut pieces = Vec::new();
        for piece in clip.chunks(777) {
            pieces.extend(aligned.process(piece));
            assert!(pieces.len() <= whole.len());
        }
        pieces.extend(aligned.finish());
        assert_eq!(pieces, whole, "{from} to {to}");
    }
    assert!(Aligned::new(8_000, 16_000).finish().is_empty());
}

#[test]
fn odd_inputs_are_harmless() {
    assert!(resample_clip(&[], 22_050, 16_000).is_empty());
    assert_eq!(resample_clip(&[5], 48_000, 16_000).len(), 1);
    assert_eq!(resample_clip(&[i16::MAX; 100], 8_000, 16_000).len(), 200);
    assert!(!Resampler::supports(0, 16_000));
    // Out of range is served at the nearest rate rather than refused with a panic.
    Resampler::new(0, u32::MAX).process(&[1; 1_000]);
}
