//! Agents, levels and approvals as texts: what becomes of them, and what is said of mistakes.

use agent_bridge::levels::Level;

use super::tests::{check_wrong, read};
use super::*;

#[test]
fn agents_are_read() {
    let config = read(
        r#"
        [agent]
        kind = "openai"
        url = "http://127.0.0.1:11434/v1"
        model = "small"
        [[agents]]
        name = "finance"
        numbers = ["110", "money"]
        model = "large"
        levels = ["owner"]
        greeting = ""
        [[agents]]
        name = "guests"
        numbers = ["120"]
        kind = "demo"
        levels = ["owner", "family", "guest"]
        session = "agent:main:main"
        [levels]
        default = "owner"
        [approvals]
        level = "family"
        answer_s = 10
        [[users]]
        name = "bert"
        level = "guest"
        "#,
        &[],
    );
    let [finance, guests] = &config.agents[..] else {
        panic!("two agents");
    };
    assert_eq!(finance.model.as_deref(), Some("large"));
    assert_eq!(
        (finance.greeting.as_deref(), &finance.gateway),
        (Some(""), &None)
    );
    assert_eq!(finance.levels, [Level::Owner]);
    assert_eq!(
        guests.gateway.as_ref().map(|one| one.kind),
        Some(AgentKind::Demo)
    );
    assert_eq!(guests.session.as_deref(), Some("agent:main:main"));
    for number in ["100", "agent", "110", "MONEY", "120"] {
        let found = config.numbers.find(number).expect("a number");
        assert_eq!(found.to, Answerer::Agent, "{number}");
    }
    assert_eq!(config.levels.default, Level::Owner);
    assert_eq!(config.approvals.level, Level::Family);
    assert_eq!(config.users[0].level, Some(Level::Guest));
}

#[test]
fn what_an_old_config_means() {
    let config = read("", &[]);
    assert!(config.agents.is_empty());
    assert_eq!(config.levels.default, Level::Family);
    assert_eq!(config.levels.agent, [Level::Owner, Level::Family]);
    assert_eq!(config.approvals.level, Level::Owner);
}

#[test]
fn mistakes_are_named() {
    let agent = "[[agents]]\nname = 'a'\nnumbers = ['110']\n";
    let rows = [
        ("[[agents]]\nname = 'a'", "numbers: missing"),
        ("[[agents]]\nnumbers = ['110']", "name: missing"),
        ("[[agents]]\nname = 'agent'\nnumbers = ['110']", "is taken"),
        (
            "[[agents]]\nname = 'a'\nnumbers = ['100']",
            "already dialled",
        ),
        ("[[agents]]\nname = 'A b'\nnumbers = ['110']", "a word"),
        ("[approvals]\nlevel = 'guest'", "one of"),
        ("[levels]\ndefault = 'admin'", "one of"),
        (
            "[[users]]\nname = 'a'\nlevel = 'admin'",
            "\"owner\", \"family\"",
        ),
    ];
    for (text, why) in rows {
        check_wrong(text, &[], &[why]);
    }
    check_wrong(
        &format!("{agent}kind = 'openai'\nmodel = 'm'"),
        &[],
        &["needs `url`"],
    );
    check_wrong(&format!("{agent}levels = ['boss']"), &[], &["levels, each"]);
    check_wrong(
        &format!("{agent}{}", agent.replace("110", "111")),
        &[],
        &["is taken"],
    );
    check_wrong(
        &format!("{agent}[[agents.fallback]]\nkind = 'demo'"),
        &[],
        &["begins with `kind`"],
    );
}
