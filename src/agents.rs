//! Which gateway answers turns: made from the configuration, once, for all calls.
//! Owns no conversation and no request.

use std::sync::Arc;
use std::time::Duration;

use agent_bridge::gateways::demo::DemoGateway;
use agent_bridge::gateways::openai::{OpenAiConfig, OpenAiGateway};
use agent_bridge::gateways::readback::ReadbackGateway;
use agent_bridge::gateways::{Gateway, Secret};
use anyhow::Context as _;

use crate::config::{AgentKind, Config};
use crate::secrets::SecretStore;

/// The gateway that the assistant's number reaches.
pub fn build(config: &Config, secrets: &SecretStore) -> anyhow::Result<Arc<dyn Gateway>> {
    let wish = &config.agent;
    Ok(match wish.kind {
        AgentKind::Demo => {
            let zone = zone(&wish.timezone)?;
            Arc::new(DemoGateway::new(zone, rand::random()))
        }
        AgentKind::OpenAi => {
            let key = secrets.resolve(&wish.api_key, "agent.api_key")?;
            let config = OpenAiConfig {
                url: wish.url.clone(),
                model: wish.model.clone(),
                api_key: key.map(|key| Secret::new(key.expose())),
                connect_timeout: millis(wish.connect_timeout_ms),
                first_token_timeout: millis(wish.first_token_timeout_ms),
                idle_timeout: millis(wish.idle_timeout_ms),
                total_timeout: millis(wish.total_timeout_ms),
                retries_max: wish.retries_max,
                temperature: wish.temperature,
                tokens_max: wish.tokens_max,
                ..OpenAiConfig::default()
            };
            Arc::new(OpenAiGateway::new(config).context("[agent]")?)
        }
    })
}

/// The gateway of the hearing test.
pub fn readback() -> Arc<dyn Gateway> {
    Arc::new(ReadbackGateway::new())
}

fn zone(name: &str) -> anyhow::Result<jiff::tz::TimeZone> {
    if name.is_empty() {
        return Ok(jiff::tz::TimeZone::system());
    }
    jiff::tz::TimeZone::get(name).with_context(|| format!("timezone {name:?} in [agent]"))
}

fn millis(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}
