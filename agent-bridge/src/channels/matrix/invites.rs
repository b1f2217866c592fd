//! Who lets us into a room, and what is said there before anything else: an invitation is accepted from people we know,
//! and, where the owner wants it, from strangers, who get a code. Owns the line about refused invitations and the one
//! about encrypted rooms.

use std::collections::HashMap;
use std::sync::PoisonError;

use tokio::time::{Duration, Instant, timeout};

use super::receive::{Receiver, Stop};
use super::wire::Invite;
use super::{Notice, address, compose};
use crate::channels::{Address, doorstep};

/// Who invites us is looked up once each, for this many people in one sync. Invitations of more stay unanswered, a
/// friend's among them too.
pub(super) const INVITERS_MAX: usize = 500;
/// Invitations of people we know that are answered in one sync, before those of strangers; more are answered behind the
/// next one.
pub(super) const FRIENDS_MAX: usize = 10;
/// Invitations of people we know that wait for the next sync. More are lost: they have to invite us again.
const LATE_MAX: usize = 200;
/// Invitations of strangers that are answered in one sync; more stay unanswered, which harms nobody.
const STRANGERS_MAX: usize = 10;
/// Anybody can invite us, from a server that takes its time: the others wait this long for all strangers of one sync.
#[cfg(not(test))]
const STRANGERS_TIMEOUT: Duration = Duration::from_secs(10);
#[cfg(test)]
const STRANGERS_TIMEOUT: Duration = Duration::from_secs(1);
/// One line about refused invitations in this time.
const REFUSALS_EVERY: Duration = Duration::from_secs(60);

impl Receiver<'_> {
    /// An invitation comes in one sync only: what is not answered now, and is not kept for the next, is not answered.
    pub(super) async fn invitations(&mut self, invites: &[Invite]) -> Result<(), Stop> {
        let late = std::mem::take(&mut self.late);
        let all: Vec<&Invite> = late.iter().chain(invites).collect();
        let known = self.known(&all).await;
        let of = |wanted: bool| {
            let from = |invite: &Invite| known.get(invite.from.as_str()).copied();
            let found = all.iter().copied();
            found
                .filter(|invite| from(invite) == Some(wanted))
                .collect()
        };
        let (friends, strangers): (Vec<&Invite>, Vec<&Invite>) = (of(true), of(false));
        for invite in friends.iter().take(FRIENDS_MAX) {
            self.invited(invite, true).await?;
        }
        let waiting = friends.iter().skip(FRIENDS_MAX).take(LATE_MAX);
        self.late = waiting.copied().cloned().collect();

        let mut answered = friends.len().min(FRIENDS_MAX + LATE_MAX);
        let answer = async {
            for invite in strangers.iter().take(STRANGERS_MAX) {
                self.invited(invite, false).await?;
                answered += 1;
            }
            Ok(())
        };
        if let Ok(outcome) = timeout(STRANGERS_TIMEOUT, answer).await {
            outcome?;
        }
        let unanswered = u32::try_from(all.len() - answered).unwrap_or(u32::MAX);
        self.refused.0 = self.refused.0.saturating_add(unanswered);
        Ok(())
    }

    /// Whom of these we know; nobody is asked about those behind [`INVITERS_MAX`].
    async fn known<'a>(&self, invites: &[&'a Invite]) -> HashMap<&'a str, bool> {
        let mut known = HashMap::new();
        for invite in invites {
            let from = invite.from.as_str();
            if known.len() < INVITERS_MAX && !known.contains_key(from) {
                let is_known = self.matrix.parts.door.knows(&address(from)).await;
                known.insert(from, is_known);
            }
        }
        known
    }

    async fn invited(&mut self, invite: &Invite, is_known: bool) -> Result<(), Stop> {
        let who = address(&invite.from);
        let mut code = None;
        if !is_known {
            code = self.code(&who, &invite.shown_name).await;
            if code.is_none() {
                return self.refuse(invite).await;
            }
        }
        let session = &self.session;
        let from = invite.from.clone();
        let tries_max = if is_known { 2 } else { 1 };
        let join = || session.join(&invite.room);
        if let Err(error) = self.try_times(tries_max, join).await? {
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
        let leave = || session.leave(&invite.room);
        let _ = self.try_times(1, leave).await?;
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
