//! PURE.
//! Changes of a session that we want: re-INVITE, its glare and its retries, and the answer to an offer that came in a
//! response, RFC 3261 §13.2.2.4 and §14.1. Does not own changes the peer wants (see `uas_invite`) or SDP.

use std::time::{Duration, Instant};

use rand::Rng;

use super::transactions::{ClientMachine, Failure, Owner};
use super::uac_invite::cancel_of;
use super::uas_invite::{SDP, sdp_text};
use super::{CallError, CallKey, EndCause, Endpoint, Event};
use crate::early::rseq_of;
use crate::header::HeaderName;
use crate::invite::{OwedAnswer, OwedTo, Phase, REOFFER_MAX, Reoffer, ReofferStep, SentAck};
use crate::message::{Message, Response};
use crate::method::Method;

/// Refusals in a row that are worth another try.
const RETRIES_MAX: u8 = 8;

/// A Retry-After that a change of a session may wait for; a longer one is a refusal.
const RETRY_AFTER_S_MAX: u64 = 10;

impl Endpoint {
    /// Offers the peer another session, or asks for its offer. Waits its turn where another exchange is open; glare (491)
    /// is met inside. Before the answer it goes as UPDATE, where the first exchange is through and the peer allows that. What comes of it is told by `ReofferAnswered`, or by `CallEnded` where the call is lost over it.
    pub fn reoffer(
        &mut self,
        now: Instant,
        key: CallKey,
        offer: Option<String>,
    ) -> Result<(), CallError> {
        let call = self.live_call(key)?;
        let stands = matches!(call.phase, Phase::Established | Phase::Accepted { .. });
        let early = !stands && offer.is_some() && call.early_for_update().is_some();
        if !stands && !early {
            return Err(CallError::WrongState);
        }
        match &mut call.reoffer {
            Some(reoffer) if !reoffer.silent || reoffer.then.is_some() => {
                return Err(CallError::WrongState);
            }
            Some(reoffer) if matches!(reoffer.step, ReofferStep::Sent { .. }) => {
                reoffer.then = Some(offer);
            }
            _ => call.reoffer = Some(Reoffer::new(offer)),
        }
        self.try_reoffer(now, key);
        Ok(())
    }

    /// The answer to an offer of the peer that came in a response: in `CallProgress` or `CallAnswered` of a call without an
    /// offer, or in `ReofferAnswered` of a `reoffer` without one.
    pub fn acknowledge(
        &mut self,
        now: Instant,
        key: CallKey,
        sdp: String,
    ) -> Result<(), CallError> {
        let call = self.live_call(key)?;
        let owed = call.owed.take().ok_or(CallError::WrongState)?;
        call.local_sdp = Some(sdp.clone());
        call.answered_last = true;
        match owed.to {
            OwedTo::Ack => self.send_ack(key, owed.cseq, Some(sdp)),
            OwedTo::Prack { tag, rseq } => {
                if let Some(at) = call.early_at(&tag) {
                    call.early[at].settled = true;
                }
                self.send_prack(now, key, &tag, rseq, owed.cseq, Some(sdp));
            }
        }
        self.try_reoffer(now, key);
        self.watch_call(key);
        Ok(())
    }

    /// Sends the change that waits, if nothing stands in its way any more.
    pub(super) fn try_reoffer(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let Some(reoffer) = &call.reoffer else {
            return;
        };
        let due = match reoffer.step {
            ReofferStep::Waiting => true,
            ReofferStep::Later(at) => now >= at,
            ReofferStep::Sent { .. } => false,
        };
        // RFC 3261 §14.1: not while another INVITE is open, whoever sent it; nor, RFC 3311 §5.1, any offer.
        let early = call.early_for_update().is_some() && call.refresh.is_none();
        let free = (call.phase == Phase::Established || early)
            && call.unacked.is_none()
            && call.reinvite.is_none()
            && call.owed.is_none();
        if !due {
            return self.watch_call(key);
        }
        if !free {
            if let Some(reoffer) = self
                .calls
                .get_mut(&key)
                .and_then(|call| call.reoffer.as_mut())
            {
                reoffer.step = ReofferStep::Waiting;
            }
            return self.watch_call(key);
        }
        let offer = reoffer.offer.clone();
        let sent = match (early, offer) {
            (true, Some(offer)) => self.send_early_offer(now, key, offer),
            (true, None) => None,
            (false, offer) => self.send_in_dialog(
                now,
                key,
                None,
                Method::Invite,
                Owner::Reinvite(key),
                |request| {
                    if let Some(offer) = offer {
                        request.set_body(SDP, offer);
                    }
                },
            ),
        };
        if let Some(transaction) = sent {
            self.reoffer_sent(now, key, transaction);
        }
    }

    pub(super) fn reoffer_sent(&mut self, now: Instant, key: CallKey, transaction: u64) {
        if let Some(reoffer) = self
            .calls
            .get_mut(&key)
            .and_then(|call| call.reoffer.as_mut())
        {
            reoffer.step = ReofferStep::Sent {
                transaction,
                give_up_at: now + REOFFER_MAX,
            };
        }
        self.watch_call(key);
    }

    pub(super) fn on_reinvite_response(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        response: Response,
    ) {
        match response.status {
            100..=199 => self.on_reinvite_progress(now, key, id, &response),
            200..=299 => self.on_reinvite_answer(now, key, id, &response),
            status => {
                if !self.reoffer_is(key, id) {
                    return;
                }
                let again = match self.answer_challenge(now, key, id, &response) {
                    None => self.ask_for_longer(now, key, id, &response),
                    again => again,
                };
                if let Some(id) = again {
                    return self.reoffer_sent(now, key, id);
                }
                // RFC 3261 §12.2.1.2.
                if matches!(status, 408 | 481) {
                    let why = "the peer no longer knows this call".to_owned();
                    return self.lose_call(now, key, EndCause::Failed { status, why });
                }
                if let Some(wait) = self.retry_in(key, &response) {
                    return self.reoffer_later(now, key, wait);
                }
                self.reoffer_over(now, key, Err(status));
            }
        }
    }

    /// RFC 3262 §4 holds for later INVITEs too. Nobody rings there, so what it says is left to the 2xx, which says it
    /// again: RFC 6337 §3.1.1.
    fn on_reinvite_progress(&mut self, now: Instant, key: CallKey, id: u64, response: &Response) {
        if !self.reoffer_is(key, id) {
            return;
        }
        let Some(rseq) = rseq_of(&response.headers) else {
            return;
        };
        let number = response.headers.cseq().map_or(0, |cseq| cseq.number);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let Some(reoffer) = &mut call.reoffer else {
            return;
        };
        let offers = reoffer.offer.is_none() && response.sdp().is_some();
        // A repetition, or an offer before the 2xx, for which there is no word in `ReofferAnswered`.
        if reoffer
            .rseq
            .is_some_and(|last| rseq != last.wrapping_add(1))
            || offers
        {
            return;
        }
        reoffer.rseq = Some(rseq);
        if reoffer.early_answer.is_none() {
            reoffer.early_answer = sdp_text(response.sdp());
        }
        let tag = call
            .dialog
            .as_ref()
            .map(|dialog| dialog.id.remote_tag.clone());
        if let Some(tag) = tag {
            self.send_prack(now, key, &tag, rseq, number, None);
        }
    }

    /// RFC 3261 §13.2.2.4 holds for later INVITEs too: each 2xx gets its ACK, and again if it comes again.
    fn on_reinvite_answer(&mut self, now: Instant, key: CallKey, id: u64, response: &Response) {
        let number = response.headers.cseq().map_or(0, |cseq| cseq.number);
        if self.resend_ack(key, number, response) {
            return;
        }
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.owed.as_ref().is_some_and(|owed| owed.cseq == number) {
            return;
        }
        if let Some(dialog) = &mut call.dialog {
            dialog.refresh_from(response);
        }
        let current = self.reoffer_is(key, id);
        if current {
            self.on_session_agreed(now, key, response);
        }
        let reoffer = self
            .calls
            .get_mut(&key)
            .and_then(|call| call.reoffer.as_mut())
            .filter(|_| current);
        let late = reoffer
            .as_ref()
            .is_some_and(|reoffer| reoffer.offer.is_none());
        let early_answer = reoffer.and_then(|reoffer| reoffer.early_answer.take());
        let sdp = early_answer.or_else(|| sdp_text(response.sdp()));
        if current && late && sdp.is_some() {
            self.owe_answer(now, key, number);
        } else {
            self.send_ack(key, number, None);
        }
        if current {
            self.reoffer_over(now, key, Ok(sdp));
        }
        self.watch_call(key);
    }

    pub(super) fn on_reinvite_failure(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        failure: Failure,
    ) {
        if !self.reoffer_is(key, id) {
            return;
        }
        match failure {
            Failure::NoAnswer => self.lose_call(now, key, EndCause::TransactionTimeout),
            // RFC 3261 §8.1.3.1: as if the answer had been 503. The call may outlive its connection.
            Failure::Transport => self.reoffer_over(now, key, Err(503)),
        }
    }

    /// The peer thinks about it for too long: RFC 3261 §9.1.
    pub(super) fn on_reoffer_late(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let Some(Reoffer {
            step:
                ReofferStep::Sent {
                    transaction,
                    give_up_at,
                },
            ..
        }) = &mut call.reoffer
        else {
            return;
        };
        let id = *transaction;
        // The transaction ends by itself once a CANCEL is out.
        *give_up_at = now + REOFFER_MAX;
        self.send_cancel(now, key, id);
    }

    /// Sends a CANCEL for an INVITE of ours, if it has had a provisional response: RFC 3261 §9.1. True if it went.
    pub(super) fn send_cancel(&mut self, now: Instant, key: CallKey, id: u64) -> bool {
        let reason = self
            .calls
            .get(&key)
            .and_then(|call| call.parting_reason.clone());
        let Some(entry) = self.clients.get_mut(id) else {
            return false;
        };
        let ClientMachine::Invite(machine) = &mut entry.machine else {
            return false;
        };
        if !machine.has_provisional() {
            return false;
        }
        machine.give_up_by(now);
        let (mut request, flow) = (cancel_of(&entry.request), entry.flow);
        if let Some(reason) = reason {
            request.headers.push(HeaderName::Reason, reason);
        }
        let branch = request
            .headers
            .top_via()
            .ok()
            .and_then(|via| via.branch().map(str::to_owned))
            .unwrap_or_default();
        self.reschedule_client(id);
        self.send_request_with_via(now, request, flow, Owner::Cancel(key), branch);
        true
    }

    /// An ACK for a 2xx, kept for its repetitions.
    pub(super) fn send_ack(&mut self, key: CallKey, cseq: u32, sdp: Option<String>) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let Some(dialog) = &call.dialog else {
            return;
        };
        let (mut ack, tag, flow) = (dialog.ack(cseq), dialog.id.remote_tag.clone(), call.flow);
        // RFC 3261 §22.1: the ACK repeats the credentials of its INVITE.
        for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
            if let Some(value) = call.invite.headers.get(&name) {
                ack.headers.push(name, value);
            }
        }
        if let Some(sdp) = sdp {
            ack.set_body(SDP, sdp);
        }
        self.add_via(&mut ack, flow);
        let packet = Message::Request(ack).to_bytes();
        if let Some(call) = self.calls.get_mut(&key) {
            call.keep_ack(SentAck {
                cseq,
                remote_tag: tag,
                packet: packet.clone(),
            });
        }
        self.transmit(flow, packet);
    }

    /// Acknowledges a 2xx again that has been acknowledged before; false if it has not.
    pub(super) fn resend_ack(&mut self, key: CallKey, cseq: u32, response: &Response) -> bool {
        let tag = response.headers.to().ok();
        let tag = tag.as_ref().and_then(|to| to.tag()).unwrap_or_default();
        let Some(call) = self.calls.get(&key) else {
            return true;
        };
        let Some(packet) = call.ack_of(cseq, tag) else {
            return false;
        };
        let (flow, packet) = (call.flow, packet.to_vec());
        self.transmit(flow, packet);
        true
    }

    /// The peer's offer waits for `acknowledge`.
    pub(super) fn owe_answer(&mut self, now: Instant, key: CallKey, cseq: u32) {
        let answer_by = now + self.config.timers.t1_x64();
        if let Some(call) = self.calls.get_mut(&key) {
            let to = OwedTo::Ack;
            call.owed = Some(OwedAnswer {
                cseq,
                answer_by,
                to,
            });
        }
        self.watch_call(key);
    }

    /// The program left an offer of the peer unanswered: the 2xx gets its ACK, and the session that never came a BYE.
    pub(super) fn on_offer_left(&mut self, now: Instant, key: CallKey) {
        if self.calls.get(&key).is_none_or(|call| !call.is_live()) {
            return self.let_go(now, key);
        }
        let why = "the offer of the peer was left unanswered".to_owned();
        self.lose_call(now, key, EndCause::Failed { status: 500, why });
    }

    pub(super) fn reoffer_is(&self, key: CallKey, id: u64) -> bool {
        let reoffer = self.calls.get(&key).and_then(|call| call.reoffer.as_ref());
        reoffer.is_some_and(|reoffer| {
            matches!(reoffer.step, ReofferStep::Sent { transaction, .. } if transaction == id)
        })
    }

    /// Whether and when a refused change is worth another try.
    pub(super) fn retry_in(&mut self, key: CallKey, response: &Response) -> Option<Duration> {
        let call = self.calls.get(&key)?;
        if call.reoffer.as_ref()?.retries >= RETRIES_MAX {
            return None;
        }
        match response.status {
            491 => Some(self.glare_wait(key)),
            500 | 503 => {
                let wait = response.headers.get(&HeaderName::RetryAfter)?;
                let digits = wait.split([' ', ';', '(']).next()?;
                let wait_s = digits.parse().ok().filter(|s| *s <= RETRY_AFTER_S_MAX)?;
                Some(Duration::from_secs(wait_s))
            }
            _ => None,
        }
    }

    /// RFC 3261 §14.1: in steps of 10 ms, 2.1 to 4 s for the side that made the Call-ID, 0 to 2 s for the other.
    pub(super) fn glare_wait(&mut self, key: CallKey) -> Duration {
        let caller = self.calls.get(&key).is_some_and(|call| call.is_outbound);
        let steps = self.rng.next_u32();
        Duration::from_millis(match caller {
            true => 2_100 + u64::from(steps % 191) * 10,
            false => u64::from(steps % 201) * 10,
        })
    }

    pub(super) fn reoffer_later(&mut self, now: Instant, key: CallKey, wait: Duration) {
        if let Some(reoffer) = self
            .calls
            .get_mut(&key)
            .and_then(|call| call.reoffer.as_mut())
        {
            reoffer.step = ReofferStep::Later(now + wait);
            reoffer.retries += 1;
        }
        self.watch_call(key);
    }

    pub(super) fn reoffer_over(
        &mut self,
        now: Instant,
        key: CallKey,
        result: Result<Option<String>, u16>,
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let Some(reoffer) = call.reoffer.take() else {
            return;
        };
        let changed = match &result {
            Ok(sdp) => sdp.is_some() && *sdp != call.remote_sdp,
            Err(_) => false,
        };
        if let Ok(Some(sdp)) = &result {
            call.remote_sdp = Some(sdp.clone());
            call.answered_last = false;
            if reoffer.offer.is_some() {
                call.local_sdp = reoffer.offer;
            }
        }
        if let Some(offer) = reoffer.then {
            call.reoffer = Some(Reoffer::new(offer));
        }
        let live = call.is_live();
        if live && (changed || !reoffer.silent) {
            self.event(Event::ReofferAnswered { call: key, result });
        }
        self.try_reoffer(now, key);
        self.watch_call(key);
    }
}
