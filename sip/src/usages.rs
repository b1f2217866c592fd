//! PURE.
//! What else goes on in a call's dialog besides the call, RFC 5057: referrals of the peer and of ours with their reports,
//! keys to be sent, and whether anybody is still there. State and deadlines; what is sent is decided in `endpoint`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::digits::Digit;
use crate::endpoint::Caller;
use crate::message::Request;
use crate::timer::earliest;

/// How long the program may think about a transfer. Half of the 32 s after which the phone would give up (RFC 3261
/// §17.1.2), so that a lost response can be sent again.
pub(crate) const REFERRAL_ANSWER: Duration = Duration::from_secs(16);

/// How long the phone of a transfer is told about it: longer than any call rings.
pub(crate) const REPORTS_S: u32 = 200;

/// The longest that a report about a referral of ours is waited for.
pub(crate) const REFERRAL_S_MAX: u32 = 600;

/// Keys that wait to be sent. At the bound further ones are refused: nobody presses so fast.
pub(crate) const KEYS_MAX: usize = 64;

/// Accounts that may take a call over besides its own. At the bound the oldest loses the right.
pub(crate) const HEIRS_MAX: usize = 8;

/// A REFER of the peer that the program has not answered.
#[derive(Debug)]
pub(crate) struct PendingReferral {
    pub(crate) transaction: u64,
    pub(crate) request: Request,
    /// RFC 4488 §4: `Refer-Sub: false` wants no reports.
    pub(crate) wants_reports: bool,
    pub(crate) answer_by: Instant,
}

/// The subscription of the peer to what becomes of its REFER, RFC 3515 §2.4.4.
#[derive(Debug)]
pub(crate) struct Reports {
    /// Value of the Event header: RFC 3515 §2.4.6 numbers all but the first of a dialog.
    pub(crate) event: String,
    /// What to tell next. Only the newest counts: RFC 6665 §4.2.2 wants one NOTIFY at a time.
    pub(crate) next: Option<u16>,
    /// The last that was told.
    pub(crate) last: u16,
    pub(crate) is_under_way: bool,
    /// The one under way is the last.
    pub(crate) is_over: bool,
    pub(crate) expires_at: Instant,
}

/// A REFER of ours.
#[derive(Debug)]
pub(crate) struct Referral {
    /// CSeq of the REFER, by which its reports may be numbered.
    pub(crate) cseq: u32,
    /// The last status heard of.
    pub(crate) status: u16,
    /// When to stop waiting for the next report. `None`: the REFER itself is still open.
    pub(crate) report_by: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Usages {
    pub(crate) asked: Option<PendingReferral>,
    pub(crate) reports: Option<Reports>,
    /// A REFER of the peer was accepted before.
    pub(crate) has_been_referred: bool,
    pub(crate) referral: Option<Referral>,
    /// Keys to be sent; the first is under way while `is_key_under_way`.
    pub(crate) keys: VecDeque<Digit>,
    pub(crate) is_key_under_way: bool,
    /// The peer's last message in this dialog.
    pub(crate) heard_at: Option<Instant>,
    pub(crate) is_probed: bool,
    /// Probes that could not be sent, in a row.
    pub(crate) unreachable: u8,
    /// Who else may replace this call.
    pub(crate) heirs: VecDeque<Caller>,
}

/// What became due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsageFired {
    Nothing,
    /// The program left a transfer unanswered.
    ReferralLeft,
    ReportsExpired,
    /// No report about our REFER came.
    ReportMissing,
    Quiet,
}

impl Usages {
    pub(crate) fn new() -> Usages {
        Usages {
            asked: None,
            reports: None,
            has_been_referred: false,
            referral: None,
            keys: VecDeque::new(),
            is_key_under_way: false,
            heard_at: None,
            is_probed: false,
            unreachable: 0,
            heirs: VecDeque::new(),
        }
    }

    /// The dialog must stay, though the call is over.
    pub(crate) fn need_dialog(&self) -> bool {
        self.reports.is_some() || self.asked.is_some()
    }

    /// `quiet`: how long a call that stands may be without a message; `None`: any time.
    pub(crate) fn next_timeout(&self, quiet: Option<Duration>) -> Option<Instant> {
        let asked = self.asked.as_ref().map(|asked| asked.answer_by);
        let reports = self.reports.as_ref().map(|reports| reports.expires_at);
        let referral = self
            .referral
            .as_ref()
            .and_then(|referral| referral.report_by);
        [asked, reports, referral]
            .into_iter()
            .fold(self.probe_at(quiet), earliest)
    }

    fn probe_at(&self, quiet: Option<Duration>) -> Option<Instant> {
        let heard_at = self.heard_at.filter(|_| !self.is_probed)?;
        Some(heard_at + quiet?)
    }

    pub(crate) fn on_timeout(&mut self, now: Instant, quiet: Option<Duration>) -> UsageFired {
        let due = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        if due(self.asked.as_ref().map(|asked| asked.answer_by)) {
            return UsageFired::ReferralLeft;
        }
        if due(self.reports.as_ref().map(|reports| reports.expires_at)) {
            return UsageFired::ReportsExpired;
        }
        if due(self
            .referral
            .as_ref()
            .and_then(|referral| referral.report_by))
        {
            return UsageFired::ReportMissing;
        }
        if due(self.probe_at(quiet)) {
            return UsageFired::Quiet;
        }
        UsageFired::Nothing
    }

    pub(crate) fn add_heir(&mut self, heir: Caller) {
        self.heirs.retain(|known| *known != heir);
        if self.heirs.len() >= HEIRS_MAX {
            self.heirs.pop_front();
        }
        self.heirs.push_back(heir);
    }
}
