//! The fuzz bodies over seeded salads of the words they know, and over very long texts.

use super::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const ROUNDS: usize = 600;
/// Words that rules look for, and disturbances.
const SALAD: &str = "um uh huh mm the a my turn on off up in back call me text daniel set an alarm timer for five \
    twenty oh double two 7 020 3.5 1,000 p.m. s m i what's what time is it are you can could i'd like to want \
    remind tell if when yes no okay right stop wait never mind hold cancel no please thank you bye and but \
    that this her his not really haha degrees sunny tomorrow third 21st hundred thousand million and point ich \
    und \u{df} \u{4eca} ' \u{2019}s - ... ? . , ( ) [ ] $ % don't won't \u{130} \u{1f44d}";

fn salad(rng: &mut StdRng, words: &[&str]) -> Vec<u8> {
    let mut data = Vec::new();
    for _ in 0..rng.random_range(0..14) {
        data.extend_from_slice(words[rng.random_range(0..words.len())].as_bytes());
        match rng.random_range(0..24) {
            0 => data.push(0),
            1 => data.push(rng.random()),
            2 => {}
            _ => data.push(b' '),
        }
    }
    data
}

#[test]
fn word_salad() {
    let mut rng = StdRng::from_seed([21; 32]);
    let words: Vec<&str> = SALAD.split_whitespace().collect();
    for _ in 0..ROUNDS {
        let data = salad(&mut rng, &words);
        transcript(&data);
        interjection(&data);
    }
    for body in [transcript, interjection, wait_curve] {
        body(b"");
    }
}

#[test]
fn any_curve() {
    let mut rng = StdRng::from_seed([22; 32]);
    for _ in 0..ROUNDS {
        let data: [u8; 24] = rng.random();
        wait_curve(&data);
    }
}

#[test]
fn long_texts_are_read_in_bounds() {
    for piece in [
        "a m ",
        "one ",
        "nine hundred ",
        "[",
        "(x",
        "1,000",
        "u.s.",
        "stop ",
        "haha",
        "\u{1f44d}",
        "and. ",
        "twenty fourth ",
    ] {
        let long = piece.repeat(100_000 / piece.len());
        transcript(long.as_bytes());
        interjection(long.as_bytes());
        interjection(format!("{piece}\0{long}").as_bytes());
    }
}
