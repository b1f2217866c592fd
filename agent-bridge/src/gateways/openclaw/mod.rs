//! OpenClaw as the one who answers, over its own WebSocket and with nothing installed there, or our plugin: a question is
//! a message in the caller's voice conversation, its reply is spoken as it streams, tools are told, and what comes late is news. Owns
//! the waits and what is remembered of each conversation; the link is `crate::openclaw`'s, the texts are `words`'s.
//!
//! Asking has consequences: OpenClaw keeps a transcript and runs tools. So nothing is asked before the caller's turn is
//! over. A reply that is called off is aborted there. One that takes too long while a tool is at work is left alone: its
//! result comes as news.

mod handing;
mod reply;
mod rows;
mod through_proxy;
mod words;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;

use super::{
    AskHandle, AskRequest, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo, Told,
};
use crate::approvals::{ApprovalEvent, ApprovalId, ApprovalKind, Decision};
use crate::openclaw::client::address;
use crate::openclaw::{
    Client, ClientConfig, ConfigError, Hello, LinkError, LinkState, QueueMode, RunEvent,
};
use reply::{Ending, Going};
use rows::{Known, question_of};
use words::{FirstLine, Reply, late, message, session_key, warmup_key};

/// Conversations that are remembered; the one that was silent longest is forgotten, and with it a note at most.
const MEMORY_MAX: usize = 1_024;
/// A message that the gateway ends without taking it up, as it does after a restart, is sent again after these.
pub(super) const AGAIN_AFTER: [Duration; 2] = [Duration::ZERO, Duration::from_millis(1_500)];
/// After such a silence the agent is told again that it is on the telephone.
const FORGETS_AFTER: Duration = Duration::from_secs(600);
const WARM_EVERY: Duration = Duration::from_secs(60);
const WARM_TIMEOUT: Duration = Duration::from_secs(60);
/// An answer of one word ends by itself within this time. One that is aborted leaves a note before the next message.
const WARM_REST: Duration = Duration::from_millis(500);
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);
const APPROVALS_MAX: usize = 64;
const NEWS_MAX: usize = 8;

/// Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenClawConfig {
    /// The agent's id there; empty: the gateway's default one.
    pub agent: String,
    /// For a link that is down when a question comes.
    pub connect_timeout_ms: u32,
    /// From the question to the first word or tool.
    pub first_token_timeout_ms: u32,
    /// Between two pieces of a reply, while no tool is at work.
    pub idle_timeout_ms: u32,
    /// Of one stretch of reply without a tool at work.
    pub total_timeout_ms: u32,
}

impl Default for OpenClawConfig {
    fn default() -> OpenClawConfig {
        OpenClawConfig {
            agent: String::new(),
            connect_timeout_ms: 1_500,
            first_token_timeout_ms: 15_000,
            idle_timeout_ms: 20_000,
            total_timeout_ms: 120_000,
        }
    }
}

/// One agent of an OpenClaw gateway.
#[derive(Clone)]
pub struct OpenClaw {
    link: Arc<SharedLink>,
    config: Arc<OpenClawConfig>,
}

/// What all agents of one gateway share.
struct SharedLink {
    config: ClientConfig,
    shown: String,
    client: OnceLock<Result<Client, LinkError>>,
    approvals: broadcast::Sender<ApprovalEvent>,
    memory: Mutex<HashMap<String, Memory>>,
    rng: Mutex<StdRng>,
    warmed_at: Mutex<Option<Instant>>,
    log: OnceLock<fn(&str)>,
}

/// What is known of a conversation, by its key.
#[derive(Debug, Clone)]
struct Memory {
    session: String,
    /// When it was last of any use.
    seen_at: Instant,
    /// When the gateway last took a message of it. None: it has taken none.
    taken_at: Option<Instant>,
    /// Its transcript.
    known: Known,
}

impl OpenClaw {
    /// Connects when it is first needed. `seed` makes the names of the runs.
    pub fn new(
        client: ClientConfig,
        config: OpenClawConfig,
        seed: [u8; 32],
    ) -> Result<OpenClaw, ConfigError> {
        let url = address(&client.url)?;
        client.key_file.key()?;
        let port = url
            .port_or_known_default()
            .map_or(String::new(), |port| format!(":{port}"));
        let (approvals, _) = broadcast::channel(APPROVALS_MAX);
        Ok(OpenClaw {
            link: Arc::new(SharedLink {
                shown: format!(
                    "{}://{}{port}",
                    url.scheme(),
                    url.host_str().unwrap_or_default()
                ),
                config: client,
                client: OnceLock::new(),
                approvals,
                memory: Mutex::default(),
                rng: Mutex::new(StdRng::from_seed(seed)),
                warmed_at: Mutex::default(),
                log: OnceLock::new(),
            }),
            config: Arc::new(config),
        })
    }

    /// Another agent behind the same link.
    pub fn for_agent(&self, config: OpenClawConfig) -> OpenClaw {
        OpenClaw {
            link: self.link.clone(),
            config: Arc::new(config),
        }
    }

    /// Where a line goes that the owner is to know of. The first call counts.
    pub fn log_to(&self, log: fn(&str)) {
        let _ = self.link.log.set(log);
    }

    /// The link itself. To be called on the tokio runtime.
    pub fn client(&self) -> Result<&Client, LinkError> {
        self.link.client()
    }

    fn agent<'a>(&'a self, hello: &'a Hello) -> &'a str {
        match self.config.agent.as_str() {
            "" => &hello.default_agent,
            agent => agent,
        }
    }

    /// Once the gateway has greeted.
    async fn key_of(&self, client: &Client, session: &str) -> Option<String> {
        let mut state = client.state();
        let is_ready = |state: &LinkState| matches!(state, LinkState::Ready(_));
        match &*state.wait_for(is_ready).await.ok()? {
            LinkState::Ready(hello) => Some(session_key(self.agent(hello), session)),
            _ => None,
        }
    }

    async fn converse(
        &self,
        request: AskRequest,
        told: watch::Receiver<Told>,
        events: &mpsc::Sender<GatewayEvent>,
    ) {
        let outcome = tokio::select! {
            () = events.closed() => return,
            outcome = self.answer(request, told, events) => outcome,
        };
        let event = match outcome {
            Ok(()) => GatewayEvent::Done { usage: None },
            Err(error) => GatewayEvent::Failed(error),
        };
        let _ = events.send(event).await;
    }

    async fn answer(
        &self,
        request: AskRequest,
        mut told: watch::Receiver<Told>,
        events: &mpsc::Sender<GatewayEvent>,
    ) -> Result<(), GatewayError> {
        // A guess would be in the transcript, and its tools would run.
        if request.speculative {
            let committed = told.wait_for(|told| told.is_committed).await;
            committed.map_err(|_| GatewayError::Cut)?;
        }
        let began = Instant::now();
        let client = self.client()?;
        let question = question_of(&request.messages);
        let hello = match client.ready(ms(self.config.connect_timeout_ms)).await {
            Ok(hello) => hello,
            Err(error) => {
                let key = self.known_key(&request.session);
                self.missed(&key, &request.session, &question);
                return Err(error.into());
            }
        };
        let key = session_key(self.agent(&hello), &request.session);
        // Before it is sent: what it asks for leave to do must find the call.
        let earlier = self.link.know(&key, &request.session);
        let is_first = earlier
            .taken_at
            .is_none_or(|at| began.duration_since(at) > FORGETS_AFTER);
        let known = earlier.known;
        let is_told = self
            .hand_over(client, &hello, &key, &known, &request.messages)
            .await;
        let reply = known.reply.filter(|_| !is_told);
        let text = message(&request.messages, reply.as_ref(), is_first);
        // Until it is taken.
        self.missed(&key, &request.session, &question);
        let run = self.link.new_run();
        let mut going = Going {
            link: &self.link,
            config: &self.config,
            client,
            key,
            session: request.session,
            run,
            question,
            message: text,
            ignored: 0,
            reply: Reply {
                text: String::new(),
                is_aborted: true,
            },
            ending: Ending::Abort,
            events,
            first_line: FirstLine::default(),
            tools: 0,
            waits: false,
            is_started: false,
            has_begun: false,
        };
        let incoming = going.send().await?;
        going.follow(began, incoming).await
    }
}

impl SharedLink {
    fn client(self: &Arc<Self>) -> Result<&Client, LinkError> {
        let client = self.client.get_or_init(|| {
            // Both were tried when this was made.
            let client = Client::start(self.config.clone()).map_err(|_| LinkError::Stopped)?;
            tokio::spawn(translate(client.approvals(), Arc::downgrade(self)));
            Ok(client)
        });
        client.as_ref().map_err(LinkError::clone)
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, HashMap<String, Memory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a conversation; from now on at least whose it is.
    fn know(&self, key: &str, session: &str) -> Memory {
        let mut all = self.memory();
        if all.len() >= MEMORY_MAX && !all.contains_key(key) {
            let oldest = all.iter().min_by_key(|(_, memory)| memory.seen_at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                all.remove(&oldest);
            }
        }
        let now = Instant::now();
        let known = all.entry(key.to_owned()).or_insert_with(|| Memory {
            session: String::new(),
            seen_at: now,
            taken_at: None,
            known: Known::default(),
        });
        session.clone_into(&mut known.session);
        known.seen_at = now;
        known.clone()
    }

    /// The gateway has taken a message of this conversation, and this came of it.
    fn remember(&self, key: &str, session: &str, known: Known) {
        self.know(key, session);
        self.update(key, |memory| {
            memory.taken_at = Some(Instant::now());
            memory.known = known;
        });
    }

    fn update(&self, key: &str, change: impl FnOnce(&mut Memory)) {
        if let Some(memory) = self.memory().get_mut(key) {
            change(memory);
        }
    }

    fn say(&self, line: &str) {
        if let Some(log) = self.log.get() {
            log(line);
        }
    }

    /// A random UUID, RFC 9562 section 5.4.
    fn new_run(&self) -> String {
        let mut bytes = [0u8; 16];
        self.rng
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }

    /// Whose conversation it is, by our own name for it.
    fn translate(&self, mut event: ApprovalEvent) -> ApprovalEvent {
        if let ApprovalEvent::Requested(request) = &mut event
            && let Some(memory) = self.memory().get(&request.session)
        {
            request.session.clone_from(&memory.session);
        }
        event
    }

    /// Whether a minute has passed since the last time.
    fn warms_now(&self) -> bool {
        let now = Instant::now();
        let mut warmed_at = self
            .warmed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_due = warmed_at.is_none_or(|at| now.duration_since(at) >= WARM_EVERY);
        if is_due {
            *warmed_at = Some(now);
        }
        is_due
    }
}

/// Hands approvals on under our own names, as long as the link is held.
async fn translate(mut raw: broadcast::Receiver<ApprovalEvent>, link: Weak<SharedLink>) {
    loop {
        let event = match raw.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let Some(link) = link.upgrade() else { return };
        // Nobody may listen.
        let _ = link.approvals.send(link.translate(event));
    }
}

/// A run that only makes the gateway load what the next one needs; it takes seconds after a pause.
async fn warm_up(gateway: OpenClaw) {
    let Ok(client) = gateway.client() else { return };
    let Ok(hello) = client.ready(CHECK_TIMEOUT).await else {
        return;
    };
    if !gateway.link.warms_now() {
        return;
    }
    let key = warmup_key(gateway.agent(&hello));
    let run = gateway.link.new_run();
    let Ok(mut events) = client.send_as(&key, ".", &run, QueueMode::Followup).await else {
        return;
    };
    let mut until = Instant::now() + WARM_TIMEOUT;
    while let Ok(Some(event)) = tokio::time::timeout_at(until, events.recv()).await {
        // It loads with the first word; much more of it would cost for nothing.
        match event {
            RunEvent::Text(_) => until = until.min(Instant::now() + WARM_REST),
            RunEvent::Tool { .. } => break,
            event if event.is_last() => return,
            _ => {}
        }
    }
    client.abort(&run);
}

impl Gateway for OpenClaw {
    fn describe(&self) -> GatewayInfo {
        GatewayInfo {
            name: "OpenClaw".to_owned(),
            model: match self.config.agent.as_str() {
                "" => "its default agent".to_owned(),
                agent => format!("agent {agent}"),
            },
            address: self.link.shown.clone(),
            demo: false,
        }
    }

    fn only_answers(&self) -> bool {
        false
    }

    fn ask(&self, request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        let gateway = self.clone();
        let (tell, told) = watch::channel(Told::default());
        let task = tokio::spawn(async move { gateway.converse(request, told, &events).await });
        AskHandle::telling(task, tell)
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        async {
            let began = Instant::now();
            self.client()?.ready(CHECK_TIMEOUT).await?;
            Ok(CheckReport {
                took: began.elapsed(),
                models: Vec::new(),
                model_known: None,
            })
        }
        .boxed()
    }

    /// At most once a minute; each time is a short run of the agent's model.
    fn warm(&self) {
        tokio::spawn(warm_up(self.clone()));
    }

    fn standing(&self) -> Option<String> {
        let state = self.client().ok()?.state();
        let state = state.borrow();
        Some(match &*state {
            LinkState::Ready(hello) => format!(
                "OpenClaw {}, protocol {}, {}, {}",
                hello.version,
                hello.protocol,
                match hello.is_paired {
                    true => "this device is paired",
                    false => "admitted by its token",
                },
                hello.companion.tier(),
            ),
            LinkState::Connecting => "not connected yet".to_owned(),
            LinkState::Down(why) => why.to_string(),
        })
    }

    fn approvals(&self) -> Option<broadcast::Receiver<ApprovalEvent>> {
        self.client().ok()?;
        Some(self.link.approvals.subscribe())
    }

    fn resolve(
        &self,
        id: ApprovalId,
        kind: ApprovalKind,
        decision: Decision,
    ) -> BoxFuture<'_, Result<(), GatewayError>> {
        async move { Ok(self.client()?.resolve(&id, kind, decision).await?) }.boxed()
    }

    fn news(&self, session: &str) -> Option<mpsc::Receiver<String>> {
        let client = self.client().ok()?.clone();
        let (gateway, session) = (self.clone(), session.to_owned());
        let (news, receiver) = mpsc::channel(NEWS_MAX);
        tokio::spawn(async move {
            // The default agent's name comes with the greeting.
            let Some(key) = gateway.key_of(&client, &session).await else {
                return;
            };
            let mut raw = client.news(&key);
            loop {
                let text = tokio::select! {
                    text = raw.recv() => text,
                    () = news.closed() => return,
                };
                let Some(text) = text.map(|text| late(&text)) else {
                    return;
                };
                if !text.is_empty() && news.send(text).await.is_err() {
                    return;
                }
            }
        });
        Some(receiver)
    }
}

fn ms(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
