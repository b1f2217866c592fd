//! The audit log, waiting approvals and the stop, in a file of their own.

use super::*;
use crate::testing::Scratch;

fn row(n: u64) -> AuditRow {
    AuditRow {
        at_unix_ms: n,
        call: None,
        user: "ann".to_owned(),
        level: "owner".to_owned(),
        channel: "phone".to_owned(),
        kind: "approval decided".to_owned(),
        what: format!("command {n}"),
        result: "denied".to_owned(),
    }
}

#[test]
fn the_log_is_in_order_and_bounded() {
    let scratch = Scratch::new("audit");
    let mut store = Store::open(&scratch.path().join("a.db")).expect("a store");
    for n in 1..=300 {
        store.add_audit(&row(n)).expect("an entry");
    }
    let last = store.audit(3).expect("entries");
    let times: Vec<u64> = last.iter().map(|row| row.at_unix_ms).collect();
    assert_eq!(times, [298, 299, 300]);
    // As if a hundred thousand had followed.
    store
        .connection
        .execute(
            "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'audit'",
            [400 * 256 - 1],
        )
        .expect("a sequence");
    store.add_audit(&row(999)).expect("an entry");
    let left = store.audit(1_000).expect("entries");
    assert_eq!(left.len(), 1);
}

#[test]
fn decisions_of_other_processes() {
    let scratch = Scratch::new("approvals");
    let path = scratch.path().join("a.db");
    let mut store = Store::open(&path).expect("a store");
    let mut other = Store::open(&path).expect("the same store");
    let waiting = ApprovalRow {
        id: "a".to_owned(),
        kind: "exec".to_owned(),
        session: "ann/agent".to_owned(),
        what: "ls\u{1b}".to_owned(),
        place: String::new(),
        asked_unix_ms: 5,
        expires_unix_ms: 9,
        decision: None,
    };
    store.keep_approval(&waiting).expect("kept");
    assert_eq!(other.approvals().expect("rows"), [waiting]);
    assert!(!other.decide_approval("b", true).expect("no such"));
    assert!(other.decide_approval("a", false).expect("decided"));
    assert!(!other.decide_approval("a", true).expect("the first counts"));
    let found = store.approvals().expect("rows");
    assert_eq!(found[0].decision.as_deref(), Some("deny"));
    store.forget_approval("a").expect("forgotten");
    assert!(other.approvals().expect("rows").is_empty());

    assert_eq!(store.freeze().expect("none"), None);
    let first = Freeze {
        since_unix_ms: 7,
        by: "ann".to_owned(),
    };
    store.set_freeze(Some(&first)).expect("set");
    let second = Freeze {
        since_unix_ms: 8,
        by: "cli".to_owned(),
    };
    other.set_freeze(Some(&second)).expect("set again");
    // It outlives the program.
    let again = Store::open(&path).expect("the same store");
    assert_eq!(again.freeze().expect("there"), Some(first));
    other.set_freeze(None).expect("lifted");
    assert_eq!(store.freeze().expect("none"), None);
}
