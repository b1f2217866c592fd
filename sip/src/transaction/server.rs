//! PURE.
//! The non-INVITE server transaction, RFC 3261 §17.2.2 (Figure 8): timer J.

use std::time::Instant;

use super::Fired;
use crate::timer::TimerConfig;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

#[derive(Debug)]
pub(crate) struct ServerTransaction {
    state: State,
    timers: TimerConfig,
    reliable: bool,
    /// Timer J.
    end_at: Option<Instant>,
}

impl ServerTransaction {
    pub(crate) fn new(timers: TimerConfig, reliable: bool) -> ServerTransaction {
        ServerTransaction {
            state: State::Trying,
            timers,
            reliable,
            end_at: None,
        }
    }

    /// The same request again: whether the last response must go out again.
    pub(crate) fn on_retransmission(&self) -> bool {
        matches!(self.state, State::Proceeding | State::Completed)
    }

    /// The user answers: whether this response may go out.
    pub(crate) fn on_respond(&mut self, now: Instant, status: u16) -> bool {
        match self.state {
            State::Trying | State::Proceeding if status < 200 => {
                self.state = State::Proceeding;
                true
            }
            State::Trying | State::Proceeding => {
                self.state = State::Completed;
                // RFC 3261 §17.2.2: timer J, zero where the transport is reliable.
                self.end_at = Some(now + self.timers.t1_x64_unless(self.reliable));
                true
            }
            // RFC 3261 §17.2.2: any other final response from the user is discarded.
            State::Completed | State::Terminated => false,
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> Fired {
        match self.end_at {
            Some(at) if now >= at => {
                self.state = State::Terminated;
                self.end_at = None;
                Fired::Ended
            }
            _ => Fired::Nothing,
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.end_at
    }

    /// No final response yet.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Trying | State::Proceeding)
    }
}
