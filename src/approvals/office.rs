//! The task of the office: one message at a time into the board, and what follows from it to calls, gateways, the
//! database and the audit log.

mod message;
mod pin;
mod polling;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_bridge::approvals::board::{Asker, Board, BoardConfig, By, Input, Notice, Output};
use agent_bridge::approvals::wording::{masked, on_screen};
use agent_bridge::approvals::{ApprovalEvent, ApprovalId, ApprovalKind, ApprovalRequest, Decision};
use agent_bridge::gateways::Gateway;
use agent_bridge::levels::Level;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tracing::{error, info, warn};

use super::pins::Tries;
use super::{
    CallUp, ChannelError, OfficePlan, OverView, Ruling, Standing, View, WaitingView, kind_name,
};
use crate::audit::{Event, Kind};
use crate::call::DeskWish;
use crate::call::driver::Control;
use crate::records::{Recorder, unix_ms};
use crate::secrets::Pin;
use crate::store::{ApprovalRow, Freeze};
use crate::switchboard::today;
pub(super) use message::{Message, PinFrom};

/// How often the command line's decisions are looked for.
const POLL: Duration = Duration::from_secs(1);
/// Letters of a request that are shown, and that are kept in the log.
const SHOWN_CHARS_MAX: usize = 8_000;
const KEPT_CHARS_MAX: usize = 500;
/// A gateway that does not take a decision is told again.
const RESOLVE_TRIES: u32 = 3;
const RESOLVE_PAUSE: Duration = Duration::from_secs(1);
/// What was decided lately, for those who were asked by text.
const LATELY_MAX: usize = 32;
/// Our own tools ask under this number.
const OURSELVES: Asker = Asker(u32::MAX);
/// Names the counter of wrong PINs of an account.
pub const PIN_COUNTER: &str = "pin:";

struct Caller {
    id: String,
    user: String,
    level: Level,
    control: mpsc::WeakSender<Control>,
}

struct Shown {
    asked_unix_ms: u64,
    expires_unix_ms: u64,
}

/// Kind and id of a request.
type Asked = (&'static str, String);

pub(super) struct Office {
    board: Board,
    ruling: Ruling,
    recorder: Recorder,
    inbox: mpsc::Sender<Message>,
    standing: watch::Sender<Standing>,
    view: watch::Sender<Arc<View>>,
    gateways: Vec<Arc<dyn Gateway>>,
    pins: HashMap<String, Pin>,
    tries: Tries,
    calls: HashMap<u64, Caller>,
    answers: HashMap<ApprovalId, oneshot::Sender<Decision>>,
    shown: HashMap<ApprovalId, Shown>,
    /// Conversations of requests that waited when the last run ended, and until when each did, in ms since 1970.
    earlier: HashMap<Asked, (String, u64)>,
    /// At most [`LATELY_MAX`]; the oldest is forgotten.
    lately: VecDeque<OverView>,
    /// Counts stops and liftings of this process.
    epoch: u64,
    seen: i64,
    is_polling: bool,
    next_poll: Instant,
}

impl Office {
    pub(super) fn new(
        plan: OfficePlan,
        recorder: Recorder,
        inbox: mpsc::Sender<Message>,
        standing: watch::Sender<Standing>,
        view: watch::Sender<Arc<View>>,
    ) -> Office {
        let config = BoardConfig {
            wait_max: plan.ruling.wait_max,
            ..BoardConfig::default()
        };
        let office = Office {
            board: Board::new(config, plan.is_frozen),
            tries: Tries::new(
                plan.ruling.pin_tries_per_call,
                plan.ruling.pin_tries_per_day,
                today(),
                plan.wrong_pins,
            ),
            ruling: plan.ruling,
            recorder,
            inbox,
            standing,
            view,
            gateways: plan.gateways,
            pins: plan.pins,
            calls: HashMap::new(),
            answers: HashMap::new(),
            shown: HashMap::new(),
            earlier: plan.earlier.into_iter().filter_map(still_asked).collect(),
            lately: VecDeque::new(),
            epoch: 0,
            seen: 0,
            is_polling: false,
            next_poll: Instant::now(),
        };
        // A call may come before the task has run.
        office.publish();
        office
    }

    pub(super) async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        for (n, gateway) in (0..).zip(self.gateways.clone()) {
            if let Some(events) = gateway.approvals() {
                tokio::spawn(listen(Asker(n), events, self.inbox.clone()));
            }
        }
        loop {
            let due = self.board.next_timeout();
            let due = due.map_or(self.next_poll, |due| due.min(self.next_poll));
            let message = tokio::time::timeout_at(due.into(), messages.recv()).await;
            let now = Instant::now();
            match message {
                Ok(Some(message)) => self.take(now, message),
                Ok(None) => return,
                Err(_) => {}
            }
            if self.board.next_timeout().is_some_and(|due| due <= now) {
                self.board(now, Input::Timeout, "");
            }
            if self.next_poll <= now {
                self.withdraw_unwanted(now);
                self.poll(now);
            }
        }
    }

    pub(super) fn take(&mut self, now: Instant, message: Message) {
        // First, so that nobody allows what cannot run any more.
        self.withdraw_unwanted(now);
        match message {
            Message::CallUp(up) => self.call_up(now, *up),
            Message::CallDown { call } => {
                self.board(now, Input::CallDown { call }, "phone");
                self.tries.call_down(call);
                self.calls.remove(&call);
            }
            Message::Known { session } => self.board(now, Input::Known { session }, "text"),
            Message::Wish { call, wish } => self.wish(now, call, wish),
            Message::Gateway(asker, ApprovalEvent::Requested(mut request)) => {
                self.ours_again(now, &mut request);
                self.board(now, Input::Requested { asker, request }, "gateway");
            }
            Message::Gateway(_, ApprovalEvent::Resolved { id, by, .. }) => {
                self.board(now, Input::Resolved { id, by }, "gateway");
            }
            Message::Ask { request, answer } => {
                self.answers.insert(request.id.clone(), answer);
                let asker = OURSELVES;
                let id = request.id.clone();
                self.board(now, Input::Requested { asker, request }, "phone");
                // Nobody of ours to ask: dropping the answer is a no.
                if !self.shown.contains_key(&id) {
                    self.answers.remove(&id);
                }
            }
            Message::Decide {
                id,
                decision,
                channel,
                answer,
            } => {
                let _ = answer.send(self.decide(now, &id, decision, channel));
            }
            Message::SetFrozen { is_frozen, channel } => {
                self.set_frozen(now, is_frozen, channel, channel, None);
            }
            Message::Pins(pins) => {
                self.pins = pins;
                self.publish();
            }
            Message::CheckPin { from, digits } => self.check_pin(from, digits),
            Message::PinChecked { from, raised } => self.pin_checked(from, raised),
            Message::Polled {
                epoch,
                version,
                decisions,
                freeze,
            } => self.polled(now, epoch, version, decisions, freeze),
        }
    }

    fn call_up(&mut self, now: Instant, up: CallUp) {
        let (call, session, user) = (up.call, up.session, up.user.clone());
        self.calls.insert(
            call,
            Caller {
                id: up.id,
                user: up.user,
                level: up.level,
                control: up.control,
            },
        );
        let input = Input::CallUp {
            call,
            session,
            user,
        };
        self.board(now, input, "phone");
    }

    fn wish(&mut self, now: Instant, call: u64, wish: DeskWish) {
        match wish {
            DeskWish::Decided { id, decision, why } => {
                let by = By::Call(call);
                let why = why.as_str();
                let input = Input::Decided {
                    id,
                    decision,
                    by,
                    why,
                };
                self.board(now, input, "phone");
            }
            DeskWish::Left(id) => self.board(now, Input::Left { id }, "phone"),
            DeskWish::CheckPin(digits) => self.check_pin(PinFrom::Call(call), digits),
            DeskWish::Raised(level) => {
                if let Some(caller) = self.calls.get_mut(&call) {
                    caller.level = level;
                }
                self.audit(Some(call), "phone", Kind::LevelRaised, "", level.as_str());
            }
            DeskWish::Stop { freezes } => {
                let what = if freezes { "and approvals" } else { "" };
                self.audit(Some(call), "phone", Kind::Stopped, what, "done");
                self.board(now, Input::Stopped { call, freezes }, "phone");
                if freezes {
                    let by = self.calls.get(&call).map(|caller| caller.user.clone());
                    self.keep_freeze(Some(by.unwrap_or_default()));
                }
                info!(freezes, "a caller stopped everything");
            }
            DeskWish::Lift => self.set_frozen(now, false, "phone", "phone", Some(call)),
        }
    }

    fn decide(
        &mut self,
        now: Instant,
        id: &str,
        decision: Decision,
        channel: &'static str,
    ) -> Result<(), ChannelError> {
        if self.board.is_frozen() {
            return Err(ChannelError::Frozen);
        }
        let id = ApprovalId(id.to_owned());
        if !self.shown.contains_key(&id) {
            return Err(ChannelError::NoSuch);
        }
        let input = Input::Decided {
            id,
            decision,
            by: By::Channel(channel),
            why: "answered there",
        };
        self.board(now, input, channel);
        Ok(())
    }

    fn set_frozen(
        &mut self,
        now: Instant,
        is_frozen: bool,
        channel: &'static str,
        by: &str,
        call: Option<u64>,
    ) {
        let (input, kind) = match is_frozen {
            true => (Input::Freeze, Kind::Stopped),
            false => (Input::Lift, Kind::Lifted),
        };
        self.audit(call, channel, kind, "", "done");
        self.board(now, input, channel);
        self.keep_freeze(is_frozen.then(|| by.to_owned()));
        info!(is_frozen, channel, "approvals");
    }

    fn keep_freeze(&mut self, by: Option<String>) {
        self.epoch += 1;
        let since_unix_ms = unix_ms();
        let freeze = by.map(|by| Freeze { since_unix_ms, by });
        self.recorder.queue("stop of approvals", move |store| {
            store.set_freeze(freeze.as_ref())
        });
        self.publish();
    }

    // The board.

    fn board(&mut self, now: Instant, input: Input, channel: &'static str) {
        self.board.handle(now, input);
        let mut undelivered = Vec::new();
        while let Some(output) = self.board.poll_output() {
            match output {
                Output::Tell { call, notice } => {
                    let offered = match &notice {
                        Notice::Offer(request) => Some(request.id.clone()),
                        _ => None,
                    };
                    let is_told = self.try_tell(call, Control::Approval(notice));
                    undelivered.extend(offered.filter(|_| !is_told).map(|id| (call, id)));
                }
                Output::Resolve {
                    asker,
                    request,
                    decision,
                    by,
                    why,
                } => self.resolved(asker, request, decision, by, (why, channel)),
                Output::Keep(request) => self.keep(now, request),
                Output::Forget(id) => self.forget(&id),
            }
        }
        for (call, id) in undelivered {
            let input = Input::Decided {
                id,
                decision: Decision::Deny,
                by: By::Call(call),
                why: "the call could not be told",
            };
            self.board(now, input, channel);
        }
        self.publish();
    }

    /// A request that an earlier run was asking about, and that its gateway still has open: its conversation is ours, though
    /// nobody has written in it since, and its time goes on where it was.
    fn ours_again(&mut self, now: Instant, request: &mut ApprovalRequest) {
        let key = (kind_name(request.kind), request.id.0.clone());
        let Some((session, until)) = self.earlier.remove(&key) else {
            return;
        };
        let left = Duration::from_millis(until.saturating_sub(unix_ms()));
        if left.is_zero() {
            return;
        }
        request.expires_in = request.expires_in.min(left);
        request.session.clone_from(&session);
        info!("a request for approval of the last run still waits: it is asked about again");
        self.board(now, Input::Known { session }, "gateway");
    }

    fn keep(&mut self, now: Instant, request: ApprovalRequest) {
        let asked_unix_ms = unix_ms();
        let wait = request.expires_in.min(self.ruling.wait_max);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let expires_unix_ms = asked_unix_ms.saturating_add(wait_ms);
        let shown = Shown {
            asked_unix_ms,
            expires_unix_ms,
        };
        self.shown.insert(request.id.clone(), shown);
        let call = self.call_of(&request.session);
        let what = described(&request);
        self.audit(
            call,
            "gateway",
            Kind::ApprovalAsked,
            &what,
            kind_name(request.kind),
        );
        let row = ApprovalRow {
            id: request.id.0,
            kind: kind_name(request.kind).to_owned(),
            session: request.session,
            what: request.what,
            place: request.place,
            asked_unix_ms,
            expires_unix_ms,
            decision: None,
        };
        self.recorder
            .queue("approval", move |store| store.keep_approval(&row));
        self.next_poll = self.next_poll.min(now + POLL);
    }

    /// Tools whose reply was called off while they waited: they do not run, whatever is decided.
    fn withdraw_unwanted(&mut self, now: Instant) {
        let answers = self.answers.iter();
        let unwanted = answers.filter(|(_, answer)| answer.is_closed());
        let unwanted: Vec<ApprovalId> = unwanted.map(|(id, _)| id.clone()).collect();
        for id in unwanted {
            let input = Input::Decided {
                id,
                decision: Decision::Deny,
                by: By::Channel("tool"),
                why: "its reply was called off",
            };
            self.board(now, input, "tool");
        }
    }

    fn forget(&mut self, id: &ApprovalId) {
        self.shown.remove(id);
        self.answers.remove(id);
        let id = id.0.clone();
        self.recorder
            .queue("approval", move |store| store.forget_approval(&id));
    }

    fn resolved(
        &mut self,
        asker: Asker,
        request: ApprovalRequest,
        decision: Decision,
        by: Option<By>,
        (why, channel): (&'static str, &'static str),
    ) {
        let call = match by {
            Some(By::Call(call)) => Some(call),
            _ => self.call_of(&request.session),
        };
        let channel = match by {
            Some(By::Call(_)) => "phone",
            Some(By::Channel(name)) => name,
            None => channel,
        };
        if self.lately.len() >= LATELY_MAX {
            self.lately.pop_front();
        }
        self.lately.push_back(OverView {
            id: request.id.0.clone(),
            is_allowed: decision == Decision::AllowOnce,
            channel: by.is_some().then_some(channel),
        });
        let word = match decision {
            Decision::AllowOnce => "allowed",
            Decision::Deny => "refused",
        };
        info!(
            kind = kind_name(request.kind),
            why, channel, "approval {word}"
        );
        let what = described(&request);
        let result = format!("{word}: {why}");
        self.audit(call, channel, Kind::ApprovalDecided, &what, &result);
        if let Some(answer) = self.answers.remove(&request.id) {
            let _ = answer.send(decision);
        }
        if let Some(gateway) = self.gateways.get(asker.0 as usize).cloned() {
            let (id, kind) = (request.id.clone(), request.kind);
            tokio::spawn(async move {
                for _ in 0..RESOLVE_TRIES {
                    match gateway.resolve(id.clone(), kind, decision).await {
                        Ok(()) => return,
                        Err(error) => warn!(%error, "the gateway did not take the decision"),
                    }
                    tokio::time::sleep(RESOLVE_PAUSE).await;
                }
                error!("a decision did not reach its gateway, which takes that for a no in time");
            });
        }
        self.forget(&request.id);
    }

    fn call_of(&self, session: &str) -> Option<u64> {
        self.board.call_of(session)
    }

    fn tell(&self, call: u64, control: Control) {
        if !self.try_tell(call, control) {
            warn!(call, "a call could not be told");
        }
    }

    fn try_tell(&self, call: u64, control: Control) -> bool {
        let caller = self.calls.get(&call);
        let sender = caller.and_then(|caller| caller.control.upgrade());
        sender.is_some_and(|sender| sender.try_send(control).is_ok())
    }

    fn audit(&self, call: Option<u64>, channel: &str, kind: Kind, what: &str, result: &str) {
        let caller = call.and_then(|call| self.calls.get(&call));
        self.recorder.audit(
            Event {
                call: caller.map(|caller| caller.id.clone()),
                user: caller.map(|caller| caller.user.clone()).unwrap_or_default(),
                level: caller.map(|caller| caller.level),
                channel: channel.to_owned(),
                kind,
                what: what.to_owned(),
                result: result.to_owned(),
            }
            .row(unix_ms()),
        );
    }

    /// What calls and people may look at.
    fn publish(&self) {
        let pins = self.pins.iter();
        self.standing.send_replace(Standing {
            pins: pins.map(|(user, pin)| (user.clone(), pin.level)).collect(),
            locked: self.tries.locked().cloned().collect(),
            is_frozen: self.board.is_frozen(),
        });
        let waiting = self.board.pending().filter_map(|request| {
            let shown = self.shown.get(&request.id)?;
            Some(WaitingView {
                id: request.id.0.clone(),
                kind: kind_name(request.kind),
                session: request.session.clone(),
                is_with_call: self.board.is_with_call(&request.id),
                what: on_screen(&request.what, SHOWN_CHARS_MAX),
                place: on_screen(&request.place, SHOWN_CHARS_MAX),
                asked_unix_ms: shown.asked_unix_ms,
                expires_unix_ms: shown.expires_unix_ms,
            })
        });
        self.view.send_replace(Arc::new(View {
            is_frozen: self.board.is_frozen(),
            waiting: waiting.collect(),
            lately: self.lately.iter().cloned().collect(),
        }));
    }
}

/// What an earlier run asked for a gateway. Our own tools died with it.
fn still_asked(row: ApprovalRow) -> Option<(Asked, (String, u64))> {
    let kinds = [ApprovalKind::Exec, ApprovalKind::Plugin].map(kind_name);
    let kind = kinds.into_iter().find(|kind| *kind == row.kind)?;
    Some(((kind, row.id), (row.session, row.expires_unix_ms)))
}

/// For records: without secrets, and not without end.
fn described(request: &ApprovalRequest) -> String {
    let place = match request.place.is_empty() {
        true => String::new(),
        false => format!(" at {}", request.place),
    };
    masked(&format!("{}{place}", request.what), KEPT_CHARS_MAX)
}

/// A gateway's requests, on their way to the office.
async fn listen(
    asker: Asker,
    mut events: broadcast::Receiver<ApprovalEvent>,
    inbox: mpsc::Sender<Message>,
) {
    loop {
        match events.recv().await {
            Ok(event) => {
                if inbox.send(Message::Gateway(asker, event)).await.is_err() {
                    return;
                }
            }
            Err(broadcast::error::RecvError::Lagged(count)) => {
                warn!(
                    count,
                    "requests for approval were lost; their gateway takes that for a no"
                );
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
