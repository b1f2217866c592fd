//! The Wyoming protocol: our ears and voice for Home Assistant, and the way to those of another machine (`remote`).
//! Owns events on TCP and the server. Not the work (`sound_work`).
//!
//! The protocol has no authentication: `[wyoming]` listens on this machine and the tailnet only. Announcing it by zeroconf
//! is left out: Home Assistant is given host and port by hand.
//!
//! Bounds: connections at once, the size of every event, the length of what is heard and spoken, and the time a
//! connection may stand idle. Full: the next connection is closed.

pub mod event;
mod server;
pub mod stream;

pub use server::{Listeners, recording, serve};

#[cfg(test)]
mod tests;
