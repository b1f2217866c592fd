//! What is sent to a chat completions server, and when it is sent again. Owns the body's shape and the
//! arithmetic of retries.
//! PURE.

use std::time::Duration;

use rand::{Rng, RngExt};
use serde_json::{Map, Value, json};

use super::OpenAiConfig;
use crate::gateways::{AskRequest, GatewayError, Message, Role, ToolRound};

const BACKOFF_MS: u64 = 200;
const BACKOFF_MS_MAX: u64 = 2_000;

pub fn body(config: &OpenAiConfig, request: &AskRequest) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), json!(config.model));
    body.insert("messages".into(), messages(request));
    body.insert("stream".into(), json!(true));
    body.insert("stream_options".into(), json!({ "include_usage": true }));
    if let Some(temperature) = config.temperature {
        // Through text, so that 0.7 is sent as 0.7 and not as the nearest double of the nearest float.
        let value: f64 = temperature.to_string().parse().unwrap_or(1.0);
        body.insert("temperature".into(), json!(value));
    }
    if let Some(tokens) = config.tokens_max {
        body.insert("max_tokens".into(), json!(tokens));
    }
    if !request.tools.is_empty() {
        let tools = request.tools.iter().map(|tool| {
            json!({ "type": "function", "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            }})
        });
        body.insert("tools".into(), tools.collect());
        // Servers refuse messages of tools without the tools.
        if request.must_answer() {
            body.insert("tool_choice".into(), json!("none"));
        }
    }
    Value::Object(body)
}

/// Many chat templates insist on strict alternation that begins with the caller. On the telephone
/// neither holds (an interrupted reply that nobody heard leaves two questions in a row), so neighbours
/// of one role become one message, and what the assistant said before the first question is left out.
fn messages(request: &AskRequest) -> Value {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut rounds = request.rounds.iter().peekable();
    for (n, message) in request.messages.iter().enumerate() {
        while let Some(round) = rounds.next_if(|round| round.after <= n) {
            lines.push(Line::Round(round));
        }
        let is_dialogue = matches!(message.role, Role::User | Role::Assistant);
        let is_early = lines.is_empty() && message.role == Role::Assistant;
        if !is_dialogue || is_early || message.text.is_empty() {
            continue;
        }
        match lines.last_mut() {
            Some(Line::Said(last)) if last.role == message.role => {
                last.text.push('\n');
                last.text.push_str(&message.text);
            }
            _ => lines.push(Line::Said(message.clone())),
        }
    }
    lines.extend(rounds.map(Line::Round));
    let mut all = Vec::new();
    if !request.system.is_empty() {
        all.push(json!({ "role": "system", "content": request.system }));
    }
    for line in lines {
        match line {
            Line::Said(message) => {
                let role = match message.role {
                    Role::Assistant => "assistant",
                    _ => "user",
                };
                all.push(json!({ "role": role, "content": message.text }));
            }
            Line::Round(round) => tool_round(round, &mut all),
        }
    }
    Value::Array(all)
}

/// One entry of the dialogue.
enum Line<'a> {
    Said(Message),
    Round(&'a ToolRound),
}

/// What was called, and a message for the result of each.
fn tool_round(round: &ToolRound, all: &mut Vec<Value>) {
    let calls: Vec<Value> = round
        .calls
        .iter()
        .map(|(call, _)| {
            // In this format arguments are a text of JSON.
            let function = json!({ "name": call.name, "arguments": call.arguments.to_string() });
            json!({ "id": call.id, "type": "function", "function": function })
        })
        .collect();
    let said = (!round.said.is_empty()).then_some(round.said.as_str());
    all.push(json!({ "role": "assistant", "content": said, "tool_calls": calls }));
    let results = round.calls.iter().map(
        |(call, result)| json!({ "role": "tool", "tool_call_id": call.id, "content": result }),
    );
    all.extend(results);
}

/// What a `Retry-After` header says: seconds, or a date, which may have passed. RFC 9110 section 10.2.3.
pub fn retry_after_of(text: &str, now_unix_s: i64) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
    let seconds = at.ok()?.as_second().saturating_sub(now_unix_s);
    Some(Duration::from_secs(seconds.try_into().unwrap_or(0)))
}

/// How long to wait before asking again after `error`, if asking again is any use. `attempt` counts from
/// zero; `left` is what remains of the time for a first word.
pub fn retry_after<R: Rng>(
    error: &GatewayError,
    attempt: u32,
    left: Duration,
    rng: &mut R,
) -> Option<Duration> {
    let wanted = match error {
        GatewayError::RateLimited { retry_after } => *retry_after,
        // Refused or reset; a connect that timed out has used up the caller's patience already.
        GatewayError::Unreachable { .. } | GatewayError::Cut => None,
        GatewayError::Server { status: 502..=504 } => None,
        _ => return None,
    };
    let backoff = (BACKOFF_MS << attempt.min(8)).min(BACKOFF_MS_MAX);
    // Half to all of it, so that callers who failed together do not come back together.
    let jittered = Duration::from_millis(rng.random_range(backoff / 2..=backoff));
    let wait = wanted.map_or(jittered, |wanted| wanted.max(jittered));
    (wait < left).then_some(wait)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::gateways::{ToolSpec, Wait};
    use crate::turn::ReplyId;

    fn request(dialogue: &[(Role, &str)]) -> AskRequest {
        AskRequest {
            reply: ReplyId(1),
            session: "s".into(),
            system: "Be brief.".into(),
            messages: dialogue
                .iter()
                .map(|(role, text)| Message {
                    role: *role,
                    text: (*text).to_owned(),
                })
                .collect(),
            speculative: false,
            tools: Vec::new(),
            rounds: Vec::new(),
        }
    }

    #[test]
    fn roles_alternate_and_begin_with_the_caller() {
        use Role::{Assistant, System, Tool, User};
        for (dialogue, wanted) in [
            (&[(User, "a")][..], json!([["user", "a"]])),
            (&[(Assistant, "hi"), (User, "a")], json!([["user", "a"]])),
            (&[(User, "a"), (User, "b")], json!([["user", "a\nb"]])),
            (
                &[
                    (User, "a"),
                    (Assistant, "b"),
                    (System, "x"),
                    (Tool, "y"),
                    (Assistant, "c"),
                    (User, "d"),
                ],
                json!([["user", "a"], ["assistant", "b\nc"], ["user", "d"]]),
            ),
            (
                &[(User, "a"), (Assistant, ""), (User, "b")],
                json!([["user", "a\nb"]]),
            ),
        ] {
            let body = body(&OpenAiConfig::default(), &request(dialogue));
            let sent = body["messages"].as_array().expect("a list");
            assert_eq!(sent[0], json!({ "role": "system", "content": "Be brief." }));
            let sent: Vec<Value> = sent[1..]
                .iter()
                .map(|m| json!([m["role"], m["content"]]))
                .collect();
            assert_eq!(Value::Array(sent), wanted);
        }
    }

    #[test]
    fn a_server_names_a_time_or_a_date() {
        for (text, wanted) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            let wanted = wanted.map(Duration::from_secs);
            assert_eq!(retry_after_of(text, 784_111_770), wanted, "{text}");
        }
    }

    #[test]
    fn tools_and_their_results_stand_where_they_were_called() {
        let call = |id: &str| crate::gateways::ToolCall {
            id: id.to_owned(),
            name: "weather".into(),
            arguments: json!({ "city": "Rome" }),
        };
        let mut asked = request(&[
            (Role::User, "Weather?"),
            (Role::Assistant, "Sunny."),
            (Role::User, "And there?"),
        ]);
        asked.system.clear();
        asked.rounds = vec![
            ToolRound {
                after: 1,
                said: String::new(),
                calls: vec![(call("a"), "sunny".into())],
            },
            ToolRound {
                after: 3,
                said: "One moment.".into(),
                calls: vec![(call("b"), "rain".into()), (call("c"), "wind".into())],
            },
        ];
        let sent = body(&OpenAiConfig::default(), &asked);
        let arguments = "{\"city\":\"Rome\"}";
        let tool = |id: &str| {
            json!({ "id": id, "type": "function",
            "function": { "name": "weather", "arguments": arguments } })
        };
        let wanted = json!([
            { "role": "user", "content": "Weather?" },
            { "role": "assistant", "content": null, "tool_calls": [tool("a")] },
            { "role": "tool", "tool_call_id": "a", "content": "sunny" },
            { "role": "assistant", "content": "Sunny." },
            { "role": "user", "content": "And there?" },
            { "role": "assistant", "content": "One moment.", "tool_calls": [tool("b"), tool("c")] },
            { "role": "tool", "tool_call_id": "b", "content": "rain" },
            { "role": "tool", "tool_call_id": "c", "content": "wind" },
        ]);
        assert_eq!(sent["messages"], wanted);
    }

    #[test]
    fn options_are_sent_only_when_set() {
        let bare = body(&OpenAiConfig::default(), &request(&[]));
        for field in ["temperature", "max_tokens", "tools"] {
            assert!(bare.get(field).is_none(), "{field}");
        }
        let config = OpenAiConfig {
            temperature: Some(0.7),
            tokens_max: Some(200),
            ..OpenAiConfig::default()
        };
        let mut asked = request(&[]);
        asked.tools.push(ToolSpec {
            name: "t".into(),
            description: "d".into(),
            parameters: json!({ "type": "object" }),
        });
        let full = body(&config, &asked);
        assert_eq!(full["temperature"].to_string(), "0.7");
        assert_eq!(full["max_tokens"], 200);
        assert_eq!(full["tools"][0]["function"]["name"], "t");
        assert_eq!(
            (&full["stream"], &full["stream_options"]["include_usage"]),
            (&json!(true), &json!(true))
        );
    }

    #[test]
    fn only_what_may_pass_is_asked_again_and_only_in_time() {
        let s = Duration::from_secs;
        let limited = |seconds: Option<u64>| GatewayError::RateLimited {
            retry_after: seconds.map(s),
        };
        let refused = GatewayError::Unreachable { why: String::new() };
        for (error, left, again) in [
            (limited(None), s(5), true),
            (limited(Some(1)), s(5), true),
            (limited(Some(30)), s(5), false),
            (refused.clone(), s(5), true),
            (refused, Duration::from_millis(50), false),
            (GatewayError::Server { status: 503 }, s(5), true),
            (GatewayError::Server { status: 500 }, s(5), false),
            (GatewayError::Unauthorized { status: 401 }, s(5), false),
            (GatewayError::Timeout(Wait::Connect), s(5), false),
        ] {
            let mut rng = StdRng::from_seed([0; 32]);
            let wait = retry_after(&error, 0, left, &mut rng);
            assert_eq!(wait.is_some(), again, "{error:?}");
            assert!(wait.is_none_or(|wait| wait < left && wait >= Duration::from_millis(100)));
        }
    }
}
