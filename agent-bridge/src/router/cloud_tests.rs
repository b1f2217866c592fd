//! Chains that reach into the cloud: what is asked, said, counted and written down; and that nothing is when it is off.

use std::io::ErrorKind;
use std::net::TcpListener;

use super::books::CloudEnd;
use super::choice::CloudWhy;
use super::notebook::Notebook;
use super::tests::{ask, done, request, text};
use super::*;
use crate::budget::{Limits, Reached, What};
use crate::gateways::fake::{FakeGateway, FakeStep};
use crate::gateways::openai::{OpenAi, OpenAiConfig};
use crate::gateways::{Message, Role, Usage};
use crate::levels::Level;
use crate::turn::ReplyId;

fn line(ask: &CloudAsk, end: &CloudEnd) -> String {
    let CloudEnd {
        usage,
        is_guessed,
        how,
    } = end;
    format!(
        "{} {} {:?} {}+{}{} {how}",
        ask.agent,
        ask.asker.user,
        ask.why,
        usage.prompt_tokens,
        usage.completion_tokens,
        if *is_guessed { "?" } else { "" },
    )
}

fn member(gateway: &FakeGateway, place: Place) -> Member {
    Member {
        gateway: Arc::new(gateway.clone()),
        traits: Traits::at(place),
        tokens_max: None,
    }
}

fn chain(members: Vec<Member>, cloud: CloudRules, books: &Arc<Notebook>) -> Router {
    let mut members = members.into_iter();
    let first = members.next().expect("a first one");
    let rules = Rules {
        agent: "house".to_owned(),
        cloud,
        books: Some(books.clone()),
    };
    Router::ruled(first, members.collect(), RouterConfig::default(), rules)
}

fn asker(level: Level) -> Asker {
    Asker {
        agent: String::new(),
        call: Some("c1".to_owned()),
        user: "anna".to_owned(),
        level: Some(level),
    }
}

/// Asks as this caller.
async fn ask_as(router: &Router, level: Level, speculative: bool) -> String {
    let facing = router.facing(&asker(level)).expect("it makes a difference");
    ask(facing.as_ref(), speculative).await.0
}

fn counted(prompt: u64, completion: u64) -> FakeStep {
    FakeStep::Send(GatewayEvent::Done {
        usage: Some(Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
        }),
    })
}

fn failing() -> Vec<FakeStep> {
    vec![FakeStep::Send(GatewayEvent::Failed(GatewayError::Server {
        status: 500,
    }))]
}

#[tokio::test(start_paused = true)]
async fn each_question_to_the_cloud_is_written_down() {
    let books = Notebook::new(Limits::default(), line);
    let local = FakeGateway::new([vec![text("l"), done()], failing(), vec![text("l"), done()]]);
    let cloud = FakeGateway::new([
        vec![text("cloud"), counted(7, 3)],
        vec![text("cloud"), done()],
        failing(),
        vec![text("clo"), FakeStep::Wait(Duration::from_secs(60))],
    ]);
    let members = vec![member(&local, Place::Local), member(&cloud, Place::Cloud)];
    let router = chain(members, CloudRules::default(), &books);
    assert_eq!(ask_as(&router, Level::Owner, false).await, "l.");
    assert_eq!(books.take_lines(), [""; 0]);
    assert_eq!(ask_as(&router, Level::Owner, false).await, "[fake]cloud.");
    assert_eq!(books.take_lines(), ["house anna Failure 7+3 answered"]);
    assert_eq!(ask_as(&router, Level::Family, false).await, "cloud.");
    // It did not say how much: five letters are two tokens.
    assert_eq!(books.take_lines(), ["house anna Failure 0+2? answered"]);
    assert_eq!(ask_as(&router, Level::Owner, false).await, "[fake]l.");
    let failed = "house anna Failure 0+0? the gateway has an error (500)";
    assert_eq!(books.take_lines(), [failed]);
    // Called off in the middle: written down, with what had come.
    let only = chain(
        vec![member(&cloud, Place::Cloud)],
        CloudRules::default(),
        &books,
    );
    let only = only
        .facing(&asker(Level::Owner))
        .expect("it makes a difference");
    let (sender, mut receiver) = mpsc::channel(4);
    let asked = only.ask(request(false), sender);
    assert!(receiver.recv().await.is_some());
    asked.cancel();
    while receiver.recv().await.is_some() {}
    assert_eq!(books.take_lines(), ["house anna Alone 0+1? called off"]);
    assert_eq!(books.ledger().spent().requests, 4);
}

#[tokio::test(start_paused = true)]
async fn callers_guesses_and_announcements_follow_the_rules() {
    let script = || vec![text("c"), done()];
    for (cloud_rules, level, speculative, wanted, asked) in [
        (CloudRules::default(), Level::Owner, false, "c.", 1),
        (
            CloudRules::default(),
            Level::Guest,
            false,
            "Held(Nobody(CloudRule))",
            0,
        ),
        (
            CloudRules::default(),
            Level::Owner,
            true,
            "Held(Nobody(Guess))",
            0,
        ),
        (
            CloudRules {
                guesses: true,
                ..CloudRules::default()
            },
            Level::Owner,
            true,
            "c.",
            1,
        ),
        (
            CloudRules {
                is_announced: true,
                ..CloudRules::default()
            },
            Level::Owner,
            false,
            "{cloud}c.",
            1,
        ),
    ] {
        let books = Notebook::new(Limits::default(), line);
        let cloud = FakeGateway::new([script()]);
        let case = format!("{cloud_rules:?} {level} {speculative}");
        let router = chain(vec![member(&cloud, Place::Cloud)], cloud_rules, &books);
        assert_eq!(ask_as(&router, level, speculative).await, wanted, "{case}");
        assert_eq!(cloud.asked().len(), asked, "{case}");
        assert_eq!(books.take_lines().len(), asked, "{case}");
    }
    // Without a caller nobody knows whose question it is.
    let cloud = FakeGateway::new([script()]);
    let books = Notebook::new(Limits::default(), line);
    let router = chain(
        vec![member(&cloud, Place::Cloud)],
        CloudRules::default(),
        &books,
    );
    assert_eq!(ask(&router, false).await.0, "Held(Nobody(CloudRule))");
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_said_once_and_the_local_one_goes_on() {
    let limits = Limits {
        requests: Some(1),
        ..Limits::default()
    };
    let books = Notebook::new(limits, line);
    let cloud = FakeGateway::new([vec![text("c"), done()]]);
    let local = FakeGateway::new([vec![text("l"), done()], vec![text("l"), done()]]);
    let rules = CloudRules {
        in_chain: true,
        ..CloudRules::default()
    };
    let members = vec![member(&cloud, Place::Cloud), member(&local, Place::Local)];
    let router = chain(members, rules, &books);
    let call = router
        .facing(&asker(Level::Owner))
        .expect("it makes a difference");
    for wanted in ["c.", "{spent}l.", "l."] {
        assert_eq!(ask(call.as_ref(), false).await.0, wanted);
    }
    assert_eq!((cloud.asked().len(), books.take_lines().len()), (1, 1));
    // Where our proxy asks the cloud, it is the one who finds the limit reached.
    let spent = GatewayError::Held(Held::Spent(Reached {
        what: What::Requests,
        is_total: true,
    }));
    let agent = FakeGateway::new([vec![FakeStep::Send(GatewayEvent::Failed(spent))]]);
    let local = FakeGateway::new([vec![text("l"), done()]]);
    let mut agent = member(&agent, Place::Local);
    agent.traits.asks_cloud = true;
    let members = vec![agent, member(&local, Place::Local)];
    let behind = chain(members, CloudRules::default(), &books);
    let answer = ask_as(&behind, Level::Owner, false).await;
    assert_eq!(answer, "{spent}l.");
    // Nobody else is there: said as the answer.
    let alone = chain(
        vec![member(&cloud, Place::Cloud)],
        CloudRules::default(),
        &books,
    );
    let answer = ask_as(&alone, Level::Owner, false).await;
    assert!(
        answer.starts_with("Held(Spent(Reached { what: Requests"),
        "{answer}"
    );
    assert_eq!(cloud.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_not_there_is_looked_at_until_it_is() {
    let down = || {
        vec![FakeStep::Send(GatewayEvent::Failed(
            GatewayError::Unreachable {
                why: "connection refused".into(),
            },
        ))]
    };
    let first = FakeGateway::new([down(), vec![text("a"), done()]]);
    let second = FakeGateway::new([vec![text("b"), done()], vec![text("b"), done()]]);
    let router = Router::new(
        Arc::new(first.clone()),
        vec![Arc::new(second)],
        RouterConfig::default(),
    );
    assert_eq!(ask(&router, false).await.0, "[fake]b.");
    tokio::time::sleep(Duration::from_millis(4_900)).await;
    assert_eq!(ask(&router, false).await.0, "b.");
    // A look every five seconds; the fake one is always found there.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(ask(&router, false).await.0, "a.");
    let health = router.chain_health();
    assert!(health.iter().all(|link| !link.health.is_resting));
}

/// A config full of gateways in the cloud, all of which lead to a listener on this machine that must never be connected
/// to: questions of all kinds, guesses, warming up, checks (which read the list of models), looks at those that rest.
#[tokio::test]
async fn with_the_switch_off_nothing_connects_to_the_cloud() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let gateway = |path: &str| {
        let config = OpenAiConfig {
            url: format!("http://{address}/{path}"),
            model: "big".to_owned(),
            only_answers: Some(true),
            ..OpenAiConfig::default()
        };
        Arc::new(OpenAi::new(config, [1; 32]).expect("a valid config"))
    };
    let cloud = |path: &str| Member {
        gateway: gateway(path),
        traits: Traits::at(Place::Cloud),
        tokens_max: None,
    };
    let everything = |is_allowed| CloudRules {
        is_allowed,
        in_chain: true,
        guesses: true,
        levels: Level::ALL.to_vec(),
        ..CloudRules::default()
    };
    let config = RouterConfig {
        fallback_after_ms: 100,
        look_ms: 10,
        ..RouterConfig::default()
    };
    let off = || Rules {
        agent: "house".to_owned(),
        cloud: everything(false),
        books: None,
    };
    let broken = FakeGateway::new([failing(), failing(), failing(), failing()]);
    let alone = Router::ruled(cloud("a"), vec![cloud("b")], config, off());
    let behind = Router::ruled(
        member(&broken, Place::Local),
        vec![cloud("a"), cloud("b")],
        config,
        off(),
    );
    let ahead = Router::ruled(
        cloud("a"),
        vec![member(&broken, Place::Local), cloud("b")],
        config,
        off(),
    );
    for (router, wanted) in [
        (&alone, "Held(Nobody(CloudOff))"),
        (&behind, "Server { status: 500 }"),
        (&ahead, "Server { status: 500 }"),
    ] {
        router.warm();
        let call = router.facing(&asker(Level::Owner)).expect("a difference");
        call.warm();
        for speculative in [false, true] {
            let request = AskRequest {
                messages: vec![Message {
                    role: Role::User,
                    text: "a secret".repeat(2_000),
                }],
                reply: ReplyId(2),
                ..request(speculative)
            };
            let (sender, mut receiver) = mpsc::channel(4);
            let _asked = call.ask(request, sender);
            let mut last = None;
            while let Some(event) = receiver.recv().await {
                last = Some(event);
            }
            let last = format!("{last:?}");
            assert!(last.contains(wanted), "{last}");
        }
        // The first of the chain; what is in the cloud says why it is not asked.
        assert_eq!(call.check().await.is_ok(), std::ptr::eq(router, &behind));
        assert_eq!(
            router.describe().address.is_empty(),
            std::ptr::eq(router, &behind)
        );
    }
    assert!(!alone.only_answers(), "no guess goes to nobody");
    let accepted = listener.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(accepted, Err(ErrorKind::WouldBlock), "somebody connected");

    // The same with the switch on does connect: the listener would have seen it.
    let on = Rules {
        cloud: everything(true),
        ..off()
    };
    let open = Router::ruled(cloud("a"), vec![cloud("b")], config, on);
    assert!(open.only_answers());
    let (sender, mut receiver) = mpsc::channel(4);
    let _asked = open
        .facing(&asker(Level::Owner))
        .expect("a difference")
        .ask(request(false), sender);
    while receiver.recv().await.is_some() {}
    assert!(listener.accept().is_ok());
    assert_eq!(CloudWhy::Alone.as_str(), "no local gateway is configured");
}
