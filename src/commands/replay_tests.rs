//! What the command makes of a trace: settings, words, JSON.

use super::*;
use crate::replay::tests::{config, pause_inside, record};

fn settings(set: &[&str]) -> Result<TurnConfig, String> {
    let set: Vec<String> = set.iter().map(|one| (*one).to_owned()).collect();
    with_settings(&config(700), &set).map_err(|error| error.to_string())
}

#[test]
fn settings_are_read_as_the_config_file_would_be() {
    let set = settings(&[
        "turn.wait_ms_sure=300",
        "barge_in = off",
        "turn.idle_prompt_s=7",
    ]);
    let set = set.unwrap();
    assert_eq!((set.wait.sure_ms, set.wait.unsure_ms), (300, 700));
    assert_eq!((set.barge_in, set.idle_prompt_ms), (false, 7_000));
    // What was not named is as it was recorded, not as it is by default.
    assert_eq!((set.strategies.len(), set.filler_after_ms), (0, 1_000));
    let set = settings(&["turn.strategies=text,prosody", "turn.speculation=false"]).unwrap();
    assert_eq!((set.strategies.len(), set.speculation.enabled), (2, false));
    let rows = [
        ("turn.partial_ms=3", "a replay knows no turn.partial_ms"),
        ("turn.wait_ms_sure", "not turn.KEY=VALUE"),
        ("turn.wait_ms_sure=soon", "turn.wait_ms_sure"),
        ("turn.wait_ms_sure=900", "wait_ms"),
    ];
    for (set, expected) in rows {
        let why = settings(&[set]).unwrap_err();
        assert!(why.contains(expected) && !why.contains("OFFHOOK"), "{why}");
    }
}

/// Every key of the table changes exactly what is named after it.
#[test]
fn every_key_acts() {
    for (key, apply) in KEYS {
        let (mut to, from) = (TurnConfig::default(), other_config());
        apply(&mut to, &from);
        assert_ne!(to, TurnConfig::default(), "{key}");
    }
}

fn other_config() -> TurnConfig {
    let mut other = TurnConfig {
        patience_ms_max: 1,
        strategies: Vec::new(),
        barge_in: false,
        barge_in_ms: 1,
        filler_after_ms: 1,
        progress_after_ms: 1,
        reply_timeout_ms: 1,
        idle_prompt_ms: 1,
        idle_hangup_ms: 1,
        ..TurnConfig::default()
    };
    other.wait.sure_ms = 1;
    other.wait.unsure_ms = 1;
    other.wait.unfinished_ms = 1;
    other.speculation.enabled = false;
    other.speculation.guesses_max = 1;
    other.speculation.tokens_wasted_max = 1;
    other
}

#[test]
fn the_table_says_what_would_have_changed() {
    let trace = record(config(700), &pause_inside(), "");
    let set = ["turn.wait_ms_sure=300".to_owned()];
    let report = Report::of(&trace, config(300), &set);
    let text = report.in_words();
    for expected in [
        "with turn.wait_ms_sure=300",
        "Book a table",
        "– → 300",
        "cuts in: the caller goes on after 620 ms",
        "700 → 300",
        "cut-ins        0         1",
        "~ These words",
    ] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["same"], false);
    assert_eq!(json["turns"][0]["recorded"], serde_json::Value::Null);
    assert_eq!(json["turns"][0]["replayed"]["cut_in"], true);
    assert_eq!(json["replayed"]["cut_ins"], 1);
    let same = Report::of(&trace, trace.config.clone(), &set);
    assert!(same.same && same.in_words().contains("same"));
}

#[test]
fn a_replay_that_must_be_the_same_says_so_or_where_it_is_not() {
    let trace = record(config(700), &pause_inside(), "");
    let differences = trace.replay(trace.config.clone(), Instant::now());
    assert!(unchanged(&trace, &differences, false).starts_with("same: "));
    assert!(unchanged(&trace, &differences, true).contains("\"same\":true"));
    let differences = trace.replay(config(900), Instant::now());
    let text = unchanged(&trace, &differences, false);
    assert!(
        text.contains("steps differ") && text.contains("recorded ["),
        "{text}"
    );
    assert!(unchanged(&trace, &differences, true).contains("\"same\":false"));
}
