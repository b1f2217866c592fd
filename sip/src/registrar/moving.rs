//! PURE.
//! Phones that have changed their network, or whose NAT gave them another port: which binding a request from elsewhere
//! moves there. RFC 5626 §4.2 lets a flow be replaced by the registration that names it; that any request of the same
//! phone does so, once it is proven whose it is, is ours. Does not own the proof (see `auth`).
//!
//! What is not proven moves nothing: line ends, STUN and responses say nothing of who sent them, and whoever could move a
//! binding by them would get the owner's calls.

use super::{Binding, Registrar, same_uri};
use crate::flow::Flow;
use crate::header::{Contacts, NameAddr};
use crate::message::Request;

/// A binding that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) contact: String,
    /// What is left of it, in seconds.
    pub(crate) left_s: u32,
}

impl Registrar {
    /// Moves the binding of the phone that sent this request to the flow that it came by. The phone is known by its
    /// `+sip.instance`, or by the URI in its Contact where it names none. `None` where nothing moves: it is there already,
    /// came by another transport than it registered by (a large INVITE may, RFC 3261 §18.1.1) or through a proxy, or it
    /// cannot be told which of several flows of the phone is meant.
    pub(crate) fn follow(
        &mut self,
        now_unix_ms: u64,
        user: &str,
        request: &Request,
        flow: Flow,
    ) -> Option<Moved> {
        let Ok(Contacts::List(contacts)) = request.headers.contacts() else {
            return None;
        };
        let contact = contacts.first()?;
        if request.headers.vias().ok()?.len() != 1 {
            return None;
        }
        let known = self.table.of(user);
        let own: Vec<usize> = (0..known.len())
            .filter(|at| known[*at].expires_unix_ms > now_unix_ms)
            .filter(|at| known[*at].flow.transport == flow.transport)
            .filter(|at| is_of(&known[*at], contact))
            .collect();
        if own.iter().any(|at| known[*at].flow == flow) {
            return None;
        }
        let is_cut = |at: &usize| flow.conn.is_some() && known[*at].flow.conn.is_none();
        let cut: Vec<usize> = own.iter().copied().filter(is_cut).collect();
        let at = match (own.as_slice(), cut.as_slice()) {
            ([at], _) | (_, [at]) => *at,
            _ => return None,
        };
        let mut list = known.to_vec();
        let binding = list.get_mut(at)?;
        binding.flow = flow;
        let left_ms = binding.expires_unix_ms.saturating_sub(now_unix_ms);
        let moved = Moved {
            contact: binding.contact.clone(),
            left_s: u32::try_from(left_ms.div_ceil(1000)).unwrap_or(u32::MAX),
        };
        self.table.put(user, list);
        Some(moved)
    }
}

/// Whether the phone that made this binding calls itself so.
fn is_of(binding: &Binding, contact: &NameAddr) -> bool {
    match (&binding.instance, contact.params.value("+sip.instance")) {
        (Some(known), Some(told)) => *known == told,
        _ => same_uri(binding, &contact.uri),
    }
}
