//! `offhook tell` and `offhook messages`: ask the running program to call somebody, and read what calls became. The first
//! goes through the API as any other program's request does; the second looks into the database.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{open_store, print, table};
use crate::callbacks::desk::rfc3339;
use crate::config::{Bind, Config};
use crate::home::Home;
use crate::records::unix_ms;
use crate::secrets::SecretStore;

const ANSWER_MAX: Duration = Duration::from_secs(10);
const LISTED: usize = 100;

/// What is to be told.
pub struct TellOptions {
    pub say: String,
    pub to: String,
    pub why: String,
    pub urgent: bool,
    /// A message; nothing rings.
    pub text_only: bool,
    pub json: bool,
}

pub async fn tell(home: &Home, config: &Config, options: TellOptions) -> anyhow::Result<()> {
    anyhow::ensure!(config.web.enabled, "[web] is switched off: nobody listens");
    let secrets = SecretStore::open(&home.secrets_path())?;
    let address = config.web.bind.iter().find_map(|bind| match bind {
        Bind::Address(address) if !address.is_unspecified() => Some(*address),
        Bind::Loopback | Bind::Address(_) => Some([127, 0, 0, 1].into()),
        Bind::Tailnet => None,
    });
    let address = address.context("[web] `bind` names no address of this machine")?;
    let place = std::net::SocketAddr::new(address, config.web.port);
    let (path, body) = match options.text_only {
        true => ("messages", json!({ "text": options.say, "to": options.to })),
        false => (
            "calls",
            json!({
                "say": options.say,
                "to": options.to,
                "why": options.why,
                "urgent": options.urgent,
            }),
        ),
    };
    let client = reqwest::Client::builder()
        .timeout(ANSWER_MAX)
        .no_proxy()
        .build()
        .context("HTTP")?;
    let answer = client
        .post(format!("http://{place}/api/{path}"))
        .bearer_auth(secrets.api_token().expose())
        .json(&body)
        .send()
        .await
        .with_context(|| format!("nobody answers at {place}: is `offhook run` running?"))?;
    let status = answer.status();
    let value: Value = answer.json().await.context("the answer")?;
    if !status.is_success() {
        let why = value["detail"].as_str().unwrap_or("no reason given");
        anyhow::bail!("{why}");
    }
    match options.json {
        true => print(&format!("{value:#}\n")),
        false => {
            let id = value["id"].as_str().unwrap_or_default();
            let what = value["what_happens"].as_str().unwrap_or_default();
            print(&format!("{id}: {what}\n"))
        }
    }
}

/// The messages of a user, or of all; `read` marks those that were shown.
pub fn messages(
    home: &Home,
    config: &Config,
    user: Option<&str>,
    all: bool,
    read: bool,
) -> anyhow::Result<()> {
    let mut store = open_store(home, config)?;
    let found = store.notices(user, !all, LISTED)?;
    if found.is_empty() {
        return print("No messages.\n");
    }
    let header = ["id", "for", "when", "why it did not ring", "message"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for notice in found.iter().rev() {
        let unread = match notice.read_unix_ms {
            None => "new ",
            Some(_) => "",
        };
        let text: String = notice
            .text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        rows.push(vec![
            notice.id.to_string(),
            notice.user.clone(),
            format!("{unread}{}", rfc3339(notice.at_unix_ms)),
            notice.why.clone(),
            text,
        ]);
    }
    print(&table(&rows))?;
    if read {
        let ids: Vec<i64> = found.iter().map(|notice| notice.id).collect();
        store.read_notices(&ids, unix_ms())?;
    }
    Ok(())
}
