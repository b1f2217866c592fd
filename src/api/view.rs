//! Requests, calls and what was said, as JSON: the shapes that `docs/call-backs.md` promises. Plain rows in, values out.

use serde_json::{Value, json};

use crate::callbacks::desk::rfc3339;
use crate::callbacks::{Channel, Recipient, Record, State};
use crate::store::{CallRow, MessageRow, NoticeRow, Role};

/// A request to call somebody, and what became of it.
pub fn record(record: &Record) -> Value {
    let wish = &record.wish;
    let mut value = json!({
        "id": record.id.0,
        "kind": "request",
        "state": record.state.name(),
        "to": match &wish.to {
            Recipient::User(name) | Recipient::Number(name) => name,
        },
        "channel": match wish.channel {
            Channel::Call => "call",
            Channel::Text => "text",
            Channel::VoiceNote => "voice_note",
        },
        "say": wish.say,
        "urgent": wish.is_urgent,
        "asked_at": rfc3339(record.asked_at),
        "latest": rfc3339(wish.not_after),
        "attempts": record.attempts.iter().map(|attempt| json!({
            "at": rfc3339(attempt.at),
            "result": attempt.outcome.words(),
            "call": attempt.call,
        })).collect::<Vec<_>>(),
        "what_happens": what_happens(record),
    });
    if !wish.why.is_empty() {
        value["why"] = json!(wish.why);
    }
    match &record.state {
        State::Waiting { due } => value["next_call_at"] = json!(rfc3339(*due)),
        State::Talking { call, .. } => value["call"] = json!(call),
        State::Left { why, .. } => value["left_because"] = json!(why),
        _ => {}
    }
    value
}

/// One sentence, for a person or a model.
pub fn what_happens(record: &Record) -> String {
    match &record.state {
        State::Waiting { due } => {
            let tried = match record.attempts.last() {
                Some(last) => format!("The last call: {}. ", last.outcome.words()),
                None => String::new(),
            };
            format!("{tried}The phone rings at {} or later.", rfc3339(*due))
        }
        State::Ringing { .. } => "The phone rings now.".to_owned(),
        State::Talking { is_heard, .. } => match is_heard {
            true => "The message was heard, and the call goes on.".to_owned(),
            false => "The call was taken.".to_owned(),
        },
        State::Heard { .. } => "The message was heard.".to_owned(),
        State::Left { why, .. } => {
            format!("It was not said in a call ({why}): it waits as a text message, unread.")
        }
        State::Cancelled { .. } => "It was called off.".to_owned(),
    }
}

/// A call that was, or is.
pub fn call(call: &CallRow) -> Value {
    json!({
        "id": call.id,
        "kind": "call",
        "state": if call.ended_unix_ms.is_none() { "running" } else { "over" },
        "user": call.user,
        "number": call.number,
        "started_at": rfc3339(call.started_unix_ms),
        "ended_at": call.ended_unix_ms.map(rfc3339),
        "result": call.result,
        "reason": call.reason,
        "turns": call.turns,
    })
}

/// What was said, in order.
pub fn transcript(rows: &[MessageRow]) -> Value {
    let row = |row: &MessageRow| {
        json!({
            "at": rfc3339(row.at_unix_ms),
            "who": match row.role {
                Role::Caller => "caller",
                Role::Assistant => "assistant",
                Role::Program => "program",
            },
            "text": row.text,
            // What was said of ours ends where it was cut off.
            "complete": row.heard.is_none(),
        })
    };
    rows.iter().map(row).collect()
}

pub fn notice(notice: &NoticeRow) -> Value {
    json!({
        "id": notice.id,
        "user": notice.user,
        "text": notice.text,
        "why": notice.why,
        "request": notice.callback,
        "at": rfc3339(notice.at_unix_ms),
        "read_at": notice.read_unix_ms.map(rfc3339),
    })
}
