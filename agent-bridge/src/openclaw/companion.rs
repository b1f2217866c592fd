//! The companion plugin inside OpenClaw (`deploy/openclaw-plugin`): whether it is there, whether it is one that we know, and
//! the rows that it is asked to append to a transcript. Owns its names and bounds; when rows are appended is
//! `gateways::openclaw`'s.
//! PURE.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// The only major version that is used.
pub const MAJOR: u64 = 1;
pub const VERSION_METHOD: &str = "offhook.version";
pub const APPEND_METHOD: &str = "offhook.append";
/// A caller waits for the rows before the next question is sent.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// The greeting is not told before; a question waits for that.
pub const VERSION_PATIENCE: Duration = Duration::from_secs(1);
/// Of one request; the plugin refuses more.
pub const ROWS_MAX: usize = 8;
pub const ROW_BYTES_MAX: usize = 16 * 1024;

/// What of the plugin a gateway has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Companion {
    #[default]
    Absent,
    /// It is there and has not said its version.
    Mute,
    /// Of this version, which is used.
    Ready(String),
    /// Of this version, which is not used.
    Unfit(String),
}

impl Companion {
    /// From `features.methods` of the greeting.
    pub fn offered(methods: &Value) -> Companion {
        let methods = methods.as_array().map_or(&[][..], Vec::as_slice);
        let has = |name: &str| methods.iter().any(|method| method == name);
        match has(VERSION_METHOD) && has(APPEND_METHOD) {
            true => Companion::Mute,
            false => Companion::Absent,
        }
    }

    /// From its own answer.
    pub fn said(answer: &Value) -> Companion {
        let version = answer["version"].as_str().unwrap_or_default();
        let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
        let version: String = version.chars().filter(fits).take(32).collect();
        let major = version.split('.').next().map(str::parse);
        match major {
            _ if version.is_empty() => Companion::Mute,
            Some(Ok(MAJOR)) => Companion::Ready(version),
            _ => Companion::Unfit(version),
        }
    }

    pub fn is_ready(&self) -> bool {
        matches!(self, Companion::Ready(_))
    }

    /// For people.
    pub fn tier(&self) -> String {
        match self {
            Companion::Absent => "nothing installed there (tier C)".to_owned(),
            Companion::Mute => {
                "its companion plugin does not say its version and is not used (tier C)".to_owned()
            }
            Companion::Ready(version) => format!("tier B, companion plugin {version}"),
            Companion::Unfit(version) => format!(
                "its companion plugin is version {version} and Offhook knows version {MAJOR}: it is not used (tier C)"
            ),
        }
    }
}

/// A row of a transcript, in words that were really spoken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub role: &'static str,
    pub text: String,
}

impl Row {
    /// The end of a text that is too long.
    pub fn new(role: &'static str, text: &str) -> Row {
        let mut from = text.len().saturating_sub(ROW_BYTES_MAX);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        Row {
            role,
            text: text[from..].to_owned(),
        }
    }
}

/// Rows for one conversation, at most `ROWS_MAX`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Append {
    pub session_key: String,
    /// Rows of one name are written once.
    pub idempotency_key: String,
    /// The run whose reply the first row stands instead of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// After that nothing is to be written any more.
    pub within_ms: u64,
    pub rows: Vec<Row>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_version_of_the_known_major_is_used() {
        let both = json!(["health", VERSION_METHOD, APPEND_METHOD]);
        assert_eq!(Companion::offered(&both), Companion::Mute);
        for methods in [json!(null), json!([VERSION_METHOD]), json!({"a": 1})] {
            assert_eq!(Companion::offered(&methods), Companion::Absent);
        }
        for (answer, expected) in [
            (
                json!({"version": "1.0.0"}),
                Companion::Ready("1.0.0".to_owned()),
            ),
            (json!({"version": "1"}), Companion::Ready("1".to_owned())),
            (
                json!({"version": "2.0.0"}),
                Companion::Unfit("2.0.0".to_owned()),
            ),
            (
                json!({"version": "new\n; rm"}),
                Companion::Unfit("newrm".to_owned()),
            ),
            (json!({"version": ""}), Companion::Mute),
            (json!(7), Companion::Mute),
        ] {
            assert_eq!(Companion::said(&answer), expected, "{answer}");
        }
    }

    #[test]
    fn of_a_text_that_is_too_long_the_end_counts() {
        let row = Row::new("user", &format!("{}end", "ü".repeat(ROW_BYTES_MAX)));
        assert!(row.text.len() <= ROW_BYTES_MAX && row.text.ends_with("üend"));
        assert_eq!(Row::new("user", "all").text, "all");
    }
}
