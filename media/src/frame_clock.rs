//! The clock of incoming frames: sound that arrived is held against real time, so that the stream of frames neither
//! stops when packets do nor runs ahead of the clock when they come in a heap.
//!
//! Owns: when silence is due, how much of a hole is still to be filled, which sound is left out to get back to real
//! time. Does not own: the samples themselves.
//!
//! *Lead* is sound given out less time passed since the first packet. Rules:
//! - Nothing came for 40 ms beyond the last packet's own length (60 ms with packets of 20; longer, up to 200 ms, where
//!   packets use to come later): a filler frame is due, then one every 20 ms.
//! - A hole (lost packets, a pause) is filled by what filler has not covered already, and never past real time.
//! - Lead above 60 ms (packets came in a heap after filler): quiet frames are left out until it is gone. Words are not.
//! - Lead above 400 ms: frames are left out whatever they hold. This is the bound on running ahead.
//! - Lead below -100 ms (a slow clock, or our own process was late): the origin moves; nothing is made up.
//!
//! PURE.

use std::time::{Duration, Instant};

use crate::{FRAME_MS, SAMPLE_RATE_HZ};

const SAMPLES_PER_MS: i64 = SAMPLE_RATE_HZ as i64 / 1_000;

/// Time beyond the last packet's own length after which filler starts.
pub const LATE_MS_MIN: u64 = 40;
/// The same, where packets use to come late: filler inside a word that is only late harms a recogniser more than waiting.
pub const LATE_MS_MAX: u64 = 200;
const FRAME: Duration = Duration::from_millis(FRAME_MS);
/// Above this lead, quiet frames are left out.
pub const LEAD_MS_QUIET: i64 = 60;
/// Above this lead, all frames are left out.
pub const LEAD_MS_MAX: i64 = 400;
const LEAD_MS_MIN: i64 = -100;

/// Kinds of holes in the sound that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hole {
    /// Packets that were sent and did not come.
    Lost,
    /// Time in which the sender sent nothing.
    Pause,
}

/// Real time against sound given out.
#[derive(Debug)]
pub struct FrameClock {
    origin: Instant,
    /// Samples given out since the origin.
    given_out: i64,
    /// Of them, filler since the last real sound.
    filler: i64,
    filler_due: Instant,
    late: Duration,
}

impl FrameClock {
    pub fn new(start: Instant) -> FrameClock {
        FrameClock {
            origin: start,
            given_out: 0,
            filler: 0,
            filler_due: start + FRAME + Duration::from_millis(LATE_MS_MIN),
            late: Duration::from_millis(LATE_MS_MIN),
        }
    }

    /// How late packets come (`transit`): filler waits that long, within bounds.
    pub fn expect_late(&mut self, late_ms: u32) {
        self.late = Duration::from_millis(u64::from(late_ms).clamp(LATE_MS_MIN, LATE_MS_MAX));
    }

    /// A new stream begins: no hole lies behind it, and sound that lagged is level with real time again. Sound that is
    /// ahead stays so, lest a peer that keeps changing streams fills us with hours of it.
    pub fn restart(&mut self, now: Instant) {
        self.given_out -= self.lead(now).min(0);
        self.filler = 0;
    }

    fn lead(&self, now: Instant) -> i64 {
        let passed = now.saturating_duration_since(self.origin).as_micros() as i64;
        self.given_out - passed * SAMPLES_PER_MS / 1_000
    }

    /// Sound given out ahead of real time, in milliseconds; below zero behind it.
    pub fn lead_ms(&self, now: Instant) -> i64 {
        self.lead(now) / SAMPLES_PER_MS
    }

    /// When a filler frame is due.
    pub fn filler_due(&self) -> Instant {
        self.filler_due
    }

    /// A filler frame of `samples` was given out.
    pub fn filled(&mut self, now: Instant, samples: usize) {
        self.given_out += samples as i64;
        self.filler += samples as i64;
        let next = self.filler_due + FRAME;
        // Our own lateness is not made up for with a burst of silence.
        let late = now.saturating_duration_since(next) > Duration::from_millis(LATE_MS_MIN);
        self.filler_due = if late { now + FRAME } else { next };
        self.settle(now);
    }

    /// How many samples of a hole of `samples` are still to be filled.
    pub fn hole(&mut self, now: Instant, hole: Hole, samples: usize) -> usize {
        let covered = self.filler.min(samples as i64);
        self.filler -= covered;
        let room = match hole {
            // A heap of late packets with one missing: the made-up sound keeps a word in shape.
            Hole::Lost => LEAD_MS_QUIET * SAMPLES_PER_MS - self.lead(now),
            Hole::Pause => -self.lead(now),
        };
        (samples as i64 - covered).min(room).max(0) as usize
    }

    /// Samples of a hole were given out.
    pub fn bridged(&mut self, now: Instant, samples: usize) {
        self.given_out += samples as i64;
        self.wait(now, FRAME);
    }

    fn wait(&mut self, now: Instant, packet: Duration) {
        self.filler_due = now + packet.max(FRAME) + self.late;
    }

    /// Real sound was given out.
    pub fn sounded(&mut self, now: Instant, samples: usize) {
        self.given_out += samples as i64;
        self.filler = 0;
        let packet = samples as u64 * 1_000_000 / u64::from(SAMPLE_RATE_HZ);
        self.wait(now, Duration::from_micros(packet));
        self.settle(now);
    }

    /// Real sound came and was left out.
    pub fn left_out(&mut self, now: Instant) {
        self.filler = 0;
        self.wait(now, FRAME);
    }

    /// Whether the next `samples` of real sound are to be left out.
    pub fn leaves_out(&self, now: Instant, samples: usize, quiet: bool) -> bool {
        let lead = self.lead(now) + samples as i64;
        lead > LEAD_MS_MAX * SAMPLES_PER_MS || (quiet && lead > LEAD_MS_QUIET * SAMPLES_PER_MS)
    }

    fn settle(&mut self, now: Instant) {
        let below = LEAD_MS_MIN * SAMPLES_PER_MS - self.lead(now);
        if below > 0 {
            self.given_out += below;
        }
    }
}

#[cfg(test)]
#[path = "frame_clock_tests.rs"]
mod tests;
