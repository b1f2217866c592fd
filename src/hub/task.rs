//! The hub's task: takes what channels and the page bring, carries out what the core decides, one thing at a time, and
//! watches what happens elsewhere (calls, approvals, links). Owns the clock, the tasks of turns and deliveries, and who is
//! told what; decides nothing about order or repetition (`core`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_bridge::approvals::Decision;
use agent_bridge::channels::{
    Arrival, Body, Channel, DeliveryError, INBOX_MAX, Inbound, NAME_BYTES_MAX, NotKept, OutBody,
    Outbound, TEXT_BYTES_MAX, VOICE_BYTES_MAX,
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
use super::core::{Answer, Core, CoreConfig, Input, Outcome, Output, Taken};
use super::happenings::Happening;
use super::people::{People, PeopleConfig};
use super::sounds::{Folder, Sounds};
use super::turns::{self, Context, shown};
use super::{ASKS_MAX, Ask, Hub, Letter, LiveDoor, letter_id, wishes, wording};
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
    Answered(i64, Box<Answer>),
    Delivered(String, Outcome),
    News { conversation: String, text: String },
    Decided { reply: Box<Letter> },
}

type Kept = BoxFuture<'static, (u64, Option<TextKept>)>;
type Reply = oneshot::Sender<Result<Received, HubError>>;

enum Waiter {
    Message {
        reply: Reply,
        conversation: String,
        file: Option<String>,
        message: Option<NewMessage>,
        person: String,
    },
    Letter {
        reply: oneshot::Sender<Result<DeliveryId, HubError>>,
        id: String,
        message: Option<NewMessage>,
        person: String,
    },
}

struct Task {
    cx: Arc<Context>,
    core: Core,
    people: People,
    approving: Approving,
    /// Who waits for what became of a message or letter.
    waiters: HashMap<u64, Waiter>,
    next_ticket: u64,
    keeps: FuturesUnordered<Kept>,
    work: mpsc::Sender<Work>,
    /// Turns under way, and answers that are being written.
    running: HashMap<i64, Item>,
    answers: HashMap<i64, Option<NewMessage>>,
    /// Of channels: who runs them.
    channels: Vec<AbortHandle>,
    /// Conversations with a call up, and how many.
    up: HashMap<String, usize>,
    following: Vec<(String, AbortHandle)>,
    seen: i64,
}

impl Drop for Task {
    fn drop(&mut self) {
        for handle in self
            .channels
            .iter()
            .chain(self.following.iter().map(|(_, handle)| handle))
        {
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
        let mut people = People::new(people, parts.accounts);
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
            text: config.text.clone(),
            history_messages_max: config.agent.history_turns_max,
            history_chars_max: config.agent.history_chars_max,
            zone,
        });
        let (work, worked) = mpsc::channel(WORK_MAX);
        let task = Task {
            core: Core::new(core_config, parts.saved, unix_ms()),
            cx,
            people,
            approving: Approving::default(),
            waiters: HashMap::new(),
            next_ticket: 1,
            keeps: FuturesUnordered::new(),
            work,
            running: HashMap::new(),
            answers: HashMap::new(),
            channels: Vec::new(),
            up: HashMap::new(),
            following: Vec::new(),
            seen: 0,
        };
        let task = tokio::spawn(task.run(inbox, worked));
        (hub, task)
    }
}

impl Task {
    async fn run(mut self, mut asks: mpsc::Receiver<Ask>, mut worked: mpsc::Receiver<Work>) {
        let mut happenings = self.cx.recorder.happenings().listen();
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
                Output::Lost { parcel_id, why } => {
                    warn!(delivery = %parcel_id, "a message was not delivered: {why}")
                }
            }
        }
    }

    /// Queued here and now: the order of changes is that of the core.
    fn keep(&mut self, keep: u64, change: Box<TextChange>) {
        let kept = self.cx.recorder.begin(move |store| {
            let kept = store.keep_text(&change)?;
            // A message that could not be said has been read now.
            if let TextChange::Sent { id, .. } = &*change
                && let Some(notice) = id.strip_prefix(NOTICE).and_then(|id| id.parse().ok())
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
                person,
            }) => {
                if let (Some(file), false) = (&file, matches!(taken, Taken::Kept(_))) {
                    self.cx.folder.remove(file);
                }
                let answer = match taken {
                    Taken::Kept(kept) => {
                        if let Some(message) = message {
                            self.say(&[person], kept.message, message);
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
            Some(Waiter::Letter {
                reply,
                id,
                message,
                person,
            }) => {
                let answer = match taken {
                    Taken::Kept(kept) => {
                        if let Some(message) = message {
                            self.say(&[person], kept.message, message);
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

    fn say(&self, persons: &[String], id: i64, message: NewMessage) {
        self.cx.live.tell(persons, &Live::Said(shown(id, message)));
    }

    fn begin(&mut self, turn: i64, item: Item) {
        self.running.insert(turn, item.clone());
        let (cx, work) = (self.cx.clone(), self.work.clone());
        tokio::spawn(async move {
            let running = tokio::spawn(turns::run(cx.clone(), turn, item.clone()));
            // The wall around a turn: its panic ends this turn and no other.
            let answer = match running.await {
                Ok(answer) => answer,
                Err(error) => {
                    error!(%error, "a turn by text failed");
                    turns::broken(&cx, turn, &item)
                }
            };
            let _ = work.send(Work::Answered(turn, Box::new(answer))).await;
        });
    }

    fn worked(&mut self, work: Work) {
        match work {
            Work::Answered(turn, answer) => {
                self.answers.insert(turn, answer.message.clone());
                self.step(Input::Answered { turn, answer });
            }
            Work::Delivered(id, outcome) => {
                if let Outcome::Passing { why, .. } = &outcome {
                    debug!(delivery = %id, "not delivered yet: {why}");
                }
                self.step(Input::Delivered { id, outcome });
            }
            Work::News { conversation, text } => self.late(&conversation, &text),
            Work::Decided { reply } => self.post(*reply, None),
        }
    }

    /// An answer is on disk.
    fn done(&mut self, turn: i64, message: i64) {
        let answer = self.answers.remove(&turn).flatten();
        let Some(item) = self.running.remove(&turn) else {
            return;
        };
        if let Some(answer) = answer {
            self.say(std::slice::from_ref(&item.person), message, answer);
        }
        let done = Live::Done {
            turn: turn.unsigned_abs(),
            conversation: item.conversation.clone(),
            message,
        };
        self.cx.live.tell([&item.person], &done);
        if item.door == Door::Agent {
            self.follow(&item.conversation);
        }
    }

    // What comes in.

    async fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Receive(message, reply) => self.receive(*message, reply),
            Ask::Send(letter, reply) => self.post(*letter, Some(reply)),
            Ask::Attach(channel) => self.attach(channel).await,
            Ask::TakeBack(prefix) => self.step(Input::TakeBack { prefix }),
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
            Ask::Accounts(accounts) => self.people.set_accounts(accounts),
            Ask::Conversation(person, agent, reply) => {
                let is_known = self.people.has(&person);
                let _ = reply.send(is_known.then(|| self.conversation(&person, &agent)));
            }
        }
    }

    fn conversation(&self, person: &str, agent: &str) -> String {
        let level = self.cx.approvals.level(person);
        self.cx.agents.named(agent).conversation(person, level)
    }

    async fn attach(&mut self, channel: Arc<dyn Channel>) {
        let name = channel.name();
        super::lock(&self.cx.channels).insert(name.to_owned(), channel.clone());
        let (inbox, mut arrivals) = mpsc::channel::<Arrival>(INBOX_MAX);
        let hub = self.cx.hub.clone();
        let run = tokio::spawn(channel.run(inbox));
        let read = tokio::spawn(async move {
            while let Some(arrival) = arrivals.recv().await {
                let taken = hub.receive(arrival.message).await;
                let _ = arrival.kept.send(taken.map(|_| ()).map_err(NotKept::from));
            }
        });
        self.channels
            .extend([run.abort_handle(), read.abort_handle()]);
        self.step(Input::Attached {
            channel: name.to_owned(),
        });
        self.notices().await;
    }

    fn receive(&mut self, message: Inbound, reply: Reply) {
        let now = unix_ms();
        let channel = message.from.channel;
        let person = self
            .people
            .person_of(channel, &message.from.id)
            .map(str::to_owned);
        let Some(person) = person else {
            if self.people.is_worth_a_line(now, channel) {
                info!(channel, "somebody unknown wrote: not taken");
            }
            let _ = reply.send(Err(HubError::Stranger));
            return;
        };
        let names = [&message.id, &message.from.id, &message.place, &message.to];
        if names.iter().any(|name| name.len() > NAME_BYTES_MAX) || message.id.is_empty() {
            let _ = reply.send(Err(HubError::Wrong(
                "a name in it is too long, or missing".to_owned(),
            )));
            return;
        }
        if !self.people.may_send(now, channel, &message.from.id) {
            if self.people.is_worth_a_line(now, channel) {
                info!(channel, %person, "too many messages: not taken");
            }
            let _ = reply.send(Err(HubError::TooMuch("too many messages: wait a minute")));
            return;
        }
        self.used(now, &message);
        if self.decides(&message, &person) {
            let _ = reply.send(Ok(Received::Done));
            return;
        }
        let level = self.cx.approvals.level(&person);
        let profile = self.cx.agents.named(&message.to);
        let door = match may(
            &Caller::account(level),
            &RULES,
            Wish::Agent(&profile.levels),
        ) {
            Verdict::Yes | Verdict::AfterPin => Door::Agent,
            Verdict::Message => Door::Message,
            Verdict::No(_) => Door::Closed,
        };
        let conversation = profile.conversation(&person, level);
        let Some((matter, file)) = self.matter(now, message.body) else {
            let _ = reply.send(Ok(Received::Done));
            return;
        };
        let text = match &matter {
            Matter::Text(text) if self.cx.recorder.keeps_words() => Some(text.clone()),
            _ => None,
        };
        let kept = text.map(|text| NewMessage {
            message: MessageRow {
                conversation: conversation.clone(),
                role: Role::Caller,
                text,
                heard: None,
                at_unix_ms: now,
                call: None,
                channel: channel.to_owned(),
            },
            voice: None,
        });
        let item = Item {
            person: person.clone(),
            conversation: conversation.clone(),
            agent: message.to,
            channel: channel.to_owned(),
            from: message.from.id,
            place: message.place,
            theirs: message.id,
            taken_at: now,
            door,
            matter,
            is_correction: message.edits.is_some(),
        };
        let waiter = Waiter::Message {
            reply,
            conversation,
            file,
            message: kept.clone(),
            person,
        };
        let ticket = self.ticket(waiter);
        self.step(Input::Arrived {
            ticket,
            item: Box::new(item),
            message: kept,
        });
    }

    fn ticket(&mut self, waiter: Waiter) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiters.insert(ticket, waiter);
        ticket
    }

    fn used(&mut self, now: UnixMs, message: &Inbound) {
        let (channel, id, place) = (message.from.channel, &message.from.id, &message.place);
        if self.people.used(now, channel, id, place) {
            let change = TextChange::Used {
                channel: channel.to_owned(),
                id: id.clone(),
                place: place.clone(),
                at_unix_ms: now,
            };
            self.cx
                .recorder
                .queue("last use of a channel", move |store| {
                    store.keep_text(&change).map(|_| ())
                });
        }
    }

    /// What is answered, and the file of its sound. `None`: nothing is.
    fn matter(&self, now: UnixMs, body: Body) -> Option<(Matter, Option<String>)> {
        let unusable = |why: String| Some((Matter::Unusable(why), None));
        let most = self.cx.text.message_chars_max;
        match body {
            Body::Text(text) if text.len() > TEXT_BYTES_MAX || text.chars().count() > most => {
                unusable(wording::too_long(most))
            }
            Body::Text(text) => {
                let clean: String = text
                    .chars()
                    .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
                    .collect();
                let clean = clean.trim();
                (!clean.is_empty()).then(|| (Matter::Text(clean.to_owned()), None))
            }
            Body::Voice { bytes, .. } if bytes.len() > VOICE_BYTES_MAX => {
                unusable(wording::voice_too_large(VOICE_BYTES_MAX))
            }
            Body::Voice { bytes, mime } => {
                let stem = format!("{now:x}-{:08x}", rand::random::<u32>());
                match self.cx.folder.keep(&stem, &bytes) {
                    Ok(file) => {
                        let mime = mime.chars().take(100).collect();
                        Some((
                            Matter::Voice {
                                file: file.clone(),
                                mime,
                            },
                            Some(file),
                        ))
                    }
                    Err(error) => {
                        error!(%error, "a voice note was not kept");
                        unusable(format!("{}it could not be stored.", wording::NOT_HEARD))
                    }
                }
            }
            Body::Unusable { why } => unusable(why.chars().take(500).collect()),
            // A button that is none of ours.
            Body::Button { .. } => None,
        }
    }

    // Approvals.

    /// Whether this message was an answer about something risky; it is decided then.
    fn decides(&mut self, message: &Inbound, person: &str) -> bool {
        let (is_yes, id) = match &message.body {
            Body::Button { data } => match button(data) {
                Some((is_yes, id)) => (is_yes, id.to_owned()),
                None => return false,
            },
            Body::Text(text) => match wishes::decision(text) {
                Some((is_yes, code)) => match self.approving.by_code(code, person) {
                    Some(id) => (is_yes, id.to_owned()),
                    None => (is_yes, String::new()),
                },
                None => return false,
            },
            _ => return false,
        };
        let reply = |words: &str| Letter {
            key: Some(format!("said-{}-{}", message.from.channel, message.id)),
            to: Some((message.from.channel.to_owned(), message.place.clone())),
            record_as: (message.from.channel == "web").then_some(Role::Program),
            ..Letter::text(person, words, "answer to a decision")
        };
        let is_theirs = self.approving.was_asked(&id, person);
        let may_decide = is_theirs == Some(true)
            && self.cx.approvals.level(person) >= self.cx.approvals.level_needed();
        let refusing = !is_yes && is_theirs == Some(true);
        if !may_decide && !refusing {
            let words = match is_theirs {
                None => wording::NOT_WAITING,
                Some(_) => wording::NOT_YOURS,
            };
            self.post(reply(words), None);
            return true;
        }
        let (yes, no, gone, frozen) = (
            reply(wording::ALLOWED),
            reply(wording::REFUSED),
            reply(wording::NOT_WAITING),
            reply(wording::FROZEN),
        );
        let (approvals, work, channel) = (
            self.cx.approvals.clone(),
            self.work.clone(),
            message.from.channel,
        );
        tokio::spawn(async move {
            let decision = if is_yes {
                Decision::AllowOnce
            } else {
                Decision::Deny
            };
            let reply = match approvals.decide(id, decision, channel).await {
                Ok(()) if is_yes => yes,
                Ok(()) => no,
                Err(ChannelError::Frozen) => frozen,
                Err(_) => gone,
            };
            let _ = work
                .send(Work::Decided {
                    reply: Box::new(reply),
                })
                .await;
        });
        true
    }

    /// What waits for a yes has changed.
    fn approvals(&mut self) {
        self.cx.live.tell_all(&Live::Approvals);
        let view = self.cx.approvals.view();
        let needed = self.cx.approvals.level_needed();
        let allowed = |person: &String| self.cx.approvals.level(person) >= needed;
        let waiting = view.waiting.iter().filter(|one| !one.is_with_call);
        let questions: Vec<Question> = waiting
            .map(|one| {
                let mut persons = self.cx.persons_of(&one.session, self.people.accounts());
                persons.retain(allowed);
                if persons.is_empty() {
                    // Whoever asked may not allow it: the owner may.
                    let owners = self
                        .people
                        .accounts()
                        .filter(|who| self.cx.approvals.level(who) == Level::Owner);
                    persons = owners.filter(|who| allowed(who)).cloned().collect();
                }
                Question {
                    id: one.id.clone(),
                    persons,
                    what: one.what.clone(),
                    place: one.place.clone(),
                }
            })
            .collect();
        for (question, code) in self.approving.set(&questions, rand::random) {
            for person in &question.persons {
                let id = &question.id;
                let letter = Letter {
                    matter: OutMatter::Ask {
                        text: wording::approval(&question.what, &question.place, &code),
                        buttons: vec![
                            ("Allow".to_owned(), format!("approve:{id}")),
                            ("Refuse".to_owned(), format!("deny:{id}")),
                        ],
                    },
                    key: Some(format!("ask-{person}-{:x}-{code}", unix_ms())),
                    or_page: false,
                    ..Letter::text(person, "", "approval")
                };
                self.post(letter, None);
            }
        }
    }

    // What goes out.

    fn post(
        &mut self,
        letter: Letter,
        reply: Option<oneshot::Sender<Result<DeliveryId, HubError>>>,
    ) {
        let refuse = |reply: Option<oneshot::Sender<_>>, error: HubError| {
            if let Some(reply) = reply {
                let _ = reply.send(Err(error));
            }
        };
        if !self.people.has(&letter.person) {
            return refuse(reply, HubError::Stranger);
        }
        let now = unix_ms();
        let channels = super::lock(&self.cx.channels);
        let reached = letter.to.clone().or_else(|| {
            self.people
                .reach(&letter.person, |name| channels.contains_key(name))
        });
        drop(channels);
        let keeps_words = self.cx.recorder.keeps_words();
        let (channel, place) = match reached {
            Some(place) => place,
            None if letter.or_page && keeps_words => ("web".to_owned(), letter.person.clone()),
            None => return refuse(reply, HubError::NoChannel),
        };
        let conversation = letter.conversation.clone();
        let conversation = conversation.unwrap_or_else(|| self.conversation(&letter.person, ""));
        let words = match &letter.matter {
            OutMatter::Text(text) | OutMatter::Ask { text, .. } => text.clone(),
            OutMatter::Voice { words, .. } => words.clone(),
        };
        let record_as = match channel.as_str() {
            // There it is nowhere else.
            "web" => Some(letter.record_as.unwrap_or(Role::Program)),
            _ => letter.record_as,
        };
        let message = record_as.filter(|_| keeps_words).map(|role| NewMessage {
            message: MessageRow {
                conversation,
                role,
                text: words,
                heard: None,
                at_unix_ms: now,
                call: None,
                channel: channel.clone(),
            },
            voice: None,
        });
        let id = match &letter.key {
            Some(key) => letter_id(key),
            None => format!("l-{now:x}-{:016x}", rand::random::<u64>()),
        };
        info!(delivery = %id, person = %letter.person, %channel, "to be written: {}", letter.why);
        let due = letter.due_unix_ms.unwrap_or(now);
        let parcel = Parcel {
            id: id.clone(),
            channel,
            place,
            person: letter.person.clone(),
            at: now,
            due,
            until: due.max(now) + u64::from(self.cx.text.deliver_h_max) * 3_600_000,
            attempts: 0,
            matter: letter.matter,
            reply_to: None,
            message: None,
        };
        let (reply, _unheard) = match reply {
            Some(reply) => (reply, None),
            None => {
                let (reply, unheard) = oneshot::channel();
                (reply, Some(unheard))
            }
        };
        let waiter = Waiter::Letter {
            reply,
            id,
            message: message.clone(),
            person: letter.person,
        };
        let ticket = self.ticket(waiter);
        self.step(Input::Letter {
            ticket,
            parcel: Box::new(parcel),
            message,
        });
    }

    fn deliver(&self, parcel: Parcel) {
        let (cx, work) = (self.cx.clone(), self.work.clone());
        tokio::spawn(async move {
            let id = parcel.id.clone();
            let outcome = tokio::time::timeout(DELIVERY_MAX, delivered(&cx, parcel)).await;
            let outcome = outcome.unwrap_or_else(|_| Outcome::Passing {
                why: "it took too long".to_owned(),
                retry_ms: None,
            });
            let _ = work.send(Work::Delivered(id, outcome)).await;
        });
    }

    // What happens elsewhere.

    async fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Said { id, row } => {
                let persons = self
                    .cx
                    .persons_of(&row.conversation, self.people.accounts());
                let message = NewMessage {
                    message: *row,
                    voice: None,
                };
                self.say(&persons, id, message);
            }
            Happening::Caption {
                conversation,
                call,
                role,
                text,
                is_final,
            } => {
                let persons = self.cx.persons_of(&conversation, self.people.accounts());
                self.cx.live.tell(
                    &persons,
                    &Live::Caption {
                        call,
                        role,
                        text,
                        is_final,
                    },
                );
            }
            Happening::CallUp { conversation } => {
                *self.up.entry(conversation).or_default() += 1;
                self.cx.live.tell_all(&Live::Calls);
            }
            Happening::CallOver { conversation } => {
                self.cx.live.tell_all(&Live::Calls);
                if let Some(count) = self.up.get_mut(&conversation) {
                    *count -= 1;
                }
                self.up.retain(|_, count| *count > 0);
                self.follow(&conversation);
            }
            Happening::Late { conversation, text } => self.late(&conversation, &text),
            Happening::Notice => self.notices().await,
            Happening::Phones => self.cx.live.tell_all(&Live::Phones),
        }
    }

    /// What an agent has to say when nobody asks it just then. In a call it is said there.
    fn late(&mut self, conversation: &str, text: &str) {
        if text.trim().is_empty() || self.up.contains_key(conversation) {
            return;
        }
        let persons = self.cx.persons_of(conversation, self.people.accounts());
        for person in persons.into_iter().take(1) {
            let letter = Letter {
                conversation: Some(conversation.to_owned()),
                record_as: Some(Role::Assistant),
                ..Letter::text(&person, text.trim(), "finished after the call")
            };
            self.post(letter, None);
        }
    }

    /// Listens for late results of a conversation.
    fn follow(&mut self, conversation: &str) {
        self.following.retain(|(_, handle)| !handle.is_finished());
        let is_followed = self
            .following
            .iter()
            .any(|(known, _)| known == conversation);
        let is_ours = self
            .cx
            .persons_of(conversation, self.people.accounts())
            .first()
            .is_some();
        if is_followed || !is_ours {
            return;
        }
        let name = conversation.rsplit_once('/').map_or("", |(_, name)| name);
        let shared = self
            .cx
            .agents
            .all()
            .find(|one| one.session.as_deref() == Some(conversation));
        let profile = shared.or_else(|| self.cx.agents.all().find(|one| one.name == name));
        let Some(mut news) = profile.and_then(|profile| profile.gateway.news(conversation)) else {
            return;
        };
        if self.following.len() >= FOLLOWED_MAX {
            let (_, oldest) = self.following.remove(0);
            oldest.abort();
        }
        let (work, conversation) = (self.work.clone(), conversation.to_owned());
        let named = conversation.clone();
        let task = tokio::spawn(async move {
            let until = tokio::time::Instant::now() + FOLLOW_MAX;
            while let Ok(Some(text)) = tokio::time::timeout_at(until, news.recv()).await {
                let conversation = conversation.clone();
                if work.send(Work::News { conversation, text }).await.is_err() {
                    return;
                }
            }
        });
        self.following.push((named, task.abort_handle()));
    }

    /// Messages that could not be said in a call go out by text, each once.
    async fn notices(&mut self) {
        let since = unix_ms().saturating_sub(NOTICE_MS_MAX);
        let read = self
            .cx
            .recorder
            .ask(|store| store.notices(None, true, NOTICES_MAX))
            .await;
        let mut notices = read.unwrap_or_default();
        notices.retain(|notice| notice.at_unix_ms >= since);
        for notice in notices.into_iter().rev() {
            let matter = match notice.is_voice {
                true => OutMatter::Voice {
                    words: notice.text,
                    caption: true,
                },
                false => OutMatter::Text(notice.text),
            };
            let letter = Letter {
                matter,
                key: Some(format!("notice-{}", notice.id)),
                record_as: Some(Role::Assistant),
                or_page: false,
                ..Letter::text(&notice.user, "", &notice.why)
            };
            self.post(letter, None);
        }
    }

    async fn poll_people(&mut self) {
        let version = self
            .cx
            .recorder
            .ask(|store| store.changes_of_others())
            .await;
        if let Ok(version) = version
            && version != self.seen
        {
            self.seen = version;
            self.read_people().await;
        }
    }

    async fn read_people(&mut self) {
        let Ok((identities, pairings)) = self.cx.recorder.ask(|store| store.people()).await else {
            return;
        };
        let identities = identities.into_iter().map(Identity::from).collect();
        for new in self.people.set_links(identities, pairings) {
            info!(channel = %new.channel, person = %new.person, "linked");
            let letter = Letter {
                key: Some(format!("linked-{}-{:x}", new.channel, new.linked_unix_ms)),
                to: Some((new.channel, new.place)),
                ..Letter::text(&new.person, &wording::linked(&new.person), "linked")
            };
            self.post(letter, None);
        }
    }
}

/// Begins the names of deliveries of messages that could not be said; the rest is the message's number.
const NOTICE: &str = "k-notice-";

async fn delivered(cx: &Context, parcel: Parcel) -> Outcome {
    let body = match parcel.matter {
        OutMatter::Text(text) => OutBody::Text(text),
        OutMatter::Ask { text, buttons } => OutBody::Ask { text, buttons },
        OutMatter::Voice { words, caption } => {
            match voiced(cx, &parcel.id, parcel.message, &words).await {
                Ok((ogg_opus, duration_ms)) => OutBody::Voice {
                    ogg_opus,
                    duration_ms,
                    words: if caption { words } else { String::new() },
                },
                // The words themselves are better than nothing; where they were sent, there is nothing to add.
                Err(why) if caption => {
                    warn!(delivery = %parcel.id, "not spoken: {why}");
                    OutBody::Text(words)
                }
                Err(why) => return Outcome::Final { why },
            }
        }
    };
    // There is nothing to send: the page shows the conversation.
    if parcel.channel == "web" {
        return Outcome::Sent(None);
    }
    let Some(channel) = cx.channel(&parcel.channel) else {
        return Outcome::Passing {
            why: "its channel is not there".to_owned(),
            retry_ms: None,
        };
    };
    let message = Outbound {
        id: parcel.id,
        place: parcel.place,
        body,
        reply_to: parcel.reply_to,
        is_repeat: parcel.attempts > 1,
    };
    match channel.deliver(&message).await {
        Ok(theirs) => Outcome::Sent(theirs),
        Err(DeliveryError::Final { why }) => Outcome::Final { why },
        Err(DeliveryError::Passing { why, retry_after }) => Outcome::Passing {
            why,
            retry_ms: retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        },
    }
}

/// The sound of a message, made once.
async fn voiced(
    cx: &Context,
    id: &str,
    message: Option<i64>,
    words: &str,
) -> Result<(Vec<u8>, u32), String> {
    let (sound, duration_ms) = cx.sounds.say(words).await?;
    if let Some(message) = message.filter(|_| cx.recorder.keeps_words()) {
        match cx.folder.keep(id, &sound) {
            Ok(voice) => {
                let change = TextChange::Voiced { message, voice };
                let kept = cx.recorder.ask(move |store| {
                    store.keep_text(&change)?;
                    store.message(message)
                });
                if let Ok(Some(row)) = kept.await {
                    let person = row
                        .message
                        .conversation
                        .split('/')
                        .next()
                        .unwrap_or_default()
                        .to_owned();
                    cx.live.tell([&person], &Live::Said(Shown::from(row)));
                }
            }
            Err(error) => warn!(%error, "the sound of an answer was not kept"),
        }
    }
    Ok((sound, duration_ms))
}
