//! Registrations, dialogs, bans and counters across the end of a program, and how they share writes.

use std::sync::mpsc;

use sip::{Ban, BanReason, DialogRecord, Flow, Transport};

use super::tests::bindings;
use super::*;
use crate::testing::Scratch;

fn open(scratch: &Scratch) -> Store {
    Store::open(&scratch.path().join("offhook.db")).unwrap()
}

fn dialog(id: &str, transport: Transport) -> DialogRecord {
    DialogRecord {
        id: id.to_owned(),
        call_id: "call".to_owned(),
        local: format!("<sip:100@example.net>;tag={id}"),
        remote: "\"A\" <sip:a@example.net>;tag=1".to_owned(),
        remote_target: "sip:a@192.0.2.7".to_owned(),
        routes: vec!["<sip:192.0.2.9;lr>".to_owned()],
        local_cseq: 4_294_967_295,
        flow: Flow {
            transport,
            local: "[fd7a:115c:a1e0::1]:5060".parse().unwrap(),
            remote: "[fd7a:115c:a1e0::5]:40000".parse().unwrap(),
            conn: None,
        },
        we_connected: transport == Transport::Tcp,
    }
}

fn ban(block: &str, until_unix_ms: u64) -> Ban {
    Ban {
        block: block.parse().unwrap(),
        why: BanReason::Guessing,
        since_unix_ms: 5,
        until_unix_ms,
        times: 2,
    }
}

fn count(name: &str, day: i64, by: u64) -> Lasting {
    Lasting::Count {
        name: name.to_owned(),
        day,
        by,
    }
}

#[test]
fn what_was_kept_is_there_after_the_program() {
    let scratch = Scratch::new("lasting");
    let dialogs: Vec<DialogRecord> = Transport::ALL
        .into_iter()
        .map(|transport| dialog(&format!("d-{transport}"), transport))
        .collect();
    let mut changes: Vec<Lasting> = dialogs.iter().cloned().map(Lasting::Dialog).collect();
    changes.extend([
        Lasting::Dialog(dialog("over", Transport::Udp)),
        Lasting::DialogOver("over".to_owned()),
        Lasting::Ban(ban("192.0.2.7", 100)),
        Lasting::Ban(ban("2001:db8::/64", 200)),
        Lasting::Ban(ban("192.0.2.8", 300)),
        Lasting::BanOver("192.0.2.8".parse().unwrap()),
        count("calls", 20_000, 2),
        count("calls", 20_000, 3),
        count("calls", 20_001, 7),
        count("calls", 19_000, 7),
    ]);
    open(&scratch).keep(&changes).unwrap();
    let mut store = open(&scratch);
    let mut expected = dialogs;
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(store.load_dialogs().unwrap(), expected);
    assert_eq!(store.bans().unwrap().len(), 2);
    assert_eq!(store.load_bans(100).unwrap(), [ban("2001:db8::/64", 200)]);
    assert_eq!(store.load_bans(100).unwrap(), store.bans().unwrap());
    assert_eq!(
        store.load_counters(20_000).unwrap(),
        [("calls".to_owned(), 5)]
    );
    assert_eq!(store.load_counters(19_000).unwrap(), [], "forgotten");
}

#[test]
fn a_group_is_written_once_and_everybody_told() {
    let scratch = Scratch::new("lasting");
    let (handle, thread) = StoreHandle::start(open(&scratch), 64, |_, _| {}).unwrap();
    let (tell, told) = mpsc::channel();
    // While the thread is held, the jobs gather; so they are one group afterwards.
    let (free, held) = mpsc::channel::<()>();
    handle
        .read(move |_| {
            let _ = held.recv();
        })
        .unwrap();
    for number in 0..20 {
        let tell = tell.clone();
        let change = bindings(&format!("user{number}"), &[number]);
        handle
            .keep_then(change, move |saved| tell.send(saved.is_ok()).unwrap())
            .unwrap();
    }
    let other = Store::open(&scratch.path().join("offhook.db")).unwrap();
    let before = other.changes_of_others().unwrap();
    drop(free);
    assert!((0..20).all(|_| told.recv().unwrap()));
    assert_ne!(other.changes_of_others().unwrap(), before);
    assert_eq!(other.load_bindings().unwrap().len(), 20);
    handle.stop();
    thread.join().unwrap();
}

#[test]
fn what_nobody_waits_for_is_written_before_the_end() {
    let scratch = Scratch::new("lasting");
    let (handle, thread) = StoreHandle::start(open(&scratch), 64, |_, _| {}).unwrap();
    handle.keep(count("calls", 20_000, 1)).unwrap();
    handle.keep(Lasting::Ban(ban("192.0.2.7", 100))).unwrap();
    handle.stop();
    thread.join().unwrap();
    let mut store = open(&scratch);
    assert_eq!(
        store.load_counters(20_000).unwrap(),
        [("calls".to_owned(), 1)]
    );
    assert_eq!(store.bans().unwrap(), [ban("192.0.2.7", 100)]);
}

#[test]
fn a_change_that_cannot_be_written_takes_no_other_with_it() {
    let scratch = Scratch::new("lasting");
    let store = open(&scratch);
    store
        .connection
        .execute_batch(
            "CREATE TRIGGER refused BEFORE INSERT ON binding WHEN new.user = 'bad'
             BEGIN SELECT RAISE(ABORT, 'no'); END;",
        )
        .unwrap();
    let (handle, thread) = StoreHandle::start(store, 64, |_, _| {}).unwrap();
    let (tell, told) = mpsc::channel();
    let (free, held) = mpsc::channel::<()>();
    handle
        .read(move |_| {
            let _ = held.recv();
        })
        .unwrap();
    for user in ["a", "bad", "b"] {
        let tell = tell.clone();
        handle
            .keep_then(bindings(user, &[1]), move |saved| {
                tell.send((user, saved.is_ok())).unwrap();
            })
            .unwrap();
    }
    drop(free);
    let told: Vec<(&str, bool)> = (0..3).map(|_| told.recv().unwrap()).collect();
    assert_eq!(told, [("a", true), ("bad", false), ("b", true)]);
    handle.stop();
    thread.join().unwrap();
    assert_eq!(open(&scratch).load_bindings().unwrap().len(), 2);
}

/// A file of the version before bindings had a key: nothing in it is lost.
#[test]
fn older_files_come_along() {
    let scratch = Scratch::new("lasting");
    let path = scratch.path().join("offhook.db");
    let connection = Connection::open(&path).unwrap();
    for step in &schema::STEPS[..2] {
        connection.execute_batch(step).unwrap();
    }
    connection.pragma_update(None, "user_version", 2).unwrap();
    connection
        .execute_batch(
            "INSERT INTO binding VALUES ('a', 'sip:a@192.0.2.7', '[]', NULL, NULL, 1000, 'c', 1, 'udp',
             '192.0.2.1:5060', '192.0.2.7:5060', 99, NULL);",
        )
        .unwrap();
    drop(connection);
    let store = open(&scratch);
    let found = store.load_bindings().unwrap();
    assert_eq!(
        (found.len(), found[0].contact.as_str()),
        (1, "sip:a@192.0.2.7")
    );
    assert!(store.load_dialogs().unwrap().is_empty());
}
