//! Engine threads shared by all calls, behind one bounded queue. Owns threads and order; not the engines' work, not
//! tokio: an answer is a plain closure, called on an engine thread or, for a job that lost its place, on the thread that
//! took the place.
//!
//! Order: finals, then early jobs, then partials, then notes, each in order of arrival. A caller's newer job makes its older partials
//! and early jobs pointless, because its audio contains theirs: queued ones go, and a running one is stopped by an early
//! job or a final. A newer partial keeps the place in line of the one before, so that every caller gets its turn. Where
//! all engines are busy, an early job stops one note or partial, and a final one of these or an early job, of whomever.
//!
//! A job over the very sound that an engine is at work on for the same caller waits for that engine and is then given to
//! it, which need not decode again. Until then the running job counts as no less than the one that waits.
//!
//! Load: partials of all callers together take at most half of the engines' time. A caller's next partial is shed until
//! it has enough new sound for that, measured by what its last one cost and by how many callers had partials lately. So the
//! sound itself is the clock, and partials get rarer when engines are slow or callers many.
//!
//! Full: cancelled jobs go first, then the oldest note or partial makes room for an early job or a final, then the oldest early
//! job for a final. A job that still finds no place is handed back to its submitter, who decides; a final is never
//! dropped silently.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::engine::{Engine, Kind, Options, Transcript};
use crate::error::AsrError;
use crate::samples_to_ms;

/// Share of the engines' time that partials may take, in percent.
const PARTIALS_PERCENT_MAX: u64 = 50;
/// How many of the latest partials are remembered, to know who has any and what they cost.
const LATEST_PARTIALS_MAX: usize = 32;

/// Called once with the outcome of a job. It must return soon and must not block: it may run on the thread that calls
/// [`Worker::submit`].
pub type Done = Box<dyn FnOnce(Result<Transcript, AsrError>) + Send>;

/// One transcription to do.
pub struct Job {
    /// Whose it is; jobs of one caller replace each other.
    pub caller: u64,
    /// Number of the utterance within the call, growing.
    pub utterance: u32,
    /// What it is for.
    pub kind: Kind,
    /// Mono audio at [`SAMPLE_RATE_HZ`](crate::SAMPLE_RATE_HZ).
    pub pcm: Arc<[i16]>,
    /// Set by the submitter to stop the job, queued or running.
    pub cancelled: Arc<AtomicBool>,
    /// Told the outcome, exactly once, unless the job is handed back by [`Worker::submit`].
    pub done: Done,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("caller", &self.caller)
            .field("utterance", &self.utterance)
            .field("kind", &self.kind)
            .field("samples", &self.pcm.len())
            .finish_non_exhaustive()
    }
}

impl Job {
    /// True when a newer job of `caller` leaves nothing for this one to say.
    fn is_outdated_by(&self, caller: u64) -> bool {
        self.kind != Kind::Final && self.caller == caller
    }

    fn finish(self, outcome: Result<Transcript, AsrError>) {
        // A panic in the closure is its owner's fault and must not end the engine thread that all calls share.
        let done = self.done;
        let _ = catch_unwind(AssertUnwindSafe(|| done(outcome)));
    }
}

/// Bounds of a [`Worker`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerConfig {
    /// Most jobs waiting at a time, not counting those being worked on.
    pub queue_max: usize,
}

impl Default for WorkerConfig {
    fn default() -> WorkerConfig {
        WorkerConfig { queue_max: 32 }
    }
}

/// What an engine thread is busy with.
#[derive(Debug)]
struct Running {
    caller: u64,
    /// That of the job, or of the one that follows it where that is better.
    kind: Kind,
    pcm: Arc<[i16]>,
    cancelled: Arc<AtomicBool>,
    preempted: Arc<AtomicBool>,
    /// A job of the same caller over the same sound, next for this engine.
    follower: Option<Job>,
}

impl Running {
    fn is_stopping(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.preempted.load(Ordering::Relaxed)
    }

    /// Stops the job, and the one that waited for its outcome with it.
    fn stop(&mut self, losers: &mut Vec<(Job, AsrError)>) {
        self.preempted.store(true, Ordering::Relaxed);
        losers.extend(self.follower.take().map(|job| (job, AsrError::Superseded)));
    }
}

/// A partial that was decoded: whose, how long, at what cost.
#[derive(Debug, Clone, Copy)]
struct Look {
    caller: u64,
    /// 0 once its utterance is over.
    audio_ms: u32,
    decode_ms: u32,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Job>,
    /// One place per engine thread.
    running: Vec<Option<Running>>,
    /// The latest partials, oldest first.
    looks: VecDeque<Look>,
    closing: bool,
}

impl State {
    /// Remembers what a partial cost.
    fn note(&mut self, caller: u64, kind: Kind, samples: usize, decode_ms: u32) {
        if kind != Kind::Partial {
            return;
        }
        if self.looks.len() >= LATEST_PARTIALS_MAX {
            self.looks.pop_front();
        }
        self.looks.push_back(Look {
            caller,
            audio_ms: samples_to_ms(samples),
            decode_ms,
        });
    }

    /// After a final the caller's next partial has to be earned from nothing.
    fn end_utterance(&mut self, caller: u64) {
        for look in self.looks.iter_mut().filter(|look| look.caller == caller) {
            look.audio_ms = 0;
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    queue_max: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock; a poisoned one would still hold a consistent queue.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine threads and their queue. Dropping it is [`Worker::shutdown`].
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Worker {
    /// Warms each engine, then gives each a thread.
    ///
    /// Errors: what the first engine that cannot be warmed says; [`AsrError::NoEngine`]; [`AsrError::ThreadRefused`].
    pub fn start(
        mut engines: Vec<Box<dyn Engine>>,
        config: WorkerConfig,
    ) -> Result<Worker, AsrError> {
        if engines.is_empty() {
            return Err(AsrError::NoEngine);
        }
        for engine in &mut engines {
            catch_unwind(AssertUnwindSafe(|| engine.warm()))
                .unwrap_or(Err(AsrError::EnginePanicked))?;
        }
        let mut worker = Worker {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    running: engines.iter().map(|_| None).collect(),
                    ..State::default()
                }),
                work: Condvar::new(),
                queue_max: config.queue_max.max(1),
            }),
            threads: Vec::with_capacity(engines.len()),
        };
        for (place, engine) in engines.into_iter().enumerate() {
            let shared = Arc::clone(&worker.shared);
            let thread = std::thread::Builder::new()
                .name(format!("asr-{place}"))
                .spawn(move || run(&shared, place, engine))
                .map_err(|error| AsrError::ThreadRefused {
                    reason: error.to_string(),
                })?;
            worker.threads.push(thread);
        }
        Ok(worker)
    }

    /// Puts a job in its place in the queue. The error is the job itself, not told anything: the queue is full of work
    /// that may not be dropped for it, or the worker is closing. A partial that comes too soon after the one before is
    /// told [`AsrError::Shed`].
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        let mut state = self.shared.lock();
        if state.closing {
            return Err(job);
        }
        let mut losers: Vec<(Job, AsrError)> = Vec::new();
        let refused = admit(&mut state, job, self.shared.queue_max, &mut losers).err();
        drop(state);
        self.shared.work.notify_one();
        for (loser, reason) in losers {
            loser.finish(Err(reason));
        }
        refused.map_or(Ok(()), Err)
    }

    /// Jobs waiting, not counting those being worked on and those that wait for the outcome of one.
    pub fn depth(&self) -> usize {
        self.shared.lock().queue.len()
    }

    /// Takes no more jobs, stops the running ones, tells every one of them, and waits for the threads.
    pub fn shutdown(mut self) {
        self.close();
    }

    fn close(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        for running in state.running.iter().flatten() {
            running.preempted.store(true, Ordering::Relaxed);
        }
        let waiting = std::mem::take(&mut state.queue);
        drop(state);
        self.shared.work.notify_all();
        for job in waiting {
            job.finish(Err(AsrError::ShuttingDown));
        }
        for thread in self.threads.drain(..) {
            // The thread contains the engine's panics; one that escaped has nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.close();
    }
}

/// Finds a place for `job` by the rules at the top of this file. Jobs that lose theirs are put into `losers`.
fn admit(
    state: &mut State,
    job: Job,
    queue_max: usize,
    losers: &mut Vec<(Job, AsrError)>,
) -> Result<(), Job> {
    if job.kind == Kind::Partial && is_too_soon(state, &job) {
        losers.push((job, AsrError::Shed));
        return Ok(());
    }
    let Some(job) = follow(state, job, losers) else {
        return Ok(());
    };
    if job.kind == Kind::Partial
        && let Some(older) = state
            .queue
            .iter_mut()
            .find(|queued| queued.kind == Kind::Partial && queued.caller == job.caller)
    {
        losers.push((std::mem::replace(older, job), AsrError::Superseded));
        return Ok(());
    }
    let caller = job.caller;
    sweep(&mut state.queue, losers, &AsrError::Superseded, |queued| {
        queued.is_outdated_by(caller)
    });
    if state.queue.len() >= queue_max {
        sweep(&mut state.queue, losers, &AsrError::Cancelled, |queued| {
            queued.cancelled.load(Ordering::Relaxed)
        });
    }
    if state.queue.len() >= queue_max {
        let sheddable = state
            .queue
            .iter()
            .enumerate()
            .filter(|(_, queued)| rank(queued.kind) > rank(job.kind))
            // The worst, and of those the oldest.
            .min_by_key(|(place, queued)| (std::cmp::Reverse(rank(queued.kind)), *place))
            .map(|(place, _)| place);
        match sheddable.and_then(|place| state.queue.remove(place)) {
            Some(shed) => losers.push((shed, AsrError::Shed)),
            None => return Err(job),
        }
    }
    make_way(&mut state.running, &job, losers);
    if job.kind == Kind::Final {
        state.end_utterance(job.caller);
    }
    let place = state
        .queue
        .iter()
        .position(|queued| rank(queued.kind) > rank(job.kind))
        .unwrap_or(state.queue.len());
    state.queue.insert(place, job);
    Ok(())
}

/// Place in the order of kinds: what is lower goes first.
fn rank(kind: Kind) -> u8 {
    match kind {
        Kind::Final => 0,
        Kind::Early => 1,
        Kind::Partial => 2,
        Kind::Note => 3,
    }
}

/// True when partials would get more than their share of the engines by this one.
fn is_too_soon(state: &State, job: &Job) -> bool {
    let Some(last) = state
        .looks
        .iter()
        .rev()
        .find(|look| look.caller == job.caller)
    else {
        return false;
    };
    // Shorter than the one before: another utterance.
    let Some(new_ms) = samples_to_ms(job.pcm.len()).checked_sub(last.audio_ms) else {
        return false;
    };
    let callers = state
        .looks
        .iter()
        .enumerate()
        .filter(|(n, look)| {
            let mut later = state.looks.iter().skip(n + 1);
            !later.any(|later| later.caller == look.caller)
        })
        .count();
    let needed_ms = u64::from(last.decode_ms) * callers as u64 * 100
        / (PARTIALS_PERCENT_MAX * state.running.len().max(1) as u64);
    u64::from(new_ms) < needed_ms
}

/// Has `job` wait for the engine that is at work on the same sound, if there is one; else gives it back.
fn follow(state: &mut State, job: Job, losers: &mut Vec<(Job, AsrError)>) -> Option<Job> {
    let running = state.running.iter_mut().flatten().find(|running| {
        running.caller == job.caller && !running.is_stopping() && running.pcm == job.pcm
    });
    match running {
        Some(running)
            if running
                .follower
                .as_ref()
                .is_none_or(|older| older.is_outdated_by(job.caller)) =>
        {
            if rank(job.kind) < rank(running.kind) {
                running.kind = job.kind;
            }
            let (caller, kind) = (job.caller, job.kind);
            let older = running.follower.replace(job);
            losers.extend(older.map(|older| (older, AsrError::Superseded)));
            sweep(&mut state.queue, losers, &AsrError::Superseded, |queued| {
                queued.is_outdated_by(caller)
            });
            if kind == Kind::Final {
                state.end_utterance(caller);
            }
            None
        }
        _ => Some(job),
    }
}

/// Takes out of the queue what is `gone`, and says why.
fn sweep(
    queue: &mut VecDeque<Job>,
    losers: &mut Vec<(Job, AsrError)>,
    reason: &AsrError,
    gone: impl Fn(&Job) -> bool,
) {
    let (out, kept): (VecDeque<Job>, VecDeque<Job>) =
        std::mem::take(queue).into_iter().partition(gone);
    *queue = kept;
    losers.extend(out.into_iter().map(|job| (job, reason.clone())));
}

/// Stops what `job` makes pointless, or, where no engine is free, one job that matters less.
fn make_way(running: &mut [Option<Running>], job: &Job, losers: &mut Vec<(Job, AsrError)>) {
    if matches!(job.kind, Kind::Partial | Kind::Note) {
        return;
    }
    let all_busy = running.iter().all(Option::is_some);
    let mut stoppable: Vec<&mut Running> = running
        .iter_mut()
        .flatten()
        .filter(|running| running.kind != Kind::Final && !running.is_stopping())
        .collect();
    if let Some(own) = stoppable
        .iter_mut()
        .find(|running| running.caller == job.caller)
    {
        own.stop(losers);
    } else if all_busy
        && let Some(victim) = stoppable
            .into_iter()
            .filter(|running| rank(running.kind) > rank(job.kind))
            .max_by_key(|running| rank(running.kind))
    {
        victim.stop(losers);
    }
}

/// An engine thread: take, work, tell, until the worker closes.
fn run(shared: &Shared, place: usize, mut engine: Box<dyn Engine>) {
    let mut following = None;
    while let Some((job, options)) = following.take().or_else(|| next(shared, place)) {
        let outcome = match options.stop_reason() {
            Some(reason) => Err(reason),
            None => transcribe(engine.as_mut(), &job.pcm, &options),
        };
        let mut state = shared.lock();
        let ended = state.running[place].take();
        let follower = ended.and_then(|running| running.follower);
        if let Ok(transcript) = &outcome {
            state.note(job.caller, job.kind, job.pcm.len(), transcript.decode_ms);
        }
        let outcome = match outcome {
            Err(AsrError::Superseded) if state.closing => Err(AsrError::ShuttingDown),
            other => other,
        };
        let mut untold = None;
        if state.closing {
            untold = follower;
        } else {
            following = follower.map(|follower| begin(&mut state, place, follower));
        }
        drop(state);
        job.finish(outcome);
        if let Some(job) = untold {
            job.finish(Err(AsrError::ShuttingDown));
        }
    }
}

/// Waits for a job and marks this engine busy with it. None when the worker closes.
fn next(shared: &Shared, place: usize) -> Option<(Job, Options)> {
    let mut state = shared.lock();
    loop {
        if state.closing {
            return None;
        }
        if let Some(job) = state.queue.pop_front() {
            return Some(begin(&mut state, place, job));
        }
        state = shared
            .work
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

fn begin(state: &mut State, place: usize, job: Job) -> (Job, Options) {
    let options = Options::new(job.kind, Arc::clone(&job.cancelled));
    state.running[place] = Some(Running {
        caller: job.caller,
        kind: job.kind,
        pcm: Arc::clone(&job.pcm),
        cancelled: Arc::clone(&job.cancelled),
        preempted: Arc::clone(&options.preempted),
        follower: None,
    });
    (job, options)
}

fn transcribe(
    engine: &mut dyn Engine,
    pcm: &[i16],
    options: &Options,
) -> Result<Transcript, AsrError> {
    let outcome = catch_unwind(AssertUnwindSafe(|| engine.transcribe(pcm, options)));
    outcome.unwrap_or_else(|_| {
        // Back to a known state. An engine that cannot do even that fails its next job too, and says so there.
        let _ = catch_unwind(AssertUnwindSafe(|| engine.warm()));
        Err(AsrError::EnginePanicked)
    })
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
