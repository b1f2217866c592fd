//! A script of packets, good, changed, repeated and made up, for one encrypted stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz_secure::srtp(data));
