//! Whose packets one side of a relay takes. RFC 4961 (symmetric RTP); the threats of RFC 7362 section 4.
//!
//! Owns: the rule, which is the one of `receiver::latch` made stricter, because here a stranger's packets would be
//! handed on to somebody else:
//! (1) An address has a rank: the SDP's own address; another port of the SDP's host or of the host that signals; any other.
//! (2) The first usable packet of the first two ranks fixes the source. An address of no rank is tried first:
//!     [`TRIAL_PACKETS`] packets over [`TRIAL_MS`], with nobody better around. Packets on trial go nowhere.
//! (3) A higher rank takes over at once; the same or a lower one only after [`SILENT_MS_MAX`] of silence.
//! (4) A packet that proved itself (SRTP) moves the source at once, from wherever it comes. Those still on their way from
//!     where it was pass for [`LEFT_MS`], and do not move it back.
//! (5) After signalling named another address, the source before it is refused for [`LEFT_MS`]: its last packets are on
//!     their way.
//!
//! Bound: [`STRANGERS_MAX`] addresses remembered, so as to tell each once; further ones are counted only.
//!
//! PURE.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::receiver::latch::{SILENT_MS_MAX, STRANGERS_MAX};

/// Packets from an address of no rank before it is taken for the peer.
pub const TRIAL_PACKETS: u32 = 8;

/// The shortest trial of an address of no rank.
pub const TRIAL_MS: u64 = 500;

/// How long the source of before is refused after signalling named another address.
pub const LEFT_MS: u64 = 500;

/// Where a packet came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The fixed source.
    Same,
    /// The first source of this peer.
    First,
    /// The source is from now on this other address.
    Moved,
    /// Not the peer, or not known to be the peer yet. `first` the first time this address is seen.
    Stranger { first: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    None,
    Host,
    Exact,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    address: SocketAddr,
    rank: Rank,
    last: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Trial {
    address: SocketAddr,
    packets: u32,
    since: Instant,
    last: Instant,
}

/// The source of one side's packets.
#[derive(Debug, Default)]
pub struct Source {
    expected: Option<SocketAddr>,
    is_held: bool,
    signalled_from: Option<IpAddr>,
    current: Option<Current>,
    trial: Option<Trial>,
    left: Option<(SocketAddr, Instant)>,
    strangers: Vec<SocketAddr>,
}

impl Source {
    /// The address packets really come from.
    pub fn current(&self) -> Option<SocketAddr> {
        self.current.map(|current| current.address)
    }

    /// Where to send: the real source, or the SDP address until there is one. Nowhere while the SDP names no address.
    pub fn destination(&self) -> Option<SocketAddr> {
        let expected = self.expected.filter(|_| !self.is_held)?;
        Some(self.current().unwrap_or(expected))
    }

    /// The SDP's address and the host its signalling came from. `None`, `0.0.0.0` and port 0 are hold: packets go nowhere,
    /// and the peer stays who it was. True if the source is open again.
    pub fn expect(
        &mut self,
        now: Instant,
        expected: Option<SocketAddr>,
        signalled_from: Option<IpAddr>,
    ) -> bool {
        let expected = expected.filter(is_sendable).map(canonical);
        self.signalled_from = signalled_from.map(|host| host.to_canonical());
        self.is_held = expected.is_none();
        let is_another = expected.is_some()
            && self.expected.is_some_and(|before| Some(before) != expected)
            && self
                .current()
                .is_none_or(|current| Some(current) != expected);
        if is_another {
            self.left = self.current.take().map(|current| (current.address, now));
            self.trial = None;
            self.strangers.clear();
        }
        if let Some(expected) = expected {
            self.expected = Some(expected);
        }
        if let Some(current) = self.current {
            let rank = self.rank(current.address);
            self.current = Some(Current { rank, ..current });
        }
        is_another
    }

    /// Whether a host is one the peer is known to use: for RTCP, which has a port of its own.
    pub fn is_known_host(&self, host: IpAddr) -> bool {
        let host = host.to_canonical();
        self.current().is_some_and(|current| current.ip() == host) || self.is_signalled_host(host)
    }

    fn is_signalled_host(&self, host: IpAddr) -> bool {
        self.expected.is_some_and(|expected| expected.ip() == host)
            || self.signalled_from == Some(host)
    }

    fn rank(&self, address: SocketAddr) -> Rank {
        if self.expected == Some(address) {
            Rank::Exact
        } else if self.is_signalled_host(address.ip()) {
            Rank::Host
        } else {
            Rank::None
        }
    }

    /// Judges the source of one usable packet. `is_proven`: its keys showed that the peer made it.
    pub fn check(&mut self, now: Instant, from: SocketAddr, is_proven: bool) -> Origin {
        let from = canonical(from);
        if let Some(current) = &mut self.current
            && current.address == from
        {
            current.last = now;
            return Origin::Same;
        }
        let rank = self.rank(from);
        let is_open = match &self.current {
            None => true,
            Some(current) => {
                rank > current.rank
                    || now.saturating_duration_since(current.last)
                        >= Duration::from_millis(SILENT_MS_MAX)
            }
        };
        let is_left = self.left.is_some_and(|(left, at)| {
            left == from && now.saturating_duration_since(at) < Duration::from_millis(LEFT_MS)
        });
        if is_proven && is_left && self.current.is_some() {
            return Origin::Same;
        }
        let is_left = is_left && rank < Rank::Exact;
        let is_taken = is_proven
            || (is_open && !is_left && (rank > Rank::None || self.passed_trial(now, from)));
        if !is_taken {
            return self.stranger(from);
        }
        let before = self.current();
        let origin = match self.current {
            None => Origin::First,
            Some(_) => Origin::Moved,
        };
        self.current = Some(Current {
            address: from,
            rank,
            last: now,
        });
        self.trial = None;
        self.left = before.filter(|_| is_proven).map(|before| (before, now));
        origin
    }

    /// Counts a packet of an address of no rank. One address is on trial at a time; silence ends its trial.
    fn passed_trial(&mut self, now: Instant, from: SocketAddr) -> bool {
        let long = Duration::from_millis(TRIAL_MS);
        match &mut self.trial {
            Some(trial) if trial.address == from => {
                trial.packets += 1;
                trial.last = now;
                trial.packets >= TRIAL_PACKETS && now.saturating_duration_since(trial.since) >= long
            }
            Some(trial) if now.saturating_duration_since(trial.last) < long => false,
            other => {
                *other = Some(Trial {
                    address: from,
                    packets: 1,
                    since: now,
                    last: now,
                });
                false
            }
        }
    }

    fn stranger(&mut self, from: SocketAddr) -> Origin {
        let first = self.strangers.len() < STRANGERS_MAX && !self.strangers.contains(&from);
        if first {
            self.strangers.push(from);
        }
        Origin::Stranger { first }
    }
}

/// An IPv4 address in IPv6 clothes, as a dual-stack socket gives it, is that IPv4 address.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        host if host.is_ipv4() => SocketAddr::new(host, address.port()),
        // As it is: the scope of a link-local address belongs to it.
        _ => address,
    }
}

/// Whether packets can be sent there: `c=IN IP4 0.0.0.0` and port 0 mean hold (RFC 3264 sections 5.1 and 8.4).
pub fn is_sendable(address: &SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
