//! Calls whose agent gateway asks a provider in the cloud through us: the rules of the cloud hold for them, and what is no
//! call's passes as ever.

use std::sync::atomic::Ordering::SeqCst;

use super::tests::{Desk, Manner, question};
use super::*;
use crate::budget::Limits;
use crate::gateways::Asker;
use crate::gateways::fake::{FakeGateway, FakeStep};
use crate::levels::Level;
use crate::proxy::CloudBooks;
use crate::proxy::shell_tests::Script;
use crate::router::books::{CloudAsk, CloudEnd};
use crate::router::choice::{CloudRules, CloudWhy, Traits};
use crate::router::notebook::Notebook;
use crate::router::place::Place;
use crate::router::{Member, Router, RouterConfig, Rules};

fn line(ask: &CloudAsk, end: &CloudEnd) -> String {
    let (who, call) = (&ask.asker.user, ask.asker.call.as_deref());
    let early = if ask.is_guess { " early" } else { "" };
    let call = call.unwrap_or("-");
    format!(
        "{} [{who} {call}] {:?}{early}: {}",
        ask.agent, ask.why, end.how
    )
}

/// A chain that begins with OpenClaw, its provider in the cloud.
struct House {
    desk: Desk,
    books: Arc<Notebook>,
    router: Router,
    /// Questions to the provider, and messages to the agent gateway, before any of the test's.
    before: (usize, usize),
}

impl House {
    async fn new(manner: Manner, cloud: CloudRules, home: &[&FakeGateway]) -> House {
        let desk = Desk::new(manner).await;
        let books = Notebook::new(Limits::default(), line);
        desk.world.proxy.keep_books(CloudBooks {
            books: books.clone(),
            agent: "agent".to_owned(),
        });
        let first = Member {
            gateway: Arc::new(desk.gateway.clone()),
            traits: Traits {
                asks_cloud: true,
                ..Traits::at(Place::Local)
            },
            tokens_max: None,
        };
        let home = home.iter().map(|gateway| {
            let gateway = (*gateway).clone();
            Member::local(Arc::new(gateway))
        });
        let config = RouterConfig {
            // Nothing here is timed.
            fallback_after_ms: 60_000,
            ..RouterConfig::default()
        };
        let rules = Rules {
            agent: "house".to_owned(),
            cloud,
            books: Some(books.clone()),
        };
        House {
            before: (desk.world.seen(), 0),
            router: Router::ruled(first, home.collect(), config, rules),
            books,
            desk,
        }
    }

    /// As a caller of this level meets it.
    fn line(&self, level: Level) -> Arc<dyn Gateway> {
        let asker = Asker {
            call: Some("c1".to_owned()),
            user: "anna".to_owned(),
            level: Some(level),
            ..Asker::default()
        };
        self.router.facing(&asker).expect("it makes a difference")
    }

    /// Questions to the provider, and messages to the agent gateway.
    fn asked(&self) -> (usize, usize) {
        let sent = self.desk.claw.sent.load(SeqCst);
        (self.desk.world.seen() - self.before.0, sent)
    }
}

fn ask(
    line: &dyn Gateway,
    words: &str,
    is_guess: bool,
) -> (AskHandle, mpsc::Receiver<GatewayEvent>) {
    let (sender, events) = mpsc::channel(64);
    (line.ask(question("anna", words, is_guess), sender), events)
}

/// All that comes, in short.
async fn seen(events: &mut mpsc::Receiver<GatewayEvent>) -> String {
    let mut all = String::new();
    while let Some(event) = events.recv().await {
        match event {
            GatewayEvent::Text(text) => all.push_str(&text),
            GatewayEvent::Progress(Progress::Cloud { model }) => {
                all.push_str(&format!("{{{model}}}"));
            }
            GatewayEvent::Progress(Progress::Spent(_)) => all.push_str("{spent}"),
            GatewayEvent::Done { .. } => return all,
            GatewayEvent::Failed(error) => return format!("{all}{error:?}"),
            _ => {}
        }
    }
    all
}

fn llama() -> FakeGateway {
    FakeGateway::new([vec![
        FakeStep::Send(GatewayEvent::Text("From home.".into())),
        FakeStep::Send(GatewayEvent::Done { usage: None }),
    ]])
}

#[tokio::test]
async fn without_leave_for_guesses_the_provider_is_asked_when_the_turn_is_over() {
    let house = House::new(Manner::Proper, CloudRules::default(), &[]).await;
    let line = house.line(Level::Owner);
    assert!(house.desk.gateway.only_answers(), "it could");
    assert!(!line.only_answers(), "and may not");
    assert!(!house.router.only_answers(), "so says the status");
    let (_guess, mut events) = ask(line.as_ref(), "What time", true);
    assert_eq!(seen(&mut events).await, "Held(Nobody(Guess))");
    assert_eq!(house.asked(), (0, 0));
    // Foretold as ever, now that it is no guess.
    house.desk.world.script(Script::words(&["It is ten."]));
    let (handle, mut events) = ask(line.as_ref(), "What time is it?", false);
    assert_eq!(seen(&mut events).await, "It is ten.");
    handle.heard("It is ten.", true);
    house.desk.over().await;
    assert_eq!(house.asked(), (1, 1));
    let counts = house.desk.world.proxy.counts();
    assert_eq!(counts.exact + counts.passing, 1);
    let lines = house.books.until_lines(1).await;
    assert_eq!(lines, ["house [anna c1] Alone: answered"]);
}

#[tokio::test]
async fn with_leave_for_guesses_the_provider_is_asked_early() {
    let rules = CloudRules {
        guesses: true,
        ..CloudRules::default()
    };
    let house = House::new(Manner::Proper, rules, &[]).await;
    let line = house.line(Level::Family);
    assert!(line.only_answers() && house.router.only_answers());
    house.desk.world.script(Script::words(&["It is ten."]));
    let (handle, mut events) = ask(line.as_ref(), "What time is it?", true);
    assert_eq!(seen(&mut events).await, "It is ten.");
    assert_eq!(house.asked(), (1, 0), "nobody but the model");
    handle.commit();
    handle.heard("It is ten.", true);
    house.desk.over().await;
    assert_eq!(house.asked(), (1, 1));
    let lines = house.books.until_lines(1).await;
    assert_eq!(lines, ["house [anna c1] Alone early: answered"]);
}

#[tokio::test]
async fn whom_no_rule_lets_out_the_next_gateway_answers_or_nobody() {
    let rules = CloudRules::default;
    let shut = || CloudRules {
        in_chain: false,
        on_failure: false,
        on_need: false,
        ..rules()
    };
    let owners = || CloudRules {
        levels: vec![Level::Owner],
        ..rules()
    };
    let guesses = || CloudRules {
        guesses: true,
        ..rules()
    };
    for (rules, level, has_home, wanted) in [
        (rules(), Level::Guest, false, "Held(Nobody(CloudRule))"),
        (rules(), Level::Guest, true, "From home."),
        (owners(), Level::Family, false, "Held(Nobody(CloudRule))"),
        (owners(), Level::Family, true, "From home."),
        (guesses(), Level::Guest, false, "Held(Nobody(CloudRule))"),
        (shut(), Level::Owner, false, "Held(Nobody(CloudOff))"),
        (shut(), Level::Owner, true, "From home."),
    ] {
        for is_guess in [false, true] {
            let case = format!("{rules:?} {level} {has_home} {is_guess}");
            let llama = llama();
            let home: &[&FakeGateway] = if has_home { &[&llama] } else { &[] };
            let house = House::new(Manner::Proper, rules.clone(), home).await;
            let line = house.line(level);
            // The gateway at home may be asked early.
            assert_eq!(line.only_answers(), has_home, "{case}");
            let (_handle, mut events) = ask(line.as_ref(), "What time is it?", is_guess);
            assert_eq!(seen(&mut events).await, wanted, "{case}");
            assert_eq!(house.asked(), (0, 0), "{case}");
        }
    }
    // Nor where the proxy has seen nothing yet, or where no chain has asked the rules.
    let house = House::new(Manner::Proper, rules(), &[]).await;
    for session in ["anna", "nobody/else"] {
        let (sender, mut events) = mpsc::channel(8);
        let request = question(session, "What time is it?", false);
        let _handle = house.desk.gateway.ask(request, sender);
        assert_eq!(seen(&mut events).await, "Held(Nobody(CloudRule))");
    }
    assert_eq!(house.asked(), (0, 0));
}

#[tokio::test]
async fn it_is_announced_and_written_down_for_whom_and_why() {
    let rules = CloudRules {
        is_announced: true,
        guesses: true,
        ..CloudRules::default()
    };
    let llama = llama();
    let house = House::new(Manner::Proper, rules, &[&llama]).await;
    let line = house.line(Level::Owner);
    assert!(!line.only_answers(), "what is announced is no guess");
    house.desk.world.script(Script::words(&["It is ten."]));
    let (handle, mut events) = ask(line.as_ref(), "What time is it?", false);
    assert_eq!(seen(&mut events).await, "{fake's model}It is ten.");
    handle.heard("It is ten.", true);
    house.desk.over().await;
    let lines = house.books.until_lines(1).await;
    assert_eq!(lines, ["house [anna c1] Chain: answered"]);
    // What belongs to no caller is the owner's own, and passes.
    let body = crate::proxy::request::tests::body("agent:main:cron", &[("user", "Tidy up.")]);
    let url = format!("{}/v1/chat/completions", house.desk.world.base);
    let sent = house.desk.world.client.post(url).bearer_auth("ours");
    let answer = sent.body(body.clone()).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    answer.bytes().await.expect("all of it");
    assert_eq!(house.desk.world.seen_body(house.before.0 + 1), body);
    let lines = house.books.until_lines(2).await;
    let wanted = format!("agent [ -] {:?}: answered", CloudWhy::Proxy);
    assert_eq!(lines[1], wanted);
}
