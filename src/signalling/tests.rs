//! The SIP sockets as phones and trunks see them: TLS, WebSocket, limits. Real sockets on loopback; what a test waits for
//! has been sent.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use sip::Transport;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::certificate::{Certificate, CertificateFiles};
use super::dial::{TlsPeer, Trust};
use super::listen::Door;
use super::*;
use crate::config::Streams;
use crate::home::Home;
use crate::testing::Scratch;

const OPTIONS: &[u8] = b"OPTIONS sip:a SIP/2.0\r\n\r\n";

/// One listener and the shell's end of its connections.
struct Server {
    address: SocketAddr,
    fingerprint: String,
    inbound: mpsc::Receiver<Inbound>,
    connections: Arc<Connections>,
    peers: TlsPeers,
    _folder: Scratch,
}

async fn server(door: Door, total_max: usize, origins: &[&str]) -> Server {
    server_with(door, total_max, origins, None).await
}

async fn server_with(
    door: Door,
    total_max: usize,
    origins: &[&str],
    handshake_max: Option<Duration>,
) -> Server {
    let folder = Scratch::new("signalling");
    let files = CertificateFiles::of(&Streams::default(), &Home::at(folder.path()));
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = Certificate::open(files, &names).expect("a certificate");
    let tls = TlsAcceptor::from(Arc::new(certificate.server_config().expect("TLS")));
    let (inbox, inbound) = mpsc::channel(16);
    let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    let peers = TlsPeers::default();
    let limits = Limits::new(total_max, total_max);
    let mut connections = Connections::new(inbox, limits, Some(tls), origins, peers.clone());
    if let Some(handshake_max) = handshake_max {
        connections.handshake_max = handshake_max;
    }
    let connections = Arc::new(connections);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(connection::accept(door, listener, connections.clone()));
    Server {
        address,
        fingerprint: certificate.fingerprint(),
        inbound,
        connections,
        peers,
        _folder: folder,
    }
}

impl Server {
    async fn opened(&mut self) -> (Flow, mpsc::Sender<Vec<u8>>) {
        match self.inbound.recv().await {
            Some(Inbound::Opened { flow, outbox, .. }) => (flow, outbox),
            _ => panic!("no connection"),
        }
    }

    /// Chunks until so many octets have come.
    async fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = Vec::new();
        while octets.len() < count {
            match self.inbound.recv().await {
                Some(Inbound::Chunk { data, .. }) => octets.extend(data),
                _ => panic!("closed after {octets:?}"),
            }
        }
        octets
    }

    async fn closed(&mut self) -> ConnId {
        loop {
            match self.inbound.recv().await {
                Some(Inbound::Closed { conn }) => return conn,
                Some(Inbound::Chunk { .. }) => {}
                _ => panic!("something else"),
            }
        }
    }

    fn trust(&self, trust: Trust) {
        let name = "localhost".to_owned();
        self.peers.expect(self.address, TlsPeer { name, trust });
    }

    async fn tls(&self) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        self.peers.connect(stream, self.address).await
    }
}

#[tokio::test]
async fn tls_both_ways() {
    let mut server = server(Door::Tls, 8, &[]).await;
    server.trust(Trust::Pinned(server.fingerprint.to_lowercase()));
    // Ours to open, as the endpoint asks for it: both ends of the connection come to the same inbox.
    let asked = ConnId(1 << 63);
    let all = server.connections.clone();
    connection::connect(asked, Transport::Tls, server.address, all).await;
    let mut ends = [server.opened().await, server.opened().await];
    ends.sort_by_key(|(flow, _)| flow.conn);
    let [(accepted, to_dialler), (opened, to_acceptor)] = ends;
    assert_eq!(opened.conn, Some(asked));
    assert_eq!(
        (opened.transport, accepted.transport),
        (Transport::Tls, Transport::Tls)
    );
    assert_eq!(
        (opened.remote, opened.local),
        (accepted.local, accepted.remote)
    );
    for outbox in [&to_acceptor, &to_dialler] {
        outbox.send(OPTIONS.to_vec()).await.expect("open");
        assert_eq!(server.octets(OPTIONS.len()).await, OPTIONS);
    }
    // The shell has enough: both ends hear of it.
    drop(to_acceptor);
    let mut closed = [server.closed().await, server.closed().await];
    closed.sort();
    assert_eq!(closed.map(Some), [accepted.conn, opened.conn]);
}

#[tokio::test]
async fn who_is_trusted() {
    let server = server(Door::Tls, 8, &[]).await;
    let other = server.fingerprint.replace(|c: char| c != ':', "0");
    for (trust, is_trusted) in [
        (Trust::Pinned(server.fingerprint.clone()), true),
        (Trust::Pinned(other), false),
        (Trust::Anyone, true),
        (Trust::Authorities, false),
    ] {
        server.trust(trust.clone());
        let opened = server.tls().await;
        assert_eq!(opened.is_ok(), is_trusted, "{trust:?}: {:?}", opened.err());
    }
}

async fn web_socket<S>(
    server: &Server,
    stream: S,
    protocol: &'static str,
    origin: Option<&'static str>,
) -> Result<tokio_tungstenite::WebSocketStream<S>, Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut request = format!("ws://{}/ws", server.address)
        .into_client_request()
        .expect("a request");
    let headers = request.headers_mut();
    let protocol = HeaderValue::from_static(protocol);
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    if let Some(origin) = origin {
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
    }
    let (socket, response) = tokio_tungstenite::client_async(request, stream).await?;
    let chosen = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    assert_eq!(chosen, Some(&HeaderValue::from_static("sip")));
    Ok(socket)
}

#[tokio::test]
async fn web_sockets_plain_and_encrypted_on_one_port() {
    let mut server = server(Door::WebSocket, 8, &[]).await;
    server.trust(Trust::Pinned(server.fingerprint.clone()));
    let tls = server.tls().await.expect("TLS");
    let mut socket = web_socket(&server, tls, "sip", None).await.expect("WSS");
    let (flow, outbox) = server.opened().await;
    assert_eq!(flow.transport, Transport::Wss);
    let text = String::from_utf8_lossy(OPTIONS).into_owned();
    socket
        .send(Message::text(text.clone()))
        .await
        .expect("open");
    assert_eq!(server.octets(1).await, OPTIONS);
    socket.send(Message::binary(OPTIONS)).await.expect("open");
    assert_eq!(server.octets(1).await, OPTIONS, "binary serves too");
    for (data, expected) in [
        (OPTIONS.to_vec(), Message::text(text)),
        (vec![0xff, 0xfe], Message::binary(vec![0xff, 0xfe])),
    ] {
        outbox.send(data).await.expect("open");
        assert_eq!(
            socket.next().await.expect("open").expect("a frame"),
            expected
        );
    }
    socket
        .send(Message::Ping("hello".into()))
        .await
        .expect("open");
    let pong = socket.next().await.expect("open").expect("a frame");
    assert_eq!(pong, Message::Pong("hello".into()));
    socket.close(None).await.expect("open");
    assert_eq!(Some(server.closed().await), flow.conn);

    let plain = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    let mut socket = web_socket(&server, plain, "sip", None).await.expect("WS");
    let (flow, _outbox) = server.opened().await;
    assert_eq!(flow.transport, Transport::Ws);
    // More than any message may have: the connection ends.
    let _ = socket.send(Message::text("x".repeat(100_000))).await;
    assert_eq!(Some(server.closed().await), flow.conn);
}

#[tokio::test]
async fn handshakes_that_are_refused() {
    let server = server(Door::WebSocket, 8, &["https://phone.example"]).await;
    for (protocol, origin, expected) in [
        ("chat", None, Some(400)),
        ("sip", Some("https://elsewhere.example"), Some(403)),
        ("sip", Some("https://phone.example"), None),
    ] {
        let plain = TcpStream::connect(server.address)
            .await
            .expect("it listens");
        let status = match web_socket(&server, plain, protocol, origin).await {
            Ok(_) => None,
            Err(Error::Http(response)) => Some(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(status, expected, "{protocol} {origin:?}");
    }
    // Neither TLS nor HTTP.
    let mut noise = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    noise
        .write_all(b"SIP? \x00\xff\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = Vec::new();
    let _ = noise.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 101"));
}

/// Who is banned is not even shaken hands with, whatever the door.
#[tokio::test]
async fn the_banned_are_closed_before_a_word() {
    for door in [Door::Tcp, Door::Tls, Door::WebSocket] {
        let mut server = server(door, 8, &[]).await;
        let ban = sip::Ban {
            block: sip::Block::of(server.address.ip()),
            why: sip::BanReason::Scanner,
            since_unix_ms: 0,
            until_unix_ms: unix_ms() + 600_000,
            times: 1,
        };
        server.connections.barred.add(0, &ban);
        let mut refused = TcpStream::connect(server.address)
            .await
            .expect("the kernel takes it");
        let mut answer = Vec::new();
        let _ = refused.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
        assert!(server.inbound.try_recv().is_err(), "nobody heard of it");
        server.connections.barred.lift(ban.block);
        let stream = TcpStream::connect(server.address)
            .await
            .expect("it listens");
        match door {
            Door::Tcp => drop(stream),
            Door::Tls => {
                server.trust(Trust::Anyone);
                server.tls().await.expect("TLS");
            }
            Door::WebSocket => {
                let socket = web_socket(&server, stream, "sip", None).await;
                socket.expect("a WebSocket");
            }
        }
        server.opened().await;
    }
}

/// A peer that begins a handshake and says no more is closed when its time is over.
#[tokio::test]
async fn handshakes_have_an_end() {
    for (door, beginning) in [
        (Door::Tls, &b"\x16\x03\x01\x02\x00\x01"[..]),
        (Door::WebSocket, b"\x16\x03\x01\x02\x00\x01"),
        (Door::WebSocket, b"GET /sip HTTP/1.1\r\nHost: a\r\nX-Slow: "),
        (Door::Tls, b""),
        (Door::WebSocket, b""),
    ] {
        let soon = Some(Duration::from_millis(20));
        let mut server = server_with(door, 8, &[], soon).await;
        let mut slow = TcpStream::connect(server.address)
            .await
            .expect("it listens");
        let _ = slow.write_all(beginning).await;
        let mut answer = Vec::new();
        let _ = slow.read_to_end(&mut answer).await;
        assert!(
            server.inbound.try_recv().is_err(),
            "it never was a connection"
        );
    }
}

#[tokio::test]
async fn as_many_connections_as_allowed() {
    let mut server = server(Door::Tcp, 2, &[]).await;
    let connect = || TcpStream::connect(server.address);
    let first = connect().await.expect("it listens");
    let _second = connect().await.expect("it listens");
    let mut third = connect().await.expect("the kernel takes it");
    let mut buffer = [0; 8];
    // Closed without a word.
    assert!(matches!(third.read(&mut buffer).await, Ok(0) | Err(_)));
    let (flow, _outbox) = server.opened().await;
    let (_, _other_outbox) = server.opened().await;
    drop(first);
    assert_eq!(Some(server.closed().await), flow.conn);
    // The place is free a moment after the shell has heard.
    loop {
        let mut next = TcpStream::connect(server.address)
            .await
            .expect("it listens");
        let _ = next.write_all(OPTIONS).await;
        tokio::select! {
            _ = next.read(&mut buffer) => {}
            (_, _outbox) = server.opened() => {
                assert_eq!(server.octets(OPTIONS.len()).await, OPTIONS);
                break;
            }
        }
    }
}
