//! The audit log's vocabulary: what is written down of approvals, PINs, stops and what leaves the machine. Owns the words;
//! the rows and how many are kept are the store's, the order of events is their writers'.
//!
//! No entry holds a secret: commands pass through `wording::masked` before they come here, PINs and codes never do.

use agent_bridge::levels::Level;

use crate::store::AuditRow;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    ApprovalAsked,
    ApprovalDecided,
    PinTried,
    PinLocked,
    LevelRaised,
    /// Somebody said stop.
    Stopped,
    Lifted,
    /// A request that left this machine or network.
    CloudRequest,
    ToolRun,
    /// A caller was refused an agent, or sent to the message box.
    CallRefused,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::ApprovalAsked => "approval asked",
            Kind::ApprovalDecided => "approval decided",
            Kind::PinTried => "pin tried",
            Kind::PinLocked => "pin locked",
            Kind::LevelRaised => "level raised",
            Kind::Stopped => "stopped",
            Kind::Lifted => "lifted",
            Kind::CloudRequest => "cloud request",
            Kind::ToolRun => "tool run",
            Kind::CallRefused => "call refused",
        }
    }
}

/// One entry, before it has a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The call's name in the records.
    pub call: Option<String>,
    pub user: String,
    pub level: Option<Level>,
    pub channel: String,
    pub kind: Kind,
    /// Without secrets.
    pub what: String,
    pub result: String,
}

impl Event {
    pub fn row(self, at_unix_ms: u64) -> AuditRow {
        AuditRow {
            at_unix_ms,
            call: self.call,
            user: self.user,
            level: self
                .level
                .map(|level| level.to_string())
                .unwrap_or_default(),
            channel: self.channel,
            kind: self.kind.as_str().to_owned(),
            what: self.what,
            result: self.result,
        }
    }
}
