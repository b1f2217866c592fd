//! Whole conversations over a bad network, many seeds: whatever is lost, doubled or overtaken, each side is told once
//! how its call ended, and nothing stays behind.

use super::world::{ANSWER, Network, PASSWORD, Side, World};
use crate::endpoint::Event;
use crate::flow::Transport;

const BAD: Network = Network {
    loss: 20,
    duplicate: 10,
    delay_ms: (5, 400),
};

fn seeds() -> std::ops::Range<u64> {
    match std::env::var("SIM_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        Some(seed) => seed..seed + 1,
        None => 0..150,
    }
}

fn ends(world: &World, side: Side) -> usize {
    let of_side = world.events.iter().filter(|(at, _)| *at == side);
    of_side
        .filter(|(_, event)| matches!(event, Event::CallEnded { .. }))
        .count()
}

#[test]
fn registrations_get_through() {
    let mut refused = 0;
    for seed in seeds() {
        let mut world = World::new(Transport::Udp, BAD, seed);
        let params = world.register_params("phone1", PASSWORD);
        world.act(Side::Phone, |p, now| p.register(now, params));
        world.run_until("Phone RegistrationResult");
        // Eleven tries at one fifth loss each way: what remains is the once-in-ten-thousand.
        refused += usize::from(
            world
                .story
                .last()
                .is_none_or(|line| !line.contains("Result Ok(")),
        );
        world.run_ms(100_000);
        assert!(world.server.stats().server_transactions == 0, "seed {seed}");
        let registered = world
            .events
            .iter()
            .filter(|(side, event)| {
                *side == Side::Server && matches!(event, Event::Registered { .. })
            })
            .count();
        assert!(registered <= 1, "seed {seed}: obeyed more than once");
        let bound = world.server.bindings("phone1", world.now);
        assert!(bound.len() <= 1, "seed {seed}");
    }
    assert!(refused <= 1, "{refused} refused");
}

#[test]
fn calls_end_once_on_both_sides() {
    let mut answered = 0;
    for seed in seeds() {
        let mut world = World::new(Transport::Udp, BAD, seed);
        world.dial("100");
        let until = world.now + std::time::Duration::from_secs(40);
        while !world
            .story
            .iter()
            .any(|line| line.starts_with("Server IncomingCall"))
        {
            if !world.step(until) {
                break;
            }
        }
        if world
            .story
            .iter()
            .any(|line| line.starts_with("Server IncomingCall"))
        {
            let call = world.incoming();
            // Three endings, by seed: hung up by either side, or left to the caller's cancel.
            if seed % 3 < 2 {
                let _ = world.act(Side::Server, |s, now| s.answer(now, call, ANSWER.into()));
                world.run_ms(8_000);
            }
            let (side, key) = match seed % 3 {
                0 => (Side::Server, call),
                _ => (Side::Phone, super::call_flows::phone_key(&world)),
            };
            let _ = world.act(side, |endpoint, now| endpoint.hangup(now, key, None));
        }
        world.run_ms(200_000);
        answered += usize::from(
            world
                .story
                .iter()
                .any(|line| line.starts_with("Phone CallAnswered")),
        );
        assert_eq!(
            ends(&world, Side::Phone),
            1,
            "seed {seed}: {:#?}",
            world.story
        );
        let came_in = world
            .story
            .iter()
            .filter(|line| line.starts_with("Server IncomingCall"))
            .count();
        assert_eq!(
            ends(&world, Side::Server),
            came_in,
            "seed {seed}: {:#?}",
            world.story
        );
        world.assert_empty();
    }
    assert!(answered * 2 > seeds().count(), "only {answered} answered");
}
