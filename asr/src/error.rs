//! What can go wrong between sound and words, one variant per decision a caller makes. Not here: the reasons a model file
//! is refused, which stand in `model_file`.

use std::path::PathBuf;

/// Why there is no transcript, or no engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AsrError {
    /// The job's `cancelled` flag was set. Nothing is wrong; forget the job.
    #[error("cancelled")]
    Cancelled,
    /// A newer partial, or the final, of the same caller took this partial's place. Forget the job.
    #[error("superseded by a newer job of the same caller")]
    Superseded,
    /// The queue was full and a final needed the place of this partial. The final will follow.
    #[error("dropped: the recogniser's queue is full")]
    Shed,
    /// The worker is being shut down, or has no engine left.
    #[error("the recogniser is shutting down")]
    ShuttingDown,
    /// No engine was given to the worker.
    #[error("no speech engine configured")]
    NoEngine,
    /// The model file cannot be read.
    #[error("cannot read the speech model {}: {reason}", path.display())]
    ModelUnreadable {
        /// The file named by the caller.
        path: PathBuf,
        /// The operating system's words.
        reason: String,
    },
    /// The model file is damaged, cut short, or no Whisper ggml model.
    #[error("the speech model {model} cannot be used: {reason}")]
    ModelCorrupt {
        /// Path of the file, or the name of the embedded model.
        model: String,
        /// What was found wrong, from `model_file`.
        reason: String,
    },
    /// The model passed our inspection, but whisper.cpp would not load it (most often: not enough memory).
    #[error("whisper.cpp refused the speech model {model}: {reason}")]
    ModelRefused {
        /// Path of the file, or the name of the embedded model.
        model: String,
        /// What whisper.cpp reported.
        reason: String,
    },
    /// The language asked for is not one this model knows.
    #[error("the speech model {model} does not know the language '{language}'")]
    LanguageUnknown {
        /// Path of the file, or the name of the embedded model.
        model: String,
        /// The code that was asked for.
        language: String,
    },
    /// This program was built for another processor; going on would end in an illegal instruction.
    #[error(
        "this build needs a CPU with {missing}, which this machine does not have; build it here, or use a portable build"
    )]
    CpuUnsupported {
        /// The instruction sets compiled in and not present.
        missing: String,
    },
    /// The operating system refused an engine thread.
    #[error("cannot start an engine thread: {reason}")]
    ThreadRefused {
        /// The operating system's words.
        reason: String,
    },
    /// The engine failed on this audio. Another job may succeed.
    #[error("recognition failed: {reason}")]
    EngineFailed {
        /// What the engine reported.
        reason: String,
    },
    /// The engine panicked on this audio. The panic was contained; another job may succeed.
    #[error("the speech engine panicked")]
    EnginePanicked,
}
