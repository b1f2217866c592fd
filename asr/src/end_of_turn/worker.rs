//! One thread for the end-of-turn model, shared by all calls. Owns the thread and the queue; an answer is a plain closure,
//! called on that thread, or for a question that lost its place on the thread that took the place.
//!
//! Order: oldest first. A caller has at most one question waiting; a newer one takes its place (latest wins) and keeps
//! its turn. Full: a new caller's question is answered [`EndOfTurnError::Busy`] at once, since an answer that comes late
//! is worth nothing.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::model::{EndOfTurnError, EndOfTurnModel};

/// Callers that may wait at a time, not counting the one being served.
pub const WAITING_MAX: usize = 16;

/// Told the outcome exactly once. It must return soon and must not block.
pub type Done = Box<dyn FnOnce(Result<f32, EndOfTurnError>) + Send>;

/// What answers; the model, or in tests something simpler.
type Judge = Box<dyn FnMut(&[i16]) -> Result<f32, EndOfTurnError> + Send>;

struct Question {
    caller: u64,
    pcm: Arc<[i16]>,
    done: Done,
}

impl Question {
    fn answer(self, outcome: Result<f32, EndOfTurnError>) {
        // A panic in the closure is its owner's fault and must not end the thread that all calls share.
        let done = self.done;
        let _ = catch_unwind(AssertUnwindSafe(|| done(outcome)));
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Question>,
    closing: bool,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock; a poisoned one would still hold a consistent queue.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The model's thread and its queue. Dropping it answers what waits with [`EndOfTurnError::ShuttingDown`].
pub struct EndOfTurnWorker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for EndOfTurnWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndOfTurnWorker")
            .field("waiting", &self.shared.lock().waiting.len())
            .finish_non_exhaustive()
    }
}

impl EndOfTurnWorker {
    /// Gives the model a thread.
    ///
    /// Errors: [`EndOfTurnError::Failed`] where the operating system refuses one.
    pub fn start(mut model: EndOfTurnModel) -> Result<EndOfTurnWorker, EndOfTurnError> {
        EndOfTurnWorker::start_judge(Box::new(move |pcm| model.probability(pcm)))
    }

    fn start_judge(judge: Judge) -> Result<EndOfTurnWorker, EndOfTurnError> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("end-of-turn".to_owned())
            .spawn(move || run(&theirs, judge))
            .map_err(|error| EndOfTurnError::Failed {
                reason: error.to_string(),
            })?;
        Ok(EndOfTurnWorker {
            shared,
            thread: Some(thread),
        })
    }

    /// Asks how finished `pcm` sounds: the turn so far, mono at 16 kHz, its last 8 s count. `done` is told once.
    pub fn submit(&self, caller: u64, pcm: Arc<[i16]>, done: Done) {
        let question = Question { caller, pcm, done };
        let (loser, why) = {
            let mut state = self.shared.lock();
            if state.closing {
                (Some(question), EndOfTurnError::ShuttingDown)
            } else if let Some(older) = state.waiting.iter_mut().find(|q| q.caller == caller) {
                let older = std::mem::replace(older, question);
                (Some(older), EndOfTurnError::Superseded)
            } else if state.waiting.len() == WAITING_MAX {
                (Some(question), EndOfTurnError::Busy)
            } else {
                state.waiting.push_back(question);
                self.shared.work.notify_one();
                (None, EndOfTurnError::Busy)
            }
        };
        // Outside the lock: the closure may ask again.
        if let Some(loser) = loser {
            loser.answer(Err(why));
        }
    }
}

impl Drop for EndOfTurnWorker {
    fn drop(&mut self) {
        let left = {
            let mut state = self.shared.lock();
            state.closing = true;
            std::mem::take(&mut state.waiting)
        };
        self.shared.work.notify_all();
        for question in left {
            question.answer(Err(EndOfTurnError::ShuttingDown));
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, mut judge: Judge) {
    loop {
        let question = {
            let mut state = shared.lock();
            loop {
                if state.closing {
                    return;
                }
                if let Some(question) = state.waiting.pop_front() {
                    break question;
                }
                state = shared
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        };
        let outcome =
            catch_unwind(AssertUnwindSafe(|| judge(&question.pcm))).unwrap_or_else(|_| {
                Err(EndOfTurnError::Failed {
                    reason: "it panicked".to_owned(),
                })
            });
        question.answer(outcome);
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
