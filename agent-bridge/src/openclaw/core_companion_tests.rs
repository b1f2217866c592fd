//! Our plugin at the gateway: noticed in the greeting, asked for its version before the greeting is told, and given rows.

use super::*;
use crate::openclaw::companion::{PATIENCE, Row, VERSION_PATIENCE};

/// Greeted by a gateway that has the plugin. What was written since, and what was told of the link.
fn greeted() -> (World, Vec<Value>, Vec<LinkState>) {
    let mut world = World::new("secret", "");
    world.core.handle(world.now, Input::Opened);
    let connect = world.challenged();
    world.answer(
        &connect,
        json!({
            "server": {"version": "2026.9.6", "bootId": "b"},
            "auth": {"scopes": ["operator.read", "operator.write", "operator.approvals"]},
            "features": {"methods": ["chat.send", "offhook.version", "offhook.append"]},
        }),
    );
    let (written, states) = parted(world.outputs());
    (world, written, states)
}

fn parted(outputs: Vec<Output>) -> (Vec<Value>, Vec<LinkState>) {
    let (mut written, mut states) = (Vec::new(), Vec::new());
    for output in outputs {
        match output {
            Output::Write(text) => written.push(serde_json::from_str(&text).expect("our own JSON")),
            Output::State(state) => states.push(state),
            _ => {}
        }
    }
    (written, states)
}

fn pass(world: &mut World, time: Duration) {
    world.now += time;
    world.core.handle(world.now, Input::Timeout);
}

fn told(states: &[LinkState]) -> Companion {
    match states {
        [LinkState::Ready(hello)] => hello.companion.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_greeting_is_told_with_the_version_of_the_plugin() {
    for (answer, expected) in [
        (
            json!({"version": "1.2.3"}),
            Companion::Ready("1.2.3".to_owned()),
        ),
        (
            json!({"version": "2.0.0"}),
            Companion::Unfit("2.0.0".to_owned()),
        ),
        (json!(null), Companion::Mute),
    ] {
        let (mut world, written, states) = greeted();
        assert_eq!(states, []);
        assert_eq!(written[0]["method"], "offhook.version");
        world.answer(&written[0], answer);
        assert_eq!(told(&parted(world.outputs()).1), expected);
    }
}

#[test]
fn a_plugin_that_says_nothing_holds_nobody_up_for_long() {
    let (mut world, written, _) = greeted();
    world.refuse(&written[0], json!({"code": "UNAVAILABLE"}));
    assert_eq!(told(&parted(world.outputs()).1), Companion::Mute);
    let (mut world, ..) = greeted();
    pass(&mut world, VERSION_PATIENCE);
    assert_eq!(told(&parted(world.outputs()).1), Companion::Mute);
    // A link that breaks meanwhile was never told as ready.
    let (mut world, ..) = greeted();
    world
        .core
        .handle(world.now, Input::Closed(LinkError::Closed { code: 1006 }));
    let states = parted(world.outputs()).1;
    assert_eq!(states, [LinkState::Down(LinkError::Closed { code: 1006 })]);
}

#[test]
fn rows_are_answered_within_their_time() {
    let mut world = World::ready();
    let append = |ticket| Input::Append {
        ticket,
        rows: Append {
            session_key: KEY.to_owned(),
            idempotency_key: "n-0".to_owned(),
            replaces: Some("r1".to_owned()),
            within_ms: 2_000,
            rows: vec![Row::new("assistant", "1 sheep,")],
        },
    };
    world.core.handle(world.now, append(1));
    let sent = world.written().remove(0);
    assert_eq!(sent["method"], "offhook.append");
    let expected = json!({
        "sessionKey": KEY, "idempotencyKey": "n-0", "replaces": "r1", "withinMs": 2_000,
        "rows": [{"role": "assistant", "text": "1 sheep,"}],
    });
    assert_eq!(sent["params"], expected);
    world.answer(&sent, json!({"appended": 1}));
    let result = Ok(());
    assert_eq!(world.outputs(), [Output::Appended { ticket: 1, result }]);
    // Refused, with the plugin's own word for it.
    world.core.handle(world.now, append(2));
    let sent = world.written().remove(0);
    let details = json!({"code": "OFFHOOK_MOVED_ON"});
    world.refuse(
        &sent,
        json!({"code": "INVALID_REQUEST", "details": details}),
    );
    let code = "OFFHOOK_MOVED_ON".to_owned();
    let result = Err(LinkError::Refused { code });
    assert_eq!(world.outputs(), [Output::Appended { ticket: 2, result }]);
    world.core.handle(world.now, append(3));
    world.written();
    pass(&mut world, PATIENCE);
    let result = Err(LinkError::Late);
    assert_eq!(world.outputs(), [Output::Appended { ticket: 3, result }]);
}
