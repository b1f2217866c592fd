//! The demo agent: built in, needs no model, and says so. Owns the callers' states and the clock that
//! `reply` is handed. What it answers is decided in `reply`, which is pure.

mod clock;
mod heard;
mod numbers;
mod reply;
mod spans;
mod sums;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Zoned;
use jiff::tz::TimeZone;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;

pub use reply::{DemoReply, DemoState, reply};

use super::{
    AskHandle, AskRequest, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo, Role,
};

/// Callers remembered. When full, the one who has been silent longest is forgotten.
const SESSIONS_MAX: usize = 64;

/// The built-in agent as a gateway.
#[derive(Clone)]
pub struct Demo {
    zone: TimeZone,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    rng: StdRng,
    sessions: VecDeque<Session>,
}

struct Session {
    name: String,
    state: DemoState,
    /// The state after a question that may still be called off, and that question. It becomes true
    /// when the conversation shows the question.
    open: Option<(String, DemoState)>,
}

#[derive(Debug, thiserror::Error)]
#[error("no time zone is called {name}")]
pub struct UnknownZone {
    pub name: String,
}

impl Demo {
    /// `zone` is an IANA name such as `Europe/Berlin`; empty is the machine's own zone.
    pub fn new(zone: &str, seed: [u8; 32]) -> Result<Demo, UnknownZone> {
        let zone = match zone {
            "" => TimeZone::system(),
            name => TimeZone::get(name).map_err(|_| UnknownZone {
                name: name.to_owned(),
            })?,
        };
        Ok(Demo {
            zone,
            shared: Arc::new(Mutex::new(Shared {
                rng: StdRng::from_seed(seed),
                sessions: VecDeque::new(),
            })),
        })
    }

    fn answer(&self, request: &AskRequest) -> DemoReply {
        let now = Zoned::now().with_time_zone(self.zone.clone());
        // A poisoned state is as good as any: the demo keeps nothing that could be half written.
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.answer(request, &now)
    }
}

impl Shared {
    fn answer(&mut self, request: &AskRequest, now: &Zoned) -> DemoReply {
        let mut callers = request
            .messages
            .iter()
            .rev()
            .filter(|m| m.role == Role::User);
        let text = callers.next().map_or("", |message| message.text.as_str());
        let before = callers.next().map(|message| message.text.as_str());
        let at = self
            .sessions
            .iter()
            .position(|session| session.name == request.session);
        let mut session = at
            .and_then(|at| self.sessions.remove(at))
            .unwrap_or_else(|| Session {
                name: request.session.clone(),
                state: DemoState::default(),
                open: None,
            });
        if let Some((question, state)) = session.open.take()
            && before == Some(question.as_str())
        {
            session.state = state;
        }
        let mut state = session.state.clone();
        let answer = reply(&mut state, text, now, &mut self.rng);
        session.open = Some((text.to_owned(), state));
        if self.sessions.len() >= SESSIONS_MAX {
            self.sessions.pop_front();
        }
        self.sessions.push_back(session);
        answer
    }
}

impl Gateway for Demo {
    fn describe(&self) -> GatewayInfo {
        GatewayInfo {
            name: "built-in demo (no model)".to_owned(),
            model: String::new(),
            address: String::new(),
            demo: true,
        }
    }

    fn only_answers(&self) -> bool {
        true
    }

    fn ask(&self, request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        let answer = self.answer(&request);
        AskHandle::new(tokio::spawn(stream(answer, events)))
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        let report = CheckReport {
            took: Duration::ZERO,
            models: Vec::new(),
            model_known: None,
        };
        async move { Ok(report) }.boxed()
    }

    fn warm(&self) {}
}

/// A few pieces, as a model would send them. Actions come before the last words, so that they belong to
/// a reply that is still being spoken.
async fn stream(answer: DemoReply, events: mpsc::Sender<GatewayEvent>) {
    let pieces = answer.text.split_inclusive([' ']).collect::<Vec<_>>();
    let texts = pieces
        .chunks(6)
        .map(|words| GatewayEvent::Text(words.concat()));
    let tools = answer.tool_calls.into_iter().map(GatewayEvent::ToolCall);
    let end = GatewayEvent::Done { usage: None };
    for event in texts.chain(tools).chain([end]) {
        if events.send(event).await.is_err() {
            return;
        }
    }
}
