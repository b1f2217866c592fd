//! What signal-cli tells of a message that came (signal-cli-jsonrpc(5), `receive`), read from JSON of any shape. Owns what
//! counts as a message for us: private texts, sound, and their corrections. Groups are never answered.
//! PURE.

use serde_json::Value;

use crate::channels::TEXT_BYTES_MAX;
use crate::channels::names::shown_name;

const ID_BYTES_MAX: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The account's own id, which stays when the number changes; hidden numbers have only this.
    pub uuid: Option<String>,
    pub number: Option<String>,
    pub name: String,
    /// Milliseconds since 1970; with the sender it names the message for ever.
    pub at_ms: u64,
    /// The message that this one corrects.
    pub edits: Option<u64>,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Text(String),
    Sound {
        attachment: String,
        bytes: Option<u64>,
        mime: String,
    },
    /// What it is, in words.
    Other(&'static str),
}

impl Envelope {
    /// What names the sender in ids of messages.
    pub fn sender(&self) -> &str {
        let id = self.uuid.as_ref().or(self.number.as_ref());
        id.map_or("", String::as_str)
    }
}

/// Reads one event, in any of the forms it comes in. None: nothing for us. `ours` is our number, where there may be others;
/// else empty.
pub fn read(event: &Value, ours: &str) -> Option<Envelope> {
    let outer = [&event["params"]["result"], &event["params"], event];
    let outer = outer
        .into_iter()
        .find(|value| value["envelope"].is_object())?;
    let account = outer["account"].as_str().unwrap_or(ours);
    if !ours.is_empty() && account != ours {
        return None;
    }
    let envelope = &outer["envelope"];
    let edit = &envelope["editMessage"];
    let (message, edits) = match edit.is_object() {
        true => (
            &edit["dataMessage"],
            Some(edit["targetSentTimestamp"].as_u64()?),
        ),
        false => (&envelope["dataMessage"], None),
    };
    if !message.is_object() || message["groupInfo"].is_object() || message["groupV2"].is_object() {
        return None;
    }
    let id = |key: &str| {
        let id = envelope[key].as_str()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-');
        let is_id = !id.is_empty() && id.len() <= ID_BYTES_MAX && id.chars().all(plain);
        is_id.then(|| id.to_owned())
    };
    let uuid = id("sourceUuid");
    let number = id("sourceNumber");
    // Before there were both, one key held either.
    let number = number.or_else(|| id("source").filter(|_| uuid.is_none()));
    uuid.as_ref().or(number.as_ref())?;
    Some(Envelope {
        uuid,
        number,
        name: shown_name(envelope["sourceName"].as_str().unwrap_or("")),
        at_ms: message["timestamp"]
            .as_u64()
            .or(envelope["timestamp"].as_u64())?,
        edits,
        content: content(message)?,
    })
}

fn content(message: &Value) -> Option<Content> {
    let attachments = message["attachments"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mime = |value: &Value| value["contentType"].as_str().unwrap_or("").to_owned();
    let sound = attachments
        .iter()
        .find(|value| mime(value).starts_with("audio/"));
    if let Some(value) = sound
        && let Some(id) = value["id"].as_str().filter(|id| is_attachment(id))
    {
        return Some(Content::Sound {
            attachment: id.to_owned(),
            bytes: value["size"].as_u64(),
            mime: mime(value),
        });
    }
    // A long text comes with itself as a file.
    if attachments
        .iter()
        .any(|value| mime(value) != "text/x-signal-plain")
    {
        return Some(Content::Other("pictures and files"));
    }
    match message["message"].as_str() {
        Some(text) if text.len() > TEXT_BYTES_MAX => Some(Content::Other("a text of that length")),
        Some(text) if !text.trim().is_empty() => Some(Content::Text(text.to_owned())),
        _ if message["sticker"].is_object() => Some(Content::Other("stickers")),
        _ => None,
    }
}

/// The name of a file at signal-cli, and no path.
fn is_attachment(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !id.is_empty() && id.len() <= ID_BYTES_MAX && !id.contains("..") && id.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn envelope(more: Value) -> Value {
        let mut envelope = json!({"source": "+4915", "sourceNumber": "+4915", "sourceUuid": "aa-11",
            "sourceName": "An\u{202e}na", "timestamp": 5});
        for (key, value) in more.as_object().into_iter().flatten() {
            envelope[key] = value.clone();
        }
        json!({"envelope": envelope, "account": "+49000"})
    }

    fn text(words: &str) -> Value {
        envelope(json!({"dataMessage": {"timestamp": 5, "message": words}}))
    }

    #[test]
    fn the_three_forms_are_one() {
        let bare = text("hello");
        let read_all = [
            bare.clone(),
            json!({"jsonrpc": "2.0", "method": "receive", "params": bare}),
            json!({"method": "receive", "params": {"subscription": 0, "result": bare}}),
        ];
        for event in read_all {
            let found = read(&event, "").expect("a message");
            assert_eq!(found.content, Content::Text("hello".to_owned()));
            assert_eq!(
                (found.sender(), found.name.as_str(), found.at_ms),
                ("aa-11", "Anna", 5)
            );
        }
        assert!(read(&text("hello"), "+49000").is_some());
        assert!(read(&text("hello"), "+49001").is_none());
    }

    #[test]
    fn contents_are_told_apart() {
        let sound = |id: &str| json!([{"contentType": "audio/aac", "id": id, "size": 9}]);
        let cases = [
            (json!({"message": "x"}), "Text(\"x\")"),
            (
                json!({"message": null, "attachments": sound("a.aac")}),
                "Sound { attachment: \"a.aac\", bytes: Some(9), mime: \"audio/aac\" }",
            ),
            (
                json!({"attachments": sound("../a")}),
                "Other(\"pictures and files\")",
            ),
            (
                json!({"message": "x", "attachments": [{"contentType": "image/png", "id": "a"}]}),
                "Other(\"pictures and files\")",
            ),
            (
                json!({"message": "x", "attachments": [{"contentType": "text/x-signal-plain"}]}),
                "Text(\"x\")",
            ),
            (json!({"sticker": {}}), "Other(\"stickers\")"),
        ];
        for (message, expected) in cases {
            let found = read(&envelope(json!({"dataMessage": message})), "").expect("a message");
            assert_eq!(format!("{:?}", found.content), expected, "{message}");
        }
    }

    #[test]
    fn the_rest_is_nothing() {
        let data = |message: Value| envelope(json!({"dataMessage": message}));
        for event in [
            json!(null),
            json!([]),
            json!({"envelope": 3}),
            envelope(json!({})),
            envelope(json!({"typingMessage": {"action": "STARTED"}})),
            envelope(json!({"receiptMessage": {}})),
            envelope(json!({"syncMessage": {"sentMessage": {"message": "x"}}})),
            data(json!({"message": "x", "groupInfo": {"groupId": "g"}})),
            data(json!({"message": " "})),
            data(json!({"reaction": {"emoji": "x"}})),
            data(json!({"message": 4})),
            json!({"envelope": {"dataMessage": {"message": "x", "timestamp": 1}}}),
            json!({"envelope": {"sourceUuid": "a/../b", "dataMessage": {"message": "x", "timestamp": 1}}}),
            envelope(json!({"editMessage": {"dataMessage": {"message": "x"}}})),
        ] {
            assert_eq!(read(&event, ""), None, "{event}");
        }
    }

    #[test]
    fn a_correction_names_what_it_corrects() {
        let edit =
            json!({"targetSentTimestamp": 5, "dataMessage": {"timestamp": 8, "message": "y"}});
        let found = read(&envelope(json!({"editMessage": edit})), "").expect("a message");
        assert_eq!((found.at_ms, found.edits), (8, Some(5)));
    }
}
