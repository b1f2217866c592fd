//! An agent that answers at any pace, calls tools, reports what it does, breaks off, fails, says nothing, or never
//! comes back. Owns the script of one answer; when it is told is the world's.
//! PURE.

use std::time::Duration;

use agent_bridge::turn::{Blame, Event, Progress, ReplyError, ReplyErrorKind, ReplyId, ToolCall};
use rand::RngExt as _;
use rand::rngs::StdRng;

const ANSWERS: [&str; 7] = [
    "Yes.",
    "It is half past nine in the evening.",
    "That is done, and I will remind you in good time.",
    "Which day would you like?",
    "The first thing to know is that this is rather long. It has several sentences, and each takes a while to say. \
     So there is time to interrupt it, and somebody will. Shall I go on?",
    "Please tell me the number.",
    "Is that right?",
];
const TOOLS: [&str; 4] = ["calendar", "set_timer", "web_search", "frobnicate"];

/// The events of one answer, each with its delay after the question.
pub fn answer(id: ReplyId, rng: &mut StdRng) -> Vec<(Duration, Event)> {
    let mut at = Duration::from_millis(match rng.random_range(0..10) {
        0 => rng.random_range(1_500..6_000),
        1 => rng.random_range(9_000..14_000),
        _ => rng.random_range(20..700),
    });
    let mut events = Vec::new();
    let kind = rng.random_range(0..24);
    if kind == 0 {
        // Never answers.
        return events;
    }
    if kind == 1 {
        events.push((at, failed(id, ReplyErrorKind::Unreachable)));
        return events;
    }
    if rng.random_range(0..5) == 0 {
        let mut busy_at = Duration::from_millis(rng.random_range(10..900));
        let progress = match rng.random_range(0..3) {
            0 => Progress::Waiting,
            1 => Progress::Trying {
                gateway: "first".to_owned(),
            },
            _ => Progress::Tool {
                name: TOOLS[rng.random_range(0..TOOLS.len())].to_owned(),
            },
        };
        for _ in 0..rng.random_range(1..4) {
            let progress = progress.clone();
            events.push((busy_at, Event::ReplyProgress { id, progress }));
            busy_at += Duration::from_millis(rng.random_range(50..3_000));
        }
        at = at.max(busy_at);
    }
    if kind == 2 || kind == 3 {
        // Nothing in it, or as good as nothing.
        let text = if kind == 2 { "" } else { " \n" };
        events.push((at, words(id, text, true)));
        return events;
    }
    let pace = rng.random_range(3..120);
    let tool_at = match rng.random_range(0..6) {
        0 => Some(0),
        1 => Some(rng.random_range(0..6)),
        _ => None,
    };
    let text = ANSWERS[rng.random_range(0..ANSWERS.len())];
    let pieces: Vec<&str> = text.split_inclusive(' ').collect();
    let breaks_at = (kind == 4).then(|| rng.random_range(0..pieces.len()));
    let has_text = kind != 5;
    let mut tools = 0;
    for (index, piece) in pieces.iter().enumerate() {
        if tool_at == Some(index) {
            for _ in 0..rng.random_range(1..4) {
                tools += 1;
                events.push((at, tool(id, tools, rng)));
                at += Duration::from_millis(rng.random_range(0..80));
            }
        }
        if breaks_at == Some(index) {
            events.push((at, failed(id, ReplyErrorKind::Cut)));
            return events;
        }
        if has_text {
            events.push((at, words(id, piece, false)));
        }
        at += Duration::from_millis(rng.random_range(0..=pace));
    }
    events.push((at, words(id, "", true)));
    events
}

fn words(id: ReplyId, text: &str, last: bool) -> Event {
    let text = text.to_owned();
    Event::ReplyText { id, text, last }
}

fn failed(id: ReplyId, kind: ReplyErrorKind) -> Event {
    let error = ReplyError {
        kind,
        blame: Blame::Upstream,
    };
    Event::ReplyFailed { id, error }
}

/// `number` makes each call of a reply another one.
fn tool(id: ReplyId, number: u32, rng: &mut StdRng) -> Event {
    let call = ToolCall {
        id: format!("{}-{number}", id.0),
        name: TOOLS[rng.random_range(0..TOOLS.len())].to_owned(),
        arguments: serde_json::json!({}),
    };
    Event::ReplyToolCall { id, call }
}
