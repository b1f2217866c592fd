//! Stream connections: accepted or opened, encrypted or not, each read and written by one task until either side has
//! enough. Owns their limits and socket options; not SIP's framing (the `sip` crate) or WebSocket's (`web_socket`).

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sip::{ConnId, Flow, Transport};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::barred::Barred;
use super::dial::TlsPeers;
use super::limits::{Full, Limits, Sparing};
use super::listen::Door;
use super::{Inbound, web_socket};
use crate::records::unix_ms;

const STREAM_CHUNK: usize = 8 * 1024;
/// Chunks on their way into one connection; a peer that does not read loses the connection.
pub(super) const STREAM_OUTBOX_MAX: usize = 64;
/// A peer that takes nothing for this long has lost the connection.
pub(super) const WRITE_MAX: Duration = Duration::from_secs(20);
const CONNECT_MAX: Duration = Duration::from_secs(5);
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The kernel asks an idle peer after this long whether it is there. It keeps the way through a NAT open, too.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(120);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_RETRIES: u32 = 4;
/// What was sent and not acknowledged for this long has gone nowhere: an INVITE gives up after as long.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Connections we accept count from here, so that they never meet the endpoint's own numbers.
const INBOUND_CONN_FIRST: u64 = 1 << 32;

/// What every connection needs.
pub(super) struct Connections {
    pub(super) inbox: mpsc::Sender<Inbound>,
    pub(super) barred: Barred,
    /// From the first octet to the end of the TLS and WebSocket handshakes.
    pub(super) handshake_max: Duration,
    pub(super) limits: Arc<Limits>,
    tls: Option<TlsAcceptor>,
    pub(super) ws_origins: Vec<String>,
    peers: TlsPeers,
    pub(super) next: AtomicU64,
    crowded: Sparing,
    unshaken: Sparing,
}

impl Connections {
    pub(super) fn new(
        inbox: mpsc::Sender<Inbound>,
        limits: Limits,
        tls: Option<TlsAcceptor>,
        ws_origins: Vec<String>,
        peers: TlsPeers,
    ) -> Connections {
        Connections {
            inbox,
            barred: Barred::default(),
            handshake_max: HANDSHAKE_MAX,
            limits: Arc::new(limits),
            tls,
            ws_origins,
            peers,
            next: AtomicU64::new(INBOUND_CONN_FIRST),
            crowded: Sparing::default(),
            unshaken: Sparing::default(),
        }
    }
}

/// Takes in whoever comes, until the task is dropped.
pub(super) async fn accept(door: Door, listener: TcpListener, all: Arc<Connections>) {
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: wait for some to come back.
                warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if all.barred.holds(unix_ms(), remote.ip()) {
            debug!(%remote, "connection closed: its address is banned");
            continue;
        }
        let ticket = match all.limits.enter(remote.ip()) {
            Ok(ticket) => ticket,
            Err(full) => {
                if let Some(others) = all.crowded.due(Instant::now()) {
                    let key = match full {
                        Full::Everything => "connections_max",
                        Full::Place => "connections_per_address_max",
                    };
                    info!(%remote, others, "connection refused: as many as `{key}` of [sip] allows are open");
                }
                continue;
            }
        };
        let all = all.clone();
        tokio::spawn(async move {
            welcome(door, stream, remote, &all).await;
            drop(ticket);
        });
    }
}

/// The handshakes, then the connection itself.
async fn welcome(door: Door, stream: TcpStream, remote: SocketAddr, all: &Connections) {
    prepare(&stream);
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let conn = ConnId(all.next.fetch_add(1, Ordering::Relaxed));
    let flow = |transport| Flow::stream(transport, local, remote, conn);
    if door == Door::Tcp {
        return serve(stream, flow(Transport::Tcp), &all.inbox).await;
    }
    let shaken = tokio::time::timeout(all.handshake_max, shake_hands(door, stream, all)).await;
    match shaken.unwrap_or_else(|_| Err("it took too long".to_owned())) {
        Ok(Shaken::Tls(stream)) => serve(stream, flow(Transport::Tls), &all.inbox).await,
        Ok(Shaken::Ws(socket)) => {
            web_socket::serve(*socket, flow(Transport::Ws), None, pending(), &all.inbox).await;
        }
        Ok(Shaken::Wss(socket)) => {
            web_socket::serve(*socket, flow(Transport::Wss), None, pending(), &all.inbox).await;
        }
        Err(why) => match all.unshaken.due(Instant::now()) {
            Some(others) => info!(%remote, others, "connection closed before it was one: {why}"),
            None => debug!(%remote, "connection closed before it was one: {why}"),
        },
    }
}

type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

enum Shaken {
    Tls(Box<TlsStream>),
    Ws(Box<web_socket::Socket<TcpStream>>),
    Wss(Box<web_socket::Socket<TlsStream>>),
}

async fn shake_hands(door: Door, stream: TcpStream, all: &Connections) -> Result<Shaken, String> {
    let is_tls = door == Door::Tls || web_socket::wants_tls(&stream).await?;
    if !is_tls {
        let socket = web_socket::accept(stream, &all.ws_origins).await?;
        return Ok(Shaken::Ws(Box::new(socket)));
    }
    let Some(tls) = &all.tls else {
        return Err("TLS without a certificate".to_owned());
    };
    let stream = tls
        .accept(stream)
        .await
        .map_err(|error| format!("TLS: {error}"))?;
    if door == Door::Tls {
        return Ok(Shaken::Tls(Box::new(stream)));
    }
    let socket = web_socket::accept(stream, &all.ws_origins).await?;
    Ok(Shaken::Wss(Box::new(socket)))
}

/// Opens a connection that the endpoint asked for. Failing is said like closing.
pub(super) async fn connect(
    conn: ConnId,
    transport: Transport,
    remote: SocketAddr,
    all: Arc<Connections>,
) {
    let opened = tokio::time::timeout(CONNECT_MAX, open(conn, transport, remote, &all)).await;
    if let Err(why) = opened.unwrap_or_else(|_| Err("no answer".to_owned())) {
        info!(%remote, %transport, "no connection: {why}");
        let _ = all.inbox.send(Inbound::Closed { conn }).await;
    }
}

async fn open(
    conn: ConnId,
    transport: Transport,
    remote: SocketAddr,
    all: &Arc<Connections>,
) -> Result<(), String> {
    if transport.is_web_socket() {
        return Err("a phone in a browser opens its connection itself".to_owned());
    }
    let stream = TcpStream::connect(remote)
        .await
        .map_err(|e| e.to_string())?;
    prepare(&stream);
    let local = stream.local_addr().map_err(|error| error.to_string())?;
    let flow = Flow::stream(transport, local, remote, conn);
    let inbox = all.inbox.clone();
    if transport == Transport::Tls {
        let stream = all.peers.connect(stream, remote).await?;
        tokio::spawn(async move { serve(stream, flow, &inbox).await });
    } else {
        tokio::spawn(async move { serve(stream, flow, &inbox).await });
    }
    Ok(())
}

fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    let socket = SockRef::from(stream);
    if let Err(error) = socket.set_tcp_keepalive(&keepalive) {
        debug!(%error, "no TCP keep-alive");
    }
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX));
}

/// One connection: reads until the peer closes, writes until the outbox is dropped.
async fn serve<S>(stream: S, flow: Flow, inbox: &mpsc::Sender<Inbound>)
where
    S: AsyncRead + AsyncWrite,
{
    let Some(conn) = flow.conn else { return };
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (outbox, mut outgoing) = mpsc::channel::<Vec<u8>>(STREAM_OUTBOX_MAX);
    let opened = Inbound::Opened {
        flow,
        outbox,
        user: None,
    };
    if inbox.send(opened).await.is_err() {
        return;
    }
    let writing = async {
        while let Some(data) = outgoing.recv().await {
            let written = tokio::time::timeout(WRITE_MAX, async {
                writer.write_all(&data).await?;
                // TLS keeps what it could not write; nothing else would push it out.
                writer.flush().await
            });
            match written.await {
                Ok(Ok(())) => {}
                // Closed, or a peer that no longer reads.
                Ok(Err(_)) | Err(_) => break,
            }
        }
        let _ = tokio::time::timeout(WRITE_MAX, writer.shutdown()).await;
    };
    let reading = async {
        let mut buffer = vec![0u8; STREAM_CHUNK];
        // No time limit here: how long a silent connection is kept is the endpoint's decision.
        while let Ok(length @ 1..) = reader.read(&mut buffer).await {
            let data = buffer[..length].to_vec();
            if inbox.send(Inbound::Chunk { conn, data }).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = writing => {}
        () = reading => {}
    }
    let _ = inbox.send(Inbound::Closed { conn }).await;
}
