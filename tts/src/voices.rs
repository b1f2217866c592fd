//! From a voice's name in the configuration to an engine. Owns the names; not the engines.
//!
//! "flite:slt" and "flite:rms" are part of the program. "piper:/path/to/voice.onnx" is a neural voice from a file, and
//! "piper:/path/to/voice.onnx#3" its speaker 3.

use crate::engine::{Engine, VoiceInfo};
use crate::error::TtsError;
use crate::flite::{FliteEngine, VOICES};

/// The voice used where none is configured.
pub const DEFAULT: &str = "flite:slt";

/// Opens the voice called `name` at `rate` times its own speed; not yet warm.
///
/// Errors: [`TtsError::VoiceUnknown`], [`TtsError::VoiceUnavailable`].
pub fn open(name: &str, rate: f32) -> Result<Box<dyn Engine>, TtsError> {
    match name.split_once(':') {
        Some(("flite", voice)) => Ok(Box::new(FliteEngine::open(voice, rate)?)),
        #[cfg(feature = "neural")]
        Some(("piper", place)) => Ok(Box::new(crate::neural::NeuralEngine::open(place, rate)?)),
        #[cfg(not(feature = "neural"))]
        Some(("piper", _)) => Err(TtsError::VoiceUnavailable {
            name: name.to_owned(),
            reason: "this program was built without the feature `neural`".to_owned(),
        }),
        _ => Err(TtsError::VoiceUnknown {
            name: name.to_owned(),
            known: names().join(", "),
        }),
    }
}

/// What each embedded voice says about itself.
pub fn list() -> Vec<VoiceInfo> {
    VOICES
        .iter()
        .filter_map(|voice| FliteEngine::open(voice, 1.0).ok())
        .map(|engine| engine.info())
        .collect()
}

/// Names that [`open`] takes, for messages.
fn names() -> Vec<String> {
    VOICES
        .iter()
        .map(|voice| format!("flite:{voice}"))
        .chain(["piper:/path/to/voice.onnx".to_owned()])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_open_what_they_say() {
        for (name, opens) in [
            (DEFAULT, true),
            ("flite:slt", true),
            ("flite:rms", true),
            ("flite:", false),
            ("flite:nobody", false),
            ("slt", false),
            ("", false),
            ("wavenet:x", false),
        ] {
            let opened = open(name, 1.0);
            assert_eq!(opened.is_ok(), opens, "{name}");
            if let Err(error) = opened {
                assert!(error.to_string().contains("flite:slt"), "{error}");
            }
        }
    }

    #[test]
    fn a_voice_from_a_file_says_what_is_missing() {
        let error = open("piper:/nowhere/voice.onnx", 1.0)
            .map(|_| ())
            .unwrap_err();
        assert!(
            matches!(error, TtsError::VoiceUnavailable { .. }),
            "{error}"
        );
    }

    #[test]
    fn the_list_can_be_opened() {
        for info in list() {
            assert_eq!(open(&info.name, 1.0).map(|e| e.info()).ok(), Some(info));
        }
    }
}
