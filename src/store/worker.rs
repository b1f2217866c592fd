//! The store's thread: the only one that waits for the disk. Its queue is bounded; whoever hands in a
//! record when it is full gets it back and loses that record, which is logged.
//!
//! Changes that must last are written in groups: those that somebody waits for with whatever else is in
//! the queue, the others within a tenth of a second.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use agent_bridge::turn::trace::Trace;

use super::{CallEnded, CallStarted, Lasting, MessageRow, Store, StoreError, TurnRow};

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

/// Changes written at once.
const GROUP_MAX: usize = 256;
/// How long a change that nobody waits for may wait for company.
const UNHURRIED: Duration = Duration::from_millis(100);

impl Write {
    /// For the log.
    pub fn kind(&self) -> &'static str {
        match self {
            Write::CallStarted(_) => "call start",
            Write::CallEnded(_) => "call end",
            Write::Turn(_) => "turn",
            Write::Message(_) => "message",
            Write::Trace { .. } => "trace of the turns",
        }
    }
}

type Read = Box<dyn FnOnce(&mut Store) + Send>;
type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

enum Job {
    Write(Write),
    /// `None`: nobody waits for it.
    Keep(Lasting, Option<Done>),
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
    /// the kind of each record that could not be written; it decides what to log.
    pub fn start(
        store: Store,
        queue_max: usize,
        failed: impl FnMut(&str, StoreError) + Send + 'static,
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

    /// Writes a change at once, with whatever else waits, and calls `done` on the store's thread when it is
    /// on disk, so that a 200 sent afterwards is true. A few hundred microseconds.
    pub fn keep_then(
        &self,
        change: Lasting,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.try_queue(Job::Keep(change, Some(Box::new(done))))
    }

    /// Writes a change within a tenth of a second.
    pub fn keep(&self, change: Lasting) -> Result<(), StoreError> {
        self.try_queue(Job::Keep(change, None))
    }

    /// Runs a query behind all writes queued before it; `read` hands on what it found.
    pub fn read(&self, read: impl FnOnce(&mut Store) + Send + 'static) -> Result<(), StoreError> {
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

/// Changes on their way into one transaction.
#[derive(Default)]
struct Group {
    changes: Vec<(Lasting, Option<Done>)>,
    /// Somebody waits for one of them.
    hurried: bool,
    since: Option<Instant>,
}

impl Group {
    fn add(&mut self, change: Lasting, done: Option<Done>) {
        self.hurried |= done.is_some();
        self.since.get_or_insert_with(Instant::now);
        self.changes.push((change, done));
    }

    /// Time that it may still wait; `None`: there is nothing to write.
    fn patience(&self) -> Option<Duration> {
        let since = self.since?;
        if self.hurried || self.changes.len() >= GROUP_MAX {
            return Some(Duration::ZERO);
        }
        Some(UNHURRIED.saturating_sub(since.elapsed()))
    }

    /// All in one; if that fails each for itself, so that one that cannot be written takes no other with it.
    fn write(&mut self, store: &mut Store, failed: &mut impl FnMut(&str, StoreError)) {
        let group = std::mem::take(self);
        let together = store.keep(group.changes.iter().map(|(change, _)| change));
        let is_written = together.is_ok();
        for (change, done) in group.changes {
            let written = if is_written {
                Ok(())
            } else {
                store.keep([&change])
            };
            match (done, written) {
                (Some(done), written) => done(written),
                (None, Err(error)) => failed(kind(&change), error),
                (None, Ok(())) => {}
            }
        }
    }
}

fn kind(change: &Lasting) -> &'static str {
    match change {
        Lasting::Bindings { .. } => "registration",
        Lasting::Dialog(_) | Lasting::DialogOver(_) => "dialog",
        Lasting::Ban(_) | Lasting::BanOver(_) => "ban",
        Lasting::Count { .. } => "counter",
    }
}

fn work(mut store: Store, jobs: &Receiver<Job>, mut failed: impl FnMut(&str, StoreError)) {
    let mut group = Group::default();
    loop {
        // What is in the queue already joins the group; then the group is written, or waits for more.
        let job = match group.patience() {
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(Duration::ZERO) if group.changes.len() >= GROUP_MAX => {
                Err(RecvTimeoutError::Timeout)
            }
            Some(patience) => jobs.recv_timeout(patience),
        };
        match job {
            Ok(Job::Keep(change, done)) => {
                group.add(change, done);
                continue;
            }
            Ok(_) | Err(_) if !group.changes.is_empty() => group.write(&mut store, &mut failed),
            Ok(_) | Err(_) => {}
        }
        match job {
            Ok(Job::Write(write)) => {
                let written = match &write {
                    Write::CallStarted(call) => store.call_started(call),
                    Write::CallEnded(end) => store.call_ended(end),
                    Write::Turn(turn) => store.add_turn(turn),
                    Write::Message(message) => store.add_message(message).map(|_| ()),
                    Write::Trace { call, trace } => store.save_trace(call, trace),
                };
                if let Err(error) = written {
                    failed(write.kind(), error);
                }
            }
            Ok(Job::Read(read)) => read(&mut store),
            Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Job::Keep(..)) | Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
