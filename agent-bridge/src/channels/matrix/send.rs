//! From the hub to a room: one delivery as the events that it becomes, each under a transaction id of its own, so that a
//! delivery that is tried again goes on where it stopped and doubles nothing. And the sign that we are typing. Nothing is
//! ever sent in clear into a room that is encrypted.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::compose::{self, Relation};
use super::http::ApiError;
use super::session::Session;
use super::{Matrix, wire};
use crate::channels::{DeliveryError, OutBody, Outbound};

/// Deliveries under way whose progress is remembered; one that is forgotten begins anew, which doubles nothing.
pub(super) const PROGRESS_MAX: usize = 256;
/// A server that asks for patience is waited for this long within one delivery.
const PATIENCE: Duration = Duration::from_secs(20);
/// Before an account is logged in.
const NOT_YET: Duration = Duration::from_secs(2);
const TYPING_LASTS: Duration = Duration::from_secs(30);
const TYPING_REPEATS: Duration = Duration::from_secs(20);
/// An answer that takes longer is not being typed.
const TYPING_MAX: Duration = Duration::from_secs(600);
/// Places at once where we are typing; more see no sign.
const TYPING_PLACES_MAX: usize = 64;

/// How far a delivery has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    room: Option<String>,
    events: usize,
    first: Option<String>,
    mxc: Option<String>,
}

pub(super) async fn deliver(
    matrix: &Matrix,
    message: &Outbound,
) -> Result<Option<String>, DeliveryError> {
    let session = matrix.session.borrow().clone();
    let Some(session) = session else {
        return Err(DeliveryError::Passing {
            why: "not logged in to Matrix yet".to_owned(),
            retry_after: Some(NOT_YET),
        });
    };
    let known = || {
        let progress = matrix
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        progress.get(&message.id).cloned()
    };
    let mut delivery = Delivery {
        matrix,
        session,
        message,
        progress: known().unwrap_or_default(),
        until: Instant::now() + PATIENCE,
    };
    let outcome = delivery.run().await;
    let progress = delivery.progress;
    let mut kept = matrix
        .progress
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    match outcome {
        Ok(()) => {
            kept.remove(&message.id);
            Ok(progress.first)
        }
        Err(error) => {
            match error {
                DeliveryError::Passing { .. } => kept.put(&message.id, progress),
                DeliveryError::Final { .. } => drop(kept.remove(&message.id)),
            }
            Err(error)
        }
    }
}

struct Delivery<'a> {
    matrix: &'a Matrix,
    session: Arc<Session>,
    message: &'a Outbound,
    progress: Progress,
    until: Instant,
}

impl Delivery<'_> {
    async fn run(&mut self) -> Result<(), DeliveryError> {
        let room = self.room().await?;
        let people = self.check(&room).await?;
        let relation = self.relation(people);
        match &self.message.body {
            OutBody::Text(text) => self.texts(&room, text, &relation).await,
            OutBody::Voice {
                ogg_opus,
                duration_ms,
                words,
            } => {
                // As text too: it can be searched, and is there for who cannot listen.
                self.texts(&room, words, &relation).await?;
                self.voice(&room, ogg_opus, *duration_ms, &relation).await
            }
            OutBody::Ask { text, buttons } => {
                let (content, keys) = compose::question(text, buttons, &relation);
                self.event(&room, 0, &content).await?;
                let Some(question) = self.progress.first.clone() else {
                    return Ok(());
                };
                for (n, key) in keys.iter().enumerate() {
                    let content = compose::reaction(&question, key);
                    let transaction = format!("{}-r{n}", self.message.id);
                    // A person can add the sign too, or write.
                    let _ = self
                        .session
                        .send(&room, "m.reaction", &transaction, &content)
                        .await;
                }
                Ok(())
            }
        }
    }

    /// The room of this delivery: a place may be a user to whom we have never written.
    async fn room(&mut self) -> Result<String, DeliveryError> {
        let place = self.message.place.as_str();
        if wire::is_room(place) {
            return Ok(place.to_owned());
        }
        if let Some(room) = &self.progress.room {
            return Ok(room.clone());
        }
        if !wire::is_user(place) {
            return Err(DeliveryError::Final {
                why: "no Matrix room and no Matrix user".to_owned(),
            });
        }
        let key = direct_key(place);
        let memory = &self.matrix.parts.memory;
        let room = match memory.get(&key).await.filter(|room| wire::is_room(room)) {
            Some(room) => room,
            None => {
                let room = self.session.create_direct(place).await.map_err(failed)?;
                let _ = memory.put(&key, &room).await;
                room
            }
        };
        self.progress.room = Some(room.clone());
        Ok(room)
    }

    /// How many are there; an error where nothing may be said.
    async fn check(&self, room: &str) -> Result<usize, DeliveryError> {
        let facts = self
            .matrix
            .facts(&self.session, room)
            .await
            .map_err(failed)?;
        if facts.is_encrypted == Some(true) {
            return Err(DeliveryError::Final {
                why: "that Matrix room is encrypted, which is not supported".to_owned(),
            });
        }
        Ok(facts.people.unwrap_or(usize::MAX))
    }

    /// Among several people an answer shows whose question it answers; with one person that would be noise.
    fn relation(&self, people: usize) -> Relation {
        let Some(event) = &self.message.reply_to else {
            return Relation::default();
        };
        let rooms = self.matrix.rooms();
        let asked = rooms.asked.get(event);
        let is_among_many = people > 2;
        Relation {
            reply_to: is_among_many.then(|| event.clone()),
            thread: asked.and_then(|asked| asked.thread.clone()),
            user: asked
                .filter(|_| is_among_many)
                .map(|asked| asked.sender.clone()),
        }
    }

    async fn texts(
        &mut self,
        room: &str,
        text: &str,
        relation: &Relation,
    ) -> Result<(), DeliveryError> {
        let contents = compose::texts(text, relation);
        for (n, content) in contents.iter().enumerate() {
            self.event(room, n, content).await?;
        }
        Ok(())
    }

    /// The `n`th event of this delivery, unless it went out before.
    async fn event(&mut self, room: &str, n: usize, content: &Value) -> Result<(), DeliveryError> {
        if n < self.progress.events {
            return Ok(());
        }
        let transaction = format!("{}-{n}", self.message.id);
        self.send(room, &transaction, content).await?;
        self.progress.events = n + 1;
        Ok(())
    }

    async fn voice(
        &mut self,
        room: &str,
        sound: &[u8],
        duration_ms: u32,
        relation: &Relation,
    ) -> Result<(), DeliveryError> {
        let address = match &self.progress.mxc {
            Some(address) => address.clone(),
            None => {
                let uploaded = self.session.upload("voice.ogg", "audio/ogg", sound).await;
                let address = uploaded.map_err(failed)?;
                self.progress.mxc = Some(address.clone());
                address
            }
        };
        let content = compose::voice(&address, sound.len(), duration_ms, relation);
        let transaction = format!("{}-v", self.message.id);
        self.send(room, &transaction, &content).await
    }

    async fn send(
        &mut self,
        room: &str,
        transaction: &str,
        content: &Value,
    ) -> Result<(), DeliveryError> {
        loop {
            let sent = self
                .session
                .send(room, "m.room.message", transaction, content)
                .await;
            match sent {
                Ok(event) => {
                    self.matrix.rooms().ours.put(&event, ());
                    self.progress.first.get_or_insert(event);
                    return Ok(());
                }
                Err(ApiError::Limited { after }) if Instant::now() + after <= self.until => {
                    sleep(after).await
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

/// Where the room of two with this user is remembered.
pub(super) fn direct_key(user: &str) -> String {
    format!("direct {user}")
}

fn failed(error: ApiError) -> DeliveryError {
    let why = error.to_string();
    match error {
        ApiError::Limited { after } => DeliveryError::Passing {
            why,
            retry_after: Some(after),
        },
        ApiError::Away { .. } | ApiError::Token | ApiError::Garbled => DeliveryError::Passing {
            why,
            retry_after: None,
        },
        ApiError::Refused { .. } | ApiError::TooLarge => DeliveryError::Final { why },
    }
}

pub(super) async fn typing(matrix: &Matrix, place: &str, is_on: bool) {
    let session = matrix.session.borrow().clone();
    let Some(session) = session.filter(|_| wire::is_room(place)) else {
        return;
    };
    let room = place.to_owned();
    let mut signs = matrix.typing.lock().unwrap_or_else(PoisonError::into_inner);
    signs.retain(|_, sign| !sign.is_finished());
    if let Some(sign) = signs.remove(place) {
        sign.abort();
    } else if !is_on {
        return;
    }
    if !is_on {
        // Nobody waits for a sign to fade.
        tokio::spawn(async move {
            let _ = session.typing(&room, None).await;
        });
        return;
    }
    if signs.len() >= TYPING_PLACES_MAX {
        return;
    }
    let sign = tokio::spawn(async move {
        let until = Instant::now() + TYPING_MAX;
        while Instant::now() < until {
            let _ = session.typing(&room, Some(TYPING_LASTS)).await;
            sleep(TYPING_REPEATS).await;
        }
    });
    signs.insert(place.to_owned(), sign.abort_handle());
}
