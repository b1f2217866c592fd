//! Puts packets of one stream back in order and turns holes into statements about lost or silent time.
//!
//! Owns: the queue behind a gap, how long a gap is waited for, duplicates, late packets, timestamp jumps.
//! Does not own: which stream it is (`receiver`), decoding, made-up sound (`concealment`), real time (`frame_clock`).
//!
//! Release is eager: the listener is a recogniser, not a loudspeaker, so a packet in order goes out the moment it
//! comes. Only a gap waits, from 20 to 120 ms, as the interarrival jitter suggests, for what is missing.
//!
//! Bound: [`PACKETS_MAX`] packets; when full the oldest is dropped and counted.
//!
//! PURE.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::rtp::Packet;

/// Packets that may wait behind a gap.
pub const PACKETS_MAX: usize = 64;

/// Bounds of the time a missing packet is waited for.
pub const WAIT_MS_RANGE: std::ops::RangeInclusive<u32> = 20..=120;

/// What a packet means to the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its timestamp and duration are sound.
    Audio,
    /// It holds a place in the sequence but no time of its own: telephone-event, comfort noise.
    Aside,
}

/// A packet that waits or is released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub kind: Kind,
    pub marker: bool,
    pub payload_type: u8,
    pub timestamp: u32,
    /// In units of the clock rate.
    pub duration: u32,
    pub payload: Vec<u8>,
    arrived: Instant,
}

/// What comes next in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    Packet(Stored),
    /// Packets that did not come in time; `duration` in units of the clock rate.
    Lost {
        packets: u32,
        duration: u32,
    },
    /// Time in which the sender sent nothing (talkspurt pause), in units of the clock rate.
    Pause {
        duration: u32,
    },
}

/// Counts of packets that were not released.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    pub late: u64,
    pub duplicate: u64,
    pub overflowed: u64,
}

/// The place in the stream that is due next.
#[derive(Debug, Clone, Copy)]
struct Due {
    /// Sequence number without wrap-around.
    sequence: i64,
    /// `None` until the first sound.
    timestamp: Option<u32>,
}

/// The reorder queue of one stream.
#[derive(Debug)]
pub struct JitterBuffer {
    queue: BTreeMap<i64, Stored>,
    due: Option<Due>,
    /// Bit n: the packet n + 1 before the one due was released, not lost.
    released: u64,
    audio_duration: u32,
    wait_ms: u32,
    dropped: Dropped,
}

impl Default for JitterBuffer {
    fn default() -> Self {
        JitterBuffer::new()
    }
}

impl JitterBuffer {
    pub fn new() -> JitterBuffer {
        JitterBuffer {
            queue: BTreeMap::new(),
            due: None,
            released: 0,
            audio_duration: 0,
            wait_ms: *WAIT_MS_RANGE.start(),
            dropped: Dropped::default(),
        }
    }

    /// Forgets the stream; the counts stay.
    pub fn restart(&mut self) {
        *self = JitterBuffer {
            wait_ms: self.wait_ms,
            dropped: self.dropped,
            ..JitterBuffer::new()
        };
    }

    /// Sets how long a gap waits, from the interarrival jitter.
    pub fn adapt(&mut self, jitter_ms: f64) {
        // Four times the mean deviation covers nearly all packets that come at all (RFC 3550 A.8 smooths a mean).
        let wanted = *WAIT_MS_RANGE.start() as f64 + 4.0 * jitter_ms;
        self.wait_ms = (wanted as u32).clamp(*WAIT_MS_RANGE.start(), *WAIT_MS_RANGE.end());
    }

    pub fn wait_ms(&self) -> u32 {
        self.wait_ms
    }

    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Whether packets wait behind a gap.
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes one packet; `duration` is how long it sounds, in units of the clock rate.
    pub fn insert(&mut self, now: Instant, packet: &Packet<'_>, kind: Kind, duration: u32) {
        let due = *self.due.get_or_insert(Due {
            sequence: i64::from(packet.sequence),
            timestamp: None,
        });
        // The 16 bits place the packet within half a turn of the one due.
        let ahead = packet.sequence.wrapping_sub(due.sequence as u16) as i16;
        if ahead < 0 {
            let back = u32::from(ahead.unsigned_abs()) - 1;
            if self.released.checked_shr(back).unwrap_or(0) & 1 == 1 {
                self.dropped.duplicate += 1;
            } else {
                self.dropped.late += 1;
            }
            return;
        }
        let sequence = due.sequence + i64::from(ahead);
        if self.queue.contains_key(&sequence) {
            self.dropped.duplicate += 1;
            return;
        }
        if self.queue.len() == PACKETS_MAX {
            self.drop_oldest();
        }
        self.queue.insert(
            sequence,
            Stored {
                kind,
                marker: packet.marker,
                payload_type: packet.payload_type,
                timestamp: packet.timestamp,
                duration,
                payload: packet.payload.to_vec(),
                arrived: now,
            },
        );
    }

    fn drop_oldest(&mut self) {
        if let (Some((sequence, stored)), Some(mut due)) = (self.queue.pop_first(), self.due) {
            self.dropped.overflowed += 1;
            self.advance(&mut due, sequence + 1, false);
            if stored.kind == Kind::Audio {
                due.timestamp = Some(stored.timestamp.wrapping_add(stored.duration));
            }
            self.due = Some(due);
        }
    }

    /// Moves the place due to `sequence`; the packet before it counts as released or not, those further back as lost.
    fn advance(&mut self, due: &mut Due, sequence: i64, released: bool) {
        let steps = (sequence - due.sequence) as u32;
        self.released = self.released.checked_shl(steps).unwrap_or(0) | u64::from(released);
        due.sequence = sequence;
    }

    /// When a gap has been waited for long enough, if there is one.
    pub fn next_timeout(&self) -> Option<Instant> {
        let due = self.due?;
        let (&first, _) = self.queue.first_key_value()?;
        let oldest = self.queue.values().map(|stored| stored.arrived).min()?;
        if first == due.sequence {
            return Some(oldest);
        }
        Some(oldest + Duration::from_millis(u64::from(self.wait_ms)))
    }

    /// What can be released now; to be called until there is nothing.
    pub fn poll(&mut self, now: Instant) -> Option<Release> {
        let mut due = self.due?;
        let (&first, stored) = self.queue.first_key_value()?;
        let jump = match (stored.kind, due.timestamp) {
            (Kind::Audio, Some(timestamp)) => stored.timestamp.wrapping_sub(timestamp) as i32,
            _ => 0,
        };
        if first > due.sequence {
            if self.next_timeout().is_some_and(|timeout| now < timeout) {
                return None;
            }
            let packets = (first - due.sequence) as u32;
            let mut duration = packets.saturating_mul(self.audio_duration);
            if stored.kind == Kind::Audio && due.timestamp.is_some() {
                // Fewer samples than packets suggest: some of them were telephone-events. More: a pause follows.
                duration = duration.min(jump.max(0) as u32);
            }
            self.advance(&mut due, first, false);
            due.timestamp = due
                .timestamp
                .map(|timestamp| timestamp.wrapping_add(duration));
            self.due = Some(due);
            return Some(Release::Lost { packets, duration });
        }
        if jump > 0 {
            due.timestamp = Some(stored.timestamp);
            self.due = Some(due);
            return Some(Release::Pause {
                duration: jump as u32,
            });
        }
        // A jump back is a sender that restarted its clock: taken as it is, so that time never runs backwards.
        let stored = self.queue.pop_first()?.1;
        self.advance(&mut due, first + 1, true);
        if stored.kind == Kind::Audio {
            due.timestamp = Some(stored.timestamp.wrapping_add(stored.duration));
            self.audio_duration = stored.duration;
        }
        self.due = Some(due);
        Some(Release::Packet(stored))
    }
}

#[cfg(test)]
#[path = "jitter_buffer_tests.rs"]
mod tests;
