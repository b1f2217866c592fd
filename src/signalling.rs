//! SIP sockets to and from `sip::Endpoint`: one task owns the endpoint and the UDP sockets; a task for each connection
//! feeds it. Owns the order "bindings to disk, then the 200 OK"; decides nothing about calls (`switchboard`) and nothing
//! about SIP (the `sip` crate).

pub mod advertise;
mod barred;
pub mod certificate;
mod connection;
mod datagrams;
#[cfg(target_os = "linux")]
mod datagrams_linux;
#[cfg(not(target_os = "linux"))]
mod datagrams_portable;
pub mod dial;
mod limits;
mod listen;
pub mod page_phone;
mod web_socket;
#[cfg(test)]
mod web_socket_fuzz;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use sip::{ConnId, Endpoint, Flow, Input, LogLevel, Output};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error, info, warn};

use crate::records::{Recorder, unix_ms};
use crate::store::{Lasting, StoreError};
use crate::switchboard::{Command, Switchboard};
use connection::Connections;
use datagrams::Datagrams;
use dial::TlsPeers;
use limits::Limits;
pub use listen::{ListenError, Listeners};

/// What connections have to say, waiting for the endpoint. When full they wait, and their peers with them.
const INBOX_MAX: usize = 1024;
/// Outputs whose save is through, on their way back. The store waits when it is full.
const SAVED_MAX: usize = 1024;
/// Chunks of connections, and saves that are through, that are taken in one go.
const ITEMS_AT_ONCE: usize = 64;
/// Why the calls of a browser end that was signed out: RFC 3326.
const SIGNED_OUT: &str = "SIP;cause=403;text=\"signed out\"";
/// Batches of datagrams that are taken in before connections and calls get their turn.
const BATCHES_AT_ONCE: usize = 4;

enum Inbound {
    Opened {
        flow: Flow,
        outbox: mpsc::Sender<Vec<u8>>,
        /// The account it is of, where that was proven before.
        user: Option<String>,
    },
    Chunk {
        conn: ConnId,
        data: Vec<u8>,
    },
    /// Whoever opened it has no right to it any more: what goes on over it ends first.
    SignedOut {
        conn: ConnId,
    },
    Closed {
        conn: ConnId,
    },
}

/// What became of a save, and what was to follow it.
type Saved = (Result<(), StoreError>, Vec<Output>);

/// What leaves when everything that was taken in together has been dealt with.
enum Outgoing {
    Datagram { flow: Flow, data: Vec<u8> },
    Stream { conn: ConnId, data: Vec<u8> },
    Close { conn: ConnId },
}

struct Shell {
    endpoint: Endpoint,
    datagrams: Datagrams,
    outboxes: HashMap<ConnId, mpsc::Sender<Vec<u8>>>,
    connections: Arc<Connections>,
    saved: mpsc::Sender<Saved>,
    recorder: Recorder,
    switchboard: Switchboard,
    /// Carried out one by one, each after the endpoint has nothing more to hand out.
    pending: VecDeque<Command>,
    outgoing: Vec<Outgoing>,
}

/// Runs until the switchboard's command channel closes. `peers`: whom we call over TLS.
pub async fn run(
    endpoint: Endpoint,
    listeners: Listeners,
    peers: TlsPeers,
    recorder: Recorder,
    switchboard: Switchboard,
    mut commands: mpsc::Receiver<Command>,
) {
    let mut switchboard = switchboard;
    switchboard.set_users(recorder.registered_users().await);
    let (inbox, mut inbound) = mpsc::channel(INBOX_MAX);
    let (saved, mut saves) = mpsc::channel(SAVED_MAX);
    let datagrams = match Datagrams::new(listeners.udp) {
        Ok(datagrams) => datagrams,
        Err(error) => return error!(%error, "SIP sockets"),
    };
    let tls = match listeners.certificate.as_ref().map(|c| c.server_config()) {
        Some(Ok(config)) => Some(TlsAcceptor::from(Arc::new(config))),
        Some(Err(error)) => return error!(%error, "TLS"),
        None => None,
    };
    let config = listeners.config;
    let limits = Limits::new(config.connections_max, config.connections_per_address_max);
    let connections = Connections::new(inbox, limits, tls, config.ws_origins, peers);
    let connections = Arc::new(connections);
    // Their tasks end with this one.
    let mut beside = tokio::task::JoinSet::new();
    if let Some(certificate) = listeners.certificate {
        beside.spawn(certificate.follow());
    }
    if let Some(phones) = listeners.page_phones {
        beside.spawn(page_phone::welcome(phones, connections.clone()));
    }
    for (door, listener) in listeners.streams {
        beside.spawn(connection::accept(door, listener, connections.clone()));
    }
    let sockets = datagrams.sockets();
    let mut shell = Shell {
        endpoint,
        datagrams,
        outboxes: HashMap::new(),
        connections,
        saved,
        recorder,
        switchboard,
        pending: VecDeque::new(),
        outgoing: Vec::new(),
    };
    shell.bar_the_banned();
    shell.switchboard.open_trunks(&mut shell.endpoint);
    // What the last run left to be said.
    shell.drain();
    shell.flush();
    let mut items = Vec::with_capacity(ITEMS_AT_ONCE);
    let mut through = Vec::with_capacity(ITEMS_AT_ONCE);
    let mut last = 0;
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
            n = datagrams::readable(&sockets, last) => {
                last = n;
                shell.datagrams(n);
            }
            // Neither channel closes: the shell keeps a sender of each.
            _ = inbound.recv_many(&mut items, ITEMS_AT_ONCE) => {
                for item in items.drain(..) {
                    shell.inbound(item);
                }
            }
            _ = saves.recv_many(&mut through, ITEMS_AT_ONCE) => {
                for (saved, then) in through.drain(..) {
                    shell.saved(saved, then);
                }
                shell.drain();
            }
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
        shell.flush();
    }
}

impl Shell {
    fn datagrams(&mut self, n: usize) {
        for _ in 0..BATCHES_AT_ONCE {
            let count = self.datagrams.receive(n);
            let now = Instant::now();
            for at in 0..count {
                if let Some((flow, data)) = self.datagrams.taken(n, at) {
                    self.endpoint.handle(now, Input::Datagram { flow, data });
                }
                self.drain();
            }
            self.flush();
            if count < datagrams::BATCH {
                break;
            }
        }
    }

    fn inbound(&mut self, item: Inbound) {
        let now = Instant::now();
        match item {
            Inbound::Opened { flow, outbox, user } => {
                if let Some(conn) = flow.conn {
                    self.outboxes.insert(conn, outbox);
                }
                self.endpoint.handle(now, Input::StreamOpened { flow });
                if let (Some(conn), Some(user)) = (flow.conn, &user) {
                    self.drain_endpoint();
                    self.endpoint
                        .handle(now, Input::StreamProven { conn, user });
                }
            }
            Inbound::Chunk { conn, data } => {
                self.endpoint
                    .handle(now, Input::StreamData { conn, data: &data });
            }
            Inbound::SignedOut { conn } => {
                let calls = self.endpoint.calls_on(conn);
                let hang_up = |call| Command::Hangup {
                    call,
                    reason: Some(SIGNED_OUT.to_owned()),
                };
                self.pending.extend(calls.into_iter().map(hang_up));
                self.drain();
                // Behind the BYEs.
                self.outgoing.push(Outgoing::Close { conn });
            }
            Inbound::Closed { conn } => {
                self.outboxes.remove(&conn);
                self.endpoint.handle(now, Input::StreamClosed { conn });
            }
        }
        self.drain();
    }

    /// Carries out what the endpoint wants, in its order, and what the switchboard makes of its events,
    /// until neither wants anything. What leaves this machine waits for `flush`.
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
            Output::Datagram { flow, data } => {
                self.outgoing.push(Outgoing::Datagram { flow, data });
            }
            Output::StreamData { conn, data } => {
                self.outgoing.push(Outgoing::Stream { conn, data });
            }
            Output::CloseStream { conn } => self.outgoing.push(Outgoing::Close { conn }),
            Output::OpenStream {
                conn,
                transport,
                remote,
            } => {
                let all = self.connections.clone();
                tokio::spawn(connection::connect(conn, transport, remote, all));
            }
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
            Output::SaveBan(ban) => {
                if !ban.block.address().is_loopback() {
                    self.connections.barred.add(unix_ms(), &ban);
                }
                self.recorder.keep(Lasting::Ban(ban));
            }
            Output::ForgetBan(block) => {
                self.connections.barred.lift(block);
                self.recorder.keep(Lasting::BanOver(block));
            }
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

    /// Lets out what waits: what came in together is answered together.
    fn flush(&mut self) {
        for item in self.outgoing.drain(..) {
            match item {
                Outgoing::Datagram { flow, data } => self.datagrams.send(flow, data),
                Outgoing::Stream { conn, data } => {
                    let is_lost = match self.outboxes.get(&conn) {
                        Some(outbox) => outbox.try_send(data).is_err(),
                        None => false,
                    };
                    if is_lost {
                        // Dropping the outbox ends the writer, which closes the connection.
                        self.outboxes.remove(&conn);
                    }
                }
                Outgoing::Close { conn } => drop(self.outboxes.remove(&conn)),
            }
        }
        self.datagrams.flush();
    }

    /// Nobody bans this machine itself, whatever the file says.
    fn bar_the_banned(&self) {
        let mut bans = self.endpoint.bans(Instant::now());
        bans.retain(|ban| !ban.block.address().is_loopback());
        self.connections.barred.replace(&bans);
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
            Command::AnswerTransfer { call, answer } => {
                self.endpoint.answer_transfer(now, call, answer)
            }
            Command::TransferProgress { call, status } => {
                self.endpoint.transfer_progress(now, call, status)
            }
            Command::Bridge(output) => {
                let more = self.switchboard.perform(*output, &mut self.endpoint);
                // Before whatever waits: what a bridge wants done has an order.
                for command in more.into_iter().rev() {
                    self.pending.push_front(command);
                }
                Ok(())
            }
            Command::TrunkFound { at, found } => {
                self.switchboard.trunk_found(at, &found, &mut self.endpoint);
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
            Command::Bans(bans) => {
                self.endpoint.replace_bans(bans);
                self.bar_the_banned();
                Ok(())
            }
            Command::Ready(call) => {
                self.pending.extend(self.switchboard.ready(call));
                Ok(())
            }
            Command::Order(order) => {
                let more = self.switchboard.order(*order, &mut self.endpoint);
                self.pending.extend(more);
                Ok(())
            }
            Command::Told {
                call,
                news,
                complete,
            } => {
                self.switchboard.was_told(call, news, complete);
                Ok(())
            }
            Command::Over { call, ending } => {
                self.switchboard.over(call, ending);
                Ok(())
            }
            Command::Finished(call) => {
                self.switchboard.finished(call);
                Ok(())
            }
            Command::AnswerText {
                text,
                status,
                headers,
            } => {
                if let Err(error) = self.endpoint.answer_text(now, text, status, headers) {
                    debug!(%error, "answer to a text");
                }
                Ok(())
            }
            Command::MessageLeft { caller, is_kept } => {
                self.switchboard.message_left(&caller, is_kept);
                Ok(())
            }
            Command::SendText { user, text, domain } => {
                let domain = domain.as_deref();
                self.switchboard
                    .send_text(&user, &text, domain, &mut self.endpoint);
                Ok(())
            }
            Command::SendLive(live) => {
                self.switchboard.send_live(*live, &mut self.endpoint);
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
}

/// Accounts that are somebody's phones; the program's own account for test calls is nobody's.
pub fn callable(users: &[sip::User]) -> Vec<String> {
    let somebody = users.iter().filter(|user| !user.local_only);
    somebody.map(|user| user.name.clone()).collect()
}
