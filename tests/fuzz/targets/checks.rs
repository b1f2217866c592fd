//! Checks of paths, good and bad, from anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz_secure::checks(std::time::Instant::now(), data));
