//! Frames to RTP packets of one stream. RFC 3550 section 5.1, RFC 3551 section 4.1 (marker at talkspurt start).
//!
//! Owns: sequence, timestamp, SSRC, marker, counts for sender reports. Does not own: pacing (`playout`), addresses.
//! Silence is sent as packets like everything else: NAT bindings stay open, and phones do not cry one-way audio. The one
//! exception is Opus with a peer that asked for DTX: a packet every 400 ms remains.
//!
//! PURE.

use std::time::{Duration, Instant};

use rand::Rng;

use crate::codec::{Codec, Encoder, opus};
use crate::rtp::Packet;
use crate::{FRAME_MS, Frame};

/// One outgoing stream.
#[derive(Debug)]
pub struct Sender {
    ssrc: u32,
    sequence: u16,
    /// Of the next frame.
    timestamp: u32,
    encoder: Encoder,
    payload_type: u8,
    /// When the last frame was handed in, sent or not.
    last_frame: Option<Instant>,
    marker: bool,
    opus: opus::Settings,
    packets: u64,
    octets: u64,
}

impl Sender {
    pub fn new(codec: Codec, payload_type: u8, random: &mut impl Rng) -> Sender {
        // RFC 3550 section 5.1: SSRC, first sequence number and first timestamp are random.
        Sender {
            ssrc: random.next_u32(),
            // Of the lower half, so that the first packets can be lost without a receiver of SRTP miscounting the turns
            // (RFC 3711 section 3.3.1).
            sequence: random.next_u32() as u16 >> 1,
            timestamp: random.next_u32(),
            encoder: Encoder::new(codec),
            payload_type,
            last_frame: None,
            marker: true,
            opus: opus::Settings::default(),
            packets: 0,
            octets: 0,
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// RFC 3550 section 8.2: the peer uses our SSRC; take another one. Counts start anew with it.
    pub fn change_ssrc(&mut self, random: &mut impl Rng) {
        self.ssrc = random.next_u32();
        self.packets = 0;
        self.octets = 0;
        self.marker = true;
    }

    /// Another codec or payload type from the next frame on.
    pub fn reconfigure(&mut self, codec: Codec, payload_type: u8) {
        if codec != self.encoder.codec() {
            self.encoder = Encoder::new(codec);
            self.encoder.set_opus(self.opus);
        }
        self.payload_type = payload_type;
    }

    /// How Opus is to be encoded from the next frame on; of no effect while another codec is in use.
    pub fn set_opus(&mut self, settings: opus::Settings) {
        self.opus = settings;
        self.encoder.set_opus(settings);
    }

    pub fn clock_rate_hz(&self) -> u32 {
        self.encoder.codec().clock_rate_hz()
    }

    fn units(&self, duration: Duration) -> u32 {
        (duration.as_micros() * u128::from(self.clock_rate_hz()) / 1_000_000) as u32
    }

    /// The RTP timestamp at an instant, for sender reports (RFC 3550 section 6.4.1).
    pub fn timestamp_at(&self, now: Instant) -> u32 {
        let Some(last) = self.last_frame else {
            return self.timestamp;
        };
        let frame = self.units(Duration::from_millis(FRAME_MS));
        self.timestamp
            .wrapping_sub(frame)
            .wrapping_add(self.units(now.saturating_duration_since(last)))
    }

    /// Moves the timestamp to a frame that starts now: by one frame, or by the time passed after a break.
    fn step(&mut self, now: Instant) -> u32 {
        let frame = Duration::from_millis(FRAME_MS);
        if let Some(last) = self.last_frame {
            let passed = now.saturating_duration_since(last);
            if passed > 4 * frame {
                // A break in sending: the timestamp runs on with time, in whole frames.
                let frames = (passed.as_millis() as u64 / FRAME_MS - 1) as u32;
                self.timestamp = self
                    .timestamp
                    .wrapping_add(frames.wrapping_mul(self.units(frame)));
                self.marker = true;
            }
        }
        self.last_frame = Some(now);
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(self.units(frame));
        timestamp
    }

    /// One frame as a packet.
    pub fn send(&mut self, now: Instant, frame: &Frame) -> Vec<u8> {
        let timestamp = self.step(now);
        let payload = self.encoder.encode(frame);
        let marker = std::mem::take(&mut self.marker);
        self.packet(marker, self.payload_type, timestamp, &payload)
    }

    /// The same; none where the codec has nothing to say and the peer wants silence unsent.
    pub fn send_sound(&mut self, now: Instant, frame: &Frame) -> Option<Vec<u8>> {
        let timestamp = self.step(now);
        let payload = self.encoder.encode(frame);
        if payload.len() <= opus::SILENT_LEN_MAX && self.opus.dtx {
            // RFC 7587 section 4.1: the timestamp goes on, and what follows begins a talkspurt.
            self.marker = true;
            return None;
        }
        let marker = std::mem::take(&mut self.marker);
        Some(self.packet(marker, self.payload_type, timestamp, &payload))
    }

    /// One frame that is not sent (hold, a key being sent): time goes on, the next packet starts a talkspurt.
    pub fn skip(&mut self, now: Instant) {
        self.step(now);
        self.marker = true;
    }

    /// The timestamp a key starting now is to carry in all its packets (RFC 4733 section 2.5.1.2).
    pub fn event_timestamp(&self, now: Instant) -> u32 {
        let frame = self.units(Duration::from_millis(FRAME_MS));
        match self.last_frame {
            Some(last)
                if now.saturating_duration_since(last) > Duration::from_millis(4 * FRAME_MS) =>
            {
                self.timestamp_at(now).wrapping_add(frame)
            }
            _ => self.timestamp,
        }
    }

    /// One telephone-event packet.
    pub fn send_event(
        &mut self,
        marker: bool,
        payload_type: u8,
        timestamp: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        self.marker = true;
        self.packet(marker, payload_type, timestamp, payload)
    }

    fn packet(
        &mut self,
        marker: bool,
        payload_type: u8,
        timestamp: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        let packet = Packet {
            marker,
            payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
            payload,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
        self.octets += payload.len() as u64;
        packet.to_bytes()
    }

    /// Packets sent with this SSRC.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload octets sent with this SSRC.
    pub fn octets(&self) -> u64 {
        self.octets
    }
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;
