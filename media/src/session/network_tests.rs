//! Two sessions on virtual time that talk over a network with loss, delay, repetition and reordering.

use super::tests::{A, B, config, events, frames, ms, rms, sound, tone};
use super::*;
use crate::{FRAME_SAMPLES, SILENCE};
use rand::{Rng, RngExt};

/// Two sessions and a network between them that may lose, delay, repeat and so reorder datagrams.
struct Pair {
    start: Instant,
    sessions: [Session; 2],
    /// Arrival, receiving side, whether RTCP, datagram.
    flying: Vec<(Instant, usize, bool, Vec<u8>)>,
    seen: [Vec<Output>; 2],
    random: StdRng,
    loss: f64,
    repeats: f64,
    jitter_ms: u64,
}

impl Pair {
    fn new(seed: u8) -> Pair {
        let start = Instant::now();
        Pair {
            start,
            sessions: [
                Session::new(config(Some(B)), [seed; 32], start),
                Session::new(config(Some(A)), [seed ^ 0xff; 32], start),
            ],
            flying: Vec::new(),
            seen: [Vec::new(), Vec::new()],
            random: StdRng::from_seed([seed.wrapping_add(1); 32]),
            loss: 0.0,
            repeats: 0.0,
            jitter_ms: 0,
        }
    }

    fn collect(&mut self, side: usize, now: Instant) {
        while let Some(output) = self.sessions[side].poll_output() {
            let (is_rtcp, data) = match output {
                Output::Rtp { data, .. } => (false, data),
                Output::Rtcp { data, .. } => (true, data),
                other => {
                    self.seen[side].push(other);
                    continue;
                }
            };
            let copies = 1 + usize::from(self.random.random_bool(self.repeats));
            for _ in 0..copies {
                if self.random.random_bool(self.loss) {
                    continue;
                }
                let delay = 15 + self.random.next_u64() % (self.jitter_ms + 1);
                self.flying
                    .push((now + ms(delay), 1 - side, is_rtcp, data.clone()));
            }
        }
    }

    /// Both sides say 20 ms every 20 ms, as `speak` gives it.
    fn run(&mut self, length_ms: u64, mut speak: impl FnMut(usize, u64) -> Frame) {
        for at in 0..length_ms {
            let now = self.start + ms(at);
            let mut arrived: Vec<_> = Vec::new();
            self.flying.retain(|datagram| {
                let due = datagram.0 <= now;
                if due {
                    arrived.push(datagram.clone());
                }
                !due
            });
            for (_, side, is_rtcp, data) in arrived {
                let from = [B, A][side];
                let input = if is_rtcp {
                    Input::Rtcp { from, data: &data }
                } else {
                    Input::Rtp { from, data: &data }
                };
                self.sessions[side].handle(now, input);
                self.collect(side, now);
            }
            for side in 0..2 {
                while self.sessions[side]
                    .next_timeout()
                    .is_some_and(|due| due <= now)
                {
                    self.sessions[side].handle(now, Input::Timeout);
                    self.collect(side, now);
                }
                if at % 20 == 0 {
                    self.sessions[side].send_frame(now, &speak(side, at / 20));
                    self.collect(side, now);
                }
            }
        }
    }
}

#[test]
fn two_sessions_talk() {
    let mut pair = Pair::new(5);
    pair.run(12_000, |side, n| if side == 0 { tone(n) } else { SILENCE });
    let heard = sound(&pair.seen[1]);
    assert!((heard.len() / FRAME_SAMPLES).abs_diff(600) <= 3);
    let middle = rms(&heard[16_000..heard.len() - 16_000]);
    assert!((middle - 9_000.0 / 2f64.sqrt()).abs() < 100.0, "{middle}");
    assert!(rms(&sound(&pair.seen[0])) < 10.0);
    assert_eq!(events(&pair.seen[0]), [MediaEvent::FirstPacket { from: B }]);
    let stats = pair.sessions[0].stats();
    assert_eq!(
        (
            stats.packets_sent,
            stats.packets_lost,
            stats.frames_swallowed
        ),
        (600, 0, 0)
    );
    // Reports crossed: 15 ms each way.
    assert!(
        (stats.round_trip_ms.unwrap() - 30.0).abs() < 2.0,
        "{stats:?}"
    );
    assert_eq!(stats.remote_fraction_lost, Some(0.0));
}

#[test]
fn a_bad_network_neither_stops_nor_hurries_time() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        (pair.loss, pair.repeats, pair.jitter_ms) = (0.05, 0.05, 5 + u64::from(seed) * 3);
        pair.run(10_000, |side, n| if side == 0 { tone(n) } else { SILENCE });
        let stats = pair.sessions[1].stats();
        let heard = frames(&pair.seen[1]) as i64;
        let ahead = (crate::frame_clock::LEAD_MS_MAX / 20) + 1;
        assert!(
            (490..=500 + ahead).contains(&heard),
            "seed {seed}: {heard} frames, {stats:?}"
        );
        assert!(
            stats.packets_duplicate > 5 && stats.packets_expected > 480,
            "seed {seed}: {stats:?}"
        );
        // What came on time was heard: 5 % lost and some late is not half.
        assert!(
            (stats.frames_concealed as i64) < heard / 4,
            "seed {seed}: {stats:?}"
        );
    }
}
