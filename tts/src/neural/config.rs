//! What a voice says about itself in the `.onnx.json` beside its model: sample rate, phonemes, scales, speakers. Owns
//! reading and bounding it; the file may come from anybody. The format is Piper's.
//! PURE.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ids::IdMap;
use super::resample::{RATE_HZ_MAX, RATE_HZ_MIN};

/// Longest description read. Those of real voices have some 10 kB.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;
/// Most phonemes a voice may know, and most numbers one of them may stand for.
const PHONEMES_MAX: usize = 4096;
const IDS_PER_PHONEME_MAX: usize = 8;
const ID_MAX: u64 = 65_535;
const SPEAKERS_MAX: u64 = 65_536;
const NAME_CHARS_MAX: usize = 32;

/// Where the phonemes of a text come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phonemes {
    /// espeak-ng, speaking with this voice of its own, for example "en-us".
    Espeak(String),
    /// The letters of the text are the phonemes.
    Letters,
}

/// What the model is told beside the phonemes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scales {
    /// Variation of the sound.
    pub noise: f32,
    /// Duration: 1.0 as the voice was made, 2.0 half as fast.
    pub length: f32,
    /// Variation of the durations.
    pub noise_w: f32,
}

/// A voice's description, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct VoiceConfig {
    /// Samples per second that the model makes.
    pub sample_rate_hz: u32,
    /// Who turns text into phonemes.
    pub phonemes: Phonemes,
    /// Numbers of the phonemes.
    pub ids: IdMap,
    /// How it speaks unless told otherwise.
    pub scales: Scales,
    /// How many people speak in it, at least 1.
    pub speakers: u32,
    /// BCP 47 tag.
    pub language: String,
}

/// Why a description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Longer than [`CONFIG_BYTES_MAX`].
    #[error("it is longer than {CONFIG_BYTES_MAX} bytes")]
    TooLong,
    /// Not JSON at all.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// A field is missing, or holds what it cannot hold.
    #[error("`{field}` should be {expected}")]
    Field {
        /// Path of the field.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
}

fn wrong<T>(field: &'static str, expected: &'static str) -> Result<T, ConfigError> {
    Err(ConfigError::Field { field, expected })
}

/// Reads a description.
pub fn parse(json: &[u8]) -> Result<VoiceConfig, ConfigError> {
    if json.len() > CONFIG_BYTES_MAX {
        return Err(ConfigError::TooLong);
    }
    let root: Value =
        serde_json::from_slice(json).map_err(|error| ConfigError::NotJson(error.to_string()))?;
    let espeak_voice = root.pointer("/espeak/voice").and_then(Value::as_str);
    let phonemes = match root.get("phoneme_type").map(Value::as_str) {
        None | Some(Some("espeak")) => match espeak_voice {
            Some(voice) if is_name(voice) => Phonemes::Espeak(voice.to_owned()),
            _ => return wrong("espeak.voice", "the name of a voice of espeak-ng"),
        },
        Some(Some("text")) => Phonemes::Letters,
        Some(_) => return wrong("phoneme_type", "\"espeak\" or \"text\""),
    };
    let language = root
        .pointer("/language/code")
        .and_then(Value::as_str)
        .filter(|code| is_name(code))
        .or(espeak_voice.filter(|voice| is_name(voice)))
        .unwrap_or("und")
        .replace('_', "-");
    Ok(VoiceConfig {
        sample_rate_hz: sample_rate(&root)?,
        phonemes,
        ids: id_map(&root)?,
        scales: Scales {
            noise: scale(&root, "inference.noise_scale", 0.667, 0.0, 10.0)?,
            length: scale(&root, "inference.length_scale", 1.0, 0.1, 10.0)?,
            noise_w: scale(&root, "inference.noise_w", 0.8, 0.0, 10.0)?,
        },
        speakers: speakers(&root)?,
        language,
    })
}

/// It becomes an argument of a program, so it must look like nothing else.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+'))
}

fn sample_rate(root: &Value) -> Result<u32, ConfigError> {
    root.pointer("/audio/sample_rate")
        .and_then(Value::as_u64)
        .and_then(|rate| u32::try_from(rate).ok())
        .filter(|rate| (RATE_HZ_MIN..=RATE_HZ_MAX).contains(rate))
        .map_or_else(|| wrong("audio.sample_rate", "between 8000 and 48000"), Ok)
}

fn speakers(root: &Value) -> Result<u32, ConfigError> {
    match root.get("num_speakers") {
        None => Ok(1),
        Some(value) => match value.as_u64() {
            // Voices of one person say 0 or 1.
            Some(count) if count <= SPEAKERS_MAX => Ok((count as u32).max(1)),
            _ => wrong("num_speakers", "a number up to 65536"),
        },
    }
}

fn scale(
    root: &Value,
    field: &'static str,
    default: f32,
    min: f32,
    max: f32,
) -> Result<f32, ConfigError> {
    match root.pointer(&format!("/{}", field.replace('.', "/"))) {
        None => Ok(default),
        Some(value) => match value.as_f64().map(|scale| scale as f32) {
            Some(scale) if (min..=max).contains(&scale) => Ok(scale),
            _ => wrong(field, "a number from 0 to 10, and no length below 0.1"),
        },
    }
}

fn id_map(root: &Value) -> Result<IdMap, ConfigError> {
    const FIELD: &str = "phoneme_id_map";
    let Some(table) = root.get(FIELD).and_then(Value::as_object) else {
        return wrong(FIELD, "a table of phonemes and their numbers");
    };
    if table.len() > PHONEMES_MAX {
        return wrong(FIELD, "a table of at most 4096 phonemes");
    }
    let mut map = BTreeMap::new();
    for (phoneme, numbers) in table {
        let mut letters = phoneme.chars();
        let (Some(letter), None) = (letters.next(), letters.next()) else {
            // Phonemes of several letters belong to other ways of making phonemes than the two known here.
            continue;
        };
        let ids: Option<Vec<i64>> = numbers
            .as_array()
            .filter(|numbers| numbers.len() <= IDS_PER_PHONEME_MAX)
            .and_then(|numbers| numbers.iter().map(id).collect());
        match ids {
            Some(ids) => map.insert(letter, ids),
            None => return wrong(FIELD, "a table of phonemes, each with up to 8 numbers"),
        };
    }
    IdMap::new(map).map_or_else(|| wrong(FIELD, "a table that has `^`, `_` and `$`"), Ok)
}

fn id(value: &Value) -> Option<i64> {
    let id = value.as_u64().filter(|id| *id <= ID_MAX)?;
    i64::try_from(id).ok()
}

/// Bodies for a fuzzer.
#[doc(hidden)]
pub mod fuzz {
    /// Whatever the bytes: an answer within bounds.
    pub fn parse_config(data: &[u8]) {
        if let Ok(config) = super::parse(data) {
            assert!(config.speakers >= 1);
            assert!((8_000..=48_000).contains(&config.sample_rate_hz));
            assert!(config.scales.length > 0.0);
            let _ = config.ids.ids("həlˈoʊ, ^_$ \u{0}");
        }
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
