//! Texts on disk: what came in and waits for its answer, what is on its way out, and what channels remember. Each
//! change is one transaction: a message and what follows from it are kept together or not at all. What waits is JSON of
//! its own shape (`hub/boundary`); words that are done with stay only in the conversation.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::identities::{IdentityRow, PairingRow};
use super::{MessageRow, ROWS_MAX, Store, StoreError, cut, signed};

/// Longest value that a channel may remember, in bytes; a longer one is refused by not being kept.
pub const MEMORY_BYTES_MAX: usize = 256 * 1024;
/// Where the hub notes its questions with buttons, among what channels remember.
pub const NOTED_BY: &str = "hub";
pub const NOTED: &str = "questions";
/// Strangers that wait for the owner's word.
const PAIRINGS_MAX: usize = 64;

/// A message that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxRow {
    /// Given by the store; 0 before.
    pub id: i64,
    pub channel: String,
    /// The channel's own id of it.
    pub theirs: String,
    pub at_unix_ms: u64,
    pub item_json: String,
    /// Its row in the conversation, once there is one.
    pub message: Option<i64>,
}

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Names the delivery for ever.
    pub id: String,
    pub channel: String,
    pub place: String,
    pub person: String,
    pub at_unix_ms: u64,
    pub due_unix_ms: u64,
    /// Not sent any more after this.
    pub until_unix_ms: u64,
    /// Attempts that were begun.
    pub attempts: u32,
    pub body_json: String,
    pub reply_to: Option<String>,
    /// Its row in the conversation.
    pub message: Option<i64>,
}

/// A message of a conversation with all that is shown of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownRow {
    pub id: i64,
    pub message: MessageRow,
    /// Name of its sound.
    pub voice: Option<String>,
    /// The message this answers.
    pub answers: Option<i64>,
    /// Where it went out: `waiting`, `sent`, `failed`; and what the other side said of it: `delivered`, `displayed`.
    pub delivery: Option<String>,
}

/// A line that is added to a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    pub message: MessageRow,
    pub voice: Option<String>,
}

/// One change, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextChange {
    /// A message came in; nothing where it is known already.
    Arrived {
        row: InboxRow,
        message: Option<NewMessage>,
    },
    /// What was said in a voice note.
    Heard {
        inbox: i64,
        message: NewMessage,
    },
    /// The turn is over: its answer, and what goes out because of it. Nothing where it is over already.
    Answered {
        inbox: i64,
        answer: Option<NewMessage>,
        out: Vec<OutboxRow>,
    },
    /// Something goes out by itself; nothing where a delivery of this name is known.
    Out {
        row: OutboxRow,
        message: Option<NewMessage>,
    },
    /// An attempt begins.
    Trying {
        id: String,
    },
    /// It has gone out. `message`: what is written into the conversation only now.
    Sent {
        id: String,
        theirs: Option<String>,
        message: Option<NewMessage>,
    },
    GaveUp {
        id: String,
        why: String,
    },
    /// The sound of a message was made.
    Voiced {
        message: i64,
        voice: String,
    },
    Used {
        channel: String,
        id: String,
        place: String,
        at_unix_ms: u64,
    },
    Pairing(PairingRow),
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextKept {
    /// False: it was known already, and nothing was written.
    pub is_new: bool,
    /// The row of the inbox.
    pub inbox: i64,
    /// The row in the conversation; 0: none was written.
    pub message: i64,
}

/// Everything that must be known after a start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextsSaved {
    /// In the order they came.
    pub inbox: Vec<InboxRow>,
    /// In the order they are to be sent.
    pub outbox: Vec<OutboxRow>,
    pub identities: Vec<IdentityRow>,
    pub pairings: Vec<PairingRow>,
    /// Questions with buttons that the last run left at their places, as it noted them.
    pub questions: String,
}

fn add(connection: &Connection, new: &NewMessage, answers: Option<i64>) -> rusqlite::Result<i64> {
    let message = &new.message;
    connection
        .prepare_cached(
            "INSERT INTO message (conversation, role, text, heard, at_unix_ms, call, channel, voice, answers)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            message.conversation,
            message.role.as_str(),
            cut(&message.text),
            message.heard.as_deref().map(cut),
            signed(message.at_unix_ms),
            message.call,
            message.channel,
            new.voice,
            answers,
        ])?;
    Ok(connection.last_insert_rowid())
}

/// False: there is one of this name.
fn add_out(
    connection: &Connection,
    row: &OutboxRow,
    message: Option<i64>,
) -> rusqlite::Result<bool> {
    let added = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO outbox (id, channel, place, person, at_unix_ms, due_unix_ms, until_unix_ms,
             attempts, state, body, reply_to, message)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'waiting', ?9, ?10, ?11)",
        )?
        .execute(params![
            row.id,
            row.channel,
            row.place,
            row.person,
            signed(row.at_unix_ms),
            signed(row.due_unix_ms),
            signed(row.until_unix_ms),
            row.attempts,
            row.body_json,
            row.reply_to,
            message,
        ])?;
    Ok(added > 0)
}

fn end_out(
    connection: &Connection,
    id: &str,
    state: &str,
    theirs: Option<&str>,
    why: Option<&str>,
) -> rusqlite::Result<bool> {
    let mut end = connection.prepare_cached(
        "UPDATE outbox SET state = ?2, body = NULL, theirs = ?3, why = ?4 WHERE id = ?1 AND state = 'waiting'",
    )?;
    Ok(end.execute(params![id, state, theirs, why.map(cut)])? > 0)
}

impl TextChange {
    /// Leaves what has to be done, without any line of a conversation.
    pub fn forget_words(&mut self) {
        match self {
            TextChange::Arrived { message, .. }
            | TextChange::Out { message, .. }
            | TextChange::Sent { message, .. } => *message = None,
            TextChange::Answered { answer, .. } => *answer = None,
            _ => {}
        }
    }

    fn write(&self, connection: &Connection) -> rusqlite::Result<TextKept> {
        let done = |is_new| TextKept {
            is_new,
            ..TextKept::default()
        };
        Ok(match self {
            TextChange::Arrived { row, message } => {
                let added = connection
                    .prepare_cached(
                        "INSERT OR IGNORE INTO inbox (channel, theirs, at_unix_ms, is_over, item)
                         VALUES (?1, ?2, ?3, 0, ?4)",
                    )?
                    .execute(params![row.channel, row.theirs, signed(row.at_unix_ms), row.item_json])?;
                if added == 0 {
                    return Ok(done(false));
                }
                let inbox = connection.last_insert_rowid();
                let message = match message {
                    Some(message) => add(connection, message, None)?,
                    None => 0,
                };
                if message != 0 {
                    connection
                        .prepare_cached("UPDATE inbox SET message = ?2 WHERE id = ?1")?
                        .execute([inbox, message])?;
                }
                TextKept { is_new: true, inbox, message }
            }
            TextChange::Heard { inbox, message } => {
                let known: Option<Option<i64>> = connection
                    .prepare_cached("SELECT message FROM inbox WHERE id = ?1 AND is_over = 0")?
                    .query_row([inbox], |row| row.get(0))
                    .optional()?;
                match known {
                    None => done(false),
                    Some(Some(message)) => TextKept { is_new: false, inbox: *inbox, message },
                    Some(None) => {
                        let message = add(connection, message, None)?;
                        connection
                            .prepare_cached("UPDATE inbox SET message = ?2 WHERE id = ?1")?
                            .execute([*inbox, message])?;
                        TextKept { is_new: true, inbox: *inbox, message }
                    }
                }
            }
            TextChange::Answered { inbox, answer, out } => {
                let open: Option<Option<i64>> = connection
                    .prepare_cached("SELECT message FROM inbox WHERE id = ?1 AND is_over = 0")?
                    .query_row([inbox], |row| row.get(0))
                    .optional()?;
                let Some(question) = open else {
                    return Ok(done(false));
                };
                connection
                    .prepare_cached("UPDATE inbox SET is_over = 1, item = NULL WHERE id = ?1")?
                    .execute([inbox])?;
                let message = match answer {
                    Some(answer) => add(connection, answer, question)?,
                    None => 0,
                };
                for row in out {
                    add_out(connection, row, (message != 0).then_some(message))?;
                }
                TextKept { is_new: true, inbox: *inbox, message }
            }
            TextChange::Out { row, message } => {
                let is_known: bool = connection
                    .prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE id = ?1)")?
                    .query_row([&row.id], |row| row.get(0))?;
                if is_known {
                    return Ok(done(false));
                }
                let message = match message {
                    Some(message) => add(connection, message, None)?,
                    None => 0,
                };
                add_out(connection, row, (message != 0).then_some(message))?;
                TextKept { is_new: true, inbox: 0, message }
            }
            TextChange::Trying { id } => done(
                connection
                    .prepare_cached("UPDATE outbox SET attempts = attempts + 1 WHERE id = ?1 AND state = 'waiting'")?
                    .execute([id])?
                    > 0,
            ),
            TextChange::Sent { id, theirs, message } => {
                let is_new = end_out(connection, id, "sent", theirs.as_deref(), None)?;
                let message = match message.as_ref().filter(|_| is_new) {
                    Some(message) => add(connection, message, None)?,
                    None => 0,
                };
                TextKept { message, ..done(is_new) }
            }
            TextChange::GaveUp { id, why } => done(end_out(connection, id, "failed", None, Some(why))?),
            TextChange::Voiced { message, voice } => done(
                connection
                    .prepare_cached("UPDATE message SET voice = ?2 WHERE id = ?1")?
                    .execute(params![message, voice])?
                    > 0,
            ),
            TextChange::Used { channel, id, place, at_unix_ms } => done(
                connection
                    .prepare_cached("UPDATE identity SET place = ?3, used_unix_ms = ?4 WHERE channel = ?1 AND id = ?2")?
                    .execute(params![channel, id, place, signed(*at_unix_ms)])?
                    > 0,
            ),
            TextChange::Pairing(row) => {
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO pairing (code, channel, id, place, shown_name, asked_unix_ms)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    )?
                    .execute(params![row.code, row.channel, row.id, row.place, row.shown_name, signed(row.asked_unix_ms)])?;
                connection
                    .prepare_cached(
                        "DELETE FROM pairing WHERE code NOT IN
                         (SELECT code FROM pairing ORDER BY asked_unix_ms DESC LIMIT ?1)",
                    )?
                    .execute([PAIRINGS_MAX as i64])?;
                done(true)
            }
        })
    }
}

impl Store {
    /// Carries out one change, all of it or nothing. It survives `kill -9` when this returns.
    pub fn keep_text(&mut self, change: &TextChange) -> Result<TextKept, StoreError> {
        self.transact(|connection| change.write(connection))
    }

    /// The other side has a text by SIP, or `is_displayed`: has shown it. `person`: who says so, where somebody does; it must
    /// be theirs. What is known already is not taken back. Whether anything is new.
    pub fn note_receipt(
        &mut self,
        delivery: &str,
        person: Option<&str>,
        is_displayed: bool,
    ) -> Result<bool, StoreError> {
        let sql = match is_displayed {
            true => {
                "UPDATE outbox SET seen = 'displayed'
                 WHERE id = ?1 AND channel = 'sip' AND (?2 IS NULL OR person = ?2) AND seen IS NOT 'displayed'"
            }
            false => {
                "UPDATE outbox SET seen = 'delivered'
                 WHERE id = ?1 AND channel = 'sip' AND (?2 IS NULL OR person = ?2) AND seen IS NULL"
            }
        };
        self.transact(|connection| {
            let noted = connection
                .prepare_cached(sql)?
                .execute(params![delivery, person])?;
            Ok(noted > 0)
        })
    }

    /// What waits, and who is who. At most `most` of each that waits.
    pub fn load_texts(&self, most: usize) -> Result<TextsSaved, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let inbox = "SELECT id, channel, theirs, at_unix_ms, item, message FROM inbox WHERE is_over = 0 ORDER BY id LIMIT ?1";
        let outbox = "SELECT id, channel, place, person, at_unix_ms, due_unix_ms, until_unix_ms, attempts, body, reply_to,
             message FROM outbox WHERE state = 'waiting' ORDER BY n LIMIT ?1";
        let (identities, pairings) = self.people()?;
        Ok(TextsSaved {
            inbox: self.query(inbox, [most], inbox_from)?,
            outbox: self.query(outbox, [most], outbox_from)?,
            identities,
            pairings,
            questions: self.recall(NOTED_BY, NOTED)?.unwrap_or_default(),
        })
    }

    /// The last `most` messages of a conversation with ids below `before`, the oldest of them first.
    pub fn history(
        &self,
        conversation: &str,
        before: Option<i64>,
        most: usize,
    ) -> Result<Vec<ShownRow>, StoreError> {
        let sql = "SELECT conversation, role, text, heard, at_unix_ms, call, channel, id, voice, answers,
             (SELECT COALESCE(o.seen, o.state) FROM outbox o WHERE o.message = message.id ORDER BY o.n DESC LIMIT 1)
             FROM message WHERE conversation = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3";
        let most = most.min(ROWS_MAX) as i64;
        let mut rows = self.query(sql, params![conversation, before, most], shown_from)?;
        rows.reverse();
        Ok(rows)
    }

    /// One message by its number.
    pub fn message(&self, id: i64) -> Result<Option<ShownRow>, StoreError> {
        let sql = "SELECT conversation, role, text, heard, at_unix_ms, call, channel, id, voice, answers,
             (SELECT COALESCE(o.seen, o.state) FROM outbox o WHERE o.message = message.id ORDER BY o.n DESC LIMIT 1)
             FROM message WHERE id = ?1";
        Ok(self.query(sql, [id], shown_from)?.into_iter().next())
    }

    /// Messages of a conversation that wait for their answers.
    pub fn unanswered(&self, conversation: &str) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT inbox.message FROM inbox JOIN message ON message.id = inbox.message
             WHERE inbox.is_over = 0 AND message.conversation = ?1";
        self.query(sql, [conversation], |row| row.get(0))
    }

    /// Those of these files of sounds that neither a message nor anything that waits for its answer names.
    pub fn unnamed_sounds(&self, mut names: Vec<String>) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE voice = ?1)
             OR EXISTS (SELECT 1 FROM inbox WHERE is_over = 0 AND instr(item, ?1) > 0)";
        let mut named = Vec::with_capacity(names.len());
        for name in &names {
            let found = self.query(sql, [name], |row| row.get::<_, bool>(0))?;
            named.push(found.first().copied().unwrap_or(true));
        }
        let mut named = named.into_iter();
        names.retain(|_| !named.next().unwrap_or(true));
        Ok(names)
    }

    /// What a channel wrote down.
    pub fn recall(&self, channel: &str, key: &str) -> Result<Option<String>, StoreError> {
        let rows = self.query(
            "SELECT value FROM memory WHERE channel = ?1 AND key = ?2",
            [channel, key],
            |row| row.get(0),
        )?;
        Ok(rows.into_iter().next())
    }

    /// Whether it was kept: not where it is longer than [`MEMORY_BYTES_MAX`].
    pub fn remember(&mut self, channel: &str, key: &str, value: &str) -> Result<bool, StoreError> {
        if value.len() > MEMORY_BYTES_MAX {
            return Ok(false);
        }
        self.transact(|connection| {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO memory (channel, key, value) VALUES (?1, ?2, ?3)",
                )?
                .execute([channel, key, value])?;
            Ok(true)
        })
    }
}

pub(super) fn time(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn inbox_from(row: &Row<'_>) -> rusqlite::Result<InboxRow> {
    Ok(InboxRow {
        id: row.get(0)?,
        channel: row.get(1)?,
        theirs: row.get(2)?,
        at_unix_ms: time(row.get(3)?),
        item_json: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
        message: row.get(5)?,
    })
}

fn outbox_from(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    Ok(OutboxRow {
        id: row.get(0)?,
        channel: row.get(1)?,
        place: row.get(2)?,
        person: row.get(3)?,
        at_unix_ms: time(row.get(4)?),
        due_unix_ms: time(row.get(5)?),
        until_unix_ms: time(row.get(6)?),
        attempts: row.get(7)?,
        body_json: row.get::<_, Option<String>>(8)?.unwrap_or_default(),
        reply_to: row.get(9)?,
        message: row.get(10)?,
    })
}

fn shown_from(row: &Row<'_>) -> rusqlite::Result<ShownRow> {
    Ok(ShownRow {
        message: MessageRow::from_row(row)?,
        id: row.get(7)?,
        voice: row.get(8)?,
        answers: row.get(9)?,
        delivery: row.get(10)?,
    })
}
