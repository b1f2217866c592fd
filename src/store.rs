//! What must survive a restart: registrations, bans, counters, calls, turns and conversations, in one SQLite file.
//!
//! Calls here block on the disk; the server makes them on a thread of its own (`store/worker.rs`). Write
//! ahead logging with `synchronous = NORMAL`: what a call has returned from survives `kill -9`; a power
//! cut may cost the last moments, never the file.
//!
//! Not here: the shape of the tables (`store/schema.rs`), secrets (`secrets`).

mod audit;
mod callbacks;
mod export;
mod identities;
mod lasting;
mod queue;
mod rows;
mod schema;
mod texts;
mod traces;
mod web;
mod worker;

#[cfg(test)]
mod audit_tests;
#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod lasting_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod texts_tests;
#[cfg(test)]
mod traces_tests;

pub use audit::{AUDIT_ROWS_MAX, ApprovalRow, AuditRow, Freeze};
pub use callbacks::{CallbackRow, NoticeRow};
pub use identities::{IdentityRow, PairingRow};
pub use lasting::{BINDINGS_PER_USER_MAX, Lasting};
pub use rows::*;
pub use texts::{
    InboxRow, NOTED, NOTED_BY, NewMessage, OutboxRow, ShownRow, TextChange, TextKept, TextsSaved,
};
pub use traces::{TraceError, TraceStore, load_trace};
pub use web::WebSessionRow;
pub use worker::{StoreHandle, Write};

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_bridge::turn::Ledger;
use agent_bridge::turn::trace::Trace;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

/// Files up to this size are checked whole when opened; larger ones would delay the start.
const CHECK_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long a write waits for another process that reads or writes the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest text of one row, in bytes; longer ones are cut.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Most rows one query hands out.
pub const ROWS_MAX: usize = 1_000;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk; later writes may succeed.
    #[error("no room left for the database {}", path.display())]
    Full { path: PathBuf },
    /// The file is damaged or no database. [`Store::set_aside`] makes room for a new one.
    #[error("the database {} is damaged ({why}); `offhook run --set-aside-database` renames it and starts a new one", path.display())]
    Corrupt { path: PathBuf, why: String },
    /// A later program wrote it.
    #[error("the database {} has version {found}, this program knows up to {known}: it was written by a newer offhook", path.display())]
    Newer {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    /// Another process holds it.
    #[error("the database {} is in use by another program", path.display())]
    Busy { path: PathBuf },
    /// A turn of a call that was never recorded.
    #[error("no such call")]
    NoSuchCall,
    /// The store's thread has ended or its queue is full.
    #[error("the store takes no more work: {why}")]
    Unavailable { why: &'static str },
    #[error("database {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Trace(#[from] TraceError),
    #[error("database {}: {source}", path.display())]
    Database {
        path: PathBuf,
        source: rusqlite::Error,
    },
}

/// One open database.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    traces: Option<TraceStore>,
    /// A transaction is open that others have begun.
    is_together: bool,
}

impl Store {
    /// Opens the database at `path`, made for its owner only (0600) where it is missing, and brings its
    /// tables up to date.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let io_failed = |source: io::Error| match source.kind() {
            io::ErrorKind::StorageFull => StoreError::Full {
                path: path.to_path_buf(),
            },
            _ => StoreError::Io {
                path: path.to_path_buf(),
                source,
            },
        };
        // SQLite would make it readable for all; its side files take the mode of the main one.
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let opened = options.open(path).and_then(|file| file.metadata());
        let bytes_count = opened.map_err(io_failed)?.len();
        let connection = Connection::open(path).map_err(|error| sort(path, error))?;
        let mut store = Store {
            connection,
            path: path.to_path_buf(),
            traces: None,
            is_together: false,
        };
        store.prepare(bytes_count)?;
        Ok(store)
    }

    fn prepare(&mut self, bytes_count: u64) -> Result<(), StoreError> {
        let path = self.path.clone();
        let sorted = |error| sort(&path, error);
        let connection = &mut self.connection;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(sorted)?;
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(sorted)?;
        connection
            .pragma_update(None, "synchronous", "NORMAL")
            .map_err(sorted)?;
        connection
            .pragma_update(None, "foreign_keys", true)
            .map_err(sorted)?;
        if bytes_count <= CHECK_BYTES_MAX {
            let verdict: String = connection
                .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
                .map_err(sorted)?;
            if verdict != "ok" {
                return Err(StoreError::Corrupt { path, why: verdict });
            }
        }
        schema::migrate(connection, &path)
    }

    /// Renames a damaged database and its side files to `….corrupt-<unix_s>`, and says to what. Only
    /// with the owner's consent: what is in there is not in the new one.
    pub fn set_aside(path: &Path, unix_s: u64) -> io::Result<PathBuf> {
        let ending = format!(".corrupt-{unix_s}");
        let with = |ending: &str| {
            let mut name = path.as_os_str().to_os_string();
            name.push(ending);
            PathBuf::from(name)
        };
        let aside = with(&ending);
        fs::rename(path, &aside)?;
        for side in ["-wal", "-shm"] {
            match fs::rename(with(side), with(&format!("{ending}{side}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(aside)
    }

    pub fn call_started(&mut self, call: &CallStarted) -> Result<(), StoreError> {
        self.transact(|connection| {
            let mut statement = connection.prepare_cached(
                "INSERT INTO call (id, user, number, remote, user_agent, started_unix_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            statement.execute(params![
                call.id,
                call.user,
                cut(&call.number),
                call.remote,
                call.user_agent.as_deref().map(cut),
                signed(call.started_unix_ms),
            ])?;
            Ok(())
        })
    }

    pub fn call_ended(&mut self, end: &CallEnded) -> Result<(), StoreError> {
        let changed = self.transact(|connection| {
            let mut statement = connection.prepare_cached(
                "UPDATE call SET ended_unix_ms = ?2, result = ?3, reason = ?4, blame = ?5, codec = ?6,
                 stats = ?7, guesses = ?8, hits = ?9, misses = ?10, saved_ms = ?11, tokens_wasted = ?12
                 WHERE id = ?1",
            )?;
            statement.execute(params![
                    end.id,
                    signed(end.ended_unix_ms),
                    end.result,
                    cut(&end.reason),
                    end.blame,
                    end.codec,
                    end.stats_json,
                    end.ledger.guesses,
                    end.ledger.hits,
                    end.ledger.misses,
                    signed(end.ledger.saved_ms),
                    signed(end.ledger.tokens_wasted),
                ])
        })?;
        if changed == 0 {
            Err(StoreError::NoSuchCall)
        } else {
            Ok(())
        }
    }

    /// Ends calls that a crash left open. How many there were.
    pub fn close_unfinished(&mut self, now_unix_ms: u64) -> Result<usize, StoreError> {
        self.transact(|connection| {
            connection.execute(
                "UPDATE call SET ended_unix_ms = ?1, result = 'lost', reason = 'the program ended',
                 blame = 'ours' WHERE ended_unix_ms IS NULL",
                params![signed(now_unix_ms)],
            )
        })
    }

    /// Writes one finished turn of a call; the same turn again replaces it.
    pub fn add_turn(&mut self, turn: &TurnRow) -> Result<(), StoreError> {
        self.transact(|connection| {
            let mut statement = connection.prepare_cached(
                "INSERT OR REPLACE INTO turn (call, n, at_unix_ms, caller_text, reply_text, heard_text,
                 latencies, gateway, model, tools) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?;
            statement.execute(params![
                    turn.call,
                    turn.n,
                    signed(turn.at_unix_ms),
                    cut(&turn.caller_text),
                    cut(&turn.reply_text),
                    cut(&turn.heard_text),
                    turn.latencies_json,
                    turn.gateway,
                    turn.model,
                    (!turn.tools.is_empty())
                        .then(|| serde_json::to_string(&turn.tools).unwrap_or_default()),
                ])?;
            Ok(())
        })
    }

    /// The turns of one call in order.
    pub fn turns(&self, call: &str) -> Result<Vec<TurnRow>, StoreError> {
        let sql =
            "SELECT call, n, at_unix_ms, caller_text, reply_text, heard_text, latencies, gateway,
             model, tools FROM turn
             WHERE call = ?1 ORDER BY n LIMIT ?2";
        self.query(sql, params![call, ROWS_MAX as i64], TurnRow::from_row)
    }

    /// Writes one message of a conversation. Its number, which grows within the store.
    pub fn add_message(&mut self, message: &MessageRow) -> Result<i64, StoreError> {
        self.transact(|connection| {
            let mut statement = connection.prepare_cached(
                "INSERT INTO message (conversation, role, text, heard, at_unix_ms, call, channel)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            statement.execute(params![
                message.conversation,
                message.role.as_str(),
                cut(&message.text),
                message.heard.as_deref().map(cut),
                signed(message.at_unix_ms),
                message.call,
                message.channel,
            ])?;
            Ok(connection.last_insert_rowid())
        })
    }

    /// The last `limit` messages of one conversation, the oldest of them first.
    pub fn conversation(
        &self,
        conversation: &str,
        limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let sql = "SELECT conversation, role, text, heard, at_unix_ms, call, channel FROM message
             WHERE conversation = ?1 ORDER BY id DESC LIMIT ?2";
        let limit = limit.min(ROWS_MAX) as i64;
        let mut rows = self.query(sql, params![conversation, limit], MessageRow::from_row)?;
        rows.reverse();
        Ok(rows)
    }

    /// The last `limit` calls, the newest first.
    pub fn recent_calls(&self, limit: usize) -> Result<Vec<CallRow>, StoreError> {
        let sql =
            "SELECT id, user, number, remote, user_agent, started_unix_ms, ended_unix_ms, result,
             reason, blame, codec, stats,
             (SELECT count(*) FROM turn WHERE turn.call = call.id),
             guesses, hits, misses, saved_ms, tokens_wasted FROM call
             ORDER BY started_unix_ms DESC, rowid DESC LIMIT ?1";
        self.query(sql, params![limit.min(ROWS_MAX) as i64], CallRow::from_row)
    }

    /// One call by its id.
    pub fn call(&self, id: &str) -> Result<Option<CallRow>, StoreError> {
        let sql =
            "SELECT id, user, number, remote, user_agent, started_unix_ms, ended_unix_ms, result,
             reason, blame, codec, stats,
             (SELECT count(*) FROM turn WHERE turn.call = call.id),
             guesses, hits, misses, saved_ms, tokens_wasted FROM call WHERE id = ?1";
        let found = self
            .connection
            .query_row(sql, [id], CallRow::from_row)
            .optional();
        found.map_err(|error| sort(&self.path, error))
    }

    /// What speculation brought and cost in all calls of the file.
    pub fn ledger(&self) -> Result<Ledger, StoreError> {
        let sql =
            "SELECT coalesce(sum(guesses), 0), coalesce(sum(hits), 0), coalesce(sum(misses), 0),
             coalesce(sum(saved_ms), 0), coalesce(sum(tokens_wasted), 0) FROM call";
        let sum = self
            .connection
            .query_row(sql, [], |row| rows::ledger_from(row, 0));
        sum.map_err(|error| sort(&self.path, error))
    }

    /// From now on traces are kept, here.
    pub fn keep_traces(&mut self, traces: TraceStore) {
        self.traces = Some(traces);
    }

    /// Writes one call's trace beside the database; nothing where no traces are kept.
    pub fn save_trace(&self, call: &str, trace: &Trace) -> Result<(), StoreError> {
        match &self.traces {
            Some(traces) => Ok(traces.save(call, trace)?),
            None => Ok(()),
        }
    }

    /// Forgets calls, turns, messages and traces from before `unix_ms`. How many calls and messages went.
    pub fn forget_before(&mut self, unix_ms: u64) -> Result<usize, StoreError> {
        if let Some(traces) = &self.traces {
            traces.forget_before(unix_ms)?;
        }
        self.transact(|connection| {
            let before = params![signed(unix_ms)];
            let messages =
                connection.execute("DELETE FROM message WHERE at_unix_ms < ?1", before)?;
            let calls = connection.execute(
                "DELETE FROM call WHERE started_unix_ms < ?1 AND ended_unix_ms IS NOT NULL",
                before,
            )?;
            connection.execute(
                "DELETE FROM callback WHERE is_over = 1 AND asked_unix_ms < ?1",
                before,
            )?;
            connection.execute("DELETE FROM notice WHERE at_unix_ms < ?1", before)?;
            connection.execute(
                "DELETE FROM inbox WHERE is_over = 1 AND at_unix_ms < ?1",
                before,
            )?;
            connection.execute(
                "DELETE FROM outbox WHERE state <> 'waiting' AND at_unix_ms < ?1",
                before,
            )?;
            Ok(messages + calls)
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `work` writes, in one transaction: all of it or nothing.
    fn together(
        &mut self,
        work: impl FnOnce(&mut Store) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.run("BEGIN")?;
        self.is_together = true;
        let done = work(self);
        self.is_together = false;
        let done = done.and_then(|()| self.run("COMMIT"));
        if done.is_err() {
            // SQLite may have done so already.
            let _ = self.run("ROLLBACK");
        }
        done
    }

    fn run(&self, sql: &str) -> Result<(), StoreError> {
        let run = || self.connection.prepare_cached(sql)?.execute([]);
        run().map(|_| ()).map_err(|error| sort(&self.path, error))
    }

    fn transact<T>(
        &mut self,
        apply: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let is_together = self.is_together;
        let work = |connection: &mut Connection| {
            if is_together {
                return apply(connection);
            }
            let transaction = connection.transaction()?;
            let value = apply(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        work(&mut self.connection).map_err(|error| sort(&self.path, error))
    }

    fn query<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let work = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map(parameters, read)?;
            rows.collect::<rusqlite::Result<Vec<T>>>()
        };
        work().map_err(|error| sort(&self.path, error))
    }
}

/// SQLite's error as the decision its reader has to make.
fn sort(path: &Path, error: rusqlite::Error) -> StoreError {
    let path = path.to_path_buf();
    let rusqlite::Error::SqliteFailure(failure, _) = &error else {
        return StoreError::Database {
            path,
            source: error,
        };
    };
    match failure.code {
        ErrorCode::DiskFull => StoreError::Full { path },
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt {
            path,
            why: failure.to_string(),
        },
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy { path },
        // The only foreign key that a write names itself is the call.
        ErrorCode::ConstraintViolation
            if failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY =>
        {
            StoreError::NoSuchCall
        }
        _ => StoreError::Database {
            path,
            source: error,
        },
    }
}

/// SQLite's integers are signed; times up to the year 292 million fit.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// At most [`TEXT_BYTES_MAX`] bytes of `text`, ending at a whole character.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}
