//! PURE.
//! What the program says about calls: ring, answer, reject, hang up, answer a re-INVITE. RFC 3261 §13.3.1, §14.2 and §15.
//! Does not own the phases of a call (see `invite`) or SDP.

use std::time::Instant;

use super::reply::ALLOW;
use super::uas_invite::{SDP, target_of};
use super::{CallError, CallKey, EndCause, Endpoint, Event};
use crate::header::HeaderName;
use crate::invite::{Call, PendingReinvite, Phase, UnackedAnswer};
use crate::message::Response;

impl Endpoint {
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
                call.parting_reason = reason;
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
                self.try_reoffer(now, key);
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

    pub(super) fn live_call(&mut self, key: CallKey) -> Result<&mut Call, CallError> {
        self.calls
            .get_mut(&key)
            .filter(|call| call.is_live())
            .ok_or(CallError::NoSuchCall)
    }

    fn incoming_transaction(&mut self, key: CallKey) -> Result<u64, CallError> {
        match self.live_call(key)?.phase {
            Phase::Incoming { transaction } => Ok(transaction),
            Phase::Calling { .. }
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
fn add_allow(response: &mut Response) {
    response.headers.push(HeaderName::Allow, ALLOW);
    response.headers.push(HeaderName::Supported, "");
}
