//! Any datagram as a STUN request to the SIP port.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sip::fuzz::answer_stun(data));
