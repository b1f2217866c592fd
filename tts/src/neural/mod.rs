//! Neural voices from a file: VITS models in Piper's format, `voice.onnx` with `voice.onnx.json` beside it. Owns the way
//! from a text to sound; its parts own phonemes, numbers, the model and the sample rate.
//!
//! Needs two things that are no part of the program: espeak-ng, run as a child process, and the library of ONNX Runtime.

pub mod config;
pub mod ids;
pub mod phonemes;
pub mod pieces;
pub mod resample;
mod session;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::SAMPLE_RATE_HZ;
use crate::engine::{Engine, Sink, VoiceInfo};
use crate::error::TtsError;
use crate::flite::{RATE_MAX, RATE_MIN};
use crate::level::{Shaper, gain_for};
use config::{CONFIG_BYTES_MAX, Phonemes, Scales, VoiceConfig};
use phonemes::PhonemeError;
use pieces::Piece;
use resample::Resampler;
use session::VoiceSession;

/// Largest model loaded; real ones have 5 to 120 MB.
const MODEL_BYTES_MAX: u64 = 1 << 30;
/// Speech to measure a voice's level by.
const CALIBRATION: &str = "The quick brown fox jumps over the lazy dog, while five wizards watch.";
/// Silence between two sentences of one text: 200 ms, less than a breath between clauses of a reply.
const PAUSE_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 5;
/// 100 ms: how soon a stopped text stops while it is given out.
const CHUNK_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 10;

/// One voice from a file.
#[derive(Debug)]
pub struct NeuralEngine {
    name: String,
    model: PathBuf,
    config: VoiceConfig,
    speaker: u32,
    scales: Scales,
    resampler: Resampler,
    ready: Option<Ready>,
}

/// What the first use loads.
#[derive(Debug)]
struct Ready {
    session: VoiceSession,
    gain: f32,
}

impl NeuralEngine {
    /// The voice at `place`, "/path/to/voice.onnx" or "/path/to/voice.onnx#3" for speaker 3 of several, at `rate` times
    /// its own speed. Reads the description only; the model is loaded by [`Engine::warm`].
    ///
    /// Errors: [`TtsError::VoiceUnavailable`] says what is missing or wrong.
    pub fn open(place: &str, rate: f32) -> Result<NeuralEngine, TtsError> {
        let voice = format!("piper:{place}");
        let unavailable = |reason: String| TtsError::VoiceUnavailable {
            name: voice.clone(),
            reason,
        };
        let (path, speaker) = split(place);
        let model = PathBuf::from(path);
        let size =
            std::fs::metadata(&model).map_err(|error| unavailable(format!("{path}: {error}")))?;
        if !size.is_file() || size.len() > MODEL_BYTES_MAX {
            return Err(unavailable(format!(
                "{path} is no file of at most {MODEL_BYTES_MAX} bytes"
            )));
        }
        let beside = format!("{path}.json");
        let json = read(Path::new(&beside)).map_err(|error| {
            unavailable(format!(
                "{beside}: {error}. It comes with the voice and belongs beside its model"
            ))
        })?;
        let config =
            config::parse(&json).map_err(|error| unavailable(format!("{beside}: {error}")))?;
        let speaker = speaker.unwrap_or(0);
        if speaker >= u64::from(config.speakers) {
            return Err(unavailable(format!(
                "there is no speaker {speaker}: the last of its {} is {}",
                config.speakers,
                config.speakers - 1
            )));
        }
        let Some(resampler) = Resampler::new(config.sample_rate_hz) else {
            return Err(unavailable(format!("{} Hz", config.sample_rate_hz)));
        };
        let rate = if rate.is_finite() {
            rate.clamp(RATE_MIN, RATE_MAX)
        } else {
            1.0
        };
        let name = if rate == 1.0 {
            voice
        } else {
            format!("{voice}@{rate:.2}")
        };
        Ok(NeuralEngine {
            name,
            model,
            speaker: speaker as u32,
            scales: Scales {
                length: config.scales.length / rate,
                ..config.scales
            },
            config,
            resampler,
            ready: None,
        })
    }

    fn unavailable(&self, reason: String) -> TtsError {
        TtsError::VoiceUnavailable {
            name: self.name.clone(),
            reason,
        }
    }

    fn failed(&self, reason: String) -> TtsError {
        TtsError::EngineFailed {
            reason: format!("{}: {reason}", self.name),
        }
    }

    /// Samples of a sentence at [`SAMPLE_RATE_HZ`], unshaped.
    fn speak(&self, session: &mut VoiceSession, sentence: &[Piece]) -> Result<Vec<i16>, TtsError> {
        let spoken = match &self.config.phonemes {
            Phonemes::Espeak(voice) => {
                phonemes::phonemise(voice, sentence).map_err(|error| match error {
                    PhonemeError::Missing => self.unavailable(error.to_string()),
                    _ => self.failed(error.to_string()),
                })?
            }
            Phonemes::Letters => phonemes::letters(sentence),
        };
        let found = self.config.ids.ids(&spoken);
        if found.taken == 0 {
            // Another script: nothing this voice could say.
            return Ok(Vec::new());
        }
        let samples = session
            .run(found.ids, self.scales, self.speaker)
            .map_err(|reason| self.failed(reason))?;
        Ok(self.resampler.resample(&samples))
    }
}

/// What this machine lacks to run neural voices, and where to get it; None when nothing. Loads the library.
pub fn missing() -> Option<String> {
    let espeak = phonemes::check("en-us")
        .err()
        .map(|error| error.to_string());
    espeak.or_else(|| session::check().err())
}

/// Path and speaker of "/path/to/voice.onnx#3".
fn split(place: &str) -> (&str, Option<u64>) {
    match place.rsplit_once('#') {
        Some((path, number)) => match number.parse() {
            Ok(speaker) if number.bytes().all(|b| b.is_ascii_digit()) => (path, Some(speaker)),
            _ => (place, None),
        },
        None => (place, None),
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than allowed, so that the reader of it sees that it is too long.
    File::open(path)?
        .take(CONFIG_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Engine for NeuralEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self) -> VoiceInfo {
        VoiceInfo {
            name: self.name.clone(),
            language: self.config.language.clone(),
            licence: "its own, see where it came from".to_owned(),
            embedded: false,
        }
    }

    fn warm(&mut self) -> Result<(), TtsError> {
        if let Phonemes::Espeak(voice) = &self.config.phonemes {
            phonemes::check(voice).map_err(|error| self.unavailable(error.to_string()))?;
        }
        let mut session = VoiceSession::open(&self.model, self.config.sample_rate_hz)
            .map_err(|reason| self.unavailable(reason))?;
        let mut pcm = Vec::new();
        for sentence in pieces::sentences(CALIBRATION) {
            pcm.extend(self.speak(&mut session, &sentence)?);
        }
        if pcm.iter().all(|&sample| sample == 0) {
            return Err(self.failed("it is silent".to_owned()));
        }
        let gain = gain_for(&pcm);
        self.ready = Some(Ready { session, gain });
        Ok(())
    }

    fn synthesise(&mut self, text: &str, sink: Sink<'_>) -> Result<(), TtsError> {
        if self.ready.is_none() {
            self.warm()?;
        }
        let Some(mut ready) = self.ready.take() else {
            return Err(self.failed("it is not ready".to_owned()));
        };
        let outcome = self.give(&mut ready, text, sink);
        self.ready = Some(ready);
        outcome
    }
}

impl NeuralEngine {
    fn give(&self, ready: &mut Ready, text: &str, sink: Sink<'_>) -> Result<(), TtsError> {
        let mut shaper = Shaper::new(ready.gain);
        let mut shaped = Vec::new();
        for (place, sentence) in pieces::sentences(text).iter().enumerate() {
            let pcm = self.speak(&mut ready.session, sentence)?;
            if place > 0 {
                shaper.push(&[0; PAUSE_SAMPLES], &mut shaped);
            }
            shaper.push(&pcm, &mut shaped);
            for chunk in shaped.chunks(CHUNK_SAMPLES) {
                if sink(chunk).is_break() {
                    return Ok(());
                }
            }
            shaped.clear();
        }
        shaper.finish(&mut shaped);
        if !shaped.is_empty() {
            let _ = sink(&shaped);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
