//! The model proxy in the program: its sockets, its token, its key. What it does is `agent_bridge::proxy`'s.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use agent_bridge::gateways::Secret;
use agent_bridge::proxy::{Proxy, ProxyConfig};
use anyhow::Context as _;
use tokio::net::TcpListener;
use tracing::error;

use crate::config::Config;
use crate::home::Home;
use crate::secrets::SecretStore;

/// The token that the program has made for itself, in its home folder.
pub const TOKEN_FILE: &str = "proxy-token";

/// The proxy and the sockets it will be served on.
pub struct Served {
    pub proxy: Proxy,
    listeners: Vec<TcpListener>,
}

impl Served {
    /// Serves until the task is dropped.
    pub async fn serve(self) {
        let Served { proxy, listeners } = self;
        let servers = listeners.into_iter().map(|listener| {
            let proxy = proxy.clone();
            async move {
                if let Err(error) = proxy.serve(listener).await {
                    error!(%error, "the model proxy stopped");
                }
            }
        });
        futures_util::future::join_all(servers).await;
    }
}

/// The proxy that `[proxy]` asks for, without its sockets; none where it is off.
pub fn build(config: &Config, secrets: &SecretStore, home: &Home) -> anyhow::Result<Option<Proxy>> {
    let wish = &config.proxy;
    if !wish.enabled {
        return Ok(None);
    }
    let key = secrets.resolve(&wish.api_key, "proxy.api_key", home.root())?;
    let token = match secrets.resolve(&wish.token, "proxy.token", home.root())? {
        Some(token) => Secret::new(token.expose()),
        None => own_token(home.root().join(TOKEN_FILE)).context("the token of [proxy]")?,
    };
    let proxy = Proxy::new(ProxyConfig {
        url: wish.url.clone(),
        api_key: key.map(|key| Secret::new(key.expose())),
        token,
        body_bytes_max: wish.body_mib_max as usize * 1024 * 1024,
        requests_max: wish.requests_max,
    });
    Ok(Some(proxy.context("[proxy]")?))
}

/// With its sockets, which are bound at once: a port that is taken is said before anything else starts.
pub async fn open(
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
) -> anyhow::Result<Option<Served>> {
    let Some(proxy) = build(config, secrets, home)? else {
        return Ok(None);
    };
    let mut listeners = Vec::new();
    for address in crate::server::addresses(&config.proxy.bind).await {
        let at = (address, config.proxy.port);
        let listener = TcpListener::bind(at).await;
        listeners.push(
            listener
                .with_context(|| format!("port {} of [proxy] on {address}", config.proxy.port))?,
        );
    }
    Ok(Some(Served { proxy, listeners }))
}

/// Reads the token of an earlier start, or makes one.
pub(crate) fn own_token(path: PathBuf) -> anyhow::Result<Secret> {
    let made: [u8; 24] = rand::random();
    let made: String = made.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    match options.open(&path) {
        Ok(mut file) => {
            writeln!(file, "{made}")?;
            Ok(Secret::new(made))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let found = std::fs::read_to_string(&path)?;
            let found = found.trim();
            anyhow::ensure!(!found.is_empty(), "{} is empty", path.display());
            Ok(Secret::new(found))
        }
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn the_token_is_made_once_and_for_the_owner_only() {
        let scratch = Scratch::new("proxy-token");
        let path = scratch.path().join(TOKEN_FILE);
        let first = own_token(path.clone()).expect("made");
        assert_eq!(first.expose().len(), 48);
        assert_eq!(own_token(path.clone()).expect("read"), first);
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, " \n").expect("written");
        assert!(own_token(path).is_err());
    }
}
