//! Any octets as a SIP stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sip::fuzz::frame_stream(data));
