//! PURE.
//! The INVITE client transaction, RFC 3261 §17.1.1 (Figure 5) with the Accepted state of RFC 6026 §7.2: timers A, B, D
//! and M.

use std::time::{Duration, Instant};

use super::{Fired, Received};
use crate::timer::{TimerConfig, earliest};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Calling,
    Proceeding,
    /// A 2xx came: further ones (retransmitted, or from other branches of a fork) go to the user until timer M.
    Accepted,
    /// Another final response came: its repetitions are acknowledged until timer D.
    Completed,
    Terminated,
}

#[derive(Debug)]
pub(crate) struct ClientInviteTransaction {
    state: State,
    timers: TimerConfig,
    reliable: bool,
    /// Timer A and its next interval.
    resend_at: Option<Instant>,
    resend_interval: Duration,
    /// Timer B, later timer D or M. Nothing limits Proceeding but the user, who may cancel.
    end_at: Option<Instant>,
}

impl ClientInviteTransaction {
    /// The INVITE has just been sent.
    pub(crate) fn new(
        now: Instant,
        timers: TimerConfig,
        reliable: bool,
    ) -> ClientInviteTransaction {
        ClientInviteTransaction {
            state: State::Calling,
            timers,
            reliable,
            resend_at: (!reliable).then(|| now + timers.t1()),
            resend_interval: timers.t1(),
            end_at: Some(now + timers.t1_x64()),
        }
    }

    pub(crate) fn on_response(&mut self, now: Instant, status: u16) -> Received {
        match (self.state, status) {
            (State::Calling | State::Proceeding, 100..=199) => {
                // Timer B counts only until the first of these; an end set by `give_up_by` stands.
                if self.state == State::Calling {
                    self.end_at = None;
                }
                self.state = State::Proceeding;
                self.resend_at = None;
                Received::Pass
            }
            (State::Calling | State::Proceeding, 200..=299) => {
                self.state = State::Accepted;
                self.resend_at = None;
                // RFC 6026 §7.2: timer M, 64*T1 on every transport.
                self.end_at = Some(now + self.timers.t1_x64());
                Received::Pass
            }
            (State::Calling | State::Proceeding, _) => {
                self.state = State::Completed;
                self.resend_at = None;
                self.end_at = Some(now + self.timers.d(self.reliable));
                Received::PassAndAck
            }
            (State::Accepted, 200..=299) => Received::Pass,
            (State::Completed, 300..) => Received::Ack,
            _ => Received::Absorb,
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> Fired {
        match self.state {
            State::Terminated => return Fired::Ended,
            _ if self.end_at.is_some_and(|at| now >= at) => {
                let open = self.is_open();
                self.state = State::Terminated;
                self.resend_at = None;
                return if open { Fired::TimedOut } else { Fired::Ended };
            }
            _ => {}
        }
        match self.resend_at {
            // RFC 3261 §17.1.1.2: A doubles without an upper limit but timer B.
            Some(at) if now >= at => {
                self.resend_interval *= 2;
                self.resend_at = Some(now + self.resend_interval);
                Fired::Resend
            }
            _ => Fired::Nothing,
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Terminated => None,
            _ => earliest(self.resend_at, self.end_at),
        }
    }

    /// RFC 3261 §9.1: a CANCEL went out; without a final response the transaction ends at 64*T1 from then.
    pub(crate) fn give_up_by(&mut self, now: Instant) {
        if self.is_open() {
            self.end_at = Some(now + self.timers.t1_x64());
        }
    }

    /// No final response yet.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Calling | State::Proceeding)
    }

    /// RFC 3261 §9.1: a CANCEL must wait for this.
    pub(crate) fn has_provisional(&self) -> bool {
        self.state == State::Proceeding
    }
}
