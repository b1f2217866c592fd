//! Any script of packets and waits for a media session.
#![no_main]

use std::time::Instant;

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::session(Instant::now(), data));
