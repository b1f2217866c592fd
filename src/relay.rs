//! Media between two peers through us: ports, threads, and `media::relay` for what is decided.
//!
//! Owns: the pool of relay threads and the handle of one relayed call. Does not own: whose packets are taken and where
//! they go (`media::relay`), which ports are free (`ports`), SDP, what a call makes of an event.
//!
//! One call is one [`RelayHandle`] with a stream per relayed `m=` line. Dropping the handle ends its relaying; its ports
//! stay bound for the rest period of `ports`. A panic in the relaying of one stream ends that stream, with
//! [`RelayEvent::Failed`], and nothing else.
//!
//! Where two phones have no codec in common, a stream is transcoded on the same thread ([`RelayHandle::transcode`]): it is
//! rare, and costs as much as a hundred streams that pass.
//!
//! Bounds: [`STREAMS_MAX`] streams a call; [`EVENTS_MAX`] events a call, further ones are dropped and counted in the log;
//! [`COMMANDS_MAX`] streams on their way to a thread, then `open` waits for the thread, which looks every few milliseconds.

mod batch;
mod core;
mod worker;

pub use self::core::TranscodedPeer;
pub use media::relay::{RelayEvent, RelayPeer, RelaySecurity, Side, SideStats};

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use self::core::Core;
use crate::ports::{PortError, Ports};
use worker::{Command, Entry, Worker};

/// `m=` lines relayed of one call.
pub const STREAMS_MAX: usize = 4;
/// Events of one call that wait to be taken.
pub const EVENTS_MAX: usize = 64;
/// Commands on their way to one thread.
pub const COMMANDS_MAX: usize = 256;

/// How the pool works.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Threads; 0 is one per core. No more than there are cores.
    pub threads: usize,
    /// A thread that has just handled packets looks again after this time, so that one wake-up serves several. A packet
    /// waits half of it in the middle; none waits while there is little to do.
    pub interval: Duration,
    /// A further thread gets streams when each one before it has so many.
    pub streams_per_thread: usize,
}

impl Default for RelayConfig {
    fn default() -> RelayConfig {
        RelayConfig {
            threads: 0,
            interval: Duration::from_micros(300),
            streams_per_thread: 400,
        }
    }
}

/// One event of one stream of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayNotice {
    /// As given to [`RelayHandle::connect`].
    pub stream: usize,
    pub event: RelayEvent,
}

/// The relay threads; clones share them. They end with the last clone and the last handle.
#[derive(Debug, Clone)]
pub struct RelayPool {
    workers: Arc<[Worker]>,
    ports: Ports,
    next: Arc<AtomicU64>,
    config: RelayConfig,
}

/// What a handle and a thread share of one stream.
#[derive(Debug)]
struct Shared {
    core: Mutex<Core>,
    events: mpsc::Sender<RelayNotice>,
    /// Events that found the call's queue full.
    events_lost: AtomicUsize,
    stream: usize,
    /// The next packet makes the thread panic.
    #[cfg(test)]
    is_cursed: std::sync::atomic::AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Core> {
        // A panic in the core ends its stream; the figures can still be read.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands on what a relay has to tell.
    fn tell(&self, core: &mut Core) {
        while let Some(event) = core.poll_event() {
            self.send(event);
        }
    }

    fn send(&self, event: RelayEvent) {
        let stream = self.stream;
        if self.events.try_send(RelayNotice { stream, event }).is_err() {
            self.events_lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
struct Opened {
    shared: Arc<Shared>,
    worker: usize,
    id: u64,
    ports: [u16; 2],
}

/// One relayed call.
#[derive(Debug)]
pub struct RelayHandle {
    workers: Arc<[Worker]>,
    streams: Vec<Opened>,
    events: Option<mpsc::Receiver<RelayNotice>>,
}

impl RelayPool {
    /// Starts the threads. `ports` is the range that calls to the assistant use, too.
    pub fn start(config: RelayConfig, ports: Ports) -> io::Result<RelayPool> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = match config.threads {
            0 => cores,
            threads => threads.min(cores),
        };
        let workers: io::Result<Vec<Worker>> = (0..threads)
            .map(|number| Worker::start(number, config.interval, ports.clone()))
            .collect();
        Ok(RelayPool {
            workers: workers?.into(),
            ports,
            next: Arc::new(AtomicU64::new(0)),
            config,
        })
    }

    /// Ports for a call of so many streams: on the address that side A reaches us on, and on that of side B. Nothing passes
    /// before both sides of a stream are connected. Fails when the range is used up; the call is answered 503 then.
    pub fn open(&self, addresses: [IpAddr; 2], streams: usize) -> Result<RelayHandle, PortError> {
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        let mut handle = RelayHandle {
            workers: self.workers.clone(),
            streams: Vec::new(),
            events: Some(receiver),
        };
        for stream in 0..streams.min(STREAMS_MAX) {
            let pairs = [
                self.ports.bind(addresses[0])?,
                self.ports.bind(addresses[1])?,
            ];
            for pair in &pairs {
                batch::prepare(&pair.rtp);
                batch::prepare(&pair.rtcp);
            }
            let shared = Arc::new(Shared {
                core: Mutex::new(Core::new(Instant::now())),
                events: sender.clone(),
                events_lost: AtomicUsize::new(0),
                stream,
                #[cfg(test)]
                is_cursed: Default::default(),
            });
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let worker = self.choose();
            let ports = [pairs[0].port, pairs[1].port];
            handle.streams.push(Opened {
                shared: shared.clone(),
                worker,
                id,
                ports,
            });
            let entry = Entry {
                id,
                shared,
                pairs,
                rounds: [0; 4],
            };
            self.workers[worker]
                .tell(Command::Add(Box::new(entry)))
                .map_err(PortError::Io)?;
        }
        Ok(handle)
    }

    /// Streams at present.
    pub fn streams(&self) -> usize {
        self.workers.iter().map(Worker::streams).sum()
    }

    /// The first thread with room, so that its wake-ups serve many streams; when all are full, the one with the fewest.
    fn choose(&self) -> usize {
        let has_room = |worker: &Worker| worker.streams() < self.config.streams_per_thread;
        let fewest = || (0..self.workers.len()).min_by_key(|&n| self.workers[n].streams());
        self.workers
            .iter()
            .position(has_room)
            .or_else(fewest)
            .unwrap_or(0)
    }
}

impl RelayHandle {
    /// Our RTP port of each stream on one side; RTCP has the port above.
    pub fn ports(&self, side: Side) -> Vec<u16> {
        let ports = self.streams.iter().map(|stream| stream.ports[side.index()]);
        ports.collect()
    }

    /// What offer and answer say about one side of one stream; again after each further offer and answer. A stream that
    /// was not opened is ignored; one that was transcoded passes packets again, as soon as both sides are connected.
    pub fn connect(&self, side: Side, stream: usize, peer: RelayPeer) {
        if let Some(opened) = self.streams.get(stream) {
            let mut core = opened.shared.lock();
            core.connect(Instant::now(), side, peer);
            opened.shared.tell(&mut core);
            let is_timed = core.is_timed();
            drop(core);
            if is_timed {
                // A thread that is gone has told so.
                let _ = self.workers[opened.worker].tell(Command::Time { id: opened.id });
            }
        }
    }

    /// The two sides of a stream have no codec in common: what each speaks, side A before side B; again after each further
    /// offer and answer. A stream that was not opened is ignored.
    pub fn transcode(&self, stream: usize, peers: [TranscodedPeer; 2]) {
        if let Some(opened) = self.streams.get(stream) {
            let seeds = [rand::random(), rand::random()];
            opened.shared.lock().transcode(Instant::now(), peers, seeds);
            // From now on the thread has to look at the clock for it. One that is gone has told so.
            let _ = self.workers[opened.worker].tell(Command::Time { id: opened.id });
        }
    }

    /// The events of this call; `None` if they were taken before.
    pub fn take_events(&mut self) -> Option<mpsc::Receiver<RelayNotice>> {
        self.events.take()
    }

    /// Figures of each stream, side A before side B.
    pub fn stats(&self) -> Vec<[SideStats; 2]> {
        let stats = self.streams.iter().map(|stream| {
            let core = stream.shared.lock();
            [core.stats(Side::A), core.stats(Side::B)]
        });
        stats.collect()
    }

    /// Ends the relaying and returns the last figures. Dropping the handle ends it as well.
    pub fn close(self) -> Vec<[SideStats; 2]> {
        self.stats()
    }
}

impl Drop for RelayHandle {
    fn drop(&mut self) {
        for stream in &self.streams {
            let lost = stream.shared.events_lost.load(Ordering::Relaxed);
            if lost > 0 {
                tracing::debug!(lost, "events of a relayed call that nobody took");
            }
            // A thread that is gone has closed its sockets.
            let _ = self.workers[stream.worker].tell(Command::Remove { id: stream.id });
        }
    }
}

#[cfg(test)]
mod tests;
