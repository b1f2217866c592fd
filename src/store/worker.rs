//! The store's thread: the only one that waits for the disk. Its queue is bounded; whoever hands in a
//! record when it is full gets it back and loses that record, which is logged.
//!
//! All is written in groups: what somebody waits for with whatever else is in the queue, the rest within a
//! tenth of a second. A transaction costs as much as ten rows.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use agent_bridge::turn::trace::Trace;

use super::queue::{Queue, Refused};
use super::{AuditRow, CallEnded, CallStarted, Lasting, MessageRow, Store, StoreError, TurnRow};

/// One record to write.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    CallStarted(CallStarted),
    CallEnded(CallEnded),
    Turn(TurnRow),
    Message(MessageRow),
    Audit(AuditRow),
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
            Write::Audit(_) => "audit entry",
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
}

/// The way to the store's thread. Clones share it.
#[derive(Clone)]
pub struct StoreHandle {
    queue: Arc<Queue<Job>>,
}

impl StoreHandle {
    /// Gives `store` a thread with a queue of `queue_max` jobs. `failed` is called on that thread with
    /// the kind of each record that could not be written; it decides what to log.
    pub fn start(
        store: Store,
        queue_max: usize,
        failed: impl FnMut(&str, StoreError) + Send + 'static,
    ) -> std::io::Result<(StoreHandle, JoinHandle<()>)> {
        let queue = Arc::new(Queue::new(queue_max));
        let jobs = Over(queue.clone());
        let work = move || work(store, &jobs, failed);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(work)?;
        Ok((StoreHandle { queue }, thread))
    }

    /// Queues a record; when the queue is full or the thread gone, it comes back.
    pub fn write(&self, write: Write) -> Result<(), Box<Write>> {
        self.queue.push(Job::Write(write), false).map_err(|error| {
            let (Refused::Full(job) | Refused::Over(job)) = error;
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
        self.try_queue(Job::Keep(change, Some(Box::new(done))), true)
    }

    /// Writes a change within a tenth of a second.
    pub fn keep(&self, change: Lasting) -> Result<(), StoreError> {
        self.try_queue(Job::Keep(change, None), false)
    }

    /// Runs a query behind all writes queued before it; `read` hands on what it found.
    pub fn read(&self, read: impl FnOnce(&mut Store) + Send + 'static) -> Result<(), StoreError> {
        self.try_queue(Job::Read(Box::new(read)), true)
    }

    /// Ends the thread after all that is queued. Join the thread to know that it is on disk.
    pub fn stop(&self) {
        self.queue.end();
    }

    fn try_queue(&self, job: Job, is_urgent: bool) -> Result<(), StoreError> {
        self.queue
            .push(job, is_urgent)
            .map_err(|error| match error {
                Refused::Full(_) => StoreError::Unavailable {
                    why: "its queue is full",
                },
                Refused::Over(_) => StoreError::Unavailable {
                    why: "it has ended",
                },
            })
    }
}

/// The thread's end of the queue, which is over when the thread is, whatever ended it.
struct Over(Arc<Queue<Job>>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.end();
    }
}

enum Change {
    Lasting(Lasting, Option<Done>),
    Record(Write),
}

impl Change {
    fn write(&self, store: &mut Store) -> Result<(), StoreError> {
        match self {
            Change::Lasting(change, _) => store.keep([change]),
            Change::Record(Write::CallStarted(call)) => store.call_started(call),
            Change::Record(Write::CallEnded(end)) => store.call_ended(end),
            Change::Record(Write::Turn(turn)) => store.add_turn(turn),
            Change::Record(Write::Message(message)) => store.add_message(message).map(|_| ()),
            Change::Record(Write::Audit(row)) => store.add_audit(row),
            Change::Record(Write::Trace { call, trace }) => store.save_trace(call, trace),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Change::Lasting(change, _) => kind(change),
            Change::Record(write) => write.kind(),
        }
    }
}

/// Changes on their way into one transaction.
#[derive(Default)]
struct Group {
    changes: Vec<Change>,
}

impl Group {
    /// All in one; if that fails each for itself, so that one that cannot be written takes no other with it.
    fn write(&mut self, store: &mut Store, failed: &mut impl FnMut(&str, StoreError)) {
        if self.changes.is_empty() {
            return;
        }
        let group = std::mem::take(self);
        let changes = &group.changes;
        let together = store.together(|store| {
            let mut all = changes.iter();
            all.try_for_each(|change| change.write(store))
        });
        let is_written = together.is_ok();
        for change in group.changes {
            let written = if is_written {
                Ok(())
            } else {
                change.write(store)
            };
            match (change, written) {
                (Change::Lasting(_, Some(done)), written) => done(written),
                (change, Err(error)) => failed(change.kind(), error),
                (_, Ok(())) => {}
            }
        }
    }
}

fn kind(change: &Lasting) -> &'static str {
    match change {
        Lasting::Bindings { .. } => "registration",
        Lasting::Dialog(_) | Lasting::DialogOver(_) => "dialog",
        Lasting::Ban(_) | Lasting::BanOver(_) => "ban",
        Lasting::Callback(..) => "call-back",
        Lasting::Count { .. } => "counter",
    }
}

fn work(mut store: Store, jobs: &Over, mut failed: impl FnMut(&str, StoreError)) {
    let mut group = Group::default();
    while let Some(jobs) = jobs.0.next(UNHURRIED) {
        for job in jobs {
            match job {
                Job::Keep(change, done) => group.changes.push(Change::Lasting(change, done)),
                // A trace is a file of its own.
                Job::Write(write @ Write::Trace { .. }) => {
                    let trace = Change::Record(write);
                    if let Err(error) = trace.write(&mut store) {
                        failed(trace.kind(), error);
                    }
                }
                Job::Write(write) => group.changes.push(Change::Record(write)),
                Job::Read(read) => {
                    group.write(&mut store, &mut failed);
                    read(&mut store);
                }
            }
            if group.changes.len() >= GROUP_MAX {
                group.write(&mut store, &mut failed);
            }
        }
        group.write(&mut store, &mut failed);
    }
}
