//! `offhook approvals`: what waits for a yes, and the stop. A running server notices within a second.

use agent_bridge::approvals::wording::on_screen;

use super::{local_time, open_store, print, table};
use crate::config::Config;
use crate::home::Home;
use crate::records::unix_ms;
use crate::store::{ApprovalRow, Freeze, Store};

/// Letters of a request in the list of many; one alone is shown whole.
const LISTED_CHARS_MAX: usize = 100;
const SHOWN_CHARS_MAX: usize = 64 * 1024;
const CLI: &str = "cli";

pub fn list(home: &Home, config: &Config, as_json: bool) -> anyhow::Result<()> {
    let store = open_store(home, config)?;
    let (rows, freeze) = (waiting(&store)?, store.freeze()?);
    if as_json {
        let list: Vec<serde_json::Value> = rows.iter().map(json).collect();
        let all = serde_json::json!({
            "stopped_since_unix_ms": freeze.as_ref().map(|freeze| freeze.since_unix_ms),
            "waiting": list,
        });
        return print(&format!("{all}\n"));
    }
    let mut text = String::new();
    if let Some(freeze) = freeze {
        text.push_str(&format!(
            "Approvals are stopped since {} by {}. `offhook approvals lift` allows them again.\n",
            local_time(freeze.since_unix_ms),
            on_screen(&freeze.by, LISTED_CHARS_MAX)
        ));
    }
    match &rows[..] {
        [] => text.push_str("Nothing waits for approval.\n"),
        [one] => text.push_str(&whole(one)),
        many => {
            let head = ["ID", "KIND", "UNTIL", "WHAT"];
            let mut lines = vec![head.map(str::to_owned).to_vec()];
            lines.extend(many.iter().map(|row| {
                vec![
                    on_screen(&row.id, LISTED_CHARS_MAX),
                    row.kind.clone(),
                    local_time(row.expires_unix_ms),
                    on_screen(&row.what, LISTED_CHARS_MAX),
                ]
            }));
            text.push_str(&table(&lines));
        }
    }
    print(&text)
}

/// One request with all that it says.
pub fn show(home: &Home, config: &Config, id: &str) -> anyhow::Result<()> {
    let store = open_store(home, config)?;
    print(&whole(&find(&store, id)?))
}

pub fn decide(home: &Home, config: &Config, id: &str, is_allowed: bool) -> anyhow::Result<()> {
    let mut store = open_store(home, config)?;
    let row = find(&store, id)?;
    anyhow::ensure!(
        !is_allowed || store.freeze()?.is_none(),
        "approvals are stopped; `offhook approvals lift` allows them again"
    );
    anyhow::ensure!(
        store.decide_approval(&row.id, is_allowed)?,
        "it has been decided already"
    );
    let word = if is_allowed {
        "Allowed once"
    } else {
        "Refused"
    };
    print(&format!(
        "{word}: {}\n",
        on_screen(&row.what, LISTED_CHARS_MAX)
    ))
}

pub fn stop(home: &Home, config: &Config) -> anyhow::Result<()> {
    let freeze = Freeze {
        since_unix_ms: unix_ms(),
        by: CLI.to_owned(),
    };
    open_store(home, config)?.set_freeze(Some(&freeze))?;
    print("Approvals are stopped. `offhook approvals lift` allows them again.\n")
}

pub fn lift(home: &Home, config: &Config) -> anyhow::Result<()> {
    let mut store = open_store(home, config)?;
    anyhow::ensure!(store.freeze()?.is_some(), "approvals are not stopped");
    store.set_freeze(None)?;
    print("Approvals are possible again.\n")
}

fn waiting(store: &Store) -> anyhow::Result<Vec<ApprovalRow>> {
    let mut rows = store.approvals()?;
    let now = unix_ms();
    rows.retain(|row| row.expires_unix_ms > now && row.decision.is_none());
    Ok(rows)
}

/// The request of this name, or the only one whose name begins so.
fn find(store: &Store, id: &str) -> anyhow::Result<ApprovalRow> {
    let mut rows = waiting(store)?;
    if let Some(at) = rows.iter().position(|row| row.id == id) {
        return Ok(rows.remove(at));
    }
    rows.retain(|row| !id.is_empty() && row.id.starts_with(id));
    match rows.len() {
        1 => Ok(rows.remove(0)),
        0 => anyhow::bail!("nothing named {id:?} waits; `offhook approvals` lists what does"),
        count => anyhow::bail!("{count} begin with {id:?}: give more of its name"),
    }
}

fn whole(row: &ApprovalRow) -> String {
    let place = match row.place.is_empty() {
        true => String::new(),
        false => format!("where  {}\n", on_screen(&row.place, SHOWN_CHARS_MAX)),
    };
    format!(
        "id     {}\nkind   {}\nfor    {}\nuntil  {}\n{place}what   {}\n",
        on_screen(&row.id, LISTED_CHARS_MAX),
        row.kind,
        on_screen(&row.session, LISTED_CHARS_MAX),
        local_time(row.expires_unix_ms),
        on_screen(&row.what, SHOWN_CHARS_MAX)
    )
}

fn json(row: &ApprovalRow) -> serde_json::Value {
    serde_json::json!({
        "id": row.id,
        "kind": row.kind,
        "session": row.session,
        "what": row.what,
        "place": row.place,
        "asked_unix_ms": row.asked_unix_ms,
        "expires_unix_ms": row.expires_unix_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    fn row(id: &str, what: &str) -> ApprovalRow {
        ApprovalRow {
            id: id.to_owned(),
            kind: "exec".to_owned(),
            session: "ann/agent".to_owned(),
            what: what.to_owned(),
            place: String::new(),
            asked_unix_ms: 0,
            expires_unix_ms: u64::MAX >> 1,
            decision: None,
        }
    }

    #[test]
    fn names_are_found_by_their_beginning() {
        let scratch = Scratch::new("approvals-cli");
        let home = Home::at(scratch.path());
        let config = Config::default();
        let mut store = Store::open(&home.database_path()).expect("a store");
        for id in ["abc-1", "abd-2"] {
            store.keep_approval(&row(id, "ls")).expect("kept");
        }
        assert!(decide(&home, &config, "ab", true).is_err());
        assert!(decide(&home, &config, "", true).is_err());
        decide(&home, &config, "abc", true).expect("one");
        assert!(decide(&home, &config, "abc-1", false).is_err(), "once");
        stop(&home, &config).expect("stopped");
        assert!(decide(&home, &config, "abd", true).is_err(), "stopped");
        decide(&home, &config, "abd", false).expect("a no is always possible");
        lift(&home, &config).expect("lifted");
        assert!(lift(&home, &config).is_err());
        assert!(waiting(&store).expect("rows").is_empty());
    }

    #[test]
    fn a_screen_is_not_moved() {
        let text = whole(&row("a", "rm -rf /\u{1b}[2K\u{202e}\nls"));
        assert!(text.contains("rm -rf /\\u{1b}[2K\\u{202e}\\nls"), "{text}");
    }
}
