//! Any octets as a speech model.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| asr::model_file::fuzz::inspect(data));
