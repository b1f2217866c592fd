//! Which gateway answers turns: made from the configuration, once, for all calls.
//! Owns no conversation and no request.

use std::sync::Arc;

use agent_bridge::gateways::demo::Demo;
use agent_bridge::gateways::openai::{OpenAi, OpenAiConfig};
use agent_bridge::gateways::readback::ReadBack;
use agent_bridge::gateways::{Gateway, Secret};
use anyhow::Context as _;

use crate::config::{AgentKind, Config};
use crate::home::Home;
use crate::secrets::SecretStore;

/// The gateway that the assistant's number reaches.
pub fn build(
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
) -> anyhow::Result<Arc<dyn Gateway>> {
    let wish = &config.agent;
    Ok(match wish.kind {
        AgentKind::Demo => {
            let demo = Demo::new(&wish.timezone, rand::random()).context("timezone in [agent]")?;
            Arc::new(demo)
        }
        AgentKind::OpenAi => {
            let key = secrets.resolve(&wish.api_key, "agent.api_key", home.root())?;
            let config = OpenAiConfig {
                url: wish.url.clone(),
                model: wish.model.clone(),
                api_key: key.map(|key| Secret::new(key.expose())),
                connect_timeout_ms: wish.connect_timeout_ms,
                first_token_timeout_ms: wish.first_token_timeout_ms,
                idle_timeout_ms: wish.idle_timeout_ms,
                total_timeout_ms: wish.total_timeout_ms,
                retries_max: wish.retries_max,
                temperature: wish.temperature,
                tokens_max: wish.tokens_max,
            };
            Arc::new(OpenAi::new(config, rand::random()).context("[agent]")?)
        }
    })
}

/// The gateway of the hearing test.
pub fn readback() -> Arc<dyn Gateway> {
    Arc::new(ReadBack)
}
