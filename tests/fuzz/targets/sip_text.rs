//! Any octets as the body of a MESSAGE; the first one chooses its type.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sip::fuzz::read_instant(data));
