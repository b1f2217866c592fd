//! What several phones make of one text, how much one sender may write, where texts go, and as whose they are shown.

use std::time::Duration;

use sip::instant::Envelope;
use sip::{Host, Uri};

use super::super::tests::{NUMBERS, Rig};
use super::*;
use crate::engines::EngineState;

fn round(open: usize) -> Messages {
    let mut messages = Messages::default();
    let round = Round {
        id: "t".to_owned(),
        open,
        outcome: None,
    };
    messages.rounds.insert("anna".to_owned(), round);
    messages
}

#[test]
fn phones_of_one_user_agree_on_an_outcome() {
    let [ok, no, later, away] = [
        Outcome::Delivered,
        Outcome::Refused(415),
        Outcome::PutOff,
        Outcome::Away,
    ];
    let rows = [
        (vec![ok], vec![Some(ok)]),
        // Told with the first, and once.
        (vec![ok, away], vec![Some(ok), None]),
        (vec![no, ok, no], vec![None, Some(ok), None]),
        (vec![no, no], vec![None, Some(no)]),
        // One that may still take it counts for more than one that never will.
        (vec![no, away], vec![None, Some(away)]),
        (vec![away, later, no], vec![None, None, Some(later)]),
    ];
    for (said, expected) in rows {
        let mut messages = round(said.len());
        let told: Vec<_> = said
            .iter()
            .map(|one| messages.note("anna", "t", *one))
            .collect();
        assert_eq!(told, expected, "{said:?}");
        assert!(messages.rounds.is_empty());
        assert_eq!(messages.note("anna", "t", ok), None, "after the end");
    }
    assert_eq!(round(1).note("anna", "older", ok), None);
}

#[test]
fn a_sender_has_a_burst_and_then_two_a_second() {
    let mut messages = Messages::default();
    let now = Instant::now();
    let allowed = (0..100).filter(|_| messages.allows(now, "anna")).count();
    assert_eq!(allowed, 60);
    assert!(messages.allows(now, "ben"), "everybody has their own");
    assert!(!messages.allows(now + Duration::from_millis(400), "anna"));
    assert!(messages.allows(now + Duration::from_millis(600), "anna"));
}

#[test]
fn a_call_id_is_passed_on_with_one_text() {
    let mut messages = Messages::default();
    let mut passed = |sender, text| messages.passed_on(sender, "a1", text);
    assert_eq!(passed("anna", "first").as_deref(), Some("a1"));
    assert_eq!(passed("anna", "first").as_deref(), Some("a1"));
    assert_eq!(passed("anna", "second"), None);
    assert_eq!(passed("bert", "second").as_deref(), Some("a1"));
    let long = "x".repeat(CALL_ID_BYTES_MAX + 1);
    assert_eq!(messages.passed_on("anna", &long, "third"), None);
    for n in 0..PASSED_MAX {
        messages.passed_on("carl", &n.to_string(), "text");
    }
    assert_eq!(messages.passed.len(), PASSED_MAX);
}

#[test]
fn receipts_are_written_only_where_they_are_wanted() {
    let wanted = instant::Wants {
        delivered: true,
        displayed: true,
    };
    let envelope = Envelope {
        from: "<sip:anna@home>".to_owned(),
        to: "<sip:100@home>".to_owned(),
        message_id: Some("m".to_owned()),
        wants: wanted,
    };
    let both = receipts("anna", "100", &envelope, "m");
    assert_eq!(both.len(), 2);
    for (live, status) in both.iter().zip(["<delivered/>", "<displayed/>"]) {
        assert!(live.body.contains(status) && live.body.contains("<message-id>m</message-id>"));
        assert!(
            live.body
                .starts_with("From: <sip:100@home>\r\nTo: <sip:anna@home>\r\n")
        );
        assert!(!format!("{live:?}").contains("imdn>"));
    }
    let nothing = Envelope::default();
    assert_eq!(receipts("anna", "100", &nothing, "m").len(), 0);
}

#[test]
fn what_a_phones_answer_comes_to() {
    let refused = [
        400, 403, 404, 405, 413, 415, 416, 420, 488, 493, 501, 505, 513, 603, 604, 606,
    ];
    for status in 300..700 {
        let expected = match status {
            408 | 503 => Outcome::Away,
            status if refused.contains(&status) => Outcome::Refused(status),
            _ => Outcome::PutOff,
        };
        assert_eq!(sending::outcome(Err(status)), expected);
    }
    assert_eq!(sending::outcome(Ok(())), Outcome::Delivered);
}

/// The switchboard and what the office would hear from it.
struct Desk {
    rig: Rig,
    office: mpsc::Receiver<Input>,
    written: u64,
}

impl Desk {
    /// `first`: first port of the test's own range.
    fn new(plan: &str, first: u16) -> Desk {
        let mut rig = Rig::with_plan(EngineState::Warming, first, plan);
        let (inputs, office) = mpsc::channel(64);
        rig.board.set_texts(inputs);
        rig.board
            .set_accounts(["ann", "bob", "gus"].map(str::to_owned).to_vec());
        Desk {
            rig,
            office,
            written: 0,
        }
    }

    /// Status of the answer, or 0 where the office gives it; and whose text came there, as whom it is shown.
    fn write(
        &mut self,
        caller: Caller,
        target: &str,
        from: (&str, &str),
        kind: &str,
    ) -> (u16, Vec<String>) {
        self.written += 1;
        let host = Host::Name("pbx.example".to_owned());
        let mut written_from = NameAddr::new(Uri::sip(Some(from.1), host, None));
        written_from.display = Some(from.0.to_owned()).filter(|name| !name.is_empty());
        let body = match kind {
            instant::COMPOSING => instant::composing(true, 60),
            instant::DISPOSITION => {
                instant::disposition("a-1.00ff", "2026-11-22T10:06:49Z", Disposition::Displayed)
            }
            _ => "words".to_owned(),
        };
        let event = SipEvent::Text {
            text: TextKey(self.written),
            caller,
            target: target.to_owned(),
            from: written_from,
            id: self.written.to_string(),
            call_id: "call".to_owned(),
            content_type: Some(kind.to_owned()),
            body: body.into_bytes(),
            flow: sip::Flow::udp(
                "127.0.0.1:5060".parse().expect("an address"),
                "127.0.0.1:5062".parse().expect("an address"),
            ),
        };
        let status = match &self.rig.board.text_event(event)[..] {
            [] => 0,
            [Command::AnswerText { status, .. }] => *status,
            other => panic!("{other:?}"),
        };
        let mut came = Vec::new();
        while let Ok(input) = self.office.try_recv() {
            match input {
                Input::Put { for_users, .. } => {
                    came.extend(for_users.iter().map(|(user, texts)| {
                        let Text { name, number, .. } = &texts[0];
                        format!("{user}: {name} <{number}>")
                    }));
                }
                Input::Live(live) => came.push(format!("{}: writing", live.user)),
                _ => {}
            }
        }
        (status, came)
    }
}

fn user(name: &str) -> Caller {
    Caller::User(name.to_owned())
}

/// A phone that has shown the assistant's text says so, and that somebody writes there: both are taken without more words.
#[tokio::test]
async fn what_a_phone_says_of_the_assistants_texts_is_noted() {
    let mut desk = Desk::new(NUMBERS, 43_060);
    let out = |person: &str| crate::store::OutboxRow {
        id: "a-1".to_owned(),
        channel: CHANNEL.to_owned(),
        place: person.to_owned(),
        person: person.to_owned(),
        at_unix_ms: 5,
        due_unix_ms: 5,
        until_unix_ms: 50,
        attempts: 0,
        body_json: "\"hello\"".to_owned(),
        reply_to: None,
        message: None,
    };
    let message = crate::store::NewMessage {
        message: crate::store::MessageRow {
            conversation: "ann/agent".to_owned(),
            role: crate::store::Role::Assistant,
            text: "hello".to_owned(),
            heard: None,
            at_unix_ms: 5,
            call: None,
            channel: CHANNEL.to_owned(),
        },
        voice: None,
    };
    let change = crate::store::TextChange::Out {
        row: out("ann"),
        message: Some(message),
    };
    let recorder = desk.rig.board.recorder.clone();
    let kept = recorder.with_store(move |store| store.keep_text(&change).map(|_| ()));
    kept.await.expect("a store");
    let shown = async || {
        let read = recorder.with_store(|store| store.history("ann/agent", None, 10));
        let rows = read.await.expect("a store");
        rows[0].delivery.clone().unwrap_or_default()
    };
    for (who, kind, expected) in [
        ("ann", instant::COMPOSING, "waiting"),
        // Another's word is none.
        ("bob", instant::DISPOSITION, "waiting"),
        ("ann", instant::DISPOSITION, "displayed"),
    ] {
        let (status, came) = desk.write(user(who), "100", ("", who), kind);
        assert_eq!((status, came), (200, Vec::new()), "{who} {kind}");
        assert_eq!(shown().await, expected, "{who} {kind}");
    }
}

/// Gus is a guest: what he writes to the assistant is for the box.
#[tokio::test]
async fn the_message_box_has_the_rules_it_has_for_callers() {
    let mut desk = Desk::new(NUMBERS, 43_000);
    let from = ("", "gus");
    for n in 0..20 {
        let (status, came) = desk.write(user("gus"), "100", from, instant::PLAIN);
        assert_eq!((status, came.len()), (0, 1), "{n}");
        // That somebody writes is no message.
        let (status, came) = desk.write(user("gus"), "100", from, instant::COMPOSING);
        assert_eq!((status, came), (200, vec!["ann: writing".to_owned()]));
    }
    let (status, came) = desk.write(user("gus"), "100", from, instant::PLAIN);
    assert_eq!((status, came), (403, Vec::new()), "enough for today");
    // Nor is a receipt, which is for nobody there.
    let (status, came) = desk.write(user("gus"), "100", from, instant::DISPOSITION);
    assert_eq!((status, came), (200, Vec::new()));
    let closed = format!("[voicemail]\nenabled = false\n{NUMBERS}");
    let mut desk = Desk::new(&closed, 43_020);
    let (status, came) = desk.write(user("gus"), "100", from, instant::PLAIN);
    assert_eq!((status, came), (403, Vec::new()), "there is no box");
}

/// What nobody will ever read is no message left: not counted, however often it comes.
#[tokio::test]
async fn only_messages_that_are_kept_count() {
    let mut desk = Desk::new(NUMBERS, 43_080);
    let from = ("", "gus");
    for n in 0..12 {
        let (status, came) = desk.write(user("gus"), "100", from, "text/plain;charset=klingon");
        assert_eq!((status, came), (415, Vec::new()), "{n}");
        let (status, came) = desk.write(user("gus"), "100", from, instant::PLAIN);
        assert_eq!((status, came.len()), (0, 1), "{n}");
        desk.rig.board.message_left("gus", false);
    }
    for n in 0..20 {
        let (status, _) = desk.write(user("gus"), "100", from, instant::PLAIN);
        assert_eq!(status, 0, "{n}");
        desk.rig.board.message_left("gus", true);
    }
    let (status, came) = desk.write(user("gus"), "100", from, instant::PLAIN);
    assert_eq!((status, came), (403, Vec::new()), "enough for today");
    assert!(desk.rig.board.messages.leaving.is_empty());
}

/// The house's own names and numbers are not a stranger's to say.
#[tokio::test]
async fn as_whom_one_from_outside_is_shown() {
    let plan = "[[users]]\nname = 'bob'\nextensions = ['200']\ndisplay_name = 'Böb Low'\n[[trunks]]\nname = 'line'\nhost = '192.0.2.9'\n\
                [[trunks.inbound]]\nnumber = '*'\nto = 'bob'\n";
    let rows = [
        (("Carl", "0301234"), "bob: Carl <0301234>"),
        (("", "0301234"), "bob:  <0301234>"),
        (("Carl", "100"), "bob: via line <anonymous>"),
        (("", "100"), "bob: via line <anonymous>"),
        (("", "1-0-0"), "bob: via line <anonymous>"),
        (("Ann", "ANN"), "bob: via line <anonymous>"),
        (("", "200"), "bob: via line <anonymous>"),
        (("Carl", ""), "bob: via line <anonymous>"),
        (("Assistant", "0301234"), "bob: via line <0301234>"),
        ((" ann ", "0301234"), "bob: via line <0301234>"),
        ((" bÖb low", "0301234"), "bob: via line <0301234>"),
    ];
    let mut desk = Desk::new(plan, 43_040);
    for (from, expected) in rows {
        let trunk = Caller::Trunk("line".to_owned());
        let (status, came) = desk.write(trunk, "77", from, instant::PLAIN);
        assert_eq!((status, came), (0, vec![expected.to_owned()]), "{from:?}");
    }
    let (_, came) = desk.write(user("ann"), "200", ("Bob", "200"), instant::PLAIN);
    assert_eq!(
        came,
        ["bob: ann <ann>"],
        "an account is who it has proven to be"
    );
}

#[test]
fn the_number_written_to_is_found_in_the_id() {
    assert_eq!(channel::number_in("00ff@100"), Some("100"));
    assert_eq!(channel::number_in("00ff"), None);
    assert_eq!(name_of(&["a", "b"]), name_of(&["a", "b"]));
    assert_ne!(name_of(&["a", "b"]), name_of(&["ab", ""]));
}
