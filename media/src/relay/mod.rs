//! One media stream between two peers, through us: whose packets are taken, where they go, and what is seen of them.
//!
//! Owns: two sides and what passes between them. Payload types nobody knows, header extensions and feedback pass
//! untouched; so do SSRC, sequence and timestamp, unless a side's source changed in the middle of the call (`continuity`).
//! RTCP goes the way each side agreed, on a port of its own or beside RTP (RFC 5761). Keys pressed (RFC 4733) are seen,
//! not taken out. Each side is protected in its own way; handshakes and checked paths end here (`beside`). Does not own:
//! sockets, ports, SDP, sound (`session` is for those who decode it).
//!
//! Contract: after [`Relay::receive`], [`Relay::connect`] and [`Relay::time`] take [`Relay::poll_packet`] and
//! [`Relay::poll_event`] until they are empty. `time` is to be called a few times a second, and at
//! [`Relay::next_timeout`]. Bound: [`EVENTS_MAX`] events; when full the oldest is dropped.
//!
//! PURE.

mod beside;
pub mod continuity;
#[doc(hidden)]
pub mod fuzz;
mod heard;
mod leg;
pub mod source;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::dtls::DtlsConfig;
use crate::dtmf;
use crate::ice::IceConfig;
use crate::receiver::reception::Reception;
use crate::rtp;
use crate::srtp::{GROWTH_MAX, SrtpKeys};
pub use beside::Packet;
use leg::Leg;
use source::{Origin, canonical};

/// Events that may wait to be taken.
pub const EVENTS_MAX: usize = 64;

/// Largest datagram relayed, in bytes: what an Ethernet carries, and some more.
pub const DATAGRAM_LEN_MAX: usize = 2_048;

/// One of the two peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    A,
    B,
}

impl Side {
    pub const BOTH: [Side; 2] = [Side::A, Side::B];

    pub fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }

    pub fn index(self) -> usize {
        self as usize
    }
}

/// One of the two ports a side has with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Port {
    Rtp,
    Rtcp,
}

/// How packets of one side are protected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RelaySecurity {
    #[default]
    None,
    /// Keys from SDP (RFC 4568): the other side never sees them. A packet that they open is the peer's, from wherever it
    /// comes: a phone that changes its network is heard at its next packet.
    Srtp(SrtpKeys),
    /// Keys out of a handshake on the RTP port (RFC 5764). RTCP passes only where it shares that port.
    Dtls(DtlsConfig),
}

/// What signalling knows of one side of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayPeer {
    /// Where the SDP asks for RTP. `None`, `0.0.0.0` and port 0 are hold: nothing is sent there.
    pub remote_rtp: Option<SocketAddr>,
    /// Where the SDP asks for RTCP (RFC 3605); without it the port above `remote_rtp`.
    pub remote_rtcp: Option<SocketAddr>,
    /// RTCP goes to the RTP port (RFC 5761), as both sides of this leg agreed.
    pub rtcp_mux: bool,
    /// The host the signalling comes from: that of a router, where the SDP names an address behind it.
    pub signalled_from: Option<IpAddr>,
    /// Payload type and clock rate in hertz, from `a=rtpmap`; for jitter, and for timestamps after a change of source.
    pub clock_rates_hz: Vec<(u8, u32)>,
    /// Payload types and clock rates of telephone-event (RFC 4733); its keys are told as [`RelayEvent::Digit`].
    pub telephone_events: Vec<(u8, u32)>,
    /// Without a usable packet for so many seconds, [`RelayEvent::NoPackets`] is told. `None` while the peer may be silent.
    pub silence_s: Option<u32>,
    pub security: RelaySecurity,
    /// Paths are checked by the peer (RFC 8445), beside a handshake alone; addresses of SDP count for nothing then.
    pub ice: Option<IceConfig>,
    /// Not RTP at all (fax by T.38 UDPTL): datagrams pass unread.
    pub is_opaque: bool,
}

/// Something a call should know of its relayed media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayEvent {
    /// The first usable packet of this side.
    FirstPacket { side: Side, from: SocketAddr },
    /// The side's packets come from, and go to, another address than before.
    SourceChanged { side: Side, from: SocketAddr },
    /// Packets of a stranger are dropped. Once per address, for the first 16.
    Stranger { side: Side, from: SocketAddr },
    /// Nothing usable came for `for_s` seconds. Once per silence.
    NoPackets { side: Side, for_s: u32 },
    /// Packets came after [`RelayEvent::NoPackets`].
    PacketsResumed { side: Side },
    /// A key was pressed on this side; told when it ended. Its packets passed as well.
    Digit {
        side: Side,
        digit: char,
        duration_ms: u32,
    },
    /// The handshake of this side is over: from now on its packets pass.
    Secured { side: Side },
    /// The handshake of this side came to nothing; no packet of it will pass.
    NotSecured { side: Side, why: &'static str },
    /// The relay cannot go on with this stream: end the call.
    Failed,
}

/// Figures of one side so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SideStats {
    /// RTP taken from this side.
    pub packets_received: u64,
    pub octets_received: u64,
    /// Packets its sequence numbers promised (RFC 3550 appendix A.3).
    pub packets_expected: u64,
    /// Expected less received; duplicates make it smaller, so it can be below zero.
    pub packets_lost: i64,
    /// Interarrival jitter (RFC 3550 appendix A.8), in milliseconds.
    pub jitter_ms: f64,
    /// RTP handed to this side.
    pub packets_sent: u64,
    pub octets_sent: u64,
    /// RTCP datagrams from this side.
    pub reports_received: u64,
    /// Dropped because of where they came from.
    pub packets_stranger: u64,
    /// Dropped because they are neither RTP nor RTCP.
    pub packets_malformed: u64,
    /// Dropped because its keys do not open them.
    pub packets_refused: u64,
    /// Dropped because the other side has no address yet, or is on hold.
    pub packets_homeless: u64,
    pub source_changes: u32,
    /// Where its packets really come from.
    pub source: Option<SocketAddr>,
    /// Its keys came out of a handshake that is done.
    pub is_secured: bool,
    /// Between us and this side, as its reports tell.
    pub round_trip_ms: Option<f64>,
    /// What this side says was lost of what it was sent: the share since its last report, 0 to 1, and all.
    pub remote_fraction_lost: Option<f64>,
    pub remote_packets_lost: Option<i32>,
}

/// Where a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    pub to: SocketAddr,
    /// The port of the other side to send it from.
    pub port: Port,
    /// Length of the datagram as it goes out.
    pub len: usize,
}

/// Room a datagram needs behind it in its buffer.
pub const ROOM: usize = GROWTH_MAX;

/// One relayed stream: one `m=` line of a call.
#[derive(Debug)]
pub struct Relay {
    legs: [Leg; 2],
    start: Instant,
    events: VecDeque<RelayEvent>,
}

impl Relay {
    /// A stream of which neither side is known yet: nothing passes before [`Relay::connect`].
    pub fn new(start: Instant) -> Relay {
        Relay {
            legs: [Leg::new(start), Leg::new(start)],
            start,
            events: VecDeque::new(),
        }
    }

    /// What offer and answer say about one side; again after each further offer and answer.
    pub fn connect(&mut self, now: Instant, side: Side, peer: RelayPeer) {
        let leg = &mut self.legs[side.index()];
        let is_another = leg.source.expect(now, peer.remote_rtp, peer.signalled_from);
        let before = leg.peer.as_ref();
        if is_another
            || before.is_none_or(|before| before.silence_s.is_none() != peer.silence_s.is_none())
        {
            leg.silent_since = now;
            leg.silence_told = false;
        }
        if is_another || before.is_none_or(|before| before.remote_rtcp != peer.remote_rtcp) {
            leg.rtcp_source = None;
        }
        if is_another {
            leg.continuity.source_changed();
        }
        let outcome = leg.secure(now, &peer);
        leg.peer = Some(peer);
        if let Some(outcome) = outcome {
            self.tell_outcome(side, outcome);
        }
    }

    /// Takes one datagram that came to `port` of `side`: the first `len` bytes of `buffer`, behind which there are at least
    /// [`ROOM`] more. Brings it in line in place, and says where it goes.
    pub fn receive(
        &mut self,
        now: Instant,
        side: Side,
        port: Port,
        from: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<Forward> {
        let is_opaque = match &self.legs[side.index()].peer {
            None => {
                self.legs[side.index()].stats.packets_stranger += 1;
                return None;
            }
            Some(peer) => peer.is_opaque,
        };
        if is_opaque {
            return self.opaque(now, side, port, from, len);
        }
        let from = self.beside(now, side, port, from, buffer.get(..len)?)?;
        let datagram = buffer.get(..len)?;
        if rtp::is_rtcp(datagram) {
            return self.rtcp(now, side, port, from, buffer, len);
        }
        if port == Port::Rtp && is_zrtp(datagram) {
            return self.zrtp(side, from, len);
        }
        if port == Port::Rtcp || !is_rtp(datagram) {
            self.legs[side.index()].stats.packets_malformed += 1;
            return None;
        }
        self.rtp(now, side, from, buffer, len)
    }

    /// Tells what is due by now.
    pub fn time(&mut self, now: Instant) {
        self.shake_hands(now);
        for side in Side::BOTH {
            let leg = &mut self.legs[side.index()];
            let pressed = leg.keys.1.timeout(now);
            let silence_s = leg.peer.as_ref().and_then(|peer| peer.silence_s);
            let silent = silence_s.filter(|&for_s| {
                let silent = now.saturating_duration_since(leg.silent_since);
                !leg.silence_told && silent >= Duration::from_secs(u64::from(for_s))
            });
            leg.silence_told |= silent.is_some();
            if let Some(pressed) = pressed {
                self.digit(side, pressed);
            }
            if let Some(for_s) = silent {
                self.event(RelayEvent::NoPackets { side, for_s });
            }
        }
    }

    /// The next event, in order.
    pub fn poll_event(&mut self) -> Option<RelayEvent> {
        self.events.pop_front()
    }

    pub fn stats(&self, side: Side) -> SideStats {
        let leg = &self.legs[side.index()];
        let reception = leg.reception.as_ref();
        let expected = leg.expected_before + reception.map_or(0, Reception::expected);
        let received = leg.received_before + reception.map_or(0, Reception::received);
        SideStats {
            packets_expected: expected,
            packets_lost: expected as i64 - received as i64,
            jitter_ms: reception.map_or(0.0, Reception::jitter_ms),
            source: leg.source.current(),
            is_secured: leg.association.as_ref().is_some_and(|own| own.is_ready()),
            round_trip_ms: leg.heard.round_trip_ms,
            remote_fraction_lost: leg.heard.fraction_lost,
            remote_packets_lost: leg.heard.packets_lost,
            ..leg.stats
        }
    }

    fn event(&mut self, event: RelayEvent) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn digit(&mut self, side: Side, pressed: dtmf::Pressed) {
        self.event(RelayEvent::Digit {
            side,
            digit: pressed.digit,
            duration_ms: pressed.duration_ms,
        });
    }

    /// Whether a packet of this source is taken; tells what is new about it.
    fn admit(&mut self, now: Instant, side: Side, from: SocketAddr) -> bool {
        let leg = &mut self.legs[side.index()];
        let origin = leg.source.check(now, from, leg.is_secure());
        if let Origin::Stranger { first } = origin {
            leg.stats.packets_stranger += 1;
            if first {
                self.event(RelayEvent::Stranger { side, from });
            }
            return false;
        }
        leg.silent_since = now;
        let is_back = std::mem::take(&mut leg.silence_told);
        match origin {
            Origin::First => self.event(RelayEvent::FirstPacket { side, from }),
            Origin::Moved => {
                leg.stats.source_changes = leg.stats.source_changes.saturating_add(1);
                leg.continuity.source_changed();
                self.event(RelayEvent::SourceChanged { side, from });
            }
            Origin::Same | Origin::Stranger { .. } => {}
        }
        if is_back {
            self.event(RelayEvent::PacketsResumed { side });
        }
        true
    }

    fn rtp(
        &mut self,
        now: Instant,
        side: Side,
        from: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<Forward> {
        // Opened first: with keys, a packet that opens is what makes a source.
        let len = self.legs[side.index()].open(buffer, len, Port::Rtp)?;
        if !self.admit(now, side, from) {
            return None;
        }
        let packet = &mut buffer[..len];
        let header = *packet.first_chunk::<12>()?;
        let payload_type = header[1] & 0x7f;
        let timestamp = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let leg = &mut self.legs[side.index()];
        let event_rate_hz = leg.event_rate_hz(payload_type);
        let clock_rate_hz = event_rate_hz.unwrap_or_else(|| leg.clock_rate_hz(payload_type));
        leg.stats.packets_received += 1;
        leg.stats.octets_received += packet.len() as u64;
        let arrival = now.saturating_duration_since(self.start);
        leg.count(
            arrival,
            &header,
            event_rate_hz.is_none().then_some(clock_rate_hz),
        );
        let pressed = match event_rate_hz {
            Some(rate_hz) => leg.key(now, rate_hz, timestamp, packet),
            None => [None, None],
        };
        leg.continuity.rtp(now, clock_rate_hz, packet);
        for pressed in pressed.into_iter().flatten() {
            self.digit(side, pressed);
        }
        let Some(to) = self.legs[side.other().index()].destination() else {
            self.legs[side.index()].stats.packets_homeless += 1;
            return None;
        };
        let other = &mut self.legs[side.other().index()];
        let len = other.seal(buffer, len, Port::Rtp)?;
        other.stats.packets_sent += 1;
        other.stats.octets_sent += len as u64;
        let port = Port::Rtp;
        Some(Forward { to, port, len })
    }

    /// RTCP is taken from where the RTP comes from, from where it came before, and from the hosts that signalling names.
    fn rtcp(
        &mut self,
        now: Instant,
        side: Side,
        port: Port,
        from: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<Forward> {
        let from = canonical(from);
        let leg = &mut self.legs[side.index()];
        let len = leg.open(buffer, len, port)?;
        let datagram = &mut buffer[..len];
        let named = leg.peer.as_ref().and_then(|peer| peer.remote_rtcp);
        let is_peer = leg.is_secure()
            || leg.rtcp_source == Some(from)
            || named.map(canonical) == Some(from)
            || leg.source.is_known_host(from.ip());
        if !is_peer {
            leg.stats.packets_stranger += 1;
            return None;
        }
        if datagram.len() < 8 {
            leg.stats.packets_malformed += 1;
            return None;
        }
        if port == Port::Rtcp {
            leg.rtcp_source = Some(from);
        }
        leg.stats.reports_received += 1;
        leg.silent_since = now;
        let is_back = std::mem::take(&mut leg.silence_told);
        if is_back {
            self.event(RelayEvent::PacketsResumed { side });
        }
        let [a, b] = &mut self.legs;
        let (leg, other) = match side {
            Side::A => (a, b),
            Side::B => (b, a),
        };
        heard::listen(now, &mut leg.heard, &other.heard, datagram);
        continuity::rtcp(&leg.continuity, &other.continuity, datagram);
        let (to, port) = other.rtcp_destination()?;
        let len = self.legs[side.other().index()].seal(buffer, len, port)?;
        Some(Forward { to, port, len })
    }

    /// Two phones may agree on keys of their own (RFC 6189), of which we know nothing. It passes between those whose sound
    /// passes; it makes nobody a source.
    fn zrtp(&mut self, side: Side, from: SocketAddr, len: usize) -> Option<Forward> {
        let source = self.legs[side.index()].source.destination();
        if source != Some(canonical(from)) {
            self.legs[side.index()].stats.packets_stranger += 1;
            return None;
        }
        if self.legs.iter().any(Leg::is_secure) {
            return None;
        }
        let to = self.legs[side.other().index()].source.destination()?;
        let port = Port::Rtp;
        Some(Forward { to, port, len })
    }

    fn opaque(
        &mut self,
        now: Instant,
        side: Side,
        port: Port,
        from: SocketAddr,
        len: usize,
    ) -> Option<Forward> {
        if port == Port::Rtcp || !self.admit(now, side, from) {
            return None;
        }
        let stats = &mut self.legs[side.index()].stats;
        stats.packets_received += 1;
        stats.octets_received += len as u64;
        let other = &mut self.legs[side.other().index()];
        let to = other.source.destination()?;
        other.stats.packets_sent += 1;
        other.stats.octets_sent += len as u64;
        Some(Forward { to, port, len })
    }
}

/// Whether bytes look like RTP (RFC 3550 section 5.1, RFC 7983 section 7); the far end reads the rest.
fn is_rtp(datagram: &[u8]) -> bool {
    datagram.len() >= rtp::HEADER_LEN && datagram.len() <= DATAGRAM_LEN_MAX && datagram[0] >> 6 == 2
}

/// RFC 6189 section 5.
fn is_zrtp(datagram: &[u8]) -> bool {
    datagram.len() >= 16 && datagram[0] == 0x10 && datagram[4..8] == *b"ZRTP"
}

#[cfg(test)]
mod srtp_tests;
#[cfg(test)]
mod tests;
