//! What can go wrong between words and sound, one variant per decision a caller makes.

/// Why there is no sound, or no voice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TtsError {
    /// No voice goes by this name. The configuration is wrong.
    #[error("no voice is called '{name}'; there are {known}")]
    VoiceUnknown {
        /// What was asked for.
        name: String,
        /// The names there are, for a person to read.
        known: String,
    },
    /// The voice's name is right, but something it needs is not on this machine.
    #[error("the voice '{name}' cannot be used: {reason}")]
    VoiceUnavailable {
        /// What was asked for.
        name: String,
        /// What is missing, and how to get it.
        reason: String,
    },
    /// No engine was given to the worker.
    #[error("no voice configured")]
    NoEngine,
    /// The operating system refused an engine thread.
    #[error("cannot start an engine thread: {reason}")]
    ThreadRefused {
        /// The operating system's words.
        reason: String,
    },
    /// The engine failed on this text. Another job may succeed.
    #[error("synthesis failed: {reason}")]
    EngineFailed {
        /// What the engine reported.
        reason: String,
    },
    /// The engine panicked on this text. The panic was contained; another job may succeed.
    #[error("the voice engine panicked")]
    EnginePanicked,
    /// The worker is being shut down.
    #[error("the voice is shutting down")]
    ShuttingDown,
}
