//! Those who think: anything that turns a conversation into a streamed reply. Owns the trait they share,
//! what is asked, what comes back, and how it fails. Each gateway has a file of its own.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;

use crate::approvals::{ApprovalEvent, ApprovalId, ApprovalKind, Decision};
use crate::budget::Reached;
pub use crate::conversation::{Message, Role};
use crate::levels::Level;
use crate::openclaw::LinkError;
use crate::router::books::CloudLeave;
use crate::router::choice::{Health, Nobody};
use crate::router::place::Place;
use crate::tools::ROUNDS_MAX;
pub use crate::tools::ToolRound;
use crate::turn::{Blame, ReplyError, ReplyErrorKind, ReplyId};
pub use crate::turn::{Progress, ToolCall};

pub mod demo;
pub mod fake;
pub mod message;
mod on_behalf;
pub mod openai;
pub mod openclaw;
pub mod readback;
mod secret;
pub mod through_proxy;
pub mod tooled;

pub(crate) use on_behalf::OnBehalf;
pub use secret::Secret;

/// One question, complete in itself.
#[derive(Debug, Clone, PartialEq)]
pub struct AskRequest {
    pub reply: ReplyId,
    /// Stable per caller and agent.
    pub session: String,
    pub system: String,
    /// Oldest first; the last one is the caller's.
    pub messages: Vec<Message>,
    /// May still be called off. A gateway must leave no trace of it until it is committed; those that
    /// keep no state of their own have nothing to do.
    pub speculative: bool,
    pub tools: Vec<ToolSpec>,
    /// Tools that were called in this conversation, and what they gave, in order.
    pub rounds: Vec<ToolRound>,
}

impl AskRequest {
    /// Its tools stand there for what was called before; it must be answered without any more of them.
    pub fn must_answer(&self) -> bool {
        let of_this = |round: &&ToolRound| round.after >= self.messages.len();
        self.rounds.iter().filter(of_this).count() >= ROUNDS_MAX
    }
}

/// A tool that the agent may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    pub name: String,
    pub description: String,
    /// JSON schema of the arguments.
    pub parameters: serde_json::Value,
}

/// What a question cost, as far as the gateway says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

/// A reply as it comes. `Done` or `Failed` is the last event of each question that is not cancelled.
#[derive(Debug, Clone, PartialEq)]
pub enum GatewayEvent {
    Text(String),
    ToolCall(ToolCall),
    /// Says what is going on while no text comes. Never counts as the reply.
    Progress(Progress),
    Done {
        usage: Option<Usage>,
    },
    Failed(GatewayError),
}

/// Letters of a name in a `Progress`.
pub const PROGRESS_NAME_CHARS_MAX: usize = 64;

impl Progress {
    /// The cloud is asked now.
    pub fn cloud(gateway: &GatewayInfo) -> Progress {
        Progress::Cloud {
            model: shown_name(&gateway.model),
        }
    }

    /// This gateway is asked now, and asks its own model in the cloud.
    pub fn cloud_behind(gateway: &GatewayInfo) -> Progress {
        Progress::Cloud {
            model: shown_name(&format!("{}'s model", gateway.name)),
        }
    }

    /// `name` is shortened to what may be shown.
    pub fn tool(name: &str) -> Progress {
        Progress::Tool {
            name: shown_name(name),
        }
    }

    /// `gateway` is who is asked now.
    pub fn trying(gateway: &GatewayInfo) -> Progress {
        let name = match gateway.model.as_str() {
            "" => &gateway.name,
            model => model,
        };
        Progress::Trying {
            gateway: shown_name(name),
        }
    }
}

fn shown_name(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_control())
        .take(PROGRESS_NAME_CHARS_MAX)
        .collect()
}

/// Which wait ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    Connect,
    FirstToken,
    /// Between two pieces of a reply.
    Idle,
    Total,
}

/// A variant per decision of the one who asked. None holds a body, an address with credentials or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    #[error("nobody answers there: {why}")]
    Unreachable { why: String },
    #[error("no answer in time ({0:?})")]
    Timeout(Wait),
    #[error("too many requests just now (429 or 503)")]
    RateLimited { retry_after: Option<Duration> },
    #[error("the key was not accepted ({status})")]
    Unauthorized { status: u16 },
    /// `code` is the gateway's own short name for the error, if it gave one.
    #[error("the request was refused ({status} {code})")]
    Refused { status: u16, code: String },
    #[error("the gateway has an error ({status})")]
    Server { status: u16 },
    #[error("the gateway reported an error in its answer ({code})")]
    Reported { code: String },
    #[error("the gateway wants to redirect ({status}), which is not followed")]
    Redirected { status: u16 },
    #[error("the answer is no chat completion: {why}")]
    Protocol { why: &'static str },
    #[error("the answer broke off")]
    Cut,
    #[error("it answered nothing at all")]
    Empty,
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It was not asked at all.
    #[error("not asked: {0}")]
    Held(Held),
}

/// Which of the owner's own rules kept a question from being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Held {
    #[error("{0}")]
    Nobody(Nobody),
    #[error("{0}")]
    Spent(Reached),
}

impl GatewayError {
    /// Asking again, here or at the next gateway, could help.
    pub fn is_passing(&self) -> bool {
        match self {
            GatewayError::Unreachable { .. }
            | GatewayError::Timeout(_)
            | GatewayError::RateLimited { .. }
            | GatewayError::Cut
            | GatewayError::Empty => true,
            GatewayError::Server { status } => matches!(status, 502..=504),
            GatewayError::Link(error) => !error.needs_owner(),
            _ => false,
        }
    }
}

impl From<GatewayError> for ReplyError {
    fn from(error: GatewayError) -> ReplyError {
        let kind = match error {
            GatewayError::Unreachable { .. } | GatewayError::Timeout(Wait::Connect) => {
                ReplyErrorKind::Unreachable
            }
            GatewayError::Timeout(_) => ReplyErrorKind::Slow,
            GatewayError::RateLimited { .. } => ReplyErrorKind::RateLimited,
            GatewayError::Unauthorized { .. }
            | GatewayError::Refused { .. }
            | GatewayError::Redirected { .. } => ReplyErrorKind::Refused,
            GatewayError::Server { .. }
            | GatewayError::Reported { .. }
            | GatewayError::Protocol { .. } => ReplyErrorKind::Broken,
            GatewayError::Cut => ReplyErrorKind::Cut,
            GatewayError::Empty => ReplyErrorKind::Empty,
            GatewayError::Held(Held::Nobody(Nobody::CloudOff)) => ReplyErrorKind::CloudOff,
            GatewayError::Held(Held::Nobody(_)) => ReplyErrorKind::CloudRule,
            GatewayError::Held(Held::Spent(reached)) => ReplyErrorKind::Spent(reached),
            GatewayError::Link(LinkError::Refused { .. }) => ReplyErrorKind::Refused,
            GatewayError::Link(
                LinkError::Busy { .. } | LinkError::NotNow { .. } | LinkError::Full,
            ) => ReplyErrorKind::RateLimited,
            GatewayError::Link(LinkError::Late) => ReplyErrorKind::Slow,
            GatewayError::Link(error) if error.needs_owner() => ReplyErrorKind::Refused,
            GatewayError::Link(_) => ReplyErrorKind::Unreachable,
        };
        ReplyError {
            kind,
            blame: Blame::Upstream,
        }
    }
}

/// Who a gateway is, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayInfo {
    pub name: String,
    /// Empty where there is none.
    pub model: String,
    /// Scheme, host and port only. Empty where there is none.
    pub address: String,
    /// It is the built-in demo, without any model.
    pub demo: bool,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Round trip of the check itself.
    pub took: Duration,
    /// The gateway's models, at most `MODELS_LISTED_MAX`; empty when it does not say.
    pub models: Vec<String>,
    /// Whether the configured model is among them; none when it does not say.
    pub model_known: Option<bool>,
}

/// Names in a `CheckReport`.
pub const MODELS_LISTED_MAX: usize = 256;

/// Whose questions a gateway answers, for rules that depend on it and for what is written down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asker {
    /// The agent that was called, as it stands in the books; empty: the chain's own.
    pub agent: String,
    /// The call's name in the records; none: no call.
    pub call: Option<String>,
    /// The account, or the trunk.
    pub user: String,
    /// None: nobody knows, which counts as the least.
    pub level: Option<Level>,
}

/// One gateway of a chain, and how it does.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkHealth {
    pub info: GatewayInfo,
    pub place: Place,
    pub health: Health,
}

/// Someone who answers.
pub trait Gateway: Send + Sync {
    fn describe(&self) -> GatewayInfo;

    /// Whether it is known that asking has no consequence but the answer: no tool runs there, nothing is
    /// kept. Only such a gateway is asked before the caller's turn is over.
    fn only_answers(&self) -> bool {
        false
    }

    /// Asks in a task of its own on the current tokio runtime. Events wait when the channel is full. A
    /// receiver that is gone ends the task, as dropping the handle does.
    fn ask(&self, request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle;

    /// The same with leave to ask the cloud for it, for a gateway whose model may be there.
    fn ask_with_leave(
        &self,
        request: AskRequest,
        events: mpsc::Sender<GatewayEvent>,
        _leave: CloudLeave,
    ) -> AskHandle {
        self.ask(request, events)
    }

    /// Whether a question would be answered, without asking one.
    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>>;

    /// Opens what can be opened before the next question; cheap where all is open. To be called on the
    /// tokio runtime, at the start and whenever a call comes in. Failing is no error: the question will
    /// tell.
    fn warm(&self);

    /// How it stands, in one line for people; none: there is nothing to say beyond `check`.
    fn standing(&self) -> Option<String> {
        None
    }

    /// Of those behind it, in the order of the chain. Empty: there is only this one, and nothing is known of it.
    fn chain_health(&self) -> Vec<LinkHealth> {
        Vec::new()
    }

    /// The same gateway as this caller meets it. None: it makes no difference who asks.
    fn facing(&self, _asker: &Asker) -> Option<Arc<dyn Gateway>> {
        None
    }

    /// What its agents want to be allowed, of all conversations; `session` in them is `AskRequest::session` where
    /// the conversation is one of ours. None: it never asks.
    fn approvals(&self) -> Option<broadcast::Receiver<ApprovalEvent>> {
        None
    }

    /// Decides one of them.
    fn resolve(
        &self,
        _id: ApprovalId,
        _kind: ApprovalKind,
        _decision: Decision,
    ) -> BoxFuture<'_, Result<(), GatewayError>> {
        async {
            Err(GatewayError::Refused {
                status: 404,
                code: "no approvals".to_owned(),
            })
        }
        .boxed()
    }

    /// What comes of this session (`AskRequest::session`) that nobody asks for just then: late results, each a whole
    /// text for the ear. None: nothing ever comes.
    fn news(&self, _session: &str) -> Option<mpsc::Receiver<String>> {
        None
    }
}

/// What a question under way is told of its reply. The latest is all that counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// The caller's turn is over: what the reply says and does may take effect.
    pub is_committed: bool,
    /// The beginning of the reply's text whose sound has been sent, as the call tidied it.
    pub heard: String,
    /// No more of it will be heard.
    pub is_over: bool,
}

/// A question under way. Dropping it closes the upstream request at once.
#[derive(Debug)]
pub struct AskHandle {
    task: JoinHandle<()>,
    told: Option<watch::Sender<Told>>,
}

impl AskHandle {
    pub fn new(task: JoinHandle<()>) -> AskHandle {
        AskHandle { task, told: None }
    }

    /// For a gateway that wants to know what becomes of its reply.
    pub fn telling(task: JoinHandle<()>, told: watch::Sender<Told>) -> AskHandle {
        AskHandle {
            task,
            told: Some(told),
        }
    }

    /// The caller's turn is over.
    pub fn commit(&self) {
        self.tell(|told| told.is_committed = true);
    }

    /// So much of the reply has been heard. `is_over`: no more of it will be.
    pub fn heard(&self, text: &str, is_over: bool) {
        self.tell(|told| {
            text.clone_into(&mut told.heard);
            told.is_over = is_over;
        });
    }

    /// The same in one, from whoever asks on behalf of another.
    pub fn tell_all(&self, news: &Told) {
        self.tell(|told| told.clone_from(news));
    }

    /// It wants to know what becomes of its reply, to its end.
    pub fn wants_to_be_told(&self) -> bool {
        self.told.is_some()
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        if let Some(told) = &self.told {
            told.send_modify(change);
        }
    }

    pub fn cancel(self) {
        drop(self);
    }

    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Returns when it is; not to be called again after that.
    pub(crate) async fn finished(&mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for AskHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}
