//! PURE.
//! The tables of running transactions and everything that goes through them: sending requests and responses, their
//! timers and their ends. Does not own the machines (see `transaction`) or what a response means to a call.

use std::collections::HashMap;
use std::time::Instant;

use super::texts::TextKey;
use super::usages::Usage;
use super::{CallKey, Endpoint, LogLevel, Output, RegistrationKey, TimerId};
use crate::flow::{ConnId, Flow};
use crate::header::HeaderName;
use crate::message::{Message, Request, Response};
use crate::method::Method;
use crate::transaction::client::ClientTransaction;
use crate::transaction::client_invite::ClientInviteTransaction;
use crate::transaction::key::{ClientKey, MAGIC_COOKIE, MergeKey, ServerKey};
use crate::transaction::server::ServerTransaction;
use crate::transaction::server_invite::ServerInviteTransaction;
use crate::transaction::{Fired, Received};

#[derive(Debug)]
pub(super) enum ServerMachine {
    Invite(ServerInviteTransaction),
    Other(ServerTransaction),
}

impl ServerMachine {
    pub(super) fn is_open(&self) -> bool {
        match self {
            ServerMachine::Invite(machine) => machine.is_open(),
            ServerMachine::Other(machine) => machine.is_open(),
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        match self {
            ServerMachine::Invite(machine) => machine.next_timeout(),
            ServerMachine::Other(machine) => machine.next_timeout(),
        }
    }
}

#[derive(Debug)]
pub(super) struct ServerEntry {
    key: ServerKey,
    merge: Option<MergeKey>,
    pub(super) machine: ServerMachine,
    /// Where responses go.
    pub(super) reply_to: Flow,
    /// The last response.
    packet: Vec<u8>,
    /// The call an INVITE belongs to.
    pub(super) call: Option<CallKey>,
    /// To tag of its responses, which a CANCEL's 200 shares.
    pub(super) to_tag: String,
}

#[derive(Debug, Default)]
pub(super) struct ServerTable {
    entries: HashMap<u64, ServerEntry>,
    by_key: HashMap<ServerKey, u64>,
    merged: HashMap<MergeKey, u64>,
}

impl ServerTable {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn find(&self, key: &ServerKey) -> Option<u64> {
        self.by_key.get(key).copied()
    }

    pub(super) fn is_merged(&self, key: &MergeKey) -> bool {
        self.merged.contains_key(key)
    }

    pub(super) fn get(&self, id: u64) -> Option<&ServerEntry> {
        self.entries.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut ServerEntry> {
        self.entries.get_mut(&id)
    }

    fn insert(&mut self, id: u64, entry: ServerEntry) {
        self.by_key.insert(entry.key.clone(), id);
        if let Some(merge) = &entry.merge {
            self.merged.insert(merge.clone(), id);
        }
        self.entries.insert(id, entry);
    }

    fn remove(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        self.by_key.remove(&entry.key);
        if let Some(merge) = entry.merge
            && self.merged.get(&merge) == Some(&id)
        {
            self.merged.remove(&merge);
        }
    }
}

#[derive(Debug)]
pub(super) enum ClientMachine {
    Invite(ClientInviteTransaction),
    Other(ClientTransaction),
}

impl ClientMachine {
    fn is_open(&self) -> bool {
        match self {
            ClientMachine::Invite(machine) => machine.is_open(),
            ClientMachine::Other(machine) => machine.is_open(),
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        match self {
            ClientMachine::Invite(machine) => machine.next_timeout(),
            ClientMachine::Other(machine) => machine.next_timeout(),
        }
    }
}

/// Who sent a request of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Invite(CallKey),
    /// An INVITE inside a call.
    Reinvite(CallKey),
    Update(CallKey),
    Prack(CallKey),
    Bye(CallKey),
    /// Nobody waits for what becomes of a CANCEL.
    Cancel(CallKey),
    /// Something beside the call in its dialog.
    Usage(CallKey, Usage),
    Registration(RegistrationKey),
    /// The BYE of a dialog that a crash cut off.
    Lost(u64),
    Text(TextKey),
}

#[derive(Debug)]
pub(super) struct ClientEntry {
    key: ClientKey,
    pub(super) machine: ClientMachine,
    pub(super) flow: Flow,
    pub(super) request: Request,
    packet: Vec<u8>,
    /// RFC 3261 §17.1.1.3: the ACK for a refused INVITE.
    ack: Vec<u8>,
    pub(super) owner: Owner,
    /// Challenges answered before this one was sent.
    pub(super) challenges: u8,
}

#[derive(Debug, Default)]
pub(super) struct ClientTable {
    entries: HashMap<u64, ClientEntry>,
    by_key: HashMap<ClientKey, u64>,
}

impl ClientTable {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn open_count(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| entry.machine.is_open())
            .count()
    }

    pub(super) fn find(&self, key: &ClientKey) -> Option<u64> {
        self.by_key.get(key).copied()
    }

    pub(super) fn get(&self, id: u64) -> Option<&ClientEntry> {
        self.entries.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut ClientEntry> {
        self.entries.get_mut(&id)
    }

    fn remove(&mut self, id: u64) -> Option<ClientEntry> {
        let entry = self.entries.remove(&id)?;
        self.by_key.remove(&entry.key);
        Some(entry)
    }

    /// In order of age, so that a run repeats on its seed.
    fn open_on(&self, conn: ConnId) -> Vec<u64> {
        let on_it = |entry: &ClientEntry| entry.flow.conn == Some(conn) && entry.machine.is_open();
        let mut ids: Vec<u64> = self
            .entries
            .iter()
            .filter(|(_, entry)| on_it(entry))
            .map(|(id, _)| *id)
            .collect();
        ids.sort_unstable();
        ids
    }
}

impl Endpoint {
    /// No room for another transaction. Calls have as much again, or a full table could not hang up.
    pub(super) fn transactions_full(&self, in_call: bool) -> bool {
        let reserve = if in_call { 2 } else { 1 };
        self.servers.len() + self.clients.len() >= self.config.transactions_max * reserve
    }

    /// Opens the server transaction of a request; its To tag is `to_tag`.
    pub(super) fn open_server(
        &mut self,
        request: &Request,
        key: ServerKey,
        merge: Option<MergeKey>,
        reply_to: Flow,
        to_tag: String,
    ) -> u64 {
        let reliable = reply_to.transport.is_reliable();
        let timers = self.config.timers;
        let machine = match request.method {
            Method::Invite => ServerMachine::Invite(ServerInviteTransaction::new(timers, reliable)),
            _ => ServerMachine::Other(ServerTransaction::new(timers, reliable)),
        };
        let id = self.new_key();
        self.servers.insert(
            id,
            ServerEntry {
                key,
                merge,
                machine,
                reply_to,
                packet: Vec::new(),
                call: None,
                to_tag,
            },
        );
        id
    }

    /// Sends a response through its transaction; the bytes that went out, if any did.
    pub(super) fn respond(&mut self, now: Instant, id: u64, response: Response) -> Option<Vec<u8>> {
        let status = response.status;
        let entry = self.servers.get_mut(id)?;
        let goes = match &mut entry.machine {
            ServerMachine::Invite(machine) => machine.on_respond(now, status),
            ServerMachine::Other(machine) => machine.on_respond(now, status),
        };
        if !goes {
            return None;
        }
        let packet = Message::Response(response).to_bytes();
        entry.packet.clone_from(&packet);
        let (deadline, flow) = (entry.machine.next_timeout(), entry.reply_to);
        self.timers.set(TimerId::Server(id), deadline);
        self.transmit(flow, packet.clone());
        Some(packet)
    }

    /// The same request came again.
    pub(super) fn on_request_again(&mut self, id: u64, reply_to: Flow) {
        let Some(entry) = self.servers.get_mut(id) else {
            return;
        };
        self.stats.retransmissions_absorbed += 1;
        // A stream may have been replaced since; the peer listens where it asked last.
        entry.reply_to = reply_to;
        let again = match &entry.machine {
            ServerMachine::Invite(machine) => machine.on_retransmission(),
            ServerMachine::Other(machine) => machine.on_retransmission(),
        };
        if again && !entry.packet.is_empty() {
            let packet = entry.packet.clone();
            self.stats.retransmissions_sent += 1;
            self.transmit(reply_to, packet);
        }
    }

    /// An ACK that matches an INVITE transaction; true if it must go on to the dialog.
    pub(super) fn on_ack_of(&mut self, now: Instant, id: u64) -> bool {
        let Some(entry) = self.servers.get_mut(id) else {
            return true;
        };
        let ServerMachine::Invite(machine) = &mut entry.machine else {
            return false;
        };
        let for_user = machine.on_ack(now);
        let deadline = machine.next_timeout();
        self.timers.set(TimerId::Server(id), deadline);
        for_user
    }

    pub(super) fn on_server_timer(&mut self, now: Instant, id: u64) {
        let Some(entry) = self.servers.get_mut(id) else {
            return;
        };
        let fired = match &mut entry.machine {
            ServerMachine::Invite(machine) => machine.on_timeout(now),
            ServerMachine::Other(machine) => machine.on_timeout(now),
        };
        let (deadline, flow) = (entry.machine.next_timeout(), entry.reply_to);
        match fired {
            Fired::Nothing => {}
            Fired::Resend => {
                let packet = entry.packet.clone();
                self.stats.retransmissions_sent += 1;
                self.transmit(flow, packet);
            }
            // Timer H: nobody acknowledged our refusal. RFC 3261 §17.2.1 tells the user, who has no use for it.
            Fired::TimedOut | Fired::Ended => {
                self.servers.remove(id);
                return;
            }
        }
        self.timers.set(TimerId::Server(id), deadline);
    }

    /// Sends a request in a new client transaction. It must not bear a Via yet.
    pub(super) fn send_request(
        &mut self,
        now: Instant,
        mut request: Request,
        flow: Flow,
        owner: Owner,
    ) -> u64 {
        let branch = self.add_via(&mut request, flow);
        self.send_request_with_via(now, request, flow, owner, branch)
    }

    /// As above, for a CANCEL, which bears the Via of its INVITE.
    pub(super) fn send_request_with_via(
        &mut self,
        now: Instant,
        request: Request,
        flow: Flow,
        owner: Owner,
        branch: String,
    ) -> u64 {
        let reliable = flow.transport.is_reliable();
        let timers = self.config.timers;
        let machine = match request.method {
            Method::Invite => {
                ClientMachine::Invite(ClientInviteTransaction::new(now, timers, reliable))
            }
            _ => ClientMachine::Other(ClientTransaction::new(now, timers, reliable)),
        };
        let packet = Message::Request(request.clone()).to_bytes();
        let key = ClientKey {
            branch,
            method: request.method.clone(),
        };
        let id = self.new_key();
        self.timers.set(TimerId::Client(id), machine.next_timeout());
        self.clients.by_key.insert(key.clone(), id);
        if let Some(call) = owner.call().and_then(|key| self.calls.get_mut(&key)) {
            call.transactions += 1;
        }
        let entry = ClientEntry {
            key,
            machine,
            flow,
            request,
            packet: packet.clone(),
            ack: Vec::new(),
            owner,
            challenges: 0,
        };
        self.clients.entries.insert(id, entry);
        self.transmit(flow, packet);
        id
    }

    /// RFC 3261 §8.1.1.7 and RFC 3581 §3: a Via of ours on top, with a branch nobody can guess.
    pub(super) fn add_via(&mut self, request: &mut Request, flow: Flow) -> String {
        let branch = format!("{MAGIC_COOKIE}{}", self.random_hex::<12>());
        let via = format!(
            "SIP/2.0/{} {};branch={branch};rport",
            flow.transport.via_token(),
            self.own_address(flow)
        );
        request.headers.push_front(HeaderName::Via, via);
        branch
    }

    pub(super) fn on_response(&mut self, now: Instant, flow: Flow, response: Response) {
        let (Ok(via), Ok(cseq)) = (response.headers.vias(), response.headers.cseq()) else {
            self.stats.messages_dropped += 1;
            return;
        };
        // RFC 3261 §8.1.3.3: one that is to go on to somebody behind us has gone astray.
        let [via] = &via[..] else {
            self.stats.messages_dropped += 1;
            return;
        };
        let found = ClientKey::of_response(via, &cseq).and_then(|key| self.clients.find(&key));
        // RFC 6026 §8.9: a response that matches nothing is dropped.
        let Some(id) = found else {
            self.stats.messages_dropped += 1;
            return;
        };
        let Some(entry) = self.clients.get_mut(id) else {
            return;
        };
        self.guard.vouch(now, flow.remote.ip(), 1);
        let received = match &mut entry.machine {
            ClientMachine::Invite(machine) => machine.on_response(now, response.status),
            ClientMachine::Other(machine) => machine.on_response(now, response.status),
        };
        if received == Received::PassAndAck {
            entry.ack = Message::Request(ack_for_refusal(&entry.request, &response)).to_bytes();
        }
        let (deadline, owner, out, ack) = (
            entry.machine.next_timeout(),
            entry.owner,
            entry.flow,
            entry.ack.clone(),
        );
        self.timers.set(TimerId::Client(id), deadline);
        if matches!(received, Received::PassAndAck | Received::Ack) {
            self.transmit(out, ack);
        }
        if matches!(received, Received::Pass | Received::PassAndAck) {
            self.on_call_response(now, owner, id, response);
        }
    }

    pub(super) fn on_client_timer(&mut self, now: Instant, id: u64) {
        let Some(entry) = self.clients.get_mut(id) else {
            return;
        };
        let fired = match &mut entry.machine {
            ClientMachine::Invite(machine) => machine.on_timeout(now),
            ClientMachine::Other(machine) => machine.on_timeout(now),
        };
        let deadline = entry.machine.next_timeout();
        match fired {
            Fired::Nothing => {}
            Fired::Resend => {
                let (flow, packet) = (entry.flow, entry.packet.clone());
                self.stats.retransmissions_sent += 1;
                self.transmit(flow, packet);
            }
            Fired::Ended => return self.close_client(id),
            Fired::TimedOut => return self.fail_client(now, id, Failure::NoAnswer),
        }
        self.timers.set(TimerId::Client(id), deadline);
    }

    /// The connection a request needs is gone.
    pub(super) fn fail_clients_on(&mut self, now: Instant, conn: ConnId) {
        for id in self.clients.open_on(conn) {
            self.fail_client(now, id, Failure::Transport);
        }
    }

    fn fail_client(&mut self, now: Instant, id: u64, failure: Failure) {
        let Some(owner) = self.clients.get(id).map(|entry| entry.owner) else {
            return;
        };
        self.on_call_failure(now, owner, id, failure);
        self.close_client(id);
    }

    /// Forgets a client transaction, and its call if that was the last thing it was waiting for.
    fn close_client(&mut self, id: u64) {
        self.timers.set(TimerId::Client(id), None);
        let Some(entry) = self.clients.remove(id) else {
            return;
        };
        if let Some(key) = entry.owner.call() {
            if let Some(call) = self.calls.get_mut(&key) {
                call.transactions -= 1;
            }
            self.drop_call_if_done(key);
        }
    }

    pub(super) fn reschedule_client(&mut self, id: u64) {
        let deadline = self
            .clients
            .get(id)
            .and_then(|entry| entry.machine.next_timeout());
        self.timers.set(TimerId::Client(id), deadline);
    }

    /// Bytes on their way; over a stream that is not open yet they wait.
    pub(super) fn transmit(&mut self, flow: Flow, data: Vec<u8>) {
        match flow.conn {
            None => self.outputs.push_back(Output::Datagram { flow, data }),
            Some(conn) => {
                if !self.streams.send(conn, data, &mut self.outputs) {
                    self.log(
                        LogLevel::Debug,
                        format!("no way back to {flow}: connection closed"),
                    );
                }
            }
        }
    }
}

impl Owner {
    pub(super) fn call(self) -> Option<CallKey> {
        match self {
            Owner::Invite(key)
            | Owner::Reinvite(key)
            | Owner::Update(key)
            | Owner::Prack(key)
            | Owner::Bye(key)
            | Owner::Cancel(key)
            | Owner::Usage(key, _) => Some(key),
            Owner::Registration(_) | Owner::Lost(_) | Owner::Text(_) => None,
        }
    }
}

/// Why no response came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    NoAnswer,
    Transport,
}

/// RFC 3261 §17.1.1.3: Request-URI, Via, From, Call-ID, CSeq number and Route of the INVITE, To of the response.
fn ack_for_refusal(invite: &Request, response: &Response) -> Request {
    let mut ack = Request::new(Method::Ack, invite.uri.clone());
    let via = invite
        .headers
        .get_all(&HeaderName::Via)
        .next()
        .unwrap_or_default()
        .to_owned();
    ack.headers.push(HeaderName::Via, via);
    for route in invite.headers.get_all(&HeaderName::Route) {
        ack.headers.push(HeaderName::Route, route);
    }
    ack.headers.push(HeaderName::MaxForwards, "70");
    ack.headers.push(
        HeaderName::From,
        invite.headers.get(&HeaderName::From).unwrap_or_default(),
    );
    ack.headers.push(
        HeaderName::To,
        response.headers.get(&HeaderName::To).unwrap_or_default(),
    );
    ack.headers.push(
        HeaderName::CallId,
        invite.headers.get(&HeaderName::CallId).unwrap_or_default(),
    );
    let number = invite.headers.cseq().map_or(0, |cseq| cseq.number);
    ack.headers.push(HeaderName::CSeq, format!("{number} ACK"));
    ack
}
