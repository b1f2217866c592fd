//! What the reports of one side tell about the way to it: the round trip, and what got lost of what it was sent.
//!
//! Owns: reading reports as they pass, without memory for them. Does not own: what is changed in them (`continuity`).
//!
//! A sender report of one side is stamped by us as it leaves for the other; the block that answers it names it and says how
//! long it lay there. So the round trip is ours with each side, wherever the report was written. RFC 3550 section 6.4.1.
//!
//! PURE.

use std::time::{Duration, Instant};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const BLOCK_LEN: usize = 24;
/// Packets of one compound that are looked at.
const PACKETS_MAX: usize = 16;
/// A longer one is a mistake of the other side's clock.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(10);

/// What is known of the way to one side.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Heard {
    /// The last sender report of this side: middle of its time, and when we sent it on.
    sender_report: Option<(u32, Instant)>,
    pub(super) round_trip_ms: Option<f64>,
    /// As this side reports on what it gets: share lost since its last report, 0 to 1, and all that was lost.
    pub(super) fraction_lost: Option<f64>,
    pub(super) packets_lost: Option<i32>,
}

/// Reads a compound of `side`, which is on its way to `other`.
pub(super) fn listen(now: Instant, side: &mut Heard, other: &Heard, datagram: &[u8]) {
    let mut rest = datagram;
    for _ in 0..PACKETS_MAX {
        let [first, packet_type, high, low, ..] = *rest else {
            return;
        };
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        if first >> 6 != 2 || length > rest.len() {
            return;
        }
        let (packet, after) = rest.split_at(length);
        let blocks = match packet_type {
            SENDER_REPORT => {
                // The middle 32 bits of the time, behind the header and the SSRC.
                if let Some(middle) = word(packet, 10) {
                    side.sender_report = Some((middle, now));
                }
                packet.get(28..)
            }
            RECEIVER_REPORT => packet.get(8..),
            _ => None,
        };
        let count = usize::from(first & 0x1f);
        let blocks = blocks.unwrap_or_default().chunks_exact(BLOCK_LEN);
        for block in blocks.take(count) {
            side.block(now, other, block);
        }
        rest = after;
    }
}

impl Heard {
    fn block(&mut self, now: Instant, other: &Heard, block: &[u8]) {
        let Some(lost) = word(block, 4) else { return };
        self.fraction_lost = Some(f64::from(lost >> 24) / 256.0);
        // 24 bits, signed.
        self.packets_lost = Some(((lost << 8) as i32) >> 8);
        let (Some(named), Some(lay)) = (word(block, 16), word(block, 20)) else {
            return;
        };
        let Some((_, sent)) = other.sender_report.filter(|(middle, _)| *middle == named) else {
            return;
        };
        let lay = Duration::from_secs_f64(f64::from(lay) / 65_536.0);
        let round_trip = now.saturating_duration_since(sent).saturating_sub(lay);
        if round_trip <= ROUND_TRIP_MAX {
            self.round_trip_ms = Some(round_trip.as_secs_f64() * 1_000.0);
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let octets = bytes.get(at..at + 4)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{ReportBlock, RtcpPacket, SenderInfo, write};

    fn sender_report(ntp: u64, blocks: Vec<ReportBlock>) -> Vec<u8> {
        let info = SenderInfo {
            ntp,
            ..SenderInfo::default()
        };
        let chunks = vec![(7, "x".to_owned())];
        let report = RtcpPacket::SenderReport {
            ssrc: 7,
            info,
            blocks,
        };
        write(&[report, RtcpPacket::SourceDescription { chunks }])
    }

    fn receiver_report(block: ReportBlock) -> Vec<u8> {
        write(&[RtcpPacket::ReceiverReport {
            ssrc: 9,
            blocks: vec![block],
        }])
    }

    #[test]
    fn the_round_trip_is_ours_with_the_side_that_answers() {
        let start = Instant::now();
        let ms = |ms: u64| start + Duration::from_millis(ms);
        let (mut a, mut b) = (Heard::default(), Heard::default());
        listen(
            ms(0),
            &mut a,
            &b,
            &sender_report(0x1234_5678_9abc_def0, Vec::new()),
        );
        let block = |last_sender_report| ReportBlock {
            fraction_lost: 64,
            cumulative_lost: -3,
            last_sender_report,
            delay: 65_536 / 2,
            ..ReportBlock::default()
        };
        // Of another report than the last one: nothing is said about the way.
        listen(ms(540), &mut b, &a, &receiver_report(block(1)));
        assert_eq!(b.round_trip_ms, None);
        assert_eq!((b.fraction_lost, b.packets_lost), (Some(0.25), Some(-3)));
        listen(ms(540), &mut b, &a, &receiver_report(block(0x5678_9abc)));
        assert!(
            b.round_trip_ms
                .is_some_and(|found| (found - 40.0).abs() < 0.1),
            "{b:?}"
        );
        assert_eq!(a.round_trip_ms, None);
        // A sender report may answer as well.
        let answer = sender_report(5 << 16, vec![block(0x5678_9abc)]);
        listen(ms(560), &mut b, &a, &answer);
        assert!(
            b.round_trip_ms
                .is_some_and(|found| (found - 60.0).abs() < 0.1),
            "{b:?}"
        );
        let back = receiver_report(block(5));
        listen(ms(1_060), &mut a, &b, &back);
        assert!(a.round_trip_ms.is_some_and(f64::is_finite), "{a:?}");
    }

    #[test]
    fn what_is_cut_short_says_nothing() {
        let now = Instant::now();
        let whole = sender_report(1 << 20, vec![ReportBlock::default(); 2]);
        for len in 0..whole.len() {
            let mut heard = Heard::default();
            listen(now, &mut heard, &Heard::default(), &whole[..len]);
        }
        let mut long = whole.clone();
        long[0] |= 0x1f;
        let mut heard = Heard::default();
        listen(now, &mut heard, &Heard::default(), &long);
        assert_eq!(
            heard.packets_lost,
            Some(0),
            "only blocks that are there count"
        );
    }
}
