//! Any octets as a request to the model proxy.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::proxy::fuzz::request(data));
