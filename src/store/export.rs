//! What was said, by call and by conversation, for those who read it afterwards.

use rusqlite::params;

use super::{CallRow, MessageRow, ROWS_MAX, Store, StoreError};

impl Store {
    /// What was said in one call, in order.
    pub fn call_messages(&self, call: &str) -> Result<Vec<MessageRow>, StoreError> {
        let sql = "SELECT conversation, role, text, heard, at_unix_ms, call, channel FROM message
             WHERE call = ?1 ORDER BY id LIMIT ?2";
        self.query(sql, params![call, ROWS_MAX as i64], MessageRow::from_row)
    }

    /// The calls of one conversation that something was said in, the oldest first.
    pub fn conversation_calls(&self, conversation: &str) -> Result<Vec<CallRow>, StoreError> {
        let sql = "SELECT DISTINCT call FROM message WHERE conversation = ?1 AND call IS NOT NULL
             ORDER BY id DESC LIMIT ?2";
        let ids: Vec<String> = self.query(sql, params![conversation, ROWS_MAX as i64], |row| {
            row.get(0)
        })?;
        let mut calls = Vec::with_capacity(ids.len());
        for id in ids.iter().rev() {
            calls.extend(self.call(id)?);
        }
        Ok(calls)
    }

    /// Names of conversations that there are, those of late first.
    pub fn conversations(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT conversation FROM message GROUP BY conversation
             ORDER BY max(id) DESC LIMIT ?1";
        let limit = limit.min(ROWS_MAX) as i64;
        self.query(sql, [limit], |row| row.get(0))
    }
}
