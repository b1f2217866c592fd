//! PURE.
//! Calls that come to us: INVITE, CANCEL, ACK and everything inside a dialog, RFC 3261 §9.2, §12.2.2, §13.3, §14.2 and
//! §15.1.2. Does not own the phases of a call (see `invite`), the program's answers (see `call_control`) or SDP.

use std::time::{Duration, Instant};

use super::receive::{Incoming, capabilities};
use super::reliable::allows_update;
use super::reply::{ALLOW, retry_after};
use super::trunk::shown_caller;
use super::{CallKey, Caller, EndCause, Endpoint, Event};
use crate::dialog::Dialog;
use crate::flow::Flow;
use crate::header::{Contacts, HeaderName};
use crate::invite::{Call, PendingReinvite, Phase, RINGING_MAX};
use crate::message::Request;
use crate::method::Method;
use crate::transaction::key::ServerKey;
use crate::uri::Uri;

pub(super) const SDP: &str = "application/sdp";

/// How long a refused or unanswered step of a call shall keep the peer waiting: RFC 3261 §14.2 wants up to ten seconds.
pub(super) const RETRY_SOON_S_MAX: u64 = 10;

/// The SDP of an ACK or of a response, if there is any.
pub(super) fn sdp_text(sdp: Option<&str>) -> Option<String> {
    sdp.filter(|sdp| !sdp.is_empty()).map(str::to_owned)
}

/// Requests that turn a call somewhere else.
fn may_change(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update | Method::Refer)
}

impl Call {
    /// A call of an account, spoken for from another address than before. Trunks have several.
    fn is_elsewhere(&self, flow: Flow) -> bool {
        let is_account = matches!(self.party, Some(Caller::User(_)));
        is_account && flow.remote.ip().to_canonical() != self.flow.remote.ip().to_canonical()
    }

    /// The peer's NAT may have given it another port; it is where it last spoke from.
    fn follow(&mut self, flow: Flow) {
        if !self.is_elsewhere(flow) {
            self.flow = flow;
        }
    }
}

pub(super) fn target_of(request: &Request) -> Option<Uri> {
    match request.headers.contacts() {
        Ok(Contacts::List(contacts)) => contacts.into_iter().next().map(|contact| contact.uri),
        _ => None,
    }
}

impl Endpoint {
    /// RFC 3261 §13.3.1: an authenticated INVITE outside of any dialog.
    pub(super) fn on_invite(&mut self, now: Instant, caller: Caller, incoming: Incoming) {
        let Incoming {
            request,
            flow,
            reply_to,
            key,
            merge,
        } = incoming;
        let tag = self.new_tag();
        let shown = shown_caller(&caller, &request);
        // Admission has refused bodies that cannot be read.
        let offer = sdp_text(request.sdp());
        let too_brief = self.too_brief(&request);
        let cseq = self.new_cseq();
        let dialog = Dialog::uas(&request, &tag, cseq);
        let replaces = self.replaced_by(&caller, &request);
        let refusal = match &dialog {
            // Who calls must be who logged in.
            _ if shown.is_none() => Some((403, None)),
            Err(_) => Some((400, None)),
            // RFC 4028 §9.
            _ if let Some(min_s) = too_brief => {
                Some((422, Some((HeaderName::MinSe, min_s.to_string()))))
            }
            _ if replaces.is_err() => replaces.err().map(|status| (status, None)),
            _ if self.calls.len().saturating_sub(self.ending) >= self.config.calls_max => Some((
                503,
                Some(retry_after(Duration::from_secs(RETRY_SOON_S_MAX))),
            )),
            Ok(_) => None,
        };
        let id = self.open_server(&request, key, merge, reply_to, tag.clone());
        let (dialog, (from, diversion)) = match (refusal, dialog, shown) {
            (None, Ok(dialog), Some(shown)) => (dialog, shown),
            (refusal, ..) => {
                let (status, header) = refusal.unwrap_or((400, None));
                let mut response = self.response(&request, status, &tag);
                if let Some((name, value)) = header {
                    response.headers.push(name, value);
                }
                self.respond(now, id, response);
                return;
            }
        };
        // RFC 3261 §17.2.1: at once, which stops the caller's retransmissions whatever the program takes to decide.
        let trying = self.response(&request, 100, &tag);
        self.respond(now, id, trying);

        let call_key = CallKey(self.new_key());
        let contact = self.contact_value(request.uri.user.as_deref().unwrap_or_default(), flow);
        let event = Event::IncomingCall {
            call: call_key,
            caller: caller.clone(),
            target: request.uri.user_decoded().unwrap_or_default(),
            request_uri: request.uri.clone(),
            from,
            offer,
            flow,
            call_id: dialog.id.call_id.clone(),
            user_agent: request
                .headers
                .get(&HeaderName::UserAgent)
                .map(str::to_owned),
            diversion,
            replaces: replaces.ok().flatten(),
        };
        // RFC 3261 §13.3.1: an INVITE may say how long it holds.
        let lifetime = match request.headers.expires() {
            Ok(Some(expires_s)) => RINGING_MAX.min(Duration::from_secs(u64::from(expires_s))),
            _ => RINGING_MAX,
        };
        let mut call = Call::new(
            call_key,
            Phase::Incoming { transaction: id },
            request,
            flow,
            contact,
        );
        call.answer_by = Some(now + lifetime);
        call.party = Some(caller);
        call.takes_update = allows_update(&call.invite.headers).unwrap_or(false);
        call.usages.heard_at = Some(now);
        self.dialogs.insert(dialog.id.clone(), call_key);
        call.dialog = Some(dialog);
        self.calls.insert(call_key, call);
        if let Some(entry) = self.servers.get_mut(id) {
            entry.call = Some(call_key);
        }
        self.watch_call(call_key);
        self.event(event);
    }

    /// RFC 3261 §9.2.
    pub(super) fn on_cancel(&mut self, now: Instant, reply_to: Flow, cancel: &Request) {
        let invite = ServerKey::of_cancelled_invite(cancel)
            .ok()
            .and_then(|key| self.servers.find(&key));
        let Some((id, entry)) = invite.and_then(|id| Some((id, self.servers.get(id)?))) else {
            return self.reply(reply_to, cancel, 481, []);
        };
        let (tag, call, open) = (entry.to_tag.clone(), entry.call, entry.machine.is_open());
        let response = self.response(cancel, 200, &tag);
        self.reply_with(reply_to, response);
        let Some(key) = call.filter(|_| open) else {
            return;
        };
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if let Some(reinvite) = call.reinvite.take_if(|reinvite| reinvite.transaction == id) {
            let response = self.response(&reinvite.request, 487, &tag);
            self.respond(now, id, response);
            self.try_reoffer(now, key);
            self.watch_call(key);
        } else if call.phase == (Phase::Incoming { transaction: id }) {
            self.refuse_invite(now, key, 487, Vec::new());
            let reason = cancel.headers.get(&HeaderName::Reason).map(str::to_owned);
            self.end_call(now, key, EndCause::Cancelled { reason });
        }
    }

    /// The ACK for a 2xx of ours, RFC 3261 §13.3.1.4.
    pub(super) fn on_ack(&mut self, now: Instant, key: CallKey, flow: Flow, ack: &Request) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let number = ack.headers.cseq().map(|cseq| cseq.number);
        let Some(unacked) = call.unacked.take_if(|unacked| Ok(unacked.cseq) == number) else {
            return;
        };
        call.follow(flow);
        call.usages.heard_at = Some(now);
        let answer = if unacked.wants_answer {
            sdp_text(ack.sdp())
        } else {
            None
        };
        if answer.is_some() {
            call.remote_sdp.clone_from(&answer);
        }
        match call.phase {
            Phase::Accepted { hangup: true } => self.send_bye(now, key, None),
            Phase::Accepted { hangup: false } => {
                call.phase = Phase::Established;
                self.event(Event::CallConfirmed { call: key, answer });
            }
            Phase::Established if answer.is_some() => {
                self.event(Event::CallConfirmed { call: key, answer })
            }
            _ => {}
        }
        self.try_reoffer(now, key);
        self.watch_call(key);
        self.drop_call_if_done(key);
    }

    /// Who has read a call's tags on the way could else turn its signalling and its sound to himself: what changes a call
    /// of an account and comes from another address must bring the account's proof. Answered here if it does not.
    pub(super) fn is_proven_in_call(
        &mut self,
        now: Instant,
        key: CallKey,
        incoming: &Incoming,
    ) -> bool {
        let (request, flow) = (&incoming.request, incoming.flow);
        let Some(call) = self.calls.get(&key).filter(|call| call.is_elsewhere(flow)) else {
            return true;
        };
        let Some(Caller::User(owner)) = call.party.clone() else {
            return true;
        };
        if !may_change(&request.method) {
            return true;
        }
        match self.authenticate(now, flow, incoming.reply_to, request) {
            Some(user) if user == owner => true,
            Some(_) => {
                self.reply(incoming.reply_to, request, 403, []);
                false
            }
            None => false,
        }
    }

    /// RFC 3261 §12.2.2: any request but ACK and CANCEL inside a dialog.
    pub(super) fn on_request_in_dialog(&mut self, now: Instant, key: CallKey, incoming: Incoming) {
        let Incoming {
            request,
            flow,
            reply_to,
            key: server_key,
            merge,
        } = incoming;
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let number = request.headers.cseq().map_or(0, |cseq| cseq.number);
        let from = request.headers.from().ok();
        let from_tag = from.as_ref().and_then(|from| from.tag());
        let Some(dialog) = call.dialog_mut(from_tag.or(Some(""))) else {
            return;
        };
        let in_order = dialog.accept_cseq(number);
        let tag = dialog.id.local_tag.clone();
        if in_order && call.dialog.is_some() {
            let has_proven = may_change(&request.method) && call.is_elsewhere(flow);
            match has_proven {
                true => call.flow = flow,
                false => call.follow(flow),
            }
            call.usages.heard_at = Some(now);
            call.usages.unreachable = 0;
        }
        // Over for the program, whatever the protocol still has to do: nothing is changed any more.
        let over = !call.is_live();
        let contact = call.contact.clone();
        let id = self.open_server(&request, server_key, merge, reply_to, tag.clone());
        let mut response = match &request.method {
            _ if !in_order => self.response(&request, 500, &tag),
            Method::Bye => return self.on_bye(now, key, id, &request),
            // What a REFER began goes on when the call is over.
            Method::Subscribe => return self.on_subscribe(now, key, id, &request, &tag),
            _ if over => self.response(&request, 481, &tag),
            Method::Invite => return self.on_reinvite(now, key, id, request),
            Method::Update => return self.on_update(now, key, id, request),
            Method::Prack => return self.on_prack(now, key, id, request),
            Method::Refer => return self.on_refer(now, key, id, request, &tag),
            Method::Notify => self.on_notify(now, key, &request, &tag),
            Method::Info => self.on_info(key, &request, &tag),
            Method::Options => {
                let mut response = self.response(&request, 200, &tag);
                response.headers.push(HeaderName::Contact, contact);
                for (name, value) in capabilities() {
                    response.headers.push(name, value);
                }
                response
            }
            Method::Other(_) => self.response(&request, 501, &tag),
            _ => self.response(&request, 405, &tag),
        };
        if matches!(response.status, 405 | 501) {
            response.headers.push(HeaderName::Allow, ALLOW);
        }
        self.respond(now, id, response);
    }

    /// RFC 3261 §15.1.2.
    fn on_bye(&mut self, now: Instant, key: CallKey, id: u64, bye: &Request) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let tag = call
            .dialog
            .as_ref()
            .map(|dialog| dialog.id.local_tag.clone())
            .unwrap_or_default();
        let phase = call.phase;
        if let Phase::Calling { .. } = phase {
            // RFC 3261 §15 forbids a callee to end what it has not answered. One branch of a fork goes; the INVITE goes on.
            self.respond_plainly(now, id, bye, 200);
            let from = bye.headers.from().ok();
            let from_tag = from.as_ref().and_then(|from| from.tag());
            if let Some(call) = self.calls.get_mut(&key)
                && let Some(at) = call.early_at(from_tag.unwrap_or_default())
            {
                let early = call.early.remove(at);
                self.dialogs.remove(&early.dialog.id);
            }
            return;
        }
        call.unacked = None;
        let reinvite = call.reinvite.take();
        let response = self.response(bye, 200, &tag);
        self.respond(now, id, response);
        if let Some(reinvite) = reinvite {
            let response = self.response(&reinvite.request, 487, &tag);
            self.respond(now, reinvite.transaction, response);
        }
        if let Phase::Incoming { .. } = phase {
            self.refuse_invite(now, key, 487, Vec::new());
        }
        let reason = bye.headers.get(&HeaderName::Reason).map(str::to_owned);
        self.end_call(now, key, EndCause::ByeReceived { reason });
    }

    /// RFC 3261 §14.2.
    fn on_reinvite(&mut self, now: Instant, key: CallKey, id: u64, request: Request) {
        let wait_s = 1 + u64::from(self.new_cseq()) % RETRY_SOON_S_MAX;
        let too_brief = self.too_brief(&request);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let tag = call
            .dialog
            .as_ref()
            .map(|dialog| dialog.id.local_tag.clone())
            .unwrap_or_default();
        let busy = call.reinvite.is_some()
            || call.unacked.is_some()
            || matches!(call.phase, Phase::Incoming { .. });
        let refusal = match too_brief {
            // One INVITE at a time: 500 with a while to wait if the first is not through.
            _ if busy => Some((500, retry_after(Duration::from_secs(wait_s)))),
            // RFC 3261 §14.2: ours is still open, so this one is glare.
            _ if call.has_open_invite() => Some((491, retry_after(Duration::from_secs(wait_s)))),
            Some(min_s) => Some((422, (HeaderName::MinSe, min_s.to_string()))),
            None => None,
        };
        let offer = sdp_text(request.sdp());
        if refusal.is_none()
            && let Some(sdp) = &offer
            && self.is_mere_refresh(key, &request, sdp)
            && let Some(call) = self.calls.get(&key)
            && let Some(answer) = call.local_sdp.clone()
        {
            let flow = call.flow;
            return self.accept_reinvite(now, key, id, &request, answer, flow);
        }
        let offer = match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(offer),
        };
        match offer {
            Err((status, (name, value))) => {
                let mut response = self.response(&request, status, &tag);
                response.headers.push(name, value);
                self.respond(now, id, response);
            }
            Ok(offer) => {
                let answer_by = now + self.config.timers.t1_x64();
                let Some(call) = self.calls.get_mut(&key) else {
                    return;
                };
                call.reinvite = Some(PendingReinvite {
                    transaction: id,
                    request,
                    answer_by,
                });
                if let Some(entry) = self.servers.get_mut(id) {
                    entry.call = Some(key);
                }
                let trying = self.calls.get(&key).and_then(|call| call.reinvite.as_ref());
                let trying = trying.map(|reinvite| self.response(&reinvite.request, 100, &tag));
                if let Some(trying) = trying {
                    self.respond(now, id, trying);
                }
                self.watch_call(key);
                self.event(Event::ReInvite { call: key, offer });
            }
        }
    }
}
