//! Calls with a scripted agent gateway that asks its model through the proxy, as OpenClaw does.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::time::timeout;

use super::run::run_name;
use super::*;
use crate::gateways::fake::{FakeGateway, FakeStep};
use crate::gateways::{Message, Secret};
use crate::proxy::shell_tests::{KEY, Script, World, words};
use crate::turn::ReplyId;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Manner {
    /// It asks its model through the proxy and writes down what it gets.
    Proper,
    /// It takes the message and is not heard of again.
    Silent,
    Down,
    /// It takes no notice of the first message, or of the first two.
    Ignoring(usize),
    /// It asks some other model.
    Elsewhere,
}

pub(super) struct Claw {
    manner: Manner,
    base: String,
    client: reqwest::Client,
    history: Arc<Mutex<Vec<(String, String)>>>,
    pub(super) sent: AtomicUsize,
    /// One permit per finished run.
    over: Arc<tokio::sync::Semaphore>,
}

impl Link for Claw {
    fn send<'a>(
        &'a self,
        session_key: &'a str,
        message: &'a str,
        run: &'a str,
    ) -> BoxFuture<'a, Result<mpsc::Receiver<RunEvent>, LinkError>> {
        assert_eq!((session_key, run.len(), &run[14..15]), (KEY, 36, "4"));
        let number = self.sent.fetch_add(1, SeqCst);
        if self.manner == Manner::Down {
            return async { Err(LinkError::Late) }.boxed();
        }
        let (events, receiver) = mpsc::channel(8);
        let (manner, base, client) = (self.manner, self.base.clone(), self.client.clone());
        let (history, over, message) =
            (self.history.clone(), self.over.clone(), message.to_owned());
        tokio::spawn(async move {
            let _ = events.send(RunEvent::Started).await;
            if matches!(manner, Manner::Ignoring(most) if number < most) {
                let _ = events.send(RunEvent::Ignored).await;
                return;
            }
            history
                .lock()
                .expect("no panic")
                .push(("user".into(), message));
            match manner {
                Manner::Silent => std::future::pending().await,
                Manner::Elsewhere => {
                    let _ = events.send(RunEvent::Text("From afar.".into())).await;
                }
                Manner::Proper | Manner::Ignoring(_) | Manner::Down => {
                    let dialogue = history.lock().expect("no panic").clone();
                    let dialogue: Vec<_> = dialogue
                        .iter()
                        .map(|(r, t)| (r.as_str(), t.as_str()))
                        .collect();
                    let body = crate::proxy::request::tests::body(KEY, &dialogue);
                    let asked = client.post(format!("{base}/v1/chat/completions"));
                    let answer = asked
                        .bearer_auth("ours")
                        .body(body)
                        .send()
                        .await
                        .expect("an answer");
                    let text = words(&answer.bytes().await.expect("all of it"));
                    history
                        .lock()
                        .expect("no panic")
                        .push(("assistant".into(), text));
                }
            }
            let _ = events.send(RunEvent::Done).await;
            over.add_permits(1);
        });
        async { Ok(receiver) }.boxed()
    }
}

pub(super) struct Desk {
    pub(super) world: World,
    pub(super) claw: Arc<Claw>,
    pub(super) gateway: ThroughProxy,
}

impl Desk {
    pub(super) async fn new(manner: Manner) -> Desk {
        let world = World::familiar().await;
        let claw = Arc::new(Claw {
            manner,
            base: world.base.clone(),
            client: world.client.clone(),
            history: Arc::new(Mutex::new(world.dialogue.clone())),
            sent: AtomicUsize::new(0),
            over: Arc::new(tokio::sync::Semaphore::new(0)),
        });
        let plain = FakeGateway::new([vec![FakeStep::Send(GatewayEvent::Text("Plain.".into()))]]);
        let gateway = ThroughProxy::new(
            world.proxy.clone(),
            claw.clone(),
            Arc::new(plain),
            Arc::new(|session: &str| format!("agent:main:voice:{session}")),
            "",
            [7; 32],
        );
        Desk {
            world,
            claw,
            gateway,
        }
    }

    fn ask(
        &self,
        session: &str,
        words: &str,
        speculative: bool,
    ) -> (AskHandle, mpsc::Receiver<GatewayEvent>) {
        let (sender, receiver) = mpsc::channel(64);
        let request = question(session, words, speculative);
        (self.gateway.ask(request, sender), receiver)
    }

    /// What the gateway is to be told, once it is known.
    async fn missed(&self) -> Missed {
        let missed = async {
            loop {
                let of = |session: &mut Session| session.missed.clone();
                if let Some(missed) = self.gateway.inner.session(KEY, of) {
                    return missed;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, missed).await.expect("it missed nothing")
    }

    pub(super) async fn over(&self) {
        self.claw.over.acquire().await.expect("open").forget();
    }

    fn last(&self) -> (String, String) {
        let history = self.claw.history.lock().expect("no panic");
        history.last().expect("something").clone()
    }
}

pub(super) fn question(session: &str, words: &str, speculative: bool) -> AskRequest {
    AskRequest {
        reply: ReplyId(1),
        session: session.to_owned(),
        system: String::new(),
        messages: vec![Message {
            role: Role::User,
            text: words.to_owned(),
        }],
        speculative,
        tools: Vec::new(),
        rounds: Vec::new(),
    }
}

async fn told(events: &mut mpsc::Receiver<GatewayEvent>) -> String {
    let mut all = String::new();
    loop {
        match events.recv().await.expect("a last event") {
            GatewayEvent::Text(text) => all.push_str(&text),
            GatewayEvent::Done { .. } => return all,
            GatewayEvent::Progress(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_guess_reaches_the_gateway_when_the_turn_is_over() {
    let desk = Desk::new(Manner::Proper).await;
    assert!(desk.gateway.only_answers());
    desk.world.script(Script::words(&["It", " is", " ten."]));
    let (handle, mut events) = desk.ask("anna", "What time is it?", true);
    assert_eq!(told(&mut events).await, "It is ten.");
    assert_eq!(desk.claw.sent.load(SeqCst), 0);
    handle.commit();
    handle.heard("It is", false);
    handle.heard("It is ten.", true);
    desk.over().await;
    assert_eq!(desk.last(), ("assistant".into(), "It is ten.".into()));
    let counts = desk.world.proxy.counts();
    assert_eq!(counts.exact + counts.passing, 1);
}

#[tokio::test]
async fn a_wrong_guess_never_reaches_it() {
    let desk = Desk::new(Manner::Proper).await;
    desk.world.script(Script {
        held_from: 2,
        ..Script::words(&["It", " is"])
    });
    let (handle, mut events) = desk.ask("anna", "What time", true);
    assert_eq!(events.recv().await, Some(GatewayEvent::Text("It".into())));
    drop(handle);
    desk.world.closed(2).await;
    assert_eq!(desk.claw.sent.load(SeqCst), 0);
    assert_eq!(desk.last(), ("assistant".into(), "Hello.".into()));
}

#[tokio::test]
async fn what_was_interrupted_is_written_down_as_it_was_heard() {
    for is_guess in [true, false] {
        let desk = Desk::new(Manner::Proper).await;
        desk.world.script(Script {
            held_from: 4,
            ..Script::words(&["It", " is", " ten", " now."])
        });
        let (handle, mut events) = desk.ask("anna", "What time is it?", is_guess);
        assert!(matches!(events.recv().await, Some(GatewayEvent::Text(_))));
        if is_guess {
            handle.commit();
        }
        handle.heard("It", true);
        drop(handle);
        desk.over().await;
        assert_eq!(desk.last(), ("assistant".into(), "It".into()));
        desk.world.closed(2).await;
    }
}

#[tokio::test]
async fn what_the_gateway_missed_it_is_told_with_the_next_message() {
    let desk = Desk::new(Manner::Down).await;
    desk.world.script(Script::words(&["It is ten."]));
    let (handle, mut events) = desk.ask("anna", "What time is it?", true);
    handle.commit();
    assert_eq!(told(&mut events).await, "It is ten.");
    handle.heard("It is ten.", true);
    drop(events);
    let missed = desk.missed().await;
    let is_told = |session: &mut Session| session.sent_at.is_some();
    assert!(
        !desk.gateway.inner.session(KEY, is_told),
        "nor how it is heard"
    );
    let wanted = message("", "And the date?", Some(&missed));
    assert_eq!(
        wanted,
        "(Before this, while you could not be reached, the caller said: \"What time is it?\" and heard: \"It is ten.\".) And the date?"
    );
    let (_handle, _events) = desk.ask("anna", "And the date?", true);
    desk.world.until_asked(3).await;
    let asked = String::from_utf8(desk.world.seen_body(2)).expect("text");
    assert!(asked.contains("could not be reached"), "{asked}");
}

#[tokio::test]
async fn a_message_that_was_ignored_is_sent_once_more() {
    let desk = Desk::new(Manner::Ignoring(1)).await;
    desk.world.script(Script::words(&["It is ten."]));
    let (handle, mut events) = desk.ask("anna", "What time is it?", true);
    handle.commit();
    assert_eq!(told(&mut events).await, "It is ten.");
    handle.heard("It is ten.", true);
    desk.over().await;
    assert_eq!(desk.last(), ("assistant".into(), "It is ten.".into()));
    assert_eq!(desk.claw.sent.load(SeqCst), 2);
}

#[tokio::test]
async fn one_that_ignores_everything_is_told_what_it_missed() {
    let desk = Desk::new(Manner::Ignoring(3)).await;
    desk.world.script(Script::words(&["It is ten."]));
    let (handle, mut events) = desk.ask("anna", "What time is it?", true);
    handle.commit();
    // What was foretold is better than nothing.
    assert_eq!(told(&mut events).await, "It is ten.");
    handle.heard("It is ten.", true);
    drop(events);
    let missed = desk.missed().await;
    assert_eq!(missed.heard, "It is ten.");
    assert_eq!(desk.claw.sent.load(SeqCst), 3);
}

#[tokio::test]
async fn a_gateway_with_another_model_is_heard_as_well() {
    let desk = Desk::new(Manner::Elsewhere).await;
    // The last request has no answer that anybody here knows, so the next one cannot be foretold.
    let body = crate::proxy::request::tests::body(KEY, &[("user", "From a text channel.")]);
    let asked = desk
        .world
        .client
        .post(format!("{}/v1/chat/completions", desk.world.base));
    asked
        .bearer_auth("ours")
        .body(body)
        .send()
        .await
        .expect("an answer");
    let (handle, mut events) = desk.ask("anna", "Hello?", false);
    assert_eq!(told(&mut events).await, "From afar.");
    handle.heard("From afar.", true);
}

#[tokio::test]
async fn what_the_proxy_has_not_seen_is_asked_without_it() {
    let desk = Desk::new(Manner::Silent).await;
    let other = ThroughProxy::new(
        crate::proxy::Proxy::new(crate::proxy::ProxyConfig {
            url: "http://127.0.0.1:1".into(),
            api_key: None,
            token: Secret::new("t"),
            body_bytes_max: 1,
            requests_max: 1,
        })
        .expect("a config"),
        desk.claw.clone(),
        desk.gateway.inner.plain.clone(),
        desk.gateway.inner.key_of.clone(),
        "",
        [7; 32],
    );
    assert!(!other.is_in_force("anna"));
    let (sender, mut events) = mpsc::channel(8);
    let request = AskRequest {
        reply: ReplyId(1),
        session: "anna".into(),
        system: String::new(),
        messages: Vec::new(),
        speculative: false,
        tools: Vec::new(),
        rounds: Vec::new(),
    };
    let _handle = other.ask(request, sender);
    assert_eq!(
        events.recv().await,
        Some(GatewayEvent::Text("Plain.".into()))
    );
}

#[test]
fn a_message_says_what_was_missed_and_how_it_is_heard() {
    let missed = Missed {
        words: "Hi".into(),
        heard: String::new(),
    };
    for (note, missed, wanted) in [
        ("", None, "Go on."),
        ("(By phone.)", None, "(By phone.)\nGo on."),
        (
            "",
            Some(&missed),
            "(Before this, while you could not be reached, the caller said: \"Hi\" and heard: nothing.) Go on.",
        ),
    ] {
        assert_eq!(message(note, "Go on.", missed), wanted);
    }
    assert_eq!(shortened("a\n\"b"), "ab");
    assert_eq!(run_name([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
}
