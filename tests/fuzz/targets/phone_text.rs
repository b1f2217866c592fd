//! Any agent's output as text for speech.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::fuzz::tidy(data));
