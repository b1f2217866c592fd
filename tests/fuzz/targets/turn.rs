//! Any sequence of events for the turn machine.
#![no_main]

use std::time::Instant;

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::fuzz::turn(data, Instant::now()));
