//! PURE.
//! What crosses the edge of the bridges: calls between two parties as inputs, and what the endpoint, the relay and the
//! records are to do as outputs. Values only.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sip::offer_answer::NegotiatedAudio;
use sip::relayed::RelayedSide;
use sip::{FlowTarget, HeaderName, Secret, Uri};

use crate::config::Answerer;
use crate::routing::{Destination, DialPlan, Outside};

/// One dialog of ours in a bridge, whoever began it. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub u64);

/// One call between two parties, from its INVITE to the end of its last leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BridgeId(pub u64);

/// The ports of one call and what passes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayId(pub u64);

/// The two sides of a bridge, and of its relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who called, or was transferred.
    A,
    /// Who is called.
    B,
}

impl Side {
    pub fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }

    pub fn index(self) -> usize {
        self as usize
    }
}

/// Where a leg's packets meet us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Address of ours that reaches the peer.
    pub bind: IpAddr,
    /// The one it is told.
    pub shown: IpAddr,
    /// Where its signalling comes from.
    pub peer: IpAddr,
    /// Nobody on the way can read its signalling.
    pub is_private: bool,
    /// Its signalling comes over TLS.
    pub is_encrypted: bool,
    /// It is a browser: its signalling comes over a WebSocket.
    pub is_web: bool,
}

/// Who somebody is, by proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// An account.
    User(String),
    /// Place in the configured trunks.
    Trunk(usize),
}

impl Party {
    /// The account that pays for what this party dials outside.
    pub fn payer(&self) -> Option<&str> {
        match self {
            Party::User(name) => Some(name),
            Party::Trunk(_) => None,
        }
    }
}

/// Who is shown as the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    pub name: String,
    pub number: String,
}

/// Somewhere to call: one phone of a user, or a trunk.
#[derive(Debug, Clone)]
pub struct Target {
    pub party: Party,
    pub uri: Uri,
    pub flow: FlowTarget,
    pub anchor: Anchor,
    pub trunk: Option<Box<TrunkLeg>>,
}

/// What a call over a trunk has besides.
#[derive(Debug, Clone)]
pub struct TrunkLeg {
    pub name: String,
    /// Domain of From.
    pub domain: String,
    /// Shown instead of the caller, where it is set.
    pub caller_id: String,
    pub headers: Vec<(HeaderName, String)>,
    pub credentials: Option<(String, Secret)>,
}

/// What the bridges may look at while they decide.
pub trait View {
    fn plan(&self) -> &DialPlan;
    /// A user's phones now, the preferred first.
    fn phones(&self, user: &str) -> Vec<Target>;
    /// The way over a trunk; none while nobody knows its address.
    fn outside(&self, call: &Outside, payer: &str) -> Option<Target>;
    /// Days since 1970 where the owner lives: limits count by these.
    fn day(&self) -> u32;
}

/// A call that came in and is for somebody.
#[derive(Debug, Clone)]
pub struct Incoming {
    pub leg: LegId,
    pub caller: Party,
    pub shown: Shown,
    pub dialled: String,
    pub destination: Destination,
    pub offer: Option<String>,
    pub anchor: Anchor,
    /// Where its signalling comes from, so that nobody rings their own phone.
    pub remote: SocketAddr,
    /// This leg takes the place of another, RFC 3891.
    pub replaces: Option<LegId>,
}

/// A caller who talks with the assistant, and what it is to be called for.
#[derive(Debug, Clone)]
pub struct Adopted {
    pub leg: LegId,
    pub caller: Party,
    pub shown: Shown,
    /// What is called in the caller's place.
    pub dialled: String,
    pub destination: Destination,
    /// Last description of each side, and the number and version of ours.
    pub theirs: String,
    pub ours: String,
    pub session_id: u64,
    pub session_version: u64,
    pub anchor: Anchor,
    pub remote: SocketAddr,
    pub errand: Errand,
}

/// What becomes of a caller of the assistant when somebody else answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// The caller talks with whoever answers: the assistant has put them through.
    Move,
    /// Whoever answers talks with the assistant, and the caller leaves: their phone has asked for it, RFC 5589.
    HandOver(Answerer),
}

/// How a leg ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegEnd {
    /// Why it was refused, or 0 where it stood.
    pub status: u16,
    /// A Reason header to hand on, RFC 3326.
    pub reason: Option<String>,
    /// In words, for the record.
    pub text: String,
    pub is_failure: bool,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "lives for one call")]
pub enum Input {
    Incoming(Incoming),
    Progress {
        leg: LegId,
        status: u16,
        sdp: Option<String>,
    },
    Answered {
        leg: LegId,
        answer: Option<String>,
    },
    Confirmed {
        leg: LegId,
        answer: Option<String>,
    },
    ReInvite {
        leg: LegId,
        offer: Option<String>,
    },
    Reoffered {
        leg: LegId,
        result: Result<Option<String>, u16>,
    },
    /// Numbers that a phone sends its call on to.
    Redirected {
        leg: LegId,
        numbers: Vec<String>,
    },
    Transfer {
        leg: LegId,
        number: String,
        replaces: Option<LegId>,
    },
    Digit {
        leg: LegId,
        digit: char,
        duration_ms: u32,
    },
    /// Answered by `Output::Moved`, by `Output::GiveBack`, or by the end of the leg.
    Adopt(Box<Adopted>),
    /// The other side of this leg goes to the assistant, and the leg leaves; only while two talk.
    Dismiss {
        leg: LegId,
        service: Service,
    },
    Ended {
        leg: LegId,
        end: LegEnd,
    },
    /// Ports by side and stream, or none were free.
    RelayOpened {
        relay: RelayId,
        ports: Option<[Vec<u16>; 2]>,
    },
    /// Nothing has come from a side for too long, or the relay has failed.
    RelayQuiet {
        relay: RelayId,
        side: Option<Side>,
    },
    Timeout,
    /// No new calls; those that are up end.
    HangUpAll,
}

/// Whom an established or ringing leg is handed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub answerer: Answerer,
    /// For whom a message is taken.
    pub message_for: Option<String>,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "lives for one drain")]
pub enum Output {
    Call {
        leg: LegId,
        target: Target,
        shown: Shown,
        dialled: String,
        offer: Option<String>,
        ring: Duration,
    },
    Provisional {
        leg: LegId,
        status: u16,
        sdp: Option<String>,
    },
    Answer {
        leg: LegId,
        sdp: String,
    },
    Reject {
        leg: LegId,
        status: u16,
        reason: Option<String>,
    },
    Hangup {
        leg: LegId,
        reason: Option<String>,
    },
    Reoffer {
        leg: LegId,
        offer: Option<String>,
    },
    Acknowledge {
        leg: LegId,
        sdp: String,
    },
    AnswerReinvite {
        leg: LegId,
        answer: Result<String, u16>,
    },
    AnswerTransfer {
        leg: LegId,
        answer: Result<(), u16>,
    },
    TransferProgress {
        leg: LegId,
        status: u16,
    },
    SendDigit {
        leg: LegId,
        digit: char,
        duration_ms: u32,
    },
    /// Answered by `Input::RelayOpened`, at once.
    OpenRelay {
        relay: RelayId,
        addresses: [IpAddr; 2],
        streams: usize,
    },
    Connect {
        relay: RelayId,
        side: Side,
        stream: usize,
        peer: RelayedSide,
        anchor: Anchor,
        is_fax: bool,
    },
    /// A stream whose sides have no codec in common: what each speaks, side A before side B. In place of `Connect`.
    Transcode {
        relay: RelayId,
        stream: usize,
        peers: Box<[NegotiatedAudio; 2]>,
    },
    CloseRelay {
        relay: RelayId,
        bridge: BridgeId,
    },
    /// The leg leaves the bridges: it rings and wants an answer (`offer` as it came), or it stands and wants an offer (`offer`:
    /// our last description to it).
    Serve {
        leg: LegId,
        service: Service,
        caller: Party,
        dialled: String,
        standing: bool,
        offer: Option<String>,
    },
    /// The leg leaves the bridges: nobody took the call, and its caller is the assistant's again.
    GiveBack {
        leg: LegId,
        status: u16,
    },
    /// The leg's caller talks with somebody else: the assistant's part is over.
    Moved {
        leg: LegId,
    },
    /// A call that rings somebody begins; `Over` follows.
    Begun {
        bridge: BridgeId,
        leg: LegId,
        caller: Party,
        dialled: String,
        remote: SocketAddr,
    },
    /// From now on these two talk, side A first. Again after each transfer.
    Talking {
        bridge: BridgeId,
        relay: Option<RelayId>,
        parties: [Party; 2],
    },
    /// A call that rang nobody.
    Refused {
        caller: Party,
        dialled: String,
        status: u16,
        why: String,
    },
    Over {
        bridge: BridgeId,
        end: BridgeEnd,
    },
    /// What is to be added to what a user has dialled outside on a day.
    Metered {
        user: String,
        day: u32,
        calls: u32,
        seconds: u32,
    },
}

/// How a bridge ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeEnd {
    pub was_answered: bool,
    pub is_failure: bool,
    pub text: String,
    pub talked: Duration,
}
