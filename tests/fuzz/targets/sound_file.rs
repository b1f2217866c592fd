//! Any octets as a sound file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::read_file(data));
