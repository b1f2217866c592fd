//! What a chat completion's JSON says: pieces of text, tool calls put together from their fragments,
//! usage, errors. Owns the shapes of the answer, streamed or whole, and its bounds.
//! PURE.

use serde::Deserialize;
use serde_json::Value;

use crate::gateways::{GatewayError, ToolCall, Usage};

const TOOL_CALLS_MAX: usize = 16;
const ARGUMENT_BYTES_MAX: usize = 64 * 1024;
const NAME_BYTES_MAX: usize = 128;
/// Letters of a reply in total. A caller listens to this for more than an hour.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// One piece that the caller of `Answer` hands on.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    Text(String),
    /// A call of this tool has begun; its arguments are still to come.
    ToolBegun(String),
    /// The model thinks aloud, which nobody is to hear. Said once.
    Thinking,
    ToolCall(ToolCall),
}

/// An answer as it is put together.
#[derive(Debug, Default)]
pub struct Answer {
    calls: Vec<PartialCall>,
    text_bytes: usize,
    is_thinking: bool,
    is_finished: bool,
    usage: Option<Usage>,
}

#[derive(Debug, Default)]
struct PartialCall {
    index: u64,
    id: String,
    name: String,
    arguments: String,
    is_told: bool,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    usage: Option<UsageBody>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<u64>,
    /// Streamed answers have deltas, whole ones a message of the same shape.
    #[serde(alias = "message")]
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<Value>,
    refusal: Option<String>,
    /// Not of the published format; servers of open models use one name, the other, or both.
    reasoning_content: Option<Value>,
    reasoning: Option<Value>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    index: Option<u64>,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    /// A string of JSON; some servers send the object itself.
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct UsageBody {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl Answer {
    /// Takes one JSON document: a chunk of a stream, or the whole answer.
    pub fn feed(&mut self, json: &str) -> Result<Vec<Piece>, GatewayError> {
        let body: Body = serde_json::from_str(json).map_err(|_| GatewayError::Protocol {
            why: "it is not the JSON of a chat completion",
        })?;
        if let Some(error) = body.error.filter(|error| !error.is_null()) {
            return Err(reported(&error));
        }
        if let Some(usage) = body.usage {
            self.usage = Some(Usage {
                prompt_tokens: usage.prompt_tokens.unwrap_or(0),
                completion_tokens: usage.completion_tokens.unwrap_or(0),
            });
        }
        let mut pieces = Vec::new();
        for choice in body.choices.unwrap_or_default() {
            // Only one answer was asked for.
            if choice.index.unwrap_or(0) != 0 {
                continue;
            }
            if let Some(delta) = choice.delta {
                self.delta(delta, &mut pieces)?;
            }
            if choice.finish_reason.is_some() {
                self.is_finished = true;
            }
        }
        Ok(pieces)
    }

    fn delta(&mut self, delta: Delta, pieces: &mut Vec<Piece>) -> Result<(), GatewayError> {
        for text in [delta.content.map(text), delta.refusal]
            .into_iter()
            .flatten()
        {
            let room = TEXT_BYTES_MAX - self.text_bytes;
            let text = &text[..floor_boundary(&text, room)];
            if !text.is_empty() {
                self.text_bytes += text.len();
                pieces.push(Piece::Text(text.to_owned()));
            }
        }
        let thoughts = [delta.reasoning_content, delta.reasoning];
        let has_thought = thoughts.into_iter().flatten().any(|t| !text(t).is_empty());
        if has_thought && !self.is_thinking {
            self.is_thinking = true;
            pieces.push(Piece::Thinking);
        }
        for (place, call) in delta.tool_calls.unwrap_or_default().into_iter().enumerate() {
            pieces.extend(self.fragment(place as u64, call)?);
        }
        Ok(())
    }

    /// The piece, if any, says that a tool's name is complete.
    fn fragment(&mut self, place: u64, fragment: CallDelta) -> Result<Option<Piece>, GatewayError> {
        let index = fragment.index.unwrap_or(place);
        let at = match self.calls.iter().position(|call| call.index == index) {
            Some(at) => at,
            None if self.calls.len() >= TOOL_CALLS_MAX => {
                return Err(GatewayError::Protocol {
                    why: "it has too many tool calls",
                });
            }
            None => {
                self.calls.push(PartialCall {
                    index,
                    ..PartialCall::default()
                });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        if let Some(id) = fragment.id.filter(|id| !id.is_empty()) {
            call.id = id;
        }
        let mut has_arguments = false;
        if let Some(function) = fragment.function {
            if let Some(name) = function.name {
                call.name.push_str(&name);
            }
            // A name may come in parts, but before the arguments, of which empty ones count.
            has_arguments = function.arguments.is_some();
            match function.arguments {
                Some(Value::String(part)) => call.arguments.push_str(&part),
                Some(object @ Value::Object(_)) => call.arguments = object.to_string(),
                _ => {}
            }
        }
        let is_short = call.arguments.len() <= ARGUMENT_BYTES_MAX
            && call.name.len() <= NAME_BYTES_MAX
            && call.id.len() <= NAME_BYTES_MAX;
        if !is_short {
            return Err(GatewayError::Protocol {
                why: "a tool call is too long",
            });
        }
        let is_news = has_arguments && !call.is_told && !call.name.is_empty();
        call.is_told |= is_news;
        Ok(is_news.then(|| Piece::ToolBegun(call.name.clone())))
    }

    /// The tool calls, complete. They are handed out only once the answer is.
    pub fn take_calls(&mut self) -> Result<Vec<ToolCall>, GatewayError> {
        let mut calls = Vec::new();
        for (number, call) in std::mem::take(&mut self.calls).into_iter().enumerate() {
            let arguments = match call.arguments.trim() {
                "" => Value::Object(serde_json::Map::new()),
                text => serde_json::from_str(text).unwrap_or(Value::Null),
            };
            if call.name.is_empty() || !arguments.is_object() {
                return Err(GatewayError::Protocol {
                    why: "a tool call is not complete",
                });
            }
            calls.push(ToolCall {
                id: match call.id.as_str() {
                    "" => format!("call-{}", number + 1),
                    id => id.to_owned(),
                },
                name: call.name,
                arguments,
            });
        }
        Ok(calls)
    }

    /// The model has said that it is done.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Longer than anybody listens: nothing more is taken.
    pub fn is_full(&self) -> bool {
        self.text_bytes >= TEXT_BYTES_MAX
    }

    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

/// Content is a text, or a list of parts of which the texts count.
fn text(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
        _ => String::new(),
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn reported(error: &Value) -> GatewayError {
    let code = error_code(error);
    match code.contains("rate_limit") || code == "429" {
        true => GatewayError::RateLimited { retry_after: None },
        false => GatewayError::Reported { code },
    }
}

/// The short name of an error. Messages are left out: they may quote the conversation or a key.
pub fn error_code(error: &Value) -> String {
    let name = ["code", "type", "status"]
        .iter()
        .filter_map(|field| error.get(field))
        .find_map(|value| match value {
            Value::String(name) if !name.is_empty() => Some(name.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
    let name: String = name
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        .take(64)
        .collect();
    match name.is_empty() {
        true => "without a code".to_owned(),
        false => name,
    }
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
