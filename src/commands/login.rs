//! `offhook login`: a link that signs a browser in to the page. A running server knows it at once; it need not run.

use std::net::SocketAddr;

use anyhow::Context as _;

use super::{open_store, print};
use crate::config::Config;
use crate::home::Home;
use crate::secrets::SecretStore;
use crate::web::{make_link, owner_among, sessions};

/// The account of this name; without one, the owner's.
fn person(home: &Home, config: &Config, name: Option<&str>) -> anyhow::Result<String> {
    let secrets = SecretStore::open(&home.secrets_path())?;
    let accounts = secrets.names_by_age();
    let person = match name {
        Some(name) => name.to_owned(),
        None => {
            owner_among(config, &accounts).context(
                "no account is the owner's: `offhook user add` makes one, `level = \"owner\"` in [[users]] names one",
            )?
        }
    };
    anyhow::ensure!(
        accounts.contains(&person),
        "there is no user `{person}`; `offhook user list` shows who there is"
    );
    Ok(person)
}

/// Prints a new link; one line for each address.
pub fn link(home: &Home, config: &Config, name: Option<&str>) -> anyhow::Result<()> {
    anyhow::ensure!(config.web.enabled, "the page is off: [web] enabled");
    let person = person(home, config, name)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let addresses = runtime.block_on(crate::server::addresses(&config.web.bind));
    let port = config.web.port;
    let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, port));
    let addresses: Vec<SocketAddr> = addresses.collect();
    let token = make_link(&mut open_store(home, config)?, &person)?;
    let mut text = format!("Signs {person} in, once, within ten minutes:\n");
    for link in sessions::links(&config.web.url, &addresses, &token) {
        text.push_str(&format!("  {link}\n"));
    }
    print(&text)
}

/// Signs out every browser of an account.
pub fn sign_out(home: &Home, config: &Config, name: Option<&str>) -> anyhow::Result<()> {
    let person = person(home, config, name)?;
    let count = open_store(home, config)?.end_web_sessions(&person, "")?;
    print(&match count {
        1 => format!("{person}: one browser is signed out.\n"),
        count => format!("{person}: {count} browsers are signed out.\n"),
    })
}
