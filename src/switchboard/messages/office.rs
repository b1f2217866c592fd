//! The task that keeps texts: what is handed in is on disk before anybody is told that it is taken, what a phone has
//! confirmed is gone from it, what nobody takes is told to its sender. Owns the shelves and their order; not whom a text is
//! for (`messages`), not the disk's format (`Shelves`), not the hub's way to phones (`channel`), not the requests (the `sip`
//! crate).
//!
//! What comes in together is written together: one wait for the disk serves up to sixty-four inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_bridge::channels::split::{Unit, split};
use agent_bridge::channels::{Arrival, Inbound, NotKept};
use futures_util::future::join_all;
use sip::{HeaderName, TextKey, instant};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::super::Command;
use super::channel::TextChannel;
use super::files::{DiskError, Shelves};
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
    /// A phone of this account has registered; `is_new`: it was not there before.
    Phone { user: String, is_new: bool },
    Sent {
        user: String,
        id: String,
        outcome: Outcome,
    },
    /// No phone of the account can be reached.
    Nobody { user: String, id: String },
    /// As in [`agent_bridge::channels::Channel::typing`].
    Typing { user: String, is_on: bool },
    /// From phone to phone, now or never.
    Live(Live),
}

/// Who waits to hear that a text is on disk.
pub enum Reply {
    Phone(TextKey),
    /// The same of a message for the box, which counts as this caller's once it is kept.
    Box {
        text: TextKey,
        caller: String,
    },
    Channel(oneshot::Sender<Put>),
}

/// Something that is worth sending now or never.
#[derive(Clone)]
pub struct Live {
    pub user: String,
    pub number: String,
    pub content_type: &'static str,
    pub body: String,
    /// As that of a shelf; the office knows it.
    pub domain: Option<String>,
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
        delivery: None,
        call_id: None,
        whole: None,
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

/// Hears the name of each delivery of the hub's that a phone has taken whole.
pub type OnTaken = Box<dyn Fn(&str) + Send + Sync>;

pub struct Office {
    disk: Arc<dyn Shelves>,
    on_taken: OnTaken,
    channel: TextChannel,
    commands: mpsc::Sender<Command>,
    shelves: BTreeMap<String, Shelf>,
}

/// What has been handed in under one name, and who is to hear of it once everything of this round is on disk.
struct Handed {
    name: String,
    reply: Reply,
    /// Hears of those whom it does not reach.
    sender: Option<String>,
    /// On whose shelves it stands, and under which ids where it is new.
    kept: Vec<(String, Vec<String>)>,
    /// Whose shelves are full, and whose cannot be read.
    full: Vec<String>,
    unread: Vec<String>,
    is_new: bool,
}

const FULL: &str = "too many texts wait there";
const BROKEN: &str = "the disk takes nothing just now";

impl Office {
    /// Starts the task. `accounts`: whose texts may wait from the last run.
    pub fn start(
        disk: Arc<dyn Shelves>,
        commands: mpsc::Sender<Command>,
        accounts: Vec<String>,
        on_taken: OnTaken,
    ) -> (TextChannel, mpsc::Sender<Input>) {
        let (inputs, queue) = mpsc::channel(INPUTS_MAX);
        let channel = TextChannel::new(inputs.clone());
        let office = Office {
            disk,
            on_taken,
            channel: channel.clone(),
            commands,
            shelves: BTreeMap::new(),
        };
        tokio::spawn(office.run(queue, accounts));
        (channel, inputs)
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Input>, accounts: Vec<String>) {
        for user in accounts {
            // One that cannot be read now is looked for again when something is to be put there.
            let _ = self.load(&user).await;
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
                self.expire(&mut changed).await;
            }
            self.round(&mut inputs, changed).await;
        }
    }

    /// Takes in what came, writes it down, and then says so.
    async fn round(&mut self, inputs: &mut Vec<Input>, mut changed: BTreeSet<String>) {
        let mut handed = Vec::new();
        for input in inputs.drain(..) {
            match input {
                Input::Put {
                    name,
                    for_users,
                    reply,
                } => {
                    let one = self.put(name, for_users, reply).await;
                    if one.is_new {
                        changed.extend(one.kept.iter().map(|(user, _)| user.clone()));
                    }
                    handed.push(one);
                }
                Input::Ask {
                    text,
                    message,
                    receipts,
                } => self.ask(text, *message, receipts),
                Input::Domain { user, domain } => {
                    let Ok(shelf) = self.shelf(&user).await else {
                        continue;
                    };
                    if shelf.domain.as_ref() != Some(&domain) {
                        shelf.domain = Some(domain);
                        changed.insert(user);
                    }
                }
                Input::Phone { user, is_new } => {
                    if let Ok(shelf) = self.shelf(&user).await {
                        shelf.phone_came(is_new);
                    }
                }
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
                    let gone = shelf.answered(now, &id, outcome);
                    if outcome == Outcome::Away {
                        continue;
                    }
                    changed.insert(user.clone());
                    let Some(text) = gone else {
                        continue;
                    };
                    if outcome == Outcome::Delivered {
                        if let Some(delivery) = &text.delivery {
                            (self.on_taken)(delivery);
                        }
                        continue;
                    }
                    let status = match outcome {
                        Outcome::Refused(status) => status,
                        _ => 480,
                    };
                    let plain = plainly(&text).filter(|_| status != 480);
                    if let Some(plain) = plain {
                        shelf.put_first(plain);
                        continue;
                    }
                    info!(%user, status, "a text was not taken by this user's phones");
                    let why = match status {
                        413 | 513 => "it is too long for this phone",
                        415 | 416 | 488 | 493 | 606 => "this phone cannot show it",
                        405 | 501 => "this phone takes no texts",
                        480 => "this phone put it off again and again",
                        _ => "this phone refused it",
                    };
                    let name = format!("{} refused", text.id);
                    let told = self.bounce(&name, &user, text.sender, 1, why).await;
                    changed.extend(told);
                }
                Input::Typing { user, is_on } => {
                    let number = String::new();
                    let body = instant::composing(is_on, COMPOSING_S);
                    self.live(Live {
                        user,
                        number,
                        content_type: instant::COMPOSING,
                        body,
                        domain: None,
                    });
                }
                Input::Live(live) => self.live(live),
            }
        }
        let failed = self.save(changed).await;
        let mut bounced = BTreeSet::new();
        for mut one in handed {
            let (lost, kept) = one
                .kept
                .into_iter()
                .partition(|(user, _)| failed.contains(user));
            one.kept = kept;
            for (user, ids) in lost {
                // What was there before is on disk.
                if let Some(shelf) = self.shelves.get_mut(&user).filter(|_| !ids.is_empty()) {
                    shelf.take_back(&one.name, &ids);
                }
                one.unread.push(user);
            }
            bounced.extend(self.settle(one).await);
        }
        if !bounced.is_empty() {
            self.save(bounced).await;
        }
    }

    async fn put(
        &mut self,
        name: String,
        for_users: Vec<(String, Vec<Text>)>,
        reply: Reply,
    ) -> Handed {
        let mut texts = for_users.iter().flat_map(|(_, texts)| texts);
        let mut handed = Handed {
            sender: texts.find_map(|text| text.sender.clone()),
            name,
            reply,
            kept: Vec::new(),
            full: Vec::new(),
            unread: Vec::new(),
            is_new: false,
        };
        for (user, texts) in for_users {
            let ids = texts.iter().map(|text| text.id.clone()).collect();
            let Ok(shelf) = self.shelf(&user).await else {
                handed.unread.push(user);
                continue;
            };
            match shelf.put(&handed.name, texts) {
                Put::Kept => {
                    handed.is_new = true;
                    handed.kept.push((user, ids));
                }
                Put::Known => handed.kept.push((user, Vec::new())),
                Put::Full => handed.full.push(user),
            }
        }
        handed
    }

    /// Says what has become of a text. Where it has reached one of several, it counts as taken, and its sender hears whom it
    /// has not reached. Whose shelves have changed.
    async fn settle(&mut self, one: Handed) -> Vec<String> {
        let put = match (one.kept.is_empty(), one.full.is_empty(), one.is_new) {
            (false, _, true) => Some(Put::Kept),
            (false, _, false) => Some(Put::Known),
            (true, false, _) if one.unread.is_empty() => Some(Put::Full),
            (true, ..) => None,
        };
        let is_taken = matches!(put, Some(Put::Kept | Put::Known));
        if let Reply::Box { caller, .. } = &one.reply {
            let left = Command::MessageLeft {
                caller: caller.clone(),
                is_kept: put == Some(Put::Kept),
            };
            let _ = self.commands.send(left).await;
        }
        match one.reply {
            Reply::Phone(text) | Reply::Box { text, .. } => {
                let status = match put {
                    Some(Put::Kept | Put::Known) => 202,
                    Some(Put::Full) => 480,
                    None => 503,
                };
                answer(&self.commands, text, status).await;
            }
            // Dropped without a word: the hub offers it again.
            Reply::Channel(reply) => {
                if let Some(put) = put {
                    let _ = reply.send(put);
                }
            }
        }
        let mut changed = Vec::new();
        let missed = one.full.iter().map(|user| (user, FULL));
        let missed = missed.chain(one.unread.iter().map(|user| (user, BROKEN)));
        for (user, why) in missed.filter(|_| is_taken) {
            warn!(%user, "a text to several did not reach this user: {why}");
            let name = format!("{} missed {user}", one.name);
            let told = self.bounce(&name, user, one.sender.clone(), 1, why).await;
            changed.extend(told);
        }
        changed
    }

    /// To the hub; the phone hears of it when it is kept there.
    fn ask(&self, text: TextKey, message: Inbound, receipts: Vec<Live>) {
        let commands = self.commands.clone();
        let inbox = self.channel.inbox();
        let domain = self.domain(&message.place);
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
                Ok(()) | Err(NotKept::Over) => 200,
                Err(NotKept::Busy) => 503,
                Err(NotKept::Full) => 480,
                Err(NotKept::Stranger) => 403,
            };
            answer(&commands, text, status).await;
            if status == 200 {
                for mut live in receipts {
                    live.domain.clone_from(&domain);
                    let _ = commands.send(Command::SendLive(Box::new(live))).await;
                }
            }
        });
    }

    /// Somebody's text will never arrive: they hear of it, in the same chat. Whose shelf has changed. `name`: the same for
    /// the same mishap, which is told once.
    async fn bounce(
        &mut self,
        name: &str,
        user: &str,
        sender: Option<String>,
        texts: usize,
        why: &str,
    ) -> Option<String> {
        let sender = sender?;
        let (what, were) = match texts {
            1 => ("text", "was"),
            _ => ("texts", "were"),
        };
        let words = format!("[Offhook] Your {what} to {user} {were} not delivered: {why}.");
        let notice = parts(user, &words);
        let put = self
            .shelf(&sender)
            .await
            .map(|shelf| shelf.put(name, notice));
        match put {
            Ok(Put::Kept) => Some(sender),
            Ok(Put::Known) => None,
            Ok(Put::Full) | Err(DiskError) => {
                warn!(user = %sender, "not told that a text was not delivered");
                None
            }
        }
    }

    async fn expire(&mut self, changed: &mut BTreeSet<String>) {
        let now = unix_ms();
        let mut lost: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (user, shelf) in &mut self.shelves {
            let old = shelf.expire(now);
            if !old.is_empty() {
                warn!(%user, texts = old.len(), "given up after a week without a phone");
                changed.insert(user.clone());
            }
            let senders = old.into_iter().filter_map(|text| text.sender);
            for sender in senders {
                *lost.entry((sender, user.clone())).or_default() += 1;
            }
        }
        for ((sender, user), texts) in lost {
            let why = "no phone took it within a week";
            let name = unguessable();
            let told = self.bounce(&name, &user, Some(sender), texts, why).await;
            changed.extend(told);
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

    fn live(&self, mut live: Live) {
        live.domain = self.domain(&live.user);
        // Not worth waiting for.
        let _ = self.commands.try_send(Command::SendLive(Box::new(live)));
    }

    fn domain(&self, user: &str) -> Option<String> {
        self.shelves.get(user)?.domain.clone()
    }

    async fn shelf(&mut self, user: &str) -> Result<&mut Shelf, DiskError> {
        if !self.shelves.contains_key(user) {
            self.load(user).await?;
        }
        Ok(self.shelves.entry(user.to_owned()).or_default())
    }

    /// What cannot be read is no empty shelf: the next text would overwrite it.
    async fn load(&mut self, user: &str) -> Result<(), DiskError> {
        let key = key(user);
        let shelf = match self.disk.get(&key).await? {
            None => Shelf::default(),
            Some(kept) => match serde_json::from_str(&kept) {
                Ok(shelf) => shelf,
                Err(damage) => {
                    // Its own words may quote the text.
                    let (line, column) = (damage.line(), damage.column());
                    error!(%user, line, column, "texts that waited make no sense: set aside");
                    self.disk.set_aside(&key).await?;
                    Shelf::default()
                }
            },
        };
        self.shelves.insert(user.to_owned(), shelf);
        Ok(())
    }

    /// Writes down the shelves of these users, all at once; whose could not be.
    async fn save(&self, users: BTreeSet<String>) -> BTreeSet<String> {
        let kept = users.into_iter().filter_map(|user| {
            let value = serde_json::to_string(self.shelves.get(&user)?).ok()?;
            Some(async move {
                let kept = self.disk.put(&key(&user), &value).await;
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
