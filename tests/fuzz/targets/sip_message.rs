//! Any datagram as a SIP message.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sip::fuzz::parse_message(data));
