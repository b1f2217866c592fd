//! Tests of the gateway against a scripted one on loopback: real WebSocket, real frames, a script of what happens.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::words::PHONE_NOTE;
use super::*;
use crate::conversation::{Message, Role};
use crate::gateways::{Progress, Secret, Wait};
use crate::openclaw::KeyFile;
use crate::turn::ReplyId;

#[path = "handing_tests.rs"]
mod handing;

const KEY: &str = "agent:main:voice:phone1";

/// The other side of one connection.
struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    async fn send(&mut self, frame: Value) {
        self.0
            .send(Frame::text(frame.to_string()))
            .await
            .expect("the client listens");
    }

    /// The next request, whatever it is.
    async fn any(&mut self) -> Value {
        loop {
            match self
                .0
                .next()
                .await
                .expect("the client is there")
                .expect("a frame")
            {
                Frame::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Frame::Ping(_) | Frame::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next request of this method; lists of approvals and warming up are answered on the way.
    async fn request(&mut self, method: &str) -> Value {
        loop {
            let request = self.any().await;
            if request["method"] == method {
                return request;
            }
            assert!(
                request["method"]
                    .as_str()
                    .is_some_and(|name| name.ends_with("approval.list")),
                "{request}"
            );
            self.answer(&request, json!([])).await;
        }
    }

    async fn answer(&mut self, request: &Value, payload: Value) {
        self.send(json!({"type": "res", "id": request["id"], "ok": true, "payload": payload}))
            .await;
    }

    async fn event(&mut self, event: &str, payload: Value) {
        self.send(json!({"type": "event", "event": event, "payload": payload}))
            .await;
    }

    /// A message is taken; its run and its text.
    async fn taken(&mut self) -> (String, String) {
        let request = self.request("chat.send").await;
        let run = request["params"]["idempotencyKey"]
            .as_str()
            .expect("a name")
            .to_owned();
        let text = request["params"]["message"]
            .as_str()
            .expect("a text")
            .to_owned();
        assert_eq!(request["params"]["sessionKey"], KEY);
        self.answer(&request, json!({"runId": run, "status": "started"}))
            .await;
        (run, text)
    }

    async fn chat(&mut self, run: &str, state: &str, text: &str) {
        let message = json!({"content": [{"type": "text", "text": text}]});
        self.event(
            "chat",
            json!({"runId": run, "sessionKey": KEY, "state": state, "message": message}),
        )
        .await;
    }
}

struct Scripted {
    listener: TcpListener,
    gateway: OpenClaw,
    folder: PathBuf,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn scripted(config: OpenClawConfig) -> Scripted {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("offhook-claw-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let client = ClientConfig {
        url: format!("ws://{}", listener.local_addr().expect("a bound port")),
        token: Some(Secret::new("secret")),
        name: "Offhook".to_owned(),
        key_file: KeyFile::open_or_create(&folder.join("device.json"), [4; 32]).expect("a new key"),
        seed: [1; 32],
    };
    let gateway = OpenClaw::new(client, config, [2; 32]).expect("a good address");
    Scripted {
        listener,
        gateway,
        folder,
    }
}

impl Scripted {
    /// The next connection, challenged; its `connect` request.
    async fn connected(&self) -> (Peer, Value) {
        let (socket, _) = self.listener.accept().await.expect("a connection");
        let mut peer = Peer(
            tokio_tungstenite::accept_async(socket)
                .await
                .expect("a handshake"),
        );
        peer.event("connect.challenge", json!({"nonce": "n", "ts": 1}))
            .await;
        let connect = peer.request("connect").await;
        (peer, connect)
    }

    async fn greeted(&self) -> Peer {
        let (mut peer, connect) = self.connected().await;
        let hello = json!({
            "server": {"version": "2026.9.6", "bootId": "b"},
            "auth": {"scopes": ["operator.read", "operator.write", "operator.approvals"]},
        });
        peer.answer(&connect, hello).await;
        peer
    }

    fn ask(&self, lines: &[&str]) -> (AskHandle, mpsc::Receiver<GatewayEvent>) {
        self.ask_as(lines, false)
    }

    /// `lines` alternate between the caller and us; an empty one was not heard.
    fn ask_as(
        &self,
        lines: &[&str],
        speculative: bool,
    ) -> (AskHandle, mpsc::Receiver<GatewayEvent>) {
        let message = |(n, text): (usize, &&str)| Message {
            role: if n % 2 == 0 {
                Role::User
            } else {
                Role::Assistant
            },
            text: (*text).to_owned(),
        };
        let messages = lines
            .iter()
            .enumerate()
            .map(message)
            .filter(|message| !message.text.is_empty());
        let request = AskRequest {
            reply: ReplyId(1),
            session: "phone1/agent".to_owned(),
            system: String::new(),
            messages: messages.collect(),
            speculative,
            tools: Vec::new(),
            rounds: Vec::new(),
        };
        let (events, told) = mpsc::channel(16);
        (self.gateway.ask(request, events), told)
    }
}

async fn all(told: &mut mpsc::Receiver<GatewayEvent>) -> Vec<GatewayEvent> {
    let mut events = Vec::new();
    while let Some(event) = told.recv().await {
        if event != GatewayEvent::Progress(Progress::Waiting) {
            events.push(event);
        }
    }
    events
}

fn text(text: &str) -> GatewayEvent {
    GatewayEvent::Text(text.to_owned())
}

const DONE: GatewayEvent = GatewayEvent::Done { usage: None };

#[tokio::test]
async fn a_turn_streams_and_the_next_one_knows_what_was_heard() {
    let scripted = scripted(OpenClawConfig::default()).await;
    let (asked, mut told) = scripted.ask(&["What is for lunch?"]);
    let mut peer = scripted.greeted().await;
    let (run, message) = peer.taken().await;
    assert_eq!(message, format!("{PHONE_NOTE}\nWhat is for lunch?"));
    assert_eq!((run.len(), run.as_bytes()[14]), (36, b'4'));
    peer.chat(&run, "delta", "{\"voice\":\"alloy\"}\nThere is")
        .await;
    let tool = json!({"runId": run, "stream": "tool", "data": {"phase": "start", "name": "web_search", "toolCallId": "c"}});
    peer.event("agent", tool).await;
    peer.chat(
        &run,
        "final",
        "{\"voice\":\"alloy\"}\nThere is soup. And bread.",
    )
    .await;
    let tool = GatewayEvent::Progress(Progress::tool("web_search"));
    assert_eq!(
        all(&mut told).await,
        [text("There is"), tool, text(" soup. And bread."), DONE]
    );
    drop(asked);
    // Cut short by the caller, after the reply was whole.
    let (asked, mut told) = scripted.ask(&["What is for lunch?", "There is soup.", "Which soup?"]);
    let (run, message) = peer.taken().await;
    assert_eq!(
        message,
        "(You were interrupted; the caller heard: \"There is soup.\")\nWhich soup?"
    );
    peer.chat(&run, "delta", "Tomato").await;
    assert_eq!(
        told.recv().await,
        Some(GatewayEvent::Progress(Progress::Waiting))
    );
    assert_eq!(told.recv().await, Some(text("Tomato")));
    // Called off: aborted there, and the next message says what was heard of it.
    drop(asked);
    let abort = peer.request("chat.abort").await;
    assert_eq!(abort["params"], json!({"sessionKey": KEY, "runId": run}));
    let (_asked, _told) = scripted.ask(&["Which soup?", "Tomato", "No, thanks."]);
    let (_, message) = peer.taken().await;
    assert_eq!(
        message,
        "(You were interrupted; the caller heard: \"Tomato\")\nNo, thanks."
    );
}

/// What the gateway has not taken it has not read: neither that this is a call nor what was heard of the last reply.
#[tokio::test]
async fn notes_of_a_message_that_was_not_taken_are_still_owed() {
    let scripted = scripted(OpenClawConfig::default()).await;
    let (_asked, mut told) = scripted.ask(&["Hello"]);
    let mut peer = scripted.greeted().await;
    let refuse = async |peer: &mut Peer, told: &mut mpsc::Receiver<GatewayEvent>| {
        let request = peer.request("chat.send").await;
        let error = json!({"code": "UNAVAILABLE", "message": "not now"});
        peer.send(json!({"type": "res", "id": request["id"], "ok": false, "error": error}))
            .await;
        let events = all(told).await;
        assert!(
            matches!(events[..], [GatewayEvent::Failed(_)]),
            "{events:?}"
        );
        request["params"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let first = format!("{PHONE_NOTE}\nHello");
    assert_eq!(refuse(&mut peer, &mut told).await, first);
    let (asked, mut told) = scripted.ask(&["Hello"]);
    let (run, message) = peer.taken().await;
    assert_eq!(message, first);
    peer.chat(&run, "delta", "Good morning").await;
    while told.recv().await != Some(text("Good morning")) {}
    drop((asked, told));
    assert_eq!(peer.request("chat.abort").await["params"]["runId"], *run);
    let lines = ["Hello", "Good", "Stop."];
    let owed = "(You were interrupted; the caller heard: \"Good\")\nStop.";
    let (_asked, mut told) = scripted.ask(&lines);
    assert_eq!(refuse(&mut peer, &mut told).await, owed);
    let (_asked, _told) = scripted.ask(&lines);
    assert_eq!(peer.taken().await.1, owed);
}

#[tokio::test]
async fn an_ignored_message_is_sent_twice_more_and_no_more() {
    for is_heard in [true, false] {
        let scripted = scripted(OpenClawConfig::default()).await;
        let (_asked, mut told) = scripted.ask(&["Are you there?"]);
        let mut peer = scripted.greeted().await;
        let (first, message) = peer.taken().await;
        let nothing =
            |run: &str| json!({"runId": run, "sessionKey": KEY, "seq": 1, "state": "final"});
        peer.event("chat", nothing(&first)).await;
        let (second, again) = peer.taken().await;
        assert_eq!(message, again);
        assert_ne!(first, second);
        if is_heard {
            peer.chat(&second, "final", "Yes.").await;
            assert_eq!(all(&mut told).await, [text("Yes."), DONE]);
        } else {
            peer.event("chat", nothing(&second)).await;
            let (third, again) = peer.taken().await;
            assert_eq!(message, again);
            peer.event("chat", nothing(&third)).await;
            assert_eq!(
                all(&mut told).await,
                [GatewayEvent::Failed(GatewayError::Empty)]
            );
            let (_asked, _told) = scripted.ask(&["Are you there?"]);
            assert_eq!(peer.taken().await.1, message, "it is still the first one");
        }
    }
}

/// Seen with the real one: the session changes while the message waits for it.
#[tokio::test]
async fn a_message_that_came_while_its_session_changed_is_sent_once_more() {
    let scripted = scripted(OpenClawConfig::default()).await;
    let (_asked, mut told) = scripted.ask(&["Hello"]);
    let mut peer = scripted.greeted().await;
    let words = "session changed before chat.send; retry the request";
    let refuse = async |peer: &mut Peer| {
        let request = peer.request("chat.send").await;
        let error = json!({"code": "INVALID_REQUEST", "message": words});
        peer.send(json!({"type": "res", "id": request["id"], "ok": false, "error": error}))
            .await;
        request["params"].clone()
    };
    let first = refuse(&mut peer).await;
    let (run, message) = peer.taken().await;
    assert_eq!(first["idempotencyKey"], *run);
    assert_eq!(first["message"], message);
    peer.chat(&run, "final", "Good day.").await;
    assert_eq!(all(&mut told).await, [text("Good day."), DONE]);
    // A second refusal is the answer.
    let (_asked, mut told) = scripted.ask(&["Hello", "Good day.", "Well?"]);
    assert_eq!(refuse(&mut peer).await["message"], "Well?");
    refuse(&mut peer).await;
    let events = all(&mut told).await;
    assert!(
        matches!(
            events[..],
            [GatewayEvent::Failed(GatewayError::Link(
                LinkError::NotNow { .. }
            ))]
        ),
        "{events:?}"
    );
}

/// The caller's time to the first word goes on meanwhile, and its end is the end of the message.
#[tokio::test]
async fn the_pause_before_a_message_is_sent_again_is_part_of_the_wait() {
    let config = OpenClawConfig {
        first_token_timeout_ms: 600,
        ..OpenClawConfig::default()
    };
    let scripted = scripted(config).await;
    let (_asked, mut told) = scripted.ask(&["Hello"]);
    let mut peer = scripted.greeted().await;
    let first = peer.request("chat.send").await;
    let error = json!({"code": "UNAVAILABLE", "retryable": true, "retryAfterMs": 1_500});
    peer.send(json!({"type": "res", "id": first["id"], "ok": false, "error": error}))
        .await;
    let late = GatewayError::Timeout(Wait::FirstToken);
    assert_eq!(all(&mut told).await, [GatewayEvent::Failed(late)]);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let (_asked, _told) = scripted.ask(&["Hello again"]);
    let (run, _) = peer.taken().await;
    assert_ne!(first["params"]["idempotencyKey"], *run);
}

#[tokio::test]
async fn a_guess_is_not_sent_before_its_commit() {
    let scripted = scripted(OpenClawConfig::default()).await;
    assert!(!scripted.gateway.only_answers());
    let (asked, _told) = scripted.ask_as(&["Delete it"], true);
    drop(asked);
    let (asked, mut told) = scripted.ask_as(&["Keep it"], true);
    asked.commit();
    let mut peer = scripted.greeted().await;
    let (run, message) = peer.taken().await;
    assert!(message.ends_with("Keep it"), "{message}");
    peer.chat(&run, "final", "Kept.").await;
    assert_eq!(all(&mut told).await, [text("Kept."), DONE]);
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let scripted = scripted(OpenClawConfig::default()).await;
    let (_asked, mut told) = scripted.ask(&["Hello"]);
    let (mut peer, connect) = scripted.connected().await;
    let error = json!({"code": "INVALID_REQUEST", "details": {"code": "AUTH_TOKEN_MISMATCH"}});
    peer.send(json!({"type": "res", "id": connect["id"], "ok": false, "error": error}))
        .await;
    assert_eq!(
        all(&mut told).await,
        [GatewayEvent::Failed(GatewayError::Link(LinkError::Token))]
    );
    let error = scripted
        .gateway
        .check()
        .await
        .expect_err("the token is wrong");
    assert!(error.to_string().contains("gateway.auth.token"), "{error}");
    assert!(!error.is_passing());
    assert_eq!(scripted.gateway.standing(), Some(error.to_string()));
}

#[tokio::test]
async fn nobody_there_is_told_within_the_time_for_connecting() {
    let config = OpenClawConfig {
        connect_timeout_ms: 50,
        ..OpenClawConfig::default()
    };
    let mut scripted = scripted(config).await;
    // The port is free again, and nobody listens there.
    let other = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    drop(std::mem::replace(&mut scripted.listener, other));
    let (_asked, mut told) = scripted.ask(&["Hello"]);
    let events = all(&mut told).await;
    assert!(
        matches!(&events[..], [GatewayEvent::Failed(GatewayError::Link(error))] if !error.needs_owner()),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_link_that_breaks_in_mid_reply_is_resumed() {
    let scripted = scripted(OpenClawConfig::default()).await;
    let (_asked, mut told) = scripted.ask(&["Hello"]);
    let mut peer = scripted.greeted().await;
    let (run, _) = peer.taken().await;
    peer.chat(&run, "delta", "One").await;
    while told.recv().await != Some(text("One")) {}
    drop(peer);
    let mut peer = scripted.greeted().await;
    let again = peer.request("chat.send").await;
    assert_eq!(again["params"]["idempotencyKey"], run.as_str());
    peer.answer(&again, json!({"status": "in_flight"})).await;
    peer.chat(&run, "final", "One two.").await;
    assert_eq!(all(&mut told).await, [text(" two."), DONE]);
}

#[tokio::test]
async fn late_results_and_approvals_carry_our_own_names() {
    let scripted = scripted(OpenClawConfig::default()).await;
    let mut approvals = scripted.gateway.approvals().expect("it asks");
    let mut news = scripted
        .gateway
        .news("phone1/agent")
        .expect("things may come");
    let (_asked, mut told) = scripted.ask(&["Build it"]);
    let mut peer = scripted.greeted().await;
    let (run, _) = peer.taken().await;
    peer.event(
        "exec.approval.requested",
        json!({"id": "a1", "request": {"command": "make", "sessionKey": KEY}}),
    )
    .await;
    let ApprovalEvent::Requested(request) = approvals.recv().await.expect("an event") else {
        panic!("nothing was asked")
    };
    assert_eq!(
        (request.session.as_str(), request.what.as_str()),
        ("phone1/agent", "make")
    );
    let (resolved, ()) = tokio::join!(
        scripted
            .gateway
            .resolve(request.id.clone(), request.kind, Decision::Deny),
        async {
            let resolve = peer.request("exec.approval.resolve").await;
            assert_eq!(resolve["params"], json!({"id": "a1", "decision": "deny"}));
            peer.answer(&resolve, json!({})).await;
        }
    );
    assert_eq!(resolved, Ok(()));
    peer.chat(&run, "final", "I have begun.").await;
    assert_eq!(all(&mut told).await, [text("I have begun."), DONE]);
    peer.chat("announce:1", "final", "NO_REPLY").await;
    peer.chat("announce:2", "final", "**Done**: it is built.")
        .await;
    assert_eq!(news.recv().await.as_deref(), Some("Done: it is built."));
}

#[tokio::test]
async fn warming_up_is_nobodys_conversation_and_rare() {
    let scripted = scripted(OpenClawConfig {
        agent: "Voice".to_owned(),
        ..OpenClawConfig::default()
    })
    .await;
    scripted.gateway.warm();
    scripted.gateway.warm();
    let mut peer = scripted.greeted().await;
    let request = peer.request("chat.send").await;
    assert_eq!(request["params"]["sessionKey"], "agent:voice:voice:warmup");
    assert_eq!(request["params"]["message"], ".");
    peer.answer(&request, json!({"status": "started"})).await;
    let run = &request["params"]["idempotencyKey"];
    let payload = json!({"runId": run, "sessionKey": "agent:voice:voice:warmup", "state": "delta", "deltaText": "ok"});
    peer.event("chat", payload).await;
    // Its first words are enough, and there is no second run.
    assert_eq!(peer.request("chat.abort").await["params"]["runId"], *run);
    let report = scripted.gateway.check().await.expect("a link");
    assert_eq!((report.models.len(), report.model_known), (0, None));
    let standing = scripted.gateway.standing().expect("it has one");
    assert!(
        standing.starts_with("OpenClaw 2026.9.6, protocol 4, admitted by its token"),
        "{standing}"
    );
    assert_eq!(scripted.gateway.describe().model, "agent Voice");
}
