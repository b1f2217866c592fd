//! PURE.
//! Session timers at work, RFC 4028: what our requests and responses say about them, refreshes by UPDATE or re-INVITE, and
//! the end of a session nobody refreshed. Does not own the arithmetic (see `session_timer`).

use std::time::Instant;

use super::call_control::add_allow;
use super::reliable::allows_update;
use super::transactions::Owner;
use super::{CallKey, EndCause, Endpoint, Event};
use crate::header::HeaderName;
use crate::invite::{Phase, Reoffer};
use crate::message::{Request, Response};
use crate::method::Method;
use crate::session_timer::{
    INTERVAL_S_MIN, Refresher, SessionExpires, SessionTimer, Wanted, agree, agreed, knows, min_se,
};

/// Times that an INVITE goes out again because its session was too brief for somebody.
const BRIEF_MAX: u8 = 3;

impl Endpoint {
    pub(super) fn wanted_session(&self) -> Wanted {
        Wanted {
            interval_s: self.config.session_expires_s,
            min_s: self.config.min_se_s,
        }
    }

    /// RFC 4028 §7.1: what the INVITE of a new call asks for.
    pub(super) fn ask_for_session(&self, invite: &mut Request) {
        let wanted = self.wanted_session();
        if wanted.interval_s > 0 {
            let interval_s = wanted.interval_s.max(wanted.min_s).max(INTERVAL_S_MIN);
            invite
                .headers
                .push(HeaderName::SessionExpires, interval_s.to_string());
            if wanted.min_s > INTERVAL_S_MIN {
                invite
                    .headers
                    .push(HeaderName::MinSe, wanted.min_s.to_string());
            }
        }
    }

    /// RFC 4028 §7.4: a request inside a call keeps the parts as they are.
    pub(super) fn keep_session(&self, key: CallKey, request: &mut Request) {
        let session = self.calls.get(&key).and_then(|call| call.session);
        if let Some(session) = session {
            let said = SessionExpires {
                interval_s: session.interval_s,
                refresher: Some(match session.we_refresh {
                    true => Refresher::Uac,
                    false => Refresher::Uas,
                }),
            };
            request
                .headers
                .push(HeaderName::SessionExpires, said.to_string());
            if session.interval_s > INTERVAL_S_MIN {
                // What somebody on the way once insisted on still holds.
                let min_s = self.calls.get(&key).map_or(0, |call| call.min_se_s);
                if min_s > INTERVAL_S_MIN {
                    request.headers.push(HeaderName::MinSe, min_s.to_string());
                }
            }
        }
    }

    /// The Min-SE of a 422, where a request of the peer asks for too brief a session.
    pub(super) fn too_brief(&self, request: &Request) -> Option<u32> {
        agree(request, self.wanted_session()).err()
    }

    /// What a 2xx to an INVITE or UPDATE says besides SDP: where we are, what we can do, and how long the session holds,
    /// which begins with it.
    pub(super) fn describe_session(
        &mut self,
        now: Instant,
        key: CallKey,
        request: &Request,
        response: &mut Response,
    ) {
        let agreed = agree(request, self.wanted_session()).ok().flatten();
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if !response.headers.has(&HeaderName::Contact) {
            response
                .headers
                .push(HeaderName::Contact, call.contact.as_str());
        }
        add_allow(response);
        let tag = request.headers.from().ok();
        let tag = tag.as_ref().and_then(|from| from.tag());
        // RFC 3261 §12.2.2: only with the 2xx does a new target hold.
        if let Some(dialog) = call.dialog_mut(tag) {
            dialog.refresh_target(super::uas_invite::target_of(request).as_ref());
        }
        if let Some(allows) = allows_update(&request.headers) {
            call.takes_update = allows;
        }
        if let Some(agreed) = agreed {
            if agreed.refresher == Some(Refresher::Uac) && knows(&request.headers, "timer") {
                response.headers.push(HeaderName::Require, "timer");
            }
            response
                .headers
                .push(HeaderName::SessionExpires, agreed.to_string());
        }
        // An early session is no session yet: its timer starts with the answer.
        if !matches!(call.phase, Phase::Calling { .. }) || request.method == Method::Invite {
            call.session = agreed.map(|agreed| {
                let we_refresh = agreed.refresher != Some(Refresher::Uac);
                SessionTimer::new(now, agreed.interval_s, we_refresh)
            });
        }
        self.watch_call(key);
    }

    /// A 2xx to an INVITE or UPDATE of ours.
    pub(super) fn on_session_agreed(&mut self, now: Instant, key: CallKey, response: &Response) {
        let agreed = agreed(response);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if let Some(allows) = allows_update(&response.headers) {
            call.takes_update = allows;
        }
        call.session = agreed.map(|agreed| {
            let we_refresh = agreed.refresher == Some(Refresher::Uac);
            SessionTimer::new(now, agreed.interval_s, we_refresh)
        });
        self.watch_call(key);
    }

    /// RFC 4028 §7.3: a longer session, if the 422 asks for one and that is not the same game over and over.
    pub(super) fn ask_for_longer(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        response: &Response,
    ) -> Option<u64> {
        if response.status != 422 {
            return None;
        }
        let least_s = min_se(&response.headers);
        let entry = self.clients.get(id)?;
        let (mut request, flow, owner) = (entry.request.clone(), entry.flow, entry.owner);
        let asked = SessionExpires::of(&request.headers)?;
        let call = self.calls.get_mut(&key)?;
        if call.briefs >= BRIEF_MAX || asked.interval_s >= least_s {
            return None;
        }
        call.briefs += 1;
        call.min_se_s = call.min_se_s.max(least_s);
        let longer = SessionExpires {
            interval_s: least_s,
            ..asked
        };
        request
            .headers
            .set(HeaderName::SessionExpires, longer.to_string());
        request.headers.set(HeaderName::MinSe, least_s.to_string());
        Some(self.send_again(now, key, request, flow, owner))
    }

    /// Half of the interval is over, and the refresh is ours.
    pub(super) fn on_session_refresh(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        // A change on its way is a refresh, too.
        if call.phase != Phase::Established || call.reoffer.is_some() {
            return;
        }
        if call.takes_update {
            let owner = Owner::Update(key);
            let sent = self.send_in_dialog(now, key, None, Method::Update, owner, |_| {});
            if let Some(call) = self.calls.get_mut(&key) {
                call.refresh = sent;
            }
            return;
        }
        self.refresh_by_reinvite(now, key);
    }

    /// RFC 4028 §7.4: the same description again.
    fn refresh_by_reinvite(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.reoffer.is_none()
            && let Some(sdp) = call.local_sdp.clone()
        {
            call.reoffer = Some(Reoffer {
                silent: true,
                ..Reoffer::new(Some(sdp))
            });
            self.try_reoffer(now, key);
        }
    }

    /// What came back for an UPDATE that only refreshes.
    pub(super) fn on_refresh_response(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        response: &Response,
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.refresh != Some(id) {
            return;
        }
        call.refresh = None;
        let status = response.status;
        if (200..300).contains(&status) {
            if let Some(dialog) = &mut call.dialog {
                dialog.refresh_from(response);
            }
            return self.on_session_agreed(now, key, response);
        }
        let again = match self.answer_challenge(now, key, id, response) {
            None => self.ask_for_longer(now, key, id, response),
            again => again,
        };
        if again.is_some() {
            if let Some(call) = self.calls.get_mut(&key) {
                call.refresh = again;
            }
            return;
        }
        match status {
            // RFC 3261 §12.2.1.2.
            408 | 481 => {
                let why = "the peer no longer knows this call".to_owned();
                self.lose_call(now, key, EndCause::Failed { status, why });
            }
            491 => {
                let wait = self.glare_wait(key);
                if let Some(session) = self
                    .calls
                    .get_mut(&key)
                    .and_then(|call| call.session.as_mut())
                {
                    session.retry_in(now, wait);
                }
                self.watch_call(key);
            }
            405 | 501 => {
                if let Some(call) = self.calls.get_mut(&key) {
                    call.takes_update = false;
                }
                self.refresh_by_reinvite(now, key);
            }
            // The next try is set already; at the last the session expires.
            _ => {}
        }
    }

    /// RFC 4028 §10: nobody refreshed it.
    pub(super) fn on_session_expired(&mut self, now: Instant, key: CallKey) {
        if self.calls.get(&key).is_none_or(|call| !call.is_live()) {
            return;
        }
        let reason = "SIP;cause=408;text=\"Session timer expired\"".to_owned();
        self.send_bye(now, key, Some(reason));
        self.event(Event::CallEnded {
            call: key,
            cause: EndCause::Failed {
                status: 408,
                why: "the session timer ran out".to_owned(),
            },
        });
    }

    /// A session refresh of the peer that changes nothing: the offer we answered last, and it says what it is for.
    pub(super) fn is_mere_refresh(&self, key: CallKey, request: &Request, offer: &str) -> bool {
        let Some(call) = self.calls.get(&key) else {
            return false;
        };
        request.headers.has(&HeaderName::SessionExpires)
            && call.answered_last
            && call.remote_sdp.as_deref() == Some(offer)
    }
}
