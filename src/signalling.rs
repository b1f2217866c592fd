//! SIP sockets to and from `sip::Endpoint`: one task owns the endpoint; a reader per socket feeds it.
//! Owns listening, connections and the order "bindings to disk, then the 200 OK"; decides nothing about
//! calls (`switchboard`) and nothing about SIP (the `sip` crate).

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sip::{ConnId, Endpoint, Flow, Input, LogLevel, Output, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use crate::ports::source_address;
use crate::records::Recorder;
use crate::store::{Lasting, StoreError};
use crate::switchboard::{Command, Switchboard};

/// Datagrams and stream chunks waiting for the endpoint. When full the readers wait, and the kernel drops
/// datagrams, which SIP retransmits.
const INBOX_MAX: usize = 1024;
/// Outputs whose save is through, on their way back. The store waits when it is full.
const SAVED_MAX: usize = 1024;
/// The largest UDP payload.
const DATAGRAM_MAX: usize = 65_535;
const STREAM_CHUNK: usize = 8 * 1024;
pub const CONNECTIONS_MAX: usize = 256;
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;
/// Chunks on their way into one connection; a peer that does not read loses the connection.
const STREAM_OUTBOX_MAX: usize = 64;
/// A connection that says nothing for this long is closed; phones ping every few minutes at most.
const STREAM_IDLE: Duration = Duration::from_secs(2 * 3600);
/// A peer that takes nothing for this long has lost the connection.
const WRITE_MAX: Duration = Duration::from_secs(20);
const SOCKET_ERROR_PAUSE: Duration = Duration::from_millis(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections we open count from here, so that they never meet the endpoint's own numbers.
const INBOUND_CONN_FIRST: u64 = 1 << 32;

/// Where to listen: bound before anything else starts, so that a port that is taken ends the start.
pub struct Listeners {
    udp: Vec<Arc<UdpSocket>>,
    tcp: Vec<TcpListener>,
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "SIP port {port} on {address} is taken ({transport}): is Offhook or another SIP server already running? \
         Stop it, or set another `port` in [sip]"
    )]
    Taken {
        address: IpAddr,
        port: u16,
        transport: &'static str,
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

impl Listeners {
    /// Binds UDP and TCP on every address.
    pub async fn bind(
        addresses: &[IpAddr],
        port: u16,
        udp: bool,
        tcp: bool,
    ) -> Result<Listeners, ListenError> {
        let mut listeners = Listeners {
            udp: Vec::new(),
            tcp: Vec::new(),
        };
        for &address in addresses {
            let at = SocketAddr::new(address, port);
            let refused = |transport| {
                move |source: io::Error| match source.kind() {
                    io::ErrorKind::AddrInUse => ListenError::Taken {
                        address,
                        port,
                        transport,
                    },
                    io::ErrorKind::AddrNotAvailable => ListenError::NoSuchAddress { address },
                    _ => ListenError::Other {
                        address,
                        port,
                        transport,
                        source,
                    },
                }
            };
            if udp {
                let socket = UdpSocket::bind(at).await.map_err(refused("UDP"))?;
                listeners.udp.push(Arc::new(socket));
            }
            if tcp {
                listeners
                    .tcp
                    .push(TcpListener::bind(at).await.map_err(refused("TCP"))?);
            }
        }
        Ok(listeners)
    }

    /// The addresses in use, for printing.
    pub fn addresses(&self) -> Vec<(Transport, SocketAddr)> {
        let udp = self
            .udp
            .iter()
            .filter_map(|s| Some((Transport::Udp, s.local_addr().ok()?)));
        let tcp = self
            .tcp
            .iter()
            .filter_map(|s| Some((Transport::Tcp, s.local_addr().ok()?)));
        udp.chain(tcp).collect()
    }
}

enum Inbound {
    Datagram {
        flow: Flow,
        data: Vec<u8>,
    },
    Opened {
        flow: Flow,
        outbox: mpsc::Sender<Vec<u8>>,
    },
    Chunk {
        conn: ConnId,
        data: Vec<u8>,
    },
    Closed {
        conn: ConnId,
    },
}

/// What became of a save, and what was to follow it.
type Saved = (Result<(), StoreError>, Vec<Output>);

struct Shell {
    endpoint: Endpoint,
    udp: Vec<(SocketAddr, Arc<UdpSocket>)>,
    connections: HashMap<ConnId, mpsc::Sender<Vec<u8>>>,
    inbox: mpsc::Sender<Inbound>,
    saved: mpsc::Sender<Saved>,
    recorder: Recorder,
    switchboard: Switchboard,
    /// Carried out one by one, each after the endpoint has nothing more to hand out.
    pending: VecDeque<Command>,
}

/// Runs until the switchboard's command channel closes.
pub async fn run(
    endpoint: Endpoint,
    listeners: Listeners,
    recorder: Recorder,
    switchboard: Switchboard,
    mut commands: mpsc::Receiver<Command>,
) {
    let mut switchboard = switchboard;
    switchboard.set_users(recorder.registered_users().await);
    let (inbox, mut inbound) = mpsc::channel(INBOX_MAX);
    let (saved, mut saves) = mpsc::channel(SAVED_MAX);
    let mut udp = Vec::new();
    for socket in listeners.udp {
        let Ok(local) = socket.local_addr() else {
            continue;
        };
        udp.push((local, socket.clone()));
        tokio::spawn(read_datagrams(socket, local, inbox.clone()));
    }
    for listener in listeners.tcp {
        tokio::spawn(accept(listener, inbox.clone()));
    }
    let mut shell = Shell {
        endpoint,
        udp,
        connections: HashMap::new(),
        inbox,
        saved,
        recorder,
        switchboard,
        pending: VecDeque::new(),
    };
    shell.switchboard.open_trunks(&mut shell.endpoint);
    // What the last run left to be said.
    shell.drain();
    loop {
        let due = [
            shell.endpoint.next_timeout(),
            shell.switchboard.next_timeout(),
        ]
        .into_iter()
        .flatten()
        .min();
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(item) = inbound.recv() => shell.inbound(item),
            Some((saved, then)) = saves.recv() => shell.saved(saved, then),
            command = commands.recv() => match command {
                Some(command) => shell.command(command),
                None => break,
            },
            () = sleep => {
                shell.endpoint.handle(Instant::now(), Input::Timeout);
                shell.drain();
                let due = shell.switchboard.timeout(&shell.endpoint);
                shell.pending.extend(due);
                shell.drain();
            }
        }
    }
}

impl Shell {
    fn inbound(&mut self, item: Inbound) {
        let now = Instant::now();
        match item {
            Inbound::Datagram { flow, data } => {
                self.endpoint
                    .handle(now, Input::Datagram { flow, data: &data });
            }
            Inbound::Opened { flow, outbox } => {
                if let Some(conn) = flow.conn {
                    self.connections.insert(conn, outbox);
                }
                self.endpoint.handle(now, Input::StreamOpened { flow });
            }
            Inbound::Chunk { conn, data } => {
                self.endpoint
                    .handle(now, Input::StreamData { conn, data: &data });
            }
            Inbound::Closed { conn } => {
                self.connections.remove(&conn);
                self.endpoint.handle(now, Input::StreamClosed { conn });
            }
        }
        self.drain();
    }

    /// Carries out what the endpoint wants, in its order, and what the switchboard makes of its events,
    /// until neither wants anything.
    fn drain(&mut self) {
        loop {
            self.drain_endpoint();
            let Some(command) = self.pending.pop_front() else {
                return;
            };
            self.apply(command);
        }
    }

    fn drain_endpoint(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Datagram { flow, data } => self.send_datagram(flow, &data),
            Output::StreamData { conn, data } => {
                let is_lost = match self.connections.get(&conn) {
                    Some(outbox) => outbox.try_send(data).is_err(),
                    None => false,
                };
                if is_lost {
                    // Dropping the outbox ends the writer, which closes the connection.
                    self.connections.remove(&conn);
                }
            }
            Output::OpenStream { conn, remote, .. } => {
                tokio::spawn(connect(conn, remote, self.inbox.clone()));
            }
            Output::CloseStream { conn } => drop(self.connections.remove(&conn)),
            // A registration that was confirmed is on disk. Nothing else waits for it.
            Output::SaveBindings {
                user,
                bindings,
                then,
            } => {
                let tell = self.saved.clone();
                let queued = self
                    .recorder
                    .save_bindings(user, bindings, then, move |saved| {
                        let _ = tell.blocking_send(saved);
                    });
                if let Err((error, then)) = queued {
                    self.saved(Err(error), then);
                }
            }
            Output::SaveDialog(dialog) => self.recorder.keep(Lasting::Dialog(dialog)),
            Output::ForgetDialog { id } => self.recorder.keep(Lasting::DialogOver(id)),
            Output::SaveBan(ban) => self.recorder.keep(Lasting::Ban(ban)),
            Output::ForgetBan(block) => self.recorder.keep(Lasting::BanOver(block)),
            Output::Event(event) => {
                self.pending
                    .extend(self.switchboard.event(event, &self.endpoint));
            }
            Output::Log(line) => match line.level {
                LogLevel::Debug => debug!("{}", line.text),
                LogLevel::Info => info!("{}", line.text),
                LogLevel::Warn => warn!("{}", line.text),
            },
        }
    }

    fn saved(&mut self, saved: Result<(), StoreError>, then: Vec<Output>) {
        if let Err(error) = saved {
            error!(%error, "registration not saved: it holds until the next restart only");
        }
        for output in then {
            self.carry_out(output);
        }
    }

    fn command(&mut self, command: Command) {
        self.apply(command);
        self.drain();
    }

    fn apply(&mut self, command: Command) {
        let now = Instant::now();
        let result = match command {
            Command::Provisional { call, status } => {
                self.endpoint.provisional(now, call, status, None)
            }
            Command::Answer { call, sdp } => {
                let answered = self.endpoint.answer(now, call, sdp);
                if answered.is_err() {
                    self.switchboard.unanswered(call);
                }
                answered
            }
            Command::Reject {
                call,
                status,
                headers,
            } => self.endpoint.reject(now, call, status, headers),
            Command::Hangup { call, reason } => self.endpoint.hangup(now, call, reason),
            Command::AnswerReinvite { call, answer } => {
                self.endpoint.answer_reinvite(now, call, answer)
            }
            Command::Reoffer { call, offer } => self.endpoint.reoffer(now, call, Some(offer)),
            Command::Bridge(output) => {
                let more = self.switchboard.perform(*output, &mut self.endpoint);
                // Before whatever waits: what a bridge wants done has an order.
                for command in more.into_iter().rev() {
                    self.pending.push_front(command);
                }
                Ok(())
            }
            Command::TrunkFound { at, address } => {
                self.switchboard
                    .trunk_found(at, address, &mut self.endpoint);
                Ok(())
            }
            Command::RelayQuiet { relay, side } => {
                let more = self.switchboard.relay_quiet(relay, side, &self.endpoint);
                self.pending.extend(more);
                Ok(())
            }
            Command::Users(users) => {
                self.switchboard
                    .set_users(users.iter().map(|user| user.name.clone()).collect());
                self.switchboard.set_accounts(callable(&users));
                self.endpoint.set_users(users);
                Ok(())
            }
            Command::Ready(call) => {
                self.pending.extend(self.switchboard.ready(call));
                Ok(())
            }
            Command::Finished(call) => {
                self.switchboard.finished(call);
                Ok(())
            }
            Command::Drain => {
                self.pending.extend(self.switchboard.drain(&self.endpoint));
                Ok(())
            }
            Command::HangupAll => {
                self.pending.extend(self.switchboard.hang_up_all());
                Ok(())
            }
            Command::Snapshot(reply) => {
                let _ = reply.send(self.switchboard.snapshot(&self.endpoint));
                Ok(())
            }
        };
        if let Err(error) = result {
            // The dialog went away while the command was on its way.
            debug!(%error, "command for a call that is gone");
        }
    }

    fn send_datagram(&self, flow: Flow, data: &[u8]) {
        // A socket on a wildcard address serves flows whose local address was found by routing.
        let exact = self.udp.iter().find(|(local, _)| *local == flow.local);
        let Some((_, socket)) = exact.or_else(|| {
            self.udp.iter().find(|(local, _)| {
                local.ip().is_unspecified() && local.is_ipv4() == flow.remote.is_ipv4()
            })
        }) else {
            return;
        };
        if let Err(error) = socket.try_send_to(data, flow.remote) {
            debug!(remote = %flow.remote, %error, "datagram not sent");
        }
    }
}

/// Accounts that are somebody's phones; the program's own account for test calls is nobody's.
pub fn callable(users: &[sip::User]) -> Vec<String> {
    let somebody = users.iter().filter(|user| !user.local_only);
    somebody.map(|user| user.name.clone()).collect()
}

async fn read_datagrams(socket: Arc<UdpSocket>, local: SocketAddr, inbox: mpsc::Sender<Inbound>) {
    let mut buffer = vec![0u8; DATAGRAM_MAX];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, remote)) => {
                let local = SocketAddr::new(source_address(local.ip(), remote), local.port());
                let flow = Flow {
                    transport: Transport::Udp,
                    local,
                    remote,
                    conn: None,
                };
                let data = buffer[..length].to_vec();
                if inbox.send(Inbound::Datagram { flow, data }).await.is_err() {
                    return;
                }
            }
            // ICMP port unreachable of an earlier answer; the socket is fine. One that is not must not spin.
            Err(error) => {
                debug!(%error, "SIP socket");
                tokio::time::sleep(SOCKET_ERROR_PAUSE).await;
            }
        }
    }
}

async fn accept(listener: TcpListener, inbox: mpsc::Sender<Inbound>) {
    static NEXT: AtomicU64 = AtomicU64::new(INBOUND_CONN_FIRST);
    let total = Arc::new(AtomicUsize::new(0));
    let per_address: Arc<std::sync::Mutex<HashMap<IpAddr, usize>>> = Arc::default();
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: wait for some to come back.
                warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let is_allowed = {
            let mut counts = per_address.lock().expect("no panic while held");
            let count = counts.entry(remote.ip()).or_default();
            let is_allowed = *count < CONNECTIONS_PER_ADDRESS_MAX
                && total.load(Ordering::Relaxed) < CONNECTIONS_MAX;
            if is_allowed {
                *count += 1;
                total.fetch_add(1, Ordering::Relaxed);
            } else if *count == 0 {
                counts.remove(&remote.ip());
            }
            is_allowed
        };
        if !is_allowed {
            debug!(%remote, "too many connections");
            continue;
        }
        let conn = ConnId(NEXT.fetch_add(1, Ordering::Relaxed));
        let (inbox, total, per_address) = (inbox.clone(), total.clone(), per_address.clone());
        tokio::spawn(async move {
            serve(stream, conn, remote, inbox).await;
            total.fetch_sub(1, Ordering::Relaxed);
            let mut counts = per_address.lock().expect("no panic while held");
            if let Some(count) = counts.get_mut(&remote.ip()) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&remote.ip());
                }
            }
        });
    }
}

async fn connect(conn: ConnId, remote: SocketAddr, inbox: mpsc::Sender<Inbound>) {
    match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(remote)).await {
        Ok(Ok(stream)) => serve(stream, conn, remote, inbox).await,
        Ok(Err(_)) | Err(_) => drop(inbox.send(Inbound::Closed { conn }).await),
    }
}

/// One connection: reads until the peer closes, writes until the outbox is dropped.
async fn serve(stream: TcpStream, conn: ConnId, remote: SocketAddr, inbox: mpsc::Sender<Inbound>) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let _ = stream.set_nodelay(true);
    let (mut reader, mut writer) = stream.into_split();
    let (outbox, mut outgoing) = mpsc::channel::<Vec<u8>>(STREAM_OUTBOX_MAX);
    let flow = Flow {
        transport: Transport::Tcp,
        local,
        remote,
        conn: Some(conn),
    };
    if inbox.send(Inbound::Opened { flow, outbox }).await.is_err() {
        return;
    }
    let writing = async {
        while let Some(data) = outgoing.recv().await {
            match tokio::time::timeout(WRITE_MAX, writer.write_all(&data)).await {
                Ok(Ok(())) => {}
                // Closed, or a peer that no longer reads.
                Ok(Err(_)) | Err(_) => break,
            }
        }
        let _ = writer.shutdown().await;
    };
    let reading = async {
        let mut buffer = vec![0u8; STREAM_CHUNK];
        loop {
            match tokio::time::timeout(STREAM_IDLE, reader.read(&mut buffer)).await {
                Ok(Ok(length)) if length > 0 => {
                    let data = buffer[..length].to_vec();
                    if inbox.send(Inbound::Chunk { conn, data }).await.is_err() {
                        break;
                    }
                }
                _ => break,
            }
        }
    };
    tokio::select! {
        () = writing => {}
        () = reading => {}
    }
    let _ = inbox.send(Inbound::Closed { conn }).await;
}
