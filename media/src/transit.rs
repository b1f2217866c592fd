//! How late packets come: each packet's time under way against the least of late, as a distribution that forgets.
//!
//! Owns: the statement "a packet with this timestamp would be here at this instant if the path were at its best", and
//! how much later all but [`LATE_SHARE`] of the packets come. Does not own: waiting (`jitter_buffer`), playing
//! (`steady`), the smoothed mean that RTCP reports (`receiver::reception`).
//!
//! Rules:
//! - The least transit is taken over the present and the last [`WINDOW_S`] seconds, so that it follows a path that
//!   changes, and two clocks that drift apart: at 300 ppm it is wrong by 3 ms at most.
//! - The distribution has bins of [`BIN_MS`]; each new packet weighs 1 / [`MEMORY_PACKETS`], the first ones more. Late
//!   packets count, lost ones cannot.
//! - A transit that jumps by more than a second is a sender that began a new clock: everything starts anew.
//!
//! PURE.

use std::time::{Duration, Instant};

/// Share of packets that may come after [`Transit::late_ms`]: half of the one percent that is promised, as a target
/// that follows the packets is always a little behind them.
pub const LATE_SHARE: f32 = 0.005;

/// Resolution of the distribution.
pub const BIN_MS: u32 = 5;

/// The least transit is forgotten after one to two of these.
pub const WINDOW_S: u64 = 5;

/// Packets after which a burst has lost most of its weight: ten seconds of 20 ms packets.
pub const MEMORY_PACKETS: u32 = 500;

/// 500 ms; what is later counts as that.
const BINS: usize = 100;

const JUMP_US: i64 = 1_000_000;

/// Transit times of one stream.
#[derive(Debug, Clone)]
pub struct Transit {
    bins: [f32; BINS],
    packets: u32,
    base: Option<Base>,
}

#[derive(Debug, Clone)]
struct Base {
    origin: Instant,
    clock_rate_hz: u32,
    /// Timestamp without wrap-around: of the last packet, in units since the first.
    timestamp: u32,
    units: i64,
    /// Arrival less timestamp, in microseconds: least of this window and of the one before.
    least: i64,
    least_before: i64,
    window_end: Instant,
}

impl Base {
    fn new(now: Instant, timestamp: u32, clock_rate_hz: u32) -> Base {
        Base {
            origin: now,
            clock_rate_hz,
            timestamp,
            units: 0,
            least: 0,
            least_before: i64::MAX,
            window_end: now + Duration::from_secs(WINDOW_S),
        }
    }

    fn units(&self, timestamp: u32) -> i64 {
        self.units + i64::from(timestamp.wrapping_sub(self.timestamp) as i32)
    }

    fn sent_us(&self, timestamp: u32) -> i64 {
        self.units(timestamp) * 1_000_000 / i64::from(self.clock_rate_hz)
    }

    fn transit_us(&self, now: Instant, timestamp: u32) -> i64 {
        let arrived = now.saturating_duration_since(self.origin).as_micros() as i64;
        arrived - self.sent_us(timestamp)
    }

    fn base(&self) -> i64 {
        self.least.min(self.least_before)
    }
}

impl Default for Transit {
    fn default() -> Self {
        Transit::new()
    }
}

impl Transit {
    pub fn new() -> Transit {
        Transit {
            bins: [0.0; BINS],
            packets: 0,
            base: None,
        }
    }

    /// Another stream: its clock is another one, the path most likely the same.
    pub fn restart(&mut self) {
        self.base = None;
    }

    /// A packet of sound came.
    pub fn arrived(&mut self, now: Instant, timestamp: u32, clock_rate_hz: u32) {
        let jumps = |base: &Base| {
            base.clock_rate_hz != clock_rate_hz
                || (base.transit_us(now, timestamp) - base.base()).abs() > JUMP_US
        };
        if self.base.as_ref().is_none_or(jumps) {
            self.base = Some(Base::new(now, timestamp, clock_rate_hz));
        }
        let Some(base) = &mut self.base else { return };
        base.units = base.units(timestamp);
        base.timestamp = timestamp;
        let transit = base.transit_us(now, timestamp);
        if now >= base.window_end {
            let before = base.base();
            base.least_before = base.least;
            base.least = transit;
            base.window_end = now + Duration::from_secs(WINDOW_S);
            // A path that became longer: the packets of late were not so late.
            let longer_ms = (base.base() - before) / 1_000;
            let shift = (longer_ms.max(0) / i64::from(BIN_MS)).min(BINS as i64) as usize;
            if shift > 0 {
                let on_time: f32 = self.bins[..shift].iter().sum();
                self.bins.copy_within(shift.., 0);
                self.bins[BINS - shift..].fill(0.0);
                self.bins[0] += on_time;
            }
        }
        base.least = base.least.min(transit);
        let late_us = (transit - base.base()).max(0);
        let bin = (late_us / 1_000 / i64::from(BIN_MS)).min(BINS as i64 - 1) as usize;
        self.packets = (self.packets + 1).min(MEMORY_PACKETS);
        let weight = 1.0 / self.packets as f32;
        for value in &mut self.bins {
            *value *= 1.0 - weight;
        }
        self.bins[bin] += weight;
    }

    /// How much later than the earliest nearly all packets come, in milliseconds: the upper edge of a bin, or 0 before
    /// the first packet.
    pub fn late_ms(&self) -> u32 {
        let mut above = 0.0;
        for (n, share) in self.bins.iter().enumerate().rev() {
            above += share;
            if above > LATE_SHARE {
                return (n as u32 + 1) * BIN_MS;
            }
        }
        0
    }

    /// How long ago a packet with this timestamp was due at the earliest, in milliseconds; below zero if that is still
    /// to come.
    pub fn age_ms(&self, now: Instant, timestamp: u32) -> Option<f64> {
        let base = self.base.as_ref()?;
        Some((base.transit_us(now, timestamp) - base.base()) as f64 / 1_000.0)
    }

    /// When nearly all packets with this timestamp would have come.
    pub fn late_at(&self, timestamp: u32) -> Option<Instant> {
        let base = self.base.as_ref()?;
        let us = base.sent_us(timestamp) + base.base() + i64::from(self.late_ms()) * 1_000;
        // Before the first packet: long ago.
        Some(base.origin + Duration::from_micros(us.max(0) as u64))
    }
}

#[cfg(test)]
#[path = "transit_tests.rs"]
mod tests;
