//! Who lets us into a room, and what is said there before anything else: an invitation is accepted from people we know,
//! and, where the owner wants it, from strangers, who get a code. Owns the line about refused invitations and the one
//! about encrypted rooms.

use std::sync::PoisonError;

use tokio::time::{Duration, Instant};

use super::receive::{Receiver, Stop};
use super::wire::Invite;
use super::{Notice, address, compose};
use crate::channels::{Address, doorstep};

/// One line about refused invitations in this time.
const REFUSALS_EVERY: Duration = Duration::from_secs(60);

impl Receiver<'_> {
    pub(super) async fn invited(&mut self, invite: &Invite) -> Result<(), Stop> {
        let who = address(&invite.from);
        let door = &self.matrix.parts.door;
        let mut code = None;
        if !door.knows(&who).await {
            code = self.code(&who, &invite.shown_name).await;
            if code.is_none() {
                return self.refuse(invite).await;
            }
        }
        let session = &self.session;
        let from = invite.from.clone();
        if let Err(error) = self.try_some(|| session.join(&invite.room)).await? {
            let why = error.to_string();
            self.matrix.tell(Notice::NotJoined { from, why });
            return Ok(());
        }
        self.matrix.rooms().doubt(&invite.room);
        match code {
            Some(code) => self.offer_code(&invite.room, &invite.from, &code).await?,
            None => {
                self.matrix.tell(Notice::Joined { from });
                let facts = self.facts(&invite.room).await?;
                if facts.is_some_and(|facts| facts.is_encrypted == Some(true)) {
                    self.tell_encrypted(&invite.room).await?;
                }
            }
        }
        Ok(())
    }

    async fn refuse(&mut self, invite: &Invite) -> Result<(), Stop> {
        let session = &self.session;
        // If it fails the invitation stays, which harms nobody.
        let _ = self.try_some(|| session.leave(&invite.room)).await?;
        let (more, last) = self.refused;
        let now = Instant::now();
        if last.is_some_and(|last| now < last + REFUSALS_EVERY) {
            self.refused.0 = more.saturating_add(1);
            return Ok(());
        }
        self.refused = (0, Some(now));
        self.matrix.tell(Notice::InviteRefused {
            from: invite.from.clone(),
            more,
        });
        Ok(())
    }

    /// What a stranger may be told; none: nothing, just now or ever.
    pub(super) async fn code(&self, who: &Address, shown_name: &str) -> Option<String> {
        let matrix = self.matrix;
        let may_tell = || {
            let mut doorstep = matrix
                .doorstep
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            doorstep.may_tell(Instant::now().into_std(), &who.id)
        };
        match matrix.config.pairing && may_tell() {
            true => matrix.parts.door.code(who, shown_name).await,
            false => None,
        }
    }

    pub(super) async fn offer_code(&self, room: &str, from: &str, code: &str) -> Result<(), Stop> {
        // The code names the event: offered again it is the same one.
        let transaction = format!("code-{code}");
        let session = &self.session;
        let content = compose::notice(&doorstep::greeting(code));
        let sent = self
            .try_some(|| session.send(room, "m.room.message", &transaction, &content))
            .await?;
        if sent.is_ok() {
            self.remember_direct(from, room).await;
            self.matrix.tell(Notice::Paired {
                from: from.to_owned(),
            });
        }
        Ok(())
    }

    /// Says once in this room that we cannot read it.
    pub(super) async fn tell_encrypted(&self, room: &str) -> Result<(), Stop> {
        let key = format!("encrypted {room}");
        let memory = &self.matrix.parts.memory;
        if memory.get(&key).await.is_some() {
            return Ok(());
        }
        self.matrix.tell(Notice::Encrypted {
            room: room.to_owned(),
        });
        let content = compose::notice(
            "This room is encrypted, and I cannot read encrypted rooms. Please write to me in a room without \
             encryption. (This one line is not encrypted.)",
        );
        let session = &self.session;
        let sent = self
            .try_some(|| session.send(room, "m.room.message", "encrypted", &content))
            .await?;
        if sent.is_ok() {
            // Not kept means said again under the same transaction.
            let _ = memory.put(&key, "told").await;
        }
        Ok(())
    }
}
