//! Streams of arrivals on virtual time.

use super::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Packets of 20 ms, each `delay_ms` under way; the stream is `seconds` long and its clock runs fast by `ppm`.
fn stream(seconds: u64, ppm: f64, mut delay_ms: impl FnMut(u64) -> f64) -> (Transit, Vec<f64>) {
    let start = Instant::now();
    let mut transit = Transit::new();
    let mut late = Vec::new();
    let mut arrivals: Vec<(u64, u32)> = (0..seconds * 50)
        .map(|n| {
            let sent_us = n as f64 * 20_000.0 / (1.0 + ppm / 1e6);
            ((sent_us + delay_ms(n) * 1_000.0) as u64, n as u32 * 160)
        })
        .collect();
    arrivals.sort_unstable();
    for (us, timestamp) in arrivals {
        let now = start + Duration::from_micros(us);
        // Late by the rule in force when it came?
        if let Some(age) = transit.age_ms(now, timestamp) {
            late.push(age - f64::from(transit.late_ms()));
        }
        transit.arrived(now, timestamp, 8_000);
    }
    (transit, late)
}

#[test]
fn a_steady_path_needs_no_waiting() {
    let (transit, _) = stream(20, 0.0, |_| 30.0);
    assert_eq!(transit.late_ms(), BIN_MS);
}

#[test]
fn few_packets_are_late_and_the_delay_is_least() {
    let mut random = StdRng::seed_from_u64(1);
    for (name, spread_ms) in [("10 ms", 10.0), ("60 ms", 60.0), ("150 ms", 150.0)] {
        let (transit, late) = stream(120, 0.0, |_| 40.0 + random.random_range(0.0..spread_ms));
        let share = late.iter().filter(|late| **late > 0.0).count() as f64 / late.len() as f64;
        assert!(share <= 0.01, "{name}: {share:.4} late");
        assert!(
            f64::from(transit.late_ms()) <= spread_ms + f64::from(BIN_MS),
            "{name}: {} ms",
            transit.late_ms()
        );
    }
}

#[test]
fn a_burst_is_forgotten() {
    let (during, _) = stream(
        10,
        0.0,
        |n| if (400..410).contains(&n) { 120.0 } else { 0.0 },
    );
    let (after, _) = stream(
        60,
        0.0,
        |n| if (400..410).contains(&n) { 120.0 } else { 0.0 },
    );
    assert_eq!((during.late_ms(), after.late_ms()), (125, BIN_MS));
}

#[test]
fn drift_and_changes_of_path_are_followed() {
    for ppm in [-300.0, 300.0] {
        let (transit, _) = stream(600, ppm, |_| 20.0);
        assert!(
            transit.late_ms() <= 2 * BIN_MS,
            "{ppm}: {}",
            transit.late_ms()
        );
    }
    // 80 ms longer from the 20th second on, and 80 ms shorter.
    for (before, after) in [(20.0, 100.0), (100.0, 20.0)] {
        let (transit, _) = stream(60, 0.0, |n| if n < 1_000 { before } else { after });
        assert_eq!(transit.late_ms(), BIN_MS, "{before} to {after}");
    }
}

#[test]
fn a_new_clock_starts_anew() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut transit = Transit::new();
    assert_eq!((transit.late_ms(), transit.age_ms(start, 0)), (0, None));
    for n in 0..50u32 {
        transit.arrived(at(u64::from(n) * 20), n * 160, 8_000);
    }
    // The timestamp jumps by an hour, then the clock rate changes.
    for n in 0..50u32 {
        transit.arrived(at(1_000 + u64::from(n) * 20), 28_800_000 + n * 160, 8_000);
    }
    for n in 0..50u32 {
        transit.arrived(at(2_000 + u64::from(n) * 20), 7 + n * 960, 48_000);
    }
    assert_eq!(transit.late_ms(), BIN_MS);
    assert_eq!(transit.age_ms(at(2_990), 7 + 49 * 960), Some(10.0));
    assert_eq!(transit.late_at(7 + 50 * 960), Some(at(3_005)));
}
