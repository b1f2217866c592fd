//! Packets with the kernel's time of arrival: SO_TIMESTAMPNS, sendmmsg(2), recvmmsg(2), epoll(7). All unsafe code of the generator.
//!
//! Invariant: every pointer handed to the kernel points into an array that lives longer than the call, with its true
//! length; control messages are walked with the macros of the C library, over what the kernel wrote.

use std::mem::size_of;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};

/// Packets of one system call.
pub const BATCH: usize = 32;
/// More than a packet of ours.
const ROOM: usize = 512;
const READY: usize = 256;

/// Asks for times of arrival, and for room for a burst.
pub fn stamp(socket: &UdpSocket) {
    let set = |name, value: libc::c_int| {
        // SAFETY: the value is read during the call only.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                name,
                (&raw const value).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    };
    set(libc::SO_TIMESTAMPNS, 1);
    set(libc::SO_RCVBUF, 4 << 20);
}

/// As many open files as this user may have, here and in programs started from here; root may have more than its limit.
pub fn raise_file_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 65_536,
        rlim_max: 65_536,
    };
    // SAFETY: the calls use the value only while they run.
    unsafe {
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0 {
            return;
        }
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// CPU seconds of this program so far, threads that have ended included.
pub fn own_cpu_s() -> f64 {
    // SAFETY: plain C data, for which zero is a value; written during the call only.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Threads begun from now on run on this processor, where there is one.
pub fn run_on(cpu: usize) {
    // SAFETY: a set of processors is plain C data, for which zero is a value; it is read during the call only.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// Sends from one socket to many ports of this machine.
pub struct Sender {
    addresses: Box<[libc::sockaddr_in; BATCH]>,
}

impl Sender {
    pub fn new() -> Sender {
        // SAFETY: plain C data, for which zero is a value.
        let mut addresses: Box<[libc::sockaddr_in; BATCH]> =
            Box::new(unsafe { std::mem::zeroed() });
        for address in addresses.iter_mut() {
            address.sin_family = libc::AF_INET as libc::sa_family_t;
            address.sin_addr.s_addr = u32::from(std::net::Ipv4Addr::LOCALHOST).to_be();
        }
        Sender { addresses }
    }

    /// At most `BATCH` packets, each to its port. What the kernel does not take is lost: loopback refuses a packet when the
    /// receiver's port is gone.
    pub fn send<const N: usize>(&mut self, socket: RawFd, packets: &mut [[u8; N]], ports: &[u16]) {
        let count = packets.len().min(ports.len()).min(BATCH);
        // SAFETY: plain C data, for which zero is a value.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        let mut vectors: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
        for n in 0..count {
            self.addresses[n].sin_port = ports[n].to_be();
            vectors[n].iov_base = packets[n].as_mut_ptr().cast();
            vectors[n].iov_len = N;
            headers[n].msg_hdr.msg_iov = &raw mut vectors[n];
            headers[n].msg_hdr.msg_iovlen = 1;
            headers[n].msg_hdr.msg_name = (&raw mut self.addresses[n]).cast();
            headers[n].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        }
        let mut from = 0;
        while from < count {
            let rest = &mut headers[from..count];
            // SAFETY: the invariant above.
            let sent = unsafe { libc::sendmmsg(socket, rest.as_mut_ptr(), rest.len() as u32, 0) };
            // A refusal is of the first of them.
            from += usize::try_from(sent).map_or(1, |sent| sent.max(1));
        }
    }
}

pub struct Receiver {
    epoll: RawFd,
    sockets: Vec<RawFd>,
    buffers: Box<[[u8; ROOM]; BATCH]>,
    control: Box<[[u64; 16]; BATCH]>,
}

impl Receiver {
    pub fn new(sockets: &[RawFd]) -> Receiver {
        // SAFETY: no pointers but to an event that is read during the call only.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(epoll >= 0);
        for (at, &socket) in sockets.iter().enumerate() {
            let mut event = libc::epoll_event {
                events: libc::EPOLLIN as u32,
                u64: at as u64,
            };
            // SAFETY: as above.
            let result =
                unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket, &raw mut event) };
            assert_eq!(result, 0);
        }
        Receiver {
            epoll,
            sockets: sockets.to_vec(),
            buffers: Box::new([[0; ROOM]; BATCH]),
            control: Box::new([[0; 16]; BATCH]),
        }
    }

    /// Hands over what came, without waiting; whether all of it: place of the socket, packet, nanoseconds of the epoch.
    pub fn take(&mut self, mut packet: impl FnMut(usize, &[u8], u64)) -> bool {
        let mut ready = [libc::epoll_event { events: 0, u64: 0 }; READY];
        // SAFETY: the invariant above.
        let count = unsafe { libc::epoll_wait(self.epoll, ready.as_mut_ptr(), READY as i32, 0) };
        for event in &ready[..usize::try_from(count).unwrap_or(0)] {
            let at = event.u64 as usize;
            // SAFETY: plain C data, for which zero is a value.
            let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
            let mut vectors: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
            for n in 0..BATCH {
                vectors[n].iov_base = self.buffers[n].as_mut_ptr().cast();
                vectors[n].iov_len = ROOM;
                headers[n].msg_hdr.msg_iov = &raw mut vectors[n];
                headers[n].msg_hdr.msg_iovlen = 1;
                headers[n].msg_hdr.msg_control = self.control[n].as_mut_ptr().cast();
                headers[n].msg_hdr.msg_controllen = size_of::<[u64; 16]>() as _;
            }
            // SAFETY: the invariant above.
            let received = unsafe {
                libc::recvmmsg(
                    self.sockets[at],
                    headers.as_mut_ptr(),
                    BATCH as u32,
                    libc::MSG_DONTWAIT as _,
                    std::ptr::null_mut(),
                )
            };
            let received = usize::try_from(received).unwrap_or(0);
            for (n, header) in headers.iter().enumerate().take(received) {
                let arrived_ns = arrival_ns(&header.msg_hdr);
                let length = (header.msg_len as usize).min(ROOM);
                packet(at, &self.buffers[n][..length], arrived_ns);
            }
        }
        count < READY as i32
    }
}

fn arrival_ns(header: &libc::msghdr) -> u64 {
    // SAFETY: the kernel wrote the control messages; a stamp is a timespec, read without regard to alignment.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET
                && (*message).cmsg_type == libc::SCM_TIMESTAMPNS
            {
                let time: libc::timespec = libc::CMSG_DATA(message)
                    .cast::<libc::timespec>()
                    .read_unaligned();
                return time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    0
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours.
        unsafe {
            libc::close(self.epoll);
        }
    }
}
