//! PURE.
//! Everything that crosses the endpoint's edge: inputs, outputs, events and the parameters of calls we make. Plain
//! values only; what they cause is decided in the rooms beside this one.

use std::net::SocketAddr;

use super::lost::DialogRecord;
use crate::bans::{Ban, Block};
use crate::flow::{ConnId, Flow, FlowTarget, Transport};
use crate::header::NameAddr;
use crate::registrar::Binding;
use crate::secret::Secret;
use crate::uri::Uri;

/// One call, ours or theirs, for as long as the endpoint lives. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(pub u64);

/// One registration of ours with somebody else's registrar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistrationKey(pub u64);

/// What the shell tells the endpoint.
#[derive(Debug)]
pub enum Input<'a> {
    Datagram {
        flow: Flow,
        data: &'a [u8],
    },
    /// A connection is open: one that was accepted (`flow.conn` numbered by the shell), or one asked for with
    /// `Output::OpenStream`.
    StreamOpened {
        flow: Flow,
    },
    StreamData {
        conn: ConnId,
        data: &'a [u8],
    },
    /// Closed by the peer, broken, or never opened.
    StreamClosed {
        conn: ConnId,
    },
    /// `next_timeout()` has come.
    Timeout,
}

/// What the shell must do, in order.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "lives for one drain; an allocation would cost more"
)]
pub enum Output {
    Datagram {
        flow: Flow,
        data: Vec<u8>,
    },
    StreamData {
        conn: ConnId,
        data: Vec<u8>,
    },
    /// Connect, then say `StreamOpened` or `StreamClosed` with this number.
    OpenStream {
        conn: ConnId,
        transport: Transport,
        remote: SocketAddr,
    },
    /// Close after what was written has gone; no `StreamClosed` is expected, none does harm.
    CloseStream {
        conn: ConnId,
    },
    /// All bindings of this user as they now are. It stands before the 200 that promises them to the phone, so writing
    /// it down before going on makes the promise hold after a crash.
    SaveBindings {
        user: String,
        bindings: Vec<Binding>,
    },
    /// A dialog stands, or its peer has moved. Written down, its peer can be told after a crash that the call is over.
    SaveDialog(DialogRecord),
    /// The dialog with this `DialogRecord::id` is over.
    ForgetDialog {
        id: String,
    },
    /// A new ban, or a longer one of the same block.
    SaveBan(Ban),
    /// The ban of this block was lifted.
    ForgetBan(Block),
    Event(Event),
    Log(LogLine),
}

/// One line for the log: no passwords, digests or message bodies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub level: LogLevel,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
}

/// What happened, for the program to act on.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "lives for one drain; an allocation would cost more"
)]
pub enum Event {
    Registered {
        user: String,
        contact: String,
        flow: Flow,
        user_agent: Option<String>,
        expires_s: u32,
        /// The contact was known before.
        refreshed: bool,
    },
    Unregistered {
        user: String,
        contact: String,
        why: UnregisteredWhy,
    },
    /// An authenticated INVITE. A 100 has gone already; now `provisional`, `answer` or `reject`.
    IncomingCall {
        call: CallKey,
        user: String,
        /// User part of the Request-URI, percent-decoded; empty where there is none.
        target: String,
        request_uri: Uri,
        /// `None`: the caller wants our offer in the 200 and will answer in the ACK.
        offer: Option<String>,
        flow: Flow,
        call_id: String,
        user_agent: Option<String>,
    },
    /// The ACK for our 200 arrived, with the caller's answer if the offer was ours. For a re-INVITE this comes only when
    /// it brings an answer.
    CallConfirmed {
        call: CallKey,
        answer: Option<String>,
    },
    CallProgress {
        call: CallKey,
        status: u16,
        sdp: Option<String>,
    },
    CallAnswered {
        call: CallKey,
        answer: Option<String>,
        flow: Flow,
    },
    /// The peer wants to change the session: `answer_reinvite`. Without an offer the 200 must carry ours.
    ReInvite {
        call: CallKey,
        offer: Option<String>,
    },
    /// The last event of a call: its key is gone.
    CallEnded { call: CallKey, cause: EndCause },
    /// Registered for so many seconds (0: unregistered), or refused with this status. 408 stands for no answer, 503 for
    /// a transport that failed. A refused registration is over; register again to try again.
    RegistrationResult {
        key: RegistrationKey,
        result: Result<u32, u16>,
    },
    AuthenticationFailed {
        user: String,
        flow: Flow,
        /// The address or the name is locked out from now on.
        locked: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnregisteredWhy {
    /// The phone said so.
    Asked,
    Expired,
    /// The account is gone.
    UserRemoved,
}

/// Why a call ended. Exactly one per call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndCause {
    /// The peer hung up; the text of its Reason header, if any.
    ByeReceived { reason: Option<String> },
    /// We hung up an answered call.
    ByeSent,
    /// The caller gave up before an answer, whichever side that was.
    Cancelled,
    /// We refused it (UAS), or the peer did (UAC).
    Rejected { status: u16 },
    /// It could not be set up or went wrong on the way.
    Failed { status: u16, why: String },
    /// Our 200 was never acknowledged.
    AckTimeout,
    /// No answer at all to a request of ours.
    TransactionTimeout,
    /// The connection it needed could not be opened, or was lost before the call stood.
    TransportFailed,
}

/// A registration of ours.
#[derive(Debug, Clone)]
pub struct RegisterParams {
    /// Request-URI, for instance `sip:127.0.0.1:5060`.
    pub registrar: Uri,
    pub flow: FlowTarget,
    pub user: String,
    pub password: Secret,
    pub expires_s: u32,
    pub contact: Uri,
}

/// A call of ours.
#[derive(Debug, Clone)]
pub struct CallParams {
    pub target: Uri,
    pub flow: FlowTarget,
    /// Without a tag; one is added.
    pub from: NameAddr,
    pub contact: Uri,
    /// User name and password for a digest challenge.
    pub credentials: Option<(String, Secret)>,
    /// SDP offer.
    pub offer: String,
}

/// A call control request that cannot be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It ended, or never was. Races between a hang-up and an answer make this normal.
    #[error("the call is gone")]
    NoSuchCall,
    /// It exists, but is past or before the point where this makes sense.
    #[error("the call is not in a state for this")]
    WrongState,
    /// The status code is none that this request may carry.
    #[error("no status for this request: {0}")]
    BadStatus(u16),
}

/// Counts for metrics and for a shell that waits for the last BYE.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub calls: usize,
    pub bindings: usize,
    pub server_transactions: usize,
    pub client_transactions: usize,
    pub streams: usize,
    /// Messages that parsed as requests or responses.
    pub messages_received: u64,
    /// Not SIP, or too broken to answer.
    pub messages_dropped: u64,
    /// From sources out of tokens.
    pub messages_throttled: u64,
    /// Refused with a status because of their form.
    pub requests_refused: u64,
    pub authentication_failures: u64,
    pub retransmissions_sent: u64,
    pub retransmissions_absorbed: u64,
}
