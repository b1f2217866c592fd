//! Any words over any words of ours.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::words_fuzz::interjection(data));
