//! PURE.
//! UPDATE, RFC 3311: the peer's, early and later, and what comes back for ours. Does not own changes by re-INVITE (see
//! `reoffer`, `uas_invite`), when a session is refreshed (see `session_refresh`) or SDP.

use std::time::{Duration, Instant};

use super::reply::retry_after;
use super::transactions::{Failure, Owner};
use super::uas_invite::{RETRY_SOON_S_MAX, SDP, sdp_text};
use super::{CallKey, EndCause, Endpoint, Event};
use crate::header::HeaderName;
use crate::invite::{PendingReinvite, Phase};
use crate::message::{Request, Response};
use crate::method::Method;

impl Endpoint {
    /// RFC 3311 §5.2.
    pub(super) fn on_update(&mut self, now: Instant, key: CallKey, id: u64, update: Request) {
        let wait_s = u64::from(self.new_cseq()) % (RETRY_SOON_S_MAX + 1);
        let too_brief = self.too_brief(&update);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let offer = sdp_text(update.sdp());
        let later = retry_after(Duration::from_secs(wait_s));
        let refusal = match &offer {
            // An UPDATE or re-INVITE before it has no answer yet, or an offer of theirs in whatever form.
            _ if call.reinvite.is_some() => Some((500, Some(later))),
            Some(_) if call.owes_answer() => Some((500, Some(later))),
            Some(_) if call.awaits_answer() => Some((491, None)),
            _ => too_brief.map(|min_s| (422, Some((HeaderName::MinSe, min_s.to_string())))),
        };
        if let Some((status, header)) = refusal {
            let mut response = self.response(&update, status, "");
            if let Some((name, value)) = header {
                response.headers.push(name, value);
            }
            self.respond(now, id, response);
            return;
        }
        let Some(offer) = offer else {
            return self.accept_update(now, key, id, &update, None);
        };
        if self.is_mere_refresh(key, &update, &offer)
            && let Some(answer) = self.calls.get(&key).and_then(|call| call.local_sdp.clone())
        {
            return self.accept_update(now, key, id, &update, Some(answer));
        }
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.reinvite = Some(PendingReinvite {
            transaction: id,
            request: update,
            // The peer's timer F ends it at 64*T1; it shall have a word before.
            answer_by: now + self.config.timers.t1_x64() / 2,
        });
        self.watch_call(key);
        let offer = Some(offer);
        self.event(Event::ReInvite { call: key, offer });
    }

    /// 200 to an UPDATE or to a PRACK with an offer.
    pub(super) fn accept_update(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        request: &Request,
        answer: Option<String>,
    ) {
        let mut response = self.response(request, 200, "");
        if request.method == Method::Update {
            self.describe_session(now, key, request, &mut response);
        }
        if let Some(answer) = answer {
            response.set_body(SDP, answer);
        }
        self.respond(now, id, response);
    }

    /// What came of an UPDATE of ours: a change of an early session, or a refresh.
    pub(super) fn on_update_response(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        response: Response,
    ) {
        if response.status < 200 {
            return;
        }
        if self.reoffer_is(key, id) {
            self.on_update_change_response(now, key, id, &response);
        } else {
            self.on_refresh_response(now, key, id, &response);
        }
    }

    fn on_update_change_response(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        response: &Response,
    ) {
        let status = response.status;
        let tag = response.headers.to().ok();
        let tag = tag.as_ref().and_then(|to| to.tag()).unwrap_or_default();
        // Another branch of the fork has answered since: what this one says of the session is nothing.
        if self.lost_the_fork(key, tag) {
            self.reoffer_later(now, key, Duration::ZERO);
            return self.try_reoffer(now, key);
        }
        if (200..300).contains(&status) {
            if let Some(call) = self.calls.get_mut(&key) {
                let sdp = sdp_text(response.sdp());
                if let Some(at) = call.early_at(tag) {
                    call.early[at].answer.clone_from(&sdp);
                }
                if let Some(dialog) = call.dialog_mut(Some(tag)) {
                    dialog.refresh_from(response);
                }
                self.reoffer_over(now, key, Ok(sdp));
            }
            return;
        }
        if let Some(id) = self.answer_challenge(now, key, id, response) {
            return self.reoffer_sent(now, key, id);
        }
        if let Some(wait) = self.retry_in(key, response) {
            return self.reoffer_later(now, key, wait);
        }
        self.reoffer_over(now, key, Err(status));
    }

    fn lost_the_fork(&self, key: CallKey, tag: &str) -> bool {
        let dialog = self.calls.get(&key).and_then(|call| call.dialog.as_ref());
        dialog.is_some_and(|dialog| dialog.id.remote_tag != tag)
    }

    /// Nothing came back for an UPDATE or PRACK of ours.
    pub(super) fn on_update_failure(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        failure: Failure,
    ) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let changing = self.reoffer_is(key, id);
        let refreshing = call.refresh == Some(id);
        match (call.phase, failure) {
            // RFC 3261 §12.2.1.2. Before the answer the INVITE has its own clock.
            (Phase::Established, Failure::NoAnswer) if changing || refreshing => {
                self.lose_call(now, key, EndCause::TransactionTimeout);
            }
            _ if changing => {
                let status = match failure {
                    Failure::NoAnswer => 408,
                    Failure::Transport => 503,
                };
                self.reoffer_over(now, key, Err(status));
            }
            _ => {}
        }
    }

    /// An UPDATE of ours with an offer, in an early dialog. `None` where no early dialog is ready for one.
    pub(super) fn send_early_offer(
        &mut self,
        now: Instant,
        key: CallKey,
        offer: String,
    ) -> Option<u64> {
        let call = self.calls.get(&key)?;
        let tag = call.early_for_update()?;
        self.send_in_dialog(
            now,
            key,
            Some(tag),
            Method::Update,
            Owner::Update(key),
            |update| {
                update.set_body(SDP, offer);
            },
        )
    }
}
