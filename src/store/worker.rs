//! The store's thread: the only one that waits for the disk. Its queue is bounded; whoever hands in a
//! record when it is full gets it back and loses that record, which is logged; a save of bindings waits.

use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use agent_bridge::turn::trace::Trace;

use super::{BindingRow, CallEnded, CallStarted, MessageRow, Store, StoreError, TurnRow};

/// How long a caller waits for its bindings to be on disk before it is told that they are not.
const SAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// One record to write.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    CallStarted(CallStarted),
    CallEnded(CallEnded),
    Turn(TurnRow),
    Message(MessageRow),
    /// The call's events and actions, into a file of its own.
    Trace {
        call: String,
        trace: Box<Trace>,
    },
}

type Read = Box<dyn FnOnce(&Store) + Send>;

enum Job {
    Write(Write),
    Bindings(
        String,
        Vec<BindingRow>,
        Box<dyn FnOnce(Result<(), StoreError>) + Send>,
    ),
    Read(Read),
    Stop,
}

/// The way to the store's thread. Clones share it.
#[derive(Clone)]
pub struct StoreHandle {
    queue: SyncSender<Job>,
}

impl StoreHandle {
    /// Gives `store` a thread with a queue of `queue_max` jobs. `failed` is called on that thread with
    /// each record that could not be written; it decides what to log.
    pub fn start(
        store: Store,
        queue_max: usize,
        failed: impl FnMut(&Write, StoreError) + Send + 'static,
    ) -> std::io::Result<(StoreHandle, JoinHandle<()>)> {
        let (queue, jobs) = mpsc::sync_channel(queue_max);
        let work = move || work(store, &jobs, failed);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(work)?;
        Ok((StoreHandle { queue }, thread))
    }

    /// Queues a record; when the queue is full or the thread gone, it comes back.
    pub fn write(&self, write: Write) -> Result<(), Box<Write>> {
        self.queue.try_send(Job::Write(write)).map_err(|error| {
            let (TrySendError::Full(job) | TrySendError::Disconnected(job)) = error;
            let Job::Write(write) = job else {
                unreachable!("the job just handed in")
            };
            Box::new(write)
        })
    }

    /// Replaces the bindings of `user` and returns when they are on disk, so that a 200 sent afterwards
    /// is true. Blocks for the disk: a few hundred microseconds, at worst five seconds.
    pub fn save_bindings(&self, user: &str, bindings: Vec<BindingRow>) -> Result<(), StoreError> {
        let (tell, told) = mpsc::sync_channel(1);
        self.save_bindings_then(user, bindings, move |saved| {
            let _ = tell.send(saved);
        })?;
        match told.recv_timeout(SAVE_TIMEOUT) {
            Ok(saved) => saved,
            Err(_) => Err(StoreError::Unavailable {
                why: "no answer in time",
            }),
        }
    }

    /// Like [`StoreHandle::save_bindings`], and calls `done` on the store's thread instead of blocking.
    pub fn save_bindings_then(
        &self,
        user: &str,
        bindings: Vec<BindingRow>,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        let job = Job::Bindings(user.to_owned(), bindings, Box::new(done));
        self.try_queue(job)
    }

    /// Runs a query behind all writes queued before it; `read` hands on what it found.
    pub fn read(&self, read: impl FnOnce(&Store) + Send + 'static) -> Result<(), StoreError> {
        self.try_queue(Job::Read(Box::new(read)))
    }

    /// Ends the thread after all that is queued. Join the thread to know that it is on disk.
    pub fn stop(&self) {
        // A full queue is being worked off; a gone thread is what was wanted.
        let _ = self.queue.send(Job::Stop);
    }

    fn try_queue(&self, job: Job) -> Result<(), StoreError> {
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Unavailable {
                why: "its queue is full",
            },
            TrySendError::Disconnected(_) => StoreError::Unavailable {
                why: "it has ended",
            },
        })
    }
}

fn work(mut store: Store, jobs: &Receiver<Job>, mut failed: impl FnMut(&Write, StoreError)) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Write(write) => {
                let written = match &write {
                    Write::CallStarted(call) => store.call_started(call),
                    Write::CallEnded(end) => store.call_ended(end),
                    Write::Turn(turn) => store.add_turn(turn),
                    Write::Message(message) => store.add_message(message).map(|_| ()),
                    Write::Trace { call, trace } => store.save_trace(call, trace),
                };
                if let Err(error) = written {
                    failed(&write, error);
                }
            }
            Job::Bindings(user, bindings, done) => done(store.save_bindings(&user, &bindings)),
            Job::Read(read) => read(&store),
            Job::Stop => return,
        }
    }
}
