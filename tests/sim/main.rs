//! Whole calls on virtual time: the program's own SIP endpoint and `Call` against a phone, over a seeded
//! network, with scripted engines and a scripted agent. `SIM_SEED=n` replays one run, `SIM_RUNS=n` sets
//! how many there are.

mod between;
mod edge;
mod ledger;
mod net;
mod phone;
mod scenario;
mod setup;
mod talk;
mod texts;
mod workers;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use net::Weather;
use offhook::config::Answerer;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use world::{Act, Outcome, Scenario, World};

/// Runs in the normal test run; nightly jobs set SIM_RUNS to thousands.
const RUNS: u64 = 60;
const BETWEEN_RUNS: u64 = 500;
const TEXT_RUNS: u64 = 20;

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
            let clip =
                media::file::read(&std::fs::read(path).expect("a clip")).expect("a wav file");
            media::resample::resample_clip(&clip.samples, clip.rate_hz, media::SAMPLE_RATE_HZ)
        })
        .collect()
}

fn scenario(seed: u64) -> Scenario {
    let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9));
    let weather = match rng.random_range(0..4) {
        0 => Weather {
            loss_percent: 0,
            duplicate_percent: 0,
            delay_ms: 1,
            jitter_ms: 0,
        },
        1 => Weather {
            loss_percent: 2,
            duplicate_percent: 1,
            delay_ms: 20,
            jitter_ms: 15,
        },
        2 => Weather {
            loss_percent: 10,
            duplicate_percent: 5,
            delay_ms: 60,
            jitter_ms: 40,
        },
        _ => Weather {
            loss_percent: 20,
            duplicate_percent: 2,
            delay_ms: 100,
            jitter_ms: 120,
        },
    };
    let talk = rng.random_range(5..60);
    let mut acts = Vec::new();
    for at in (1..talk).step_by(3) {
        let at = Duration::from_secs(at);
        match rng.random_range(0..12) {
            0 => acts.push((at, Act::Digit(char::from(b'0' + rng.random_range(0..10))))),
            1 => acts.push((at, Act::Stranger)),
            2 => acts.push((at, Act::Hold)),
            3 | 4 => acts.push((at, Act::Resume)),
            5 => acts.push((at, Act::Move)),
            6 if rng.random_range(0..8) == 0 => acts.push((at, Act::Vanish)),
            _ => {}
        }
    }
    let rings_s = if rng.random_range(0..4) == 0 {
        rng.random_range(1..20)
    } else {
        0
    };
    Scenario {
        weather,
        talk: Duration::from_secs(talk),
        answerer: if rng.random_range(0..10) == 0 {
            Answerer::Echo
        } else {
            Answerer::Agent
        },
        caller_ends: rng.random_bool(0.7),
        rings: Duration::from_secs(rings_s),
        patience: (rng.random_range(0..6) == 0)
            .then(|| Duration::from_millis(rng.random_range(500..12_000))),
        late_offer: rng.random_range(0..5) == 0,
        acts,
    }
}

#[test]
fn calls_keep_their_promises_in_any_weather() {
    let clips = clips();
    let seeds: Vec<u64> = match std::env::var("SIM_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        Some(seed) => vec![seed],
        None => {
            let runs = std::env::var("SIM_RUNS")
                .ok()
                .and_then(|runs| runs.parse().ok());
            (1..=runs.unwrap_or(RUNS)).collect()
        }
    };
    let mut sum = Outcome::default();
    let mut cancelled = 0;
    for seed in seeds.iter().copied() {
        let mut world = World::new(seed, scenario(seed), clips.clone());
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.run())) {
            eprintln!("SIM_SEED={seed} replays this: {:?}", scenario(seed));
            std::panic::resume_unwind(panic);
        }
        let outcome = &world.outcome;
        sum.turns += outcome.turns;
        sum.interrupted += outcome.interrupted;
        sum.frames_heard += outcome.frames_heard;
        sum.digits += outcome.digits;
        sum.strangers += outcome.strangers;
        sum.holds += outcome.holds;
        sum.moves += outcome.moves;
        sum.renegotiated += outcome.renegotiated;
        sum.hits += outcome.hits;
        sum.misses += outcome.misses;
        sum.guessed_tools += outcome.guessed_tools;
        sum.alarms += outcome.alarms;
        sum.recognised += outcome.recognised;
        sum.vanished |= outcome.vanished;
        cancelled += u32::from(outcome.cancelled);
    }
    println!("{} calls, {cancelled} cancelled: {sum:?}", seeds.len());
    // A simulator in which nothing happens proves nothing.
    let happened = [
        sum.turns,
        sum.interrupted,
        sum.digits,
        sum.strangers,
        sum.holds,
        sum.moves,
        sum.renegotiated,
        sum.hits,
        sum.misses,
        sum.guessed_tools,
        sum.alarms,
        u32::from(sum.recognised > 0),
        cancelled,
    ];
    assert!(
        seeds.len() < 50 || (happened.iter().all(|count| *count > 0) && sum.vanished),
        "{happened:?}"
    );
}

/// The same seed gives the same run, event for event.
/// Phones that call each other. `SIM_SEED` and `SIM_RUNS` count here, too.
#[test]
fn calls_between_phones_end_on_both_sides() {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("SIM_RUNS").unwrap_or(BETWEEN_RUNS),
    };
    let (mut failed, mut sum, mut runs) = (Vec::new(), [0; 8], 0);
    for seed in seeds {
        runs += 1;
        match catch_unwind(AssertUnwindSafe(|| between::run(seed))) {
            Ok(tally) => {
                let counts = [
                    tally.dialled,
                    tally.answered,
                    tally.talked,
                    tally.served,
                    tally.transfers,
                    tally.reoffers,
                    tally.restarts,
                    tally.transcoded,
                ];
                for (sum, count) in sum.iter_mut().zip(counts) {
                    *sum += count;
                }
            }
            Err(_) => failed.push(seed),
        }
    }
    println!("{runs} runs: {sum:?}");
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
    // A simulator in which nothing happens proves nothing.
    assert!(runs < 50 || sum.iter().all(|count| *count > 0), "{sum:?}");
}

#[test]
fn texts_are_answered_once_whatever_happens() {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("SIM_RUNS").unwrap_or(TEXT_RUNS),
    };
    let (mut kills, mut doubles) = (0, 0);
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| texts::run(seed))) {
            Ok((killed, doubled)) => {
                kills += killed;
                doubles += doubled;
            }
            Err(panic) => {
                eprintln!("SIM_SEED={seed} replays this");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!(
        "killed {kills} times; {doubles} messages were seen twice where no network could know them"
    );
    assert!(kills > 0);
}

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
