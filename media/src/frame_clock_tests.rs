//! Real time against sound given out, step by step.

use super::*;

/// Steps: packets ('p', 20 ms of sound), filler when due, at each millisecond named; the lead at the end.
fn check(packets_at_ms: &[u64], until_ms: u64, lead_ms: i64, fillers: usize) {
    let start = Instant::now();
    let mut clock = FrameClock::new(start);
    let mut filled = 0;
    let mut started = false;
    for ms in 0..=until_ms {
        let now = start + Duration::from_millis(ms);
        for _ in packets_at_ms.iter().filter(|&&at| at == ms) {
            if !started {
                clock.restart(now);
                started = true;
            }
            if !clock.leaves_out(now, 320, false) {
                clock.sounded(now, 320);
            }
        }
        while clock.filler_due() <= now {
            clock.filled(now, 320);
            filled += 1;
        }
    }
    let now = start + Duration::from_millis(until_ms);
    assert_eq!(
        (clock.lead_ms(now), filled),
        (lead_ms, fillers),
        "{packets_at_ms:?}"
    );
}

#[test]
fn sound_keeps_to_real_time() {
    // Nothing ever comes: a frame every 20 ms after the first 60.
    check(&[], 1_000, -40, 48);
    check(&[0, 20, 40, 60], 60, 20, 0);
    // It stops: filler from 60 ms after the last.
    check(&[0, 20], 119, -39, 2);
    // A heap after a stall of 200 ms: ahead by what filler gave out, and no more.
    check(
        &[0, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200],
        200,
        160,
        7,
    );
    // A flood is bounded.
    check(&[0; 500], 0, 400, 0);
}

#[test]
fn filler_is_credited_to_holes() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut clock = FrameClock::new(start);
    clock.restart(start);
    clock.sounded(start, 320);
    for ms in [60, 80, 100] {
        clock.filled(at(ms), 320);
    }
    // 100 ms were lost, 60 ms of them are covered.
    assert_eq!(clock.hole(at(120), Hole::Lost, 1_600), 640);
    // A pause said to be an hour long ends in the present.
    assert_eq!(clock.hole(at(120), Hole::Pause, 57_600_000), 640);
    // No real time passed: no silence.
    assert_eq!(clock.hole(at(80), Hole::Pause, 16_000), 0);
}
