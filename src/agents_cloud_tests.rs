//! OpenClaw with its model behind our proxy, as the config makes it: where the provider is in the cloud, its rules hold.

use agent_bridge::gateways::{AskRequest, Asker, GatewayEvent};
use agent_bridge::turn::ReplyId;

use super::tests::Installed;
use super::*;

/// What becomes of such a caller's question, in short.
async fn answer(config: &str, level: Level, speculative: bool) -> String {
    let Installed {
        config,
        home,
        secrets,
        books,
        ..
    } = &Installed::new(config);
    let proxy = crate::proxy::build(config, secrets, home).expect("a proxy");
    let shared = Shared {
        books,
        tools: None,
        proxy: proxy.as_ref(),
    };
    let agents = build_all(config, secrets, home, &[], shared).expect("agents");
    let gateway = agents.at("").gateway.clone();
    let asker = Asker {
        level: Some(level),
        ..Asker::default()
    };
    let gateway = gateway.facing(&asker).unwrap_or(gateway);
    let (sender, mut events) = tokio::sync::mpsc::channel(4);
    let request = AskRequest {
        reply: ReplyId(1),
        session: "s".to_owned(),
        system: String::new(),
        messages: Vec::new(),
        speculative,
        tools: Vec::new(),
        rounds: Vec::new(),
    };
    let _asked = gateway.ask(request, sender);
    match events.recv().await {
        Some(GatewayEvent::Failed(error)) => format!("{error:?}"),
        Some(_) => "answered".to_owned(),
        None => "nothing".to_owned(),
    }
}

#[tokio::test]
async fn a_provider_in_the_cloud_is_asked_by_its_rules() {
    let agent = "[agent]\nkind = 'openclaw'\nurl = 'ws://127.0.0.1:1'\nconnect_timeout_ms = 100\n";
    let fallback = "[[agent.fallback]]\nkind = 'demo'\n";
    let cloud = "[proxy]\nenabled = true\nurl = 'https://api.example.com/v1'\n";
    let home = "[proxy]\nenabled = true\nurl = 'http://127.0.0.1:1/v1'\n";
    let shut = "[cloud]\n[[cloud.agents]]\nname = 'agent'\nwhen = []\n";
    let (guess, rule, off) = (
        "Held(Nobody(Guess))",
        "Held(Nobody(CloudRule))",
        "Held(Nobody(CloudOff))",
    );
    let guest = Level::Guest;
    for (rest, level, is_guess, wanted) in [
        (cloud.to_owned(), Level::Owner, true, guess),
        (cloud.to_owned(), Level::Owner, false, "Link("),
        (cloud.to_owned(), guest, true, rule),
        (cloud.to_owned(), guest, false, rule),
        (format!("{cloud}{shut}"), Level::Owner, false, off),
        (format!("{fallback}{cloud}"), guest, true, "answered"),
        (format!("{fallback}{cloud}"), guest, false, "answered"),
        (home.to_owned(), guest, false, "Link("),
        (String::new(), guest, false, "Link("),
    ] {
        let said = answer(&format!("{agent}{rest}"), level, is_guess).await;
        assert!(said.starts_with(wanted), "{rest} {level}: {said}");
    }
}
