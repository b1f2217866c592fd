//! Any script of packets and waits for a media session.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::session(data));
