//! `offhook user`: who may register a phone. A running server notices within a second.

use agent_bridge::levels::Level;
use anyhow::Context as _;

use super::{print, prompt, table};
use crate::config::Config;
use crate::home::Home;
use crate::redact::Secret;
use crate::secrets::{self, NewUser, SecretStore};

/// Where a new password comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordFrom {
    /// Made up, and shown once.
    Generator,
    Terminal,
    Stdin,
}

pub fn add(home: &Home, config: &Config, name: &str, from: PasswordFrom) -> anyhow::Result<()> {
    let mut store = open(home, config)?;
    if store.users().iter().any(|user| user.name == name) {
        return Err(secrets::SecretsError::UserExists {
            name: name.to_owned(),
        }
        .into());
    }
    let (password, shown) = password(name, from)?;
    store.add_user(name, &config.sip.realm, &password)?;
    say_changed(config, name, shown.then_some(&password), "may register now")
}

pub fn passwd(home: &Home, config: &Config, name: &str, from: PasswordFrom) -> anyhow::Result<()> {
    let mut store = open(home, config)?;
    if !store.users().iter().any(|user| user.name == name) {
        return Err(secrets::SecretsError::NoSuchUser {
            name: name.to_owned(),
        }
        .into());
    }
    let (password, shown) = password(name, from)?;
    store.set_password(name, &config.sip.realm, &password)?;
    say_changed(
        config,
        name,
        shown.then_some(&password),
        "has a new password; phones with the old one are refused",
    )
}

/// Gives an account a PIN, or takes it away.
pub fn pin(
    home: &Home,
    config: &Config,
    name: &str,
    level: Level,
    from: Option<PasswordFrom>,
) -> anyhow::Result<()> {
    let mut store = open(home, config)?;
    let Some(from) = from else {
        store.set_pin(name, None)?;
        return print(&format!("{name} has no PIN any more.\n"));
    };
    let (digits, is_made_up) = match from {
        PasswordFrom::Generator => (secrets::generate()?.pin(), true),
        PasswordFrom::Terminal => (prompt::from_terminal(name)?, false),
        PasswordFrom::Stdin => (prompt::from_stdin()?, false),
    };
    store.set_pin(name, Some((&digits, level)))?;
    let shown = match is_made_up {
        true => format!(": {} (shown this once)", digits.expose()),
        false => String::new(),
    };
    print(&format!(
        "The PIN of {name} raises a call to {level}{shown}\n"
    ))
}

pub fn remove(home: &Home, config: &Config, name: &str) -> anyhow::Result<()> {
    open(home, config)?.remove_user(name)?;
    // Whoever gets the name next must not find the door open.
    if let Ok(mut store) = super::open_store(home, config) {
        store.end_web_sessions(name, "")?;
    }
    print(&format!("{name} can no longer register or call.\n"))
}

pub fn list(home: &Home, config: &Config) -> anyhow::Result<()> {
    let store = open(home, config)?;
    let mut rows = vec![vec![
        "USER".to_owned(),
        "SINCE".to_owned(),
        "NOTE".to_owned(),
    ]];
    for user in store.users() {
        let note = if user.realm == config.sip.realm {
            String::new()
        } else {
            format!("needs a new password: made for realm {:?}", user.realm)
        };
        rows.push(vec![user.name, user.created, note]);
    }
    print(&table(&rows))
}

/// The store; made, with a first phone, where there is none.
fn open(home: &Home, config: &Config) -> anyhow::Result<SecretStore> {
    home.create()?;
    let (store, made) = SecretStore::open_or_create(&home.secrets_path(), &config.sip.realm)?;
    if let Some(NewUser { name, password }) = made {
        say_changed(
            config,
            &name,
            Some(&password),
            "was made as the first phone",
        )?;
    }
    Ok(store)
}

fn password(name: &str, from: PasswordFrom) -> anyhow::Result<(Secret, bool)> {
    match from {
        PasswordFrom::Generator => {
            let made = secrets::generate().context("making up a password")?;
            Ok((made.phone_password(), true))
        }
        PasswordFrom::Terminal => Ok((prompt::from_terminal(name)?, false)),
        PasswordFrom::Stdin => Ok((prompt::from_stdin()?, false)),
    }
}

fn say_changed(
    config: &Config,
    name: &str,
    password: Option<&Secret>,
    what: &str,
) -> anyhow::Result<()> {
    let mut text = format!("{name} {what}.\n");
    if let Some(password) = password {
        text.push_str(&format!("  user      {name}\n"));
        text.push_str(&format!(
            "  password  {}   (shown this once)\n",
            password.expose()
        ));
        text.push_str(&format!("  port      {} (UDP or TCP)\n", config.sip.port));
    }
    print(&text)
}
