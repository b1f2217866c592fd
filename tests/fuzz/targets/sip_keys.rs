//! Any text as lines of keys in a description.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sip::fuzz::read_keys(data));
