//! Frames of OpenClaw's gateway protocol, version 4: requests as they are written, and what is read of responses and
//! events. Strict in what is sent; of what is read only the fields that count, each of which may be missing.
//! PURE.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// The only protocol version that is spoken.
pub const PROTOCOL: u32 = 4;
/// A reply longer than this is cut.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Codes, names and ids of the gateway's.
const NAME_CHARS_MAX: usize = 64;
/// A command that somebody is to approve. Whoever hears only its beginning must be told so; see `approval`.
pub const COMMAND_CHARS_MAX: usize = 4_000;
/// The longest wait the gateway may wish for.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Waiting approvals read from one list.
const APPROVALS_MAX: usize = 64;
/// A message that came while its session was changing was not taken. OpenClaw 2026.9.6 says so by this code, or after a
/// wait for the session by these words alone, and sets `retryable` in neither case.
const SESSION_CHANGED: &str = "SESSION_MUTATION_AUTHORIZATION_CHANGED";
const SESSION_CHANGED_WORDS: &str = "session changed before chat.send; retry the request";

pub const ROLE: &str = "operator";
/// Constant, because the set of tools that an agent has depends on them. Never `operator.admin`.
pub const SCOPES: [&str; 3] = ["operator.read", "operator.write", "operator.approvals"];
const CAPS: [&str; 4] = [
    "tool-events",
    "approvals",
    "exec-approvals",
    "plugin-approvals",
];
/// Both are of closed lists; any other name is refused.
pub const CLIENT_ID: &str = "gateway-client";
pub const CLIENT_MODE: &str = "backend";
pub const PLATFORM: &str = "linux";

#[derive(Serialize)]
struct Request<'a, P> {
    r#type: &'static str,
    id: String,
    method: &'a str,
    params: P,
}

/// The text of a request frame.
pub fn request(id: u64, method: &str, params: impl Serialize) -> String {
    let frame = Request {
        r#type: "req",
        id: id.to_string(),
        method,
        params,
    };
    // Strings, numbers and lists of them: there is nothing that JSON could not hold.
    serde_json::to_string(&frame).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connect<'a> {
    min_protocol: u32,
    max_protocol: u32,
    client: ClientInfo<'a>,
    role: &'static str,
    scopes: [&'static str; 3],
    caps: [&'static str; 4],
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<Auth<'a>>,
    locale: &'static str,
    user_agent: &'static str,
    device: Device<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientInfo<'a> {
    id: &'static str,
    version: &'static str,
    platform: &'static str,
    mode: &'static str,
    display_name: &'a str,
}

#[derive(Serialize)]
struct Auth<'a> {
    token: &'a str,
}

/// The proof of who we are, as `identity` makes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Device<'a> {
    pub id: &'a str,
    pub public_key: &'a str,
    pub signature: String,
    pub signed_at: u64,
    pub nonce: &'a str,
}

/// `token` empty: none is sent.
pub fn connect<'a>(name: &'a str, token: &'a str, device: Device<'a>) -> Connect<'a> {
    Connect {
        min_protocol: PROTOCOL,
        max_protocol: PROTOCOL,
        client: ClientInfo {
            id: CLIENT_ID,
            version: env!("CARGO_PKG_VERSION"),
            platform: PLATFORM,
            mode: CLIENT_MODE,
            display_name: name,
        },
        role: ROLE,
        scopes: SCOPES,
        caps: CAPS,
        auth: (!token.is_empty()).then_some(Auth { token }),
        locale: "en-US",
        user_agent: concat!("offhook/", env!("CARGO_PKG_VERSION")),
        device,
    }
}

/// What becomes of a message that finds its session busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueMode {
    /// It ends the run under way.
    Interrupt,
    /// It waits for the run's end.
    Followup,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatSend<'a> {
    pub session_key: &'a str,
    pub message: &'a str,
    pub idempotency_key: &'a str,
    pub queue_mode: QueueMode,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatAbort<'a> {
    pub session_key: &'a str,
    pub run_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatHistory<'a> {
    pub session_key: &'a str,
    pub limit: u32,
}

#[derive(Serialize)]
pub struct Resolve<'a> {
    pub id: &'a str,
    pub decision: &'static str,
}

#[derive(Serialize)]
pub struct Nothing {}

/// A frame from the gateway.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    Challenge {
        nonce: String,
        /// Unix milliseconds of the gateway's clock.
        at_ms: u64,
    },
    Response {
        id: u64,
        result: Result<Value, WireError>,
    },
    Chat(Chat),
    Tool(Tool),
    /// A run is being worked on now.
    Begins {
        run: String,
    },
    /// Whether a run waits for somebody's approval.
    Waits {
        run: String,
        waits: bool,
    },
    ApprovalRequested(Approval),
    ApprovalResolved {
        id: String,
        is_allowed: bool,
        by: String,
    },
    /// The gateway is about to go.
    Shutdown,
    /// Anything else; it shows that the gateway is there.
    Other,
}

/// What a refused request says of itself. Every text is shortened and free of control characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WireError {
    pub code: String,
    /// `details.code`, the more exact one.
    pub detail: String,
    pub reason: String,
    /// Of a pairing that waits for its owner.
    pub request: String,
    pub protocol: Option<u32>,
    pub can_use_device_token: bool,
    /// Nothing came of the request, and it may be sent again as it is.
    pub can_retry: bool,
    pub retry_after: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatState {
    Delta,
    Final,
    Aborted,
    Error,
}

/// News of one reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    pub run: String,
    pub session_key: String,
    pub state: ChatState,
    /// All of the reply so far, where the frame holds it.
    pub whole: Option<String>,
    /// What is new. With `replaces` it is all there is.
    pub delta: String,
    pub replaces: bool,
    pub error_kind: String,
    /// Counts what the gateway has told of this run, from 1: with this frame all that went before. 0: it does not say.
    pub number: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub run: String,
    pub name: String,
    pub call: String,
    pub is_over: bool,
}

/// Something that waits for a yes. Texts are the agent's own, shortened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    pub id: String,
    pub is_plugin: bool,
    pub session_key: String,
    pub what: String,
    pub place: String,
    /// Unix milliseconds; of the same clock as `created_ms`.
    pub expires_ms: u64,
    pub created_ms: u64,
}

/// Reads a frame. None: it is not JSON, or no frame.
pub fn parse(text: &str) -> Option<Incoming> {
    let frame: Value = serde_json::from_str(text).ok()?;
    match frame["type"].as_str()? {
        "res" => Some(Incoming::Response {
            id: number(&frame["id"])?,
            result: match frame["ok"].as_bool()? {
                true => Ok(frame["payload"].clone()),
                false => Err(error(&frame["error"])),
            },
        }),
        "event" => Some(event(frame["event"].as_str()?, &frame["payload"])),
        _ => Some(Incoming::Other),
    }
}

fn event(name: &str, payload: &Value) -> Incoming {
    let known = match name {
        "connect.challenge" => challenge(payload),
        "chat" => chat(payload).map(Incoming::Chat),
        "agent" => agent(payload),
        "exec.approval.requested" => approval(payload, false).map(Incoming::ApprovalRequested),
        "plugin.approval.requested" => approval(payload, true).map(Incoming::ApprovalRequested),
        "exec.approval.resolved" | "plugin.approval.resolved" => resolved(payload),
        "shutdown" => Some(Incoming::Shutdown),
        _ => None,
    };
    known.unwrap_or(Incoming::Other)
}

fn challenge(payload: &Value) -> Option<Incoming> {
    Some(Incoming::Challenge {
        nonce: id(&payload["nonce"])?,
        at_ms: payload["ts"].as_u64()?,
    })
}

fn chat(payload: &Value) -> Option<Chat> {
    let state = match payload["state"].as_str()? {
        "delta" => ChatState::Delta,
        "final" => ChatState::Final,
        "aborted" => ChatState::Aborted,
        "error" => ChatState::Error,
        _ => return None,
    };
    Some(Chat {
        run: id(&payload["runId"])?,
        session_key: id(&payload["sessionKey"])?,
        state,
        whole: message_text(&payload["message"]),
        delta: shortened(payload["deltaText"].as_str().unwrap_or_default()),
        replaces: payload["replace"].as_bool().unwrap_or(false),
        error_kind: name(&payload["errorKind"]),
        number: payload["seq"].as_u64().unwrap_or(0),
    })
}

/// The text of a message: a string, or the text parts of a list.
pub fn message_text(message: &Value) -> Option<String> {
    match &message["content"] {
        Value::String(text) => Some(shortened(text)),
        Value::Array(parts) => {
            let mut all = String::new();
            for part in parts.iter().filter(|part| part["type"] == "text") {
                all.push_str(part["text"].as_str().unwrap_or_default());
                if all.len() > TEXT_BYTES_MAX {
                    break;
                }
            }
            Some(shortened(&all))
        }
        _ => message["text"].as_str().map(shortened),
    }
}

/// The reply to the last question of `chat.history`; none while there is none.
pub fn last_reply(payload: &Value) -> Option<String> {
    let messages = payload["messages"].as_array()?;
    let last = messages.iter().rev().find(|message| {
        let role = message["role"].as_str().unwrap_or_default();
        role == "user"
            || (role == "assistant" && message_text(message).is_some_and(|t| !t.is_empty()))
    })?;
    (last["role"] == "assistant").then(|| message_text(last))?
}

fn agent(payload: &Value) -> Option<Incoming> {
    let run = id(&payload["runId"])?;
    let data = &payload["data"];
    let phase = data["phase"].as_str()?;
    match payload["stream"].as_str()? {
        "lifecycle" => Some(match phase {
            "start" => Incoming::Begins { run },
            "waiting-approval" => Incoming::Waits { run, waits: true },
            "approval-resolved" => Incoming::Waits { run, waits: false },
            _ => return None,
        }),
        "tool" => Some(Incoming::Tool(Tool {
            run,
            name: name(&data["name"]),
            call: id(&data["toolCallId"])?,
            is_over: match phase {
                "start" => false,
                "result" => true,
                _ => return None,
            },
        })),
        _ => None,
    }
}

fn approval(payload: &Value, is_plugin: bool) -> Option<Approval> {
    let request = &payload["request"];
    let text = |value: &Value| {
        value
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let what = match is_plugin {
        false => text(&request["command"])?,
        true => [&request["title"], &request["description"]]
            .into_iter()
            .filter_map(text)
            .collect::<Vec<_>>()
            .join(": "),
    };
    let place: Vec<String> = [&request["cwd"], &request["host"]]
        .into_iter()
        .filter_map(text)
        .collect();
    Some(Approval {
        id: id(&payload["id"])?,
        is_plugin,
        session_key: id(&request["sessionKey"]).unwrap_or_default(),
        what: what.chars().take(COMMAND_CHARS_MAX).collect(),
        place: place.join(" on ").chars().take(COMMAND_CHARS_MAX).collect(),
        expires_ms: payload["expiresAtMs"].as_u64().unwrap_or(0),
        created_ms: payload["createdAtMs"].as_u64().unwrap_or(0),
    })
}

/// The requests of `exec.approval.list` and `plugin.approval.list`.
pub fn approvals(payload: &Value, is_plugin: bool) -> Vec<Approval> {
    let list = payload.as_array().or(payload["approvals"].as_array());
    list.map_or(&[][..], Vec::as_slice)
        .iter()
        .take(APPROVALS_MAX)
        .filter_map(|one| approval(one, is_plugin))
        .collect()
}

fn resolved(payload: &Value) -> Option<Incoming> {
    Some(Incoming::ApprovalResolved {
        id: id(&payload["id"])?,
        is_allowed: matches!(
            payload["decision"].as_str(),
            Some("allow-once" | "allow-always")
        ),
        by: plain(
            payload["resolvedBy"]
                .as_str()
                .or(payload["reason"].as_str())
                .unwrap_or_default(),
        ),
    })
}

fn error(error: &Value) -> WireError {
    let details = &error["details"];
    let wait = error["retryAfterMs"]
        .as_u64()
        .or(details["retryAfterMs"].as_u64());
    WireError {
        code: name(&error["code"]),
        detail: name(&details["code"]),
        reason: name(&details["reason"]),
        request: name(&details["requestId"]),
        protocol: details["expectedProtocol"]
            .as_u64()
            .and_then(|version| version.try_into().ok()),
        can_use_device_token: details["canRetryWithDeviceToken"]
            .as_bool()
            .unwrap_or(false),
        can_retry: error["retryable"].as_bool().unwrap_or_else(|| {
            let says_so = |words: &str| words.contains(SESSION_CHANGED_WORDS);
            details["code"] == SESSION_CHANGED || error["message"].as_str().is_some_and(says_so)
        }),
        retry_after: wait.map(|ms| Duration::from_millis(ms).min(RETRY_MAX)),
    }
}

/// A name that is shown, and copied into a terminal where it is part of a command.
fn name(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(NAME_CHARS_MAX)
        .collect()
}

fn plain(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(NAME_CHARS_MAX).collect()
}

/// Something that is only compared and handed back.
fn id(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    (!text.is_empty() && text.len() <= 512).then(|| text.to_owned())
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
