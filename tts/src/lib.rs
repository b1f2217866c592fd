//! Words to sound. Owns what a voice should say (`text`), how a streamed reply is cut into clauses (`clause`), the voices
//! (`engine`, `flite`, `neural`, `voices`) and the engine threads that all calls share (`worker`, `cache`). Not here: what
//! to say, when to say it, pacing and packets.

pub mod cache;
pub mod clause;
pub mod engine;
pub mod error;
pub mod fake;
pub mod flite;
pub mod level;
#[cfg(feature = "neural")]
pub mod neural;
pub mod text;
pub mod voices;
pub mod worker;

pub use error::TtsError;

/// Samples per second of everything this crate gives out: mono, 16 bit.
pub const SAMPLE_RATE_HZ: u32 = 16_000;
