//! `[cloud]` and `[limits]`: what is read, what is refused, and which gateway counts as where.

use agent_bridge::budget::{Limits, Price};
use agent_bridge::levels::Level;
use agent_bridge::router::choice::CloudRules;
use agent_bridge::router::place::Place;

use super::*;

fn parse(text: &str) -> Result<Config, Vec<String>> {
    Config::parse(text, &[])
        .map(|(config, _)| config)
        .map_err(|problems| problems.into_iter().map(|p| p.message).collect())
}

#[test]
fn rules_and_limits_are_read() {
    let config = parse("").expect("defaults");
    assert_eq!(config.cloud, Cloud::default());
    assert_eq!(config.cloud.rules("agent"), CloudRules::default());
    assert_eq!(config.limits, DayLimits::default());
    let text = "
        [cloud]
        when = ['chain']
        levels = ['owner']
        guesses = true
        local_chars_max = 20000
        local_hosts = ['llm.example.org']
        cloud_hosts = ['127.0.0.1:4000']
        [[cloud.agents]]
        name = 'agent'
        when = []
        [limits]
        requests_per_day = 200
        agent_tokens_per_day = 100000
        money_per_day = 2.5
        [[limits.prices]]
        model = 'big'
        prompt = 2.5
        completion = 10";
    let config = parse(text).expect("a config");
    let rules = config.cloud.rules("other");
    assert!(rules.in_chain && rules.guesses && rules.is_allowed);
    assert!(!rules.on_need && !rules.on_failure && !rules.is_announced);
    assert_eq!(rules.levels, [Level::Owner]);
    assert!(!config.cloud.rules("agent").is_open());
    let total = Limits {
        requests: Some(200),
        tokens: None,
        micros: Some(2_500_000),
    };
    assert_eq!(config.limits.total, total);
    assert_eq!(config.limits.each.tokens, Some(100_000));
    let price = Price {
        prompt_micros: 2_500_000,
        completion_micros: 10_000_000,
    };
    assert_eq!(config.limits.price("big"), Some(price));
    assert_eq!(config.limits.price("small"), None);
    for (url, place) in [
        ("http://127.0.0.1:4000/v1", Place::Cloud),
        ("http://127.0.0.1:4001/v1", Place::Local),
        ("https://llm.example.org/v1", Place::Local),
        ("https://llm.example.org.evil.example/v1", Place::Cloud),
        ("https://llm.example.org@evil.example/v1", Place::Cloud),
    ] {
        assert_eq!(config.cloud.place(url), place, "{url}");
    }
}

#[test]
fn what_does_not_agree_is_refused() {
    for (text, wanted) in [
        ("[cloud]\nwhen = ['always']", "cloud.when"),
        ("[cloud]\nlevels = ['king']", "cloud.levels"),
        (
            "[cloud]\nlocal_hosts = ['a.example']\ncloud_hosts = ['a.example']",
            "one is in cloud_hosts too",
        ),
        ("[[cloud.agents]]\nname = 'nobody'", "no such agent"),
        ("[[limits.prices]]\nmodel = 'big'", "missing"),
        ("[limits]\nmoney_per_day = -1", "limits.money_per_day"),
        (
            "[cloud]\nallow = false\n[proxy]\nenabled = true\nurl = 'https://api.example.com/v1'",
            "forbids",
        ),
    ] {
        let problems = parse(text).expect_err(text);
        assert!(problems.iter().any(|p| p.contains(wanted)), "{problems:?}");
    }
    let near = "[cloud]\nallow = false\n[proxy]\nenabled = true\nurl = 'http://127.0.0.1:9/v1'";
    assert!(parse(near).is_ok());
    // Ears and voice elsewhere hear and say the same words.
    for (url, is_home) in [
        ("https://api.example.com/v1", false),
        ("tcp://box.example.com:10300", false),
        ("tcp://203.0.113.7:10300", false),
        ("tcp://LLM.example.org:10300", true),
        ("tcp://192.168.1.7:10300", true),
        ("tcp://[::1]:10300", true),
        ("tcp://gpu-box:10300", true),
        ("http://127.0.0.1:8060/v1", true),
    ] {
        for section in ["asr", "tts"] {
            let cloud = "[cloud]\nlocal_hosts = ['llm.example.org']";
            let text = format!("{cloud}\nallow = false\n[{section}]\nurl = '{url}'");
            assert_eq!(parse(&text).is_ok(), is_home, "{text}");
            let text = format!("{cloud}\n[{section}]\nurl = '{url}'");
            assert!(parse(&text).is_ok(), "{text}");
        }
    }
}
