//! PURE. One conversation as Markdown for people and as JSONL for programs: what was said, in which call, who answered each
//! turn and with which tools. The shapes are promised in `docs/call-backs.md`; both leave out addresses and secrets.

use serde_json::json;

use crate::store::{AuditRow, CallRow, MessageRow, Role, TurnRow};

/// Counts up when a reader of the JSONL must change.
pub const FORMAT: u32 = 1;

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Markdown
    Md,
    /// One JSON object a line
    Jsonl,
}

/// One call with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub call: CallRow,
    pub said: Vec<MessageRow>,
    pub turns: Vec<TurnRow>,
    /// What was asked, decided and run in it: approvals, PINs, tools, questions to the cloud.
    pub audit: Vec<AuditRow>,
}

pub fn write(conversation: &str, calls: &[Exported], format: Format) -> String {
    match format {
        Format::Md => markdown(conversation, calls),
        Format::Jsonl => jsonl(conversation, calls),
    }
}

fn jsonl(conversation: &str, calls: &[Exported]) -> String {
    let mut lines = vec![json!({
        "type": "conversation",
        "format": FORMAT,
        "conversation": conversation,
        "calls": calls.len(),
    })];
    for Exported {
        call,
        said,
        turns,
        audit,
    } in calls
    {
        lines.push(json!({
            "type": "call",
            "call": call.id,
            "user": call.user,
            "number": call.number,
            "started_at": time(call.started_unix_ms),
            "ended_at": call.ended_unix_ms.map(time),
            "result": call.result,
            "reason": call.reason,
        }));
        // In the order of time; what was said before the record of its turn, which is made when the answer is over.
        let mut rows: Vec<(u64, serde_json::Value)> = said
            .iter()
            .map(|said| {
                let row = json!({
                    "type": "said",
                    "call": call.id,
                    "at": time(said.at_unix_ms),
                    "channel": said.channel,
                    "who": who(said.role),
                    "text": said.text,
                    "complete": said.heard.is_none(),
                });
                (said.at_unix_ms, row)
            })
            .chain(turns.iter().map(|turn| {
                let row = json!({
                    "type": "turn",
                    "call": call.id,
                    "turn": turn.n,
                    "at": time(turn.at_unix_ms),
                    "gateway": turn.gateway,
                    "model": turn.model,
                    "tools": turn.tools,
                    "asked": turn.caller_text,
                    "answered": turn.reply_text,
                    "heard": turn.heard_text,
                    "latencies": serde_json::from_str::<serde_json::Value>(&turn.latencies_json)
                        .unwrap_or_default(),
                });
                (turn.at_unix_ms, row)
            }))
            .chain(audit.iter().map(|entry| {
                let row = json!({
                    "type": "audit",
                    "call": call.id,
                    "at": time(entry.at_unix_ms),
                    "kind": entry.kind,
                    "level": entry.level,
                    "channel": entry.channel,
                    "what": entry.what,
                    "result": entry.result,
                });
                (entry.at_unix_ms, row)
            }))
            .collect();
        rows.sort_by_key(|(at, _)| *at);
        lines.extend(rows.into_iter().map(|(_, row)| row));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn markdown(conversation: &str, calls: &[Exported]) -> String {
    let mut text = format!("# Conversation {}\n", plain(conversation));
    for Exported {
        call,
        said,
        turns,
        audit,
    } in calls
    {
        text.push_str(&format!(
            "\n## {} · {} · {}\n\nCall `{}`",
            time(call.started_unix_ms),
            plain(&call.user),
            plain(&call.number),
            call.id
        ));
        if let Some(ended) = call.ended_unix_ms {
            let seconds = ended.saturating_sub(call.started_unix_ms) / 1000;
            let reason = call.reason.as_deref().unwrap_or("over");
            text.push_str(&format!(", {seconds} s: {}", plain(reason)));
        }
        text.push_str(".\n\n");
        for said in said {
            let cut = match said.heard {
                Some(_) => " *(cut off)*",
                None => "",
            };
            let clock = time(said.at_unix_ms);
            let clock = clock.get(11..19).unwrap_or_default();
            text.push_str(&format!(
                "- {clock} **{}:** {}{cut}\n",
                who(said.role),
                plain(&said.text)
            ));
        }
        let named: Vec<&TurnRow> = turns.iter().filter(|turn| turn.gateway.is_some()).collect();
        if !named.is_empty() {
            text.push_str("\n| turn | answered by | model | tools |\n| --- | --- | --- | --- |\n");
        }
        for turn in named {
            let cell = |text: &str| match text {
                "" => "–".to_owned(),
                text => plain(text).replace('|', "\\|"),
            };
            text.push_str(&format!(
                "| {} | {} | {} | {} |\n",
                turn.n,
                cell(turn.gateway.as_deref().unwrap_or_default()),
                cell(turn.model.as_deref().unwrap_or_default()),
                cell(&turn.tools.join(", "))
            ));
        }
        if !audit.is_empty() {
            text.push('\n');
        }
        for entry in audit {
            let clock = time(entry.at_unix_ms);
            let clock = clock.get(11..19).unwrap_or_default();
            let (kind, what) = (plain(&entry.kind), plain(&entry.what));
            let result = plain(&entry.result);
            text.push_str(&format!("- {clock} {kind}: {what} ({result})\n"));
        }
    }
    text
}

fn who(role: Role) -> &'static str {
    match role {
        Role::Caller => "caller",
        Role::Assistant => "assistant",
        Role::Program => "program",
    }
}

/// One line that means nothing to Markdown, or to a terminal.
fn plain(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => clean.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' => {
                clean.push('\\');
                clean.push(c);
            }
            c => clean.push(c),
        }
    }
    clean
}

fn time(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| String::new(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported() -> Exported {
        let message = |role, text: &str, heard: Option<&str>, at_unix_ms| MessageRow {
            conversation: "anna/agent".to_owned(),
            role,
            text: text.to_owned(),
            heard: heard.map(str::to_owned),
            at_unix_ms,
            call: Some("c1".to_owned()),
            channel: "phone".to_owned(),
        };
        Exported {
            call: CallRow {
                id: "c1".to_owned(),
                user: "anna".to_owned(),
                number: "100".to_owned(),
                remote: "192.0.2.1:5060".to_owned(),
                user_agent: Some("phone".to_owned()),
                started_unix_ms: 1_000,
                ended_unix_ms: Some(61_000),
                result: Some("completed".to_owned()),
                reason: Some("the caller hung up".to_owned()),
                blame: None,
                codec: None,
                stats_json: None,
                turns: 1,
                ledger: Default::default(),
            },
            said: vec![
                message(Role::Program, "Hello.", None, 1_500),
                message(Role::Caller, "What *is*\nit?", None, 3_000),
                message(Role::Assistant, "Ten to", Some("Ten to"), 4_000),
            ],
            turns: vec![TurnRow {
                call: "c1".to_owned(),
                n: 1,
                at_unix_ms: 5_000,
                caller_text: "What *is*\nit?".to_owned(),
                reply_text: "Ten to four.".to_owned(),
                heard_text: "Ten to".to_owned(),
                latencies_json: "{\"committed_ms\":300}".to_owned(),
                gateway: Some("openai".to_owned()),
                model: Some("small|one".to_owned()),
                tools: vec!["clock".to_owned()],
            }],
            audit: vec![AuditRow {
                at_unix_ms: 6_000,
                call: Some("c1".to_owned()),
                user: "anna".to_owned(),
                level: "owner".to_owned(),
                channel: "phone".to_owned(),
                kind: "approval decided".to_owned(),
                what: "exec: touch *a*".to_owned(),
                result: "allowed: code by key".to_owned(),
            }],
        }
    }

    #[test]
    fn as_jsonl() {
        let text = write("anna/agent", &[exported()], Format::Jsonl);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON on each line"))
            .collect();
        let kinds: Vec<&str> = lines
            .iter()
            .filter_map(|line| line["type"].as_str())
            .collect();
        assert_eq!(
            kinds,
            [
                "conversation",
                "call",
                "said",
                "said",
                "said",
                "turn",
                "audit"
            ]
        );
        assert_eq!(lines[0]["format"], FORMAT);
        assert_eq!(lines[4]["complete"], false);
        let turn = &lines[5];
        assert_eq!(turn["gateway"], "openai");
        assert_eq!(turn["tools"], json!(["clock"]));
        assert_eq!(turn["latencies"]["committed_ms"], 300);
        assert_eq!(lines[6]["result"], "allowed: code by key");
        assert!(!text.contains("192.0.2.1"), "addresses stay here: {text}");
    }

    #[test]
    fn as_markdown() {
        let text = write("anna/agent", &[exported()], Format::Md);
        let expected = "# Conversation anna/agent\n\n\
            ## 1970-01-01T00:00:01Z · anna · 100\n\n\
            Call `c1`, 60 s: the caller hung up.\n\n\
            - 00:00:01 **program:** Hello.\n\
            - 00:00:03 **caller:** What \\*is\\* it?\n\
            - 00:00:04 **assistant:** Ten to *(cut off)*\n\n\
            | turn | answered by | model | tools |\n| --- | --- | --- | --- |\n\
            | 1 | openai | small\\|one | clock |\n\n\
            - 00:00:06 approval decided: exec: touch \\*a\\* (allowed: code by key)\n";
        assert_eq!(text, expected);
    }
}
