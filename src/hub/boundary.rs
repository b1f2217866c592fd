//! PURE. What the hub tells others and takes from them: what is shown of a conversation, what happens as it happens, who is
//! linked to whom, and why something was not taken.

use agent_bridge::channels::NotKept;
use serde::{Deserialize, Serialize};

use crate::store::{IdentityRow, Role, ShownRow};

/// Milliseconds since 1970, UTC: what waits outlives the program.
pub type UnixMs = u64;

/// One message as it is shown: of any channel, the phone's included.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    /// Grows within the store. Negative where words are not kept: then it is shown once, as it happens, and never again.
    pub id: i64,
    pub conversation: String,
    #[serde(serialize_with = "role_name")]
    pub role: Role,
    pub text: String,
    /// The part of `text` the caller heard, where that was less.
    pub heard: Option<String>,
    pub at_unix_ms: u64,
    /// The call it was said in.
    pub call: Option<String>,
    /// `phone`, `web`, `sip`, `telegram`, `matrix`, `signal`.
    pub channel: String,
    /// Name of a file in the folder of voice notes.
    pub voice: Option<String>,
    /// Of what went out: `waiting`, `sent`, `delivered`, `displayed`, `failed`; as far as the channel tells.
    pub delivery: Option<String>,
}

impl From<ShownRow> for Shown {
    fn from(row: ShownRow) -> Shown {
        let message = row.message;
        Shown {
            id: row.id,
            conversation: message.conversation,
            role: message.role,
            text: message.text,
            heard: message.heard,
            at_unix_ms: message.at_unix_ms,
            call: message.call,
            channel: message.channel,
            voice: row.voice,
            delivery: row.delivery,
        }
    }
}

fn role_name<S: serde::Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(role.as_str())
}

/// What happens, as it happens. Who falls behind misses some of it and reads the history again.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Live {
    /// A message of any channel, as kept. One that comes again with the same id has changed.
    Said(Shown),
    /// A piece of an answer as it comes.
    Delta {
        turn: u64,
        conversation: String,
        text: String,
    },
    /// The answer is kept: `message` is its id, and it was or will be `Said`.
    Done {
        turn: u64,
        conversation: String,
        message: i64,
    },
    Failed {
        turn: u64,
        conversation: String,
        words: String,
    },
    /// What is going on while no text comes.
    Working {
        turn: u64,
        conversation: String,
        words: String,
    },
    /// Of a call that is up.
    Caption {
        call: String,
        #[serde(serialize_with = "role_name")]
        role: Role,
        text: String,
        is_final: bool,
    },
    // These lists have changed: read them again.
    Approvals,
    Calls,
    Phones,
}

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// It is on disk and will be answered once.
    Kept {
        /// The hub's own name for it.
        id: i64,
        conversation: String,
    },
    /// It was taken before, and what follows from it once is under way or done.
    Again,
    /// Something small that was done at once: a button, a code.
    Done,
}

/// Names one delivery.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeliveryId(pub String);

/// Why the hub does not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HubError {
    #[error("nobody we know")]
    Stranger,
    /// `[text]` says how much.
    #[error("{0}")]
    TooMuch(&'static str),
    #[error("{0}")]
    Wrong(String),
    /// This person can be reached by no channel of text.
    #[error("no channel of text reaches this person")]
    NoChannel,
    #[error("not just now: {0}")]
    Busy(&'static str),
    /// A button of a question that does not wait any more. Its person is told.
    #[error("the question is over")]
    Over,
}

impl From<HubError> for NotKept {
    fn from(error: HubError) -> NotKept {
        match error {
            HubError::Stranger => NotKept::Stranger,
            HubError::TooMuch(_) | HubError::Wrong(_) | HubError::NoChannel => NotKept::Full,
            HubError::Busy(_) => NotKept::Busy,
            HubError::Over => NotKept::Over,
        }
    }
}

/// Someone at a channel who is a person of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    pub channel: String,
    /// Unique there and for ever.
    pub id: String,
    /// The account.
    pub person: String,
    /// Where they are written to.
    pub place: String,
    /// As they call themselves there. Proves nothing.
    pub shown_name: String,
    pub linked_unix_ms: UnixMs,
    pub used_unix_ms: UnixMs,
}

impl From<IdentityRow> for Identity {
    fn from(row: IdentityRow) -> Identity {
        Identity {
            channel: row.channel,
            id: row.id,
            person: row.person,
            place: row.place,
            shown_name: row.shown_name,
            linked_unix_ms: row.linked_unix_ms,
            used_unix_ms: row.used_unix_ms,
        }
    }
}

// What waits on disk. A field that is added needs a default: the row may be of an older program.

/// A message of a person of ours that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub person: String,
    pub conversation: String,
    /// The agent that is meant, as it was named; empty: that of `[agent]`.
    #[serde(default)]
    pub agent: String,
    pub channel: String,
    pub from: String,
    pub place: String,
    /// The channel's own id of it.
    pub theirs: String,
    /// When it was taken.
    pub taken_at: UnixMs,
    pub door: Door,
    pub matter: Matter,
    /// It corrects an earlier message.
    #[serde(default)]
    pub is_correction: bool,
}

/// Who gets through to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    Agent,
    /// What they write goes to the owner as a message.
    Message,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matter {
    Text(String),
    /// Name of a file in the folder of voice notes.
    Voice {
        file: String,
        mime: String,
    },
    /// Words for the sender.
    Unusable(String),
}

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Names the delivery for ever.
    pub id: String,
    pub channel: String,
    pub place: String,
    pub person: String,
    pub at: UnixMs,
    /// Not before this.
    pub due: UnixMs,
    /// Given up after this.
    pub until: UnixMs,
    /// Attempts that were begun.
    pub attempts: u32,
    pub matter: OutMatter,
    pub reply_to: Option<String>,
    /// Its row in the conversation.
    pub message: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutMatter {
    Text(String),
    /// To be spoken. `caption`: the words go with the sound; false: they were sent as text.
    Voice {
        words: String,
        caption: bool,
        /// Whose voice it is in; empty: the usual one.
        #[serde(default)]
        agent: String,
    },
    /// Due later, such as a timer: it is written down in this conversation, as the program's words, once it has gone out.
    Later {
        text: String,
        conversation: String,
    },
    /// A question with buttons (label, data).
    Ask {
        text: String,
        buttons: Vec<(String, String)>,
    },
}
