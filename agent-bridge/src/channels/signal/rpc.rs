//! Requests to signal-cli and what its answers mean (JSON-RPC 2.0; signal-cli-jsonrpc(5)): messages with their styles,
//! voice notes, receipts, typing. What it writes about an error is never passed on: it may hold numbers.
//! PURE.

use std::time::Duration;

use serde_json::{Value, json};

use super::base64;
use crate::channels::OutBody;
use crate::channels::attempts::DOUBT;
use crate::channels::markdown::{Rich, Style};
use crate::channels::split::{Unit, split};

/// Longer texts would travel as a file.
const TEXT_UNITS_MAX: usize = 1_900;
const RATE_REST: Duration = Duration::from_secs(60);

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Done(Value),
    /// It certainly did not happen, and will not.
    Refused {
        why: &'static str,
    },
    /// It certainly did not happen now.
    NotDone {
        why: &'static str,
        retry_after: Option<Duration>,
    },
    /// Nobody knows.
    Unknown {
        why: &'static str,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Markdown.
    Text(String),
    /// The caption is Markdown; the sound is that of the message.
    Voice { caption: String },
}

/// The messages that carry this body, always cut alike: after a crash they are counted.
pub fn pieces(body: &OutBody) -> Vec<Piece> {
    let texts = |text: &str| {
        split(text, TEXT_UNITS_MAX, Unit::Utf16)
            .into_iter()
            .map(Piece::Text)
    };
    match body {
        // The text says what to write instead of pressing a button.
        OutBody::Text(text) | OutBody::Ask { text, .. } => texts(text).collect(),
        OutBody::Voice { words, .. } => {
            let fits = Unit::Utf16.length(words) <= TEXT_UNITS_MAX;
            let caption = if fits { words.clone() } else { String::new() };
            let more = texts(if fits { "" } else { words });
            std::iter::once(Piece::Voice { caption })
                .chain(more)
                .collect()
        }
    }
}

/// The parameters of `send`.
pub fn send(place: &str, piece: &Piece, ogg_opus: &[u8], in_doubt: bool) -> Value {
    let words = match piece {
        Piece::Text(text) => text,
        Piece::Voice { caption } => caption,
    };
    let (text, styles) = styled(&Rich::read(words), if in_doubt { DOUBT } else { "" });
    let mut params = json!({ "recipient": [place], "message": text });
    if !styles.is_empty() {
        params["textStyle"] = json!(styles);
    }
    if let Piece::Voice { .. } = piece {
        let sound = base64::encoded(ogg_opus);
        params["attachments"] =
            json!([format!("data:audio/ogg;filename=answer.ogg;base64,{sound}")]);
        params["voiceNote"] = json!(true);
    }
    params
}

/// Plain text, and ranges such as `0:4:BOLD`, counted in units of UTF-16.
fn styled(rich: &Rich, before: &str) -> (String, Vec<String>) {
    let mut text = String::new();
    if !before.is_empty() {
        text.push_str(before);
        text.push('\n');
    }
    let mut from = Unit::Utf16.length(&text);
    let mut styles = Vec::new();
    for (n, run) in rich.runs.iter().enumerate() {
        let length = Unit::Utf16.length(&run.text);
        for name in names(&run.style) {
            styles.push(format!("{from}:{length}:{name}"));
        }
        text.push_str(&run.text);
        from += length;
        let next = rich.runs.get(n + 1).and_then(|run| run.style.link.as_ref());
        if let Some(link) = &run.style.link
            && next != Some(link)
            && **link != *run.text
        {
            let shown = format!(" ({link})");
            from += Unit::Utf16.length(&shown);
            text.push_str(&shown);
        }
    }
    (text, styles)
}

fn names(style: &Style) -> impl Iterator<Item = &'static str> {
    let all = [
        (style.bold, "BOLD"),
        (style.italic, "ITALIC"),
        (style.strike, "STRIKETHROUGH"),
        (style.code || style.block.is_some(), "MONOSPACE"),
    ];
    all.into_iter()
        .filter(|(is_on, _)| *is_on)
        .map(|(_, name)| name)
}

/// The number of the only account of a daemon for all; of more, which one is ours must be said.
pub fn only_account(listed: &Value) -> Result<String, &'static str> {
    let Some(accounts) = listed.as_array() else {
        return Err("what answers is not signal-cli");
    };
    match accounts.as_slice() {
        [] => Err("signal-cli has no account"),
        [one] => {
            let number = one["number"].as_str();
            number
                .filter(|number| !number.is_empty())
                .map(str::to_owned)
                .ok_or("what answers is not signal-cli")
        }
        _ => Err("signal-cli serves several accounts: give our number in `account`"),
    }
}

/// One request; `account` only where signal-cli serves several.
pub fn request(id: u64, method: &str, params: &Value, account: &str) -> Value {
    let mut params = params.clone();
    if !account.is_empty() {
        params["account"] = json!(account);
    }
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// Reads an answer; none: it is not the one to request `id`.
pub fn answer(text: &str, id: u64) -> Option<Outcome> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    if value["id"].as_u64() != Some(id) {
        return None;
    }
    let error = &value["error"];
    if !error.is_object() {
        return Some(judged(value["result"].take()));
    }
    let said = error["message"].as_str().unwrap_or("").to_ascii_lowercase();
    Some(match error["code"].as_i64() {
        Some(-5) => limited(),
        Some(-4) => identity(),
        Some(-1) if said.contains("captcha") || said.contains("rate limit") => limited(),
        Some(-1) if said.contains("account") => Outcome::NotDone {
            why: "signal-cli has no such account: name it in `account`",
            retry_after: Some(RATE_REST),
        },
        Some(-1 | -32602 | -32601 | -32600) => Outcome::Refused {
            why: "signal-cli refuses it",
        },
        _ => Outcome::Unknown {
            why: "signal-cli failed",
        },
    })
}

/// `send` says for each recipient how it went.
fn judged(result: Value) -> Outcome {
    let kinds: Vec<&str> = result["results"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["type"].as_str())
        .collect();
    if kinds.is_empty() || kinds.contains(&"SUCCESS") {
        return Outcome::Done(result);
    }
    match kinds[0] {
        "NETWORK_FAILURE" => Outcome::NotDone {
            why: "Signal cannot be reached",
            retry_after: None,
        },
        "RATE_LIMIT_FAILURE" | "PROOF_REQUIRED_FAILURE" => limited(),
        "IDENTITY_FAILURE" => identity(),
        "UNREGISTERED_FAILURE" => Outcome::Refused {
            why: "they are not on Signal any more",
        },
        _ => Outcome::Unknown {
            why: "signal-cli failed",
        },
    }
}

fn limited() -> Outcome {
    Outcome::NotDone {
        why: "Signal asks for a pause (it may want a captcha: see signal-cli)",
        retry_after: Some(RATE_REST),
    }
}

fn identity() -> Outcome {
    Outcome::Refused {
        why: "their safety number has changed: look at `signal-cli listIdentities`, then `trust`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_count_as_signal_counts() {
        let params = send(
            "aa-11",
            &Piece::Text("👍 **bold** `c` [w](https://a.example) *i*".to_owned()),
            b"",
            false,
        );
        assert_eq!(params["message"], "👍 bold c w (https://a.example) i");
        assert_eq!(
            params["textStyle"],
            json!(["3:4:BOLD", "8:1:MONOSPACE", "32:1:ITALIC"])
        );
        assert_eq!(params["recipient"], json!(["aa-11"]));
        let doubt = send("aa-11", &Piece::Text("**b**".to_owned()), b"", true);
        assert!(
            doubt["message"]
                .as_str()
                .is_some_and(|text| text.starts_with(DOUBT))
        );
        assert_eq!(doubt["textStyle"][0], format!("{}:1:BOLD", DOUBT.len() + 1));
    }

    #[test]
    fn a_voice_note_is_an_attachment() {
        let params = send(
            "+49",
            &Piece::Voice {
                caption: "yes".to_owned(),
            },
            b"foo",
            false,
        );
        assert_eq!(
            params["attachments"],
            json!(["data:audio/ogg;filename=answer.ogg;base64,Zm9v"])
        );
        assert_eq!(
            (&params["voiceNote"], &params["message"]),
            (&json!(true), &json!("yes"))
        );
        let long = OutBody::Voice {
            ogg_opus: vec![],
            duration_ms: 1,
            words: "word ".repeat(1_000),
        };
        let all = pieces(&long);
        assert_eq!(
            all[0],
            Piece::Voice {
                caption: String::new()
            }
        );
        assert!(all.len() > 2);
    }

    #[test]
    fn answers_are_told_apart() {
        let cases = [
            (json!({"id": 1, "result": {"timestamp": 9}}), "Done"),
            (
                json!({"id": 1, "result": {"results": [{"type": "SUCCESS"}]}}),
                "Done",
            ),
            (
                json!({"id": 1, "result": {"results": [{"type": "NETWORK_FAILURE"}]}}),
                "NotDone",
            ),
            (
                json!({"id": 1, "result": {"results": [{"type": "UNREGISTERED_FAILURE"}]}}),
                "Refused",
            ),
            (
                json!({"id": 1, "result": {"results": [{"type": "IDENTITY_FAILURE"}]}}),
                "Refused",
            ),
            (json!({"id": 1, "error": {"code": -5}}), "NotDone"),
            (
                json!({"id": 1, "error": {"code": -1, "message": "x"}}),
                "Refused",
            ),
            (
                json!({"id": 1, "error": {"code": -3, "message": "x"}}),
                "Unknown",
            ),
            (json!({"id": 1, "error": {}}), "Unknown"),
        ];
        for (value, expected) in cases {
            let outcome = answer(&value.to_string(), 1).expect("an answer");
            assert!(
                format!("{outcome:?}").starts_with(expected),
                "{value}: {outcome:?}"
            );
        }
        for other in [
            "",
            "[]",
            "{}",
            r#"{"id":2,"result":1}"#,
            r#"{"id":"1"}"#,
            r#"{"method":"receive"}"#,
        ] {
            assert_eq!(answer(other, 1), None, "{other}");
        }
    }
}
