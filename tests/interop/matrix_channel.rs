//! The Matrix channel with a real Synapse and a hub of this test behind it, named as one: it keeps what comes, knows what
//! it has, and says it back. The program around the channel is in `matrix.rs`. Needs OFFHOOK_SYNAPSE; one homeserver for
//! all cases, one room or more for each.

#[path = "peers.rs"]
#[allow(dead_code)]
mod peers;
#[path = "process.rs"]
#[allow(dead_code)]
mod process;
#[path = "matrix/synapse.rs"]
mod synapse;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use agent_bridge::channels::doorstep::Door;
use agent_bridge::channels::matrix::{Login, Matrix, MatrixConfig, Notice, Parts};
use agent_bridge::channels::{
    Address, Arrival, Body, Channel, DeliveryError, Inbound, Memory, MemoryError, NotKept, OutBody,
    Outbound,
};
use agent_bridge::gateways::Secret;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use process::wait_until;
use serde_json::{Value, json};
use synapse::{LIMIT, Person, Synapse, password};
use tokio::sync::{mpsc, oneshot};

/// What outlives a crash: the database of a real hub.
#[derive(Default)]
struct Disk {
    memory: Mutex<HashMap<String, String>>,
    /// In the order in which they were kept.
    kept: Mutex<Vec<Inbound>>,
    notices: Mutex<Vec<Notice>>,
    /// How often the hub hung.
    hung: AtomicUsize,
}

impl Disk {
    fn kept(&self) -> Vec<Inbound> {
        self.kept.lock().expect("nobody panics with it").clone()
    }

    fn texts(&self) -> Vec<String> {
        let texts = self
            .kept()
            .into_iter()
            .filter_map(|message| match message.body {
                Body::Text(text) => Some(text),
                _ => None,
            });
        texts.collect()
    }

    fn expect(&self, what: &str, is_it: impl Fn(&Inbound) -> bool) -> Inbound {
        let mut found = None;
        wait_until(LIMIT, || {
            found = self.kept().into_iter().find(&is_it);
            found.is_some()
        });
        let Some(found) = found else {
            panic!("{what} never came: {:#?}", self.kept());
        };
        found
    }
}

struct Notebook(Arc<Disk>);

impl Memory for Notebook {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<String>> {
        async {
            self.0
                .memory
                .lock()
                .expect("nobody panics with it")
                .get(key)
                .cloned()
        }
        .boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), MemoryError>> {
        async {
            let mut memory = self.0.memory.lock().expect("nobody panics with it");
            memory.insert(key.to_owned(), value.to_owned());
            Ok(())
        }
        .boxed()
    }
}

/// Lets in whoever's name begins like this.
struct OnlyAnna;

impl Door for OnlyAnna {
    fn knows<'a>(&'a self, who: &'a Address) -> BoxFuture<'a, bool> {
        async { who.id.starts_with("@anna") }.boxed()
    }

    fn code<'a>(
        &'a self,
        _who: &'a Address,
        _shown_name: &'a str,
    ) -> BoxFuture<'a, Option<String>> {
        async { None }.boxed()
    }
}

/// The channel in a thread of its own, until it is killed.
struct Running {
    matrix: Arc<Matrix>,
    runtime: tokio::runtime::Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// `keeps`: how many messages are kept before the hub hangs, as it would in the moment of a crash.
    fn start(config: &MatrixConfig, disk: &Arc<Disk>, keeps: usize) -> Running {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let handle = runtime.handle().clone();
        let noted = disk.clone();
        let parts = Parts {
            memory: Arc::new(Notebook(disk.clone())),
            door: Arc::new(OnlyAnna),
            notices: Arc::new(move |notice| {
                noted
                    .notices
                    .lock()
                    .expect("nobody panics with it")
                    .push(notice)
            }),
            seed: [1; 32],
        };
        let matrix = Arc::new(Matrix::new(config.clone(), parts).expect("a good config"));
        let (stop, stopped) = oneshot::channel();
        let (channel, disk) = (matrix.clone(), disk.clone());
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let (inbox, arrivals) = mpsc::channel(8);
                tokio::select! {
                    () = channel.run(inbox) => {}
                    () = hub(&disk, arrivals, keeps) => {}
                    _ = stopped => {}
                }
            });
            // Nothing that is under way gets to its end.
            runtime.shutdown_background();
        });
        Running {
            matrix,
            runtime: handle,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn deliver(&self, message: &Outbound) -> Result<Option<String>, DeliveryError> {
        let mut outcome = Ok(None);
        let is_over = wait_until(LIMIT, || {
            let (matrix, message) = (self.matrix.clone(), message.clone());
            let (answer, answered) = std::sync::mpsc::sync_channel(1);
            self.runtime
                .spawn(async move { answer.send(matrix.deliver(&message).await) });
            outcome = answered.recv_timeout(LIMIT).expect("it ends");
            !matches!(outcome, Err(DeliveryError::Passing { .. }))
        });
        assert!(is_over, "{outcome:?}");
        outcome
    }

    /// As a power cut would.
    fn kill(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the channel does not panic");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The hub of this test.
async fn hub(disk: &Disk, mut arrivals: mpsc::Receiver<Arrival>, keeps: usize) {
    let mut left = keeps;
    let mut hanging = Vec::new();
    while let Some(Arrival { message, kept }) = arrivals.recv().await {
        if left == 0 {
            hanging.push(kept);
            disk.hung.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        left -= 1;
        let answer = match message.from.id.starts_with("@anna") {
            true => {
                let mut known = disk.kept.lock().expect("nobody panics with it");
                if !known.iter().any(|other| other.id == message.id) {
                    known.push(message);
                }
                Ok(())
            }
            false => Err(NotKept::Stranger),
        };
        let _ = kept.send(answer);
    }
}

fn to(place: &str, id: &str, body: OutBody) -> Outbound {
    Outbound {
        id: id.to_owned(),
        place: place.to_owned(),
        body,
        reply_to: None,
        is_repeat: false,
    }
}

fn config(synapse: &Synapse, folder: &Path) -> MatrixConfig {
    MatrixConfig {
        homeserver: synapse.url(),
        login: Login::Password {
            user: "offhook".to_owned(),
            password: Secret::new(password("offhook")),
            file: folder.join("matrix-login.json"),
        },
        rooms: true,
        pairing: false,
        voice_bytes_max: 100_000,
    }
}

/// All cases, one after the other: they share the homeserver and its people.
#[test]
fn with_a_real_synapse() {
    const NAME: &str = "with_a_real_synapse";
    let found = peers::require(
        NAME,
        "Synapse",
        "PyPI matrix-synapse, OFFHOOK_SYNAPSE",
        synapse::installed(),
    );
    let Some(python) = found else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let synapse = Synapse::start(&python);
    let own = synapse.person("offhook").id;
    let people = ["anna", "ben", "eve"].map(|name| synapse.person(name));
    let [anna, ben, eve] = &people;
    let config = config(&synapse, synapse.folder.path());
    let disk = Arc::new(Disk::default());
    let running = Running::start(&config, &disk, usize::MAX);
    // Its first sync is behind it: what is said from now on counts.
    let is_in = wait_until(LIMIT, || {
        disk.memory
            .lock()
            .expect("nobody panics with it")
            .contains_key("since")
    });
    assert!(is_in, "{:?}", disk.notices.lock());

    let room = words_both_ways(anna, &own, &running, &disk);
    voice_both_ways(anna, &own, &running, &disk, &room);
    signs_press_buttons(anna, &running, &disk, &room);
    rooms_when_mentioned(anna, ben, &own, &running, &disk);
    strangers_are_refused(eve, &own, &disk);
    encrypted_rooms_are_told(anna, &own, &running);
    drop(running);
    crashes_lose_and_double_nothing(anna, &own, &config, &disk, &room);
}

fn words_both_ways(anna: &Person, own: &str, running: &Running, disk: &Disk) -> String {
    let room = anna.create_room(&[own], json!({}));
    // Before we are in: people do not wait.
    let first = anna.say(&room, "are you there?");
    let came = disk.expect("the first words", |message| message.id == first);
    assert_eq!(came.body, Body::Text("are you there?".to_owned()));
    assert_eq!(
        (
            came.place.as_str(),
            came.from.id.as_str(),
            came.shown_name.as_str()
        ),
        (room.as_str(), anna.id.as_str(), "anna")
    );
    anna.expect_membership(&room, own, "join");

    // Longer than an event, and marked up.
    let long = "A **word** and another. ".repeat(2_000);
    let id = running
        .deliver(&to(&room, "long", OutBody::Text(long)))
        .expect("it is delivered");
    let parts = anna.expect_messages(&room, own, 4);
    assert_eq!(parts.len(), 4);
    assert_eq!(parts[0]["event_id"].as_str().map(str::to_owned), id);
    assert!(
        parts[0]["content"]["formatted_body"]
            .as_str()
            .is_some_and(|html| html.contains("<strong>word</strong>"))
    );

    let edit = anna.send(
        &room,
        "m.room.message",
        json!({
            "msgtype": "m.text", "body": "* is anybody there?",
            "m.new_content": { "msgtype": "m.text", "body": "is anybody there?" },
            "m.relates_to": { "rel_type": "m.replace", "event_id": first },
        }),
    );
    let came = disk.expect("the new version", |message| message.id == edit);
    assert_eq!(
        (came.edits.as_deref(), &came.body),
        (
            Some(first.as_str()),
            &Body::Text("is anybody there?".to_owned())
        )
    );
    anna.send(
        &room,
        "m.room.message",
        json!({ "msgtype": "m.image", "body": "cat.png", "url": "mxc://home.test/x" }),
    );
    disk.expect(
        "a word about the picture",
        |message| matches!(&message.body, Body::Unusable { why } if why.contains("a picture")),
    );

    // That we have read, and that we are typing.
    let matrix = running.matrix.clone();
    let place = room.clone();
    running
        .runtime
        .spawn(async move { matrix.typing(&place, true).await });
    let filter = "%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A1%7D%7D%7D";
    let seen = wait_until(LIMIT, || {
        let sync = anna.ask("GET", &format!("sync?filter={filter}"), Value::Null);
        let events = sync["rooms"]["join"][&room]["ephemeral"]["events"].to_string();
        events.contains("m.read") && events.contains("m.typing") && events.contains(own)
    });
    assert!(seen, "neither read nor typing");
    let (matrix, place) = (running.matrix.clone(), room.clone());
    running
        .runtime
        .spawn(async move { matrix.typing(&place, false).await });
    room
}

fn voice_both_ways(anna: &Person, own: &str, running: &Running, disk: &Disk, room: &str) {
    let sound = b"OggS and so on".repeat(100);
    let address = anna.upload("audio/ogg", &sound);
    let voice = |size: usize| {
        json!({ "msgtype": "m.audio", "body": "Voice message", "url": address,
            "info": { "mimetype": "audio/ogg", "size": size, "duration": 900 }, "org.matrix.msc3245.voice": {} })
    };
    let sent = anna.send(room, "m.room.message", voice(sound.len()));
    let came = disk.expect("the voice message", |message| message.id == sent);
    assert_eq!(
        came.body,
        Body::Voice {
            bytes: sound.clone(),
            mime: "audio/ogg".to_owned()
        }
    );
    // Larger than it says.
    let address = anna.upload("audio/ogg", &vec![0; 100_001]);
    let sent = anna.send(
        room,
        "m.room.message",
        json!({ "msgtype": "m.audio", "body": "x", "url": address }),
    );
    let came = disk.expect("a word about its size", |message| message.id == sent);
    assert!(matches!(came.body, Body::Unusable { .. }), "{came:?}");

    let before = anna.messages_of(room, own).len();
    let body = OutBody::Voice {
        ogg_opus: sound.clone(),
        duration_ms: 900,
        words: "Good morning.".to_owned(),
    };
    running
        .deliver(&to(room, "voice", body))
        .expect("it is delivered");
    let answers = anna
        .expect_messages(room, own, before + 2)
        .split_off(before);
    assert_eq!(answers[0]["content"]["body"], "Good morning.");
    assert!(answers[1]["content"]["org.matrix.msc3245.voice"].is_object());
    let address = answers[1]["content"]["url"].as_str().expect("an address");
    assert_eq!(anna.download(address), sound);
}

fn signs_press_buttons(anna: &Person, running: &Running, disk: &Disk, room: &str) {
    let buttons = [("Approve", "approve:7"), ("Deny", "deny:7")];
    let body = OutBody::Ask {
        text: "May I restart the server? Write yes ABCD or no ABCD.".to_owned(),
        buttons: buttons
            .map(|(label, data)| (label.to_owned(), data.to_owned()))
            .to_vec(),
    };
    let question = running
        .deliver(&to(room, "question", body))
        .expect("it is delivered")
        .expect("an id");
    let reaction = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": question, "key": "❌" } });
    let pressed = anna.send(room, "m.reaction", reaction);
    let came = disk.expect("the sign", |message| message.id == pressed);
    assert_eq!(
        came.body,
        Body::Button {
            data: "deny:7".to_owned()
        }
    );
    let answer = anna.send(room, "m.room.message", json!({
        "msgtype": "m.text", "body": "Approve", "m.relates_to": { "m.in_reply_to": { "event_id": question } },
    }));
    let came = disk.expect("the label", |message| message.id == answer);
    assert_eq!(
        came.body,
        Body::Button {
            data: "approve:7".to_owned()
        }
    );
}

fn rooms_when_mentioned(anna: &Person, ben: &Person, own: &str, running: &Running, disk: &Disk) {
    let room = anna.create_room(&[own, &ben.id], json!({ "name": "Family" }));
    ben.join(&room);
    anna.expect_membership(&room, own, "join");
    anna.say(&room, "what's for dinner?");
    ben.send(&room, "m.room.message", json!({ "msgtype": "m.text", "body": "offhook: open the door", "m.mentions": { "user_ids": [own] } }));
    let asked = anna.send(&room, "m.room.message", json!({
        "msgtype": "m.text", "body": "offhook: what's the time?", "m.mentions": { "user_ids": [own] },
    }));
    let came = disk.expect("the question", |message| message.id == asked);
    assert_eq!(
        (came.place.as_str(), &came.body),
        (room.as_str(), &Body::Text("what's the time?".to_owned()))
    );
    let mut answer = to(&room, "noon", OutBody::Text("Noon.".to_owned()));
    answer.reply_to = Some(asked.clone());
    let noon = running
        .deliver(&answer)
        .expect("it is delivered")
        .expect("an id");
    let said = anna.expect_messages(&room, own, 1);
    assert_eq!(
        said[0]["content"]["m.relates_to"]["m.in_reply_to"]["event_id"],
        asked.as_str()
    );
    assert_eq!(
        said[0]["content"]["m.mentions"]["user_ids"],
        json!([anna.id])
    );
    // An answer to us needs no name.
    let reply = anna.send(&room, "m.room.message", json!({
        "msgtype": "m.text", "body": "and in Tokyo?", "m.relates_to": { "m.in_reply_to": { "event_id": noon } },
    }));
    disk.expect("the reply", |message| message.id == reply);
    let there: Vec<Inbound> = disk
        .kept()
        .into_iter()
        .filter(|message| message.place == room)
        .collect();
    assert_eq!(there.len(), 2, "{there:#?}");
}

fn strangers_are_refused(eve: &Person, own: &str, disk: &Disk) {
    let room = eve.create_room(&[own], json!({}));
    eve.expect_membership(&room, own, "leave");
    let refused =
        |notice: &Notice| matches!(notice, Notice::InviteRefused { from, .. } if *from == eve.id);
    let notices = || disk.notices.lock().expect("nobody panics with it").clone();
    let is_said = wait_until(LIMIT, || notices().iter().any(refused));
    assert!(is_said, "{:?}", notices());
}

fn encrypted_rooms_are_told(anna: &Person, own: &str, running: &Running) {
    let encryption = json!([{ "type": "m.room.encryption", "state_key": "", "content": { "algorithm": "m.megolm.v1.aes-sha2" } }]);
    let room = anna.create_room(&[own], json!({ "initial_state": encryption }));
    let said = anna.expect_messages(&room, own, 1);
    assert!(
        said[0]["content"]["body"]
            .as_str()
            .is_some_and(|body| body.contains("encrypted")),
        "{said:?}"
    );
    let refused = running.deliver(&to(&room, "dark", OutBody::Text("secret words".to_owned())));
    assert!(
        matches!(refused, Err(DeliveryError::Final { .. })),
        "{refused:?}"
    );
    assert_eq!(anna.messages_of(&room, own).len(), 1);
}

fn crashes_lose_and_double_nothing(
    anna: &Person,
    own: &str,
    config: &MatrixConfig,
    disk: &Arc<Disk>,
    room: &str,
) {
    let before = disk.texts().len();
    let mut expected = Vec::new();
    // More than one sync tells of a room; each round ends after a few of them, without a word.
    for round in 0..4 {
        for n in 0..30 {
            let words = format!("round {round}, message {n}");
            anna.say(room, &words);
            expected.push(words);
        }
        let mut running = Running::start(config, disk, 7 + 20 * round);
        let hangs = wait_until(LIMIT, || disk.hung.load(Ordering::Relaxed) > round);
        assert!(
            hangs,
            "{} were kept in round {round}",
            disk.texts().len() - before
        );
        running.kill();
    }
    let running = Running::start(config, disk, usize::MAX);
    let last = expected.last().cloned().unwrap_or_default();
    disk.expect("the last message", |message| {
        message.body == Body::Text(last.clone())
    });
    assert_eq!(disk.texts().split_off(before), expected);

    // A delivery whose end the crash hid is made again, with its parts, and is there once.
    let count = anna.messages_of(room, own).len();
    let long = to(room, "twice", OutBody::Text("word ".repeat(6_000)));
    let first = running.deliver(&long).expect("it is delivered");
    drop(running);
    let running = Running::start(config, disk, usize::MAX);
    let again = Outbound {
        is_repeat: true,
        ..long
    };
    assert_eq!(running.deliver(&again).expect("it is delivered"), first);
    let said = anna.messages_of(room, own).split_off(count);
    assert_eq!(said.len(), 3);
    let ids: BTreeMap<String, usize> = said.iter().fold(BTreeMap::new(), |mut ids, event| {
        *ids.entry(event["event_id"].to_string()).or_default() += 1;
        ids
    });
    assert!(ids.values().all(|count| *count == 1));
}
