//! The fuzz corpora in the normal run: each entry goes through its target's body once, in no time. What a fuzzer finds is
//! fixed and then added to its corpus. The targets for the fuzzer itself are in `targets/`, five lines each.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

type Body = fn(&[u8]);

/// Target (and corpus folder), its body, and a folder of golden files that belongs to its corpus.
const TARGETS: [(&str, Body, Option<&str>); 40] = [
    ("sip_message", sip::fuzz::parse_message, Some("rfc4475")),
    ("sip_calls", sip_calls, None),
    ("sip_stream", sip::fuzz::frame_stream, Some("rfc4475")),
    ("sip_values", sip::fuzz::parse_values, None),
    ("sip_keys", sip::fuzz::read_keys, None),
    ("sip_text", sip::fuzz::read_instant, None),
    ("relayed", sip::fuzz::relay_descriptions, None),
    ("srtp", media::fuzz_secure::srtp, None),
    ("dtls", dtls, None),
    ("stun", sip::fuzz::answer_stun, None),
    ("checks", checks, None),
    ("sdp", sip::fuzz::parse_sdp, None),
    ("rtp", media::fuzz::parse_rtp, None),
    ("rtcp", media::fuzz::parse_rtcp, None),
    ("dtmf", media::fuzz::parse_dtmf, None),
    ("sound_file", media::fuzz::read_file, Some("speech")),
    ("media_session", media_session, None),
    ("call_sound", media::fuzz::sound, None),
    ("relay", relay, None),
    ("model_file", asr::model_file::fuzz::inspect, None),
    ("turn", turn, None),
    ("transcript", agent_bridge::words_fuzz::transcript, None),
    ("interjection", agent_bridge::words_fuzz::interjection, None),
    ("wait_curve", agent_bridge::words_fuzz::wait_curve, None),
    ("sse", agent_bridge::fuzz::sse, None),
    ("proxy_request", agent_bridge::proxy::fuzz::request, None),
    ("proxy_answer", agent_bridge::proxy::fuzz::answer, None),
    ("proxy_orders", proxy_orders, None),
    ("openclaw_frame", agent_bridge::openclaw::fuzz::frame, None),
    ("openclaw_link", openclaw_link, None),
    (
        "matrix_sync",
        agent_bridge::channels::matrix::fuzz::sync,
        None,
    ),
    (
        "matrix_answer",
        agent_bridge::channels::matrix::fuzz::answer,
        None,
    ),
    ("phone_text", agent_bridge::fuzz::tidy, None),
    ("demo_agent", agent_bridge::fuzz::demo, None),
    ("telegram", agent_bridge::channels::fuzz::telegram, None),
    ("signal_cli", agent_bridge::channels::fuzz::signal, None),
    ("markdown", agent_bridge::channels::fuzz::markdown, None),
    ("tool_text", agent_bridge::tools::fuzz::tool_text, None),
    ("speech_text", tts::text::fuzz::normalise_any, None),
    ("clauses", clauses, None),
];

/// Cores do not read clocks: bodies take their time base from outside.
fn media_session(data: &[u8]) {
    media::fuzz::session(Instant::now(), data);
}

fn sip_calls(data: &[u8]) {
    sip::fuzz_calls::drive_calls(Instant::now(), data);
}

fn dtls(data: &[u8]) {
    media::fuzz_secure::dtls(Instant::now(), data);
}

fn checks(data: &[u8]) {
    media::fuzz_secure::checks(Instant::now(), data);
}

fn relay(data: &[u8]) {
    media::relay::fuzz::relay(Instant::now(), data);
}

fn proxy_orders(data: &[u8]) {
    agent_bridge::proxy::fuzz::orders(data, Instant::now());
}

fn turn(data: &[u8]) {
    agent_bridge::fuzz::turn(data, Instant::now());
}

fn openclaw_link(data: &[u8]) {
    agent_bridge::openclaw::fuzz::sequence(data, Instant::now());
}

/// The first octet is the size of the pieces.
fn clauses(data: &[u8]) {
    tts::clause::fuzz::split_any(data, usize::from(data.first().copied().unwrap_or(1)));
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listing =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<PathBuf> = listing
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file())
        .collect();
    entries.sort();
    entries
}

#[test]
fn corpora_replay() {
    for (target, body, golden) in TARGETS {
        let mut files = entries(&tests().join("fuzz/corpus").join(target));
        assert!(!files.is_empty(), "the corpus of {target} is empty");
        files.extend(
            golden
                .iter()
                .flat_map(|folder| entries(&tests().join("golden").join(folder))),
        );
        for file in files {
            let data = fs::read(&file).expect("a readable corpus entry");
            // A panic in a body says what broke; this says on what.
            let outcome = std::panic::catch_unwind(|| body(&data));
            assert!(outcome.is_ok(), "{target} breaks on {}", file.display());
        }
    }
}

#[test]
fn every_target_is_replayed() {
    let stem = |path: &PathBuf| {
        path.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    };
    let files: BTreeSet<String> = entries(&tests().join("fuzz/targets"))
        .iter()
        .filter_map(stem)
        .collect();
    let replayed: BTreeSet<String> = TARGETS
        .iter()
        .map(|(target, ..)| (*target).to_owned())
        .collect();
    assert_eq!(files, replayed);
    let manifest = fs::read_to_string(tests().join("fuzz/Cargo.toml")).expect("the fuzz manifest");
    for target in replayed {
        assert!(
            manifest.contains(&format!("name = \"{target}\"")),
            "{target} is not in tests/fuzz/Cargo.toml"
        );
    }
}
