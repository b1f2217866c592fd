//! The engine trait: what every recogniser, local or remote or scripted, looks like to the worker. Not here: queues and
//! threads (`worker`), models (`whisper`), scripts (`fake`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::AsrError;
use crate::window::Limits;

/// What a transcript is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// A piece of a voice note or a file: nobody waits on the line. Goes behind everything else and gives its place and
    /// its engine to whatever needs them; its submitter then asks again.
    Note,
    /// A look at an utterance while the caller speaks. May be dropped, at once where the engines are behind; the newest
    /// of a caller replaces the ones before.
    Partial,
    /// The utterance up to a pause that may be its end. Goes before partials and is not dropped for being early or late,
    /// only for a final or a newer job of the same caller.
    Early,
    /// The words of a finished utterance. Never dropped silently.
    #[default]
    Final,
}

/// How to do one transcription. The default is a final that nobody can stop.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What it is for.
    pub kind: Kind,
    /// Set by the owner of the job to stop it: [`AsrError::Cancelled`].
    pub cancelled: Arc<AtomicBool>,
    /// Set by the worker to stop a job whose engine a better one needs: [`AsrError::Superseded`].
    pub preempted: Arc<AtomicBool>,
}

impl Options {
    /// Options for a job of `kind` that ends early when `cancelled` is set.
    pub fn new(kind: Kind, cancelled: Arc<AtomicBool>) -> Options {
        Options {
            kind,
            cancelled,
            preempted: Arc::default(),
        }
    }

    /// Why the engine should stop now, if it should. Engines look at this as often as they can.
    pub fn stop_reason(&self) -> Option<AsrError> {
        if self.cancelled.load(Ordering::Relaxed) {
            Some(AsrError::Cancelled)
        } else if self.preempted.load(Ordering::Relaxed) {
            Some(AsrError::Superseded)
        } else {
            None
        }
    }
}

/// The words of one piece of audio, and how they came about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transcript {
    /// The words, trimmed; empty when nobody spoke.
    pub text: String,
    /// True when the engine, or a gate before it, found no speech. `text` is then empty.
    pub no_speech: bool,
    /// Wall-clock time the engine worked, in milliseconds.
    pub decode_ms: u32,
    /// Length of the audio handed in, in milliseconds.
    pub audio_ms: u32,
    /// Mean natural logarithm of the tokens' probabilities, 0 at best; 0 for an empty text.
    pub avg_logprob: f32,
    /// How far the words can be trusted, 0 to 1: by the engine's own measure, and by whether the voice was long enough
    /// for them. 1 for an empty text.
    pub certainty: f32,
    /// True when the decoder hit its token limit in some window, so that words may be missing from the end of it.
    pub truncated: bool,
}

/// What an engine is, for the status page and for cutting audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Name of the model, for people, such as `mini-en (embedded)` or `ggml-base.en-q5_1.bin`.
    pub model: String,
    /// Language codes the engine was told or trained to hear, such as `en`.
    pub languages: Vec<String>,
    /// True for the model carried inside the program, which knows synthetic voices only.
    pub embedded: bool,
    /// Longest audio heard in one piece, in milliseconds. Longer audio is cut at pauses.
    pub window_ms_max: u32,
    /// How longer audio is cut. Whoever cuts by the same rule beforehand gets the same words.
    pub cut: Limits,
}

/// A recogniser on one thread. It keeps its own state and is used by one job at a time.
pub trait Engine: Send {
    /// Short name for logs, such as `whisper`.
    fn name(&self) -> &str;

    /// What it is.
    fn info(&self) -> EngineInfo;

    /// Does the slow first-time work (loading pages, allocating buffers), so that the first caller does not wait for it.
    /// Called again after a panic, to get back to a known state.
    fn warm(&mut self) -> Result<(), AsrError>;

    /// The words in `pcm`, mono at [`SAMPLE_RATE_HZ`](crate::SAMPLE_RATE_HZ), of any length including none.
    /// Blocks while it works. Fails with [`AsrError::Cancelled`] or [`AsrError::Superseded`] soon after `options` says so.
    fn transcribe(&mut self, pcm: &[i16], options: &Options) -> Result<Transcript, AsrError>;
}
