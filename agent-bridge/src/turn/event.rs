//! What the turn machine is told. Owns the vocabulary and nothing else.
//! PURE.

use serde::{Deserialize, Serialize};

use crate::budget::Reached;

/// Names one reply, or one thing that the program says by itself. Unique within a call, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReplyId(pub u32);

/// An action that an agent asks for, assembled and complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The gateway's own name for this call of the tool.
    pub id: String,
    pub name: String,
    /// A JSON object in the shape that the tool declared. Untrusted: check before use.
    pub arguments: serde_json::Value,
}

/// Whose fault an error is: picks metric label, log level and SIP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    Peer,
    Upstream,
    Ours,
}

/// What went wrong with a reply, as far as the caller's ear is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyErrorKind {
    /// Nobody answers at the gateway's address.
    Unreachable,
    /// It answers, but not in time.
    Slow,
    /// Too many requests, or a limit is used up.
    RateLimited,
    /// Wrong key, unknown model, not allowed: only the owner can mend it.
    Refused,
    /// Something came that is no answer.
    Broken,
    /// The answer broke off in the middle.
    Cut,
    /// The answer is empty.
    Empty,
    /// It would have gone to the cloud, which the owner has switched off.
    CloudOff,
    /// It would have gone to the cloud, where this caller's questions do not go.
    CloudRule,
    /// A limit of the day keeps it from the cloud, and there is nobody else to ask.
    Spent(Reached),
}

/// Why a reply failed, and whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{kind:?}, blame {blame:?}")]
pub struct ReplyError {
    pub kind: ReplyErrorKind,
    pub blame: Blame,
}

impl ReplyError {
    /// The gateway's task ended without a word.
    pub fn vanished() -> ReplyError {
        ReplyError {
            kind: ReplyErrorKind::Broken,
            blame: Blame::Ours,
        }
    }

    /// What the caller is told.
    pub fn sayable(&self) -> &'static str {
        match self.kind {
            ReplyErrorKind::Unreachable => {
                "Sorry, I can't reach the agent right now. Please try again in a moment."
            }
            ReplyErrorKind::Slow => {
                "Sorry, the agent takes too long to answer. Please try again in a moment."
            }
            ReplyErrorKind::RateLimited => {
                "Sorry, the agent is too busy just now. Please try again in a minute."
            }
            ReplyErrorKind::Refused => {
                "Sorry, the agent refused my question. Its key or its model needs to be checked."
            }
            ReplyErrorKind::Broken => {
                "Sorry, something went wrong with the agent. Please try again."
            }
            ReplyErrorKind::Cut => "Sorry, the answer broke off there.",
            ReplyErrorKind::Empty => "Sorry, the agent had no answer to that.",
            ReplyErrorKind::CloudOff => {
                "Sorry, I may not ask the cloud here, and there is no local agent to ask."
            }
            ReplyErrorKind::CloudRule => {
                "Sorry, your questions stay in this house, and the agent here does not answer."
            }
            ReplyErrorKind::Spent(reached) => spent(reached),
        }
    }
}

/// What is reached, and what to do.
fn spent(reached: Reached) -> &'static str {
    use crate::budget::What::{Money, Requests, Room, Tokens};
    match (reached.what, reached.is_total) {
        (Requests, true) => {
            "Today's limit of questions to the cloud is reached. It starts again at midnight, or when the owner raises it."
        }
        (Requests, false) => {
            "Today's limit of questions to the cloud is reached for this agent. \
             It starts again at midnight, or when the owner raises it."
        }
        (Tokens, true) => {
            "Today's limit of words to and from the cloud is reached. It starts again at midnight, or when the owner raises it."
        }
        (Tokens, false) => {
            "Today's limit of words to and from the cloud is reached for this agent. \
             It starts again at midnight, or when the owner raises it."
        }
        (Money, true) => {
            "Today's money for the cloud is spent. There is more at midnight, or when the owner raises the limit."
        }
        (Money, false) => {
            "Today's money for this agent's questions to the cloud is spent. \
             There is more at midnight, or when the owner raises the limit."
        }
        (Room, _) => {
            "Too many questions are on their way to the cloud just now. Please try again in a minute."
        }
    }
}

/// Who judged how finished a turn sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judge {
    /// The program's own rule over pitch, loudness and rhythm.
    Prosody,
    /// The owner's end-of-turn model.
    Model,
}

/// What an agent is busy with before its first words. Never counts as the reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It has begun to call this tool. Nothing is to be executed yet: `Event::ReplyToolCall` says when.
    Tool { name: String },
    /// The gateway before this one failed.
    Trying { gateway: String },
    /// The question goes to the cloud, and the owner wants that said.
    Cloud { model: String },
    /// It would have gone to the cloud but for this; a local one is asked.
    Spent(Reached),
    /// It works on the answer and says no more about it.
    Waiting,
}

impl Progress {
    /// The caller was promised to hear of it: said at once, even where nothing else is said meanwhile.
    pub(super) fn is_promised(&self) -> bool {
        matches!(self, Progress::Cloud { .. } | Progress::Spent(_))
    }
}

/// Everything that can happen to a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The voice activity detector is sure that the caller speaks.
    SpeechStarted,
    /// No voice for `TurnConfig::pause_ms`, inside speech.
    SpeechPaused,
    /// Voice came back before `SpeechStopped`.
    SpeechResumed,
    /// The caller has been silent for the detector's hang-over (`TurnConfig::hangover_ms`).
    SpeechStopped,
    /// How finished the turn sounds at the present pause, 0 to 1.
    EndOfTurn {
        judge: Judge,
        probability: f32,
    },
    /// The transcript so far, of speech that goes on. Changes nothing; it is there for captions and traces.
    Partial {
        text: String,
    },
    /// The transcript that `Action::Transcribe` with this number asked for. Empty: no words in it.
    /// `certainty`: how far the recogniser can be trusted with it, 0 to 1.
    Final {
        utterance: u32,
        text: String,
        certainty: f32,
    },
    /// A key of the telephone: `0`-`9`, `*`, `#`, `A`-`D`.
    Dtmf {
        digit: char,
    },
    /// More of a reply. `last` ends it, with or without text.
    ReplyText {
        id: ReplyId,
        text: String,
        last: bool,
    },
    ReplyToolCall {
        id: ReplyId,
        call: ToolCall,
    },
    /// What the agent does meanwhile.
    ReplyProgress {
        id: ReplyId,
        progress: Progress,
    },
    /// No more of this reply comes.
    ReplyFailed {
        id: ReplyId,
        error: ReplyError,
    },
    /// The first packet of this reply's sound has been sent.
    PlayoutStarted {
        id: ReplyId,
    },
    /// No more packets of this reply are sent. `heard` is the text whose sound was sent; `complete`
    /// says that it is all of it.
    PlayoutStopped {
        id: ReplyId,
        heard: String,
        complete: bool,
    },
    /// The program itself has something to say: a greeting, an ended timer, one-way audio.
    Announce {
        text: String,
    },
    /// The assistant has something to say of its own accord: why it calls, or what came of a task. Waits for the floor
    /// as an announcement does, and belongs to the conversation. `Action::Told` says what was heard of it.
    Tell {
        /// The teller's own number for it.
        news: u32,
        text: String,
    },
    /// The caller waits for something that was promised, such as the end of a timer. While they do,
    /// their silence is not questioned.
    CallerWaits {
        waits: bool,
    },
    /// Whatever is said, made or queued to be said ends now; the call goes on.
    Abort,
    /// Say this, then hang up. Empty: hang up at once.
    Drain {
        text: String,
    },
    /// `Turn::next_timeout` has come.
    Timeout,
}
