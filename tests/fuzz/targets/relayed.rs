//! An offer and an answer, in any words, of two phones that talk through us.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sip::fuzz::relay_descriptions(data));
