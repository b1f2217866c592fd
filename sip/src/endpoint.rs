//! PURE.
//! The endpoint: all of SIP behind `handle`, `poll_output` and `next_timeout`. Owns the tables of transactions, dialogs,
//! calls, bindings and connections, and joins the rooms beside it; does not own sockets, files, clocks or dice.
//!
//! The driving contract: after each `handle` or call-control method, take `poll_output` until it is `None`, then wait for
//! input or for `next_timeout`, whichever comes first. A debug assertion fails when `handle` is called with outputs
//! left over. Time never runs backwards.

mod banning;
mod boundary;
mod call_control;
mod call_end;
mod config;
mod in_dialog;
mod info;
mod lost;
mod options;
mod outbound;
mod own_address;
mod receive;
mod redirect;
mod refer;
mod reliable;
mod reoffer;
mod replaces;
mod reply;
mod session_refresh;
mod streams;
mod targets;
mod texts;
mod transactions;
mod trunk;
mod trunk_line;
mod uac_invite;
mod uac_register;
mod uas_invite;
mod uas_register;
mod update;
mod usages;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub use boundary::{
    CallError, CallKey, CallParams, Caller, EndCause, Event, Input, LogLevel, LogLine, Output,
    RegisterParams, RegistrationKey, Stats, UnregisteredWhy,
};
pub use config::{Advertised, AuthConfig, EndpointConfig, GuardConfig, StreamConfig, User};
pub use lost::DialogRecord;

use crate::auth::hex;
use crate::auth::server::DigestServer;
use crate::bans::Bans;
use crate::dialog::DialogId;
use crate::flow::ConnId;
use crate::guard::{Guard, Lockout};
use crate::invite::Call;
use crate::registrar::{Binding, Registrar};
use crate::timer::TimerTable;
use crate::trunk::Trunks;
use streams::Streams;
pub use targets::CallTarget;
use texts::PendingText;
pub use texts::{TEXT_BYTES_MAX, TextError, TextKey, TextParams};
use transactions::{ClientTable, ServerTable};
use trunk_line::TrunkLines;
pub use trunk_line::TrunkRegistration;
use uac_register::Registration;

/// Who is woken by a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum TimerId {
    Server(u64),
    Client(u64),
    Call(CallKey),
    Usages(CallKey),
    Registration(RegistrationKey),
    TrunkLine(u64),
    Stream(ConnId),
    Bindings,
    Text(TextKey),
}

/// A SIP user agent and registrar without IO.
pub struct Endpoint {
    config: EndpointConfig,
    rng: StdRng,
    started: Instant,
    started_unix_ms: u64,
    outputs: VecDeque<Output>,
    timers: TimerTable<TimerId>,
    servers: ServerTable,
    clients: ClientTable,
    calls: HashMap<CallKey, Call>,
    /// Calls of these that are over and wait for their last transactions, whose bound is theirs.
    ending: usize,
    dialogs: HashMap<DialogId, CallKey>,
    registrations: HashMap<RegistrationKey, Registration>,
    trunks: Trunks,
    trunk_lines: TrunkLines,
    streams: Streams,
    digest: DigestServer,
    lockout: Lockout,
    guard: Guard,
    bans: Bans,
    /// Dialogs that are written down.
    kept_dialogs: HashMap<CallKey, String>,
    /// Dialogs that a crash cut off, whose BYE is on its way.
    lost: HashMap<u64, String>,
    /// Texts that wait for the program's answer.
    texts: HashMap<TextKey, PendingText>,
    registrar: Registrar,
    /// Makes the tags of stateless responses repeatable, RFC 3261 §8.2.7.
    tag_key: [u8; 32],
    last_key: u64,
    bindings_due: Option<Instant>,
    shutting_down: bool,
    /// Octets of the datagram that is being dealt with: what an answer to it may be measured by.
    asked_len: usize,
    stats: Stats,
}

impl Endpoint {
    /// `unix_ms` is the wall clock at `now`; it dates bindings, so that they survive a restart. The seed must be
    /// unpredictable outside of tests: tags, branches and nonces come from it.
    pub fn new(config: EndpointConfig, seed: [u8; 32], now: Instant, unix_ms: u64) -> Endpoint {
        let mut rng = StdRng::from_seed(seed);
        let mut key = || {
            let mut key = [0; 32];
            rng.fill_bytes(&mut key);
            key
        };
        let keys = [key(), key()];
        let tag_key = key();
        Endpoint {
            digest: DigestServer::new(&config.realm, &config.auth, keys),
            lockout: Lockout::new(&config.auth),
            guard: Guard::new(config.guard.clone()),
            bans: Bans::new(config.guard.bans_max),
            kept_dialogs: HashMap::new(),
            lost: HashMap::new(),
            texts: HashMap::new(),
            registrar: Registrar::new(&config),
            streams: Streams::new(config.streams),
            servers: ServerTable::default(),
            clients: ClientTable::default(),
            calls: HashMap::new(),
            ending: 0,
            dialogs: HashMap::new(),
            registrations: HashMap::new(),
            trunks: Trunks::default(),
            trunk_lines: TrunkLines::default(),
            outputs: VecDeque::new(),
            timers: TimerTable::new(),
            started: now,
            started_unix_ms: unix_ms,
            tag_key,
            last_key: 0,
            bindings_due: None,
            shutting_down: false,
            asked_len: 0,
            stats: Stats::default(),
            rng,
            config,
        }
    }

    /// Replaces all accounts. Bindings of accounts that are gone go with them.
    pub fn set_users(&mut self, users: Vec<User>) {
        self.digest.set_users(users);
        self.drop_strangers();
    }

    /// Bindings of accounts that are gone go.
    fn drop_strangers(&mut self) {
        for (user, contacts, bindings) in
            self.registrar.retain_users(|user| self.digest.knows(user))
        {
            self.unregistered(user, contacts, bindings, UnregisteredWhy::UserRemoved);
        }
    }

    /// Bindings saved before a restart; those that have ended meanwhile are left out.
    pub fn restore_bindings(&mut self, now: Instant, bindings: Vec<Binding>) {
        let unix_ms = self.unix_ms(now);
        self.registrar.restore(unix_ms, bindings);
        self.watch_bindings(now);
    }

    /// One thing that happened. Drain `poll_output` afterwards.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        debug_assert!(
            self.outputs.is_empty(),
            "drain poll_output before the next handle"
        );
        match input {
            Input::Datagram { flow, data } => self.on_datagram(now, flow, data),
            Input::StreamOpened { flow } => self.on_stream_opened(now, flow),
            Input::StreamProven { conn, user } => self.on_stream_proven(conn, user),
            Input::StreamData { conn, data } => self.on_stream_data(now, conn, data),
            Input::StreamClosed { conn } => self.on_stream_closed(now, conn),
            Input::Timeout => {}
        }
        while let Some(owner) = self.timers.pop_due(now) {
            match owner {
                TimerId::Server(id) => self.on_server_timer(now, id),
                TimerId::Client(id) => self.on_client_timer(now, id),
                TimerId::Call(key) => self.on_call_timer(now, key),
                TimerId::Usages(key) => self.on_usages_timer(now, key),
                TimerId::Registration(key) => self.on_registration_timer(now, key),
                TimerId::TrunkLine(id) => self.on_line_timer(now, id),
                TimerId::Stream(conn) => self.on_stream_timer(now, conn),
                TimerId::Bindings => self.on_bindings_timer(now),
                TimerId::Text(text) => self.on_text_timer(now, text),
            }
        }
    }

    /// What to do next, in order; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `Input::Timeout` is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Bindings of a user that hold now, the preferred first.
    pub fn bindings(&self, user: &str, now: Instant) -> Vec<Binding> {
        self.registrar.of(user, self.unix_ms(now))
    }

    pub fn stats(&self) -> Stats {
        Stats {
            calls: self.calls.values().filter(|call| call.is_live()).count(),
            dialogs: self.calls.len(),
            bindings: self.registrar.count(),
            server_transactions: self.servers.len(),
            client_transactions: self.clients.len(),
            streams: self.streams.len(),
            ..self.stats
        }
    }

    /// Ends every call (BYE, CANCEL, or 503 to one that rings) and refuses new ones with 503 from now on. The shell goes
    /// on driving until `is_idle` or its patience ends.
    pub fn shutdown(&mut self, now: Instant) {
        self.shutting_down = true;
        self.unregister_trunks(now);
        let mut live: Vec<CallKey> = self
            .calls
            .values()
            .filter(|call| call.is_live())
            .map(|call| call.key)
            .collect();
        live.sort_unstable();
        for key in live {
            // A live call can always be hung up.
            let _ = self.hangup(
                now,
                key,
                Some("SIP;cause=503;text=\"Shutting down\"".to_owned()),
            );
        }
    }

    /// No request of ours waits for a response, and no 2xx of ours for its ACK.
    pub fn is_idle(&self) -> bool {
        self.clients.open_count() == 0 && self.calls.values().all(|call| call.unacked.is_none())
    }

    /// No call and no dialog is remembered: what a fuzzer or a test must find after the end.
    pub(crate) fn has_forgotten_calls(&self) -> bool {
        self.calls.is_empty() && self.dialogs.is_empty()
    }

    fn unix_ms(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started).as_millis();
        self.started_unix_ms
            .saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    fn instant_of(&self, unix_ms: u64) -> Instant {
        self.started + Duration::from_millis(unix_ms.saturating_sub(self.started_unix_ms))
    }

    fn event(&mut self, event: Event) {
        if let Event::CallAnswered { call, .. } = &event {
            self.keep_dialog(*call);
        }
        self.outputs.push_back(Output::Event(event));
    }

    fn log(&mut self, level: LogLevel, text: String) {
        self.outputs.push_back(Output::Log(LogLine { level, text }));
    }

    fn new_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }

    /// RFC 3261 §19.3 wants 32 random bits in a tag; twice that costs nothing.
    fn random_hex<const BYTES: usize>(&mut self) -> String {
        let mut bytes = [0; BYTES];
        self.rng.fill_bytes(&mut bytes);
        hex(&bytes)
    }

    fn new_tag(&mut self) -> String {
        self.random_hex::<8>()
    }

    /// RFC 3261 §8.1.1.5: a start below 2^31, and far below, so that it never wraps.
    fn new_cseq(&mut self) -> u32 {
        self.rng.next_u32() >> 16 | 1
    }
}
