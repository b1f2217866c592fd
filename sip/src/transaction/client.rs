//! PURE.
//! The non-INVITE client transaction, RFC 3261 §17.1.2 (Figure 6): timers E, F and K.

use std::time::{Duration, Instant};

use super::{Fired, Received};
use crate::timer::{TimerConfig, earliest};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

#[derive(Debug)]
pub(crate) struct ClientTransaction {
    state: State,
    timers: TimerConfig,
    reliable: bool,
    /// Timer E and its next interval.
    resend_at: Option<Instant>,
    resend_interval: Duration,
    /// Timer F, later timer K.
    end_at: Instant,
}

impl ClientTransaction {
    /// The request has just been sent.
    pub(crate) fn new(now: Instant, timers: TimerConfig, reliable: bool) -> ClientTransaction {
        ClientTransaction {
            state: State::Trying,
            timers,
            reliable,
            resend_at: (!reliable).then(|| now + timers.t1()),
            resend_interval: timers.t1(),
            end_at: now + timers.t1_x64(),
        }
    }

    pub(crate) fn on_response(&mut self, now: Instant, status: u16) -> Received {
        match self.state {
            State::Trying | State::Proceeding if status < 200 => {
                self.state = State::Proceeding;
                Received::Pass
            }
            State::Trying | State::Proceeding => {
                self.state = State::Completed;
                self.resend_at = None;
                // RFC 3261 §17.1.2.2: timer K, zero where the transport is reliable.
                self.end_at = now + self.timers.t4_unless(self.reliable);
                Received::Pass
            }
            State::Completed | State::Terminated => Received::Absorb,
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> Fired {
        if self.state == State::Terminated {
            return Fired::Ended;
        }
        if now >= self.end_at {
            let completed = self.state == State::Completed;
            self.state = State::Terminated;
            self.resend_at = None;
            return if completed {
                Fired::Ended
            } else {
                Fired::TimedOut
            };
        }
        match self.resend_at {
            Some(at) if now >= at => {
                // RFC 3261 §17.1.2.2: E doubles up to T2 while Trying, and stays at T2 once Proceeding.
                self.resend_interval = match self.state {
                    State::Proceeding => self.timers.t2(),
                    _ => (self.resend_interval * 2).min(self.timers.t2()),
                };
                self.resend_at = Some(now + self.resend_interval);
                Fired::Resend
            }
            _ => Fired::Nothing,
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Terminated => None,
            _ => earliest(self.resend_at, Some(self.end_at)),
        }
    }

    /// No final response yet.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Trying | State::Proceeding)
    }
}
