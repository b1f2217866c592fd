//! PURE.
//! Trunks: outside lines and other systems that call us without an account of ours, and how one is told from a stranger.
//! Also how a call to one is written. Does not own calls, registrations or digest (see `endpoint` and `auth`).
//!
//! What proves that a request is from a trunk, any one of it:
//!
//! - It came over the connection that we opened to the trunk's registrar.
//! - Its Request-URI bears the `line` of our registration with the trunk, which nobody else was told, and it came from
//!   an address of the trunk.
//! - It came from an address of the trunk over a connection; the handshake proves the address. UDP proves nothing, so it
//!   counts only where the owner says so (`trusts_udp`): whoever can send packets in the trunk's name can then ring
//!   phones, though never hear an answer.
//! - It answers our digest challenge with the trunk's own account, from an address of the trunk if it has a list.
//!
//! A trunk with an account must always answer the challenge, unless it came by one of the first two ways.

use std::net::IpAddr;

use crate::endpoint::{CallParams, Caller, User};
use crate::flow::{FlowTarget, Transport};
use crate::header::HeaderName;
use crate::identity::{CallerId, IdentityForm};
use crate::secret::Secret;
use crate::uri::{Host, Uri};

/// One trunk.
#[derive(Debug, Clone)]
pub struct Trunk {
    pub name: String,
    /// Networks it calls from: an address and the bits of it that count. Empty: nobody is this trunk by address.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Its address counts over this transport alone; `None`: over any.
    pub transport: Option<Transport>,
    /// Its address counts over UDP, too, where addresses can be forged.
    pub trusts_udp: bool,
    /// With this it answers our challenge. The name must be that of no user. It may register, so that it is reached
    /// wherever it is: its bindings are those of its account.
    pub account: Option<User>,
}

impl Trunk {
    /// Bits of the network that an address of this trunk lies in, the longest match.
    fn matching_bits(&self, address: IpAddr) -> Option<u8> {
        let within = self
            .addresses
            .iter()
            .filter(|(network, bits)| is_within(address, *network, *bits));
        within.map(|(_, bits)| *bits).max()
    }

    /// Whether a request from there may be the trunk's: a trunk without a list may call from anywhere.
    pub(crate) fn may_be_at(&self, address: IpAddr) -> bool {
        self.addresses.is_empty() || self.matching_bits(address).is_some()
    }

    /// Whether the address of a request over this transport proves something.
    fn is_proven_over(&self, transport: Transport) -> bool {
        self.transport.is_none_or(|own| own == transport)
            && (transport.is_reliable() || self.trusts_udp)
    }
}

/// The way out over a trunk: everything that its calls have in common.
#[derive(Debug, Clone)]
pub struct TrunkRoute {
    pub trunk: String,
    /// Host of Request-URI, From and To, whatever address `flow` leads to.
    pub domain: Host,
    pub port: Option<u16>,
    pub flow: FlowTarget,
    /// An outbound proxy of the trunk's: value of Route, with its `lr` if it wants one.
    pub proxy: Option<Uri>,
    /// User part of From where the number goes elsewhere; see `IdentityForm`.
    pub account: Option<String>,
    /// Name and password for its challenges.
    pub credentials: Option<(String, Secret)>,
    pub identity: IdentityForm,
    /// Written into each INVITE.
    pub headers: Vec<(HeaderName, String)>,
}

impl TrunkRoute {
    /// A call to a number behind the trunk, as the trunk wants it written. `extra` comes after the trunk's own headers,
    /// for instance `identity::diversion`. Without an offer the trunk makes it.
    pub fn call(
        &self,
        number: &str,
        caller: &CallerId,
        contact: Uri,
        offer: Option<String>,
        extra: Vec<(HeaderName, String)>,
    ) -> CallParams {
        let target = Uri::sip(Some(number), self.domain.clone(), self.port);
        let (from, stated) = caller.write(self.identity, &self.domain, self.account.as_deref());
        let route = self
            .proxy
            .iter()
            .map(|proxy| (HeaderName::Route, format!("<{proxy}>")));
        let headers = route
            .chain(stated)
            .chain(self.headers.iter().cloned())
            .chain(extra);
        CallParams {
            credentials: self.credentials.clone(),
            offer,
            headers: headers.collect(),
            party: Some(Caller::Trunk(self.trunk.clone())),
            ..CallParams::new(target, self.flow, from, contact, String::new())
        }
    }
}

/// All trunks, by name. As many as the owner has configured.
#[derive(Debug, Default)]
pub(crate) struct Trunks(Vec<Trunk>);

impl Trunks {
    pub(crate) fn new(trunks: Vec<Trunk>) -> Trunks {
        Trunks(trunks)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Trunk> {
        self.0.iter().find(|trunk| trunk.name == name)
    }

    /// Whether a trunk calls from there.
    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        self.0
            .iter()
            .any(|trunk| trunk.matching_bits(address).is_some())
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = &User> {
        self.0.iter().filter_map(|trunk| trunk.account.as_ref())
    }

    /// The trunk that logs in under this name.
    pub(crate) fn of_account(&self, account: &str) -> Option<&Trunk> {
        let has_it = |trunk: &&Trunk| {
            trunk
                .account
                .as_ref()
                .is_some_and(|own| own.name == account)
        };
        self.0.iter().find(has_it)
    }

    /// The trunk that a request is from by its address alone: the one whose network is the narrowest.
    pub(crate) fn at(&self, address: IpAddr, transport: Transport) -> Option<&Trunk> {
        let proven = self
            .0
            .iter()
            .filter(|trunk| trunk.account.is_none() && trunk.is_proven_over(transport));
        let narrowest = proven.filter_map(|trunk| Some((trunk.matching_bits(address)?, trunk)));
        narrowest
            .max_by_key(|(bits, _)| *bits)
            .map(|(_, trunk)| trunk)
    }
}

/// Whether an address lies in a network. IPv4 addresses mapped into IPv6 are IPv4 addresses.
fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address.to_canonical(), network.to_canonical()) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(bits.min(32)))
                .unwrap_or(0);
            (u32::from(address) ^ u32::from(network)) & mask == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(bits.min(128)))
                .unwrap_or(0);
            (u128::from(address) ^ u128::from(network)) & mask == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transport::{Tcp, Tls, Udp};

    #[test]
    fn networks() {
        let table = [
            ("203.0.113.9", "203.0.113.0", 24, true),
            ("203.0.114.9", "203.0.113.0", 24, false),
            ("203.0.113.9", "203.0.113.9", 32, true),
            ("203.0.113.8", "203.0.113.9", 32, false),
            ("203.0.113.9", "0.0.0.0", 0, true),
            ("203.0.113.9", "203.0.113.9", 255, true),
            ("::ffff:203.0.113.9", "203.0.113.0", 24, true),
            ("2001:db8::1", "2001:db8::", 32, true),
            ("2001:db9::1", "2001:db8::", 32, false),
            ("2001:db8::1", "::", 0, true),
            ("203.0.113.9", "::", 0, false),
        ];
        for (address, network, bits, expected) in table {
            let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
            let within = is_within(parse(address), parse(network), bits);
            assert_eq!(within, expected, "{address} in {network}/{bits}");
        }
    }

    #[test]
    fn which_trunk_an_address_is() {
        let trunk = |name: &str, network: &str, bits, transport, trusts_udp| Trunk {
            name: name.to_owned(),
            addresses: vec![(network.parse().expect("an address"), bits)],
            transport,
            trusts_udp,
            account: None,
        };
        let mut trunks = vec![
            trunk("wide", "203.0.113.0", 24, None, false),
            trunk("narrow", "203.0.113.64", 26, None, true),
            trunk("tls", "198.51.100.0", 24, Some(Tls), true),
            trunk("challenged", "192.0.2.0", 24, None, true),
        ];
        trunks[3].account = Some(User {
            name: "carrier".to_owned(),
            ha1_md5: "x".into(),
            ha1_sha256: "x".into(),
            local_only: false,
        });
        trunks.push(Trunk {
            addresses: Vec::new(),
            ..trunk("listless", "0.0.0.0", 0, None, true)
        });
        let trunks = Trunks::new(trunks);
        let table = [
            ("203.0.113.1", Tcp, Some("wide")),
            ("203.0.113.1", Udp, None),
            ("203.0.113.65", Tcp, Some("narrow")),
            ("203.0.113.65", Udp, Some("narrow")),
            ("198.51.100.1", Tls, Some("tls")),
            ("198.51.100.1", Tcp, None),
            ("192.0.2.1", Tcp, None),
            ("10.0.0.1", Tcp, None),
        ];
        for (address, transport, expected) in table {
            let found = trunks.at(address.parse().expect("an address"), transport);
            assert_eq!(
                found.map(|trunk| trunk.name.as_str()),
                expected,
                "{address} {transport}"
            );
        }
        assert_eq!(
            trunks
                .of_account("carrier")
                .map(|trunk| trunk.name.as_str()),
            Some("challenged")
        );
        assert!(trunks.of_account("wide").is_none());
    }
}
