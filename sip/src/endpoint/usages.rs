//! PURE.
//! Requests of ours that live in a call's dialog beside the call, RFC 5057: their deadlines, what comes back, and which of
//! it ends the call. Does not own what each is for (see `refer`, `info`, `options`).

use std::time::{Duration, Instant};

use super::transactions::Failure;
use super::{CallKey, EndCause, Endpoint, TimerId};
use crate::invite::Phase;
use crate::message::Response;
use crate::usages::UsageFired;

/// What a request of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    Refer,
    Notify,
    Key,
    Probe,
}

impl Endpoint {
    /// Something was heard of the peer of a call.
    pub(super) fn note_heard(&mut self, now: Instant, key: CallKey) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.usages.heard_at = Some(now);
            call.usages.unreachable = 0;
        }
    }

    pub(super) fn on_usage_response(
        &mut self,
        now: Instant,
        key: CallKey,
        usage: Usage,
        id: u64,
        response: &Response,
    ) {
        if response.status < 200 {
            return;
        }
        if let Some(id) = self.answer_challenge(now, key, id, response) {
            if usage == Usage::Refer {
                self.renumber_referral(key, id);
            }
            return;
        }
        match usage {
            Usage::Refer => self.on_refer_response(now, key, response),
            Usage::Notify => self.on_notify_response(now, key, response.status),
            Usage::Key => self.on_key_sent(now, key),
            Usage::Probe => self.on_probe_answered(key),
        }
        // RFC 5057 §5.1: the peer has no such dialog, or it is behind something that cannot reach it any more. A NOTIFY
        // refused so ends the subscription alone.
        if matches!(response.status, 408 | 481) && usage != Usage::Notify {
            let status = response.status;
            let why = "the peer knows nothing of the call".to_owned();
            self.lose_call(now, key, EndCause::Failed { status, why });
        }
        self.watch_usages(key);
        self.drop_call_if_done(key);
    }

    pub(super) fn on_usage_failure(
        &mut self,
        now: Instant,
        key: CallKey,
        usage: Usage,
        failure: Failure,
    ) {
        match usage {
            Usage::Refer => self.on_refer_lost(key),
            Usage::Notify => self.on_notify_response(now, key, 408),
            Usage::Key => self.on_key_sent(now, key),
            Usage::Probe => self.on_probe_answered(key),
        }
        match failure {
            // RFC 3261 §12.2.1.2.
            Failure::NoAnswer if usage != Usage::Notify => {
                self.lose_call(now, key, EndCause::TransactionTimeout);
            }
            Failure::Transport if usage == Usage::Probe => self.on_probe_unsent(now, key),
            _ => {}
        }
        self.watch_usages(key);
    }

    pub(super) fn on_usages_timer(&mut self, now: Instant, key: CallKey) {
        let quiet = self.quiet_after(key);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        match call.usages.on_timeout(now, quiet) {
            UsageFired::Nothing => {}
            // The program owes an answer it will not give.
            UsageFired::ReferralLeft => {
                let _ = self.answer_transfer(now, key, Err(500));
            }
            UsageFired::ReportsExpired => self.end_reports(now, key, "timeout"),
            UsageFired::ReportMissing => self.on_report_missing(key),
            UsageFired::Quiet => self.probe(now, key),
        }
        self.watch_usages(key);
        self.drop_call_if_done(key);
    }

    pub(super) fn watch_usages(&mut self, key: CallKey) {
        let quiet = self.quiet_after(key);
        let call = self.calls.get(&key);
        let deadline = call.and_then(|call| call.usages.next_timeout(quiet));
        self.timers.set(TimerId::Usages(key), deadline);
    }

    /// How long this call may be without a message before we ask.
    fn quiet_after(&self, key: CallKey) -> Option<Duration> {
        let keepalive_s = self.config.keepalive_s;
        let stands = self
            .calls
            .get(&key)
            .is_some_and(|call| call.phase == Phase::Established);
        (stands && keepalive_s > 0).then(|| Duration::from_secs(u64::from(keepalive_s)))
    }
}
