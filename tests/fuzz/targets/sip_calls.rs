//! Any octets as a play of calls against the whole endpoint.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sip::fuzz_calls::drive_calls(std::time::Instant::now(), data));
