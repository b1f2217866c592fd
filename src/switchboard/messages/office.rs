//! The task that keeps texts: what is handed in is on disk before anybody is told that it is taken, what a phone has
//! confirmed is gone from it, what nobody takes is told to its sender. Also the hub's way to phones (`Channel`). Owns the shelves and
//! their order; not whom a text is for (`messages`), not the disk's format (`Memory`), not the requests (the `sip` crate).
//!
//! What comes in together is written together: one wait for the disk serves up to sixty-four inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agent_bridge::channels::split::{Unit, split};
use agent_bridge::channels::{
    Arrival, Channel, DeliveryError, Inbound, Memory, NotKept, OutBody, Outbound,
};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use sip::{HeaderName, TextKey, instant};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::super::Command;
use super::shelf::{Outcome, Put, Shelf, Text};
use super::unguessable;
use crate::records::unix_ms;

/// Inputs on their way to the office. At the bound a text is refused for now, and an outcome counts as none.
pub const INPUTS_MAX: usize = 512;
const INPUTS_AT_ONCE: usize = 64;
/// Octets of one part of a long plain text: with its headers it stays below the 1,300 of RFC 3428 §8.
pub const PART_BYTES_MAX: usize = 700;
/// The hub has as long as the sender's transaction leaves it.
const HUB_MAX: Duration = Duration::from_secs(12);
/// A shelf is looked through for old texts so often.
const EXPIRY_EVERY: Duration = Duration::from_secs(600);
/// How long a phone shows that somebody is writing unless told again (RFC 3994 §3.3).
const COMPOSING_S: u32 = 60;

/// What the office is told.
pub enum Input {
    /// For people's phones: an account each, and the text in its parts.
    Put {
        /// The same for the same text, however often it comes.
        name: String,
        for_users: Vec<(String, Vec<Text>)>,
        reply: Reply,
    },
    /// For the assistant.
    Ask {
        text: TextKey,
        message: Box<Inbound>,
        /// Sent to the writer's phone when the message is kept: type and body.
        receipts: Vec<Live>,
    },
    /// The host by which this account's phone names us.
    Domain { user: String, domain: String },
    /// A phone of this account has registered.
    Phone(String),
    Sent {
        user: String,
        id: String,
        outcome: Outcome,
    },
    /// No phone of the account can be reached.
    Nobody { user: String, id: String },
    /// As in [`Channel::typing`].
    Typing { user: String, is_on: bool },
}

/// Who waits to hear that a text is on disk.
pub enum Reply {
    Phone(TextKey),
    Channel(oneshot::Sender<Put>),
    Nobody,
}

/// Something that is worth sending now or never.
#[derive(Clone)]
pub struct Live {
    pub user: String,
    pub number: String,
    pub content_type: &'static str,
    pub body: String,
}

/// Without the words.
impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Live({} for {}, {} bytes)",
            self.content_type,
            self.user,
            self.body.len()
        )
    }
}

/// The hub's door to phones, and the way of texts to the hub.
#[derive(Clone)]
pub struct TextChannel {
    inputs: mpsc::Sender<Input>,
    inbox: Arc<Mutex<Option<mpsc::Sender<Arrival>>>>,
}

impl TextChannel {
    pub fn new(inputs: mpsc::Sender<Input>) -> TextChannel {
        TextChannel {
            inputs,
            inbox: Arc::default(),
        }
    }

    fn inbox(&self) -> Option<mpsc::Sender<Arrival>> {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.clone()
    }

    fn set_inbox(&self, inbox: Option<mpsc::Sender<Arrival>>) {
        *self.inbox.lock().unwrap_or_else(PoisonError::into_inner) = inbox;
    }
}

/// The inbox is good for as long as the channel runs.
struct Open(TextChannel);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set_inbox(None);
    }
}

impl Channel for TextChannel {
    fn name(&self) -> &'static str {
        super::CHANNEL
    }

    fn run(self: Arc<Self>, inbox: mpsc::Sender<Arrival>) -> BoxFuture<'static, ()> {
        async move {
            self.set_inbox(Some(inbox));
            let _open = Open((*self).clone());
            std::future::pending::<()>().await;
        }
        .boxed()
    }

    /// A text is delivered when it is kept for the phones: they get it when they are there, in order.
    fn deliver<'a>(
        &'a self,
        message: &'a Outbound,
    ) -> BoxFuture<'a, Result<Option<String>, DeliveryError>> {
        let words = match &message.body {
            OutBody::Text(text) | OutBody::Ask { text, .. } => text,
            OutBody::Voice { words, .. } => words,
        };
        let number = message
            .reply_to
            .as_deref()
            .and_then(number_in)
            .unwrap_or_default();
        let parts = parts(number, words);
        let user = message.place.clone();
        async move {
            if parts.is_empty() {
                return Ok(None);
            }
            let busy = |why: &str| DeliveryError::Passing {
                why: why.to_owned(),
                retry_after: None,
            };
            let (reply, kept) = oneshot::channel();
            let put = Input::Put {
                name: message.id.clone(),
                for_users: vec![(user, parts)],
                reply: Reply::Channel(reply),
            };
            let closed = |_| busy("signalling has stopped");
            self.inputs.send(put).await.map_err(closed)?;
            match kept.await {
                Ok(Put::Kept | Put::Known) => Ok(Some(message.id.clone())),
                Ok(Put::Full) => Err(busy("too many texts wait for this phone")),
                Err(_) => Err(busy("the disk takes nothing just now")),
            }
        }
        .boxed()
    }

    fn typing<'a>(&'a self, place: &'a str, is_on: bool) -> BoxFuture<'a, ()> {
        // Not worth waiting for.
        let user = place.to_owned();
        let _ = self.inputs.try_send(Input::Typing { user, is_on });
        async {}.boxed()
    }

    fn standing(&self) -> String {
        "texts to and from registered phones".to_owned()
    }
}

/// A plain text in parts that fit into a datagram each, all from one number.
pub fn parts(number: &str, words: &str) -> Vec<Text> {
    let part = |body: String| Text {
        id: unguessable(),
        number: number.to_owned(),
        name: String::new(),
        content_type: instant::PLAIN.to_owned(),
        body,
        at_unix_ms: unix_ms(),
        attempt: 0,
        sender: None,
    };
    let bodies = split(words, PART_BYTES_MAX, Unit::Bytes);
    bodies.into_iter().map(part).collect()
}

/// For a phone that knows no envelopes: what is in this one, where it is a text.
fn plainly(text: &Text) -> Option<Text> {
    if instant::media_type(&text.content_type) != instant::CPIM {
        return None;
    }
    let read = instant::read(Some(&text.content_type), text.body.as_bytes()).ok()?;
    let instant::Content::Text(body) = read.content else {
        return None;
    };
    Some(Text {
        id: unguessable(),
        content_type: instant::PLAIN.to_owned(),
        body,
        attempt: 0,
        ..text.clone()
    })
}

/// The number that a text was written to, out of the id under which the hub knows it.
pub fn number_in(id: &str) -> Option<&str> {
    id.split_once('@').map(|(_, number)| number)
}

pub struct Office {
    memory: Arc<dyn Memory>,
    channel: TextChannel,
    commands: mpsc::Sender<Command>,
    shelves: BTreeMap<String, Shelf>,
}

/// Who is to hear what once everything of this round is on disk.
enum Told {
    Phone(TextKey, Put),
    Channel(oneshot::Sender<Put>, Put),
}

impl Office {
    /// Starts the task. `accounts`: whose texts may wait from the last run.
    pub fn start(
        memory: Arc<dyn Memory>,
        commands: mpsc::Sender<Command>,
        accounts: Vec<String>,
    ) -> (TextChannel, mpsc::Sender<Input>) {
        let (inputs, queue) = mpsc::channel(INPUTS_MAX);
        let channel = TextChannel::new(inputs.clone());
        let office = Office {
            memory,
            channel: channel.clone(),
            commands,
            shelves: BTreeMap::new(),
        };
        tokio::spawn(office.run(queue, accounts));
        (channel, inputs)
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Input>, accounts: Vec<String>) {
        for user in accounts {
            self.load(&user).await;
        }
        let mut inputs = Vec::with_capacity(INPUTS_AT_ONCE);
        let mut look_at = Instant::now();
        loop {
            self.send_what_is_due().await;
            let due = self.shelves.values().filter_map(Shelf::next_timeout).min();
            let due = due.map_or(look_at, |due| due.min(look_at));
            tokio::select! {
                taken = queue.recv_many(&mut inputs, INPUTS_AT_ONCE) => if taken == 0 {
                    return;
                },
                () = tokio::time::sleep_until(due.into()) => {}
            }
            let now = Instant::now();
            for shelf in self.shelves.values_mut() {
                shelf.on_timeout(now);
            }
            let mut changed = BTreeSet::new();
            if look_at <= now {
                look_at = now + EXPIRY_EVERY;
                self.expire(&mut changed);
            }
            self.round(&mut inputs, changed).await;
        }
    }

    /// Takes in what came, writes it down, and then says so.
    async fn round(&mut self, inputs: &mut Vec<Input>, mut changed: BTreeSet<String>) {
        let mut told = Vec::new();
        let mut taken: Vec<(String, String, Vec<String>)> = Vec::new();
        for input in inputs.drain(..) {
            match input {
                Input::Put {
                    name,
                    for_users,
                    reply,
                } => {
                    let put = self.put(&name, for_users, &mut taken).await;
                    changed.extend(taken.iter().map(|(user, ..)| user.clone()));
                    match reply {
                        Reply::Phone(text) => told.push(Told::Phone(text, put)),
                        Reply::Channel(reply) => told.push(Told::Channel(reply, put)),
                        Reply::Nobody => {}
                    }
                }
                Input::Ask {
                    text,
                    message,
                    receipts,
                } => self.ask(text, *message, receipts),
                Input::Domain { user, domain } => {
                    let shelf = self.shelf(&user).await;
                    if shelf.domain.as_ref() != Some(&domain) {
                        shelf.domain = Some(domain);
                        changed.insert(user);
                    }
                }
                Input::Phone(user) => self.shelf(&user).await.phone_came(),
                Input::Nobody { user, id } => {
                    if let Some(shelf) = self.shelves.get_mut(&user) {
                        shelf.nobody_there(&id);
                    }
                }
                Input::Sent { user, id, outcome } => {
                    let now = Instant::now();
                    let Some(shelf) = self.shelves.get_mut(&user) else {
                        continue;
                    };
                    let given_up = shelf.answered(now, &id, outcome);
                    if outcome == Outcome::Away {
                        continue;
                    }
                    changed.insert(user.clone());
                    let (Some(text), Outcome::Refused(status)) = (given_up, outcome) else {
                        continue;
                    };
                    if let Some(plain) = plainly(&text) {
                        shelf.put_first(plain);
                        continue;
                    }
                    info!(%user, status, "a text was not taken by this user's phones");
                    let why = match status {
                        413 => "it is too long for this phone",
                        415 | 488 | 606 => "this phone cannot show it",
                        405 | 501 => "this phone takes no texts",
                        _ => "this phone refused it",
                    };
                    changed.extend(self.bounce(&user, text, why).await);
                }
                Input::Typing { user, is_on } => {
                    let number = String::new();
                    let body = instant::composing(is_on, COMPOSING_S);
                    self.live(Live {
                        user,
                        number,
                        content_type: instant::COMPOSING,
                        body,
                    });
                }
            }
        }
        let failed = self.save(changed).await;
        for (user, name, ids) in taken {
            if failed.contains(&user)
                && let Some(shelf) = self.shelves.get_mut(&user)
            {
                shelf.take_back(&name, &ids);
            }
        }
        let is_safe = failed.is_empty();
        for told in told {
            match told {
                Told::Channel(reply, put) if is_safe => drop(reply.send(put)),
                // Dropped: the hub offers it again.
                Told::Channel(..) => {}
                Told::Phone(text, put) => {
                    let status = match put {
                        _ if !is_safe => 503,
                        Put::Kept | Put::Known => 202,
                        Put::Full => 480,
                    };
                    answer(&self.commands, text, status).await;
                }
            }
        }
    }

    async fn put(
        &mut self,
        name: &str,
        for_users: Vec<(String, Vec<Text>)>,
        taken: &mut Vec<(String, String, Vec<String>)>,
    ) -> Put {
        let mut worst = Put::Known;
        for (user, texts) in for_users {
            let ids = texts.iter().map(|text| text.id.clone()).collect();
            match self.shelf(&user).await.put(name, texts) {
                Put::Kept => {
                    taken.push((user, name.to_owned(), ids));
                    worst = match worst {
                        Put::Full => Put::Full,
                        Put::Kept | Put::Known => Put::Kept,
                    };
                }
                Put::Full => worst = Put::Full,
                Put::Known => {}
            }
        }
        worst
    }

    /// To the hub; the phone hears of it when it is kept there.
    fn ask(&self, text: TextKey, message: Inbound, receipts: Vec<Live>) {
        let commands = self.commands.clone();
        let inbox = self.channel.inbox();
        // As many as texts may wait for an answer in the endpoint.
        tokio::spawn(async move {
            let kept = async {
                let (kept, is_kept) = oneshot::channel();
                let inbox = inbox.ok_or(NotKept::Busy)?;
                let arrival = Arrival { message, kept };
                inbox.send(arrival).await.map_err(|_| NotKept::Busy)?;
                is_kept.await.unwrap_or(Err(NotKept::Busy))
            };
            let kept = tokio::time::timeout(HUB_MAX, kept).await;
            let status = match kept.unwrap_or(Err(NotKept::Busy)) {
                Ok(()) => 200,
                Err(NotKept::Busy) => 503,
                Err(NotKept::Full) => 480,
                Err(NotKept::Stranger) => 403,
            };
            answer(&commands, text, status).await;
            if status == 200 {
                for live in receipts {
                    let _ = commands.send(Command::SendLive(Box::new(live))).await;
                }
            }
        });
    }

    /// Somebody's text will never arrive: they hear of it, in the same chat. Whose shelf has changed.
    async fn bounce(&mut self, user: &str, text: Text, why: &str) -> Option<String> {
        let sender = text.sender?;
        let id = unguessable();
        let words = format!("[Offhook] Your text to {user} was not delivered: {why}.");
        let notice = parts(user, &words);
        let put = self.shelf(&sender).await.put(&id, notice);
        (put == Put::Kept).then_some(sender)
    }

    fn expire(&mut self, changed: &mut BTreeSet<String>) {
        let now = unix_ms();
        for (user, shelf) in &mut self.shelves {
            let old = shelf.expire(now);
            if !old.is_empty() {
                warn!(%user, texts = old.len(), "given up after a week without a phone");
                changed.insert(user.clone());
            }
        }
    }

    async fn send_what_is_due(&mut self) {
        let now = Instant::now();
        for (user, shelf) in &mut self.shelves {
            let domain = shelf.domain.clone();
            if let Some(text) = shelf.next(now) {
                let user = user.clone();
                let command = Command::SendText {
                    user,
                    text: Box::new(text),
                    domain,
                };
                if self.commands.send(command).await.is_err() {
                    return;
                }
            }
        }
    }

    fn live(&self, live: Live) {
        // Not worth waiting for.
        let _ = self.commands.try_send(Command::SendLive(Box::new(live)));
    }

    async fn shelf(&mut self, user: &str) -> &mut Shelf {
        if !self.shelves.contains_key(user) {
            self.load(user).await;
        }
        self.shelves.entry(user.to_owned()).or_default()
    }

    async fn load(&mut self, user: &str) {
        let kept = self.memory.get(&key(user)).await;
        let shelf = kept.and_then(|kept| {
            let read = serde_json::from_str::<Shelf>(&kept);
            read.inspect_err(|error| warn!(%user, %error, "texts that waited cannot be read"))
                .ok()
        });
        self.shelves
            .insert(user.to_owned(), shelf.unwrap_or_default());
    }

    /// Writes down the shelves of these users, all at once; whose could not be.
    async fn save(&self, users: BTreeSet<String>) -> BTreeSet<String> {
        let kept = users.into_iter().filter_map(|user| {
            let value = serde_json::to_string(self.shelves.get(&user)?).ok()?;
            Some(async move {
                let kept = self.memory.put(&key(&user), &value).await;
                (user, kept)
            })
        });
        let mut failed = BTreeSet::new();
        for (user, kept) in join_all(kept).await {
            if let Err(error) = kept {
                warn!(%user, %error, "texts of this user");
                failed.insert(user);
            }
        }
        failed
    }
}

fn key(user: &str) -> String {
    format!("texts:{user}")
}

async fn answer(commands: &mpsc::Sender<Command>, text: TextKey, status: u16) {
    let later = (HeaderName::RetryAfter, "10".to_owned());
    let headers = match status {
        480 | 503 => vec![later],
        _ => Vec::new(),
    };
    let _ = commands
        .send(Command::AnswerText {
            text,
            status,
            headers,
        })
        .await;
}

#[cfg(test)]
#[path = "office_tests.rs"]
mod tests;
