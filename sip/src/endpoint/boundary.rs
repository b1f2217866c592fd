//! PURE.
//! Everything that crosses the endpoint's edge: inputs, outputs, events and the parameters of calls we make. Plain
//! values only; what they cause is decided in the rooms beside this one.

use std::net::SocketAddr;

use super::lost::DialogRecord;
use super::texts::TextKey;
use crate::bans::{Ban, Block};
use crate::flow::{ConnId, Flow, FlowTarget, Transport};
use crate::header::{HeaderName, NameAddr};
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
    /// Whose connection this is, proven outside of SIP, as RFC 7118 section 7 has it for browsers: its requests are that
    /// account's, and are not challenged.
    StreamProven {
        conn: ConnId,
        user: &'a str,
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
    /// All bindings of this user as they now are, with `Binding::kept_until_unix_ms` as their ends.
    SaveBindings {
        user: String,
        bindings: Vec<Binding>,
        /// To be carried out once they are on disk: the 200 that promises them to the phone. Other outputs need not
        /// wait, and several saves may share one write.
        then: Vec<Output>,
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
        /// Who calls, as far as it is proven: an account or a trunk. Not what From says.
        caller: Caller,
        /// User part of the Request-URI, percent-decoded; empty where there is none.
        target: String,
        request_uri: Uri,
        /// To show, no proof of anything: what a trunk asserts, or what an account wrote beside its own name;
        /// `anonymous@anonymous.invalid` where the caller does not want to be shown. Without a tag where it was asserted.
        from: NameAddr,
        /// `None`: the caller wants our offer in the 200 (or in a reliable provisional response) and answers in the ACK
        /// (or in the PRACK).
        offer: Option<String>,
        flow: Flow,
        call_id: String,
        user_agent: Option<String>,
        /// Whose phone this call was sent on from, as a trunk tells it: user part of a URI.
        diversion: Option<String>,
        /// The call of ours that this one takes the place of, RFC 3891.
        replaces: Option<CallKey>,
    },
    /// The ACK for our 200 arrived, with the caller's answer if the offer was ours. For a re-INVITE this comes only when
    /// it brings an answer.
    CallConfirmed {
        call: CallKey,
        answer: Option<String>,
    },
    /// 101 to 199, each told once however often it came. An `sdp` is the answer to our offer, or a preview of it; in a
    /// call without an offer of ours it is the peer's offer, and `acknowledge` answers it.
    CallProgress {
        call: CallKey,
        status: u16,
        sdp: Option<String>,
    },
    /// Somebody took our call. `answer` is the answer to our offer, also where it came before the 200. In a call without
    /// an offer of ours it is the peer's offer, if none came before: the ACK waits for `acknowledge`.
    CallAnswered {
        call: CallKey,
        answer: Option<String>,
        flow: Flow,
    },
    /// The peer wants to change the session, by re-INVITE, UPDATE or PRACK: `answer_reinvite`. Without an offer the 200
    /// must carry ours.
    ReInvite {
        call: CallKey,
        offer: Option<String>,
    },
    /// What came of an offer of ours inside a call (`reoffer`, or an offer in a provisional response): the answer, or
    /// the status it was refused with. After a `reoffer` without an offer, `Ok` holds the peer's offer and `acknowledge`
    /// answers it. A call that is lost over it ends with `CallEnded` and nothing else.
    ReofferAnswered {
        call: CallKey,
        result: Result<Option<String>, u16>,
    },
    /// A 3xx to our INVITE: where else to try, the best first. `CallEnded` follows; the endpoint follows no redirection.
    Redirected { call: CallKey, contacts: Vec<Uri> },
    /// A REFER inside a call, RFC 3515: `answer_transfer`.
    Transfer {
        call: CallKey,
        /// Refer-To without its headers.
        target: Uri,
        /// The call of ours that Refer-To wants replaced.
        replaces: Option<CallKey>,
        /// A Replaces value that names no call of ours, to be sent on as it is.
        foreign_replaces: Option<String>,
        referred_by: Option<String>,
    },
    /// A key pressed, told by INFO.
    Digits {
        call: CallKey,
        /// 0 to 9, `*`, `#`, A to D.
        digit: char,
        duration_ms: u32,
    },
    /// What the peer tells about a REFER of ours.
    ReferProgress {
        call: CallKey,
        status: u16,
        is_last: bool,
    },
    /// The last event of a call: its key is gone.
    CallEnded { call: CallKey, cause: EndCause },
    /// Registered for so many seconds (0: unregistered), or refused with this status. 408 stands for no answer, 503 for
    /// a transport that failed. A refused registration is over; register again to try again.
    RegistrationResult {
        key: RegistrationKey,
        result: Result<u32, u16>,
    },
    /// A registration kept with a trunk: for so many seconds (0: taken back), or not, with the status it failed with
    /// (408 no answer, 503 no connection). It is tried again in `retry_s`; the program need not do anything.
    TrunkRegistration {
        trunk: String,
        result: Result<u32, u16>,
        retry_s: Option<u32>,
    },
    /// A text for somebody here, RFC 3428: `answer_text`.
    Text {
        text: TextKey,
        /// Who writes, by proof.
        caller: Caller,
        /// Whom to: user part of the Request-URI, percent-decoded; empty where there is none.
        target: String,
        /// To show, no proof of anything: as in `IncomingCall`.
        from: NameAddr,
        /// Call-ID, From tag and number: the same for the same text, however often it comes.
        id: String,
        call_id: String,
        /// As the header has it.
        content_type: Option<String>,
        /// As it was before it was coded for the way.
        body: Vec<u8>,
        flow: Flow,
    },
    /// What came of a text of ours: a phone has it, or the status it was refused with; 408 stands for no answer, 503 for
    /// a connection that failed.
    TextAnswered {
        text: TextKey,
        result: Result<(), u16>,
    },
    AuthenticationFailed {
        user: String,
        flow: Flow,
        /// The address or the name is locked out from now on.
        locked: bool,
    },
}

/// Who a call comes from, by proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// An account that answered a challenge.
    User(String),
    /// A trunk, known by its address or its own digest.
    Trunk(String),
}

impl Caller {
    /// Name of the account or of the trunk.
    pub fn name(&self) -> &str {
        match self {
            Caller::User(name) | Caller::Trunk(name) => name,
        }
    }
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
    /// The caller gave up before an answer, whichever side that was. The text of the CANCEL's Reason header, if it came
    /// with one (RFC 3326: `SIP;cause=200` says that another phone took the call).
    Cancelled { reason: Option<String> },
    /// Our call rang as long as it may.
    RangOut,
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
    /// SDP offer; `None` asks the peer for one, which `acknowledge` answers.
    pub offer: Option<String>,
    /// Written into the INVITE as they are, and into no other request.
    pub headers: Vec<(HeaderName, String)>,
    /// Value of To, without a tag; `None` makes it the target.
    pub to: Option<NameAddr>,
    /// Longest ringing; `None` and anything longer mean 180 s.
    pub ring_s: Option<u32>,
    /// Whose phone or which trunk is called: it may then take this call with it to another of its phones (RFC 3891), and
    /// name it in a transfer.
    pub party: Option<Caller>,
}

impl CallParams {
    /// A call with an SDP offer and nothing special about it.
    pub fn new(
        target: Uri,
        flow: FlowTarget,
        from: NameAddr,
        contact: Uri,
        offer: String,
    ) -> CallParams {
        CallParams {
            target,
            flow,
            from,
            contact,
            credentials: None,
            offer: Some(offer),
            headers: Vec::new(),
            to: None,
            ring_s: None,
            party: None,
        }
    }
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
    /// Calls that are remembered, with those that are ending.
    pub dialogs: usize,
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
