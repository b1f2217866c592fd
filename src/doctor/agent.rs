//! Whether the agent is there, what may be asked of it early, by which way it is spoken to, and what the running program
//! knows of it. Owns these lines of the report.

use agent_bridge::gateways::{CheckReport, Gateway};
use serde_json::Value;

use super::{Report, Verdict};
use crate::agents;
use crate::config::{AgentKind, Config};
use crate::home::Home;
use crate::secrets::SecretStore;

/// Some lines for each gateway of the chain, and for each tool.
pub(super) async fn check(
    report: &mut Report,
    home: &Home,
    config: &Config,
    secrets: &SecretStore,
    is_running: bool,
) {
    let chain = match agents::chain(config, secrets, home, None) {
        Ok(chain) => chain,
        Err(error) => {
            report.line(Verdict::Bad, "agent", &format!("{error:#}"));
            return;
        }
    };
    for (n, gateway) in chain.iter().enumerate() {
        let info = gateway.describe();
        let who = match (info.demo, n) {
            (true, 0) => "the built-in demo; your own goes into [agent]".to_owned(),
            (true, _) => "the built-in demo".to_owned(),
            (false, _) => format!("{} at {}", info.model, info.address),
        };
        let what = match n {
            0 => "agent".to_owned(),
            n => format!("fallback {n}"),
        };
        report.line(Verdict::Good, &what, &who);
        if !info.demo {
            let has_tiers = n == 0 && is_proxied(config);
            check_one(report, gateway.as_ref(), &what, has_tiers).await;
        }
    }
    let status = match is_running {
        true => super::trunks::status(config, secrets.api_token().expose()).await,
        false => None,
    };
    tier(report, config, status.as_ref());
    for (verdict, what, text) in health(status.as_ref()) {
        report.line(verdict, &what, &text);
    }
    tools(report, home, config, secrets);
}

/// `has_tiers`: whether it is asked early is said with its tier.
async fn check_one(report: &mut Report, gateway: &dyn Gateway, what: &str, has_tiers: bool) {
    let good = |check: &CheckReport| format!("answers in {} ms", check.took.as_millis());
    let checked = report.result(&format!("{what} check"), gateway.check().await, good);
    if checked.is_some()
        && let Some(standing) = gateway.standing()
    {
        report.line(Verdict::Good, &format!("{what} link"), &standing);
    }
    let (verdict, early) = match (gateway.only_answers(), gateway.standing()) {
        (true, _) => (
            Verdict::Good,
            "it only answers: asked before you have finished, which saves time",
        ),
        (false, Some(_)) => (
            Verdict::Good,
            "no: it keeps a transcript and runs tools, so it is asked when you have finished",
        ),
        (false, None) => (
            Verdict::Warning,
            "not known to only answer: asked when you have finished. If it runs no tools of its own, \
             set only_answers = \"yes\" in [agent]",
        ),
    };
    if checked.is_some() && !has_tiers {
        report.line(verdict, &format!("{what} asked early"), early);
    }
    if let Some(check) = checked
        && check.model_known == Some(false)
    {
        let model = gateway.describe().model;
        let known = check.models.join(", ");
        report.line(
            Verdict::Bad,
            &format!("{what} model"),
            &format!("{model} is not among its models: {known}"),
        );
    }
}

/// By which way OpenClaw is spoken to. Only the running program knows: it shows with the first request that OpenClaw makes.
fn tier(report: &mut Report, config: &Config, status: Option<&Value>) {
    if !is_proxied(config) {
        return;
    }
    let (verdict, text) = told_tier(status, why_not_early(config));
    report.line(verdict, "agent tier", &text);
}

fn is_proxied(config: &Config) -> bool {
    config.agent.kind == AgentKind::OpenClaw && config.proxy.enabled
}

/// Why nothing is asked early although OpenClaw asks its model through our proxy.
fn why_not_early(config: &Config) -> &'static str {
    let rules = config.cloud.rules(agents::FIRST);
    if !config.proxies_cloud() || rules.takes_guesses() {
        "another gateway of its chain is not known to only answer"
    } else if !rules.is_open() {
        "[cloud] lets no question go to its provider"
    } else if rules.is_announced {
        "its provider is in the cloud, and `announce` in [cloud] says so before each question"
    } else {
        "its provider is in the cloud, and `guesses` in [cloud] is off"
    }
}

/// `why_not`: why tier A asks nothing early, where it does not.
fn told_tier(status: Option<&Value>, why_not: &str) -> (Verdict, String) {
    let Some(status) = status else {
        let text =
            "known only while the program runs: whether OpenClaw asks its model through our proxy";
        return (Verdict::Warning, text.to_owned());
    };
    let count = |name: &str| status["proxy"][name].as_u64().unwrap_or(0);
    let (requests, foretold, matched) = (count("requests"), count("foretold"), count("matched"));
    let standing = status["agent"]["standing"].as_str().unwrap_or_default();
    let is_early = status["agent"]["asked_early"] == true;
    if is_early || standing.contains("(tier A)") {
        let of = match foretold {
            0 => String::new(),
            _ => format!("; {matched} of {foretold} foretold questions came as foretold"),
        };
        let early = match is_early {
            true => "so it is asked early".to_owned(),
            false => format!("but not early: {why_not}"),
        };
        let text = format!("A: OpenClaw asks its model through our proxy, {early}{of}");
        return (Verdict::Good, text);
    }
    let why = match requests {
        0 => {
            "nothing of OpenClaw's has come to our model proxy yet: is its provider's address that of [proxy]?"
        }
        _ => "requests come to our model proxy, none of this agent's",
    };
    // In its own words where its plugin is in use.
    let plugin = standing.split_once("tier B, ").map(|(_, plugin)| plugin);
    let tier = plugin.and_then(|plugin| plugin.split(';').next());
    let tier = tier.map_or_else(|| "C".to_owned(), |plugin| format!("B, {plugin}"));
    (Verdict::Warning, format!("{tier}: {why}"))
}

/// Gateways of the chain that rest just now.
fn health(status: Option<&Value>) -> Vec<(Verdict, String, String)> {
    let chain = status.and_then(|status| status["agent"]["chain"].as_array());
    let links = chain.into_iter().flatten().enumerate();
    let row = |(n, link): (usize, &Value)| {
        let what = match n {
            0 => "agent health".to_owned(),
            n => format!("fallback {n} health"),
        };
        let first = link["first_word_ms"].as_f64();
        let first = first.map_or_else(
            || "no answer yet".to_owned(),
            |ms| format!("first words after {ms} ms"),
        );
        match link["resting"] == true {
            true => (
                Verdict::Warning,
                what,
                format!("rests after a failure; {first}"),
            ),
            false => (Verdict::Good, what, first),
        }
    };
    links.map(row).collect()
}

fn tools(report: &mut Report, home: &Home, config: &Config, secrets: &SecretStore) {
    if config.tools.is_empty() {
        return;
    }
    if let Err(error) = crate::tools::build(config, secrets, home) {
        report.line(Verdict::Bad, "tools", &format!("{error:#}"));
        return;
    }
    let kinds = config.agent.fallback.iter().map(|fallback| fallback.kind);
    let own = config
        .agents
        .iter()
        .filter_map(|agent| agent.gateway.as_ref());
    let mut kinds = kinds
        .chain(std::iter::once(config.agent.kind))
        .chain(own.map(|gateway| gateway.kind));
    if !kinds.any(|kind| kind == AgentKind::OpenAi) {
        let text = "no gateway of kind \"openai\" is there to be offered them";
        report.line(Verdict::Warning, "tools", text);
    }
    for tool in &config.tools {
        let asks = match tool.needs_approval {
            true => "asks each time",
            false => "runs without asking",
        };
        let levels: Vec<String> = tool.levels.iter().map(ToString::to_string).collect();
        let text = format!("{asks}; for {}", levels.join(", "));
        report.line(Verdict::Good, &format!("tool {}", tool.name), &text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_tier_in_force_is_that_of_the_running_program() {
        let status = |early: bool, requests: u32| {
            json!({
                "agent": { "asked_early": early },
                "proxy": { "requests": requests, "foretold": 4, "matched": 3 },
            })
        };
        let mut with_plugin = status(false, 0);
        with_plugin["agent"]["standing"] =
            json!("OpenClaw 2026.9.6, tier B, companion plugin 1.0.0; nothing of it");
        let mut late = status(false, 9);
        late["agent"]["standing"] =
            json!("OpenClaw 2026.9.6, tier B; its model is asked through our proxy (tier A)");
        for (status, is_good, wanted) in [
            (
                Some(late),
                true,
                "A: OpenClaw asks its model through our proxy, but not early: because; 3 of 4",
            ),
            (None, false, "known only while"),
            (
                Some(status(true, 9)),
                true,
                "A: OpenClaw asks its model through our proxy, so it is asked early; 3 of 4",
            ),
            (Some(status(false, 0)), false, "C: nothing of OpenClaw's"),
            (Some(status(false, 2)), false, "C: requests come"),
            (
                Some(with_plugin),
                false,
                "B, companion plugin 1.0.0: nothing of OpenClaw's",
            ),
        ] {
            let (verdict, text) = told_tier(status.as_ref(), "because");
            assert_eq!(matches!(verdict, Verdict::Good), is_good, "{text}");
            assert!(text.starts_with(wanted), "{text}");
        }
    }

    #[test]
    fn why_nothing_is_asked_early_is_a_rule_of_the_cloud() {
        let cloud = "[proxy]\nenabled = true\nurl = 'https://api.example.com/v1'\n";
        let home = "[proxy]\nenabled = true\nurl = 'http://127.0.0.1:9/v1'\n";
        for (proxy, rules, wanted) in [
            (cloud, "", "`guesses` in [cloud] is off"),
            (
                cloud,
                "[cloud]\nguesses = true\nannounce = true",
                "`announce` in [cloud]",
            ),
            (cloud, "[cloud]\nwhen = []", "no question go"),
            (cloud, "[cloud]\nguesses = true", "another gateway"),
            (home, "", "another gateway"),
        ] {
            let (config, _) = Config::parse(&format!("{proxy}{rules}"), &[]).expect("a config");
            let why = why_not_early(&config);
            assert!(why.contains(wanted), "{rules}: {why}");
        }
    }

    #[test]
    fn a_resting_gateway_is_said() {
        let status = json!({ "agent": { "chain": [
            { "resting": true, "first_word_ms": 120.0 },
            { "resting": false, "first_word_ms": null },
        ] } });
        let rows: Vec<String> = health(Some(&status))
            .into_iter()
            .map(|(_, what, text)| format!("{what}: {text}"))
            .collect();
        let wanted = [
            "agent health: rests after a failure; first words after 120 ms",
            "fallback 1 health: no answer yet",
        ];
        assert_eq!(rows, wanted);
        assert!(health(None).is_empty());
    }
}
