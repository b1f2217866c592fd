//! Whole calls on virtual time: the program's own SIP endpoint and `Call` against a phone, over a seeded
//! network, with scripted engines and a scripted agent. `SIM_SEED=n` replays one run, `SIM_RUNS=n` sets
//! how many there are.

mod net;
mod workers;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use net::Weather;
use offhook::config::Answerer;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use world::{Scenario, World};

/// Runs in the normal test run; nightly jobs set SIM_RUNS to thousands.
const RUNS: u64 = 60;

fn clips() -> Vec<Vec<i16>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/speech");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the golden clips")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "wav"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
        .iter()
        .map(|path| {
            let clip = media::file::read(&std::fs::read(path).expect("a clip")).expect("a wav file");
            media::resample::resample_clip(&clip.samples, clip.rate_hz, media::SAMPLE_RATE_HZ)
        })
        .collect()
}

fn scenario(seed: u64) -> Scenario {
    let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9));
    let weather = match rng.random_range(0..4) {
        0 => Weather { loss_percent: 0, duplicate_percent: 0, delay_ms: 1, jitter_ms: 0 },
        1 => Weather { loss_percent: 2, duplicate_percent: 1, delay_ms: 20, jitter_ms: 15 },
        2 => Weather { loss_percent: 10, duplicate_percent: 5, delay_ms: 60, jitter_ms: 40 },
        _ => Weather { loss_percent: 20, duplicate_percent: 2, delay_ms: 100, jitter_ms: 120 },
    };
    Scenario {
        weather,
        talk: Duration::from_secs(rng.random_range(5..60)),
        answerer: if rng.random_range(0..10) == 0 { Answerer::Echo } else { Answerer::Agent },
        caller_ends: rng.random_bool(0.7),
    }
}

#[test]
fn calls_keep_their_promises_in_any_weather() {
    let clips = clips();
    let seeds: Vec<u64> = match std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => {
            let runs = std::env::var("SIM_RUNS").ok().and_then(|runs| runs.parse().ok());
            (1..=runs.unwrap_or(RUNS)).collect()
        }
    };
    let (mut turns, mut interrupted, mut frames) = (0, 0, 0);
    for seed in seeds.iter().copied() {
        let mut world = World::new(seed, scenario(seed), clips.clone());
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.run())) {
            eprintln!("SIM_SEED={seed} replays this: {:?}", scenario(seed));
            std::panic::resume_unwind(panic);
        }
        turns += world.outcome.turns;
        interrupted += world.outcome.interrupted;
        frames += world.outcome.frames_heard;
    }
    println!("{} calls, {turns} turns, {interrupted} interrupted, {frames} frames heard", seeds.len());
    // A simulator in which nobody talks proves nothing.
    assert!(seeds.len() == 1 || (turns > 20 && frames > 1000));
}

/// The same seed gives the same run, event for event.
#[test]
fn a_seed_replays() {
    let clips = clips();
    let run = || {
        let mut world = World::new(7, scenario(7), clips.clone());
        world.run();
        format!("{:?}", world.outcome)
    };
    assert_eq!(run(), run());
}
