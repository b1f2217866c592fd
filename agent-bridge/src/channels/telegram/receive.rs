//! Messages from Telegram: the poller's wishes carried out, voice notes fetched, strangers greeted once, buttons answered.
//! Owns no decision about order or receipts; those are `poll`'s.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::answer::{Answer, Refusal};
use super::pieces::decided;
use super::poll::{HOLD, Input, Output, Poller, Standing, Unsettled};
use super::update::{Content, Message, Press, Update, What};
use super::{NAME, Telegram};
use crate::channels::backoff::backoff;
use crate::channels::doorstep::greeting;
use crate::channels::handing::{offer, too_large, unusable, unusable_kind};
use crate::channels::{Address, Arrival, Body, Inbound, NotKept, VOICE_BYTES_MAX};

/// Twenty-five texts of Telegram's greatest length, with all that may be told about them.
const UPDATES_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How often a voice note is fetched before its sender is asked to send it again.
const FETCHES_MAX: u32 = 3;
/// For a press that decides nothing.
const OVER: &str = "This question is no longer open.";
const STARTED: &str = "Connected. Write to me, or send a voice note.";

/// What an update is for the hub.
enum Taken {
    Offer(Box<Inbound>),
    /// Handled without it.
    Handled(Result<(), Unsettled>),
}

impl Telegram {
    pub(super) async fn receive(&self, inbox: mpsc::Sender<Arrival>) {
        let mut poller = Poller::new(self.config.seed);
        loop {
            while let Some(output) = poller.poll_output() {
                let input = match output {
                    Output::AskMe => Input::Me(self.wire.call("getMe", &json!({})).await),
                    Output::AskUpdates { offset, limit } => {
                        Input::Updates(self.updates(offset, limit).await)
                    }
                    Output::Offer(update) => {
                        let bot = poller.me().map_or(0, |me| me.id);
                        Input::Settled(self.settle(&update, bot, &inbox).await)
                    }
                };
                poller.handle(Instant::now().into_std(), input);
                self.stand(standing(&poller));
            }
            match poller.next_timeout() {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                // Stopped: only the owner can mend it.
                None => return std::future::pending().await,
            }
            poller.handle_timeout(Instant::now().into_std());
        }
    }

    async fn updates(&self, offset: Option<i64>, limit: u32) -> Answer {
        let mut body = json!({
            "limit": limit, "timeout": HOLD.as_secs(),
            "allowed_updates": ["message", "edited_message", "callback_query"],
        });
        if let Some(offset) = offset {
            body["offset"] = json!(offset);
        }
        self.wire.receive(&body, HOLD, UPDATES_BYTES_MAX).await
    }

    async fn settle(
        &self,
        update: &Update,
        bot: i64,
        inbox: &mpsc::Sender<Arrival>,
    ) -> Result<(), Unsettled> {
        match &update.what {
            What::Nothing => Ok(()),
            What::Message(message) => self.message(message, bot, None, inbox).await,
            What::Edited(message) => self.message(message, bot, Some(update.id), inbox).await,
            What::Pressed(press) => Ok(self.pressed(press, bot, inbox).await?),
        }
    }

    async fn message(
        &self,
        message: &Message,
        bot: i64,
        edit: Option<i64>,
        inbox: &mpsc::Sender<Arrival>,
    ) -> Result<(), Unsettled> {
        let is_ours = match message.is_private {
            true => message.chat == message.from,
            false => message.is_for_us && self.config.groups.contains(&message.chat),
        };
        if !is_ours {
            return Ok(());
        }
        let kept = match self.taken(message, bot, edit).await {
            Taken::Offer(inbound) => offer(inbox, *inbound).await.map_err(Unsettled::from),
            Taken::Handled(result) => result,
        };
        if kept == Err(NotKept::Stranger.into()) && message.is_private {
            self.greet(message).await;
        }
        kept
    }

    async fn taken(&self, message: &Message, bot: i64, edit: Option<i64>) -> Taken {
        let body = match &message.content {
            Content::Text(text) if text.trim() == "/start" && message.is_private => {
                return Taken::Handled(self.started(message).await);
            }
            Content::Text(text) => Body::Text(text.clone()),
            Content::Other(what) => unusable_kind(what),
            Content::Voice { .. } if !self.door.knows(&address(message.from)).await => {
                // Nothing is fetched for a stranger.
                return Taken::Handled(Err(NotKept::Stranger.into()));
            }
            Content::Voice { file, bytes, mime } => match self.fetched(file, *bytes, mime).await {
                Ok(body) => body,
                Err(unsettled) => return Taken::Handled(Err(unsettled)),
            },
        };
        let original = format!("{bot}:{}:{}", message.chat, message.number);
        let id = match edit {
            Some(update) => format!("{original}:{update}"),
            None => original.clone(),
        };
        Taken::Offer(Box::new(Inbound {
            id,
            from: address(message.from),
            place: message.chat.to_string(),
            shown_name: message.name.clone(),
            to: String::new(),
            at_unix_ms: message.at_s.saturating_mul(1_000),
            body,
            edits: edit.map(|_| original),
        }))
    }

    /// The first thing that Telegram sends for somebody who opens the chat.
    async fn started(&self, message: &Message) -> Result<(), Unsettled> {
        if !self.door.knows(&address(message.from)).await {
            return Err(NotKept::Stranger.into());
        }
        let body = json!({ "chat_id": message.chat, "text": STARTED });
        let _ = self.wire.call("sendMessage", &body).await;
        Ok(())
    }

    async fn greet(&self, message: &Message) {
        let id = message.from.to_string();
        let may_tell = {
            let mut doorstep = self
                .doorstep
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            doorstep.may_tell(Instant::now().into_std(), &id)
        };
        if !may_tell {
            return;
        }
        if let Some(code) = self.door.code(&address(message.from), &message.name).await {
            let body = json!({ "chat_id": message.chat, "text": greeting(&code) });
            let _ = self.wire.call("sendMessage", &body).await;
        }
    }

    async fn fetched(&self, file: &str, bytes: Option<u64>, mime: &str) -> Result<Body, Unsettled> {
        if bytes.is_some_and(|bytes| bytes > VOICE_BYTES_MAX as u64) {
            return Ok(too_large(VOICE_BYTES_MAX));
        }
        for failures in 0..FETCHES_MAX {
            let wait: Duration = match self.fetch(file).await {
                Ok(bytes) => {
                    return Ok(Body::Voice {
                        bytes,
                        mime: mime.to_owned(),
                    });
                }
                Err(Answer::TooLong { .. } | Answer::Refused(Refusal::FileTooLarge)) => {
                    return Ok(too_large(VOICE_BYTES_MAX));
                }
                Err(Answer::Refused(Refusal::TooMany { retry_after })) => retry_after,
                Err(Answer::Refused(Refusal::Token)) => return Err(Unsettled::Token),
                Err(Answer::Refused(_)) => break,
                Err(_) => backoff(failures),
            };
            tokio::time::sleep(wait).await;
        }
        Ok(unusable(
            "Your voice note could not be fetched from Telegram. Please send it again.",
        ))
    }

    async fn fetch(&self, file: &str) -> Result<Vec<u8>, Answer> {
        match self.wire.call("getFile", &json!({ "file_id": file })).await {
            Answer::Done(value) => {
                let path = value["file_path"].as_str().unwrap_or("");
                self.wire.file(path, VOICE_BYTES_MAX).await
            }
            answer => Err(answer),
        }
    }

    async fn pressed(
        &self,
        press: &Press,
        bot: i64,
        inbox: &mpsc::Sender<Arrival>,
    ) -> Result<(), NotKept> {
        let (place, number) = (press.chat.to_string(), press.number.to_string());
        let found = self
            .ask(|questions| questions.at(&place, &number).cloned())
            .await;
        let question = found.map_err(|_| NotKept::Busy)?;
        // Questions are asked in private chats; whoever else presses has not been asked.
        let is_asked = press.is_private && press.chat == press.from;
        let button = question.as_ref().filter(|_| is_asked).and_then(|question| {
            let n: usize = press.data.parse().ok()?;
            question.buttons.get(n)
        });
        let (Some(question), Some((label, data))) = (&question, button) else {
            if is_asked {
                let bare = json!({ "chat_id": press.chat, "message_id": press.number });
                let _ = self.wire.call("editMessageReplyMarkup", &bare).await;
            }
            self.toast(press, OVER).await;
            return Ok(());
        };
        let inbound = Inbound {
            id: format!("{bot}:{}:{}:{}", press.chat, press.number, press.query),
            from: address(press.from),
            place: place.clone(),
            shown_name: press.name.clone(),
            to: String::new(),
            at_unix_ms: 0,
            body: Body::Button { data: data.clone() },
            edits: None,
        };
        // What the question shows from now on instead of its buttons.
        let words = match offer(inbox, inbound).await {
            Err(NotKept::Busy) => return Err(NotKept::Busy),
            Err(NotKept::Full | NotKept::Stranger) => {
                self.toast(press, "This was not taken.").await;
                return Ok(());
            }
            Err(NotKept::Over) => OVER,
            Ok(()) => label,
        };
        self.toast(press, words).await;
        let edit = decided(press.chat, press.number, &question.text, words);
        let _ = self.wire.call("editMessageText", &edit).await;
        let closed = self
            .ask(|questions| questions.answered(&place, &number))
            .await;
        // Not written: the press comes again, and is known by its id.
        closed.map_err(|_| NotKept::Busy)
    }

    /// Ends the waiting sign at the button.
    async fn toast(&self, press: &Press, words: &str) {
        let body: Value = json!({ "callback_query_id": press.query, "text": words });
        let _ = self.wire.call("answerCallbackQuery", &body).await;
    }
}

fn address(id: i64) -> Address {
    Address {
        channel: NAME,
        id: id.to_string(),
    }
}

fn standing(poller: &Poller) -> String {
    let name = poller
        .me()
        .map(|me| me.username.as_str())
        .unwrap_or_default();
    let skipped = match poller.skipped {
        0 => String::new(),
        n => format!("; {n} messages were too large to be read"),
    };
    match poller.standing() {
        Standing::Connecting => "connecting".to_owned(),
        Standing::Receiving => format!("receiving as @{name}{skipped}"),
        Standing::Resting(why) => format!("waiting to try again: {why}{skipped}"),
        Standing::Stopped(why) => format!("stopped: {why}"),
    }
}
