//! What can be known at each silence, causally: the true words so far, the words that the built-in recogniser hears, how
//! the speech sounds, and what a model of the user's says. Owns running the engines; not how their words are judged.

use std::path::Path;

use anyhow::{Context, Result};
use asr::FRAME_SAMPLES;
use asr::end_of_turn::{EndOfTurnModel, Prosody};
use asr::engine::{Engine, Options};
use asr::whisper::{ModelSource, WhisperConfig, WhisperEngine};

use super::cases::{Case, SAMPLES_PER_MS};

/// When the witnesses are asked, after the last sound.
pub const ASKED_AFTER_MS: [usize; 2] = [80, 200];

/// What is known at one silence, early and late.
pub struct Known {
    pub heard: String,
    /// How sure the recogniser was of that: mean natural logarithm of its tokens' probabilities.
    pub log_probability: f32,
    /// How far the recogniser trusts them, 0 to 1.
    pub certainty: f32,
    pub prosody: [Option<f32>; 2],
    pub model: [Option<f32>; 2],
}

/// The engines that know.
pub struct Witnesses {
    recogniser: WhisperEngine,
    model: Option<EndOfTurnModel>,
}

impl Witnesses {
    /// The built-in recogniser, and the model at `model` if there is one.
    pub fn open(model: Option<&Path>) -> Result<Witnesses> {
        let mut recogniser =
            WhisperEngine::open(&ModelSource::Embedded, &WhisperConfig::default())?;
        recogniser.warm()?;
        let model = model
            .map(|path| EndOfTurnModel::open(path).with_context(|| path.display().to_string()))
            .transpose()?;
        Ok(Witnesses { recogniser, model })
    }

    /// Asks them at every silence of a case.
    pub fn ask(&mut self, case: &Case) -> Result<Vec<Known>> {
        case.silences
            .iter()
            .map(|silence| {
                let until = |after: usize| {
                    let samples = (silence.at_ms + after) * SAMPLES_PER_MS;
                    &case.pcm[..samples.min(case.pcm.len())]
                };
                let prosody = ASKED_AFTER_MS.map(|after| prosody(until(after)));
                let mut model = [None; 2];
                if let Some(session) = &mut self.model {
                    for (slot, after) in model.iter_mut().zip(ASKED_AFTER_MS) {
                        *slot = Some(session.probability(until(after))?);
                    }
                }
                let late = until(ASKED_AFTER_MS[1]);
                let heard = self.recogniser.transcribe(late, &Options::default())?;
                Ok(Known {
                    heard: heard.text,
                    log_probability: heard.avg_logprob,
                    certainty: heard.certainty,
                    prosody,
                    model,
                })
            })
            .collect()
    }
}

fn prosody(pcm: &[i16]) -> Option<f32> {
    let mut rule = Prosody::new();
    for frame in pcm.as_chunks::<FRAME_SAMPLES>().0 {
        rule.push_frame(frame);
    }
    rule.probability()
}
