//! Any octets as a model's answer on its way through the proxy.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::proxy::fuzz::answer(data));
