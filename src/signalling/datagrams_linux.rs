//! Linux's system calls for many datagrams at once: recvmmsg and sendmmsg, with the destination address of each datagram
//! (IP_PKTINFO, IPV6_PKTINFO). Owns the buffers those calls fill; every unsafe line of the SIP sockets is here.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd as _, RawFd};
use std::ptr;

use libc::{
    CMSG_DATA, CMSG_FIRSTHDR, CMSG_LEN, CMSG_NXTHDR, CMSG_SPACE, in_pktinfo, in6_pktinfo, iovec,
    mmsghdr, msghdr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t,
};
use socket2::SockAddr;
use tokio::net::UdpSocket;

use super::datagrams::{BATCH, DATAGRAM_MAX};

/// Room for one control message of either family, in words so that it is aligned.
const CONTROL_WORDS: usize = 8;
type Control = [u64; CONTROL_WORDS];

/// Buffers of one batch. The headers point into the boxes beside them, which never move.
pub(super) struct Batch {
    names: Box<[sockaddr_storage; BATCH]>,
    controls: Box<[Control; BATCH]>,
    data: Box<[u8]>,
    parts: Box<[iovec; BATCH]>,
    headers: Box<[mmsghdr; BATCH]>,
    /// Headers that the last call wrote to.
    filled: usize,
}

// SAFETY: the pointers lead into boxes that the batch owns and nobody else knows.
unsafe impl Send for Batch {}

impl Batch {
    pub(super) fn new() -> Batch {
        // SAFETY: addresses, control words, parts and headers are plain C structures for which all zeros is a value.
        let (names, controls, parts, headers) = unsafe {
            (
                Box::new(MaybeUninit::<[sockaddr_storage; BATCH]>::zeroed().assume_init()),
                Box::new([[0u64; CONTROL_WORDS]; BATCH]),
                Box::new(MaybeUninit::<[iovec; BATCH]>::zeroed().assume_init()),
                Box::new(MaybeUninit::<[mmsghdr; BATCH]>::zeroed().assume_init()),
            )
        };
        let mut batch = Batch {
            names,
            controls,
            data: vec![0; BATCH * DATAGRAM_MAX].into_boxed_slice(),
            parts,
            headers,
            filled: 0,
        };
        for at in 0..BATCH {
            batch.parts[at] = iovec {
                iov_base: batch.data[at * DATAGRAM_MAX..].as_mut_ptr().cast(),
                iov_len: DATAGRAM_MAX,
            };
            let header = &mut batch.headers[at].msg_hdr;
            header.msg_name = ptr::from_mut(&mut batch.names[at]).cast();
            header.msg_iov = &raw mut batch.parts[at];
            header.msg_iovlen = 1;
            header.msg_control = batch.controls[at].as_mut_ptr().cast();
            batch.clear(at);
        }
        batch
    }

    /// The kernel writes lengths over room.
    fn clear(&mut self, at: usize) {
        let header = &mut self.headers[at].msg_hdr;
        header.msg_namelen = mem::size_of::<sockaddr_storage>() as socklen_t;
        header.msg_controllen = mem::size_of::<Control>() as _;
        header.msg_flags = 0;
    }

    /// Takes in what is there, `BATCH` datagrams at most.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        for at in 0..mem::take(&mut self.filled) {
            self.clear(at);
        }
        // SAFETY: each header points to a name, a buffer and a control area of the lengths it states, all alive.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        self.filled = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        Ok(self.filled)
    }

    /// One datagram of the last batch: who sent it, to which address of ours if that was told, and what it says.
    pub(super) fn datagram(&self, at: usize) -> Option<(SocketAddr, Option<IpAddr>, &[u8])> {
        let header = &self.headers[at];
        let start = at * DATAGRAM_MAX;
        let length = (header.msg_len as usize).min(DATAGRAM_MAX);
        let data = &self.data[start..start + length];
        let remote = address(&self.names[at])?;
        Some((remote, destination(&header.msg_hdr), data))
    }

    /// Sends datagrams (to, from which address of ours if it matters, what) of one socket; how many the kernel took.
    pub(super) fn send<'a>(
        &mut self,
        socket: &UdpSocket,
        datagrams: impl Iterator<Item = (SocketAddr, Option<IpAddr>, &'a [u8])>,
    ) -> io::Result<usize> {
        let mut names: [MaybeUninit<SockAddr>; BATCH] = [const { MaybeUninit::uninit() }; BATCH];
        let mut controls = [[0u64; CONTROL_WORDS]; BATCH];
        // SAFETY: as in `new`.
        let (mut parts, mut headers) = unsafe {
            (
                MaybeUninit::<[iovec; BATCH]>::zeroed().assume_init(),
                MaybeUninit::<[mmsghdr; BATCH]>::zeroed().assume_init(),
            )
        };
        let mut count = 0;
        for (to, from, data) in datagrams.take(BATCH) {
            let name = names[count].write(to.into());
            parts[count] = iovec {
                // The kernel only reads it.
                iov_base: data.as_ptr().cast_mut().cast(),
                iov_len: data.len(),
            };
            let header = &mut headers[count].msg_hdr;
            header.msg_name = name.as_ptr().cast_mut().cast();
            header.msg_namelen = name.len();
            header.msg_iov = &raw mut parts[count];
            header.msg_iovlen = 1;
            if let Some(from) = from {
                put_source(header, &mut controls[count], from);
            }
            count += 1;
        }
        // SAFETY: `count` headers point to names, data and control areas that live until the call is over. A `SockAddr`
        // needs no drop.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Asks the kernel to say with each datagram which of our addresses it came to.
pub(super) fn tell_destinations(socket: &UdpSocket, is_ipv6: bool) -> io::Result<()> {
    let (level, option) = match is_ipv6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        false => (libc::IPPROTO_IP, libc::IP_PKTINFO),
    };
    set_flag(socket.as_raw_fd(), level, option)
}

fn set_flag(socket: RawFd, level: i32, option: i32) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the value is an int and its length is said.
    let result = unsafe {
        libc::setsockopt(
            socket,
            level,
            option,
            ptr::from_ref(&on).cast(),
            mem::size_of::<libc::c_int>() as socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn address(name: &sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says what it is, and the storage is large enough and aligned for any.
            let name = unsafe { &*ptr::from_ref(name).cast::<sockaddr_in>() };
            let ip = Ipv4Addr::from_bits(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddr::new(ip.into(), u16::from_be(name.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let name = unsafe { &*ptr::from_ref(name).cast::<sockaddr_in6>() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            let port = u16::from_be(name.sin6_port);
            Some(SocketAddrV6::new(ip, port, 0, name.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn destination(header: &msghdr) -> Option<IpAddr> {
    // SAFETY: the header was filled by recvmmsg: its control area holds whole messages, which these macros walk.
    // Values are read unaligned.
    unsafe {
        let mut message = CMSG_FIRSTHDR(header);
        while !message.is_null() {
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: in_pktinfo = ptr::read_unaligned(CMSG_DATA(message).cast());
                    let address = u32::from_be(info.ipi_spec_dst.s_addr);
                    return Some(Ipv4Addr::from_bits(address).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: in6_pktinfo = ptr::read_unaligned(CMSG_DATA(message).cast());
                    return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                _ => message = CMSG_NXTHDR(header, message),
            }
        }
    }
    None
}

/// Names the address a datagram shall leave from.
fn put_source(header: &mut msghdr, control: &mut Control, from: IpAddr) {
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = mem::size_of::<Control>() as _;
    // SAFETY: the control area is zeroed, aligned, and has room for either message.
    unsafe {
        let message = CMSG_FIRSTHDR(header);
        let length = match from {
            IpAddr::V4(from) => {
                let mut info: in_pktinfo = mem::zeroed();
                info.ipi_spec_dst.s_addr = from.to_bits().to_be();
                (*message).cmsg_level = libc::IPPROTO_IP;
                (*message).cmsg_type = libc::IP_PKTINFO;
                ptr::write_unaligned(CMSG_DATA(message).cast(), info);
                mem::size_of::<in_pktinfo>()
            }
            IpAddr::V6(from) => {
                let mut info: in6_pktinfo = mem::zeroed();
                info.ipi6_addr.s6_addr = from.octets();
                (*message).cmsg_level = libc::IPPROTO_IPV6;
                (*message).cmsg_type = libc::IPV6_PKTINFO;
                ptr::write_unaligned(CMSG_DATA(message).cast(), info);
                mem::size_of::<in6_pktinfo>()
            }
        } as libc::c_uint;
        (*message).cmsg_len = CMSG_LEN(length) as _;
        header.msg_controllen = CMSG_SPACE(length) as _;
    }
}
