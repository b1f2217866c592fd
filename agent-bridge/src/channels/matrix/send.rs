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
use crate::channels::{DeliveryError, OutBody, Outbound, Withdrawal};

/// Deliveries under way whose progress is remembered; one that is forgotten begins anew, which doubles nothing.
pub(super) const PROGRESS_MAX: usize = 256;
/// A server that asks for patience is waited for this long within one delivery.
const PATIENCE: Duration = Duration::from_secs(20);
/// Before an account is logged in.
const NOT_YET: Duration = Duration::from_secs(2);
/// Signs of one question.
const BUTTONS_MAX: usize = 9;
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
    /// The room that was remembered was closed.
    has_moved: bool,
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
        is_closed: false,
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
    /// The room is closed to us, they have left it, or others in it must not see this.
    is_closed: bool,
}

impl Delivery<'_> {
    async fn run(&mut self) -> Result<(), DeliveryError> {
        let room = self.room().await?;
        let outcome = self.run_in(&room).await;
        let may_move = self.is_direct() && !self.progress.has_moved;
        if outcome.is_err() && self.is_closed && may_move {
            // They left, put us out, or had somebody join: next time there is another room. Once; two such rooms are an
            // answer.
            let key = direct_key(&self.message.place);
            self.matrix.parts.memory.put(&key, "").await?;
            self.matrix.rooms().doubt(&room);
            self.progress = Progress {
                has_moved: true,
                ..Progress::default()
            };
            return Err(DeliveryError::Passing {
                why: "the room with them will not do; there will be another".to_owned(),
                retry_after: None,
            });
        }
        outcome
    }

    async fn run_in(&mut self, room: &str) -> Result<(), DeliveryError> {
        let people = self.check(room).await?;
        let relation = self.relation(people);
        match &self.message.body {
            OutBody::Text(text) => self.texts(room, text, &relation).await,
            OutBody::Voice {
                ogg_opus,
                duration_ms,
                words,
            } => {
                // As text too: it can be searched, and is there for who cannot listen.
                self.texts(room, words, &relation).await?;
                self.voice(room, ogg_opus, *duration_ms, &relation).await
            }
            // Others there could read it, and answer. A person can be asked in another room.
            OutBody::Ask { .. } if people > 2 => {
                self.is_closed = true;
                Err(DeliveryError::Final {
                    why: "questions are asked in rooms of two only".to_owned(),
                })
            }
            OutBody::Ask { text, buttons } => {
                let (content, keys) = compose::question(text, buttons, &relation);
                self.event(room, 0, &content).await?;
                let Some(question) = self.progress.first.clone() else {
                    return Ok(());
                };
                for (n, key) in keys.iter().enumerate() {
                    let content = compose::reaction(&question, key);
                    let transaction = format!("{}-r{n}", self.message.id);
                    // A person can add the sign too, or write.
                    let _ = self
                        .session
                        .send(room, "m.reaction", &transaction, &content)
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
        let known = memory.get(&key).await.unwrap_or_default();
        let room = match wire::is_room(&known) {
            true => known,
            false => {
                // One whose answer was lost may be there.
                let found = match known.strip_prefix(CREATING) {
                    Some(mark) => self.session.find_direct(place, mark).await,
                    None => Ok(None),
                };
                let room = match found.map_err(failed)? {
                    Some(room) => room,
                    None => self.new_room(place, &key).await?,
                };
                let _ = memory.put(&key, &room).await;
                room
            }
        };
        self.progress.room = Some(room.clone());
        Ok(room)
    }

    /// A room with this user. Until its id is known, memory holds the mark to find it by.
    async fn new_room(&self, user: &str, key: &str) -> Result<String, DeliveryError> {
        let memory = &self.matrix.parts.memory;
        let mark = self.matrix.mark();
        let making = format!("{CREATING}{mark}");
        memory.put(key, &making).await?;
        let created = self.session.create_direct(user, &mark).await;
        let is_certainly_none = matches!(
            created,
            Err(ApiError::Refused { .. } | ApiError::Limited { .. } | ApiError::Token)
        );
        // Unless they wrote to us meanwhile, which gave us another room.
        if is_certainly_none && memory.get(key).await.as_deref() == Some(making.as_str()) {
            let _ = memory.put(key, "").await;
        }
        created.map_err(failed)
    }

    /// Whether it is for a person, in whichever room they are with us.
    fn is_direct(&self) -> bool {
        wire::is_user(&self.message.place)
    }

    /// How many are there; an error where nothing may be said.
    async fn check(&mut self, room: &str) -> Result<usize, DeliveryError> {
        let facts = self.matrix.facts(&self.session, room).await;
        let facts = facts.map_err(|error| self.refused(error))?;
        if facts.is_encrypted == Some(true) {
            return Err(DeliveryError::Final {
                why: "that Matrix room is encrypted, which is not supported".to_owned(),
            });
        }
        let people = facts.people.unwrap_or(usize::MAX);
        // A room that they have left takes everything, and nobody reads it, or somebody else whom they once asked in.
        if self.is_direct() {
            let left = self.session.has_left(room, &self.message.place).await;
            if left.map_err(|error| self.refused(error))? {
                self.is_closed = true;
                return Err(DeliveryError::Final {
                    why: "they have left the Matrix room with us".to_owned(),
                });
            }
        }
        Ok(people)
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
                Err(error) => return Err(self.refused(error)),
            }
        }
    }

    /// What a failure in the room itself means.
    fn refused(&mut self, error: ApiError) -> DeliveryError {
        self.is_closed |= matches!(error, ApiError::Refused { status: 403, .. });
        failed(error)
    }
}

/// Stands there while a room is being made, before its mark.
const CREATING: &str = "being made ";

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

/// The question shows what became of it, and our own signs below it go.
pub(super) async fn withdraw(matrix: &Matrix, over: &Withdrawal) {
    let Some(event) = over.theirs.as_deref() else {
        return;
    };
    // A question of an earlier run is over before we have signed in; whoever asks for this has patience.
    let mut signed_in = matrix.session.subscribe();
    let session = signed_in.wait_for(Option::is_some).await;
    let Some(session) = session.ok().and_then(|session| session.clone()) else {
        return;
    };
    let room = match wire::is_room(&over.place) {
        true => over.place.clone(),
        false => {
            let known = matrix.parts.memory.get(&direct_key(&over.place)).await;
            known.unwrap_or_default()
        }
    };
    if !wire::is_room(&room) {
        return;
    }
    // Kept from when it was asked; where the server does not give it out, the signs stay.
    let asked = session.event(&room, event).await.unwrap_or_default();
    let text = match over.text.as_str() {
        "" => compose::asked(&asked),
        text => text,
    };
    // Better a question that looks open than none: what was asked would be gone.
    if text.is_empty() {
        return;
    }
    let edit = compose::answered(event, text, &over.words);
    let transaction = format!("{}-w", over.id);
    let sent = session.send(&room, "m.room.message", &transaction, &edit);
    if let Ok(edit) = sent.await {
        matrix.rooms().ours.put(&edit, ());
    }
    for (n, (key, _)) in wire::buttons(&asked).iter().enumerate().take(BUTTONS_MAX) {
        // Under the transaction it was sent with it is the same sign, and this is its id.
        let sign = compose::reaction(event, key);
        let transaction = format!("{}-r{n}", over.id);
        if let Ok(sign) = session.send(&room, "m.reaction", &transaction, &sign).await {
            let transaction = format!("{}-x{n}", over.id);
            let _ = session.redact(&room, &sign, &transaction).await;
        }
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
