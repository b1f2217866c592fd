//! A curve of any numbers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::words_fuzz::wait_curve(data));
