//! The configured trunks at the endpoint: who calls from where, our registrations, and the way out over each. Owns their
//! addresses as they were last found; not what may be dialled (`routing`) nor the calls (`bridge`).
//!
//! A host name is looked up at the start and again every five minutes; a trunk whose name does not resolve has no way out
//! until it does. The first address counts; SRV records are not asked for, `port` says where they would point elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use sip::{Endpoint, FlowTarget, HeaderName, Host, Secret, Transport, TrunkRegistration, Uri};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{Command, Switchboard};
use crate::bridge::{Party, Target, TrunkLeg};
use crate::config::{Trunk, TrunkTransport};
use crate::ports::source_address;
use crate::routing::{DialPlan, Outside};

const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// A trunk that was not found is looked for again sooner.
const LOOK_SOON: Duration = Duration::from_secs(20);
const EXPIRES_S: u32 = 600;

/// What is known of the trunks besides their configuration, in their order.
#[derive(Default)]
pub struct Trunks {
    ways: Vec<Option<FlowTarget>>,
    passwords: Vec<Option<Secret>>,
    sip_port: u16,
}

fn transport(trunk: &Trunk) -> Transport {
    match trunk.transport {
        TrunkTransport::Udp => Transport::Udp,
        TrunkTransport::Tcp => Transport::Tcp,
        TrunkTransport::Tls => Transport::Tls,
    }
}

impl Trunks {
    /// `passwords` in the order of the trunks; `sip_port` is ours.
    pub fn new(passwords: Vec<Option<Secret>>, sip_port: u16) -> Trunks {
        Trunks {
            ways: Vec::new(),
            passwords,
            sip_port,
        }
    }

    /// The way over a trunk for a call that `payer` pays for.
    pub(super) fn target(
        &self,
        plan: &DialPlan,
        call: &Outside,
        payer: &str,
        anchor: impl Fn(FlowTarget) -> crate::bridge::Anchor,
    ) -> Option<Target> {
        let trunk = plan.trunk(call.trunk)?;
        let flow = (*self.ways.get(call.trunk)?)?;
        let mut uri = Uri::sip(Some(&call.number), host(&trunk.host), trunk.port);
        if let Some(parameter) = flow.transport.uri_param() {
            uri.params.set("transport", Some(parameter));
        }
        let user = plan.user(payer);
        let mut headers: Vec<(HeaderName, String)> = trunk
            .headers
            .iter()
            .map(|(name, value)| (HeaderName::from(name.as_str()), value.clone()))
            .collect();
        // The account that has logged in, whatever its From said.
        if !trunk.user_header.is_empty() {
            headers.push((
                HeaderName::from(trunk.user_header.as_str()),
                payer.to_owned(),
            ));
        }
        let password = self.passwords.get(call.trunk).cloned().flatten();
        let domain = match trunk.domain.is_empty() {
            true => trunk.host.clone(),
            false => trunk.domain.clone(),
        };
        let own_number = [&user.caller_id, &trunk.caller_id, &trunk.user]
            .into_iter()
            .find(|number| !number.is_empty());
        Some(Target {
            party: Party::Trunk(call.trunk),
            uri,
            flow,
            anchor: anchor(flow),
            trunk: Some(Box::new(TrunkLeg {
                name: trunk.name.clone(),
                domain,
                caller_id: own_number.cloned().unwrap_or_default(),
                headers,
                credentials: password.map(|password| (trunk.user.clone(), password)),
            })),
        })
    }
}

fn host(name: &str) -> Host {
    match name.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.into(),
        Err(_) => Host::Name(name.to_owned()),
    }
}

impl Switchboard {
    /// Tells the endpoint who calls from where, and begins to look for the trunks.
    pub fn open_trunks(&self, endpoint: &mut Endpoint) {
        let trunks = self.bridging.plan().trunks();
        let known = trunks.iter().map(|trunk| sip::Trunk {
            name: trunk.name.clone(),
            addresses: trunk
                .addresses
                .iter()
                .map(|range| (range.address, range.bits))
                .collect(),
            transport: None,
            trusts_udp: trunk.udp_addresses,
            account: None,
        });
        endpoint.set_trunks(Instant::now(), known.collect());
        for (at, trunk) in trunks.iter().enumerate() {
            tokio::spawn(look_up(at, trunk.clone(), self.commands.clone()));
        }
    }

    /// A trunk was found, or is gone.
    pub fn trunk_found(&mut self, at: usize, address: Option<SocketAddr>, endpoint: &mut Endpoint) {
        let Some(trunk) = self.bridging.plan().trunk(at).cloned() else {
            return;
        };
        let trunks = self.bridging.trunks();
        let way = address.map(|remote| {
            let any: IpAddr = match remote {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            FlowTarget {
                transport: transport(&trunk),
                local: SocketAddr::new(source_address(any, remote), trunks.sip_port),
                remote,
            }
        });
        if trunks.ways.len() <= at {
            trunks.ways.resize(at + 1, None);
        }
        let before = std::mem::replace(&mut trunks.ways[at], way);
        let (Some(way), Some(Some(password))) = (way, trunks.passwords.get(at)) else {
            return;
        };
        if !trunk.register || before == Some(way) {
            return;
        }
        let domain = match trunk.domain.is_empty() {
            true => &trunk.host,
            false => &trunk.domain,
        };
        let mut contact = Uri::sip(
            Some(&trunk.user),
            way.local.ip().into(),
            Some(way.local.port()),
        );
        if let Some(parameter) = way.transport.uri_param() {
            contact.params.set("transport", Some(parameter));
        }
        info!(trunk = %trunk.name, at = %way.remote, "registering with a trunk");
        endpoint.register_trunk(
            Instant::now(),
            TrunkRegistration {
                trunk: trunk.name.clone(),
                registrar: Uri::sip(None, host(domain), None),
                targets: vec![way],
                user: trunk.user.clone(),
                auth_user: None,
                password: password.clone(),
                expires_s: EXPIRES_S,
                contact,
                proxy: None,
            },
        );
    }
}

/// Looks for a trunk as long as the program runs.
async fn look_up(at: usize, trunk: Trunk, commands: mpsc::Sender<Command>) {
    let port = trunk.port.unwrap_or(match trunk.transport {
        TrunkTransport::Tls => 5061,
        TrunkTransport::Udp | TrunkTransport::Tcp => 5060,
    });
    let name = trunk.host.trim_matches(['[', ']']).to_owned();
    loop {
        let found = tokio::net::lookup_host((name.as_str(), port)).await;
        let address = match found {
            Ok(mut addresses) => addresses.next(),
            Err(error) => {
                warn!(trunk = %trunk.name, %error, "trunk not found");
                None
            }
        };
        if commands
            .send(Command::TrunkFound { at, address })
            .await
            .is_err()
        {
            return;
        }
        tokio::time::sleep(if address.is_some() {
            LOOK_AGAIN
        } else {
            LOOK_SOON
        })
        .await;
    }
}
