//! The channel against a stand-in for a homeserver: what a real one does seldom, such as failing at the wrong moment.
//! The real one is in `tests/interop/matrix.rs`.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::channels::{Body, Inbound, MemoryError, NotKept, OutBody};
use crate::gateways::Secret;

const OWN: &str = "@offhook:a.example";
const ANNA: &str = "@anna:a.example";
const ROOM: &str = "!two:a.example";

/// A homeserver that says what it is told to say.
#[derive(Default)]
struct Server {
    state: Mutex<Script>,
    changed: Notify,
}

#[derive(Default)]
struct Script {
    /// Answers to syncs, in order; when they are used up a sync waits.
    syncs: VecDeque<(u16, Value)>,
    /// Answers to the next requests of this kind, before the usual ones.
    before: HashMap<&'static str, VecDeque<(u16, Value)>>,
    /// Requests of these kinds get no answer.
    silent: HashSet<&'static str>,
    /// Members of rooms; two where nothing is said.
    people: HashMap<String, usize>,
    encrypted: HashSet<String>,
    events: HashMap<String, Value>,
    /// By room and type.
    state: HashMap<String, Value>,
    pages: VecDeque<Value>,
    media: Vec<u8>,
    token: u32,
    /// Channels that were started; syncs of earlier ones take no answer from the latest.
    run: u32,
    /// Method, path, query, body.
    log: Vec<(String, String, String, Value)>,
    /// What is in rooms, by transaction.
    sent: Vec<(String, Value)>,
}

impl Server {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.state.lock().expect("no test panics with it")
    }

    fn says(&self, status: u16, answer: Value) {
        self.script().syncs.push_back((status, answer));
        self.changed.notify_waiters();
    }

    /// One room with these events, and the next token.
    fn tells(&self, next: &str, room: &str, timeline: Value) {
        let joined = json!({ room: { "timeline": { "events": timeline } } });
        self.says(
            200,
            json!({ "next_batch": next, "rooms": { "join": joined } }),
        );
    }

    fn fails(&self, kind: &'static str, status: u16, answer: Value) {
        self.script()
            .before
            .entry(kind)
            .or_default()
            .push_back((status, answer));
    }

    fn asked(&self, part: &str) -> Vec<(String, String, String, Value)> {
        let log = self.script();
        let found = log
            .log
            .iter()
            .filter(|(method, path, ..)| format!("{method} {path}").contains(part));
        found.cloned().collect()
    }

    /// Until a request of this kind has come.
    async fn expect(&self, part: &str) -> (String, String, String, Value) {
        self.expect_nth(part, 1).await
    }

    /// Until so many of this kind have come; the latest.
    async fn expect_nth(&self, part: &str, nth: usize) -> (String, String, String, Value) {
        loop {
            let changed = self.changed.notified();
            let mut found = self.asked(part);
            if found.len() >= nth
                && let Some(latest) = found.pop()
            {
                return latest;
            }
            changed.await;
        }
    }
}

async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20)
        .await
        .unwrap_or_default();
    let whole = parts
        .uri
        .path()
        .replace("%21", "!")
        .replace("%3A", ":")
        .replace("%40", "@")
        .replace("%24", "$");
    // `/run2/_matrix/…`
    let (run, path) = whole
        .trim_start_matches("/run")
        .split_once('/')
        .unwrap_or_default();
    let (run, path) = (run.to_owned(), format!("/{path}"));
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    let method = parts.method.to_string();
    server
        .script()
        .log
        .push((method.clone(), path.clone(), query, value.clone()));
    server.changed.notify_waiters();
    let kind = path.split('/').find(|part| {
        [
            "sync",
            "send",
            "login",
            "whoami",
            "join",
            "leave",
            "download",
            "upload",
            "messages",
            "event",
            "createRoom",
        ]
        .contains(part)
    });
    if kind.is_some_and(|kind| server.script().silent.contains(kind)) {
        std::future::pending::<()>().await;
    }
    let scripted = kind.and_then(|kind| server.script().before.get_mut(kind)?.pop_front());
    let (status, answer) = match scripted {
        Some(answer) => answer,
        None if kind == Some("sync") => loop {
            let changed = server.changed.notified();
            {
                let mut script = server.script();
                if script.run.to_string() != run {
                    break (503, json!({}));
                }
                if let Some(answer) = script.syncs.pop_front() {
                    break answer;
                }
            }
            changed.await;
        },
        None if kind == Some("download") => return server.script().media.clone().into_response(),
        None => usual(&mut server.script(), &path, value),
    };
    let status = StatusCode::from_u16(status).expect("a status");
    (status, answer.to_string()).into_response()
}

fn usual(script: &mut Script, path: &str, body: Value) -> (u16, Value) {
    let parts: Vec<&str> = path
        .trim_start_matches("/_matrix/client/v3/")
        .split('/')
        .collect();
    match parts.as_slice() {
        ["login"] => {
            script.token += 1;
            let device = body["device_id"].as_str().unwrap_or("DEVICE").to_owned();
            let token = format!("token-{}", script.token);
            (
                200,
                json!({ "user_id": OWN, "device_id": device, "access_token": token }),
            )
        }
        ["account", "whoami"] => (200, json!({ "user_id": OWN })),
        ["profile", ..] => (200, json!({ "displayname": "Offhook" })),
        [
            "rooms",
            room,
            "state",
            kind @ ("m.room.create" | "m.room.member"),
            ..,
        ] => {
            let state = script.state.get(&format!("{room} {kind}"));
            state.map_or_else(
                || (404, json!({ "errcode": "M_NOT_FOUND" })),
                |state| (200, state.clone()),
            )
        }
        ["joined_rooms"] => (200, json!({ "joined_rooms": [ROOM, "!made:a.example"] })),
        ["rooms", room, "state", ..] => match script.encrypted.contains(*room) {
            true => (200, json!({ "algorithm": "m.megolm.v1.aes-sha2" })),
            false => (404, json!({ "errcode": "M_NOT_FOUND" })),
        },
        ["rooms", room, "joined_members"] => {
            let people = script.people.get(*room).copied().unwrap_or(2);
            let joined: serde_json::Map<String, Value> = (0..people)
                .map(|n| (format!("@{n}:a"), json!({})))
                .collect();
            (200, json!({ "joined": joined }))
        }
        ["rooms", _, "event", event] => match script.events.get(*event) {
            Some(event) => (200, event.clone()),
            None => (404, json!({ "errcode": "M_NOT_FOUND" })),
        },
        ["rooms", _, "messages"] => (
            200,
            script
                .pages
                .pop_front()
                .unwrap_or_else(|| json!({ "chunk": [] })),
        ),
        ["rooms", _, "send", _, transaction] => {
            if !script.sent.iter().any(|(known, _)| known == transaction) {
                script.sent.push(((*transaction).to_owned(), body));
            }
            (200, json!({ "event_id": format!("$of-{transaction}") }))
        }
        ["createRoom"] => (200, json!({ "room_id": ROOM })),
        ["", "_matrix", "media", "v3", "upload"] | ["_matrix", "media", "v3", "upload"] => {
            (200, json!({ "content_uri": "mxc://a.example/up1" }))
        }
        _ if path.ends_with("/upload") => (200, json!({ "content_uri": "mxc://a.example/up1" })),
        _ => (200, json!({})),
    }
}

/// What is remembered over restarts of the channel.
#[derive(Default)]
struct Notebook {
    pages: Mutex<HashMap<String, String>>,
    changed: Notify,
}

impl Notebook {
    fn read(&self, key: &str) -> Option<String> {
        self.pages
            .lock()
            .expect("no test panics with it")
            .get(key)
            .cloned()
    }

    async fn expect(&self, key: &str, value: &str) {
        loop {
            let changed = self.changed.notified();
            if self.read(key).as_deref() == Some(value) {
                return;
            }
            changed.await;
        }
    }
}

impl Memory for Notebook {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<String>> {
        async { self.read(key) }.boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), MemoryError>> {
        async {
            self.pages
                .lock()
                .expect("no test panics with it")
                .insert(key.to_owned(), value.to_owned());
            self.changed.notify_waiters();
            Ok(())
        }
        .boxed()
    }
}

#[derive(Default)]
struct OnlyAnna {
    /// How often it was asked for somebody.
    asks: AtomicU32,
}

impl Door for OnlyAnna {
    fn knows<'a>(&'a self, who: &'a Address) -> BoxFuture<'a, bool> {
        self.asks.fetch_add(1, Ordering::Relaxed);
        async { who.id == ANNA }.boxed()
    }

    fn code<'a>(
        &'a self,
        _who: &'a Address,
        _shown_name: &'a str,
    ) -> BoxFuture<'a, Option<String>> {
        async { Some("4711".to_owned()) }.boxed()
    }
}

/// A homeserver, a channel on it, and the hub's end of it.
struct Stage {
    server: Arc<Server>,
    notebook: Arc<Notebook>,
    door: Arc<OnlyAnna>,
    notices: Arc<Mutex<Vec<Notice>>>,
    config: MatrixConfig,
    folder: PathBuf,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A running channel.
struct Running {
    matrix: Arc<Matrix>,
    inbox: mpsc::Receiver<Arrival>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    /// The next message; `answer` is the hub's.
    async fn next(&mut self, answer: Result<(), NotKept>) -> Inbound {
        let arrival = self.inbox.recv().await.expect("the channel runs");
        let _ = arrival.kept.send(answer);
        arrival.message
    }

    /// Delivered at the first attempt.
    async fn delivers(&self, message: &Outbound) {
        let outcome = self.matrix.deliver(message).await;
        outcome.expect("it is delivered");
    }

    async fn is_in(&self) {
        let mut session = self.matrix.session.subscribe();
        session
            .wait_for(Option::is_some)
            .await
            .expect("the channel is there");
    }
}

impl Stage {
    async fn new() -> Stage {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = Arc::new(Server::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("offhook-matrix-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).expect("a folder for the test");
        let notebook = Arc::new(Notebook::default());
        notebook
            .pages
            .lock()
            .expect("new")
            .insert("since".to_owned(), format!("{OWN} s0"));
        Stage {
            server,
            notebook,
            door: Arc::default(),
            notices: Arc::default(),
            config: MatrixConfig {
                homeserver: format!("http://{address}"),
                login: Login::Token(Secret::new("given")),
                rooms: true,
                pairing: false,
                voice_bytes_max: 1_000,
            },
            folder,
        }
    }

    fn with_password(&mut self) {
        self.config.login = Login::Password {
            user: "offhook".to_owned(),
            password: Secret::new("pw"),
            file: self.folder.join("matrix-login.json"),
        };
    }

    fn start(&self) -> Running {
        let notices = self.notices.clone();
        let parts = Parts {
            memory: self.notebook.clone(),
            door: self.door.clone(),
            notices: Arc::new(move |notice| {
                notices.lock().expect("no test panics with it").push(notice)
            }),
            seed: [7; 32],
        };
        let run = {
            let mut script = self.server.script();
            script.run += 1;
            script.run
        };
        self.server.changed.notify_waiters();
        let config = MatrixConfig {
            homeserver: format!("{}/run{run}", self.config.homeserver),
            ..self.config.clone()
        };
        let matrix = Arc::new(Matrix::new(config, parts).expect("a good config"));
        let (sender, inbox) = mpsc::channel(4);
        let task = tokio::spawn(matrix.clone().run(sender));
        Running {
            matrix,
            inbox,
            task,
        }
    }

    fn notices(&self) -> Vec<Notice> {
        self.notices.lock().expect("no test panics with it").clone()
    }
}

fn said(id: &str, from: &str, body: &str) -> Value {
    json!({ "type": "m.room.message", "event_id": id, "sender": from, "origin_server_ts": 9,
        "content": { "msgtype": "m.text", "body": body } })
}

fn text(id: &str, text: &str) -> Outbound {
    Outbound {
        id: id.to_owned(),
        place: ROOM.to_owned(),
        body: OutBody::Text(text.to_owned()),
        reply_to: None,
        is_repeat: false,
    }
}

fn words(message: &Inbound) -> &str {
    match &message.body {
        Body::Text(text) => text,
        other => panic!("no text: {other:?}"),
    }
}

fn invite(room: &str, from: &str) -> Value {
    json!({ room: { "invite_state": { "events": [
        { "type": "m.room.member", "sender": from, "state_key": OWN, "content": { "membership": "invite" } },
    ] } } })
}

fn count(stage: &Stage, part: &str) -> usize {
    stage.server.asked(part).len()
}

mod direct;
mod hostile;
mod inviting;
mod receiving;
mod sending;
