//! Messages from Signal: the events of signal-cli one after the other, each until it is kept. Owns waits, the place where
//! to go on after a lost connection, and what a stranger is told.

use std::sync::PoisonError;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::envelope::{self, Content, Envelope};
use super::link::Events;
use super::rpc::Outcome;
use super::{NAME, Signal, base64, own_number};
use crate::channels::backoff::backoff;
use crate::channels::doorstep::greeting;
use crate::channels::handing::{offer, too_large, unusable, unusable_kind};
use crate::channels::{Address, Arrival, Body, Inbound, NotKept, VOICE_BYTES_MAX};

/// The id of the last event that was kept.
const EVENT: &str = "event";
/// How often a voice note is fetched before its sender is asked to send it again.
const FETCHES_MAX: u32 = 3;

impl Signal {
    pub(super) async fn receive(&self, inbox: mpsc::Sender<Arrival>) {
        let mut after = self.memory.get(EVENT).await;
        let mut failures = 0;
        loop {
            let why = match self.opened(after.as_deref()).await {
                Err(why) => why,
                Ok((ours, mut events)) => {
                    self.stand("receiving");
                    loop {
                        match events.next().await {
                            Err(why) => break why,
                            Ok(event) => {
                                failures = 0;
                                let is_message = self.event(&event.data, &ours, &inbox).await;
                                if event.id.is_some() && event.id != after {
                                    after = event.id;
                                    self.remember(is_message, after.as_deref()).await;
                                }
                            }
                        }
                    }
                }
            };
            let wait = backoff(failures);
            failures += 1;
            self.stand(format!("waiting to try again: {why}"));
            tokio::time::sleep(wait).await;
        }
    }

    /// Our number, and what comes without being asked. Nothing is taken before it is known whose it is.
    async fn opened(&self, after: Option<&str>) -> Result<(String, Events), &'static str> {
        let ours = own_number(&self.link, &self.config, self.next_id()).await?;
        let events = self.link.open(after, &self.config.account).await?;
        Ok((ours, events))
    }

    /// Receipts and signs of typing are not worth a write: they come again, and are nothing again.
    async fn remember(&self, is_message: bool, id: Option<&str>) {
        if let Some(id) = id.filter(|_| is_message) {
            // Not written: what comes again after a restart is known by its own id.
            let _ = self.memory.put(EVENT, id).await;
        }
    }

    /// Whether it was a message; it is kept then, or nobody's.
    async fn event(&self, data: &str, ours: &str, inbox: &mpsc::Sender<Arrival>) -> bool {
        let value: Value = serde_json::from_str(data).unwrap_or_default();
        let Some(envelope) = envelope::read(&value, ours) else {
            return false;
        };
        let from = self.identity(&envelope).await;
        let mut failures = 0;
        let kept = loop {
            let offered = match self.inbound(&envelope, &from).await {
                Ok(inbound) => offer(inbox, inbound).await,
                Err(not_kept) => Err(not_kept),
            };
            if offered != Err(NotKept::Busy) {
                break offered;
            }
            tokio::time::sleep(backoff(failures)).await;
            failures += 1;
        };
        match kept {
            Ok(()) => {
                let receipt = json!({ "recipient": from.id, "targetTimestamp": [envelope.at_ms], "type": "read" });
                // A receipt that is not shown is no loss.
                let _ = self.call("sendReceipt", &receipt).await;
            }
            Err(NotKept::Stranger) => self.greet(&from, &envelope).await,
            Err(_) => {}
        }
        true
    }

    /// The id that somebody here is known by: their account's, or their number.
    async fn identity(&self, envelope: &Envelope) -> Address {
        let address = |id: &str| Address {
            channel: NAME,
            id: id.to_owned(),
        };
        let number = envelope.number.as_deref().map(address);
        if let (Some(uuid), Some(number)) = (envelope.uuid.as_deref().map(address), number)
            && !self.door.knows(&uuid).await
            && self.door.knows(&number).await
        {
            return number;
        }
        address(envelope.sender())
    }

    async fn inbound(&self, envelope: &Envelope, from: &Address) -> Result<Inbound, NotKept> {
        let body = match &envelope.content {
            Content::Text(text) => Body::Text(text.clone()),
            Content::Other(what) => unusable_kind(what),
            // Nothing is fetched for a stranger.
            Content::Sound { .. } if !self.door.knows(from).await => return Err(NotKept::Stranger),
            Content::Sound {
                attachment,
                bytes,
                mime,
            } => match bytes {
                Some(bytes) if *bytes > VOICE_BYTES_MAX as u64 => too_large(VOICE_BYTES_MAX),
                _ => self.fetched(attachment, &from.id, mime).await,
            },
        };
        let sender = envelope.sender();
        Ok(Inbound {
            id: format!("{sender}:{}", envelope.at_ms),
            from: from.clone(),
            place: from.id.clone(),
            shown_name: envelope.name.clone(),
            to: String::new(),
            at_unix_ms: envelope.at_ms,
            body,
            edits: envelope.edits.map(|at| format!("{sender}:{at}")),
        })
    }

    async fn fetched(&self, attachment: &str, sender: &str, mime: &str) -> Body {
        let params = json!({ "id": attachment, "recipient": sender });
        for failures in 0..FETCHES_MAX {
            match self.call("getAttachment", &params).await {
                Outcome::Done(result) => {
                    let data = result["data"].as_str().or(result.as_str()).unwrap_or("");
                    match base64::decoded(data).filter(|bytes| !bytes.is_empty()) {
                        Some(bytes) if bytes.len() <= VOICE_BYTES_MAX => {
                            return Body::Voice {
                                bytes,
                                mime: mime.to_owned(),
                            };
                        }
                        _ => break,
                    }
                }
                Outcome::Refused { .. } => break,
                Outcome::NotDone { .. } | Outcome::Unknown { .. } => {
                    tokio::time::sleep(backoff(failures)).await;
                }
            }
        }
        unusable("Your voice note could not be fetched from signal-cli. Please send it again.")
    }

    async fn greet(&self, from: &Address, envelope: &Envelope) {
        let may_tell = {
            let mut doorstep = self.doorstep.lock().unwrap_or_else(PoisonError::into_inner);
            doorstep.may_tell(Instant::now().into_std(), envelope.sender())
        };
        if !may_tell {
            return;
        }
        if let Some(code) = self.door.code(from, &envelope.name).await {
            let params = json!({ "recipient": [from.id], "message": greeting(&code) });
            let _ = self.call("send", &params).await;
        }
    }
}
