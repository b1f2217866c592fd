//! Reception statistics of one SSRC. RFC 3550 section 6.4.1, appendices A.1 (sequence), A.3 (loss), A.8 (jitter).
//!
//! Without probation: a call has one stream, and its first packet shall be heard.
//!
//! PURE.

use std::time::Duration;

/// RFC 3550 A.1: a gap up to this many packets is loss.
const DROPOUT_MAX: u16 = 3_000;
/// RFC 3550 A.1: a packet up to this much older is reordering.
const MISORDER_MAX: u16 = 100;

/// What a sequence number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    Valid,
    /// Far off; taken only if its successor follows.
    OutOfPlace,
    /// Two in a row far off: the sender restarted.
    Restarted,
}

/// What goes into a report block since the last report (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportFigures {
    pub ssrc: u32,
    /// In 1/256.
    pub fraction_lost: u8,
    /// Clamped to 24 bits.
    pub cumulative_lost: i32,
    pub highest_sequence: u32,
    /// In timestamp units.
    pub jitter: u32,
}

/// Statistics of one SSRC.
#[derive(Debug, Clone)]
pub struct Reception {
    ssrc: u32,
    base_sequence: u16,
    max_sequence: u16,
    cycles: u32,
    /// Successor of the last number out of place.
    bad_sequence: Option<u16>,
    received: u64,
    /// Sums of restarts before.
    received_before: u64,
    expected_before: u64,
    expected_prior: u64,
    received_prior: u64,
    /// Arrival less timestamp of the last packet, in timestamp units.
    transit: Option<u32>,
    jitter: f64,
    clock_rate_hz: u32,
}

impl Reception {
    pub fn new(ssrc: u32, sequence: u16) -> Reception {
        Reception {
            ssrc,
            base_sequence: sequence,
            max_sequence: sequence,
            cycles: 0,
            bad_sequence: None,
            received: 0,
            received_before: 0,
            expected_before: 0,
            expected_prior: 0,
            received_prior: 0,
            transit: None,
            jitter: 0.0,
            clock_rate_hz: 8_000,
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// RFC 3550 A.1, update_seq.
    pub fn sequence(&mut self, sequence: u16) -> Sequence {
        let ahead = sequence.wrapping_sub(self.max_sequence);
        if ahead < DROPOUT_MAX {
            if sequence < self.max_sequence {
                self.cycles = self.cycles.wrapping_add(1);
            }
            self.max_sequence = sequence;
        } else if ahead <= u16::MAX - MISORDER_MAX + 1 {
            if self.bad_sequence != Some(sequence) {
                self.bad_sequence = Some(sequence.wrapping_add(1));
                return Sequence::OutOfPlace;
            }
            *self = Reception {
                received: 1,
                received_before: self.received(),
                expected_before: self.expected(),
                expected_prior: self.expected_prior,
                received_prior: self.received_prior,
                jitter: self.jitter,
                clock_rate_hz: self.clock_rate_hz,
                ..Reception::new(self.ssrc, sequence)
            };
            return Sequence::Restarted;
        }
        // Otherwise reordered or a duplicate; both count as received (A.3).
        self.bad_sequence = None;
        self.received += 1;
        Sequence::Valid
    }

    /// RFC 3550 A.8: interarrival jitter. `arrival` counts from any fixed instant.
    pub fn arrival(&mut self, arrival: Duration, timestamp: u32, clock_rate_hz: u32) {
        if clock_rate_hz != self.clock_rate_hz {
            self.jitter = 0.0;
            self.transit = None;
            self.clock_rate_hz = clock_rate_hz;
        }
        let arrival = (arrival.as_micros() * u128::from(clock_rate_hz) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit {
            let deviation = (transit.wrapping_sub(before) as i32).unsigned_abs();
            // A new timestamp base is not jitter.
            if deviation < 2 * clock_rate_hz {
                self.jitter += (f64::from(deviation) - self.jitter) / 16.0;
            }
        }
        self.transit = Some(transit);
    }

    fn highest_sequence(&self) -> u32 {
        (self.cycles << 16) | u32::from(self.max_sequence)
    }

    /// RFC 3550 A.3.
    pub fn expected(&self) -> u64 {
        let extended = (u64::from(self.cycles) << 16) + u64::from(self.max_sequence);
        self.expected_before + extended + 1 - u64::from(self.base_sequence)
    }

    pub fn received(&self) -> u64 {
        self.received_before + self.received
    }

    pub fn jitter_ms(&self) -> f64 {
        self.jitter * 1_000.0 / f64::from(self.clock_rate_hz)
    }

    /// The figures for a report block; the fraction counts from the report before. RFC 3550 A.3.
    pub fn report(&mut self) -> ReportFigures {
        let (expected, received) = (self.expected(), self.received());
        let expected_interval = expected - self.expected_prior;
        let received_interval = received - self.received_prior;
        self.expected_prior = expected;
        self.received_prior = received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        let lost = expected as i64 - received as i64;
        ReportFigures {
            ssrc: self.ssrc,
            fraction_lost: (lost_interval * 256)
                .checked_div(expected_interval)
                .unwrap_or(0)
                .min(255) as u8,
            cumulative_lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: self.highest_sequence(),
            jitter: self.jitter as u32,
        }
    }
}
