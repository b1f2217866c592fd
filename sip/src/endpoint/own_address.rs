//! PURE.
//! How we call ourselves: the host and port in Via and Contact, RFC 3261 §18.1.1 and §8.1.1.8, with the addresses that
//! the world knows us by. Does not own which socket a message leaves from.

use std::net::{IpAddr, SocketAddr};

use super::{Advertised, Endpoint};
use crate::flow::Flow;

impl Endpoint {
    /// `host:port` for messages on this flow; IPv6 in brackets, and without the zone of a link-local address, which means
    /// nothing to the peer (RFC 4007 §11.2).
    pub(super) fn own_address(&self, flow: Flow) -> String {
        let address = self.outside(flow.local.ip());
        SocketAddr::new(address, flow.local.port()).to_string()
    }

    /// Our Contact on this flow. `user` with its escapes; empty where there is none.
    pub(super) fn contact_value(&self, user: &str, flow: Flow) -> String {
        let at = if user.is_empty() { "" } else { "@" };
        let own = self.own_address(flow);
        match flow.transport.uri_param() {
            None => format!("<sip:{user}{at}{own}>"),
            Some(param) => format!("<sip:{user}{at}{own};transport={param}>"),
        }
    }

    /// Whether `address` is us, for somebody who came by this flow.
    pub(super) fn is_own_address(&self, address: IpAddr, flow: Flow) -> bool {
        let address = address.to_canonical();
        address == flow.local.ip().to_canonical() || address == self.outside(flow.local.ip())
    }

    fn outside(&self, local: IpAddr) -> IpAddr {
        Advertised::of(&self.config.advertised, local)
    }
}
