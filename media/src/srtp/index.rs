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
/// Packets for which all of them are tried, so that forged ones do not cost as much for ever. For further ones one of them
/// is, another for each sequence number: so many packets of a sender find it, whatever strangers send between them.
const LATE_TRIES_MAX: u32 = 64;
/// Packets of a known sender for which a later round is tried, too: while it is new, and behind one that was refused. What
/// was recorded and is sent again may have been taken for it, before it was heard itself.
const DOUBTS_MAX: u32 = 64;

#[derive(Debug, Clone, Copy)]
struct Sender {
    ssrc: u32,
    highest: u64,
    /// Bit n: the packet n before the highest came.
    seen: u128,
    /// Packets until its counter is believed.
    doubts: u32,
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

/// Another round for each sequence number: 1 to `ROUNDS_MAX`.
fn round_of(sequence: u16) -> u64 {
    1 + u64::from(sequence) % ROUNDS_MAX
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

    /// The indices a received packet may have, likeliest first, and what it is if it has none of them. Of one sender they
    /// only rise: what is authentic is newer than all before it.
    pub(super) fn guesses(
        &mut self,
        ssrc: u32,
        sequence: u16,
    ) -> (impl Iterator<Item = u64> + use<>, SrtpError) {
        let is_early = self.senders.is_empty() && self.late_tries < LATE_TRIES_MAX;
        let turn = round_of(sequence);
        let (first, rounds, turn, refusal) = match self.sender(ssrc) {
            Some(sender) => {
                let index = nearest(sender.highest, sequence).unwrap_or(u64::from(sequence));
                let is_fresh = self.check(ssrc, index).is_ok();
                let later = index + (turn << 16);
                let is_newer = sender.doubts > 0 && (sender.highest..=INDEX_MAX).contains(&later);
                let refusal = match is_fresh {
                    true => SrtpError::NotAuthentic,
                    false => SrtpError::Replayed,
                };
                let turn = is_newer.then_some(turn);
                (index, u64::from(is_fresh), turn, refusal)
            }
            None => {
                let is_fresh = sequence < FRESH_SEQUENCE_MAX;
                let rounds = match is_early {
                    true => 1 + ROUNDS_MAX,
                    false => 1 + u64::from(is_fresh),
                };
                self.late_tries += u32::from(is_early);
                let turn = Some(turn).filter(|turn| *turn >= rounds);
                (u64::from(sequence), rounds, turn, SrtpError::NotAuthentic)
            }
        };
        let rounds = (0..rounds).chain(turn);
        (rounds.map(move |rounds| first + (rounds << 16)), refusal)
    }

    /// A packet under this name was none of its sender's, as far as we can tell.
    pub(super) fn refuse(&mut self, ssrc: u32) {
        let sender = self.senders.iter_mut().find(|sender| sender.ssrc == ssrc);
        if let Some(sender) = sender {
            sender.doubts = DOUBTS_MAX;
        }
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
                doubts: DOUBTS_MAX,
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
        sender.doubts = sender.doubts.saturating_sub(1);
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

    fn guesses(indices: &mut Indices, ssrc: u32, sequence: u16) -> Vec<u64> {
        indices.guesses(ssrc, sequence).0.collect()
    }

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
        let mut indices = Indices::new();
        for _ in 0..LATE_TRIES_MAX {
            let all = guesses(&mut indices, 7, 40_000);
            assert_eq!(all.len() as u64, 1 + ROUNDS_MAX);
            assert_eq!(all[..2], [40_000, 105_536]);
        }
        // Then one further round at a time, and that just before it for a first number.
        assert_eq!(
            guesses(&mut indices, 7, 40_000),
            [40_000, 11 << 16 | 40_000]
        );
        assert_eq!(guesses(&mut indices, 7, 5), [5, 1 << 16 | 5, 6 << 16 | 5]);
        assert_eq!(guesses(&mut indices, 7, 15), [15, 1 << 16 | 15]);
        let mut rounds: Vec<u64> = (40_001..=40_015)
            .map(|sequence| guesses(&mut indices, 7, sequence)[1] >> 16)
            .collect();
        rounds.sort_unstable();
        assert_eq!(rounds, (1..=ROUNDS_MAX).collect::<Vec<_>>());
        assert_eq!(
            guesses(&mut indices, 8, 40_001).len(),
            2,
            "and beside others"
        );
    }

    #[test]
    fn a_known_sender_may_be_further_on_while_there_is_doubt() {
        let mut indices = Indices::new();
        for n in 0..u64::from(DOUBTS_MAX) {
            indices.accept(7, 3 << 16 | (10 + n));
            assert_eq!(guesses(&mut indices, 7, 5_000).len(), 2, "{n}");
        }
        indices.accept(7, 3 << 16 | 100);
        assert_eq!(guesses(&mut indices, 7, 101), [3 << 16 | 101]);
        assert!(guesses(&mut indices, 7, 100).is_empty());
        indices.refuse(7);
        assert_eq!(
            guesses(&mut indices, 7, 101),
            [3 << 16 | 101, 15 << 16 | 101]
        );
        assert_eq!(guesses(&mut indices, 7, 100), [14 << 16 | 100]);
        // Behind the newest by more than is told apart, and at the end of all numbers.
        let mut indices = Indices::new();
        indices.accept(7, 9);
        assert_eq!(guesses(&mut indices, 7, 65_000), [65_000, 6 << 16 | 65_000]);
        let mut indices = Indices::new();
        indices.accept(7, INDEX_MAX - 9);
        assert_eq!(guesses(&mut indices, 7, 65_530), [INDEX_MAX - 5]);
        assert!(guesses(&mut indices, 7, 5).is_empty());
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
