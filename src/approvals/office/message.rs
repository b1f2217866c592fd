//! What the office is told, and by whom. Owns the names of these messages; not what follows from them (`office`).

use std::collections::HashMap;

use agent_bridge::approvals::board::Asker;
use agent_bridge::approvals::desk::PinVerdict;
use agent_bridge::approvals::{ApprovalEvent, ApprovalRequest, Decision};
use agent_bridge::levels::Level;
use tokio::sync::oneshot;

use super::super::{CallUp, ChannelError};
use crate::call::DeskWish;
use crate::redact::Secret;
use crate::secrets::Pin;
use crate::store::Freeze;

pub(in crate::approvals) enum Message {
    CallUp(Box<CallUp>),
    CallDown {
        call: u64,
    },
    Known {
        session: String,
    },
    Wish {
        call: u64,
        wish: DeskWish,
    },
    Gateway(Asker, ApprovalEvent),
    Ask {
        request: ApprovalRequest,
        answer: oneshot::Sender<Decision>,
    },
    Decide {
        id: String,
        decision: Decision,
        channel: &'static str,
        answer: oneshot::Sender<Result<(), ChannelError>>,
    },
    SetFrozen {
        is_frozen: bool,
        channel: &'static str,
    },
    Pins(HashMap<String, Pin>),
    CheckPin {
        from: PinFrom,
        digits: Secret,
    },
    /// `None`: it was wrong.
    PinChecked {
        from: PinFrom,
        raised: Option<Level>,
    },
    /// What other processes have written, and at which of our own changes it was asked for.
    Polled {
        epoch: u64,
        version: i64,
        decisions: Vec<(String, bool)>,
        freeze: Option<Freeze>,
    },
}

/// Where a PIN was given, and where the verdict goes.
pub(in crate::approvals) enum PinFrom {
    Call(u64),
    Channel {
        channel: &'static str,
        user: String,
        answer: oneshot::Sender<PinVerdict>,
    },
}
