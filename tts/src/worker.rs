//! Engine threads shared by all calls, behind one bounded queue. Owns threads and order; not the voices, not tokio: audio
//! goes out through a plain closure, called on an engine thread.
//!
//! Order: clauses of one reply one after the other, whatever the number of engines. Calls before everything that is no
//! call; then first clauses before later ones, because somebody waits in silence; between equals the caller served longest
//! ago. Prompts for the cache last.
//!
//! Full: cancelled jobs go first; a job that still finds no place is handed back to its submitter, who decides.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::SAMPLE_RATE_HZ;
use crate::cache::{Cache, Key};
use crate::engine::Engine;
use crate::error::TtsError;
use crate::text;

/// What a job hears back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// More sound: mono at [`SAMPLE_RATE_HZ`].
    Audio {
        /// The samples, at least one.
        pcm: Vec<i16>,
    },
    /// All of the clause has been given.
    Done,
    /// The clause ends here for this reason; what came before can be played.
    Failed(TtsError),
}

/// Called on an engine thread. It must return soon and must not block.
pub type OnChunk = Box<dyn FnMut(Chunk) + Send>;

/// One clause to speak.
pub struct Job {
    /// Whose it is; callers are served in turn.
    pub caller: u64,
    /// Which reply of that caller it belongs to.
    pub reply: u32,
    /// Its place in the reply, from 0.
    pub clause: u32,
    /// A voice note, a file, another program: behind every call.
    pub is_note: bool,
    /// As written; the worker normalises it.
    pub text: String,
    /// Set by the submitter to stop the job, queued or running. It then hears nothing more.
    pub cancelled: Arc<AtomicBool>,
    /// Told the audio, then exactly one `Done` or `Failed`, unless cancelled or handed back by [`Worker::submit`].
    pub on: OnChunk,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("caller", &self.caller)
            .field("reply", &self.reply)
            .field("clause", &self.clause)
            .field("text_bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

impl Job {
    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn stream(&self) -> (u64, u32) {
        (self.caller, self.reply)
    }

    /// Whether the closure took it. A panic there is its owner's fault and must not end the thread all calls share.
    fn tell(&mut self, chunk: Chunk) -> ControlFlow<()> {
        if self.is_cancelled() {
            return ControlFlow::Break(());
        }
        match catch_unwind(AssertUnwindSafe(|| (self.on)(chunk))) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => {
                self.cancelled.store(true, Ordering::Relaxed);
                ControlFlow::Break(())
            }
        }
    }
}

/// Bounds of a [`Worker`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerConfig {
    /// Most jobs waiting at a time, not counting those being spoken.
    pub queue_max: usize,
    /// Most bytes of sound kept for when the same is said again. 0 keeps none.
    pub cache_bytes_max: usize,
}

impl Default for WorkerConfig {
    fn default() -> WorkerConfig {
        WorkerConfig {
            queue_max: 64,
            // Eight minutes of speech.
            cache_bytes_max: 16 << 20,
        }
    }
}

/// Most prompts waiting to be made; more are dropped, and made when they are first said.
const PROMPTS_MAX: usize = 128;
/// Most replies whose last punctuation is remembered, and callers whose turn is; the oldest goes.
const REMEMBERED_MAX: usize = 128;

struct State {
    queue: VecDeque<Job>,
    prompts: VecDeque<String>,
    /// The reply each engine is speaking.
    running: Vec<Option<(u64, u32)>>,
    /// When each caller was last served, counted in jobs.
    served: BTreeMap<u64, u64>,
    jobs_taken: u64,
    /// Silence due before the next clause of a reply.
    pauses: VecDeque<((u64, u32), usize)>,
    cache: Cache,
    closing: bool,
}

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
pub struct Worker {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("engines", &self.threads.len())
            .field("depth", &self.depth())
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// Warms each engine, then gives each a thread.
    ///
    /// Errors: what the first engine that cannot be warmed says; [`TtsError::NoEngine`]; [`TtsError::ThreadRefused`].
    pub fn start(
        mut engines: Vec<Box<dyn Engine>>,
        config: WorkerConfig,
    ) -> Result<Worker, TtsError> {
        if engines.is_empty() {
            return Err(TtsError::NoEngine);
        }
        for engine in &mut engines {
            catch_unwind(AssertUnwindSafe(|| engine.warm()))
                .unwrap_or(Err(TtsError::EnginePanicked))?;
        }
        let mut worker = Worker {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    queue: VecDeque::new(),
                    prompts: VecDeque::new(),
                    running: vec![None; engines.len()],
                    served: BTreeMap::new(),
                    jobs_taken: 0,
                    pauses: VecDeque::new(),
                    cache: Cache::new(config.cache_bytes_max),
                    closing: false,
                }),
                work: Condvar::new(),
                queue_max: config.queue_max.max(1),
            }),
            threads: Vec::with_capacity(engines.len()),
        };
        for (place, engine) in engines.into_iter().enumerate() {
            let shared = Arc::clone(&worker.shared);
            let thread = std::thread::Builder::new()
                .name(format!("tts-{place}"))
                .spawn(move || run(&shared, place, engine))
                .map_err(|error| TtsError::ThreadRefused {
                    reason: error.to_string(),
                })?;
            worker.threads.push(thread);
        }
        Ok(worker)
    }

    /// Queues a job. The error is the job itself, not told anything: the queue is full, or the worker is closing.
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        let mut state = self.shared.lock();
        if state.queue.len() >= self.shared.queue_max {
            state.queue.retain(|queued| !queued.is_cancelled());
        }
        if state.closing || state.queue.len() >= self.shared.queue_max {
            return Err(job);
        }
        state.queue.push_back(job);
        drop(state);
        // All of them: the one woken may find that this job has to wait for another engine's clause.
        self.shared.work.notify_all();
        Ok(())
    }

    /// Makes the sound of fixed texts when there is nothing else to do, so that it is there when they are said.
    pub fn prefetch(&self, texts: &[String]) {
        let mut state = self.shared.lock();
        let room = PROMPTS_MAX.saturating_sub(state.prompts.len());
        state.prompts.extend(texts.iter().take(room).cloned());
        drop(state);
        self.shared.work.notify_all();
    }

    /// Jobs waiting, not counting those being spoken.
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
        state.prompts.clear();
        let waiting = std::mem::take(&mut state.queue);
        drop(state);
        self.shared.work.notify_all();
        for mut job in waiting {
            let _ = job.tell(Chunk::Failed(TtsError::ShuttingDown));
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

enum Work {
    Speak(Job),
    Prompt(String),
}

/// An engine thread: take, work, tell, until the worker closes.
fn run(shared: &Shared, place: usize, mut engine: Box<dyn Engine>) {
    while let Some(work) = next(shared, place) {
        match work {
            Work::Speak(job) => speak(shared, engine.as_mut(), job),
            Work::Prompt(text) => make_prompt(shared, engine.as_mut(), &text),
        }
        shared.lock().running[place] = None;
        // The next clause of this reply may have been waiting for this one.
        shared.work.notify_all();
    }
}

/// Waits for work and marks this engine busy with it. None when the worker closes.
fn next(shared: &Shared, place: usize) -> Option<Work> {
    let mut state = shared.lock();
    loop {
        if state.closing {
            return None;
        }
        state.queue.retain(|job| !job.is_cancelled());
        if let Some(job) = choose(&state).and_then(|at| state.queue.remove(at)) {
            state.running[place] = Some(job.stream());
            state.jobs_taken += 1;
            let now = state.jobs_taken;
            state.served.insert(job.caller, now);
            if state.served.len() > REMEMBERED_MAX {
                let oldest = state.served.iter().min_by_key(|(_, at)| **at);
                if let Some(caller) = oldest.map(|(caller, _)| *caller) {
                    state.served.remove(&caller);
                }
            }
            return Some(Work::Speak(job));
        }
        if state.queue.is_empty()
            && let Some(text) = state.prompts.pop_front()
        {
            return Some(Work::Prompt(text));
        }
        state = shared
            .work
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

/// Place in the queue of the job to do next, by the rules at the top of this file.
fn choose(state: &State) -> Option<usize> {
    let mut best: Option<(usize, (bool, bool, u64))> = None;
    for (at, job) in state.queue.iter().enumerate() {
        let stream = job.stream();
        let is_busy = state.running.contains(&Some(stream));
        let is_preceded = || {
            state
                .queue
                .iter()
                .any(|other| other.stream() == stream && other.clause < job.clause)
        };
        if is_busy || is_preceded() {
            continue;
        }
        let served = state.served.get(&job.caller).copied().unwrap_or(0);
        let rank = (job.is_note, job.clause > 0, served);
        if best.is_none_or(|(_, best)| rank < best) {
            best = Some((at, rank));
        }
    }
    best.map(|(at, _)| at)
}

fn speak(shared: &Shared, engine: &mut dyn Engine, mut job: Job) {
    let text = text::normalise(&job.text);
    let pause = take_pause(shared, &job, pause_samples(&job.text));
    if text.is_empty() {
        let _ = job.tell(Chunk::Done);
        return;
    }
    if pause > 0 {
        let _ = job.tell(Chunk::Audio {
            pcm: vec![0; pause],
        });
    }
    let mut key = Key {
        voice: engine.name().to_owned(),
        text,
    };
    let kept = shared.lock().cache.get(&key);
    if let Some(pcm) = kept {
        if !pcm.is_empty() {
            let _ = job.tell(Chunk::Audio { pcm: pcm.to_vec() });
        }
        let _ = job.tell(Chunk::Done);
        return;
    }
    let mut closing = false;
    let outcome = synthesise(engine, &key.text, &mut |pcm| {
        if shared.lock().closing {
            closing = true;
            return ControlFlow::Break(());
        }
        match pcm {
            [] if job.is_cancelled() => ControlFlow::Break(()),
            [] => ControlFlow::Continue(()),
            pcm => job.tell(Chunk::Audio { pcm: pcm.to_vec() }),
        }
    });
    match outcome {
        _ if closing => {
            let _ = job.tell(Chunk::Failed(TtsError::ShuttingDown));
        }
        Ok(Some(pcm)) => {
            // One that asks elsewhere may have spoken with another voice than it was about to.
            key.voice = engine.name().to_owned();
            shared.lock().cache.insert(key, pcm.into(), false);
            let _ = job.tell(Chunk::Done);
        }
        // Stopped by its owner, who hears nothing more.
        Ok(None) => {}
        Err(error) => {
            let _ = job.tell(Chunk::Failed(error));
        }
    }
}

fn make_prompt(shared: &Shared, engine: &mut dyn Engine, text: &str) {
    let mut key = Key {
        voice: engine.name().to_owned(),
        text: text::normalise(text),
    };
    if key.text.is_empty() || shared.lock().cache.contains(&key) {
        return;
    }
    // A prompt that fails here fails again, with somebody to tell, when it is said.
    if let Ok(Some(pcm)) = synthesise(engine, &key.text, &mut |_| {
        // A caller is worth more than a prompt, but not its waste: it is a tenth of a second at most.
        match shared.lock().closing {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }) {
        key.voice = engine.name().to_owned();
        shared.lock().cache.insert(key, pcm.into(), true);
    }
}

/// All samples of `text`, passed on to `sink` as they come; None when the sink stopped.
fn synthesise(
    engine: &mut dyn Engine,
    text: &str,
    sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
) -> Result<Option<Vec<i16>>, TtsError> {
    let mut whole = Vec::new();
    let mut is_stopped = false;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        engine.synthesise(text, &mut |pcm| {
            whole.extend_from_slice(pcm);
            let flow = sink(pcm);
            is_stopped = flow.is_break();
            flow
        })
    }));
    match outcome {
        Ok(Ok(())) => Ok((!is_stopped).then_some(whole)),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            // Back to a known state. An engine that cannot do even that fails its next job too, and says so there.
            let _ = catch_unwind(AssertUnwindSafe(|| engine.warm()));
            Err(TtsError::EnginePanicked)
        }
    }
}

/// Silence before this clause, from how the one before it ended; remembers `following` for the next.
fn take_pause(shared: &Shared, job: &Job, following: usize) -> usize {
    let mut state = shared.lock();
    let place = state
        .pauses
        .iter()
        .position(|(stream, _)| *stream == job.stream());
    let before = place.and_then(|at| state.pauses.remove(at));
    state.pauses.push_back((job.stream(), following));
    if state.pauses.len() > REMEMBERED_MAX {
        state.pauses.pop_front();
    }
    // The first clause starts at once.
    match before {
        Some((_, samples)) if job.clause > 0 => samples,
        _ => 0,
    }
}

/// Silence that belongs after a clause, because voices are trimmed: a breath after a sentence, a beat after a comma.
fn pause_samples(text: &str) -> usize {
    let ms = match text
        .trim_end()
        .trim_end_matches(['"', '\'', ')', ']', '*', '_', '”', '’'])
        .chars()
        .next_back()
    {
        Some('.' | '!' | '?' | '…' | '。') => 260,
        Some(';' | ':') => 180,
        Some(',' | '–' | '—') => 120,
        _ => 40,
    };
    ms * SAMPLE_RATE_HZ as usize / 1_000
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
