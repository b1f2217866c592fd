//! PURE.
//! The INVITE server transaction, RFC 3261 §17.2.1 (Figure 7) with the Accepted state of RFC 6026 §7.1: timers G, H, I
//! and L. Retransmitting a 2xx is the user's duty (RFC 3261 §13.3.1.4, see `invite`).

use std::time::{Duration, Instant};

use super::Fired;
use crate::timer::{TimerConfig, earliest};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Proceeding,
    /// A 2xx went out: repetitions of the INVITE are swallowed until timer L.
    Accepted,
    /// Another final response went out and waits for its ACK.
    Completed,
    /// Acknowledged: further ACKs are swallowed until timer I.
    Confirmed,
    Terminated,
}

#[derive(Debug)]
pub(crate) struct ServerInviteTransaction {
    state: State,
    timers: TimerConfig,
    reliable: bool,
    /// Whether there is a provisional response to repeat.
    responded: bool,
    /// Timer G and its next interval.
    resend_at: Option<Instant>,
    resend_interval: Duration,
    /// Timers H, I and L.
    end_at: Option<Instant>,
}

impl ServerInviteTransaction {
    pub(crate) fn new(timers: TimerConfig, reliable: bool) -> ServerInviteTransaction {
        ServerInviteTransaction {
            state: State::Proceeding,
            timers,
            reliable,
            responded: false,
            resend_at: None,
            resend_interval: timers.t1(),
            end_at: None,
        }
    }

    /// The INVITE again: whether the last response must go out again.
    pub(crate) fn on_retransmission(&self) -> bool {
        match self.state {
            State::Proceeding => self.responded,
            State::Completed => true,
            // RFC 6026 §7.1: swallowed; the user retransmits its 2xx by its own clock.
            State::Accepted | State::Confirmed | State::Terminated => false,
        }
    }

    /// The user answers: whether this response may go out. In Accepted a 2xx always may.
    pub(crate) fn on_respond(&mut self, now: Instant, status: u16) -> bool {
        match (self.state, status) {
            (State::Proceeding, 100..=199) => {
                self.responded = true;
                true
            }
            (State::Proceeding, 200..=299) => {
                self.state = State::Accepted;
                self.end_at = Some(now + self.timers.t1_x64());
                true
            }
            (State::Proceeding, _) => {
                self.state = State::Completed;
                self.resend_at = (!self.reliable).then(|| now + self.timers.t1());
                self.end_at = Some(now + self.timers.t1_x64());
                true
            }
            (State::Accepted, 200..=299) => true,
            _ => false,
        }
    }

    /// An ACK that matches this transaction: true if it was for the user, because a 2xx is out.
    pub(crate) fn on_ack(&mut self, now: Instant) -> bool {
        match self.state {
            State::Completed => {
                self.state = State::Confirmed;
                self.resend_at = None;
                self.end_at = Some(now + self.timers.t4_unless(self.reliable));
                false
            }
            State::Accepted => true,
            State::Proceeding | State::Confirmed | State::Terminated => false,
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> Fired {
        if self.end_at.is_some_and(|at| now >= at) {
            let unacknowledged = self.state == State::Completed;
            self.state = State::Terminated;
            self.resend_at = None;
            self.end_at = None;
            return if unacknowledged {
                Fired::TimedOut
            } else {
                Fired::Ended
            };
        }
        match self.resend_at {
            Some(at) if now >= at => {
                // RFC 3261 §17.2.1: G doubles up to T2.
                self.resend_interval = (self.resend_interval * 2).min(self.timers.t2());
                self.resend_at = Some(now + self.resend_interval);
                Fired::Resend
            }
            _ => Fired::Nothing,
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        earliest(self.resend_at, self.end_at)
    }

    /// No final response yet.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Proceeding
    }
}
