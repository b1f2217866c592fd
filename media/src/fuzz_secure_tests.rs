//! The bodies of `fuzz_secure` over seeded scripts.

use super::*;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

#[test]
fn packets() {
    let mut random = StdRng::from_seed([11; 32]);
    for round in 0..3_000 {
        let mut script = vec![round as u8 & 3];
        if round % 5 == 0 {
            script[0] = random.random();
        }
        for _ in 0..random.next_u32() % 24 {
            let len = random.random_range(0..80u8);
            script.extend([random.random(), len]);
            script.extend((0..len).map(|_| random.random::<u8>()));
        }
        srtp(&script);
    }
}

/// Every octet of a packet, changed in every bit.
#[test]
fn no_octet_may_change() {
    for suite in 0..4 {
        for is_rtcp in [0, 4] {
            for argument in 0..64u8 {
                for bits in [0, 0x08, 0x10, 0x18, 0x20, 0x40, 0x80] {
                    let mut script = vec![suite, 1 | is_rtcp | bits, argument];
                    script.extend([0x5a; 64].iter().take(usize::from(argument)));
                    srtp(&script);
                }
            }
        }
    }
}

#[test]
fn handshakes_on_any_line() {
    let start = Instant::now();
    let mut random = StdRng::from_seed([23; 32]);
    for round in 0..60 {
        // Mostly the line does its work: with noise alone nothing gets far enough to be interesting.
        let mut script = Vec::new();
        for step in 0..60u8 {
            let is_odd = random.random_range(0..60) < round;
            let operation = if is_odd { random.random() } else { step & 1 };
            script.extend([operation, random.random()]);
            if operation >> 1 & 7 == 6 {
                script.extend((0..24).map(|_| random.random::<u8>()));
            }
        }
        dtls(start, &script);
    }
}

#[test]
fn checks_of_any_kind() {
    let start = Instant::now();
    let mut random = StdRng::from_seed([31; 32]);
    for _ in 0..400 {
        let len = random.random_range(0..400usize);
        let script: Vec<u8> = (0..len).map(|_| random.random()).collect();
        checks(start, &script);
    }
}
