//! PURE.
//! Requests of ours inside calls: how they are sent, challenged and answered, and what a lost peer means to the call,
//! RFC 3261 §12.2.1 and §22. Does not own what any one method is for.

use std::time::Instant;

use super::reply::add_abilities;
use super::transactions::{Failure, Owner};
use super::uac_invite::{CHALLENGES_MAX, add_answer, challenge_in};
use super::{CallKey, EndCause, Endpoint, Event};
use crate::flow::Flow;
use crate::header::HeaderName;
use crate::invite::{Call, Phase};
use crate::message::{Request, Response};
use crate::method::Method;

impl Endpoint {
    /// Sends a request in a dialog of a call: the one with this remote tag, or its own. `finish` adds what is the method's
    /// own. The transaction, or `None` where there is no such dialog.
    pub(super) fn send_in_dialog(
        &mut self,
        now: Instant,
        key: CallKey,
        tag: Option<String>,
        method: Method,
        owner: Owner,
        finish: impl FnOnce(&mut Request),
    ) -> Option<u64> {
        self.rehome(now, key);
        let call = self.calls.get_mut(&key)?;
        let flow = call.flow;
        let dialog = call.dialog_mut(tag.as_deref())?;
        let (mut request, target) = (dialog.request(method.clone()), dialog.remote_target.clone());
        // RFC 3261 §12.2.1.1 and RFC 3311 §5.1: a request that refreshes the target says where we are.
        if matches!(method, Method::Invite | Method::Update) {
            request
                .headers
                .push(HeaderName::Contact, call.contact.as_str());
            add_abilities(&mut request.headers);
            self.keep_session(key, &mut request);
        }
        finish(&mut request);
        self.add_product(&mut request);
        self.add_known_answer(key, &mut request);
        let flow = self.living_flow(now, flow, &target);
        Some(self.send_request(now, request, flow, owner))
    }

    /// RFC 3261 §22.2: who has been challenged in a dialog answers before being asked again.
    pub(super) fn add_known_answer(&mut self, key: CallKey, request: &mut Request) {
        let cnonce = self.random_hex::<8>();
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if let (Some((user, password)), Some((status, challenge))) =
            (&call.credentials, &mut call.challenge)
        {
            add_answer(request, *status, challenge, user, password, &cnonce);
        }
    }

    /// What came back for a request that belongs to a call.
    pub(super) fn on_call_response(
        &mut self,
        now: Instant,
        owner: Owner,
        id: u64,
        response: Response,
    ) {
        if let Some(key) = owner.call() {
            self.note_heard(now, key);
        }
        match owner {
            Owner::Invite(key) => self.on_invite_response(now, key, id, response),
            Owner::Reinvite(key) => self.on_reinvite_response(now, key, id, response),
            Owner::Update(key) => self.on_update_response(now, key, id, response),
            Owner::Bye(key) => self.on_bye_response(now, key, id, response),
            // RFC 3262 says nothing of a refused PRACK but what holds for any request; the INVITE has its own end.
            Owner::Prack(key) => drop(self.answer_challenge(now, key, id, &response)),
            Owner::Cancel(_) => {}
            Owner::Lost(key) if response.status >= 200 => self.forget_lost(key),
            Owner::Lost(_) => {}
            Owner::Usage(key, usage) => self.on_usage_response(now, key, usage, id, &response),
            Owner::Registration(key) => self.on_register_response(now, key, id, response),
            Owner::Text(text) => self.on_text_response(text, &response),
        }
    }

    /// Nothing came back for it.
    pub(super) fn on_call_failure(&mut self, now: Instant, owner: Owner, id: u64, why: Failure) {
        match owner {
            Owner::Invite(key) => self.on_invite_failure(now, key, why),
            Owner::Reinvite(key) => self.on_reinvite_failure(now, key, id, why),
            Owner::Update(key) => self.on_update_failure(now, key, id, why),
            Owner::Prack(_) | Owner::Bye(_) | Owner::Cancel(_) => {}
            Owner::Lost(key) => self.forget_lost(key),
            Owner::Usage(key, usage) => self.on_usage_failure(now, key, usage, why),
            Owner::Registration(key) => self.on_register_failure(now, key, why),
            Owner::Text(text) => self.on_text_failure(text, why),
        }
    }

    /// RFC 3261 §8.1.3.5 and §22.2: the same request again with credentials and the next CSeq, in place of the one that
    /// was challenged. The new transaction, or `None` where we have no credentials that could help.
    pub(super) fn answer_challenge(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        response: &Response,
    ) -> Option<u64> {
        let status = response.status;
        if !matches!(status, 401 | 407) {
            return None;
        }
        let cnonce = self.random_hex::<8>();
        let entry = self.clients.get(id)?;
        let (mut request, flow, owner, met) = (
            entry.request.clone(),
            entry.flow,
            entry.owner,
            entry.challenges,
        );
        let call = self.calls.get_mut(&key)?;
        let (user, password) = call.credentials.clone()?;
        let mut challenge = challenge_in(response)?;
        let answered_before = request.headers.has(&answer_header(status)) && met > 0;
        if met >= CHALLENGES_MAX || (answered_before && !challenge.stale) {
            return None;
        }
        add_answer(
            &mut request,
            status,
            &mut challenge,
            &user,
            &password,
            &cnonce,
        );
        call.challenge = Some((status, challenge));
        let id = self.send_again(now, key, request, flow, owner);
        if let Some(entry) = self.clients.get_mut(id) {
            entry.challenges = met + 1;
        }
        Some(id)
    }

    /// RFC 3261 §8.1.3.5: a request that was refused goes again, changed, in a transaction of its own.
    pub(super) fn send_again(
        &mut self,
        now: Instant,
        key: CallKey,
        mut request: Request,
        flow: Flow,
        owner: Owner,
    ) -> u64 {
        request.headers.remove(&HeaderName::Via);
        if let Some(call) = self.calls.get_mut(&key) {
            call.renumber(&mut request);
            if let Owner::Invite(_) = owner {
                call.invite = request.clone();
                for early in call.early.drain(..) {
                    self.dialogs.remove(&early.dialog.id);
                }
            }
        }
        self.send_request(now, request, flow, owner)
    }

    /// RFC 3261 §12.2.1.2: the peer knows nothing of this call, or is not there any more. The BYE is for the case that it
    /// is, after all.
    pub(super) fn lose_call(&mut self, now: Instant, key: CallKey, cause: EndCause) {
        let Some(call) = self.calls.get(&key).filter(|call| call.is_live()) else {
            return;
        };
        match call.phase {
            // RFC 3261 §15: before an answer there is nothing to say BYE to.
            Phase::Incoming { .. } => {
                self.refuse_invite(now, key, 480, Vec::new());
                self.end_call(now, key, cause);
            }
            Phase::Calling { transaction, .. } => self.cancel(now, key, transaction, cause),
            Phase::Accepted { .. } | Phase::Established | Phase::Closing => {
                self.send_bye(now, key, None);
                self.event(Event::CallEnded { call: key, cause });
            }
        }
    }
}

impl Call {
    /// The next number of the dialog a request is in.
    fn renumber(&mut self, request: &mut Request) {
        let Ok(cseq) = request.headers.cseq() else {
            return;
        };
        let to = request.headers.to().ok();
        let tag = to.as_ref().and_then(|to| to.tag());
        let number = match tag.and_then(|tag| self.dialog_mut(Some(tag))) {
            Some(dialog) => dialog.next_cseq(),
            None => cseq.number + 1,
        };
        request
            .headers
            .set(HeaderName::CSeq, format!("{number} {}", cseq.method));
    }
}

fn answer_header(status: u16) -> HeaderName {
    match status {
        407 => HeaderName::ProxyAuthorization,
        _ => HeaderName::Authorization,
    }
}
