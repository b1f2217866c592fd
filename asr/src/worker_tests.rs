//! Tables for the queue, driven through scripted engines that wait at a gate.
use std::sync::mpsc;

use super::*;
use crate::fake::{FakeEngine, Gate, Line};

/// A worker with one engine that is busy with a job of caller 0 until the gate opens.
struct Bench {
    worker: Worker,
    gate: Gate,
    outcomes: mpsc::Receiver<(&'static str, String)>,
    tell: mpsc::Sender<(&'static str, String)>,
}

impl Bench {
    fn new(queue_max: usize, busy_with: Kind) -> Bench {
        let engine = FakeEngine::new(
            std::iter::once(Line::WaitThenSay("busy".to_owned()))
                .chain((0..20).map(|n| Line::Say(n.to_string()))),
        );
        let gate = engine.gate();
        let (tell, outcomes) = mpsc::channel();
        let worker =
            Worker::start(vec![Box::new(engine)], WorkerConfig { queue_max }).expect("starts");
        let bench = Bench {
            worker,
            gate,
            outcomes,
            tell,
        };
        assert!(bench.submit("busy", 0, busy_with).is_ok());
        bench.gate.wait_until_reached();
        bench
    }

    fn job(&self, name: &'static str, caller: u64, kind: Kind) -> Job {
        let tell = self.tell.clone();
        Job {
            caller,
            utterance: 1,
            kind,
            // Each name is a sound of its own.
            pcm: name.bytes().map(i16::from).collect(),
            cancelled: Arc::default(),
            done: Box::new(move |outcome| {
                let words = match outcome {
                    Ok(transcript) => transcript.text,
                    Err(error) => format!("{error:?}"),
                };
                // The bench may be gone by the time a shut down worker tells its last jobs.
                let _ = tell.send((name, words));
            }),
        }
    }

    fn submit(&self, name: &'static str, caller: u64, kind: Kind) -> Result<(), Job> {
        self.worker.submit(self.job(name, caller, kind))
    }

    /// Opens the gate, waits for all and gives the outcomes in order.
    fn finish(self, count: usize) -> Vec<(&'static str, String)> {
        self.gate.open();
        (0..count)
            .map(|_| self.outcomes.recv().expect("every job is told"))
            .collect()
    }
}

use Kind::{Final, Partial};

fn check(queue_max: usize, jobs: &[(&'static str, u64, Kind)], expected: &[(&str, &str)]) {
    let bench = Bench::new(queue_max, Final);
    let mut refused = Vec::new();
    for (name, caller, kind) in jobs {
        if bench.submit(name, *caller, *kind).is_err() {
            refused.push((*name, "handed back".to_owned()));
        }
    }
    assert!(bench.worker.depth() <= queue_max);
    let mut found = bench.finish(jobs.len() + 1 - refused.len());
    found.extend(refused);
    let found: Vec<(&str, &str)> = found.iter().map(|(n, w)| (*n, w.as_str())).collect();
    assert_eq!(found, expected, "{jobs:?}");
}

#[test]
fn order_and_bounds() {
    // Finals first, each kind in order of arrival.
    check(
        8,
        &[
            ("p1", 1, Partial),
            ("f2", 2, Final),
            ("p3", 3, Partial),
            ("f4", 4, Final),
        ],
        &[
            ("busy", "busy"),
            ("f2", "0"),
            ("f4", "1"),
            ("p1", "2"),
            ("p3", "3"),
        ],
    );
    // The newest partial of a caller takes the older one's place in the line.
    check(
        8,
        &[
            ("p1", 1, Partial),
            ("p2", 2, Partial),
            ("p1 again", 1, Partial),
        ],
        &[
            ("p1", "Superseded"),
            ("busy", "busy"),
            ("p1 again", "0"),
            ("p2", "1"),
        ],
    );
    // A final makes its caller's partial pointless.
    check(
        8,
        &[("p1", 1, Partial), ("f1", 1, Final)],
        &[("p1", "Superseded"), ("busy", "busy"), ("f1", "0")],
    );
    // Full: the oldest partial makes room for a final; a partial finds none.
    check(
        2,
        &[
            ("p1", 1, Partial),
            ("p2", 2, Partial),
            ("p3", 3, Partial),
            ("f4", 4, Final),
        ],
        &[
            ("p1", "Shed"),
            ("busy", "busy"),
            ("f4", "0"),
            ("p2", "1"),
            ("p3", "handed back"),
        ],
    );
    // Full of finals: the next one goes back to whoever submitted it.
    check(
        2,
        &[("f1", 1, Final), ("f2", 2, Final), ("f3", 3, Final)],
        &[
            ("busy", "busy"),
            ("f1", "0"),
            ("f2", "1"),
            ("f3", "handed back"),
        ],
    );
}

#[test]
fn a_final_stops_a_running_partial() {
    for caller in [0, 7] {
        let bench = Bench::new(4, Partial);
        assert!(bench.submit("f", caller, Final).is_ok());
        // The gate stays shut: only being stopped frees the engine.
        let found: Vec<_> = (0..2)
            .map(|_| bench.outcomes.recv().expect("told"))
            .collect();
        assert_eq!(
            found,
            [("busy", "Superseded".to_owned()), ("f", "0".to_owned())],
            "caller {caller}"
        );
    }
}

#[test]
fn a_partial_stops_nothing() {
    let bench = Bench::new(4, Partial);
    assert!(bench.submit("p", 7, Partial).is_ok());
    assert_eq!(
        bench.finish(2),
        [("busy", "busy".to_owned()), ("p", "0".to_owned())]
    );
}

#[test]
fn cancelled_jobs_are_not_worked_on_and_make_room() {
    let bench = Bench::new(1, Final);
    let job = bench.job("f1", 1, Final);
    let cancelled = Arc::clone(&job.cancelled);
    assert!(bench.worker.submit(job).is_ok());
    cancelled.store(true, Ordering::Relaxed);
    assert!(bench.submit("f2", 2, Final).is_ok());
    assert_eq!(
        bench.finish(3),
        [
            ("f1", "Cancelled".to_owned()),
            ("busy", "busy".to_owned()),
            ("f2", "0".to_owned())
        ]
    );
}

#[test]
fn shutting_down_tells_everyone() {
    let bench = Bench::new(4, Final);
    assert!(bench.submit("f1", 1, Final).is_ok());
    assert!(bench.submit("p2", 2, Partial).is_ok());
    let Bench {
        worker,
        outcomes,
        tell,
        ..
    } = bench;
    drop(tell);
    worker.shutdown();
    let mut told: Vec<_> = outcomes.iter().collect();
    told.sort();
    assert_eq!(
        told,
        ["busy", "f1", "p2"].map(|name| (name, "ShuttingDown".to_owned()))
    );
}

#[test]
fn a_panic_costs_one_job() {
    let engine = FakeEngine::new([
        Line::Panic,
        Line::Fail(AsrError::EngineFailed {
            reason: "scripted".to_owned(),
        }),
        Line::Say("still here".to_owned()),
    ]);
    let worker = Worker::start(vec![Box::new(engine)], WorkerConfig::default()).expect("starts");
    let (tell, outcomes) = mpsc::channel();
    let hear = |panic_in_done: bool| {
        let tell = tell.clone();
        let job = Job {
            caller: 1,
            utterance: 1,
            kind: Final,
            pcm: Arc::from([0; 320]),
            cancelled: Arc::default(),
            done: Box::new(move |outcome| {
                tell.send(outcome.map(|t| t.text)).expect("the test waits");
                assert!(!panic_in_done, "a panic in the owner's closure");
            }),
        };
        assert!(worker.submit(job).is_ok());
        outcomes.recv().expect("told")
    };
    assert_eq!(hear(false), Err(AsrError::EnginePanicked));
    assert!(matches!(hear(true), Err(AsrError::EngineFailed { .. })));
    assert_eq!(hear(false), Ok("still here".to_owned()));
}

#[test]
fn engines_are_warmed_and_needed() {
    assert_eq!(
        Worker::start(vec![], WorkerConfig::default()).err(),
        Some(AsrError::NoEngine)
    );
    let refusal = AsrError::ModelRefused {
        model: "m".to_owned(),
        reason: "r".to_owned(),
    };
    let engine = FakeEngine::refusing(refusal.clone());
    assert_eq!(
        Worker::start(vec![Box::new(engine)], WorkerConfig::default()).err(),
        Some(refusal)
    );
}
