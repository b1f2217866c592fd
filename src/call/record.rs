//! What a call leaves behind: stage latencies per turn, and one termination per call.
//! Owns the record types and their one-line printing; not their storage (`store`).
//! PURE.

use std::fmt;
use std::time::{Duration, Instant};

/// When each numbered door of a turn was passed. All relative to the caller's last voiced sample.
#[derive(Debug, Clone, Copy, Default)]
pub struct Doors {
    pub speech_end: Option<Instant>,
    pub transcribed: Option<Instant>,
    /// Asked before the commit, and the guess was right.
    pub guessed: Option<Instant>,
    pub committed: Option<Instant>,
    pub first_text: Option<Instant>,
    pub first_sound: Option<Instant>,
    pub first_packet: Option<Instant>,
    pub decode_ms: Option<u32>,
}

/// Stage latencies of one turn in milliseconds after the caller's last voiced sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Stages {
    pub transcribed_ms: Option<u32>,
    /// None where nothing was asked before the commit.
    pub guessed_ms: Option<u32>,
    pub committed_ms: Option<u32>,
    pub first_text_ms: Option<u32>,
    pub first_sound_ms: Option<u32>,
    pub first_packet_ms: Option<u32>,
    /// Time the engine itself took for the final transcript.
    pub decode_ms: Option<u32>,
}

impl Doors {
    pub fn stages(&self) -> Stages {
        let since = |door: Option<Instant>| {
            let elapsed = door?.checked_duration_since(self.speech_end?)?;
            Some(milliseconds(elapsed))
        };
        Stages {
            transcribed_ms: since(self.transcribed),
            guessed_ms: since(self.guessed),
            committed_ms: since(self.committed),
            first_text_ms: since(self.first_text),
            first_sound_ms: since(self.first_sound),
            first_packet_ms: since(self.first_packet),
            decode_ms: self.decode_ms,
        }
    }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("heard", self.transcribed_ms),
            ("guess", self.guessed_ms),
            ("commit", self.committed_ms),
            ("text", self.first_text_ms),
            ("voice", self.first_sound_ms),
            ("packet", self.first_packet_ms),
        ];
        for (name, value) in rows {
            match value {
                Some(ms) => write!(f, "{name} {ms} ms · ")?,
                None => write!(f, "{name} – · ")?,
            }
        }
        match self.decode_ms {
            Some(ms) => write!(f, "decode {ms} ms"),
            None => write!(f, "decode –"),
        }
    }
}

/// One finished turn: what the caller said, what they heard of the answer, and how long each stage took.
#[derive(Debug, Clone)]
pub struct TurnRecord {
    /// Turns of a call count from 1.
    pub number: u32,
    pub caller_text: String,
    /// What the agent wrote.
    pub reply_text: String,
    /// The words whose packets were sent.
    pub heard_text: String,
    pub interrupted: bool,
    pub stages: Stages,
    /// Who answered, where it was not the first gateway.
    pub fallback: Option<String>,
    /// Tools that were used on the way, the agent's own and ours.
    pub tools: Vec<String>,
}

/// Who is to blame for how a call ended: it picks log level and metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    Nobody,
    Peer,
    Upstream,
    Ours,
}

impl Blame {
    pub fn label(self) -> &'static str {
        match self {
            Blame::Nobody => "nobody",
            Blame::Peer => "peer",
            Blame::Upstream => "upstream",
            Blame::Ours => "ours",
        }
    }
}

/// How a call ended. Each call has exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    pub result: CallResult,
    pub reason: String,
    pub blame: Blame,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallResult {
    Completed,
    Cancelled,
    Refused,
    Failed,
}

impl CallResult {
    pub fn label(self) -> &'static str {
        match self {
            CallResult::Completed => "completed",
            CallResult::Cancelled => "cancelled",
            CallResult::Refused => "refused",
            CallResult::Failed => "failed",
        }
    }
}

impl fmt::Display for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "result={} reason={:?} blame={}",
            self.result.label(),
            self.reason,
            self.blame.label()
        )
    }
}
