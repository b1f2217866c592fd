//! The owner's model provider, served to the agent gateway through us (tier A): requests pass byte for byte; those of a
//! call can be foretold and answered before they are made, and end where the caller stopped listening.
//!
//! Pure rooms: `request` (what a request says), `stamp`, `template` (the next request, foretold), `matching`, `frames`,
//! `recording` (an answer as it came), `hearing` (what was heard, in the answer's own bytes), `pacing` (an answer on its
//! way out), `exchange` (one question and its answers), `desk` (all of them). The shell is `shell` (the model's side and
//! the call's) and `server` (the agent gateway's side). Neither bodies nor keys appear in errors or logs.
//!
//! No request leaves for the agent gateway, and no tool can run, before a commit: a guess is a question to the model alone.

pub mod desk;
pub mod exchange;
mod frames;
#[doc(hidden)]
pub mod fuzz;
mod headers;
pub mod hearing;
pub mod matching;
pub mod pacing;
mod page;
pub mod recording;
pub mod request;
mod server;
mod shell;
pub mod stamp;
pub mod template;

#[cfg(test)]
pub(crate) mod shell_tests;

pub use desk::Counts;
pub use exchange::Spoken;
pub use page::{CloudBooks, OnBehalfOf};
pub use shell::{Proxy, ProxyConfig, ProxyError, Reply, Runner};
