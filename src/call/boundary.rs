//! What crosses a call's edge: its settings, its inputs, its outputs. Values only.
//! PURE.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent_bridge::approvals::board::Notice;
use agent_bridge::approvals::desk::{DeskConfig, PinVerdict, Why};
use agent_bridge::approvals::{ApprovalId, Decision};
use agent_bridge::gateways::{Message, Role};
use agent_bridge::levels::{Caller, Level, Rules};
use agent_bridge::turn::{
    Entry, HangupReason, Progress, ReplyError, ReplyId, ToolCall, TurnConfig,
};
use asr::engine::Kind;
use asr::vad::VadConfig;
use media::session::SessionConfig;

use super::record::TurnRecord;
use crate::config::Answerer;
use crate::redact::Secret;

/// Everything a call needs to know at its start.
#[derive(Debug, Clone)]
pub struct CallSettings {
    pub service: Answerer,
    /// Said when the call is up; empty says nothing.
    pub greeting: String,
    pub turn: TurnConfig,
    pub vad: VadConfig,
    /// The caller is heard while they speak, so often; zero: only when they pause.
    pub partial_interval: Duration,
    /// The owner's end-of-turn model is there to be asked.
    pub has_turn_model: bool,
    /// Our own voice is taken out of what comes from the phone.
    pub echo_cancelling: bool,
    /// The turn's events and actions are kept, words in clear.
    pub trace: bool,
    /// The gateway's instructions for a phone call.
    pub system_prompt: String,
    /// Turns of history sent with each question, and their letters in total.
    pub history_messages_max: usize,
    pub history_chars_max: usize,
    /// Stable per caller and agent, never derived from an unauthenticated caller identity.
    pub session: String,
    pub seed: [u8; 32],
    /// The longest call; then a goodbye.
    pub duration_max: Duration,
    /// So long without one ends the call: nobody is there to hang up.
    pub no_audio_hangup: Duration,
    /// Who calls, and what that allows.
    pub authority: Authority,
}

/// What a call knows of its caller's rights.
#[derive(Debug, Clone)]
pub struct Authority {
    pub caller: Caller,
    pub rules: Rules,
    pub desk: DeskConfig,
}

impl Authority {
    /// Of a phone that may do everything but what takes a PIN.
    pub fn owner() -> Authority {
        Authority {
            caller: Caller::account(Level::Owner),
            rules: Rules {
                approvals: Level::Owner,
                is_frozen: false,
            },
            desk: DeskConfig::default(),
        }
    }
}

/// What the world tells a call.
// Handed over by value and never kept: packets are most of them, and a box would cost each new description alone.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum CallInput<'a> {
    /// The ACK has arrived: the caller is there and listens.
    Confirmed,
    Rtp {
        from: SocketAddr,
        data: &'a [u8],
    },
    Rtcp {
        from: SocketAddr,
        data: &'a [u8],
    },
    /// A transcript that `CallOutput::Transcribe` asked for.
    Transcript {
        ticket: u32,
        result: Result<Words, String>,
    },
    /// How finished the sound of `CallOutput::JudgeTurn` seemed to the owner's model, 0 to 1.
    TurnJudged {
        ticket: u32,
        probability: f32,
    },
    /// Sound that `CallOutput::Synthesise` asked for.
    Sound {
        reply: ReplyId,
        clause: u32,
        sound: Sound,
    },
    /// The gateway's stream that `CallOutput::Ask` opened.
    Reply {
        id: ReplyId,
        event: ReplyEvent,
    },
    /// A re-INVITE was answered: hold, resume, another address or codec.
    Media(SessionConfig),
    /// A key told by signalling.
    Digit(char),
    /// What the board of approvals has for this call.
    Approval(Notice),
    /// What became of `DeskWish::CheckPin`.
    PinChecked(PinVerdict),
    /// Something came of the conversation that nobody has just asked for, as a whole text for the ear.
    News {
        text: String,
    },
    /// The assistant has something to say of its own accord; `CallOutput::Told` follows unless the call ends before.
    Tell {
        news: u32,
        text: String,
        /// We have called them, and they have just answered: they are heard first.
        is_opening: bool,
    },
    /// The program stops: say goodbye and hang up.
    Drain {
        text: String,
    },
    /// The dialog is gone.
    Ended,
    Timeout,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Words {
    pub text: String,
    /// How far the recogniser trusts itself, 0 to 1.
    pub certainty: f32,
    pub decode_ms: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Sound {
    Samples(Vec<i16>),
    Done,
    Failed(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum ReplyEvent {
    Text(String),
    ToolCall(ToolCall),
    Progress(Progress),
    Done,
    Failed(ReplyError),
}

/// What a call wants done.
#[derive(Debug)]
pub enum CallOutput {
    Rtp {
        to: SocketAddr,
        data: Vec<u8>,
    },
    Rtcp {
        to: SocketAddr,
        data: Vec<u8>,
    },
    /// `Kind::Partial` may be refused or lost: another one follows, or a final.
    Transcribe {
        ticket: u32,
        kind: Kind,
        pcm: Arc<[i16]>,
    },
    AbandonTranscript {
        ticket: u32,
    },
    /// Ask the owner's model how finished this sounds: at most the last 8 s of the caller's turn.
    JudgeTurn {
        ticket: u32,
        pcm: Arc<[i16]>,
    },
    Synthesise {
        reply: ReplyId,
        clause: u32,
        text: String,
    },
    /// Nothing more of this reply is to be spoken: all of it was, or it was stopped.
    CancelSpeech {
        reply: ReplyId,
    },
    Ask(Question),
    /// Nothing of this reply is wanted any more: close the stream upstream at once.
    CancelReply {
        id: ReplyId,
    },
    /// The caller's words are final: what the gateway held back may take effect.
    CommitReply {
        id: ReplyId,
    },
    /// How much of a committed reply has been heard: its first words, as they were spoken. A few times per second while it
    /// plays, and once with `is_over`, before its `CancelReply` if there is one.
    Heard {
        id: ReplyId,
        text: String,
        is_over: bool,
    },
    /// Conversation entries in the order they became true.
    Said(Entry),
    /// What is being said just now, for the eye: a few times per second. Replaced by the next one, and by `Said`.
    Caption(Caption),
    Turn(TurnRecord),
    /// What the caller has decided, or wants to.
    Desk(DeskWish),
    /// What was heard of `CallInput::Tell` with this number; `complete`: all of it.
    Told {
        news: u32,
        complete: bool,
    },
    /// Worth one line in the log.
    Note(Note),
    /// At most once per call.
    Hangup {
        why: HangupCause,
    },
}

/// Words while they are spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    pub role: Role,
    /// All of the turn so far. Empty: it was nothing after all.
    pub text: String,
}

/// What a call's desk wants of the program.
#[derive(Debug)]
pub enum DeskWish {
    Decided {
        id: ApprovalId,
        decision: Decision,
        why: Why,
    },
    /// It is not read out here: somebody may look at it on a screen.
    Left(ApprovalId),
    /// Digits; `CallInput::PinChecked` follows.
    CheckPin(Secret),
    /// The caller's level is this until the call ends.
    Raised(Level),
    /// The caller wants everything to stop; in this call it has.
    Stop { freezes: bool },
    /// Approvals are to be possible again.
    Lift,
}

/// Why we end a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangupCause {
    /// What the turn machine decided.
    Turn(HangupReason),
    /// It has lasted as long as calls may.
    LongestCall,
    /// The phone has sent nothing for so long that nobody can be there.
    NoAudio,
    /// What answered our call talks like a machine.
    Machine,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub id: ReplyId,
    pub session: String,
    pub system: String,
    pub messages: Vec<Message>,
    pub speculative: bool,
}

/// Facts about the call that its owner reads in the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    FirstPacket {
        from: SocketAddr,
    },
    Latched {
        from: SocketAddr,
        expected: Option<SocketAddr>,
    },
    Stranger {
        from: SocketAddr,
    },
    NoAudio {
        for_s: u32,
        expected: Option<SocketAddr>,
        seen: Option<SocketAddr>,
    },
    AudioResumed,
    /// The phone put us on hold: we may not send.
    Held,
    Resumed,
    PeerRtcpBye,
    /// The handshake for the keys is over: sound passes, encrypted.
    Secured,
    /// It came to nothing, and no sound will pass.
    NotSecured {
        why: &'static str,
    },
    Digit {
        digit: char,
    },
    TranscriptFailed {
        why: String,
    },
    VoiceFailed {
        why: String,
    },
    UnknownTool {
        name: String,
    },
    AlarmEnded,
}
