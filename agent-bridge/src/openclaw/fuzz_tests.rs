//! Tests of the fuzz bodies: random walks, repeated by their seeds.

use super::*;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

#[test]
fn any_gateway_is_survived() {
    let mut rng = StdRng::seed_from_u64(1);
    let base = Instant::now();
    for _ in 0..2_000 {
        // Mostly one that lets us in.
        let mut data = vec![0, 0, 1, 96, 0, 1, 97, 0, 1];
        let length = rng.random_range(0..240);
        data.extend((0..length).map(|_| rng.random::<u8>()));
        sequence(&data, base);
    }
}

#[test]
fn any_frame_is_read_or_not() {
    let mut rng = StdRng::seed_from_u64(2);
    for known in FRAMES {
        for _ in 0..200 {
            let mut bytes = known.as_bytes().to_vec();
            for _ in 0..rng.random_range(1..6) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = rng.random();
            }
            frame(&bytes);
        }
    }
}
