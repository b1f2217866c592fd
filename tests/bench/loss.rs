//! What is understood of a caller whose packets get lost: sentences that the embedded model hears word for word on a
//! clean line, sent by a simulated phone over a simulated network to the program's own way in, and heard again.
//!
//! `cargo bench --bench loss`; after `--`, a number of rounds (each has its own losses; 2 without one).
//!
//! Beside it, in the same run: the same packets played without concealment, which is what a receiver does that waits for
//! late packets but leaves holes as silence. Figures are words right (all words less wrong, missing and added ones) in
//! percent of the clean run's. No clock is read; the network is one of `network`'s, by seed.

#[path = "loss/network.rs"]
mod network;
#[path = "loss/sentences.rs"]
mod sentences;

use asr::whisper::{ModelSource, WhisperConfig, WhisperEngine};
use asr::{Engine as _, Options};
use media::codec::Codec;
use media::session::Delivery;
use network::{Path, Phone, Receiver};
use sentences::{Sentence, normal};

/// A phone, what the receiver does, and how the line names it.
const LINES: [(&str, Phone, Receiver); 9] = [
    (
        "PCMU, holes left silent",
        Phone::of(Codec::Pcmu),
        Receiver::Holes,
    ),
    (
        "PCMU, eager",
        Phone::of(Codec::Pcmu),
        Receiver::Session(Delivery::Eager),
    ),
    (
        "PCMU, steady",
        Phone::of(Codec::Pcmu),
        Receiver::Session(Delivery::Steady),
    ),
    (
        "G.722, holes left silent",
        Phone::of(Codec::G722),
        Receiver::Holes,
    ),
    (
        "G.722, eager",
        Phone::of(Codec::G722),
        Receiver::Session(Delivery::Eager),
    ),
    (
        "Opus without FEC, holes left silent",
        Phone::of(Codec::Opus),
        Receiver::Holes,
    ),
    (
        "Opus without FEC, eager",
        Phone::of(Codec::Opus),
        Receiver::Session(Delivery::Eager),
    ),
    (
        "Opus with FEC, eager",
        Phone::OPUS_FEC,
        Receiver::Session(Delivery::Eager),
    ),
    (
        "Opus with FEC, steady",
        Phone::OPUS_FEC,
        Receiver::Session(Delivery::Steady),
    ),
];

const PATHS: [(&str, Path); 4] = [
    (
        "10 % random",
        Path {
            loss: 0.1,
            run: 1.0,
            jitter_ms: 0,
        },
    ),
    (
        "10 % random, 60 ms jitter",
        Path {
            loss: 0.1,
            run: 1.0,
            jitter_ms: 60,
        },
    ),
    (
        "10 % in runs of 2, 60 ms jitter",
        Path {
            loss: 0.1,
            run: 2.0,
            jitter_ms: 60,
        },
    ),
    (
        "no loss, 60 ms jitter",
        Path {
            loss: 0.0,
            run: 1.0,
            jitter_ms: 60,
        },
    ),
];

struct Ears(WhisperEngine);

impl Ears {
    fn words(&mut self, pcm: &[i16]) -> Vec<String> {
        let heard = self.0.transcribe(pcm, &Options::default());
        normal(&heard.expect("a transcript").text)
    }
}

/// Words changed, missing and added.
fn errors(said: &[String], heard: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (n, word) in said.iter().enumerate() {
        let mut before = row[0];
        row[0] = n + 1;
        for (m, other) in heard.iter().enumerate() {
            let changed = before + usize::from(word != other);
            before = row[m + 1];
            row[m + 1] = changed.min(before + 1).min(row[m] + 1);
        }
    }
    row[heard.len()]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = arguments
        .iter()
        .find_map(|a| a.parse().ok())
        .unwrap_or(2u64);
    let wanted = |name: &str| {
        let mut named = arguments
            .iter()
            .filter(|a| a.parse::<u64>().is_err() && !a.starts_with("--"))
            .peekable();
        named.peek().is_none() || named.any(|part| name.contains(part.as_str()))
    };
    let engine = WhisperEngine::open(&ModelSource::Embedded, &WhisperConfig::default());
    let mut ears = Ears(engine.expect("the embedded model"));
    let all = sentences::all();
    println!(
        "{:<37} {:<32} {:>9} {:>7} {:>9} {:>10}",
        "phone and receiver", "path", "sentences", "words", "right", "made up"
    );
    for (line, phone, receiver) in LINES.iter().filter(|(line, ..)| wanted(line)) {
        // The clean run decides which sentences count: those heard word for word over this codec.
        let known: Vec<&Sentence> = all
            .iter()
            .filter(|sentence| {
                let clean = network::call(phone, &Path::CLEAN, receiver, &sentence.pcm, 0);
                ears.words(&clean.pcm) == sentence.words
            })
            .collect();
        let words: usize = known.iter().map(|sentence| sentence.words.len()).sum();
        for (name, path) in &PATHS {
            let (mut wrong, mut made_up, mut frames) = (0, 0, 0);
            for round in 1..=rounds {
                for (n, sentence) in known.iter().enumerate() {
                    let seed = round * 1_000 + n as u64;
                    let heard = network::call(phone, path, receiver, &sentence.pcm, seed);
                    made_up += heard.made_up;
                    frames += heard.pcm.len() / media::FRAME_SAMPLES;
                    wrong +=
                        errors(&sentence.words, &ears.words(&heard.pcm)).min(sentence.words.len());
                }
            }
            let said = words * rounds as usize;
            println!(
                "{line:<37} {name:<32} {:>9} {said:>7} {:>7.1} % {:>8.1} %",
                known.len(),
                100.0 * (said - wrong) as f64 / said.max(1) as f64,
                100.0 * made_up as f64 / frames.max(1) as f64,
            );
        }
    }
}
