//! Call-backs on disk: each request with all that became of it, and the messages they became. The request itself is JSON of
//! its own shape (`callbacks/boundary`): only whether it is over is a column.

use rusqlite::{Connection, Row, params};

use super::{ROWS_MAX, Store, StoreError, cut, signed};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackRow {
    pub id: String,
    pub asked_unix_ms: u64,
    pub is_over: bool,
    pub record_json: String,
}

/// A message that waits for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// Given by the store; 0 before.
    pub id: i64,
    pub user: String,
    pub text: String,
    /// It was asked for as a voice note.
    pub is_voice: bool,
    /// Why it is a message and no call.
    pub why: String,
    pub callback: String,
    pub at_unix_ms: u64,
    /// None: not read yet.
    pub read_unix_ms: Option<u64>,
}

pub(super) fn write(
    connection: &Connection,
    row: &CallbackRow,
    notice: Option<&NoticeRow>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO callback (id, asked_unix_ms, is_over, record) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET is_over = excluded.is_over, record = excluded.record",
        )?
        .execute(params![
            row.id,
            signed(row.asked_unix_ms),
            row.is_over,
            row.record_json
        ])?;
    if let Some(notice) = notice {
        connection
            .prepare_cached(
                "INSERT INTO notice (user, text, why, callback, at_unix_ms, read_unix_ms, is_voice)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                notice.user,
                cut(&notice.text),
                cut(&notice.why),
                notice.callback,
                signed(notice.at_unix_ms),
                notice.read_unix_ms.map(signed),
                notice.is_voice,
            ])?;
    }
    Ok(())
}

impl Store {
    /// Requests that are not over, and the last `over_max` of those that are, the oldest first.
    pub fn load_callbacks(&self, over_max: usize) -> Result<Vec<CallbackRow>, StoreError> {
        let sql = "SELECT id, asked_unix_ms, is_over, record FROM callback
             WHERE is_over = 0 OR rowid IN
             (SELECT rowid FROM callback WHERE is_over = 1 ORDER BY asked_unix_ms DESC LIMIT ?1)
             ORDER BY asked_unix_ms, rowid";
        self.query(sql, [over_max.min(ROWS_MAX) as i64], callback_from)
    }

    /// The last `limit` messages of a user, or of everybody; the newest first.
    pub fn notices(
        &self,
        user: Option<&str>,
        unread_only: bool,
        limit: usize,
    ) -> Result<Vec<NoticeRow>, StoreError> {
        let sql =
            "SELECT id, user, text, why, callback, at_unix_ms, read_unix_ms, is_voice FROM notice
             WHERE (?1 IS NULL OR user = ?1) AND (?2 = 0 OR read_unix_ms IS NULL)
             ORDER BY id DESC LIMIT ?3";
        let limit = limit.min(ROWS_MAX) as i64;
        self.query(sql, params![user, unread_only, limit], notice_from)
    }

    /// Marks messages as read. How many were not.
    pub fn read_notices(&mut self, ids: &[i64], now_unix_ms: u64) -> Result<usize, StoreError> {
        self.transact(|connection| {
            let mut mark = connection.prepare_cached(
                "UPDATE notice SET read_unix_ms = ?2 WHERE id = ?1 AND read_unix_ms IS NULL",
            )?;
            let mut count = 0;
            for id in ids {
                count += mark.execute(params![id, signed(now_unix_ms)])?;
            }
            Ok(count)
        })
    }
}

fn callback_from(row: &Row<'_>) -> rusqlite::Result<CallbackRow> {
    Ok(CallbackRow {
        id: row.get(0)?,
        asked_unix_ms: u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
        is_over: row.get(2)?,
        record_json: row.get(3)?,
    })
}

fn notice_from(row: &Row<'_>) -> rusqlite::Result<NoticeRow> {
    let time = |value: i64| u64::try_from(value).unwrap_or(0);
    Ok(NoticeRow {
        id: row.get(0)?,
        user: row.get(1)?,
        text: row.get(2)?,
        why: row.get(3)?,
        callback: row.get(4)?,
        at_unix_ms: time(row.get(5)?),
        read_unix_ms: row.get::<_, Option<i64>>(6)?.map(time),
        is_voice: row.get(7)?,
    })
}
