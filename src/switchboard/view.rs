//! What the console shows of calls and registrations. Plain rows, without secrets.

/// What the console shows.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Snapshot {
    /// Of calls that have ended since the start.
    pub speculation: agent_bridge::turn::Ledger,
    pub calls: Vec<CallView>,
    pub registrations: Vec<RegistrationView>,
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

#[derive(Debug, Clone, serde::Serialize)]
pub struct RegistrationView {
    pub user: String,
    pub contact: String,
    pub transport: String,
    pub address: String,
    pub user_agent: Option<String>,
}
