//! PURE. What crosses the edge of the plan: requests and what came of calls as inputs; what is to be kept, rung and hung up
//! as outputs. Times are milliseconds since 1970, UTC: plans outlive the program.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::quiet::Quiet;

pub type UnixMs = u64;

/// Names one request, for as long as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallbackId(pub String);

/// Who is to be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// All phones of an account.
    User(String),
    /// A number over a trunk, as it is dialled.
    Number(String),
}

/// By what means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A call; a message where that fails.
    Call,
    /// A message that waits to be read.
    Text,
    /// Sound, by a channel of text; a message where none carries it.
    VoiceNote,
}

/// What was asked for, checked by whoever took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    pub to: Recipient,
    /// The account whose quiet hours, limits and messages these are: the one called, or who pays for the number.
    pub user: String,
    pub channel: Channel,
    /// The first words of the call, and the text of the message.
    pub say: String,
    /// For the owner and the agent; never said.
    #[serde(default)]
    pub why: String,
    /// The number of ours whose service talks; empty: the first assistant's.
    #[serde(default)]
    pub number: String,
    #[serde(default)]
    pub is_urgent: bool,
    /// Whoever is called has asked for it: quiet hours are none of it.
    #[serde(default)]
    pub is_invited: bool,
    pub not_before: UnixMs,
    pub not_after: UnixMs,
    /// Calls, the first included.
    pub attempts_max: u32,
    /// Requests with the same key are one.
    #[serde(default)]
    pub key: Option<String>,
}

/// How one attempt went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// They heard all of it.
    Heard,
    /// Somebody took the call and did not hear all of it.
    Cut,
    /// All of it was said, and nobody said a word or hung up.
    Silent,
    /// What answered talks like a machine.
    Machine,
    Declined,
    Busy,
    NoAnswer,
    /// No phone is registered.
    NoPhone,
    /// It could not be set up.
    Failed(String),
    /// It must not be set up: not tried again.
    Refused(String),
    /// Nothing rang: we can't speak yet, are stopping, or the call it was to be told in is over. Leaves no trace.
    NotReady,
    /// The program ended while it rang.
    Interrupted,
    /// Called off while it rang or was talked.
    Cancelled,
}

impl Outcome {
    /// For people.
    pub fn words(&self) -> String {
        let words = match self {
            Outcome::Heard => "it was heard",
            Outcome::Cut => "the call ended before all of it was heard",
            Outcome::Silent => "it was said, and nobody spoke",
            Outcome::Machine => "a machine took the call",
            Outcome::Declined => "the call was declined",
            Outcome::Busy => "busy",
            Outcome::NoAnswer => "nobody answered",
            Outcome::NoPhone => "no phone is registered",
            Outcome::NotReady => "not ready to speak yet",
            Outcome::Interrupted => "the program ended while it rang",
            Outcome::Cancelled => "called off",
            Outcome::Failed(why) | Outcome::Refused(why) => return why.clone(),
        };
        words.to_owned()
    }
}

/// One call that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub at: UnixMs,
    pub outcome: Outcome,
    /// The call's record, where somebody answered.
    #[serde(default)]
    pub call: Option<String>,
}

/// Where a request is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    Waiting {
        due: UnixMs,
    },
    /// Written down before anything rings.
    Ringing {
        since: UnixMs,
        /// Nothing rings: it is to be told into a call that stands, and was due then.
        #[serde(default)]
        was_due: Option<UnixMs>,
    },
    Talking {
        since: UnixMs,
        call: String,
        is_heard: bool,
    },
    /// It was heard.
    Heard {
        at: UnixMs,
    },
    /// It waits as a message.
    Left {
        at: UnixMs,
        why: String,
    },
    Cancelled {
        at: UnixMs,
    },
}

impl State {
    pub fn is_over(&self) -> bool {
        matches!(
            self,
            State::Heard { .. } | State::Left { .. } | State::Cancelled { .. }
        )
    }

    pub fn name(&self) -> &'static str {
        match self {
            State::Waiting { .. } => "waiting",
            State::Ringing { .. } => "ringing",
            State::Talking { .. } => "talking",
            State::Heard { .. } => "heard",
            State::Left { .. } => "left",
            State::Cancelled { .. } => "cancelled",
        }
    }
}

/// One request with all that became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub id: CallbackId,
    pub wish: Wish,
    pub asked_at: UnixMs,
    #[serde(flatten)]
    pub state: State,
    /// The oldest first.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
}

/// A message that waits for somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub user: String,
    pub text: String,
    /// It was asked for as a voice note.
    pub is_voice: bool,
    /// Why it is a message and no call.
    pub why: String,
    pub callback: CallbackId,
    pub at: UnixMs,
}

/// What the owner has set.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanConfig {
    /// Hours of users that differ from `quiet`, by account in small letters.
    pub quiet_of: HashMap<String, Quiet>,
    pub quiet: Quiet,
    /// An urgent request rings in quiet hours too.
    pub urgent_breaks_quiet: bool,
    /// Time to the second call; each later one takes three times as long.
    pub retry_ms: u64,
    /// The same where the line was busy.
    pub busy_ms: u64,
    pub calls_per_user_per_day: usize,
    /// Requests of one user that are not over.
    pub open_per_user_max: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Somebody answered, or it is told into a call that stood already.
    Began {
        id: CallbackId,
        call: String,
    },
    /// What was heard of the first words.
    Told {
        id: CallbackId,
        complete: bool,
    },
    Ended {
        id: CallbackId,
        outcome: Outcome,
    },
    Cancel {
        id: CallbackId,
    },
    /// The user is in a call with the assistant: what waits can be said there, whatever the hour.
    CallsIn {
        user: String,
    },
    /// A phone of the user has registered.
    Registered {
        user: String,
    },
    Timeout,
}

/// Carried out in order; what follows a `Save` waits until it is on disk.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Both or none.
    Save {
        record: Box<Record>,
        notice: Option<Notice>,
    },
    /// `Began` or `Ended` follows. `join_only`: into a call that stands, or not at all.
    Ring {
        id: CallbackId,
        wish: Box<Wish>,
        join_only: bool,
    },
    HangUp {
        id: CallbackId,
    },
}

/// Why a request is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error("this idempotency_key belongs to another request: use a new one")]
    KeyTaken,
    #[error("{0} requests for this user are still open: wait, or cancel some")]
    TooManyOpen(usize),
    #[error("as many requests as fit are open: wait, or cancel some")]
    Full,
}
