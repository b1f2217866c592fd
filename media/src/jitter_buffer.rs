//! Puts packets of one stream back in order and turns holes into statements about lost or silent time.
//!
//! Owns: the queue behind a gap, how long a gap is waited for, duplicates, late packets, timestamp jumps.
//! Does not own: which stream it is (`receiver`), decoding, made-up sound (`concealment`), real time (`frame_clock`).
//!
//! Two ways to take sound out. [`JitterBuffer::poll`] is eager: for a recogniser, not a loudspeaker, a packet in order
//! goes out the moment it comes. Only a gap waits: until nearly all packets as old as the missing one would have come
//! (`transit`), and 20 to 200 ms after the first packet behind it came. [`JitterBuffer::poll_due`] is for a listener
//! with a clock of its own (`steady`): what is missing when the sound is needed is lost.
//!
//! Bound: [`PACKETS_MAX`] packets; when full the oldest is dropped and counted.
//!
//! PURE.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::rtp::Packet;
use crate::transit::Transit;

/// Packets that may wait behind a gap.
pub const PACKETS_MAX: usize = 64;

/// Bounds of the time a missing packet is waited for, after the first packet behind it came.
pub const WAIT_MS_RANGE: std::ops::RangeInclusive<u32> = 20..=200;

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

/// Packets given up, and in how many runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    pub packets: u64,
    pub runs: u64,
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
    transit: Transit,
    losses: Losses,
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
            transit: Transit::new(),
            losses: Losses::default(),
            dropped: Dropped::default(),
        }
    }

    /// Forgets the stream; the counts, and what is known of the path, stay.
    pub fn restart(&mut self) {
        let mut transit = self.transit.clone();
        transit.restart();
        *self = JitterBuffer {
            transit,
            losses: self.losses,
            dropped: self.dropped,
            ..JitterBuffer::new()
        };
    }

    /// How late packets come.
    pub fn transit(&self) -> &Transit {
        &self.transit
    }

    /// What a missing packet is waited for at present, in milliseconds.
    pub fn wait_ms(&self) -> u32 {
        self.transit
            .late_ms()
            .clamp(*WAIT_MS_RANGE.start(), *WAIT_MS_RANGE.end())
    }

    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// The payload that comes after a gap just told as [`Release::Lost`]: it may repeat what was lost.
    pub fn next_payload(&self) -> Option<(u8, &[u8])> {
        let (_, stored) = self.queue.first_key_value()?;
        (stored.kind == Kind::Audio).then_some((stored.payload_type, &stored.payload[..]))
    }

    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Whether packets wait behind a gap.
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes one packet; `duration` is how long it sounds, in units of the clock rate.
    pub fn insert(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        kind: Kind,
        duration: u32,
        clock_rate_hz: u32,
    ) {
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
                self.note_arrival(now, packet, kind, clock_rate_hz);
            }
            return;
        }
        let sequence = due.sequence + i64::from(ahead);
        if self.queue.contains_key(&sequence) {
            self.dropped.duplicate += 1;
            return;
        }
        self.note_arrival(now, packet, kind, clock_rate_hz);
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

    fn note_arrival(&mut self, now: Instant, packet: &Packet<'_>, kind: Kind, clock_rate_hz: u32) {
        // The timestamp of an aside does not move with the time of sending.
        if kind == Kind::Audio {
            self.transit.arrived(now, packet.timestamp, clock_rate_hz);
        }
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
        let [least, most] = [WAIT_MS_RANGE.start(), WAIT_MS_RANGE.end()]
            .map(|ms| oldest + Duration::from_millis(u64::from(*ms)));
        let late_at = due.timestamp.and_then(|due| self.transit.late_at(due));
        Some(late_at.map_or(least, |late_at| late_at.clamp(least, most)))
    }

    /// What can be released now; to be called until there is nothing.
    pub fn poll(&mut self, now: Instant) -> Option<Release> {
        let due = self.due?;
        let (&first, _) = self.queue.first_key_value()?;
        if first > due.sequence && self.next_timeout().is_some_and(|timeout| now < timeout) {
            return None;
        }
        self.poll_due()
    }

    /// Whether what is due next is here and is of this kind.
    pub fn has_next(&self, kind: Kind) -> bool {
        let next = self.queue.first_key_value();
        next.zip(self.due)
            .is_some_and(|((&first, stored), due)| first == due.sequence && stored.kind == kind)
    }

    /// The timestamp of the sound next in the queue, whether or not something is missing before it.
    pub fn next_timestamp(&self) -> Option<u32> {
        let mut stored = self.queue.values();
        stored
            .find(|stored| stored.kind == Kind::Audio)
            .map(|stored| stored.timestamp)
    }

    /// What comes next, now: a gap is not waited for.
    pub fn poll_due(&mut self) -> Option<Release> {
        let mut due = self.due?;
        let (&first, stored) = self.queue.first_key_value()?;
        let jump = match (stored.kind, due.timestamp) {
            (Kind::Audio, Some(timestamp)) => stored.timestamp.wrapping_sub(timestamp) as i32,
            _ => 0,
        };
        if first > due.sequence {
            let packets = (first - due.sequence) as u32;
            let mut duration = packets.saturating_mul(self.audio_duration);
            if stored.kind == Kind::Audio && due.timestamp.is_some() {
                // Fewer samples than packets suggest: some of them were telephone-events. More: a pause follows.
                duration = duration.min(jump.max(0) as u32);
            }
            self.losses.packets += u64::from(packets);
            self.losses.runs += 1;
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
