//! The features against a transform written out in full, and what they must not depend on.

use super::*;

fn tone(hz: f64, samples: usize, level: f64) -> Vec<i16> {
    (0..samples)
        .map(|n| (level * (std::f64::consts::TAU * hz * n as f64 / 16_000.0).sin()) as i16)
        .collect()
}

#[test]
fn the_transform_is_the_discrete_fourier_transform() {
    let mut seed = 3_u32;
    let samples: [f32; WINDOW] = std::array::from_fn(|_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as i16 as f32 / 32_768.0
    });
    let fast = LogMel::new().power(&samples);
    for (bin, fast) in fast.iter().enumerate() {
        let (mut re, mut im) = (0.0_f64, 0.0_f64);
        for (n, sample) in samples.iter().enumerate() {
            let angle = std::f64::consts::TAU * (n * bin % WINDOW) as f64 / WINDOW as f64;
            re += f64::from(*sample) * angle.cos();
            im -= f64::from(*sample) * angle.sin();
        }
        let slow = re * re + im * im;
        assert!(
            (f64::from(*fast) - slow).abs() < 1e-3 * slow.max(1.0),
            "bin {bin}: {fast}, not {slow}"
        );
    }
}

#[test]
fn bands_are_whispers() {
    let bands = bands();
    assert_eq!(bands.len(), BANDS);
    // First bins and heaviest weights of the published filter bank for 400 points and 80 bands.
    for (band, first, heaviest) in [
        (0, 1, 0.024_86),
        (10, 10, 0.019_91),
        (40, 42, 0.014_74),
        (79, 186, 0.003_16),
    ] {
        let (from, weights) = &bands[band];
        let most = weights.iter().copied().fold(0.0, f32::max);
        assert_eq!(*from, first, "band {band}");
        assert!((most - heaviest).abs() < 1e-5, "band {band}: {most}");
    }
}

#[test]
fn sound_stands_at_the_end_and_level_does_not_count() {
    let mel = LogMel::new();
    let loud = mel.features(&tone(1_000.0, 16_000, 16_000.0));
    assert_eq!(loud.len(), BANDS * FRAMES);
    let of = |features: &[f32], frame: usize| -> (usize, f32) {
        (0..BANDS)
            .map(|band| (band, features[band * FRAMES + frame]))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .expect("there are bands")
    };
    let (band, high) = of(&loud, 750);
    let (first, weights) = &mel.bands[band];
    assert!(
        (*first..*first + weights.len()).contains(&25),
        "1 kHz is bin 25"
    );
    let (_, low) = of(&loud, 300);
    assert!(
        high - low > 1.5,
        "{high} where the tone is, {low} before it"
    );
    let soft = mel.features(&tone(1_000.0, 16_000, 1_600.0));
    let most = loud
        .iter()
        .zip(&soft)
        .filter(|(loud, _)| **loud > 1.0)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(most < 0.05, "20 dB change the features by {most}");
}

#[test]
fn only_the_last_eight_seconds_count() {
    let mel = LogMel::new();
    let short = tone(440.0, SAMPLES, 8_000.0);
    let mut long = tone(3_000.0, 48_000, 8_000.0);
    long.extend_from_slice(&short);
    assert_eq!(mel.features(&long), mel.features(&short));
    for samples in [0, 1, 160, 400, SAMPLES - 1] {
        let features = mel.features(&vec![7; samples]);
        assert!(features.iter().all(|v| v.is_finite()), "{samples} samples");
    }
}

#[test]
fn features_are_those_of_the_published_extractor() {
    let pcm: Vec<i16> = (0..32_000)
        .map(|n| (6_000.0 * (f64::from(n) * 0.06).sin()) as i16)
        .collect();
    let features = LogMel::new().features(&pcm);
    // From the same steps in double precision with the published filter bank.
    for (band, frame, expected) in [
        (0, 0, 0.0210),
        (3, 700, 1.8039),
        (40, 600, 0.4015),
        (79, 799, -0.1961),
        (5, 650, 1.5089),
    ] {
        let got = features[band * FRAMES + frame];
        assert!(
            (got - expected).abs() < 0.01,
            "band {band}, frame {frame}: {got}, not {expected}"
        );
    }
    let mean = features.iter().sum::<f32>() / features.len() as f32;
    assert!((mean + 0.1473).abs() < 0.005, "{mean}");
}
