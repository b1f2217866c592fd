//! Texts on disk: known once, kept together, and there after a start.

use super::*;
use crate::testing::Scratch;

fn row(theirs: &str) -> InboxRow {
    InboxRow {
        id: 0,
        channel: "telegram".to_owned(),
        theirs: theirs.to_owned(),
        at_unix_ms: 5,
        item_json: "{}".to_owned(),
        message: None,
    }
}

fn new(role: Role, text: &str) -> NewMessage {
    NewMessage {
        message: MessageRow {
            conversation: "anna/agent".to_owned(),
            role,
            text: text.to_owned(),
            heard: None,
            at_unix_ms: 5,
            call: None,
            channel: "telegram".to_owned(),
        },
        voice: None,
    }
}

fn out(id: &str) -> OutboxRow {
    OutboxRow {
        id: id.to_owned(),
        channel: "telegram".to_owned(),
        place: "1".to_owned(),
        person: "anna".to_owned(),
        at_unix_ms: 5,
        due_unix_ms: 5,
        until_unix_ms: 50,
        attempts: 0,
        body_json: "\"hello\"".to_owned(),
        reply_to: None,
        message: None,
    }
}

fn texts(store: &Store) -> Vec<String> {
    let rows = store.history("anna/agent", None, 100).expect("a store");
    rows.into_iter().map(|row| row.message.text).collect()
}

#[test]
fn a_message_is_known_once_and_its_answer_is_kept_with_what_goes_out() {
    let scratch = Scratch::new("texts");
    let path = scratch.path().join("a.db");
    let mut store = Store::open(&path).expect("a store");
    let arrived = TextChange::Arrived {
        row: row("7"),
        message: Some(new(Role::Caller, "hi")),
    };
    let first = store.keep_text(&arrived).expect("kept");
    assert!(first.is_new && first.inbox > 0 && first.message > 0);
    assert_eq!(
        store.keep_text(&arrived).expect("known"),
        TextKept::default()
    );
    assert_eq!(
        store.unanswered("anna/agent").expect("read"),
        [first.message]
    );
    let saved = store.load_texts(10).expect("read");
    assert_eq!(
        (saved.inbox.len(), saved.inbox[0].message),
        (1, Some(first.message))
    );
    let answered = TextChange::Answered {
        inbox: first.inbox,
        answer: Some(new(Role::Assistant, "hello")),
        out: vec![out("a-1"), out("a-1"), out("a-2")],
    };
    assert!(store.keep_text(&answered).expect("kept").is_new);
    assert!(
        !store.keep_text(&answered).expect("over").is_new,
        "answered once"
    );
    assert_eq!(texts(&store), ["hi", "hello"]);
    let trying = TextChange::Trying {
        id: "a-1".to_owned(),
    };
    store.keep_text(&trying).expect("kept");
    // What a crash here leaves:
    drop(store);
    let mut store = Store::open(&path).expect("a store");
    let saved = store.load_texts(10).expect("read");
    let waiting: Vec<(&str, u32)> = saved
        .outbox
        .iter()
        .map(|row| (row.id.as_str(), row.attempts))
        .collect();
    assert_eq!(waiting, [("a-1", 1), ("a-2", 0)]);
    assert!(saved.inbox.is_empty());
    let sent = TextChange::Sent {
        id: "a-1".to_owned(),
        theirs: Some("99".to_owned()),
        message: Some(new(Role::Program, "said when it went")),
    };
    let kept = store.keep_text(&sent).expect("kept");
    assert!(kept.is_new && kept.message > 0);
    assert_eq!(
        store.keep_text(&sent).expect("known"),
        TextKept::default(),
        "written down once"
    );
    store
        .keep_text(&TextChange::GaveUp {
            id: "a-2".to_owned(),
            why: "no".to_owned(),
        })
        .expect("kept");
    assert_eq!(store.load_texts(10).expect("read").outbox, []);
    // A delivery of this name is known for ever.
    let again = TextChange::Out {
        row: out("a-1"),
        message: Some(new(Role::Assistant, "again")),
    };
    assert!(!store.keep_text(&again).expect("known").is_new);
    assert_eq!(texts(&store), ["hi", "hello", "said when it went"]);
}

#[test]
fn a_sound_is_named_by_a_message_or_by_what_waits() {
    let scratch = Scratch::new("texts-sounds");
    let mut store = Store::open(&scratch.path().join("a.db")).expect("a store");
    let note = |theirs: &str, file: &str| TextChange::Arrived {
        row: InboxRow {
            item_json: format!("{{\"file\":\"{file}\"}}"),
            ..row(theirs)
        },
        message: None,
    };
    let heard = store.keep_text(&note("1", "a.ogg")).expect("kept");
    store.keep_text(&note("2", "b.ogg")).expect("kept");
    let unheard = store.keep_text(&note("3", "c.ogg")).expect("kept");
    let message = NewMessage {
        voice: Some("a.ogg".to_owned()),
        ..new(Role::Caller, "hello")
    };
    let changes = [
        TextChange::Heard {
            inbox: heard.inbox,
            message,
        },
        TextChange::Answered {
            inbox: heard.inbox,
            answer: None,
            out: Vec::new(),
        },
        TextChange::Answered {
            inbox: unheard.inbox,
            answer: None,
            out: Vec::new(),
        },
    ];
    for change in changes {
        assert!(store.keep_text(&change).expect("kept").is_new);
    }
    let all = ["a.ogg", "b.ogg", "c.ogg", "d.ogg"].map(str::to_owned);
    let unnamed = store.unnamed_sounds(all.to_vec()).expect("read");
    assert_eq!(unnamed, ["c.ogg", "d.ogg"]);
    // With its words its name goes.
    store.forget_before(6).expect("forgotten");
    let unnamed = store.unnamed_sounds(all.to_vec()).expect("read");
    assert_eq!(unnamed, ["a.ogg", "c.ogg", "d.ogg"], "what waits stays");
}

#[test]
fn where_words_are_not_kept_only_what_is_to_be_done_is() {
    let message = || Some(new(Role::Caller, "secret"));
    let mut changes = [
        TextChange::Arrived {
            row: row("1"),
            message: message(),
        },
        TextChange::Answered {
            inbox: 1,
            answer: message(),
            out: vec![out("a-1")],
        },
        TextChange::Out {
            row: out("k-1"),
            message: message(),
        },
        TextChange::Sent {
            id: "k-1".to_owned(),
            theirs: None,
            message: message(),
        },
    ];
    for change in &mut changes {
        change.forget_words();
        assert!(!format!("{change:?}").contains("secret"), "{change:?}");
    }
}

#[test]
fn a_code_links_once_and_in_time() {
    let scratch = Scratch::new("texts-people");
    let mut store = Store::open(&scratch.path().join("a.db")).expect("a store");
    let pairing = PairingRow {
        code: "ABCD2345".to_owned(),
        channel: "matrix".to_owned(),
        id: "@a:x".to_owned(),
        place: "!r:x".to_owned(),
        shown_name: "Anna".to_owned(),
        asked_unix_ms: 100,
    };
    store
        .keep_text(&TextChange::Pairing(pairing))
        .expect("kept");
    assert_eq!(
        store.link("ABCD2345", "anna", 101, 200).expect("read"),
        None,
        "too old"
    );
    assert_eq!(store.link("ABCD2346", "anna", 0, 200).expect("read"), None);
    let linked = store
        .link("ABCD2345", "anna", 0, 200)
        .expect("read")
        .expect("a link");
    assert_eq!(
        (linked.person.as_str(), linked.place.as_str()),
        ("anna", "!r:x")
    );
    assert_eq!(
        store.link("ABCD2345", "ben", 0, 200).expect("read"),
        None,
        "used up"
    );
    assert_eq!(store.people().expect("read").0, [linked]);
    assert!(store.unlink("matrix", "@a:x").expect("done"));
    assert!(!store.unlink("matrix", "@a:x").expect("done"));
    assert!(store.remember("matrix", "since", "s1").expect("kept"));
    assert!(store.remember("matrix", "since", "s2").expect("kept"));
    assert!(
        !store
            .remember("matrix", "since", &"x".repeat(300_000))
            .expect("refused")
    );
    assert_eq!(
        store.recall("matrix", "since").expect("read").as_deref(),
        Some("s2")
    );
    assert_eq!(store.recall("telegram", "since").expect("read"), None);
}

#[test]
fn what_became_of_a_text_is_shown_with_it() {
    let scratch = Scratch::new("receipts");
    let path = scratch.path().join("a.db");
    let mut store = Store::open(&path).expect("a store");
    let by_sip = |id: &str| OutboxRow {
        channel: "sip".to_owned(),
        ..out(id)
    };
    for row in [by_sip("a-1"), out("a-2")] {
        let message = Some(new(Role::Program, &row.id));
        let change = TextChange::Out { row, message };
        store.keep_text(&change).expect("kept");
    }
    let shown = |store: &Store| -> Vec<String> {
        let rows = store.history("anna/agent", None, 100).expect("a store");
        let state = |row: ShownRow| row.delivery.unwrap_or_default();
        rows.into_iter().map(state).collect()
    };
    assert_eq!(shown(&store), ["waiting", "waiting"]);
    // Who says so, what, and what is shown then.
    let rows = [
        (Some("ben"), true, false, "waiting"),
        (None, false, true, "delivered"),
        (Some("anna"), false, false, "delivered"),
        (Some("anna"), true, true, "displayed"),
        (Some("anna"), false, false, "displayed"),
        (None, true, false, "displayed"),
    ];
    for (person, is_displayed, is_new, expected) in rows {
        let noted = store.note_receipt("a-1", person, is_displayed);
        assert_eq!(noted.expect("a store"), is_new, "{person:?} {is_displayed}");
        assert_eq!(shown(&store), [expected, "waiting"]);
    }
    // That it was kept for the phone is told later than what the phone said, and takes nothing back.
    let sent = TextChange::Sent {
        id: "a-1".to_owned(),
        theirs: None,
        message: None,
    };
    assert!(store.keep_text(&sent).expect("kept").is_new);
    assert!(
        !store.note_receipt("a-2", None, true).expect("a store"),
        "no text by SIP"
    );
    assert_eq!(shown(&store), ["displayed", "waiting"]);
    // As a database of the version before has it.
    let first = store
        .history("anna/agent", None, 100)
        .expect("a store")
        .remove(0);
    assert_eq!(store.message(first.id).expect("a store"), Some(first));
}
