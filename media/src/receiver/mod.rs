//! Whose packets we take, and what they say about the path: source check and reception statistics of one stream.
//!
//! Owns: symmetric RTP latching (`latch`), sequence validation, loss and jitter figures (`reception`), SSRC changes.
//! Does not own: order and time (`jitter_buffer`), decoding, RTCP packets (`rtcp`).
//!
//! PURE.

pub mod latch;
pub mod reception;

use std::net::SocketAddr;
use std::time::Instant;

use crate::rtp::Packet;
use latch::{Latch, Source};
use reception::{Reception, Sequence};

/// What a packet means to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// To be played. `source` and `continuity` say what changed with it.
    Accepted {
        source: Source,
        continuity: Continuity,
    },
    /// Not from the peer; `first` the first time this address is seen.
    Stranger { first: bool },
    /// Its sequence number is far off; the next one decides whether the sender restarted (RFC 3550 A.1).
    OutOfPlace,
}

/// Whether a packet goes on with the stream before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    Continues,
    /// Same SSRC, new sequence: the sender restarted.
    Restarted,
    /// Another SSRC: a new stream.
    NewSsrc,
}

/// One incoming stream.
#[derive(Debug)]
pub struct Receiver {
    latch: Latch,
    reception: Option<Reception>,
    /// Sums of streams with earlier SSRCs.
    received_before: u64,
    expected_before: u64,
    ssrc_changes: u32,
    start: Instant,
}

impl Receiver {
    pub fn new(start: Instant, expected: Option<SocketAddr>) -> Receiver {
        Receiver {
            latch: Latch::new(expected),
            reception: None,
            received_before: 0,
            expected_before: 0,
            ssrc_changes: 0,
            start,
        }
    }

    pub fn latch(&self) -> &Latch {
        &self.latch
    }

    /// A new offer or answer named another address.
    pub fn expect(&mut self, expected: Option<SocketAddr>) {
        self.latch.expect(expected);
    }

    /// Judges one packet with an agreed payload type. `clock_rate_hz` is `None` where its timestamp says nothing
    /// about when it was sent (telephone-event).
    pub fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &Packet<'_>,
        clock_rate_hz: Option<u32>,
    ) -> Verdict {
        let source = match self.latch.check(now, from) {
            Source::Stranger { first } => return Verdict::Stranger { first },
            source => source,
        };
        let (reception, mut continuity) = match &mut self.reception {
            Some(reception) if reception.ssrc() == packet.ssrc => {
                (reception, Continuity::Continues)
            }
            other => {
                // RFC 3550 section 8.2: a source may change its SSRC at any time; it is a new stream then.
                let continuity = match other.take() {
                    Some(old) => {
                        self.received_before += old.received();
                        self.expected_before += old.expected();
                        self.ssrc_changes = self.ssrc_changes.saturating_add(1);
                        Continuity::NewSsrc
                    }
                    None => Continuity::Continues,
                };
                (
                    other.insert(Reception::new(packet.ssrc, packet.sequence)),
                    continuity,
                )
            }
        };
        match reception.sequence(packet.sequence) {
            Sequence::OutOfPlace => return Verdict::OutOfPlace,
            Sequence::Restarted => continuity = Continuity::Restarted,
            Sequence::Valid => {}
        }
        if let Some(clock_rate_hz) = clock_rate_hz {
            let arrival = now.saturating_duration_since(self.start);
            reception.arrival(arrival, packet.timestamp, clock_rate_hz);
        }
        Verdict::Accepted { source, continuity }
    }

    /// The present stream, for reports.
    pub fn reception(&mut self) -> Option<&mut Reception> {
        self.reception.as_mut()
    }

    pub fn ssrc(&self) -> Option<u32> {
        self.reception.as_ref().map(Reception::ssrc)
    }

    /// Interarrival jitter in milliseconds.
    pub fn jitter_ms(&self) -> f64 {
        self.reception.as_ref().map_or(0.0, Reception::jitter_ms)
    }

    /// Packets expected over all streams of the session.
    pub fn expected(&self) -> u64 {
        self.expected_before + self.reception.as_ref().map_or(0, Reception::expected)
    }

    /// Packets received over all streams of the session, duplicates and late ones included (RFC 3550 A.3).
    pub fn received(&self) -> u64 {
        self.received_before + self.reception.as_ref().map_or(0, Reception::received)
    }

    pub fn ssrc_changes(&self) -> u32 {
        self.ssrc_changes
    }
}

#[cfg(test)]
mod tests;
