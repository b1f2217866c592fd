//! Texts in figures: messages a second that are on disk when they are promised, beside bare inserts into the same kind of file
//! in the same run; and 200 answers streamed at once, beside one.
//!
//! `cargo bench --bench chat [-- --messages N] [--streams N]`

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_bridge::channels::{Address, Body, Inbound};
use agent_bridge::gateways::GatewayEvent;
use agent_bridge::gateways::fake::{FakeGateway, FakeStep};
use agent_bridge::levels::Level;
use offhook::agents::{Agents, Profile};
use offhook::approvals::{Approvals, OfficePlan, Ruling};
use offhook::config::Config;
use offhook::hub::{Hub, HubParts, Live, NoSounds};
use offhook::records::Recorder;
use offhook::store::{MessageRow, Role, Store};

/// An answer as a model of middling speed gives it.
const PIECES: usize = 60;
const PIECE_EVERY: Duration = Duration::from_millis(20);
const ASKED_AT_ONCE: usize = 64;

fn number(name: &str, otherwise: usize) -> usize {
    let arguments: Vec<String> = std::env::args().collect();
    let found = arguments.windows(2).find(|pair| pair[0] == name);
    found
        .and_then(|pair| pair[1].parse().ok())
        .unwrap_or(otherwise)
}

fn script(is_instant: bool) -> Vec<FakeStep> {
    let text = |n: usize| FakeStep::Send(GatewayEvent::Text(format!("word {n} ")));
    let mut steps = Vec::new();
    match is_instant {
        true => steps.push(text(0)),
        false => {
            for n in 0..PIECES {
                steps.extend([FakeStep::Wait(PIECE_EVERY), text(n)]);
            }
        }
    }
    steps.push(FakeStep::Send(GatewayEvent::Done { usage: None }));
    steps
}

struct Rig {
    hub: Hub,
    folder: std::path::PathBuf,
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn folder(name: &str) -> std::path::PathBuf {
    let path =
        std::env::temp_dir().join(format!("offhook-bench-chat-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).expect("the temporary folder is writable");
    path
}

fn rig(name: &str, accounts: usize, scripts: Vec<Vec<FakeStep>>) -> Rig {
    let folder = folder(name);
    let text =
        "[text]\nmessages_per_minute = 1000\nwaiting_max = 1000\n[levels]\ndefault = 'family'";
    let (config, _) = Config::parse(text, &[]).expect("a config");
    let accounts: Vec<String> = (0..accounts).map(|n| format!("user{n}")).collect();
    let store = Store::open(&folder.join("a.db")).expect("a store");
    let saved = offhook::hub::load(&store).expect("a store");
    let (recorder, _) = Recorder::start(store, true).expect("a thread");
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
        gateway: Arc::new(FakeGateway::new(scripts)),
        system_prompt: String::new(),
        greeting: String::new(),
        levels: vec![Level::Owner, Level::Family],
        session: None,
    };
    let (hub, _) = Hub::start(HubParts {
        config,
        accounts,
        recorder,
        agents: Agents::new(profile, Vec::new(), None),
        approvals,
        desk: None,
        sounds: Arc::new(NoSounds),
        folder: folder.join("voice"),
        saved,
    });
    Rig { hub, folder }
}

fn message(who: usize, n: usize) -> Inbound {
    let id = format!("user{who}");
    Inbound {
        id: format!("{who}-{n}"),
        from: Address {
            channel: "web",
            id: id.clone(),
        },
        place: id,
        shown_name: String::new(),
        to: String::new(),
        at_unix_ms: 0,
        body: Body::Text(format!(
            "This is message {n}, of a usual length for a chat."
        )),
        edits: None,
    }
}

/// Inserts a second, one transaction each, on this thread.
fn bare(count: usize) -> f64 {
    let folder = folder("bare");
    let mut store = Store::open(&folder.join("a.db")).expect("a store");
    let began = Instant::now();
    for n in 0..count {
        let row = MessageRow {
            conversation: format!("user{}/agent", n % 100),
            role: Role::Caller,
            text: format!("This is message {n}, of a usual length for a chat."),
            heard: None,
            at_unix_ms: n as u64,
            call: None,
            channel: "web".to_owned(),
        };
        store.add_message(&row).expect("a store");
    }
    let took = began.elapsed();
    let _ = std::fs::remove_dir_all(folder);
    count as f64 / took.as_secs_f64()
}

/// Messages a second, promised; each is answered at once besides, in a transaction of its own.
async fn promised(count: usize) -> f64 {
    let senders = 100;
    let rig = rig("promised", senders, vec![script(true); count]);
    let began = Instant::now();
    let messages = futures_util::stream::iter((0..count).map(|n| {
        let hub = rig.hub.clone();
        async move { hub.receive(message(n % senders, n)).await.expect("taken") }
    }));
    use futures_util::StreamExt as _;
    messages
        .buffer_unordered(ASKED_AT_ONCE)
        .for_each(|_| async {})
        .await;
    count as f64 / began.elapsed().as_secs_f64()
}

/// How long until the last of so many answers is on disk, and the longest silence within any of them.
async fn streamed(count: usize) -> (Duration, Duration) {
    let rig = rig("streamed", count, vec![script(false); count]);
    let began = Instant::now();
    let readers: Vec<_> = (0..count)
        .map(|who| {
            let (hub, mut live) = (rig.hub.clone(), rig.hub.live(&format!("user{who}")));
            tokio::spawn(async move {
                hub.receive(message(who, 0)).await.expect("taken");
                let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
                loop {
                    match live.recv().await.expect("it goes on") {
                        Live::Delta { .. } => {
                            longest = longest.max(last.elapsed());
                            last = Instant::now();
                        }
                        Live::Done { .. } => return longest,
                        _ => {}
                    }
                }
            })
        })
        .collect();
    let mut longest = Duration::ZERO;
    for reader in readers {
        longest = longest.max(reader.await.expect("no panic"));
    }
    (began.elapsed(), longest)
}

fn main() {
    let (messages, streams) = (number("--messages", 5_000), number("--streams", 200));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let bare = bare(messages);
    let promised = runtime.block_on(promised(messages));
    println!(
        "messages a second, on disk: {promised:.0} promised (and answered); {bare:.0} bare inserts; {:.2} of those",
        promised / bare
    );
    let (one, one_gap) = runtime.block_on(streamed(1));
    let (all, all_gap) = runtime.block_on(streamed(streams));
    println!(
        "answers of {PIECES} pieces: one alone {} ms, longest silence {} ms; {streams} at once {} ms, {} ms; {:.2} times as long",
        one.as_millis(),
        one_gap.as_millis(),
        all.as_millis(),
        all_gap.as_millis(),
        all.as_secs_f64() / one.as_secs_f64(),
    );
}
