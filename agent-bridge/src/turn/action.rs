//! What the turn machine wants done. Owns the vocabulary and nothing else.
//! PURE.

use serde::{Deserialize, Serialize};

use super::event::{ReplyId, ToolCall};
use crate::conversation::Role;

/// Something that was said and belongs to the transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub role: Role,
    /// For the assistant: what was heard, not what was meant to be said.
    pub text: String,
    /// Since the machine's first event.
    pub at_ms: u64,
    /// False when the assistant was interrupted and `text` is only the beginning.
    pub complete: bool,
    /// Said by the program itself (greeting, filler, apology): in the transcript, but no part of what
    /// the agent is told.
    pub aside: bool,
}

/// Why the program ends a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HangupReason {
    /// The agent said goodbye.
    Goodbye,
    /// The program stops.
    Drained,
    /// Nobody spoke any more.
    SilentCaller,
    /// The agent failed too often in a row.
    AgentFailed,
}

/// Everything that a turn can want.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Decode all speech since the last commit; `Event::Final` with this number follows. Each request
    /// has a number of its own, so that a late transcript is known as such. The same sound may be asked
    /// for twice.
    Transcribe {
        utterance: u32,
    },
    /// This transcript is not wanted any more. Its speech is: the caller has gone on speaking.
    DropUtterance {
        utterance: u32,
    },
    /// Ask the gateway. Without consequence until `Commit`: nothing is audible, run or recorded.
    Speculate {
        id: ReplyId,
        text: String,
        /// The turn is not over yet. False: `Commit` follows at once.
        is_guess: bool,
    },
    /// What this reply does and says may take effect.
    Commit {
        id: ReplyId,
    },
    /// Nothing of this reply is wanted any more: close the request upstream.
    Cancel {
        id: ReplyId,
    },
    /// Text that the voice may make sound of, and hold. It is heard only after `Speak` for the same reply,
    /// whose text follows this one. `last`: none will.
    Prepare {
        id: ReplyId,
        text: String,
        last: bool,
    },
    /// From now on this reply is heard, what was prepared of it first. More text for the voice, which may
    /// be none; `last` ends it.
    Speak {
        id: ReplyId,
        text: String,
        last: bool,
    },
    RunTool {
        id: ReplyId,
        call: ToolCall,
    },
    /// Hold the sound where it is.
    Pause,
    /// Go on where it was held. Follows every `Pause`, also when nothing is left to play.
    Resume,
    /// Drop what is left of this reply's sound; `Event::PlayoutStopped` follows.
    StopPlayout {
        id: ReplyId,
    },
    /// Into the conversation. After `Commit`, so history for a request never holds its own question.
    Record(Entry),
    /// What `Event::Tell` with this number came to; `complete`: all of it was heard. Not for news that is still untold
    /// when the call ends.
    Told {
        news: u32,
        heard: String,
        complete: bool,
    },
    /// The last action of a call but for what was still heard.
    Hangup {
        why: HangupReason,
    },
}
