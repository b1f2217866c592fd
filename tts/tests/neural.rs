//! A voice from a file, all the way: espeak-ng as a child process, ONNX Runtime, sound. The voice is `data/tone.onnx`,
//! which hums a tone for each phoneme (`data/make_voice.py`). Skipped by name where one of the two is not installed.

#![cfg(feature = "neural")]

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tts::engine::Engine;
use tts::{TtsError, voices};

const VOICE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tone.onnx");

/// Whether the voice can be run here. Says so past the test harness where not.
fn is_possible(test: &str) -> bool {
    let Some(missing) = tts::neural::missing() else {
        return true;
    };
    // What it is, not where to get it.
    let missing = missing.split(". ").next().unwrap_or_default();
    assert!(
        std::env::var_os("OFFHOOK_REQUIRE_PEERS").is_none(),
        "{missing}, and OFFHOOK_REQUIRE_PEERS is set"
    );
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {missing}");
    false
}

fn voice(suffix: &str, rate: f32) -> Box<dyn Engine> {
    let mut voice = voices::open(&format!("piper:{VOICE}{suffix}"), rate).expect("opens");
    voice.warm().expect("warms");
    voice
}

fn said(voice: &mut dyn Engine, text: &str) -> Vec<i16> {
    let mut pcm = Vec::new();
    voice
        .synthesise(text, &mut |chunk| {
            pcm.extend_from_slice(chunk);
            ControlFlow::Continue(())
        })
        .unwrap_or_else(|error| panic!("{text:.40}: {error}"));
    pcm
}

/// Of what sounds; the silence between tones has crossings that mean nothing.
fn zero_crossings_a_second(pcm: &[i16]) -> usize {
    let loud: Vec<i16> = pcm
        .iter()
        .copied()
        .filter(|s| s.unsigned_abs() > 200)
        .collect();
    let crossings = loud
        .windows(2)
        .filter(|pair| (pair[0] < 0) != (pair[1] < 0));
    crossings.count() * 16_000 / loud.len().max(1)
}

#[test]
fn a_sentence_is_said_at_the_level_of_a_phone() {
    if !is_possible("neural sentence") {
        return;
    }
    let pcm = said(
        &mut *voice("", 1.0),
        "Hello there, this is a voice from a file.",
    );
    // Some 35 phonemes, each with a pad, of 11.6 ms each.
    assert!(
        (9_000..24_000).contains(&pcm.len()),
        "{} samples",
        pcm.len()
    );
    let loud: Vec<f64> = pcm
        .chunks(80)
        .map(|block| block.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / 80.0)
        .filter(|power| *power > 10_000.0)
        .collect();
    let rms = (loud.iter().sum::<f64>() / loud.len() as f64).sqrt();
    assert!((2_300.0..4_600.0).contains(&rms), "loudness {rms}");
    let sounds = |sample: &i16| sample.unsigned_abs() > 200;
    assert!(pcm.iter().position(sounds) < Some(480));
    assert!(pcm.iter().rev().position(sounds) < Some(480));
}

#[test]
fn speaker_rate_and_text_are_heard() {
    if !is_possible("neural speaker and rate") {
        return;
    }
    const TEXT: &str = "One sentence for everybody.";
    let low = said(&mut *voice("", 1.0), TEXT);
    assert_eq!(low, said(&mut *voice("#0", 1.0), TEXT));
    let high = said(&mut *voice("#1", 1.0), TEXT);
    let (low_hz, high_hz) = (
        zero_crossings_a_second(&low),
        zero_crossings_a_second(&high),
    );
    assert!(high_hz > low_hz * 3 / 2, "{low_hz}, {high_hz}");
    let fast = said(&mut *voice("", 2.0), TEXT);
    assert!((low.len() * 2 / 5..low.len() * 3 / 5).contains(&fast.len()));
    assert_ne!(
        low,
        said(&mut *voice("", 1.0), "Another one for all of them.")
    );
}

#[test]
fn odd_texts_do_no_harm() {
    if !is_possible("neural odd texts") {
        return;
    }
    let mut voice = voice("", 1.0);
    for (text, sounds) in [
        ("", false),
        (" \n\t ", false),
        ("...?!", false),
        ("👍🏽", false),
        ("a", true),
        ("\u{0}\u{7}bell\u{1b}[0m", true),
        ("[[h@'loU]] <break/> -v de --help", true),
        ("好", true),
        ("One. Two? Three! Four; five: six, (seven) eight.", true),
        (&"long words ".repeat(900), true),
        (&"x".repeat(3_000), true),
    ] {
        assert_eq!(!said(&mut *voice, text).is_empty(), sounds, "{text:.40}");
    }
    // A stopped text leaves the voice able to go on.
    let mut chunks = 0;
    voice
        .synthesise("First sentence here. Second sentence here.", &mut |_| {
            chunks += 1;
            ControlFlow::Break(())
        })
        .expect("stopping is no error");
    assert_eq!(chunks, 1);
    assert!(!said(&mut *voice, "Still here.").is_empty());
}

/// A folder of its own, gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("offhook-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a scratch folder");
        Scratch(folder)
    }

    fn voice(&self, model: &[u8], json: &str) -> String {
        let path = self.0.join("v.onnx");
        std::fs::write(&path, model).expect("a model");
        std::fs::write(self.0.join("v.onnx.json"), json).expect("its description");
        format!("piper:{}", path.display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn hostile_files_are_refused() {
    if !is_possible("neural hostile files") {
        return;
    }
    let scratch = Scratch::new("hostile-voice");
    let whole = std::fs::read(VOICE).expect("the model");
    let json = std::fs::read_to_string(Path::new(VOICE).with_extension("onnx.json"))
        .expect("its description");
    let renamed: Vec<u8> = String::from_utf8_lossy(&whole)
        .replace("input_lengths", "input_lengthy")
        .into_bytes();
    let mut flipped = whole.clone();
    for at in (0..flipped.len()).step_by(17) {
        flipped[at] ^= 0x55;
    }
    let swapped = json.replace("en-us", "xx-nobody");
    for (model, json) in [
        (&b""[..], json.as_str()),
        (b"not a model", &json),
        (&whole[..whole.len() / 2], &json),
        (&flipped, &json),
        (&renamed, &json),
        (&whole, &swapped),
    ] {
        let mut voice = voices::open(&scratch.voice(model, json), 1.0).expect("opens");
        let error = voice.warm().expect_err("cannot be used");
        assert!(
            matches!(error, TtsError::VoiceUnavailable { .. }),
            "{error}"
        );
        // It is no better asked to speak at once.
        assert!(
            voice
                .synthesise("Hello", &mut |_| ControlFlow::Continue(()))
                .is_err()
        );
    }
    // Numbers beyond what the model knows are for the model to refuse, or to speak.
    let beyond = json.replace("[20]", "[65535]");
    let mut voice = voices::open(&scratch.voice(&whole, &beyond), 1.0).expect("opens");
    let _ = voice.warm();
}
