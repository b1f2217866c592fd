//! Approvals: told once, decided once.

use super::*;

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
