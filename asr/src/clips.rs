//! Sound for this crate's own tests: the golden clips, the telephone band, and everything on a line that is not speech.
//! Compiled for tests only.

use std::f64::consts::TAU;
use std::path::PathBuf;

use crate::SAMPLE_RATE_HZ;

/// A golden clip: its samples and what is said.
pub struct Clip {
    pub name: String,
    pub pcm: Vec<i16>,
    pub transcript: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/speech")
}

/// All golden clips, in the order of their table.
pub fn golden() -> Vec<Clip> {
    let table = std::fs::read_to_string(folder().join("transcripts.tsv")).expect("transcripts.tsv");
    table
        .lines()
        .skip(1)
        .map(|line| {
            let mut columns = line.split('\t');
            let name = columns.next().expect("file column").to_owned();
            let transcript = columns.next_back().expect("transcript column").to_owned();
            let pcm = read_wav(&std::fs::read(folder().join(&name)).expect("clip"));
            Clip {
                name,
                pcm,
                transcript,
            }
        })
        .collect()
}

/// Samples of a 16 kHz mono 16 bit wav file.
fn read_wav(bytes: &[u8]) -> Vec<i16> {
    let mut at = 12;
    while at + 8 <= bytes.len() {
        let length =
            u32::from_le_bytes(bytes[at + 4..at + 8].try_into().expect("four bytes")) as usize;
        if &bytes[at..at + 4] == b"data" {
            return bytes[at + 8..at + 8 + length]
                .chunks_exact(2)
                .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
                .collect();
        }
        at += 8 + length + length % 2;
    }
    panic!("no data chunk");
}

/// A small generator with a fixed seed (xorshift), good for noise.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Noise {
        Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Between −1 and 1.
    pub fn sample(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

fn to_pcm(samples: impl Iterator<Item = f64>) -> Vec<i16> {
    samples
        .map(|s| (s * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16)
        .collect()
}

fn seconds(s: f64) -> usize {
    (s * f64::from(SAMPLE_RATE_HZ)) as usize
}

pub fn silence(s: f64) -> Vec<i16> {
    vec![0; seconds(s)]
}

pub fn white_noise(s: f64, level: f64) -> Vec<i16> {
    let mut noise = Noise::new(1);
    to_pcm((0..seconds(s)).map(|_| noise.sample() * level))
}

/// Pink noise: sum of generators, each renewed half as often as the one before.
pub fn pink_noise(s: f64, level: f64) -> Vec<i16> {
    let mut noise = Noise::new(2);
    let mut rows = [0.0; 12];
    to_pcm((0..seconds(s)).map(|n| {
        let row = (n as u32 + 1).trailing_zeros() as usize % rows.len();
        rows[row] = noise.sample();
        rows.iter().sum::<f64>() / 4.0 * level
    }))
}

/// Sines of equal level sounding for `on` seconds, silent for `off`, again and again.
pub fn tones(s: f64, frequencies_hz: &[f64], cadence: (f64, f64), level: f64) -> Vec<i16> {
    let (on, off) = (seconds(cadence.0), seconds(cadence.1));
    to_pcm((0..seconds(s)).map(|n| {
        if n % (on + off) >= on {
            return 0.0;
        }
        let t = n as f64 / f64::from(SAMPLE_RATE_HZ);
        let sum: f64 = frequencies_hz.iter().map(|f| (TAU * f * t).sin()).sum();
        sum / frequencies_hz.len() as f64 * level
    }))
}

/// Mains hum with its odd and even harmonics.
pub fn hum(s: f64, mains_hz: f64, level: f64) -> Vec<i16> {
    to_pcm((0..seconds(s)).map(|n| {
        let t = n as f64 / f64::from(SAMPLE_RATE_HZ);
        (1..=6)
            .map(|k| (TAU * mains_hz * f64::from(k) * t).sin() / f64::from(k))
            .sum::<f64>()
            * level
            / 2.0
    }))
}

/// Something like music on hold: chords of plucked notes with harmonics and a beat of noise, a new chord every half second.
pub fn music(s: f64, level: f64) -> Vec<i16> {
    let roots_hz = [220.0, 174.6, 261.6, 196.0];
    let mut noise = Noise::new(3);
    to_pcm((0..seconds(s)).map(|n| {
        let t = n as f64 / f64::from(SAMPLE_RATE_HZ);
        let (beat, since) = ((t * 2.0) as usize, t % 0.5);
        let root_hz = roots_hz[beat % roots_hz.len()];
        let chord: f64 = [1.0, 1.26, 1.498]
            .iter()
            .flat_map(|interval| (1..=4).map(move |k| (root_hz * interval * f64::from(k), k)))
            .map(|(hz, k)| (TAU * hz * t).sin() / f64::from(k * k))
            .sum();
        let drum = noise.sample() * (-since * 60.0).exp();
        (chord / 3.0 * (-since * 4.0).exp() + drum) * level
    }))
}

/// What a telephone leaves of a clip: 300 to 3,400 Hz, sampled at 8 kHz, companded to 8 bit by a µ-law-like curve, and
/// brought back to 16 kHz. Written for the tests; the real codec is the media crate's.
pub fn through_telephone(pcm: &[i16]) -> Vec<i16> {
    let band = band_pass(300.0, 3_400.0);
    let narrow = convolve(
        &pcm.iter()
            .map(|s| f64::from(*s) / 32_768.0)
            .collect::<Vec<_>>(),
        &band,
    );
    let companded: Vec<f64> = narrow
        .iter()
        .enumerate()
        .map(|(n, s)| {
            if n % 2 == 1 {
                return 0.0;
            }
            let mu = 255.0_f64;
            let code = (s.abs().min(1.0) * mu).ln_1p() / mu.ln_1p() * 127.0;
            // Two: the zeros between the samples halve the level.
            2.0 * s.signum() * ((code.round() / 127.0 * mu.ln_1p()).exp_m1() / mu)
        })
        .collect();
    to_pcm(convolve(&companded, &band).into_iter())
}

fn band_pass(low_hz: f64, high_hz: f64) -> Vec<f64> {
    let half = 100_i32;
    let rate = f64::from(SAMPLE_RATE_HZ);
    (-half..=half)
        .map(|n| {
            let x = f64::from(n);
            let ideal = if n == 0 {
                2.0 * (high_hz - low_hz) / rate
            } else {
                ((TAU * high_hz * x / rate).sin() - (TAU * low_hz * x / rate).sin())
                    / (x * TAU / 2.0)
            };
            ideal * (0.54 + 0.46 * (TAU / 2.0 * x / f64::from(half)).cos())
        })
        .collect()
}

fn convolve(signal: &[f64], kernel: &[f64]) -> Vec<f64> {
    let half = kernel.len() / 2;
    (0..signal.len())
        .map(|n| {
            kernel
                .iter()
                .enumerate()
                .filter_map(|(k, weight)| Some(weight * signal.get((n + half).checked_sub(k)?)?))
                .sum()
        })
        .collect()
}
