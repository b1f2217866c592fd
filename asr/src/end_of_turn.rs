//! How finished speech sounds at a pause: the sound's part in deciding whether the caller's turn is over. Owns the
//! prosody rule ([`Prosody`]), which is always there, and with the feature `neural` an ONNX model of the user's in
//! Smart Turn's format ([`model`]). Not here: what the words say, how long to wait, and the decision itself; those
//! belong to the turn machine's side.

pub mod features;
#[cfg(feature = "neural")]
pub mod mel;
#[cfg(feature = "neural")]
pub mod model;
pub mod pitch;
pub mod prosody;
mod table;
#[cfg(feature = "neural")]
pub mod worker;

pub use features::{FEATURE_NAMES, FEATURES};
#[cfg(feature = "neural")]
pub use model::{EndOfTurnError, EndOfTurnModel};
pub use prosody::Prosody;
#[cfg(feature = "neural")]
pub use worker::EndOfTurnWorker;
