//! The hub's task: takes what channels and the page bring, carries out what the core decides, one thing at a time, and
//! watches what happens elsewhere (calls, approvals, links). Owns the clock, the tasks of turns and deliveries, and who is
//! told what; decides nothing about order or repetition (`core`).

mod channels;
mod deciding;
mod elsewhere;
mod incoming;
mod outgoing;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_bridge::approvals::Decision;
use agent_bridge::channels::{
    Arrival, Body, Channel, DeliveryError, INBOX_MAX, Inbound, NAME_BYTES_MAX, NotKept, OutBody,
    Outbound, TEXT_BYTES_MAX, VOICE_BYTES_MAX, Withdrawal,
};
use agent_bridge::levels::{Caller, Level, Rules, Verdict, Wish, may};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::tz::TimeZone;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle};
use tracing::{debug, error, info, warn};

use super::approving::{Approving, Question, button};
use super::boundary::*;
use super::core::{Core, CoreConfig, Input, Outcome, Output, Taken};
use super::happenings::Happening;
use super::people::{People, PeopleConfig};
use super::sounds::{Folder, Sounds};
use super::turns::{self, Context};
use super::{ASKS_MAX, Ask, Hub, Letter, LiveDoor, keeping, letter_id, lock, wishes, wording};
use crate::agents::Agents;
use crate::approvals::{Approvals, ChannelError};
use crate::callbacks::Desk;
use crate::config::Config;
use crate::records::{Recorder, unix_ms};
use crate::store::{MessageRow, NewMessage, Role, StoreError, TextChange, TextKept, TextsSaved};

/// Ends of turns and deliveries on their way to the task; they wait when it is full.
const WORK_MAX: usize = 256;
/// The clock may be set, and a laptop sleeps: the plan is looked at this often in any case.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How often links and codes of the command line are looked for.
const POLL: Duration = Duration::from_secs(1);
/// Longer than any network takes that still answers.
const DELIVERY_MAX: Duration = Duration::from_secs(180);
/// Conversations whose agents are listened to for late results, and for how long.
const FOLLOWED_MAX: usize = 64;
const FOLLOW_MAX: Duration = Duration::from_secs(24 * 3600);
/// Messages that could not be said in a call are written for so long.
const NOTICE_MS_MAX: u64 = 24 * 3600 * 1_000;
const NOTICES_MAX: usize = 200;
/// Voice notes that are being written to disk; a further one is to be offered again.
const STORING_MAX: usize = 8;
/// What waits at the start; more than the bounds of the queues allow is never there.
const SAVED_MAX: usize = 20_000;
/// Rights do not depend on these here.
const RULES: Rules = Rules {
    approvals: Level::Owner,
    is_frozen: false,
};

/// What the hub runs on.
pub struct HubParts {
    pub config: Config,
    pub accounts: Vec<String>,
    pub recorder: Recorder,
    pub agents: Agents,
    pub approvals: Approvals,
    /// None: nobody can be called.
    pub desk: Option<Desk>,
    pub sounds: Arc<dyn Sounds>,
    /// For sounds of voice notes.
    pub folder: std::path::PathBuf,
    /// As the last run has left them.
    pub saved: TextsSaved,
}

/// What the last run left to be done.
pub fn load(store: &crate::store::Store) -> Result<TextsSaved, StoreError> {
    store.load_texts(SAVED_MAX)
}

enum Work {
    /// A voice note is on disk, or was not taken by it.
    Stored(Box<Item>, Reply),
    Answered(i64, Box<turns::Ended>),
    Delivered(String, Outcome),
    News {
        conversation: String,
        text: String,
    },
    Decided {
        reply: Box<Letter>,
    },
}

type Kept = BoxFuture<'static, (u64, Option<TextKept>)>;
type Reply = oneshot::Sender<Result<Received, HubError>>;

enum Waiter {
    Message {
        reply: Reply,
        conversation: String,
        file: Option<String>,
        message: Option<NewMessage>,
    },
    Letter {
        reply: oneshot::Sender<Result<DeliveryId, HubError>>,
        id: String,
        message: Option<NewMessage>,
    },
}

struct Task {
    cx: Arc<Context>,
    core: Core,
    people: People,
    approving: Approving,
    /// Questions about risky actions on their way and at their places, by delivery.
    questions: HashMap<String, deciding::Sent>,
    /// Those of an earlier run, until their channel is there.
    earlier: Vec<deciding::Earlier>,
    /// Who waits for what became of a message or letter.
    waiters: HashMap<u64, Waiter>,
    next_ticket: u64,
    keeps: FuturesUnordered<Kept>,
    work: mpsc::Sender<Work>,
    /// Voice notes that are being written; at most [`STORING_MAX`].
    storing: usize,
    /// Turns under way, and answers that are being written, each with its sound that nothing will name.
    running: HashMap<i64, Item>,
    answers: HashMap<i64, (Option<NewMessage>, Option<String>)>,
    /// Tasks that end with this one: those of channels, and the one that forgets.
    beside: Vec<AbortHandle>,
    /// Conversations with a call up, and how many.
    up: HashMap<String, usize>,
    /// Conversations whose late results are listened for; each ends when its sender goes, and loses nothing it was sent.
    following: Vec<(String, oneshot::Sender<()>)>,
    /// Messages that could not be said whose letters are on their way; one that is read is none any more.
    posted: BTreeSet<i64>,
    seen: i64,
}

impl Drop for Task {
    fn drop(&mut self) {
        for handle in &self.beside {
            handle.abort();
        }
    }
}

impl Hub {
    /// Starts the task. It ends when it is aborted.
    pub fn start(parts: HubParts) -> (Hub, JoinHandle<()>) {
        let (asks, inbox) = mpsc::channel(ASKS_MAX);
        let live = Arc::new(LiveDoor::new());
        let hub = Hub {
            asks,
            live: live.clone(),
            recorder: parts.recorder.clone(),
            standings: Arc::default(),
        };
        let config = &parts.config;
        let users = || config.users.iter();
        let people = PeopleConfig {
            messages_per_minute: config.text.messages_per_minute,
            chosen: users()
                .filter(|user| !user.text_channel.is_empty())
                .map(|user| (user.name.clone(), user.text_channel.clone()))
                .collect(),
            configured: users()
                .flat_map(|user| user.identities.iter().map(move |identity| (user, identity)))
                .filter_map(|(user, identity)| {
                    let (channel, id) = identity.split_once(':')?;
                    Some((channel.to_owned(), id.to_owned(), user.name.clone()))
                })
                .collect(),
        };
        let mut people = People::new(people, parts.accounts.clone());
        let identities = parts.saved.identities.iter().cloned().map(Identity::from);
        people.set_links(identities.collect(), parts.saved.pairings.clone());
        let core_config = CoreConfig {
            waiting_max: config.text.waiting_max,
            turns_max: config.text.turns_max,
            ..CoreConfig::default()
        };
        let zone = TimeZone::get(&config.agent.timezone).unwrap_or_else(|_| TimeZone::system());
        let cx = Arc::new(Context {
            hub: hub.clone(),
            recorder: parts.recorder,
            agents: parts.agents,
            approvals: parts.approvals,
            desk: parts.desk,
            sounds: parts.sounds,
            folder: Folder::at(parts.folder),
            channels: Mutex::default(),
            live,
            accounts: Mutex::new(parts.accounts),
            text: config.text.clone(),
            history_messages_max: config.agent.history_turns_max,
            history_chars_max: config.agent.history_chars_max,
            zone,
        });
        let (work, worked) = mpsc::channel(WORK_MAX);
        let keeper = keeping::run(
            cx.recorder.clone(),
            cx.folder.clone(),
            config.store.keep_days,
        );
        let keeper = tokio::spawn(keeper).abort_handle();
        let earlier = deciding::earlier(&parts.saved.questions);
        let task = Task {
            core: Core::new(core_config, parts.saved, unix_ms()),
            cx,
            people,
            approving: Approving::default(),
            questions: HashMap::new(),
            earlier,
            waiters: HashMap::new(),
            next_ticket: 1,
            keeps: FuturesUnordered::new(),
            work,
            storing: 0,
            running: HashMap::new(),
            answers: HashMap::new(),
            beside: vec![keeper],
            up: HashMap::new(),
            following: Vec::new(),
            posted: BTreeSet::new(),
            seen: 0,
        };
        // From now on nothing is missed, whenever the task first runs.
        let happenings = task.cx.recorder.happenings().listen();
        let task = tokio::spawn(task.run(inbox, worked, happenings));
        (hub, task)
    }
}

impl Task {
    async fn run(
        mut self,
        mut asks: mpsc::Receiver<Ask>,
        mut worked: mpsc::Receiver<Work>,
        mut happenings: broadcast::Receiver<Happening>,
    ) {
        let mut approvals = self.cx.approvals.watch();
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // What the last run left; and what goes to the page needs no network.
        self.carry_out();
        self.step(Input::Attached {
            channel: "web".to_owned(),
        });
        self.notices().await;
        loop {
            let due = self.core.next_timeout();
            let sleep = due.map_or(LOOK_AGAIN, |due| {
                Duration::from_millis(due.saturating_sub(unix_ms())).min(LOOK_AGAIN)
            });
            tokio::select! {
                Some((keep, kept)) = self.keeps.next(), if !self.keeps.is_empty() => {
                    self.step(Input::Kept { keep, kept });
                }
                ask = asks.recv() => match ask {
                    Some(ask) => self.ask(ask).await,
                    None => return,
                },
                Some(work) = worked.recv() => self.worked(work),
                happened = happenings.recv() => match happened {
                    Ok(happening) => self.happened(happening).await,
                    Err(broadcast::error::RecvError::Lagged(count)) => {
                        warn!(count, "too much happens at once: some of it is not shown live");
                        self.calls_unknown();
                        self.notices().await;
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                changed = approvals.changed() => match changed {
                    Ok(()) => self.approvals(),
                    Err(_) => return,
                },
                _ = poll.tick() => self.poll_people().await,
                () = tokio::time::sleep(sleep) => self.step(Input::Timeout),
            }
        }
    }

    fn step(&mut self, input: Input) {
        self.core.handle(unix_ms(), input);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Keep { keep, change } => self.keep(keep, change),
                Output::Reply { ticket, taken } => self.reply(ticket, taken),
                Output::Begin { turn, item, .. } => self.begin(turn, *item),
                Output::Done { turn, message } => self.done(turn, message),
                Output::Deliver(parcel) => self.deliver(*parcel),
                Output::Recorded { message, new } => {
                    self.cx.say(message, *new);
                }
                Output::Lost { parcel_id, why } => {
                    self.questions.remove(&parcel_id);
                    warn!(delivery = %parcel_id, "a message was not delivered: {why}");
                }
                Output::CalledOff { parcel_id } => drop(self.questions.remove(&parcel_id)),
            }
        }
    }

    /// Queued here and now: the order of changes is that of the core, which also puts their ends in order.
    fn keep(&mut self, keep: u64, mut change: Box<TextChange>) {
        if !self.cx.recorder.keeps_words() {
            change.forget_words();
        }
        let kept = self.cx.recorder.begin(move |store| {
            let kept = store.keep_text(&change)?;
            // A message that could not be said has been read now, unless it waits on a shelf for a phone to come.
            if let TextChange::Sent { id, theirs, .. } = &*change
                && theirs.as_ref() != Some(id)
                && let Some(notice) = notice_of(id)
            {
                store.read_notices(&[notice], unix_ms())?;
            }
            Ok(kept)
        });
        self.keeps.push(Box::pin(async move {
            match kept.await {
                Ok(Ok(kept)) => (keep, Some(kept)),
                Ok(Err(error)) => {
                    error!(%error, "a message was not kept");
                    (keep, None)
                }
                Err(_) => (keep, None),
            }
        }));
    }

    fn reply(&mut self, ticket: u64, taken: Taken) {
        match self.waiters.remove(&ticket) {
            Some(Waiter::Message {
                reply,
                conversation,
                file,
                message,
            }) => {
                if let (Some(file), false) = (file, matches!(taken, Taken::Kept(_))) {
                    self.remove(file);
                }
                let answer = match taken {
                    Taken::Kept(kept) => {
                        if let Some(message) = message {
                            self.cx.say(kept.message, message);
                        }
                        Ok(Received::Kept {
                            id: kept.inbox,
                            conversation,
                        })
                    }
                    Taken::Again => Ok(Received::Again),
                    Taken::Full => Err(HubError::TooMuch(
                        "too many messages wait for their answers",
                    )),
                    Taken::Busy => Err(HubError::Busy("the disk takes nothing")),
                };
                let _ = reply.send(answer);
            }
            Some(Waiter::Letter { reply, id, message }) => {
                let answer = match taken {
                    Taken::Kept(kept) => {
                        if let Some(message) = message {
                            self.cx.say(kept.message, message);
                        }
                        Ok(DeliveryId(id))
                    }
                    Taken::Again => Ok(DeliveryId(id)),
                    Taken::Full => Err(HubError::TooMuch("too many messages wait to be delivered")),
                    Taken::Busy => Err(HubError::Busy("the disk takes nothing")),
                };
                let _ = reply.send(answer);
            }
            None => {}
        }
    }

    /// A sound that nothing names; the disk takes its time elsewhere.
    fn remove(&self, file: String) {
        let folder = self.cx.folder.clone();
        tokio::spawn(async move { folder.remove(&file).await });
    }

    fn begin(&mut self, turn: i64, item: Item) {
        self.running.insert(turn, item.clone());
        let (cx, work) = (self.cx.clone(), self.work.clone());
        tokio::spawn(async move {
            let running = tokio::spawn(turns::run(cx.clone(), turn, item.clone()));
            // The wall around a turn: its panic ends this turn and no other.
            let ended = match running.await {
                Ok(ended) => ended,
                Err(error) => {
                    error!(%error, "a turn by text failed");
                    turns::broken(&cx, turn, &item)
                }
            };
            let _ = work.send(Work::Answered(turn, Box::new(ended))).await;
        });
    }

    fn worked(&mut self, work: Work) {
        match work {
            Work::Stored(item, reply) => {
                self.storing = self.storing.saturating_sub(1);
                self.arrived(*item, reply);
            }
            Work::Answered(turn, ended) => {
                let turns::Ended { answer, unnamed } = *ended;
                self.answers.insert(turn, (answer.message.clone(), unnamed));
                let answer = Box::new(answer);
                self.step(Input::Answered { turn, answer });
            }
            Work::Delivered(id, outcome) => {
                if let Outcome::Passing { why, .. } = &outcome {
                    debug!(delivery = %id, "not delivered yet: {why}");
                }
                self.question_delivered(&id, &outcome);
                self.step(Input::Delivered { id, outcome });
            }
            // Even with a call up by now: whoever told it counts it as taken here, and the call never had it.
            Work::News { conversation, text } => self.late(&conversation, &text),
            Work::Decided { reply } => {
                self.post(*reply, None);
            }
        }
    }

    /// An answer is on disk.
    fn done(&mut self, turn: i64, message: i64) {
        let (answer, unnamed) = self.answers.remove(&turn).unwrap_or_default();
        if let Some(file) = unnamed {
            self.remove(file);
        }
        let Some(item) = self.running.remove(&turn) else {
            return;
        };
        let message = match answer {
            // No row although rows are written: it was answered before.
            Some(answer) if message != 0 || !self.cx.recorder.keeps_words() => {
                self.cx.say(message, answer)
            }
            _ => message,
        };
        let done = Live::Done {
            turn: turn.unsigned_abs(),
            conversation: item.conversation.clone(),
            message,
        };
        self.cx.tell(&item.conversation, &done);
        if item.door == Door::Agent {
            self.follow(&item.conversation);
        }
    }

    // What comes in.

    async fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Receive(message, reply) => self.receive(*message, reply),
            Ask::Send(letter, reply) => {
                self.post(*letter, Some(reply));
            }
            Ask::Attach(channel) => self.attach(channel).await,
            Ask::TakeBack(person, prefix) => self.step(Input::TakeBack { person, prefix }),
            Ask::Code(who, place, name, reply) => {
                let who = (who.channel, who.id.as_str(), place.as_str());
                let found = self.people.code(unix_ms(), who, &name, rand::random());
                let Some(row) = found else {
                    let _ = reply.send(None);
                    return;
                };
                info!(channel = %row.channel, code = %row.code, "somebody unknown was given a code: `offhook people link CODE PERSON` lets them in");
                let (change, code) = (TextChange::Pairing(row.clone()), row.code);
                let kept = self
                    .cx
                    .recorder
                    .ask(move |store| store.keep_text(&change))
                    .await;
                let _ = reply.send(kept.ok().map(|_| code));
            }
            Ask::People => self.read_people().await,
            Ask::Accounts(accounts) => {
                lock(&self.cx.accounts).clone_from(&accounts);
                self.people.set_accounts(accounts);
            }
            Ask::Conversation(person, agent, reply) => {
                let is_known = self.people.has(&person);
                let _ = reply.send(is_known.then(|| self.conversation(&person, &agent)));
            }
        }
    }
}

/// Begins the names of deliveries of messages that could not be said; the rest is the message's number.
const NOTICE: &str = "k-notice-";

/// The message that could not be said, by its delivery.
pub fn notice_of(delivery: &str) -> Option<i64> {
    delivery.strip_prefix(NOTICE)?.parse().ok()
}
