//! Asking a person before something risky is done: what is asked, how it is read out, what counts as an answer.
//! Owns the vocabulary that those who ask and those who answer share. Who may answer is `levels`' affair; what a
//! gateway does with the decision is its own.
//! PURE.

pub mod answer;
pub mod board;
pub mod desk;
pub mod wording;

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The asker's own name for one request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ApprovalId(pub String);

/// What kind of thing waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalKind {
    /// A command on a machine.
    Exec,
    /// An action of a gateway's plugin.
    Plugin,
    /// A tool of our own.
    Tool,
}

/// Something that waits for a yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    pub id: ApprovalId,
    pub kind: ApprovalKind,
    /// Whose conversation it belongs to.
    pub session: String,
    /// The exact command or action. Untrusted: a model wrote it.
    pub what: String,
    /// Folder and host where it would happen. Untrusted as well.
    pub place: String,
    /// After that the asker itself takes it for a no.
    pub expires_in: Duration,
}

/// There is no "always": each action is asked for by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    AllowOnce,
    Deny,
}

/// What a gateway tells of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalEvent {
    Requested(ApprovalRequest),
    /// It was decided somewhere, by us or by another, or is moot. `by` is for people.
    Resolved {
        id: ApprovalId,
        decision: Decision,
        by: String,
    },
}
