//! Tools of the owner's own, for models that have none: each is one HTTP address that takes the arguments as JSON. Owns
//! what a tool is, what a round of calls is, and what the owner's side does for one. Who may have which, checking
//! and wording are pure and stand in `schema` and `wording`; the requests are `http`'s, the queues and the memory
//! `toolbox`'s, the loop between model and tools `gateways::tooled`'s.
//!
//! No tool runs before the caller's turn is over, none but those offered, and none at an address that a model has named.

pub mod fuzz;
pub mod http;
pub mod job;
pub mod schema;
pub mod toolbox;
pub mod wording;

#[cfg(test)]
pub(crate) mod stand_in;

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::approvals::{ApprovalRequest, Decision};
use crate::gateways::{Secret, ToolCall, ToolSpec};
use crate::levels::Level;

/// Rounds of calls in one reply; after the last one the model has to answer.
pub const ROUNDS_MAX: usize = 5;
/// Calls that one round runs; the model is told that the rest was left out.
pub const CALLS_MAX: usize = 8;

/// One tool as the owner has set it up.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    pub spec: ToolSpec,
    /// Takes the arguments by POST. `http` or `https`; redirects are not followed.
    pub url: String,
    /// Sent as a bearer token.
    pub token: Option<Secret>,
    /// From the request to the whole result.
    pub timeout: Duration,
    /// Each call waits for an explicit yes.
    pub needs_approval: bool,
    /// Whose calls may use it.
    pub levels: Vec<Level>,
    /// The agents that have it, by name; empty: all.
    pub agents: Vec<String>,
    /// Calls of it that wait for the one under way; the next one is refused.
    pub waiting_max: usize,
    /// For a tool that accepts work (202) and is done later.
    pub job: Option<JobWatch>,
}

/// Where it is asked whether accepted work is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobWatch {
    /// `{id}` in it is what the tool has called the work; of the same host as the tool.
    pub status_url: String,
    pub every: Duration,
    /// Given up after that, and said.
    pub longest: Duration,
}

/// Calls that one answer of a model asked for, and what came of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolRound {
    /// It stands behind so many of the request's messages.
    pub after: usize,
    /// What the model wrote before the calls.
    pub said: String,
    /// Each with its result: text from elsewhere, bounded and without control characters.
    pub calls: Vec<(ToolCall, String)>,
}

impl ToolRound {
    /// Letters that it adds to a question, in bytes.
    pub fn chars(&self) -> usize {
        let calls = self.calls.iter().map(|(call, result)| {
            call.name.len() + call.arguments.to_string().len() + result.len()
        });
        self.said.len() + calls.sum::<usize>()
    }
}

/// One call as it is written down; no argument and no word of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    pub tool: String,
    /// The call's name in the records.
    pub call: Option<String>,
    pub user: String,
    pub level: Option<Level>,
    /// In short words, such as "ok, 120 bytes" or "not allowed".
    pub outcome: String,
    pub took: Duration,
}

/// Accepted work that is over while nobody is on the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub tool: String,
    /// The tool's own name for it, which another piece of work may have later.
    pub job: String,
    /// Names the call that began it, for ever.
    pub call: String,
    pub user: String,
    /// To be said: what came of it, for the ear.
    pub say: String,
}

/// What the owner's side does for a tool.
pub trait Owner: Send + Sync {
    /// Asks a person. Anything but a yes is a no.
    fn permit(&self, request: ApprovalRequest) -> BoxFuture<'_, Decision>;

    /// Writes a call down.
    fn ran(&self, run: Ran);

    /// Tells the user that accepted work is over: calls them, where they want to be called.
    fn finished(&self, work: Finished);
}

/// Why a tool cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    #[error("its name must be 1 to 64 letters, digits, - or _")]
    Name,
    #[error("its address must be like http://127.0.0.1:9000/prompt")]
    Url,
    #[error("its address must not hold a user or a password: put the token into its own file")]
    Credentials,
    #[error("`status_url` must be on the same host as `url`, with {{id}} in its path or its query")]
    StatusUrl,
    #[error("its token holds characters that no HTTP header can carry")]
    Token,
    #[error("its schema must be a JSON schema of an object")]
    Schema,
    #[error("two tools have the same name")]
    Twice,
    #[error("the HTTP client could not be set up")]
    Client,
}
