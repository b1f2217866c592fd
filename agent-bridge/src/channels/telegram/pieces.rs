//! One message as the requests that carry it, in order: `sendMessage` for text, `sendVoice` for sound (Bot API,
//! "Available methods"). Owns cutting, captions and what is sent instead when Telegram refuses a form. Cutting is the same
//! each time: after a crash the pieces are counted.
//! PURE.

use serde_json::{Value, json};

use super::html::{escaped, html};
use crate::channels::OutBody;
use crate::channels::attempts::DOUBT;
use crate::channels::markdown::Rich;
use crate::channels::questions::BUTTONS_MAX;
use crate::channels::split::{Unit, split};

/// Telegram takes 4096 units of a text; some room is left for a note before it.
const TEXT_UNITS_MAX: usize = 4_000;
/// And 1024 of a caption.
const CAPTION_UNITS_MAX: usize = 960;
const LABEL_CHARS_MAX: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Markdown.
    Text(String),
    /// The caption is Markdown; the sound is that of the message.
    Voice {
        caption: String,
        duration_ms: u32,
    },
    Ask {
        text: String,
        labels: Vec<String>,
    },
}

/// The pieces of a message. None: there is nothing to say.
pub fn pieces(body: &OutBody) -> Vec<Piece> {
    let texts = |text: &str| {
        let split = split(text, TEXT_UNITS_MAX, Unit::Utf16);
        split.into_iter().map(Piece::Text)
    };
    match body {
        OutBody::Text(text) => texts(text).collect(),
        OutBody::Voice {
            duration_ms, words, ..
        } => {
            let fits = Unit::Utf16.length(words) <= CAPTION_UNITS_MAX;
            let voice = Piece::Voice {
                caption: if fits { words.clone() } else { String::new() },
                duration_ms: *duration_ms,
            };
            let more = texts(if fits { "" } else { words });
            std::iter::once(voice).chain(more).collect()
        }
        OutBody::Ask { text, buttons } => {
            let mut all: Vec<Piece> = texts(text).collect();
            let label =
                |(label, _): &(String, String)| label.chars().take(LABEL_CHARS_MAX).collect();
            let labels = buttons.iter().take(BUTTONS_MAX).map(label).collect();
            // The buttons hang on the last piece.
            if let Some(Piece::Text(text)) = all.pop() {
                all.push(Piece::Ask { text, labels });
            }
            all
        }
    }
}

impl Piece {
    pub fn method(&self) -> &'static str {
        match self {
            Piece::Voice { .. } => "sendVoice",
            Piece::Text(_) | Piece::Ask { .. } => "sendMessage",
        }
    }

    /// What Telegram is asked; for a voice note the fields beside the file.
    pub fn request(
        &self,
        place: &str,
        reply_to: Option<i64>,
        in_doubt: bool,
        is_plain: bool,
    ) -> Value {
        let words = match self {
            Piece::Text(text) | Piece::Ask { text, .. } => text,
            Piece::Voice { caption, .. } => caption,
        };
        let rich = Rich::read(words);
        let mut text = if is_plain { rich.plain() } else { html(&rich) };
        if in_doubt {
            let mark = match is_plain {
                true => DOUBT.to_owned(),
                false => format!("<i>{}</i>", escaped(DOUBT)),
            };
            text = format!("{mark}\n{text}");
        }
        let mut request = json!({ "chat_id": place });
        match self {
            Piece::Voice { duration_ms, .. } => {
                request["duration"] = json!(duration_ms.div_ceil(1_000));
                if !text.is_empty() {
                    request["caption"] = json!(text);
                }
            }
            Piece::Text(_) => request["text"] = json!(text),
            Piece::Ask { labels, .. } => {
                request["text"] = json!(text);
                let button = |(n, label): (usize, &String)| json!([{ "text": label, "callback_data": n.to_string() }]);
                let rows: Vec<Value> = labels.iter().enumerate().map(button).collect();
                request["reply_markup"] = json!({ "inline_keyboard": rows });
            }
        }
        if !is_plain {
            request["parse_mode"] = json!("HTML");
        }
        if let Some(number) = reply_to {
            request["reply_parameters"] =
                json!({ "message_id": number, "allow_sending_without_reply": true });
        }
        if !matches!(self, Piece::Voice { .. }) {
            request["link_preview_options"] = json!({ "is_disabled": true });
        }
        request
    }
}

/// The request that takes the buttons away and notes what was pressed.
pub fn decided(place: i64, number: i64, text: &str, label: &str) -> Value {
    json!({
        "chat_id": place, "message_id": number, "parse_mode": "HTML",
        "text": format!("{}\n\n<b>→ {}</b>", html(&Rich::read(text)), escaped(label)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(request: &Value, key: &str) -> usize {
        request[key]
            .as_str()
            .map_or(0, |text| Unit::Utf16.length(text))
    }

    #[test]
    fn long_answers_are_several_messages() {
        let text = "A sentence that is said again. ".repeat(400);
        let all = pieces(&OutBody::Text(text));
        assert!(all.len() > 3);
        for piece in &all {
            let request = piece.request("9", None, true, false);
            assert!(
                units(&request, "text") <= 4_096,
                "{}",
                units(&request, "text")
            );
        }
        assert_eq!(pieces(&OutBody::Text(" \n ".to_owned())), []);
        // What counts two units each.
        let all = pieces(&OutBody::Text("👍".repeat(5_000)));
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn a_voice_note_carries_its_words() {
        let voice = |words: String| OutBody::Voice {
            ogg_opus: vec![1],
            duration_ms: 1_200,
            words,
        };
        let all = pieces(&voice("**yes**".to_owned()));
        let request = all[0].request("9", Some(4), false, false);
        assert_eq!(all.len(), 1);
        assert_eq!(request["caption"], "<b>yes</b>");
        assert_eq!(request["duration"], 2);
        assert_eq!(request["reply_parameters"]["message_id"], 4);
        let all = pieces(&voice("word ".repeat(1_000)));
        assert!(matches!(&all[0], Piece::Voice { caption, .. } if caption.is_empty()));
        assert_eq!(all.len(), 3);
        assert_eq!(pieces(&voice(String::new())).len(), 1);
    }

    #[test]
    fn buttons_hang_on_the_last_piece() {
        let buttons = vec![
            ("Allow".to_owned(), "approve:1".to_owned()),
            ("No".to_owned(), "deny:1".to_owned()),
        ];
        let all = pieces(&OutBody::Ask {
            text: "May I *go*?".to_owned(),
            buttons,
        });
        let request = all[0].request("9", None, false, false);
        assert_eq!(request["text"], "May I <i>go</i>?");
        let rows = &request["reply_markup"]["inline_keyboard"];
        assert_eq!(rows[0][0], json!({"text": "Allow", "callback_data": "0"}));
        assert_eq!(rows[1][0]["callback_data"], "1");
        // Nothing of ours is told to the other side's program.
        assert!(!request.to_string().contains("approve:1"));
    }

    #[test]
    fn doubt_and_plain_words() {
        let piece = Piece::Text("**a** <b> [c](https://d.example)".to_owned());
        let plain = piece.request("9", None, false, true);
        assert_eq!(plain["text"], "a <b> c (https://d.example)");
        assert!(plain.get("parse_mode").is_none());
        let doubt = piece.request("9", None, true, true);
        assert!(
            doubt["text"]
                .as_str()
                .is_some_and(|text| text.starts_with(DOUBT))
        );
    }
}
