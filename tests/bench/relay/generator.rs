//! The load: flows of one PCMU packet every 20 ms, evenly spread in time, and what arrives of them.
//!
//! Each payload carries flow, number and the time it was sent; the time it arrived is the kernel's. So neither this
//! program's scheduling on the way in counts, nor that of the way out, which is told as lateness.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::wire::{Receiver, stamp};

const PACKET: usize = 172;
const PERIOD: Duration = Duration::from_millis(20);
/// Delays up to 500 ms, in microseconds.
const DELAY_US_MAX: usize = 500_000;
/// The sender looks this often what is due.
const TICK: Duration = Duration::from_micros(250);

/// The receiver looks this often what has come: a relay shall not pay for waking up those it sends to, who are elsewhere
/// in life. The kernel has noted when each packet came.
const LISTEN: Duration = Duration::from_millis(2);

/// One direction.
pub struct Flow {
    /// Where it sends from, and where the opposite direction arrives.
    pub local: u16,
    /// Where it sends to.
    pub remote: u16,
    /// The flow whose packets arrive at `local`.
    pub peer: usize,
}

pub struct Load {
    sockets: Vec<UdpSocket>,
    remotes: Vec<SocketAddr>,
    peers: Vec<usize>,
}

/// What came of one run.
#[derive(Default)]
pub struct Outcome {
    pub sent: u64,
    pub received: u64,
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
    pub fn open(flows: &[Flow]) -> Load {
        let socket = |flow: &Flow| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, flow.local)).expect("a free port");
            socket.set_nonblocking(true).expect("not blocking");
            stamp(&socket);
            socket
        };
        Load {
            sockets: flows.iter().map(socket).collect(),
            remotes: flows
                .iter()
                .map(|flow| SocketAddr::from((Ipv4Addr::LOCALHOST, flow.remote)))
                .collect(),
            peers: flows.iter().map(|flow| flow.peer).collect(),
        }
    }

    /// Sends for `settle` and then for `measured`, of which the figures are. `mark` is called at the beginning and at the
    /// end of the measured time.
    pub fn run(&self, settle: Duration, measured: Duration, mut mark: impl FnMut(bool)) -> Outcome {
        let periods = |time: Duration| (time.as_millis() / PERIOD.as_millis()) as u32;
        let first = periods(settle);
        let last = first + periods(measured);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let receiver = scope.spawn(|| self.receive(first, last, &is_over));
            let start = Instant::now() + Duration::from_millis(50);
            let sender = scope.spawn(move || self.send(start, first, last));
            std::thread::sleep((start + settle).saturating_duration_since(Instant::now()));
            mark(false);
            std::thread::sleep(
                (start + settle + measured).saturating_duration_since(Instant::now()),
            );
            mark(true);
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
            }
        })
    }

    fn send(&self, start: Instant, first: u32, last: u32) -> (u64, Vec<u32>) {
        let mut late = vec![0; DELAY_US_MAX];
        let mut sent = 0;
        let mut packet = [0xffu8; PACKET];
        let flows = self.sockets.len() as u32;
        for number in 0..last {
            for flow in 0..flows {
                let due = start + PERIOD * number + PERIOD * flow / flows;
                let mut now = Instant::now();
                if due > now {
                    std::thread::sleep((due - now).max(TICK));
                    now = Instant::now();
                }
                packet[0] = 0x80;
                packet[1] = 0;
                packet[2..4].copy_from_slice(&(number as u16).to_be_bytes());
                packet[4..8].copy_from_slice(&(number * 160).to_be_bytes());
                packet[8..12].copy_from_slice(&(0x1000_0000 + flow).to_be_bytes());
                packet[12..16].copy_from_slice(&flow.to_be_bytes());
                packet[16..20].copy_from_slice(&number.to_be_bytes());
                if number >= first {
                    let us = now.saturating_duration_since(due).as_micros() as u64;
                    count(&mut late, us);
                    sent += 1;
                }
                packet[20..28].copy_from_slice(&wall_ns().to_be_bytes());
                let flow = flow as usize;
                // Loopback refuses a packet when the receiver's port is gone: that packet is lost.
                let _ = self.sockets[flow].send_to(&packet, self.remotes[flow]);
            }
        }
        (sent, late)
    }

    fn receive(&self, first: u32, last: u32, is_over: &AtomicBool) -> (u64, Vec<u32>) {
        let mut delays = vec![0; DELAY_US_MAX];
        let mut received = 0;
        let mut seen = vec![0u64; self.sockets.len() * (last as usize / 64 + 1)];
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
                if flow != self.peers[at] || number < first || number >= last {
                    return;
                }
                let (cell, bit) = (
                    flow * (last as usize / 64 + 1) + number as usize / 64,
                    1u64 << (number % 64),
                );
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
