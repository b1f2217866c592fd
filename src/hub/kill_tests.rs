//! The hub when its process is killed: what was promised is answered, and seen once. The test runs itself again as the
//! process to be killed. Its network is a fake: two files in a folder, one with what people write, one with what they were
//! sent; like a Matrix server it knows a delivery by its id and takes it once.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use agent_bridge::channels::{Arrival, DeliveryError, OutBody, Outbound};
use agent_bridge::levels::Level;

use super::tests::{Echo, PATIENCE, text};
use super::*;
use crate::agents::{Agents, Profile};
use crate::approvals::{Approvals, OfficePlan, Ruling};
use crate::config::Config;
use crate::store::Store;
use crate::testing::Scratch;

const CHILD: &str = "OFFHOOK_KILL_TEST_HUB";
const MESSAGES: usize = 60;
const HOUSE: &str = "[text]\nmessages_per_minute = 1000\nwaiting_max = 1000\n[[users]]\nname = 'anna'\nlevel = 'owner'";

/// The fake network.
struct Files(PathBuf);

impl Files {
    fn lines(folder: &Path, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        // A line that was cut by the kill does not count.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    fn add(&self, name: &str, line: &str) {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.0.join(name));
        let line = format!("{line}\n");
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("a file");
    }
}

impl Channel for Files {
    fn name(&self) -> &'static str {
        "sip"
    }

    /// Offers each message again until it is promised.
    fn run(self: Arc<Self>, inbox: mpsc::Sender<Arrival>) -> BoxFuture<'static, ()> {
        async move {
            let promised = Files::lines(&self.0, "promised").len();
            for n in promised..MESSAGES {
                // The one before is offered once more: the other side may have missed that it was promised.
                for n in [n.saturating_sub(1), n] {
                    let (kept, told) = oneshot::channel();
                    let message = text("sip", "anna", &format!("m{n}"), &format!("slow {n}"));
                    let _ = inbox.send(Arrival { message, kept }).await;
                    if told.await != Ok(Ok(())) {
                        return;
                    }
                }
                self.add("promised", &n.to_string());
            }
        }
        .boxed()
    }

    fn deliver<'a>(
        &'a self,
        message: &'a Outbound,
    ) -> BoxFuture<'a, Result<Option<String>, DeliveryError>> {
        async move {
            let OutBody::Text(text) = &message.body else {
                return Ok(None);
            };
            let known = Files::lines(&self.0, "sent");
            if !known
                .iter()
                .any(|line| line.starts_with(&format!("{} ", message.id)))
            {
                self.add("sent", &format!("{} {text}", message.id));
            }
            self.add("attempts", &message.id);
            // Where a kill hurts most.
            tokio::time::sleep(Duration::from_millis(3)).await;
            Ok(None)
        }
        .boxed()
    }

    fn standing(&self) -> String {
        "two files".to_owned()
    }
}

/// Does nothing by itself; as the child it answers until all is answered or it is killed.
#[tokio::test]
async fn child_that_answers_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let store = Store::open(&folder.join("a.db")).expect("a store");
    let saved = load(&store).expect("a store");
    let (recorder, _) = Recorder::start(store, true).expect("a thread");
    let (config, _) = Config::parse(HOUSE, &[]).expect("a config");
    let accounts = vec!["anna".to_owned()];
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
        gateway: Echo::new(),
        system_prompt: String::new(),
        greeting: String::new(),
        levels: vec![Level::Owner],
        session: None,
    };
    let (hub, _) = Hub::start(HubParts {
        config,
        accounts,
        recorder: recorder.clone(),
        agents: Agents::new(profile, Vec::new(), None),
        approvals,
        desk: None,
        sounds: Arc::new(NoSounds),
        folder: folder.join("voice"),
        saved,
    });
    hub.attach(Arc::new(Files(folder.clone())));
    let until = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < until {
        let waiting = recorder.ask(|store| store.load_texts(1)).await;
        if let Ok(texts) = waiting
            && texts.inbox.is_empty()
            && texts.outbox.is_empty()
            && Files::lines(&folder, "promised").len() == MESSAGES
        {
            Files(folder).add("done", "done");
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn kill_loses_nothing_that_was_promised_and_repeats_nothing() {
    let scratch = Scratch::new("hub-kill");
    let folder = scratch.path();
    let mut kills = 0;
    // Killed sooner and later: at its start, and in the middle of everything.
    for round in 0..200 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args([
                "--exact",
                "hub::kill_tests::child_that_answers_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD, folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let attempts = Files::lines(folder, "attempts").len();
        let goal = attempts + 1 + round % 7;
        let began = std::time::Instant::now();
        loop {
            let is_done = !Files::lines(folder, "done").is_empty();
            if is_done
                || Files::lines(folder, "attempts").len() >= goal
                || began.elapsed() > PATIENCE
            {
                break;
            }
            std::thread::yield_now();
        }
        child.kill().expect("a child");
        child.wait().expect("a child");
        kills += 1;
        if !Files::lines(folder, "done").is_empty() {
            break;
        }
    }
    assert!(kills > 5, "it was killed {kills} times");
    let sent = Files::lines(folder, "sent");
    let words: Vec<&str> = sent
        .iter()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, words)| words)
        .collect();
    let expected: Vec<String> = (0..MESSAGES)
        .map(|n| format!("You said: slow {n}"))
        .collect();
    assert_eq!(words, expected, "each once, and in order");
    let store = Store::open(&folder.join("a.db")).expect("a store");
    let kept = store.history("anna/agent", None, 1_000).expect("a store");
    assert_eq!(kept.len(), 2 * MESSAGES, "recorded once");
}
