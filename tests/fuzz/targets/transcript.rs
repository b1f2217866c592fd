//! Any letters as a transcript: normalised, compared, judged for its end.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::words_fuzz::transcript(data));
