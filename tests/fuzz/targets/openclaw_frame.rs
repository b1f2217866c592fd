//! Any octets as a frame of an OpenClaw gateway.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::openclaw::fuzz::frame(data));
