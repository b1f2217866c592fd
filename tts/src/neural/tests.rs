//! What is checked before a model is loaded. Speaking is tested in `tests/neural.rs`.

use super::*;

#[test]
fn places_fall_into_path_and_speaker() {
    for (place, expected) in [
        ("/v.onnx", ("/v.onnx", None)),
        ("/v.onnx#0", ("/v.onnx", Some(0))),
        ("/v.onnx#17", ("/v.onnx", Some(17))),
        ("/a#b/v.onnx", ("/a#b/v.onnx", None)),
        ("/v.onnx#", ("/v.onnx#", None)),
        ("/v.onnx#-1", ("/v.onnx#-1", None)),
        ("/v.onnx#+1", ("/v.onnx#+1", None)),
        (
            "/v.onnx#99999999999999999999",
            ("/v.onnx#99999999999999999999", None),
        ),
        ("", ("", None)),
    ] {
        assert_eq!(split(place), expected, "{place}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    for (place, expected) in [
        ("".to_owned(), "No such file"),
        (
            "/nowhere/v.onnx".to_owned(),
            "/nowhere/v.onnx: No such file",
        ),
        (data.to_owned(), "is no file"),
        (
            format!("{data}/make_voice.py"),
            "make_voice.py.json: No such file",
        ),
        (
            format!("{data}/tone.onnx#2"),
            "there is no speaker 2: the last of its 2 is 1",
        ),
    ] {
        let error = NeuralEngine::open(&place, 1.0).map(|_| ()).unwrap_err();
        assert!(
            matches!(error, TtsError::VoiceUnavailable { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(expected), "{place}: {error}");
    }
}

#[test]
fn the_name_keeps_speaker_and_rate_apart() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tone.onnx");
    for (speaker, rate, expected) in [
        ("", 1.0, ""),
        ("#1", 1.0, "#1"),
        ("#1", 1.25, "#1@1.25"),
        ("", f32::NAN, ""),
        ("", 100.0, "@2.00"),
    ] {
        let engine = NeuralEngine::open(&format!("{data}{speaker}"), rate).unwrap();
        assert_eq!(engine.name(), format!("piper:{data}{expected}"));
        assert_eq!(engine.info().language, "en-US");
    }
}
