//! Keys as rows of packets.

use super::*;

/// Packets as (at ms, timestamp, code, end, duration); keys told as "digit:ms@when".
fn check(packets: &[(u64, u32, u8, bool, u16)], expected: &str) {
    let start = Instant::now();
    let mut decoder = Decoder::new(8_000);
    let mut told = Vec::new();
    let end = packets.last().map_or(0, |packet| packet.0) + 1_000;
    let mut rows = packets.iter().peekable();
    for ms in 0..end {
        let now = start + Duration::from_millis(ms);
        let mut note = |pressed: Option<Pressed>| {
            told.extend(pressed.map(|key| format!("{}:{}@{ms}", key.digit, key.duration_ms)));
        };
        note(decoder.timeout(now));
        while let Some(&(_, timestamp, code, end, duration)) = rows.next_if(|row| row.0 == ms) {
            let event = Event {
                code,
                end,
                volume: 10,
                duration,
            };
            decoder
                .receive(now, timestamp, event)
                .into_iter()
                .for_each(&mut note);
        }
    }
    assert_eq!(told.join(" "), expected, "{packets:?}");
}

#[test]
fn each_key_is_told_once() {
    // An ordinary key: growth, then the end three times.
    check(
        &[
            (0, 100, 5, false, 160),
            (20, 100, 5, false, 320),
            (40, 100, 5, true, 480),
            (41, 100, 5, true, 480),
            (42, 100, 5, true, 480),
        ],
        "5:60@40",
    );
    // The start was lost.
    check(
        &[(40, 100, 11, true, 800), (41, 100, 11, true, 800)],
        "#:100@40",
    );
    // The end was lost: silence ends the key.
    check(
        &[(0, 100, 1, false, 160), (20, 100, 1, false, 320)],
        "1:40@220",
    );
    // The end was lost, and the next key is there already.
    check(
        &[(0, 100, 1, false, 400), (100, 2_000, 2, true, 800)],
        "1:50@100 2:100@100",
    );
    // The same key twice.
    check(
        &[(0, 100, 7, true, 800), (200, 1_700, 7, true, 800)],
        "7:100@0 7:100@200",
    );
    // The end of the first again, after the second began.
    check(
        &[
            (0, 100, 7, true, 800),
            (100, 1_700, 8, false, 160),
            (110, 100, 7, true, 800),
            (120, 1_700, 8, true, 320),
        ],
        "7:100@0 8:40@120",
    );
    // An end that comes after the time ran out is not a second key.
    check(
        &[(0, 100, 1, false, 160), (300, 100, 1, true, 2_400)],
        "1:20@200",
    );
    // Longer than 16 bits of duration.
    check(
        &[
            (0, 0, 3, false, 65_000),
            (10, 0, 3, false, 65_535),
            (20, 65_535, 3, false, 160),
            (40, 65_535, 3, true, 8_000),
        ],
        "3:9191@40",
    );
    // Timestamp wrap.
    check(
        &[(0, u32::MAX - 10, 4, true, 80), (50, 100, 6, true, 80)],
        "4:10@0 6:10@50",
    );
    // Hook flash is no key.
    check(&[(0, 100, 16, true, 80)], "");
}

#[test]
fn what_is_sent_is_what_is_read() {
    for (digit, duration_ms, packets) in [
        ('5', 100, 7),
        ('#', 10, 4),
        ('d', 250, 15),
        ('0', 60_000, 302),
    ] {
        let start = Instant::now();
        let mut encoder = Encoder::new(digit, duration_ms, 8_000).unwrap();
        let mut decoder = Decoder::new(8_000);
        let mut keys = Vec::new();
        for n in 1.. {
            let packet = encoder.next_packet();
            assert_eq!(packet.marker, n == 1);
            let event = Event::parse(&packet.event.to_bytes()).unwrap();
            keys.extend(decoder.receive(start, 0, event).into_iter().flatten());
            if packet.last {
                assert_eq!(n, packets, "{digit}");
                break;
            }
        }
        let expected = Pressed {
            digit: digit.to_ascii_uppercase(),
            duration_ms: duration_ms.clamp(40, 6_000),
        };
        assert_eq!(keys, [expected]);
    }
    assert!(Encoder::new('x', 100, 8_000).is_none());
}

#[test]
fn short_payloads_are_refused() {
    assert_eq!(Event::parse(&[1, 2, 3]), Err(DtmfError::TooShort(3)));
    assert!(
        Event::parse(&[1, 0x80 | 0x40 | 10, 3, 4, 9, 9])
            .is_ok_and(|event| event.end && event.volume == 10)
    );
}
