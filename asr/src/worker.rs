//! Engine threads shared by all calls, behind one bounded queue. Owns threads and order; not the engines' work, not
//! tokio: an answer is a plain closure, called on an engine thread or, for a job that lost its place, on the thread that
//! took the place.
//!
//! Order: finals before partials, each in order of arrival. A caller has at most one partial in the queue (latest wins),
//! and a final sweeps away the partials of its caller, because its audio contains theirs. Where every engine is busy and
//! one of them with a partial, a new final stops that partial.
//!
//! Full: cancelled jobs go first, then the oldest partial makes room for a final. A job that still finds no place is
//! handed back to its submitter, who decides; a final is never dropped silently.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::engine::{Engine, Kind, Options, Transcript};
use crate::error::AsrError;

/// Called once with the outcome of a job. It must return soon and must not block: it may run on the thread that calls
/// [`Worker::submit`].
pub type Done = Box<dyn FnOnce(Result<Transcript, AsrError>) + Send>;

/// One transcription to do.
pub struct Job {
    /// Whose it is; jobs of one caller replace each other.
    pub caller: u64,
    /// Number of the utterance within the call, growing.
    pub utterance: u32,
    /// Partial or final.
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
    fn is_partial_of(&self, caller: u64) -> bool {
        self.kind == Kind::Partial && self.caller == caller
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
#[derive(Debug, Clone)]
struct Running {
    caller: u64,
    kind: Kind,
    preempted: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Job>,
    /// One place per engine thread.
    running: Vec<Option<Running>>,
    closing: bool,
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
                    running: vec![None; engines.len()],
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
    /// that may not be dropped (or, for a partial, just full), or the worker is closing.
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

    /// Jobs waiting, not counting those being worked on.
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
    if let Some(place) = state
        .queue
        .iter()
        .position(|queued| queued.is_partial_of(job.caller))
    {
        if job.kind == Kind::Partial {
            // Latest wins, in the older one's place, so that a talkative caller cannot lose its turn.
            let older = std::mem::replace(&mut state.queue[place], job);
            losers.push((older, AsrError::Superseded));
            return Ok(());
        }
        if let Some(older) = state.queue.remove(place) {
            losers.push((older, AsrError::Superseded));
        }
    }
    if state.queue.len() >= queue_max {
        sweep_cancelled(&mut state.queue, losers);
    }
    if state.queue.len() >= queue_max {
        let oldest_partial = state
            .queue
            .iter()
            .position(|queued| queued.kind == Kind::Partial);
        match (job.kind, oldest_partial) {
            (Kind::Final, Some(place)) => {
                if let Some(shed) = state.queue.remove(place) {
                    losers.push((shed, AsrError::Shed));
                }
            }
            _ => return Err(job),
        }
    }
    match job.kind {
        Kind::Partial => state.queue.push_back(job),
        Kind::Final => {
            preempt(&state.running, job.caller);
            let after_finals = state
                .queue
                .iter()
                .position(|queued| queued.kind == Kind::Partial)
                .unwrap_or(state.queue.len());
            state.queue.insert(after_finals, job);
        }
    }
    Ok(())
}

fn sweep_cancelled(queue: &mut VecDeque<Job>, losers: &mut Vec<(Job, AsrError)>) {
    let (gone, kept): (VecDeque<Job>, VecDeque<Job>) = std::mem::take(queue)
        .into_iter()
        .partition(|queued| queued.cancelled.load(Ordering::Relaxed));
    *queue = kept;
    losers.extend(gone.into_iter().map(|job| (job, AsrError::Cancelled)));
}

/// Stops the running partial of `caller`, or any one partial where no engine is free.
fn preempt(running: &[Option<Running>], caller: u64) {
    let partials = || {
        running.iter().flatten().filter(|running| {
            running.kind == Kind::Partial && !running.preempted.load(Ordering::Relaxed)
        })
    };
    let own = partials().find(|running| running.caller == caller);
    let all_busy = running.iter().all(Option::is_some);
    if let Some(victim) = own.or_else(|| partials().next().filter(|_| all_busy)) {
        victim.preempted.store(true, Ordering::Relaxed);
    }
}

/// An engine thread: take, work, tell, until the worker closes.
fn run(shared: &Shared, place: usize, mut engine: Box<dyn Engine>) {
    while let Some((job, options)) = next(shared, place) {
        let outcome = match options.stop_reason() {
            Some(reason) => Err(reason),
            None => transcribe(engine.as_mut(), &job.pcm, &options),
        };
        let mut state = shared.lock();
        state.running[place] = None;
        let outcome = match outcome {
            Err(AsrError::Superseded) if state.closing => Err(AsrError::ShuttingDown),
            other => other,
        };
        drop(state);
        job.finish(outcome);
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
            let options = Options::new(job.kind, Arc::clone(&job.cancelled));
            state.running[place] = Some(Running {
                caller: job.caller,
                kind: job.kind,
                preempted: Arc::clone(&options.preempted),
            });
            return Some((job, options));
        }
        state = shared
            .work
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner);
    }
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
