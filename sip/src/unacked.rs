//! PURE.
//! A 2xx to an INVITE until its ACK comes, RFC 3261 §13.3.1.4: no transaction repeats it, so the call does. Does not own
//! what happens where none comes (see `endpoint`).

use std::time::{Duration, Instant};

use crate::flow::Flow;
use crate::timer::TimerConfig;

/// A 2xx to an INVITE that waits for its ACK, RFC 3261 §13.3.1.4: sent again from T1 up to T2 apart, on every transport,
/// until 64*T1 have passed.
#[derive(Debug)]
pub(crate) struct UnackedAnswer {
    /// CSeq of the INVITE, which its ACK bears.
    pub(crate) cseq: u32,
    pub(crate) packet: Vec<u8>,
    pub(crate) flow: Flow,
    /// The offer was ours, so the ACK brings the answer.
    pub(crate) wants_answer: bool,
    resend_at: Instant,
    interval: Duration,
    give_up_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerFired {
    Nothing,
    Resend,
    GiveUp,
}

impl UnackedAnswer {
    pub(crate) fn new(
        now: Instant,
        timers: &TimerConfig,
        cseq: u32,
        packet: Vec<u8>,
        flow: Flow,
        wants_answer: bool,
    ) -> UnackedAnswer {
        UnackedAnswer {
            cseq,
            packet,
            flow,
            wants_answer,
            resend_at: now + timers.t1(),
            interval: timers.t1(),
            give_up_at: now + timers.t1_x64(),
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant, timers: &TimerConfig) -> AnswerFired {
        if now >= self.give_up_at {
            return AnswerFired::GiveUp;
        }
        if now < self.resend_at {
            return AnswerFired::Nothing;
        }
        self.interval = (self.interval * 2).min(timers.t2());
        self.resend_at = now + self.interval;
        AnswerFired::Resend
    }

    pub(crate) fn next_timeout(&self) -> Instant {
        self.resend_at.min(self.give_up_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3261 §13.3.1.4 with the default times: 2xx sent again after 0.5, 1, 2, 4, 4 … seconds until 32 s.
    #[test]
    fn an_unacknowledged_answer_is_repeated_for_32_seconds() {
        let base = crate::testing::start();
        let timers = TimerConfig::default();
        let address = "127.0.0.1:5060".parse().expect("address");
        let mut answer = UnackedAnswer::new(
            base,
            &timers,
            1,
            Vec::new(),
            Flow::udp(address, address),
            false,
        );
        let mut sent_ms = Vec::new();
        loop {
            let at = answer.next_timeout();
            match answer.on_timeout(at, &timers) {
                AnswerFired::Resend => sent_ms.push((at - base).as_millis()),
                AnswerFired::GiveUp => {
                    assert_eq!((at - base).as_millis(), 32_000);
                    break;
                }
                AnswerFired::Nothing => panic!("woken for nothing"),
            }
        }
        assert_eq!(
            sent_ms,
            [
                500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500
            ]
        );
    }
}
