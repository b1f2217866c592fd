//! PURE.
//! Reliable provisional responses, RFC 3262: ours with their PRACKs, and PRACKs of ours for the peer's. Does not own the
//! bookkeeping (see `early`) or SDP.

use std::time::Instant;

use super::call_control::add_allow;
use super::transactions::Owner;
use super::uas_invite::{SDP, sdp_text};
use super::{CallError, CallKey, EndCause, Endpoint, Event};
use crate::dialog::Dialog;
use crate::early::{EarlyDialog, RAck, ReliableFired, rseq_of};
use crate::header::HeaderName;
use crate::invite::{
    BRANCHES_MAX, Call, OwedAnswer, OwedTo, PendingReinvite, Phase, RepeatedProvisional,
};
use crate::message::{Request, Response};
use crate::method::Method;
use crate::session_timer::knows;

impl Endpoint {
    /// A provisional response, 101 to 199, perhaps with early media. It is sent reliably where the caller requires it, and
    /// where it carries SDP and the caller knows how; in a call without an offer, SDP goes only so (as our offer, whose
    /// answer `ReofferAnswered` tells) and is left out otherwise. One description is enough: later ones are left out. It is
    /// repeated every minute until the answer.
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
        let Some(call) = self.calls.get_mut(&key) else {
            return Err(CallError::NoSuchCall);
        };
        if call.reliable.held_answer.is_some() {
            return Err(CallError::WrongState);
        }
        let headers = &call.invite.headers;
        let required = headers
            .option_tags(&HeaderName::Require)
            .is_ok_and(|tags| tags.iter().any(|tag| tag.eq_ignore_ascii_case("100rel")));
        let possible = knows(headers, "100rel");
        let late_offer = call.invite.sdp().is_none();
        let described = call.reliable.described.is_some();
        let sdp = sdp.filter(|_| !described && (possible || !late_offer));
        let reliably = required || (possible && sdp.is_some());
        if !reliably {
            self.ring_once(now, key, id, status, sdp);
        } else if call.reliable.is_waiting() {
            call.reliable.wait(status, sdp);
        } else {
            self.ring_reliably(now, key, id, status, sdp);
        }
        Ok(())
    }

    fn ring_once(&mut self, now: Instant, key: CallKey, id: u64, status: u16, sdp: Option<String>) {
        let Some(mut response) = self.call_response(key, status) else {
            return;
        };
        if let Some(sdp) = sdp {
            response.set_body(SDP, sdp);
        }
        if let Some(packet) = self.respond(now, id, response) {
            self.repeat_provisional(now, key, status, Some(packet));
        }
    }

    fn ring_reliably(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        status: u16,
        sdp: Option<String>,
    ) {
        let first = self.new_cseq();
        let Some(mut response) = self.call_response(key, status) else {
            return;
        };
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let rseq = call.reliable.next_rseq(first);
        response.headers.push(HeaderName::Require, "100rel");
        response.headers.push(HeaderName::RSeq, rseq.to_string());
        add_allow(&mut response);
        if let Some(sdp) = &sdp {
            response.set_body(SDP, sdp.as_str());
        }
        let timers = self.config.timers;
        if let Some(packet) = self.respond(now, id, response) {
            if let Some(call) = self.calls.get_mut(&key) {
                call.reliable.sent(now, &timers, packet, sdp);
            }
            self.repeat_provisional(now, key, status, None);
        }
    }

    fn repeat_provisional(
        &mut self,
        now: Instant,
        key: CallKey,
        status: u16,
        packet: Option<Vec<u8>>,
    ) {
        let at = now + self.config.timers.provisional_repeat();
        if let Some(call) = self.calls.get_mut(&key) {
            call.provisional = Some(RepeatedProvisional { at, status, packet });
        }
        self.watch_call(key);
    }

    /// RFC 3261 §13.3.1.1: a ringing phone says so every minute. A reliable response is said anew, under its next number:
    /// the old one would be taken for a repetition.
    pub(super) fn on_repeat_provisional(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let (Phase::Incoming { transaction }, Some(repeated)) = (call.phase, &call.provisional)
        else {
            return;
        };
        let (status, packet) = (repeated.status, repeated.packet.clone());
        match packet {
            Some(packet) => {
                if let Some(flow) = self.servers.get(transaction).map(|entry| entry.reply_to) {
                    self.transmit(flow, packet);
                }
            }
            // It was sent before, so it can be sent again; if not, the call is over and needs it no more.
            None => drop(self.provisional(now, key, status, None)),
        }
    }

    pub(super) fn on_reliable_timer(&mut self, now: Instant, key: CallKey, fired: ReliableFired) {
        let Some(Phase::Incoming { transaction }) = self.calls.get(&key).map(|call| call.phase)
        else {
            return;
        };
        match fired {
            ReliableFired::Nothing => {}
            ReliableFired::Resend(packet) => {
                if let Some(flow) = self.servers.get(transaction).map(|entry| entry.reply_to) {
                    self.stats.retransmissions_sent += 1;
                    self.transmit(flow, packet);
                }
            }
            ReliableFired::GiveUp => {
                let (status, why) = (504, "a provisional response was never acknowledged");
                self.refuse_invite(now, key, status, Vec::new());
                let why = why.to_owned();
                self.end_call(now, key, EndCause::Failed { status, why });
            }
        }
    }

    /// RFC 3262 §3 and §5: an acknowledgement, perhaps with the answer to our offer, or with an offer.
    pub(super) fn on_prack(&mut self, now: Instant, key: CallKey, id: u64, prack: Request) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let invited = call.invite.headers.cseq().map_or(0, |cseq| cseq.number);
        let rack = prack.headers.get(&HeaderName::RAck).and_then(RAck::parse);
        let Some(rack) = rack else {
            return self.respond_plainly(now, id, &prack, 400);
        };
        let ours = rack.cseq == invited && rack.method == Method::Invite.as_str();
        let describes = ours.then(|| call.reliable.on_prack(rack.rseq)).flatten();
        let Some(describes) = describes else {
            return self.respond_plainly(now, id, &prack, 481);
        };
        let answers = describes && call.invite.sdp().is_none();
        let settled = call.reliable.described.is_some();
        let sdp = sdp_text(prack.sdp());
        match sdp {
            sdp if answers => {
                call.remote_sdp.clone_from(&sdp);
                self.respond_plainly(now, id, &prack, 200);
                let result = Ok(sdp);
                self.event(Event::ReofferAnswered { call: key, result });
            }
            None => self.respond_plainly(now, id, &prack, 200),
            // An offer on top of one that is still open makes no sense.
            Some(_) if !settled || call.reinvite.is_some() => {
                self.respond_plainly(now, id, &prack, 488);
            }
            Some(offer) => {
                call.reinvite = Some(PendingReinvite {
                    transaction: id,
                    request: prack,
                    answer_by: now + self.config.timers.t1_x64() / 2,
                });
                let offer = Some(offer);
                self.event(Event::ReInvite { call: key, offer });
            }
        }
        if let Some(call) = self.calls.get_mut(&key)
            && let Phase::Incoming { transaction } = call.phase
            && let Some((status, sdp)) = call.reliable.next_waiting()
        {
            self.ring_reliably(now, key, transaction, status, sdp);
        }
        self.try_held_answer(now, key);
        self.watch_call(key);
    }

    /// The program's 200, as soon as nothing forbids it any more.
    pub(super) fn try_held_answer(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.reliable.describes_unheard() || call.reinvite.is_some() {
            return;
        }
        if let Phase::Incoming { transaction } = call.phase
            && let Some(sdp) = call.reliable.held_answer.take()
        {
            self.send_answer(now, key, transaction, sdp);
        }
    }

    /// A status and nothing else, in the dialog of a request.
    pub(super) fn respond_plainly(
        &mut self,
        now: Instant,
        id: u64,
        request: &Request,
        status: u16,
    ) {
        // Inside a dialog the request bears our tag already.
        let response = self.response(request, status, "");
        self.respond(now, id, response);
    }

    /// A provisional response to an INVITE of ours.
    pub(super) fn on_progress(&mut self, now: Instant, key: CallKey, response: &Response) {
        let sdp = sdp_text(response.sdp());
        let tag = response.headers.to().ok();
        let tag = tag.as_ref().and_then(|to| to.tag()).map(str::to_owned);
        let branch = tag
            .as_deref()
            .and_then(|_| self.early_dialog(key, response));
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let invited = call.invite.headers.cseq().map_or(0, |cseq| cseq.number);
        let late_offer = call.invite.sdp().is_none();
        let busy = call.owed.is_some();
        let early = branch.and_then(|at| call.early.get_mut(at));
        let told = match (early, tag, rseq_of(&response.headers)) {
            (Some(early), Some(tag), Some(rseq)) => {
                if !early.takes(rseq) {
                    return;
                }
                let described = sdp.is_some() && !early.settled;
                if described && late_offer && busy {
                    // One offer at a time; this one comes again.
                    return;
                }
                early.rseq = Some(rseq);
                if described && late_offer {
                    call.owed = Some(OwedAnswer {
                        cseq: invited,
                        answer_by: now + self.config.timers.t1_x64(),
                        to: OwedTo::Prack { tag, rseq },
                    });
                } else {
                    if described {
                        early.settled = true;
                        early.answer.clone_from(&sdp);
                    }
                    self.send_prack(now, key, &tag, rseq, invited, None);
                }
                sdp.filter(|_| described || !late_offer)
            }
            // Without reliability a description is a preview, and an offer is none: RFC 3261 §13.2.1.
            (Some(early), ..) if !late_offer => {
                if sdp.is_some() && !early.settled {
                    early.answer.clone_from(&sdp);
                }
                sdp
            }
            _ => sdp.filter(|_| !late_offer),
        };
        self.watch_call(key);
        self.event(Event::CallProgress {
            call: key,
            status: response.status,
            sdp: told,
        });
    }

    /// The early dialog a provisional response belongs to, made if it is new. `None` past the bound of branches.
    fn early_dialog(&mut self, key: CallKey, response: &Response) -> Option<usize> {
        let call = self.calls.get_mut(&key)?;
        let to = response.headers.to().ok()?;
        let tag = to.tag()?;
        let known = call.early_at(tag);
        let at = match known {
            Some(at) => at,
            None if call.early.len() >= BRANCHES_MAX => return None,
            None => {
                let dialog = Dialog::uac(&call.invite, response).ok()?;
                self.dialogs.insert(dialog.id.clone(), key);
                call.early.push(EarlyDialog::new(dialog));
                call.early.len() - 1
            }
        };
        if let Some(allows) = allows_update(&response.headers) {
            call.early[at].takes_update = allows;
        }
        Some(at)
    }

    /// RFC 3262 §4: the acknowledgement of a reliable response, with the answer to an offer in it.
    pub(super) fn send_prack(
        &mut self,
        now: Instant,
        key: CallKey,
        tag: &str,
        rseq: u32,
        invited: u32,
        answer: Option<String>,
    ) {
        let rack = format!("{rseq} {invited} INVITE");
        let tag = Some(tag.to_owned());
        self.send_in_dialog(now, key, tag, Method::Prack, Owner::Prack(key), |prack| {
            prack.headers.push(HeaderName::RAck, rack);
            if let Some(answer) = answer {
                prack.set_body(SDP, answer);
            }
        });
    }
}

impl Call {
    pub(super) fn early_at(&self, tag: &str) -> Option<usize> {
        let mut early = self.early.iter();
        early.position(|early| early.dialog.id.remote_tag == tag)
    }
}

/// Whether the sender takes UPDATE; `None` where it does not say.
pub(super) fn allows_update(headers: &crate::header::Headers) -> Option<bool> {
    let methods = headers
        .values(&HeaderName::Allow, crate::limits::HEADERS_MAX)
        .ok()?;
    let said = !methods.is_empty();
    said.then(|| methods.contains(&Method::Update.as_str()))
}
