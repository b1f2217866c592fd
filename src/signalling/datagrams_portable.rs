//! Datagrams one by one, where the system has no call for many.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;

use super::datagrams::DATAGRAM_MAX;

/// A batch of one.
pub(super) struct Batch {
    data: Box<[u8]>,
    filled: usize,
    remote: Option<SocketAddr>,
}

impl Batch {
    pub(super) fn new() -> Batch {
        Batch {
            data: vec![0; DATAGRAM_MAX].into_boxed_slice(),
            filled: 0,
            remote: None,
        }
    }

    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let (length, remote) = socket.try_recv_from(&mut self.data)?;
        (self.filled, self.remote) = (length, Some(remote));
        Ok(1)
    }

    pub(super) fn datagram(&self, _: usize) -> Option<(SocketAddr, Option<IpAddr>, &[u8])> {
        Some((self.remote?, None, &self.data[..self.filled]))
    }

    pub(super) fn send<'a>(
        &mut self,
        socket: &UdpSocket,
        mut datagrams: impl Iterator<Item = (SocketAddr, Option<IpAddr>, &'a [u8])>,
    ) -> io::Result<usize> {
        match datagrams.next() {
            Some((to, _, data)) => socket.try_send_to(data, to).map(|_| 1),
            None => Ok(0),
        }
    }
}
