//! A recorded call once more, with other settings of the turn machine: what would have been different?
//!
//! The caller does what they did, at the same times. Everything that answers the machine answers as it did
//! in the recording: the recogniser after the same time with the words it heard until then, the agent with
//! the same stream after the question, the voice after the same preparation. Where the machine asks for
//! something that was not asked for in the recording, the nearest that was asked for is taken, and the
//! reply is marked as borrowed. With the recorded settings the result is the recording itself, step by
//! step. What this cannot tell: what a caller would have said to an answer that came earlier.
//!
//! Owns the playing again (`recording`, `rerun`) and the comparison (`turns`); not the machine
//! (`agent_bridge::turn`), not files and words on screen (`commands::replay`).
//! PURE.

mod recording;
mod rerun;
mod turns;

#[cfg(test)]
pub(crate) mod tests;

pub use rerun::{Rerun, rerun};
pub use turns::{Row, TurnFacts, compare, turns};
