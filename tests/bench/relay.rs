//! What relaying costs, beside rtpengine in userspace: CPU seconds per stream-minute, added delay, memory per call, and how
//! many streams pass before the first loss. The two relays run as processes of their own and take turns in one run; the
//! load is one PCMU packet every 20 ms per stream, its arrival stamped by the kernel. A stream is one direction; a call
//! has two.
//!
//! `cargo bench --bench relay`; after `--`:
//!
//!     --calls 25,100,250   calls at once, one table row each (100)
//!     --seconds 10         measured time of a run, after 4 s to settle
//!     --rounds 5           runs per relay and load; medians are printed
//!     --first-loss         raise the load by --step percent (10) until a packet is lost, instead. Each relay has processor
//!                          0 and one thread, the generator processor 1; the search ends where the generator falls behind
//!     --threads 0          of each relay; 0 is one per core
//!     --interval-us 300    ours: how long a thread rests after a round
//!     --ours-only          no peer
//!     --nothing            also the generator alone, packets straight from sender to receiver
//!
//! Run all of it by `chrt -r 5` for delays that mean something on a machine with other work. Without rtpengine installed
//! the peer is left out by name.

#[path = "relay/generator.rs"]
mod generator;
#[path = "relay/ng.rs"]
mod ng;
#[path = "relay/servers.rs"]
mod servers;
#[path = "relay/wire.rs"]
mod wire;

use std::time::Duration;

use generator::{Flow, Load, Outcome, local_ports};
use servers::{Ours, Rtpengine, Server, Usage};

struct Options {
    calls: Vec<usize>,
    seconds: u64,
    rounds: usize,
    threads: usize,
    interval_us: u64,
    is_first_loss: bool,
    step_percent: usize,
    is_alone: bool,
    with_nothing: bool,
}

fn options() -> Options {
    let mut options = Options {
        calls: vec![100],
        seconds: 10,
        rounds: 5,
        threads: 0,
        interval_us: 300,
        is_first_loss: false,
        step_percent: 10,
        is_alone: false,
        with_nothing: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().unwrap_or_default();
            value
                .parse::<u64>()
                .unwrap_or_else(|_| panic!("{word} takes a number"))
        };
        match word.as_str() {
            "--calls" => {
                let list = words.next().unwrap_or_default();
                options.calls = list.split(',').filter_map(|n| n.parse().ok()).collect();
            }
            "--seconds" => options.seconds = number(),
            "--rounds" => options.rounds = number() as usize,
            "--threads" => options.threads = number() as usize,
            "--interval-us" => options.interval_us = number(),
            "--step" => options.step_percent = number().max(1) as usize,
            "--first-loss" => options.is_first_loss = true,
            "--ours-only" => options.is_alone = true,
            "--nothing" => options.with_nothing = true,
            // Of cargo.
            _ => {}
        }
    }
    options
}

/// One run of one relay.
struct Run {
    outcome: Outcome,
    cpu_s_per_stream_minute: f64,
    kib_per_call: f64,
}

fn run(server: &mut dyn Server, calls: usize, settle_s: u64, seconds: u64, batch: usize) -> Run {
    let before = server.usage();
    let mut flows = Vec::new();
    for call in 0..calls {
        let remote = server.call(local_ports(call));
        flows.extend([0, 1].map(|side| Flow {
            call,
            side,
            remote: remote[side],
        }));
    }
    let load = Load::open(flows, batch);
    let open = server.usage();
    let (mut start, mut end) = (Usage::default(), Usage::default());
    let (settle, measured) = (Duration::from_secs(settle_s), Duration::from_secs(seconds));
    let outcome = load.run(settle, measured, |is_end| {
        let usage = server.usage();
        if is_end { end = usage } else { start = usage }
    });
    server.clear();
    let stream_minutes = (2 * calls) as f64 * seconds as f64 / 60.0;
    Run {
        outcome,
        cpu_s_per_stream_minute: (end.cpu_s - start.cpu_s) / stream_minutes,
        kib_per_call: (end.resident_kib.max(open.resident_kib) - before.resident_kib)
            / calls as f64,
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn table(options: &Options, servers: &mut [Box<dyn Server>]) {
    println!(
        "| relay | streams | CPU s per stream-minute | delay p50 ms | p99 | lost | sender late p99 ms | KiB per call |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for &calls in &options.calls {
        let mut runs: Vec<Vec<Run>> = servers.iter().map(|_| Vec::new()).collect();
        for round in 0..options.rounds {
            for n in 0..servers.len() {
                // Each goes first in turn.
                let n = (n + round) % servers.len();
                let run = run(servers[n].as_mut(), calls, 4, options.seconds, 1);
                eprintln!(
                    "# {} {calls} calls: {:.4} s, p50 {:.3}, p99 {:.3} ms, lost {} of {}",
                    servers[n].name(),
                    run.cpu_s_per_stream_minute,
                    run.outcome.delay_ms(0.5),
                    run.outcome.delay_ms(0.99),
                    run.outcome.lost(),
                    run.outcome.sent,
                );
                runs[n].push(run);
            }
        }
        for (server, runs) in servers.iter().zip(&runs) {
            let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure));
            println!(
                "| {} | {} | {:.4} | {:.3} | {:.3} | {:.4} % | {:.3} | {:.0} |",
                server.name(),
                2 * calls,
                of(|run| run.cpu_s_per_stream_minute),
                of(|run| run.outcome.delay_ms(0.5)),
                of(|run| run.outcome.delay_ms(0.99)),
                of(|run| 100.0 * run.outcome.lost() as f64 / run.outcome.sent as f64),
                of(|run| run.outcome.late_ms(0.99)),
                // Memory of a first run serves the later ones.
                runs.iter().map(|run| run.kib_per_call).fold(0.0, f64::max),
            );
        }
        let of = |runs: &[Run]| median(runs.iter().map(|run| run.cpu_s_per_stream_minute));
        if let [ours, peer, ..] = runs.as_slice() {
            println!(
                "ours over rtpengine, {} streams: CPU {:.2} x",
                2 * calls,
                of(ours) / of(peer)
            );
        }
    }
}

/// A generator later than this is no even load any more.
const LATE_MS_MAX: f64 = 10.0;

/// The highest load without loss, for each relay.
fn first_loss(options: &Options, servers: &mut [Box<dyn Server>]) {
    let mut reached: Vec<Vec<f64>> = servers.iter().map(|_| Vec::new()).collect();
    let mut ends: Vec<Vec<String>> = servers.iter().map(|_| Vec::new()).collect();
    for round in 0..options.rounds {
        for n in 0..servers.len() {
            let n = (n + round) % servers.len();
            let mut calls = options.calls[0];
            let mut best = 0;
            let end = loop {
                if calls > CALLS_MAX {
                    break "no more ports".to_owned();
                }
                let run = run(servers[n].as_mut(), calls, 2, options.seconds, usize::MAX);
                let Outcome {
                    own_drops,
                    cpu_share,
                    ..
                } = run.outcome;
                let stream_minutes = (2 * calls) as f64 * options.seconds as f64 / 60.0;
                eprintln!(
                    "# {} {} streams: lost {} of {}, {:.0} % of a processor; generator {:.0} %, late p99 {:.3} ms, lost {own_drops} itself",
                    servers[n].name(),
                    2 * calls,
                    run.outcome.lost(),
                    run.outcome.sent,
                    100.0 * run.cpu_s_per_stream_minute * stream_minutes / options.seconds as f64,
                    100.0 * cpu_share,
                    run.outcome.late_ms(0.99),
                );
                if own_drops > 0 || run.outcome.late_ms(0.99) > LATE_MS_MAX {
                    break format!("the generator, at {}", 2 * calls);
                }
                if run.outcome.lost() > 0 {
                    break format!("{} lost at {}", run.outcome.lost(), 2 * calls);
                }
                best = 2 * calls;
                calls += calls * options.step_percent / 100;
            };
            reached[n].push(best as f64);
            ends[n].push(end);
        }
    }
    println!(
        "| relay | streams without loss, median of {} | runs | what ended them |",
        options.rounds
    );
    println!("| --- | --- | --- | --- |");
    for ((server, reached), ends) in servers.iter().zip(reached).zip(ends) {
        println!(
            "| {} | {} | {reached:?} | {} |",
            server.name(),
            median(reached.iter().copied()),
            ends.join("; ")
        );
    }
}

/// Both relays have ports for so many.
const CALLS_MAX: usize = 6_000;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return servers::serve();
    }
    let options = options();
    wire::raise_file_limit();
    let (threads, cpu) = match options.is_first_loss {
        true => {
            wire::run_on(1);
            (1, Some(0))
        }
        false => (options.threads, None),
    };
    let mut servers: Vec<Box<dyn Server>> =
        vec![Box::new(Ours::start(threads, options.interval_us, cpu))];
    if !options.is_alone {
        match Rtpengine::start(threads, cpu) {
            Ok(peer) => servers.push(Box::new(peer)),
            Err(why) => eprintln!("rtpengine is left out: {why}"),
        }
    }
    if options.with_nothing {
        servers.push(Box::new(servers::Nothing));
    }
    if options.is_first_loss {
        first_loss(&options, &mut servers);
    } else {
        table(&options, &mut servers);
    }
}
