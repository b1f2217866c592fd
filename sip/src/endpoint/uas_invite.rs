//! PURE.
//! Calls that come to us: INVITE, CANCEL, ACK and everything inside a dialog, RFC 3261 §9.2, §12.2.2, §13.3, §14.2 and
//! §15.1.2; and the program's answers to them. Does not own the phases of a call (see `invite`) or SDP.

use std::time::{Duration, Instant};

use super::receive::{Incoming, capabilities, contact_value};
use super::reply::{ALLOW, retry_after};
use super::transactions::Owner;
use super::{CallError, CallKey, EndCause, Endpoint, Event, TimerId};
use crate::dialog::Dialog;
use crate::flow::{ConnId, Flow};
use crate::header::{Contacts, HeaderName};
use crate::invite::{Call, CallFired, Cancel, PendingReinvite, Phase, RINGING_MAX, UnackedAnswer};
use crate::message::{Request, Response};
use crate::method::Method;
use crate::transaction::key::ServerKey;
use crate::uri::Uri;

const SDP: &str = "application/sdp";

/// How long a refused or unanswered step of a call shall keep the peer waiting: RFC 3261 §14.2 wants up to ten seconds.
const RETRY_SOON_S_MAX: u64 = 10;

/// What a request offers in its body.
enum Body {
    None,
    Sdp(String),
    /// A body we cannot read, RFC 3261 §8.2.3.
    Unsupported,
}

fn body(request: &Request) -> Body {
    if request.body.is_empty() {
        return Body::None;
    }
    let encoded = request
        .headers
        .get(&HeaderName::ContentEncoding)
        .is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
    match request.headers.content_type() {
        Ok(Some(kind)) if kind == SDP && !encoded => match std::str::from_utf8(&request.body) {
            Ok(sdp) => Body::Sdp(sdp.to_owned()),
            Err(_) => Body::Unsupported,
        },
        _ => Body::Unsupported,
    }
}

/// The SDP of an ACK or of a response, if there is any.
pub(super) fn sdp_text(sdp: Option<&str>) -> Option<String> {
    sdp.filter(|sdp| !sdp.is_empty()).map(str::to_owned)
}

fn target_of(request: &Request) -> Option<Uri> {
    match request.headers.contacts() {
        Ok(Contacts::List(contacts)) => contacts.into_iter().next().map(|contact| contact.uri),
        _ => None,
    }
}

impl Endpoint {
    /// RFC 3261 §13.3.1: an authenticated INVITE outside of any dialog.
    pub(super) fn on_invite(&mut self, now: Instant, user: String, incoming: Incoming) {
        let Incoming {
            request,
            flow,
            reply_to,
            key,
            merge,
        } = incoming;
        let tag = self.new_tag();
        let own = request
            .headers
            .from()
            .is_ok_and(|from| from.uri.user_decoded().as_deref() == Some(user.as_str()));
        let offer = match body(&request) {
            Body::None => Ok(None),
            Body::Sdp(sdp) => Ok(Some(sdp)),
            Body::Unsupported => Err(()),
        };
        let cseq = self.new_cseq();
        let dialog = Dialog::uas(&request, &tag, cseq);
        let refusal = match (&dialog, &offer) {
            // Who calls must be who logged in.
            _ if !own => Some((403, None)),
            (_, Err(())) => Some((415, Some((HeaderName::Accept, SDP.to_owned())))),
            (Err(_), _) => Some((400, None)),
            _ if self.calls.len() >= self.config.calls_max => Some((
                503,
                Some(retry_after(Duration::from_secs(RETRY_SOON_S_MAX))),
            )),
            _ => None,
        };
        let id = self.open_server(&request, key, merge, reply_to, tag.clone());
        let (dialog, offer) = match (refusal, dialog, offer) {
            (None, Ok(dialog), Ok(offer)) => (dialog, offer),
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
        let contact = contact_value(request.uri.user.as_deref().unwrap_or_default(), flow);
        let event = Event::IncomingCall {
            call: call_key,
            user,
            target: request.uri.user_decoded().unwrap_or_default(),
            request_uri: request.uri.clone(),
            offer,
            flow,
            call_id: dialog.id.call_id.clone(),
            user_agent: request
                .headers
                .get(&HeaderName::UserAgent)
                .map(str::to_owned),
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
            self.watch_call(key);
        } else if call.phase == (Phase::Incoming { transaction: id }) {
            self.refuse_invite(now, key, 487, Vec::new());
            self.end_call(key, EndCause::Cancelled);
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
        call.flow = flow;
        let answer = if unacked.wants_answer {
            sdp_text(ack.sdp())
        } else {
            None
        };
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
        self.watch_call(key);
        self.drop_call_if_done(key);
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
        let Some(dialog) = &mut call.dialog else {
            return;
        };
        let in_order = dialog.accept_cseq(number);
        let tag = dialog.id.local_tag.clone();
        if in_order {
            // The peer's NAT may have moved it; it is where it last spoke from.
            call.flow = flow;
        }
        let (phase, contact) = (call.phase, call.contact.clone());
        let id = self.open_server(&request, server_key, merge, reply_to, tag.clone());
        let mut response = match (&request.method, phase) {
            _ if !in_order => self.response(&request, 500, &tag),
            (Method::Bye, _) => return self.on_bye(now, key, id, &request),
            (_, Phase::Closing) => self.response(&request, 481, &tag),
            (Method::Invite, _) => return self.on_reinvite(now, key, id, request),
            (Method::Options, _) => {
                let mut response = self.response(&request, 200, &tag);
                response.headers.push(HeaderName::Contact, contact);
                for (name, value) in capabilities() {
                    response.headers.push(name, value);
                }
                response
            }
            // RFC 6086 §4.2.1: an INFO without a package and without a body means nothing, and is no mistake.
            (Method::Info, _) if request.body.is_empty() => self.response(&request, 200, &tag),
            (Method::Info, _) => {
                let mut response = self.response(&request, 415, &tag);
                response.headers.push(HeaderName::Accept, "");
                response
            }
            (Method::Other(_), _) => self.response(&request, 501, &tag),
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
        call.unacked = None;
        let reinvite = call.reinvite.take();
        let phase = call.phase;
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
        self.end_call(key, EndCause::ByeReceived { reason });
    }

    /// RFC 3261 §14.2.
    fn on_reinvite(&mut self, now: Instant, key: CallKey, id: u64, request: Request) {
        let wait_s = 1 + u64::from(self.new_cseq()) % RETRY_SOON_S_MAX;
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
        let offer = match body(&request) {
            // One INVITE at a time: 500 with a while to wait if the first is not through.
            _ if busy => Err((500, retry_after(Duration::from_secs(wait_s)))),
            // Ours is still open, so this one is glare.
            _ if matches!(call.phase, Phase::Calling { .. }) => {
                Err((491, retry_after(Duration::from_secs(wait_s))))
            }
            Body::Unsupported => Err((415, (HeaderName::Accept, SDP.to_owned()))),
            Body::Sdp(sdp) => Ok(Some(sdp)),
            Body::None => Ok(None),
        };
        match offer {
            Err((status, (name, value))) => {
                let mut response = self.response(&request, status, &tag);
                response.headers.push(name, value);
                self.respond(now, id, response);
            }
            Ok(offer) => {
                let answer_by = now + self.config.timers.t1_x64();
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

    // ---- what the program says ----

    /// A provisional response, 101 to 199, perhaps with early media. It is repeated every minute until the answer.
    pub fn provisional(
        &mut self,
        now: Instant,
        key: CallKey,
        status: u16,
        sdp: Option<String>,
    ) -> Result<(), CallError> {
        let id = self.incoming_transaction(key)?;
        if !(101..=199).contains(&status) {
            return Err(CallError::BadStatus(status));
        }
        let Some(mut response) = self.call_response(key, status) else {
            return Err(CallError::NoSuchCall);
        };
        if let Some(sdp) = sdp {
            response.set_body(SDP, sdp);
        }
        if let Some(packet) = self.respond(now, id, response)
            && let Some(call) = self.calls.get_mut(&key)
        {
            call.provisional = Some((now + self.config.timers.provisional_repeat(), packet));
            self.watch_call(key);
        }
        Ok(())
    }

    /// 200 with the answer, or with our offer if the INVITE had none.
    pub fn answer(&mut self, now: Instant, key: CallKey, sdp: String) -> Result<(), CallError> {
        let id = self.incoming_transaction(key)?;
        let Some(mut response) = self.call_response(key, 200) else {
            return Err(CallError::NoSuchCall);
        };
        add_allow(&mut response);
        response.set_body(SDP, sdp);
        let packet = self
            .respond(now, id, response)
            .ok_or(CallError::WrongState)?;
        let flow = self.servers.get(id).map(|entry| entry.reply_to);
        let Some(call) = self.calls.get_mut(&key) else {
            return Err(CallError::NoSuchCall);
        };
        call.stop_ringing();
        call.phase = Phase::Accepted { hangup: false };
        let cseq = call.invite.headers.cseq().map_or(0, |cseq| cseq.number);
        let late_offer = call.invite.body.is_empty();
        let timers = &self.config.timers;
        let flow = flow.unwrap_or(call.flow);
        call.unacked = Some(UnackedAnswer::new(
            now, timers, cseq, packet, flow, late_offer,
        ));
        self.watch_call(key);
        Ok(())
    }

    /// A final refusal, 300 to 699.
    pub fn reject(
        &mut self,
        now: Instant,
        key: CallKey,
        status: u16,
        extra: Vec<(HeaderName, String)>,
    ) -> Result<(), CallError> {
        self.incoming_transaction(key)?;
        if !(300..=699).contains(&status) {
            return Err(CallError::BadStatus(status));
        }
        self.refuse_invite(now, key, status, extra);
        self.end_call(key, EndCause::Rejected { status });
        Ok(())
    }

    /// Ends a call in whatever way its state wants: 480 to an INVITE not yet answered (503 while shutting down), CANCEL
    /// of ours, or BYE. `reason` is the value of a Reason header, RFC 3326.
    pub fn hangup(
        &mut self,
        now: Instant,
        key: CallKey,
        reason: Option<String>,
    ) -> Result<(), CallError> {
        let call = self.live_call(key)?;
        match call.phase {
            Phase::Incoming { .. } => {
                let status = if self.shutting_down { 503 } else { 480 };
                let extra = reason
                    .map(|reason| (HeaderName::Reason, reason))
                    .into_iter()
                    .collect();
                self.refuse_invite(now, key, status, extra);
                self.end_call(key, EndCause::Rejected { status });
            }
            // RFC 3261 §15: the callee's BYE waits for the ACK of its 2xx.
            Phase::Accepted { .. } => {
                call.phase = Phase::Accepted { hangup: true };
                self.event(Event::CallEnded {
                    call: key,
                    cause: EndCause::ByeSent,
                });
            }
            Phase::Calling { transaction, .. } => self.cancel(now, key, transaction),
            Phase::Established => {
                self.send_bye(now, key, reason);
                self.event(Event::CallEnded {
                    call: key,
                    cause: EndCause::ByeSent,
                });
            }
            Phase::Closing => return Err(CallError::NoSuchCall),
        }
        Ok(())
    }

    /// The answer to `Event::ReInvite`: SDP for a 200, or the status of a refusal. The call goes on either way.
    pub fn answer_reinvite(
        &mut self,
        now: Instant,
        key: CallKey,
        answer: Result<String, u16>,
    ) -> Result<(), CallError> {
        let call = self.live_call(key)?;
        if let Err(status) = answer
            && !(300..=699).contains(&status)
        {
            return Err(CallError::BadStatus(status));
        }
        let Some(PendingReinvite {
            transaction,
            request,
            ..
        }) = call.reinvite.take()
        else {
            return Err(CallError::WrongState);
        };
        let (tag, contact, flow) = (
            call.dialog
                .as_ref()
                .map(|dialog| dialog.id.local_tag.clone())
                .unwrap_or_default(),
            call.contact.clone(),
            call.flow,
        );
        match answer {
            Err(status) => {
                let response = self.response(&request, status, &tag);
                self.respond(now, transaction, response);
            }
            Ok(sdp) => {
                let mut response = self.response(&request, 200, &tag);
                response.headers.push(HeaderName::Contact, contact);
                add_allow(&mut response);
                response.set_body(SDP, sdp);
                let cseq = request.headers.cseq().map_or(0, |cseq| cseq.number);
                if let Some(packet) = self.respond(now, transaction, response)
                    && let Some(call) = self.calls.get_mut(&key)
                {
                    // RFC 3261 §12.2.2: only now does the target refresh hold.
                    if let Some(dialog) = &mut call.dialog {
                        dialog.refresh_target(target_of(&request).as_ref());
                    }
                    let late_offer = request.body.is_empty();
                    let timers = &self.config.timers;
                    call.unacked = Some(UnackedAnswer::new(
                        now, timers, cseq, packet, flow, late_offer,
                    ));
                }
            }
        }
        self.watch_call(key);
        Ok(())
    }

    // ---- what both directions share ----

    pub(super) fn on_call_timer(&mut self, now: Instant, key: CallKey) {
        let timers = self.config.timers;
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        match call.on_timeout(now, &timers) {
            CallFired::Nothing => {}
            CallFired::ResendAnswer => {
                if let Some((flow, packet)) = call
                    .unacked
                    .as_ref()
                    .map(|answer| (answer.flow, answer.packet.clone()))
                {
                    self.stats.retransmissions_sent += 1;
                    self.transmit(flow, packet);
                }
            }
            CallFired::AckMissing => {
                // RFC 3261 §13.3.1.4: the dialog stands, the session does not: BYE.
                let told = !call.is_live();
                call.unacked = None;
                self.send_bye(now, key, None);
                if !told {
                    self.event(Event::CallEnded {
                        call: key,
                        cause: EndCause::AckTimeout,
                    });
                }
            }
            CallFired::RepeatProvisional => {
                let packet = call.provisional.as_ref().map(|(_, packet)| packet.clone());
                if let (Phase::Incoming { transaction }, Some(packet)) = (call.phase, packet)
                    && let Some(flow) = self.servers.get(transaction).map(|entry| entry.reply_to)
                {
                    self.transmit(flow, packet);
                }
            }
            CallFired::RangOut => match call.phase {
                Phase::Incoming { .. } => {
                    // RFC 3261 §13.3.1: 487 for an INVITE that expired.
                    self.refuse_invite(now, key, 487, Vec::new());
                    self.end_call(
                        key,
                        EndCause::Failed {
                            status: 487,
                            why: "rang too long".to_owned(),
                        },
                    );
                }
                Phase::Calling { transaction, .. } => self.cancel(now, key, transaction),
                _ => {}
            },
            CallFired::ReinviteLeft => {
                // The program owes an answer it will not give.
                let _ = self.answer_reinvite(now, key, Err(500));
            }
        }
        self.watch_call(key);
    }

    /// RFC 3261 §15.1.1; whoever calls this tells the program.
    pub(super) fn send_bye(&mut self, now: Instant, key: CallKey, reason: Option<String>) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.phase = Phase::Closing;
        call.stop_ringing();
        call.unacked = None;
        let reinvite = call.reinvite.take();
        let flow = call.flow;
        let Some(mut bye) = call
            .dialog
            .as_mut()
            .map(|dialog| dialog.request(Method::Bye))
        else {
            return;
        };
        if let Some(PendingReinvite {
            transaction,
            request,
            ..
        }) = reinvite
        {
            let tag = bye
                .headers
                .from()
                .ok()
                .and_then(|from| from.tag().map(str::to_owned))
                .unwrap_or_default();
            let response = self.response(&request, 487, &tag);
            self.respond(now, transaction, response);
        }
        if let Some(reason) = reason {
            bye.headers.push(HeaderName::Reason, reason);
        }
        self.add_product(&mut bye);
        self.send_request(now, bye, flow, Owner::Bye(key));
        self.watch_call(key);
    }

    /// The program's last word about a call. What the protocol still needs of it stays until done.
    pub(super) fn end_call(&mut self, key: CallKey, cause: EndCause) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let told = !call.is_live();
        call.phase = Phase::Closing;
        call.stop_ringing();
        self.watch_call(key);
        if !told {
            self.event(Event::CallEnded { call: key, cause });
        }
        self.drop_call_if_done(key);
    }

    pub(super) fn drop_call_if_done(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        if call.phase == Phase::Closing && call.transactions == 0 && call.unacked.is_none() {
            self.timers.set(TimerId::Call(key), None);
            if let Some(call) = self.calls.remove(&key)
                && let Some(dialog) = call.dialog
            {
                self.dialogs.remove(&dialog.id);
            }
        }
    }

    /// A connection is gone. A call that rings over it cannot be answered any more; one that stands may outlive it.
    pub(super) fn on_calls_stream_closed(&mut self, now: Instant, conn: ConnId) {
        let ringing = |call: &&Call| {
            call.flow.conn == Some(conn) && matches!(call.phase, Phase::Incoming { .. })
        };
        let mut keys: Vec<CallKey> = self
            .calls
            .values()
            .filter(ringing)
            .map(|call| call.key)
            .collect();
        keys.sort_unstable();
        for key in keys {
            self.refuse_invite(now, key, 480, Vec::new());
            self.end_call(key, EndCause::TransportFailed);
        }
    }

    pub(super) fn watch_call(&mut self, key: CallKey) {
        let deadline = self.calls.get(&key).and_then(Call::next_timeout);
        self.timers.set(TimerId::Call(key), deadline);
    }

    pub(super) fn live_call(&mut self, key: CallKey) -> Result<&mut Call, CallError> {
        self.calls
            .get_mut(&key)
            .filter(|call| call.is_live())
            .ok_or(CallError::NoSuchCall)
    }

    fn incoming_transaction(&mut self, key: CallKey) -> Result<u64, CallError> {
        match self.live_call(key)?.phase {
            Phase::Incoming { transaction } => Ok(transaction),
            Phase::Calling {
                cancel: Cancel::No | Cancel::Wanted | Cancel::Sent,
                ..
            }
            | Phase::Accepted { .. }
            | Phase::Established
            | Phase::Closing => Err(CallError::WrongState),
        }
    }

    /// A response that makes or keeps a dialog, RFC 3261 §12.1.1: with Contact and the Record-Route of the INVITE.
    fn call_response(&self, key: CallKey, status: u16) -> Option<Response> {
        let call = self.calls.get(&key)?;
        let tag = call
            .dialog
            .as_ref()
            .map(|dialog| dialog.id.local_tag.as_str())
            .unwrap_or_default();
        let mut response = self.response(&call.invite, status, tag);
        for route in call.invite.headers.get_all(&HeaderName::RecordRoute) {
            response.headers.push(HeaderName::RecordRoute, route);
        }
        response
            .headers
            .push(HeaderName::Contact, call.contact.as_str());
        Some(response)
    }

    /// A final refusal of the INVITE of a call that is `Incoming`.
    fn refuse_invite(
        &mut self,
        now: Instant,
        key: CallKey,
        status: u16,
        extra: Vec<(HeaderName, String)>,
    ) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let Phase::Incoming { transaction } = call.phase else {
            return;
        };
        let tag = call
            .dialog
            .as_ref()
            .map(|dialog| dialog.id.local_tag.as_str())
            .unwrap_or_default();
        let mut response = self.response(&call.invite, status, tag);
        for (name, value) in extra {
            response.headers.push(name, value);
        }
        self.respond(now, transaction, response);
    }
}

/// RFC 3261 §13.3.1.4: a 2xx says what may come next.
fn add_allow(response: &mut Response) {
    response.headers.push(HeaderName::Allow, ALLOW);
    response.headers.push(HeaderName::Supported, "");
}
