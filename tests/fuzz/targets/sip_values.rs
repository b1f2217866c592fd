//! Any text as a header value: URI, Via, address, CSeq, credentials.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sip::fuzz::parse_values(data));
