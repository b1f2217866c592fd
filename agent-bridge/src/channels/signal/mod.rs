//! Signal, by the daemon of signal-cli: messages and voice notes both ways, read receipts, typing. Owns the joining of the
//! parts; what events and answers mean is pure and stands in `envelope`, `events` and `rpc`. Who may write is the hub's
//! affair, asked through [`Door`].
//!
//! signal-cli has confirmed a message to Signal before anybody here sees it. What is lost with it is lost; over HTTP newer
//! versions keep the latest thousand and begin again behind the last one that was kept here.

pub mod base64;
pub mod envelope;
pub mod events;
mod link;
mod receive;
pub mod rpc;
mod typing;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::mpsc;

use super::attempts::Attempts;
use super::doorstep::{Door, Doorstep};
use super::kept::Kept;
use super::{Arrival, Channel, CheckError, DeliveryError, Memory, MemoryError, OutBody, Outbound};
use link::Link;
pub use link::SignalConfigError;
use rpc::Outcome;
use typing::Typing;

/// How identities and messages of this channel are marked.
pub const NAME: &str = "signal";
/// Where signal-cli's daemon is unless the settings say otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8080";

#[derive(Debug, Clone)]
pub struct SignalConfig {
    /// `http://…` or `tcp://…`; empty: [`DEFAULT_URL`].
    pub url: String,
    /// Our number. Where the daemon serves one account only, the account's id will do, or nothing: by these, messages to
    /// several accounts could not be told apart, and none is taken.
    pub account: String,
}

impl SignalConfig {
    fn address(&self) -> &str {
        match self.url.trim() {
            "" => DEFAULT_URL,
            url => url,
        }
    }
}

/// The number that events for us bear; empty: signal-cli was started for one account, and has no others.
async fn own_number(link: &Link, config: &SignalConfig, id: u64) -> Result<String, &'static str> {
    if config.account.starts_with('+') {
        return Ok(config.account.clone());
    }
    let request = rpc::request(id, "listAccounts", &serde_json::json!({}), "");
    match link.call(id, &request).await {
        Outcome::Done(result) => rpc::only_account(&result),
        // Only a daemon for all accounts knows the question.
        Outcome::Refused { .. } => Ok(String::new()),
        Outcome::NotDone { why, .. } | Outcome::Unknown { why } => Err(why),
    }
}

/// Whether signal-cli answers, and messages for us can be told from others: its version.
pub async fn check(config: &SignalConfig) -> Result<String, CheckError> {
    let link = Link::new(config.address()).map_err(CheckError::new)?;
    let request = rpc::request(1, "version", &serde_json::json!({}), "");
    let name = match link.call(1, &request).await {
        Outcome::Done(result) => match result["version"].as_str().or(result.as_str()) {
            Some(version) if version.len() <= 40 => format!("signal-cli {version}"),
            _ => "signal-cli".to_owned(),
        },
        Outcome::Refused { why } | Outcome::NotDone { why, .. } | Outcome::Unknown { why } => {
            return Err(CheckError::new(why));
        }
    };
    let ours = own_number(&link, config, 2).await;
    ours.map(|_| name).map_err(CheckError::new)
}

pub struct Signal {
    config: SignalConfig,
    link: Link,
    memory: Arc<dyn Memory>,
    door: Arc<dyn Door>,
    /// Names requests.
    requests: Arc<AtomicU64>,
    attempts: Kept<Attempts>,
    doorstep: Mutex<Doorstep>,
    standing: Mutex<String>,
    typing: Typing,
}

impl Signal {
    /// A rustls crypto provider must have been installed by the program.
    pub fn new(
        config: SignalConfig,
        memory: Arc<dyn Memory>,
        door: Arc<dyn Door>,
    ) -> Result<Signal, SignalConfigError> {
        let link = Link::new(config.address())?;
        Ok(Signal {
            config,
            link,
            memory,
            door,
            requests: Arc::new(AtomicU64::new(1)),
            attempts: Kept::new("deliveries"),
            doorstep: Mutex::new(Doorstep::default()),
            standing: Mutex::new("connecting".to_owned()),
            typing: Typing::default(),
        })
    }

    fn stand(&self, words: impl Into<String>) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = words.into();
    }

    fn next_id(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    async fn call(&self, method: &str, params: &Value) -> Outcome {
        let id = self.next_id();
        let request = rpc::request(id, method, params, &self.config.account);
        self.link.call(id, &request).await
    }

    /// Changes what is remembered of deliveries, and returns when that is on disk.
    async fn note<T>(&self, change: impl FnOnce(&mut Attempts) -> T) -> Result<T, MemoryError> {
        self.attempts.change(&*self.memory, change).await
    }

    async fn send(&self, message: &Outbound) -> Result<Option<String>, DeliveryError> {
        let at = self.note(|attempts| attempts.at(&message.id)).await?;
        let sound: &[u8] = match &message.body {
            OutBody::Voice { ogg_opus, .. } => ogg_opus,
            OutBody::Text(_) | OutBody::Ask { .. } => &[],
        };
        let mut first = at.first;
        let mut in_doubt = at.in_doubt;
        for piece in rpc::pieces(&message.body).iter().skip(at.sent) {
            self.note(|attempts| attempts.begin(&message.id)).await?;
            let params = rpc::send(&message.place, piece, sound, in_doubt);
            let theirs = match self.call("send", &params).await {
                Outcome::Done(result) => result["timestamp"].as_u64().map(|at| at.to_string()),
                outcome => return Err(self.undelivered(&message.id, outcome).await),
            };
            self.note(|attempts| attempts.sent(&message.id, theirs.as_deref()))
                .await?;
            first = first.or(theirs);
            in_doubt = false;
        }
        Ok(first)
    }

    /// Writes down what is certain, and says what to do.
    async fn undelivered(&self, id: &str, outcome: Outcome) -> DeliveryError {
        let passing = |why: &str, retry_after| DeliveryError::Passing {
            why: why.to_owned(),
            retry_after,
        };
        let error = match outcome {
            Outcome::Unknown { why } => return passing(why, None),
            Outcome::NotDone { why, retry_after } => passing(why, retry_after),
            Outcome::Refused { why } => DeliveryError::Final {
                why: why.to_owned(),
            },
            Outcome::Done(_) => passing("signal-cli failed", None),
        };
        // Where this cannot be written the piece is in doubt later, and says so.
        let _ = self.note(|attempts| attempts.not_sent(id)).await;
        error
    }
}

impl Channel for Signal {
    fn name(&self) -> &'static str {
        NAME
    }

    fn run(self: Arc<Self>, inbox: mpsc::Sender<Arrival>) -> BoxFuture<'static, ()> {
        async move { self.receive(inbox).await }.boxed()
    }

    fn deliver<'a>(
        &'a self,
        message: &'a Outbound,
    ) -> BoxFuture<'a, Result<Option<String>, DeliveryError>> {
        self.send(message).boxed()
    }

    fn typing<'a>(&'a self, place: &'a str, is_on: bool) -> BoxFuture<'a, ()> {
        self.typing.set(self, place, is_on);
        async {}.boxed()
    }

    fn standing(&self) -> String {
        let words = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        words.clone()
    }
}
