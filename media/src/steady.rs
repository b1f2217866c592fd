//! Playout at a constant pace, for a listener that must be given a frame every 20 ms: another phone, a loudspeaker.
//!
//! Owns: when a frame is due, the sound that waits to be one, and the decision to make time a little shorter or longer.
//! Does not own: packets (`jitter_buffer`), how late they come (`transit`), how time is changed (`stretch`).
//!
//! *Margin* is how long ago a packet was due, at its best, when its sound is needed. It is held between what all but
//! half a percent of the packets need (`Transit::late_ms`) and one packet plus 5 ms more: below, a period of the voice
//! is said twice; above, one is left out. That is also how a clock that drifts is followed, and how a jump in delay is
//! got rid of. The target of the whole: at most one packet in a hundred comes too late, at the least delay.
//!
//! PURE.

use std::time::{Duration, Instant};

use crate::stretch::{self, Urgency};
use crate::transit::Transit;
use crate::{FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ};

/// Bounds of the margin aimed at.
pub const MARGIN_MS_RANGE: std::ops::RangeInclusive<u32> = 5..=300;

/// Margin beyond the target at which time is made shorter wherever that is.
const EXCESS_MS_URGENT: f64 = 80.0;

/// Margin beyond the target below which time is made longer: changing it may take a few frames.
const SPARE_MS: f64 = 2.0;

/// Frames between two changes of time that are not urgent.
const FRAMES_BETWEEN: u32 = 3;

/// Made-up sound after which the return of sound is a new start.
pub const FILLED_MS_MAX: u64 = 200;

const FRAME: Duration = Duration::from_millis(FRAME_MS);
const SAMPLES_PER_MS: usize = SAMPLE_RATE_HZ as usize / 1_000;

/// A change of time that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Shorten(Urgency),
    Lengthen,
}

/// The pace of one stream.
#[derive(Debug)]
pub struct Steady {
    tick: Instant,
    /// Sound that waits.
    pub queue: Vec<i16>,
    /// Timestamp after the last sample of the queue; `None` before a start.
    end: Option<u32>,
    /// Made-up samples since the last of the stream's own time.
    filled: usize,
    packet_ms: f64,
    frames_since_change: u32,
    delay_ms: f64,
    shortened: u64,
    lengthened: u64,
}

impl Steady {
    pub fn new(start: Instant) -> Steady {
        Steady {
            tick: start + FRAME,
            queue: Vec::with_capacity(2 * FRAME_SAMPLES),
            end: None,
            filled: 0,
            packet_ms: FRAME_MS as f64,
            frames_since_change: 0,
            delay_ms: 0.0,
            shortened: 0,
            lengthened: 0,
        }
    }

    /// When the next frame is due.
    pub fn tick(&self) -> Instant {
        self.tick
    }

    /// A frame was given out.
    pub fn ticked(&mut self, now: Instant) {
        self.frames_since_change = self.frames_since_change.saturating_add(1);
        self.tick += FRAME;
        // Our own lateness is not made up for with a burst of frames.
        if now.saturating_duration_since(self.tick) > 3 * FRAME {
            self.tick = now + FRAME;
        }
    }

    /// Another stream, or a pause in it: what comes next is a start.
    pub fn restart(&mut self) {
        self.end = None;
        self.filled = 0;
    }

    /// Whether no sound of the stream has a place yet.
    pub fn is_starting(&self) -> bool {
        self.end.is_none()
    }

    /// Samples to be waited before the sound with this timestamp may start.
    pub fn to_wait(&self, now: Instant, transit: &Transit, timestamp: u32) -> usize {
        let age_ms = transit.age_ms(now, timestamp).unwrap_or(0.0);
        let wait_ms = (target_ms(transit) + 5.0 - age_ms).max(0.0);
        (wait_ms * SAMPLES_PER_MS as f64) as usize
    }

    /// Sound of the stream that ends at `end`, in its timestamps.
    pub fn sounded(&mut self, pcm: &[i16], end: u32) {
        self.packet_ms = (pcm.len() / SAMPLES_PER_MS) as f64;
        self.queue.extend_from_slice(pcm);
        self.end = Some(end);
        self.filled = 0;
    }

    /// Of `samples` that were lost, those made-up sound has not covered; their time counts as the stream's.
    pub fn lost(&mut self, samples: usize, duration: u32) -> usize {
        if let Some(end) = &mut self.end {
            *end = end.wrapping_add(duration);
        }
        let rest = samples.saturating_sub(self.filled);
        self.filled = 0;
        rest
    }

    /// Sound was made up because there was none.
    pub fn filled(&mut self, pcm: &[i16]) {
        self.queue.extend_from_slice(pcm);
        self.filled += pcm.len();
        if self.filled as u64 > FILLED_MS_MAX * SAMPLES_PER_MS as u64 {
            self.restart();
        }
    }

    /// To be asked when more sound is needed, before it is taken from the packets.
    pub fn wanted_change(&mut self, now: Instant, transit: &Transit) -> Option<Change> {
        let margin_ms = transit.age_ms(now, self.end?)?;
        self.delay_ms = margin_ms + (self.queue.len() / SAMPLES_PER_MS) as f64;
        let excess_ms = margin_ms - target_ms(transit);
        let may = self.frames_since_change >= FRAMES_BETWEEN;
        if excess_ms > EXCESS_MS_URGENT {
            Some(Change::Shorten(Urgency::Now))
        } else if excess_ms > self.packet_ms + 5.0 && may {
            Some(Change::Shorten(Urgency::CanWait))
        } else if excess_ms < SPARE_MS && may {
            Some(Change::Lengthen)
        } else {
            None
        }
    }

    /// Changes time in the sound that waits, if it is long enough and allows it.
    pub fn change(&mut self, change: Change) {
        let changed = match change {
            Change::Shorten(urgency) => {
                let samples = stretch::shorten(&mut self.queue, urgency);
                self.shortened += samples as u64;
                samples
            }
            Change::Lengthen => {
                let samples = stretch::lengthen(&mut self.queue, Urgency::CanWait);
                self.lengthened += samples as u64;
                samples
            }
        };
        if changed > 0 {
            self.frames_since_change = 0;
        }
    }

    /// Age of the sound given out last, against the best of the path, in milliseconds.
    pub fn delay_ms(&self) -> f64 {
        self.delay_ms
    }

    /// Samples left out, and said twice.
    pub fn changed(&self) -> (u64, u64) {
        (self.shortened, self.lengthened)
    }
}

fn target_ms(transit: &Transit) -> f64 {
    let (least, most) = (*MARGIN_MS_RANGE.start(), *MARGIN_MS_RANGE.end());
    f64::from(transit.late_ms().clamp(least, most))
}
