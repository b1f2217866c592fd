//! The configured trunks at the endpoint: who calls from where, our registrations, and the way out over each. Owns their
//! addresses as they were last found; not what may be dialled (`routing`) nor the calls (`bridge`).
//!
//! A host name is looked up at the start and again every five minutes (RFC 3263, `resolve`); a trunk that is not found has
//! no way out until it is. Calls take the best target; registrations try all of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use sip::{
    CallTarget, Endpoint, FlowTarget, HeaderName, Host, Secret, Transport, TrunkRegistration, Uri,
    User,
};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::view::TrunkView;
use super::{Command, Switchboard};
use crate::bridge::{Party, Target, TrunkLeg};
use crate::config::{Trunk, TrunkTransport};
use crate::ports::source_address;
use crate::resolve::lookup::{Families, Resolver};
use crate::resolve::{Target as Found, Wanted};
use crate::routing::{DialPlan, Outside};
use crate::signalling::dial::{TlsPeer, TlsPeers, Trust};

const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// A trunk that was not found is looked for again sooner.
const LOOK_SOON: Duration = Duration::from_secs(20);
const EXPIRES_S: u32 = 600;

/// What is known of the trunks besides their configuration, in their order.
#[derive(Default)]
pub struct Trunks {
    /// The ways to each, the best first.
    ways: Vec<Vec<FlowTarget>>,
    passwords: Vec<Option<Secret>>,
    /// What each logs in as with us.
    accounts: Vec<Option<User>>,
    /// What came of our registration with each: the seconds it holds, or the status it was refused with.
    registrations: Vec<Option<Result<u32, u16>>>,
    sip_port: u16,
    tls_port: u16,
    /// Who must prove what when we connect over TLS.
    peers: TlsPeers,
}

fn transport(trunk: &Trunk) -> Transport {
    match trunk.transport {
        TrunkTransport::Udp => Transport::Udp,
        TrunkTransport::Tcp => Transport::Tcp,
        TrunkTransport::Tls => Transport::Tls,
    }
}

/// By what a trunk is known when it is called over TLS.
fn trust(trunk: &Trunk) -> Trust {
    match (trunk.tls_fingerprint.is_empty(), trunk.tls_verify) {
        (false, _) => Trust::Pinned(trunk.tls_fingerprint.clone()),
        (true, true) => Trust::Authorities,
        (true, false) => Trust::Anyone,
    }
}

impl Trunks {
    /// `passwords` and `accounts` in the order of the trunks; the ports are ours.
    pub fn new(
        passwords: Vec<Option<Secret>>,
        accounts: Vec<Option<User>>,
        sip_port: u16,
        tls_port: u16,
        peers: TlsPeers,
    ) -> Trunks {
        Trunks {
            ways: Vec::new(),
            registrations: vec![None; passwords.len()],
            passwords,
            accounts,
            sip_port,
            tls_port,
            peers,
        }
    }

    /// The way over a trunk for a call that `payer` pays for.
    pub(super) fn target(
        &self,
        plan: &DialPlan,
        call: &Outside,
        payer: &str,
        registered: impl Fn(&Trunk) -> Option<CallTarget>,
        anchor: impl Fn(FlowTarget) -> crate::bridge::Anchor,
    ) -> Option<Target> {
        let trunk = plan.trunk(call.trunk)?;
        let (flow, mut uri) = match registered(trunk) {
            // Where it has registered with us it is now, whatever its name says.
            Some(CallTarget { flow, uri, .. }) => (flow, uri),
            None => {
                let flow = *self.ways.get(call.trunk)?.first()?;
                let mut uri = Uri::sip(None, host(&trunk.host), trunk.port);
                if let Some(parameter) = flow.transport.uri_param() {
                    uri.params.set("transport", Some(parameter));
                }
                (flow, uri)
            }
        };
        uri.user = Uri::sip(Some(&call.number), host(&trunk.host), None).user;
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
        let domain = match (trunk.domain.is_empty(), trunk.host.is_empty()) {
            (true, false) => trunk.host.clone(),
            (true, true) => flow.remote.ip().to_string(),
            (false, _) => trunk.domain.clone(),
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
        let accounts = self.bridging.trunks_ref().accounts.iter().cloned();
        let accounts = accounts.chain(std::iter::repeat(None));
        let known = trunks
            .iter()
            .zip(accounts)
            .map(|(trunk, account)| sip::Trunk {
                name: trunk.name.clone(),
                addresses: trunk
                    .addresses
                    .iter()
                    .map(|range| (range.address, range.bits))
                    .collect(),
                transport: None,
                trusts_udp: trunk.udp_addresses,
                account,
            });
        endpoint.set_trunks(Instant::now(), known.collect());
        for (at, trunk) in trunks.iter().enumerate() {
            if trunk.host.is_empty() {
                continue;
            }
            tokio::spawn(look_up(at, trunk.clone(), self.commands.clone()));
        }
    }

    /// A trunk was found, or is gone.
    pub fn trunk_found(&mut self, at: usize, found: &[Found], endpoint: &mut Endpoint) {
        let Some(trunk) = self.bridging.plan().trunk(at).cloned() else {
            return;
        };
        let trunks = self.bridging.trunks();
        let ways: Vec<FlowTarget> = found
            .iter()
            .map(|found| {
                let remote = found.address;
                let any: IpAddr = match remote {
                    SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                let port = match found.transport {
                    Transport::Tls => trunks.tls_port,
                    _ => trunks.sip_port,
                };
                FlowTarget {
                    transport: found.transport,
                    local: SocketAddr::new(source_address(any, remote), port),
                    remote,
                }
            })
            .collect();
        for way in ways.iter().filter(|way| way.transport == Transport::Tls) {
            let peer = TlsPeer {
                name: trunk.host.clone(),
                trust: trust(&trunk),
            };
            trunks.peers.expect(way.remote, peer);
        }
        if trunks.ways.len() <= at {
            trunks.ways.resize(at + 1, Vec::new());
        }
        let before = std::mem::replace(&mut trunks.ways[at], ways.clone());
        let (Some(way), Some(Some(password))) = (ways.first().copied(), trunks.passwords.get(at))
        else {
            return;
        };
        if !trunk.register || before == ways {
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
                targets: ways,
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

impl Switchboard {
    /// What came of a registration of ours.
    pub(super) fn trunk_registered(
        &mut self,
        name: &str,
        result: Result<u32, u16>,
        retry_s: Option<u32>,
    ) {
        match (result, retry_s) {
            (Ok(0), _) => info!(trunk = name, "registration with the trunk taken back"),
            (Ok(seconds), _) => debug!(trunk = name, seconds, "registered with the trunk"),
            (Err(status), retry_s) => {
                warn!(
                    trunk = name,
                    status, retry_s, "not registered with the trunk"
                );
            }
        }
        let at = self.bridging.plan().trunk_named(name);
        let trunks = self.bridging.trunks();
        if let Some(state) = at.and_then(|at| trunks.registrations.get_mut(at)) {
            *state = Some(result);
        }
    }

    /// What is known of each trunk, for the console.
    pub(super) fn trunk_views(&self, endpoint: &Endpoint) -> Vec<TrunkView> {
        let known = self.bridging.trunks_ref();
        let rows = self.bridging.plan().trunks().iter().enumerate();
        let view = |(at, trunk): (usize, &Trunk)| {
            let came = endpoint.targets(&trunk.account, Instant::now());
            let came = came.first().filter(|_| !trunk.account.is_empty());
            let way = known.ways.get(at).and_then(|ways| ways.first());
            TrunkView {
                name: trunk.name.clone(),
                address: came
                    .map(|target| target.flow.remote)
                    .or(way.map(|way| way.remote))
                    .map(|address| address.to_string()),
                registration: match known.registrations.get(at).copied().flatten() {
                    _ if !trunk.register => "not wanted".to_owned(),
                    Some(Ok(1..)) => "registered".to_owned(),
                    Some(Err(408)) => "no answer".to_owned(),
                    Some(Err(503)) => "no connection".to_owned(),
                    Some(Err(status)) => format!("refused with {status}"),
                    None | Some(Ok(0)) => "not registered".to_owned(),
                },
                account: match (trunk.account.is_empty(), came.is_some()) {
                    (true, _) => "none",
                    (false, true) => "registered with us",
                    (false, false) => "not registered with us",
                },
                calls: self.bridging.calls_of(&trunk.name),
            }
        };
        rows.map(view).collect()
    }
}

/// Looks for a trunk as long as the program runs.
async fn look_up(at: usize, trunk: Trunk, commands: mpsc::Sender<Command>) {
    let transport = transport(&trunk);
    let families = Families {
        ipv4: true,
        ipv6: true,
    };
    let resolver = match Resolver::new(vec![transport], families) {
        Ok(resolver) => resolver,
        Err(error) => return warn!(trunk = %trunk.name, %error, "trunks cannot be looked up"),
    };
    let wanted = Wanted {
        host: trunk.host.trim_matches(['[', ']']).to_owned(),
        port: trunk.port,
        transport: Some(transport),
        is_secure: transport == Transport::Tls,
    };
    loop {
        let found = resolver.resolve(&wanted, rand::random()).await;
        let found = found
            .inspect_err(|error| warn!(trunk = %trunk.name, %error, "trunk not found"))
            .unwrap_or_default();
        let pause = if found.is_empty() {
            LOOK_SOON
        } else {
            LOOK_AGAIN
        };
        if commands
            .send(Command::TrunkFound { at, found })
            .await
            .is_err()
        {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}
