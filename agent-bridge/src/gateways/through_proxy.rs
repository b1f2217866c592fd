//! An agent gateway whose model we serve (tier A): what is spoken comes from the model proxy, and the gateway is sent the
//! caller's words only once the turn is over. A guess is a question to the model alone; no tool can run on it and nothing
//! is written down. Owns the order of these two, and what happens when the gateway is late, gone, or asks somebody else.
//!
//! Bounds: [`SESSIONS_MAX`] conversations are remembered with what the gateway has missed; the oldest is forgotten.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::openclaw::AGAIN_AFTER;
use super::{
    AskHandle, AskRequest, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo, Held,
    Progress, Role, Told, Wait,
};
use crate::approvals::{ApprovalEvent, ApprovalId, ApprovalKind, Decision};
use crate::openclaw::{Client, LinkError, RunEvent};
use crate::proxy::{OnBehalfOf, Proxy, Reply, Spoken};
use crate::router::books::CloudLeave;
use crate::router::choice::Nobody;

mod run;

use run::Run;

pub const SESSIONS_MAX: usize = 64;
/// An agent gateway that is well asks for its answer within this time.
const ARRIVAL_MAX: Duration = Duration::from_millis(1_500);
/// Where nothing can be said without it, one that was started cold is waited for so long.
const COLD_MAX: Duration = Duration::from_secs(20);
/// The last run of a conversation ends by itself when its reply was cut; a tool may take longer and is interrupted then.
const LAST_RUN_MAX: Duration = Duration::from_secs(1);
/// A run that nobody hears of any more.
const RUN_MAX: Duration = Duration::from_secs(3_600);
const EVENTS_MAX: usize = 64;
/// After such a silence the agent is told again how it is heard.
const FORGETS_AFTER: Duration = Duration::from_secs(600);
/// Letters of what was missed, each.
const MISSED_CHARS_MAX: usize = 1_000;

/// The link that messages go out by. `Client` is the real one.
pub trait Link: Send + Sync {
    /// `run` must be new; it names the run from then on.
    fn send<'a>(
        &'a self,
        session_key: &'a str,
        message: &'a str,
        run: &'a str,
    ) -> BoxFuture<'a, Result<mpsc::Receiver<RunEvent>, LinkError>>;
}

impl Link for Client {
    fn send<'a>(
        &'a self,
        session_key: &'a str,
        message: &'a str,
        run: &'a str,
    ) -> BoxFuture<'a, Result<mpsc::Receiver<RunEvent>, LinkError>> {
        Client::send(self, session_key, message, run).boxed()
    }
}

/// The gateway's key of one of our conversations.
pub type KeyOf = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Cheap to clone.
#[derive(Clone)]
pub struct ThroughProxy {
    inner: Arc<Inner>,
}

struct Inner {
    proxy: Proxy,
    link: Arc<dyn Link>,
    /// The same gateway without the proxy: it answers for what this one does not do, and as long as no request of the
    /// agent's has come to the proxy.
    plain: Arc<dyn Gateway>,
    key_of: KeyOf,
    note: String,
    sessions: Mutex<VecDeque<Session>>,
    rng: Mutex<StdRng>,
}

struct Session {
    key: String,
    /// Held by the run under way.
    busy: Arc<tokio::sync::Mutex<()>>,
    /// What was said without the gateway, and will be told to it.
    missed: Option<Missed>,
    /// When it was sent something last.
    sent_at: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Missed {
    words: String,
    heard: String,
}

impl ThroughProxy {
    /// `note` stands before the first message of a conversation and tells the agent how it is heard; empty: none. `seed` names
    /// the runs.
    pub fn new(
        proxy: Proxy,
        link: Arc<dyn Link>,
        plain: Arc<dyn Gateway>,
        key_of: KeyOf,
        note: &str,
        seed: [u8; 32],
    ) -> ThroughProxy {
        ThroughProxy {
            inner: Arc::new(Inner {
                proxy,
                link,
                plain,
                key_of,
                note: note.to_owned(),
                sessions: Mutex::new(VecDeque::new()),
                rng: Mutex::new(StdRng::from_seed(seed)),
            }),
        }
    }

    pub fn proxy(&self) -> &Proxy {
        &self.inner.proxy
    }

    /// Whether the agent's requests come to the proxy, so that this session can be served by it.
    pub fn is_in_force(&self, session: &str) -> bool {
        self.inner.proxy.knows(&(self.inner.key_of)(session))
    }

    fn begin(
        &self,
        request: AskRequest,
        events: mpsc::Sender<GatewayEvent>,
        leave: Option<CloudLeave>,
    ) -> AskHandle {
        if !self.is_in_force(&request.session) {
            return self.inner.plain.ask(request, events);
        }
        let (telling, told) = watch::channel(Told {
            is_committed: !request.speculative,
            ..Told::default()
        });
        let inner = self.inner.clone();
        // Not the handle's own task: what was committed is sent, however soon the caller has heard enough of the answer.
        let task = tokio::spawn(async move { inner.answer(request, events, told, leave).await });
        let waiting = tokio::spawn(async move { drop(task.await) });
        AskHandle::telling(waiting, telling)
    }
}

impl Gateway for ThroughProxy {
    fn describe(&self) -> GatewayInfo {
        self.inner.plain.describe()
    }

    /// Sessions differ in their last part only.
    fn only_answers(&self) -> bool {
        self.is_in_force("") || self.inner.plain.only_answers()
    }

    fn ask(&self, request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        // Whatever way it would go there, it goes by the rules of the cloud.
        if self.inner.proxy.is_in_cloud() {
            const HELD: GatewayError = GatewayError::Held(Held::Nobody(Nobody::CloudRule));
            return AskHandle::new(tokio::spawn(async move {
                drop(events.send(GatewayEvent::Failed(HELD)).await);
            }));
        }
        self.begin(request, events, None)
    }

    fn ask_with_leave(
        &self,
        request: AskRequest,
        events: mpsc::Sender<GatewayEvent>,
        leave: CloudLeave,
    ) -> AskHandle {
        self.begin(request, events, Some(leave))
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        self.inner.plain.check()
    }

    fn warm(&self) {
        self.inner.plain.warm();
    }

    fn standing(&self) -> Option<String> {
        let plain = self.inner.plain.standing()?;
        let tier = match self.is_in_force("") {
            true => "its model is asked through our proxy (tier A)",
            false => "nothing of it has come to our model proxy yet",
        };
        Some(format!("{plain}; {tier}"))
    }

    fn approvals(&self) -> Option<broadcast::Receiver<ApprovalEvent>> {
        self.inner.plain.approvals()
    }

    fn resolve(
        &self,
        id: ApprovalId,
        kind: ApprovalKind,
        decision: Decision,
    ) -> BoxFuture<'_, Result<(), GatewayError>> {
        self.inner.plain.resolve(id, kind, decision)
    }

    fn news(&self, session: &str) -> Option<mpsc::Receiver<String>> {
        self.inner.plain.news(session)
    }
}

impl Inner {
    fn session<T>(&self, key: &str, act: impl FnOnce(&mut Session) -> T) -> T {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let at = match sessions.iter().position(|session| session.key == key) {
            Some(at) => at,
            None => {
                if sessions.len() >= SESSIONS_MAX {
                    sessions.pop_front();
                }
                sessions.push_back(Session {
                    key: key.to_owned(),
                    busy: Arc::default(),
                    missed: None,
                    sent_at: None,
                });
                sessions.len() - 1
            }
        };
        act(&mut sessions[at])
    }

    async fn answer(
        self: Arc<Inner>,
        request: AskRequest,
        events: mpsc::Sender<GatewayEvent>,
        told: watch::Receiver<Told>,
        leave: Option<CloudLeave>,
    ) {
        let key = (self.key_of)(&request.session);
        let last = request.messages.last().filter(|m| m.role == Role::User);
        let words = last.map_or_else(String::new, |message| message.text.trim().to_owned());
        let now = Instant::now();
        let (missed, sent_at) =
            self.session(&key, |session| (session.missed.clone(), session.sent_at));
        let is_first = sent_at.is_none_or(|at| now.duration_since(at) > FORGETS_AFTER);
        let note = if is_first { self.note.as_str() } else { "" };
        let message = message(note, &words, missed.as_ref());
        let caller = leave.map(|leave| OnBehalfOf {
            leave,
            is_guess: request.speculative,
        });
        let reply = Heeding {
            reply: self.proxy.begin_for(&key, &message, caller),
            told,
        };
        let mut asked = Asked {
            inner: self,
            key,
            words,
            message,
            reply,
            events,
            runs: None,
            is_sent: false,
            said: false,
            is_done: false,
            is_plain: false,
        };
        asked.run().await;
    }
}

/// What the gateway is sent: the caller's words, and before them what it has missed.
fn message(note: &str, words: &str, missed: Option<&Missed>) -> String {
    let words = match note {
        "" => words.to_owned(),
        note => format!("{note}\n{words}"),
    };
    let Some(missed) = missed else {
        return words;
    };
    let heard = match missed.heard.as_str() {
        "" => "nothing".to_owned(),
        heard => format!("\"{heard}\""),
    };
    format!(
        "(Before this, while you could not be reached, the caller said: \"{}\" and heard: {heard}.) {words}",
        missed.words
    )
}

fn shortened(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() && *c != '"')
        .take(MISSED_CHARS_MAX)
        .collect()
}

/// A reply and what the call says of it.
struct Heeding {
    reply: Reply,
    told: watch::Receiver<Told>,
}

/// One question under way.
struct Asked {
    inner: Arc<Inner>,
    key: String,
    words: String,
    message: String,
    reply: Heeding,
    events: mpsc::Sender<GatewayEvent>,
    /// The gateway's run, once there is one.
    runs: Option<mpsc::Receiver<RunEvent>>,
    is_sent: bool,
    /// Something of the answer was handed on.
    said: bool,
    /// The answer is complete; only how much of it is heard is still to come.
    is_done: bool,
    /// The gateway asks a model somewhere else: its own text is spoken.
    is_plain: bool,
}

/// What happened next.
enum Next {
    Spoken(Spoken),
    Told,
    Run(Option<RunEvent>),
    Late,
    Unwanted,
}

impl Asked {
    async fn run(&mut self) {
        let mut late_at = None;
        let mut is_late = false;
        loop {
            if self.heed() {
                late_at = Some(Instant::now() + ARRIVAL_MAX);
            }
            if self.is_done && self.reply.told.borrow().is_over {
                return;
            }
            let next = self.next(late_at).await;
            let goes_on = match next {
                Next::Unwanted => false,
                Next::Told => true,
                Next::Spoken(spoken) => self.spoken(spoken).await,
                Next::Run(Some(event)) => self.run_event(event).await,
                Next::Run(None) => {
                    self.runs = None;
                    true
                }
                Next::Late => {
                    late_at = (!is_late).then(|| Instant::now() + COLD_MAX);
                    self.late(std::mem::replace(&mut is_late, true)).await
                }
            };
            if !goes_on {
                // The latest word on it may not have been heeded yet.
                self.heed();
                return;
            }
        }
    }

    /// Acts on what was told. True: the turn is over with it, and the gateway has been sent the words.
    fn heed(&mut self) -> bool {
        let told = self.reply.told.borrow_and_update().clone();
        if !told.is_committed {
            return false;
        }
        let is_first = !std::mem::replace(&mut self.is_sent, true);
        if is_first {
            self.reply.reply.commit();
            self.runs = Some(self.send());
        }
        self.reply.reply.told(&told);
        is_first
    }

    async fn next(&mut self, late_at: Option<Instant>) -> Next {
        let is_waiting = !self.said && !self.is_done;
        let late = async {
            match late_at {
                Some(at) if is_waiting => sleep_until(at).await,
                _ => std::future::pending().await,
            }
        };
        let run = async {
            match &mut self.runs {
                Some(runs) => runs.recv().await,
                None => std::future::pending().await,
            }
        };
        let spoken = async {
            match self.is_done || self.is_plain {
                true => std::future::pending().await,
                false => self.reply.reply.next().await,
            }
        };
        tokio::select! {
            biased;
            () = self.events.closed() => Next::Unwanted,
            changed = self.reply.told.changed() => match changed {
                Ok(()) => Next::Told,
                // Whoever asked is gone.
                Err(_) => Next::Unwanted,
            },
            // Before what the run's end makes of the reply.
            event = run => Next::Run(event),
            spoken = spoken => Next::Spoken(spoken),
            () = late => Next::Late,
        }
    }

    async fn emit(&mut self, event: GatewayEvent) -> bool {
        self.said |= matches!(event, GatewayEvent::Text(_));
        self.is_done |= matches!(event, GatewayEvent::Done { .. } | GatewayEvent::Failed(_));
        self.events.send(event).await.is_ok()
    }

    async fn spoken(&mut self, spoken: Spoken) -> bool {
        let event = match spoken {
            Spoken::Text(text) => GatewayEvent::Text(text),
            Spoken::Thinking => GatewayEvent::Progress(Progress::Waiting),
            Spoken::Tool(name) => GatewayEvent::Progress(Progress::tool(&name)),
            Spoken::Done => GatewayEvent::Done { usage: None },
            Spoken::Failed => GatewayEvent::Failed(self.reply.reply.error()),
        };
        let is_failed = matches!(event, GatewayEvent::Failed(_));
        self.emit(event).await && !is_failed
    }

    async fn run_event(&mut self, event: RunEvent) -> bool {
        // A gateway that never came to the proxy has its answer from elsewhere: it is spoken as it comes, unless
        // another one is being spoken already.
        let is_elsewhere = !self.reply.reply.has_arrived() && (self.is_plain || !self.said);
        match event {
            RunEvent::Text(text) if is_elsewhere && !self.is_done => {
                self.is_plain = true;
                self.emit(GatewayEvent::Text(text)).await
            }
            RunEvent::Tool {
                name,
                is_over: false,
            } if !self.is_done => {
                let progress = Progress::tool(&name);
                self.emit(GatewayEvent::Progress(progress)).await
            }
            RunEvent::Waiting if !self.is_done => {
                self.emit(GatewayEvent::Progress(Progress::Waiting)).await
            }
            RunEvent::Done if self.is_plain => self.emit(GatewayEvent::Done { usage: None }).await,
            RunEvent::Failed(error) if self.is_plain || (is_elsewhere && !self.is_done) => {
                // What was foretold is still better than nothing.
                if !self.is_plain && self.reply.reply.trust() {
                    return true;
                }
                self.emit(GatewayEvent::Failed(error)).await && self.said
            }
            RunEvent::Aborted if self.is_plain => {
                self.emit(GatewayEvent::Failed(GatewayError::Cut)).await
            }
            _ => true,
        }
    }

    /// The gateway has not asked for its answer. What was foretold for it is spoken now, if there is something.
    async fn late(&mut self, is_again: bool) -> bool {
        if self.reply.reply.has_arrived() || (!is_again && !self.reply.reply.trust()) {
            return true;
        }
        if !is_again {
            return true;
        }
        let error = GatewayError::Timeout(Wait::FirstToken);
        self.emit(GatewayEvent::Failed(error)).await;
        false
    }

    /// Sends the words to the gateway, in a task that sees its run to the end whoever listens.
    fn send(&self) -> mpsc::Receiver<RunEvent> {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let sent_now = |session: &mut Session| session.sent_at.replace(Instant::now());
        let sent_before = self.inner.session(&self.key, sent_now);
        let run = Run {
            sent_before,
            inner: self.inner.clone(),
            key: self.key.clone(),
            words: self.words.clone(),
            message: self.message.clone(),
            runner: self.reply.reply.runner(),
            told: self.reply.told.clone(),
            events,
        };
        tokio::spawn(run.see_through());
        receiver
    }
}

#[cfg(test)]
#[path = "through_proxy_cloud_tests.rs"]
mod cloud_tests;
#[cfg(test)]
#[path = "through_proxy_tests.rs"]
mod tests;
