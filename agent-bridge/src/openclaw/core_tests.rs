//! Tests of `core` and of the link and the runs in it, on virtual time: what is written, what is told, when.

use serde_json::{Value, json};

use super::*;
use crate::openclaw::link::{BACKOFF_MAX, REQUESTS_MAX};
use crate::openclaw::runs::{RESUME_MAX, RUNS_MAX};

#[path = "core_approvals_tests.rs"]
mod approvals;
#[path = "core_companion_tests.rs"]
mod companion;
#[path = "core_link_tests.rs"]
mod linking;
#[path = "core_repeat_tests.rs"]
mod repeating;

const KEY: &str = "agent:main:voice:phone1";

struct World {
    core: Core,
    now: Instant,
    boot: String,
}

impl World {
    fn new(token: &str, device_token: &str) -> World {
        let config = LinkConfig {
            name: "Offhook".to_owned(),
            token: token.to_owned(),
            device_token: device_token.to_owned(),
            backoff_max: BACKOFF_MAX,
        };
        let key = DeviceKey::from_seed(&[3; 32]).expect("any seed is a key");
        let now = Instant::now();
        World {
            core: Core::new(config, key, [5; 32], now),
            now,
            boot: "boot-1".to_owned(),
        }
    }

    /// Greeted, and nothing left to say.
    fn ready() -> World {
        let mut world = World::new("secret", "");
        world.greet();
        world.outputs();
        world
    }

    fn greet(&mut self) {
        self.core.handle(self.now, Input::Opened);
        let connect = self.challenged();
        let boot = self.boot.clone();
        self.answer(
            &connect,
            json!({
                "type": "hello-ok", "protocol": 4,
                "server": {"version": "2026.9.6", "bootId": boot},
                "snapshot": {"sessionDefaults": {"defaultAgentId": "main"}},
                "auth": {"scopes": ["operator.read", "operator.write", "operator.approvals"]},
                "policy": {"tickIntervalMs": 30000},
            }),
        );
    }

    /// The request to be let in.
    fn challenged(&mut self) -> Value {
        self.outputs();
        self.event(
            "connect.challenge",
            json!({"nonce": "n1", "ts": 1_700_000_000_000u64}),
        );
        let mut written = self.written();
        assert_eq!(written.len(), 1);
        written.remove(0)
    }

    fn event(&mut self, event: &str, payload: Value) {
        let frame = json!({"type": "event", "event": event, "payload": payload, "seq": 1});
        self.core.handle(self.now, Input::Text(&frame.to_string()));
    }

    fn answer(&mut self, request: &Value, payload: Value) {
        let frame = json!({"type": "res", "id": request["id"], "ok": true, "payload": payload});
        self.core.handle(self.now, Input::Text(&frame.to_string()));
    }

    fn refuse(&mut self, request: &Value, error: Value) {
        let frame = json!({"type": "res", "id": request["id"], "ok": false, "error": error});
        self.core.handle(self.now, Input::Text(&frame.to_string()));
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.core.poll_output()).collect()
    }

    /// The requests among the outputs; the others are dropped.
    fn written(&mut self) -> Vec<Value> {
        let texts = self
            .outputs()
            .into_iter()
            .filter_map(|output| match output {
                Output::Write(text) => Some(text),
                _ => None,
            });
        texts
            .map(|text| serde_json::from_str(&text).expect("our own JSON"))
            .collect()
    }

    /// What runs are told, without their names; the others are dropped.
    fn told(&mut self) -> Vec<RunEvent> {
        let told = self
            .outputs()
            .into_iter()
            .filter_map(|output| match output {
                Output::Run { event, .. } => Some(event),
                _ => None,
            });
        told.collect()
    }

    fn send(&mut self, run: &str, session_key: &str) {
        self.core.handle(
            self.now,
            Input::Send {
                run: run.to_owned(),
                session_key: session_key.to_owned(),
                message: "hello".to_owned(),
                queue_mode: QueueMode::Interrupt,
            },
        );
    }

    fn chat(&mut self, run: &str, session_key: &str, state: &str, text: &str) {
        let message = json!({"role": "assistant", "content": [{"type": "text", "text": text}]});
        let payload =
            json!({"runId": run, "sessionKey": session_key, "state": state, "message": message});
        self.event("chat", payload);
    }

    /// A run that the gateway has taken.
    fn started(&mut self, run: &str) {
        self.send(run, KEY);
        let sent = self.written().remove(0);
        self.answer(&sent, json!({"runId": run, "status": "started"}));
        assert_eq!(self.told(), [RunEvent::Started]);
    }

    fn drop_link(&mut self) {
        self.core
            .handle(self.now, Input::Closed(LinkError::Closed { code: 1006 }));
    }

    /// To the next attempt, which succeeds.
    fn come_back(&mut self) {
        self.pass_to_dial();
        self.greet();
    }

    fn pass_to_dial(&mut self) {
        for _ in 0..10 {
            self.now = self
                .core
                .next_timeout()
                .expect("it will try again")
                .max(self.now);
            self.core.handle(self.now, Input::Timeout);
            if self.outputs().contains(&Output::Dial) {
                return;
            }
        }
        panic!("it never dials");
    }
}

fn text(text: &str) -> RunEvent {
    RunEvent::Text(text.to_owned())
}

#[test]
fn a_reply_streams_to_the_one_who_asked() {
    let mut world = World::ready();
    world.send("r1", KEY);
    let sent = world.written().remove(0);
    assert_eq!(sent["method"], "chat.send");
    assert_eq!(
        sent["params"],
        json!({"sessionKey": KEY, "message": "hello", "idempotencyKey": "r1", "queueMode": "interrupt"})
    );
    world.answer(&sent, json!({"runId": "r1", "status": "started"}));
    world.chat("r1", KEY, "delta", "Let me look.");
    let tool = |phase: &str| json!({"runId": "r1", "stream": "tool", "data": {"phase": phase, "name": "exec", "toolCallId": "c1"}});
    world.event("agent", tool("start"));
    world.event("agent", tool("start"));
    world.event("agent", tool("result"));
    world.chat("r1", KEY, "delta", "Let me look.\n\nIt is");
    world.chat("r1", KEY, "final", "Let me look.\n\nIt is noon.");
    world.chat("r1", KEY, "final", "Let me look.\n\nIt is noon.");
    let tool = |is_over| RunEvent::Tool {
        name: "exec".to_owned(),
        is_over,
    };
    assert_eq!(
        world.told(),
        [
            RunEvent::Started,
            text("Let me look."),
            tool(false),
            tool(true),
            text("\n\nIt is"),
            text(" noon."),
            RunEvent::Done
        ]
    );
    assert_eq!(world.core.runs_open(), 0);
}

#[test]
fn texts_are_pieced_together_whatever_comes() {
    type Frame = (&'static str, Option<&'static str>, bool);
    let check = |frames: &[Frame], expected: &[&str]| {
        let mut world = World::ready();
        world.started("r1");
        for (delta, whole, replaces) in frames {
            let message = whole.map(|whole| json!({"content": [{"type": "text", "text": whole}]}));
            let payload = json!({"runId": "r1", "sessionKey": KEY, "state": "delta", "deltaText": delta,
                                 "replace": replaces, "message": message});
            world.event("chat", payload);
        }
        let told: Vec<String> = world
            .told()
            .into_iter()
            .map(|event| match event {
                RunEvent::Text(text) => text,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, expected, "{frames:?}");
    };
    // Deltas alone, and wholes alone.
    check(
        &[("One", None, false), (" two", None, false)],
        &["One", " two"],
    );
    check(
        &[("", Some("One"), false), ("", Some("One two"), false)],
        &["One", " two"],
    );
    // One was missed, one came twice, one came late.
    check(
        &[
            ("One", Some("One"), false),
            (" four", Some("One two three four"), false),
        ],
        &["One", " two three four"],
    );
    check(
        &[
            ("One", Some("One two"), false),
            ("One", Some("One two"), false),
            ("One", Some("One"), false),
        ],
        &["One two"],
    );
    // White space at the end comes and goes.
    check(
        &[
            ("One. ", None, false),
            ("", Some("One."), false),
            ("", Some("One. Two."), false),
        ],
        &["One. ", "Two."],
    );
    // Taken back: from the sentence that differs.
    check(
        &[
            ("", Some("It is cold. You need a coat"), false),
            ("It is cold. You need none.", None, true),
        ],
        &["It is cold. You need a coat", "\nYou need none."],
    );
    check(
        &[("", Some("One"), false), ("", Some("Two"), true)],
        &["One", "\nTwo"],
    );
    check(&[("", None, false), ("", Some(""), false)], &[]);
}

#[test]
fn two_conversations_do_not_mix() {
    let mut world = World::ready();
    let other = "agent:main:voice:phone2";
    world.send("r1", KEY);
    world.send("r2", other);
    world.outputs();
    world.chat("r2", other, "delta", "for two");
    world.chat("r1", KEY, "delta", "for one");
    world.chat("r9", KEY, "delta", "for nobody");
    world.chat("r1", KEY, "final", "for one");
    let told: Vec<(String, RunEvent)> = world
        .outputs()
        .into_iter()
        .map(|output| match output {
            Output::Run { run, event } => (run, event),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        ("r2", text("for two")),
        ("r1", text("for one")),
        ("r1", RunEvent::Done),
    ];
    assert_eq!(told, expected.map(|(run, event)| (run.to_owned(), event)));
}

#[test]
fn a_reply_nobody_wants_is_aborted_there() {
    let mut world = World::ready();
    world.core.handle(
        world.now,
        Input::Follow {
            session_key: KEY.to_owned(),
        },
    );
    world.started("r1");
    world.chat("r1", KEY, "delta", "word");
    world.outputs();
    world.core.handle(
        world.now,
        Input::Abort {
            run: "r1".to_owned(),
        },
    );
    let abort = world.written().remove(0);
    assert_eq!(abort["method"], "chat.abort");
    assert_eq!(abort["params"], json!({"sessionKey": KEY, "runId": "r1"}));
    world.answer(&abort, json!({"ok": true, "aborted": true}));
    // Neither the reply of anybody nor news.
    world.chat("r1", KEY, "aborted", "word");
    world.chat("r1", KEY, "final", "word");
    assert_eq!(world.outputs(), []);
    // While the link is down the abort waits; a message that was never sent needs none.
    world.started("r2");
    world.drop_link();
    world.core.handle(
        world.now,
        Input::Abort {
            run: "r2".to_owned(),
        },
    );
    world.send("r3", KEY);
    world.core.handle(
        world.now,
        Input::Abort {
            run: "r3".to_owned(),
        },
    );
    world.outputs();
    world.come_back();
    let methods: Vec<Value> = world
        .written()
        .iter()
        .map(|one| one["method"].clone())
        .collect();
    assert_eq!(
        methods,
        ["chat.abort", "exec.approval.list", "plugin.approval.list"]
    );
}

#[test]
fn how_runs_end() {
    let check = |payload: Value, expected: RunEvent| {
        let mut world = World::ready();
        world.started("r1");
        let mut all = json!({"runId": "r1", "sessionKey": KEY});
        all.as_object_mut()
            .expect("an object")
            .extend(payload.as_object().expect("an object").clone());
        world.event("chat", all);
        assert_eq!(world.told(), [expected]);
    };
    let reported = |code: &str| {
        RunEvent::Failed(GatewayError::Reported {
            code: code.to_owned(),
        })
    };
    check(
        json!({"state": "aborted", "stopReason": "rpc"}),
        RunEvent::Aborted,
    );
    check(json!({"state": "final"}), RunEvent::Ignored);
    check(json!({"state": "final", "seq": 1}), RunEvent::Ignored);
    // Its beginning went by while there was no link.
    check(json!({"state": "final", "seq": 6}), RunEvent::Done);
    check(
        json!({"state": "final", "message": {"content": []}}),
        RunEvent::Ignored,
    );
    check(
        json!({"state": "error", "errorMessage": "secret things"}),
        reported("run failed"),
    );
    check(
        json!({"state": "error", "errorKind": "timeout"}),
        reported("timeout"),
    );
    let limited = GatewayError::RateLimited { retry_after: None };
    check(
        json!({"state": "error", "errorKind": "rate_limit"}),
        RunEvent::Failed(limited),
    );
}

#[test]
fn a_refused_message_fails_at_once() {
    let mut world = World::ready();
    world.send("r1", KEY);
    let sent = world.written().remove(0);
    world.refuse(
        &sent,
        json!({"code": "INVALID_REQUEST", "message": "unknown agent"}),
    );
    let refused = LinkError::Refused {
        code: "INVALID_REQUEST".to_owned(),
    };
    assert_eq!(
        world.told(),
        [RunEvent::Failed(GatewayError::Link(refused))]
    );
    // An answer that never comes is one too late.
    world.send("r2", KEY);
    world.outputs();
    world.now += Duration::from_secs(20);
    world.core.handle(world.now, Input::Timeout);
    assert_eq!(
        world.told(),
        [RunEvent::Failed(GatewayError::Link(LinkError::Late))]
    );
}

#[test]
fn a_run_that_was_left_is_news_when_it_ends() {
    let mut world = World::ready();
    world.core.handle(
        world.now,
        Input::Follow {
            session_key: KEY.to_owned(),
        },
    );
    world.started("r1");
    world.core.handle(
        world.now,
        Input::Leave {
            run: "r1".to_owned(),
        },
    );
    world.chat("r1", KEY, "final", "It is built.");
    let news = Output::News {
        session_key: KEY.to_owned(),
        text: "It is built.".to_owned(),
    };
    assert_eq!(world.outputs(), [news]);
}

/// An agent may choose to say nothing; a message that was never taken up is another thing.
#[test]
fn an_empty_end_after_a_beginning_is_an_end() {
    let lifecycle = json!({"runId": "r1", "stream": "lifecycle", "data": {"phase": "start"}});
    let tool = json!({"runId": "r1", "stream": "tool",
        "data": {"phase": "start", "name": "exec", "toolCallId": "c"}});
    let other = json!({"runId": "r2", "stream": "lifecycle", "data": {"phase": "start"}});
    for (first, expected) in [
        (lifecycle, RunEvent::Done),
        (tool, RunEvent::Done),
        (other, RunEvent::Ignored),
    ] {
        let mut world = World::ready();
        world.started("r1");
        world.event("agent", first);
        world.event(
            "chat",
            json!({"runId": "r1", "sessionKey": KEY, "state": "final"}),
        );
        let told = world.told();
        assert_eq!(told.last(), Some(&expected));
        assert!(expected.is_last());
        assert_eq!(world.core.runs_open(), 0);
    }
}

#[test]
fn everything_has_a_bound() {
    let mut world = World::ready();
    let full = RunEvent::Failed(GatewayError::Link(LinkError::Full));
    for n in 0..=RUNS_MAX {
        world.send(&format!("r{n}"), KEY);
    }
    let told = world.told();
    // The requests that found no room fail, as does the run too many.
    let failed = told.iter().filter(|event| **event == full).count();
    assert_eq!(failed, RUNS_MAX + 1 - REQUESTS_MAX + 2);
    assert!(world.core.runs_open() <= REQUESTS_MAX);
}
