//! The office with a disk of its own: nothing is said before it is kept, nothing that is kept is lost or doubled by a crash.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use agent_bridge::channels::{Channel as _, OutBody, Outbound};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::*;

/// A disk that can refuse.
#[derive(Default)]
struct Disk {
    kept: Mutex<HashMap<String, String>>,
    aside: Mutex<Vec<String>>,
    /// Users whose shelf it neither gives nor takes.
    broken: Mutex<HashSet<String>>,
}

impl Disk {
    fn set_broken(&self, user: &str, is_broken: bool) {
        let mut broken = self.broken.lock().expect("no panics");
        match is_broken {
            true => broken.insert(key(user)),
            false => broken.remove(&key(user)),
        };
    }

    fn works(&self, key: &str) -> Result<(), DiskError> {
        let broken = self.broken.lock().expect("no panics");
        (!broken.contains(key)).then_some(()).ok_or(DiskError)
    }
}

impl Shelves for Disk {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, DiskError>> {
        async move {
            self.works(key)?;
            Ok(self.kept.lock().expect("no panics").get(key).cloned())
        }
        .boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        async move {
            self.works(key)?;
            let mut kept = self.kept.lock().expect("no panics");
            kept.insert(key.to_owned(), value.to_owned());
            Ok(())
        }
        .boxed()
    }

    fn set_aside<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        async move {
            let old = self.kept.lock().expect("no panics").remove(key);
            self.aside.lock().expect("no panics").extend(old);
            Ok(())
        }
        .boxed()
    }
}

struct Rig {
    disk: Arc<Disk>,
    /// Deliveries that a phone has taken.
    taken: Arc<Mutex<Vec<String>>>,
    channel: Arc<TextChannel>,
    inputs: mpsc::Sender<Input>,
    commands: mpsc::Receiver<Command>,
}

/// A run of the program on this disk.
fn run(disk: &Arc<Disk>) -> Rig {
    let (tell, commands) = mpsc::channel(64);
    let shelves: Arc<dyn Shelves> = disk.clone();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let on_taken = {
        let taken = taken.clone();
        Box::new(move |delivery: &str| taken.lock().expect("whole").push(delivery.to_owned()))
    };
    let (channel, inputs) = Office::start(shelves, tell, vec!["anna".to_owned()], on_taken);
    Rig {
        disk: disk.clone(),
        taken,
        channel: Arc::new(channel),
        inputs,
        commands,
    }
}

/// Nobody waits to hear that it is kept.
fn nobody() -> Reply {
    Reply::Channel(oneshot::channel().0)
}

impl Rig {
    async fn put(&self, key: u64, name: &str, words: &str) {
        let put = Input::Put {
            name: name.to_owned(),
            for_users: vec![("anna".to_owned(), parts("ben", words))],
            reply: Reply::Phone(TextKey(key)),
        };
        self.inputs.send(put).await.expect("it runs");
    }

    /// `202` for an answer, the words for a text, its id.
    async fn next(&mut self) -> (String, String) {
        match self.commands.recv().await.expect("it runs") {
            Command::AnswerText { status, .. } => (status.to_string(), String::new()),
            Command::SendText { user, text, .. } => (format!("{user}: {}", text.body), text.id),
            Command::SendLive(live) => (live.content_type.to_owned(), live.body),
            other => panic!("{other:?}"),
        }
    }

    async fn sent(&self, id: &str, outcome: Outcome) {
        let sent = Input::Sent {
            user: "anna".to_owned(),
            id: id.to_owned(),
            outcome,
        };
        self.inputs.send(sent).await.expect("it runs");
    }
}

#[tokio::test]
async fn a_text_outlives_a_crash_and_comes_once() {
    let disk = Arc::new(Disk::default());
    let mut first = run(&disk);
    first.put(1, "n1", "one").await;
    assert_eq!(first.next().await.0, "202");
    let (said, id) = first.next().await;
    assert_eq!(said, "anna: one");
    first.put(2, "n2", "two").await;
    assert_eq!(first.next().await.0, "202", "and it waits for its turn");
    drop(first);
    // The phone has had the first one or not: it goes under the same name, which the phone knows.
    let mut second = run(&disk);
    assert_eq!(second.next().await, ("anna: one".to_owned(), id.clone()));
    second.put(3, "n1", "one").await;
    assert_eq!(
        second.next().await.0,
        "202",
        "the sender did not hear the first answer"
    );
    second.sent(&id, Outcome::Delivered).await;
    let (said, id) = second.next().await;
    assert_eq!(said, "anna: two");
    second.sent(&id, Outcome::Delivered).await;
    second.put(4, "n3", "three").await;
    assert_eq!(second.next().await.0, "202");
    assert_eq!(second.next().await.0, "anna: three");
    drop(second);
    let mut third = run(&disk);
    assert_eq!(third.next().await.0, "anna: three");
}

#[tokio::test]
async fn what_the_disk_does_not_take_is_not_taken() {
    let disk = Arc::new(Disk::default());
    let mut rig = run(&disk);
    // Read it was, so it is the writing that fails.
    rig.put(0, "n0", "none").await;
    assert_eq!(rig.next().await.0, "202");
    let (said, id) = rig.next().await;
    assert_eq!(said, "anna: none");
    rig.sent(&id, Outcome::Delivered).await;
    rig.disk.set_broken("anna", true);
    rig.put(1, "n1", "one").await;
    assert_eq!(rig.next().await.0, "503");
    rig.disk.set_broken("anna", false);
    rig.put(2, "n1", "one").await;
    assert_eq!(rig.next().await.0, "202");
    assert_eq!(rig.next().await.0, "anna: one");
}

#[tokio::test]
async fn a_long_text_goes_in_parts_and_one_that_is_refused_is_told_to_its_sender() {
    let disk = Arc::new(Disk::default());
    let mut rig = run(&disk);
    let long = "This is a sentence of a long text. ".repeat(40);
    rig.put(1, "n1", &long).await;
    assert_eq!(rig.next().await.0, "202");
    let (said, id) = rig.next().await;
    assert!(
        said.len() <= "anna: ".len() + PART_BYTES_MAX && said.ends_with('.'),
        "{said}"
    );
    rig.sent(&id, Outcome::Delivered).await;
    assert!(rig.next().await.0.starts_with("anna: This is a sentence"));

    let disk = Arc::new(Disk::default());
    let mut rig = run(&disk);
    let mut texts = parts("anna", "hello");
    texts[0].sender = Some("anna".to_owned());
    let put = Input::Put {
        name: "n".to_owned(),
        for_users: vec![("ben".to_owned(), texts)],
        reply: nobody(),
    };
    rig.inputs.send(put).await.expect("it runs");
    let (said, id) = rig.next().await;
    assert_eq!(said, "ben: hello");
    let sent = Input::Sent {
        user: "ben".to_owned(),
        id,
        outcome: Outcome::Refused(415),
    };
    rig.inputs.send(sent).await.expect("it runs");
    let told = rig.next().await.0;
    assert!(
        told.starts_with("anna: [Offhook] Your text to ben was not delivered"),
        "{told}"
    );
}

#[tokio::test]
async fn a_phone_that_knows_no_envelopes_gets_what_is_in_them() {
    let disk = Arc::new(Disk::default());
    let mut rig = run(&disk);
    let envelope = instant::Envelope::default();
    let mut texts = parts("ben", "hello");
    texts[0].content_type = instant::CPIM.to_owned();
    texts[0].body = instant::wrap(&envelope, "2026-01-01T00:00:00Z", instant::PLAIN, "hello");
    let put = Input::Put {
        name: "n".to_owned(),
        for_users: vec![("anna".to_owned(), texts)],
        reply: nobody(),
    };
    rig.inputs.send(put).await.expect("it runs");
    let (said, id) = rig.next().await;
    assert!(said.contains("Content-Type"), "{said}");
    rig.sent(&id, Outcome::Refused(415)).await;
    let (said, again) = rig.next().await;
    assert_eq!(said, "anna: hello");
    assert_ne!(again, id);
}

#[tokio::test]
async fn the_hub_delivers_through_the_channel_and_is_asked_through_it() {
    let disk = Arc::new(Disk::default());
    let mut rig = run(&disk);
    let message = Outbound {
        id: "d1".to_owned(),
        place: "anna".to_owned(),
        body: OutBody::Text("Four.".to_owned()),
        reply_to: Some("00ff@200".to_owned()),
        is_repeat: false,
    };
    assert_eq!(
        rig.channel.deliver(&message).await,
        Ok(Some("d1".to_owned()))
    );
    let id = match rig.commands.recv().await {
        Some(Command::SendText { text, .. }) => {
            assert_eq!((text.number.as_str(), text.body.as_str()), ("200", "Four."));
            text.id
        }
        other => panic!("{other:?}"),
    };
    assert!(
        rig.taken.lock().expect("whole").is_empty(),
        "no phone has it"
    );
    rig.sent(&id, Outcome::Delivered).await;
    while rig.taken.lock().expect("whole").is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*rig.taken.lock().expect("whole"), ["d1"]);
    // Offered again after a crash of the hub: once is enough.
    assert_eq!(
        rig.channel.deliver(&message).await,
        Ok(Some("d1".to_owned()))
    );

    let inbound = |id: &str| Inbound {
        id: id.to_owned(),
        from: agent_bridge::channels::Address {
            channel: "sip",
            id: "anna".to_owned(),
        },
        place: "anna".to_owned(),
        shown_name: "Anna".to_owned(),
        to: "100".to_owned(),
        at_unix_ms: 1,
        body: agent_bridge::channels::Body::Text("two and two?".to_owned()),
        edits: None,
    };
    let ask = |id: &str| Input::Ask {
        text: TextKey(7),
        message: Box::new(inbound(id)),
        receipts: vec![Live {
            user: "anna".to_owned(),
            number: "100".to_owned(),
            content_type: instant::CPIM,
            body: "receipt".to_owned(),
            domain: None,
        }],
    };
    // Nobody listens yet.
    rig.inputs.send(ask("a@100")).await.expect("it runs");
    assert_eq!(rig.next().await.0, "503");
    let (inbox, mut arrivals) = mpsc::channel(4);
    let running = tokio::spawn(rig.channel.clone().run(inbox));
    while rig.channel.inbox().is_none() {
        tokio::task::yield_now().await;
    }
    for (answer, status) in [
        (Ok(()), "200"),
        (Err(NotKept::Busy), "503"),
        (Err(NotKept::Full), "480"),
        (Err(NotKept::Stranger), "403"),
    ] {
        rig.inputs.send(ask("b@100")).await.expect("it runs");
        let arrival = arrivals.recv().await.expect("a message");
        assert_eq!(arrival.message, inbound("b@100"));
        arrival.kept.send(answer).expect("it waits");
        assert_eq!(rig.next().await.0, status);
        if status == "200" {
            assert_eq!(
                rig.next().await,
                (instant::CPIM.to_owned(), "receipt".to_owned())
            );
        }
    }
    running.abort();
    let _ = running.await;
    assert!(rig.channel.inbox().is_none());
}

/// An office that does nothing by itself.
fn still(disk: &Arc<Disk>) -> (Office, mpsc::Receiver<Command>) {
    let (commands, told) = mpsc::channel(64);
    let office = Office {
        disk: disk.clone(),
        on_taken: Box::new(|_| ()),
        channel: TextChannel::new(mpsc::channel(1).0),
        commands,
        shelves: BTreeMap::new(),
    };
    (office, told)
}

/// From Carl, who hears what becomes of it.
fn from_carl(key: u64, name: &str, users: &[&str], texts: usize) -> Input {
    let one = |n: usize| Text {
        id: format!("{name}-{n}"),
        sender: Some("carl".to_owned()),
        ..parts("carl", "hello").remove(0)
    };
    let all = || (0..texts).map(one).collect();
    Input::Put {
        name: name.to_owned(),
        for_users: users
            .iter()
            .map(|user| ((*user).to_owned(), all()))
            .collect(),
        reply: Reply::Phone(TextKey(key)),
    }
}

/// Statuses by key, in order.
fn statuses(told: &mut mpsc::Receiver<Command>) -> Vec<(u64, u16)> {
    let mut found = Vec::new();
    while let Ok(command) = told.try_recv() {
        if let Command::AnswerText { text, status, .. } = command {
            found.push((text.0, status));
        }
    }
    found
}

/// What waits for a person.
fn waiting(office: &mut Office, user: &str) -> Vec<String> {
    let shelf = office.shelves.entry(user.to_owned()).or_default();
    let kept = serde_json::to_value(shelf).expect("plain values");
    let texts = kept["texts"].as_array().cloned().unwrap_or_default();
    let body = |text: &serde_json::Value| text["body"].as_str().unwrap_or_default().to_owned();
    texts.iter().map(body).collect()
}

async fn round(office: &mut Office, mut inputs: Vec<Input>) {
    office.round(&mut inputs, BTreeSet::new()).await;
}

#[tokio::test]
async fn a_text_to_several_is_taken_where_one_of_them_takes_it() {
    let disk = Arc::new(Disk::default());
    let (mut office, mut told) = still(&disk);
    round(&mut office, vec![from_carl(1, "many", &["anna"], 100)]).await;
    let group = || from_carl(2, "group", &["anna", "ben"], 1);
    round(&mut office, vec![group()]).await;
    // The answer was lost: the same again changes nothing.
    round(&mut office, vec![group()]).await;
    round(&mut office, vec![from_carl(3, "alone", &["anna"], 1)]).await;
    assert_eq!(
        statuses(&mut told),
        [(1, 202), (2, 202), (2, 202), (3, 480)]
    );
    assert_eq!(waiting(&mut office, "ben"), ["hello"]);
    let notice = format!("[Offhook] Your text to anna was not delivered: {FULL}.");
    assert_eq!(waiting(&mut office, "carl"), [notice]);
}

#[tokio::test]
async fn a_message_for_the_box_is_left_when_it_is_new_and_kept() {
    let disk = Arc::new(Disk::default());
    let (mut office, mut told) = still(&disk);
    let left = |name: &str| Input::Put {
        name: name.to_owned(),
        for_users: vec![("anna".to_owned(), parts("carl", "hello"))],
        reply: Reply::Box {
            text: TextKey(1),
            caller: "carl".to_owned(),
        },
    };
    let full = || from_carl(2, "many", &["anna"], 99);
    disk.set_broken("anna", true);
    round(&mut office, vec![left("first")]).await;
    disk.set_broken("anna", false);
    for input in [left("first"), left("first"), full(), left("second")] {
        round(&mut office, vec![input]).await;
    }
    let mut said = Vec::new();
    while let Ok(command) = told.try_recv() {
        said.push(match command {
            Command::MessageLeft { is_kept, .. } => u16::from(is_kept),
            Command::AnswerText { status, .. } => status,
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(said, [0, 503, 1, 202, 0, 202, 202, 0, 480]);
}

#[tokio::test]
async fn a_shelf_that_cannot_be_written_is_no_other_ones_affair() {
    let disk = Arc::new(Disk::default());
    let (mut office, mut told) = still(&disk);
    let all = ["anna", "ben", "carl"].map(str::to_owned);
    for user in &all {
        office.load(user).await.expect("a disk");
    }
    disk.set_broken("anna", true);
    let both = from_carl(3, "both", &["anna", "ben"], 1);
    let inputs = vec![
        from_carl(1, "first", &["anna"], 1),
        from_carl(2, "second", &["ben"], 1),
        both,
        from_carl(4, "second", &["ben"], 1),
    ];
    round(&mut office, inputs).await;
    assert_eq!(
        statuses(&mut told),
        [(1, 503), (2, 202), (3, 202), (4, 202)]
    );
    assert_eq!(waiting(&mut office, "anna"), Vec::<String>::new());
    let notice = format!("[Offhook] Your text to anna was not delivered: {BROKEN}.");
    assert_eq!(waiting(&mut office, "carl"), [notice]);
    let on_disk = disk
        .kept
        .lock()
        .expect("no panics")
        .get(&key("carl"))
        .cloned();
    assert!(on_disk.is_some_and(|kept| kept.contains("not delivered")));
    disk.set_broken("anna", false);
    round(&mut office, vec![from_carl(5, "first", &["anna"], 1)]).await;
    assert_eq!(statuses(&mut told), [(5, 202)], "as if it had never come");
    assert_eq!(waiting(&mut office, "anna"), ["hello"]);
}

#[tokio::test]
async fn a_shelf_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let disk = Arc::new(Disk::default());
    let keep = |user: &str, text: &str| {
        let mut kept = disk.kept.lock().expect("no panics");
        kept.insert(key(user), text.to_owned());
    };
    let kept = |user: &str| {
        disk.kept
            .lock()
            .expect("no panics")
            .get(&key(user))
            .cloned()
    };
    keep("anna", "{\"texts\":[{\"id\":");
    let mut old = Shelf::default();
    old.put("old", parts("carl", "an old one"));
    let old = serde_json::to_string(&old).expect("plain values");
    keep("ben", &old);
    disk.set_broken("ben", true);
    let (mut office, mut told) = still(&disk);
    let inputs = vec![
        from_carl(1, "one", &["anna"], 1),
        from_carl(2, "two", &["ben"], 1),
        Input::Phone {
            user: "ben".to_owned(),
            is_new: true,
        },
    ];
    round(&mut office, inputs).await;
    assert_eq!(statuses(&mut told), [(1, 202), (2, 503)]);
    assert_eq!(kept("ben"), Some(old), "untouched");
    let aside = disk.aside.lock().expect("no panics").clone();
    assert_eq!(aside, ["{\"texts\":[{\"id\":"], "kept for its owner");
    disk.set_broken("ben", false);
    round(&mut office, vec![from_carl(3, "two", &["ben"], 1)]).await;
    assert_eq!(statuses(&mut told), [(3, 202)]);
    assert_eq!(waiting(&mut office, "ben"), ["an old one", "hello"]);
}

#[tokio::test]
async fn who_wrote_what_nobody_took_for_a_week_is_told() {
    let disk = Arc::new(Disk::default());
    let (mut office, _told) = still(&disk);
    let inputs = vec![
        from_carl(1, "a", &["anna"], 1),
        from_carl(2, "b", &["ben"], 3),
    ];
    round(&mut office, inputs).await;
    let mut changed = BTreeSet::new();
    office.expire(&mut changed).await;
    assert_eq!(changed, BTreeSet::new(), "a week is not over");
    for shelf in office.shelves.values_mut() {
        let mut kept = serde_json::to_value(&*shelf).expect("plain values");
        let texts = kept["texts"].as_array_mut().into_iter().flatten();
        texts.for_each(|text| text["at_unix_ms"] = 0.into());
        *shelf = serde_json::from_value(kept).expect("our own");
    }
    office.expire(&mut changed).await;
    assert_eq!(changed, ["anna", "ben", "carl"].map(str::to_owned).into());
    let why = "not delivered: no phone took it within a week.";
    let notices = [
        format!("[Offhook] Your text to anna was {why}"),
        format!("[Offhook] Your texts to ben were {why}"),
    ];
    assert_eq!(waiting(&mut office, "carl"), notices);
}

#[tokio::test]
async fn notices_go_under_the_name_that_the_phone_has_for_us() {
    let disk = Arc::new(Disk::default());
    let (mut office, mut told) = still(&disk);
    let anna = || "anna".to_owned();
    let live = Live {
        user: anna(),
        number: "ben".to_owned(),
        content_type: instant::COMPOSING,
        body: String::new(),
        domain: None,
    };
    let inputs = vec![
        Input::Domain {
            user: anna(),
            domain: "home.example".to_owned(),
        },
        Input::Live(live),
        Input::Typing {
            user: anna(),
            is_on: true,
        },
    ];
    round(&mut office, inputs).await;
    for _ in 0..2 {
        let Ok(Command::SendLive(live)) = told.try_recv() else {
            panic!("a notice");
        };
        assert_eq!(live.domain.as_deref(), Some("home.example"));
    }
}
