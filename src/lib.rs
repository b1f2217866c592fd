//! The program: everything that touches the world. The binary in `main.rs` is a thin start.

pub mod config;
pub mod home;
pub mod log;
pub mod models;
pub mod redact;
pub mod secrets;
pub mod store;
pub mod tailnet;
#[cfg(test)]
mod testing;
