//! The office with a disk of its own: nothing is said before it is kept, nothing that is kept is lost or doubled by a crash.

use std::collections::HashMap;

use agent_bridge::channels::MemoryError;

use super::*;

/// A disk that can refuse.
#[derive(Default)]
struct Disk {
    kept: Mutex<HashMap<String, String>>,
    is_full: std::sync::atomic::AtomicBool,
}

impl Memory for Disk {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<String>> {
        async move { self.kept.lock().expect("no panics").get(key).cloned() }.boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), MemoryError>> {
        async move {
            if self.is_full.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(MemoryError);
            }
            let mut kept = self.kept.lock().expect("no panics");
            kept.insert(key.to_owned(), value.to_owned());
            Ok(())
        }
        .boxed()
    }
}

struct Rig {
    disk: Arc<Disk>,
    channel: Arc<TextChannel>,
    inputs: mpsc::Sender<Input>,
    commands: mpsc::Receiver<Command>,
}

/// A run of the program on this disk.
fn run(disk: &Arc<Disk>) -> Rig {
    let (tell, commands) = mpsc::channel(64);
    let memory: Arc<dyn Memory> = disk.clone();
    let (channel, inputs) = Office::start(memory, tell, vec!["anna".to_owned()]);
    Rig {
        disk: disk.clone(),
        channel: Arc::new(channel),
        inputs,
        commands,
    }
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
    rig.disk
        .is_full
        .store(true, std::sync::atomic::Ordering::Relaxed);
    rig.put(1, "n1", "one").await;
    assert_eq!(rig.next().await.0, "503");
    rig.disk
        .is_full
        .store(false, std::sync::atomic::Ordering::Relaxed);
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
        reply: Reply::Nobody,
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
        reply: Reply::Nobody,
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
    match rig.commands.recv().await {
        Some(Command::SendText { text, .. }) => {
            assert_eq!((text.number.as_str(), text.body.as_str()), ("200", "Four."));
        }
        other => panic!("{other:?}"),
    }
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
