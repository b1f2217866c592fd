//! PURE.
//! Stream connections: who may open one, what waits for one, when one is closed, RFC 3261 §18 and the keep-alives of RFC
//! 5626 §4.4.1. Does not own framing (see `framing`) or sockets.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::{Endpoint, LogLevel, Output, StreamConfig, TimerId};
use crate::flow::{ConnId, Flow, FlowTarget, Transport};
use crate::framing::{Frame, StreamFramer};
use crate::uri::Uri;

#[derive(Debug)]
struct Stream {
    flow: Flow,
    framer: StreamFramer,
    open: bool,
    /// Until it is open.
    pending: Vec<Vec<u8>>,
    pending_bytes: usize,
    /// Somebody authenticated over it, or we opened it.
    vouched: bool,
    /// The account it was proven to be of when it was opened.
    user: Option<String>,
    heard_at: Instant,
    /// The longest registration that came over it.
    registered_until: Option<Instant>,
    opened_at: Instant,
}

#[derive(Debug)]
pub(super) struct Streams {
    config: StreamConfig,
    streams: HashMap<ConnId, Stream>,
    per_address: HashMap<IpAddr, usize>,
    /// The newest connection with each peer, which requests to it take too.
    by_remote: HashMap<(Transport, SocketAddr), ConnId>,
}

impl Streams {
    pub(super) fn new(config: StreamConfig) -> Streams {
        Streams {
            config,
            streams: HashMap::new(),
            per_address: HashMap::new(),
            by_remote: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn is_alive(&self, conn: ConnId) -> bool {
        self.streams.contains_key(&conn)
    }

    /// The account a connection was proven to be of.
    pub(super) fn user_of(&self, conn: ConnId) -> Option<&str> {
        self.streams.get(&conn)?.user.as_deref()
    }

    fn has_room_for(&self, remote: IpAddr) -> bool {
        self.streams.len() < self.config.streams_max
            && self.per_address.get(&remote).copied().unwrap_or(0)
                < self.config.streams_per_address_max
    }

    fn insert(&mut self, now: Instant, conn: ConnId, flow: Flow, open: bool, vouched: bool) {
        *self.per_address.entry(flow.remote.ip()).or_default() += 1;
        let stream = Stream {
            flow,
            framer: StreamFramer::new(),
            open,
            pending: Vec::new(),
            pending_bytes: 0,
            vouched,
            user: None,
            heard_at: now,
            registered_until: None,
            opened_at: now,
        };
        self.by_remote.insert((flow.transport, flow.remote), conn);
        self.streams.insert(conn, stream);
    }

    fn remove(&mut self, conn: ConnId) -> Option<Flow> {
        let stream = self.streams.remove(&conn)?;
        let (transport, remote) = (stream.flow.transport, stream.flow.remote);
        if let Some(count) = self.per_address.get_mut(&remote.ip()) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&remote.ip());
            }
        }
        let peer = (transport, remote);
        if self.by_remote.get(&peer) == Some(&conn) {
            self.by_remote.remove(&peer);
        }
        Some(stream.flow)
    }

    /// False if the connection is gone, or too much waits for it already.
    pub(super) fn send(
        &mut self,
        conn: ConnId,
        data: Vec<u8>,
        outputs: &mut VecDeque<Output>,
    ) -> bool {
        let Some(stream) = self.streams.get_mut(&conn) else {
            return false;
        };
        if stream.open {
            outputs.push_back(Output::StreamData { conn, data });
            return true;
        }
        if stream.pending_bytes + data.len() > self.config.pending_bytes_max {
            return false;
        }
        stream.pending_bytes += data.len();
        stream.pending.push(data);
        true
    }

    fn deadline(&self, stream: &Stream) -> Instant {
        let idle = stream.heard_at + Duration::from_secs(u64::from(self.config.idle_s));
        match stream.vouched {
            // An idle phone is no reason to make it register again: RFC 5626 §4.2.
            true => stream
                .registered_until
                .map_or(idle, |until| idle.max(until)),
            false => {
                idle.min(stream.opened_at + Duration::from_secs(u64::from(self.config.stranger_s)))
            }
        }
    }
}

impl Endpoint {
    /// The flow to a peer: the socket itself for UDP; the connection with it, ours and new if need be, for streams. A
    /// WebSocket that is gone cannot be opened from here: the shell says so, and what waits for it fails.
    pub(super) fn flow_to(&mut self, now: Instant, target: FlowTarget) -> Flow {
        let FlowTarget {
            transport,
            local,
            remote,
        } = target;
        if transport == Transport::Udp {
            return Flow::udp(local, remote);
        }
        if let Some(conn) = self.streams.by_remote.get(&(transport, remote)).copied() {
            self.vouch_stream(Some(conn));
            return Flow::stream(transport, local, remote, conn);
        }
        let conn = ConnId(ConnId::OUTBOUND | self.new_key());
        let flow = Flow::stream(transport, local, remote, conn);
        // Ours are bounded by what the program starts, and must not fail for the number of strangers.
        self.streams.insert(now, conn, flow, false, true);
        self.watch_stream(conn);
        self.outputs.push_back(Output::OpenStream {
            conn,
            transport,
            remote,
        });
        flow
    }

    /// The flow of a call for a request of ours. A stream that broke is opened anew: to where we had opened it, or to the
    /// port in the peer's Contact, but to no other address than the one it spoke from.
    pub(super) fn living_flow(&mut self, now: Instant, flow: Flow, target: &Uri) -> Flow {
        let Some(conn) = flow
            .conn
            .filter(|conn| !self.streams.streams.contains_key(conn))
            .filter(|_| !flow.transport.is_web_socket())
        else {
            return flow;
        };
        let port = match target.host.ip() {
            _ if conn.is_outbound() => flow.remote.port(),
            Some(address) if address == flow.remote.ip() => {
                target.port.unwrap_or(flow.transport.default_port())
            }
            _ => return flow,
        };
        let remote = SocketAddr::new(flow.remote.ip(), port);
        let (transport, local) = (flow.transport, flow.local);
        self.flow_to(
            now,
            FlowTarget {
                transport,
                local,
                remote,
            },
        )
    }

    pub(super) fn on_stream_opened(&mut self, now: Instant, flow: Flow) {
        let Some(conn) = flow.conn else { return };
        if let Some(stream) = self.streams.streams.get_mut(&conn) {
            stream.open = true;
            stream.heard_at = now;
            stream.pending_bytes = 0;
            for data in std::mem::take(&mut stream.pending) {
                self.outputs.push_back(Output::StreamData { conn, data });
            }
            return self.watch_stream(conn);
        }
        // The shell may open a connection on its own account before the endpoint asks.
        let ours = conn.is_outbound();
        if !ours && self.is_banned(now, flow.remote.ip()) {
            self.outputs.push_back(Output::CloseStream { conn });
            return;
        }
        if !ours && !self.streams.has_room_for(flow.remote.ip()) {
            self.log(
                LogLevel::Debug,
                format!("no room for a connection from {flow}"),
            );
            self.outputs.push_back(Output::CloseStream { conn });
            return;
        }
        self.streams.insert(now, conn, flow, true, ours);
        self.watch_stream(conn);
    }

    pub(super) fn on_stream_proven(&mut self, conn: ConnId, user: &str) {
        if let Some(stream) = self.streams.streams.get_mut(&conn) {
            stream.user = Some(user.to_owned());
        }
        self.vouch_stream(Some(conn));
    }

    pub(super) fn on_stream_data(&mut self, now: Instant, conn: ConnId, data: &[u8]) {
        let Some(stream) = self.streams.streams.get_mut(&conn) else {
            return;
        };
        stream.heard_at = now;
        if stream.flow.transport.is_web_socket() {
            let flow = stream.flow;
            return self.on_web_socket_message(now, conn, flow, data);
        }
        let broken = stream
            .framer
            .push(data)
            .err()
            .map(|error| error.to_string());
        let flow = stream.flow;
        while let Some(stream) = self.streams.streams.get_mut(&conn) {
            match stream.framer.next() {
                Some(Frame::Message(bytes)) => self.on_stream_message(now, flow, &bytes),
                // RFC 5626 §4.4.1: a double CRLF is answered with a single one.
                Some(Frame::Ping) => self.outputs.push_back(Output::StreamData {
                    conn,
                    data: b"\r\n".to_vec(),
                }),
                Some(Frame::Pong) => {}
                None => break,
            }
        }
        match broken {
            // Nothing after a framing error can be trusted to be where it seems.
            Some(why) => {
                self.log(
                    LogLevel::Debug,
                    format!("closing the connection of {flow}: {why}"),
                );
                self.outputs.push_back(Output::CloseStream { conn });
                self.on_stream_closed(now, conn);
            }
            None => self.watch_stream(conn),
        }
    }

    pub(super) fn on_stream_closed(&mut self, now: Instant, conn: ConnId) {
        self.timers.set(TimerId::Stream(conn), None);
        let Some(stream) = self.streams.streams.get(&conn) else {
            return;
        };
        let vouched = stream.vouched;
        self.streams.remove(conn);
        // Only somebody we know has calls, bindings or requests of ours on it.
        if vouched {
            self.registrar.stream_closed(conn);
            self.fail_clients_on(now, conn);
            self.on_calls_stream_closed(now, conn);
            self.on_lines_stream_closed(now, conn);
        }
    }

    pub(super) fn vouch_stream(&mut self, conn: Option<ConnId>) {
        if let Some(conn) = conn
            && let Some(stream) = self.streams.streams.get_mut(&conn)
        {
            stream.vouched = true;
            self.watch_stream(conn);
        }
    }

    /// RFC 7118 §5: a frame is a message, whole, and needs no Content-Length. Keep-alives are frames of line ends.
    fn on_web_socket_message(&mut self, now: Instant, conn: ConnId, flow: Flow, data: &[u8]) {
        match data {
            b"\r\n\r\n" => self.outputs.push_back(Output::StreamData {
                conn,
                data: b"\r\n".to_vec(),
            }),
            _ => self.on_datagram(now, flow, data),
        }
        self.watch_stream(conn);
    }

    /// A connection is kept at least as long as what was registered over it.
    pub(super) fn keep_stream(&mut self, conn: ConnId, until: Instant) {
        if let Some(stream) = self.streams.streams.get_mut(&conn) {
            let longest = stream
                .registered_until
                .map_or(until, |known| known.max(until));
            stream.registered_until = Some(longest);
            self.watch_stream(conn);
        }
    }

    fn watch_stream(&mut self, conn: ConnId) {
        let deadline = self
            .streams
            .streams
            .get(&conn)
            .map(|stream| self.streams.deadline(stream));
        self.timers.set(TimerId::Stream(conn), deadline);
    }

    pub(super) fn on_stream_timer(&mut self, now: Instant, conn: ConnId) {
        self.outputs.push_back(Output::CloseStream { conn });
        self.on_stream_closed(now, conn);
    }
}
