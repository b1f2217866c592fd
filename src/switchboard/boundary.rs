//! What the rest of the program asks of the signalling task, and what every call starts from. Plain values only.

use std::sync::Arc;

use agent_bridge::gateways::Gateway;
use sip::offer_answer::AudioCodec;
use sip::{Advertised, CallKey, HeaderName, TextKey, User};
use tokio::sync::oneshot;

use super::messages::office::Live;
use super::messages::shelf::Text;
use super::{Ending, MediaSecurity, Order, Snapshot};
use crate::agents::Agents;
use crate::approvals::Approvals;
use crate::bridge::{Output as BridgeOutput, RelayId, Side};
use crate::call::CallSettings;
use crate::config::Voicemail;
use crate::ports::Ports;

/// What the rest of the program asks of the signalling task.
#[derive(Debug)]
pub enum Command {
    Provisional {
        call: CallKey,
        status: u16,
    },
    Answer {
        call: CallKey,
        sdp: String,
    },
    Reject {
        call: CallKey,
        status: u16,
        headers: Vec<(HeaderName, String)>,
    },
    Hangup {
        call: CallKey,
        reason: Option<String>,
    },
    AnswerReinvite {
        call: CallKey,
        answer: Result<String, u16>,
    },
    /// An offer of ours inside a call that stands.
    Reoffer {
        call: CallKey,
        offer: String,
    },
    /// Whether a phone's transfer is taken.
    AnswerTransfer {
        call: CallKey,
        answer: Result<(), u16>,
    },
    /// How a transfer that was taken fares.
    TransferProgress {
        call: CallKey,
        status: u16,
    },
    /// What a call between phones wants.
    Bridge(Box<BridgeOutput>),
    /// Where a trunk is now, the best place first; empty: nobody knows.
    TrunkFound {
        at: usize,
        found: Vec<crate::resolve::Target>,
    },
    /// No packets come from a side any more, or its relay has failed.
    RelayQuiet {
        relay: RelayId,
        side: Option<Side>,
    },
    Users(Vec<User>),
    /// The list of bans, as another process has changed it.
    Bans(Vec<sip::Ban>),
    /// The engines are warm, or will not be.
    Ready(CallKey),
    /// What the desk of call-backs wants.
    Order(Box<Order>),
    /// What was heard of something that was told in a call.
    Told {
        call: CallKey,
        news: u32,
        complete: bool,
    },
    /// A call has ended so; `Finished` follows.
    Over {
        call: CallKey,
        ending: Ending,
    },
    /// The call's task is over.
    Finished(CallKey),
    /// The answer to a text from a phone or a trunk.
    AnswerText {
        text: TextKey,
        status: u16,
        headers: Vec<(HeaderName, String)>,
    },
    /// What the office says of a message for the box; the answer to it follows.
    MessageLeft {
        caller: String,
        is_kept: bool,
    },
    /// A text to all phones of a user, who names us by this host.
    SendText {
        user: String,
        text: Box<Text>,
        domain: Option<String>,
    },
    /// The same, worth sending now or never.
    SendLive(Box<Live>),
    /// Refuse new calls and say goodbye in those that are up.
    Drain,
    /// End every call now.
    HangupAll,
    Snapshot(oneshot::Sender<Snapshot>),
}

/// What is the same for every call.
pub struct SwitchboardConfig {
    pub calls_max: usize,
    pub calls_per_user_max: usize,
    pub ports: Ports,
    /// Advertised in SDP instead of the socket's address, where the owner configured one.
    pub advertise: Vec<Advertised>,
    /// What the assistant speaks, best first.
    pub codecs: Vec<AudioCodec>,
    /// How media is protected.
    pub security: MediaSecurity,
    /// Template of every call's settings; service, session and seed are filled in per call.
    pub settings: CallSettings,
    pub agents: Agents,
    pub approvals: Approvals,
    pub readback: Arc<dyn Gateway>,
    pub readback_greeting: String,
    pub voicemail: Voicemail,
    /// Takes messages.
    pub messages: Arc<dyn Gateway>,
    pub goodbye: String,
    pub host_name: String,
    /// Whom the assistant calls where nobody is named; empty: the only account there is.
    pub owner: String,
}
