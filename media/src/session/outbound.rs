//! The way out: frames and keys to packets of one stream.
//!
//! While a key is sent, its packets take the place of sound: the frames handed in meanwhile only move the timestamp.
//!
//! Bound: [`KEYS_MAX`] keys wait; further ones are dropped.
//!
//! PURE.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::Rng;

use super::types::SessionConfig;
use crate::Frame;
use crate::codec::{opus::Settings, opus_rate::OpusRate};
use crate::dtmf::{Encoder, INTERVAL_MS};
use crate::sender::Sender;

/// Keys that may wait to be sent.
const KEYS_MAX: usize = 32;

/// Silence between two keys, so that the peer tells them apart.
const PAUSE_MS: u64 = 40;

#[derive(Debug)]
struct Sending {
    encoder: Encoder,
    payload_type: u8,
    timestamp: u32,
    due: Instant,
}

#[derive(Debug)]
pub(super) struct Outbound {
    sender: Sender,
    rate: OpusRate,
    telephone_event: Option<u8>,
    event_hz: Option<u32>,
    keys: VecDeque<Encoder>,
    sending: Option<Sending>,
    /// The next key not before this.
    free_at: Option<Instant>,
}

fn rate(config: &SessionConfig) -> OpusRate {
    let opus = config.opus;
    OpusRate::new(opus.bitrate_bps_max, opus.fec, opus.dtx)
}

impl Outbound {
    pub(super) fn new(config: &SessionConfig, random: &mut impl Rng) -> Outbound {
        let rate = rate(config);
        let mut sender = Sender::new(config.codec, config.payload_type, random);
        sender.set_opus(rate.settings());
        Outbound {
            sender,
            rate,
            telephone_event: config.telephone_event,
            event_hz: config.telephone_event_hz,
            keys: VecDeque::new(),
            sending: None,
            free_at: None,
        }
    }

    /// The peer told the share of our packets it lost, 0 to 1.
    pub(super) fn loss_reported(&mut self, fraction_lost: f64) {
        self.sender.set_opus(self.rate.reported(fraction_lost));
    }

    pub(super) fn reconfigure(&mut self, before: &SessionConfig, config: &SessionConfig) {
        if before.opus != config.opus {
            self.rate = rate(config);
            self.sender.set_opus(self.rate.settings());
        }
        self.sender.reconfigure(config.codec, config.payload_type);
        self.telephone_event = config.telephone_event;
        self.event_hz = config.telephone_event_hz;
        if config.telephone_event.is_none() {
            self.keys.clear();
            self.sending = None;
        }
    }

    pub(super) fn opus_settings(&self) -> Settings {
        self.rate.settings()
    }

    pub(super) fn ssrc(&self) -> u32 {
        self.sender.ssrc()
    }

    pub(super) fn change_ssrc(&mut self, random: &mut impl Rng) {
        self.sender.change_ssrc(random);
    }

    pub(super) fn packets(&self) -> u64 {
        self.sender.packets()
    }

    pub(super) fn octets(&self) -> u64 {
        self.sender.octets()
    }

    pub(super) fn timestamp_at(&self, now: Instant) -> u32 {
        self.sender.timestamp_at(now)
    }

    /// One frame of sound as a packet, unless it is not to be sent now.
    pub(super) fn frame(&mut self, now: Instant, frame: &Frame, sends: bool) -> Option<Vec<u8>> {
        if self.sending.is_some() || !sends {
            self.sender.skip(now);
            return None;
        }
        self.sender.send_sound(now, frame)
    }

    pub(super) fn key(&mut self, now: Instant, digit: char, duration_ms: u32) {
        if self.telephone_event.is_none() || self.keys.len() == KEYS_MAX {
            return;
        }
        let clock_rate_hz = self.event_hz.unwrap_or(self.sender.clock_rate_hz());
        self.keys
            .extend(Encoder::new(digit, duration_ms, clock_rate_hz));
        self.start_key(now);
    }

    fn start_key(&mut self, now: Instant) {
        if self.sending.is_some() || self.free_at.is_some_and(|free_at| now < free_at) {
            return;
        }
        let Some(payload_type) = self.telephone_event else {
            return;
        };
        if let Some(encoder) = self.keys.pop_front() {
            self.sending = Some(Sending {
                encoder,
                payload_type,
                timestamp: self.sender.event_timestamp(now),
                due: now,
            });
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match &self.sending {
            Some(sending) => Some(sending.due),
            None if self.keys.is_empty() => None,
            None => self.free_at,
        }
    }

    /// The next packet of a key that is due by now.
    pub(super) fn due(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.start_key(now);
        let sending = self.sending.as_mut().filter(|sending| sending.due <= now)?;
        let packet = sending.encoder.next_packet();
        let interval = Duration::from_millis(u64::from(INTERVAL_MS));
        // Kept on the grid unless we are far behind it.
        sending.due = if now.saturating_duration_since(sending.due) > 3 * interval {
            now + interval
        } else {
            sending.due + interval
        };
        let (payload_type, timestamp) = (sending.payload_type, sending.timestamp);
        if packet.last {
            self.sending = None;
            self.free_at = Some(now + Duration::from_millis(PAUSE_MS));
        }
        Some(self.sender.send_event(
            packet.marker,
            payload_type,
            timestamp,
            &packet.event.to_bytes(),
        ))
    }
}
