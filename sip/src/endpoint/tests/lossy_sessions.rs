//! Sessions that change all the time over a bad network, many seeds: early media, calls without an offer, glare, refreshes.
//! In the end both sides hold the same two descriptions, each call ends once on each side, and nothing stays behind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::world::{Network, Side, World};
use crate::endpoint::{CallKey, CallParams, EndpointConfig, Event};
use crate::flow::Transport;

const BAD: Network = Network {
    loss: 15,
    duplicate: 10,
    delay_ms: (5, 400),
};

const WORSE: Network = Network {
    loss: 30,
    duplicate: 20,
    delay_ms: (5, 900),
};

#[derive(Debug, Clone, Copy)]
enum Act {
    Ring,
    Answer,
    AnswerReinvite,
    Acknowledge,
    Reoffer,
    Hangup,
}

/// The programs of both sides: what they do next, and when.
struct Programs {
    world: World,
    rng: StdRng,
    plans: BTreeMap<(Instant, u64), (Side, Act)>,
    planned: u64,
    heard: usize,
    calls: [Option<CallKey>; 2],
    /// The last `reoffer` of this side had no offer.
    asked: [bool; 2],
    versions: u32,
    late_offer: bool,
}

fn at(side: Side) -> usize {
    match side {
        Side::Server => 0,
        Side::Phone => 1,
    }
}

impl Programs {
    fn new(seed: u64, network: Network, transport: Transport) -> Programs {
        let config = EndpointConfig {
            session_expires_s: 90,
            ..EndpointConfig::default()
        };
        Programs {
            world: World::with_config(transport, network, seed, config),
            rng: StdRng::seed_from_u64(seed ^ 0x5345_5353),
            plans: BTreeMap::new(),
            planned: 0,
            heard: 0,
            calls: [None, None],
            asked: [false, false],
            versions: 0,
            late_offer: seed % 4 == 3,
        }
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.rng.next_u32() % bound
    }

    fn sdp(&mut self, side: Side) -> String {
        self.versions += 1;
        format!(
            "v=0\r\no={side:?} 1 {} IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
            self.versions
        )
    }

    fn plan(&mut self, after_ms: u32, side: Side, act: Act) {
        self.planned += 1;
        let when = self.world.now + Duration::from_millis(u64::from(after_ms));
        self.plans.insert((when, self.planned), (side, act));
    }

    fn hear(&mut self) {
        while let Some((side, event)) = self.world.events.get(self.heard).cloned() {
            self.heard += 1;
            match event {
                Event::IncomingCall { call, .. } => {
                    self.calls[at(side)] = Some(call);
                    let (rings, answers) = (self.below(800), self.below(6_000));
                    self.plan(rings, side, Act::Ring);
                    self.plan(answers + 500, side, Act::Answer);
                }
                Event::ReInvite { .. } => {
                    let thinks = self.below(3_000);
                    self.plan(thinks, side, Act::AnswerReinvite);
                }
                Event::CallProgress { sdp: Some(_), .. }
                | Event::CallAnswered {
                    answer: Some(_), ..
                } if self.late_offer => {
                    let thinks = self.below(2_000);
                    self.plan(thinks, side, Act::Acknowledge);
                }
                Event::ReofferAnswered {
                    result: Ok(Some(_)),
                    ..
                } if self.asked[at(side)] => {
                    self.asked[at(side)] = false;
                    let thinks = self.below(2_000);
                    self.plan(thinks, side, Act::Acknowledge);
                }
                _ => {}
            }
        }
    }

    /// What is out of place now is refused by the endpoint, and that is part of the test.
    fn act(&mut self, side: Side, act: Act) {
        let Some(call) = self.calls[at(side)] else {
            return;
        };
        let sdp = self.sdp(side);
        let dice = self.below(100);
        let done = self.world.act(side, |endpoint, now| match act {
            Act::Ring if dice < 70 => endpoint.provisional(now, call, 183, Some(sdp)),
            Act::Ring => endpoint.provisional(now, call, 180, None),
            Act::Answer => endpoint.answer(now, call, sdp),
            Act::AnswerReinvite if dice < 10 => endpoint.answer_reinvite(now, call, Err(488)),
            Act::AnswerReinvite => endpoint.answer_reinvite(now, call, Ok(sdp)),
            Act::Acknowledge => endpoint.acknowledge(now, call, sdp),
            Act::Reoffer => endpoint.reoffer(now, call, (dice < 80).then_some(sdp)),
            Act::Hangup => endpoint.hangup(now, call, None),
        });
        if let (Act::Reoffer, Ok(())) = (act, done) {
            self.asked[at(side)] = dice >= 80;
        }
    }

    fn run(&mut self, ms: u64) {
        let until = self.world.now + Duration::from_millis(ms);
        loop {
            self.hear();
            let next = self.plans.first_key_value().map(|((when, _), _)| *when);
            match next.filter(|when| *when <= until) {
                // Whatever the network does before that.
                Some(when) if !self.world.step(when) => {
                    self.world.now = self.world.now.max(when);
                    let (_, (side, act)) = self.plans.pop_first().expect("there is one");
                    self.act(side, act);
                }
                Some(_) => {}
                None if self.world.step(until) => {}
                None => break,
            }
        }
        self.world.now = until;
    }

    fn descriptions(&self, side: Side) -> Option<(Option<String>, Option<String>)> {
        let endpoint = match side {
            Side::Server => &self.world.server,
            Side::Phone => &self.world.phone,
        };
        let call = endpoint.calls.get(&self.calls[at(side)]?)?;
        call.is_live()
            .then(|| (call.local_sdp.clone(), call.remote_sdp.clone()))
    }

    fn ends(&self, side: Side) -> usize {
        let events = self.world.events.iter();
        let ends =
            events.filter(|(at, event)| *at == side && matches!(event, Event::CallEnded { .. }));
        ends.count()
    }
}

/// The number of calls that stood when all was quiet.
fn play(seeds: std::ops::Range<u64>, network: Network, transport: Transport) -> usize {
    let mut stood = 0;
    for seed in seeds {
        let mut programs = Programs::new(seed, network, transport);
        let offer = programs.sdp(Side::Phone);
        let params = CallParams {
            offer: (!programs.late_offer).then_some(offer),
            ..programs.world.call_params("100")
        };
        let key = programs
            .world
            .act(Side::Phone, |p, now| p.call(now, params));
        programs.calls[at(Side::Phone)] = Some(key);
        for _ in 0..12 {
            let (when, side) = (programs.below(60_000), programs.below(2));
            let side = [Side::Server, Side::Phone][side as usize];
            programs.plan(when, side, Act::Reoffer);
        }
        programs.run(60_000);
        programs.run(40_000);
        if let (Some(server), Some(phone)) = (
            programs.descriptions(Side::Server),
            programs.descriptions(Side::Phone),
        ) {
            stood += 1;
            let story = &programs.world.story;
            assert_eq!(server.0, phone.1, "seed {seed}: {story:#?}");
            assert_eq!(server.1, phone.0, "seed {seed}: {story:#?}");
            assert!(server.0.is_some() && server.1.is_some(), "seed {seed}");
        }
        let side = [Side::Server, Side::Phone][programs.below(2) as usize];
        programs.act(side, Act::Hangup);
        programs.run(250_000);
        assert_eq!(
            programs.ends(Side::Phone),
            1,
            "seed {seed}: {:#?}",
            programs.world.story
        );
        let came_in = usize::from(programs.calls[at(Side::Server)].is_some());
        assert_eq!(
            programs.ends(Side::Server),
            came_in,
            "seed {seed}: {:#?}",
            programs.world.story
        );
        programs.world.assert_empty();
    }
    stood
}

/// `SIM_SEED` plays one.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let one = std::env::var("SIM_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    one.map_or(0..count, |seed: u64| seed..seed + 1)
}

#[test]
fn both_sides_agree_over_a_bad_network() {
    let stood = play(seeds(150), BAD, Transport::Udp);
    assert!(stood * 10 >= seeds(150).count() * 9, "only {stood} stood");
}

#[test]
fn everything_ends_over_a_worse_network() {
    play(seeds(150), WORSE, Transport::Udp);
}

#[test]
fn both_sides_agree_over_tcp() {
    let stood = play(seeds(50), Network::GOOD, Transport::Tcp);
    assert_eq!(stood, seeds(50).count());
}
