//! Symmetric RTP: which address the peer's packets come from, and so where ours go. RFC 4961; the threat of RFC 7362.
//!
//! Owns: the rule. (1) The first usable packet fixes the source, wherever it comes from: behind a NAT the SDP address is
//! wrong. (2) The SDP address always wins over another one, at once. (3) A fixed source gives way only after
//! [`SILENT_MS_MAX`] without a packet from it. (4) Everybody else is a stranger: ignored, counted, told once.
//!
//! Bound: [`STRANGERS_MAX`] addresses remembered, so as to tell each once; further ones are counted only.
//!
//! PURE.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Silence of the fixed source after which another may take its place.
pub const SILENT_MS_MAX: u64 = 2_000;

/// Strangers told by address.
pub const STRANGERS_MAX: usize = 16;

/// Where a packet came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The fixed source.
    Same,
    /// The first packet of all, from the address the SDP named or, without one, from anywhere.
    First,
    /// The source is from now on this other address.
    Latched,
    /// Not the peer.
    Stranger { first: bool },
}

/// The source of one stream.
#[derive(Debug)]
pub struct Latch {
    expected: Option<SocketAddr>,
    current: Option<(SocketAddr, Instant)>,
    strangers: Vec<SocketAddr>,
}

impl Latch {
    pub fn new(expected: Option<SocketAddr>) -> Latch {
        Latch {
            expected: expected.filter(is_sendable),
            current: None,
            strangers: Vec::new(),
        }
    }

    /// The address of the SDP.
    pub fn expected(&self) -> Option<SocketAddr> {
        self.expected
    }

    /// The address packets really come from.
    pub fn current(&self) -> Option<SocketAddr> {
        self.current.map(|(address, _)| address)
    }

    /// Where to send: the real source, or the SDP address until there is one.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.current().or(self.expected)
    }

    /// Another SDP. The source is open again if it names another address.
    pub fn expect(&mut self, expected: Option<SocketAddr>) {
        let expected = expected.filter(is_sendable);
        if expected != self.expected {
            self.expected = expected;
            self.current = None;
            self.strangers.clear();
        }
    }

    /// Judges the source of one usable packet.
    pub fn check(&mut self, now: Instant, from: SocketAddr) -> Source {
        let verdict = match self.current {
            Some((current, _)) if current == from => Source::Same,
            None if self.expected.is_none_or(|expected| expected == from) => Source::First,
            None => Source::Latched,
            Some(_) if self.expected == Some(from) => Source::Latched,
            Some((_, last))
                if now.saturating_duration_since(last) >= Duration::from_millis(SILENT_MS_MAX) =>
            {
                Source::Latched
            }
            Some(_) => {
                let first = self.strangers.len() < STRANGERS_MAX && !self.strangers.contains(&from);
                if first {
                    self.strangers.push(from);
                }
                return Source::Stranger { first };
            }
        };
        self.current = Some((from, now));
        verdict
    }
}

/// Whether packets can be sent there: `c=IN IP4 0.0.0.0` and port 0 mean hold (RFC 3264 sections 5.1 and 8.4).
fn is_sendable(address: &SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}
