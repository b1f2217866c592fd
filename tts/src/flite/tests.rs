//! Tests of the embedded voices: what is said is audible, level, trimmed, early, and stoppable.

use super::*;

/// Speaks and returns all samples and the number of chunks.
fn speak(engine: &mut FliteEngine, text: &str) -> (Vec<i16>, usize) {
    let mut pcm = Vec::new();
    let mut chunks = 0;
    engine
        .synthesise(text, &mut |samples| {
            pcm.extend_from_slice(samples);
            chunks += 1;
            ControlFlow::Continue(())
        })
        .expect("the embedded voice speaks");
    (pcm, chunks)
}

/// flite's noise makes two readings of one text differ a little in where silence begins: 50 ms.
const EDGE: usize = 800;

fn open(voice: &str) -> FliteEngine {
    FliteEngine::open(voice, 1.0).expect("an embedded voice opens")
}

fn rms(pcm: &[i16]) -> f64 {
    let sum: f64 = pcm.iter().map(|&s| f64::from(s).powi(2)).sum();
    (sum / pcm.len().max(1) as f64).sqrt()
}

#[test]
fn sentences_are_audible_level_and_trimmed() {
    for voice in VOICES {
        let mut engine = open(voice);
        for (text, ms) in [
            ("Yes.", 200..900),
            ("Hello, this is Offhook.", 900..2_500),
            ("It is five past seven in the morning.", 1_400..3_500),
            (
                "I have set a timer for ten minutes. I will call out when it ends, if you are still on the line.",
                4_000..8_000,
            ),
        ] {
            let (pcm, _) = speak(&mut engine, text);
            let length_ms = pcm.len() / 16;
            assert!(ms.contains(&length_ms), "{voice}: {text}: {length_ms} ms");
            let level = rms(&pcm);
            assert!(
                (1_600.0..5_000.0).contains(&level),
                "{voice}: {text}: rms {level}"
            );
            let peak = pcm.iter().map(|s| i32::from(*s).abs()).max();
            assert!(peak < Some(32_000), "{voice}: {text}: peak {peak:?}");
            // Something sounds within 30 ms of either end.
            assert!(rms(&pcm[..480]) > 20.0, "{voice}: {text}: starts late");
            assert!(
                rms(&pcm[pcm.len() - 480..]) > 20.0,
                "{voice}: {text}: ends late"
            );
        }
    }
}

#[test]
fn odd_text_does_no_harm() {
    let mut engine = open("slt");
    let long_word = "x".repeat(150);
    let long_text = "word ".repeat(2_000);
    for (text, speaks) in [
        ("", false),
        ("   ", false),
        (" ... !?! -- ", false),
        ("🎉🎉", false),
        ("\u{0}\u{1}\u{2}", false),
        ("日本語", true),
        ("a", true),
        ("<speak>", true),
        ("%s%n%d", true),
        (&long_word, true),
    ] {
        let (pcm, _) = speak(&mut engine, text);
        assert_eq!(!pcm.is_empty(), speaks, "{text:.20}");
    }
    // Ten thousand letters are stopped half way: the rest is not worth the time.
    let mut heard = 0;
    let outcome = engine.synthesise(&long_text, &mut |samples| {
        heard += samples.len();
        match heard > 160_000 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    assert_eq!(outcome, Ok(()));
    assert!((160_000..200_000).contains(&heard));
}

#[test]
fn audio_comes_while_it_is_made() {
    let (pcm, chunks) = speak(
        &mut open("slt"),
        "This sentence has some words, and it is not short.",
    );
    assert!(
        chunks > pcm.len() / 3_200,
        "{chunks} chunks for {} samples",
        pcm.len()
    );
}

#[test]
fn the_rate_changes_the_length() {
    let text = "Speaking slowly takes a longer time.";
    let mut lengths = Vec::new();
    for rate in [0.7, 1.0, 1.5] {
        let mut engine = FliteEngine::open("slt", rate).expect("an embedded voice opens");
        lengths.push(speak(&mut engine, text).0.len());
    }
    assert!(lengths[0] > lengths[1] * 5 / 4, "{lengths:?}");
    assert!(lengths[2] < lengths[1] * 4 / 5, "{lengths:?}");
    for rate in [f32::NAN, f32::INFINITY, -3.0, 0.0, 1e9] {
        assert!(FliteEngine::open("slt", rate).is_ok());
    }
}

#[test]
fn the_same_text_sounds_the_same() {
    let mut engine = open("slt");
    let first = speak(&mut engine, "Once more.").0.len();
    speak(&mut open("rms"), "Something else in between.");
    let again = speak(&mut engine, "Once more.").0.len();
    assert!(again.abs_diff(first) <= EDGE, "{again} after {first}");
}

#[test]
fn threads_take_turns() {
    let texts = ["One.", "Two and three.", "Four, five, and six.", "Seven!"];
    let alone: Vec<usize> = texts
        .iter()
        .map(|text| speak(&mut open("slt"), text).0.len())
        .collect();
    std::thread::scope(|scope| {
        for (at, text) in texts.iter().enumerate() {
            let expected = alone[at];
            let voice = if at % 2 == 0 { "slt" } else { "rms" };
            scope.spawn(move || {
                let mut engine = open(voice);
                for _ in 0..3 {
                    let length = speak(&mut engine, text).0.len();
                    assert!(
                        voice == "rms" || length.abs_diff(expected) <= EDGE,
                        "{text}: {length}, alone {expected}"
                    );
                }
            });
        }
    });
}

#[test]
fn a_panicking_sink_is_an_error_and_the_voice_goes_on() {
    let mut engine = open("slt");
    let outcome = engine.synthesise("Hello there.", &mut |_| panic!("the test says panic"));
    assert_eq!(outcome, Err(TtsError::EnginePanicked));
    assert!(!speak(&mut engine, "Hello there.").0.is_empty());
}
