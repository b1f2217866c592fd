//! Whether the networks by which people write accept us. Owns these lines of the report. Nothing is received and nobody is
//! logged in: the program may be running beside it.

use agent_bridge::channels::{matrix, signal, telegram};

use super::{Report, Verdict};
use crate::config::Config;
use crate::home::Home;
use crate::secrets::SecretStore;
use crate::server::chat::{signal_settings, telegram_settings};
use crate::server::matrix::settings as matrix_settings;

/// A line for each channel that is on.
pub(super) async fn check(
    report: &mut Report,
    home: &Home,
    config: &Config,
    secrets: &SecretStore,
) {
    if config.telegram.enabled {
        let bot = match telegram_settings(config, secrets, home) {
            Ok(settings) => telegram::check(&settings)
                .await
                .map_err(anyhow::Error::from),
            Err(error) => Err(error),
        };
        report.result("telegram", bot, |bot| format!("the bot is {bot}"));
    }
    if config.matrix.enabled {
        let account = match matrix_settings(config, secrets, home) {
            Ok(settings) => matrix::check(&settings).await.map_err(anyhow::Error::from),
            Err(error) => Err(error),
        };
        match account {
            Ok(None) => report.line(
                Verdict::Warning,
                "matrix",
                "not logged in yet; the program does that when it starts",
            ),
            account => {
                report.result("matrix", account, |account| {
                    account.clone().unwrap_or_default()
                });
            }
        }
    }
    if config.signal.enabled {
        let daemon = signal::check(&signal_settings(config)).await;
        report.result("signal", daemon, |version| format!("{version} answers"));
    }
}
