//! The UDP sockets of SIP. On Linux one system call takes in many datagrams and one sends many out, and a socket on a
//! wildcard address is told by the kernel which of our addresses each datagram came to. Owns sockets and buffers; not
//! what the datagrams say.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;

use sip::Flow;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tracing::debug;

#[cfg(target_os = "linux")]
use super::datagrams_linux::{Batch, tell_destinations};
#[cfg(not(target_os = "linux"))]
use super::datagrams_portable::Batch;

/// Datagrams that one system call takes or gives.
pub(super) const BATCH: usize = 32;
/// The largest UDP payload.
pub(super) const DATAGRAM_MAX: usize = 65_535;

/// One socket and the address it is bound to.
pub(super) struct Bound {
    pub(super) local: SocketAddr,
    socket: UdpSocket,
}

/// All of them. Clones of the inner list serve waiting and working at once.
pub(super) struct Datagrams {
    bound: Arc<[Bound]>,
    batch: Batch,
    outgoing: VecDeque<(usize, Flow, Vec<u8>)>,
}

impl Datagrams {
    pub(super) fn new(sockets: Vec<UdpSocket>) -> io::Result<Datagrams> {
        let mut bound = Vec::new();
        for socket in sockets {
            let local = socket.local_addr()?;
            #[cfg(target_os = "linux")]
            if local.ip().is_unspecified() {
                tell_destinations(&socket, local.is_ipv6())?;
            }
            bound.push(Bound { local, socket });
        }
        Ok(Datagrams {
            bound: bound.into(),
            batch: Batch::new(),
            outgoing: VecDeque::new(),
        })
    }

    pub(super) fn sockets(&self) -> Arc<[Bound]> {
        self.bound.clone()
    }

    /// Takes in one batch from socket `n`: how many there are. Fewer than `BATCH`: no more for now.
    pub(super) fn receive(&mut self, n: usize) -> usize {
        let Some(Bound { socket, .. }) = self.bound.get(n) else {
            return 0;
        };
        let batch = &mut self.batch;
        let taken = socket.try_io(Interest::READABLE, || batch.receive(socket));
        taken.unwrap_or_else(|error| {
            // Else ICMP's port unreachable to an earlier answer; the socket is fine.
            if error.kind() != io::ErrorKind::WouldBlock {
                debug!(%error, "SIP socket");
            }
            0
        })
    }

    /// One datagram of the batch just taken in from socket `n`.
    pub(super) fn taken(&self, n: usize, at: usize) -> Option<(Flow, &[u8])> {
        let local = self.bound.get(n)?.local;
        let (remote, to, data) = self.batch.datagram(at)?;
        let own = SocketAddr::new(own_address(local, to, remote), local.port());
        Some((Flow::udp(own, remote), data))
    }

    /// Puts a datagram with those that the next `flush` sends.
    pub(super) fn send(&mut self, flow: Flow, data: Vec<u8>) {
        // A socket on a wildcard address serves flows of every address.
        let exact = self.bound.iter().position(|b| b.local == flow.local);
        let serves = |bound: &Bound| {
            bound.local.ip().is_unspecified() && bound.local.is_ipv4() == flow.remote.is_ipv4()
        };
        if let Some(n) = exact.or_else(|| self.bound.iter().position(serves)) {
            self.outgoing.push_back((n, flow, data));
        }
    }

    /// Sends what waits. What the kernel does not take is lost, as datagrams may be; SIP sends it again.
    pub(super) fn flush(&mut self) {
        while let Some((n, ..)) = self.outgoing.front() {
            let n = *n;
            let run = self.outgoing.iter().take(BATCH);
            let run = run.take_while(|(other, ..)| *other == n).count();
            let Bound { local, socket } = &self.bound[n];
            let is_wildcard = local.ip().is_unspecified();
            let datagrams = self.outgoing.make_contiguous()[..run].iter();
            let datagrams = datagrams.map(|(_, flow, data)| {
                (
                    flow.remote,
                    is_wildcard.then_some(flow.local.ip()),
                    &data[..],
                )
            });
            // Asked at once, whether or not the runtime has heard yet that there is room.
            let gone = match self.batch.send(socket, datagrams) {
                Ok(count) => count.clamp(1, run),
                Err(error) => {
                    debug!(%error, "datagram not sent");
                    1
                }
            };
            self.outgoing.drain(..gone);
        }
    }
}

/// The address of ours that a datagram came to.
fn own_address(local: SocketAddr, to: Option<IpAddr>, remote: SocketAddr) -> IpAddr {
    match to {
        _ if !local.ip().is_unspecified() => local.ip(),
        Some(address) => address,
        None => crate::ports::source_address(local.ip(), remote),
    }
}

/// Waits until one of the sockets has something; which one. The one after `after` is looked at first.
pub(super) async fn readable(sockets: &[Bound], after: usize) -> usize {
    poll_fn(|context| {
        for step in 1..=sockets.len() {
            let n = (after + step) % sockets.len();
            if sockets[n].socket.poll_recv_ready(context).is_ready() {
                return Poll::Ready(n);
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
#[path = "datagrams_tests.rs"]
mod tests;
