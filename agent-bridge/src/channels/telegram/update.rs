//! What comes in by `getUpdates` (Bot API, "Getting updates", "Available types"), read from JSON of any shape. Owns what
//! counts as a message for us; not who may write.
//! PURE.

use serde_json::Value;

use crate::channels::TEXT_BYTES_MAX;
use crate::channels::names::shown_name;

/// Who the bot is: mentions and replies are told by it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Me {
    pub id: i64,
    /// Without the `@`, in small letters.
    pub username: String,
}

impl Me {
    pub fn read(value: &Value) -> Option<Me> {
        let username = value["username"].as_str().unwrap_or("");
        Some(Me {
            id: value["id"].as_i64()?,
            username: username.to_lowercase(),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    pub id: i64,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Message(Message),
    /// A message that was changed after it was sent.
    Edited(Message),
    Pressed(Press),
    /// Nothing for us: other bots, service messages, kinds that did not exist when this was written.
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub chat: i64,
    pub is_private: bool,
    /// Unique in its chat.
    pub number: i64,
    pub from: i64,
    /// For people's eyes; it proves nothing.
    pub name: String,
    /// Seconds since 1970.
    pub at_s: u64,
    pub content: Content,
    /// In a group: it names the bot, or answers it.
    pub is_for_us: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Text(String),
    Voice {
        file: String,
        /// None: Telegram does not say.
        bytes: Option<u64>,
        mime: String,
    },
    /// What it is, in words.
    Other(&'static str),
}

/// A button under one of our messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Press {
    /// Answered with it.
    pub query: String,
    pub from: i64,
    pub name: String,
    pub chat: i64,
    pub is_private: bool,
    /// The message that the button hangs on.
    pub number: i64,
    /// As the sender's program says; it can say anything.
    pub data: String,
}

/// Reads the result of `getUpdates`, in the order of its numbers. What has no number is no update.
pub fn read(result: &Value, me: &Me) -> Vec<Update> {
    let entries = result.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut updates: Vec<Update> = entries
        .iter()
        .filter_map(|entry| {
            let id = entry["update_id"].as_i64().filter(|id| *id >= 0)?;
            let what = what(entry, me).unwrap_or(What::Nothing);
            Some(Update { id, what })
        })
        .collect();
    updates.sort_by_key(|update| update.id);
    updates.dedup_by_key(|update| update.id);
    updates
}

/// The number of the first update in an answer that is too long to be read whole.
pub fn first_id(head: &[u8]) -> Option<i64> {
    let text = String::from_utf8_lossy(head);
    let at = text.find("\"update_id\"")?;
    let rest = text[at + "\"update_id\"".len()..]
        .trim_start()
        .strip_prefix(':')?;
    let rest = rest.trim_start();
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..digits].parse().ok()
}

fn what(entry: &Value, me: &Me) -> Option<What> {
    if let Some(value) = entry.get("message") {
        return message(value, me).map(What::Message);
    }
    if let Some(value) = entry.get("edited_message") {
        // A place that moves is edited every few seconds; what cannot be used has been said of it once.
        let edited = message(value, me)?;
        let is_usable = !matches!(edited.content, Content::Other(_));
        return is_usable.then_some(What::Edited(edited));
    }
    press(entry.get("callback_query")?).map(What::Pressed)
}

fn message(value: &Value, me: &Me) -> Option<Message> {
    let from = &value["from"];
    if from["is_bot"] == Value::Bool(true) {
        return None;
    }
    let content = content(value)?;
    let mentioned = |text: &str| is_mentioned(text, &me.username);
    let is_reply = value["reply_to_message"]["from"]["id"].as_i64() == Some(me.id);
    let caption = value["caption"].as_str().unwrap_or("");
    let is_for_us = is_reply
        || match &content {
            Content::Text(text) => mentioned(text),
            _ => mentioned(caption),
        };
    let is_private = value["chat"]["type"] == "private";
    let content = match content {
        Content::Text(text) if !is_private => Content::Text(without_mention(&text, &me.username)),
        content => content,
    };
    Some(Message {
        chat: value["chat"]["id"].as_i64()?,
        is_private,
        number: value["message_id"].as_i64()?,
        from: from["id"].as_i64()?,
        name: name(from),
        at_s: value["edit_date"]
            .as_u64()
            .or(value["date"].as_u64())
            .unwrap_or(0),
        content,
        is_for_us,
    })
}

fn content(value: &Value) -> Option<Content> {
    if let Some(text) = value["text"].as_str() {
        return Some(match text.len() {
            0 => return None,
            1..=TEXT_BYTES_MAX => Content::Text(text.to_owned()),
            _ => Content::Other("a text of that length"),
        });
    }
    for key in ["voice", "audio"] {
        let sound = &value[key];
        if let Some(file) = sound["file_id"].as_str() {
            return Some(Content::Voice {
                file: file.to_owned(),
                bytes: sound["file_size"].as_u64(),
                mime: sound["mime_type"]
                    .as_str()
                    .unwrap_or("audio/ogg")
                    .to_owned(),
            });
        }
    }
    let others = [
        ("photo", "pictures"),
        ("video", "films"),
        ("video_note", "films"),
        ("animation", "films"),
        ("sticker", "stickers"),
        ("location", "places"),
        ("venue", "places"),
        ("contact", "contacts"),
        ("poll", "polls"),
        ("document", "files"),
    ];
    others
        .into_iter()
        .find(|(key, _)| value.get(key).is_some())
        .map(|(_, words)| Content::Other(words))
}

fn press(value: &Value) -> Option<Press> {
    let from = &value["from"];
    let chat = &value["message"]["chat"];
    Some(Press {
        query: value["id"].as_str()?.to_owned(),
        from: from["id"].as_i64()?,
        name: name(from),
        chat: chat["id"].as_i64()?,
        is_private: chat["type"] == "private",
        number: value["message"]["message_id"].as_i64()?,
        data: value["data"].as_str()?.to_owned(),
    })
}

fn name(from: &Value) -> String {
    let part = |key: &str| from[key].as_str().unwrap_or("");
    let whole = format!("{} {}", part("first_name"), part("last_name"));
    let shown = shown_name(&whole);
    match shown.is_empty() {
        true => shown_name(part("username")),
        false => shown,
    }
}

/// Where `@name` stands as a whole word.
fn mention(text: &str, username: &str) -> Option<(usize, usize)> {
    if username.is_empty() {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let wanted = format!("@{username}");
    lower.match_indices(&wanted).find_map(|(at, found)| {
        let end = at + found.len();
        let joins = |c: char| c.is_alphanumeric() || c == '_';
        let is_whole = !text[end..].chars().next().is_some_and(joins);
        is_whole.then_some((at, end))
    })
}

fn is_mentioned(text: &str, username: &str) -> bool {
    mention(text, username).is_some()
}

/// The text without the name it is addressed to, unless nothing else is left.
fn without_mention(text: &str, username: &str) -> String {
    let Some((at, end)) = mention(text, username) else {
        return text.to_owned();
    };
    let rest = format!("{}{}", text[..at].trim_end(), &text[end..]);
    let rest = rest.trim().trim_start_matches([',', ':']).trim_start();
    match rest.is_empty() {
        true => text.to_owned(),
        false => rest.to_owned(),
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
