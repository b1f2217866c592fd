//! PURE.
//! Where a user's phones are now: bindings as targets of a call, each with the one way that leads to it, RFC 3261 §16.5
//! and RFC 5626 §5.3. Does not own bindings (see `registrar`) or the calls.

use std::net::SocketAddr;
use std::time::Instant;

use super::Endpoint;
use crate::flow::FlowTarget;
use crate::registrar::Binding;
use crate::uri::Uri;

/// One phone of a user, ready for `CallParams`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTarget {
    /// Request-URI: the Contact as the phone registered it.
    pub uri: Uri,
    /// The way its REGISTER came.
    pub flow: FlowTarget,
    /// Preference in thousandths, 0 to 1000.
    pub q: u16,
    pub user_agent: Option<String>,
}

impl Endpoint {
    /// Phones of a user that can be reached now, the preferred first and among equals the one heard of last. A phone
    /// with several flows (RFC 5626 `reg-id`) is one target. Left out is what could only fail: a phone whose connection
    /// is gone and that we cannot connect to, because it is behind a NAT or speaks WebSocket.
    pub fn targets(&self, user: &str, now: Instant) -> Vec<CallTarget> {
        let mut bindings = self.registrar.of(user, self.unix_ms(now));
        bindings.sort_by_key(|binding| std::cmp::Reverse((binding.q, binding.expires_unix_ms)));
        let mut instances: Vec<&str> = Vec::new();
        let mut targets: Vec<CallTarget> = Vec::new();
        for binding in &bindings {
            // RFC 5626 §5.3: not two flows of one phone at once.
            let instance = binding.reg_id.and(binding.instance.as_deref());
            if instance.is_some_and(|instance| instances.contains(&instance)) {
                continue;
            }
            let Ok(uri) = binding.contact.parse::<Uri>() else {
                continue;
            };
            let Some(flow) = self.way_to(binding, &uri) else {
                continue;
            };
            // A phone that made up a new instance with every start has left the old ones behind.
            if targets
                .iter()
                .any(|known| known.flow == flow && known.uri == uri)
            {
                continue;
            }
            instances.extend(instance);
            targets.push(CallTarget {
                uri,
                flow,
                q: binding.q,
                user_agent: binding.user_agent.clone(),
            });
        }
        targets
    }

    fn way_to(&self, binding: &Binding, contact: &Uri) -> Option<FlowTarget> {
        let flow = binding.flow;
        let back = FlowTarget {
            transport: flow.transport,
            local: flow.local,
            remote: flow.remote,
        };
        let alive = flow.conn.is_some_and(|conn| self.streams.is_alive(conn));
        if !flow.transport.is_reliable() || alive {
            return Some(back);
        }
        // The connection is gone, by a restart of ours maybe. A phone that is where its Contact says takes a new one.
        let address = contact
            .host
            .ip()
            .filter(|address| address.to_canonical() == flow.remote.ip().to_canonical());
        let port = contact.port.unwrap_or(flow.transport.default_port());
        (!flow.transport.is_web_socket() && address.is_some()).then_some(FlowTarget {
            remote: SocketAddr::new(flow.remote.ip(), port),
            ..back
        })
    }
}
