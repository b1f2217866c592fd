//! Calls between phones on virtual time: the program's SIP endpoint, its bridges and the joint of the two, four phones that
//! dial each other, hold, transfer and give up, a network that loses, delays and doubles, and a server that may be killed
//! and started again. One of them speaks Opus alone, one G.711 alone. The relay is played: only its opening and closing count here.
//!
//! What must hold: every call ends, on both sides and in every table; each call that began is over once; ports come back.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook::bridge::joint::{Joint, NewCall, call_of};
use offhook::bridge::{
    Anchor, BridgeConfig, Input as BridgeInput, Output as BridgeOutput, Party, Shown, Target, View,
};
use offhook::config::Config;
use offhook::routing::{Destination, DialPlan, Outside};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sip::offer_answer::{
    self, AudioCodec, Fingerprint, FingerprintHash, LocalMedia, LocalSecurity, SecurityPolicy,
};
use sip::{
    Binding, CallKey, CallParams, Caller, DialogRecord, Endpoint, EndpointConfig, Event, Flow,
    FlowTarget, Host, Input, NameAddr, Output, RegisterParams, Secret, Transport, Trunk, Uri, User,
};

use crate::net::{Net, Packet, Weather};
use phones::self_drain;
use setup::{endpoint_config, joint, users};

mod phones;
mod setup;

const PASSWORD: &str = "correct horse battery";
const UNIX_MS: u64 = 1_800_000_000_000;
const SERVER: &str = "10.0.0.1:5060";
/// Accounts of the phones; anna has two.
const PHONES: [&str; 4] = ["anna", "anna", "bert", "carl"];
/// What each speaks: some pairs have no codec in common.
const CODECS: [&[AudioCodec]; 4] = [
    &AudioCodec::ALL,
    &[AudioCodec::Pcmu],
    &[AudioCodec::Opus],
    &[AudioCodec::Pcma, AudioCodec::Pcmu],
];
const NUMBERS: [&str; 6] = ["200", "201", "202", "300", "301", "201"];
/// A call that goes on after this has been forgotten by somebody.
const LONGEST: Duration = Duration::from_secs(900);
const PLAN: &str = r#"
    [[users]]
    name = "anna"
    extensions = ["200"]
    ring_s = 12
    [[users]]
    name = "bert"
    extensions = ["201"]
    forward_no_answer = "202"
    ring_s = 8
    [[users]]
    name = "carl"
    extensions = ["202"]
    voicemail = false
    forward_busy = "200"
    [[groups]]
    number = "300"
    members = ["anna", "bert", "carl"]
    [[groups]]
    number = "301"
    members = ["anna", "bert", "carl"]
    ring = "one_by_one"
    ring_s = 6
    "#;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address literal")
}

fn phone_address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 2], 5060))
}

/// What a phone does by itself.
#[derive(Debug, Clone, Copy)]
enum Act {
    Dial(&'static str),
    HangUp,
    /// A new offer in the first call.
    Reoffer,
    Transfer(&'static str),
    /// Attended: the first call to the second one.
    Join,
}

/// What it does with a call that comes in.
#[derive(Debug, Clone, Copy)]
enum Manner {
    AnswerAfter(Duration),
    Busy,
    RingOn,
    EarlyThenAnswer(Duration),
}

struct Phone {
    endpoint: Endpoint,
    local: LocalMedia,
    manner: Manner,
    acts: VecDeque<(Instant, Act)>,
    /// Calls of it, oldest first, and whether they stand.
    calls: Vec<(CallKey, bool)>,
    ringing: Vec<(Instant, CallKey, Option<String>)>,
    todo: VecDeque<Event>,
    began: u32,
    ended: u32,
    answered: u32,
}

struct Server {
    endpoint: Endpoint,
    joint: Joint,
    pending: VecDeque<BridgeOutput>,
    arrived: VecDeque<Event>,
    dialogs: HashMap<String, DialogRecord>,
    bindings: HashMap<String, Vec<Binding>>,
    relays_open: i64,
    begun: i64,
}

#[derive(Debug, Default)]
pub struct Tally {
    pub dialled: u32,
    pub answered: u32,
    pub talked: u32,
    pub served: u32,
    pub transfers: u32,
    pub reoffers: u32,
    pub restarts: u32,
    pub transcoded: u32,
}

struct World {
    now: Instant,
    start: Instant,
    net: Net,
    plan: DialPlan,
    server: Server,
    phones: Vec<Phone>,
    tally: Tally,
    ports: u16,
    restart_at: Option<Instant>,
    seed: u64,
}

struct Sight<'a> {
    plan: &'a DialPlan,
    endpoint: &'a Endpoint,
    now: Instant,
}

fn anchor(peer: SocketAddr) -> Anchor {
    Anchor {
        bind: address(SERVER).ip(),
        shown: address(SERVER).ip(),
        peer: peer.ip(),
        is_private: false,
        is_encrypted: false,
        is_web: false,
    }
}

impl View for Sight<'_> {
    fn plan(&self) -> &DialPlan {
        self.plan
    }

    fn phones(&self, user: &str) -> Vec<Target> {
        let targets = self.endpoint.targets(user, self.now).into_iter();
        targets
            .map(|target| Target {
                party: Party::User(user.to_owned()),
                uri: target.uri,
                anchor: anchor(target.flow.remote),
                flow: target.flow,
                trunk: None,
            })
            .collect()
    }

    fn outside(&self, _: &Outside, _: &str) -> Option<Target> {
        None
    }

    fn day(&self) -> u32 {
        1
    }
}

impl World {
    fn run(&mut self) {
        for n in 0..PHONES.len() {
            self.register(n);
        }
        loop {
            self.settle();
            let next = self.next();
            let Some(next) = next.filter(|next| *next - self.start < LONGEST) else {
                break;
            };
            self.now = next.max(self.now);
            if self.restart_at.is_some_and(|at| at <= self.now) {
                self.restart();
            }
            while let Some(packet) = self.net.receive(self.now) {
                self.deliver(&packet);
                self.settle();
            }
            self.act();
            let now = self.now;
            if self
                .server
                .endpoint
                .next_timeout()
                .is_some_and(|due| due <= now)
            {
                self.server.endpoint.handle(now, Input::Timeout);
                self.settle();
            }
            if self
                .server
                .joint
                .next_timeout()
                .is_some_and(|due| due <= now)
            {
                let sight = Sight {
                    plan: &self.plan,
                    endpoint: &self.server.endpoint,
                    now,
                };
                self.server.joint.handle(now, BridgeInput::Timeout, &sight);
            }
            for phone in &mut self.phones {
                if phone.endpoint.next_timeout().is_some_and(|due| due <= now) {
                    phone.endpoint.handle(now, Input::Timeout);
                }
                self_drain(phone, &mut self.net, now);
            }
            if self.is_over() {
                break;
            }
        }
        self.check();
    }

    fn is_over(&self) -> bool {
        self.now - self.start > Duration::from_secs(255)
            && self.phones.iter().all(|phone| phone.calls.is_empty())
            && self.server.joint.bridges_ref().is_empty()
            && self.server.endpoint.stats().calls == 0
    }

    fn next(&self) -> Option<Instant> {
        let phones = self.phones.iter().flat_map(|phone| {
            let ringing = phone.ringing.iter().map(|(at, ..)| *at).min();
            [
                phone.endpoint.next_timeout(),
                phone.acts.front().map(|(at, _)| *at),
                ringing,
            ]
        });
        let server = [
            self.server.endpoint.next_timeout(),
            self.server.joint.next_timeout(),
            self.net.next(),
            self.restart_at,
        ];
        phones.chain(server).flatten().min()
    }

    fn way(n: usize) -> FlowTarget {
        FlowTarget {
            transport: Transport::Udp,
            local: phone_address(n),
            remote: address(SERVER),
        }
    }

    fn contact(n: usize) -> Uri {
        Uri::sip(Some(PHONES[n]), phone_address(n).ip().into(), Some(5060))
    }

    fn register(&mut self, n: usize) {
        self.phones[n].endpoint.register(
            self.now,
            RegisterParams {
                registrar: Uri::sip(None, Host::Name("offhook".to_owned()), None),
                flow: World::way(n),
                user: PHONES[n].to_owned(),
                password: Secret::new(PASSWORD),
                expires_s: 3600,
                contact: World::contact(n),
            },
        );
        self_drain(&mut self.phones[n], &mut self.net, self.now);
    }

    fn deliver(&mut self, packet: &Packet) {
        let flow = Flow::udp(packet.to, packet.from);
        let input = Input::Datagram {
            flow,
            data: &packet.data,
        };
        if packet.to == address(SERVER) {
            self.server.endpoint.handle(self.now, input);
            return;
        }
        if let Some(n) = (0..PHONES.len()).find(|n| phone_address(*n) == packet.to) {
            self.phones[n].endpoint.handle(self.now, input);
            self_drain(&mut self.phones[n], &mut self.net, self.now);
        }
    }

    /// Everything that follows from what has happened, on the server and in the phones.
    fn settle(&mut self) {
        loop {
            self.drain_server();
            if let Some(event) = self.server.arrived.pop_front() {
                self.server_event(event);
                continue;
            }
            if let Some(output) = self.server.pending.pop_front() {
                self.perform(output);
                continue;
            }
            let Some(n) = self.phones.iter().position(|phone| !phone.todo.is_empty()) else {
                return;
            };
            if let Some(event) = self.phones[n].todo.pop_front() {
                self.phone_event(n, event);
            }
        }
    }

    fn drain_server(&mut self) {
        let mut outputs = VecDeque::new();
        loop {
            while let Some(output) = self.server.endpoint.poll_output() {
                outputs.push_back(output);
            }
            let Some(output) = outputs.pop_front() else {
                break;
            };
            match output {
                Output::Datagram { flow, data } => {
                    self.net.send(
                        self.now,
                        Packet {
                            from: flow.local,
                            to: flow.remote,
                            data,
                        },
                    );
                }
                Output::SaveBindings {
                    user,
                    bindings,
                    then,
                } => {
                    self.server.bindings.insert(user, bindings);
                    for output in then.into_iter().rev() {
                        outputs.push_front(output);
                    }
                }
                Output::SaveDialog(record) => {
                    self.server.dialogs.insert(record.id.clone(), record);
                }
                Output::ForgetDialog { id } => {
                    self.server.dialogs.remove(&id);
                }
                Output::Event(event) => self.server.arrived.push_back(event),
                _ => {}
            }
        }
        while let Some(output) = self.server.joint.poll_output() {
            self.server.pending.push_back(output);
        }
    }

    fn server_event(&mut self, event: Event) {
        let now = self.now;
        if let Event::IncomingCall {
            call,
            caller,
            target,
            offer,
            flow,
            replaces,
            ..
        } = event
        {
            let Caller::User(user) = caller else {
                panic!("there is no trunk");
            };
            let found = self.plan.find(&target, Some(&user));
            let destination = match found {
                Ok(Destination::Service(_)) | Err(_) => {
                    let _ = self.server.endpoint.reject(now, call, 404, Vec::new());
                    return;
                }
                Ok(destination) => destination,
            };
            let sight = Sight {
                plan: &self.plan,
                endpoint: &self.server.endpoint,
                now,
            };
            let new = NewCall {
                call,
                caller: Party::User(user),
                shown: Shown::default(),
                dialled: target,
                destination,
                offer,
                anchor: anchor(flow.remote),
                remote: flow.remote,
                replaces,
            };
            self.server.joint.incoming(now, new, &sight);
            return;
        }
        if call_of(&event).is_some() {
            let sight = Sight {
                plan: &self.plan,
                endpoint: &self.server.endpoint,
                now,
            };
            self.server.joint.event(now, event, &sight);
        }
    }

    fn perform(&mut self, output: BridgeOutput) {
        let now = self.now;
        let Some(output) = self
            .server
            .joint
            .perform(now, output, &mut self.server.endpoint)
        else {
            return;
        };
        match output {
            BridgeOutput::OpenRelay { relay, streams, .. } => {
                self.server.relays_open += 1;
                self.ports = self.ports.wrapping_add(8).max(20_000);
                let ports = |first: u16| (0..streams as u16).map(|n| first + 2 * n).collect();
                let ports = Some([ports(self.ports), ports(self.ports + 4)]);
                let sight = Sight {
                    plan: &self.plan,
                    endpoint: &self.server.endpoint,
                    now,
                };
                let input = BridgeInput::RelayOpened { relay, ports };
                self.server.joint.handle(now, input, &sight);
            }
            BridgeOutput::CloseRelay { .. } => self.server.relays_open -= 1,
            BridgeOutput::Begun { .. } => self.server.begun += 1,
            BridgeOutput::Over { .. } => self.server.begun -= 1,
            BridgeOutput::Talking { .. } => self.tally.talked += 1,
            BridgeOutput::Transcode { .. } => self.tally.transcoded += 1,
            BridgeOutput::Serve { leg, standing, .. } => {
                self.tally.served += 1;
                // The assistant is not here: its part is to let the leg go.
                if let Some(call) = self.server.joint.release(leg) {
                    let _ = match standing {
                        true => self.server.endpoint.hangup(now, call, None),
                        false => self.server.endpoint.reject(now, call, 480, Vec::new()),
                    };
                }
            }
            _ => {}
        }
    }

    /// The power goes: what is on disk remains.
    fn restart(&mut self) {
        self.restart_at = None;
        self.tally.restarts += 1;
        let server = &mut self.server;
        let unix_ms = UNIX_MS + (self.now - self.start).as_millis() as u64;
        let mut seed = [7; 32];
        seed[0] = self.seed as u8;
        server.endpoint = Endpoint::new(endpoint_config(), seed, self.now, unix_ms);
        server.endpoint.set_users(users());
        let bindings = server.bindings.values().flatten().cloned().collect();
        server.endpoint.restore_bindings(self.now, bindings);
        let lost = server.dialogs.values().cloned().collect();
        server.endpoint.end_lost_dialogs(self.now, lost);
        server.joint = joint(self.seed + 1);
        server.pending.clear();
        server.arrived.clear();
        (server.relays_open, server.begun) = (0, 0);
        self.settle();
    }

    fn check(&mut self) {
        let server = &self.server;
        assert!(server.joint.bridges_ref().is_empty(), "a bridge is left");
        assert_eq!(server.joint.bridges_ref().legs_len(), 0, "a leg is left");
        assert_eq!(server.relays_open, 0, "ports are left open");
        assert_eq!(server.begun, 0, "each call that began is over once");
        assert_eq!(
            server.endpoint.stats().calls,
            0,
            "the server has calls left"
        );
        for (n, phone) in self.phones.iter().enumerate() {
            assert!(
                phone.calls.is_empty(),
                "phone {n} has calls left: {:?}",
                phone.calls
            );
            assert_eq!(phone.began, phone.ended, "phone {n}: each call ends once");
            self.tally.answered += phone.answered;
        }
    }
}

/// One run. Panics with what does not hold.
pub fn run(seed: u64) -> Tally {
    let mut world = World::new(seed);
    world.run();
    world.tally
}
