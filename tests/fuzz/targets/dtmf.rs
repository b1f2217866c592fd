//! Any payload as a telephone-event.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::parse_dtmf(data));
