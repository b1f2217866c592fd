//! PURE.
//! Whether the peer of a call is still there: OPTIONS inside calls that have been quiet, RFC 3261 §11 and §12.2.1.2. Media
//! cannot tell in every call (a held one has none, and ours sees only its own side), so every call is asked. Does not own
//! OPTIONS of others (see `receive`).

use std::time::Instant;

use super::transactions::Owner;
use super::usages::Usage;
use super::{CallKey, Caller, EndCause, Endpoint};
use crate::flow::{ConnId, Flow};
use crate::header::HeaderName;
use crate::invite::{Call, Phase};
use crate::method::Method;
use crate::uri::Uri;

/// Probes in a row that could not be sent before the call is given up: its phone has had as many chances to come back.
const UNREACHABLE_MAX: u8 = 3;

/// Whether a broken connection can be opened from our side: one that we had opened, or to a phone that is where its
/// Contact says.
fn may_reconnect(call: &Call, conn: ConnId) -> bool {
    let target = call
        .dialog
        .as_ref()
        .and_then(|dialog| dialog.remote_target.host.ip());
    let is_there = conn.is_outbound() || target == Some(call.flow.remote.ip());
    is_there && !call.flow.transport.is_web_socket()
}

impl Endpoint {
    pub(super) fn probe(&mut self, now: Instant, key: CallKey) {
        self.rehome(now, key);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.phase != Phase::Established {
            return;
        }
        let is_cut = call
            .flow
            .conn
            .is_some_and(|conn| !self.streams.is_alive(conn) && !may_reconnect(call, conn));
        if is_cut {
            return self.on_probe_unsent(now, key);
        }
        call.usages.is_probed = true;
        let owner = Owner::Usage(key, Usage::Probe);
        self.send_in_dialog(now, key, None, Method::Options, owner, |request| {
            request.headers.push(HeaderName::Accept, "application/sdp");
        });
    }

    /// Any answer is a sign of life: RFC 3261 §11.2 has one for every state, and old phones refuse the method.
    pub(super) fn on_probe_answered(&mut self, key: CallKey) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.usages.is_probed = false;
        }
    }

    /// The connection is gone. The sound may still flow, so the phone has some time to connect again.
    pub(super) fn on_probe_unsent(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.usages.heard_at = Some(now);
        call.usages.unreachable += 1;
        if call.usages.unreachable >= UNREACHABLE_MAX {
            self.lose_call(now, key, EndCause::TransportFailed);
        }
    }

    /// A call whose connection is gone goes on over the one its phone has registered by since, RFC 5626 §4.2.
    pub(super) fn rehome(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let (Some(Caller::User(user)), Some(conn)) = (&call.party, call.flow.conn) else {
            return;
        };
        if self.streams.is_alive(conn) {
            return;
        }
        let target = call.dialog.as_ref().map(|dialog| &dialog.remote_target);
        let bindings = self.registrar.of(user, self.unix_ms(now));
        let living = bindings.iter().filter(|binding| {
            binding.flow.transport.is_reliable()
                && binding
                    .flow
                    .conn
                    .is_some_and(|conn| self.streams.is_alive(conn))
        });
        let same_contact = |contact: &str| {
            contact
                .parse::<Uri>()
                .is_ok_and(|uri| target.is_some_and(|own| own.equivalent(&uri)))
        };
        let same_place = |flow: Flow| flow.remote.ip() == call.flow.remote.ip();
        let found = living
            .clone()
            .find(|binding| same_contact(&binding.contact))
            .or_else(|| living.clone().find(|binding| same_place(binding.flow)));
        let flow = found.map(|binding| binding.flow);
        if let (Some(flow), Some(call)) = (flow, self.calls.get_mut(&key)) {
            call.flow = flow;
        }
    }
}
