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

    /// A job over the sound of another name.
    fn submit_over(&self, sound: &str, name: &'static str, caller: u64, kind: Kind) {
        let mut job = self.job(name, caller, kind);
        job.pcm = sound.bytes().map(i16::from).collect();
        assert!(self.worker.submit(job).is_ok());
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

use Kind::{Early, Final, Note, Partial};

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
    // Early jobs go between the two, and leave their caller's partials nothing to say; so do partials that come later.
    check(
        8,
        &[
            ("p1", 1, Partial),
            ("p2", 2, Partial),
            ("e1", 1, Early),
            ("e3", 3, Early),
            ("p3", 3, Partial),
            ("e4", 4, Early),
            ("e4 again", 4, Early),
            ("f5", 5, Final),
        ],
        &[
            ("p1", "Superseded"),
            ("e3", "Superseded"),
            ("e4", "Superseded"),
            ("busy", "busy"),
            ("f5", "0"),
            ("e1", "1"),
            ("e4 again", "2"),
            ("p2", "3"),
            ("p3", "4"),
        ],
    );
    // Full: partials make room for early jobs, and early jobs for finals.
    check(
        2,
        &[
            ("e1", 1, Early),
            ("p2", 2, Partial),
            ("e3", 3, Early),
            ("e4", 4, Early),
            ("f5", 5, Final),
        ],
        &[
            ("p2", "Shed"),
            ("e1", "Shed"),
            ("busy", "busy"),
            ("f5", "0"),
            ("e3", "1"),
            ("e4", "handed back"),
        ],
    );
    // Notes wait for everything else, and make room for it.
    check(
        3,
        &[
            ("n1", 1, Note),
            ("n2", 2, Note),
            ("p3", 3, Partial),
            ("f4", 4, Final),
            ("n5", 5, Note),
        ],
        &[
            ("n1", "Shed"),
            ("busy", "busy"),
            ("f4", "0"),
            ("p3", "1"),
            ("n2", "2"),
            ("n5", "handed back"),
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
fn what_stops_a_running_job() {
    for (running, caller, kind, stops) in [
        (Partial, 0, Final, true),
        (Partial, 7, Final, true),
        (Partial, 0, Early, true),
        (Partial, 7, Early, true),
        (Early, 0, Final, true),
        (Early, 7, Final, true),
        // An early job outdates the one before, but not another caller's.
        (Early, 0, Early, true),
        (Early, 7, Early, false),
        (Partial, 0, Partial, false),
        (Partial, 7, Partial, false),
        (Early, 0, Partial, false),
        (Note, 7, Final, true),
        (Note, 7, Early, true),
        (Note, 7, Partial, false),
        (Note, 7, Note, false),
        (Early, 7, Note, false),
        (Final, 0, Final, false),
        (Final, 7, Final, false),
    ] {
        let bench = Bench::new(4, running);
        assert!(bench.submit("new", caller, kind).is_ok());
        let found = if stops {
            // The gate stays shut: only being stopped frees the engine.
            (0..2)
                .map(|_| bench.outcomes.recv().expect("told"))
                .collect()
        } else {
            bench.finish(2)
        };
        let first = if stops { "Superseded" } else { "busy" };
        assert_eq!(
            found,
            [("busy", first.to_owned()), ("new", "0".to_owned())],
            "{kind:?} of {caller} while {running:?} runs"
        );
    }
}

#[test]
fn the_same_sound_waits_for_its_engine() {
    // The final follows the partial at work on its sound; until then nobody else may stop that one.
    let bench = Bench::new(4, Partial);
    bench.submit_over("busy", "e0", 0, Early);
    bench.submit_over("busy", "f0", 0, Final);
    assert!(bench.submit("f7", 7, Final).is_ok());
    assert_eq!(bench.worker.depth(), 1);
    // The same sound from another caller is another job.
    bench.submit_over("busy", "p8", 8, Partial);
    assert_eq!(
        bench.finish(5),
        [
            ("e0", "Superseded"),
            ("busy", "busy"),
            ("f0", "0"),
            ("f7", "1"),
            ("p8", "2")
        ]
        .map(|(name, words)| (name, words.to_owned()))
    );

    // What follows goes with the job it waits for, where something newer stops that one.
    let bench = Bench::new(4, Partial);
    bench.submit_over("busy", "e0", 0, Early);
    assert!(bench.submit("e0 newer", 0, Early).is_ok());
    let mut found: Vec<_> = (0..3)
        .map(|_| bench.outcomes.recv().expect("told"))
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            ("busy", "Superseded"),
            ("e0", "Superseded"),
            ("e0 newer", "0")
        ]
        .map(|(name, words)| (name, words.to_owned()))
    );

    // A final over the sound of a stopped job is worked on all the same.
    let bench = Bench::new(4, Partial);
    assert!(bench.submit("e0", 0, Early).is_ok());
    bench.submit_over("busy", "f0", 0, Final);
    let mut found: Vec<_> = (0..3)
        .map(|_| bench.outcomes.recv().expect("told"))
        .map(|(name, _)| name)
        .collect();
    found.sort_unstable();
    assert_eq!(found, ["busy", "e0", "f0"]);

    // Shutting down tells it too.
    let bench = Bench::new(4, Partial);
    bench.submit_over("busy", "f0", 0, Final);
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
        ["busy", "f0"].map(|name| (name, "ShuttingDown".to_owned()))
    );
}

#[test]
fn partials_come_no_sooner_than_their_share_allows() {
    let engine = FakeEngine::saying(&["x"; 20]).claiming(100);
    let worker = Worker::start(vec![Box::new(engine)], WorkerConfig::default()).expect("starts");
    let (tell, outcomes) = mpsc::channel();
    for (caller, kind, audio_ms, is_heard) in [
        (1, Partial, 500, true),
        // 100 ms of work at half of the time: 200 ms of new sound.
        (1, Partial, 600, false),
        (1, Partial, 699, false),
        (1, Partial, 700, true),
        // Early jobs and finals need none.
        (1, Early, 720, true),
        // Two callers: twice as much.
        (2, Partial, 500, true),
        (1, Partial, 1_000, false),
        (1, Partial, 1_100, true),
        (2, Partial, 600, false),
        (2, Final, 650, true),
        // What comes after a final has to be earned from nothing.
        (2, Partial, 399, false),
        (2, Partial, 400, true),
        // Shorter than before: another utterance.
        (1, Partial, 300, true),
    ] {
        let tell = tell.clone();
        let job = Job {
            caller,
            utterance: 1,
            kind,
            pcm: vec![0; audio_ms * 16].into(),
            cancelled: Arc::default(),
            done: Box::new(move |outcome| {
                tell.send(outcome.map(drop)).expect("the test waits");
            }),
        };
        assert!(worker.submit(job).is_ok());
        let expected = if is_heard {
            Ok(())
        } else {
            Err(AsrError::Shed)
        };
        assert_eq!(
            outcomes.recv().expect("told"),
            expected,
            "{kind:?} of {caller} at {audio_ms} ms"
        );
    }
}

/// One engine and many talkers, on counted time: nobody's partials starve, finals wait for finals only.
#[test]
fn many_talkers_share_an_engine_that_is_too_slow() {
    const CALLERS: u64 = 6;
    const DECODE_MS: u64 = 300;
    const TURN_MS: u64 = 6_000;
    let mut state = State {
        running: vec![None],
        ..State::default()
    };
    let mut looks = [0_u64; CALLERS as usize];
    let (mut partials_ms, mut finals, mut worst_wait_ms) = (0, 0, 0);
    let mut ends: Option<(u64, Job)> = None;
    let mut due = VecDeque::new();
    let end_ms = 60_000;
    for now_ms in 0..end_ms {
        for caller in 0..CALLERS {
            // Talkers begin one after the other, each with a final every six seconds.
            let said_ms = (now_ms + TURN_MS - caller * 700) % TURN_MS;
            let kind = match said_ms {
                0 => Final,
                _ if said_ms.is_multiple_of(500) => Partial,
                _ => continue,
            };
            if kind == Final {
                due.push_back((caller, now_ms));
            }
            let length_ms = if said_ms == 0 { TURN_MS } else { said_ms } as usize;
            let job = Job {
                caller,
                utterance: 1,
                kind,
                pcm: vec![0; length_ms * 16].into(),
                cancelled: Arc::default(),
                done: Box::new(drop),
            };
            let mut losers = Vec::new();
            assert!(admit(&mut state, job, 32, &mut losers).is_ok());
            assert!(losers.iter().all(|(job, _)| job.kind == Partial));
        }
        // A stopped job ends at once, as far as this clock can tell.
        let stopped = state.running[0].as_ref().is_some_and(Running::is_stopping);
        if let Some((_, job)) = ends.take_if(|(at_ms, _)| *at_ms == now_ms || stopped) {
            state.running[0] = None;
            if job.kind == Final {
                finals += 1;
            } else if !stopped {
                looks[job.caller as usize] += 1;
                state.note(job.caller, job.kind, job.pcm.len(), DECODE_MS as u32);
            }
        }
        if ends.is_none()
            && let Some(job) = state.queue.pop_front()
        {
            if job.kind == Final {
                let (caller, since_ms) = due.pop_front().expect("finals were asked for");
                assert_eq!(caller, job.caller);
                worst_wait_ms = worst_wait_ms.max(now_ms - since_ms);
            }
            let (job, _) = begin(&mut state, 0, job);
            ends = Some((now_ms + DECODE_MS, job));
        }
        partials_ms += u64::from(ends.as_ref().is_some_and(|(_, job)| job.kind == Partial));
    }
    assert!(finals >= CALLERS * (end_ms / TURN_MS - 1), "{finals}");
    // Finals of different callers come 700 ms apart, and one takes 300 ms.
    assert_eq!(worst_wait_ms, 0);
    assert!(partials_ms * 2 <= end_ms, "{partials_ms}");
    let (least, most) = (looks.iter().min(), looks.iter().max());
    assert!(
        least.is_some_and(|least| *least >= 8 && most.is_some_and(|most| most <= &(2 * least))),
        "{looks:?}"
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
