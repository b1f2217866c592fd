//! From one event to what the hub gets of it: who said it, whether it is meant for us, its words or its sound. Owns the
//! handing over to the hub until it is kept.

use super::http::ApiError;
use super::judge::{self, Meant};
use super::receive::{EVENT_TRIES_MAX, Receiver, Stop};
use super::rooms::{Asked, Room};
use super::send::direct_key;
use super::wire::{Content, Event, Message, Mxc, What};
use super::{address, wire};
use crate::channels::handing::{offer, too_large, unusable, unusable_kind};
use crate::channels::{Body, Inbound, NotKept, TEXT_BYTES_MAX};

impl Receiver<'_> {
    /// True: it was for us, and is kept.
    pub(super) async fn event(&mut self, room: &str, event: &Event) -> Result<bool, Stop> {
        if event.sender == self.own.user_id {
            self.matrix.rooms().ours.put(&event.id, ());
            if let What::Member(member) = &event.what {
                self.own.shown_name = member.shown_name.clone();
            }
            return Ok(false);
        }
        match &event.what {
            What::Message(message) => self.message(room, event, message).await,
            What::Reaction { to, key } => self.reaction(room, event, to, key).await,
            What::Encrypted => {
                let is_known = self.matrix.parts.door.knows(&address(&event.sender)).await;
                let facts = self.facts(room).await?;
                if is_known && facts.is_some_and(is_private) {
                    self.tell_encrypted(room).await?;
                }
                Ok(false)
            }
            What::EncryptionOn | What::Member(_) | What::Other => Ok(false),
        }
    }

    /// None: we are not in that room any more.
    pub(super) async fn facts(&self, room: &str) -> Result<Option<Room>, Stop> {
        let (matrix, session) = (self.matrix, &self.session);
        self.insist(|| matrix.facts(session, room)).await
    }

    async fn message(
        &mut self,
        room: &str,
        event: &Event,
        message: &Message,
    ) -> Result<bool, Stop> {
        if message.content == Content::Notice {
            return Ok(false);
        }
        let Some(facts) = self.facts(room).await? else {
            return Ok(false);
        };
        let who = address(&event.sender);
        let is_known = self.matrix.parts.door.knows(&who).await;
        if !is_private(facts) && (!is_known || !self.is_meant(room, message).await?) {
            return Ok(false);
        }
        let mut body = self.body(event, message, is_known).await?;
        let replied = message.reply_to.as_ref().filter(|_| is_known);
        if let (Some(to), Body::Text(text)) = (replied, &body)
            && let Some(data) = self.button(room, to, text).await?
        {
            body = Body::Button { data };
        }
        self.matrix.rooms().asked.put(
            &event.id,
            Asked {
                sender: event.sender.clone(),
                thread: message.thread.clone(),
            },
        );
        let edits = message.replaces.clone();
        match self.keep(room, event, body, edits).await? {
            Ok(()) => {
                if is_private(facts) {
                    self.remember_direct(&event.sender, room).await;
                }
                Ok(true)
            }
            Err(NotKept::Stranger) => {
                if is_private(facts) {
                    let name = self.matrix.rooms().name(room, &event.sender).to_owned();
                    if let Some(code) = self.code(&who, &name).await {
                        self.offer_code(room, &event.sender, &code).await?;
                    }
                }
                Ok(false)
            }
            Err(NotKept::Full | NotKept::Busy | NotKept::Over) => Ok(true),
        }
    }

    async fn is_meant(&self, room: &str, message: &Message) -> Result<bool, Stop> {
        if !self.matrix.config.rooms {
            return Ok(false);
        }
        match judge::meant(message, &self.own) {
            Meant::Yes => Ok(true),
            Meant::No => Ok(false),
            Meant::IfOurs(to) => {
                if self.matrix.rooms().ours.get(&to).is_some() {
                    return Ok(true);
                }
                let session = &self.session;
                let seen = || session.seen(room, &to);
                let found = self.try_times(EVENT_TRIES_MAX, seen).await?.ok().flatten();
                Ok(found.is_some_and(|found| found.sender == self.own.user_id))
            }
        }
    }

    async fn body(&self, event: &Event, message: &Message, is_known: bool) -> Result<Body, Stop> {
        let most = self.matrix.config.voice_bytes_max;
        Ok(match &message.content {
            Content::Text(body) | Content::Emote(body) if body.len() > TEXT_BYTES_MAX => {
                unusable("This message is too long for me.")
            }
            Content::Text(body) => Body::Text(judge::words(message, body, &self.own)),
            Content::Emote(body) => Body::Text(format!("* {} {body}", event.sender)),
            Content::Unusable(what) => unusable_kind(what),
            Content::Notice => unusable(""),
            // Nothing is fetched for strangers.
            Content::Sound { .. } if !is_known => unusable("a voice note"),
            Content::Sound {
                bytes: Some(bytes), ..
            } if *bytes > most as u64 => too_large(most),
            Content::Sound { source: None, .. } => {
                unusable("This voice note is encrypted, and I cannot read encrypted messages.")
            }
            Content::Sound {
                source: Some(source),
                mime,
                ..
            } => self.sound(source, mime).await?,
        })
    }

    async fn sound(&self, source: &Mxc, mime: &str) -> Result<Body, Stop> {
        let most = self.matrix.config.voice_bytes_max;
        let session = &self.session;
        Ok(
            match self.try_some(|| session.download(source, most)).await? {
                Ok(bytes) => Body::Voice {
                    bytes,
                    mime: mime.to_owned(),
                },
                Err(ApiError::TooLarge) => too_large(most),
                Err(_) => unusable(
                    "Your voice note could not be fetched from its server. Please send it again.",
                ),
            },
        )
    }

    /// What an answer to one of our questions presses: its sign, its number, its label.
    async fn button(
        &self,
        room: &str,
        question: &str,
        answer: &str,
    ) -> Result<Option<String>, Stop> {
        let session = &self.session;
        let event = || session.event(room, question);
        let Ok(found) = self.try_times(EVENT_TRIES_MAX, event).await? else {
            return Ok(None);
        };
        if found["sender"] != self.own.user_id.as_str() {
            return Ok(None);
        }
        let labels = found["content"][wire::BUTTONS]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let pressed = wire::buttons(&found)
            .into_iter()
            .enumerate()
            .find(|(n, (key, _))| {
                let label = labels.get(*n).and_then(|button| button["label"].as_str());
                let is_label =
                    label.is_some_and(|label| label.to_lowercase() == answer.trim().to_lowercase());
                same_sign(key, answer) || answer.trim() == (n + 1).to_string() || is_label
            });
        Ok(pressed.map(|(_, (_, data))| data))
    }

    async fn reaction(
        &mut self,
        room: &str,
        event: &Event,
        to: &str,
        key: &str,
    ) -> Result<bool, Stop> {
        if !self.matrix.parts.door.knows(&address(&event.sender)).await {
            return Ok(false);
        }
        let Some(data) = self.button(room, to, key).await? else {
            return Ok(false);
        };
        // Questions are asked in rooms of two; whoever came in since has not been asked.
        if !self.facts(room).await?.is_some_and(is_private) {
            return Ok(false);
        }
        let kept = self.keep(room, event, Body::Button { data }, None).await?;
        Ok(kept.is_ok())
    }

    /// Hands a message to the hub until it is kept or turned down.
    async fn keep(
        &self,
        room: &str,
        event: &Event,
        body: Body,
        edits: Option<String>,
    ) -> Result<Result<(), NotKept>, Stop> {
        let shown_name = self.matrix.rooms().name(room, &event.sender).to_owned();
        let message = Inbound {
            id: event.id.clone(),
            from: address(&event.sender),
            place: room.to_owned(),
            shown_name,
            to: String::new(),
            at_unix_ms: event.at_unix_ms,
            body,
            edits,
        };
        let mut attempt = 0;
        loop {
            match offer(self.inbox, message.clone()).await {
                Err(NotKept::Busy) if self.inbox.is_closed() => return Err(Stop::Closed),
                Err(NotKept::Busy) => self.pause_for_store(attempt).await,
                kept => return Ok(kept),
            }
            attempt += 1;
        }
    }

    /// So that news for this person find their way after a restart.
    pub(super) async fn remember_direct(&self, user: &str, room: &str) {
        let key = direct_key(user);
        let memory = &self.matrix.parts.memory;
        if memory.get(&key).await.as_deref() != Some(room) {
            let _ = memory.put(&key, room).await;
        }
    }
}

/// A room of two, or fewer.
fn is_private(room: Room) -> bool {
    room.people.is_some_and(|people| people <= 2)
}

/// Clients add or leave out what asks for a coloured sign (U+FE0F).
fn same_sign(one: &str, other: &str) -> bool {
    let bare = |text: &str| text.trim().replace('\u{fe0f}', "");
    bare(one) == bare(other)
}
