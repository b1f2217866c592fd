//! The system calls of a relay thread: epoll(7), recvfrom(2), recvmmsg(2), sendto(2), sendmmsg(2), and options of its sockets.
//!
//! Owns: all unsafe code of the relay, and the buffers it points the kernel at. Does not own: what is received and sent.
//!
//! Invariants of the unsafe code: (1) every pointer handed to the kernel points into a boxed array of this room that lives
//! as long as the call and is borrowed by nobody else; lengths are those of the arrays. (2) A datagram is read up to the
//! length the kernel reported, cut to its buffer. (3) An address is read as the family the kernel wrote into it says, and
//! only if it is long enough for that family.

use std::io;
use std::mem::size_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use media::relay::DATAGRAM_LEN_MAX;

/// Datagrams taken before they are sent.
const ROOM: usize = 64;
/// A datagram, and what it grows by when it is encrypted.
const BUFFER_LEN: usize = DATAGRAM_LEN_MAX + media::relay::ROOM;
/// Datagrams of one socket taken or sent at once.
const BURST: usize = 16;

/// Expedited forwarding (RFC 3246, RFC 4594 section 4.1): 46 in the upper six bits of the octet.
const DSCP_EF: u32 = 46 << 2;

/// DSCP EF on what a socket sends. Without it the packets go all the same.
pub(super) fn prepare(socket: &UdpSocket) {
    let socket = socket2::SockRef::from(socket);
    let is_ipv6 = socket.domain().ok() == Some(socket2::Domain::IPV6);
    let result = if is_ipv6 {
        // A dual-stack socket takes both.
        let _ = socket.set_tos_v4(DSCP_EF);
        socket.set_tclass_v6(DSCP_EF)
    } else {
        socket.set_tos_v4(DSCP_EF)
    };
    if let Err(error) = result {
        tracing::debug!(%error, "DSCP of a relay port");
    }
}

/// Lets this thread's sleeps end within 10 µs instead of the usual 50.
pub(super) fn sharpen_timers() {
    const SLACK_NS: libc::c_ulong = 10_000;
    // SAFETY: no pointers.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, SLACK_NS, 0, 0, 0);
    }
}

/// Which sockets have something to read.
pub(super) struct Poller {
    epoll: OwnedFd,
    events: Box<[libc::epoll_event]>,
}

impl Poller {
    pub(super) fn new() -> io::Result<Poller> {
        // SAFETY: no pointers; the descriptor is new and ours.
        let epoll = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Poller {
            epoll,
            events: Box::new([]),
        })
    }

    pub(super) fn add(&self, socket: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: token,
        };
        // SAFETY: invariant 1; `event` is read during the call only.
        let result = unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                socket,
                &raw mut event,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// A socket that was not watched is fine.
    pub(super) fn remove(&self, socket: RawFd) {
        // SAFETY: the event is not used for a removal.
        unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                socket,
                std::ptr::null_mut(),
            );
        }
    }

    /// The tokens of up to `max` readable sockets; none after `wait`.
    pub(super) fn wait(
        &mut self,
        wait: Option<Duration>,
        max: usize,
        ready: &mut Vec<u64>,
    ) -> io::Result<()> {
        if self.events.len() != max {
            self.events = vec![libc::epoll_event { events: 0, u64: 0 }; max].into();
        }
        ready.clear();
        // Rounded up: a wait that ends early would come again and again.
        let wait_ms = wait.map_or(-1, |wait| {
            wait.as_micros().div_ceil(1_000).min(60_000) as i32
        });
        // SAFETY: invariant 1.
        let count = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as i32,
                wait_ms,
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                _ => Err(error),
            };
        }
        ready.extend(self.events[..count as usize].iter().map(|event| event.u64));
        Ok(())
    }
}

/// Buffers for [`ROOM`] datagrams, and what is to be sent of them. All that is received in a round is sent in one go after
/// it: the kernel's way out stays warm, and whoever listens wakes up once.
pub(super) struct Batch {
    buffers: Box<[[u8; BUFFER_LEN]; ROOM]>,
    lengths: [usize; ROOM],
    from: Box<[libc::sockaddr_storage; ROOM]>,
    from_lens: [libc::socklen_t; ROOM],
    /// Buffers in use.
    received: usize,
    to: Box<[libc::sockaddr_storage; ROOM]>,
    outgoing: [Outgoing; ROOM],
    outgoing_len: usize,
    vectors: Box<[libc::iovec; BURST]>,
    headers: Box<[libc::mmsghdr; BURST]>,
}

#[derive(Clone, Copy)]
struct Outgoing {
    socket: RawFd,
    datagram: usize,
    address_len: libc::socklen_t,
}

// SAFETY: the pointers in `vectors` and `headers` are written before each call that uses them, and point into the boxes
// of the same value, which move with it.
unsafe impl Send for Batch {}

impl Batch {
    pub(super) fn new() -> Batch {
        // SAFETY: all of these are plain C data, for which zero is a value.
        unsafe {
            Batch {
                buffers: Box::new([[0; BUFFER_LEN]; ROOM]),
                lengths: [0; ROOM],
                from: Box::new(std::mem::zeroed()),
                from_lens: [0; ROOM],
                received: 0,
                to: Box::new(std::mem::zeroed()),
                outgoing: [Outgoing {
                    socket: -1,
                    datagram: 0,
                    address_len: 0,
                }; ROOM],
                outgoing_len: 0,
                vectors: Box::new(std::mem::zeroed()),
                headers: Box::new(std::mem::zeroed()),
            }
        }
    }

    /// Whether a burst still fits; otherwise [`Batch::flush`] comes first.
    pub(super) fn has_room(&self) -> bool {
        self.received + BURST <= ROOM
    }

    /// Datagrams queued to be sent.
    pub(super) fn queued(&self) -> usize {
        self.outgoing_len
    }

    /// Forgets what was queued after `queued`.
    pub(super) fn give_up(&mut self, queued: usize) {
        self.outgoing_len = self.outgoing_len.min(queued);
    }

    /// Takes one datagram of a socket without waiting, or up to [`BURST`]; their places.
    pub(super) fn receive(&mut self, socket: RawFd, is_burst: bool) -> Range<usize> {
        let first = self.received;
        if !self.has_room() {
            return first..first;
        }
        let count = if is_burst {
            self.receive_burst(socket)
        } else {
            self.receive_one(socket)
        };
        self.received += count;
        first..self.received
    }

    fn receive_one(&mut self, socket: RawFd) -> usize {
        let n = self.received;
        self.from_lens[n] = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        // SAFETY: invariant 1.
        let length = unsafe {
            libc::recvfrom(
                socket,
                self.buffers[n].as_mut_ptr().cast(),
                DATAGRAM_LEN_MAX,
                libc::MSG_DONTWAIT | libc::MSG_TRUNC,
                (&raw mut self.from[n]).cast(),
                &raw mut self.from_lens[n],
            )
        };
        // Nothing there any more, or an ICMP error of an earlier packet: the peer may still come back.
        let Ok(length) = usize::try_from(length) else {
            return 0;
        };
        // A datagram that was too long is nobody's sound; it counts as malformed.
        self.lengths[n] = if length > DATAGRAM_LEN_MAX { 0 } else { length };
        1
    }

    fn receive_burst(&mut self, socket: RawFd) -> usize {
        let first = self.received;
        for at in 0..BURST {
            let n = first + at;
            self.vectors[at] = libc::iovec {
                iov_base: self.buffers[n].as_mut_ptr().cast(),
                iov_len: DATAGRAM_LEN_MAX,
            };
            let len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            let name = (&raw mut self.from[n]).cast();
            self.head(at, name, len);
        }
        // SAFETY: invariant 1.
        let count = unsafe {
            libc::recvmmsg(
                socket,
                self.headers.as_mut_ptr(),
                BURST as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).unwrap_or(0).min(BURST);
        for at in 0..count {
            let header = &self.headers[at];
            let is_cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            self.lengths[first + at] = if is_cut { 0 } else { header.msg_len as usize };
            self.from_lens[first + at] = header.msg_hdr.msg_namelen;
        }
        count
    }

    fn head(&mut self, at: usize, name: *mut libc::c_void, name_len: libc::socklen_t) {
        let header = &mut self.headers[at].msg_hdr;
        header.msg_name = name;
        header.msg_namelen = name_len;
        header.msg_iov = &raw mut self.vectors[at];
        header.msg_iovlen = 1;
        header.msg_control = std::ptr::null_mut();
        header.msg_controllen = 0;
        header.msg_flags = 0;
    }

    /// One of the datagrams taken since the last flush: who sent it, its buffer, and its length there.
    pub(super) fn datagram(&mut self, n: usize) -> (Option<SocketAddr>, &mut [u8], usize) {
        let from = read_address(&self.from[n], self.from_lens[n]);
        let length = self.lengths[n].min(DATAGRAM_LEN_MAX);
        (from, &mut self.buffers[n][..], length)
    }

    /// Queues the first `len` bytes of buffer `n` to be sent from `socket`.
    pub(super) fn send(
        &mut self,
        n: usize,
        len: usize,
        socket: RawFd,
        to: SocketAddr,
        is_ipv6: bool,
    ) {
        self.lengths[n] = len.min(BUFFER_LEN);
        let Some(outgoing) = self.outgoing.get_mut(self.outgoing_len) else {
            return;
        };
        *outgoing = Outgoing {
            socket,
            datagram: n,
            address_len: write_address(&mut self.to[self.outgoing_len], to, is_ipv6),
        };
        self.outgoing_len += 1;
    }

    /// Sends what is queued, neighbours of one socket in one call, and frees the buffers. A full socket buffer loses the
    /// rest of its socket, as the network would.
    pub(super) fn flush(&mut self) {
        let mut first = 0;
        while first < self.outgoing_len {
            let socket = self.outgoing[first].socket;
            let mut end = first + 1;
            while end < self.outgoing_len
                && end - first < BURST
                && self.outgoing[end].socket == socket
            {
                end += 1;
            }
            if end - first == 1 {
                self.send_one(first);
            } else {
                self.send_burst(first, end);
            }
            first = end;
        }
        self.outgoing_len = 0;
        self.received = 0;
    }

    fn send_one(&mut self, n: usize) {
        let outgoing = self.outgoing[n];
        // SAFETY: invariant 1. Errors are of this datagram, or ICMP errors of an earlier one: it is lost.
        unsafe {
            libc::sendto(
                outgoing.socket,
                self.buffers[outgoing.datagram].as_ptr().cast(),
                self.lengths[outgoing.datagram],
                libc::MSG_DONTWAIT,
                (&raw const self.to[n]).cast(),
                outgoing.address_len,
            );
        }
    }

    fn send_burst(&mut self, first: usize, end: usize) {
        for n in first..end {
            let outgoing = self.outgoing[n];
            let at = n - first;
            self.vectors[at] = libc::iovec {
                iov_base: self.buffers[outgoing.datagram].as_mut_ptr().cast(),
                iov_len: self.lengths[outgoing.datagram],
            };
            let name = (&raw mut self.to[n]).cast();
            self.head(at, name, outgoing.address_len);
        }
        let (mut done, count) = (0, end - first);
        while done < count {
            // SAFETY: invariant 1; `done..count` is within the array.
            let sent = unsafe {
                libc::sendmmsg(
                    self.outgoing[first].socket,
                    self.headers[done..count].as_mut_ptr(),
                    (count - done) as u32,
                    libc::MSG_DONTWAIT as _,
                )
            };
            match usize::try_from(sent) {
                Ok(sent) => done += sent.max(1),
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => done += 1,
            }
        }
    }
}

fn read_address(from: &libc::sockaddr_storage, len: libc::socklen_t) -> Option<SocketAddr> {
    let len = len as usize;
    match i32::from(from.ss_family) {
        libc::AF_INET if len >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: invariant 3; the storage is larger and aligned for every family.
            let v4 = unsafe { &*(&raw const *from).cast::<libc::sockaddr_in>() };
            let host = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::from((host, u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 if len >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above.
            let v6 = unsafe { &*(&raw const *from).cast::<libc::sockaddr_in6>() };
            let host = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(host, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Writes an address in the family of the socket that sends there. An IPv6 address on an IPv4 socket fails in the kernel.
fn write_address(
    storage: &mut libc::sockaddr_storage,
    to: SocketAddr,
    is_ipv6: bool,
) -> libc::socklen_t {
    let to = match to {
        SocketAddr::V4(v4) if is_ipv6 => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
        to => to,
    };
    match to {
        SocketAddr::V4(to) => {
            // SAFETY: the storage is larger than each family's address and aligned for it; zero is a value.
            let v4 = unsafe { &mut *(&raw mut *storage).cast::<libc::sockaddr_in>() };
            v4.sin_family = libc::AF_INET as libc::sa_family_t;
            v4.sin_port = to.port().to_be();
            v4.sin_addr.s_addr = u32::from(*to.ip()).to_be();
            v4.sin_zero = [0; 8];
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(to) => {
            // SAFETY: as above.
            let v6 = unsafe { &mut *(&raw mut *storage).cast::<libc::sockaddr_in6>() };
            v6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            v6.sin6_port = to.port().to_be();
            v6.sin6_flowinfo = to.flowinfo();
            v6.sin6_addr.s6_addr = to.ip().octets();
            v6.sin6_scope_id = to.scope_id();
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}
