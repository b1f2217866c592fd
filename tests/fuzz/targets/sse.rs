//! Any octets as a gateway's event stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::fuzz::sse(data));
