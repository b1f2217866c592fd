//! What the console shows of calls and registrations. Plain rows, without secrets.

/// What the console shows.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Snapshot {
    /// Of calls that have ended since the start.
    pub speculation: agent_bridge::turn::Ledger,
    /// Of the same calls.
    pub quality: crate::call::figures::QualityTotals,
    pub calls: Vec<CallView>,
    pub registrations: Vec<RegistrationView>,
    pub trunks: Vec<TrunkView>,
    pub calls_total: u64,
    /// What the endpoint counts.
    #[serde(skip)]
    pub signalling: sip::Stats,
    pub draining: bool,
}

#[derive(Debug, Clone, serde::Serialize)]
pub struct CallView {
    pub user: String,
    pub number: String,
    pub seconds: u64,
}

/// One trunk: where it is, and who is registered with whom.
#[derive(Debug, Clone, serde::Serialize)]
pub struct TrunkView {
    pub name: String,
    /// None: it was not found, and calls over it fail.
    pub address: Option<String>,
    /// `registered`, `not registered`, `no answer`, `no connection`, `refused with 403`, or `not wanted`.
    pub registration: String,
    /// Its account with us: `none`, `registered with us`, `not registered with us`.
    pub account: &'static str,
    /// Calls over it, both ways.
    pub calls: usize,
}

#[derive(Debug, Clone, serde::Serialize)]
pub struct RegistrationView {
    pub user: String,
    pub contact: String,
    pub transport: String,
    pub address: String,
    pub user_agent: Option<String>,
}
