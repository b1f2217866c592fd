//! What a request carries of a conversation.

use super::*;

fn conversation(rows: &[(Role, &str, bool)]) -> Conversation {
    let mut conversation = Conversation::new();
    conversation.begin_call("call-1", 1_000_000);
    for (at, (role, text, aside)) in rows.iter().enumerate() {
        conversation.push(Entry {
            role: *role,
            text: (*text).to_owned(),
            at_ms: at as u64,
            complete: true,
            aside: *aside,
        });
    }
    conversation
}

fn check(messages_max: usize, chars_max: usize, wanted: &[&str]) {
    use Role::{Assistant, User};
    let conversation = conversation(&[
        (Assistant, "Welcome.", true),
        (User, "one", false),
        (Assistant, "two", false),
        (Assistant, "One moment.", true),
        (User, "grüße", false),
    ]);
    let history = conversation.history(messages_max, chars_max);
    let texts: Vec<&str> = history
        .iter()
        .map(|message| message.text.as_str())
        .collect();
    assert_eq!(
        texts, wanted,
        "{messages_max} messages, {chars_max} letters"
    );
}

#[test]
fn history_is_bounded_and_leaves_asides_out() {
    check(10, 100, &["one", "two", "grüße"]);
    check(2, 100, &["two", "grüße"]);
    check(10, 8, &["two", "grüße"]);
    check(10, 7, &["grüße"]);
    check(10, 3, &["üße"]);
    check(10, 0, &[]);
    check(0, 100, &[]);
}

#[test]
fn messages_know_their_call_and_time() {
    let mut conversation = conversation(&[(Role::User, "a", false)]);
    conversation.begin_call("call-2", 5_000_000);
    let id = conversation.push(Entry {
        role: Role::Assistant,
        text: "b".into(),
        at_ms: 7,
        complete: false,
        aside: false,
    });
    let last = conversation.messages().next_back().expect("two messages");
    assert_eq!((id, last.id, last.when_ms), (2, 2, 5_000_007));
    assert_eq!((last.call.as_str(), last.heard_all), ("call-2", false));
    let text = serde_json::to_string(&conversation).expect("plain data");
    let again: Conversation = serde_json::from_str(&text).expect("comes back");
    assert_eq!(again, conversation);
}

#[test]
fn the_oldest_leave_first() {
    let rows = vec![(Role::User, "x", false); MESSAGES_MAX + 5];
    let conversation = conversation(&rows);
    assert_eq!(conversation.messages().len(), MESSAGES_MAX);
    assert_eq!(conversation.messages().next().map(|said| said.id), Some(6));
}
