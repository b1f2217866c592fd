//! Packets with the kernel's time of arrival: SO_TIMESTAMPNS, recvmmsg(2), epoll(7). All unsafe code of the generator.
//!
//! Invariant: every pointer handed to the kernel points into an array that lives longer than the call, with its true
//! length; control messages are walked with the macros of the C library, over what the kernel wrote.

use std::mem::size_of;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};

const BATCH: usize = 16;
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
    set(libc::SO_RCVBUF, 1 << 20);
}

pub struct Receiver {
    epoll: RawFd,
    sockets: Vec<RawFd>,
    buffers: Box<[[u8; 2048]; BATCH]>,
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
            buffers: Box::new([[0; 2048]; BATCH]),
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
                vectors[n].iov_len = 2048;
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
                let length = (header.msg_len as usize).min(2048);
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
