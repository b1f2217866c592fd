//! The way to the store's thread: a bounded queue that wakes its reader only for what is urgent. The rest waits for
//! company, and one wake-up serves all of it: waking a thread costs more than writing a row.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A job that was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused<T> {
    Full(T),
    Over(T),
}

#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    bell: Condvar,
    /// At the bound a further job is refused.
    jobs_max: usize,
}

#[derive(Debug)]
struct State<T> {
    jobs: VecDeque<T>,
    reader: Reader,
    /// One of the jobs is, or there are many.
    is_urgent: bool,
    is_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// It looks again by itself.
    Busy,
    /// It waits for a job.
    Idle,
    /// It waits for company for the jobs there are.
    Patient,
}

impl<T> Queue<T> {
    pub(super) fn new(jobs_max: usize) -> Queue<T> {
        Queue {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                reader: Reader::Busy,
                is_urgent: false,
                is_over: false,
            }),
            bell: Condvar::new(),
            jobs_max,
        }
    }

    pub(super) fn push(&self, job: T, is_urgent: bool) -> Result<(), Refused<T>> {
        let mut state = self.lock();
        if state.is_over {
            return Err(Refused::Over(job));
        }
        if state.jobs.len() >= self.jobs_max {
            return Err(Refused::Full(job));
        }
        state.jobs.push_back(job);
        state.is_urgent |= is_urgent || state.jobs.len() > self.jobs_max / 2;
        let is_awaited = match state.reader {
            Reader::Busy => false,
            Reader::Idle => true,
            Reader::Patient => state.is_urgent,
        };
        if is_awaited {
            state.reader = Reader::Busy;
            drop(state);
            self.bell.notify_one();
        }
        Ok(())
    }

    /// Takes no more jobs; those there are still go out.
    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.bell.notify_one();
    }

    /// All jobs there are, in order: at once when one is urgent, else when the first of them has waited for `patience`.
    /// `None`: the queue is over and empty.
    pub(super) fn next(&self, patience: Duration) -> Option<VecDeque<T>> {
        let mut state = self.lock();
        let mut since: Option<Instant> = None;
        while !state.is_over && !state.is_urgent {
            if state.jobs.is_empty() {
                state.reader = Reader::Idle;
                state = wait(self.bell.wait(state));
                continue;
            }
            let waited = since.get_or_insert_with(Instant::now).elapsed();
            let Some(left) = patience.checked_sub(waited).filter(|left| !left.is_zero()) else {
                break;
            };
            state.reader = Reader::Patient;
            state = wait(self.bell.wait_timeout(state, left)).0;
        }
        state.reader = Reader::Busy;
        state.is_urgent = false;
        let jobs = std::mem::take(&mut state.jobs);
        (!jobs.is_empty() || !state.is_over).then_some(jobs)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing in here is left half-done by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<G>(waited: Result<G, PoisonError<G>>) -> G {
    waited.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn jobs_come_in_order_and_a_full_queue_refuses() {
        let queue = Queue::new(3);
        for (job, is_urgent) in [(1, false), (2, true), (3, false)] {
            assert_eq!(queue.push(job, is_urgent), Ok(()));
        }
        assert_eq!(queue.push(4, true), Err(Refused::Full(4)));
        assert_eq!(queue.next(LONG), Some(VecDeque::from([1, 2, 3])));
        // Nobody waits for this one, and it has waited long enough.
        assert_eq!(queue.push(5, false), Ok(()));
        assert_eq!(queue.next(Duration::ZERO), Some(VecDeque::from([5])));
        // Half full is urgent.
        assert_eq!(queue.push(6, false), Ok(()));
        assert_eq!(queue.push(7, false), Ok(()));
        assert_eq!(queue.next(LONG), Some(VecDeque::from([6, 7])));
        assert_eq!(queue.push(8, false), Ok(()));
        queue.end();
        assert_eq!(queue.push(9, true), Err(Refused::Over(9)));
        assert_eq!(queue.next(LONG), Some(VecDeque::from([8])));
        assert_eq!(queue.next(LONG), None);
    }

    #[test]
    fn an_idle_and_a_patient_reader_are_woken() {
        let queue = Queue::new(8);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| queue.next(LONG));
            assert_eq!(queue.push(1, false), Ok(()));
            assert_eq!(queue.push(2, true), Ok(()));
            let read = reader.join().expect("the reader");
            assert_eq!(read, Some(VecDeque::from([1, 2])));
            let reader = scope.spawn(|| queue.next(LONG));
            queue.end();
            assert_eq!(reader.join().expect("the reader"), None);
        });
    }
}
