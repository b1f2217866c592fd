//! Rows of arrivals and what comes out of the buffer.

use super::*;

/// Arrivals as (at ms, sequence, timestamp); the outcome as text: "12" a packet, "lost 2/320", "pause 800", with "@ms"
/// wherever it did not come at the arrival of a packet.
fn check(arrivals: &[(u64, u16, u32)], expected: &str) -> JitterBuffer {
    let start = Instant::now();
    let mut buffer = JitterBuffer::new();
    let mut seen = Vec::new();
    let drain = |buffer: &mut JitterBuffer, now: Instant, note: &str, seen: &mut Vec<String>| {
        while let Some(release) = buffer.poll(now) {
            seen.push(match release {
                Release::Packet(stored) => format!("{}{note}", stored.payload[0]),
                Release::Lost { packets, duration } => format!("lost {packets}/{duration}{note}"),
                Release::Pause { duration } => format!("pause {duration}{note}"),
            });
        }
    };
    let end = arrivals.last().map_or(0, |row| row.0) + 500;
    let mut rows = arrivals.iter().peekable();
    for ms in 0..end {
        let now = start + Duration::from_millis(ms);
        if buffer.next_timeout().is_some_and(|timeout| timeout <= now) {
            drain(&mut buffer, now, &format!("@{ms}"), &mut seen);
        }
        while let Some(&(_, sequence, timestamp)) = rows.next_if(|row| row.0 == ms) {
            let payload = [sequence as u8; 160];
            let packet = Packet {
                marker: false,
                payload_type: 0,
                sequence,
                timestamp,
                ssrc: 1,
                payload: &payload,
            };
            buffer.insert(now, &packet, Kind::Audio, 160, 8_000);
            drain(&mut buffer, now, "", &mut seen);
        }
    }
    assert_eq!(seen.join(" "), expected, "{arrivals:?}");
    assert!(!buffer.is_waiting());
    buffer
}

#[test]
fn order_is_restored() {
    check(&[(0, 1, 0), (20, 2, 160), (40, 3, 320)], "1 2 3");
    // Swapped: the late one is waited for.
    check(
        &[(0, 1, 0), (20, 3, 320), (30, 2, 160), (60, 4, 480)],
        "1 2 3 4",
    );
    // Lost: given up 20 ms after the packet behind it came.
    check(
        &[(0, 1, 0), (40, 3, 320), (80, 4, 480)],
        "1 lost 1/160@60 3@60 4",
    );
    // Two gaps: each has its wait.
    check(
        &[(0, 1, 0), (40, 3, 320), (50, 5, 640), (120, 6, 800)],
        "1 lost 1/160@60 3@60 lost 1/160@70 5@70 6",
    );
    // Sequence wrap.
    check(&[(0, 65_535, 0), (20, 1, 320), (25, 0, 160)], "255 0 1");
    // Timestamp wrap.
    check(&[(0, 1, u32::MAX - 159), (20, 2, 0)], "1 2");
}

#[test]
fn late_and_duplicate_are_told_apart() {
    let buffer = check(
        &[
            (0, 1, 0),
            (1, 1, 0),
            (40, 3, 320),
            (41, 3, 320),
            (70, 2, 160),
            (80, 3, 320),
        ],
        "1 lost 1/160@60 3@60",
    );
    assert_eq!(
        buffer.dropped(),
        Dropped {
            late: 1,
            duplicate: 3,
            overflowed: 0
        }
    );
}

#[test]
fn pauses_have_the_right_length() {
    check(&[(0, 1, 0), (500, 2, 4_000)], "1 pause 3840 2");
    // Lost packets and a pause together.
    check(
        &[(0, 1, 0), (500, 3, 4_000)],
        "1 lost 1/160@520 pause 3680@520 3@520",
    );
    // The clock of the sender went back: no time is made up.
    check(&[(0, 1, 10_000), (20, 2, 160), (40, 3, 320)], "1 2 3");
}

#[test]
fn asides_take_no_time() {
    let start = Instant::now();
    let mut buffer = JitterBuffer::new();
    let mut releases = Vec::new();
    // Audio, three packets of one telephone-event with its fixed timestamp, audio again 60 ms later.
    for (sequence, timestamp, kind) in [
        (1, 0, Kind::Audio),
        (2, 160, Kind::Aside),
        (3, 160, Kind::Aside),
        (4, 160, Kind::Aside),
        (5, 640, Kind::Audio),
    ] {
        let packet = Packet {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp,
            ssrc: 1,
            payload: &[],
        };
        let duration = if kind == Kind::Audio { 160 } else { 0 };
        buffer.insert(start, &packet, kind, duration, 8_000);
        while let Some(release) = buffer.poll(start) {
            releases.push(match release {
                Release::Packet(_) => 0,
                Release::Pause { duration } => duration,
                Release::Lost { .. } => u32::MAX,
            });
        }
    }
    assert_eq!(releases, [0, 0, 0, 0, 480, 0]);
}

#[test]
fn the_wait_follows_the_path() {
    // Every fourth packet is 70 ms under way, the others none. The very first is too late: nobody knew of it.
    let start = Instant::now();
    let mut buffer = JitterBuffer::new();
    let packet = |n: u16| Packet {
        marker: false,
        payload_type: 0,
        sequence: n,
        timestamp: u32::from(n) * 160,
        ssrc: 1,
        payload: &[0; 160],
    };
    let at = |n: u16| u64::from(n) * 20 + if n.is_multiple_of(4) { 70 } else { 0 };
    let mut order: Vec<u16> = (0..400).collect();
    order.sort_by_key(|&n| at(n));
    for n in order {
        let now = start + Duration::from_millis(at(n));
        buffer.insert(now, &packet(n), Kind::Audio, 160, 8_000);
        while buffer.poll(now).is_some() {}
    }
    assert_eq!((buffer.wait_ms(), buffer.dropped().late), (75, 1));
    // 400 is lost: it might have come until 8,075. Of 401 the 200 ms are the bound.
    let now = start + Duration::from_millis(at(401));
    buffer.insert(now, &packet(401), Kind::Audio, 160, 8_000);
    assert_eq!(
        buffer.next_timeout(),
        Some(start + Duration::from_millis(8_075))
    );
    assert_eq!(buffer.next_payload(), Some((0, &[0; 160][..])));
    assert!(!buffer.has_next(Kind::Audio));
    assert_eq!(buffer.poll(now), None);
    let lost = Release::Lost {
        packets: 1,
        duration: 160,
    };
    assert_eq!(buffer.poll_due(), Some(lost));
    assert!(buffer.has_next(Kind::Audio));
    assert_eq!(
        buffer.losses(),
        Losses {
            packets: 1,
            runs: 1
        }
    );
}

#[test]
fn a_flood_is_bounded() {
    let now = Instant::now();
    let mut buffer = JitterBuffer::new();
    for n in 0..1_000u16 {
        let packet = Packet {
            marker: false,
            payload_type: 0,
            sequence: n * 2,
            timestamp: u32::from(n) * 320,
            ssrc: 1,
            payload: &[0; 160],
        };
        buffer.insert(now, &packet, Kind::Audio, 160, 8_000);
    }
    assert_eq!(buffer.queue.len(), PACKETS_MAX);
    assert_eq!(buffer.dropped().overflowed, 1_000 - PACKETS_MAX as u64);
}
