//! The hub with a database, an office of approvals and a desk of their own; a channel and an agent that are fakes.

mod besides;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use agent_bridge::approvals::{ApprovalId, ApprovalKind, ApprovalRequest, Decision};
use agent_bridge::channels::{Arrival, Body, DeliveryError, NotKept, OutBody, Outbound};
use agent_bridge::gateways::fake::FakeGateway;
use agent_bridge::gateways::{
    AskHandle, AskRequest, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo,
};
use agent_bridge::levels::Level;

use super::*;
use crate::agents::{Agents, Profile};
use crate::approvals::{Approvals, OfficePlan, Ruling};
use crate::callbacks::desk::{DeskParts, INPUTS_MAX, NewRequest, Resolved};
use crate::callbacks::{Channel as Means, Desk, Recipient};
use crate::config::Config;
use crate::store::Store;
use crate::switchboard::{Command, Order};
use crate::testing::Scratch;

/// Longer than anything takes here; a test that waits for it has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Repeats what it is asked; "slow" takes a while.
pub(super) struct Echo {
    pub asked: Mutex<Vec<AskRequest>>,
    pub news: Mutex<Vec<mpsc::Sender<String>>>,
}

impl Echo {
    pub(super) fn new() -> Arc<Echo> {
        Arc::new(Echo {
            asked: Mutex::default(),
            news: Mutex::default(),
        })
    }
}

impl Gateway for Echo {
    fn describe(&self) -> GatewayInfo {
        FakeGateway::new([]).describe()
    }

    fn ask(&self, request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        let question = request
            .messages
            .last()
            .map(|last| last.text.clone())
            .unwrap_or_default();
        lock(&self.asked).push(request);
        AskHandle::new(tokio::spawn(async move {
            if question.starts_with("slow") {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            let events_to_send = match question.as_str() {
                "fail" => vec![GatewayEvent::Failed(GatewayError::Cut)],
                _ => vec![
                    GatewayEvent::Text("You said: ".to_owned()),
                    GatewayEvent::Text(question),
                    GatewayEvent::Done { usage: None },
                ],
            };
            for event in events_to_send {
                let _ = events.send(event).await;
            }
        }))
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        async { Err(GatewayError::Cut) }.boxed()
    }

    fn warm(&self) {}

    fn news(&self, _: &str) -> Option<mpsc::Receiver<String>> {
        let (news, receiver) = mpsc::channel(4);
        lock(&self.news).push(news);
        Some(receiver)
    }
}

/// A fake network: what is written to it is counted, and its first deliveries fail as often as asked.
struct FakeChannel {
    name: &'static str,
    delivered: mpsc::Sender<Outbound>,
    arrivals: Mutex<Option<mpsc::Receiver<Arrival>>>,
    failures: AtomicU32,
}

impl Channel for FakeChannel {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(self: Arc<Self>, inbox: mpsc::Sender<Arrival>) -> BoxFuture<'static, ()> {
        let arrivals = lock(&self.arrivals).take();
        async move {
            let Some(mut arrivals) = arrivals else { return };
            while let Some(arrival) = arrivals.recv().await {
                let _ = inbox.send(arrival).await;
            }
        }
        .boxed()
    }

    fn deliver<'a>(
        &'a self,
        message: &'a Outbound,
    ) -> BoxFuture<'a, Result<Option<String>, DeliveryError>> {
        async move {
            if self.failures.load(Ordering::Relaxed) > 0 {
                self.failures.fetch_sub(1, Ordering::Relaxed);
                return Err(DeliveryError::Passing {
                    why: "fake".to_owned(),
                    retry_after: None,
                });
            }
            let _ = self.delivered.send(message.clone()).await;
            Ok(Some(format!("their-{}", message.id)))
        }
        .boxed()
    }

    fn standing(&self) -> String {
        "a fake".to_owned()
    }
}

struct FakeSounds;

impl Sounds for FakeSounds {
    fn hear(&self, bytes: Vec<u8>) -> BoxFuture<'_, Result<String, String>> {
        let words = String::from_utf8_lossy(&bytes[4..]).into_owned();
        async move { Ok(words) }.boxed()
    }

    fn say<'a>(&'a self, words: &'a str) -> BoxFuture<'a, Result<(Vec<u8>, u32), String>> {
        async move { Ok((format!("OggS{words}").into_bytes(), 1_000)) }.boxed()
    }
}

struct Rig {
    hub: Hub,
    echo: Arc<Echo>,
    approvals: Approvals,
    recorder: Recorder,
    desk: Desk,
    orders: mpsc::Receiver<Command>,
    scratch: Scratch,
}

const HOUSE: &str = "[[users]]\nname = 'anna'\nlevel = 'owner'\nidentities = ['telegram:1']\n[[users]]\nname = 'ben'\nlevel = 'family'\n[[users]]\nname = 'gus'\nlevel = 'guest'\n[callbacks]\nowner = 'anna'";

impl Rig {
    async fn new() -> Rig {
        let scratch = Scratch::new("hub");
        let store = Store::open(&scratch.path().join("a.db")).expect("a store");
        let saved = load(&store).expect("a store");
        let (recorder, _) = Recorder::start(store, true).expect("a thread");
        let (config, _) = Config::parse(HOUSE, &[]).expect("a config");
        let accounts = ["anna", "ben", "gus"].map(str::to_owned).to_vec();
        let echo = Echo::new();
        let plan = OfficePlan {
            ruling: Ruling::of(&config, &accounts),
            pins: HashMap::new(),
            wrong_pins: HashMap::new(),
            is_frozen: false,
            gateways: Vec::new(),
        };
        let (approvals, _) = Approvals::start(plan, recorder.clone());
        let profile = Profile {
            name: "agent".to_owned(),
            numbers: Vec::new(),
            gateway: echo.clone(),
            system_prompt: "You speak.".to_owned(),
            greeting: String::new(),
            levels: vec![Level::Owner, Level::Family],
            session: None,
        };
        let (commands, orders) = mpsc::channel(16);
        let (_, inputs) = mpsc::channel(INPUTS_MAX);
        let desk = Desk::start(DeskParts {
            config: config.clone(),
            recorder: recorder.clone(),
            commands,
            inputs,
            records: Vec::new(),
        });
        let (hub, _) = Hub::start(HubParts {
            config,
            accounts,
            recorder: recorder.clone(),
            agents: Agents::new(profile, Vec::new(), Some("anna".to_owned())),
            approvals: approvals.clone(),
            desk: Some(desk.clone()),
            sounds: Arc::new(FakeSounds),
            folder: scratch.path().join("voice"),
            saved,
        });
        Rig {
            hub,
            echo,
            approvals,
            recorder,
            desk,
            orders,
            scratch,
        }
    }

    /// A fake network with what it delivers, and a way in.
    async fn channel(
        &self,
        name: &'static str,
        failures: u32,
    ) -> (mpsc::Receiver<Outbound>, mpsc::Sender<Arrival>) {
        let (delivered, deliveries) = mpsc::channel(32);
        let (arrive, arrivals) = mpsc::channel(8);
        self.hub.attach(Arc::new(FakeChannel {
            name,
            delivered,
            arrivals: Mutex::new(Some(arrivals)),
            failures: AtomicU32::new(failures),
        }));
        // What is asked now is answered behind that.
        let _ = self.hub.history("anna", "", None, 1).await;
        (deliveries, arrive)
    }

    async fn texts(&self, conversation: &str) -> Vec<String> {
        let conversation = conversation.to_owned();
        let rows = self
            .recorder
            .ask(move |store| store.history(&conversation, None, 100))
            .await;
        rows.expect("a store")
            .into_iter()
            .map(|row| row.message.text)
            .collect()
    }
}

pub(super) fn text(channel: &'static str, from: &str, id: &str, text: &str) -> Inbound {
    Inbound {
        id: id.to_owned(),
        from: Address {
            channel,
            id: from.to_owned(),
        },
        place: from.to_owned(),
        shown_name: "Anna".to_owned(),
        to: String::new(),
        at_unix_ms: 1,
        body: Body::Text(text.to_owned()),
        edits: None,
    }
}

async fn next<T>(receiver: &mut mpsc::Receiver<T>) -> T {
    let next = tokio::time::timeout(PATIENCE, receiver.recv()).await;
    next.expect("in time").expect("something")
}

fn words(message: &Outbound) -> &str {
    match &message.body {
        OutBody::Text(text) | OutBody::Ask { text, .. } => text,
        OutBody::Voice { words, .. } => words,
    }
}

#[tokio::test]
async fn a_text_is_answered_once_in_the_conversation_of_the_phone() {
    let rig = Rig::new().await;
    let (mut deliveries, arrive) = rig.channel("telegram", 1).await;
    let mut live = rig.hub.live("anna");
    let (kept, told) = oneshot::channel();
    let message = text("telegram", "1", "7", "slow hello");
    arrive
        .send(Arrival {
            message: message.clone(),
            kept,
        })
        .await
        .expect("a channel");
    assert_eq!(told.await.expect("an answer"), Ok(()));
    // The same again, by another way in: known.
    assert_eq!(rig.hub.receive(message.clone()).await, Ok(Received::Again));
    let second = text("telegram", "1", "8", "second");
    assert!(matches!(
        rig.hub.receive(second).await,
        Ok(Received::Kept { .. })
    ));
    let delivered = [next(&mut deliveries).await, next(&mut deliveries).await];
    let got: Vec<&str> = delivered.iter().map(words).collect();
    assert_eq!(got, ["You said: slow hello", "You said: second"]);
    assert!(delivered[0].is_repeat, "the first attempt failed");
    assert_eq!(delivered[0].reply_to.as_deref(), Some("7"));
    assert_eq!(rig.hub.receive(message).await, Ok(Received::Again));
    assert!(deliveries.try_recv().is_err(), "nothing twice");
    // What the agent was told, and what a call would start with.
    let asked = lock(&rig.echo.asked).clone();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].session, "anna/agent");
    assert!(
        asked[0].system.starts_with("You speak.") && asked[0].system.contains("came by Telegram")
    );
    let heard: Vec<&str> = asked[1]
        .messages
        .iter()
        .map(|message| message.text.as_str())
        .collect();
    assert_eq!(heard, ["slow hello", "You said: slow hello", "second"]);
    let conversation = rig.recorder.conversation("anna/agent").await;
    assert_eq!(conversation.messages().len(), 4);
    let shown = rig
        .hub
        .history("anna", "", None, 10)
        .await
        .expect("a history");
    assert!(
        shown
            .iter()
            .all(|one| one.channel == "telegram" && one.conversation == "anna/agent")
    );
    let mut seen = Vec::new();
    while let Ok(event) = live.try_recv() {
        seen.push(match event {
            Live::Said(shown) => shown.text,
            Live::Delta { text, .. } => format!("+{text}"),
            Live::Done { .. } => "done".to_owned(),
            _ => continue,
        });
    }
    let first: Vec<&str> = seen
        .iter()
        .filter(|one| !one.contains("second"))
        .map(String::as_str)
        .collect();
    assert_eq!(first[..2], ["slow hello", "+You said: "], "{seen:?}");
    assert!(first.contains(&"done"));
}

#[tokio::test]
async fn a_stranger_gets_nothing_until_the_owner_links_them() {
    let rig = Rig::new().await;
    let (mut deliveries, arrive) = rig.channel("matrix", 0).await;
    let (kept, told) = oneshot::channel();
    let message = text("matrix", "@ben:x", "$1", "let me in");
    arrive
        .send(Arrival { message, kept })
        .await
        .expect("a channel");
    assert_eq!(told.await.expect("an answer"), Err(NotKept::Stranger));
    let who = Address {
        channel: "matrix",
        id: "@ben:x".to_owned(),
    };
    let code = rig
        .hub
        .pairing_code_at(who.clone(), "!room:x", "Ben")
        .await
        .expect("a code");
    assert_eq!(rig.hub.pairing_code(who, "Ben").await, None, "one only");
    assert_eq!(rig.hub.pairings().await.expect("a list").len(), 1);
    assert!(matches!(
        rig.hub.link("WRONG234", "ben").await,
        Err(HubError::Wrong(_))
    ));
    let typed = code.to_lowercase();
    assert_eq!(
        rig.hub.link(&typed, "ben").await.expect("a link").place,
        "!room:x"
    );
    let greeting = next(&mut deliveries).await;
    assert_eq!(
        (greeting.place.as_str(), words(&greeting)),
        ("!room:x", wording::linked("ben").as_str())
    );
    assert!(
        rig.hub
            .receive(text("matrix", "@ben:x", "$2", "hello"))
            .await
            .is_ok()
    );
    assert_eq!(words(&next(&mut deliveries).await), "You said: hello");
    assert_eq!(rig.texts("ben/agent").await, ["hello", "You said: hello"]);
    assert!(rig.hub.unlink("matrix", "@ben:x").await.expect("done"));
    assert_eq!(
        rig.hub
            .receive(text("matrix", "@ben:x", "$3", "still here?"))
            .await,
        Err(HubError::Stranger)
    );
    assert!(matches!(
        rig.hub.receive(text("sip", "nobody", "1", "hi")).await,
        Err(HubError::Stranger)
    ));
}

#[tokio::test]
async fn a_guest_leaves_a_message_and_failures_are_said_in_words() {
    let rig = Rig::new().await;
    let (mut telegram, _one) = rig.channel("telegram", 0).await;
    let (mut sip, _two) = rig.channel("sip", 0).await;
    rig.hub
        .receive(text("sip", "gus", "1", "call me"))
        .await
        .expect("taken");
    let to_owner = next(&mut telegram).await;
    assert_eq!(
        words(&to_owner),
        "gus wrote by a text message from their phone: call me"
    );
    assert_eq!(words(&next(&mut sip).await), wording::PASSED_ON);
    assert_eq!(rig.texts("anna/messages").await, [words(&to_owner)]);
    assert!(lock(&rig.echo.asked).is_empty(), "no agent was asked");
    rig.hub
        .receive(text("sip", "ben", "2", "fail"))
        .await
        .expect("taken");
    assert!(words(&next(&mut sip).await).starts_with("Sorry, the answer broke off"));
    let long = "x".repeat(9_000);
    rig.hub
        .receive(text("sip", "ben", "3", &long))
        .await
        .expect("taken");
    assert!(words(&next(&mut sip).await).contains("8000"));
    let many = futures_util::future::join_all((0..60).map(|n| {
        rig.hub
            .receive(text("sip", "ben", &format!("many-{n}"), "hi"))
    }));
    let refused = many
        .await
        .into_iter()
        .filter(|one| matches!(one, Err(HubError::TooMuch(_))))
        .count();
    assert!(refused >= 38, "{refused} of 60 were refused");
}

#[tokio::test]
async fn a_voice_note_is_heard_kept_and_answered_by_both() {
    let rig = Rig::new().await;
    let (mut deliveries, _arrive) = rig.channel("telegram", 0).await;
    let note = Inbound {
        body: Body::Voice {
            bytes: b"OggSwhat time is it".to_vec(),
            mime: "../evil".to_owned(),
        },
        ..text("telegram", "1", "9", "")
    };
    rig.hub.receive(note).await.expect("taken");
    let (written, spoken) = (next(&mut deliveries).await, next(&mut deliveries).await);
    assert_eq!(words(&written), "You said: what time is it");
    let OutBody::Voice {
        ogg_opus, words, ..
    } = &spoken.body
    else {
        panic!("a voice answer: {spoken:?}");
    };
    assert_eq!(
        (&ogg_opus[..], words.as_str()),
        (&b"OggSYou said: what time is it."[..], "")
    );
    let shown = rig
        .hub
        .history("anna", "", None, 10)
        .await
        .expect("a history");
    assert_eq!(shown[0].text, "what time is it");
    for one in &shown {
        let name = one.voice.as_ref().expect("a sound");
        assert!(
            rig.scratch.path().join("voice").join(name).exists(),
            "{name}"
        );
    }
}
