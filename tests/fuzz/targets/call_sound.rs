//! Any sound, listened to for keys; any description of a background, made into noise.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::sound(data));
