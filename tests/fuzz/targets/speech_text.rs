//! Any text for the voice.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tts::text::fuzz::normalise_any(data));
