//! Headers of a stream on virtual time.

use super::*;
use crate::SILENCE;
use rand::SeedableRng;
use rand::rngs::StdRng;

#[test]
fn headers_follow_time() {
    let start = Instant::now();
    let mut sender = Sender::new(Codec::Pcma, 8, &mut StdRng::from_seed([7; 32]));
    let (sequence, timestamp) = (sender.sequence, sender.timestamp);
    // At ms, sent or skipped; marker and frames since the first.
    let table = [
        (0, true, true, 0),
        (20, true, false, 1),
        (43, true, false, 2),
        (60, false, false, 0),
        (80, false, false, 0),
        (100, true, true, 5),
        (120, true, false, 6),
        (1_120, true, true, 56),
    ];
    let mut sent = 0;
    for (ms, sends, marker, frames) in table {
        let now = start + Duration::from_millis(ms);
        if !sends {
            sender.skip(now);
            continue;
        }
        let bytes = sender.send(now, &SILENCE);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.payload, [0xd5; 160]);
        assert_eq!(
            (
                packet.marker,
                packet.sequence,
                packet.timestamp,
                packet.payload_type
            ),
            (
                marker,
                sequence.wrapping_add(sent),
                timestamp.wrapping_add(frames * 160),
                8
            ),
            "at {ms} ms"
        );
        sent += 1;
    }
    assert_eq!((sender.packets(), sender.octets()), (6, 960));
    let later = start + Duration::from_millis(1_130);
    assert_eq!(
        sender.timestamp_at(later),
        timestamp.wrapping_add(56 * 160 + 80)
    );
}
