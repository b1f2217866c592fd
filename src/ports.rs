//! The RTP port range: an even port for RTP and the next one for RTCP (RFC 3550 section 11).
//!
//! Owns: which free pair a call gets, in random order, and the rest of closed ones: their sockets stay bound and take
//! nothing for a while, so that the last packets of one call reach no other. When every pair is taken or at rest, the one
//! that has rested longest is given out early; when none rests, opening fails. Does not own the sockets of live calls.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tokio::net::UdpSocket;

use crate::call::driver::MediaSockets;

/// Pairs to try before giving up: a machine with this many taken in a row by others has another problem.
const ATTEMPTS_MAX: usize = 4_096;

/// How long closed ports rest, unless said otherwise.
pub const REST: Duration = Duration::from_secs(10);

/// The range of one program; clones share it.
#[derive(Debug, Clone)]
pub struct Ports(Arc<Mutex<Range>>);

#[derive(Debug)]
struct Range {
    /// First ports of the pairs, in the order they are given out.
    order: Vec<u16>,
    next: usize,
    resting: VecDeque<Resting>,
    rest: Duration,
}

#[derive(Debug)]
struct Resting {
    address: IpAddr,
    port: u16,
    until: Instant,
    /// Held for their ports only.
    _sockets: [StdUdpSocket; 2],
}

/// Two bound sockets on neighbouring ports.
#[derive(Debug)]
pub struct PortPair {
    pub address: IpAddr,
    /// That of RTP; RTCP has the next one.
    pub port: u16,
    pub rtp: StdUdpSocket,
    pub rtcp: StdUdpSocket,
}

#[derive(Debug, thiserror::Error)]
pub enum PortError {
    #[error("no free pair of UDP ports for sound in the range of [media]")]
    NoneFree,
    #[error("cannot open UDP ports for sound: {0}")]
    Io(#[from] io::Error),
}

impl Ports {
    /// `first` and `last` are inclusive; an odd `first` moves up to the next even port. `seed` gives the order, so that
    /// neither a stranger nor the stray packets of the last run find the next port.
    pub fn new(first: u16, last: u16, seed: u64) -> Ports {
        let first = first.saturating_add(first % 2).min(u16::MAX - 1);
        let pairs = (last.saturating_sub(first).saturating_add(1) / 2).max(1);
        let mut order: Vec<u16> = (0..pairs).map(|pair| first + 2 * pair).collect();
        order.shuffle(&mut StdRng::seed_from_u64(seed));
        Ports(Arc::new(Mutex::new(Range {
            order,
            next: 0,
            resting: VecDeque::new(),
            rest: REST,
        })))
    }

    /// Another rest than [`REST`].
    pub fn with_rest(self, rest: Duration) -> Ports {
        self.lock().rest = rest;
        self
    }

    /// Binds the next free pair on `address` for a call's task.
    pub fn open(&mut self, address: IpAddr) -> Result<(MediaSockets, u16), PortError> {
        let pair = self.bind(address)?;
        let sockets = MediaSockets {
            rtp: UdpSocket::from_std(pair.rtp)?,
            rtcp: UdpSocket::from_std(pair.rtcp)?,
        };
        Ok((sockets, pair.port))
    }

    /// Binds the next free pair on `address`, without blocking reads and writes.
    pub fn bind(&self, address: IpAddr) -> Result<PortPair, PortError> {
        let mut range = self.lock();
        for _ in 0..range.order.len().min(ATTEMPTS_MAX) {
            let port = range.order[range.next];
            range.next = (range.next + 1) % range.order.len();
            if let Some(pair) = bind_pair(address, port)? {
                return Ok(pair);
            }
        }
        // Another call is worth more than the rest of an old one.
        let rested = range
            .resting
            .iter()
            .position(|resting| resting.address == address)
            .and_then(|at| range.resting.remove(at));
        let port = rested.map(|resting| resting.port);
        match port.map(|port| bind_pair(address, port)) {
            Some(Ok(Some(pair))) => Ok(pair),
            Some(Err(error)) => Err(error),
            Some(Ok(None)) | None => Err(PortError::NoneFree),
        }
    }

    /// Takes the ports of a call that is over. They stay bound for the rest period.
    pub fn rest(&self, now: Instant, pair: PortPair) {
        let sockets = [pair.rtp, pair.rtcp];
        for socket in &sockets {
            take_nothing(socket);
        }
        let mut range = self.lock();
        let until = now + range.rest;
        range.resting.push_back(Resting {
            address: pair.address,
            port: pair.port,
            until,
            _sockets: sockets,
        });
    }

    /// Frees the ports that have rested.
    pub fn wake(&self, now: Instant) {
        let mut range = self.lock();
        while range
            .resting
            .front()
            .is_some_and(|resting| resting.until <= now)
        {
            range.resting.pop_front();
        }
    }

    /// Pairs at rest.
    pub fn resting(&self) -> usize {
        self.lock().resting.len()
    }

    fn lock(&self) -> MutexGuard<'_, Range> {
        // Nothing in here is left half-done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` if one of the two is taken.
fn bind_pair(address: IpAddr, port: u16) -> Result<Option<PortPair>, PortError> {
    let rtp = match StdUdpSocket::bind(SocketAddr::new(address, port)) {
        Ok(socket) => socket,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Ok(rtcp) = StdUdpSocket::bind(SocketAddr::new(address, port + 1)) else {
        return Ok(None);
    };
    rtp.set_nonblocking(true)?;
    rtcp.set_nonblocking(true)?;
    Ok(Some(PortPair {
        address,
        port,
        rtp,
        rtcp,
    }))
}

/// A filter that takes no byte of any packet: the kernel drops them as they come, and nobody wakes up.
#[cfg(target_os = "linux")]
fn take_nothing(socket: &StdUdpSocket) {
    let none = [socket2::SockFilter::new(0x06, 0, 0, 0)];
    // Without it the packets fill the socket's buffer, which costs a little memory for the rest period.
    if let Err(error) = socket2::SockRef::from(socket).attach_filter(&none) {
        tracing::debug!(%error, "filter on a resting port");
    }
}

#[cfg(not(target_os = "linux"))]
fn take_nothing(_socket: &StdUdpSocket) {}

/// The address that packets to `remote` leave from: `local` itself unless that is a wildcard.
pub fn source_address(local: IpAddr, remote: SocketAddr) -> IpAddr {
    if !local.is_unspecified() {
        return local;
    }
    // Connecting a UDP socket sends nothing; it asks the routing table.
    let probe = StdUdpSocket::bind(SocketAddr::new(local, 0)).and_then(|socket| {
        socket.connect(remote)?;
        socket.local_addr()
    });
    probe.map_or(local, |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pairs_are_even_free_and_within_the_range() {
        let localhost: IpAddr = "127.0.0.1".parse().expect("an address");
        let mut ports = Ports::new(40_001, 40_007, 9);
        let mut held = Vec::new();
        let mut seen = Vec::new();
        while let Ok((sockets, port)) = ports.open(localhost) {
            assert_eq!(port % 2, 0);
            assert!((40_002..=40_006).contains(&port));
            seen.push(port);
            held.push(sockets);
            assert!(seen.len() <= 3);
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), held.len());
        assert!(matches!(ports.open(localhost), Err(PortError::NoneFree)));
        held.clear();
        assert!(ports.open(localhost).is_ok());
    }

    #[test]
    fn closed_ports_rest_and_the_oldest_gives_way_when_none_is_free() {
        let localhost: IpAddr = "127.0.0.1".parse().expect("an address");
        let now = Instant::now();
        let ports = Ports::new(40_012, 40_015, 9);
        let first = ports.bind(localhost).expect("a pair");
        let second = ports.bind(localhost).expect("a pair");
        let (one, two) = (first.port, second.port);
        ports.rest(now, first);
        ports.rest(now, second);
        assert_eq!(ports.resting(), 2);
        assert!(
            StdUdpSocket::bind((localhost, one)).is_err(),
            "it stays bound"
        );
        let again = ports.bind(localhost).expect("the pair that rested longest");
        assert_eq!((again.port, ports.resting()), (one, 1));
        ports.wake(now + REST - Duration::from_millis(1));
        assert_eq!(ports.resting(), 1);
        ports.wake(now + REST);
        assert_eq!(ports.resting(), 0);
        assert_eq!(ports.bind(localhost).expect("free again").port, two);
    }

    #[test]
    fn the_order_is_of_the_seed() {
        let order = |seed| Ports::new(20_000, 20_999, seed).lock().order.clone();
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let mut sorted = order(1);
        assert!(!sorted.is_sorted());
        sorted.sort_unstable();
        assert_eq!(sorted.len(), 500);
    }

    #[test]
    fn a_wildcard_listener_answers_with_a_real_address() {
        let remote: SocketAddr = "127.0.0.1:5060".parse().expect("an address");
        let any: IpAddr = "0.0.0.0".parse().expect("an address");
        assert_eq!(source_address(any, remote), remote.ip());
        assert_eq!(source_address(remote.ip(), remote), remote.ip());
    }
}
