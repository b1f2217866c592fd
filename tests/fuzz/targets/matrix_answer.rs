//! Any text as an answer that is sent to a Matrix room.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::channels::matrix::fuzz::answer(data));
