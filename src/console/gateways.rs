//! How the gateways stand, for the status and the metrics: the link, the chain's health, what the model proxy has foretold.
//! Owns these rows only.

use agent_bridge::gateways::{Gateway, LinkHealth};
use agent_bridge::proxy::Proxy;
use agent_bridge::router::place::Place;
use serde_json::{Value, json};

use super::MetricRow;

/// The agent of `[agent]` as `/api/status` shows it.
pub(super) fn agent(agent: &dyn Gateway) -> Value {
    let info = agent.describe();
    let chain: Vec<Value> = agent.chain_health().iter().map(link).collect();
    json!({
        "name": info.name,
        "model": info.model,
        "demo": info.demo,
        "standing": agent.standing(),
        "asked_early": agent.only_answers(),
        "chain": chain,
    })
}

fn link(link: &LinkHealth) -> Value {
    json!({
        "name": link.info.name,
        "model": link.info.model,
        "address": link.info.address,
        "cloud": link.place == Place::Cloud,
        "resting": link.health.is_resting,
        "rests": link.health.rests,
        "first_word_ms": link.health.first_word_ms.map(|ms| ms.round()),
    })
}

/// What came of the agent gateway's requests; nothing without `[proxy]`.
pub(super) fn proxy(proxy: Option<&Proxy>) -> Value {
    let Some(proxy) = proxy else {
        return Value::Null;
    };
    let counts = proxy.counts();
    json!({
        "provider": proxy.provider(),
        "requests": counts.requests,
        "foretold": counts.foretold,
        "matched": counts.exact + counts.passing,
        "spoken_otherwise": counts.spoken,
        "missed": counts.missed,
        "not_foretold": counts.asked,
        "warm_ups": counts.warm_ups,
        "cut": counts.cut,
    })
}

pub(super) fn proxy_rows(proxy: Option<&Proxy>) -> Vec<MetricRow> {
    let Some(proxy) = proxy else {
        return Vec::new();
    };
    let counts = proxy.counts();
    vec![
        (
            "offhook_proxy_requests_total",
            "counter",
            "Requests of the agent gateway to its model.",
            counts.requests,
        ),
        (
            "offhook_proxy_foretold_total",
            "counter",
            "Questions asked of the model before the agent gateway asked.",
            counts.foretold,
        ),
        (
            "offhook_proxy_matched_total",
            "counter",
            "Foretold questions that came as foretold.",
            counts.exact + counts.passing,
        ),
        (
            "offhook_proxy_spoken_otherwise_total",
            "counter",
            "Foretold questions that came otherwise after their answer had been spoken.",
            counts.spoken,
        ),
        (
            "offhook_proxy_missed_total",
            "counter",
            "Foretold questions that came otherwise and were asked of the model again.",
            counts.missed,
        ),
        (
            "offhook_proxy_not_foretold_total",
            "counter",
            "Questions of a call that nobody had foretold.",
            counts.asked,
        ),
        (
            "offhook_proxy_cut_total",
            "counter",
            "Replies that ended where the caller stopped listening.",
            counts.cut,
        ),
    ]
}

/// Of one gateway each, where there is a chain: 1 while it rests.
pub(super) fn resting(agent: &dyn Gateway) -> String {
    let links = agent.chain_health();
    if links.is_empty() {
        return String::new();
    }
    let name = "offhook_gateway_resting";
    let mut text = format!(
        "# HELP {name} Whether this gateway of the chain rests after a failure.\n# TYPE {name} gauge\n"
    );
    for (n, link) in links.iter().enumerate() {
        let model: String = link
            .info
            .model
            .chars()
            .filter(|c| !c.is_control() && !matches!(c, '"' | '\\'))
            .collect();
        let resting = u8::from(link.health.is_resting);
        text.push_str(&format!(
            "{name}{{place=\"{n}\",model=\"{model}\"}} {resting}\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agent_bridge::gateways::fake::FakeGateway;
    use agent_bridge::router::{Router, RouterConfig};

    use super::*;

    #[tokio::test]
    async fn a_chain_shows_each_of_its_gateways() {
        let fake = || Arc::new(FakeGateway::new([]));
        let router = Router::new(fake(), vec![fake()], RouterConfig::default());
        let shown = agent(&router);
        assert_eq!(shown["name"], "fake");
        assert_eq!(shown["chain"].as_array().map(Vec::len), Some(2));
        assert_eq!(shown["chain"][1]["resting"], false);
        let rows = resting(&router);
        assert!(
            rows.contains("offhook_gateway_resting{place=\"1\",model=\"\"} 0\n"),
            "{rows}"
        );
        assert_eq!(resting(fake().as_ref()), "");
        assert_eq!(agent(fake().as_ref())["chain"], json!([]));
        assert_eq!(proxy(None), Value::Null);
        assert!(proxy_rows(None).is_empty());
    }
}
