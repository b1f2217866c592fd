//! Which packet it is, counted in 48 bits, and whether it came before. RFC 3711 sections 3.3.1 and 3.3.2.
//!
//! A sender's counter comes into being with its first authentic packet, never before: strangers cannot fill the table.
//! Bound: `SSRCS_MAX`; when full, the sender longest silent is forgotten.
//!
//! PURE.

use super::{SSRCS_MAX, SrtpError};

/// Packets behind the newest that are still told apart. RFC 3711 section 3.3.2 wants 64 at least.
const WINDOW: u64 = 128;

/// RFC 3711 section 3.3.1: 32 bits of rollovers over 16 of sequence.
const INDEX_MAX: u64 = (1 << 48) - 1;

/// RFC 3711 section 3.4.
const RTCP_INDEX_MAX: u64 = (1 << 31) - 1;

/// Below this a first packet may be one whose sender has just come round to zero: those before it were lost.
const FRESH_SEQUENCE_MAX: u16 = 1 << 14;

/// Rounds that a sender may have behind it when we first hear it: a phone whose call moves to other ports of ours goes on
/// counting under its old key, and nothing in its description says how far it is (RFC 4568 section 6.4). With packets of
/// 20 ms a round takes 22 minutes, so these are nearly six hours.
const ROUNDS_MAX: u64 = 15;
/// Packets for which all of them are tried, so that forged ones do not cost as much for ever.
const LATE_TRIES_MAX: u32 = 64;

#[derive(Debug, Clone, Copy)]
struct Sender {
    ssrc: u32,
    highest: u64,
    /// Bit n: the packet n before the highest came.
    seen: u128,
    /// When it was last heard, in packets of all senders.
    heard: u64,
}

/// The counters of one direction.
#[derive(Debug)]
pub(super) struct Indices {
    senders: Vec<Sender>,
    clock: u64,
    /// Packets of unknown senders so far, up to a bound, while none was authentic.
    late_tries: u32,
}

/// RFC 3711 appendix A: the index nearest to the highest so far.
fn nearest(highest: u64, sequence: u16) -> Option<u64> {
    let (rollovers, newest) = (highest >> 16, highest as u16);
    let ahead = sequence.wrapping_sub(newest);
    let rollovers = if ahead < 1 << 15 {
        // Ahead of the newest, perhaps over the turn.
        rollovers + u64::from(sequence < newest)
    } else {
        rollovers.checked_sub(u64::from(sequence > newest))?
    };
    Some(rollovers << 16 | u64::from(sequence)).filter(|index| *index <= INDEX_MAX)
}

impl Indices {
    pub(super) fn new() -> Indices {
        Indices {
            senders: Vec::new(),
            clock: 0,
            late_tries: 0,
        }
    }

    fn sender(&self, ssrc: u32) -> Option<&Sender> {
        self.senders.iter().find(|sender| sender.ssrc == ssrc)
    }

    /// Refuses what came before and what is too old to tell.
    pub(super) fn check(&self, ssrc: u32, index: u64) -> Result<(), SrtpError> {
        let Some(sender) = self.sender(ssrc) else {
            return Ok(());
        };
        let is_fresh = match sender.highest.checked_sub(index) {
            None => true,
            Some(behind) => behind < WINDOW && sender.seen >> behind & 1 == 0,
        };
        is_fresh.then_some(()).ok_or(SrtpError::Replayed)
    }

    /// The index to send a packet with.
    pub(super) fn next(&self, ssrc: u32, sequence: u16) -> Result<u64, SrtpError> {
        let index = match self.sender(ssrc) {
            Some(sender) => {
                nearest(sender.highest, sequence).ok_or(if sender.highest >> 16 == 0 {
                    SrtpError::Replayed
                } else {
                    SrtpError::KeyUsedUp
                })?
            }
            None => u64::from(sequence),
        };
        self.check(ssrc, index)?;
        Ok(index)
    }

    /// The indices a received packet may have, likeliest first.
    pub(super) fn guesses(
        &mut self,
        ssrc: u32,
        sequence: u16,
    ) -> Result<impl Iterator<Item = u64> + use<>, SrtpError> {
        let sequence_index = u64::from(sequence);
        let (first, further) = match self.sender(ssrc) {
            Some(sender) => {
                let index = nearest(sender.highest, sequence).ok_or(SrtpError::Replayed)?;
                self.check(ssrc, index)?;
                (index, 0)
            }
            None if self.senders.is_empty() && self.late_tries < LATE_TRIES_MAX => {
                self.late_tries += 1;
                (sequence_index, ROUNDS_MAX)
            }
            None => (sequence_index, u64::from(sequence < FRESH_SEQUENCE_MAX)),
        };
        Ok((0..=further).map(move |rounds| first + (rounds << 16)))
    }

    /// The next index of RTCP, which carries its own number.
    pub(super) fn next_counted(&self, ssrc: u32) -> Result<u32, SrtpError> {
        let next = self.sender(ssrc).map_or(1, |sender| sender.highest + 1);
        if next > RTCP_INDEX_MAX {
            return Err(SrtpError::KeyUsedUp);
        }
        Ok(next as u32)
    }

    /// Notes a packet that was sent, or that proved authentic.
    pub(super) fn accept(&mut self, ssrc: u32, index: u64) {
        self.clock += 1;
        let heard = self.clock;
        let place = self.senders.iter().position(|sender| sender.ssrc == ssrc);
        let Some(place) = place else {
            let sender = Sender {
                ssrc,
                highest: index,
                seen: 1,
                heard,
            };
            let is_full = self.senders.len() == SSRCS_MAX;
            let quietest = self.senders.iter_mut().min_by_key(|sender| sender.heard);
            match quietest.filter(|_| is_full) {
                Some(quietest) => *quietest = sender,
                None => self.senders.push(sender),
            }
            return;
        };
        let sender = &mut self.senders[place];
        sender.heard = heard;
        match index.checked_sub(sender.highest) {
            Some(ahead) => {
                sender.seen = match ahead {
                    0..WINDOW => sender.seen << ahead | 1,
                    _ => 1,
                };
                sender.highest = index;
            }
            None => {
                let behind = sender.highest - index;
                if behind < WINDOW {
                    sender.seen |= 1 << behind;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_index_is_taken() {
        for (highest, sequence, expected) in [
            (5, 6, Some(6)),
            (5, 4, Some(4)),
            (65_530, 3, Some(65_539)),
            (65_539, 65_530, Some(65_530)),
            (65_539, 40_000, Some(40_000)),
            (3, 65_530, None),
            (3, 32_770, Some(32_770)),
            (3, 32_772, None),
            (INDEX_MAX, 0, None),
            (INDEX_MAX, 65_534, Some(INDEX_MAX - 1)),
        ] {
            assert_eq!(nearest(highest, sequence), expected, "{highest} {sequence}");
        }
    }

    #[test]
    fn a_packet_counts_once() {
        let mut indices = Indices::new();
        for (index, expected) in [
            (1_000, Ok(())),
            (1_000, Err(SrtpError::Replayed)),
            (1_003, Ok(())),
            (1_001, Ok(())),
            (1_001, Err(SrtpError::Replayed)),
            (1_002, Ok(())),
            (1_130, Ok(())),
            (1_002, Err(SrtpError::Replayed)),
            (1_004, Ok(())),
            (9_000, Ok(())),
            (8_873, Ok(())),
            (8_872, Err(SrtpError::Replayed)),
        ] {
            assert_eq!(indices.check(7, index), expected, "{index}");
            if expected.is_ok() {
                indices.accept(7, index);
            }
        }
    }

    #[test]
    fn a_sender_may_have_rounds_behind_it() {
        let guesses = |indices: &mut Indices, ssrc, sequence| -> Vec<u64> {
            indices.guesses(ssrc, sequence).expect("some").collect()
        };
        let mut indices = Indices::new();
        for _ in 0..LATE_TRIES_MAX {
            let all = guesses(&mut indices, 7, 40_000);
            assert_eq!(all.len() as u64, 1 + ROUNDS_MAX);
            assert_eq!(all[..2], [40_000, 105_536]);
        }
        assert_eq!(guesses(&mut indices, 7, 40_000), [40_000]);
        assert_eq!(guesses(&mut indices, 7, 5), [5, 65_541]);
        // One that is known is not guessed at, and nobody is beside it.
        let mut indices = Indices::new();
        indices.accept(7, 3 << 16 | 9);
        assert_eq!(guesses(&mut indices, 7, 10), [3 << 16 | 10]);
        assert_eq!(guesses(&mut indices, 8, 40_000), [40_000]);
    }

    #[test]
    fn senders_are_bounded() {
        let mut indices = Indices::new();
        indices.accept(0, 5);
        for ssrc in 1..SSRCS_MAX as u32 {
            indices.accept(ssrc, 5);
        }
        indices.accept(0, 6);
        indices.accept(99, 5);
        assert_eq!(indices.senders.len(), SSRCS_MAX);
        assert!(indices.sender(0).is_some() && indices.sender(1).is_none());
    }
}
