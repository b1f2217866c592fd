//! `offhook audit`: what was asked, allowed and refused, by whom and when.

use agent_bridge::approvals::wording::on_screen;

use super::{local_time, open_store, print, table};
use crate::config::Config;
use crate::home::Home;
use crate::store::AuditRow;

const CHARS_MAX: usize = 120;

pub fn list(home: &Home, config: &Config, count: usize, as_json: bool) -> anyhow::Result<()> {
    let rows = open_store(home, config)?.audit(count)?;
    if as_json {
        let lines = rows.iter().map(|row| format!("{}\n", json(row)));
        return print(&lines.collect::<String>());
    }
    if rows.is_empty() {
        return print("The audit log is empty.\n");
    }
    let head = ["WHEN", "USER", "LEVEL", "BY", "KIND", "RESULT", "WHAT"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(|row| {
        let shown = |text: &str| on_screen(text, CHARS_MAX);
        vec![
            local_time(row.at_unix_ms),
            shown(&row.user),
            row.level.clone(),
            row.channel.clone(),
            row.kind.clone(),
            shown(&row.result),
            shown(&row.what),
        ]
    }));
    print(&table(&lines))
}

fn json(row: &AuditRow) -> serde_json::Value {
    serde_json::json!({
        "at_unix_ms": row.at_unix_ms,
        "call": row.call,
        "user": row.user,
        "level": row.level,
        "channel": row.channel,
        "kind": row.kind,
        "what": row.what,
        "result": row.result,
    })
}
