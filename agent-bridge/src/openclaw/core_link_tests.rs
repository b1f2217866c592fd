//! The link: who it proves to be, what a refusal leads to, how it breaks and comes back.

use super::*;

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
