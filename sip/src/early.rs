//! PURE.
//! What there is before an answer: the dialogs that provisional responses make (RFC 3261 §12.1), and our own provisional
//! responses that must arrive (RFC 3262 §3). Does not own calls (see `invite`) or the sending of anything.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::dialog::Dialog;
use crate::header::Headers;
use crate::syntax;
use crate::timer::{TimerConfig, earliest};

/// UAC: one branch of an INVITE that has not answered yet.
#[derive(Debug)]
pub(crate) struct EarlyDialog {
    pub(crate) dialog: Dialog,
    /// RFC 3262 §4: RSeq of the last reliable response that was taken.
    pub(crate) rseq: Option<u32>,
    /// The answer to our offer, or a preview of it.
    pub(crate) answer: Option<String>,
    /// Offer and answer have both arrived for sure: from here on UPDATE may change the session.
    pub(crate) settled: bool,
    pub(crate) takes_update: bool,
}

impl EarlyDialog {
    pub(crate) fn new(dialog: Dialog) -> EarlyDialog {
        EarlyDialog {
            dialog,
            rseq: None,
            answer: None,
            settled: false,
            takes_update: false,
        }
    }

    /// RFC 3262 §4: the next in order. One that came before was acknowledged, and one that overtook another comes again.
    pub(crate) fn takes(&self, rseq: u32) -> bool {
        self.rseq.is_none_or(|last| rseq == last.wrapping_add(1))
    }
}

/// RSeq of a response that says it is reliable, RFC 3262 §4.
pub(crate) fn rseq_of(headers: &Headers) -> Option<u32> {
    use crate::header::HeaderName;
    let requires = headers.option_tags(&HeaderName::Require).ok()?;
    if !requires
        .iter()
        .any(|tag| tag.eq_ignore_ascii_case("100rel"))
    {
        return None;
    }
    let number = syntax::number(headers.get(&HeaderName::RSeq)?, u64::from(u32::MAX))?;
    u32::try_from(number).ok().filter(|rseq| *rseq > 0)
}

/// RAck, RFC 3262 §7.2: which response to which request a PRACK acknowledges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RAck {
    pub(crate) rseq: u32,
    pub(crate) cseq: u32,
    pub(crate) method: String,
}

impl RAck {
    pub(crate) fn parse(text: &str) -> Option<RAck> {
        let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
        let (Some(rseq), Some(cseq), Some(method), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return None;
        };
        let number = |word| syntax::number(word, u64::from(u32::MAX));
        Some(RAck {
            rseq: u32::try_from(number(rseq)?).ok()?,
            cseq: u32::try_from(number(cseq)?).ok()?,
            method: method.to_owned(),
        })
    }
}

/// Provisional responses that wait for the one before to be acknowledged. At the bound the newest takes the place of the
/// last: what counts is where the call is now.
const WAITING_MAX: usize = 8;

/// UAS: our reliable provisional responses to one INVITE.
#[derive(Debug, Default)]
pub(crate) struct ReliableProvisionals {
    /// 0: none was sent yet.
    last_rseq: u32,
    outstanding: Option<Outstanding>,
    waiting: VecDeque<(u16, Option<String>)>,
    /// The description that went in one of them.
    pub(crate) described: Option<String>,
    /// The program's 200 waits: RFC 3262 §3 forbids it while a description is unacknowledged.
    pub(crate) held_answer: Option<String>,
}

#[derive(Debug)]
struct Outstanding {
    rseq: u32,
    packet: Vec<u8>,
    describes: bool,
    /// `None` once a final response has gone: it is not sent again, but may still be acknowledged.
    resend_at: Option<Instant>,
    interval: Duration,
    give_up_at: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReliableFired {
    Nothing,
    Resend(Vec<u8>),
    /// 64*T1 without a PRACK: RFC 3262 §3 refuses the INVITE.
    GiveUp,
}

impl ReliableProvisionals {
    /// The number of the next one. RFC 3262 §3 starts anywhere below 2^31 and counts up by one.
    pub(crate) fn next_rseq(&mut self, first: u32) -> u32 {
        self.last_rseq = match self.last_rseq {
            0 => first.max(1),
            last => last + 1,
        };
        self.last_rseq
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.outstanding.is_some()
    }

    /// A description of ours has not been acknowledged yet.
    pub(crate) fn describes_unheard(&self) -> bool {
        let outstanding = self.outstanding.as_ref();
        outstanding.is_some_and(|outstanding| outstanding.describes)
    }

    pub(crate) fn sent(
        &mut self,
        now: Instant,
        timers: &TimerConfig,
        packet: Vec<u8>,
        sdp: Option<String>,
    ) {
        self.outstanding = Some(Outstanding {
            rseq: self.last_rseq,
            packet,
            describes: sdp.is_some(),
            resend_at: Some(now + timers.t1()),
            interval: timers.t1(),
            give_up_at: now + timers.t1_x64(),
        });
        if sdp.is_some() {
            self.described = sdp;
        }
    }

    pub(crate) fn wait(&mut self, status: u16, sdp: Option<String>) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_back();
        }
        self.waiting.push_back((status, sdp));
    }

    pub(crate) fn next_waiting(&mut self) -> Option<(u16, Option<String>)> {
        match self.outstanding {
            None => self.waiting.pop_front(),
            Some(_) => None,
        }
    }

    /// A PRACK; `None` if it acknowledges nothing, else whether that bore a description.
    pub(crate) fn on_prack(&mut self, rseq: u32) -> Option<bool> {
        let outstanding = self.outstanding.take_if(|sent| sent.rseq == rseq)?;
        Some(outstanding.describes)
    }

    /// A final response is on its way.
    pub(crate) fn stop(&mut self) {
        self.waiting.clear();
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.resend_at = None;
        }
    }

    /// RFC 3262 §3: as a request over UDP, from T1 and doubling.
    pub(crate) fn on_timeout(&mut self, now: Instant) -> ReliableFired {
        let Some(outstanding) = &mut self.outstanding else {
            return ReliableFired::Nothing;
        };
        let Some(resend_at) = outstanding.resend_at else {
            return ReliableFired::Nothing;
        };
        if now >= outstanding.give_up_at {
            outstanding.resend_at = None;
            return ReliableFired::GiveUp;
        }
        if now < resend_at {
            return ReliableFired::Nothing;
        }
        outstanding.interval *= 2;
        outstanding.resend_at = Some(now + outstanding.interval);
        ReliableFired::Resend(outstanding.packet.clone())
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let outstanding = self.outstanding.as_ref()?;
        let resend_at = outstanding.resend_at?;
        earliest(Some(resend_at), Some(outstanding.give_up_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3262 §3 with the default times.
    #[test]
    fn a_reliable_response_is_repeated_for_32_seconds() {
        let base = crate::testing::start();
        let mut sender = ReliableProvisionals::default();
        let timers = TimerConfig::default();
        assert_eq!(sender.next_rseq(0), 1);
        sender.sent(base, &timers, vec![1], None);
        let mut sent_ms = Vec::new();
        while let Some(at) = sender.next_timeout() {
            match sender.on_timeout(at) {
                ReliableFired::Resend(_) => sent_ms.push((at - base).as_millis()),
                ReliableFired::GiveUp => assert_eq!((at - base).as_millis(), 32_000),
                ReliableFired::Nothing => panic!("woken for nothing"),
            }
        }
        assert_eq!(sent_ms, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    }

    #[test]
    fn acknowledgements_in_words() {
        let rows = [
            ("1 2 INVITE", Some((1, 2, "INVITE"))),
            ("  4294967295\t2  UPDATE ", Some((u32::MAX, 2, "UPDATE"))),
            ("4294967296 2 INVITE", None),
            ("1 INVITE", None),
            ("1 2 INVITE x", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let expected = expected.map(|(rseq, cseq, method): (u32, u32, &str)| RAck {
                rseq,
                cseq,
                method: method.to_owned(),
            });
            assert_eq!(RAck::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let base = crate::testing::start();
        let mut sender = ReliableProvisionals::default();
        sender.next_rseq(7);
        sender.sent(base, &TimerConfig::default(), vec![1], None);
        for status in 101..120 {
            sender.wait(status, None);
        }
        assert_eq!(sender.next_waiting(), None);
        assert_eq!(sender.on_prack(6), None);
        assert_eq!(sender.on_prack(7), Some(false));
        let waiting: Vec<u16> = std::iter::from_fn(|| sender.next_waiting())
            .map(|(status, _)| status)
            .collect();
        assert_eq!(waiting, [101, 102, 103, 104, 105, 106, 107, 119]);
    }
}
