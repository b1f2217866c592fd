//! PURE.
//! Calls of ours: INVITE, its responses from one or many branches, CANCEL and BYE, RFC 3261 §9.1, §13.2 and §15.1.1. Does
//! not own the phases of a call (see `invite`) or SDP.

use std::time::Instant;

use super::transactions::{ClientMachine, Failure, Owner};
use super::uas_invite::sdp_text;
use super::{CallKey, CallParams, EndCause, Endpoint, Event};
use crate::auth::client::Challenge;
use crate::dialog::Dialog;
use crate::header::HeaderName;
use crate::invite::{AckedBranch, BRANCHES_MAX, Call, Cancel, Phase, RINGING_MAX};
use crate::message::{Message, Request, Response};
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
        invite
            .headers
            .push(HeaderName::To, format!("<{}>", params.target));
        invite.headers.push(HeaderName::CallId, call_id);
        invite
            .headers
            .push(HeaderName::CSeq, format!("{cseq} INVITE"));
        invite.headers.push(HeaderName::Contact, contact.as_str());
        invite.headers.push(HeaderName::Allow, super::reply::ALLOW);
        self.add_product(&mut invite);
        invite.set_body("application/sdp", params.offer);
        let phase = Phase::Calling {
            transaction: 0,
            cancel: Cancel::No,
        };
        let mut call = Call::new(key, phase, invite.clone(), flow, contact);
        call.credentials = params.credentials;
        call.answer_by = Some(now + RINGING_MAX);
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
            100..=199 => self.on_progress(now, key, id, &response),
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
                    return self.end_call(key, EndCause::Cancelled);
                }
                if matches!(status, 401 | 407)
                    && let Some(request) = self.answer_challenge(key, id, &response)
                {
                    return self.retry_invite(now, key, request);
                }
                self.end_call(key, EndCause::Rejected { status });
            }
        }
    }

    fn on_progress(&mut self, now: Instant, key: CallKey, id: u64, response: &Response) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        match call.phase {
            Phase::Calling {
                transaction,
                cancel: Cancel::Wanted,
            } if transaction == id => {
                self.cancel(now, key, transaction);
            }
            Phase::Calling {
                cancel: Cancel::No, ..
            } if response.status > 100 => {
                let sdp = sdp_text(response.sdp());
                self.event(Event::CallProgress {
                    call: key,
                    status: response.status,
                    sdp,
                });
            }
            _ => {}
        }
    }

    /// RFC 3261 §13.2.2.4: every 2xx is acknowledged; the first is the call, any other branch is hung up again.
    fn on_answer(&mut self, now: Instant, key: CallKey, response: &Response) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let tag = response
            .headers
            .to()
            .ok()
            .and_then(|to| to.tag().map(str::to_owned))
            .unwrap_or_default();
        let (flow, phase) = (call.flow, call.phase);
        if let Some(branch) = call.branches.iter().find(|branch| branch.remote_tag == tag) {
            let ack = branch.ack.clone();
            return self.transmit(flow, ack);
        }
        if call.branches.len() >= BRANCHES_MAX {
            return;
        }
        let Ok(mut dialog) = Dialog::uac(&call.invite, response) else {
            return;
        };
        let number = call.invite.headers.cseq().map_or(0, |cseq| cseq.number);
        let mut ack = dialog.ack(number);
        // RFC 3261 §22.1: the ACK repeats the credentials of its INVITE.
        for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
            if let Some(value) = call.invite.headers.get(&name) {
                ack.headers.push(name, value);
            }
        }
        self.add_via(&mut ack, flow);
        let ack = Message::Request(ack).to_bytes();
        self.transmit(flow, ack.clone());
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.branches.push(AckedBranch {
            remote_tag: tag,
            ack,
        });
        let first = call.branches.len() == 1;
        if !first {
            let mut bye = dialog.request(Method::Bye);
            self.add_product(&mut bye);
            self.send_request(now, bye, flow, Owner::Bye(key));
            return;
        }
        self.dialogs.insert(dialog.id.clone(), key);
        call.dialog = Some(dialog);
        call.stop_ringing();
        match phase {
            Phase::Calling {
                cancel: Cancel::No, ..
            } => {
                call.phase = Phase::Established;
                self.event(Event::CallAnswered {
                    call: key,
                    answer: sdp_text(response.sdp()),
                    flow,
                });
                self.watch_call(key);
            }
            // It was answered while our CANCEL was on its way.
            _ => self.send_bye(now, key, None),
        }
    }

    /// RFC 3261 §9.1. The program is told at once; the INVITE's own end follows.
    pub(super) fn cancel(&mut self, now: Instant, key: CallKey, id: u64) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let told = !call.is_live();
        call.stop_ringing();
        let ready = self
            .clients
            .get(id)
            .is_some_and(|entry| match &entry.machine {
                ClientMachine::Invite(machine) => machine.has_provisional(),
                ClientMachine::Other(_) => false,
            });
        let cancel = if ready { Cancel::Sent } else { Cancel::Wanted };
        call.phase = Phase::Calling {
            transaction: id,
            cancel,
        };
        if ready && let Some(entry) = self.clients.get_mut(id) {
            if let ClientMachine::Invite(machine) = &mut entry.machine {
                machine.give_up_by(now);
            }
            let (request, flow) = (cancel_of(&entry.request), entry.flow);
            let branch = request
                .headers
                .top_via()
                .ok()
                .and_then(|via| via.branch().map(str::to_owned));
            self.reschedule_client(id);
            self.send_request_with_via(
                now,
                request,
                flow,
                Owner::Cancel(key),
                branch.unwrap_or_default(),
            );
        }
        self.watch_call(key);
        if !told {
            self.event(Event::CallEnded {
                call: key,
                cause: EndCause::Cancelled,
            });
        }
    }

    /// Nothing came back.
    pub(super) fn on_invite_failure(&mut self, key: CallKey, failure: Failure) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        match call.phase {
            Phase::Calling { .. } => self.end_call(key, failure.cause()),
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
        if matches!(response.status, 401 | 407)
            && let Some(mut request) = self.answer_challenge(key, id, &response)
            && let Some(flow) = self.clients.get(id).map(|entry| entry.flow)
        {
            request.headers.remove(&HeaderName::Via);
            self.send_request(now, request, flow, Owner::Bye(key));
        }
    }

    /// RFC 3261 §8.1.3.5 and §22.2: the same request again with credentials and the next CSeq, or `None` if we have none
    /// that could help.
    fn answer_challenge(&mut self, key: CallKey, id: u64, response: &Response) -> Option<Request> {
        let cnonce = self.random_hex::<8>();
        let mut request = self.clients.get(id)?.request.clone();
        let call = self.calls.get_mut(&key)?;
        let (user, password) = call.credentials.clone()?;
        let mut challenge = challenge_in(response)?;
        if call.challenges_met >= CHALLENGES_MAX || (call.challenges_met > 0 && !challenge.stale) {
            return None;
        }
        call.challenges_met += 1;
        add_answer(
            &mut request,
            response.status,
            &mut challenge,
            &user,
            &password,
            &cnonce,
        );
        call.challenge = Some(challenge);
        let cseq = request.headers.cseq().ok()?;
        request.headers.set(
            HeaderName::CSeq,
            format!("{} {}", cseq.number + 1, cseq.method),
        );
        Some(request)
    }

    fn retry_invite(&mut self, now: Instant, key: CallKey, mut request: Request) {
        request.headers.remove(&HeaderName::Via);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.invite = request.clone();
        let flow = call.flow;
        let id = self.send_request(now, request, flow, Owner::Invite(key));
        if let Some(call) = self.calls.get_mut(&key) {
            call.phase = Phase::Calling {
                transaction: id,
                cancel: Cancel::No,
            };
        }
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
fn cancel_of(invite: &Request) -> Request {
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
