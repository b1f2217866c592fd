//! Any text, in pieces of any size, cut into clauses.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tts::clause::fuzz::split_any(
    data,
    usize::from(data.first().copied().unwrap_or(1))
));
