//! The load: flows of one PCMU packet every 20 ms, evenly spread in time, and what arrives of them.
//!
//! Each payload carries flow, number and the time it was sent; the time it arrived is the kernel's. So neither this
//! program's scheduling on the way in counts, nor that of the way out, which is told as lateness. Packets are made once
//! and only numbered when they go; a few sockets serve all flows, so that many go out and come in with one system call.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::wire::{BATCH, Receiver, Sender, stamp};

const PACKET: usize = 172;
const PERIOD: Duration = Duration::from_millis(20);
/// Delays up to 500 ms, in microseconds.
const DELAY_US_MAX: usize = 500_000;
/// The sender looks this often what is due.
const TICK: Duration = Duration::from_micros(250);

/// The receiver looks this often what has come: a relay shall not pay for waking up those it sends to, who are elsewhere
/// in life. The kernel has noted when each packet came.
const LISTEN: Duration = Duration::from_millis(2);

/// First local port of the generator: below the ranges of both relays.
const FIRST_PORT: u16 = 9_000;
/// Sockets of each side. Calls that follow each other share one.
const SOCKETS: usize = 16;

/// The local ports of a call's two sides.
pub fn local_ports(call: usize) -> [u16; 2] {
    let at = (call / BATCH) % SOCKETS;
    [0, 1].map(|side| FIRST_PORT + 2 * (side * SOCKETS + at) as u16)
}

/// One direction.
pub struct Flow {
    pub call: usize,
    /// Which side sends: 0 or 1.
    pub side: usize,
    /// The port of the relay that it sends to.
    pub remote: u16,
}

pub struct Load {
    sockets: Vec<UdpSocket>,
    /// In the order in which they send.
    flows: Vec<Flow>,
    /// Packets that may go out with one system call: 1 where each shall have the time it went.
    batch: usize,
}

/// What came of one run.
#[derive(Default)]
pub struct Outcome {
    pub sent: u64,
    pub received: u64,
    /// What came back and found this program's own buffers full.
    pub own_drops: u64,
    /// CPU seconds of this program, per second of the run.
    pub cpu_share: f64,
    delays: Vec<u32>,
    late: Vec<u32>,
}

impl Outcome {
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    pub fn delay_ms(&self, share: f64) -> f64 {
        percentile(&self.delays, share)
    }

    /// How late the generator itself was.
    pub fn late_ms(&self, share: f64) -> f64 {
        percentile(&self.late, share)
    }
}

fn percentile(histogram: &[u32], share: f64) -> f64 {
    let all: u64 = histogram.iter().map(|&count| u64::from(count)).sum();
    let wanted = (all as f64 * share) as u64;
    let mut seen = 0;
    for (us, &count) in histogram.iter().enumerate() {
        seen += u64::from(count);
        if seen > wanted {
            return us as f64 / 1_000.0;
        }
    }
    f64::NAN
}

fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

fn count(histogram: &mut [u32], us: u64) {
    let last = histogram.len() - 1;
    histogram[(us as usize).min(last)] += 1;
}

impl Load {
    /// `batch` packets may go out at once.
    pub fn open(mut flows: Vec<Flow>, batch: usize) -> Load {
        let socket = |at: usize| {
            let port = FIRST_PORT + 2 * at as u16;
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port");
            socket.set_nonblocking(true).expect("not blocking");
            stamp(&socket);
            socket
        };
        // Those of one socket together.
        flows.sort_by_key(|flow| (flow.call / BATCH, flow.side, flow.call));
        Load {
            sockets: (0..2 * SOCKETS).map(socket).collect(),
            flows,
            batch: batch.clamp(1, BATCH),
        }
    }

    /// Sends for `settle` and then for `measured`, of which the figures are. `mark` is called at the beginning and at the
    /// end of the measured time.
    pub fn run(&self, settle: Duration, measured: Duration, mut mark: impl FnMut(bool)) -> Outcome {
        let periods = |time: Duration| (time.as_millis() / PERIOD.as_millis()) as u32;
        let first = periods(settle);
        let last = first + periods(measured);
        let is_over = AtomicBool::new(false);
        let mut cpu_s = [0.0; 2];
        let mut outcome = std::thread::scope(|scope| {
            let receiver = scope.spawn(|| self.receive(first, last, &is_over));
            let start = Instant::now() + Duration::from_millis(50);
            let sender = scope.spawn(move || self.send(start, first, last));
            std::thread::sleep((start + settle).saturating_duration_since(Instant::now()));
            mark(false);
            cpu_s[0] = crate::wire::own_cpu_s();
            std::thread::sleep(
                (start + settle + measured).saturating_duration_since(Instant::now()),
            );
            mark(true);
            cpu_s[1] = crate::wire::own_cpu_s();
            let (sent, late) = sender.join().expect("the sender");
            // What is still on its way.
            std::thread::sleep(Duration::from_millis(1_000));
            is_over.store(true, Ordering::Relaxed);
            let (received, delays) = receiver.join().expect("the receiver");
            Outcome {
                sent,
                received,
                delays,
                late,
                ..Outcome::default()
            }
        });
        outcome.cpu_share = (cpu_s[1] - cpu_s[0]) / measured.as_secs_f64();
        outcome.own_drops = own_drops();
        outcome
    }

    fn send(&self, start: Instant, first: u32, last: u32) -> (u64, Vec<u32>) {
        let mut late = vec![0; DELAY_US_MAX];
        let mut sent = 0;
        let mut sender = Sender::new();
        let mut packets: Vec<[u8; PACKET]> = self.flows.iter().map(packet).collect();
        let ports: Vec<u16> = self.flows.iter().map(|flow| flow.remote).collect();
        let flows = self.flows.len() as u32;
        for number in 0..last {
            let mut at = 0;
            while at < self.flows.len() {
                let due = |at: usize| start + PERIOD * number + PERIOD * at as u32 / flows;
                let mut now = Instant::now();
                if due(at) > now {
                    std::thread::sleep((due(at) - now).max(TICK));
                    now = Instant::now();
                }
                let socket = self.socket_of(at);
                let stamp_ns = wall_ns();
                let begin = at;
                while at < self.flows.len()
                    && at - begin < self.batch
                    && (at == begin || (due(at) <= now && self.socket_of(at) == socket))
                {
                    let packet = &mut packets[at];
                    packet[2..4].copy_from_slice(&(number as u16).to_be_bytes());
                    packet[4..8].copy_from_slice(&(number * 160).to_be_bytes());
                    packet[16..20].copy_from_slice(&number.to_be_bytes());
                    packet[20..28].copy_from_slice(&stamp_ns.to_be_bytes());
                    if number >= first {
                        let us = now.saturating_duration_since(due(at)).as_micros() as u64;
                        count(&mut late, us);
                        sent += 1;
                    }
                    at += 1;
                }
                let socket = self.sockets[socket].as_raw_fd();
                sender.send(socket, &mut packets[begin..at], &ports[begin..at]);
            }
        }
        (sent, late)
    }

    fn socket_of(&self, at: usize) -> usize {
        let flow = &self.flows[at];
        flow.side * SOCKETS + (flow.call / BATCH) % SOCKETS
    }

    fn receive(&self, first: u32, last: u32, is_over: &AtomicBool) -> (u64, Vec<u32>) {
        let mut delays = vec![0; DELAY_US_MAX];
        let mut received = 0;
        let cells = last as usize / 64 + 1;
        let mut seen = vec![0u64; self.flows.len() * cells];
        let sockets: Vec<_> = self.sockets.iter().map(AsRawFd::as_raw_fd).collect();
        let mut wire = Receiver::new(&sockets);
        while !is_over.load(Ordering::Relaxed) {
            let is_all = wire.take(|at, packet, arrived_ns| {
                let Some(body) = packet.get(12..28) else {
                    return;
                };
                let word =
                    |n: usize| u32::from_be_bytes([body[n], body[n + 1], body[n + 2], body[n + 3]]);
                let (flow, number) = (word(0) as usize, word(4));
                // It must come out on the other side of its call.
                let (call, side) = (flow / 2, 1 - flow % 2);
                let is_due = (first..last).contains(&number) && flow < self.flows.len();
                if !is_due || at != side * SOCKETS + (call / BATCH) % SOCKETS {
                    return;
                }
                let cell = flow * cells + number as usize / 64;
                let bit = 1u64 << (number % 64);
                if seen[cell] & bit != 0 {
                    return;
                }
                seen[cell] |= bit;
                received += 1;
                let sent_ns = (u64::from(word(8)) << 32) | u64::from(word(12));
                count(&mut delays, arrived_ns.saturating_sub(sent_ns) / 1_000);
            });
            if is_all {
                std::thread::sleep(LISTEN);
            }
        }
        (received, delays)
    }
}

/// What stays the same of a flow's packets.
fn packet(flow: &Flow) -> [u8; PACKET] {
    let mut packet = [0xffu8; PACKET];
    let flow = (2 * flow.call + flow.side) as u32;
    packet[0] = 0x80;
    packet[1] = 0;
    packet[8..12].copy_from_slice(&(0x1000_0000 + flow).to_be_bytes());
    packet[12..16].copy_from_slice(&flow.to_be_bytes());
    packet
}

/// The last column of /proc/net/udp, of our sockets: they are new with each run.
fn own_drops() -> u64 {
    let text = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    let ours = FIRST_PORT..FIRST_PORT + 4 * SOCKETS as u16;
    let drops = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let local = words.nth(1)?.split(':').nth(1)?;
        let port = u16::from_str_radix(local, 16).ok()?;
        ours.contains(&port)
            .then(|| words.last()?.parse::<u64>().ok())?
    });
    drops.sum()
}
