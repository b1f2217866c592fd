//! Sources, sequence numbers and figures.

use super::*;
use std::time::Duration;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

#[test]
fn the_source_is_fixed_by_rule() {
    use Source::*;
    const SDP: u16 = 4_000;
    // SDP address known, then packets as (at ms, port), and the verdicts.
    let table: &[(bool, &[(u64, u16)], &[Source])] = &[
        (true, &[(0, SDP), (20, SDP)], &[First, Same]),
        // Behind a NAT.
        (true, &[(0, 5), (20, 5)], &[Latched, Same]),
        // A stranger, told once, while the source speaks.
        (
            true,
            &[(0, SDP), (10, 7), (20, 7), (30, 8), (40, SDP)],
            &[
                First,
                Stranger { first: true },
                Stranger { first: false },
                Stranger { first: true },
                Same,
            ],
        ),
        // The SDP address wins over whoever came first.
        (
            true,
            &[(0, 5), (10, SDP), (20, 5)],
            &[Latched, Latched, Stranger { first: true }],
        ),
        // The peer moved: after two seconds of silence.
        (
            true,
            &[(0, SDP), (1_999, 9), (2_000, 9), (2_010, 9)],
            &[First, Stranger { first: true }, Latched, Same],
        ),
        (
            false,
            &[(0, 5), (10, 6)],
            &[First, Stranger { first: true }],
        ),
    ];
    for (known, arrivals, expected) in table {
        let start = Instant::now();
        let mut latch = Latch::new(known.then(|| address(SDP)));
        let verdicts: Vec<Source> = arrivals
            .iter()
            .map(|&(ms, port)| latch.check(start + Duration::from_millis(ms), address(port)))
            .collect();
        assert_eq!(&verdicts, expected, "{arrivals:?}");
    }
}

#[test]
fn strangers_are_bounded() {
    let now = Instant::now();
    let mut latch = Latch::new(None);
    latch.check(now, address(1));
    let told = (2..1_000)
        .filter(|&port| latch.check(now, address(port)) == Source::Stranger { first: true })
        .count();
    assert_eq!(told, latch::STRANGERS_MAX);
}

#[test]
fn a_hold_address_is_no_destination() {
    assert_eq!(
        Latch::new(Some(SocketAddr::from(([0, 0, 0, 0], 4_000)))).destination(),
        None
    );
    assert_eq!(Latch::new(Some(address(0))).destination(), None);
}

#[test]
fn sequence_numbers() {
    use Sequence::*;
    // Numbers in, verdict of the last, expected and received afterwards.
    let table: &[(&[u16], Sequence, u64, u64)] = &[
        (&[7], Valid, 1, 1),
        (&[7, 8, 9], Valid, 3, 3),
        (&[7, 9], Valid, 3, 2),
        (&[7, 9, 8], Valid, 3, 3),
        (&[7, 7], Valid, 1, 2),
        (&[65_534, 65_535, 0, 1], Valid, 4, 4),
        (&[65_535, 0, 65_535], Valid, 2, 3),
        (&[7, 20_000], OutOfPlace, 1, 1),
        (&[7, 20_000, 8], Valid, 2, 2),
        (&[7, 20_000, 20_001], Restarted, 2, 2),
        (&[20_000, 7, 8, 9], Valid, 3, 3),
    ];
    for (numbers, verdict, expected, received) in table {
        let mut reception = Reception::new(1, numbers[0]);
        let last = numbers.iter().map(|&n| reception.sequence(n)).last();
        assert_eq!(last, Some(*verdict), "{numbers:?}");
        assert_eq!(
            (reception.expected(), reception.received()),
            (*expected, *received),
            "{numbers:?}"
        );
    }
}

#[test]
fn report_figures() {
    let mut reception = Reception::new(1, 0);
    for n in (0..100u16).filter(|n| n % 4 != 3) {
        reception.sequence(n);
    }
    // 98 is the last to arrive: 99 expected, 75 received.
    let report = reception.report();
    assert_eq!((report.fraction_lost, report.cumulative_lost), (62, 24));
    assert_eq!(report.highest_sequence, 98);
    for n in 99..199u16 {
        reception.sequence(n);
    }
    assert_eq!(reception.report().fraction_lost, 0);
    assert_eq!(reception.report().cumulative_lost, 24);
}

#[test]
fn jitter_settles_at_the_mean_deviation() {
    let mut reception = Reception::new(1, 0);
    for n in 0..1_000u32 {
        // Every second packet 10 ms late.
        let ms = u64::from(n) * 20 + if n % 2 == 0 { 0 } else { 10 };
        reception.arrival(Duration::from_millis(ms), n * 160, 8_000);
    }
    assert!(
        (reception.jitter_ms() - 10.0).abs() < 0.1,
        "{}",
        reception.jitter_ms()
    );
}

#[test]
fn another_ssrc_is_another_stream() {
    let now = Instant::now();
    let mut receiver = Receiver::new(now, None);
    let mut verdict = |ssrc, sequence| {
        let packet = Packet {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp: 0,
            ssrc,
            payload: &[],
        };
        match receiver.receive(now, address(1), &packet, Some(8_000)) {
            Verdict::Accepted { continuity, .. } => Some(continuity),
            _ => None,
        }
    };
    for (ssrc, sequence, expected) in [
        (1, 10, Some(Continuity::Continues)),
        (1, 11, Some(Continuity::Continues)),
        (2, 900, Some(Continuity::NewSsrc)),
        (2, 40_000, None),
        (2, 40_001, Some(Continuity::Restarted)),
    ] {
        assert_eq!(verdict(ssrc, sequence), expected, "{ssrc} {sequence}");
    }
    assert_eq!(
        (
            receiver.expected(),
            receiver.received(),
            receiver.ssrc_changes()
        ),
        (4, 4, 1)
    );
}
