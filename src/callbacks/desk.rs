//! The task that takes requests to call somebody and carries the plan out: what is to be kept goes to disk first, then to
//! signalling. Owns the door (who may be named, how much, how often) and the clock; decides nothing about a call (`plan`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::boundary::*;
use super::plan::{Plan, RECORDS_MAX};
use super::rows;
use crate::config::Config;
use crate::hub::Happening;
use crate::records::{Recorder, unix_ms};
use crate::routing::{canonical, fits};
use crate::store::{Lasting, StoreError};
use crate::switchboard::{Command, Order, TransferError};

/// Requests on their way to the desk; when it is full, whoever asks is told to come again.
const ASKS_MAX: usize = 64;
/// What calls have to say on its way to the desk.
pub const INPUTS_MAX: usize = 256;
/// The wall clock may be set, and a laptop sleeps: the plan is looked at this often in any case.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Signalling answers within a frame; longer means that it hangs.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Longer than most phones ring; whoever asks need not wait for the rest.
const PUT_THROUGH_MAX: Duration = Duration::from_secs(60);
/// Finished requests that are remembered over a restart.
const OVER_KEPT: usize = RECORDS_MAX / 2;
pub const SAY_CHARS_MAX: usize = 2_000;
const WHY_CHARS_MAX: usize = 1_000;
const KEY_CHARS_MAX: usize = 128;

/// A request as it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// An account, an extension or a number; empty: the owner.
    pub to: String,
    pub channel: Channel,
    pub say: String,
    pub why: String,
    /// The number of ours whose service talks; empty: the first assistant's.
    pub number: String,
    pub is_urgent: bool,
    /// `Wish::is_invited`
    pub is_invited: bool,
    pub not_before: Option<UnixMs>,
    pub not_after: Option<UnixMs>,
    pub attempts_max: Option<u32>,
    pub key: Option<String>,
}

impl NewRequest {
    pub fn new(channel: Channel, to: &str, say: &str) -> NewRequest {
        NewRequest {
            to: to.to_owned(),
            channel,
            say: say.to_owned(),
            why: String::new(),
            number: String::new(),
            is_urgent: false,
            is_invited: false,
            not_before: None,
            not_after: None,
            attempts_max: None,
            key: None,
        }
    }
}

/// Why the desk does not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// The request itself is wrong.
    #[error("{0}")]
    Wrong(String),
    /// It must not be done.
    #[error("{0}")]
    NotAllowed(String),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("too many requests: `requests_per_minute` in [callbacks] is the limit")]
    TooMany,
    #[error("there is no call or request with this id")]
    NoSuch,
    #[error("nobody is in this call now: it is {0}")]
    NotTalking(&'static str),
    #[error("{0}")]
    Busy(String),
    /// The disk, or signalling, does not answer.
    #[error("{0}")]
    Unavailable(String),
}

/// What came of putting a caller through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutThrough {
    /// They talk; the call with the assistant is over.
    Talking,
    /// Nobody took the call, as this SIP status tells: the caller is still with the assistant.
    NotTaken { status: u16 },
    /// Nobody has answered yet, and the caller is still with the assistant.
    Rings,
}

enum Ask {
    Request(
        Box<NewRequest>,
        Resolved,
        oneshot::Sender<Result<Record, DeskError>>,
    ),
    Records(oneshot::Sender<Vec<Record>>),
    Record(CallbackId, oneshot::Sender<Option<Record>>),
    Cancel(CallbackId, oneshot::Sender<Option<Record>>),
}

/// Who is meant, as the dial plan knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub to: Recipient,
    /// The account whose hours, limits and messages count.
    pub user: String,
}

/// The way to the desk. Clones share it.
#[derive(Clone)]
pub struct Desk {
    asks: mpsc::Sender<Ask>,
    /// Of everything that makes something happen. Held for a subtraction only.
    budget: Arc<Mutex<Budget>>,
    commands: mpsc::Sender<Command>,
}

/// What the desk's task runs on.
pub struct DeskParts {
    pub config: Config,
    pub recorder: Recorder,
    pub commands: mpsc::Sender<Command>,
    /// Of calls; the switchboard holds the other end.
    pub inputs: mpsc::Receiver<Input>,
    /// As the last run has left them.
    pub records: Vec<Record>,
}

struct Task {
    config: Config,
    plan: Plan,
    recorder: Recorder,
    commands: mpsc::Sender<Command>,
}

/// Requests of one minute.
struct Budget {
    most: f64,
    left: f64,
    since: Instant,
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        let gained = now.duration_since(self.since).as_secs_f64() * self.most / 60.0;
        self.left = (self.left + gained).min(self.most);
        self.since = now;
        let is_there = self.left >= 1.0;
        if is_there {
            self.left -= 1.0;
        }
        is_there
    }
}

/// What the last run left to be done.
pub fn load(store: &crate::store::Store) -> Result<Vec<Record>, StoreError> {
    let rows = store.load_callbacks(OVER_KEPT)?;
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        match rows::from_row(&row) {
            Some(record) => records.push(record),
            None => warn!(id = %row.id, "a request to call somebody cannot be read any more"),
        }
    }
    Ok(records)
}

impl Desk {
    /// Starts the task; it ends with the last handle.
    pub fn start(parts: DeskParts) -> Desk {
        let (asks, inbox) = mpsc::channel(ASKS_MAX);
        let most = f64::from(parts.config.callbacks.requests_per_minute);
        let desk = Desk {
            asks,
            budget: Arc::new(Mutex::new(Budget {
                most,
                left: most,
                since: Instant::now(),
            })),
            commands: parts.commands.clone(),
        };
        let here = jiff::tz::TimeZone::system();
        let plan = Plan::new(
            rows::plan_config(&parts.config, &here),
            parts.records,
            unix_ms(),
        );
        let task = Task {
            plan,
            config: parts.config,
            recorder: parts.recorder,
            commands: parts.commands,
        };
        tokio::spawn(task.run(inbox, parts.inputs));
        desk
    }

    /// Takes a request: it is on disk when this returns, and the answer says where it is.
    pub async fn request(&self, new: NewRequest) -> Result<Record, DeskError> {
        self.spend()?;
        let resolved = self.resolve(&new.to).await?;
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Request(Box::new(new), resolved, reply))?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// All that is known, the oldest first.
    pub async fn records(&self) -> Result<Vec<Record>, DeskError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Records(reply))?;
        answer.await.map_err(|_| gone())
    }

    pub async fn record(&self, id: &str) -> Result<Option<Record>, DeskError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Record(CallbackId(id.to_owned()), reply))?;
        answer.await.map_err(|_| gone())
    }

    /// Calls a request off, or ends a call: by the id of either.
    pub async fn end(&self, id: &str) -> Result<(), DeskError> {
        self.spend()?;
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Cancel(CallbackId(id.to_owned()), reply))?;
        match answer.await.map_err(|_| gone())? {
            Some(record) if record.state.is_over() && record.state.name() != "cancelled" => {
                Err(DeskError::NotTalking(record.state.name()))
            }
            Some(_) => Ok(()),
            None => {
                let call = id.to_owned();
                self.tell(|reply| Order::End { call, reply }).await
            }
        }
    }

    /// Says something in a call that is up: by the id of the call, or of the request it was made for.
    pub async fn say(&self, id: &str, text: &str) -> Result<(), DeskError> {
        self.spend()?;
        let text = words(text, "text")?;
        let call = self.call_now(id).await?;
        self.tell(|reply| Order::Say { call, text, reply }).await
    }

    /// Puts the caller of a call that is up through to somebody else: by the id of the call, or of the request it was made
    /// for. Comes back when they talk, when nobody has taken the call, or while it still rings after a minute.
    pub async fn put_through(&self, id: &str, to: &str) -> Result<PutThrough, DeskError> {
        self.spend()?;
        let to = words(to, "to")?;
        let call = self.call_now(id).await?;
        let (reply, answer) = oneshot::channel();
        let order = Command::Order(Box::new(Order::PutThrough { call, to, reply }));
        let silent = || DeskError::Unavailable("signalling does not answer".to_owned());
        self.commands.send(order).await.map_err(|_| silent())?;
        match tokio::time::timeout(PUT_THROUGH_MAX, answer).await {
            Err(_) => Ok(PutThrough::Rings),
            // Nobody is left to be told for.
            Ok(Err(_)) => Err(DeskError::NotTalking("over")),
            Ok(Ok(Ok(()))) => Ok(PutThrough::Talking),
            Ok(Ok(Err(TransferError::Failed { status }))) => Ok(PutThrough::NotTaken { status }),
            Ok(Ok(Err(TransferError::NoCall))) => Err(DeskError::NoSuch),
            Ok(Ok(Err(error @ TransferError::NotNow))) => Err(DeskError::Busy(error.to_string())),
            Ok(Ok(Err(error @ TransferError::NotAllowed { .. }))) => {
                Err(DeskError::NotAllowed(error.to_string()))
            }
        }
    }

    /// The call that an id stands for: its own, or that of the request it was made for.
    async fn call_now(&self, id: &str) -> Result<String, DeskError> {
        match self.record(id).await? {
            Some(record) => match record.state {
                State::Talking { call, .. } => Ok(call),
                state => Err(DeskError::NotTalking(state.name())),
            },
            None => Ok(id.to_owned()),
        }
    }

    fn spend(&self) -> Result<(), DeskError> {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        match budget.take(Instant::now()) {
            true => Ok(()),
            false => Err(DeskError::TooMany),
        }
    }

    async fn tell(
        &self,
        order: impl FnOnce(oneshot::Sender<bool>) -> Order,
    ) -> Result<(), DeskError> {
        let (reply, answer) = oneshot::channel();
        match self.order(order(reply), answer).await? {
            true => Ok(()),
            false => Err(DeskError::NoSuch),
        }
    }

    async fn resolve(&self, to: &str) -> Result<Resolved, DeskError> {
        let (reply, answer) = oneshot::channel();
        let to = to.trim().to_owned();
        self.order(Order::Resolve { to, reply }, answer)
            .await?
            .map_err(DeskError::NotAllowed)
    }

    async fn order<T>(&self, order: Order, answer: oneshot::Receiver<T>) -> Result<T, DeskError> {
        let silent = || DeskError::Unavailable("signalling does not answer".to_owned());
        let order = Command::Order(Box::new(order));
        self.commands.send(order).await.map_err(|_| silent())?;
        let answer = tokio::time::timeout(ANSWER_MAX, answer).await;
        answer.map_err(|_| silent())?.map_err(|_| silent())
    }

    fn ask(&self, ask: Ask) -> Result<(), DeskError> {
        self.asks.try_send(ask).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => DeskError::TooMany,
            mpsc::error::TrySendError::Closed(_) => gone(),
        })
    }
}

fn gone() -> DeskError {
    DeskError::Unavailable("the program is stopping".to_owned())
}

impl Task {
    async fn run(mut self, mut asks: mpsc::Receiver<Ask>, mut inputs: mpsc::Receiver<Input>) {
        // What the last run left.
        self.carry_out().await;
        loop {
            let sleep = match self.plan.next_timeout() {
                Some(due) => Duration::from_millis(due.saturating_sub(unix_ms())).min(LOOK_AGAIN),
                None => LOOK_AGAIN,
            };
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(ask) => self.ask(ask).await,
                    None => return,
                },
                Some(input) = inputs.recv() => {
                    self.plan.handle(unix_ms(), input);
                    self.carry_out().await;
                }
                () = tokio::time::sleep(sleep) => {
                    self.plan.handle(unix_ms(), Input::Timeout);
                    self.carry_out().await;
                }
            }
        }
    }

    async fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Request(new, resolved, reply) => {
                let _ = reply.send(self.request(*new, resolved).await);
            }
            Ask::Records(reply) => {
                let _ = reply.send(self.plan.records().cloned().collect());
            }
            Ask::Record(id, reply) => {
                let _ = reply.send(self.plan.record(&id).cloned());
            }
            Ask::Cancel(id, reply) => {
                self.plan
                    .handle(unix_ms(), Input::Cancel { id: id.clone() });
                self.carry_out().await;
                let _ = reply.send(self.plan.record(&id).cloned());
            }
        }
    }

    async fn request(&mut self, new: NewRequest, resolved: Resolved) -> Result<Record, DeskError> {
        let wish = self.wish(new, resolved)?;
        let id = CallbackId(format!(
            "cb-{:016x}{:04x}",
            unix_ms(),
            rand::random::<u16>()
        ));
        let taken = self.plan.ask(unix_ms(), id.clone(), wish)?;
        let is_new = taken == id;
        let is_kept = self.carry_out().await;
        if is_new && !is_kept {
            // Whoever asked asks again; until then nothing happens behind their back.
            self.plan.handle(unix_ms(), Input::Cancel { id });
            self.carry_out().await;
            let why = "the disk takes nothing: the request was not kept";
            return Err(DeskError::Unavailable(why.to_owned()));
        }
        let record = self.plan.record(&taken).cloned();
        let record = record.ok_or(DeskError::NoSuch)?;
        if is_new {
            info!(callback = %record.id.0, user = %record.wish.user, urgent = record.wish.is_urgent, state = record.state.name(), "asked to call");
        }
        Ok(record)
    }

    fn wish(&self, new: NewRequest, resolved: Resolved) -> Result<Wish, DeskError> {
        let config = &self.config.callbacks;
        let say = words(&new.say, "say")?;
        let why: String = new.why.chars().filter(|c| !c.is_control()).collect();
        if why.chars().count() > WHY_CHARS_MAX {
            let why = format!("`why` is longer than {WHY_CHARS_MAX} characters");
            return Err(DeskError::Wrong(why));
        }
        if let Some(key) = &new.key
            && (key.is_empty()
                || key.len() > KEY_CHARS_MAX
                || !key.bytes().all(|b| b.is_ascii_graphic()))
        {
            let why = format!(
                "`idempotency_key` has 1 to {KEY_CHARS_MAX} visible ASCII characters, no spaces"
            );
            return Err(DeskError::Wrong(why));
        }
        self.may_call(&resolved.to)?;
        let number = match new.number.is_empty() {
            true => String::new(),
            false => self.assistant(&new.number)?,
        };
        let now = unix_ms();
        let not_before = new.not_before.unwrap_or(now).max(now);
        let wait_ms = u64::from(config.wait_s) * 1000;
        let not_after = new.not_after.unwrap_or(not_before.saturating_add(wait_ms));
        if not_after < not_before {
            let why = "`latest` is before `earliest`, or over already".to_owned();
            return Err(DeskError::Wrong(why));
        }
        let attempts_max = new.attempts_max.unwrap_or(config.attempts);
        if !(1..=10).contains(&attempts_max) {
            return Err(DeskError::Wrong("`attempts` is 1 to 10".to_owned()));
        }
        Ok(Wish {
            to: resolved.to,
            user: resolved.user,
            channel: new.channel,
            say,
            why,
            number,
            is_urgent: new.is_urgent,
            is_invited: new.is_invited,
            not_before,
            not_after,
            attempts_max,
            key: new.key,
        })
    }

    /// The number of ours that talks.
    fn assistant(&self, named: &str) -> Result<String, DeskError> {
        let found = self.config.numbers.find(named);
        let found = found.filter(|entry| entry.to == crate::config::Answerer::Agent);
        found.map(|entry| entry.number.clone()).ok_or_else(|| {
            DeskError::Wrong(format!(
                "`agent`: no assistant has the number or name {named:?} ([[numbers]])"
            ))
        })
    }

    /// Numbers outside are called from the owner's list only.
    fn may_call(&self, to: &Recipient) -> Result<(), DeskError> {
        let Recipient::Number(number) = to else {
            return Ok(());
        };
        let allowed = &self.config.callbacks.allowed;
        let number = canonical(number);
        match allowed.iter().any(|pattern| fits(pattern, &number)) {
            true => Ok(()),
            false => Err(DeskError::NotAllowed(
                "no pattern of `allowed` in [callbacks] fits this number".to_owned(),
            )),
        }
    }

    /// What the plan wants, in its order. False: something is not on disk.
    async fn carry_out(&mut self) -> bool {
        let mut is_kept = true;
        while let Some(output) = self.plan.poll_output() {
            match output {
                Output::Save { record, notice } => {
                    if let Err(error) = self.keep(&record, notice.as_ref()).await {
                        error!(callback = %record.id.0, %error, "a request is not kept");
                        is_kept = false;
                    }
                    if let Some(notice) = notice {
                        self.recorder.happened(Happening::Notice);
                        info!(callback = %record.id.0, user = %notice.user, "left as a message: {}", notice.why);
                    }
                }
                Output::Ring {
                    id,
                    wish,
                    join_only,
                } => {
                    if let Err(error) = self.may_call(&wish.to) {
                        // The owner has changed their mind since.
                        let outcome = Outcome::Refused(error.to_string());
                        self.plan.handle(unix_ms(), Input::Ended { id, outcome });
                        continue;
                    }
                    let config = &self.config.callbacks;
                    let order = Order::Ring {
                        id,
                        wish,
                        ring: Duration::from_secs(u64::from(config.ring_s)),
                        listen: Duration::from_secs(u64::from(config.listen_s)),
                        join_only,
                    };
                    let _ = self.commands.send(Command::Order(Box::new(order))).await;
                }
                Output::HangUp { id } => {
                    let order = Command::Order(Box::new(Order::HangUp { id }));
                    let _ = self.commands.send(order).await;
                }
            }
        }
        is_kept
    }

    async fn keep(&self, record: &Record, notice: Option<&Notice>) -> Result<(), StoreError> {
        let row = rows::to_row(record, self.recorder.keeps_words());
        let notice = notice.map(|notice| Box::new(rows::to_notice(notice)));
        self.recorder
            .keep_now(Lasting::Callback(Box::new(row), notice))
            .await
    }
}

/// What is to be said: not nothing, not endless, no orders to a terminal.
fn words(text: &str, name: &str) -> Result<String, DeskError> {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let clean = clean.trim();
    let count = clean.chars().count();
    match count {
        0 => Err(DeskError::Wrong(format!("`{name}` is missing or empty"))),
        _ if count > SAY_CHARS_MAX => Err(DeskError::Wrong(format!(
            "`{name}` is longer than {SAY_CHARS_MAX} characters: say less, the rest can be asked for"
        ))),
        _ => Ok(clean.to_owned()),
    }
}

/// RFC 3339, to the second.
pub fn rfc3339(at: UnixMs) -> String {
    let at = i64::try_from(at).unwrap_or(i64::MAX) / 1000;
    jiff::Timestamp::from_second(at).map_or_else(|_| String::new(), |at| at.to_string())
}

/// A time that somebody has written.
pub fn parse_time(text: &str) -> Option<UnixMs> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}
