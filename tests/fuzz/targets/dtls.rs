//! A script of what a line does to a handshake, and of what strangers say on it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz_secure::dtls(std::time::Instant::now(), data));
