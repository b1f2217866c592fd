//! Where a turn is, and the two things it may have in hand: a reply being made and a voice being heard.
//! Owns their bookkeeping and bounds; decides nothing.
//! PURE.

use std::collections::VecDeque;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::action::HangupReason;
use super::event::{ReplyId, ToolCall};

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
    Listening {
        idle_at: Option<Instant>,
    },
    UserSpeaking {
        cut_at: Instant,
    },
    Endpointing {
        utterance: u32,
        commit_at: Instant,
        give_up_at: Instant,
        text: Option<String>,
    },
    Thinking,
    AgentSpeaking,
    Closing {
        why: HangupReason,
        by: Instant,
    },
    Ended,
}

impl Phase {
    pub(super) fn state(&self) -> State {
        match self {
            Phase::Listening { .. } => State::Listening,
            Phase::UserSpeaking { .. } => State::UserSpeaking,
            Phase::Endpointing { .. } => State::Endpointing,
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
    pub(super) committed: bool,
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
}

impl Reply {
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

/// What is with the voice: from its first text until playout reports its end. One at a time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Voice {
    pub(super) id: ReplyId,
    pub(super) aside: bool,
    pub(super) started: bool,
    /// When a voice that has not been heard at all is given up.
    pub(super) give_up_at: Instant,
}
