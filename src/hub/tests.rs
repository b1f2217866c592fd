//! The hub with a database, an office of approvals and a desk of their own; a channel and an agent that are fakes.

mod besides;
mod fakes;
mod places;
mod unkept;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use agent_bridge::approvals::{ApprovalId, ApprovalKind, ApprovalRequest, Decision};
use agent_bridge::channels::{
    Arrival, Body, DeliveryError, NotKept, OutBody, Outbound, Withdrawal,
};
use agent_bridge::gateways::fake::FakeGateway;
use agent_bridge::gateways::{
    AskHandle, AskRequest, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo, ToolCall,
};
use agent_bridge::levels::Level;

pub(super) use fakes::Echo;
use fakes::{FakeChannel, FakeSounds};

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

struct Rig {
    hub: Hub,
    echo: Arc<Echo>,
    approvals: Approvals,
    recorder: Recorder,
    desk: Desk,
    orders: mpsc::Receiver<Command>,
    sounds: Arc<FakeSounds>,
    scratch: Scratch,
}

/// How a rig differs from the usual one.
struct Plan {
    house: &'static str,
    keeps_words: bool,
    /// The conversation that owners share.
    session: Option<&'static str>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            house: HOUSE,
            keeps_words: true,
            session: None,
        }
    }
}

const HOUSE: &str = "[[users]]\nname = 'anna'\nlevel = 'owner'\nidentities = ['telegram:1']\n[[users]]\nname = 'ben'\nlevel = 'family'\n[[users]]\nname = 'gus'\nlevel = 'guest'\n[callbacks]\nowner = 'anna'";

impl Rig {
    /// Somebody's program has something for Ben, who is an account of this name.
    async fn news_for_ben(&mut self, means: Means, say: &'static str) {
        let desk = self.desk.clone();
        let asked =
            tokio::spawn(async move { desk.request(NewRequest::new(means, "ben", say)).await });
        let Command::Order(order) = next(&mut self.orders).await else {
            panic!("an order")
        };
        let Order::Resolve { reply, .. } = *order else {
            panic!("whom?")
        };
        let _ = reply.send(Ok(Resolved {
            to: Recipient::User("ben".to_owned()),
            user: "ben".to_owned(),
        }));
        asked.await.expect("no panic").expect("taken");
    }

    async fn new() -> Rig {
        Rig::planned(Plan::default()).await
    }

    async fn planned(plan: Plan) -> Rig {
        Rig::at(Scratch::new("hub"), plan)
    }

    /// On what an earlier run has left there.
    fn at(scratch: Scratch, plan: Plan) -> Rig {
        let Plan {
            house,
            keeps_words,
            session,
        } = plan;
        let store = Store::open(&scratch.path().join("a.db")).expect("a store");
        let saved = load(&store).expect("a store");
        let (recorder, _) = Recorder::start(store, keeps_words).expect("a thread");
        let (config, _) = Config::parse(house, &[]).expect("a config");
        let accounts = ["anna", "ben", "gus"].map(str::to_owned).to_vec();
        let echo = Echo::new();
        let plan = OfficePlan {
            ruling: Ruling::of(&config, &accounts),
            pins: HashMap::new(),
            wrong_pins: HashMap::new(),
            is_frozen: false,
            earlier: Vec::new(),
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
            session: session.map(str::to_owned),
        };
        let sounds = Arc::new(FakeSounds::default());
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
            sounds: sounds.clone(),
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
            sounds,
            scratch,
        }
    }

    /// A fake network with what it delivers, and a way in.
    async fn channel(
        &self,
        name: &'static str,
        failures: u32,
    ) -> (mpsc::Receiver<Outbound>, mpsc::Sender<Arrival>) {
        let attached = self.network(name, failures, 0).await;
        (attached.delivered, attached.arrive)
    }

    /// The same with what it withdraws; `sound_failures`: deliveries of sounds that fail at first.
    async fn network(&self, name: &'static str, failures: u32, sound_failures: u32) -> Network {
        let (delivered, deliveries) = mpsc::channel(32);
        let (withdrawn, withdrawals) = mpsc::channel(32);
        let (arrive, arrivals) = mpsc::channel(8);
        self.hub.attach(Arc::new(FakeChannel {
            name,
            delivered,
            arrivals: Mutex::new(Some(arrivals)),
            failures: AtomicU32::new(failures),
            sound_failures: AtomicU32::new(sound_failures),
            withdrawn,
        }));
        // What is asked now is answered behind that.
        let _ = self.hub.history("anna", "", None, 1).await;
        Network {
            delivered: deliveries,
            withdrawn: withdrawals,
            arrive,
        }
    }

    /// Whether the folder of sounds has any.
    fn has_sounds(&self) -> bool {
        let folder = std::fs::read_dir(self.scratch.path().join("voice"));
        folder.is_ok_and(|mut files| files.next().is_some())
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

/// The other ends of a fake network.
struct Network {
    delivered: mpsc::Receiver<Outbound>,
    withdrawn: mpsc::Receiver<Withdrawal>,
    arrive: mpsc::Sender<Arrival>,
}

pub(super) fn note(channel: &'static str, from: &str, id: &str, words: &str) -> Inbound {
    Inbound {
        body: Body::Voice {
            bytes: format!("OggS{words}").into_bytes(),
            mime: "../evil".to_owned(),
        },
        ..text(channel, from, id, "")
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

/// One of our own tools that asks.
fn deploying() -> ApprovalRequest {
    ApprovalRequest {
        id: ApprovalId("x:1".to_owned()),
        kind: ApprovalKind::Tool,
        session: "anna/agent".to_owned(),
        what: "deploy".to_owned(),
        place: String::new(),
        expires_in: Duration::from_secs(60),
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
        ("@ben:x", wording::linked("ben").as_str())
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
    // The sound does not get through at once.
    let Network {
        delivered: mut deliveries,
        arrive: _arrive,
        ..
    } = rig.network("telegram", 0, 1).await;
    let note = note("telegram", "1", "9", "what time is it");
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
    assert!(spoken.is_repeat);
    assert_eq!(rig.sounds.said.load(Ordering::Relaxed), 1, "spoken once");
    assert_eq!(*lock(&rig.sounds.agents), ["agent", "agent"]);
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
