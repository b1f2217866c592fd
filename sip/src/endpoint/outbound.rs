//! PURE.
//! Keeping the way to a phone open, RFC 5626: what the registrar tells a phone that manages its flows, how long a flow is
//! kept, and STUN keep-alives. Does not own bindings (see `registrar`) or connections (see `streams`).
//!
//! A keep-alive from a new address proves nothing: anybody may send two line ends. A phone that has moved is followed at
//! its next authenticated request, and its `+sip.instance` and `reg-id` make that replace the old flow.

use std::time::{Duration, Instant};

use super::Endpoint;
use crate::flow::{Flow, Transport};
use crate::header::{Contacts, HeaderName};
use crate::message::Request;
use crate::registrar::Change;
use crate::stun;

/// The option tag of RFC 5626 §11.4.
const OUTBOUND: &str = "outbound";
/// A registration that is refreshed late finds its connection still there.
const KEPT_LONGER: Duration = Duration::from_secs(60);

impl Endpoint {
    pub(super) fn on_stun(&mut self, flow: Flow, data: &[u8]) {
        // RFC 5626 §8: streams have their line ends.
        if flow.transport != Transport::Udp {
            self.stats.messages_dropped += 1;
            return;
        }
        match stun::answer(data, flow.remote) {
            Some(answer) => self.transmit(flow, answer),
            None => self.stats.messages_dropped += 1,
        }
    }

    /// RFC 5626 §6: says in the 200 to a REGISTER that the flow is understood as one, and how long it may be silent.
    pub(super) fn outbound_headers(
        &self,
        request: &Request,
        flow: Flow,
    ) -> Vec<(HeaderName, String)> {
        let headers = &request.headers;
        let is_supported = headers
            .option_tags(&HeaderName::Supported)
            .is_ok_and(|tags| tags.iter().any(|tag| tag.eq_ignore_ascii_case(OUTBOUND)));
        let names_flow = |contacts: Contacts| match contacts {
            Contacts::Star => false,
            Contacts::List(contacts) => contacts
                .iter()
                .any(|contact| contact.params.has("reg-id") && contact.params.has("+sip.instance")),
        };
        // Behind another proxy the flow is that proxy's, and its phone's is not ours to keep.
        let is_first_hop = headers.vias().is_ok_and(|vias| vias.len() == 1);
        if !is_supported || !is_first_hop || !headers.contacts().is_ok_and(names_flow) {
            return Vec::new();
        }
        let mut told = vec![(HeaderName::Require, OUTBOUND.to_owned())];
        // A NAT forgets a UDP flow within half a minute: the phone's own default is right there.
        if flow.transport.is_reliable() && self.config.flow_timer_s > 0 {
            let timer = HeaderName::from("Flow-Timer");
            told.push((timer, self.config.flow_timer_s.to_string()));
        }
        told
    }

    /// After a REGISTER: its connection lives as long as what it registered.
    pub(super) fn keep_flow(&mut self, now: Instant, flow: Flow, changes: &[Change]) {
        let longest = changes.iter().filter_map(|change| match change {
            Change::Registered { expires_s, .. } => Some(*expires_s),
            Change::Removed { .. } => None,
        });
        if let (Some(conn), Some(longest_s)) = (flow.conn, longest.max()) {
            let until = now + Duration::from_secs(u64::from(longest_s)) + KEPT_LONGER;
            self.keep_stream(conn, until);
        }
    }
}
