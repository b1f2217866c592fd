//! Any script of packets, waits and descriptions around a relayed stream.
#![no_main]

use std::time::Instant;

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::relay::fuzz::relay(Instant::now(), data));
