//! Which gateways answer turns: made from the configuration, once, for all calls. Owns the order of the
//! chain and who in it may retry; no conversation and no request.

use std::sync::Arc;
use std::time::Duration;

use agent_bridge::gateways::demo::Demo;
use agent_bridge::gateways::message::MessageTaker;
use agent_bridge::gateways::openai::{OpenAi, OpenAiConfig};
use agent_bridge::gateways::openclaw::{OpenClaw, OpenClawConfig};
use agent_bridge::gateways::readback::ReadBack;
use agent_bridge::gateways::tooled::Tooled;
use agent_bridge::gateways::{Gateway, GatewayInfo, Secret};
use agent_bridge::levels::Level;
use agent_bridge::openclaw::{ClientConfig, KeyFile};
use agent_bridge::phone_text::{PromptFacts, system_prompt};
use agent_bridge::proxy::Proxy;
use agent_bridge::router::books::Books;
use agent_bridge::router::choice::Traits;
use agent_bridge::router::closed::Closed;
use agent_bridge::router::place::Place;
use agent_bridge::router::{Member, Router, RouterConfig, Rules};
use agent_bridge::tools::toolbox::Toolbox;
use anyhow::{Context as _, bail};
use tracing::warn;

use crate::approvals::owner_of;
use crate::config::{AgentEntry, AgentKind, Config, FallbackAgent, OnlyAnswers};
use crate::home::Home;
use crate::routing::canonical;
use crate::secrets::SecretStore;

/// The agent of `[agent]` in the books.
pub const FIRST: &str = "agent";

/// What all chains share: the books of the cloud, and the owner's tools.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    pub books: &'a Arc<dyn Books>,
    pub tools: Option<&'a Arc<Toolbox>>,
    pub proxy: Option<&'a Proxy>,
}

/// A chain as one gateway, for the agent of this name. It is never empty.
fn linked(
    config: &Config,
    chain: Vec<Member>,
    agent: &str,
    shared: Shared<'_>,
) -> Arc<dyn Gateway> {
    let chain = routed(config, chain, agent, shared.books);
    let wish = &config.agent;
    let mut kinds = wish.fallback.iter().map(|fallback| fallback.kind);
    // Others have tools of their own, or none.
    let is_model = wish.kind == AgentKind::OpenAi || kinds.any(|kind| kind == AgentKind::OpenAi);
    match shared.tools.filter(|_| is_model) {
        Some(tools) => Arc::new(Tooled::new(chain, tools.clone(), agent)),
        None => chain,
    }
}

fn routed(
    config: &Config,
    mut chain: Vec<Member>,
    agent: &str,
    books: &Arc<dyn Books>,
) -> Arc<dyn Gateway> {
    let first = chain.remove(0);
    if chain.is_empty() && first.traits.stays_home() {
        return first.gateway;
    }
    let router = RouterConfig {
        fallback_after_ms: config.agent.fallback_after_ms,
        ..RouterConfig::default()
    };
    let rules = Rules {
        agent: agent.to_owned(),
        cloud: config.cloud.rules(agent),
        books: Some(books.clone()),
    };
    Arc::new(Router::ruled(first, chain, router, rules))
}

/// One agent as a call needs it.
#[derive(Clone)]
pub struct Profile {
    /// `agent` is that of `[agent]`.
    pub name: String,
    pub numbers: Vec<String>,
    pub gateway: Arc<dyn Gateway>,
    /// Whole: for the phone, and the owner's own.
    pub system_prompt: String,
    pub greeting: String,
    /// Who may talk to it.
    pub levels: Vec<Level>,
    /// The owner's conversation with it, where other channels share it.
    pub session: Option<String>,
}

impl Profile {
    /// The conversation that an account of this level has with it, by whatever way.
    pub fn conversation(&self, user: &str, level: Level) -> String {
        match &self.session {
            Some(shared) if level == Level::Owner => shared.clone(),
            _ => format!("{user}/{}", self.name),
        }
    }
}

/// All agents of the program.
#[derive(Clone)]
pub struct Agents {
    first: Profile,
    others: Vec<Profile>,
    /// Whose message box takes what guests say.
    pub messages_for: Option<String>,
}

impl Agents {
    /// `first` is for every number that no other has.
    pub fn new(first: Profile, others: Vec<Profile>, messages_for: Option<String>) -> Agents {
        Agents {
            first,
            others,
            messages_for,
        }
    }

    /// Who answers at this number.
    pub fn at(&self, dialled: &str) -> &Profile {
        let has = |number: &String| canonical(number) == canonical(dialled);
        let mut others = self.others.iter();
        others
            .find(|profile| profile.numbers.iter().any(has))
            .unwrap_or(&self.first)
    }

    /// Who is meant by a number or a name; nothing named is the first.
    pub fn named(&self, name: &str) -> &Profile {
        let mut others = self.others.iter();
        let found = others.find(|profile| profile.name == name);
        found.unwrap_or_else(|| self.at(name))
    }

    /// The first, then the others.
    pub fn all(&self) -> impl Iterator<Item = &Profile> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Each gateway once.
    pub fn gateways(&self) -> Vec<Arc<dyn Gateway>> {
        let mut found: Vec<Arc<dyn Gateway>> = Vec::new();
        for profile in std::iter::once(&self.first).chain(&self.others) {
            if !found
                .iter()
                .any(|known| Arc::ptr_eq(known, &profile.gateway))
            {
                found.push(profile.gateway.clone());
            }
        }
        found
    }
}

/// The agents of `[agent]` and `[[agents]]`. `accounts` are those there are, for the message box; `shared` is what
/// they have in common.
pub fn build_all(
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
    accounts: &[String],
    shared: Shared<'_>,
) -> anyhow::Result<Agents> {
    let proxy = shared.proxy;
    let chain = chain_of(config, secrets, home, FIRST, FIRST, proxy)?;
    let first = Profile {
        name: FIRST.to_owned(),
        numbers: Vec::new(),
        gateway: linked(config, chain, FIRST, shared),
        system_prompt: prompt(&config.agent.system_prompt),
        greeting: config.agent.greeting.clone(),
        levels: config.levels.agent.clone(),
        session: None,
    };
    let other = |entry: &AgentEntry| {
        let has_rules = config.cloud.agents.iter().any(|own| own.name == entry.name);
        let gateway = match (&entry.gateway, &entry.model) {
            // The same chain: one connection serves both.
            (None, None) if !has_rules => first.gateway.clone(),
            (own_gateway, model) => {
                let own = own_config(config, entry);
                let name = &entry.name;
                // The keys are those of the gateways, whoever asks them.
                let prefix = match (own_gateway, model) {
                    (None, None) => FIRST.to_owned(),
                    _ => format!("agents.{name}"),
                };
                let chain = chain_of(&own, secrets, home, &prefix, name, proxy);
                let chain = chain.with_context(|| format!("[[agents]] {name}"))?;
                linked(&own, chain, name, shared)
            }
        };
        anyhow::Ok(Profile {
            name: entry.name.clone(),
            numbers: entry.numbers.clone(),
            gateway,
            system_prompt: match &entry.system_prompt {
                Some(text) => prompt(text),
                None => first.system_prompt.clone(),
            },
            greeting: entry.greeting.clone().unwrap_or(first.greeting.clone()),
            levels: entry.levels.clone(),
            session: entry.session.clone(),
        })
    };
    let others = config.agents.iter().map(other);
    let others = others.collect::<anyhow::Result<Vec<Profile>>>()?;
    Ok(Agents {
        others,
        messages_for: owner_of(config, accounts),
        first,
    })
}

/// The config as it would be if this agent were that of `[agent]`.
fn own_config(config: &Config, entry: &AgentEntry) -> Config {
    let mut own = config.clone();
    if let Some(gateway) = &entry.gateway {
        own.agent.kind = gateway.kind;
        own.agent.url.clone_from(&gateway.url);
        own.agent.model.clone_from(&gateway.model);
        own.agent.api_key = gateway.api_key.clone();
        own.agent.fallback.clone_from(&entry.fallback);
    } else if let Some(model) = &entry.model {
        own.agent.model.clone_from(model);
    }
    own
}

fn prompt(instructions: &str) -> String {
    system_prompt(&PromptFacts {
        instructions: instructions.to_owned(),
        ..PromptFacts::default()
    })
}

/// Each gateway of `[agent]` and `[[agent.fallback]]` by itself, in their order. Never empty. Where the cloud is shut,
/// those in it only say so.
pub fn chain(
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
    proxy: Option<&Proxy>,
) -> anyhow::Result<Vec<Arc<dyn Gateway>>> {
    let chain = chain_of(config, secrets, home, FIRST, FIRST, proxy)?;
    Ok(chain.into_iter().map(|member| member.gateway).collect())
}

/// `prefix` names the keys in the store of secrets, `name` the agent whose rules hold.
fn chain_of(
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
    prefix: &str,
    name: &str,
    proxy: Option<&Proxy>,
) -> anyhow::Result<Vec<Member>> {
    let rules = config.cloud.rules(name);
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
        let (table, key) = match n {
            0 => ("[agent]".to_owned(), format!("{prefix}.api_key")),
            n => (
                format!("[[agent.fallback]], table {n}"),
                format!("{prefix}.fallback.{n}.api_key"),
            ),
        };
        let place = match agent.url.as_str() {
            "" => Place::Local,
            url => config.cloud.place(url),
        };
        let gateway = match place {
            // Not even made: some connect by themselves.
            Place::Cloud if !rules.is_open() => closed(agent),
            _ => one(config, agent, retries_max, secrets, &key, home, proxy).context(table)?,
        };
        if place == Place::Cloud
            && rules.is_open()
            && config.limits.counts_money()
            && config.limits.price(&agent.model).is_none()
        {
            bail!(
                "[limits] counts money, and [[limits.prices]] has no price of the model \"{}\"",
                agent.model
            );
        }
        let traits = Traits {
            asks_cloud: agent.kind == AgentKind::OpenClaw && config.proxies_cloud(),
            ..Traits::at(place)
        };
        let local_max = config.cloud.local_chars_max;
        Ok(Member {
            gateway,
            traits: Traits {
                chars_max: local_max.filter(|_| traits.stays_home()),
                ..traits
            },
            tokens_max: wish.tokens_max,
        })
    };
    all.iter().enumerate().map(gateway).collect()
}

/// What stands for a gateway in the cloud where the cloud is shut.
fn closed(agent: &FallbackAgent) -> Arc<dyn Gateway> {
    let address = reqwest::Url::parse(&agent.url);
    Arc::new(Closed(GatewayInfo {
        name: "in the cloud".to_owned(),
        model: agent.model.clone(),
        // Without what may stand before the host.
        address: address.map_or_else(
            |_| String::new(),
            |url| format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()),
        ),
        demo: false,
    }))
}

/// `key` is where the store of secrets keeps this gateway's.
fn one(
    config: &Config,
    agent: &FallbackAgent,
    retries_max: u32,
    secrets: &SecretStore,
    key: &str,
    home: &Home,
    proxy: Option<&Proxy>,
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
        AgentKind::OpenClaw => {
            let token = secrets.resolve(&agent.api_key, key, home.root())?;
            home.create()?;
            let client = ClientConfig {
                url: agent.url.clone(),
                token: token.map(|token| Secret::new(token.expose())),
                name: "Offhook".to_owned(),
                key_file: KeyFile::open_or_create(&home.device_path(), rand::random())?,
                seed: rand::random(),
            };
            // An agent with tools thinks longer than a model: the waits for one are the least.
            let least = OpenClawConfig::default();
            let config = OpenClawConfig {
                agent: agent.model.clone(),
                connect_timeout_ms: wish.connect_timeout_ms,
                first_token_timeout_ms: wish
                    .first_token_timeout_ms
                    .max(least.first_token_timeout_ms),
                idle_timeout_ms: wish.idle_timeout_ms.max(least.idle_timeout_ms),
                total_timeout_ms: wish.total_timeout_ms.max(least.total_timeout_ms),
            };
            let gateway = OpenClaw::new(client, config, rand::random())?;
            gateway.log_to(|line| warn!("{line}"));
            match proxy {
                // Whether it asks its model there shows with its first request.
                Some(proxy) => Arc::new(gateway.through(proxy.clone(), rand::random())),
                None => Arc::new(gateway),
            }
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
#[path = "agents_cloud_tests.rs"]
mod cloud_tests;

#[cfg(test)]
#[path = "agents_tests.rs"]
mod tests;
