//! PURE.
//! What the program says about calls: ring, answer, reject, hang up, answer a re-INVITE. RFC 3261 §13.3.1, §14.2 and §15.
//! Does not own the phases of a call (see `invite`) or SDP.

use std::time::Instant;

use super::reply::add_abilities;
use super::uas_invite::SDP;
use super::{CallError, CallKey, EndCause, Endpoint, Event};
use crate::flow::Flow;
use crate::header::HeaderName;
use crate::invite::{Call, PendingReinvite, Phase, Reoffer};
use crate::message::{Request, Response};
use crate::method::Method;
use crate::unacked::UnackedAnswer;

impl Endpoint {
    /// 200 with the answer, or with our offer if the INVITE had none. Waits where a reliable provisional response with SDP
    /// has not been acknowledged yet. SDP that differs from what such a response said follows as a re-INVITE, since the
    /// first word was the answer.
    pub fn answer(&mut self, now: Instant, key: CallKey, sdp: String) -> Result<(), CallError> {
        let id = self.incoming_transaction(key)?;
        let Some(call) = self.calls.get_mut(&key) else {
            return Err(CallError::NoSuchCall);
        };
        if call.reliable.held_answer.is_some() {
            return Err(CallError::WrongState);
        }
        if call.reliable.describes_unheard() || call.reinvite.is_some() {
            call.reliable.held_answer = Some(sdp);
            return Ok(());
        }
        self.send_answer(now, key, id, sdp);
        Ok(())
    }

    pub(super) fn send_answer(&mut self, now: Instant, key: CallKey, id: u64, sdp: String) {
        let Some(mut response) = self.call_response(key, 200) else {
            return;
        };
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let invite = call.invite.clone();
        let late_offer = invite.sdp().is_none();
        let described = call.reliable.described.clone();
        self.describe_session(now, key, &invite, &mut response);
        match &described {
            None => response.set_body(SDP, sdp.as_str()),
            // RFC 6337 §3.1.1: the same answer again, for callers that read nothing else.
            Some(described) if !late_offer => response.set_body(SDP, described.as_str()),
            // Our offer was answered in the PRACK; another description would be another offer.
            Some(_) => {}
        }
        let Some(packet) = self.respond(now, id, response) else {
            return;
        };
        let flow = self.servers.get(id).map(|entry| entry.reply_to);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.stop_ringing();
        call.phase = Phase::Accepted { hangup: false };
        let cseq = invite.headers.cseq().map_or(0, |cseq| cseq.number);
        let wants_answer = late_offer && described.is_none();
        let flow = flow.unwrap_or(call.flow);
        let timers = &self.config.timers;
        call.unacked = Some(UnackedAnswer::new(
            now,
            timers,
            cseq,
            packet,
            flow,
            wants_answer,
        ));
        // An early UPDATE may have changed both since: then they stand already.
        match described {
            None => {
                call.local_sdp = Some(sdp);
                call.remote_sdp = invite.sdp().map(str::to_owned);
                call.answered_last = !late_offer;
            }
            Some(described) => {
                if sdp != described
                    && call.local_sdp.as_ref() != Some(&sdp)
                    && call.reoffer.is_none()
                {
                    call.reoffer = Some(Reoffer::new(Some(sdp)));
                }
            }
        }
        self.keep_dialog(key);
        self.watch_call(key);
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
        self.end_call(now, key, EndCause::Rejected { status });
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
                self.end_call(now, key, EndCause::Rejected { status });
            }
            // RFC 3261 §15: the callee's BYE waits for the ACK of its 2xx.
            Phase::Accepted { .. } => {
                call.phase = Phase::Accepted { hangup: true };
                call.parting_reason = reason;
                self.let_go(now, key);
                self.watch_call(key);
                self.event(Event::CallEnded {
                    call: key,
                    cause: EndCause::ByeSent,
                });
            }
            Phase::Calling { transaction, .. } => {
                call.parting_reason = reason;
                self.cancel(now, key, transaction, EndCause::Cancelled { reason: None });
            }
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

    /// The answer to `Event::ReInvite`: SDP for a 200, or the status of a refusal. The call goes on either way. Where the
    /// change came with a PRACK, a refusal goes as 488 whatever it is: the PRACK itself was right.
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
        let flow = call.flow;
        match answer {
            Err(status) => {
                let status = match request.method {
                    Method::Prack => 488,
                    _ => status,
                };
                self.respond_plainly(now, transaction, &request, status);
            }
            Ok(sdp) => {
                let offer = request.sdp().map(str::to_owned);
                if request.method == Method::Invite {
                    self.accept_reinvite(now, key, transaction, &request, sdp.clone(), flow);
                } else {
                    self.accept_update(now, key, transaction, &request, Some(sdp.clone()));
                }
                if let Some(call) = self.calls.get_mut(&key) {
                    call.answered_last = offer.is_some();
                    call.remote_sdp = offer.or(call.remote_sdp.take());
                    call.local_sdp = Some(sdp);
                }
            }
        }
        self.try_held_answer(now, key);
        self.try_reoffer(now, key);
        self.watch_call(key);
        Ok(())
    }

    /// 200 to a re-INVITE.
    pub(super) fn accept_reinvite(
        &mut self,
        now: Instant,
        key: CallKey,
        transaction: u64,
        request: &Request,
        sdp: String,
        flow: Flow,
    ) {
        let mut response = self.response(request, 200, "");
        self.describe_session(now, key, request, &mut response);
        response.set_body(SDP, sdp);
        let cseq = request.headers.cseq().map_or(0, |cseq| cseq.number);
        if let Some(packet) = self.respond(now, transaction, response)
            && let Some(call) = self.calls.get_mut(&key)
        {
            let late_offer = request.sdp().is_none();
            let timers = &self.config.timers;
            call.unacked = Some(UnackedAnswer::new(
                now, timers, cseq, packet, flow, late_offer,
            ));
        }
        self.watch_call(key);
    }

    pub(super) fn live_call(&mut self, key: CallKey) -> Result<&mut Call, CallError> {
        self.calls
            .get_mut(&key)
            .filter(|call| call.is_live())
            .ok_or(CallError::NoSuchCall)
    }

    pub(super) fn incoming_transaction(&mut self, key: CallKey) -> Result<u64, CallError> {
        match self.live_call(key)?.phase {
            Phase::Incoming { transaction } => Ok(transaction),
            Phase::Calling { .. }
            | Phase::Accepted { .. }
            | Phase::Established
            | Phase::Closing => Err(CallError::WrongState),
        }
    }

    /// A response that makes or keeps a dialog, RFC 3261 §12.1.1: with Contact and the Record-Route of the INVITE.
    pub(super) fn call_response(&self, key: CallKey, status: u16) -> Option<Response> {
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
    pub(super) fn refuse_invite(
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
pub(super) fn add_allow(response: &mut Response) {
    add_abilities(&mut response.headers);
}
