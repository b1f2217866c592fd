//! Any datagram as an RTP packet.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::parse_rtp(data));
