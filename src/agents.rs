//! Which gateways answer turns: made from the configuration, once, for all calls. Owns the order of the
//! chain and who in it may retry; no conversation and no request.

use std::sync::Arc;
use std::time::Duration;

use agent_bridge::gateways::demo::Demo;
use agent_bridge::gateways::message::MessageTaker;
use agent_bridge::gateways::openai::{OpenAi, OpenAiConfig};
use agent_bridge::gateways::readback::ReadBack;
use agent_bridge::gateways::{Gateway, Secret};
use agent_bridge::router::{Router, RouterConfig};
use anyhow::Context as _;

use crate::config::{AgentKind, Config, FallbackAgent, OnlyAnswers};
use crate::home::Home;
use crate::secrets::SecretStore;

/// The gateway that the assistant's number reaches: the first of the chain, and the others behind it.
pub fn build(
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
) -> anyhow::Result<Arc<dyn Gateway>> {
    let mut chain = chain(config, secrets, home)?;
    let first = chain.remove(0);
    if chain.is_empty() {
        return Ok(first);
    }
    let router = RouterConfig {
        fallback_after_ms: config.agent.fallback_after_ms,
        ..RouterConfig::default()
    };
    Ok(Arc::new(Router::new(first, chain, router)))
}

/// Each gateway of `[agent]` and `[[agent.fallback]]` by itself, in their order. Never empty.
pub fn chain(
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
) -> anyhow::Result<Vec<Arc<dyn Gateway>>> {
    let wish = &config.agent;
    let first = FallbackAgent {
        kind: wish.kind,
        url: wish.url.clone(),
        model: wish.model.clone(),
        api_key: wish.api_key.clone(),
    };
    let all: Vec<&FallbackAgent> = std::iter::once(&first).chain(&wish.fallback).collect();
    let gateway = |(n, agent): (usize, &&FallbackAgent)| {
        // Waiting for a gateway to recover takes longer than asking the next one.
        let retries_max = if n + 1 < all.len() {
            0
        } else {
            wish.retries_max
        };
        let (name, key) = match n {
            0 => ("[agent]".to_owned(), "agent.api_key".to_owned()),
            n => (
                format!("[[agent.fallback]], table {n}"),
                format!("agent.fallback.{n}.api_key"),
            ),
        };
        one(config, agent, retries_max, secrets, &key, home).context(name)
    };
    all.iter().enumerate().map(gateway).collect()
}

/// `key` is where the store of secrets keeps this gateway's.
fn one(
    config: &Config,
    agent: &FallbackAgent,
    retries_max: u32,
    secrets: &SecretStore,
    key: &str,
    home: &Home,
) -> anyhow::Result<Arc<dyn Gateway>> {
    let wish = &config.agent;
    Ok(match agent.kind {
        AgentKind::Demo => {
            let demo = Demo::new(&wish.timezone, rand::random()).context("timezone in [agent]")?;
            Arc::new(demo)
        }
        AgentKind::OpenAi => {
            let key = secrets.resolve(&agent.api_key, key, home.root())?;
            let config = OpenAiConfig {
                url: agent.url.clone(),
                model: agent.model.clone(),
                api_key: key.map(|key| Secret::new(key.expose())),
                connect_timeout_ms: wish.connect_timeout_ms,
                first_token_timeout_ms: wish.first_token_timeout_ms,
                idle_timeout_ms: wish.idle_timeout_ms,
                total_timeout_ms: wish.total_timeout_ms,
                retries_max,
                temperature: wish.temperature,
                tokens_max: wish.tokens_max,
                only_answers: match wish.only_answers {
                    OnlyAnswers::Auto => None,
                    OnlyAnswers::Yes => Some(true),
                    OnlyAnswers::No => Some(false),
                },
            };
            Arc::new(OpenAi::new(config, rand::random())?)
        }
    })
}

/// The gateway of the hearing test.
pub fn readback() -> Arc<dyn Gateway> {
    Arc::new(ReadBack)
}

/// The gateway that takes messages.
pub fn messages(silence: Duration) -> Arc<dyn Gateway> {
    Arc::new(MessageTaker {
        silence,
        thanks: MESSAGE_THANKS.to_owned(),
    })
}

/// Said when a message is over.
pub const MESSAGE_THANKS: &str = "Thank you. Your message has been taken. Goodbye.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    fn models(text: &str) -> Result<Vec<String>, String> {
        let scratch = Scratch::new("agents");
        let (config, _) = Config::parse(text, &[]).expect("a config");
        let home = Home::at(scratch.path());
        let (secrets, _) =
            SecretStore::open_or_create(&home.secrets_path(), "offhook").expect("a store");
        crate::testing::install_tls();
        let chain = chain(&config, &secrets, &home).map_err(|error| format!("{error:#}"))?;
        let first = build(&config, &secrets, &home).expect("what the chain is made of");
        assert_eq!(first.describe(), chain[0].describe());
        Ok(chain.iter().map(|one| one.describe().model).collect())
    }

    #[test]
    fn the_chain_is_the_order_of_the_file() {
        let agent = "[agent]\nkind = 'openai'\nurl = 'http://127.0.0.1:1'\nmodel = 'a'\n";
        let second = "[[agent.fallback]]\nurl = 'http://127.0.0.1:2'\nmodel = 'b'\n";
        let demo = "[[agent.fallback]]\nkind = 'demo'\n";
        let wrong = "[[agent.fallback]]\nurl = 'http://me:word@127.0.0.1:2'\nmodel = 'b'\n";
        assert_eq!(models(""), Ok(vec![String::new()]));
        assert_eq!(
            models(&format!("{agent}{second}{demo}")),
            Ok(["a", "b", ""].map(str::to_owned).to_vec())
        );
        let error = models(&format!("{agent}{demo}{wrong}")).expect_err("credentials");
        assert!(
            error.starts_with("[[agent.fallback]], table 2: "),
            "{error}"
        );
        assert!(!error.contains("word@"), "{error}");
    }
}
