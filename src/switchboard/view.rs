//! What the console shows of calls and registrations. Plain rows, without secrets.

use std::time::Instant;

use sip::Endpoint;

use super::Switchboard;

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

impl Switchboard {
    pub fn snapshot(&self, endpoint: &Endpoint) -> Snapshot {
        let now = Instant::now();
        let registrations = self
            .users
            .iter()
            .flat_map(|user| endpoint.bindings(user, now))
            .map(|binding| RegistrationView {
                user: binding.user,
                contact: binding.contact,
                transport: format!("{:?}", binding.flow.transport),
                address: binding.flow.remote.to_string(),
                user_agent: binding.user_agent,
            })
            .collect();
        let with_us = self.calls.values().map(|line| {
            let seconds = line.since.elapsed().as_secs();
            (line.user.as_str(), line.target.as_str(), seconds)
        });
        let calls = with_us
            .chain(self.bridging.running())
            .map(|(user, number, seconds)| CallView {
                user: user.to_owned(),
                number: number.to_owned(),
                seconds,
            })
            .collect();
        Snapshot {
            speculation: self.recorder.ledger(),
            quality: self.recorder.quality(),
            calls,
            registrations,
            trunks: self.trunk_views(endpoint),
            calls_total: self.calls_total,
            signalling: endpoint.stats(),
            draining: self.draining,
        }
    }
}
