//! One side of a relayed stream: its peer, its source, its keys or its handshake, and its figures.
//!
//! Owns: what belongs to one side alone. Does not own: what passes between both (`relay`).
//!
//! PURE.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::continuity::Continuity;
use super::heard::Heard;
use super::source::{Source, is_sendable};
use super::{Port, RelayPeer, RelaySecurity, SideStats};
use crate::association::{Association, Outcome};
use crate::dtmf;
use crate::receiver::reception::{Reception, Sequence};
use crate::rtp;
use crate::srtp::{SrtpContext, SrtpError, SrtpKeys};

#[derive(Debug)]
pub(super) struct Leg {
    pub(super) peer: Option<RelayPeer>,
    pub(super) source: Source,
    /// Where this side's RTCP really comes from, if it has a port of its own.
    pub(super) rtcp_source: Option<SocketAddr>,
    /// Of what this side sends.
    pub(super) continuity: Continuity,
    /// Of both directions of this side.
    srtp: Option<(SrtpKeys, SrtpContext)>,
    /// Where keys come out of a handshake instead.
    pub(super) association: Option<Box<Association>>,
    /// It was agreed on and is impossible: nothing passes.
    is_closed: bool,
    pub(super) reception: Option<Reception>,
    pub(super) received_before: u64,
    pub(super) expected_before: u64,
    /// With the clock rate it counts in.
    pub(super) keys: (u32, dtmf::Decoder),
    /// Since when nothing usable came.
    pub(super) silent_since: Instant,
    pub(super) silence_told: bool,
    pub(super) heard: Heard,
    pub(super) stats: SideStats,
}

impl Leg {
    pub(super) fn new(start: Instant) -> Leg {
        Leg {
            peer: None,
            source: Source::default(),
            rtcp_source: None,
            continuity: Continuity::default(),
            srtp: None,
            association: None,
            is_closed: false,
            reception: None,
            received_before: 0,
            expected_before: 0,
            keys: (8_000, dtmf::Decoder::new(8_000)),
            silent_since: start,
            silence_told: false,
            heard: Heard::default(),
            stats: SideStats::default(),
        }
    }

    /// Takes the protection that was agreed. What is the same goes on: counters, the handshake. What cannot be is told.
    pub(super) fn secure(&mut self, now: Instant, peer: &RelayPeer) -> Option<Outcome> {
        self.is_closed = false;
        if let RelaySecurity::Dtls(dtls) = &peer.security {
            self.srtp = None;
            // One that came to nothing while the phone rang may come to something now.
            let same = self.association.as_mut();
            if let Some(association) = same.filter(|own| own.is_of(dtls) && !own.is_failed()) {
                association.restart(peer.ice.as_ref());
                return None;
            }
            return match Association::new(now, dtls, peer.ice.as_ref()) {
                Ok(association) => {
                    self.association = Some(Box::new(association));
                    None
                }
                Err(_) => {
                    self.association = None;
                    self.is_closed = true;
                    Some(Outcome::Failed("the handshake could not begin"))
                }
            };
        }
        self.association = None;
        self.srtp = match (&peer.security, self.srtp.take()) {
            (RelaySecurity::None | RelaySecurity::Dtls(_), _) => None,
            (RelaySecurity::Srtp(keys), Some((old, mut context))) => {
                context.rekey(&old, keys);
                Some((keys.clone(), context))
            }
            (RelaySecurity::Srtp(keys), None) => Some((keys.clone(), SrtpContext::new(keys))),
        };
        None
    }

    pub(super) fn is_secure(&self) -> bool {
        self.srtp.is_some() || self.association.is_some() || self.is_closed
    }

    /// Where packets go: over the path the peer has chosen, or to where its packets come from.
    pub(super) fn destination(&self) -> Option<SocketAddr> {
        match &self.association {
            Some(association) if association.has_paths() => association.path(),
            _ => self.source.destination(),
        }
    }

    /// With a handshake only the port it took place on has keys.
    fn context(&mut self, port: Port) -> Option<&mut SrtpContext> {
        match (&mut self.association, &mut self.srtp) {
            (Some(association), _) if port == Port::Rtp => association.context(),
            (None, Some((_, context))) => Some(context),
            _ => None,
        }
    }

    /// Opens a packet of this side in place; its length then. `None`: it is not the peer's.
    pub(super) fn open(&mut self, buffer: &mut [u8], len: usize, port: Port) -> Option<usize> {
        if !self.is_secure() {
            return Some(len);
        }
        let is_rtcp = rtp::is_rtcp(&buffer[..len]);
        let result = match self.context(port) {
            Some(context) if is_rtcp => context.unprotect_rtcp_in(buffer, len),
            Some(context) => context.unprotect_in(buffer, len),
            // No keys, or none yet.
            None => Err(SrtpError::NotAuthentic),
        };
        match result {
            Ok(len) => return Some(len),
            // A second copy is nothing to wonder about.
            Err(SrtpError::Replayed) => {}
            Err(_) => self.stats.packets_refused += 1,
        }
        None
    }

    /// Closes a packet to this side in place; its length then.
    pub(super) fn seal(&mut self, buffer: &mut [u8], len: usize, port: Port) -> Option<usize> {
        if !self.is_secure() {
            return Some(len);
        }
        let is_rtcp = rtp::is_rtcp(&buffer[..len]);
        let context = self.context(port)?;
        let result = match is_rtcp {
            true => context.protect_rtcp_in(buffer, len),
            false => context.protect_in(buffer, len),
        };
        result.ok()
    }

    pub(super) fn clock_rate_hz(&self, payload_type: u8) -> u32 {
        let known = self.peer.as_ref().and_then(|peer| {
            let mut formats = peer.clock_rates_hz.iter().take(FORMATS_MAX);
            formats.find(|(number, _)| *number == payload_type)
        });
        known.map_or(static_clock_rate_hz(payload_type), |(_, rate)| *rate)
    }

    pub(super) fn event_rate_hz(&self, payload_type: u8) -> Option<u32> {
        let peer = self.peer.as_ref()?;
        let mut events = peer.telephone_events.iter().take(FORMATS_MAX);
        let known = events.find(|(number, _)| *number == payload_type);
        known.map(|(_, rate_hz)| *rate_hz)
    }

    pub(super) fn rtcp_destination(&self) -> Option<(SocketAddr, Port)> {
        let rtp = self.destination()?;
        let peer = self.peer.as_ref()?;
        if peer.rtcp_mux {
            return Some((rtp, Port::Rtp));
        }
        let above = |mut address: SocketAddr| {
            // RFC 3550 section 11: the next higher port.
            address.set_port(address.port().checked_add(1)?);
            Some(address)
        };
        let to = self
            .rtcp_source
            .or(peer.remote_rtcp.filter(is_sendable))
            .or_else(|| above(rtp))?;
        Some((to, Port::Rtcp))
    }

    /// Sequence and jitter of one packet.
    pub(super) fn count(
        &mut self,
        arrival: Duration,
        header: &[u8; 12],
        clock_rate_hz: Option<u32>,
    ) {
        let sequence = u16::from_be_bytes([header[2], header[3]]);
        let timestamp = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let ssrc = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        let reception = match &mut self.reception {
            Some(reception) if reception.ssrc() == ssrc => reception,
            other => {
                if let Some(before) = other.take() {
                    self.received_before += before.received();
                    self.expected_before += before.expected();
                }
                other.insert(Reception::new(ssrc, sequence))
            }
        };
        if reception.sequence(sequence) != Sequence::OutOfPlace
            && let Some(clock_rate_hz) = clock_rate_hz
        {
            reception.arrival(arrival, timestamp, clock_rate_hz);
        }
    }

    pub(super) fn key(
        &mut self,
        now: Instant,
        rate_hz: u32,
        timestamp: u32,
        packet: &[u8],
    ) -> [Option<dtmf::Pressed>; 2] {
        if self.keys.0 != rate_hz {
            self.keys = (rate_hz, dtmf::Decoder::new(rate_hz));
        }
        match rtp::Packet::parse(packet).map(|packet| dtmf::Event::parse(packet.payload)) {
            Ok(Ok(event)) => self.keys.1.receive(now, timestamp, event),
            _ => [None, None],
        }
    }
}

/// RFC 3551 section 6, tables 4 and 5.
fn static_clock_rate_hz(payload_type: u8) -> u32 {
    match payload_type {
        6 => 16_000,
        10 | 11 => 44_100,
        14 | 25..=34 => 90_000,
        16 => 11_025,
        17 => 22_050,
        _ => 8_000,
    }
}

/// Formats of one side whose clock rate is known; further ones count as 8 kHz.
const FORMATS_MAX: usize = 32;
