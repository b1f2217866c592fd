//! Sound to words, as a leaf crate: what the caller said, from frames of 16 kHz PCM.
//!
//! A frame's way through the rooms: [`vad`] says where speech starts and stops, [`utterance`] keeps the sound of it,
//! [`worker`] queues a job for an engine thread, [`whisper`] decodes it (cutting long audio with [`window`], and passing
//! over the [`pieces`] it has heard before) and the words come back as a [`Transcript`]; [`stability`] tells which words
//! of partial ones will stay. Beside that way, [`end_of_turn`] says at a pause how finished the speech sounded.
//! [`model_file`] looks at a model before whisper.cpp may, because whisper.cpp
//! answers a broken file with `abort()`.
//!
//! What is absent: no sockets, no async runtime, no files but the model file named by the caller, no knowledge of calls,
//! turns or the other leaf crates. Only `worker` has threads; only `whisper` has foreign code.

#[cfg(test)]
mod clips;
mod cpu;
pub mod end_of_turn;
pub mod engine;
pub mod error;
pub mod fake;
pub mod model_file;
pub mod pieces;
pub mod plausibility;
pub mod stability;
mod tone;
pub mod utterance;
pub mod vad;
pub mod whisper;
pub mod window;
pub mod worker;

pub use engine::{Engine, EngineInfo, Kind, Options, Transcript};
pub use error::AsrError;
pub use worker::{Job, Worker, WorkerConfig};

/// Sampling rate of all audio in this crate, in hertz: mono, signed 16 bit.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Samples in one 20 ms frame.
pub const FRAME_SAMPLES: usize = 320;

/// Duration of `samples` samples in whole milliseconds.
pub(crate) fn samples_to_ms(samples: usize) -> u32 {
    u32::try_from(samples as u64 * 1_000 / u64::from(SAMPLE_RATE_HZ)).unwrap_or(u32::MAX)
}

/// Samples in `ms` milliseconds.
pub(crate) fn ms_to_samples(ms: u32) -> usize {
    ms as usize * (SAMPLE_RATE_HZ as usize / 1_000)
}
