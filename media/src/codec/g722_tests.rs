//! Sound through both sub-bands, and octets nobody encoded.

use super::*;

fn sine(hz: f64, amplitude: f64) -> Vec<i16> {
    (0..16_000)
        .map(|n| (amplitude * (std::f64::consts::TAU * hz * f64::from(n) / 16_000.0).sin()) as i16)
        .collect()
}

fn snr_db(input: &[i16], output: &[i16]) -> f64 {
    let (mut signal, mut noise) = (0.0, 0.0);
    for (&a, &b) in input.iter().zip(output).skip(1_000) {
        let (a, b) = (f64::from(a), f64::from(b));
        signal += a * a;
        noise += (a - b) * (a - b);
    }
    10.0 * (signal / noise).log10()
}

#[test]
fn sound_survives_in_both_bands() {
    // The bands meet at 4 kHz; the upper one has two bits a sample only.
    for (hz, least_db) in [
        (300.0, 30.0),
        (1_000.0, 30.0),
        (3_000.0, 20.0),
        (5_000.0, 12.0),
        (6_500.0, 8.0),
    ] {
        for amplitude in [500.0, 8_000.0, 30_000.0] {
            let input = sine(hz, amplitude);
            let octets = Encoder::new().encode(&input);
            assert_eq!(octets.len(), input.len() / 2);
            let output = Decoder::new().decode(&octets);
            assert_eq!(output.len(), input.len());
            let db = snr_db(&input, &output[22..]);
            assert!(db > least_db, "{hz} Hz at {amplitude}: {db:.1} dB");
        }
    }
}

#[test]
fn cut_anywhere_it_is_the_same_stream() {
    let input = sine(440.0, 9_000.0);
    let whole = Encoder::new().encode(&input);
    let mut encoder = Encoder::new();
    let parts: Vec<u8> = input
        .chunks(320)
        .flat_map(|part| encoder.encode(part))
        .collect();
    assert_eq!(parts, whole);
    let sound = Decoder::new().decode(&whole);
    let mut decoder = Decoder::new();
    let again: Vec<i16> = whole
        .chunks(7)
        .flat_map(|part| decoder.decode(part))
        .collect();
    assert_eq!(again, sound);
}

#[test]
fn any_octets_decode_and_the_decoder_recovers() {
    use rand::{Rng, SeedableRng};
    let mut random = rand::rngs::StdRng::seed_from_u64(722);
    let noise: Vec<u8> = (0..64_000).map(|_| random.next_u32() as u8).collect();
    let input = sine(700.0, 6_000.0);
    let octets = Encoder::new().encode(&input);
    for hostile in [noise, vec![0; 8_000], vec![0x04; 8_000], vec![0xff; 8_000]] {
        let mut decoder = Decoder::new();
        assert_eq!(decoder.decode(&hostile).len(), 2 * hostile.len());
        // Half a second after the nonsense the sound is right again: the leaks in the predictor forget.
        let output = decoder.decode(&octets);
        let db = snr_db(&input[8_000..], &output[8_022..]);
        assert!(db > 20.0, "{db:.1} dB");
    }
}

#[test]
fn silence_is_nearly_silent() {
    let octets = Encoder::new().encode(&[0; 3_200]);
    let output = Decoder::new().decode(&octets);
    assert!(output.iter().all(|sample| sample.unsigned_abs() < 16));
}

#[test]
fn after_a_loss_it_is_nearer_to_the_sender_if_it_went_along() {
    // A voice that gets louder and softer; 20 ms of every 200 are lost and made up by repeating the voice's period.
    let input: Vec<i16> = (0..64_000)
        .map(|n| {
            let at = f64::from(n) / 16_000.0 * std::f64::consts::TAU;
            let loud = 3_000.0 * (1.2 + (3.0 * at).sin());
            (loud * ((125.0 * at).sin() + 0.6 * (1_125.0 * at).sin() + 0.2 * (5_000.0 * at).sin()))
                as i16
        })
        .collect();
    let octets = Encoder::new().encode(&input);
    let reference = Decoder::new().decode(&octets);
    let error = |goes_along: bool| {
        let mut decoder = Decoder::new();
        let mut sum = 0.0;
        for (n, packet) in octets.chunks(160).enumerate() {
            let at = n * 320;
            if n % 10 == 5 {
                // The voice has a period of 128 samples.
                let made_up = &reference[at - 384..at - 64 + DELAY_SAMPLES];
                if goes_along {
                    decoder.follow(made_up);
                }
                continue;
            }
            let output = decoder.decode(packet);
            sum += output
                .iter()
                .zip(&reference[at..])
                .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                .sum::<f64>();
        }
        sum
    };
    let (with, without) = (error(true), error(false));
    assert!(with < without / 2.0, "{with:.3e} against {without:.3e}");
}
