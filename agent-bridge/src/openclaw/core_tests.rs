//! Tests of `core` and of the link and the runs in it, on virtual time: what is written, what is told, when.

use serde_json::{Value, json};

use super::*;
use crate::openclaw::link::{BACKOFF_MAX, REQUESTS_MAX};
use crate::openclaw::runs::{RESUME_MAX, RUNS_MAX};

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
fn it_proves_who_it_is_and_is_greeted() {
    let mut world = World::new("secret", "");
    assert_eq!(
        world.outputs(),
        [Output::State(LinkState::Connecting), Output::Dial]
    );
    world.core.handle(world.now, Input::Opened);
    // Before the challenge nothing is said.
    assert_eq!(world.outputs(), []);
    let connect = world.challenged();
    let params = &connect["params"];
    assert_eq!(
        (&connect["type"], &connect["method"]),
        (&json!("req"), &json!("connect"))
    );
    assert_eq!(
        (&params["minProtocol"], &params["maxProtocol"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(params["client"]["id"], "gateway-client");
    assert_eq!(params["client"]["mode"], "backend");
    assert_eq!(
        params["scopes"],
        json!(["operator.read", "operator.write", "operator.approvals"])
    );
    assert_eq!(params["auth"], json!({"token": "secret"}));
    assert_eq!(params["device"]["nonce"], "n1");
    assert_eq!(params["device"]["signedAt"], 1_700_000_000_000u64);
    // A second challenge is no second chance.
    world.event("connect.challenge", json!({"nonce": "n2", "ts": 1}));
    assert_eq!(world.outputs(), []);
    world.answer(
        &connect,
        json!({
            "server": {"version": "2026.9.6", "bootId": "b"},
            "auth": {"scopes": ["operator.read", "operator.write", "operator.approvals"], "deviceToken": "mine"},
        }),
    );
    let outputs = world.outputs();
    assert_eq!(outputs[0], Output::KeepDeviceToken("mine".to_owned()));
    let Output::State(LinkState::Ready(hello)) = &outputs[1] else {
        panic!("{outputs:?}")
    };
    assert_eq!(
        (hello.version.as_str(), hello.protocol, hello.is_paired),
        ("2026.9.6", 4, true)
    );
    assert_eq!(hello.default_agent, "main");
    let methods: Vec<Value> = outputs[2..]
        .iter()
        .map(|output| match output {
            Output::Write(text) => {
                serde_json::from_str::<Value>(text).expect("JSON")["method"].clone()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(methods, ["exec.approval.list", "plugin.approval.list"]);
}

#[test]
fn a_refusal_is_told_and_tried_again_at_its_own_pace() {
    let check = |error: Value, says: &str, seconds: std::ops::Range<f64>| {
        let mut world = World::new("secret", "");
        world.core.handle(world.now, Input::Opened);
        let connect = world.challenged();
        world.refuse(&connect, error);
        let outputs = world.outputs();
        assert_eq!(outputs[0], Output::HangUp, "{says}");
        let Output::State(LinkState::Down(why)) = &outputs[1] else {
            panic!("{outputs:?}")
        };
        assert!(why.to_string().contains(says), "{why}");
        let wait = world.core.next_timeout().expect("another attempt") - world.now;
        assert!(seconds.contains(&wait.as_secs_f64()), "{says}: {wait:?}");
    };
    let details = |code: &str| json!({"code": "INVALID_REQUEST", "details": {"code": code, "expectedProtocol": 5, "requestId": "r-7"}});
    check(details("PROTOCOL_MISMATCH"), "speaks version 5", 48.0..72.1);
    check(
        details("AUTH_TOKEN_MISMATCH"),
        "does not accept the token",
        48.0..72.1,
    );
    check(details("AUTH_TOKEN_MISSING"), "wants a token", 48.0..72.1);
    check(
        details("PAIRING_REQUIRED"),
        "openclaw devices approve r-7",
        4.0..6.1,
    );
    check(
        json!({"code": "UNAVAILABLE", "details": {"reason": "startup-sidecars"}, "retryAfterMs": 500}),
        "still starting",
        0.4..0.61,
    );
    check(json!({"code": "odd; rm -rf"}), "(oddrm-rf)", 0.8..1.21);
    check(json!(null), "refused the request ()", 0.8..1.21);
}

#[test]
fn a_changed_token_is_survived_by_the_devices_own() {
    let mut world = World::new("old", "mine");
    for (expected, can) in [("old", true), ("mine", true), ("old", true)] {
        world.core.handle(world.now, Input::Opened);
        let connect = world.challenged();
        assert_eq!(connect["params"]["auth"]["token"], expected);
        world.refuse(
            &connect,
            json!({"code": "INVALID_REQUEST", "details": {"code": "AUTH_TOKEN_MISMATCH", "canRetryWithDeviceToken": can}}),
        );
        world.pass_to_dial();
    }
    // Without any token the device's own is the first one.
    let mut world = World::new("", "mine");
    world.core.handle(world.now, Input::Opened);
    assert_eq!(world.challenged()["params"]["auth"]["token"], "mine");
    let mut world = World::new("", "");
    world.core.handle(world.now, Input::Opened);
    assert_eq!(world.challenged()["params"].get("auth"), None);
}

#[test]
fn fewer_rights_than_needed_are_no_link() {
    let mut world = World::new("secret", "");
    world.core.handle(world.now, Input::Opened);
    let connect = world.challenged();
    world.answer(&connect, json!({"auth": {"scopes": ["operator.read"]}}));
    assert_eq!(
        world.outputs()[..2],
        [
            Output::HangUp,
            Output::State(LinkState::Down(LinkError::Scopes))
        ]
    );
}

#[test]
fn attempts_grow_rarer_and_somebody_who_waits_hurries_them() {
    let mut world = World::new("secret", "");
    world.outputs();
    let mut waits = Vec::new();
    for _ in 0..8 {
        world.core.handle(
            world.now,
            Input::Closed(LinkError::Unreachable {
                why: "connection refused".to_owned(),
            }),
        );
        waits.push((world.core.next_timeout().expect("another attempt") - world.now).as_secs_f64());
        world.pass_to_dial();
    }
    for (wait, base) in waits
        .iter()
        .zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0])
    {
        assert!(
            (base * 0.79..=base * 1.21).contains(wait),
            "{wait} for {base}"
        );
    }
    world
        .core
        .handle(world.now, Input::Closed(LinkError::Closed { code: 1006 }));
    world.now += Duration::from_millis(400);
    world.core.handle(world.now, Input::Wake);
    assert_eq!(
        world.core.next_timeout(),
        Some(world.now + Duration::from_millis(600))
    );
    // What the owner has to mend is not hurried.
    world.pass_to_dial();
    world
        .core
        .handle(world.now, Input::Closed(LinkError::Token));
    let due = world.core.next_timeout();
    world.core.handle(world.now, Input::Wake);
    assert_eq!(world.core.next_timeout(), due);
}

#[test]
fn silence_is_the_end_of_a_link() {
    let mut world = World::ready();
    let later = |world: &mut World, seconds| {
        world.now += Duration::from_secs(seconds);
        world.core.handle(world.now, Input::Timeout);
    };
    later(&mut world, 40);
    world.event("tick", json!({}));
    later(&mut world, 59);
    let states = world.outputs();
    assert!(
        !states
            .iter()
            .any(|output| matches!(output, Output::State(_))),
        "{states:?}"
    );
    later(&mut world, 1);
    assert_eq!(
        world.outputs()[..2],
        [
            Output::HangUp,
            Output::State(LinkState::Down(LinkError::Silent))
        ]
    );
    // A gateway that accepts and says nothing is none either.
    world.pass_to_dial();
    world.core.handle(world.now, Input::Opened);
    world.now = world
        .core
        .next_timeout()
        .expect("it is not waited for ever");
    world.core.handle(world.now, Input::Timeout);
    assert_eq!(
        world.outputs()[1],
        Output::State(LinkState::Down(LinkError::Late))
    );
    // And one that says something else is something else.
    world.pass_to_dial();
    world.core.handle(world.now, Input::Opened);
    world
        .core
        .handle(world.now, Input::Text("220 mail.example ESMTP"));
    assert_eq!(
        world.outputs()[1],
        Output::State(LinkState::Down(LinkError::NotAGateway))
    );
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
fn a_lost_link_is_resumed_in_mid_reply() {
    let mut world = World::ready();
    world.started("r1");
    world.chat("r1", KEY, "delta", "One");
    world.outputs();
    world.drop_link();
    assert_eq!(world.told(), [RunEvent::Waiting]);
    world.come_back();
    let sent: Vec<Value> = world.written();
    assert_eq!(
        (&sent[0]["method"], &sent[0]["params"]["idempotencyKey"]),
        (&json!("chat.send"), &json!("r1"))
    );
    world.answer(&sent[0], json!({"runId": "r1", "status": "in_flight"}));
    world.chat("r1", KEY, "delta", "One two three");
    world.chat("r1", KEY, "final", "One two three");
    assert_eq!(world.told(), [text(" two three"), RunEvent::Done]);

    // It ended meanwhile: the rest is read from the history.
    world.started("r2");
    world.chat("r2", KEY, "delta", "One");
    world.outputs();
    world.drop_link();
    world.come_back();
    let sent = world.written().remove(0);
    world.answer(&sent, json!({"runId": "r2", "status": "ok"}));
    let history = world.written().remove(0);
    assert_eq!(
        (&history["method"], &history["params"]["sessionKey"]),
        (&json!("chat.history"), &json!(KEY))
    );
    world.answer(
        &history,
        json!({"messages": [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": [{"type": "text", "text": "One and all."}]},
            {"role": "toolResult", "content": []},
        ]}),
    );
    assert_eq!(world.told(), [text(" and all."), RunEvent::Done]);
}

#[test]
fn a_restarted_gateway_is_not_asked_twice() {
    let mut world = World::ready();
    world.core.handle(
        world.now,
        Input::Follow {
            session_key: KEY.to_owned(),
        },
    );
    world.started("seen");
    world.chat("seen", KEY, "delta", "One");
    world.started("unseen");
    world.outputs();
    world.drop_link();
    world.boot = "boot-2".to_owned();
    world.come_back();
    let outputs = world.outputs();
    let cut = Output::Run {
        run: "seen".to_owned(),
        event: RunEvent::Failed(GatewayError::Cut),
    };
    assert!(outputs.contains(&cut), "{outputs:?}");
    let sends = outputs
        .iter()
        .filter(|output| matches!(output, Output::Write(text) if text.contains("chat.send")));
    let sends: Vec<_> = sends.collect();
    assert!(
        matches!(sends[..], [Output::Write(text)] if text.contains("unseen")),
        "{sends:?}"
    );
    // What the gateway makes of it by itself is news.
    world.chat("recovery-1", KEY, "delta", "One tw");
    world.chat("recovery-1", KEY, "final", "One two.");
    world.chat("seen", KEY, "final", "  ");
    world.chat("other", "agent:main:main", "final", "Not here.");
    let news = Output::News {
        session_key: KEY.to_owned(),
        text: "One two.".to_owned(),
    };
    assert_eq!(world.outputs(), [news]);
    world.core.handle(
        world.now,
        Input::Unfollow {
            session_key: KEY.to_owned(),
        },
    );
    world.chat("recovery-2", KEY, "final", "More.");
    assert_eq!(world.outputs(), []);
}

#[test]
fn nobody_waits_for_a_lost_link_for_ever() {
    let mut world = World::ready();
    world.started("r1");
    world.drop_link();
    world.send("r2", KEY);
    world.outputs();
    let lost_at = world.now;
    let mut told = Vec::new();
    while world.now < lost_at + RESUME_MAX {
        world.now = world
            .core
            .next_timeout()
            .expect("something is due")
            .max(world.now);
        world.core.handle(world.now, Input::Timeout);
        let refused = LinkError::Unreachable {
            why: "connection refused".to_owned(),
        };
        world.core.handle(world.now, Input::Closed(refused));
        told.extend(world.told());
    }
    assert_eq!(world.now, lost_at + RESUME_MAX);
    let failed = told
        .iter()
        .filter(|event| matches!(event, RunEvent::Failed(error) if error.is_passing()));
    assert_eq!(failed.count(), 2, "{told:?}");
    // What only the owner can mend is told at once.
    let mut world = World::ready();
    world.started("r1");
    world
        .core
        .handle(world.now, Input::Closed(LinkError::Token));
    assert_eq!(
        world.told(),
        [RunEvent::Failed(GatewayError::Link(LinkError::Token))]
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

fn approval(id: &str, command: &str) -> Value {
    json!({"id": id, "request": {"command": command, "cwd": "/home/o", "host": "gateway", "sessionKey": KEY},
           "createdAtMs": 1_000, "expiresAtMs": 61_000})
}

#[test]
fn approvals_are_told_once_and_decided_once() {
    let mut world = World::new("secret", "");
    world.core.handle(world.now, Input::Opened);
    world.greet();
    let lists = world.written();
    world.answer(&lists[0], json!([approval("a1", "touch x")]));
    world.answer(
        &lists[1],
        json!([{"id": "p1", "request": {"title": "Send", "description": "a letter", "sessionKey": KEY}}]),
    );
    world.event("exec.approval.requested", approval("a1", "touch x"));
    let requested = |id: &str, kind, what: &str, place: &str, seconds| {
        Output::Approval(ApprovalEvent::Requested(ApprovalRequest {
            id: ApprovalId(id.to_owned()),
            kind,
            session: KEY.to_owned(),
            what: what.to_owned(),
            place: place.to_owned(),
            expires_in: Duration::from_secs(seconds),
        }))
    };
    assert_eq!(
        world.outputs(),
        [
            requested(
                "a1",
                ApprovalKind::Exec,
                "touch x",
                "/home/o on gateway",
                60
            ),
            requested("p1", ApprovalKind::Plugin, "Send: a letter", "", 120),
        ]
    );
    let id = ApprovalId("a1".to_owned());
    let resolve = |kind, decision| Input::Resolve {
        ticket: 7,
        id: id.clone(),
        kind,
        decision,
    };
    world
        .core
        .handle(world.now, resolve(ApprovalKind::Exec, Decision::AllowOnce));
    let sent = world.written().remove(0);
    assert_eq!(sent["method"], "exec.approval.resolve");
    assert_eq!(
        sent["params"],
        json!({"id": "a1", "decision": "allow-once"})
    );
    world.answer(&sent, json!({}));
    world.event(
        "exec.approval.resolved",
        json!({"id": "a1", "decision": "allow-once", "resolvedBy": "Offhook"}),
    );
    world.event(
        "exec.approval.resolved",
        json!({"id": "a1", "decision": "deny"}),
    );
    let resolved = |id: &str, decision, by: &str| {
        Output::Approval(ApprovalEvent::Resolved {
            id: ApprovalId(id.to_owned()),
            decision,
            by: by.to_owned(),
        })
    };
    assert_eq!(
        world.outputs(),
        [
            Output::Resolved {
                ticket: 7,
                result: Ok(())
            },
            resolved("a1", Decision::AllowOnce, "Offhook")
        ]
    );
    world
        .core
        .handle(world.now, resolve(ApprovalKind::Plugin, Decision::Deny));
    let sent = world.written().remove(0);
    assert_eq!(
        (&sent["method"], &sent["params"]["decision"]),
        (&json!("plugin.approval.resolve"), &json!("deny"))
    );
    world.refuse(&sent, json!({"code": "INVALID_REQUEST"}));
    let refused = LinkError::Refused {
        code: "INVALID_REQUEST".to_owned(),
    };
    assert_eq!(
        world.outputs(),
        [Output::Resolved {
            ticket: 7,
            result: Err(refused)
        }]
    );
    world
        .core
        .handle(world.now, resolve(ApprovalKind::Tool, Decision::AllowOnce));
    assert!(matches!(
        world.outputs()[..],
        [Output::Resolved { result: Err(_), .. }]
    ));
    // After a restart nothing waits any more.
    world.drop_link();
    world.boot = "boot-2".to_owned();
    world.come_back();
    assert!(
        world
            .outputs()
            .contains(&resolved("p1", Decision::Deny, "gateway restarted"))
    );
    // A decision without a link is an error at once.
    world.drop_link();
    world.outputs();
    world
        .core
        .handle(world.now, resolve(ApprovalKind::Exec, Decision::Deny));
    assert!(matches!(
        world.outputs()[..],
        [Output::Resolved {
            result: Err(LinkError::Unreachable { .. }),
            ..
        }]
    ));
}

#[test]
fn a_run_that_waits_for_approval_says_so() {
    let mut world = World::ready();
    world.started("r1");
    let phase =
        |phase: &str| json!({"runId": "r1", "stream": "lifecycle", "data": {"phase": phase}});
    world.event("agent", phase("waiting-approval"));
    world.event("agent", phase("approval-resolved"));
    world.event("agent", phase("model"));
    assert_eq!(world.told(), [RunEvent::Waiting]);
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
