//! Any octets as what happens at the proxy, in any order.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::proxy::fuzz::orders(data, std::time::Instant::now()));
