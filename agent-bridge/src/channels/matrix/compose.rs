//! PURE. What we send, as the contents of events (§11.2.1 messages, §11.5 relations, §11.7 mentions; MSC3245 for voice
//! messages): text with its Markdown as HTML, questions with the reactions that answer them, voice messages. Owns the
//! lengths: an event may have 64 KiB (§8.4).

use serde_json::{Value, json};

use super::html;
use super::wire::BUTTONS;
use crate::channels::split::{Unit, split};

/// Bytes of text in one message. Longer ones are hard to read, and 64 KiB is the end of any event.
pub const PART_BYTES_MAX: usize = 12 * 1024;
/// Text and its HTML together; more goes without the HTML.
const BODY_BYTES_MAX: usize = 48 * 1024;
/// Reactions to a question: yes and no, and numbers where there are others.
const YES: &str = "✅";
const NO: &str = "❌";
const NUMBERS: [&str; 9] = ["1️⃣", "2️⃣", "3️⃣", "4️⃣", "5️⃣", "6️⃣", "7️⃣", "8️⃣", "9️⃣"];

/// What an answer hangs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relation {
    pub reply_to: Option<String>,
    pub thread: Option<String>,
    /// Whom it mentions.
    pub user: Option<String>,
}

/// Contents of the messages that a text becomes, in order; empty for a text without words.
pub fn texts(text: &str, relation: &Relation) -> Vec<Value> {
    let parts = split(&printable(text), PART_BYTES_MAX, Unit::Bytes);
    let mut contents = Vec::with_capacity(parts.len());
    for (n, part) in parts.iter().enumerate() {
        let mut content = json!({ "msgtype": "m.text", "body": part, "m.mentions": {} });
        if let Some(html) = html::html(part)
            && html.len() + part.len() <= BODY_BYTES_MAX
        {
            content["format"] = json!("org.matrix.custom.html");
            content["formatted_body"] = json!(html);
        }
        relate(&mut content, relation, n == 0);
        contents.push(content);
    }
    contents
}

/// A line from the program itself: other programs do not answer it.
pub fn notice(text: &str) -> Value {
    json!({ "msgtype": "m.notice", "body": text, "m.mentions": {} })
}

/// A question. The keys to react with stand in the event itself: after a restart they mean the same.
pub fn question(
    text: &str,
    buttons: &[(String, String)],
    relation: &Relation,
) -> (Value, Vec<&'static str>) {
    let keys = keys(buttons);
    let pairs = || keys.iter().zip(buttons);
    let mut body = printable(text);
    if !keys.is_empty() {
        let choices: Vec<String> = pairs()
            .map(|(key, (label, _))| format!("{key} {}", printable(label)))
            .collect();
        body.push_str("\n\n");
        body.push_str(&choices.join("   "));
    }
    let body = body
        .get(..body.floor_char_boundary(PART_BYTES_MAX))
        .unwrap_or_default()
        .to_owned();
    let meanings: Vec<Value> = pairs()
        .map(|(key, (label, data))| json!({ "key": key, "label": label, "data": data }))
        .collect();
    let mut content =
        json!({ "msgtype": "m.text", "body": body, "m.mentions": {}, BUTTONS: meanings });
    relate(&mut content, relation, true);
    (content, keys)
}

/// Which reaction stands for which button; more than nine have none.
fn keys(buttons: &[(String, String)]) -> Vec<&'static str> {
    let means = |data: &str, words: [&str; 2]| words.iter().any(|word| data.starts_with(word));
    match buttons {
        [(_, yes), (_, no)] if means(yes, ["approve", "yes"]) && means(no, ["deny", "no"]) => {
            vec![YES, NO]
        }
        buttons => NUMBERS.iter().take(buttons.len()).copied().collect(),
    }
}

/// A reaction of ours, so that a person need only tap it.
pub fn reaction(event: &str, key: &str) -> Value {
    json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": event, "key": key } })
}

/// What a question of ours asked, by its event: without the line of its signs.
pub fn asked(event: &Value) -> &str {
    let body = event["content"]["body"].as_str().unwrap_or_default();
    let has_signs = event["content"][BUTTONS]
        .as_array()
        .is_some_and(|all| !all.is_empty());
    match body.rsplit_once("\n\n").filter(|_| has_signs) {
        Some((text, _)) => text,
        None => body,
    }
}

/// The question after it is over (§11.5.4): what became of it, and nothing to react to.
pub fn answered(event: &str, text: &str, words: &str) -> Value {
    let body = format!("{}\n\n→ {}", printable(text), printable(words));
    let body = body
        .get(..body.floor_char_boundary(PART_BYTES_MAX))
        .unwrap_or_default();
    json!({
        "msgtype": "m.text",
        "body": format!("* {body}"),
        "m.mentions": {},
        "m.new_content": { "msgtype": "m.text", "body": body, "m.mentions": {}, BUTTONS: [] },
        "m.relates_to": { "rel_type": "m.replace", "event_id": event },
    })
}

/// A voice message; its words are sent as text beside it.
pub fn voice(mxc: &str, bytes: usize, duration_ms: u32, relation: &Relation) -> Value {
    let mut content = json!({
        "msgtype": "m.audio",
        "body": "Voice message.ogg",
        "url": mxc,
        "info": { "mimetype": "audio/ogg", "size": bytes, "duration": duration_ms },
        "org.matrix.msc1767.audio": { "duration": duration_ms },
        "org.matrix.msc3245.voice": {},
        "m.mentions": {},
    });
    relate(&mut content, relation, false);
    content
}

fn relate(content: &mut Value, relation: &Relation, is_first: bool) {
    let reply = relation.reply_to.as_ref().filter(|_| is_first);
    if let Some(root) = &relation.thread {
        content["m.relates_to"] = json!({
            "rel_type": "m.thread",
            "event_id": root,
            "is_falling_back": reply.is_none(),
            "m.in_reply_to": { "event_id": reply.unwrap_or(root) },
        });
    } else if let Some(event) = reply {
        content["m.relates_to"] = json!({ "m.in_reply_to": { "event_id": event } });
    }
    if let Some(user) = relation.user.as_ref().filter(|_| is_first) {
        content["m.mentions"] = json!({ "user_ids": [user] });
    }
}

/// Without control characters but line breaks and tabs: each would cost six bytes, and none can be seen.
fn printable(text: &str) -> String {
    let is_shown = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().filter(is_shown).collect()
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
