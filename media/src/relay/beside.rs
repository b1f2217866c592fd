//! Handshakes and checked paths of a relayed stream: they end at each side, and none of their datagrams passes. Owns the
//! datagrams of ours that go with them, and what is told of them; not what they agree on (`association`).
//!
//! PURE.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Port, Relay, RelayEvent, Side};
use crate::association::{Association, Outcome, Taken};
use crate::relay::source::canonical;

/// A datagram of our own making, to be sent from the RTP port of a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub side: Side,
    pub to: SocketAddr,
    pub data: Vec<u8>,
}

impl Relay {
    /// Takes what belongs to a side's handshake or paths. Where the datagram is a packet of the stream, says as whose it
    /// counts.
    pub(super) fn beside(
        &mut self,
        now: Instant,
        side: Side,
        port: Port,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Option<SocketAddr> {
        let leg = &mut self.legs[side.index()];
        let Some(association) = leg.association.as_mut().filter(|_| port == Port::Rtp) else {
            return Some(from);
        };
        let expected = leg.peer.as_ref().and_then(|peer| peer.remote_rtp);
        let from = canonical(from);
        match association.take(now, from, expected, datagram) {
            // Whatever path it took, it is the peer's.
            Taken::Packet => return Some(association.path().unwrap_or(from)),
            Taken::Stranger => leg.stats.packets_stranger += 1,
            Taken::Ours => self.look(side),
        }
        None
    }

    /// When [`Relay::time`] is to be called for the sake of a handshake.
    pub fn next_timeout(&self) -> Option<Instant> {
        let legs = self.legs.iter();
        legs.filter_map(|leg| leg.association.as_ref()?.next_timeout())
            .min()
    }

    /// Whether a handshake goes on.
    pub fn is_timed(&self) -> bool {
        self.next_timeout().is_some()
    }

    /// The next datagram of our own. To be taken until there is none.
    pub fn poll_packet(&mut self) -> Option<Packet> {
        Side::BOTH.into_iter().find_map(|side| {
            let leg = &mut self.legs[side.index()];
            let (to, data) = leg.association.as_mut()?.poll_datagram()?;
            let to = to.or_else(|| leg.source.destination())?;
            Some(Packet { side, to, data })
        })
    }

    /// Goes on with paths and keys that were agreed upon elsewhere on the same port. Before [`Relay::connect`].
    pub fn adopt(&mut self, side: Side, association: Box<Association>) {
        self.legs[side.index()].association = Some(association);
    }

    /// Gives paths and keys up to whoever goes on with the port of this side.
    pub fn release(&mut self, side: Side) -> Option<Box<Association>> {
        self.legs[side.index()].association.take()
    }

    pub(super) fn shake_hands(&mut self, now: Instant) {
        for side in Side::BOTH {
            if let Some(association) = &mut self.legs[side.index()].association {
                association.time(now);
                self.look(side);
            }
        }
    }

    fn look(&mut self, side: Side) {
        let association = self.legs[side.index()].association.as_mut();
        if let Some(outcome) = association.and_then(|own| own.poll_outcome()) {
            self.tell_outcome(side, outcome);
        }
    }

    pub(super) fn tell_outcome(&mut self, side: Side, outcome: Outcome) {
        self.event(match outcome {
            Outcome::Secured => RelayEvent::Secured { side },
            Outcome::Failed(why) => RelayEvent::NotSecured { side, why },
        });
    }
}

#[cfg(test)]
#[path = "beside_tests.rs"]
mod tests;
