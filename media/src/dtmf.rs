//! Keys pressed, as telephone-event packets. RFC 4733 (events 0 to 15: section 3.2, table 3).
//!
//! Owns: reading events (each key told once, with its duration), sending them (with the end three times).
//! Does not own: packet order (`jitter_buffer` hands packets in order), tones in the sound itself (`tones`).
//!
//! Nothing relies on the marker bit: an event is known by its timestamp.
//!
//! PURE.

use std::time::{Duration, Instant};

use thiserror::Error;

const DIGITS: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
];

/// Without a packet for this long, a key whose end was lost counts as released.
const SILENT_MS_MAX: u64 = 200;

/// Bounds of a key we send.
pub const DURATION_MS_RANGE: std::ops::RangeInclusive<u32> = 40..=6_000;

/// Why a payload is not a telephone-event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DtmfError {
    #[error("telephone-event payload of {0} bytes is too short")]
    TooShort(usize),
}

/// One event block. RFC 4733 section 2.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub code: u8,
    pub end: bool,
    /// 0 loudest to 63, in -dBm0.
    pub volume: u8,
    /// Since the timestamp of the packet, in units of the clock rate.
    pub duration: u16,
}

impl Event {
    /// Reads the first block of a payload; what follows it (RFC 2198 repetitions, padding of old phones) is ignored.
    pub fn parse(payload: &[u8]) -> Result<Event, DtmfError> {
        let &[code, flags, high, low, ..] = payload else {
            return Err(DtmfError::TooShort(payload.len()));
        };
        // RFC 4733 section 2.3.4: the R bit is ignored by receivers.
        Ok(Event {
            code,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    pub fn to_bytes(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [
            self.code,
            (u8::from(self.end) << 7) | (self.volume & 0x3f),
            high,
            low,
        ]
    }
}

/// The key of an event code.
pub fn digit(code: u8) -> Option<char> {
    DIGITS.get(usize::from(code)).copied()
}

/// The event code of a key.
pub fn code(digit: char) -> Option<u8> {
    let digit = digit.to_ascii_uppercase();
    DIGITS
        .iter()
        .position(|&known| known == digit)
        .map(|n| n as u8)
}

/// A key pressed and released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressed {
    pub digit: char,
    pub duration_ms: u32,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    code: u8,
    timestamp: u32,
    /// Of earlier segments of the same key (RFC 4733 section 2.5.1.3).
    duration_before: u32,
    duration: u32,
    told: bool,
    last: Instant,
}

/// Reads the events of one stream.
#[derive(Debug)]
pub struct Decoder {
    clock_rate_hz: u32,
    current: Option<Current>,
}

impl Decoder {
    pub fn new(clock_rate_hz: u32) -> Decoder {
        Decoder {
            clock_rate_hz: clock_rate_hz.max(1_000),
            current: None,
        }
    }

    /// Takes one packet, in order. Up to two keys come out: one whose end was lost, and one that came as its end only.
    pub fn receive(&mut self, now: Instant, timestamp: u32, event: Event) -> [Option<Pressed>; 2] {
        if digit(event.code).is_none() {
            // Hook flash, fax and modem events are no keys.
            return [None, None];
        }
        let mut lost_end = None;
        match &mut self.current {
            Some(current) if current.timestamp == timestamp && current.code == event.code => {
                current.duration = current.duration.max(u32::from(event.duration));
                current.last = now;
            }
            Some(current) if (timestamp.wrapping_sub(current.timestamp) as i32) < 0 => {
                // An end sent again after the next key began.
                return [None, None];
            }
            // RFC 4733 section 2.5.1.3: a long key goes on in a new segment where the last one was full.
            Some(current)
                if current.code == event.code
                    && !current.told
                    && current.duration >= 0xff00
                    && timestamp.wrapping_sub(current.timestamp) <= 0xffff =>
            {
                current.duration_before = current
                    .duration_before
                    .saturating_add(timestamp.wrapping_sub(current.timestamp));
                current.timestamp = timestamp;
                current.duration = u32::from(event.duration);
                current.last = now;
            }
            _ => {
                lost_end = self.tell();
                self.current = Some(Current {
                    code: event.code,
                    timestamp,
                    duration_before: 0,
                    duration: u32::from(event.duration),
                    told: false,
                    last: now,
                });
            }
        }
        let ended = if event.end { self.tell() } else { None };
        [lost_end, ended]
    }

    /// When a key counts as released although no end came.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.current
            .filter(|current| !current.told)
            .map(|current| current.last + Duration::from_millis(SILENT_MS_MAX))
    }

    /// A key whose end was lost, once [`Decoder::next_timeout`] has come.
    pub fn timeout(&mut self, now: Instant) -> Option<Pressed> {
        if self.next_timeout().is_some_and(|timeout| timeout <= now) {
            self.tell()
        } else {
            None
        }
    }

    fn tell(&mut self) -> Option<Pressed> {
        let current = self.current.as_mut().filter(|current| !current.told)?;
        current.told = true;
        let duration = u64::from(current.duration_before) + u64::from(current.duration);
        Some(Pressed {
            digit: digit(current.code)?,
            duration_ms: (duration * 1_000 / u64::from(self.clock_rate_hz)) as u32,
        })
    }
}

/// One packet of a key we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPacket {
    /// Set on the first packet of the key (RFC 4733 section 2.5.1.1).
    pub marker: bool,
    pub event: Event,
    /// Whether the key is over with this packet.
    pub last: bool,
}

/// Sends one key: a packet every 20 ms with growing duration, the end three times.
#[derive(Debug)]
pub struct Encoder {
    code: u8,
    clock_rate_hz: u32,
    duration_ms: u32,
    sent_ms: u32,
    ends_sent: u8,
}

/// Time between packets of one key.
pub const INTERVAL_MS: u32 = 20;

/// RFC 4733 section 2.5.1.4: the final packet is sent three times.
const ENDS: u8 = 3;

/// -10 dBm0, the level of an ordinary key.
const VOLUME: u8 = 10;

impl Encoder {
    /// `None` for what is not a key. The duration is brought within [`DURATION_MS_RANGE`].
    pub fn new(digit: char, duration_ms: u32, clock_rate_hz: u32) -> Option<Encoder> {
        Some(Encoder {
            code: code(digit)?,
            clock_rate_hz,
            duration_ms: duration_ms.clamp(*DURATION_MS_RANGE.start(), *DURATION_MS_RANGE.end()),
            sent_ms: 0,
            ends_sent: 0,
        })
    }

    /// The next packet; to be called every [`INTERVAL_MS`] until one is `last`.
    pub fn next_packet(&mut self) -> EventPacket {
        let marker = self.sent_ms == 0;
        self.sent_ms = (self.sent_ms + INTERVAL_MS).min(self.duration_ms);
        let end = self.sent_ms == self.duration_ms;
        if end {
            self.ends_sent += 1;
        }
        let duration = u64::from(self.sent_ms) * u64::from(self.clock_rate_hz) / 1_000;
        EventPacket {
            marker,
            event: Event {
                code: self.code,
                end,
                volume: VOLUME,
                duration: duration.min(0xffff) as u16,
            },
            last: self.ends_sent >= ENDS,
        }
    }
}

#[cfg(test)]
#[path = "dtmf_tests.rs"]
mod tests;
