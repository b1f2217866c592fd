//! Tests of tier B against a scripted gateway: what is appended before which message, and what happens where that fails.

use std::io::Write as _;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::openclaw::Companion;
use crate::openclaw::companion::{APPEND_METHOD, ROW_BYTES_MAX, ROWS_MAX, VERSION_METHOD};

impl Scripted {
    /// Greeted by a gateway with our plugin of this version.
    async fn greeted_with(&self, version: &str) -> Peer {
        let (mut peer, connect) = self.connected().await;
        let hello = json!({
            "server": {"version": "2026.9.6", "bootId": "b"},
            "auth": {"scopes": ["operator.read", "operator.write", "operator.approvals"]},
            "features": {"methods": [VERSION_METHOD, APPEND_METHOD]},
        });
        peer.answer(&connect, hello).await;
        let asked = peer.request(VERSION_METHOD).await;
        peer.answer(&asked, json!({"version": version})).await;
        peer
    }

    /// Greeted by such a gateway, and one question answered in full. The run's name.
    async fn met(&self, version: &str, question: &str, reply: &str) -> (Peer, String) {
        let (_asked, mut told) = self.ask(&[question]);
        let mut peer = self.greeted_with(version).await;
        let (run, _) = peer.taken().await;
        peer.chat(&run, "final", reply).await;
        all(&mut told).await;
        (peer, run)
    }

    /// Asks, is answered with this much, and calls the rest off. The run's name.
    async fn interrupted(&self, peer: &mut Peer, lines: &[&str], reply: &str) -> String {
        let (asked, mut told) = self.ask(lines);
        let (run, _) = peer.taken().await;
        peer.chat(&run, "delta", reply).await;
        while told.recv().await != Some(text(reply)) {}
        drop((asked, told));
        assert_eq!(peer.request("chat.abort").await["params"]["runId"], *run);
        run
    }
}

fn spoken(role: &str, text: &str) -> Value {
    json!({"role": role, "text": text})
}

async fn refuse(peer: &mut Peer, request: &Value) {
    let error = json!({"code": "INVALID_REQUEST", "details": {"code": "OFFHOOK_MOVED_ON"}});
    peer.send(json!({"type": "res", "id": request["id"], "ok": false, "error": error}))
        .await;
}

/// How long the plugin may take for this request.
fn within_ms(append: &Value) -> u64 {
    append["params"]["withinMs"].as_u64().expect("a number")
}

static SAID: AtomicUsize = AtomicUsize::new(0);

#[tokio::test]
async fn what_was_heard_is_appended_and_the_message_is_clean() {
    let scripted = scripted(OpenClawConfig::default()).await;
    let (mut peer, run) = scripted.met("1.4.0", "hello", "Good day to you.").await;
    let standing = scripted.gateway.standing().unwrap_or_default();
    assert!(
        standing.ends_with("tier B, companion plugin 1.4.0"),
        "{standing}"
    );
    // Whole there and cut short here: the row stands instead of it.
    let first = ["hello", "Good day", "Which soup?"];
    let (asked, mut told) = scripted.ask(&first);
    let append = peer.request(APPEND_METHOD).await;
    let params = &append["params"];
    assert_eq!(
        (&params["sessionKey"], &params["replaces"]),
        (&json!(KEY), &json!(run))
    );
    assert_eq!(params["rows"], json!([spoken("assistant", "Good day")]));
    let within = within_ms(&append);
    assert!((1..=1_800).contains(&within), "{within}");
    peer.answer(&append, json!({"appended": 1})).await;
    let (run, message) = peer.taken().await;
    assert_eq!(message, "Which soup?");
    // Called off before a word of it came: there was no answer, and none stands there.
    assert_eq!(
        told.recv().await,
        Some(GatewayEvent::Progress(Progress::Waiting))
    );
    drop((asked, told));
    assert_eq!(peer.request("chat.abort").await["params"]["runId"], *run);
    let second = ["hello", "Good day", "Which soup?", "", "Any soup."];
    let run = scripted
        .interrupted(&mut peer, &second, "Tomato soup")
        .await;
    // Nothing of what had come was heard.
    let third = [&second[..], &["", "Never mind."]].concat();
    let (asked, told) = scripted.ask(&third);
    let append = peer.request(APPEND_METHOD).await;
    assert_eq!(append["params"]["replaces"], *run);
    assert_eq!(append["params"]["rows"], json!([spoken("assistant", "…")]));
    peer.answer(&append, json!({"appended": 1})).await;
    // Called off before it is known to be taken: what stands there now nobody knows.
    let request = peer.request("chat.send").await;
    assert_eq!(request["params"]["message"], "Never mind.");
    drop((asked, told));
    peer.request("chat.abort").await;
    let fourth = [&third[..], &["", "Or yes."]].concat();
    let (_asked, _told) = scripted.ask(&fourth);
    assert_eq!(peer.taken().await.1, "Or yes.");
}

#[tokio::test]
async fn turns_of_another_gateway_are_appended_once_and_in_order() {
    let scripted = scripted(OpenClawConfig::default()).await;
    let (mut peer, _) = scripted.met("1.0.0", "one", "First.").await;
    let mut lines = vec!["one", "First."];
    for _ in 0..3 {
        lines.extend(["more?", "No."]);
    }
    lines.push("two");
    let (asked, mut told) = scripted.ask(&lines);
    let append = peer.request(APPEND_METHOD).await;
    let turn = [spoken("user", "more?"), spoken("assistant", "No.")];
    assert_eq!(append["params"].get("replaces"), None);
    assert_eq!(
        append["params"]["rows"],
        json!([turn.clone(), turn.clone(), turn].concat())
    );
    peer.answer(&append, json!({"appended": 6})).await;
    // The message is not taken; what was appended is not appended again.
    let request = peer.request("chat.send").await;
    refuse(&mut peer, &request).await;
    assert!(matches!(
        all(&mut told).await[..],
        [GatewayEvent::Failed(_)]
    ));
    drop(asked);
    lines.extend(["Elsewhere.", "three"]);
    let (_asked, _told) = scripted.ask(&lines);
    let append = peer.request(APPEND_METHOD).await;
    let expected = [spoken("user", "two"), spoken("assistant", "Elsewhere.")];
    assert_eq!(append["params"]["rows"], json!(expected));
    peer.answer(&append, json!({"appended": 2})).await;
    assert_eq!(peer.taken().await.1, "three");
}

/// One asks, is gone before the rows are written, and the next one asks for the same rows by the same name.
#[tokio::test]
async fn rows_keep_their_name_until_they_are_written() {
    let scripted = scripted(OpenClawConfig::default()).await;
    let (mut peer, _) = scripted.met("1.0.0", "one", "First.").await;
    let lines: Vec<String> = (0..=2 * ROWS_MAX).map(|n| n.to_string()).collect();
    let lines: Vec<&str> = ["one", "First."]
        .into_iter()
        .chain(lines.iter().map(String::as_str))
        .collect();
    let (asked, told) = scripted.ask(&lines);
    let one = peer.request(APPEND_METHOD).await;
    drop((asked, told));
    let (_asked, _told) = scripted.ask(&lines);
    let again = peer.request(APPEND_METHOD).await;
    for key in ["sessionKey", "idempotencyKey", "rows"] {
        assert_eq!(one["params"][key], again["params"][key]);
    }
    assert_eq!(
        one["params"]["rows"].as_array().map(Vec::len),
        Some(ROWS_MAX)
    );
    peer.answer(&again, json!({})).await;
    let rest = peer.request(APPEND_METHOD).await;
    assert_ne!(
        rest["params"]["idempotencyKey"],
        one["params"]["idempotencyKey"]
    );
    assert_eq!(rest["params"]["rows"][0], spoken("user", "8"));
    peer.answer(&rest, json!({})).await;
    assert_eq!(peer.taken().await.1, "16");
}

/// All requests of one hand-over share its time: what comes too late for that stays out, and a note has to do.
#[tokio::test]
async fn no_row_is_written_behind_the_question() {
    let scripted = scripted(OpenClawConfig::default()).await;
    let (mut peer, _) = scripted.met("1.0.0", "one", "First.").await;
    let lines: Vec<String> = (0..=4 * ROWS_MAX).map(|n| n.to_string()).collect();
    let lines = lines.iter().map(String::as_str);
    let lines: Vec<&str> = ["one", "First."].into_iter().chain(lines).collect();
    let (_asked, _told) = scripted.ask(&lines);
    let one = peer.request(APPEND_METHOD).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    peer.answer(&one, json!({})).await;
    let two = peer.request(APPEND_METHOD).await;
    let left = within_ms(&two);
    assert!(left <= 1_400, "{left}");
    tokio::time::sleep(Duration::from_millis(1_450)).await;
    peer.answer(&two, json!({})).await;
    // No third one.
    assert!(peer.taken().await.1.ends_with("32"));
}

#[tokio::test]
async fn where_the_plugin_does_not_append_a_note_does() {
    let scripted = scripted(OpenClawConfig::default()).await;
    scripted.gateway.log_to(|line| {
        assert!(
            line.contains("OFFHOOK_MOVED_ON") || line.contains("in time"),
            "{line}"
        );
        SAID.fetch_add(1, Ordering::Relaxed);
    });
    let (mut peer, _) = scripted.met("1.0.0", "count", "One two.").await;
    let mut lines = vec!["count", "One", "again"];
    for is_silent in [false, true] {
        let (asked, mut told) = scripted.ask(&lines);
        let append = peer.request(APPEND_METHOD).await;
        if !is_silent {
            refuse(&mut peer, &append).await;
        }
        let (run, message) = peer.taken().await;
        let expected = format!(
            "(You were interrupted; the caller heard: \"One\")\n{}",
            lines.last().unwrap_or(&"")
        );
        assert_eq!(message, expected);
        peer.chat(&run, "final", "One two.").await;
        all(&mut told).await;
        drop(asked);
        lines.extend(["One", "once more"]);
    }
    assert_eq!(SAID.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_plugin_of_another_major_version_is_said_and_not_used() {
    let scripted = scripted(OpenClawConfig::default()).await;
    let (mut peer, _) = scripted.met("2.0.0", "hello", "Good day.").await;
    let standing = scripted.gateway.standing().unwrap_or_default();
    assert!(
        standing.contains("version 2.0.0") && standing.ends_with("(tier C)"),
        "{standing}"
    );
    scripted.interrupted(&mut peer, &["tea?"], "Yes, tea").await;
    let (_asked, _told) = scripted.ask(&["tea?", "Yes,", "why?"]);
    let expected = "(You were interrupted; the caller heard: \"Yes,\")\nwhy?";
    assert_eq!(peer.taken().await.1, expected);
}

/// The plugin itself, against a stand-in for OpenClaw's transcript.
#[test]
fn the_plugin_writes_rows_once_and_all_of_them() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let mut node = std::process::Command::new("node");
    node.arg(format!("{folder}/src/gateways/openclaw/plugin_tests.mjs"))
        .arg(format!("{folder}/../deploy/openclaw-plugin/index.js"));
    let Ok(ran) = node.output() else {
        // Past the test harness, which shows nothing of a test that passes.
        let name = "the_plugin_writes_rows_once_and_all_of_them";
        let _ = writeln!(std::io::stderr(), "SKIPPED {name}: node is not installed");
        assert!(
            std::env::var_os("OFFHOOK_REQUIRE_PEERS").is_none(),
            "{name}"
        );
        return;
    };
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
}

/// The plugin and this program go together; its three places name one version.
#[test]
fn the_plugin_of_this_repository_is_one_that_is_used() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/openclaw-plugin/");
    let read = |file: &str| std::fs::read_to_string(format!("{folder}{file}")).expect(file);
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let (package, manifest) = (
        parse(&read("package.json")),
        parse(&read("openclaw.plugin.json")),
    );
    let script = read("index.js");
    assert!(Companion::said(&package).is_ready());
    assert_eq!(package["version"], manifest["version"]);
    let bound = |name: &str, value: String| format!("const {name} = {value};");
    for line in [
        bound("VERSION", package["version"].to_string()),
        bound("ROWS_MAX", ROWS_MAX.to_string()),
        bound("TEXT_BYTES_MAX", format!("{} * 1024", ROW_BYTES_MAX / 1024)),
    ] {
        assert!(script.contains(&line), "{line}");
    }
    for method in [VERSION_METHOD, APPEND_METHOD] {
        assert!(script.contains(&format!("\"{method}\"")), "{method}");
    }
}
