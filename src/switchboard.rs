//! The calls of this program: what an INVITE becomes, and which task hears of which dialog's events.
//! Owns the table of calls, the limits and the SDP of our side; not the dialogs (`sip::Endpoint`), not the
//! talk (`call`). Lives in the signalling task; everything here returns at once.

mod boundary;
mod bridging;
mod descriptions;
mod endings;
mod line;
pub mod messages;
mod outgoing;
mod screening;
mod session;
mod transfers;
mod trunks;
mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip::offer_answer::{self, Direction, LocalMedia};
use sip::{Advertised, CallKey, Caller, EndCause, Endpoint, Event, Flow, HeaderName};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::bridge::{Input as BridgeInput, Party, Service, Shown};
use crate::call::driver::Control;
use crate::call::record::{Blame, CallResult, Termination};
use crate::config::Answerer;
use crate::engines::{EngineState, Engines};
use crate::ports::source_address;
use crate::records::{Recorder, unix_ms};
use crate::routing::Destination;
pub use boundary::{Command, SwitchboardConfig};
use bridging::{Arrived, Bridging};
pub use bridging::{BridgingConfig, today};
use endings::{cause, termination};
use messages::Messages;
use outgoing::Outgoing;
pub use outgoing::{Ending, Order};
pub use session::MediaSecurity;
use session::session_config;
pub use transfers::{TransferError, TransferReply};
pub use trunks::Trunks;
pub use view::{CallView, RegistrationView, Snapshot, TrunkView};

/// Control messages on their way to one call; a call that does not empty them is broken and ends.
const CONTROLS_MAX: usize = 32;
const REPORTS_MAX: usize = 256;
/// Users whose registrations the console lists; those of others are not shown.
const USERS_SHOWN_MAX: usize = 4096;
/// Longest wait for what was said in earlier calls; then the call starts without it.
const MEMORY_MAX: Duration = Duration::from_secs(1);
/// A phone rings this long at most while models warm up.
const WARMING_MAX: Duration = Duration::from_secs(90);

pub struct Switchboard {
    config: SwitchboardConfig,
    engines: watch::Receiver<EngineState>,
    recorder: Recorder,
    commands: mpsc::Sender<Command>,
    bridging: Bridging,
    outgoing: Outgoing,
    messages: Messages,
    calls: HashMap<CallKey, Line>,
    /// Who waits for what comes of a transfer; one per call at most.
    replies: HashMap<CallKey, TransferReply>,
    users: Vec<String>,
    calls_total: u64,
    draining: bool,
}

/// One line of the switchboard.
struct Line {
    user: String,
    target: String,
    party: Party,
    /// As whom the caller is shown to others.
    shown: Shown,
    flow: Flow,
    service: Answerer,
    since: Instant,
    /// Name of the call's record, once it has one.
    record: Option<String>,
    state: LineState,
}

// One for each call, and nearly all are up.
#[allow(clippy::large_enum_variant)]
enum LineState {
    /// Ringing until the engines are warm.
    Waiting(Box<Waiting>),
    Up {
        control: mpsc::Sender<Control>,
        local: LocalMedia,
        /// Our last description.
        said: String,
        /// The last one of the phone.
        heard: Option<String>,
        /// It is an offer, and its answer has not come.
        is_unanswered: bool,
    },
    /// The task is gone, the dialog not yet.
    Over,
}

struct Waiting {
    /// The user a message is for.
    message_for: Option<String>,
    /// It was answered before, and is handed to us: we offer.
    standing: bool,
    /// As it came; of a call that was handed to us our last description.
    offer: Option<String>,
    user_agent: Option<String>,
}

impl Switchboard {
    pub fn new(
        config: SwitchboardConfig,
        bridging: BridgingConfig,
        engines: watch::Receiver<EngineState>,
        recorder: Recorder,
        commands: mpsc::Sender<Command>,
    ) -> Switchboard {
        Switchboard {
            bridging: Bridging::new(bridging, &config.security),
            outgoing: Outgoing::default(),
            messages: Messages::default(),
            config,
            engines,
            recorder,
            commands,
            calls: HashMap::new(),
            replies: HashMap::new(),
            users: Vec::new(),
            calls_total: 0,
            draining: false,
        }
    }

    /// One event of the endpoint; the commands returned are applied before the next one.
    pub fn event(&mut self, event: Event, endpoint: &Endpoint) -> Vec<Command> {
        if self.bridging.is_meant(&event) {
            self.overhear(&event);
            return self.bridging.event(event, endpoint);
        }
        if self.is_of_ours(&event) {
            return self.outgoing_event(event);
        }
        match event {
            Event::IncomingCall {
                call,
                caller,
                target,
                from,
                offer,
                flow,
                user_agent,
                replaces,
                ..
            } => {
                let arrived = Arrived {
                    call,
                    caller,
                    from,
                    target,
                    offer,
                    flow,
                    user_agent,
                    replaces,
                };
                self.incoming(arrived, endpoint)
            }
            Event::ReofferAnswered { call, result } => self.joined(call, result),
            Event::Digits { call, digit, .. } => {
                self.pressed(call, digit);
                Vec::new()
            }
            Event::Transfer {
                call,
                target,
                replaces,
                ..
            } => {
                let number = target.user_decoded().unwrap_or_default();
                self.referred(call, &number, replaces, endpoint)
            }
            Event::CallConfirmed { call, answer } => {
                let commands = self.confirmed(call, answer);
                self.up(call);
                commands
            }
            Event::ReInvite { call, offer } => self.reinvite(call, offer),
            Event::CallEnded { call, cause } => {
                self.ended(call, &cause);
                Vec::new()
            }
            Event::Registered {
                user,
                flow,
                refreshed,
                ..
            } => {
                if !refreshed {
                    info!(%user, from = %flow.remote, transport = ?flow.transport, "phone registered");
                    if self.users.len() < USERS_SHOWN_MAX && !self.users.contains(&user) {
                        self.users.push(user.clone());
                    }
                    self.phone_registered(&user);
                }
                self.texts_may_go(&user, !refreshed);
                Vec::new()
            }
            Event::Unregistered { user, why, .. } => {
                info!(%user, ?why, "phone gone");
                Vec::new()
            }
            event @ (Event::Text { .. } | Event::TextAnswered { .. }) => self.text_event(event),
            Event::AuthenticationFailed { user, flow, locked } => {
                warn!(%user, from = %flow.remote, locked, "wrong password or unknown user");
                Vec::new()
            }
            // Answers to requests of our own; this program places no calls here.
            Event::CallProgress { .. }
            | Event::CallAnswered { .. }
            | Event::Redirected { .. }
            | Event::ReferProgress { .. }
            | Event::RegistrationResult { .. } => Vec::new(),
            Event::TrunkRegistration {
                trunk,
                result,
                retry_s,
            } => {
                self.trunk_registered(&trunk, result, retry_s);
                Vec::new()
            }
        }
    }

    fn incoming(&mut self, arrived: Arrived, endpoint: &Endpoint) -> Vec<Command> {
        let (call, user) = (arrived.call, arrived.caller.name().to_owned());
        let refuse = |status: u16, headers: Vec<(HeaderName, String)>, why: &str| {
            info!(%user, number = %arrived.target, status, "call refused: {why}");
            vec![Command::Reject {
                call,
                status,
                headers,
            }]
        };
        let later = vec![(HeaderName::RetryAfter, "30".to_owned())];
        if self.draining {
            return refuse(503, later, "the program is stopping");
        }
        let destination = match self.bridging.find(&arrived.caller, &arrived.target) {
            Ok(destination) => destination,
            Err(why) => return refuse(why.status(), Vec::new(), &why.to_string()),
        };
        let talking = self.calls.values().filter(|line| line.user == user).count();
        let most = match &arrived.caller {
            Caller::User(_) => self.config.calls_per_user_max,
            Caller::Trunk(name) => self.bridging.trunk_calls_max(name),
        };
        if talking + self.bridging.calls_of(&user) >= most {
            return refuse(
                486,
                Vec::new(),
                "this user or trunk has as many calls as allowed",
            );
        }
        let service = match destination {
            Destination::Service(service) if arrived.replaces.is_none() => service,
            destination => return self.bridging.incoming(arrived, destination, endpoint),
        };
        if self.calls.len() >= self.config.calls_max {
            return refuse(
                503,
                later,
                "as many calls as allowed are up (`max` in [calls])",
            );
        }
        let (party, shown) = self.bridging.shown(&arrived.caller, &arrived.from);
        let line = Line {
            user,
            target: arrived.target,
            party,
            shown,
            flow: arrived.flow,
            service,
            since: Instant::now(),
            record: None,
            state: LineState::Waiting(Box::new(Waiting {
                message_for: None,
                standing: false,
                offer: arrived.offer,
                user_agent: arrived.user_agent,
            })),
        };
        let is_met = line.service == Answerer::Agent && matches!(arrived.caller, Caller::User(_));
        let mut commands = match is_met {
            true => self.meet(call, &line.user),
            false => Vec::new(),
        };
        commands.extend(self.admit(call, line));
        commands
    }

    /// A call for the assistant: answered at once, or when the engines are warm.
    fn admit(&mut self, call: CallKey, line: Line) -> Vec<Command> {
        let line = match self.screen(call, line) {
            Ok(line) => line,
            Err(refused) => return refused,
        };
        let is_ringing = matches!(&line.state, LineState::Waiting(waiting) if !waiting.standing);
        self.calls.insert(call, line);
        if matches!(*self.engines.borrow(), EngineState::Warming) {
            let mut engines = self.engines.clone();
            let commands = self.commands.clone();
            tokio::spawn(async move {
                let warm = engines.wait_for(|state| !matches!(state, EngineState::Warming));
                let _ = tokio::time::timeout(WARMING_MAX, warm).await;
                let _ = commands.send(Command::Ready(call)).await;
            });
            let ring = Command::Provisional { call, status: 180 };
            return is_ringing.then_some(ring).into_iter().collect();
        }
        self.ready(call)
    }

    /// Answers a call that waited for the engines.
    pub fn ready(&mut self, call: CallKey) -> Vec<Command> {
        let Some(line) = self.calls.get_mut(&call) else {
            return Vec::new();
        };
        let LineState::Waiting(_) = &line.state else {
            return Vec::new();
        };
        let LineState::Waiting(waiting) = std::mem::replace(&mut line.state, LineState::Over)
        else {
            return Vec::new();
        };
        let engines = match &*self.engines.borrow() {
            EngineState::Ready(engines) => Ok(engines.clone()),
            EngineState::Warming => Err("the models are still loading".to_owned()),
            EngineState::Failed(why) => Err(why.clone()),
        };
        let (user, target) = (line.user.clone(), line.target.clone());
        let (service, flow) = (line.service, line.flow);
        let standing = waiting.standing;
        let answered = match engines {
            Ok(engines) => self.answer(call, &user, &target, (service, flow), *waiting, engines),
            Err(why) => Err((503, vec![(HeaderName::RetryAfter, "30".to_owned())], why)),
        };
        match answered {
            Ok(commands) => commands,
            Err((status, headers, why)) => {
                warn!(%user, number = %target, status, "call refused: {why}");
                self.calls.remove(&call);
                if standing {
                    let reason = Some(cause(status, "Not served"));
                    return vec![Command::Hangup { call, reason }];
                }
                vec![Command::Reject {
                    call,
                    status,
                    headers,
                }]
            }
        }
    }

    #[allow(
        clippy::type_complexity,
        reason = "status, headers and reason of one refusal"
    )]
    fn answer(
        &mut self,
        call: CallKey,
        user: &str,
        target: &str,
        (service, flow): (Answerer, Flow),
        waiting: Waiting,
        engines: Arc<Engines>,
    ) -> Result<Vec<Command>, (u16, Vec<(HeaderName, String)>, String)> {
        let Waiting {
            message_for,
            standing,
            offer,
            user_agent,
        } = waiting;
        let address = source_address(flow.local.ip(), flow.remote);
        let (sockets, port) = self
            .config
            .ports
            .open(address)
            .map_err(|error| (503, Vec::new(), error.to_string()))?;
        let is_private = session::is_private(flow.transport, flow.remote.ip());
        let is_web = flow.transport.is_web_socket();
        let mut local = LocalMedia {
            session_id: unix_ms() & 0x7fff_ffff_ffff,
            codecs: self.config.codecs.clone(),
            security: self.config.security.local(is_private, is_web),
            ..LocalMedia::new(Advertised::of(&self.config.advertise, address), port)
        };
        let (sdp, negotiated) = match offer.as_ref().filter(|_| !standing) {
            Some(offer) => {
                let (sdp, negotiated) = offer_answer::answer(offer, &local).map_err(|error| {
                    let warning = format!(
                        "{} {} \"{error}\"",
                        error.warning_code(),
                        self.config.host_name
                    );
                    (
                        error.to_status(),
                        vec![(HeaderName::Warning, warning)],
                        error.to_string(),
                    )
                })?;
                session::keep(&mut local.security, &negotiated.security);
                (sdp, Some(negotiated))
            }
            None => {
                // What was agreed upon before stays in its place (RFC 3264 section 8).
                let last = offer.as_deref();
                let again =
                    last.map(|last| offer_answer::reoffer(last, &local, Direction::SendRecv));
                let again = again.and_then(Result::ok);
                (again.unwrap_or_else(|| offer_answer::offer(&local)), None)
            }
        };
        self.calls_total += 1;
        let is_unanswered = negotiated.is_none();
        let control = self.start(
            call,
            user,
            target,
            (service, message_for),
            flow,
            user_agent,
            sockets,
            negotiated,
            engines,
            None,
        );
        if let Some(line) = self.calls.get_mut(&call) {
            line.state = LineState::Up {
                control,
                local,
                said: sdp.clone(),
                heard: offer.filter(|_| !standing),
                is_unanswered,
            };
        }
        Ok(vec![match standing {
            true => Command::Reoffer { call, offer: sdp },
            false => Command::Answer { call, sdp },
        }])
    }

    /// What a party who was handed to us answered to our offer.
    fn joined(&mut self, call: CallKey, result: Result<Option<String>, u16>) -> Vec<Command> {
        match result {
            Ok(answer) => self.confirmed(call, answer),
            Err(status) => vec![Command::Hangup {
                call,
                reason: Some(cause(status, "no common media")),
            }],
        }
    }

    /// A key told by INFO.
    fn pressed(&self, call: CallKey, digit: char) {
        if let Some(Line {
            state: LineState::Up { control, .. },
            ..
        }) = self.calls.get(&call)
        {
            // A call that is too busy to hear of a key is one that ends anyway.
            let _ = control.try_send(Control::Digit(digit));
        }
    }

    fn ended(&mut self, call: CallKey, end: &EndCause) {
        let Some(line) = self.calls.get_mut(&call) else {
            return;
        };
        let termination = termination(end);
        match std::mem::replace(&mut line.state, LineState::Over) {
            LineState::Up { control, .. } => {
                // A full channel means a stuck task: dropping the sender ends it as well.
                let _ = control.try_send(Control::Ended(termination));
            }
            LineState::Waiting(_) => {
                info!(user = %line.user, number = %line.target, "call ended: {termination}");
                self.calls.remove(&call);
                self.over(call, Ending::Other);
            }
            LineState::Over => {}
        }
    }

    /// The dialog went away before our answer could be sent; no event tells of its end any more.
    pub fn unanswered(&mut self, call: CallKey) {
        self.ended(call, &EndCause::Cancelled { reason: None });
    }

    /// The accounts there are, to ask the endpoint about.
    pub fn set_users(&mut self, users: Vec<String>) {
        self.users = users;
    }

    pub fn finished(&mut self, call: CallKey) {
        self.calls.remove(&call);
    }

    /// The accounts whose names can be dialled.
    pub fn set_accounts(&mut self, accounts: Vec<String>) {
        self.bridging.set_accounts(accounts);
    }

    /// From now on new calls are refused, and those that are up hear a goodbye.
    pub fn drain(&mut self, endpoint: &Endpoint) -> Vec<Command> {
        self.draining = true;
        let mut commands = self.bridging.input(BridgeInput::HangUpAll, endpoint);
        commands.extend(self.stop_all_ringing());
        for (call, line) in &self.calls {
            match &line.state {
                LineState::Up { control, .. } => {
                    let text = self.config.goodbye.clone();
                    if control.try_send(Control::Drain { text }).is_err() {
                        commands.push(Command::Hangup {
                            call: *call,
                            reason: None,
                        });
                    }
                }
                LineState::Waiting(_) => commands.push(Command::Reject {
                    call: *call,
                    status: 503,
                    headers: Vec::new(),
                }),
                LineState::Over => {}
            }
        }
        commands
    }

    pub fn hang_up_all(&self) -> Vec<Command> {
        let calls = self.calls.keys();
        calls
            .map(|call| Command::Hangup {
                call: *call,
                reason: None,
            })
            .collect()
    }
}

pub fn service_name(service: Answerer) -> &'static str {
    match service {
        Answerer::Agent => "agent",
        Answerer::Echo => "echo",
        Answerer::Readback => "readback",
        Answerer::Message => "message",
    }
}

/// Names a call in the records: its beginning, and enough chance to keep two of one moment apart.
fn call_id() -> String {
    format!("{:016x}{:04x}", unix_ms(), rand::random::<u16>())
}

#[cfg(test)]
mod tests;
