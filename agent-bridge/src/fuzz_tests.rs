//! The fuzz bodies over seeded mutations of good inputs, in the normal test run.

use rand::{Rng, RngExt};

use super::*;

const ROUNDS: usize = 1_500;

fn mutate<R: Rng>(rng: &mut R, seeds: &[&[u8]]) -> Vec<u8> {
    let mut data = seeds[rng.random_range(0..seeds.len())].to_vec();
    for _ in 0..rng.random_range(0..6) {
        let at = rng.random_range(0..=data.len());
        match rng.random_range(0..4) {
            0 => data.insert(at, rng.random()),
            1 if at < data.len() => data[at] = rng.random(),
            2 if at < data.len() => {
                data.remove(at);
            }
            _ => {
                let other = seeds[rng.random_range(0..seeds.len())];
                let from = rng.random_range(0..=other.len());
                data.splice(at..at, other[from..].iter().copied());
            }
        }
    }
    data.truncate(4_096);
    data
}

fn check(seeds: &[&[u8]], body: fn(&[u8])) {
    let mut rng = StdRng::from_seed([9; 32]);
    body(b"");
    for _ in 0..ROUNDS {
        body(&mutate(&mut rng, seeds));
    }
}

#[test]
fn turn_events() {
    // The one moment that all others are counted from.
    #[allow(clippy::disallowed_methods)]
    let base = Instant::now();
    let mut rng = StdRng::from_seed([8; 32]);
    turn(b"", base);
    for _ in 0..ROUNDS {
        let data: Vec<u8> = (0..rng.random_range(0..400))
            .map(|_| rng.random())
            .collect();
        turn(&data, base);
    }
    // Conversations that make sense, disturbed.
    let talk = [0, 20, 2, 20, 4, 40, 6, 20, 10, 20, 0x16, 20, 0x1b, 40].repeat(8);
    // And those with a guess, a claim, and a tool in a guess.
    let guess = [
        0, 40, 0x22, 20, 0x04, 6, 0x06, 6, 0x02, 22, 0x16, 20, 0x0a, 20, 0x1b, 40,
    ]
    .repeat(6);
    let claim = [
        0, 30, 0x22, 20, 0x34, 6, 0x02, 22, 0x00, 40, 0x22, 20, 0x24, 6, 0x20, 8,
    ]
    .repeat(6);
    let tool = [
        0, 40, 0x22, 20, 0x04, 6, 0x08, 6, 0x58, 6, 0x26, 6, 0x02, 22, 0x16, 30,
    ]
    .repeat(6);
    for _ in 0..ROUNDS {
        turn(&mutate(&mut rng, &[&talk, &guess, &claim, &tool]), base);
    }
}

#[test]
fn event_streams() {
    check(
        &[
            b"data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\ndata: [DONE]\n\n",
            b"\xef\xbb\xbf: x\r\ndata: a\r\rdata: b\ndata: c\n\nevent: error\r\ndata\r\n\r\n",
            b"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"b\",\"arguments\":\"{}\"}}]}}]}\n\n",
        ],
        sse,
    );
}

#[test]
fn replies() {
    check(
        &[
            "# T\n\n- **a** _b_ `c`\n1. d\n| e | f |\n|--|--|\n> g\n---\n".as_bytes(),
            "[x](y) ![z](w) [[d]] <think>h</think> <b>i</b> &amp; \\* [1]".as_bytes(),
            "NO_REPLY assistant: 👍🏽 a_b 2*3 ```\ncode\n``` HEARTBEAT_OK \u{202e}\u{7}".as_bytes(),
        ],
        tidy,
    );
}

#[test]
fn callers() {
    check(
        &[
            b"set a timer for one hour and a half called tea\ncancel the timers",
            b"what is twelve times seven divided by two percent of nine squared",
            b"count from minus three to a thousand\nroll nine dice\npick a number between 5 and 2",
            b"spell \nrepeat after me: x\nwhat time is it in tokyo\nmy name is x\nsay that again",
        ],
        demo,
    );
}
