//! Who is who at the channels, on disk: people that are linked, and strangers with a code who wait to be.

use rusqlite::{OptionalExtension as _, Row, params};

use super::texts::time;
use super::{Store, StoreError, signed};

/// Someone at a channel who is a person of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRow {
    pub channel: String,
    pub id: String,
    pub person: String,
    pub place: String,
    pub shown_name: String,
    pub linked_unix_ms: u64,
    pub used_unix_ms: u64,
}

/// A stranger who was given a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingRow {
    pub code: String,
    pub channel: String,
    pub id: String,
    pub place: String,
    pub shown_name: String,
    pub asked_unix_ms: u64,
}

impl Store {
    /// Who is linked to whom, and who waits to be.
    pub fn people(&self) -> Result<(Vec<IdentityRow>, Vec<PairingRow>), StoreError> {
        let identities = "SELECT channel, id, person, place, shown_name, linked_unix_ms, used_unix_ms FROM identity
             ORDER BY person, channel, id";
        let pairings = "SELECT code, channel, id, place, shown_name, asked_unix_ms FROM pairing ORDER BY asked_unix_ms";
        Ok((
            self.query(identities, [], identity_from)?,
            self.query(pairings, [], pairing_from)?,
        ))
    }

    /// Links whoever was given `code` since `since_unix_ms`. None: there is no such code, or it is too old.
    pub fn link(
        &mut self,
        code: &str,
        person: &str,
        since_unix_ms: u64,
        now_unix_ms: u64,
    ) -> Result<Option<IdentityRow>, StoreError> {
        self.transact(|connection| {
            let found = connection
                .prepare_cached(
                    "DELETE FROM pairing WHERE code = ?1 AND asked_unix_ms >= ?2
                     RETURNING code, channel, id, place, shown_name, asked_unix_ms",
                )?
                .query_row(params![code, signed(since_unix_ms)], pairing_from)
                .optional()?;
            let Some(pairing) = found else {
                return Ok(None);
            };
            let identity = IdentityRow {
                channel: pairing.channel,
                id: pairing.id,
                person: person.to_owned(),
                place: pairing.place,
                shown_name: pairing.shown_name,
                linked_unix_ms: now_unix_ms,
                used_unix_ms: now_unix_ms,
            };
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO identity (channel, id, person, place, shown_name, linked_unix_ms, used_unix_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    identity.channel,
                    identity.id,
                    identity.person,
                    identity.place,
                    identity.shown_name,
                    signed(identity.linked_unix_ms),
                    signed(identity.used_unix_ms),
                ])?;
            Ok(Some(identity))
        })
    }

    /// Whether there was such a link.
    pub fn unlink(&mut self, channel: &str, id: &str) -> Result<bool, StoreError> {
        self.transact(|connection| {
            let mut delete =
                connection.prepare_cached("DELETE FROM identity WHERE channel = ?1 AND id = ?2")?;
            Ok(delete.execute([channel, id])? > 0)
        })
    }
}

fn identity_from(row: &Row<'_>) -> rusqlite::Result<IdentityRow> {
    Ok(IdentityRow {
        channel: row.get(0)?,
        id: row.get(1)?,
        person: row.get(2)?,
        place: row.get(3)?,
        shown_name: row.get(4)?,
        linked_unix_ms: time(row.get(5)?),
        used_unix_ms: time(row.get(6)?),
    })
}

fn pairing_from(row: &Row<'_>) -> rusqlite::Result<PairingRow> {
    Ok(PairingRow {
        code: row.get(0)?,
        channel: row.get(1)?,
        id: row.get(2)?,
        place: row.get(3)?,
        shown_name: row.get(4)?,
        asked_unix_ms: time(row.get(5)?),
    })
}
