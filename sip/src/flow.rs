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

/// How messages travel: RFC 3261 §18, and RFC 7118 for WebSocket. Encryption is the shell's business; here it decides
/// tokens, default ports and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Transport {
    pub const ALL: [Transport; 5] = [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Ws,
        Transport::Wss,
    ];

    /// RFC 3261 §17: a reliable transport needs no retransmissions of ours.
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }

    /// Encrypted on the way to the next hop.
    pub fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss)
    }

    /// RFC 7118: one message in each frame, and connections that only the phone can open.
    pub fn is_web_socket(self) -> bool {
        matches!(self, Transport::Ws | Transport::Wss)
    }

    /// The token in a Via header, RFC 3261 §20.42 and RFC 7118 §5.2.
    pub fn via_token(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }

    /// The value of a URI's `transport` parameter, RFC 3261 §19.1.1 and RFC 7118 §5.2; `None` where it is the default.
    /// `tls` is deprecated by the RFC and written by every phone: with `sip:` nothing else says it.
    pub fn uri_param(self) -> Option<&'static str> {
        match self {
            Transport::Udp => None,
            Transport::Tcp => Some("tcp"),
            Transport::Tls => Some("tls"),
            Transport::Ws | Transport::Wss => Some("ws"),
        }
    }

    /// Where nothing else is said: RFC 3261 §19.1.2, RFC 7118 §3.
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
            Transport::Ws => 80,
            Transport::Wss => 443,
        }
    }

    /// Short, lower case, read back by `parse`.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
        }
    }

    /// A transport by its name or Via token, in any case.
    pub fn parse(text: &str) -> Option<Transport> {
        let named = |transport: &Transport| transport.name().eq_ignore_ascii_case(text);
        Transport::ALL.into_iter().find(named)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
        Flow::stream(Transport::Tcp, local, remote, conn)
    }

    /// Any transport but UDP.
    pub fn stream(
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
        conn: ConnId,
    ) -> Flow {
        Flow {
            transport,
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

/// Where a request of ours shall go. For UDP `local` names the bound socket to send from; for streams it is the
/// address written into Via and Contact, and the endpoint takes the connection it has with that peer, or asks for one.
/// The flow of a registered phone is its binding's: over a WebSocket no other way leads there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowTarget {
    pub transport: Transport,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

impl From<Flow> for FlowTarget {
    /// The way back to where something came from.
    fn from(flow: Flow) -> FlowTarget {
        FlowTarget {
            transport: flow.transport,
            local: flow.local,
            remote: flow.remote,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tokens_and_ports() {
        let rows = [
            (Transport::Udp, "UDP", None, 5060, false, false),
            (Transport::Tcp, "TCP", Some("tcp"), 5060, false, false),
            (Transport::Tls, "TLS", Some("tls"), 5061, true, false),
            (Transport::Ws, "WS", Some("ws"), 80, false, true),
            (Transport::Wss, "WSS", Some("ws"), 443, true, true),
        ];
        for (transport, token, param, port, is_secure, is_web_socket) in rows {
            assert_eq!(transport.via_token(), token);
            assert_eq!(transport.uri_param(), param);
            assert_eq!(transport.default_port(), port);
            assert_eq!(transport.is_secure(), is_secure);
            assert_eq!(transport.is_web_socket(), is_web_socket);
            assert_eq!(transport.is_reliable(), transport != Transport::Udp);
            assert_eq!(Transport::parse(token), Some(transport));
            assert_eq!(Transport::parse(&transport.to_string()), Some(transport));
        }
        assert_eq!(Transport::parse("sctp"), None);
    }
}
