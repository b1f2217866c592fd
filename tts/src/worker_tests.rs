//! Tests of the worker with scripted voices: order, fairness, cancelling, containment, bounds, cache.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::fake::{FakeEngine, Gate, Mishap, SAMPLES_PER_LETTER};

/// Callers from here are no calls.
const NOTES_FROM: u64 = 1_000;

/// What arrived: label of the job, and the chunk.
type Heard = (String, Chunk);

struct Line {
    worker: Worker,
    gate: Gate,
    spoken: Arc<Mutex<Vec<String>>>,
    tell: Sender<Heard>,
    heard: Receiver<Heard>,
}

/// A worker of one voice, which waits at "wait", panics at "panic", fails at "fail".
fn line(config: WorkerConfig) -> Line {
    let engine = FakeEngine::new()
        .with("wait", Mishap::Wait)
        .with("panic", Mishap::Panic)
        .with("fail", Mishap::Fail(failed()))
        .with("change", Mishap::Change)
        .with("drag", Mishap::Drag);
    let (gate, spoken) = (engine.gate(), engine.spoken());
    let worker = Worker::start(vec![Box::new(engine)], config).expect("a scripted voice warms");
    let (tell, heard) = channel();
    Line {
        worker,
        gate,
        spoken,
        tell,
        heard,
    }
}

fn failed() -> TtsError {
    TtsError::EngineFailed {
        reason: "the script says fail".to_owned(),
    }
}

impl Line {
    fn job(&self, caller: u64, reply: u32, clause: u32, text: &str) -> Job {
        let tell = self.tell.clone();
        let label = text.to_owned();
        Job {
            caller,
            reply,
            clause,
            is_note: caller >= NOTES_FROM,
            text: text.to_owned(),
            cancelled: Arc::default(),
            on: Box::new(move |chunk| drop(tell.send((label.clone(), chunk)))),
        }
    }

    fn say(&self, caller: u64, reply: u32, clause: u32, text: &str) -> Arc<AtomicBool> {
        let job = self.job(caller, reply, clause, text);
        let cancelled = Arc::clone(&job.cancelled);
        self.worker.submit(job).expect("there is room");
        cancelled
    }

    /// Keeps the voice busy until the gate opens.
    fn occupy(&self) {
        self.say(99, 0, 0, "wait");
        self.gate.wait_until_reached();
    }

    /// Lets the voice go on and waits until `count` jobs have ended; then what was spoken, in order.
    fn finish(&self, count: usize) -> Vec<String> {
        self.gate.open();
        let mut ends = 0;
        while ends < count {
            let (_, chunk) = self.heard.recv().expect("the worker lives");
            ends += usize::from(!matches!(chunk, Chunk::Audio { .. }));
        }
        self.spoken.lock().expect("no test panics here").clone()
    }

    /// All that is heard of the next job to end: samples, and how it ended.
    fn one(&self) -> (usize, Chunk) {
        let mut samples = 0;
        loop {
            match self.heard.recv().expect("the worker lives").1 {
                Chunk::Audio { pcm } => samples += pcm.len(),
                end => return (samples, end),
            }
        }
    }
}

#[test]
fn a_clause_is_heard_and_then_done() {
    let line = line(WorkerConfig::default());
    line.say(1, 0, 0, "seven letters");
    assert_eq!(line.one(), (13 * SAMPLES_PER_LETTER, Chunk::Done));
    // Nothing to say is done at once.
    line.say(1, 0, 1, "  🎉 ");
    assert_eq!(line.one(), (0, Chunk::Done));
}

#[test]
fn text_is_normalised_first() {
    let line = line(WorkerConfig::default());
    line.say(1, 0, 0, "**5 km**");
    assert_eq!(line.finish(1), ["five kilometers"]);
}

#[test]
fn who_waits_in_silence_comes_first_and_callers_take_turns() {
    /// Jobs as (caller, reply, clause, text), all queued while the voice is busy; the order they are spoken in.
    fn check(jobs: &[(u64, u32, u32, &str)], expected: &str) {
        let line = line(WorkerConfig::default());
        line.occupy();
        for (caller, reply, clause, text) in jobs {
            line.say(*caller, *reply, *clause, text);
        }
        let spoken = line.finish(jobs.len() + 1);
        assert_eq!(spoken[1..].join(" "), expected);
    }
    check(
        &[(1, 0, 0, "aa"), (1, 0, 1, "bb"), (1, 0, 2, "cc")],
        "aa bb cc",
    );
    // Clauses that arrive in the wrong order are spoken in the right one.
    check(
        &[(1, 0, 2, "cc"), (1, 0, 1, "bb"), (1, 0, 0, "aa")],
        "aa bb cc",
    );
    // The second caller's first clause overtakes the first caller's later ones.
    check(
        &[
            (1, 0, 0, "aa"),
            (1, 0, 1, "bb"),
            (1, 0, 2, "cc"),
            (2, 0, 0, "xx"),
            (2, 0, 1, "yy"),
        ],
        "aa xx bb yy cc",
    );
    // One caller's flood of replies does not hold up another.
    check(
        &[
            (1, 0, 0, "aa"),
            (1, 1, 0, "bb"),
            (1, 2, 0, "cc"),
            (2, 0, 0, "xx"),
        ],
        "aa xx bb cc",
    );
    // A voice note waits for all that calls have to say, new as it is.
    check(
        &[
            (1_001, 0, 0, "xx"),
            (1, 0, 0, "aa"),
            (1, 0, 1, "bb"),
            (1_002, 0, 0, "yy"),
            (1_001, 0, 1, "zz"),
            (1, 0, 2, "cc"),
        ],
        "aa bb cc xx yy zz",
    );
}

#[test]
fn clauses_of_a_reply_stay_in_order_with_many_voices() {
    let engines = (0..4).map(|_| Box::new(FakeEngine::new()) as _).collect();
    let worker = Worker::start(engines, WorkerConfig::default()).expect("scripted voices warm");
    let (tell, heard) = channel();
    for clause in 0..30 {
        for caller in 0..2 {
            let tell = tell.clone();
            let job = Job {
                caller,
                reply: 0,
                clause,
                is_note: false,
                text: format!("clause {}", "x".repeat(30 - clause as usize)),
                cancelled: Arc::default(),
                on: Box::new(move |chunk| drop(tell.send((caller, clause, chunk)))),
            };
            worker.submit(job).expect("there is room");
        }
    }
    let mut current = [0_u32; 2];
    while current != [30, 30] {
        let (caller, clause, chunk) = heard.recv().expect("the worker lives");
        assert_eq!(clause, current[caller as usize], "caller {caller}");
        if chunk == Chunk::Done {
            current[caller as usize] += 1;
        }
    }
}

#[test]
fn cancelled_jobs_hear_nothing_more() {
    let line = line(WorkerConfig::default());
    line.occupy();
    let queued = line.say(1, 0, 0, "queued");
    queued.store(true, Ordering::Relaxed);
    line.say(2, 0, 0, "other");
    assert_eq!(line.finish(2), ["wait", "other"]);

    // Cancelled by its own closure, in the middle.
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut job = line.job(3, 0, 0, "cancel me half way");
    job.cancelled = Arc::clone(&cancelled);
    let tell = line.tell.clone();
    job.on = Box::new(move |chunk| {
        cancelled.store(true, Ordering::Relaxed);
        drop(tell.send(("half".to_owned(), chunk)));
    });
    line.worker.submit(job).expect("there is room");
    line.say(3, 1, 0, "after");
    let (label, chunk) = line.heard.recv().expect("the worker lives");
    assert!(label == "half" && matches!(chunk, Chunk::Audio { .. }));
    assert_eq!(line.one(), (5 * SAMPLES_PER_LETTER, Chunk::Done));
}

#[test]
fn failures_and_panics_stay_with_their_job() {
    let line = line(WorkerConfig::default());
    line.say(1, 0, 0, "fail");
    assert_eq!(line.one(), (0, Chunk::Failed(failed())));
    line.say(1, 1, 0, "panic");
    assert_eq!(
        line.one(),
        (SAMPLES_PER_LETTER, Chunk::Failed(TtsError::EnginePanicked))
    );
    let mut job = line.job(1, 2, 0, "owner");
    job.on = Box::new(|_| panic!("the test says panic"));
    line.worker.submit(job).expect("there is room");
    line.say(1, 3, 0, "fine");
    assert_eq!(line.one(), (4 * SAMPLES_PER_LETTER, Chunk::Done));
}

#[test]
fn a_full_queue_hands_the_job_back() {
    let line = line(WorkerConfig {
        queue_max: 2,
        ..WorkerConfig::default()
    });
    line.occupy();
    let first = line.say(1, 0, 0, "one");
    line.say(2, 0, 0, "two");
    let back = line.worker.submit(line.job(3, 0, 0, "three")).err();
    assert_eq!(back.map(|job| job.text).as_deref(), Some("three"));
    assert_eq!(line.worker.depth(), 2);
    // A cancelled job gives its place.
    first.store(true, Ordering::Relaxed);
    line.say(3, 0, 0, "three");
    assert_eq!(line.finish(3), ["wait", "two", "three"]);
}

#[test]
fn what_was_said_before_is_not_made_again() {
    let line = line(WorkerConfig::default());
    line.say(1, 0, 0, "again");
    assert_eq!(line.one(), (5 * SAMPLES_PER_LETTER, Chunk::Done));
    line.say(2, 0, 0, "  **again** ");
    assert_eq!(line.one(), (5 * SAMPLES_PER_LETTER, Chunk::Done));
    assert_eq!(line.finish(0), ["again"]);
    // A voice that failed or was stopped half way is not kept.
    line.say(1, 1, 0, "panic");
    line.one();
    line.say(1, 2, 0, "panic");
    line.one();
    assert_eq!(line.finish(0), ["again", "panic", "panic"]);
}

#[test]
fn what_is_kept_bears_the_name_of_who_said_it() {
    let line = line(WorkerConfig::default());
    // The voice fails over in the middle: under its first name nothing is kept.
    line.say(1, 0, 0, "change");
    line.one();
    line.say(1, 1, 0, "change");
    line.one();
    assert_eq!(line.finish(0), ["change"]);
}

#[test]
fn a_voice_that_gives_nothing_ends_with_its_job() {
    let line = line(WorkerConfig::default());
    let cancelled = line.say(1, 0, 0, "drag");
    line.gate.wait_until_reached();
    cancelled.store(true, Ordering::Relaxed);
    line.say(1, 1, 0, "after");
    assert_eq!(line.one(), (5 * SAMPLES_PER_LETTER, Chunk::Done));
}

#[test]
fn prompts_are_made_when_there_is_nothing_else_to_do() {
    let line = line(WorkerConfig::default());
    line.occupy();
    line.worker
        .prefetch(&["prompt".to_owned(), "other".to_owned()]);
    line.say(1, 0, 0, "urgent");
    assert_eq!(line.finish(2)[..2], ["wait", "urgent"]);
    // Both prompts come before this one in the only voice's queue, or this one makes them: either way once each.
    line.say(1, 1, 0, "prompt");
    line.say(1, 2, 0, "other");
    let mut spoken = line.finish(2);
    spoken.sort();
    assert_eq!(spoken, ["other", "prompt", "urgent", "wait"]);
}

#[test]
fn a_breath_between_clauses_follows_the_punctuation() {
    for (first, pause_ms) in [
        ("aa.", 260),
        ("aa,", 120),
        ("aa", 40),
        ("aa!\"", 260),
        ("aa:", 180),
    ] {
        let line = line(WorkerConfig::default());
        line.say(1, 0, 0, first);
        line.one();
        line.say(1, 0, 1, "bb");
        let (samples, _) = line.one();
        assert_eq!(samples, 2 * SAMPLES_PER_LETTER + pause_ms * 16, "{first}");
        // Another reply starts at once.
        line.say(1, 1, 0, "bb");
        assert_eq!(line.one().0, 2 * SAMPLES_PER_LETTER);
    }
}

#[test]
fn closing_tells_every_job() {
    let line = line(WorkerConfig::default());
    line.occupy();
    line.say(1, 0, 0, "queued");
    let Line {
        worker,
        gate,
        heard,
        tell,
        ..
    } = line;
    drop(tell);
    // The waiting job is told before the running one can end.
    let closer = std::thread::spawn(move || worker.shutdown());
    let told = heard.recv().expect("a last word");
    assert_eq!(
        told,
        ("queued".to_owned(), Chunk::Failed(TtsError::ShuttingDown))
    );
    gate.open();
    let told = heard.recv().expect("a last word");
    assert_eq!(
        told,
        ("wait".to_owned(), Chunk::Failed(TtsError::ShuttingDown))
    );
    closer.join().expect("shutdown does not panic");
    assert!(heard.recv().is_err());
}

#[test]
fn a_worker_needs_a_voice_that_warms() {
    let none = Worker::start(Vec::new(), WorkerConfig::default());
    assert_eq!(none.err(), Some(TtsError::NoEngine));
    let cold = Worker::start(
        vec![Box::new(FakeEngine::refusing(failed()))],
        WorkerConfig::default(),
    );
    assert_eq!(cold.err(), Some(failed()));
}
