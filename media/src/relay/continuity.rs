//! One stream that goes on although its source became another one: SSRC, sequence and timestamp. RFC 3550 sections 5.1
//! and 6.4, RFC 4585 section 6.1, RFC 5104 section 4.3.1.
//!
//! Owns: what is added to the numbers of RTP and RTCP on their way from one side to the other. A call that is transferred
//! gets a new speaker with new numbers; many phones stumble over that, and an SRTP receiver counts them. Does not own:
//! when the source changed (`source`).
//!
//! While a source is the first one, nothing is changed: its packets pass as they are, further SSRCs with them.
//!
//! PURE.

use std::time::{Duration, Instant};

/// Longest pause in the stream that its timestamps reflect.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// RTP timestamp units of a packet of which nothing is known: 20 ms at 8 kHz.
const STEP: u32 = 160;

/// RFC 3550 section 12.1, RFC 4585 section 6.1, RFC 3611 section 2.
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
/// RFC 4585 section 6.2.1; RFC 5104 sections 4.2.1 and 4.3.1.
const NACK: u8 = 1;
const TMMBR: u8 = 3;
const FIR: u8 = 4;

/// What is added to the numbers of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    ssrc_in: u32,
    ssrc_out: u32,
    sequence: u16,
    timestamp: u32,
}

/// The last packet sent on.
#[derive(Debug, Clone, Copy)]
struct Last {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    at: Instant,
}

/// The stream from one side to the other.
#[derive(Debug, Default)]
pub struct Continuity {
    mapping: Option<Mapping>,
    last: Option<Last>,
    is_another: bool,
}

impl Continuity {
    /// The side has another source from now on.
    pub fn source_changed(&mut self) {
        self.is_another = self.last.is_some();
    }

    /// Whether nothing is changed on the way.
    pub fn is_plain(&self) -> bool {
        self.mapping.is_none()
    }

    /// The SSRC under which the other side knows this stream.
    pub fn ssrc_out(&self) -> Option<u32> {
        self.last.map(|last| last.ssrc)
    }

    /// Brings the header of one RTP packet in line; at least 12 bytes, as checked before. `clock_rate_hz` is that of the
    /// payload.
    pub fn rtp(&mut self, now: Instant, clock_rate_hz: u32, packet: &mut [u8]) {
        let Some(header) = packet.first_chunk_mut::<12>() else {
            return;
        };
        let [_, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = header;
        let mut sequence = u16::from_be_bytes([*s0, *s1]);
        let mut timestamp = u32::from_be_bytes([*t0, *t1, *t2, *t3]);
        let mut ssrc = u32::from_be_bytes([*r0, *r1, *r2, *r3]);
        if self.is_another
            && let Some(last) = self.last
        {
            self.is_another = false;
            let is_mapped = self.mapping.is_some_and(|map| map.ssrc_in == ssrc);
            if ssrc != last.ssrc && !is_mapped {
                let pause = now.saturating_duration_since(last.at).min(PAUSE_MAX);
                let pause = pause.as_micros() * u128::from(clock_rate_hz) / 1_000_000;
                let next = last.timestamp.wrapping_add((pause as u32).max(STEP));
                self.mapping = Some(Mapping {
                    ssrc_in: ssrc,
                    ssrc_out: last.ssrc,
                    sequence: last.sequence.wrapping_add(1).wrapping_sub(sequence),
                    timestamp: next.wrapping_sub(timestamp),
                });
                // Sound starts anew (RFC 3551 section 4.1). In video the marker means the end of a picture.
                if clock_rate_hz < 90_000 {
                    *second |= 0x80;
                }
            }
        }
        if let Some(map) = &self.mapping
            && map.ssrc_in == ssrc
        {
            ssrc = map.ssrc_out;
            sequence = sequence.wrapping_add(map.sequence);
            timestamp = timestamp.wrapping_add(map.timestamp);
            [*s0, *s1] = sequence.to_be_bytes();
            [*t0, *t1, *t2, *t3] = timestamp.to_be_bytes();
            [*r0, *r1, *r2, *r3] = ssrc.to_be_bytes();
        }
        match &self.last {
            // Reordered: the highest number counts.
            Some(last)
                if last.ssrc == ssrc && (sequence.wrapping_sub(last.sequence) as i16) <= 0 => {}
            _ => {
                self.last = Some(Last {
                    ssrc,
                    sequence,
                    timestamp,
                    at: now,
                });
            }
        }
    }
}

/// Brings the numbers in one RTCP datagram in line. `sent` is the stream of the side it comes from, `received` the one
/// that side reports on. Malformed datagrams and types not named here pass as they are.
pub fn rtcp(sent: &Continuity, received: &Continuity, datagram: &mut [u8]) {
    if sent.is_plain() && received.is_plain() {
        return;
    }
    let mut rest = datagram;
    while let [first, packet_type, high, low, ..] = *rest {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        if first >> 6 != 2 || length > rest.len() {
            return;
        }
        let (packet, after) = rest.split_at_mut(length);
        let body = &mut packet[4..];
        let count = first & 0x1f;
        one(sent, received, packet_type, count, body);
        rest = after;
    }
}

fn one(sent: &Continuity, received: &Continuity, packet_type: u8, count: u8, body: &mut [u8]) {
    match packet_type {
        SENDER_REPORT => {
            if let Some(map) = &sent.mapping
                && word(body, 0) == Some(map.ssrc_in)
            {
                change(body, 3, |timestamp| timestamp.wrapping_add(map.timestamp));
            }
            forwards(sent, body, 0);
            (0..count).for_each(|n| block(received, body, 6 + 6 * usize::from(n)));
        }
        RECEIVER_REPORT => {
            forwards(sent, body, 0);
            (0..count).for_each(|n| block(received, body, 1 + 6 * usize::from(n)));
        }
        GOODBYE => (0..count).for_each(|n| forwards(sent, body, usize::from(n))),
        // Chunks have no fixed length; a phone sends one.
        SOURCE_DESCRIPTION => forwards(sent, body, 0),
        TRANSPORT_FEEDBACK | PAYLOAD_FEEDBACK => {
            forwards(sent, body, 0);
            let media = word(body, 1);
            backwards(received, body, 1);
            match (packet_type, count) {
                (TRANSPORT_FEEDBACK, NACK) => {
                    let Some(map) = &received.mapping else { return };
                    if media != Some(map.ssrc_out) {
                        return;
                    }
                    for n in 2..body.len() / 4 {
                        change(body, n, |entry| {
                            let lost = ((entry >> 16) as u16).wrapping_sub(map.sequence);
                            (u32::from(lost) << 16) | (entry & 0xffff)
                        });
                    }
                }
                (TRANSPORT_FEEDBACK, TMMBR) | (PAYLOAD_FEEDBACK, FIR) => {
                    for n in (2..body.len() / 4).step_by(2) {
                        backwards(received, body, n);
                    }
                }
                _ => {}
            }
        }
        // Of extended reports (RFC 3611) and types not known: whose they are.
        _ => forwards(sent, body, 0),
    }
}

/// A report block (RFC 3550 section 6.4.1): the SSRC reported on, and the highest sequence number it got to.
fn block(received: &Continuity, body: &mut [u8], at: usize) {
    let Some(map) = &received.mapping else { return };
    if word(body, at) == Some(map.ssrc_out) {
        backwards(received, body, at);
        change(body, at + 2, |highest| {
            let low = (highest as u16).wrapping_sub(map.sequence);
            (highest & 0xffff_0000) | u32::from(low)
        });
    }
}

fn forwards(stream: &Continuity, body: &mut [u8], at: usize) {
    if let Some(map) = &stream.mapping
        && word(body, at) == Some(map.ssrc_in)
    {
        change(body, at, |_| map.ssrc_out);
    }
}

fn backwards(stream: &Continuity, body: &mut [u8], at: usize) {
    if let Some(map) = &stream.mapping
        && word(body, at) == Some(map.ssrc_out)
    {
        change(body, at, |_| map.ssrc_in);
    }
}

fn word(body: &[u8], index: usize) -> Option<u32> {
    let bytes = body.get(4 * index..4 * index + 4)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes))
}

fn change(body: &mut [u8], index: usize, to: impl FnOnce(u32) -> u32) {
    if let Some(bytes) = body.get_mut(4 * index..4 * index + 4)
        && let Some(bytes) = bytes.first_chunk_mut::<4>()
    {
        *bytes = to(u32::from_be_bytes(*bytes)).to_be_bytes();
    }
}

#[cfg(test)]
#[path = "continuity_tests.rs"]
mod tests;
