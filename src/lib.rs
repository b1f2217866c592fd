//! The program: everything that touches the world. The binary in `main.rs` is a thin start.

pub mod agents;
pub mod api;
pub mod approvals;
pub mod audio_api;
pub mod audit;
pub mod banner;
pub mod bridge;
pub mod call;
pub mod callbacks;
pub mod cli;
pub mod commands;
pub mod config;
pub mod console;
pub mod doctor;
pub mod engines;
pub mod export;
pub mod home;
pub mod hub;
pub mod log;
pub mod mcp;
pub mod models;
pub mod ports;
pub mod proxy;
pub mod records;
pub mod redact;
pub mod relay;
pub mod remote;
pub mod replay;
pub mod resolve;
pub mod routing;
pub mod secrets;
pub mod server;
pub mod signalling;
#[cfg(feature = "talk")]
pub mod sound_card;
pub mod sound_work;
pub mod spend;
pub mod store;
pub mod switchboard;
pub mod tailnet;
pub mod test_caller;
#[cfg(test)]
mod testing;
pub mod waterfall;
pub mod web;
pub mod wyoming;
