//! One relay thread: waits for packets of many streams, hands each to its core, sends on what comes out.
//!
//! Owns: the streams given to it, their sockets, the order of a round: wait, take, send, sweep, rest. Does not own: system
//! calls as such (`batch`), decisions (`media::relay`).
//!
//! A panic while one stream is served ends that stream; a panic in the loop itself ends this thread's streams, and the loop
//! starts anew. No memory is allocated per packet.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use media::relay::{Port, RelayEvent, Side};
use tracing::{error, warn};

use super::batch::{Batch, Poller};
use super::core::Core;
use super::{COMMANDS_MAX, Shared};
use crate::ports::{PortPair, Ports};

/// How often silence, lost ends of keys and rested ports are looked at.
const SWEEP: Duration = Duration::from_millis(200);
/// Readiness of this many sockets is taken at once.
const READY_MAX: usize = 256;
/// The token of the socket that wakes the thread up for commands.
const WAKE: u64 = u64::MAX;

pub(super) enum Command {
    Add(Box<Entry>),
    Remove {
        id: u64,
    },
    /// This stream goes by the clock from now on: it is transcoded, or shakes hands.
    Time {
        id: u64,
    },
}

/// One stream and its sockets.
pub(super) struct Entry {
    pub id: u64,
    pub shared: Arc<Shared>,
    pub pairs: [PortPair; 2],
    /// The round in which each socket last had packets, by the two low bits of its token.
    pub rounds: [u64; 4],
}

impl Entry {
    fn socket(&self, side: Side, port: Port) -> RawFd {
        let pair = &self.pairs[side.index()];
        match port {
            Port::Rtp => pair.rtp.as_raw_fd(),
            Port::Rtcp => pair.rtcp.as_raw_fd(),
        }
    }

    fn is_ipv6(&self, side: Side) -> bool {
        self.pairs[side.index()].address.is_ipv6()
    }

    /// Sends packets of our own making, and tells what there is to tell.
    fn finish(&self, core: &mut Core) {
        while let Some(packet) = core.poll_packet() {
            let pair = &self.pairs[packet.side.index()];
            let socket = match packet.port {
                Port::Rtp => &pair.rtp,
                Port::Rtcp => &pair.rtcp,
            };
            let to = match packet.to {
                SocketAddr::V4(v4) if self.is_ipv6(packet.side) => {
                    SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port()))
                }
                to => to,
            };
            // A full buffer loses the packet, as the network would.
            let _ = socket.send_to(&packet.data, to);
        }
        self.shared.tell(core);
    }
}

/// The outside of one relay thread.
#[derive(Debug)]
pub(super) struct Worker {
    commands: SyncSender<Command>,
    bell: UnixDatagram,
    streams: Arc<AtomicUsize>,
}

impl Worker {
    pub(super) fn start(number: usize, interval: Duration, ports: Ports) -> io::Result<Worker> {
        let (commands, inbox) = sync_channel(COMMANDS_MAX);
        let (bell, ear) = UnixDatagram::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        let streams = Arc::new(AtomicUsize::new(0));
        let mut running = Running {
            poller: Poller::new()?,
            batch: Batch::new(),
            inbox,
            ear,
            interval,
            round: 2,
            ports,
            slots: Vec::new(),
            timed: Vec::new(),
            free: Vec::new(),
            places: HashMap::new(),
            streams: streams.clone(),
        };
        running.poller.add(running.ear.as_raw_fd(), WAKE)?;
        std::thread::Builder::new()
            .name(format!("relay-{number}"))
            .spawn(move || running.supervise())?;
        Ok(Worker {
            commands,
            bell,
            streams,
        })
    }

    pub(super) fn tell(&self, command: Command) -> io::Result<()> {
        let is_new = matches!(command, Command::Add(_));
        self.commands
            .send(command)
            .map_err(|_| io::Error::other("the relay thread is gone"))?;
        if is_new {
            self.streams.fetch_add(1, Ordering::Relaxed);
        }
        // A full bell has been rung.
        let _ = self.bell.send(&[0]);
        Ok(())
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }
}

struct Running {
    poller: Poller,
    batch: Batch,
    inbox: Receiver<Command>,
    ear: UnixDatagram,
    interval: Duration,
    /// Counts from 2, so that a socket's 0 is never the round before.
    round: u64,
    ports: Ports,
    slots: Vec<Option<Entry>>,
    /// Those that are transcoded, or shake hands.
    timed: Vec<usize>,
    free: Vec<usize>,
    places: HashMap<u64, usize>,
    streams: Arc<AtomicUsize>,
}

/// Whether the pool still wants this thread.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    Again,
    Over,
}

impl Running {
    fn supervise(&mut self) {
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.run())) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error!(%error, "relay thread"),
                Err(_) => error!("a relay thread panicked: its calls end"),
            }
            for slot in 0..self.slots.len() {
                self.fail(slot);
            }
            self.batch = Batch::new();
        }
    }

    fn run(&mut self) -> io::Result<()> {
        super::batch::sharpen_timers();
        let mut ready = Vec::with_capacity(READY_MAX);
        let mut sweep = Instant::now() + SWEEP;
        let (mut packets, mut is_busy) = (0, false);
        let mut due = None;
        loop {
            let wait = if self.places.is_empty() && self.ports.resting() == 0 {
                None
            } else {
                let due = due.map_or(sweep, |due: Instant| due.min(sweep));
                Some(due.saturating_duration_since(Instant::now()))
            };
            self.poller.wait(wait, READY_MAX, &mut ready)?;
            let now = Instant::now();
            let mut is_rung = false;
            for &token in &ready {
                if token == WAKE {
                    is_rung = true;
                    continue;
                }
                if !self.batch.has_room() {
                    self.batch.flush();
                }
                let queued = self.batch.queued();
                let serve = AssertUnwindSafe(|| self.serve(now, token));
                if catch_unwind(serve).is_err() {
                    error!("a panic in the relaying of one stream: its call ends");
                    self.batch.give_up(queued);
                    self.batch.flush();
                    self.fail(place(token).0);
                }
            }
            self.batch.flush();
            due = self.transcode(now);
            self.round += 1;
            packets += ready.len();
            // After the packets: tokens of this round name streams as they were when it began.
            if is_rung && self.commands() == Round::Over {
                return Ok(());
            }
            if now >= sweep {
                self.sweep(now);
                let since = SWEEP + now.saturating_duration_since(sweep);
                is_busy = packets as f64 * self.interval.as_secs_f64() > since.as_secs_f64();
                packets = 0;
                sweep = now + SWEEP;
            }
            // Where less than a packet comes per interval, each may as well wake the thread up.
            if is_busy
                && !ready.is_empty()
                && !is_rung
                && let Some(rest) = self.interval.checked_sub(now.elapsed())
            {
                std::thread::sleep(rest);
            }
        }
    }

    /// One socket has packets.
    fn serve(&mut self, now: Instant, token: u64) {
        let (slot, side, port) = place(token);
        let Some(entry) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        // Two rounds running: more than sound comes here, so more than one is taken.
        let last = std::mem::replace(&mut entry.rounds[(token & 3) as usize], self.round);
        let is_burst = last + 1 == self.round;
        let received = self.batch.receive(entry.socket(side, port), is_burst);
        let mut core = entry.shared.lock();
        #[cfg(test)]
        assert!(
            !entry.shared.is_cursed.load(Ordering::Relaxed),
            "as a test wants"
        );
        for n in received {
            let (from, buffer, len) = self.batch.datagram(n);
            let Some(from) = from else { continue };
            let forward = core.receive(now, side, port, from, buffer, len);
            if let Some(forward) = forward {
                let out = side.other();
                let socket = entry.socket(out, forward.port);
                let is_ipv6 = entry.is_ipv6(out);
                self.batch.send(n, forward.len, socket, forward.to, is_ipv6);
            }
        }
        entry.finish(&mut core);
    }

    /// Streams that go by the clock; when the next of them is due.
    fn transcode(&mut self, now: Instant) -> Option<Instant> {
        let mut due: Option<Instant> = None;
        for n in (0..self.timed.len()).rev() {
            let slot = self.timed[n];
            let entry = self.slots.get(slot).and_then(Option::as_ref);
            let Some(entry) = entry.filter(|entry| entry.shared.lock().is_timed()) else {
                self.timed.swap_remove(n);
                continue;
            };
            let time = || {
                let mut core = entry.shared.lock();
                if core.next_timeout().is_some_and(|due| due <= now) {
                    core.time(now);
                    entry.finish(&mut core);
                }
                core.next_timeout()
            };
            match catch_unwind(AssertUnwindSafe(time)) {
                Ok(next) => due = [due, next].into_iter().flatten().min(),
                Err(_) => {
                    error!("a panic in the transcoding of one stream: its call ends");
                    self.fail(slot);
                }
            }
        }
        due
    }

    fn commands(&mut self) -> Round {
        let mut byte = [0; 8];
        while self.ear.recv(&mut byte).is_ok() {}
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Add(entry)) => self.add(*entry),
                Ok(Command::Remove { id }) => {
                    if let Some(slot) = self.places.get(&id).copied() {
                        self.remove(slot);
                    }
                }
                Ok(Command::Time { id }) => {
                    let Some(&slot) = self.places.get(&id) else {
                        continue;
                    };
                    // Whoever begins a handshake has something to send at once.
                    if let Some(entry) = &self.slots[slot] {
                        entry.finish(&mut entry.shared.lock());
                    }
                    if !self.timed.contains(&slot) {
                        self.timed.push(slot);
                    }
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => return Round::Again,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return Round::Over,
            }
        }
    }

    fn add(&mut self, entry: Entry) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.places.insert(entry.id, slot);
        let sockets = sockets(&entry);
        self.slots[slot] = Some(entry);
        for (side, port, socket) in sockets {
            if let Err(error) = self.poller.add(socket, token(slot, side, port)) {
                warn!(%error, "cannot watch a relay port");
                self.fail(slot);
                return;
            }
        }
    }

    /// The stream is over; its ports rest.
    fn remove(&mut self, slot: usize) -> Option<Arc<Shared>> {
        let entry = self.slots.get_mut(slot)?.take()?;
        for (_, _, socket) in sockets(&entry) {
            self.poller.remove(socket);
        }
        self.places.remove(&entry.id);
        self.free.push(slot);
        self.streams.fetch_sub(1, Ordering::Relaxed);
        let now = Instant::now();
        for pair in entry.pairs {
            self.ports.rest(now, pair);
        }
        Some(entry.shared)
    }

    fn fail(&mut self, slot: usize) {
        if let Some(shared) = self.remove(slot) {
            shared.send(RelayEvent::Failed);
        }
    }

    fn sweep(&mut self, now: Instant) {
        for slot in 0..self.slots.len() {
            let Some(entry) = &self.slots[slot] else {
                continue;
            };
            let look = || {
                let mut core = entry.shared.lock();
                core.time(now);
                entry.finish(&mut core);
            };
            if catch_unwind(AssertUnwindSafe(look)).is_err() {
                error!("a panic in the relaying of one stream: its call ends");
                self.fail(slot);
            }
        }
        self.ports.wake(now);
    }
}

fn sockets(entry: &Entry) -> [(Side, Port, RawFd); 4] {
    let one = |side, port| (side, port, entry.socket(side, port));
    [
        one(Side::A, Port::Rtp),
        one(Side::A, Port::Rtcp),
        one(Side::B, Port::Rtp),
        one(Side::B, Port::Rtcp),
    ]
}

fn token(slot: usize, side: Side, port: Port) -> u64 {
    let side = u64::from(side == Side::B);
    let port = u64::from(port == Port::Rtcp);
    ((slot as u64) << 2) | (side << 1) | port
}

fn place(token: u64) -> (usize, Side, Port) {
    let side = if token & 2 == 0 { Side::A } else { Side::B };
    let port = if token & 1 == 0 {
        Port::Rtp
    } else {
        Port::Rtcp
    };
    ((token >> 2) as usize, side, port)
}
