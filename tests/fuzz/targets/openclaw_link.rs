//! Any behaviour of an OpenClaw gateway.
#![no_main]

use std::time::Instant;

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::openclaw::fuzz::sequence(data, Instant::now()));
