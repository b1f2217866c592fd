//! Telegram: a bot that receives by long polling and answers with messages, voice notes and buttons (Bot API 9). Owns the
//! joining of the parts; what is decided is pure and stands in `poll`, `update`, `answer` and `pieces`. Who may write is
//! the hub's affair, asked through [`Door`].
//!
//! Only private chats are answered, and groups that are named in the settings, there only where the bot is named or
//! answered. The token stands in every address, so no address is ever shown.

pub mod answer;
mod deliver;
mod form;
pub mod html;
pub mod pieces;
pub mod poll;
mod receive;
mod typing;
pub mod update;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::attempts::Attempts;
use super::doorstep::{Door, Doorstep};
use super::kept::Kept;
use super::questions::Questions;
use super::{
    Arrival, Channel, CheckError, DeliveryError, Memory, MemoryError, Outbound, Withdrawal,
};
use crate::gateways::Secret;
use answer::Answer;
use typing::Typing;
use update::Me;
pub use wire::TelegramConfigError;
use wire::Wire;

/// How identities and messages of this channel are marked.
pub const NAME: &str = "telegram";
/// Where bots are served unless the settings say otherwise.
pub const DEFAULT_URL: &str = "https://api.telegram.org";

#[derive(Debug, Clone)]
pub struct TelegramConfig {
    /// Where the Bot API is; empty: [`DEFAULT_URL`].
    pub url: String,
    /// As BotFather gave it.
    pub token: Secret,
    /// Groups whose people may talk to the bot there, by their (negative) ids.
    pub groups: Vec<i64>,
    /// Spreads the waits after failures.
    pub seed: [u8; 32],
}

impl TelegramConfig {
    fn address(&self) -> &str {
        match self.url.trim() {
            "" => DEFAULT_URL,
            url => url,
        }
    }
}

/// Whether Telegram accepts the token: the name of its bot. Takes nothing from a program that receives for it.
pub async fn check(config: &TelegramConfig) -> Result<String, CheckError> {
    let wire = Wire::new(config.address(), config.token.clone()).map_err(CheckError::new)?;
    match wire.call("getMe", &serde_json::json!({})).await {
        Answer::Done(value) => match Me::read(&value) {
            Some(me) => Ok(format!("@{}", me.username)),
            None => Err(CheckError::new("what answers is not Telegram's API")),
        },
        Answer::Refused(refusal) => Err(CheckError::new(refusal.words())),
        Answer::NotSent { why } | Answer::Unknown { why } => Err(CheckError::new(why)),
        Answer::TooLong { .. } => Err(CheckError::new("Telegram sends what cannot be read")),
    }
}

pub struct Telegram {
    config: TelegramConfig,
    wire: Wire,
    memory: Arc<dyn Memory>,
    door: Arc<dyn Door>,
    attempts: Kept<Attempts>,
    questions: Kept<Questions>,
    doorstep: Mutex<Doorstep>,
    standing: Mutex<String>,
    typing: Typing,
}

impl Telegram {
    /// A rustls crypto provider must have been installed by the program.
    pub fn new(
        config: TelegramConfig,
        memory: Arc<dyn Memory>,
        door: Arc<dyn Door>,
    ) -> Result<Telegram, TelegramConfigError> {
        let wire = Wire::new(config.address(), config.token.clone())?;
        Ok(Telegram {
            config,
            wire,
            memory,
            door,
            attempts: Kept::new("deliveries"),
            questions: Kept::new("questions"),
            doorstep: Mutex::new(Doorstep::default()),
            standing: Mutex::new("connecting".to_owned()),
            typing: Typing::default(),
        })
    }

    fn stand(&self, words: String) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    /// Changes what is remembered of deliveries, and returns when that is on disk.
    async fn note<T>(&self, change: impl FnOnce(&mut Attempts) -> T) -> Result<T, MemoryError> {
        self.attempts.change(&*self.memory, change).await
    }

    /// The same for questions that wait.
    async fn ask<T>(&self, change: impl FnOnce(&mut Questions) -> T) -> Result<T, MemoryError> {
        self.questions.change(&*self.memory, change).await
    }
}

impl Channel for Telegram {
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
        self.typing.set(&self.wire, place, is_on);
        async {}.boxed()
    }

    fn withdraw<'a>(&'a self, question: &'a Withdrawal) -> BoxFuture<'a, ()> {
        self.withdrawn(question).boxed()
    }

    fn standing(&self) -> String {
        let words = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        words.clone()
    }
}
