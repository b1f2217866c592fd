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
    /// Members of rooms; two where nothing is said.
    people: HashMap<String, usize>,
    encrypted: HashSet<String>,
    events: HashMap<String, Value>,
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
        loop {
            let changed = self.changed.notified();
            if let Some(found) = self.asked(part).pop() {
                return found;
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
            "sync", "send", "login", "whoami", "join", "leave", "download", "upload", "messages",
        ]
        .contains(part)
    });
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

struct OnlyAnna;

impl Door for OnlyAnna {
    fn knows<'a>(&'a self, who: &'a Address) -> BoxFuture<'a, bool> {
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
            door: Arc::new(OnlyAnna),
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

#[tokio::test]
async fn the_token_moves_when_all_is_kept() {
    let stage = Stage::new().await;
    let mut running = stage.start();
    stage.server.tells(
        "s1",
        ROOM,
        json!([
            said("$1", ANNA, "one"),
            said("$x", OWN, "ours"),
            said("$2", ANNA, "two")
        ]),
    );
    let first = running.next(Err(NotKept::Busy)).await;
    assert_eq!(
        (first.id.as_str(), words(&first), first.place.as_str()),
        ("$1", "one", ROOM)
    );
    assert_eq!((first.from.id.as_str(), first.at_unix_ms), (ANNA, 9));
    // Offered again until it is kept, and nothing overtakes it.
    assert_eq!(running.next(Err(NotKept::Busy)).await, first);
    assert_eq!(running.next(Ok(())).await, first);
    let arrival = running.inbox.recv().await.expect("the second");
    assert_eq!(arrival.message.id, "$2");
    assert_eq!(
        stage.notebook.read("since").expect("a token"),
        format!("{OWN} s0")
    );
    // The program ends here: after its start the same comes again, from the same token.
    drop(running);
    let mut running = stage.start();
    stage.server.tells(
        "s1",
        ROOM,
        json!([said("$1", ANNA, "one"), said("$2", ANNA, "two")]),
    );
    assert_eq!(running.next(Ok(())).await.id, "$1");
    assert_eq!(running.next(Ok(())).await.id, "$2");
    stage.notebook.expect("since", &format!("{OWN} s1")).await;
    let (_, path, ..) = stage.server.expect("receipt/m.read").await;
    assert!(path.ends_with("/$2"), "{path}");
    let syncs = stage.server.asked("/sync");
    assert!(
        syncs
            .iter()
            .all(|(_, _, query, _)| query.contains("since=s0") || query.contains("since=s1"))
    );
}

#[tokio::test]
async fn a_first_sync_asks_nothing() {
    let stage = Stage::new().await;
    stage.notebook.pages.lock().expect("own").clear();
    let mut running = stage.start();
    stage
        .server
        .tells("s1", ROOM, json!([said("$old", ANNA, "from before")]));
    stage
        .server
        .tells("s2", ROOM, json!([said("$new", ANNA, "now")]));
    assert_eq!(running.next(Ok(())).await.id, "$new");
    stage.notebook.expect("since", &format!("{OWN} s2")).await;
}

#[tokio::test]
async fn a_gap_is_filled_in_order() {
    let stage = Stage::new().await;
    {
        let mut script = stage.server.script();
        let page = |events: Value, end: Value| json!({ "chunk": events, "end": end });
        script.pages.push_back(page(
            json!([said("$4", ANNA, "4"), said("$3", ANNA, "3")]),
            json!("p2"),
        ));
        script.pages.push_back(page(
            json!([said("$2", ANNA, "2"), said("$1", ANNA, "1")]),
            Value::Null,
        ));
    }
    let timeline = json!({ "limited": true, "prev_batch": "p1", "events": [said("$4", ANNA, "4"), said("$5", ANNA, "5")] });
    stage.server.says(
        200,
        json!({ "next_batch": "s1", "rooms": { "join": { ROOM: { "timeline": timeline } } } }),
    );
    let mut running = stage.start();
    for expected in ["1", "2", "3", "4", "5"] {
        assert_eq!(words(&running.next(Ok(())).await), expected);
    }
    let pages = stage.server.asked("/messages");
    assert!(
        pages[0].2.contains("from=p1") && pages[0].2.contains("to=s0"),
        "{pages:?}"
    );
    assert!(pages[1].2.contains("from=p2"));
}

#[tokio::test]
async fn among_many_only_what_is_meant_for_us() {
    let stage = Stage::new().await;
    let room = "!many:a.example";
    stage.server.script().people.insert(room.to_owned(), 3);
    stage
        .server
        .script()
        .events
        .insert("$ours".to_owned(), said("$ours", OWN, "an answer"));
    let reply = |id: &str, to: &str| {
        json!({ "type": "m.room.message", "event_id": id, "sender": ANNA, "content": {
            "msgtype": "m.text", "body": "and now?", "m.relates_to": { "m.in_reply_to": { "event_id": to } } } })
    };
    stage.server.tells(
        "s1",
        room,
        json!([
            said("$1", ANNA, "hello all"),
            said("$2", ANNA, "Offhook: hello"),
            said("$3", "@eve:a.example", "Offhook: hello"),
            reply("$4", "$theirs"),
            reply("$5", "$ours"),
        ]),
    );
    let mut running = stage.start();
    let asked = running.next(Ok(())).await;
    assert_eq!((asked.id.as_str(), words(&asked)), ("$2", "hello"));
    assert_eq!(running.next(Ok(())).await.id, "$5");
    stage.notebook.expect("since", &format!("{OWN} s1")).await;
    // The answer shows whose question it answers.
    let answer = Outbound {
        place: room.to_owned(),
        reply_to: Some("$2".to_owned()),
        ..text("d1", "Hello.")
    };
    running
        .matrix
        .deliver(&answer)
        .await
        .expect("it is delivered");
    let sent = stage.server.script().sent.clone();
    assert_eq!(sent[0].1["m.relates_to"]["m.in_reply_to"]["event_id"], "$2");
    assert_eq!(sent[0].1["m.mentions"]["user_ids"], json!([ANNA]));
}

fn invite(room: &str, from: &str) -> Value {
    json!({ room: { "invite_state": { "events": [
        { "type": "m.room.member", "sender": from, "state_key": OWN, "content": { "membership": "invite" } },
    ] } } })
}

#[tokio::test]
async fn who_may_invite() {
    let mut stage = Stage::new().await;
    let invites = |next: &str, room: &str, from: &str| json!({ "next_batch": next, "rooms": { "invite": invite(room, from) } });
    stage.server.says(200, invites("s1", "!annas:a", ANNA));
    stage
        .server
        .says(200, invites("s2", "!eves:a", "@eve:b.example"));
    let running = stage.start();
    stage.notebook.expect("since", &format!("{OWN} s2")).await;
    let joined = |room: &str| {
        stage
            .server
            .asked("/join")
            .iter()
            .any(|(_, path, ..)| path.ends_with(&format!("{room}/join")))
    };
    assert!(joined("!annas:a") && !joined("!eves:a"));
    assert!(stage.server.asked("/leave")[0].1.contains("!eves:a"));
    assert!(stage.notices().contains(&Notice::InviteRefused {
        from: "@eve:b.example".to_owned(),
        more: 0
    }));
    drop(running);

    stage.config.pairing = true;
    let _running = stage.start();
    stage
        .server
        .says(200, invites("s3", "!eves:a", "@eve:b.example"));
    stage.notebook.expect("since", &format!("{OWN} s3")).await;
    let joins = stage.server.asked("!eves:a/join");
    assert_eq!(joins.len(), 1, "{joins:?}");
    let sent = stage.server.script().sent.clone();
    assert!(
        sent[0].1["body"]
            .as_str()
            .is_some_and(|body| body.contains("4711")),
        "{sent:?}"
    );
}

#[tokio::test]
async fn nothing_is_said_in_clear_in_an_encrypted_room() {
    let stage = Stage::new().await;
    stage.server.script().encrypted.insert("!dark:a".to_owned());
    stage.server.says(
        200,
        json!({ "next_batch": "s1", "rooms": { "invite": invite("!dark:a", ANNA) } }),
    );
    let secret =
        json!({ "type": "m.room.encrypted", "event_id": "$1", "sender": ANNA, "content": {} });
    stage.server.tells("s2", "!dark:a", json!([secret]));
    let running = stage.start();
    stage.notebook.expect("since", &format!("{OWN} s2")).await;
    // Said once, and not again after a restart.
    assert_eq!(stage.server.script().sent.len(), 1);
    let room = "!dark:a".to_owned();
    assert!(
        stage
            .notices()
            .contains(&Notice::Encrypted { room: room.clone() })
    );
    let answer = Outbound {
        place: room.clone(),
        ..text("d1", "secret words")
    };
    let refused = running.matrix.deliver(&answer).await;
    assert!(
        matches!(refused, Err(DeliveryError::Final { .. })),
        "{refused:?}"
    );

    // A room that turns dark later.
    stage.server.tells("s3", ROOM, json!([
        { "type": "m.room.encryption", "state_key": "", "event_id": "$2", "sender": ANNA, "content": {} },
    ]));
    stage.notebook.expect("since", &format!("{OWN} s3")).await;
    stage.server.script().encrypted.insert(ROOM.to_owned());
    let refused = running.matrix.deliver(&text("d2", "secret words")).await;
    assert!(
        matches!(refused, Err(DeliveryError::Final { .. })),
        "{refused:?}"
    );
    let sent = stage.server.script().sent.clone();
    assert!(
        sent.iter()
            .all(|(_, content)| content["msgtype"] == "m.notice"),
        "{sent:?}"
    );
}

#[tokio::test]
async fn a_delivery_goes_on_where_it_stopped() {
    let stage = Stage::new().await;
    let running = stage.start();
    running.is_in().await;
    let long = text("d1", &"word ".repeat(6_000));
    stage.server.fails(
        "send",
        429,
        json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1 }),
    );
    stage.server.fails("send", 200, json!({ "event_id": "$a" }));
    stage.server.fails("send", 502, json!({}));
    let broken = running.matrix.deliver(&long).await;
    assert!(
        matches!(
            broken,
            Err(DeliveryError::Passing {
                retry_after: None,
                ..
            })
        ),
        "{broken:?}"
    );
    let id = running
        .matrix
        .deliver(&long)
        .await
        .expect("it is delivered");
    assert_eq!(id.as_deref(), Some("$a"));
    let transactions: Vec<String> = stage
        .server
        .asked("/send/")
        .iter()
        .map(|(_, path, ..)| path[path.rfind('/').unwrap_or(0)..].to_owned())
        .collect();
    assert_eq!(transactions, ["/d1-0", "/d1-0", "/d1-1", "/d1-1", "/d1-2"]);

    // After a restart it begins anew under the same transactions.
    let again = stage.start();
    again.is_in().await;
    again.matrix.deliver(&long).await.expect("it is delivered");
    let sent = stage.server.script().sent.clone();
    assert_eq!(
        sent.iter()
            .filter(|(transaction, _)| transaction == "d1-1")
            .count(),
        1
    );

    stage
        .server
        .fails("send", 429, json!({ "retry_after_ms": 400_000 }));
    let later = running.matrix.deliver(&text("d2", "hi")).await;
    let retry_after = Some(Duration::from_secs(400));
    assert!(
        matches!(later, Err(DeliveryError::Passing { retry_after: after, .. }) if after == retry_after)
    );
    stage
        .server
        .fails("send", 403, json!({ "errcode": "M_FORBIDDEN" }));
    let never = running.matrix.deliver(&text("d3", "hi")).await;
    assert!(
        matches!(never, Err(DeliveryError::Final { .. })),
        "{never:?}"
    );
}

#[tokio::test]
async fn sound_both_ways() {
    let stage = Stage::new().await;
    stage.server.script().media = vec![7; 1_000];
    let voice = |id: &str, size: u64| {
        json!({ "type": "m.room.message", "event_id": id, "sender": ANNA, "content": {
            "msgtype": "m.audio", "url": "mxc://a.example/m1", "info": { "mimetype": "audio/ogg", "size": size },
            "org.matrix.msc3245.voice": {} } })
    };
    stage.server.tells(
        "s1",
        ROOM,
        json!([voice("$1", 1_000), voice("$2", 1_001), voice("$3", 10)]),
    );
    let mut running = stage.start();
    let expected = Body::Voice {
        bytes: vec![7; 1_000],
        mime: "audio/ogg".to_owned(),
    };
    assert_eq!(running.next(Ok(())).await.body, expected);
    // What it says of its size costs no download; what it says wrongly is cut off.
    assert!(matches!(
        running.next(Ok(())).await.body,
        Body::Unusable { .. }
    ));
    stage.server.script().media = vec![7; 1_001];
    assert!(matches!(
        running.next(Ok(())).await.body,
        Body::Voice { .. } | Body::Unusable { .. }
    ));
    assert!(
        stage
            .server
            .asked("download")
            .iter()
            .all(|(_, path, ..)| path == "/_matrix/client/v1/media/download/a.example/m1")
    );

    let answer = Outbound {
        body: OutBody::Voice {
            ogg_opus: vec![1; 50],
            duration_ms: 900,
            words: "Hello.".to_owned(),
        },
        ..text("d1", "")
    };
    running
        .matrix
        .deliver(&answer)
        .await
        .expect("it is delivered");
    let sent = stage.server.script().sent.clone();
    let kinds: Vec<&str> = sent
        .iter()
        .filter_map(|(_, content)| content["msgtype"].as_str())
        .collect();
    assert_eq!(kinds, ["m.text", "m.audio"]);
    assert_eq!(
        (&sent[0].1["body"], &sent[1].1["url"]),
        (&json!("Hello."), &json!("mxc://a.example/up1"))
    );
}

#[tokio::test]
async fn a_sign_presses_a_button() {
    let stage = Stage::new().await;
    let running = stage.start();
    running.is_in().await;
    let buttons = [("Approve", "approve:7"), ("Deny", "deny:7")];
    let question = Outbound {
        body: OutBody::Ask {
            text: "Run it?".to_owned(),
            buttons: buttons
                .map(|(label, data)| (label.to_owned(), data.to_owned()))
                .to_vec(),
        },
        ..text("q1", "")
    };
    let id = running
        .matrix
        .deliver(&question)
        .await
        .expect("it is delivered")
        .expect("an id");
    let sent = stage.server.script().sent.clone();
    assert_eq!(sent.len(), 3);
    // Another run of the program: what the signs mean stands in the event.
    drop(running);
    let mut running = stage.start();
    stage.server.script().events.insert(
        id.clone(),
        json!({ "event_id": id, "sender": OWN, "content": sent[0].1 }),
    );
    let forged = "$forged".to_owned();
    stage.server.script().events.insert(
        forged.clone(),
        json!({ "event_id": forged, "sender": ANNA, "content": sent[0].1 }),
    );
    let react = |event: &str, to: &str, key: &str, from: &str| {
        json!({ "type": "m.reaction", "event_id": event, "sender": from, "content": { "m.relates_to": {
            "rel_type": "m.annotation", "event_id": to, "key": key } } })
    };
    let reply = json!({ "type": "m.room.message", "event_id": "$5", "sender": ANNA, "content": {
        "msgtype": "m.text", "body": "deny", "m.relates_to": { "m.in_reply_to": { "event_id": id } } } });
    stage.server.tells(
        "s1",
        ROOM,
        json!([
            react("$1", &id, "✅", "@eve:b"),
            react("$2", "$forged", "✅", ANNA),
            react("$3", &id, "👍", ANNA),
            react("$4", &id, "✅\u{fe0f}", ANNA),
            reply,
        ]),
    );
    for (event, data) in [("$4", "approve:7"), ("$5", "deny:7")] {
        let pressed = running.next(Ok(())).await;
        assert_eq!(pressed.id, event);
        assert_eq!(
            pressed.body,
            Body::Button {
                data: data.to_owned()
            }
        );
    }
}

#[tokio::test]
async fn a_password_is_used_once() {
    let mut stage = Stage::new().await;
    stage.with_password();
    let running = stage.start();
    running.is_in().await;
    drop(running);
    let running = stage.start();
    running.is_in().await;
    assert_eq!(stage.server.asked("POST /_matrix/client/v3/login").len(), 1);
    // A token that is no longer good is replaced, for the same device.
    stage
        .server
        .says(401, json!({ "errcode": "M_UNKNOWN_TOKEN" }));
    stage.server.tells("s1", ROOM, json!([]));
    stage.notebook.expect("since", &format!("{OWN} s1")).await;
    let logins = stage.server.asked("POST /_matrix/client/v3/login");
    assert_eq!(logins.len(), 2);
    assert_eq!(logins[1].3["device_id"], "DEVICE");
}

#[tokio::test]
async fn what_goes_wrong_is_said_plainly() {
    let stage = Stage::new().await;
    stage
        .server
        .fails("whoami", 401, json!({ "errcode": "M_UNKNOWN_TOKEN" }));
    let running = stage.start();
    stage.server.expect("whoami").await;
    while !matches!(stage.notices().as_slice(), [Notice::Refused { .. }]) {
        tokio::task::yield_now().await;
    }
    let standing = running.matrix.standing();
    assert!(
        standing.ends_with("the homeserver does not accept the access token"),
        "{standing}"
    );
    drop(running);

    // In trouble, then well again; then a token of a place in the stream that nobody knows any more.
    let stage = Stage::new().await;
    stage.server.says(502, json!({}));
    stage.server.says(200, json!({ "next_batch": "s1" }));
    for _ in 0..4 {
        stage.server.says(400, json!({ "errcode": "M_UNKNOWN" }));
    }
    stage
        .server
        .tells("s9", ROOM, json!([said("$old", ANNA, "old")]));
    let _running = stage.start();
    stage.notebook.expect("since", &format!("{OWN} s9")).await;
    let notices = stage.notices();
    let count =
        |wanted: fn(&Notice) -> bool| notices.iter().filter(|notice| wanted(notice)).count();
    assert_eq!(count(|notice| *notice == Notice::Afresh), 1, "{notices:?}");
    assert_eq!(
        count(|notice| matches!(notice, Notice::Away { .. })),
        2,
        "{notices:?}"
    );
    assert!(count(|notice| *notice == Notice::Back) >= 1, "{notices:?}");
}

#[tokio::test]
async fn news_find_their_room() {
    let stage = Stage::new().await;
    let running = stage.start();
    running.is_in().await;
    for id in ["d1", "d2"] {
        let news = Outbound {
            place: ANNA.to_owned(),
            ..text(id, "The parcel is here.")
        };
        running
            .matrix
            .deliver(&news)
            .await
            .expect("it is delivered");
    }
    assert_eq!(stage.server.asked("createRoom").len(), 1);
    let nowhere = Outbound {
        place: "somewhere".to_owned(),
        ..text("d3", "x")
    };
    assert!(matches!(
        running.matrix.deliver(&nowhere).await,
        Err(DeliveryError::Final { .. })
    ));
    running.matrix.typing(ROOM, true).await;
    assert_eq!(stage.server.expect("/typing/").await.3["typing"], true);
    running.matrix.typing(ROOM, false).await;
}
