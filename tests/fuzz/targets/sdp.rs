//! Any text as a session description and as an offer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sip::fuzz::parse_sdp(data));
