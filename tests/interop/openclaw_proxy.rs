//! The real OpenClaw with its model behind our proxy: foretelling, wrong guesses, interruptions, tools. One gateway
//! serves all of it, since it takes half a minute to start. Without OpenClaw it is skipped, and says so.

#[path = "openclaw_proxy/claw.rs"]
mod claw;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agent_bridge::gateways::fake::FakeGateway;
use agent_bridge::gateways::through_proxy::ThroughProxy;
use agent_bridge::gateways::{AskHandle, AskRequest, Gateway, GatewayEvent, Message, Role};
use agent_bridge::openclaw::RunEvent;
use agent_bridge::phone_text::Tidy;
use agent_bridge::turn::ReplyId;
use claw::{Claw, Model};
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

struct Phone {
    claw: Claw,
    model: Arc<Model>,
    gateway: ThroughProxy,
}

impl Phone {
    fn ask(
        &self,
        user: &str,
        words: &str,
        speculative: bool,
    ) -> (AskHandle, mpsc::Receiver<GatewayEvent>) {
        let (sender, receiver) = mpsc::channel(256);
        let request = AskRequest {
            reply: ReplyId(1),
            session: user.to_owned(),
            system: String::new(),
            messages: vec![Message {
                role: Role::User,
                text: words.to_owned(),
            }],
            speculative,
            tools: Vec::new(),
            rounds: Vec::new(),
        };
        (self.gateway.ask(request, sender), receiver)
    }

    /// A whole turn, heard to its end. The answer.
    async fn turn(&self, user: &str, words: &str, is_guess: bool) -> String {
        let (handle, mut events) = self.ask(user, words, is_guess);
        let mut answer = String::new();
        if is_guess && self.is_familiar(user).await {
            answer = whole(&mut events).await;
        }
        handle.commit();
        if answer.is_empty() {
            answer = whole(&mut events).await;
        }
        handle.heard(&as_spoken(&answer), true);
        self.settled(user, words, &answer).await;
        answer
    }

    /// The session has had a turn, so that a guess is told before its commit.
    async fn is_familiar(&self, user: &str) -> bool {
        !self.claw.history(&key(user)).await.is_empty()
    }

    /// Waits until OpenClaw has written down this answer to these words.
    async fn settled(&self, user: &str, words: &str, answer: &str) {
        let wanted = [("user", words), ("assistant", answer.trim())];
        let written = async {
            loop {
                let history = self.claw.history(&key(user)).await;
                let last: Vec<_> = history.iter().rev().take(2).rev().collect();
                let is_so = last.len() == 2
                    && last
                        .iter()
                        .zip(wanted)
                        .all(|(row, (role, text))| row.0 == role && row.1.trim() == text);
                if is_so {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if timeout(PATIENCE, written).await.is_err() {
            panic!(
                "{:?} ends otherwise than {wanted:?}",
                self.claw.history(&key(user)).await
            );
        }
    }
}

/// What a call says it has played: without what nobody can say.
fn as_spoken(text: &str) -> String {
    let mut tidy = Tidy::default();
    tidy.push(text) + &tidy.finish()
}

fn key(user: &str) -> String {
    format!("agent:main:voice:{user}")
}

async fn whole(events: &mut mpsc::Receiver<GatewayEvent>) -> String {
    let mut all = String::new();
    loop {
        let event = timeout(PATIENCE, events.recv()).await;
        match event.expect("an answer in time").expect("a last event") {
            GatewayEvent::Text(text) => all.push_str(&text),
            GatewayEvent::Done { .. } => return all,
            GatewayEvent::Progress(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn openclaw_asks_its_model_through_the_proxy() {
    let (model, provider) = claw::model().await;
    let (proxy, address) = claw::proxy(provider).await;
    let test = "openclaw_asks_its_model_through_the_proxy";
    let Some(claw) = Claw::start(test, address).await else {
        return;
    };
    let client = claw.client();
    client.ready(PATIENCE).await.expect("a link");
    let gateway = ThroughProxy::new(
        proxy.clone(),
        Arc::new(client.clone()),
        Arc::new(FakeGateway::new([])),
        Arc::new(key),
        "",
        [7; 32],
    );
    assert!(
        !gateway.is_in_force("anna"),
        "nothing has come to the proxy yet"
    );

    // Keeping it warm costs the model nothing, and shows that it asks here.
    let mut run = client
        .send(&key("warmup"), ".", "7d1e8f0a-0000-4000-8000-000000000001")
        .await
        .expect("sent");
    while let Some(event) = timeout(PATIENCE, run.recv()).await.expect("in time") {
        if let RunEvent::Done = event {
            break;
        }
    }
    assert_eq!(model.asked(), 0);
    assert!(gateway.is_in_force("anna"));
    let phone = Phone {
        claw,
        model,
        gateway,
    };

    // The first turn of a session, then ten more that are foretold, with all that JSON escapes.
    for n in 0..11 {
        let answer = format!("Answer {n} to \"Grüße\" \\ is </b> 👋 here.");
        phone.model.say(&format!("question {n}"), &answer);
        let words = format!("This is question {n}: \"Grüße\" / \\ 100 %?");
        assert_eq!(phone.turn("anna", &words, true).await, answer);
    }
    let counts = proxy.counts();
    println!("eleven turns: {counts:?}");
    assert_eq!(
        (counts.exact + counts.passing, counts.missed),
        (11, 0),
        "{counts:?}"
    );
    assert_eq!(phone.model.asked(), 11, "the model was asked once for each");

    // A wrong guess leaves nothing at all.
    phone.model.tokens_per_s.store(20, Ordering::Relaxed);
    phone.model.say(
        "What about",
        "It goes on and on and on and on and on and on and on.",
    );
    let before = phone.claw.history(&key("anna")).await;
    let (handle, mut events) = phone.ask("anna", "What about", true);
    assert!(matches!(
        timeout(PATIENCE, events.recv()).await,
        Ok(Some(GatewayEvent::Text(_)))
    ));
    let cancelled = phone.model.cancelled.load(Ordering::SeqCst);
    drop(handle);
    let is_closed = async {
        while phone.model.cancelled.load(Ordering::SeqCst) == cancelled {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let closed = timeout(PATIENCE, is_closed).await;
    closed.expect("a wrong guess is closed at the model");
    assert_eq!(phone.claw.history(&key("anna")).await, before);
    assert_eq!(proxy.counts().requests, counts.requests);

    // An interruption: the transcript and the model's next request hold what was heard, word for word.
    for heard in ["It goes on and", "It", ""] {
        let (handle, mut events) = phone.ask("anna", "What about tea?", true);
        let mut text = String::new();
        while !text.starts_with("It goes on and on") {
            match timeout(PATIENCE, events.recv())
                .await
                .expect("in time")
                .expect("more")
            {
                GatewayEvent::Text(more) => text.push_str(&more),
                other => panic!("{other:?}"),
            }
        }
        handle.commit();
        handle.heard(heard, true);
        drop(handle);
        let kept = if heard.is_empty() { "…" } else { heard };
        phone.settled("anna", "What about tea?", kept).await;
        phone.model.say("And now?", "Now.");
        assert_eq!(phone.turn("anna", "And now?", true).await, "Now.");
        let body = phone.model.last_body("And now?");
        let messages = body["messages"].as_array().expect("messages");
        let held = messages
            .iter()
            .rev()
            .find(|m| m["role"] == "assistant")
            .expect("one");
        assert_eq!(held["content"], kept);
    }
    let counts = proxy.counts();
    println!("with interruptions: {counts:?}");
    assert_eq!((counts.missed, counts.spoken), (0, 0), "{counts:?}");

    // A tool waits for the commit.
    phone.model.tokens_per_s.store(1_000, Ordering::Relaxed);
    let file = phone.claw.workspace().join("note.txt");
    let call = format!(
        "One moment. !write {}",
        serde_json::json!({ "path": file, "content": "tea" })
    );
    phone.model.say("Write it down", &call);
    phone.model.say("tool result", "It is written down.");
    let requests = proxy.counts().requests;
    let (handle, mut events) = phone.ask("anna", "Write it down.", true);
    loop {
        match timeout(PATIENCE, events.recv())
            .await
            .expect("in time")
            .expect("more")
        {
            GatewayEvent::Progress(agent_bridge::gateways::Progress::Tool { name }) => {
                assert_eq!(name, "write");
                break;
            }
            GatewayEvent::Text(_) => {}
            other => panic!("{other:?}"),
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!file.exists(), "no tool runs on a guess");
    assert_eq!(proxy.counts().requests, requests);
    handle.commit();
    let rest = whole(&mut events).await;
    assert_eq!(rest.trim(), "It is written down.");
    assert_eq!(std::fs::read_to_string(&file).expect("written"), "tea");
    handle.heard("One moment. It is written down.", true);
    drop(events);

    // Who does not call is served as well.
    phone.model.say("By text", "Read you.");
    let mut run = client
        .send(
            "agent:main:main",
            "By text.",
            "7d1e8f0a-0000-4000-8000-000000000002",
        )
        .await
        .expect("sent");
    let mut text = String::new();
    while let Some(event) = timeout(PATIENCE, run.recv()).await.expect("in time") {
        match event {
            RunEvent::Text(more) => text.push_str(&more),
            RunEvent::Done => break,
            _ => {}
        }
    }
    assert_eq!(text, "Read you.");
    println!("at the end: {:?}", proxy.counts());
}
