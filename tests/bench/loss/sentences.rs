//! What is said: the golden clips, and sentences in the program's own voices.

use std::ops::ControlFlow;

use tts::engine::Engine as _;
use tts::flite::FliteEngine;

pub struct Sentence {
    pub pcm: Vec<i16>,
    pub words: Vec<String>,
}

const TEXTS: [&str; 20] = [
    "What is the weather like tomorrow?",
    "Turn on the lights in the kitchen.",
    "Set a timer for ten minutes.",
    "Remind me to call the doctor at nine.",
    "What time does the train leave?",
    "Play some music in the living room.",
    "How long does it take to get to the airport?",
    "Send a message to my sister.",
    "What is on my calendar for Monday?",
    "Turn the heating up a little.",
    "Is the front door locked?",
    "Read me the news, please.",
    "How much is twelve times seven?",
    "Add milk and bread to the shopping list.",
    "Call me back in half an hour.",
    "What was the score of the game?",
    "Please cancel the meeting on Friday.",
    "Wake me up at half past six.",
    "Where did I park the car?",
    "Tell me something about the moon.",
];

/// Words alone, in small letters.
pub fn normal(text: &str) -> Vec<String> {
    let kept: String = text
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '\'' {
                c
            } else {
                ' '
            }
        })
        .collect();
    kept.split_whitespace().map(str::to_owned).collect()
}

/// Speech at -20 dBFS where it is loud.
fn levelled(pcm: &[i16]) -> Vec<i16> {
    let loud: Vec<f64> = pcm
        .chunks(320)
        .map(|c| c.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / c.len() as f64)
        .filter(|power| *power > 10_000.0)
        .collect();
    let rms = (loud.iter().sum::<f64>() / loud.len().max(1) as f64).sqrt();
    let gain = 3_277.0 / rms.max(1.0);
    pcm.iter()
        .map(|&s| (f64::from(s) * gain).clamp(-32_768.0, 32_767.0) as i16)
        .collect()
}

pub fn all() -> Vec<Sentence> {
    let mut sentences = golden();
    for voice in ["slt", "rms"] {
        let mut engine = FliteEngine::open(voice, 1.0).expect("an embedded voice");
        engine.warm().expect("the voice speaks");
        for text in TEXTS {
            let mut pcm = Vec::new();
            let mut sink = |samples: &[i16]| {
                pcm.extend_from_slice(samples);
                ControlFlow::Continue(())
            };
            engine.synthesise(text, &mut sink).expect("speech");
            sentences.push(Sentence {
                pcm: levelled(&pcm),
                words: normal(text),
            });
        }
    }
    sentences
}

fn golden() -> Vec<Sentence> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/speech");
    let table = std::fs::read_to_string(format!("{folder}/transcripts.tsv")).expect("the table");
    let rows = table.lines().skip(1).map(|line| {
        let mut columns = line.split('\t');
        let file = columns.next().expect("a file name");
        let bytes = std::fs::read(format!("{folder}/{file}")).expect("a clip");
        let clip = media::file::read(&bytes).expect("a wav file");
        Sentence {
            pcm: levelled(&clip.into_internal_rate()),
            words: normal(columns.next_back().expect("a transcript")),
        }
    });
    rows.collect()
}
