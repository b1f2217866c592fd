//! `[matrix]` made into a channel and handed to the hub: its secrets and its lines in the log. What the
//! channel does is `agent_bridge::channels::matrix`'s affair.

use std::sync::Arc;

use agent_bridge::channels::matrix::{self, Login, Matrix, MatrixConfig, Notice, Parts};
use agent_bridge::gateways;
use anyhow::Context as _;
use tracing::{info, warn};

use super::chat::guests;
use crate::config::Config;
use crate::home::Home;
use crate::hub::Hub;
use crate::secrets::SecretStore;

/// Keeps what logging in by password gave.
const LOGIN_FILE: &str = "matrix-login.json";

/// Starts the channel, where it is wanted.
pub(super) fn attach(
    hub: &Hub,
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
) -> anyhow::Result<()> {
    if !config.matrix.enabled {
        return Ok(());
    }
    let settings = settings(config, secrets, home)?;
    let parts = Parts {
        memory: hub.memory(matrix::NAME),
        door: guests(hub, config, matrix::NAME, config.matrix.pairing),
        notices: Arc::new(log),
        seed: rand::random(),
    };
    let channel = Matrix::new(settings, parts).context("[matrix]")?;
    hub.attach(Arc::new(channel));
    Ok(())
}

/// As `[matrix]` says; the program and its doctor ask the same account.
pub(crate) fn settings(
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
) -> anyhow::Result<MatrixConfig> {
    let wanted = &config.matrix;
    let secret = |source, name| {
        let found = secrets
            .resolve(source, name, home.root())
            .context("[matrix]")?;
        anyhow::Ok(found.map(|secret| gateways::Secret::new(secret.expose())))
    };
    let token = secret(&wanted.access_token, "matrix.access_token")?;
    let password = secret(&wanted.password, "matrix.password")?;
    let login = match (token, password) {
        (Some(token), _) => Login::Token(token),
        (None, Some(password)) if !wanted.user.is_empty() => Login::Password {
            user: wanted.user.clone(),
            password,
            file: home.root().join(LOGIN_FILE),
        },
        _ => anyhow::bail!(
            "[matrix] needs an access token (access_token_file), or a user and a password (user, password_file)"
        ),
    };
    Ok(MatrixConfig {
        homeserver: wanted.homeserver.clone(),
        login,
        rooms: wanted.rooms,
        pairing: wanted.pairing,
        voice_bytes_max: wanted.voice_mib_max * 1024 * 1024,
    })
}

fn log(notice: Notice) {
    match notice.is_warning() {
        true => warn!("{notice}"),
        false => info!("{notice}"),
    }
}
