//! The model itself, run by ONNX Runtime. Owns finding and loading that library once per process, the session of one
//! voice, its inputs and outputs, and the time a run may take.
//!
//! The library is no part of the program: it is looked for when the first neural voice is made ready.

use std::borrow::Cow;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ort::LoadDynamicError;
use ort::environment::{Environment, EnvironmentBuilder};
use ort::session::{RunOptions, Session, SessionInputValue};
use ort::value::Tensor;

use super::config::Scales;

/// Names the library where it is in no usual place.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";
/// As the loader of the operating system knows it, newest habit first.
const LIBRARY_NAMES: [&str; 2] = ["libonnxruntime.so", "libonnxruntime.so.1"];
/// More threads than these make one sentence hardly faster.
const THREADS_MAX: usize = 4;
/// A run that takes longer is stopped: nobody is still waiting for that sentence.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest sentence, in seconds of speech.
const SECONDS_MAX: usize = 120;

static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// A voice's model, loaded.
#[derive(Debug)]
pub struct VoiceSession {
    session: Session,
    has_speakers: bool,
    samples_max: usize,
}

impl VoiceSession {
    /// Loads the model at `path`, which makes `rate_hz` samples a second. The error is what is missing or wrong.
    pub fn open(path: &Path, rate_hz: u32) -> Result<VoiceSession, String> {
        contained(|| {
            let environment = environment()?;
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let mut builder = Session::builder(&environment)
                .map_err(text)?
                .with_intra_threads(threads.min(THREADS_MAX))
                .map_err(text)?
                // Threads that spin for their next piece of work would take the core from a call's audio.
                .with_intra_op_spinning(false)
                .map_err(text)?;
            let session = builder.commit_from_file(path).map_err(|error| {
                format!("{} is no model that can be loaded: {error}", path.display())
            })?;
            let names: Vec<&str> = session.inputs().iter().map(|input| input.name()).collect();
            for wanted in ["input", "input_lengths", "scales"] {
                if !names.contains(&wanted) {
                    return Err(format!(
                        "{} is no voice: its model takes [{}], but not `{wanted}`",
                        path.display(),
                        shortened(&names.join(", ")),
                    ));
                }
            }
            let has_speakers = names.contains(&"sid");
            Ok(VoiceSession {
                session,
                has_speakers,
                samples_max: rate_hz as usize * SECONDS_MAX,
            })
        })
    }

    /// Speaks phonemes, by number. Samples between −1 and 1 at the voice's rate.
    pub fn run(&mut self, ids: Vec<i64>, scales: Scales, speaker: u32) -> Result<Vec<f32>, String> {
        contained(|| {
            let length = ids.len();
            let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = vec![
                ("input".into(), tensor([1, length], ids)?.into()),
                (
                    "input_lengths".into(),
                    tensor([1], vec![length as i64])?.into(),
                ),
                (
                    "scales".into(),
                    Tensor::from_array((
                        [3_usize],
                        vec![scales.noise, scales.length, scales.noise_w],
                    ))
                    .map_err(text)?
                    .into(),
                ),
            ];
            if self.has_speakers {
                inputs.push(("sid".into(), tensor([1], vec![i64::from(speaker)])?.into()));
            }
            let options = RunOptions::new().map_err(text)?;
            let session = &mut self.session;
            let samples_max = self.samples_max;
            let (done, finished) = sync_channel::<()>(1);
            std::thread::scope(|scope| {
                let options = &options;
                let watch = std::thread::Builder::new().name("tts-watch".to_owned());
                watch
                    .spawn_scoped(scope, move || {
                        // Ends at once when `done` is dropped, by a panic too.
                        if finished.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                            let _ = options.terminate();
                        }
                    })
                    .map_err(text)?;
                let _done = done;
                let outputs = session.run_with_options(inputs, options).map_err(text)?;
                let Some((_, output)) = outputs.iter().next() else {
                    return Err("the model gives nothing".to_owned());
                };
                let (_, samples) = output.try_extract_tensor::<f32>().map_err(text)?;
                if samples.len() > samples_max {
                    return Err(format!("the model speaks longer than {SECONDS_MAX} s"));
                }
                Ok(samples.to_vec())
            })
        })
    }
}

fn tensor<const N: usize>(shape: [usize; N], values: Vec<i64>) -> Result<Tensor<i64>, String> {
    Tensor::from_array((shape, values)).map_err(text)
}

/// Whether the library can be loaded, else what to do about it.
pub fn check() -> Result<(), String> {
    contained(|| environment().map(drop))
}

/// The library, loaded by the first who asks. A failure is tried again, so that it can be put right meanwhile.
fn environment() -> Result<Environment, String> {
    let mut slot = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*slot {
        return Ok(environment.clone());
    }
    let builder = match std::env::var_os(LIBRARY_VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => ort::init_from(Path::new(&path)).map_err(|error| {
            format!(
                "{LIBRARY_VARIABLE} names no library that can be used: {}. {}",
                reason(&error),
                advice()
            )
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
    let mut unusable = String::new();
    for name in LIBRARY_NAMES {
        match ort::init_from(name) {
            Ok(builder) => return Ok(builder),
            Err(LoadDynamicError::Dlopen { .. }) => {}
            Err(error) => unusable = format!(" ({error})"),
        }
    }
    Err(format!(
        "{} is not installed{unusable}. {}",
        LIBRARY_NAMES[0],
        advice()
    ))
}

/// What the loader says, which the binding keeps to itself.
fn reason(error: &LoadDynamicError) -> String {
    match error {
        LoadDynamicError::Dlopen { error, path } => match error.source() {
            Some(source) => source.to_string(),
            None => format!("{}: {error}", path.display()),
        },
        other => other.to_string(),
    }
}

fn advice() -> String {
    format!(
        "Get ONNX Runtime 1.{} or newer from its releases, from the Python package onnxruntime \
         (onnxruntime/capi/libonnxruntime.so.1.*) or from your distribution, and set {LIBRARY_VARIABLE} to that file",
        ort::MINOR_VERSION
    )
}

/// The binding asserts where the library breaks its word; that must end in an error too.
fn contained<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("the library of ONNX Runtime is not what it should be".to_owned()))
}

/// In its own words, though not in all of them: a model's names are in there.
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
