//! PURE.
//! Where a message came from and where the next one goes: RFC 5626's flow, cut down to addresses and a number for the
//! stream connection. Does not own sockets, name resolution (RFC 3263) or connection state (see `endpoint`).

use std::fmt;
use std::net::SocketAddr;

/// One stream connection. The shell numbers inbound connections from 0 upwards; the endpoint numbers the ones it asks
/// for with the top bit set, so the two never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

impl ConnId {
    pub(crate) const OUTBOUND: u64 = 1 << 63;

    /// True for a connection the endpoint asked for with `Output::OpenStream`.
    pub fn is_outbound(self) -> bool {
        self.0 & Self::OUTBOUND != 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    /// RFC 3261 §17: a reliable transport needs no retransmissions of ours.
    pub fn is_reliable(self) -> bool {
        matches!(self, Transport::Tcp)
    }

    /// The token in a Via header, RFC 3261 §20.42.
    pub fn via_token(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        }
    }

    /// The value of a URI's `transport` parameter, RFC 3261 §19.1.1; `None` where it is the default.
    pub fn uri_param(self) -> Option<&'static str> {
        match self {
            Transport::Udp => None,
            Transport::Tcp => Some("tcp"),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        })
    }
}

/// The path a message took, seen from our side. `conn` is set exactly for stream transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    pub transport: Transport,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub conn: Option<ConnId>,
}

impl Flow {
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Flow {
        Flow {
            transport: Transport::Udp,
            local,
            remote,
            conn: None,
        }
    }

    pub fn tcp(local: SocketAddr, remote: SocketAddr, conn: ConnId) -> Flow {
        Flow {
            transport: Transport::Tcp,
            local,
            remote,
            conn: Some(conn),
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transport, self.remote)
    }
}

/// Where a request of ours shall go. For UDP `local` names the bound socket to send from; for TCP it is the address
/// written into Via and Contact, and the endpoint asks for a connection (or reuses its own to the same peer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowTarget {
    pub transport: Transport,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}
