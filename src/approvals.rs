//! The office of approvals: one task that joins the board of requests with gateways, calls, the command line and the
//! API, and writes down what was asked and decided. Owns the order of these and the count of wrong PINs; the board and
//! the desks decide (`agent_bridge::approvals`), the levels say who may.
//!
//! A queue that is full loses nothing that allows: what is not delivered stays refused.

pub mod api;
mod office;
mod pins;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use agent_bridge::approvals::desk::{DeskConfig, PinVerdict};
use agent_bridge::approvals::{ApprovalKind, ApprovalRequest, Decision};
use agent_bridge::gateways::Gateway;
use agent_bridge::levels::{Caller, Level, Origin, Rules};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{error, warn};

use crate::call::driver::Control;
use crate::call::{Authority, DeskWish};
use crate::config::Config;
use crate::records::Recorder;
use crate::redact::Secret;
use crate::secrets::Pin;
use crate::store::ApprovalRow;
use office::{Message, Office, PIN_COUNTER, PinFrom};

/// Messages to the office; senders wait when it is full.
const INBOX_MAX: usize = 256;

/// The way to the office. Clones share it.
#[derive(Clone)]
pub struct Approvals {
    inbox: mpsc::Sender<Message>,
    standing: watch::Receiver<Standing>,
    view: watch::Receiver<Arc<View>>,
    ruling: Arc<Ruling>,
}

/// What the configuration rules.
#[derive(Debug, Clone)]
pub struct Ruling {
    pub levels: HashMap<String, Level>,
    pub default_level: Level,
    pub approvals: Level,
    pub desk: DeskConfig,
    pub wait_max: Duration,
    pub pin_tries_per_call: u32,
    pub pin_tries_per_day: u32,
    /// Whose message box tells the owner something.
    pub owner: Option<String>,
}

impl Ruling {
    pub fn of(config: &Config, accounts: &[String]) -> Ruling {
        let levels = config.users.iter();
        let levels = levels.filter_map(|user| Some((user.name.clone(), user.level?)));
        Ruling {
            levels: levels.collect(),
            default_level: config.levels.default,
            approvals: config.approvals.level,
            desk: DeskConfig {
                answer_ms: config.approvals.answer_s.saturating_mul(1_000),
                ..DeskConfig::default()
            },
            wait_max: Duration::from_secs(u64::from(config.approvals.wait_s_max)),
            pin_tries_per_call: config.levels.pin_tries_per_call,
            pin_tries_per_day: config.levels.pin_tries_per_day,
            owner: owner_of(config, accounts),
        }
    }

    pub fn level(&self, user: &str) -> Level {
        self.levels.get(user).copied().unwrap_or(self.default_level)
    }
}

/// Who hears what guests leave: as configured, else the owner.
pub fn owner_of(config: &Config, accounts: &[String]) -> Option<String> {
    match config.levels.messages_for.as_str() {
        "" => owner_among(config, accounts).or_else(|| {
            // Whoever will be it as soon as there are accounts, which may come while the program runs.
            let names: Vec<String> = config.users.iter().map(|user| user.name.clone()).collect();
            owner_among(config, &names)
        }),
        name => Some(name.to_owned()),
    }
}

/// The owner: the first account of `[[users]]` that is one, else the first there of which no level is said, else the oldest
/// account of which none is said. Whose level is said to be another one never is. `accounts` are the oldest first, so that
/// nobody becomes the owner by a name.
pub fn owner_among(config: &Config, accounts: &[String]) -> Option<String> {
    let is_there = |name: &String| accounts.contains(name);
    let users = || config.users.iter().filter(|user| is_there(&user.name));
    let of_owner = users().find(|user| user.level.unwrap_or(config.levels.default) == Level::Owner);
    let unsaid = || users().find(|user| user.level.is_none());
    let named = of_owner.or_else(unsaid).map(|user| user.name.clone());
    named.or_else(|| {
        let is_named = |name: &&String| config.users.iter().any(|user| user.name == **name);
        accounts.iter().find(|name| !is_named(name)).cloned()
    })
}

/// Wrong PINs of today by account, out of all that was counted today.
pub fn wrong_pins(counted: &[(String, u64)]) -> HashMap<String, u32> {
    let rows = counted.iter().filter_map(|(name, count)| {
        let user = name.strip_prefix(PIN_COUNTER)?;
        Some((user.to_owned(), u32::try_from(*count).unwrap_or(u32::MAX)))
    });
    rows.collect()
}

/// What a new call has to know.
#[derive(Debug, Clone, Default)]
struct Standing {
    /// Accounts with a PIN, and what it raises to.
    pins: HashMap<String, Level>,
    locked: HashSet<String>,
    is_frozen: bool,
}

/// What waits, for people.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct View {
    pub is_frozen: bool,
    pub waiting: Vec<WaitingView>,
    /// The last that were decided or ran out, the newest last.
    #[serde(skip)]
    pub lately: Vec<OverView>,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverView {
    pub id: String,
    pub is_allowed: bool,
    /// Where it was decided: `phone`, `web`, `telegram` …; none: nobody did in time.
    pub channel: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct WaitingView {
    pub id: String,
    pub kind: &'static str,
    pub session: String,
    /// Somebody is being asked on the phone.
    pub is_with_call: bool,
    /// As it may be shown: nothing in it moves a cursor.
    pub what: String,
    pub place: String,
    pub asked_unix_ms: u64,
    pub expires_unix_ms: u64,
}

/// Why a decision from a channel did not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    #[error("nothing of this name waits for a decision")]
    NoSuch,
    #[error("approvals are stopped; `offhook approvals lift` allows them again")]
    Frozen,
    #[error("the program is stopping")]
    Gone,
}

/// Everything the office starts from.
pub struct OfficePlan {
    pub ruling: Ruling,
    pub pins: HashMap<String, Pin>,
    /// Wrong PINs of today, by account.
    pub wrong_pins: HashMap<String, u32>,
    /// A stop of an earlier run stands.
    pub is_frozen: bool,
    /// What waited when the last run ended. Nothing of it counts but whose conversation each was.
    pub earlier: Vec<ApprovalRow>,
    pub gateways: Vec<Arc<dyn Gateway>>,
}

impl Approvals {
    /// Starts the office. It ends when its task is aborted.
    pub fn start(plan: OfficePlan, recorder: Recorder) -> (Approvals, JoinHandle<()>) {
        if plan.is_frozen {
            warn!("approvals are stopped: `offhook approvals lift` allows them again");
        }
        let (inbox, messages) = mpsc::channel(INBOX_MAX);
        let (tell_standing, standing) = watch::channel(Standing::default());
        let (tell_view, view) = watch::channel(Arc::default());
        let ruling = Arc::new(plan.ruling.clone());
        let office = Office::new(plan, recorder, inbox.clone(), tell_standing, tell_view);
        let task = tokio::spawn(office.run(messages));
        let approvals = Approvals {
            inbox,
            standing,
            view,
            ruling,
        };
        (approvals, task)
    }

    /// The level of an account, before any PIN.
    pub fn level(&self, user: &str) -> Level {
        self.ruling.level(user)
    }

    /// What a call of `user` begins with.
    pub fn authority(&self, user: &str, origin: Origin) -> Authority {
        let standing = self.standing.borrow();
        let caller = match origin {
            Origin::Trunk => Caller::trunk(),
            Origin::Account => Caller {
                pin: standing.pins.get(user).copied(),
                is_locked: standing.locked.contains(user),
                ..Caller::account(self.ruling.level(user))
            },
        };
        Authority {
            caller,
            rules: Rules {
                approvals: self.ruling.approvals,
                is_frozen: standing.is_frozen,
            },
            desk: self.ruling.desk,
        }
    }

    /// A call with an agent is up; it is over when what is returned is dropped.
    pub fn call_up(&self, up: CallUp) -> CallLine {
        let call = up.call;
        let line = CallLine {
            inbox: Some(self.inbox.clone()),
            call,
        };
        line.send(Message::CallUp(Box::new(up)));
        line
    }

    /// Asks for one of our own tools. Anything but an explicit yes is a no.
    pub async fn ask(&self, request: ApprovalRequest) -> Decision {
        let (answer, answered) = oneshot::channel();
        let message = Message::Ask { request, answer };
        if self.inbox.send(message).await.is_err() {
            return Decision::Deny;
        }
        answered.await.unwrap_or(Decision::Deny)
    }

    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// The same as it changes.
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Somebody writes in this conversation: what its agent wants to be allowed is ours to ask.
    pub async fn know(&self, session: &str) {
        let session = session.to_owned();
        let _ = self.inbox.send(Message::Known { session }).await;
    }

    /// The least level that may allow something.
    pub fn level_needed(&self) -> Level {
        self.ruling.approvals.max(Level::Family)
    }

    /// Decides from elsewhere than a call. `channel` names it in the records.
    pub async fn decide(
        &self,
        id: String,
        decision: Decision,
        channel: &'static str,
    ) -> Result<(), ChannelError> {
        let (answer, answered) = oneshot::channel();
        let message = Message::Decide {
            id,
            decision,
            channel,
            answer,
        };
        let sent = self.inbox.send(message).await;
        sent.map_err(|_| ChannelError::Gone)?;
        answered.await.unwrap_or(Err(ChannelError::Gone))
    }

    /// Stops all approvals, or lifts that.
    pub async fn set_frozen(&self, is_frozen: bool, channel: &'static str) {
        let message = Message::SetFrozen { is_frozen, channel };
        let _ = self.inbox.send(message).await;
    }

    /// Tries the PIN of an account from elsewhere than a call. Wrong ones count with those of calls, for a day. `Failed`: it
    /// has none, or the program is stopping.
    pub async fn try_pin(&self, user: &str, digits: Secret, channel: &'static str) -> PinVerdict {
        let (answer, answered) = oneshot::channel();
        let user = user.to_owned();
        let from = PinFrom::Channel {
            channel,
            user,
            answer,
        };
        let _ = self.inbox.send(Message::CheckPin { from, digits }).await;
        answered.await.unwrap_or(PinVerdict::Failed)
    }

    /// The accounts' PINs, as they are now.
    pub async fn set_pins(&self, pins: HashMap<String, Pin>) {
        let _ = self.inbox.send(Message::Pins(pins)).await;
    }
}

/// What the office has to know of a call.
pub struct CallUp {
    /// Never used twice.
    pub call: u64,
    /// Its name in the records.
    pub id: String,
    pub session: String,
    pub user: String,
    pub level: Level,
    /// Weak: a call ends when signalling lets go of it.
    pub control: mpsc::WeakSender<Control>,
}

/// A call's way to the office.
pub struct CallLine {
    /// `None`: a call without an agent.
    inbox: Option<mpsc::Sender<Message>>,
    call: u64,
}

impl CallLine {
    /// Of a call that asks for nothing.
    pub fn none() -> CallLine {
        CallLine {
            inbox: None,
            call: 0,
        }
    }

    pub fn wish(&self, wish: DeskWish) {
        let call = self.call;
        self.send(Message::Wish { call, wish });
    }

    /// Never waits here: a call has a frame to send every 20 ms.
    fn send(&self, message: Message) {
        let Some(inbox) = &self.inbox else { return };
        if let Err(mpsc::error::TrySendError::Full(message)) = inbox.try_send(message) {
            warn!("the office of approvals is slow");
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => {
                    let inbox = inbox.clone();
                    runtime.spawn(async move { inbox.send(message).await });
                }
                Err(_) => error!("an approval was lost, and is a no"),
            }
        }
    }
}

impl Drop for CallLine {
    fn drop(&mut self) {
        let call = self.call;
        self.send(Message::CallDown { call });
    }
}

pub(crate) fn kind_name(kind: ApprovalKind) -> &'static str {
    match kind {
        ApprovalKind::Exec => "exec",
        ApprovalKind::Plugin => "plugin",
        ApprovalKind::Tool => "tool",
    }
}
