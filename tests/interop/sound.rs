//! Sound files as the peers need them, and what can be said about a recording without understanding it. 16-bit PCM mono
//! only: that is what the golden clips, baresip's microphone file and its recordings are.

use std::fs;
use std::path::{Path, PathBuf};

/// Silence behind what is said: longer than any test's call.
pub const MICROPHONE_TAIL_MS: u32 = 120_000;

/// What is softer counts as silence when sounds are compared.
const LEVEL_FLOOR_DB: f64 = -60.0;
/// In steps of 50 Hz: 200 Hz to 3.4 kHz.
const BAND_EDGES: [(usize, usize); 4] = [(4, 12), (12, 24), (24, 40), (40, 68)];
type Bands = [f64; 4];

pub struct Sound {
    pub rate_hz: u32,
    pub samples: Vec<i16>,
}

impl Sound {
    /// Reads a RIFF file by its chunks. A recording that was cut off by a kill has sizes of zero: then all that is there
    /// counts.
    pub fn read(path: &Path) -> Sound {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(
            bytes.len() > 44 && &bytes[..4] == b"RIFF",
            "{} is no wav file",
            path.display()
        );
        let number =
            |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let (mut rate_hz, mut channels) = (0, 0);
        let mut at = 12;
        while at + 8 <= bytes.len() {
            let (name, size) = (&bytes[at..at + 4], number(at + 4) as usize);
            let body = at + 8;
            if name == b"fmt " {
                channels = number(body + 2) & 0xffff;
                rate_hz = number(body + 4);
                assert_eq!(number(body + 14) & 0xffff, 16, "{}: 16-bit", path.display());
            }
            if name == b"data" {
                let end = if size == 0 {
                    bytes.len()
                } else {
                    (body + size).min(bytes.len())
                };
                // Of several channels the first: phones write the same sound into both.
                assert!((1..=2).contains(&channels), "{}", path.display());
                let samples = bytes[body..end].chunks_exact(2 * channels as usize);
                let samples = samples
                    .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
                    .collect();
                return Sound { rate_hz, samples };
            }
            at = body + size + size % 2;
        }
        panic!("{} has no sound in it", path.display());
    }

    pub fn write(&self, path: &Path) {
        let data = self.samples.len() as u32 * 2;
        let mut bytes = Vec::with_capacity(44 + data as usize);
        bytes.extend_from_slice(b"RIFF");
        bytes.extend_from_slice(&(36 + data).to_le_bytes());
        bytes.extend_from_slice(b"WAVEfmt ");
        bytes.extend_from_slice(&16u32.to_le_bytes());
        bytes.extend_from_slice(&1u16.to_le_bytes());
        bytes.extend_from_slice(&1u16.to_le_bytes());
        bytes.extend_from_slice(&self.rate_hz.to_le_bytes());
        bytes.extend_from_slice(&(self.rate_hz * 2).to_le_bytes());
        bytes.extend_from_slice(&2u16.to_le_bytes());
        bytes.extend_from_slice(&16u16.to_le_bytes());
        bytes.extend_from_slice(b"data");
        bytes.extend_from_slice(&data.to_le_bytes());
        bytes.extend(self.samples.iter().flat_map(|sample| sample.to_le_bytes()));
        fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    pub fn silence(rate_hz: u32, ms: u32) -> Sound {
        Sound {
            rate_hz,
            samples: vec![0; (rate_hz as usize * ms as usize) / 1000],
        }
    }

    /// What a phone's microphone hears: clips, each with the silence before it in ms, and silence to the end of the call.
    pub fn microphone(rate_hz: u32, says: &[(u32, PathBuf)]) -> Sound {
        let mut sound = Sound::silence(rate_hz, 0);
        for (before_ms, clip) in says {
            sound = sound
                .then(&Sound::silence(rate_hz, *before_ms))
                .then(&Sound::read(clip).at(rate_hz));
        }
        sound.then(&Sound::silence(rate_hz, MICROPHONE_TAIL_MS))
    }

    /// The same at another rate.
    pub fn at(self, rate_hz: u32) -> Sound {
        let samples = media::resample::resample_clip(&self.samples, self.rate_hz, rate_hz);
        Sound { rate_hz, samples }
    }

    pub fn then(mut self, other: &Sound) -> Sound {
        assert_eq!(self.rate_hz, other.rate_hz, "one rate per file");
        self.samples.extend_from_slice(&other.samples);
        self
    }

    /// How much of `clip` is in it: the best correlation, over all places where it could begin, of the levels of four bands
    /// in pieces of 20 ms. 1 is the same sound; other sentences of the same voice stay below 0.7, and a line with noise and
    /// lost packets above 0.85. Needs no ears, and neither a codec nor a resampler changes it much.
    pub fn likeness(&self, clip: &Sound) -> f64 {
        let (whole, part) = (self.levels(), clip.levels());
        let is_loud = |bands: &Bands| bands.iter().any(|level| *level > LEVEL_FLOOR_DB + 20.0);
        let first = part.iter().position(is_loud).unwrap_or(0);
        let last = part.iter().rposition(is_loud).unwrap_or(0);
        // One piece in two: they overlap by half.
        let count = (last - first) / 2 + 1;
        let from = |levels: &[Bands], at: usize| -> Vec<Bands> {
            levels[at..]
                .iter()
                .step_by(2)
                .take(count)
                .copied()
                .collect()
        };
        let part = from(&part, first);
        let places = whole.len().saturating_sub(2 * count);
        (0..places)
            .map(|at| correlation(&part, &from(&whole, at)))
            .fold(0.0, f64::max)
    }

    /// In dB below full scale, of pieces of 20 ms, one each 10 ms.
    fn levels(&self) -> Vec<Bands> {
        const PIECE: usize = 160;
        let samples = media::resample::resample_clip(&self.samples, self.rate_hz, 8000);
        let turn = |n: usize| std::f64::consts::TAU * n as f64 / PIECE as f64;
        let waves: Vec<(f64, f64)> = (0..PIECE).map(|n| turn(n).sin_cos()).collect();
        // Hann's window; its mean square is 3/8.
        let window: Vec<f64> = waves.iter().map(|(_, cos)| 0.5 - 0.5 * cos).collect();
        let scale = 2.0 / (PIECE * PIECE) as f64 / 0.375 / 32_768f64.powi(2);
        let power = |piece: &[f64], bin: usize| {
            let (mut sine, mut cosine) = (0.0, 0.0);
            for (n, sample) in piece.iter().enumerate() {
                let (sin, cos) = waves[n * bin % PIECE];
                sine += sample * sin;
                cosine += sample * cos;
            }
            (sine * sine + cosine * cosine) * scale
        };
        let bands = |piece: &[i16]| {
            let piece = piece.iter().zip(&window);
            let piece: Vec<f64> = piece.map(|(&s, weight)| f64::from(s) * weight).collect();
            BAND_EDGES.map(|(low, high)| {
                let band: f64 = (low..high).map(|bin| power(&piece, bin)).sum();
                (10.0 * (band + 1e-12).log10()).max(LEVEL_FLOOR_DB)
            })
        };
        samples
            .windows(PIECE)
            .step_by(PIECE / 2)
            .map(bands)
            .collect()
    }

    /// How much of it is louder than -40 dBFS, in 20 ms pieces.
    pub fn voiced_ms(&self) -> u32 {
        const LEVEL: f64 = 327.68;
        let piece = self.rate_hz as usize / 50;
        let loud = self.samples.chunks_exact(piece).filter(|samples| {
            let energy: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
            (energy / samples.len() as f64).sqrt() > LEVEL
        });
        loud.count() as u32 * 20
    }
}

/// Pearson's, of two rows of one length, each band around its own mean. 0 where one of them does not change.
fn correlation(one: &[Bands], other: &[Bands]) -> f64 {
    let mean = |row: &[Bands], band: usize| {
        row.iter().map(|bands| bands[band]).sum::<f64>() / row.len() as f64
    };
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for band in 0..BAND_EDGES.len() {
        let (mean_one, mean_other) = (mean(one, band), mean(other, band));
        for (one, other) in one.iter().zip(other) {
            let (one, other) = (one[band] - mean_one, other[band] - mean_other);
            both += one * other;
            first += one * one;
            second += other * other;
        }
    }
    if first * second > 0.0 {
        both / (first * second).sqrt()
    } else {
        0.0
    }
}

/// A golden clip that says exactly `text`, by the transcripts that lie beside the clips.
pub fn golden(text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/speech");
    let list = fs::read_to_string(folder.join("transcripts.tsv")).expect("the transcripts");
    let line = list.lines().find(|line| line.contains(text));
    let line = line.unwrap_or_else(|| panic!("no golden clip says {text:?}:\n{list}"));
    let name = line
        .split('\t')
        .find(|cell| cell.ends_with(".wav"))
        .expect("a file name in the row");
    folder.join(name)
}

/// Words without case and punctuation.
pub fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// How many of `expected`'s words appear in `heard`, in their order: a recogniser's slips elsewhere do not matter.
pub fn words_in_order(expected: &str, heard: &str) -> usize {
    let (expected, heard) = (words(expected), words(heard));
    // Longest common subsequence.
    let mut best = vec![0; heard.len() + 1];
    for word in &expected {
        let mut diagonal = 0;
        for (at, other) in heard.iter().enumerate() {
            let above = best[at + 1];
            best[at + 1] = if word == other {
                diagonal + 1
            } else {
                above.max(best[at])
            };
            diagonal = above;
        }
    }
    best[heard.len()]
}

#[test]
fn words_are_counted_in_order() {
    let check = |expected, heard, count| {
        assert_eq!(
            words_in_order(expected, heard),
            count,
            "{expected} / {heard}"
        )
    };
    check("Turn off the heating.", "turn off the heating", 4);
    check("Turn off the heating.", "I heard turn off a heating", 3);
    check("one two three", "three two one", 1);
    check("one", "", 0);
}

#[test]
fn wav_files_come_back_as_they_were() {
    let path = std::env::temp_dir().join(format!("offhook-sound-{}.wav", std::process::id()));
    let written = Sound {
        rate_hz: 8000,
        samples: (0..800).map(|n| n * 40).collect(),
    };
    written.write(&path);
    let read = Sound::read(&path);
    let _ = fs::remove_file(&path);
    assert_eq!((read.rate_hz, read.samples.len()), (8000, 800));
    assert_eq!(read.samples, written.samples);
    assert!(read.voiced_ms() >= 80 && Sound::silence(8000, 500).voiced_ms() == 0);
}

#[test]
fn a_sound_is_found_in_another() {
    let clip = |text| Sound::read(&golden(text)).at(8000);
    let lamp = clip("Turn the office lamp up");
    let others = [
        "What is six times twelve",
        "Set a timer for a few minutes",
        "Run the script",
    ];
    let mut call = Sound::silence(8000, 1_234);
    for text in others {
        call = call.then(&clip(text)).then(&Sound::silence(8000, 700));
    }
    assert!(call.likeness(&lamp) < 0.7, "{}", call.likeness(&lamp));
    // Softer, with noise, and one packet of it lost.
    let mut line = call.then(&lamp).then(&Sound::silence(8000, 500));
    let mut seed = 1u32;
    for sample in &mut line.samples {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *sample = *sample / 2 + (seed >> 25) as i16;
    }
    let lost = line.samples.len() - 4_000 - lamp.samples.len() / 2;
    line.samples[lost..lost + 160].fill(0);
    for text in others.into_iter().chain(["Turn the office lamp up"]) {
        let likeness = line.likeness(&clip(text));
        assert!(likeness > 0.85, "{text}: {likeness}");
    }
    assert_eq!(line.likeness(&Sound::silence(8000, 300)), 0.0);
}
