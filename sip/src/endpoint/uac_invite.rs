//! PURE.
//! Calls of ours: INVITE, its responses from one or many branches, CANCEL and BYE, RFC 3261 §9.1, §13.2 and §15.1.1. Does
//! not own the phases of a call (see `invite`) or SDP.

use std::time::{Duration, Instant};

use super::reply::add_abilities;
use super::transactions::{Failure, Owner};
use super::uas_invite::{SDP, sdp_text};
use super::{CallKey, CallParams, EndCause, Endpoint, Event};
use crate::auth::client::Challenge;
use crate::dialog::Dialog;
use crate::header::HeaderName;
use crate::invite::{BRANCHES_MAX, Call, Cancel, OwedTo, Phase, RINGING_MAX};
use crate::message::{Request, Response};
use crate::method::Method;
use crate::secret::Secret;

/// Challenges answered in a row: the first, and one that says our nonce is stale.
pub(super) const CHALLENGES_MAX: u8 = 2;

impl Endpoint {
    /// Calls somebody. What comes of it is told by `CallProgress`, `CallAnswered` and `CallEnded`.
    pub fn call(&mut self, now: Instant, params: CallParams) -> CallKey {
        let key = CallKey(self.new_key());
        let flow = self.flow_to(now, params.flow);
        let tag = self.new_tag();
        let call_id = self.random_hex::<16>();
        let cseq = self.new_cseq();
        let contact = format!("<{}>", params.contact);
        let mut invite = Request::new(Method::Invite, params.target.clone());
        // RFC 3261 §8.1.1.
        invite.headers.push(HeaderName::MaxForwards, "70");
        invite
            .headers
            .push(HeaderName::From, params.from.with_tag(&tag).to_string());
        let to = match &params.to {
            Some(to) => to.to_string(),
            None => format!("<{}>", params.target),
        };
        invite.headers.push(HeaderName::To, to);
        invite.headers.push(HeaderName::CallId, call_id);
        invite
            .headers
            .push(HeaderName::CSeq, format!("{cseq} INVITE"));
        invite.headers.push(HeaderName::Contact, contact.as_str());
        add_abilities(&mut invite.headers);
        self.ask_for_session(&mut invite);
        self.add_product(&mut invite);
        for (name, value) in params.headers {
            invite.headers.push(name, value);
        }
        if let Some(offer) = params.offer {
            invite.set_body(SDP, offer);
        }
        let phase = Phase::Calling {
            transaction: 0,
            cancel: Cancel::No,
        };
        let mut call = Call::new(key, phase, invite.clone(), flow, contact);
        call.credentials = params.credentials;
        call.party = params.party;
        call.local_sdp = call.invite.sdp().map(str::to_owned);
        call.usages.heard_at = Some(now);
        let ring = params
            .ring_s
            .map_or(RINGING_MAX, |ring_s| Duration::from_secs(u64::from(ring_s)));
        call.answer_by = Some(now + ring.min(RINGING_MAX));
        self.calls.insert(key, call);
        let id = self.send_request(now, invite, flow, Owner::Invite(key));
        if let Some(call) = self.calls.get_mut(&key) {
            call.phase = Phase::Calling {
                transaction: id,
                cancel: Cancel::No,
            };
        }
        self.watch_call(key);
        key
    }

    pub(super) fn on_invite_response(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        response: Response,
    ) {
        match response.status {
            100..=199 => self.on_provisional(now, key, id, &response),
            200..=299 => self.on_answer(now, key, &response),
            status => {
                let Some(call) = self.calls.get_mut(&key) else {
                    return;
                };
                let Phase::Calling {
                    transaction,
                    cancel,
                } = call.phase
                else {
                    return;
                };
                if transaction != id {
                    return;
                }
                if cancel != Cancel::No {
                    return self.end_call(now, key, EndCause::Cancelled { reason: None });
                }
                let again = match self.answer_challenge(now, key, id, &response) {
                    None => self.ask_for_longer(now, key, id, &response),
                    again => again,
                };
                if let Some(id) = again {
                    if let Some(call) = self.calls.get_mut(&key) {
                        call.phase = Phase::Calling {
                            transaction: id,
                            cancel: Cancel::No,
                        };
                    }
                    return;
                }
                if (300..=399).contains(&status) {
                    self.on_redirection(key, &response);
                }
                self.end_call(now, key, EndCause::Rejected { status });
            }
        }
    }

    fn on_provisional(&mut self, now: Instant, key: CallKey, id: u64, response: &Response) {
        let Some(Phase::Calling {
            transaction,
            cancel,
        }) = self.calls.get(&key).map(|call| call.phase)
        else {
            return;
        };
        match cancel {
            _ if transaction != id => {}
            Cancel::Wanted => {
                let cause = EndCause::Cancelled { reason: None };
                self.cancel(now, key, transaction, cause);
            }
            Cancel::No if response.status > 100 => self.on_progress(now, key, response),
            Cancel::No | Cancel::Sent => {}
        }
    }

    /// RFC 3261 §13.2.2.4: every 2xx is acknowledged; the first is the call, any other branch is hung up again.
    fn on_answer(&mut self, now: Instant, key: CallKey, response: &Response) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let number = call.invite.headers.cseq().map_or(0, |cseq| cseq.number);
        let owes_ack = call
            .owed
            .as_ref()
            .is_some_and(|owed| owed.to == OwedTo::Ack);
        if owes_ack && call.is_from_its_peer(response) {
            return;
        }
        if self.resend_ack(key, number, response) {
            return;
        }
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.acks.iter().filter(|ack| ack.cseq == number).count() >= BRANCHES_MAX {
            return;
        }
        let (flow, phase) = (call.flow, call.phase);
        let tag = response.headers.to().ok();
        let tag = tag.as_ref().and_then(|to| to.tag()).unwrap_or_default();
        let rang = call.early_at(tag).map(|at| call.early.remove(at));
        let (dialog, answer, settled) = match rang {
            Some(mut rang) => {
                if rang.dialog.confirm(response).is_err() {
                    return self.on_unreadable_answer(now, key);
                }
                (rang.dialog, rang.answer, rang.settled)
            }
            None => match Dialog::uac(&call.invite, response) {
                Ok(dialog) => (dialog, None, false),
                Err(_) => return self.on_unreadable_answer(now, key),
            },
        };
        if call.dialog.is_some() {
            return self.hang_up_branch(now, key, dialog, number);
        }
        // The other branches lose: nothing they ask from here on is answered.
        for early in &call.early {
            self.dialogs.remove(&early.dialog.id);
        }
        self.dialogs.insert(dialog.id.clone(), key);
        call.dialog = Some(dialog);
        call.stop_ringing();
        let Phase::Calling {
            cancel: Cancel::No, ..
        } = phase
        else {
            // It was answered while our CANCEL was on its way.
            self.send_ack(key, number, None);
            return self.send_bye(now, key, None);
        };
        call.phase = Phase::Established;
        let late_offer = call.invite.sdp().is_none();
        let sdp = sdp_text(response.sdp());
        // An answer that came for sure before the 2xx is the answer; one that came by chance is, if no other comes.
        let sdp = match (late_offer, settled) {
            (false, true) => answer,
            (false, false) => sdp.or(answer),
            (true, true) => None,
            (true, false) => sdp.filter(|_| call.owed.is_none()),
        };
        if sdp.is_some() {
            call.remote_sdp.clone_from(&sdp);
        }
        self.on_session_agreed(now, key, response);
        if late_offer && sdp.is_some() {
            self.owe_answer(now, key, number);
        } else {
            self.send_ack(key, number, None);
        }
        self.event(Event::CallAnswered {
            call: key,
            answer: sdp,
            flow,
        });
        self.try_reoffer(now, key);
        self.watch_call(key);
    }

    /// A 2xx that makes no dialog can be neither acknowledged nor hung up; its sender gives up by itself.
    fn on_unreadable_answer(&mut self, now: Instant, key: CallKey) {
        let calling = |call: &Call| matches!(call.phase, Phase::Calling { .. });
        if self.calls.get(&key).is_some_and(calling) {
            let why = "the answer cannot be read".to_owned();
            self.end_call(now, key, EndCause::Failed { status: 502, why });
        }
    }

    /// RFC 3261 §13.2.2.4: another branch of a fork answered too. It gets its ACK, and a BYE.
    fn hang_up_branch(&mut self, now: Instant, key: CallKey, mut dialog: Dialog, number: u32) {
        let mut bye = dialog.request(Method::Bye);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let flow = call.flow;
        // The ACK is made from the call's dialog; for this one time that is the branch.
        let chosen = call.dialog.replace(dialog);
        self.send_ack(key, number, None);
        if let Some(call) = self.calls.get_mut(&key) {
            call.dialog = chosen;
        }
        self.add_product(&mut bye);
        self.send_request(now, bye, flow, Owner::Bye(key));
    }

    /// RFC 3261 §9.1. The program is told at once; the INVITE's own end follows.
    pub(super) fn cancel(&mut self, now: Instant, key: CallKey, id: u64, cause: EndCause) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let told = !call.is_live();
        self.let_go(now, key);
        let sent = self.send_cancel(now, key, id);
        if let Some(call) = self.calls.get_mut(&key) {
            call.phase = Phase::Calling {
                transaction: id,
                cancel: if sent { Cancel::Sent } else { Cancel::Wanted },
            };
        }
        self.watch_call(key);
        if !told {
            self.event(Event::CallEnded { call: key, cause });
        }
    }

    /// Nothing came back.
    pub(super) fn on_invite_failure(&mut self, now: Instant, key: CallKey, failure: Failure) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        match call.phase {
            Phase::Calling { .. } => self.end_call(now, key, failure.cause()),
            _ => self.watch_call(key),
        }
    }

    pub(super) fn on_bye_response(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        response: Response,
    ) {
        // RFC 3261 §15.1.1: whatever the answer, the session is over; but a challenge means the BYE was not heard.
        self.answer_challenge(now, key, id, &response);
    }

    pub(super) fn add_product(&self, request: &mut Request) {
        if !self.config.product.is_empty() {
            request
                .headers
                .set(HeaderName::UserAgent, self.config.product.as_str());
        }
    }
}

impl Failure {
    fn cause(self) -> EndCause {
        match self {
            Failure::NoAnswer => EndCause::TransactionTimeout,
            Failure::Transport => EndCause::TransportFailed,
        }
    }
}

pub(super) fn challenge_in(response: &Response) -> Option<Challenge> {
    let name = match response.status {
        407 => HeaderName::ProxyAuthenticate,
        _ => HeaderName::WwwAuthenticate,
    };
    Challenge::choose(response.headers.credentials(&name).iter())
}

/// Puts the answer to a challenge where the status says.
pub(super) fn add_answer(
    request: &mut Request,
    status: u16,
    challenge: &mut Challenge,
    user: &str,
    password: &Secret,
    cnonce: &str,
) {
    let (method, uri) = (request.method.to_string(), request.uri.to_string());
    let answer = challenge.answer(user, password, &method, &uri, cnonce);
    let name = match status {
        407 => HeaderName::ProxyAuthorization,
        _ => HeaderName::Authorization,
    };
    request.headers.set(name, answer);
}

/// RFC 3261 §9.1: Request-URI, top Via, From, To, Call-ID, CSeq number and Route of the request it stops.
pub(super) fn cancel_of(invite: &Request) -> Request {
    let mut cancel = Request::new(Method::Cancel, invite.uri.clone());
    let copied = |name: HeaderName| invite.headers.get(&name).unwrap_or_default().to_owned();
    cancel
        .headers
        .push(HeaderName::Via, copied(HeaderName::Via));
    for route in invite.headers.get_all(&HeaderName::Route) {
        cancel.headers.push(HeaderName::Route, route);
    }
    cancel.headers.push(HeaderName::MaxForwards, "70");
    for name in [HeaderName::From, HeaderName::To, HeaderName::CallId] {
        let value = copied(name.clone());
        cancel.headers.push(name, value);
    }
    let number = invite.headers.cseq().map_or(0, |cseq| cseq.number);
    cancel
        .headers
        .push(HeaderName::CSeq, format!("{number} CANCEL"));
    cancel
}
