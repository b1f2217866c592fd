//! PURE. The typed config of what may leave the house, and what it may cost: `[cloud]` and `[limits]`, with their keys.
//! Every default stands here and nowhere else. What the rules mean is `agent_bridge::router::choice`'s affair, and the
//! arithmetic of limits `agent_bridge::budget`'s.

use agent_bridge::budget::{Limits, Price};
use agent_bridge::levels::Level;
use agent_bridge::router::choice::CloudRules;
use agent_bridge::router::place::Place;

use super::agents_keys;
use super::keys::host_name;
use super::reader::{Reader, Section};
use super::sections::Config;

/// Hosts in one list.
const HOSTS_MAX: usize = 64;
/// Tables of prices, and of agents with rules of their own.
const TABLES_MAX: usize = 64;
const MICROS: f32 = 1_000_000.0;
const WHEN: [(&str, When); 3] = [
    ("chain", When::Chain),
    ("failure", When::Failure),
    ("need", When::Need),
];

/// A reason to ask the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Chain,
    Failure,
    Need,
}

/// `[cloud]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    /// False: no gateway in the cloud is ever connected to.
    pub allow: bool,
    pub when: Vec<When>,
    /// Whose questions may go there.
    pub levels: Vec<Level>,
    /// Also before the caller has finished.
    pub guesses: bool,
    /// Say it each time.
    pub announce: bool,
    /// Letters of a question that are too many for the gateways at home; none: never.
    pub local_chars_max: Option<usize>,
    /// Hosts, or host:port, that are at home whatever their address says.
    pub local_hosts: Vec<String>,
    /// The other way round: such as a router on this machine whose models are in the cloud.
    pub cloud_hosts: Vec<String>,
    pub agents: Vec<CloudAgent>,
}

/// `[[cloud.agents]]`: what is different for one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudAgent {
    /// `agent` is that of `[agent]`.
    pub name: String,
    pub when: Vec<When>,
    pub levels: Vec<Level>,
}

impl Default for Cloud {
    fn default() -> Cloud {
        let rules = CloudRules::default();
        Cloud {
            allow: rules.is_allowed,
            when: vec![When::Need, When::Failure],
            levels: rules.levels,
            guesses: rules.guesses,
            announce: rules.is_announced,
            local_chars_max: None,
            local_hosts: Vec::new(),
            cloud_hosts: Vec::new(),
            agents: Vec::new(),
        }
    }
}

impl Cloud {
    /// Where the gateway of this address is.
    pub fn place(&self, url: &str) -> Place {
        let Ok(address) = reqwest::Url::parse(url.trim()) else {
            return Place::of_url(url);
        };
        // Only of some schemes the case of letters is settled.
        let host = address.host_str().unwrap_or_default().to_ascii_lowercase();
        let port = address.port_or_known_default().unwrap_or(0);
        let is_named = |known: &String| *known == host || *known == format!("{host}:{port}");
        if self.cloud_hosts.iter().any(is_named) {
            Place::Cloud
        } else if self.local_hosts.iter().any(is_named) {
            Place::Local
        } else {
            Place::of_url(url)
        }
    }

    /// What holds for this agent.
    pub fn rules(&self, agent: &str) -> CloudRules {
        let own = self.agents.iter().find(|own| own.name == agent);
        let when = own.map_or(&self.when, |own| &own.when);
        CloudRules {
            is_allowed: self.allow,
            in_chain: when.contains(&When::Chain),
            on_failure: when.contains(&When::Failure),
            on_need: when.contains(&When::Need),
            levels: own.map_or(&self.levels, |own| &own.levels).clone(),
            guesses: self.guesses,
            is_announced: self.announce,
        }
    }
}

impl Config {
    /// Agent gateways may ask their models through `[proxy]`, in the cloud.
    pub fn proxies_cloud(&self) -> bool {
        self.proxy.enabled && self.cloud.place(&self.proxy.url) == Place::Cloud
    }
}

/// `[limits]`: most of one day, of what goes to the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DayLimits {
    /// Of all agents together.
    pub total: Limits,
    /// Of each.
    pub each: Limits,
    pub prices: Vec<ModelPrice>,
}

/// `[[limits.prices]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPrice {
    pub model: String,
    pub price: Price,
}

impl DayLimits {
    pub fn price(&self, model: &str) -> Option<Price> {
        let known = self.prices.iter().find(|known| known.model == model);
        known.map(|known| known.price)
    }

    pub fn counts_money(&self) -> bool {
        self.total.micros.is_some() || self.each.micros.is_some()
    }
}

pub(super) fn cloud(section: &mut Section<'_, '_>, d: Cloud) -> Cloud {
    let cloud = Cloud {
        allow: section.flag("allow", d.allow),
        when: when(section, &d.when),
        levels: agents_keys::levels(section, "levels", &d.levels),
        guesses: section.flag("guesses", d.guesses),
        announce: section.flag("announce", d.announce),
        local_chars_max: section.optional_integer(
            "local_chars_max",
            d.local_chars_max,
            100..=10_000_000,
        ),
        local_hosts: hosts(section, "local_hosts"),
        cloud_hosts: hosts(section, "cloud_hosts"),
        agents: section.tables("agents", |section| cloud_agent(section, &d)),
    };
    let is_short = cloud.agents.len() <= TABLES_MAX;
    section.require("agents", is_short, &format!("at most {TABLES_MAX} tables"));
    let is_both = cloud
        .local_hosts
        .iter()
        .any(|host| cloud.cloud_hosts.contains(host));
    section.require("local_hosts", !is_both, "one is in cloud_hosts too");
    cloud
}

fn cloud_agent(section: &mut Section<'_, '_>, d: &Cloud) -> CloudAgent {
    let agent = CloudAgent {
        name: section.text("name", ""),
        when: when(section, &d.when),
        levels: agents_keys::levels(section, "levels", &d.levels),
    };
    section.require("name", section.has("name"), "missing");
    agent
}

fn when(section: &mut Section<'_, '_>, default: &[When]) -> Vec<When> {
    let parse = |text: &str| {
        let found = WHEN.iter().find(|(word, _)| *word == text);
        found.map(|(_, when)| *when)
    };
    let show = |when: &When| {
        let found = WHEN.iter().find(|(_, known)| known == when);
        found.map_or_else(String::new, |(word, _)| (*word).to_owned())
    };
    let expected = "a list of \"failure\", \"need\" and \"chain\"";
    section.list("when", default, expected, parse, show)
}

fn hosts(section: &mut Section<'_, '_>, key: &'static str) -> Vec<String> {
    let hosts = section.list(key, &[], "hosts, or host:port", host_name, String::clone);
    let is_short = hosts.len() <= HOSTS_MAX;
    section.require(key, is_short, &format!("at most {HOSTS_MAX}"));
    hosts
}

pub(super) fn limits(section: &mut Section<'_, '_>, d: DayLimits) -> DayLimits {
    let limits = DayLimits {
        total: Limits {
            requests: count(section, "requests_per_day", d.total.requests),
            tokens: count(section, "tokens_per_day", d.total.tokens),
            micros: money(section, "money_per_day"),
        },
        each: Limits {
            requests: count(section, "agent_requests_per_day", d.each.requests),
            tokens: count(section, "agent_tokens_per_day", d.each.tokens),
            micros: money(section, "agent_money_per_day"),
        },
        prices: section.tables("prices", price),
    };
    let is_short = limits.prices.len() <= TABLES_MAX;
    section.require("prices", is_short, &format!("at most {TABLES_MAX} tables"));
    limits
}

fn count(section: &mut Section<'_, '_>, key: &'static str, default: Option<u64>) -> Option<u64> {
    section.optional_integer(key, default, 0..=1_000_000_000_000)
}

fn money(section: &mut Section<'_, '_>, key: &'static str) -> Option<u64> {
    section
        .optional_number(key, None, 0.0..=1_000_000.0)
        .map(micros)
}

fn price(section: &mut Section<'_, '_>) -> ModelPrice {
    let price = ModelPrice {
        model: section.text("model", ""),
        price: Price {
            prompt_micros: micros(section.number("prompt", 0.0, 0.0..=100_000.0)),
            completion_micros: micros(section.number("completion", 0.0, 0.0..=100_000.0)),
        },
    };
    for key in ["model", "prompt", "completion"] {
        section.require(key, section.has(key), "missing");
    }
    price
}

fn micros(amount: f32) -> u64 {
    (f64::from(amount) * f64::from(MICROS)).round() as u64
}

/// What the sections say of each other.
pub(super) fn agree(reader: &mut Reader<'_>, config: &Config) {
    for (n, own) in config.cloud.agents.iter().enumerate() {
        let is_known =
            own.name == "agent" || config.agents.iter().any(|agent| agent.name == own.name);
        let section = format!("cloud.agents[{}]", n + 1);
        reader.require(&section, "name", is_known, "no such agent");
    }
    let proxy = match config.proxy.enabled {
        true => config.proxy.url.as_str(),
        false => "",
    };
    for (section, url) in [
        ("proxy", proxy),
        ("asr", config.asr.remote.url.as_str()),
        ("tts", config.tts.remote.url.as_str()),
    ] {
        let is_home = url.is_empty() || config.cloud.place(url) == Place::Local;
        reader.require(
            section,
            "url",
            config.cloud.allow || is_home,
            "it is in the cloud, which `allow = false` in [cloud] forbids",
        );
    }
}
