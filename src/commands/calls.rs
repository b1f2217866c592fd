//! `offhook calls`: the calls of the database, and what speculation brought in them.

use agent_bridge::turn::Ledger;

use super::{local_time, open_store, print, table};
use crate::config::Config;
use crate::home::Home;
use crate::store::CallRow;

/// Prints the last `count` calls, the newest first, and the sum of the ledgers of all calls kept.
pub fn list(home: &Home, config: &Config, count: usize, json: bool) -> anyhow::Result<()> {
    let store = open_store(home, config)?;
    let (calls, total) = (store.recent_calls(count)?, store.ledger()?);
    if json {
        return print(&format!("{}\n", as_json(&calls, &total)));
    }
    if calls.is_empty() {
        return print("no calls yet\n");
    }
    print(&format!("{}\n{}\n", listed(&calls), in_words(&total)))
}

fn listed(calls: &[CallRow]) -> String {
    let titles = [
        "CALL", "STARTED", "USER", "NUMBER", "LASTED", "TURNS", "GUESSES", "SAVED", "ENDED",
    ];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    for call in calls {
        let ledger = &call.ledger;
        let (guesses, saved) = match ledger.guesses {
            0 => ("–".to_owned(), "–".to_owned()),
            guesses => (
                format!("{} of {guesses} right", ledger.hits),
                seconds(ledger.saved_ms),
            ),
        };
        let lasted = call
            .ended_unix_ms
            .map(|ended| seconds(ended.saturating_sub(call.started_unix_ms)));
        rows.push(vec![
            call.id.clone(),
            local_time(call.started_unix_ms),
            call.user.clone(),
            one_line(&call.number),
            lasted.unwrap_or_else(|| "goes on".to_owned()),
            call.turns.to_string(),
            guesses,
            saved,
            one_line(call.reason.as_deref().unwrap_or_default()),
        ]);
    }
    table(&rows)
}

/// What was dialled and why a call ended comes from phones: no orders to the terminal.
fn one_line(text: &str) -> String {
    text.chars()
        .take(60)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn in_words(ledger: &Ledger) -> String {
    if ledger.guesses == 0 {
        return "All calls: no guesses.".to_owned();
    }
    format!(
        "All calls: {} guesses, {} right, {} dropped; {} saved, about {} tokens wasted.",
        ledger.guesses,
        ledger.hits,
        ledger.misses,
        seconds(ledger.saved_ms),
        ledger.tokens_wasted
    )
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

fn as_json(calls: &[CallRow], total: &Ledger) -> serde_json::Value {
    let stats = |call: &CallRow| -> serde_json::Value {
        let text = call.stats_json.as_deref().unwrap_or("null");
        serde_json::from_str(text).unwrap_or_default()
    };
    let rows: Vec<serde_json::Value> = calls
        .iter()
        .map(|call| {
            serde_json::json!({
                "id": call.id,
                "user": call.user,
                "number": call.number,
                "remote": call.remote,
                "user_agent": call.user_agent,
                "started_unix_ms": call.started_unix_ms,
                "ended_unix_ms": call.ended_unix_ms,
                "result": call.result,
                "reason": call.reason,
                "blame": call.blame,
                "codec": call.codec,
                "turns": call.turns,
                "speculation": call.ledger,
                "stats": stats(call),
            })
        })
        .collect();
    serde_json::json!({ "calls": rows, "speculation": total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_one_line() {
        let call = CallRow {
            id: "c1".to_owned(),
            user: "kitchen".to_owned(),
            number: "1\n00".to_owned(),
            remote: "192.0.2.1:5060".to_owned(),
            user_agent: None,
            started_unix_ms: 1_000,
            ended_unix_ms: Some(63_450),
            result: Some("completed".to_owned()),
            reason: Some("the caller hung up".to_owned()),
            blame: None,
            codec: None,
            stats_json: Some("{\"turns\":3}".to_owned()),
            turns: 3,
            ledger: Ledger {
                guesses: 4,
                hits: 3,
                misses: 1,
                saved_ms: 1_290,
                tokens_wasted: 40,
            },
        };
        let open = CallRow {
            ended_unix_ms: None,
            ledger: Ledger::default(),
            stats_json: None,
            ..call.clone()
        };
        let text = listed(&[call.clone(), open.clone()]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        let has = |line: &str, words: &[&str]| {
            for word in words {
                assert!(line.contains(word), "{word:?} in {line:?}");
            }
        };
        has(lines[1], &["1 00", "62.4 s", "3 of 4 right", "1.2 s"]);
        has(lines[2], &["goes on", "–"]);
        has(
            &in_words(&call.ledger),
            &["4 guesses", "3 right", "40 tokens"],
        );
        has(&in_words(&open.ledger), &["no guesses"]);
        let json = as_json(&[call, open], &Ledger::default());
        assert_eq!(json["calls"][0]["speculation"]["saved_ms"], 1_290);
        assert_eq!(json["calls"][0]["stats"]["turns"], 3);
        assert!(json["calls"][1]["stats"].is_null());
    }
}
