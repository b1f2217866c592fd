//! Any datagram as a compound RTCP packet.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::parse_rtcp(data));
