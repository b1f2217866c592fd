//! The store on a real file system.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc;

use super::*;
use crate::testing::Scratch;

fn open(scratch: &Scratch) -> Store {
    Store::open(&scratch.path().join("offhook.db")).unwrap()
}

pub(super) fn binding(user: &str, number: u32) -> BindingRow {
    BindingRow {
        user: user.to_owned(),
        contact: format!("sip:{user}@192.0.2.{number}:5060;ob"),
        params: "methods=\"INVITE\"".to_owned(),
        instance: Some("<urn:uuid:0>".to_owned()),
        reg_id: Some(1),
        q: 500,
        call_id: format!("id-{number}"),
        cseq: 4_294_967_295,
        transport: "udp".to_owned(),
        local: "100.64.0.1:5060".parse().unwrap(),
        remote: "[fd7a:115c:a1e0::5]:40000".parse().unwrap(),
        expires_unix_ms: 1_800_000_000_000 + u64::from(number),
        user_agent: None,
    }
}

pub(super) fn bindings(user: &str, numbers: &[u32]) -> Lasting {
    Lasting::Bindings {
        user: user.to_owned(),
        bindings: numbers
            .iter()
            .map(|number| binding(user, *number))
            .collect(),
    }
}

fn started(id: &str, at: u64) -> CallStarted {
    CallStarted {
        id: id.to_owned(),
        user: "phone1".to_owned(),
        number: "100".to_owned(),
        remote: "192.0.2.1:5060".to_owned(),
        user_agent: Some("Linphone".to_owned()),
        started_unix_ms: at,
    }
}

fn ended(id: &str, at: u64) -> CallEnded {
    CallEnded {
        id: id.to_owned(),
        ended_unix_ms: at,
        result: "completed".to_owned(),
        reason: "the caller hung up".to_owned(),
        blame: None,
        codec: Some("PCMU".to_owned()),
        stats_json: "{\"lost\":0}".to_owned(),
        ledger: ledger(),
    }
}

fn ledger() -> Ledger {
    Ledger {
        guesses: 4,
        hits: 3,
        misses: 1,
        saved_ms: 1_200,
        tokens_wasted: 40,
    }
}

fn turn(call: &str, n: u32) -> TurnRow {
    TurnRow {
        call: call.to_owned(),
        n,
        at_unix_ms: u64::from(n),
        caller_text: "what time is it".to_owned(),
        reply_text: "It is noon. Anything else?".to_owned(),
        heard_text: "It is noon.".to_owned(),
        latencies_json: "{\"asr\":45}".to_owned(),
        gateway: Some("openai".to_owned()),
        model: None,
        tools: vec!["clock".to_owned()],
    }
}

fn message(number: u64) -> MessageRow {
    MessageRow {
        conversation: "phone1".to_owned(),
        role: if number.is_multiple_of(2) {
            Role::Caller
        } else {
            Role::Assistant
        },
        text: format!("message {number}"),
        heard: (number == 3).then(|| "message".to_owned()),
        at_unix_ms: number,
        call: None,
        channel: "phone".to_owned(),
    }
}

#[test]
fn bindings_are_replaced_by_user_and_survive() {
    let scratch = Scratch::new("store");
    let mut store = open(&scratch);
    store.keep([&bindings("a", &[1, 2])]).unwrap();
    store.keep([&bindings("b", &[3])]).unwrap();
    store.keep([&bindings("a", &[2])]).unwrap();
    drop(store);
    let mut store = open(&scratch);
    assert_eq!(
        store.load_bindings().unwrap(),
        [binding("a", 2), binding("b", 3)]
    );
    store.keep([&bindings("a", &[])]).unwrap();
    assert_eq!(store.load_bindings().unwrap(), [binding("b", 3)]);
    let many: Vec<BindingRow> = (0..200).map(|number| binding("b", number % 250)).collect();
    let many = Lasting::Bindings {
        user: "b".to_owned(),
        bindings: many,
    };
    store.keep([&many]).unwrap();
    assert_eq!(store.load_bindings().unwrap().len(), BINDINGS_PER_USER_MAX);
}

#[test]
fn a_call_from_its_start_to_its_end() {
    let scratch = Scratch::new("store");
    let mut store = open(&scratch);
    store.call_started(&started("c1", 10)).unwrap();
    store.call_started(&started("c2", 20)).unwrap();
    store.add_turn(&turn("c1", 2)).unwrap();
    store.add_turn(&turn("c1", 1)).unwrap();
    store.add_turn(&turn("c1", 2)).unwrap();
    store.call_ended(&ended("c1", 30)).unwrap();
    let calls = store.recent_calls(10).unwrap();
    let seen: Vec<(&str, Option<u64>, u32)> = calls
        .iter()
        .map(|call| (call.id.as_str(), call.ended_unix_ms, call.turns))
        .collect();
    assert_eq!(seen, [("c2", None, 0), ("c1", Some(30), 2)]);
    assert_eq!(
        (calls[0].ledger, calls[1].ledger),
        (Ledger::default(), ledger())
    );
    assert_eq!(store.ledger().unwrap(), ledger());
    assert_eq!(store.recent_calls(1).unwrap().len(), 1);
    assert_eq!(store.call("c1").unwrap().as_ref(), Some(&calls[1]));
    assert_eq!(store.call("c9").unwrap(), None);
    assert_eq!(store.turns("c1").unwrap(), [turn("c1", 1), turn("c1", 2)]);
    assert!(matches!(
        store.add_turn(&turn("c9", 1)),
        Err(StoreError::NoSuchCall)
    ));
    assert!(matches!(
        store.call_ended(&ended("c9", 1)),
        Err(StoreError::NoSuchCall)
    ));
    assert!(matches!(
        store.call_started(&started("c1", 1)),
        Err(StoreError::Database { .. })
    ));
    assert_eq!(store.close_unfinished(99).unwrap(), 1);
    assert_eq!(
        store.call("c2").unwrap().unwrap().result.as_deref(),
        Some("lost")
    );
}

#[test]
fn a_conversation_is_its_last_messages_in_order() {
    let scratch = Scratch::new("store");
    let mut store = open(&scratch);
    for number in 1..=5 {
        assert_eq!(store.add_message(&message(number)).unwrap(), number as i64);
    }
    assert_eq!(
        store.conversation("phone1", 3).unwrap(),
        [message(3), message(4), message(5)]
    );
    assert_eq!(store.conversation("nobody", 3).unwrap(), []);
    let unknown_call = MessageRow {
        call: Some("c9".to_owned()),
        ..message(6)
    };
    assert!(matches!(
        store.add_message(&unknown_call),
        Err(StoreError::NoSuchCall)
    ));
}

#[test]
fn forgetting_takes_calls_turns_and_messages_but_nothing_that_goes_on() {
    let scratch = Scratch::new("store");
    let mut store = open(&scratch);
    for (id, at) in [("old", 1), ("open", 2), ("new", 100)] {
        store.call_started(&started(id, at)).unwrap();
        store.add_turn(&turn(id, 1)).unwrap();
    }
    store.call_ended(&ended("old", 3)).unwrap();
    store.call_ended(&ended("new", 101)).unwrap();
    let kept = MessageRow {
        at_unix_ms: 100,
        call: Some("old".to_owned()),
        ..message(2)
    };
    store.add_message(&message(1)).unwrap();
    store.add_message(&kept).unwrap();
    for at_unix_ms in [1, 100] {
        let row = CallbackRow {
            id: at_unix_ms.to_string(),
            asked_unix_ms: at_unix_ms,
            is_over: true,
            record_json: "{}".to_owned(),
        };
        let notice = NoticeRow {
            id: 0,
            user: "phone1".to_owned(),
            text: "left".to_owned(),
            is_voice: false,
            why: String::new(),
            callback: row.id.clone(),
            at_unix_ms,
            read_unix_ms: None,
        };
        let kept = Lasting::Callback(Box::new(row), Some(Box::new(notice)));
        store.keep(&[kept]).unwrap();
    }
    assert_eq!(store.forget_before(50).unwrap(), 2);
    let notices = store.notices(None, false, 9).unwrap();
    assert_eq!(notices.len(), 1, "read or not");
    let ids: Vec<String> = store
        .recent_calls(9)
        .unwrap()
        .into_iter()
        .map(|call| call.id)
        .collect();
    assert_eq!(ids, ["new", "open"]);
    assert_eq!(store.turns("old").unwrap(), []);
    let kept = MessageRow { call: None, ..kept };
    assert_eq!(store.conversation("phone1", 9).unwrap(), [kept]);
}

#[test]
fn texts_are_cut_at_whole_characters() {
    let scratch = Scratch::new("store");
    let mut store = open(&scratch);
    let text = "ä".repeat(TEXT_BYTES_MAX);
    store
        .add_message(&MessageRow { text, ..message(1) })
        .unwrap();
    let found = store.conversation("phone1", 1).unwrap();
    assert_eq!(found[0].text.len(), TEXT_BYTES_MAX);
}

#[test]
fn the_file_is_its_owners_and_its_side_files_too() {
    let scratch = Scratch::new("store");
    let mut store = open(&scratch);
    store.add_message(&message(1)).unwrap();
    for name in ["offhook.db", "offhook.db-wal", "offhook.db-shm"] {
        let mode = fs::metadata(scratch.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[test]
fn damage_is_named_and_set_aside_on_request() {
    let scratch = Scratch::new("store");
    let path = scratch.path().join("offhook.db");
    let expect_damage = || match Store::open(&path) {
        Err(StoreError::Corrupt { .. }) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    };
    fs::write(
        &path,
        "this is no database, whatever its name says. ".repeat(100),
    )
    .unwrap();
    expect_damage();
    assert!(path.exists(), "left alone without consent");
    let aside = Store::set_aside(&path, 7).unwrap();
    assert_eq!(aside, scratch.path().join("offhook.db.corrupt-7"));
    let mut store = Store::open(&path).unwrap();
    for number in 0..500 {
        store.add_message(&message(number)).unwrap();
    }
    drop(store);
    // Damage to every page of a real one but the first.
    let mut bytes = fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page[..8].fill(0xa5);
    }
    fs::write(&path, bytes).unwrap();
    expect_damage();
    Store::set_aside(&path, 8).unwrap();
    assert!(Store::open(&path).is_ok());
}

#[test]
fn a_file_of_an_earlier_version_keeps_its_calls() {
    let scratch = Scratch::new("store");
    let path = scratch.path().join("offhook.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(schema::STEPS[0]).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    let insert = "INSERT INTO call (id, user, number, remote, started_unix_ms)
         VALUES ('c1', 'a', '100', 'x', 1)";
    old.execute_batch(insert).unwrap();
    drop(old);
    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.ledger().unwrap(), Ledger::default());
    store.call_ended(&ended("c1", 2)).unwrap();
    assert_eq!(store.call("c1").unwrap().unwrap().ledger, ledger());
}

#[test]
fn a_newer_file_is_left_alone() {
    let scratch = Scratch::new("store");
    let path = scratch.path().join("offhook.db");
    drop(open(&scratch));
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    match Store::open(&path) {
        Err(StoreError::Newer {
            found: 99, known, ..
        }) => assert_eq!(known, schema::version()),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn a_full_disk_is_told_apart_and_survived() {
    let scratch = Scratch::new("store");
    let mut store = open(&scratch);
    let pages: u32 = store
        .connection
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    store
        .connection
        .pragma_update(None, "max_page_count", pages)
        .unwrap();
    let large = MessageRow {
        text: "x".repeat(TEXT_BYTES_MAX),
        ..message(1)
    };
    assert!(matches!(
        store.add_message(&large),
        Err(StoreError::Full { .. })
    ));
    store
        .connection
        .pragma_update(None, "max_page_count", 1_000_000)
        .unwrap();
    store.add_message(&large).unwrap();
    assert_eq!(store.conversation("phone1", 9).unwrap().len(), 1);
}

#[test]
fn the_thread_writes_in_order_and_hands_back_what_it_cannot_take() {
    let scratch = Scratch::new("store");
    let (tell, failures) = mpsc::channel();
    let failed = move |record: &str, error: StoreError| {
        tell.send((record.to_owned(), error.to_string())).unwrap();
    };
    let (handle, thread) = StoreHandle::start(open(&scratch), 4, failed).unwrap();
    handle.write(Write::CallStarted(started("c1", 1))).unwrap();
    handle.write(Write::Turn(turn("c1", 1))).unwrap();
    handle.keep(bindings("a", &[1])).unwrap();
    handle.write(Write::Turn(turn("c9", 1))).unwrap();
    let (record, why) = failures.recv().unwrap();
    assert_eq!((record.as_str(), why.as_str()), ("turn", "no such call"));

    // Hold the thread, fill the queue of four.
    let (free, held) = mpsc::channel::<()>();
    let (tell_started, has_started) = mpsc::channel();
    handle
        .read(move |_| {
            tell_started.send(()).unwrap();
            let _ = held.recv();
        })
        .unwrap();
    has_started.recv().unwrap();
    for number in 1..=4 {
        handle.write(Write::Message(message(number))).unwrap();
    }
    let over = Write::Message(message(5));
    assert_eq!(handle.write(over.clone()), Err(Box::new(over.clone())));
    assert!(matches!(
        handle.keep(bindings("a", &[])),
        Err(StoreError::Unavailable { .. })
    ));
    drop(free);
    handle.stop();
    thread.join().unwrap();
    assert_eq!(handle.write(over.clone()), Err(Box::new(over)));
    let store = open(&scratch);
    assert_eq!(store.conversation("phone1", 9).unwrap().len(), 4);
    assert_eq!(store.load_bindings().unwrap(), [binding("a", 1)]);
    assert_eq!(store.turns("c1").unwrap().len(), 1);
}
