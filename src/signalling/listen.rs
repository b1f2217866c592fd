//! Opening the SIP ports: which sockets on which addresses, before anything else starts, so that a port that is taken is
//! said at once. Owns nothing of what comes in.

use std::io;
use std::net::{IpAddr, SocketAddr};

use sip::Transport;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tracing::warn;

use super::certificate::Certificate;
use super::page_phone;
use crate::config::{Sip, Streams};

/// Connections that wait to be accepted; the kernel refuses or forgets more.
const BACKLOG: i32 = 256;
/// What the kernel may hold while one batch is at work. It gives less where the system allows less.
const UDP_BUFFER_BYTES: usize = 2 * 1024 * 1024;

/// What is listened on, and with what.
pub struct Listeners {
    pub(super) udp: Vec<UdpSocket>,
    pub(super) streams: Vec<(Door, TcpListener)>,
    pub(super) certificate: Option<Certificate>,
    pub(super) config: Streams,
    pub(super) page_phones: Option<page_phone::Arrivals>,
}

/// What a stream listener lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Tcp,
    Tls,
    /// Plain and encrypted: the first octet tells.
    WebSocket,
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "SIP port {port} on {address} is taken ({transport}): is Offhook or another SIP server already running? \
         Stop it, or set another `{key}` in [sip]"
    )]
    Taken {
        address: IpAddr,
        port: u16,
        transport: &'static str,
        key: &'static str,
    },
    #[error("this machine has no address {address}: correct `bind` in [sip]")]
    NoSuchAddress { address: IpAddr },
    #[error("cannot listen on {address} port {port} ({transport}): {source}")]
    Other {
        address: IpAddr,
        port: u16,
        transport: &'static str,
        source: io::Error,
    },
}

/// One row of what shall be opened.
struct Wish {
    door: Option<Door>,
    name: &'static str,
    key: &'static str,
    port: u16,
    /// Nobody asked for this port by its number: where it is taken, the rest goes on without it.
    is_derived: bool,
}

impl Listeners {
    /// Binds what `[sip]` asks for on every address. Without a certificate there is neither TLS nor WSS.
    pub async fn bind(
        addresses: &[IpAddr],
        config: &Sip,
        certificate: Option<Certificate>,
    ) -> Result<Listeners, ListenError> {
        let mut listeners = Listeners {
            udp: Vec::new(),
            streams: Vec::new(),
            certificate,
            config: config.streams.clone(),
            page_phones: None,
        };
        for wish in wishes(config, listeners.certificate.is_some()) {
            for &address in addresses {
                match listeners.open(address, &wish) {
                    Ok(()) => {}
                    Err(error @ ListenError::Taken { .. }) if wish.is_derived => {
                        warn!("no {} on {address}: {error}", wish.name);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(listeners)
    }

    /// Lets in the phones that come by the page.
    pub fn with_page_phones(mut self, arrivals: page_phone::Arrivals) -> Listeners {
        self.page_phones = Some(arrivals);
        self
    }

    fn open(&mut self, address: IpAddr, wish: &Wish) -> Result<(), ListenError> {
        let (port, transport, key) = (wish.port, wish.name, wish.key);
        let at = SocketAddr::new(address, port);
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::Taken {
                address,
                port,
                transport,
                key,
            },
            io::ErrorKind::AddrNotAvailable => ListenError::NoSuchAddress { address },
            _ => ListenError::Other {
                address,
                port,
                transport,
                source,
            },
        };
        match wish.door {
            None => self.udp.push(udp(at).map_err(refused)?),
            Some(door) => self.streams.push((door, tcp(at).map_err(refused)?)),
        }
        Ok(())
    }

    /// The addresses in use, for printing.
    pub fn addresses(&self) -> Vec<(Transport, SocketAddr)> {
        let udp = self.udp.iter().map(|s| (Transport::Udp, s.local_addr()));
        let streams = self.streams.iter().flat_map(|(door, listener)| {
            let transports: &[Transport] = match door {
                Door::Tcp => &[Transport::Tcp],
                Door::Tls => &[Transport::Tls],
                Door::WebSocket if self.certificate.is_some() => &[Transport::Ws, Transport::Wss],
                Door::WebSocket => &[Transport::Ws],
            };
            transports.iter().map(|t| (*t, listener.local_addr()))
        });
        udp.chain(streams)
            .filter_map(|(transport, address)| Some((transport, address.ok()?)))
            .collect()
    }

    /// Of the certificate in use: SHA-256, in the form that phones show.
    pub fn fingerprint(&self) -> Option<String> {
        Some(self.certificate.as_ref()?.fingerprint())
    }
}

fn wishes(config: &Sip, has_certificate: bool) -> Vec<Wish> {
    let streams = &config.streams;
    let main = |door, name| Wish {
        door,
        name,
        key: "port",
        port: config.port,
        is_derived: false,
    };
    let mut wishes = Vec::new();
    if config.udp {
        wishes.push(main(None, "UDP"));
    }
    if config.tcp {
        wishes.push(main(Some(Door::Tcp), "TCP"));
    }
    if streams.tls && has_certificate {
        wishes.push(Wish {
            door: Some(Door::Tls),
            name: "TLS",
            key: "tls_port",
            port: config.tls_port(),
            is_derived: streams.tls_port.is_none(),
        });
    }
    if streams.ws {
        wishes.push(Wish {
            door: Some(Door::WebSocket),
            name: "WebSocket",
            key: "ws_port",
            port: config.ws_port(),
            is_derived: streams.ws_port.is_none(),
        });
    }
    wishes
}

/// IPv4 and IPv6 have sockets of their own: no address ever comes in wrapped in one of the other family.
fn socket(at: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), kind, Some(protocol))?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn udp(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(at, Type::DGRAM, Protocol::UDP)?;
    // A wish: the default serves, too.
    let _ = socket.set_recv_buffer_size(UDP_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(UDP_BUFFER_BYTES);
    socket.bind(&at.into())?;
    UdpSocket::from_std(socket.into())
}

fn tcp(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(at, Type::STREAM, Protocol::TCP)?;
    // Connections of the last run that are still fading away do not hold the port.
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
