//! How finished speech sounds at a pause: the sound's part in deciding whether the caller's turn is over. Owns the
//! prosody rule ([`Prosody`]). Not here: what the words say, how long to wait, and the decision itself; those belong to
//! the turn machine's side.

pub mod features;
pub mod pitch;
pub mod prosody;
mod table;

pub use features::{FEATURE_NAMES, FEATURES};
pub use prosody::Prosody;
