//! The RTP port range: an even port for RTP and the next one for RTCP (RFC 3550 section 11).
//! Owns the search for a free pair; the call's task owns the sockets.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};

use tokio::net::UdpSocket;

use crate::call::driver::MediaSockets;

/// Ports to try before giving up: a machine with this many taken in a row has another problem.
const ATTEMPTS_MAX: u16 = 200;

#[derive(Debug)]
pub struct Ports {
    first: u16,
    pairs: u16,
    next: u16,
}

#[derive(Debug, thiserror::Error)]
pub enum PortError {
    #[error("no free pair of UDP ports for sound in the range of [media]")]
    NoneFree,
    #[error("cannot open UDP ports for sound: {0}")]
    Io(#[from] io::Error),
}

impl Ports {
    /// `first` and `last` are inclusive; an odd `first` moves up to the next even port. `start` spreads
    /// the first port over the range, so that a restart does not meet the last run's stray packets.
    pub fn new(first: u16, last: u16, start: u16) -> Ports {
        let first = first.saturating_add(first % 2).min(u16::MAX - 1);
        let pairs = (last.saturating_sub(first).saturating_add(1) / 2).max(1);
        Ports {
            first,
            pairs,
            next: start % pairs,
        }
    }

    /// Binds the next free pair on `address`.
    pub fn open(&mut self, address: IpAddr) -> Result<(MediaSockets, u16), PortError> {
        for _ in 0..self.pairs.min(ATTEMPTS_MAX) {
            let port = self.first + 2 * self.next;
            self.next = (self.next + 1) % self.pairs;
            let rtp = match StdUdpSocket::bind(SocketAddr::new(address, port)) {
                Ok(socket) => socket,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                Err(error) => return Err(error.into()),
            };
            let Ok(rtcp) = StdUdpSocket::bind(SocketAddr::new(address, port + 1)) else {
                continue;
            };
            rtp.set_nonblocking(true)?;
            rtcp.set_nonblocking(true)?;
            let sockets = MediaSockets {
                rtp: UdpSocket::from_std(rtp)?,
                rtcp: UdpSocket::from_std(rtcp)?,
            };
            return Ok((sockets, port));
        }
        Err(PortError::NoneFree)
    }
}

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
    fn a_wildcard_listener_answers_with_a_real_address() {
        let remote: SocketAddr = "127.0.0.1:5060".parse().expect("an address");
        let any: IpAddr = "0.0.0.0".parse().expect("an address");
        assert_eq!(source_address(any, remote), remote.ip());
        assert_eq!(source_address(remote.ip(), remote), remote.ip());
    }
}
