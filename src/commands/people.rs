//! `offhook people`: who is linked to whom at channels of text. Works in the database; a running server notices.

use anyhow::Context as _;
use serde_json::json;

use super::{open_store, print, table};
use crate::callbacks::desk::rfc3339;
use crate::config::Config;
use crate::home::Home;
use crate::hub::people::{CODE_MS, clean_code};
use crate::records::unix_ms;
use crate::secrets::SecretStore;

/// Links, and strangers whose codes hold.
pub fn list(home: &Home, config: &Config, as_json: bool) -> anyhow::Result<()> {
    let (identities, mut pairings) = open_store(home, config)?.people()?;
    let since = unix_ms().saturating_sub(CODE_MS);
    pairings.retain(|one| one.asked_unix_ms >= since);
    if as_json {
        let linked = identities.iter().map(|one| {
            json!({
                "person": one.person,
                "channel": one.channel,
                "id": one.id,
                "name": one.shown_name,
                "linked": rfc3339(one.linked_unix_ms),
                "used": rfc3339(one.used_unix_ms),
            })
        });
        let waiting = pairings.iter().map(|one| {
            json!({
                "code": one.code,
                "channel": one.channel,
                "id": one.id,
                "name": one.shown_name,
                "asked": rfc3339(one.asked_unix_ms),
            })
        });
        let all =
            json!({ "linked": linked.collect::<Vec<_>>(), "waiting": waiting.collect::<Vec<_>>() });
        return print(&format!("{all:#}\n"));
    }
    if identities.is_empty() && pairings.is_empty() {
        return print("Nobody is linked, and nobody waits to be.\n");
    }
    let mut rows = vec![
        ["person", "channel", "id", "name", "since"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for one in &identities {
        rows.push(vec![
            one.person.clone(),
            one.channel.clone(),
            plain(&one.id),
            plain(&one.shown_name),
            rfc3339(one.linked_unix_ms),
        ]);
    }
    for one in &pairings {
        rows.push(vec![
            format!("waits: {}", one.code),
            one.channel.clone(),
            plain(&one.id),
            plain(&one.shown_name),
            rfc3339(one.asked_unix_ms),
        ]);
    }
    print(&table(&rows))
}

/// What others call themselves moves no cursor.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

pub fn link(home: &Home, config: &Config, code: &str, person: &str) -> anyhow::Result<()> {
    let secrets = SecretStore::open(&home.secrets_path())?;
    let is_known = secrets.users().iter().any(|user| user.name == person);
    anyhow::ensure!(
        is_known,
        "there is no user `{person}`; `offhook user list` shows who there is"
    );
    let now = unix_ms();
    let mut store = open_store(home, config)?;
    let found = store.link(&clean_code(code), person, now.saturating_sub(CODE_MS), now)?;
    let found =
        found.context("no such code, or it is older than an hour; `offhook people` lists them")?;
    let (channel, id) = (found.channel, plain(&found.id));
    print(&format!("{channel} {id} is {person} from now on.\n"))
}

pub fn unlink(home: &Home, config: &Config, channel: &str, id: &str) -> anyhow::Result<()> {
    let is_gone = open_store(home, config)?.unlink(channel, id)?;
    anyhow::ensure!(
        is_gone,
        "{channel} {id} is not linked; what stands in [[users]] `identities` is taken out there"
    );
    print(&format!("{channel} {id} is nobody any more.\n"))
}
