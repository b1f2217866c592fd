//! PURE.
//! One call: the INVITE usage of a dialog, RFC 3261 §13 to §15, as UAS and as UAC. Owns the phases of a call and the
//! times it may take. Does not own transactions, provisional responses (see `early`), the 2xx that waits for its ACK (see
//! `unacked`) or the sending of anything: the endpoint does what the phase allows.

use std::time::{Duration, Instant};

use crate::auth::client::Challenge;
use crate::dialog::Dialog;
use crate::early::{EarlyDialog, ReliableFired, ReliableProvisionals};
use crate::endpoint::{CallKey, Caller};
use crate::flow::Flow;
use crate::message::{Request, Response};
use crate::secret::Secret;
use crate::session_timer::{SessionTimer, TimerFired};
use crate::timer::{TimerConfig, earliest};
use crate::unacked::{AnswerFired, UnackedAnswer};
use crate::usages::Usages;

/// RFC 3261 §16.6 step 11 names three minutes as the least a proxy lets a phone ring (timer C). No call rings longer
/// here, in either direction.
pub(crate) const RINGING_MAX: Duration = Duration::from_secs(180);

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// UAS: no final response yet to the INVITE of this server transaction.
    Incoming {
        transaction: u64,
    },
    /// UAS: our 2xx waits for its ACK. `hangup` was asked for meanwhile, and must wait for it too (§15).
    Accepted {
        hangup: bool,
    },
    /// UAC: no final response yet in this client transaction.
    Calling {
        transaction: u64,
        cancel: Cancel,
    },
    Established,
    /// The program has been told that the call is over; what is left is protocol.
    Closing,
}

/// RFC 3261 §9.1: a CANCEL may leave only once a provisional response has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancel {
    No,
    Wanted,
    Sent,
}

/// A change the peer wants (re-INVITE, UPDATE, or PRACK with an offer) that the program has not answered yet.
#[derive(Debug)]
pub(crate) struct PendingReinvite {
    pub(crate) transaction: u64,
    pub(crate) request: Request,
    /// RFC 3261 §14.2 leaves the time open; a caller's timer B would end it here.
    pub(crate) answer_by: Instant,
}

/// An ACK of ours for a 2xx, sent again whenever that 2xx comes again. Branches of a fork differ in the tag, later
/// INVITEs in the number.
#[derive(Debug)]
pub(crate) struct SentAck {
    pub(crate) cseq: u32,
    pub(crate) remote_tag: String,
    pub(crate) packet: Vec<u8>,
}

/// Branches of one INVITE that are answered properly; a proxy that forks further gets no ACK for the rest.
pub(crate) const BRANCHES_MAX: usize = 16;

/// ACKs kept; at the bound the oldest goes, whose 2xx has long stopped coming.
const ACKS_MAX: usize = 2 * BRANCHES_MAX;

/// The peer's offer came in a response to an INVITE of ours without one, and the program has not answered it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwedAnswer {
    /// CSeq of the INVITE.
    pub(crate) cseq: u32,
    /// The peer sends its response for this long, RFC 3261 §13.3.1.4 and RFC 3262 §3.
    pub(crate) answer_by: Instant,
    pub(crate) to: OwedTo,
}

/// Which request of ours brings the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OwedTo {
    Ack,
    Prack { tag: String, rseq: u32 },
}

/// UAS: what a ringing phone says every minute.
#[derive(Debug)]
pub(crate) struct RepeatedProvisional {
    pub(crate) at: Instant,
    pub(crate) status: u16,
    /// `None` for a reliable one, which is made anew.
    pub(crate) packet: Option<Vec<u8>>,
}

/// A change of the session that we want.
#[derive(Debug)]
pub(crate) struct Reoffer {
    /// `None` asks the peer for its offer.
    pub(crate) offer: Option<String>,
    pub(crate) step: ReofferStep,
    /// Refusals that were worth another try.
    pub(crate) retries: u8,
    /// A session refresh: the program did not ask for it and hears of it only where it changes something.
    pub(crate) silent: bool,
    /// What the program asked for while a silent one was on its way.
    pub(crate) then: Option<Option<String>>,
    /// RSeq of the last reliable response to it, and the answer that came in one.
    pub(crate) rseq: Option<u32>,
    pub(crate) early_answer: Option<String>,
}

impl Reoffer {
    pub(crate) fn new(offer: Option<String>) -> Reoffer {
        Reoffer {
            offer,
            step: ReofferStep::Waiting,
            retries: 0,
            silent: false,
            then: None,
            rseq: None,
            early_answer: None,
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        match self.step {
            ReofferStep::Waiting => None,
            ReofferStep::Later(at) => Some(at),
            ReofferStep::Sent { give_up_at, .. } => Some(give_up_at),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReofferStep {
    /// RFC 3261 §14.1: not while another INVITE is open in this dialog.
    Waiting,
    /// Refused for now.
    Later(Instant),
    Sent {
        transaction: u64,
        give_up_at: Instant,
    },
}

/// RFC 3261 §14.1 leaves it open how long a peer may think about a change; people who must agree to one take no longer.
pub(crate) const REOFFER_MAX: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) key: CallKey,
    pub(crate) phase: Phase,
    /// The INVITE that made the call: the peer's, or the last of ours.
    pub(crate) invite: Request,
    /// UAS: from the start. UAC: from the first 2xx.
    pub(crate) dialog: Option<Dialog>,
    /// UAC: the branches that rang and have not answered.
    pub(crate) early: Vec<EarlyDialog>,
    /// UAS: provisional responses that must arrive.
    pub(crate) reliable: ReliableProvisionals,
    pub(crate) flow: Flow,
    /// Our Contact value.
    pub(crate) contact: String,
    pub(crate) unacked: Option<UnackedAnswer>,
    pub(crate) reinvite: Option<PendingReinvite>,
    /// UAS: the provisional response that is repeated while the phone rings.
    pub(crate) provisional: Option<RepeatedProvisional>,
    /// When ringing ends.
    pub(crate) answer_by: Option<Instant>,
    pub(crate) credentials: Option<(String, Secret)>,
    /// The last challenge answered, and its status.
    pub(crate) challenge: Option<(u16, Challenge)>,
    pub(crate) acks: Vec<SentAck>,
    pub(crate) owed: Option<OwedAnswer>,
    /// Our and the peer's description that hold, as far as both have gone.
    pub(crate) local_sdp: Option<String>,
    pub(crate) remote_sdp: Option<String>,
    /// The last exchange was their offer and our answer.
    pub(crate) answered_last: bool,
    pub(crate) session: Option<SessionTimer>,
    /// The UPDATE that refreshes the session just now.
    pub(crate) refresh: Option<u64>,
    /// Longest Min-SE that a 422 told us, seconds; 0 for none.
    pub(crate) min_se_s: u32,
    /// Times an INVITE of ours was too brief for somebody.
    pub(crate) briefs: u8,
    /// The peer's Allow names UPDATE.
    pub(crate) takes_update: bool,
    pub(crate) reoffer: Option<Reoffer>,
    /// Value of the Reason header of a CANCEL or BYE that has to wait.
    pub(crate) parting_reason: Option<String>,
    /// We called, so the Call-ID is ours.
    pub(crate) is_outbound: bool,
    /// Whose phone or line the other end is, as far as it is proven.
    pub(crate) party: Option<Caller>,
    pub(crate) usages: Usages,
    /// Client transactions that still need this call, however it ended.
    pub(crate) transactions: u32,
}

/// What became due in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallFired {
    Nothing,
    ResendAnswer,
    /// No ACK came: §13.3.1.4 ends the dialog with a BYE.
    AckMissing,
    RepeatProvisional,
    /// A reliable provisional response waits for its PRACK.
    Reliable(ReliableFired),
    /// The session is to be refreshed, or over.
    Session(TimerFired),
    /// Nobody answered in time.
    RangOut,
    /// The program left a re-INVITE unanswered.
    ReinviteLeft,
    /// The program left the peer's offer unanswered.
    OfferLeft,
    /// A re-INVITE of ours that was refused for now may go again.
    ReofferAgain,
    /// The peer took too long over a re-INVITE of ours.
    ReofferLate,
}

impl Call {
    pub(crate) fn new(
        key: CallKey,
        phase: Phase,
        invite: Request,
        flow: Flow,
        contact: String,
    ) -> Call {
        Call {
            key,
            phase,
            invite,
            dialog: None,
            early: Vec::new(),
            reliable: ReliableProvisionals::default(),
            flow,
            contact,
            unacked: None,
            reinvite: None,
            provisional: None,
            answer_by: None,
            credentials: None,
            challenge: None,
            acks: Vec::new(),
            owed: None,
            local_sdp: None,
            remote_sdp: None,
            answered_last: false,
            session: None,
            refresh: None,
            min_se_s: 0,
            briefs: 0,
            takes_update: false,
            reoffer: None,
            parting_reason: None,
            is_outbound: matches!(phase, Phase::Calling { .. }),
            party: None,
            usages: Usages::new(),
            transactions: 0,
        }
    }

    /// The program may still speak of it.
    pub(crate) fn is_live(&self) -> bool {
        match self.phase {
            Phase::Closing | Phase::Accepted { hangup: true } => false,
            Phase::Calling { cancel, .. } => cancel == Cancel::No,
            _ => true,
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let unacked = self.unacked.as_ref().map(UnackedAnswer::next_timeout);
        let reinvite = self.reinvite.as_ref().map(|reinvite| reinvite.answer_by);
        let provisional = self.provisional.as_ref().map(|repeated| repeated.at);
        let owed = self.owed.as_ref().map(|owed| owed.answer_by);
        let reliable = self.reliable.next_timeout();
        let session = self.session.as_ref().filter(|_| self.has_session());
        let session = session.map(SessionTimer::next_timeout);
        let reoffer = self.reoffer.as_ref().and_then(Reoffer::next_timeout);
        [
            unacked,
            reinvite,
            provisional,
            owed,
            reoffer,
            reliable,
            session,
        ]
        .into_iter()
        .fold(self.answer_by, earliest)
    }

    pub(crate) fn on_timeout(&mut self, now: Instant, timers: &TimerConfig) -> CallFired {
        if let Some(unacked) = &mut self.unacked {
            match unacked.on_timeout(now, timers) {
                AnswerFired::Resend => return CallFired::ResendAnswer,
                AnswerFired::GiveUp => return CallFired::AckMissing,
                AnswerFired::Nothing => {}
            }
        }
        if self.answer_by.is_some_and(|at| now >= at) {
            self.answer_by = None;
            return CallFired::RangOut;
        }
        if self
            .reinvite
            .as_ref()
            .is_some_and(|reinvite| now >= reinvite.answer_by)
        {
            return CallFired::ReinviteLeft;
        }
        if self.owed.as_ref().is_some_and(|owed| now >= owed.answer_by) {
            return CallFired::OfferLeft;
        }
        match self.reoffer.as_ref().map(|reoffer| reoffer.step) {
            Some(ReofferStep::Later(at)) if now >= at => return CallFired::ReofferAgain,
            Some(ReofferStep::Sent { give_up_at, .. }) if now >= give_up_at => {
                return CallFired::ReofferLate;
            }
            _ => {}
        }
        match self.reliable.on_timeout(now) {
            ReliableFired::Nothing => {}
            fired => return CallFired::Reliable(fired),
        }
        if self.has_session()
            && let Some(session) = &mut self.session
        {
            match session.on_timeout(now) {
                TimerFired::Nothing => {}
                fired => return CallFired::Session(fired),
            }
        }
        if let Some(repeated) = &mut self.provisional
            && now >= repeated.at
        {
            repeated.at = now + timers.provisional_repeat();
            return CallFired::RepeatProvisional;
        }
        CallFired::Nothing
    }

    /// Answered, so that a session timer may run.
    fn has_session(&self) -> bool {
        matches!(
            self.phase,
            Phase::Established | Phase::Accepted { hangup: false }
        )
    }

    fn is_changing(&self) -> bool {
        let step = self.reoffer.as_ref().map(|reoffer| reoffer.step);
        matches!(step, Some(ReofferStep::Sent { .. }))
    }

    /// An INVITE of ours has no final response yet, or no ACK.
    pub(crate) fn has_open_invite(&self) -> bool {
        matches!(self.phase, Phase::Calling { .. }) || self.is_changing() || self.owed.is_some()
    }

    /// An offer of ours is open, RFC 3311 §5.2.
    pub(crate) fn awaits_answer(&self) -> bool {
        let ringing = matches!(self.phase, Phase::Calling { .. });
        let offered = self.invite.sdp().is_some();
        self.is_changing()
            || self.unacked.as_ref().is_some_and(|sent| sent.wants_answer)
            || (ringing && offered && !self.early.iter().any(|early| early.settled))
            || (!ringing && !offered && self.reliable.describes_unheard())
    }

    /// An offer of the peer is open, RFC 3311 §5.2.
    pub(crate) fn owes_answer(&self) -> bool {
        let unanswered = matches!(self.phase, Phase::Incoming { .. })
            && self.invite.sdp().is_some()
            && self.reliable.described.is_none();
        // An answer that may still be lost is none yet.
        let unheard = self.invite.sdp().is_some() && self.reliable.describes_unheard();
        self.reinvite.is_some() || self.owed.is_some() || unanswered || unheard
    }

    /// The dialog with a remote tag; without one the call's own.
    pub(crate) fn dialog_mut(&mut self, remote_tag: Option<&str>) -> Option<&mut Dialog> {
        let fits = |dialog: &Dialog| remote_tag.is_none_or(|tag| dialog.id.remote_tag == tag);
        if self.dialog.as_ref().is_some_and(fits) {
            return self.dialog.as_mut();
        }
        let tag = remote_tag?;
        let mut early = self.early.iter_mut().map(|early| &mut early.dialog);
        early.find(|dialog| dialog.id.remote_tag == tag)
    }

    /// The remote tag of an early dialog whose session UPDATE may change: as caller the one that spoke last.
    pub(crate) fn early_for_update(&self) -> Option<String> {
        match self.phase {
            Phase::Calling {
                cancel: Cancel::No, ..
            } => {
                let mut early = self.early.iter().rev();
                let ready = early.find(|early| early.settled && early.takes_update)?;
                Some(ready.dialog.id.remote_tag.clone())
            }
            Phase::Incoming { .. } => {
                let settled = self.reliable.described.is_some() && !self.reliable.is_waiting();
                let ready = settled && self.takes_update && self.reliable.held_answer.is_none();
                let dialog = self.dialog.as_ref().filter(|_| ready)?;
                Some(dialog.id.remote_tag.clone())
            }
            _ => None,
        }
    }

    /// The ACK that a 2xx got before.
    pub(crate) fn ack_of(&self, cseq: u32, remote_tag: &str) -> Option<&[u8]> {
        let mut acks = self.acks.iter();
        let found = acks.find(|ack| ack.cseq == cseq && ack.remote_tag == remote_tag);
        found.map(|ack| ack.packet.as_slice())
    }

    /// Whether a response to an INVITE of ours comes from whom this call is with.
    pub(crate) fn is_from_its_peer(&self, response: &Response) -> bool {
        let Ok(to) = response.headers.to() else {
            return false;
        };
        let tag = to.tag().unwrap_or_default();
        let peer = self.dialog.as_ref();
        peer.is_some_and(|dialog| dialog.id.remote_tag == tag)
    }

    pub(crate) fn keep_ack(&mut self, ack: SentAck) {
        if self.acks.len() >= ACKS_MAX {
            self.acks.remove(0);
        }
        self.acks.push(ack);
    }

    /// Ringing is over, one way or the other.
    pub(crate) fn stop_ringing(&mut self) {
        self.provisional = None;
        self.answer_by = None;
        self.reliable.stop();
    }
}
