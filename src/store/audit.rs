//! The audit log, what waits for a decision, and the stop: rows that the running program and the command line share.
//!
//! Not here: who may decide (`agent_bridge::levels`), what is written when (`audit`, `approvals`).

use rusqlite::{Row, params};

use super::{ROWS_MAX, Store, StoreError, cut, signed};

/// Entries that are kept; the oldest go first.
pub const AUDIT_ROWS_MAX: i64 = 100_000;
/// So many entries are written between two looks at how many there are.
const TIDY_EVERY: i64 = 256;

/// One entry of the audit log. Entries are added and forgotten for age, never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    pub at_unix_ms: u64,
    /// The call's name in the records.
    pub call: Option<String>,
    /// The account, or the trunk; empty: nobody in particular.
    pub user: String,
    /// The level in force; empty: none was asked for.
    pub level: String,
    /// Such as `phone`, `cli`, `api`.
    pub channel: String,
    /// Such as `approval decided`.
    pub kind: String,
    /// Without secrets.
    pub what: String,
    pub result: String,
}

/// Something that waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRow {
    pub id: String,
    /// `exec`, `plugin` or `tool`.
    pub kind: String,
    pub session: String,
    /// Untrusted; may hold anything.
    pub what: String,
    pub place: String,
    pub asked_unix_ms: u64,
    pub expires_unix_ms: u64,
    /// What another process has decided: `allow` or `deny`.
    pub decision: Option<String>,
}

/// Approvals are stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    pub since_unix_ms: u64,
    /// Who did it: an account, or `cli`.
    pub by: String,
}

impl Store {
    pub fn add_audit(&mut self, row: &AuditRow) -> Result<(), StoreError> {
        self.transact(|transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO audit (at_unix_ms, call, user, level, channel, kind, what, result)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    signed(row.at_unix_ms),
                    row.call,
                    cut(&row.user),
                    row.level,
                    row.channel,
                    row.kind,
                    cut(&row.what),
                    cut(&row.result),
                ])?;
            let last = transaction.last_insert_rowid();
            if last % TIDY_EVERY == 0 {
                transaction.execute("DELETE FROM audit WHERE id <= ?1", [last - AUDIT_ROWS_MAX])?;
            }
            Ok(())
        })
    }

    /// The last `limit` entries, the oldest of them first.
    pub fn audit(&self, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        let sql = "SELECT at_unix_ms, call, user, level, channel, kind, what, result FROM audit
             ORDER BY id DESC LIMIT ?1";
        let mut rows = self.query(sql, [limit.min(ROWS_MAX) as i64], audit_from)?;
        rows.reverse();
        Ok(rows)
    }

    pub fn keep_approval(&mut self, row: &ApprovalRow) -> Result<(), StoreError> {
        self.transact(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO approval
                 (id, kind, session, what, place, asked_unix_ms, expires_unix_ms, decision)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    row.id,
                    row.kind,
                    row.session,
                    cut(&row.what),
                    cut(&row.place),
                    signed(row.asked_unix_ms),
                    signed(row.expires_unix_ms),
                    row.decision,
                ],
            )?;
            Ok(())
        })
    }

    pub fn forget_approval(&mut self, id: &str) -> Result<(), StoreError> {
        self.transact(|transaction| {
            transaction.execute("DELETE FROM approval WHERE id = ?1", [id])?;
            Ok(())
        })
    }

    /// None waits any more: those who asked did so in an earlier run.
    pub fn forget_approvals(&mut self) -> Result<(), StoreError> {
        self.transact(|transaction| transaction.execute("DELETE FROM approval", []).map(|_| ()))
    }

    /// What waits, the oldest first.
    pub fn approvals(&self) -> Result<Vec<ApprovalRow>, StoreError> {
        let sql = "SELECT id, kind, session, what, place, asked_unix_ms, expires_unix_ms, decision
             FROM approval ORDER BY asked_unix_ms, id LIMIT ?1";
        self.query(sql, [ROWS_MAX as i64], approval_from)
    }

    /// Decides for the running program, which looks every second. False: it does not wait, or is decided.
    pub fn decide_approval(&mut self, id: &str, is_allowed: bool) -> Result<bool, StoreError> {
        let word = if is_allowed { "allow" } else { "deny" };
        let changed = self.transact(|transaction| {
            transaction.execute(
                "UPDATE approval SET decision = ?2 WHERE id = ?1 AND decision IS NULL",
                params![id, word],
            )
        })?;
        Ok(changed > 0)
    }

    /// What was asked, decided and run in one call, in order.
    pub fn call_audit(&self, call: &str) -> Result<Vec<AuditRow>, StoreError> {
        let sql = "SELECT at_unix_ms, call, user, level, channel, kind, what, result
             FROM audit WHERE call = ?1 ORDER BY id LIMIT ?2";
        self.query(sql, params![call, ROWS_MAX as i64], audit_from)
    }

    /// The stop, if there is one.
    pub fn freeze(&self) -> Result<Option<Freeze>, StoreError> {
        let rows = self.query("SELECT since_unix_ms, by FROM freeze", [], |row| {
            Ok(Freeze {
                since_unix_ms: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
                by: row.get(1)?,
            })
        })?;
        Ok(rows.into_iter().next())
    }

    /// Sets or lifts the stop. A stop that stands keeps its beginning.
    pub fn set_freeze(&mut self, freeze: Option<&Freeze>) -> Result<(), StoreError> {
        self.transact(|transaction| {
            match freeze {
                Some(freeze) => transaction.execute(
                    "INSERT OR IGNORE INTO freeze (one, since_unix_ms, by) VALUES (1, ?1, ?2)",
                    params![signed(freeze.since_unix_ms), cut(&freeze.by)],
                )?,
                None => transaction.execute("DELETE FROM freeze", [])?,
            };
            Ok(())
        })
    }
}

fn audit_from(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        at_unix_ms: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
        call: row.get(1)?,
        user: row.get(2)?,
        level: row.get(3)?,
        channel: row.get(4)?,
        kind: row.get(5)?,
        what: row.get(6)?,
        result: row.get(7)?,
    })
}

fn approval_from(row: &Row<'_>) -> rusqlite::Result<ApprovalRow> {
    Ok(ApprovalRow {
        id: row.get(0)?,
        kind: row.get(1)?,
        session: row.get(2)?,
        what: row.get(3)?,
        place: row.get(4)?,
        asked_unix_ms: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
        expires_unix_ms: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
        decision: row.get(7)?,
    })
}
