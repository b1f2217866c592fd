//! Any octets as a call of a tool and its answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_bridge::tools::fuzz::tool_text(data));
