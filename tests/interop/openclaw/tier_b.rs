//! OpenClaw with our companion plugin: what its model sees of a conversation is what was spoken and heard, word for word, and
//! no note of ours; and the plugin refuses what is none of its business.

use std::path::Path;
use std::time::Duration;

use agent_bridge::gateways::Gateway as _;
use agent_bridge::gateways::openclaw::OpenClaw;
use serde_json::{Value, json};

use super::claw::{Claw, TOKEN};
use super::installed::installed;
use super::model::{Model, conversation_of, is_count, words_of_a_person};
use super::{DONE, ask, first_text, phone_line, whole};
use crate::drill;
use crate::peers::{BARESIP, take_floor};
use crate::process::wait_until;
use crate::sound::{golden, words};

const USER: &str = "phone7";
/// The row of a reply of which nothing was heard.
const NOTHING: &str = "…";
const KEY: &str = "agent:main:voice:phone7";

type Rows = Vec<(String, String)>;

/// Between caller and assistant in turn.
fn rows(lines: &[&str]) -> Rows {
    let roles = ["user", "assistant"].into_iter().cycle();
    let rows = roles.zip(lines);
    rows.map(|(role, text)| (role.to_owned(), (*text).to_owned()))
        .collect()
}

#[test]
fn with_the_companion_plugin_the_transcript_is_what_was_heard() {
    let test = "with_the_companion_plugin_the_transcript_is_what_was_heard";
    let Some(installed) = installed(test) else {
        return;
    };
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let model = Model::counting_lamps();
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/openclaw-plugin");
    let more = json!({ "plugins": { "load": { "paths": [plugin] }, "entries": { "offhook": { "enabled": true } } } });
    let address = format!("http://{}/v1", model.address);
    let claw = Claw::start(installed, (&address, "none"), more);
    let mut talk = Talk {
        gateway: claw.gateway(TOKEN, "device"),
        runtime: tokio::runtime::Runtime::new().expect("a runtime"),
        claw: &claw,
        model: &model,
        lines: Vec::new(),
    };
    talk.it_is_chosen();
    // Called off in mid-reply, after more was written than was heard.
    talk.asks("Please count sheep", Some("3 sheep"), "1 sheep, 2 sheep,");
    talk.asks("And what now", None, "You said: and what now.");
    // Whole there, and cut short here.
    talk.asks("Tell me a long story", None, "You said:");
    talk.asks("Go on", None, "You said: go on.");
    // Called off before anything was heard.
    talk.asks("Please count goats", Some("1 goats"), NOTHING);
    talk.asks("Something else", None, "You said: something else.");
    // Whole there, and nothing of it was heard.
    talk.asks("Say it again", None, NOTHING);
    talk.asks("What was that", None, "You said: what was that.");
    // Somebody else answered meanwhile.
    for line in ["Who is there", "It is me.", "And who else", "Nobody."] {
        talk.lines.push(line.to_owned());
    }
    talk.asks("Thank you", None, "You said: thank you.");
    hostile_requests_are_refused(&claw);
    talk.is_held();
    a_call_is_held_as_it_was_heard(&claw, &model);
}

/// On a phone, with an answer that is spoken over: OpenClaw's transcript and its model's next request hold what was heard.
fn a_call_is_held_as_it_was_heard(claw: &Claw, model: &Model) {
    let offhook = phone_line("tier-b", claw, "");
    let says = [
        (4_000, golden("Turn the office lamp up")),
        (6_000, golden("What is six times twelve")),
    ];
    let (messages, _) = drill::call(&offhook, &says, 30);
    let user = offhook.first_phone().user;
    let held = claw.history(&format!("agent:main:voice:{user}"));
    let context = || format!("{messages:#?}\n{held:#?}\n{}", offhook.log_tail());
    let said = |who: &str| -> Vec<Vec<String>> {
        let texts = drill::said(&messages, who);
        texts.iter().map(|text| words(text)).collect()
    };
    let rows = |role: &str| -> Vec<Vec<String>> {
        let rows = held.iter().filter(|(who, _)| who == role);
        rows.map(|(_, text)| words(&words_of_a_person(text)))
            .collect()
    };
    assert_eq!(rows("user"), said("caller"), "{}", context());
    assert_eq!(rows("assistant"), said("assistant"), "{}", context());
    let counted = said("assistant").into_iter();
    let counted = counted.filter(|text| is_count(text));
    let counted: Vec<usize> = counted.map(|text| text.len()).collect();
    assert!(matches!(counted[..], [2..150]), "{}", context());
    let last = model.seen().pop().expect("a question").request;
    assert!(
        !last["messages"]
            .to_string()
            .contains("You were interrupted"),
        "{last}"
    );
}

/// One conversation, as it was spoken.
struct Talk<'a> {
    gateway: OpenClaw,
    runtime: tokio::runtime::Runtime,
    claw: &'a Claw,
    model: &'a Model,
    lines: Vec<String>,
}

impl Talk<'_> {
    fn it_is_chosen(&self) {
        self.runtime.block_on(self.gateway.check()).expect("a link");
        let standing = self.gateway.standing().expect("it has one");
        assert!(
            standing.ends_with("tier B, companion plugin 1.0.0"),
            "{standing}\n{}",
            self.claw.tail()
        );
    }

    /// Says `question`; of the reply `heard` is heard. It is called off when so much of it was written. None: at its end.
    fn asks(&mut self, question: &str, until: Option<&str>, heard: &str) {
        self.lines.push(question.to_owned());
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        self.runtime.block_on(async {
            let (asked, mut told) = ask(&self.gateway, USER, &lines);
            if let Some(until) = until {
                let mut text = String::new();
                while !text.contains(until) {
                    text += &first_text(&mut told).await;
                }
                drop(asked);
            } else {
                assert_eq!(whole(&mut told).await.end, DONE);
            }
        });
        if until.is_some() {
            let is_cut = || {
                self.model
                    .seen()
                    .iter()
                    .any(|seen| seen.question == question && seen.was_cut)
            };
            assert!(
                wait_until(Duration::from_secs(20), is_cut),
                "{:?}",
                self.model.seen()
            );
        }
        // The model saw what was spoken before this, each row once, and no note.
        let seen = self.model.seen().pop().expect("a question");
        assert_eq!(
            conversation_of(&seen.request),
            rows(&lines),
            "{}\n{}",
            seen.request["messages"],
            self.claw.tail()
        );
        self.lines.push(heard.to_owned());
    }

    /// OpenClaw's own transcript holds the same.
    fn is_held(&self) {
        let held = self.claw.history(KEY);
        let held: Rows = held
            .into_iter()
            .map(|(role, text)| (role, words_of_a_person(&text)))
            .collect();
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        assert_eq!(held, rows(&lines));
    }
}

fn hostile_requests_are_refused(claw: &Claw) {
    let good = json!({
        "sessionKey": KEY, "idempotencyKey": "n-0", "withinMs": 2_000, "rows": [{ "role": "user", "text": "x" }],
    });
    let but = |field: &str, value: Value| {
        let mut params = good.clone();
        params[field] = value;
        params
    };
    let row = |role: &str, text: Value| json!([{ "role": role, "text": text }]);
    for (params, code) in [
        (Value::Null, "OFFHOOK_SESSION"),
        (json!([]), "OFFHOOK_SESSION"),
        (
            but("sessionKey", json!("agent:main:main")),
            "OFFHOOK_SESSION",
        ),
        (
            but("sessionKey", json!("agent:main:voice:nobody")),
            "OFFHOOK_SESSION",
        ),
        (
            but("sessionKey", json!("agent:../x:voice:y")),
            "OFFHOOK_SESSION",
        ),
        (but("sessionKey", json!({})), "OFFHOOK_SESSION"),
        (but("idempotencyKey", json!("a b")), "OFFHOOK_PARAMS"),
        (but("withinMs", json!(1e12)), "OFFHOOK_PARAMS"),
        (but("replaces", json!("no-such-run")), "OFFHOOK_MOVED_ON"),
        (but("replaces", json!(7)), "OFFHOOK_PARAMS"),
        (but("rows", json!("x")), "OFFHOOK_ROWS"),
        (but("rows", json!([])), "OFFHOOK_ROWS"),
        (but("rows", json!([null])), "OFFHOOK_ROWS"),
        (
            but(
                "rows",
                json!(vec![json!({ "role": "user", "text": "x" }); 9]),
            ),
            "OFFHOOK_ROWS",
        ),
        (but("rows", row("system", json!("x"))), "OFFHOOK_ROWS"),
        (but("rows", row("user", json!(" "))), "OFFHOOK_ROWS"),
        (but("rows", row("user", json!(["x"]))), "OFFHOOK_ROWS"),
        (
            but("rows", row("user", json!("x".repeat(16 * 1024 + 1)))),
            "OFFHOOK_ROWS",
        ),
    ] {
        let answer = claw.answers("offhook.append", params.clone());
        let said = (&answer["ok"], &answer["error"]["details"]["code"]);
        assert_eq!(said, (&json!(false), &json!(code)), "{params}: {answer}");
    }
    let answer = claw.answers("offhook.version", json!({ "__proto__": 1 }));
    assert_eq!(answer["payload"], json!({ "version": "1.0.0" }));
}
