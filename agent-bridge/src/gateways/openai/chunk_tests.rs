//! Chat completion documents and what comes out of them.

use serde_json::json;

use super::*;

fn feed(documents: &[&str]) -> Result<(String, Vec<ToolCall>, Answer), GatewayError> {
    let mut answer = Answer::default();
    let mut said = String::new();
    for document in documents {
        for piece in answer.feed(document)? {
            match piece {
                Piece::Text(text) => said.push_str(&text),
                Piece::ToolBegun(name) => said.push_str(&format!("<{name}")),
                Piece::Thinking => said.push('~'),
                Piece::ToolCall(_) => unreachable!("calls come from take_calls"),
            }
        }
    }
    let calls = answer.take_calls()?;
    Ok((said, calls, answer))
}

#[test]
fn text_comes_in_many_shapes() {
    for (documents, wanted) in [
        (
            &[
                r#"{"choices":[{"delta":{"content":"a"}}]}"#,
                r#"{"choices":[{"delta":{"content":"b"}}]}"#,
            ][..],
            "ab",
        ),
        (
            &[r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"whole"}}]}"#],
            "whole",
        ),
        (
            &[r#"{"choices":[{"delta":{"content":[{"type":"text","text":"part"}]}}]}"#],
            "part",
        ),
        (
            &[
                r#"{"choices":[{"delta":{"content":null,"reasoning_content":"hm"}}]}"#,
                r#"{"choices":[{"delta":{"reasoning":"so","reasoning_content":"so"}}]}"#,
                r#"{"choices":[{"delta":{"content":"a","reasoning_content":""}}]}"#,
            ],
            "~a",
        ),
        (&[r#"{"choices":[{"delta":{"refusal":"No."}}]}"#], "No."),
        (
            &[r#"{"choices":[{"index":1,"delta":{"content":"other"}}]}"#],
            "",
        ),
        (&[r#"{"choices":[]}"#], ""),
        (&[r#"{"choices":null,"usage":null,"error":null}"#], ""),
        (&["{}"], ""),
    ] {
        assert_eq!(feed(documents).expect("valid").0, wanted, "{documents:?}");
    }
}

#[test]
fn tool_calls_are_put_together() {
    let (said, calls, answer) = feed(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"set_timer","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"y","function":{"name":"hang_up"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"sec"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"onds\":5}"}}]}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#,
    ])
    .expect("valid");
    // The second one sends no arguments, so its name may still grow.
    assert_eq!(said, "<set_timer");
    assert_eq!(calls[0].id, "x");
    assert_eq!(calls[0].name, "set_timer");
    assert_eq!(calls[0].arguments, json!({"seconds": 5}));
    assert_eq!(
        (calls[1].name.as_str(), &calls[1].arguments),
        ("hang_up", &json!({}))
    );
    assert!(answer.is_finished());
    assert_eq!(answer.usage().map(|usage| usage.completion_tokens), Some(3));
    // A name in parts is told once, when it is whole.
    let (said, _, _) = feed(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"set_"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"timer"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}}]}"#,
    ])
    .expect("valid");
    assert_eq!(said, "<set_timer");
    // A whole answer, arguments as an object, no id.
    let (_, calls, _) = feed(&[
        r#"{"choices":[{"message":{"tool_calls":[{"function":{"name":"a","arguments":{"b":1}}}]}}]}"#,
    ])
    .expect("valid");
    assert_eq!(
        (calls[0].id.as_str(), &calls[0].arguments),
        ("call-1", &json!({"b": 1}))
    );
}

#[test]
fn broken_answers_are_errors() {
    let long = format!(
        r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":0,"function":{{"name":"{}"}}}}]}}}}]}}"#,
        "x".repeat(NAME_BYTES_MAX + 1)
    );
    let many: Vec<String> = (0..=TOOL_CALLS_MAX)
        .map(|n| format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":{n}}}]}}}}]}}"#))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (documents, wanted) in [
        (&["no"][..], "Protocol"),
        (&["[]"], "Protocol"),
        (&[r#"{"choices":"x"}"#], "Protocol"),
        (&[long.as_str()], "Protocol"),
        (&many[..], "Protocol"),
        (
            &[
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"a","arguments":"{"}}]}}]}"#,
            ],
            "Protocol",
        ),
        (
            &[
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}"#,
            ],
            "Protocol",
        ),
        (
            &[r#"{"error":{"message":"my key is abc","code":"server_error"}}"#],
            "Reported { code: \"server_error\" }",
        ),
        (
            &[r#"{"error":{"message":"slow down","type":"rate_limit_exceeded"}}"#],
            "RateLimited",
        ),
        (
            &[r#"{"error":"something"}"#],
            "Reported { code: \"without a code\" }",
        ),
        (
            &[r#"{"error":{"code":"a b<script>"}}"#],
            "Reported { code: \"abscript\" }",
        ),
    ] {
        let error = feed(documents).expect_err("an error");
        assert!(format!("{error:?}").starts_with(wanted), "{error:?}");
    }
}

#[test]
fn endless_text_is_cut() {
    let mut answer = Answer::default();
    let piece = json!({"choices": [{"delta": {"content": "ü".repeat(60_000)}}]}).to_string();
    let mut bytes = 0;
    for _ in 0..4 {
        for piece in answer.feed(&piece).expect("valid") {
            if let Piece::Text(text) = piece {
                bytes += text.len();
            }
        }
    }
    assert_eq!(bytes, TEXT_BYTES_MAX);
    assert!(answer.is_full());
}
