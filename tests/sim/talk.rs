//! Conversations at the level of the turn machine alone: no sound, virtual time, and a caller, a detector, a
//! recogniser, an agent and a voice that do everything people and engines do. Thousands of them in the normal run.
//! `SIM_SEED=n` replays one, `SIM_RUNS=n` sets how many there are. Owns the settings of a run and what must have
//! happened in all of them together; the rules are in `books` and `words`.

mod agent;
mod books;
mod caller;
mod detector;
mod mouth;
mod words;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use agent_bridge::endpoint::{Strategy, WaitCurve};
use agent_bridge::turn::{Speculation, TurnConfig};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use books::Counts;
use world::World;

/// Conversations in the normal test run.
const RUNS: u64 = 2_000;

/// Mostly the defaults; now and then everything that an owner may set.
fn config(rng: &mut StdRng) -> TurnConfig {
    let mut config = TurnConfig::default();
    let mut rarely = |one_in: u32| rng.random_range(0..one_in) == 0;
    if rarely(10) {
        config.barge_in = false;
    }
    if rarely(10) {
        config.speculation.enabled = false;
    }
    if rarely(8) {
        config.speculation = Speculation {
            guesses_max: 20,
            tokens_wasted_max: 0,
            keep_ms: 600,
            ..Speculation::default()
        };
    }
    if rarely(8) {
        config.strategies = vec![Strategy::Prosody];
    }
    if rarely(8) {
        config.wait = WaitCurve {
            sure_ms: 90,
            unsure_ms: 120,
            unfinished_ms: 600,
            ..WaitCurve::default()
        };
    }
    if rarely(8) {
        config.filler_after_ms = 0;
    }
    if rarely(8) {
        config.idle_prompt_ms = 0;
    }
    if rarely(8) {
        config.failures_max = 1;
    }
    if rarely(12) {
        config.reply_chars_max = 30;
    }
    if rarely(12) {
        config.transcript_chars_max = 12;
    }
    if rarely(12) {
        config.utterance_ms_max = 1_200;
    }
    if rarely(8) {
        config.transcript_timeout_ms = 1_500;
    }
    if rarely(12) {
        config.phrases.goodbye = String::new();
    }
    config
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn converse(seed: u64, base: Instant) -> World {
    let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let config = config(&mut rng);
    World::new(base, config, rng)
}

#[test]
fn conversations_keep_their_promises() {
    let base = Instant::now();
    let seeds: Vec<u64> = match number("SIM_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SIM_RUNS").unwrap_or(RUNS)).collect(),
    };
    let mut sum = Counts::default();
    for seed in &seeds {
        let mut world = converse(*seed, base);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.run())) {
            eprintln!(
                "SIM_SEED={seed} replays this: {:?}\n{}",
                world.config(),
                world.story()
            );
            std::panic::resume_unwind(panic);
        }
        sum.add(&world.counts());
    }
    println!("{} conversations: {sum:#?}", seeds.len());
    // A simulator in which nothing happens proves nothing.
    if seeds.len() as u64 >= RUNS {
        for (kind, count) in sum.all() {
            assert!(*count > 0, "{kind} never happened");
        }
    }
}

/// The same seed gives the same conversation, step for step.
#[test]
fn a_conversation_replays() {
    let base = Instant::now();
    for seed in [3, 14, 159] {
        let run = || {
            let mut world = converse(seed, base);
            world.run();
            world.story()
        };
        assert_eq!(run(), run());
    }
}
