//! The poller against answers of all kinds: order, receipts, rests.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::update::Content;
use super::*;
use crate::channels::backoff::BACKOFF_MAX;

struct Rig {
    poller: Poller,
    now: Instant,
}

impl Rig {
    fn new() -> Rig {
        // The one moment that all others are counted from.
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        let mut rig = Rig {
            poller: Poller::new([3; 32]),
            now,
        };
        assert_eq!(rig.out(), Some(Output::AskMe));
        rig.hear(Input::Me(Answer::Done(
            json!({"id": 77, "username": "Offhook_bot"}),
        )));
        rig.expect_asked(None, UPDATES_MAX);
        rig
    }

    fn out(&mut self) -> Option<Output> {
        let output = self.poller.poll_output();
        assert_eq!(self.poller.poll_output(), None, "one thing at a time");
        output
    }

    fn hear(&mut self, input: Input) {
        self.poller.handle(self.now, input);
    }

    fn updates(&mut self, updates: Value) {
        self.hear(Input::Updates(Answer::Done(updates)));
    }

    fn expect_asked(&mut self, offset: Option<i64>, limit: u32) {
        assert_eq!(self.out(), Some(Output::AskUpdates { offset, limit }));
    }

    fn expect_offered(&mut self, words: &str) {
        let output = self.out();
        let Some(Output::Offer(Update {
            what: What::Message(message),
            ..
        })) = &output
        else {
            panic!("{output:?}")
        };
        assert_eq!(message.content, Content::Text(words.to_owned()));
    }

    /// Waits as long as it wants to, and says how long that was.
    fn rest(&mut self) -> Duration {
        assert_eq!(self.out(), None);
        let until = self.poller.next_timeout().expect("it rests");
        let wait = until - self.now;
        self.now = until;
        self.poller.handle_timeout(until);
        assert_eq!(self.poller.next_timeout(), None);
        wait
    }
}

fn text(id: i64, words: &str) -> Value {
    json!({"update_id": id, "message": {"message_id": id, "date": 1, "text": words,
        "chat": {"id": 9, "type": "private"}, "from": {"id": 9, "first_name": "A"}}})
}

#[test]
fn the_receipt_follows_what_was_kept() {
    let mut rig = Rig::new();
    rig.updates(json!([text(11, "two"), text(10, "one"), {"update_id": 12}, text(13, "three")]));
    rig.expect_offered("one");
    rig.hear(Input::Settled(Ok(())));
    rig.expect_offered("two");
    // What is not kept is offered again, and nothing overtakes it.
    rig.hear(Input::Settled(Err(NotKept::Busy.into())));
    rig.rest();
    rig.expect_offered("two");
    rig.hear(Input::Settled(Err(NotKept::Stranger.into())));
    rig.expect_offered("three");
    rig.hear(Input::Settled(Err(NotKept::Full.into())));
    rig.expect_asked(Some(14), UPDATES_MAX);
    // The receipt was lost: the same comes again, and is not offered again.
    rig.hear(Input::Updates(Answer::Unknown { why: "cut" }));
    rig.rest();
    rig.expect_asked(Some(14), UPDATES_MAX);
    rig.updates(json!([text(13, "three"), text(14, "four")]));
    rig.expect_offered("four");
    rig.hear(Input::Settled(Ok(())));
    rig.expect_asked(Some(15), UPDATES_MAX);
    // Telegram has it. After a quiet week it may begin with smaller numbers.
    rig.now += HOLD;
    rig.updates(json!([]));
    rig.expect_asked(None, UPDATES_MAX);
    rig.updates(json!([text(3, "later")]));
    rig.expect_offered("later");
}

#[test]
fn rests_grow_and_end() {
    let mut rig = Rig::new();
    let mut waits = Vec::new();
    for _ in 0..9 {
        rig.hear(Input::Updates(Answer::NotSent {
            why: "no connection",
        }));
        assert_eq!(
            rig.poller.standing(),
            &Standing::Resting("no connection".to_owned())
        );
        waits.push(rig.rest());
        rig.expect_asked(None, UPDATES_MAX);
    }
    assert!(waits[0] <= Duration::from_secs(1) && waits[0] >= Duration::from_millis(500));
    assert!(waits[8] <= BACKOFF_MAX && waits[8] >= BACKOFF_MAX / 2);
    rig.now += HOLD;
    rig.updates(json!([]));
    rig.expect_asked(None, UPDATES_MAX);
    assert_eq!(rig.poller.standing(), &Standing::Receiving);
    rig.hear(Input::Updates(Answer::Unknown { why: "cut" }));
    assert!(rig.rest() <= Duration::from_secs(1));
}

#[test]
fn what_telegram_asks_for_is_done() {
    let mut rig = Rig::new();
    let quiet = Refusal::TooMany {
        retry_after: Duration::from_secs(17),
    };
    rig.hear(Input::Updates(Answer::Refused(quiet)));
    assert_eq!(rig.rest(), Duration::from_secs(17));
    rig.expect_asked(None, UPDATES_MAX);
    let other = Refusal::Conflict { is_webhook: false };
    rig.hear(Input::Updates(Answer::Refused(other)));
    let standing = format!("{:?}", rig.poller.standing());
    assert!(
        standing.contains("another program receives this bot's messages"),
        "{standing}"
    );
    assert_eq!(rig.rest(), CONFLICT_REST);
    rig.expect_asked(None, UPDATES_MAX);
    rig.hear(Input::Updates(Answer::Refused(Refusal::Token)));
    assert!(matches!(rig.poller.standing(), Standing::Stopped(_)));
    assert_eq!(rig.out(), None);
    assert_eq!(rig.poller.next_timeout(), None);
}

#[test]
fn one_that_is_too_long_stops_nothing() {
    let mut rig = Rig::new();
    let head = || br#"{"ok":true,"result":[{"update_id":50,"message":"#.to_vec();
    rig.hear(Input::Updates(Answer::TooLong { head: head() }));
    rig.expect_asked(None, 1);
    rig.hear(Input::Updates(Answer::TooLong { head: head() }));
    rig.expect_asked(Some(51), 1);
    rig.updates(json!([text(51, "next")]));
    rig.expect_offered("next");
    assert_eq!(rig.poller.skipped, 1);
}

#[test]
fn junk_makes_it_rest_and_not_spin() {
    let mut rig = Rig::new();
    let junk = [
        json!([5]),
        json!([{"update_id": "x"}]),
        json!([[]]),
        json!(null),
        json!({}),
        json!(true),
    ];
    for junk in junk {
        rig.updates(junk);
        rig.rest();
        rig.expect_asked(None, UPDATES_MAX);
    }
    // What holds no question open is not asked without end, and is no trouble.
    for _ in 0..3 {
        rig.updates(json!([]));
        assert_eq!(rig.poller.standing(), &Standing::Receiving);
        assert_eq!(rig.rest(), QUICK);
        rig.expect_asked(None, UPDATES_MAX);
    }
}

#[test]
fn one_message_that_meets_a_refusal_does_not_stop_the_bot() {
    let mut rig = Rig::new();
    rig.updates(json!([text(10, "one")]));
    rig.expect_offered("one");
    rig.hear(Input::Settled(Err(Unsettled::Token)));
    rig.rest();
    assert_eq!(rig.out(), Some(Output::AskMe));
    // The bot is fine: the same message again, and on.
    rig.hear(Input::Me(Answer::Done(json!({"id": 77, "username": "x"}))));
    rig.expect_offered("one");
    rig.hear(Input::Settled(Err(Unsettled::Token)));
    rig.rest();
    assert_eq!(rig.out(), Some(Output::AskMe));
    // It is not.
    rig.hear(Input::Me(Answer::Refused(Refusal::Token)));
    assert!(matches!(rig.poller.standing(), Standing::Stopped(_)));
}
