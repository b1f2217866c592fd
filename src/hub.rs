//! One conversation by all ways: texts and voice notes of any channel become turns with the agent that the phone reaches,
//! in the same conversation, and answers go back the way the question came. Here: the door for channels, the page and
//! signalling. What happens is decided in `core`, `lanes`, `people` and `wishes` (PURE) and done in `task`; the tables are
//! in `store/texts`, the networks in `agent_bridge::channels`.

mod approving;
mod boundary;
pub mod core;
mod happenings;
mod keeping;
mod lanes;
pub mod people;
mod sounds;
mod task;
mod turns;
mod wishes;
mod wording;

#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use agent_bridge::channels::{Address, Channel, Inbound, Memory, MemoryError};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::records::Recorder;
use crate::store::Role;
pub use boundary::*;
pub use happenings::{Happening, Happenings};
pub use sounds::{NoSounds, Sounds};
pub use task::{HubParts, load, notice_of};
pub use wording::WRITTEN_BEFORE;

/// Requests to the hub's task; who asks waits when it is full.
const ASKS_MAX: usize = 256;
/// Events for one listener; who falls behind misses the oldest.
const LIVE_MAX: usize = 512;
/// Messages that one look at the history hands out.
const HISTORY_MAX: usize = 200;
/// Longest key of a letter that is its name as it is, in bytes; of a longer one the name is a digest.
const KEY_BYTES_MAX: usize = 60;

/// The way to the hub. Clones share it.
#[derive(Clone)]
pub struct Hub {
    asks: mpsc::Sender<Ask>,
    live: Arc<LiveDoor>,
    recorder: Recorder,
    standings: Arc<Mutex<Vec<Arc<dyn Channel>>>>,
}

enum Ask {
    Receive(Box<Inbound>, oneshot::Sender<Result<Received, HubError>>),
    Send(Box<Letter>, oneshot::Sender<Result<DeliveryId, HubError>>),
    Attach(Arc<dyn Channel>),
    /// From this person, what has a key that begins so.
    TakeBack(String, String),
    Code(Address, String, String, oneshot::Sender<Option<String>>),
    People,
    Accounts(Vec<String>),
    /// The conversation that this person has with this agent.
    Conversation(String, String, oneshot::Sender<Option<String>>),
}

/// Something that goes out by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub person: String,
    /// In which conversation it is written down; none: that with the agent of `[agent]`.
    pub conversation: Option<String>,
    pub matter: OutMatter,
    /// For the log: why it is sent.
    pub why: String,
    /// Letters with the same key are one.
    pub key: Option<String>,
    /// Not before this.
    pub due_unix_ms: Option<UnixMs>,
    /// As whose words it is written down in the conversation; none: it is not. What is due later is written down as
    /// the program's words, once it has gone out.
    pub record_as: Option<Role>,
    /// (channel, place), where it does not go where the person wants to be written to.
    pub to: Option<(String, String)>,
    /// It may be left on the page, where nobody may be looking.
    pub or_page: bool,
}

impl Letter {
    pub fn text(person: &str, text: &str, why: &str) -> Letter {
        Letter {
            person: person.to_owned(),
            conversation: None,
            matter: OutMatter::Text(text.to_owned()),
            why: why.to_owned(),
            key: None,
            due_unix_ms: None,
            record_as: None,
            to: None,
            or_page: true,
        }
    }
}

impl Hub {
    /// Takes a message. It is on disk when this returns Ok, and will then be answered once, whatever happens.
    pub async fn receive(&self, message: Inbound) -> Result<Received, HubError> {
        self.ask(|reply| Ask::Receive(Box::new(message), reply))
            .await?
    }

    /// What is shown to a person as it happens, in all their conversations.
    pub fn live(&self, person: &str) -> broadcast::Receiver<Live> {
        self.live.of(person).subscribe()
    }

    /// What a person's conversation with an agent (its number or name; empty: that of `[agent]`) is called.
    pub async fn conversation(&self, person: &str, agent: &str) -> Result<String, HubError> {
        let (person, agent) = (person.to_owned(), agent.to_owned());
        let conversation = self
            .ask(|reply| Ask::Conversation(person, agent, reply))
            .await?;
        conversation.ok_or(HubError::Stranger)
    }

    /// The latest messages of a person's conversation with an agent (its number or name; empty: that of `[agent]`), the
    /// oldest first. `before`: those with smaller ids.
    pub async fn history(
        &self,
        person: &str,
        agent: &str,
        before: Option<i64>,
        most: usize,
    ) -> Result<Vec<Shown>, HubError> {
        let conversation = self.conversation(person, agent).await?;
        let most = most.min(HISTORY_MAX);
        let rows = self
            .recorder
            .ask(move |store| store.history(&conversation, before, most))
            .await
            .map_err(|_| HubError::Busy("the disk does not answer"))?;
        Ok(rows.into_iter().map(Shown::from).collect())
    }

    /// Writes to the channel of text that this person prefers: the one chosen in `[[users]]`, else the one last used. It
    /// is on disk when this returns. Letters with the same `key` are one. `why` is for the log.
    pub async fn send(
        &self,
        person: &str,
        text: String,
        why: &str,
        key: Option<String>,
    ) -> Result<DeliveryId, HubError> {
        let record_as = Some(Role::Assistant);
        let letter = Letter {
            key,
            record_as,
            ..Letter::text(person, &text, why)
        };
        self.post(letter).await
    }

    /// The same with all that can be said about it.
    pub async fn post(&self, letter: Letter) -> Result<DeliveryId, HubError> {
        self.ask(|reply| Ask::Send(Box::new(letter), reply)).await?
    }

    /// Calls off letters to this person whose keys begin so and that are not being sent. `prefix`: letters, digits, `-`.
    async fn take_back(&self, person: &str, prefix: &str) {
        let ask = Ask::TakeBack(person.to_owned(), format!("k-{prefix}"));
        let _ = self.asks.send(ask).await;
    }

    /// Starts a channel, and delivers through it from now on.
    pub fn attach(&self, channel: Arc<dyn Channel>) {
        let mut standings = lock(&self.standings);
        standings.push(channel.clone());
        drop(standings);
        if let Err(mpsc::error::TrySendError::Full(ask)) = self.asks.try_send(Ask::Attach(channel))
        {
            let asks = self.asks.clone();
            tokio::spawn(async move { asks.send(ask).await });
        }
    }

    /// A code for a stranger, to be told to the owner. `None`: they have one already, or too many others have.
    pub async fn pairing_code(&self, who: Address, shown_name: &str) -> Option<String> {
        let place = who.id.clone();
        self.pairing_code_at(who, &place, shown_name).await
    }

    /// The same where they are written to at another place than their own id.
    pub async fn pairing_code_at(
        &self,
        who: Address,
        place: &str,
        shown_name: &str,
    ) -> Option<String> {
        let (place, name) = (place.to_owned(), shown_name.to_owned());
        self.ask(|reply| Ask::Code(who, place, name, reply))
            .await
            .ok()?
    }

    /// Links whoever was given this code to a person: the owner approves.
    pub async fn link(&self, code: &str, person: &str) -> Result<Identity, HubError> {
        let (code, person) = (people::clean_code(code), person.to_owned());
        let now = crate::records::unix_ms();
        let since = now.saturating_sub(people::CODE_MS);
        let found = self
            .recorder
            .ask(move |store| store.link(&code, &person, since, now))
            .await
            .map_err(|_| HubError::Busy("the disk does not answer"))?;
        let found =
            found.ok_or_else(|| HubError::Wrong("no such code, or it is too old".to_owned()))?;
        let _ = self.asks.send(Ask::People).await;
        Ok(found.into())
    }

    /// Those linked to one person, or all.
    pub async fn identities(&self, person: Option<&str>) -> Result<Vec<Identity>, HubError> {
        let (identities, _) = self.people().await?;
        let all = identities.into_iter().map(Identity::from);
        Ok(all
            .filter(|one| person.is_none_or(|person| one.person == person))
            .collect())
    }

    /// Strangers who were given a code that still holds.
    pub async fn pairings(&self) -> Result<Vec<crate::store::PairingRow>, HubError> {
        let since = crate::records::unix_ms().saturating_sub(people::CODE_MS);
        let (_, mut pairings) = self.people().await?;
        pairings.retain(|one| one.asked_unix_ms >= since);
        Ok(pairings)
    }

    /// Whether there was such a link.
    pub async fn unlink(&self, channel: &str, id: &str) -> Result<bool, HubError> {
        let (channel, id) = (channel.to_owned(), id.to_owned());
        let found = self
            .recorder
            .ask(move |store| store.unlink(&channel, &id))
            .await;
        let _ = self.asks.send(Ask::People).await;
        found.map_err(|_| HubError::Busy("the disk does not answer"))
    }

    /// Each channel with how it stands.
    pub fn channels(&self) -> Vec<(String, String)> {
        let channels = lock(&self.standings);
        channels
            .iter()
            .map(|one| (one.name().to_owned(), one.standing()))
            .collect()
    }

    /// Accounts as they are now.
    pub async fn set_accounts(&self, accounts: Vec<String>) {
        let _ = self.asks.send(Ask::Accounts(accounts)).await;
    }

    /// What the channel of this name remembers over a restart.
    pub fn memory(&self, channel: &'static str) -> Arc<dyn Memory> {
        let recorder = self.recorder.clone();
        Arc::new(StoreMemory { recorder, channel })
    }

    async fn people(
        &self,
    ) -> Result<
        (
            Vec<crate::store::IdentityRow>,
            Vec<crate::store::PairingRow>,
        ),
        HubError,
    > {
        let read = self.recorder.ask(|store| store.people()).await;
        read.map_err(|_| HubError::Busy("the disk does not answer"))
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, HubError> {
        let stopping = HubError::Busy("the program is stopping");
        let (reply, answer) = oneshot::channel();
        if self.asks.send(ask(reply)).await.is_err() {
            return Err(stopping);
        }
        answer.await.map_err(|_| stopping)
    }
}

/// What a letter with this key is called: at most 64 letters, digits and `-`, and never what another key gives.
fn letter_id(key: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if key.len() <= KEY_BYTES_MAX && key.chars().all(is_plain) {
        return format!("k-{key}");
    }
    let head: String = key.chars().filter(|c| is_plain(*c)).take(20).collect();
    let digest = Sha256::digest(key.as_bytes());
    let digest: String = digest[..16].iter().map(|b| format!("{b:02x}")).collect();
    format!("k-{head}-{digest}")
}

/// Everything that happens, to whom it is shown.
struct LiveDoor {
    /// One per person who ever looked; as many as there are accounts.
    people: Mutex<HashMap<String, broadcast::Sender<Live>>>,
    /// The last number of a message that is shown and not kept.
    unkept: AtomicI64,
}

impl LiveDoor {
    fn new() -> LiveDoor {
        LiveDoor {
            people: Mutex::default(),
            unkept: AtomicI64::new(0),
        }
    }

    /// A number for a message that is kept nowhere: negative, and not one of an earlier run that a page still shows. Later
    /// ones are smaller.
    fn unkept_id(&self, now: UnixMs) -> i64 {
        // Exact in JavaScript too, with a thousand in each millisecond.
        let least = i64::try_from(now.saturating_mul(1_000)).map_or(i64::MIN, |now| -now);
        let next = |last: i64| Some(last.saturating_sub(1).min(least));
        let last = self
            .unkept
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        last.unwrap_or_else(|last| last)
            .saturating_sub(1)
            .min(least)
    }

    fn of(&self, person: &str) -> broadcast::Sender<Live> {
        let mut people = lock(&self.people);
        let door = people.entry(person.to_owned());
        door.or_insert_with(|| broadcast::channel(LIVE_MAX).0)
            .clone()
    }

    /// Nobody looking is no error.
    fn tell<'a>(&self, persons: impl IntoIterator<Item = &'a String>, event: &Live) {
        let people = lock(&self.people);
        for person in persons {
            if let Some(door) = people.get(person) {
                let _ = door.send(event.clone());
            }
        }
    }

    fn tell_all(&self, event: &Live) {
        for door in lock(&self.people).values() {
            let _ = door.send(event.clone());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing in here is left half-done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct StoreMemory {
    recorder: Recorder,
    channel: &'static str,
}

impl Memory for StoreMemory {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<String>> {
        let (channel, key) = (self.channel, key.to_owned());
        async move {
            let read = self
                .recorder
                .ask(move |store| store.recall(channel, &key))
                .await;
            read.ok().flatten()
        }
        .boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), MemoryError>> {
        let (channel, key, value) = (self.channel, key.to_owned(), value.to_owned());
        async move {
            let kept = self
                .recorder
                .ask(move |store| store.remember(channel, &key, &value))
                .await;
            match kept {
                Ok(true) => Ok(()),
                _ => Err(MemoryError),
            }
        }
        .boxed()
    }
}
