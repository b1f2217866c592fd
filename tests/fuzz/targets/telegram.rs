//! Any octets as an answer of Telegram's Bot API.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::channels::fuzz::telegram(data));
