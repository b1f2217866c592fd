//! Any octets as what signal-cli sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::channels::fuzz::signal(data));
