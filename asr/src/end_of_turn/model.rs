//! An end-of-turn model of the user's, in Smart Turn's format: one input `input_features`, 1 × 80 × 800, one output, a
//! probability or its log odds. Owns finding the library of ONNX Runtime, the session, and reading the output; features
//! are `mel`'s, threads `worker`'s. The library is no part of the program and is looked for when a model is opened.
//!
//! Models of that family name their output `logits` and put a probability there. So the name decides where it says
//! "prob" or "sigmoid"; else the values do: one below 0 or above 1 shows that the model gives log odds, and from then
//! on all its values are read so. A few made sounds are tried when the model is opened to find that out.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::LoadDynamicError;
use ort::environment::{Environment, EnvironmentBuilder};
use ort::session::Session;
use ort::value::Tensor;

use super::mel::{BANDS, FRAMES, LogMel, SAMPLES};

/// Names the library where it is in no usual place.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";
const LIBRARY_NAMES: [&str; 2] = ["libonnxruntime.so", "libonnxruntime.so.1"];
const INPUT: &str = "input_features";
/// Largest model loaded; real ones have 8 to 32 MB.
const MODEL_BYTES_MAX: u64 = 1 << 30;
/// More threads would take cores from the recogniser, which is wanted at the same moment.
const THREADS: usize = 1;

static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Why there is no model, or no probability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndOfTurnError {
    /// The file, or the library to run it, is missing or not what it should be.
    #[error("the end-of-turn model {} cannot be used: {reason}", path.display())]
    Unusable {
        /// The file named by the caller.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// The model failed on this sound. Another may succeed.
    #[error("the end-of-turn model failed: {reason}")]
    Failed {
        /// What it reported.
        reason: String,
    },
    /// A newer question of the same caller took this one's place. Forget it.
    #[error("superseded by a newer question of the same caller")]
    Superseded,
    /// As many callers as may wait were waiting. Go on without the model.
    #[error("the end-of-turn model is busy")]
    Busy,
    /// The worker is being shut down.
    #[error("the end-of-turn worker is shutting down")]
    ShuttingDown,
}

/// How the output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// By the output's name.
    Probability,
    /// No value has been outside 0 to 1 so far.
    ProbabilitySoFar,
    LogOdds,
}

/// A model, loaded.
#[derive(Debug)]
pub struct EndOfTurnModel {
    session: Session,
    mel: LogMel,
    reading: Reading,
}

impl EndOfTurnModel {
    /// Loads the model at `path` and tries it on made sounds. Blocks for as long as that takes.
    ///
    /// Errors: [`EndOfTurnError::Unusable`].
    pub fn open(path: &Path) -> Result<EndOfTurnModel, EndOfTurnError> {
        let unusable = |reason| EndOfTurnError::Unusable {
            path: path.to_owned(),
            reason,
        };
        let size = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?;
        if !size.is_file() || size.len() > MODEL_BYTES_MAX {
            return Err(unusable(format!(
                "no file of at most {MODEL_BYTES_MAX} bytes"
            )));
        }
        let mut model = contained(|| load(path)).map_err(unusable)?;
        for sound in trial_sounds() {
            model
                .probability(&sound)
                .map_err(|error| unusable(error.to_string()))?;
        }
        Ok(model)
    }

    /// How finished the turn sounds, 0 to 1, from its last 8 s: mono at 16 kHz, the pause so far included.
    ///
    /// Errors: [`EndOfTurnError::Failed`].
    pub fn probability(&mut self, pcm: &[i16]) -> Result<f32, EndOfTurnError> {
        let features = self.mel.features(pcm);
        let session = &mut self.session;
        let value = contained(|| {
            let input = Tensor::from_array(([1, BANDS, FRAMES], features)).map_err(text)?;
            let outputs = session.run(ort::inputs![INPUT => input]).map_err(text)?;
            let Some((_, output)) = outputs.iter().next() else {
                return Err("the model gives nothing".to_owned());
            };
            let (_, values) = output.try_extract_tensor::<f32>().map_err(text)?;
            match values {
                [value] if value.is_finite() => Ok(*value),
                [_] => Err("the model gives no number".to_owned()),
                _ => Err(format!("the model gives {} values for one", values.len())),
            }
        })
        .map_err(|reason| EndOfTurnError::Failed { reason })?;
        if self.reading == Reading::ProbabilitySoFar && !(0.0..=1.0).contains(&value) {
            self.reading = Reading::LogOdds;
        }
        Ok(match self.reading {
            Reading::Probability | Reading::ProbabilitySoFar => value.clamp(0.0, 1.0),
            Reading::LogOdds => 1.0 / (1.0 + (-value).exp()),
        })
    }
}

fn load(path: &Path) -> Result<EndOfTurnModel, String> {
    let environment = environment()?;
    let session = Session::builder(&environment)
        .map_err(text)?
        .with_intra_threads(THREADS)
        .map_err(text)?
        // A thread that spins for its next piece of work would take the core from a call's audio.
        .with_intra_op_spinning(false)
        .map_err(text)?
        .commit_from_file(path)
        .map_err(text)?;
    let names: Vec<&str> = session.inputs().iter().map(|input| input.name()).collect();
    if names != [INPUT] {
        return Err(shortened(&format!(
            "it takes [{}], not `{INPUT}`",
            names.join(", ")
        )));
    }
    let output = session
        .outputs()
        .first()
        .map_or(String::new(), |output| output.name().to_lowercase());
    let reading = if output.contains("prob") || output.contains("sigmoid") {
        Reading::Probability
    } else {
        Reading::ProbabilitySoFar
    };
    Ok(EndOfTurnModel {
        session,
        mel: LogMel::new(),
        reading,
    })
}

/// Silence, noise that gets louder, and a hum with pauses.
fn trial_sounds() -> [Vec<i16>; 3] {
    let mut seed = 1_u32;
    let noise = (0..SAMPLES)
        .map(|n| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f64::from((seed >> 16) as i16);
            (value * n as f64 / SAMPLES as f64) as i16
        })
        .collect();
    let hum = (0..SAMPLES / 2)
        .map(|n| {
            let sounds = n / 4_000 % 3 != 2;
            let wave = (n as f64 * 0.05).sin() + (n as f64 * 0.1).sin();
            if sounds { (4_000.0 * wave) as i16 } else { 0 }
        })
        .collect();
    [vec![0; 1_600], noise, hum]
}

/// The library, loaded by the first who asks. A failure is tried again, so that it can be put right meanwhile.
fn environment() -> Result<Environment, String> {
    let mut slot = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*slot {
        return Ok(environment.clone());
    }
    let builder = match std::env::var_os(LIBRARY_VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => ort::init_from(Path::new(&path)).map_err(|error| {
            let reason = match &error {
                LoadDynamicError::Dlopen { error, .. } => error
                    .source()
                    .map_or_else(|| error.to_string(), ToString::to_string),
                other => other.to_string(),
            };
            format!("{LIBRARY_VARIABLE} names no library that can be used: {reason}")
        })?,
        None => find()?,
    };
    let environment = builder
        .with_name("offhook")
        .with_telemetry(false)
        .build()
        .map_err(text)?;
    Ok(slot.insert(environment).clone())
}

/// The library where the operating system's loader finds it.
fn find() -> Result<EnvironmentBuilder, String> {
    LIBRARY_NAMES
        .iter()
        .find_map(|name| ort::init_from(name).ok())
        .ok_or_else(|| {
            format!(
                "{} is not installed. Get ONNX Runtime 1.{} or newer and set {LIBRARY_VARIABLE} to that file",
                LIBRARY_NAMES[0],
                ort::MINOR_VERSION
            )
        })
}

/// The binding asserts where the library breaks its word; that must end in an error too.
fn contained<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("the library of ONNX Runtime is not what it should be".to_owned()))
}

fn text(error: impl std::fmt::Display) -> String {
    shortened(&error.to_string())
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
