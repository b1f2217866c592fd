//! Any octets as an answer in Markdown.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::channels::fuzz::markdown(data));
