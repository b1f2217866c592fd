//! A seeded network between two hosts: loss, delay, jitter, duplication; reordering follows from jitter.
//! Owns packets in flight; knows nothing of what is in them.
//! PURE.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// How bad the network is.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub loss_percent: u32,
    pub duplicate_percent: u32,
    pub delay_ms: u64,
    pub jitter_ms: u64,
}

#[derive(Debug, Clone)]
pub struct Packet {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub data: Vec<u8>,
}

#[derive(Debug)]
pub struct Net {
    weather: Weather,
    rng: StdRng,
    /// Keyed by arrival and a counter, so that equal times keep their order.
    in_flight: BTreeMap<(Instant, u64), Packet>,
    counter: u64,
    pub lost: u64,
    pub delivered: u64,
}

/// More than this in flight means that somebody answers every answer.
const IN_FLIGHT_MAX: usize = 10_000;

impl Net {
    pub fn new(weather: Weather, seed: u64) -> Net {
        Net {
            weather,
            rng: StdRng::seed_from_u64(seed),
            in_flight: BTreeMap::new(),
            counter: 0,
            lost: 0,
            delivered: 0,
        }
    }

    pub fn send(&mut self, now: Instant, packet: Packet) {
        let copies = if self.percent(self.weather.duplicate_percent) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            if self.percent(self.weather.loss_percent) {
                self.lost += 1;
                continue;
            }
            let jitter = self.rng.random_range(0..=self.weather.jitter_ms);
            let at = now + Duration::from_millis(self.weather.delay_ms + jitter);
            self.counter += 1;
            self.in_flight.insert((at, self.counter), packet.clone());
        }
        assert!(
            self.in_flight.len() <= IN_FLIGHT_MAX,
            "the network overflows: an endless exchange"
        );
    }

    pub fn next(&self) -> Option<Instant> {
        self.in_flight.keys().next().map(|(at, _)| *at)
    }

    pub fn receive(&mut self, now: Instant) -> Option<Packet> {
        if self.next()? > now {
            return None;
        }
        self.delivered += 1;
        self.in_flight.pop_first().map(|(_, packet)| packet)
    }

    fn percent(&mut self, chance: u32) -> bool {
        self.rng.random_range(0..100) < chance
    }
}
