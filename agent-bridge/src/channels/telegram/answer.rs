//! What an answer of the Bot API says (Bot API, "Making requests"): the result, or why not, in words of ours. What
//! Telegram writes is never passed on: its words may quote the message.
//! PURE.

use std::time::Duration;

use serde_json::Value;

/// A wait that Telegram may ask for; longer ones are tried again after this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Done(Value),
    Refused(Refusal),
    /// It never left: nothing has happened there.
    NotSent {
        why: &'static str,
    },
    /// It left, and nothing usable came back: it may have been done.
    Unknown {
        why: &'static str,
    },
    /// The answer is larger than was allowed; its first bytes.
    TooLong {
        head: Vec<u8>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The token is not, or no longer, a bot's.
    Token,
    /// Somebody else receives this bot's messages: another program, or a webhook.
    Conflict {
        is_webhook: bool,
    },
    TooMany {
        retry_after: Duration,
    },
    /// The markup of the message.
    Markup,
    /// They take no voice messages.
    NoVoice,
    /// They blocked the bot, or the chat is gone.
    Gone,
    /// The message stands there as wished.
    SameAlready,
    /// The file is too large to be fetched.
    FileTooLarge,
    Other {
        code: u16,
    },
}

impl Refusal {
    pub fn words(self) -> String {
        match self {
            Refusal::Token => "Telegram does not accept the bot's token".to_owned(),
            Refusal::Conflict { is_webhook: true } => {
                "a webhook receives this bot's messages: remove it (deleteWebhook)".to_owned()
            }
            Refusal::Conflict { is_webhook: false } => {
                "another program receives this bot's messages: only one may, so give each its own bot"
                    .to_owned()
            }
            Refusal::TooMany { retry_after } => {
                format!("Telegram asks for {} s of quiet", retry_after.as_secs())
            }
            Refusal::Markup => "Telegram does not read the markup".to_owned(),
            Refusal::NoVoice => "they take no voice messages".to_owned(),
            Refusal::Gone => "they have blocked the bot, or the chat is gone".to_owned(),
            Refusal::SameAlready => "nothing to change".to_owned(),
            Refusal::FileTooLarge => "the file is too large for Telegram's bots".to_owned(),
            Refusal::Other { code } => format!("Telegram refuses it ({code})"),
        }
    }
}

/// Reads the body of an answer with this HTTP status.
pub fn read(status: u16, body: &[u8]) -> Answer {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return match status {
            // A machine before the API answers so while it is being renewed.
            500.. => Answer::Unknown {
                why: "Telegram's server is in trouble",
            },
            // The API says so in JSON; a machine before it knows no tokens.
            401 | 404 => Answer::Unknown {
                why: "what answers is not Telegram's API",
            },
            400..500 => Answer::Refused(Refusal::Other { code: status }),
            _ => Answer::Unknown {
                why: "what answers is not Telegram's API",
            },
        };
    };
    if value["ok"] == Value::Bool(true) {
        return Answer::Done(value["result"].take());
    }
    let code = value["error_code"]
        .as_u64()
        .and_then(|code| u16::try_from(code).ok());
    let code = code.unwrap_or(status);
    if code >= 500 {
        return Answer::Unknown {
            why: "Telegram's server is in trouble",
        };
    }
    let said = value["description"]
        .as_str()
        .unwrap_or("")
        .to_ascii_lowercase();
    let after = value["parameters"]["retry_after"].as_u64();
    Answer::Refused(refusal(code, &said, after))
}

fn refusal(code: u16, said: &str, retry_after_s: Option<u64>) -> Refusal {
    match code {
        401 | 404 => Refusal::Token,
        403 => Refusal::Gone,
        409 => Refusal::Conflict {
            is_webhook: said.contains("webhook"),
        },
        429 => Refusal::TooMany {
            retry_after: Duration::from_secs(retry_after_s.unwrap_or(5).max(1))
                .min(RETRY_AFTER_MAX),
        },
        400 if said.contains("parse entities") || said.contains("unsupported start tag") => {
            Refusal::Markup
        }
        400 if said.contains("voice_messages_forbidden") => Refusal::NoVoice,
        400 if said.contains("chat not found") || said.contains("user is deactivated") => {
            Refusal::Gone
        }
        400 if said.contains("not modified") => Refusal::SameAlready,
        400 if said.contains("file is too big") => Refusal::FileTooLarge,
        _ => Refusal::Other { code },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let refused = |refusal| Answer::Refused(refusal);
        let trouble = Answer::Unknown {
            why: "Telegram's server is in trouble",
        };
        let cases = [
            (
                200,
                r#"{"ok":true,"result":[]}"#,
                Answer::Done(serde_json::json!([])),
            ),
            (
                401,
                r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#,
                refused(Refusal::Token),
            ),
            (
                404,
                "not json",
                Answer::Unknown {
                    why: "what answers is not Telegram's API",
                },
            ),
            (
                404,
                r#"{"ok":false,"error_code":404,"description":"Not Found"}"#,
                refused(Refusal::Token),
            ),
            (
                409,
                r#"{"ok":false,"error_code":409,"description":"Conflict: terminated by other getUpdates request"}"#,
                refused(Refusal::Conflict { is_webhook: false }),
            ),
            (
                409,
                r#"{"ok":false,"error_code":409,"description":"Conflict: can't use getUpdates method while webhook is active"}"#,
                refused(Refusal::Conflict { is_webhook: true }),
            ),
            (
                429,
                r#"{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":7}}"#,
                refused(Refusal::TooMany {
                    retry_after: Duration::from_secs(7),
                }),
            ),
            (
                429,
                r#"{"ok":false,"error_code":429,"parameters":{"retry_after":99999999999}}"#,
                refused(Refusal::TooMany {
                    retry_after: RETRY_AFTER_MAX,
                }),
            ),
            (
                400,
                r#"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities: x"}"#,
                refused(Refusal::Markup),
            ),
            (
                403,
                r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#,
                refused(Refusal::Gone),
            ),
            (502, "<html>", trouble.clone()),
            (500, r#"{"ok":false,"error_code":500}"#, trouble),
            (
                200,
                "<html>",
                Answer::Unknown {
                    why: "what answers is not Telegram's API",
                },
            ),
            (200, "[]", refused(Refusal::Other { code: 200 })),
            (
                400,
                r#"{"ok":"true","error_code":-3,"description":[]}"#,
                refused(Refusal::Other { code: 400 }),
            ),
        ];
        for (status, body, expected) in cases {
            assert_eq!(read(status, body.as_bytes()), expected, "{status} {body}");
        }
    }
}
