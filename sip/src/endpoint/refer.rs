//! PURE.
//! Transfers: REFER in both directions and the reports about what becomes of it, RFC 3515, RFC 4488, RFC 5589. A REFER is
//! taken inside a call only: outside there is nothing to transfer, and dialling for strangers is not on offer. Does not
//! own the calls that a transfer makes; the program does.

use std::time::{Duration, Instant};

use super::transactions::Owner;
use super::usages::Usage;
use super::{CallError, CallKey, Endpoint, Event};
use crate::header::{
    EventPackage, HeaderName, ReferTo, Replaces, SubscriptionState, sipfrag, sipfrag_status,
};
use crate::invite::{Call, Phase};
use crate::message::{Request, Response};
use crate::method::Method;
use crate::uri::{Scheme, Uri};
use crate::usages::{
    PendingReferral, REFERRAL_ANSWER, REFERRAL_S_MAX, REPORTS_S, Referral, Reports,
};

/// RFC 4488 §4.
const REFER_SUB: &str = "Refer-Sub";
pub(super) const REFER: &str = "refer";
const SIPFRAG: &str = "message/sipfrag";

/// What a REFER asks for.
struct Asked {
    target: Uri,
    replaces: Option<CallKey>,
    foreign_replaces: Option<String>,
}

impl Endpoint {
    /// A REFER inside a call. The response follows with `answer_transfer`, unless it is refused here.
    pub(super) fn on_refer(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        request: Request,
        tag: &str,
    ) {
        let asked = match self.asked_transfer(key, &request) {
            Ok(asked) => asked,
            Err(status) => {
                let response = self.response(&request, status, tag);
                self.respond(now, id, response);
                return;
            }
        };
        let headers = &request.headers;
        let wants_reports = !headers
            .get(&HeaderName::from(REFER_SUB))
            .is_some_and(|value| {
                value
                    .split(';')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .eq_ignore_ascii_case("false")
            });
        let referred_by = headers.get(&HeaderName::ReferredBy).map(str::to_owned);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.usages.asked = Some(PendingReferral {
            transaction: id,
            request,
            wants_reports,
            answer_by: now + REFERRAL_ANSWER,
        });
        self.watch_usages(key);
        self.event(Event::Transfer {
            call: key,
            target: asked.target,
            replaces: asked.replaces,
            foreign_replaces: asked.foreign_replaces,
            referred_by,
        });
    }

    fn asked_transfer(&self, key: CallKey, request: &Request) -> Result<Asked, u16> {
        let call = self.calls.get(&key).ok_or(481_u16)?;
        // RFC 3515 §2.4.2: exactly one Refer-To. A second line of it has been refused already.
        let value = request.headers.get(&HeaderName::ReferTo).ok_or(400_u16)?;
        let refer_to = ReferTo::parse(value).map_err(|_| 400_u16)?;
        if !refer_to.target.scheme.is_sip() && refer_to.target.scheme != Scheme::Tel {
            return Err(416);
        }
        if refer_to
            .method
            .as_deref()
            .is_some_and(|method| method != "INVITE")
        {
            return Err(501);
        }
        let stands = matches!(
            call.phase,
            Phase::Established | Phase::Accepted { hangup: false }
        );
        // One at a time: a phone shows the progress of one transfer.
        if !stands || call.usages.asked.is_some() || call.usages.reports.is_some() {
            return Err(491);
        }
        let Some(raw) = refer_to.replaces else {
            return Ok(Asked {
                target: refer_to.target,
                replaces: None,
                foreign_replaces: None,
            });
        };
        let replaces = Replaces::parse(&raw).map_err(|_| 400_u16)?;
        let named = self.named_call(&replaces).filter(|named| named.is_live());
        // Who transfers must be in both calls.
        match named {
            Some(named) if named.key == key => return Err(400),
            Some(named) if !same_party(call, named) => return Err(403),
            _ => {}
        }
        Ok(Asked {
            target: refer_to.target,
            replaces: named.map(|named| named.key),
            foreign_replaces: named.is_none().then_some(raw),
        })
    }

    /// The answer to `Event::Transfer`: 202 or the status of a refusal. After a yes, say with `transfer_progress` how the
    /// new call fares. Without an answer the transfer is refused with 500 after 16 s.
    pub fn answer_transfer(
        &mut self,
        now: Instant,
        key: CallKey,
        answer: Result<(), u16>,
    ) -> Result<(), CallError> {
        if let Err(status) = answer
            && !(300..=699).contains(&status)
        {
            return Err(CallError::BadStatus(status));
        }
        let expires_at = now + Duration::from_secs(u64::from(REPORTS_S));
        let call = self.calls.get_mut(&key).ok_or(CallError::NoSuchCall)?;
        let asked = call.usages.asked.take().ok_or(CallError::WrongState)?;
        let tag = call
            .dialog
            .as_ref()
            .map(|dialog| dialog.id.local_tag.clone())
            .unwrap_or_default();
        let contact = call.contact.clone();
        let status = answer.err().unwrap_or(202);
        let mut response = self.response(&asked.request, status, &tag);
        response.headers.push(HeaderName::Contact, contact);
        let is_taken = answer.is_ok();
        if is_taken && !asked.wants_reports {
            response.headers.push(HeaderName::from(REFER_SUB), "false");
        }
        self.respond(now, asked.transaction, response);
        if is_taken && let Some(call) = self.calls.get_mut(&key) {
            let cseq = asked.request.headers.cseq().map_or(0, |cseq| cseq.number);
            let event = match call.usages.has_been_referred {
                false => REFER.to_owned(),
                true => format!("{REFER};id={cseq}"),
            };
            call.usages.has_been_referred = true;
            if asked.wants_reports {
                // RFC 3515 §2.4.4: the first report goes at once.
                call.usages.reports = Some(Reports {
                    event,
                    next: Some(100),
                    last: 100,
                    is_under_way: false,
                    is_over: false,
                    expires_at,
                });
                self.send_report(now, key);
            }
        }
        self.watch_usages(key);
        self.drop_call_if_done(key);
        Ok(())
    }

    /// How the call that a transfer made fares: 100 to 699; a final status ends the reports. Also after the call has
    /// ended, since many phones hang up as soon as the transfer is accepted. Nothing is sent where the phone wants no
    /// reports, or no more; `NoSuchCall` says that nothing of the call is left, which is no mistake.
    pub fn transfer_progress(
        &mut self,
        now: Instant,
        key: CallKey,
        status: u16,
    ) -> Result<(), CallError> {
        if !(100..=699).contains(&status) {
            return Err(CallError::BadStatus(status));
        }
        let call = self.calls.get_mut(&key).ok_or(CallError::NoSuchCall)?;
        if let Some(reports) = &mut call.usages.reports
            && !reports.is_over
            && reports.next.is_none_or(|next| next < 200)
        {
            reports.next = Some(status);
            self.send_report(now, key);
        }
        Ok(())
    }

    fn send_report(&mut self, now: Instant, key: CallKey) {
        let Some(reports) = self
            .calls
            .get_mut(&key)
            .and_then(|call| call.usages.reports.as_mut())
        else {
            return;
        };
        let Some(status) = reports.next.filter(|_| !reports.is_under_way) else {
            return;
        };
        reports.next = None;
        reports.last = status;
        reports.is_over = status >= 200;
        let left = reports
            .expires_at
            .saturating_duration_since(now)
            .as_secs()
            .max(1);
        // RFC 3515 §2.4.7: a transfer that is through leaves nothing to subscribe to.
        let state = match reports.is_over {
            true => "terminated;reason=noresource".to_owned(),
            false => format!("active;expires={left}"),
        };
        self.notify(now, key, status, state);
    }

    fn notify(&mut self, now: Instant, key: CallKey, status: u16, state: String) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let contact = call.contact.clone();
        let Some(reports) = &mut call.usages.reports else {
            return;
        };
        reports.is_under_way = true;
        let event = reports.event.clone();
        let owner = Owner::Usage(key, Usage::Notify);
        self.send_in_dialog(now, key, None, Method::Notify, owner, |request| {
            request.headers.push(HeaderName::Contact, contact);
            request.headers.push(HeaderName::Event, event);
            request.headers.push(HeaderName::SubscriptionState, state);
            request.set_body("message/sipfrag;version=2.0", sipfrag(status));
        });
    }

    /// RFC 6665 §4.2.2: whoever does not know the subscription, or does not answer, has none.
    pub(super) fn on_notify_response(&mut self, now: Instant, key: CallKey, status: u16) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let Some(reports) = &mut call.usages.reports else {
            return;
        };
        reports.is_under_way = false;
        let is_gone = matches!(
            status,
            404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604
        );
        if reports.is_over || is_gone {
            call.usages.reports = None;
            self.drop_call_if_done(key);
        } else {
            self.send_report(now, key);
        }
    }

    /// The program has not said how it ended, or the phone wants to hear no more: RFC 6665 §4.2.2 has a last NOTIFY.
    pub(super) fn end_reports(&mut self, now: Instant, key: CallKey, reason: &str) {
        let Some(reports) = self
            .calls
            .get_mut(&key)
            .and_then(|call| call.usages.reports.as_mut())
        else {
            return;
        };
        let (was_over, last) = (reports.is_over, reports.last);
        reports.next = None;
        reports.is_over = true;
        reports.expires_at += Duration::from_secs(u64::from(REPORTS_S));
        if !was_over {
            self.notify(now, key, last, format!("terminated;reason={reason}"));
        } else if let Some(call) = self.calls.get_mut(&key) {
            call.usages.reports = None;
        }
    }

    /// SUBSCRIBE inside a call: the peer prolongs or ends what its REFER began, RFC 3515 §2.4.4.
    pub(super) fn on_subscribe(
        &mut self,
        now: Instant,
        key: CallKey,
        id: u64,
        request: &Request,
        tag: &str,
    ) {
        let package = request
            .headers
            .get(&HeaderName::Event)
            .and_then(|value| EventPackage::parse(value).ok());
        let asked_s = request.headers.expires().ok().flatten();
        let granted_s = asked_s.unwrap_or(REPORTS_S).min(REPORTS_S);
        let reports = self
            .calls
            .get_mut(&key)
            .and_then(|call| call.usages.reports.as_mut());
        match (package, reports) {
            (Some(event), Some(reports)) if event.package == REFER && !reports.is_over => {
                reports.expires_at = now + Duration::from_secs(u64::from(granted_s));
                // RFC 6665 §4.2.1.2: a NOTIFY follows at once.
                reports.next.get_or_insert(reports.last);
                let mut response = self.response(request, 200, tag);
                response
                    .headers
                    .push(HeaderName::Expires, granted_s.to_string());
                self.respond(now, id, response);
                match granted_s {
                    0 => self.end_reports(now, key, "timeout"),
                    _ => self.send_report(now, key),
                }
                self.watch_usages(key);
            }
            (Some(event), _) if event.package == REFER => {
                let response = self.response(request, 481, tag);
                self.respond(now, id, response);
            }
            _ => {
                let mut response = self.response(request, 489, tag);
                response.headers.push(HeaderName::AllowEvents, REFER);
                self.respond(now, id, response);
            }
        }
    }

    /// Asks the peer to call `target`; with `replaces`, to take the place of that other call of ours there (attended
    /// transfer, RFC 5589 §7). `ReferProgress` tells what becomes of it. The call itself goes on until somebody hangs up.
    pub fn refer(
        &mut self,
        now: Instant,
        key: CallKey,
        target: Uri,
        replaces: Option<CallKey>,
    ) -> Result<(), CallError> {
        // Read by the one who is called: its own tag is the remote one of ours.
        let replaced = match replaces.filter(|other| *other != key) {
            None if replaces.is_some() => return Err(CallError::WrongState),
            None => None,
            Some(other) => {
                let other = self.live_call(other)?;
                let dialog = other.dialog.as_ref().ok_or(CallError::WrongState)?;
                Some(Replaces {
                    call_id: dialog.id.call_id.clone(),
                    to_tag: dialog.id.remote_tag.clone(),
                    from_tag: dialog.id.local_tag.clone(),
                    early_only: false,
                })
            }
        };
        let call = self.live_call(key)?;
        if call.phase != Phase::Established || call.usages.referral.is_some() {
            return Err(CallError::WrongState);
        }
        let (contact, refer_to) = (
            call.contact.clone(),
            ReferTo::write(&target, replaced.as_ref()),
        );
        let mut cseq = 0;
        let owner = Owner::Usage(key, Usage::Refer);
        self.send_in_dialog(now, key, None, Method::Refer, owner, |request| {
            cseq = request.headers.cseq().map_or(0, |cseq| cseq.number);
            request.headers.push(HeaderName::ReferTo, refer_to);
            // RFC 3892 §2.1: as whom the peer knows us.
            if let Ok(mut from) = request.headers.from() {
                from.params = Default::default();
                request
                    .headers
                    .push(HeaderName::ReferredBy, from.to_string());
            }
            request.headers.push(HeaderName::Contact, contact);
        });
        if let Some(call) = self.calls.get_mut(&key) {
            call.usages.referral = Some(Referral {
                cseq,
                status: 100,
                report_by: None,
            });
        }
        Ok(())
    }

    /// The REFER went again under another number, in answer to a challenge.
    pub(super) fn renumber_referral(&mut self, key: CallKey, id: u64) {
        let number = self
            .clients
            .get(id)
            .and_then(|entry| entry.request.headers.cseq().ok());
        let call = self.calls.get_mut(&key);
        if let (Some(number), Some(referral)) =
            (number, call.and_then(|call| call.usages.referral.as_mut()))
        {
            referral.cseq = number.number;
        }
    }

    pub(super) fn on_refer_response(&mut self, now: Instant, key: CallKey, response: &Response) {
        let first_report_by = now + self.config.timers.t1_x64();
        let Some(referral) = self
            .calls
            .get_mut(&key)
            .and_then(|call| call.usages.referral.as_mut())
        else {
            return;
        };
        let says_no_reports = response
            .headers
            .get(&HeaderName::from(REFER_SUB))
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
        match response.status {
            200..=299 if !says_no_reports => {
                // A NOTIFY may have come before this response.
                referral.report_by.get_or_insert(first_report_by);
            }
            status => self.end_referral(key, status),
        }
    }

    pub(super) fn on_refer_lost(&mut self, key: CallKey) {
        self.end_referral(key, 408);
    }

    /// RFC 6665 §4.1.2.4: without a NOTIFY there is no subscription.
    pub(super) fn on_report_missing(&mut self, key: CallKey) {
        self.end_referral(key, 408);
    }

    fn end_referral(&mut self, key: CallKey, status: u16) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let is_live = call.is_live();
        if call.usages.referral.take().is_some() && is_live {
            self.event(Event::ReferProgress {
                call: key,
                status,
                is_last: true,
            });
        }
    }

    /// NOTIFY inside a call: a report about a REFER of ours. Its response.
    pub(super) fn on_notify(
        &mut self,
        now: Instant,
        key: CallKey,
        request: &Request,
        tag: &str,
    ) -> Response {
        let headers = &request.headers;
        let package = headers
            .get(&HeaderName::Event)
            .and_then(|value| EventPackage::parse(value).ok());
        let Some(package) = package.filter(|event| event.package == REFER) else {
            let mut response = self.response(request, 489, tag);
            response.headers.push(HeaderName::AllowEvents, REFER);
            return response;
        };
        let referral = self
            .calls
            .get_mut(&key)
            .and_then(|call| call.usages.referral.as_mut());
        let is_its = |cseq: u32| package.id.as_ref().is_none_or(|id| id.parse() == Ok(cseq));
        let Some(referral) = referral.filter(|referral| is_its(referral.cseq)) else {
            // RFC 6665 §4.1.3: that ends it on the other side, too.
            return self.response(request, 481, tag);
        };
        // Phones leave the header out now and then; a report is a report.
        let state = headers
            .get(&HeaderName::SubscriptionState)
            .and_then(|value| SubscriptionState::parse(value).ok());
        let quoted = match headers.content_type() {
            Ok(Some(kind)) if kind == SIPFRAG => sipfrag_status(&request.body),
            _ => None,
        };
        let left_s = state
            .as_ref()
            .and_then(|state| state.expires_s)
            .unwrap_or(REPORTS_S);
        let is_terminated = state.is_some_and(|state| state.is_terminated);
        referral.status = quoted.unwrap_or(referral.status);
        referral.report_by =
            Some(now + Duration::from_secs(u64::from(left_s.clamp(1, REFERRAL_S_MAX))));
        let status = referral.status;
        let response = self.response(request, 200, tag);
        if status >= 200 || is_terminated {
            self.end_referral(key, status);
        } else if quoted.is_some_and(|status| status > 100) {
            self.event(Event::ReferProgress {
                call: key,
                status,
                is_last: false,
            });
        }
        self.watch_usages(key);
        response
    }
}

/// Whether the other ends of two calls are the same phone's owner or trunk; where that is not known, the same device.
fn same_party(a: &Call, b: &Call) -> bool {
    match (&a.party, &b.party) {
        (Some(a), Some(b)) => a == b,
        _ => a.flow.remote == b.flow.remote,
    }
}
