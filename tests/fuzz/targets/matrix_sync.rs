//! Any octets as what a Matrix homeserver says.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::channels::matrix::fuzz::sync(data));
