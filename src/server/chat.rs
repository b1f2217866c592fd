//! The networks by which people write, as they are configured: made, and handed to the hub. Owns which settings lead to
//! which channel, and the log lines about how channels stand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agent_bridge::channels::doorstep::Door;
use agent_bridge::channels::signal::{Signal, SignalConfig};
use agent_bridge::channels::telegram::{Telegram, TelegramConfig};
use agent_bridge::channels::{Address, signal, telegram};
use agent_bridge::gateways;
use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::{info, warn};

use crate::config::Config;
use crate::home::Home;
use crate::hub::Hub;
use crate::secrets::SecretStore;

/// Before a store that failed is asked again.
const STORE_REST: Duration = Duration::from_secs(1);
/// How often it is looked whether a channel stands otherwise.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Starts Telegram and Signal, where they are wanted.
pub(super) fn attach(
    hub: &Hub,
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
) -> anyhow::Result<()> {
    if config.telegram.enabled {
        let settings = telegram_settings(config, secrets, home)?;
        let guests = guests(hub, config, telegram::NAME, config.telegram.pairing);
        let channel = Telegram::new(settings, hub.memory(telegram::NAME), guests);
        hub.attach(Arc::new(channel.context("[telegram]")?));
    }
    if config.signal.enabled {
        let settings = signal_settings(config);
        let guests = guests(hub, config, signal::NAME, config.signal.pairing);
        let channel = Signal::new(settings, hub.memory(signal::NAME), guests);
        hub.attach(Arc::new(channel.context("[signal]")?));
    }
    Ok(())
}

/// As `[telegram]` says; the program and its doctor ask the same bot.
pub(crate) fn telegram_settings(
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
) -> anyhow::Result<TelegramConfig> {
    let token = secrets
        .resolve(&config.telegram.token, telegram::NAME, home.root())
        .context("the token of [telegram]")?;
    let token = token.context(
        "[telegram] has no token: name a file that holds it in `token_file`, or set OFFHOOK_TELEGRAM_TOKEN",
    )?;
    Ok(TelegramConfig {
        url: config.telegram.url.clone(),
        token: gateways::Secret::new(token.expose()),
        groups: config.telegram.groups.clone(),
        seed: rand::random(),
    })
}

/// As `[signal]` says.
pub(crate) fn signal_settings(config: &Config) -> SignalConfig {
    SignalConfig {
        url: config.signal.url.clone(),
        account: config.signal.account.clone(),
    }
}

/// Tells the log when a channel stands otherwise than before. Never returns.
pub(super) async fn tell_standings(hub: Hub) {
    let mut told: HashMap<String, String> = HashMap::new();
    loop {
        for (channel, standing) in hub.channels() {
            if told.get(&channel) != Some(&standing) {
                info!(%channel, "{standing}");
                told.insert(channel, standing);
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Who is known at this channel.
pub(super) fn guests(hub: &Hub, config: &Config, channel: &str, pairing: bool) -> Arc<dyn Door> {
    let users = config.users.iter().flat_map(|user| &user.identities);
    let of = |identity: &String| {
        let (name, id) = identity.split_once(':')?;
        (name == channel).then(|| id.to_owned())
    };
    Arc::new(Guests {
        hub: hub.clone(),
        configured: users.filter_map(of).collect(),
        pairing,
    })
}

/// Who is known at one channel: whom the settings name, and whom the owner has linked.
struct Guests {
    hub: Hub,
    configured: Vec<String>,
    pairing: bool,
}

impl Door for Guests {
    fn knows<'a>(&'a self, who: &'a Address) -> BoxFuture<'a, bool> {
        async move {
            if self.configured.contains(&who.id) {
                return true;
            }
            // While the store cannot tell, a friend is no stranger: who waits here waits.
            let linked = loop {
                match self.hub.identities(None).await {
                    Ok(linked) => break linked,
                    Err(error) => warn!(%error, "who is linked cannot be read; trying again"),
                }
                tokio::time::sleep(STORE_REST).await;
            };
            linked
                .iter()
                .any(|one| one.channel == who.channel && one.id == who.id)
        }
        .boxed()
    }

    fn code<'a>(&'a self, who: &'a Address, shown_name: &'a str) -> BoxFuture<'a, Option<String>> {
        async move {
            if !self.pairing {
                return None;
            }
            self.hub.pairing_code(who.clone(), shown_name).await
        }
        .boxed()
    }
}
