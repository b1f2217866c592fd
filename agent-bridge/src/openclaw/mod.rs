//! The link to an OpenClaw gateway over its WebSocket (protocol 4): who we are to it, messages and their replies as they
//! stream, late results, and approvals. Owns the connection for all calls together; what a call asks and how its
//! replies are made fit for the ear is `gateways::openclaw`'s.
//!
//! `wire`, `companion`, `identity`, `error`, `link`, `runs` and `core` decide and are pure; `client` and `socket` are the shell around
//! them, `key_file` keeps the device's key.

pub mod client;
pub mod companion;
pub mod core;
pub mod error;
#[doc(hidden)]
pub mod fuzz;
pub mod identity;
pub mod key_file;
pub mod link;
pub mod runs;
mod socket;
pub mod wire;

pub use client::{Client, ClientConfig, ConfigError};
pub use companion::Companion;
pub use error::LinkError;
pub use key_file::{KeyFile, KeyFileError};
pub use link::{Hello, LinkState};
pub use runs::RunEvent;
pub use wire::{PROTOCOL, QueueMode};
