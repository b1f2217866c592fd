//! Anything said to the built-in agent.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::fuzz::demo(data));
