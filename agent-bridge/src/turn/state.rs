//! Where a turn is, and the two things it may have in hand: a reply being made and a voice being heard.
//! Owns their bookkeeping and bounds; decides nothing.
//! PURE.

use std::collections::VecDeque;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::action::HangupReason;
use super::event::{Progress, ReplyId, ToolCall};

/// Pieces of a reply that wait for commit or for the floor. Further text joins the last piece.
pub(super) const HELD_MAX: usize = 256;
/// Tool calls of one reply; more are not run.
pub(super) const TOOL_CALLS_MAX: usize = 8;

/// The state as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody speaks and nothing is under way.
    Listening,
    UserSpeaking,
    /// The caller paused: is the turn over?
    Endpointing,
    /// Asked; nothing to say yet.
    Thinking,
    /// Something is with the voice, audible or about to be.
    AgentSpeaking,
    /// The last words before hanging up.
    Closing,
    Ended,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    Listening { idle_at: Option<Instant> },
    UserSpeaking { cut_at: Instant },
    Endpointing(Pause),
    Thinking,
    AgentSpeaking,
    Closing { why: HangupReason, by: Instant },
    Ended,
}

/// The caller is silent, and the turn may be over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pause {
    pub(super) utterance: u32,
    /// The last voice.
    pub(super) since: Instant,
    /// The words are taken as soon as they are there: the speech had to be cut.
    pub(super) is_forced: bool,
    /// When words that have not come are given up.
    pub(super) give_up_at: Instant,
    pub(super) text: Option<String>,
    pub(super) certainty: f32,
    pub(super) prosody: Option<f32>,
    pub(super) model: Option<f32>,
}

/// The caller speaks while the floor is ours. Playout is paused; whether the floor changes hands is open.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Claim {
    /// Onset of the voice.
    pub(super) since: Instant,
    /// The last voice, while there is none.
    pub(super) silent_since: Option<Instant>,
    /// The transcript that is awaited.
    pub(super) utterance: Option<u32>,
    /// Voice: when to look at the words so far. Silence: when to decide without them.
    pub(super) due_at: Instant,
}

impl Phase {
    pub(super) fn state(&self) -> State {
        match self {
            Phase::Listening { .. } => State::Listening,
            Phase::UserSpeaking { .. } => State::UserSpeaking,
            Phase::Endpointing(_) => State::Endpointing,
            Phase::Thinking => State::Thinking,
            Phase::AgentSpeaking => State::AgentSpeaking,
            Phase::Closing { .. } => State::Closing,
            Phase::Ended => State::Ended,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Tool(ToolCall),
    Last,
}

/// A reply that was asked for and is not over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    pub(super) id: ReplyId,
    /// From then on it may take effect; a guess until then.
    pub(super) committed_at: Option<Instant>,
    /// The stream has ended; nothing more is taken.
    pub(super) ended: bool,
    /// Some text went to the voice.
    pub(super) spoken: bool,
    pub(super) chars: usize,
    pub(super) tool_calls: usize,
    pub(super) held: VecDeque<Piece>,
    /// When the stream counts as failed, unless more of it comes.
    pub(super) due_at: Instant,
    pub(super) filler_at: Option<Instant>,
    /// What the agent said it is busy with, and whether the caller has been told.
    pub(super) progress: Option<Progress>,
    /// The question, and when it was asked.
    pub(super) question: String,
    pub(super) asked_at: Instant,
    /// A guess only: the caller speaks again, and it is dropped at this time.
    pub(super) drop_at: Option<Instant>,
    /// A tool call was held back: nothing after it is prepared.
    pub(super) has_held_tool: bool,
    /// Some text was given to the voice to be held.
    pub(super) is_prepared: bool,
    /// The voice knows that nothing follows.
    pub(super) is_wholly_prepared: bool,
    /// All of what was given to it so.
    pub(super) prepared: String,
}

impl Reply {
    /// Asked before the turn was over.
    pub(super) fn was_guess(&self) -> bool {
        self.committed_at
            .is_none_or(|committed_at| committed_at > self.asked_at)
    }

    pub(super) fn new(id: ReplyId, question: String, now: Instant) -> Reply {
        Reply {
            id,
            committed_at: None,
            ended: false,
            spoken: false,
            chars: 0,
            tool_calls: 0,
            held: VecDeque::new(),
            due_at: now,
            filler_at: None,
            progress: None,
            question,
            asked_at: now,
            drop_at: None,
            has_held_tool: false,
            is_prepared: false,
            is_wholly_prepared: false,
            prepared: String::new(),
        }
    }

    pub(super) fn hold_text(&mut self, text: &str) {
        let is_full = self.held.len() >= HELD_MAX;
        if let Some(Piece::Text(last)) = self.held.back_mut()
            && is_full
        {
            last.push_str(text);
            return;
        }
        let text = text.to_owned();
        self.held.push_back(Piece::Text(text));
    }
}

/// Something that the program or the assistant wants to say by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announcement {
    pub(super) text: String,
    /// Part of the conversation, and its teller wants to know what was heard.
    pub(super) news: Option<u32>,
}

/// A voice that was stopped and whose heard text has not been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopped {
    pub(super) id: ReplyId,
    pub(super) aside: bool,
    pub(super) news: Option<u32>,
}

/// What is with the voice: from its first text until playout reports its end. One at a time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Voice {
    pub(super) id: ReplyId,
    pub(super) aside: bool,
    /// It tells this.
    pub(super) news: Option<u32>,
    pub(super) started: bool,
    /// What it was given to say.
    pub(super) text: String,
    /// When a voice that has not been heard at all is given up.
    pub(super) give_up_at: Instant,
}
