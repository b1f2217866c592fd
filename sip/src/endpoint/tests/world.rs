//! Two endpoints, a server and a phone, on virtual time. The network between them loses, doubles, delays and reorders
//! datagrams as its seed says; streams keep their order. Every event is told as one line, so that a test is a story.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::endpoint::{
    CallKey, CallParams, DialogRecord, Endpoint, EndpointConfig, Event, Input, Output,
    RegisterParams, User,
};
use crate::flow::{ConnId, Flow, FlowTarget, Transport};
use crate::header::NameAddr;
use crate::secret::Secret;
use crate::uri::{Host, Uri};
use crate::{Algorithm, Binding, ha1};

pub(super) const REALM: &str = "offhook";
pub(super) const PASSWORD: &str = "correct horse";
pub(super) const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
pub(super) const ANSWER: &str = "v=0\r\no=- 2 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\n";

pub(super) fn server_address() -> SocketAddr {
    "192.0.2.1:5060".parse().expect("address")
}

pub(super) fn phone_address() -> SocketAddr {
    "192.0.2.7:5062".parse().expect("address")
}

pub(super) fn account(name: &str) -> User {
    User {
        name: name.to_owned(),
        ha1_md5: ha1(Algorithm::Md5, name, REALM, PASSWORD),
        ha1_sha256: ha1(Algorithm::Sha256, name, REALM, PASSWORD),
        local_only: false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Side {
    Server,
    Phone,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Server => Side::Phone,
            Side::Phone => Side::Server,
        }
    }
}

/// How bad the network is. Chances in percent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    pub(super) loss: u32,
    pub(super) duplicate: u32,
    pub(super) delay_ms: (u64, u64),
}

impl Network {
    pub(super) const GOOD: Network = Network {
        loss: 0,
        duplicate: 0,
        delay_ms: (10, 10),
    };
}

#[derive(Debug, Clone)]
enum Arrival {
    Datagram { flow: Flow, data: Vec<u8> },
    Opened { flow: Flow },
    Data { conn: ConnId, data: Vec<u8> },
    Closed { conn: ConnId },
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) server: Endpoint,
    pub(super) phone: Endpoint,
    pub(super) network: Network,
    rng: StdRng,
    travelling: BTreeMap<(Instant, u64), (Side, Arrival)>,
    sent: u64,
    /// The same connection under the other side's number.
    twins: HashMap<(Side, ConnId), ConnId>,
    next_conn: u64,
    pub(super) transport: Transport,
    pub(super) story: Vec<String>,
    pub(super) events: Vec<(Side, Event)>,
    pub(super) saved: Vec<(String, Vec<Binding>)>,
    /// The server's dialogs as they are written down.
    pub(super) kept: BTreeMap<String, DialogRecord>,
    /// Messages that crossed, first lines only.
    pub(super) wire: Vec<String>,
    /// Drops everything whose first line starts so, that many times.
    pub(super) swallow: Vec<(&'static str, u32)>,
}

impl World {
    pub(super) fn new(transport: Transport, network: Network, seed: u64) -> World {
        World::with_config(transport, network, seed, EndpointConfig::default())
    }

    pub(super) fn with_config(
        transport: Transport,
        network: Network,
        seed: u64,
        config: EndpointConfig,
    ) -> World {
        let base = crate::testing::start();
        let seed_of = |side: u8| {
            let mut bytes = [side; 32];
            bytes[..8].copy_from_slice(&seed.to_be_bytes());
            bytes
        };
        let mut server = Endpoint::new(config, seed_of(1), base, 1_000_000);
        server.set_users(vec![account("phone1"), account("phone2")]);
        World {
            now: base,
            server,
            phone: Endpoint::new(EndpointConfig::default(), seed_of(2), base, 1_000_000),
            network,
            rng: StdRng::seed_from_u64(seed),
            travelling: BTreeMap::new(),
            sent: 0,
            twins: HashMap::new(),
            next_conn: 0,
            transport,
            story: Vec::new(),
            events: Vec::new(),
            saved: Vec::new(),
            kept: BTreeMap::new(),
            wire: Vec::new(),
            swallow: Vec::new(),
        }
    }

    /// Neither side asks whether the other is still there.
    pub(super) fn ask_nobody(&mut self) {
        self.server.config.keepalive_s = 0;
        self.phone.config.keepalive_s = 0;
    }

    fn endpoint(&mut self, side: Side) -> &mut Endpoint {
        match side {
            Side::Server => &mut self.server,
            Side::Phone => &mut self.phone,
        }
    }

    pub(super) fn target(&self) -> FlowTarget {
        FlowTarget {
            transport: self.transport,
            local: phone_address(),
            remote: server_address(),
        }
    }

    fn uri(&self, user: Option<&str>, address: SocketAddr) -> Uri {
        let mut uri = Uri::sip(user, Host::from(address.ip()), Some(address.port()));
        if let Some(transport) = self.transport.uri_param() {
            uri.params.set("transport", Some(transport));
        }
        uri
    }

    pub(super) fn register_params(&self, user: &str, password: &str) -> RegisterParams {
        RegisterParams {
            registrar: self.uri(None, server_address()),
            flow: self.target(),
            user: user.to_owned(),
            password: Secret::new(password),
            expires_s: 600,
            contact: self.uri(Some(user), phone_address()),
        }
    }

    pub(super) fn call_params(&self, number: &str) -> CallParams {
        CallParams {
            credentials: Some(("phone1".to_owned(), Secret::new(PASSWORD))),
            ..CallParams::new(
                self.uri(Some(number), server_address()),
                self.target(),
                NameAddr::new(self.uri(Some("phone1"), server_address())),
                self.uri(Some("phone1"), phone_address()),
                OFFER.to_owned(),
            )
        }
    }

    /// The phone dials; drained.
    pub(super) fn dial(&mut self, number: &str) -> CallKey {
        let params = self.call_params(number);
        let key = self.phone.call(self.now, params);
        self.drain(Side::Phone);
        key
    }

    /// Does one thing with an endpoint and drains it.
    pub(super) fn act<T>(
        &mut self,
        side: Side,
        act: impl FnOnce(&mut Endpoint, Instant) -> T,
    ) -> T {
        let now = self.now;
        let result = act(self.endpoint(side), now);
        self.drain(side);
        result
    }

    /// The server's key of the newest call.
    pub(super) fn incoming(&self) -> CallKey {
        let calls = self.events.iter().rev();
        let mut keys = calls.filter_map(|(_, event)| match event {
            Event::IncomingCall { call, .. } => Some(*call),
            _ => None,
        });
        keys.next().expect("a call came in")
    }

    pub(super) fn drain(&mut self, side: Side) {
        let mut saved_first = VecDeque::new();
        while let Some(output) = saved_first
            .pop_front()
            .or_else(|| self.endpoint(side).poll_output())
        {
            match output {
                Output::Datagram { flow, data } => self.send_datagram(side, flow, data),
                Output::StreamData { conn, data } => {
                    self.note(side, &data);
                    if let Some(twin) = self.twins.get(&(side, conn)).copied() {
                        self.travel(10, side.other(), Arrival::Data { conn: twin, data });
                    }
                }
                Output::OpenStream {
                    conn,
                    transport,
                    remote,
                } => {
                    self.next_conn += 1;
                    let twin = ConnId(self.next_conn);
                    self.twins.insert((side, conn), twin);
                    self.twins.insert((side.other(), twin), conn);
                    let own = match side {
                        Side::Server => server_address(),
                        Side::Phone => phone_address(),
                    };
                    let there = Flow::stream(transport, remote, own, twin);
                    let here = Flow::stream(transport, own, remote, conn);
                    self.travel(10, side.other(), Arrival::Opened { flow: there });
                    self.travel(20, side, Arrival::Opened { flow: here });
                }
                Output::CloseStream { conn } => self.close(side, conn),
                Output::SaveBindings {
                    user,
                    bindings,
                    then,
                } => {
                    self.saved.push((user, bindings));
                    saved_first.extend(then);
                }
                Output::Event(event) => {
                    self.story.push(format!("{side:?} {}", line(&event)));
                    self.events.push((side, event));
                }
                Output::SaveDialog(dialog) if side == Side::Server => {
                    self.kept.insert(dialog.id.clone(), dialog);
                }
                Output::ForgetDialog { id } if side == Side::Server => {
                    self.kept.remove(&id);
                }
                Output::SaveDialog(_)
                | Output::ForgetDialog { .. }
                | Output::SaveBan(_)
                | Output::ForgetBan(_)
                | Output::Log(_) => {}
            }
        }
    }

    /// Closes a connection as its owner would; the other side hears of it.
    pub(super) fn close(&mut self, side: Side, conn: ConnId) {
        if let Some(twin) = self.twins.remove(&(side, conn)) {
            self.twins.remove(&(side.other(), twin));
            self.travel(10, side.other(), Arrival::Closed { conn: twin });
        }
    }

    /// Breaks every connection at once.
    pub(super) fn break_streams(&mut self) {
        let mut ends: Vec<(Side, ConnId)> = self.twins.drain().map(|(end, _)| end).collect();
        ends.sort_unstable();
        for (side, conn) in ends {
            self.travel(0, side, Arrival::Closed { conn });
        }
    }

    fn note(&mut self, side: Side, data: &[u8]) {
        let text = String::from_utf8_lossy(data);
        let first = text.lines().next().unwrap_or_default();
        let what = match first.strip_prefix("SIP/2.0 ") {
            Some(status) => status.split(' ').next().unwrap_or_default().to_owned(),
            None => first.split(' ').next().unwrap_or_default().to_owned(),
        };
        self.wire.push(format!("{side:?} {what}"));
    }

    fn send_datagram(&mut self, side: Side, flow: Flow, data: Vec<u8>) {
        self.note(side, &data);
        let last = self.wire.last().cloned().unwrap_or_default();
        if let Some((_, times)) = self
            .swallow
            .iter_mut()
            .find(|(what, times)| *times > 0 && last == *what)
        {
            *times -= 1;
            return;
        }
        // Seen from the other end.
        let flow = Flow::udp(flow.remote, flow.local);
        let copies = if self.chance(self.network.loss) {
            0
        } else if self.chance(self.network.duplicate) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let (least, most) = self.network.delay_ms;
            let delay = least + u64::from(self.rng.next_u32()) % (most - least + 1);
            let data = data.clone();
            self.travel(delay, side.other(), Arrival::Datagram { flow, data });
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.next_u32() % 100 < percent
    }

    fn travel(&mut self, delay_ms: u64, to: Side, arrival: Arrival) {
        self.sent += 1;
        let at = self.now + Duration::from_millis(delay_ms);
        self.travelling.insert((at, self.sent), (to, arrival));
    }

    /// The next thing that happens anywhere; false when nothing ever will.
    pub(super) fn step(&mut self, until: Instant) -> bool {
        let arrival = self.travelling.first_key_value().map(|((at, _), _)| *at);
        let timers = [self.server.next_timeout(), self.phone.next_timeout()];
        let Some(next) = [arrival, timers[0], timers[1]].into_iter().flatten().min() else {
            return false;
        };
        if next > until {
            return false;
        }
        self.now = self.now.max(next);
        let now = self.now;
        if arrival == Some(next) {
            let (_, (side, arrival)) = self.travelling.pop_first().expect("there is one");
            let input = match &arrival {
                Arrival::Datagram { flow, data } => Input::Datagram { flow: *flow, data },
                Arrival::Opened { flow } => Input::StreamOpened { flow: *flow },
                Arrival::Data { conn, data } => Input::StreamData { conn: *conn, data },
                Arrival::Closed { conn } => Input::StreamClosed { conn: *conn },
            };
            self.endpoint(side).handle(now, input);
            self.drain(side);
        } else {
            let side = if timers[0] == Some(next) {
                Side::Server
            } else {
                Side::Phone
            };
            self.endpoint(side).handle(now, Input::Timeout);
            self.drain(side);
        }
        true
    }

    pub(super) fn run_ms(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until a line of the story starts so, two minutes at most.
    pub(super) fn run_until(&mut self, start: &str) {
        let until = self.now + Duration::from_secs(120);
        let from = self.story.len();
        while !self.story[from.min(self.story.len())..]
            .iter()
            .any(|line| line.starts_with(start))
        {
            assert!(
                self.step(until),
                "{start:?} never came: {:#?}\n{:#?}",
                self.story,
                self.wire
            );
        }
    }

    /// Registered phone, story cleared.
    pub(super) fn registered(mut self) -> World {
        let params = self.register_params("phone1", PASSWORD);
        self.act(Side::Phone, |phone, now| phone.register(now, params));
        self.run_until("Phone RegistrationResult");
        self.story.clear();
        self.wire.clear();
        self
    }

    /// An answered and confirmed call, story cleared: the phone's and the server's key.
    pub(super) fn connected(&mut self) -> (CallKey, CallKey) {
        let phone_call = self.dial("100");
        self.run_until("Server IncomingCall");
        let server_call = self.incoming();
        self.act(Side::Server, |server, now| {
            server.answer(now, server_call, ANSWER.to_owned())
        })
        .expect("answer");
        self.run_until("Server CallConfirmed");
        self.run_ms(1_000);
        self.story.clear();
        self.wire.clear();
        (phone_call, server_call)
    }

    /// Lets everything end that can: 40 seconds are more than any transaction lives.
    pub(super) fn settle(&mut self) {
        self.run_ms(40_000);
    }

    pub(super) fn assert_empty(&self) {
        for (name, endpoint) in [("server", &self.server), ("phone", &self.phone)] {
            let stats = endpoint.stats();
            assert_eq!(
                (
                    stats.server_transactions,
                    stats.client_transactions,
                    stats.calls
                ),
                (0, 0, 0),
                "{name} did not end: {:#?}",
                self.story
            );
            assert!(
                endpoint.calls.is_empty() && endpoint.dialogs.is_empty(),
                "{name} keeps calls"
            );
        }
    }
}

/// An event as one line, without what differs from seed to seed.
pub(super) fn line(event: &Event) -> String {
    let some = |sdp: &Option<String>| if sdp.is_some() { "sdp" } else { "-" };
    match event {
        Event::Registered {
            user,
            expires_s,
            refreshed,
            ..
        } => {
            format!("Registered {user} {expires_s} refreshed={refreshed}")
        }
        Event::Unregistered { user, why, .. } => format!("Unregistered {user} {why:?}"),
        Event::IncomingCall {
            caller,
            target,
            offer,
            ..
        } => {
            format!("IncomingCall {} {target} {}", caller.name(), some(offer))
        }
        Event::CallConfirmed { answer, .. } => format!("CallConfirmed {}", some(answer)),
        Event::CallProgress { status, sdp, .. } => format!("CallProgress {status} {}", some(sdp)),
        Event::CallAnswered { answer, .. } => format!("CallAnswered {}", some(answer)),
        Event::ReInvite { offer, .. } => format!("ReInvite {}", some(offer)),
        Event::ReofferAnswered { result, .. } => match result {
            Ok(sdp) => format!("ReofferAnswered {}", some(sdp)),
            Err(status) => format!("ReofferAnswered {status}"),
        },
        Event::Redirected { contacts, .. } => format!("Redirected {}", contacts.len()),
        Event::Transfer {
            target, replaces, ..
        } => {
            format!("Transfer {target} replaces={}", replaces.is_some())
        }
        Event::Digits {
            digit, duration_ms, ..
        } => format!("Digits {digit} {duration_ms}"),
        Event::ReferProgress {
            status, is_last, ..
        } => format!("ReferProgress {status} last={is_last}"),
        Event::CallEnded { cause, .. } => format!("CallEnded {cause:?}"),
        Event::RegistrationResult { result, .. } => format!("RegistrationResult {result:?}"),
        Event::TrunkRegistration {
            trunk,
            result,
            retry_s,
        } => format!(
            "TrunkRegistration {trunk} {result:?} retry={}",
            retry_s.is_some()
        ),
        Event::Text { target, body, .. } => {
            format!("Text {target} {}", String::from_utf8_lossy(body))
        }
        Event::TextAnswered { result, .. } => format!("TextAnswered {result:?}"),
        Event::AuthenticationFailed { user, locked, .. } => {
            format!("AuthenticationFailed {user} locked={locked}")
        }
    }
}
