//! What signalling must still know after a crash: registrations, dialogs that stand, bans, counters. Small changes come
//! one by one and are written in groups.
//!
//! Not here: the thread that makes the groups (`store/worker.rs`).

use std::net::SocketAddr;

use rusqlite::{Connection, Row, params};
use sip::{Ban, BanReason, Block, DialogRecord, Flow, Transport};

use super::{BindingRow, CallbackRow, NoticeRow, Store, StoreError, callbacks, signed};

/// Bindings kept for one user.
pub const BINDINGS_PER_USER_MAX: usize = 100;
/// Days of counters that are kept.
const COUNTER_DAYS: i64 = 400;

/// One change. Changes are carried out in the order they were handed in.
#[derive(Debug, Clone, PartialEq)]
pub enum Lasting {
    /// All bindings of this user as they now are.
    Bindings {
        user: String,
        bindings: Vec<BindingRow>,
    },
    Dialog(DialogRecord),
    /// `DialogRecord::id`
    DialogOver(String),
    Ban(Ban),
    BanOver(Block),
    /// A request to call somebody as it now is, and the message it became.
    Callback(Box<CallbackRow>, Option<Box<NoticeRow>>),
    /// Adds to a counter of one day.
    Count {
        name: String,
        /// Days since 1970, whichever midnight they begin at.
        day: i64,
        by: u64,
    },
}

impl Lasting {
    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        match self {
            Lasting::Bindings { user, bindings } => write_bindings(connection, user, bindings),
            Lasting::Dialog(dialog) => write_dialog(connection, dialog),
            Lasting::DialogOver(id) => connection
                .prepare_cached("DELETE FROM dialog WHERE id = ?1")?
                .execute([id])
                .map(|_| ()),
            Lasting::Ban(ban) => write_ban(connection, ban),
            Lasting::BanOver(block) => connection
                .prepare_cached("DELETE FROM ban WHERE block = ?1")?
                .execute([block.to_string()])
                .map(|_| ()),
            Lasting::Callback(row, notice) => callbacks::write(connection, row, notice.as_deref()),
            Lasting::Count { name, day, by } => connection
                .prepare_cached(
                    "INSERT INTO counter (name, day, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (name, day) DO UPDATE SET value = value + excluded.value",
                )?
                .execute(params![name, day, signed(*by)])
                .map(|_| ()),
        }
    }
}

impl Store {
    /// Carries out all changes or none. On disk when this returns.
    pub fn keep<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Lasting>,
    ) -> Result<(), StoreError> {
        self.transact(|connection| {
            changes
                .into_iter()
                .try_for_each(|change| change.write(connection))
        })
    }

    /// All bindings, expired ones too: the registrar knows the time. Rows that cannot be read any more
    /// are left out: the phone registers again.
    pub fn load_bindings(&self) -> Result<Vec<BindingRow>, StoreError> {
        let sql =
            "SELECT user, contact, params, instance, reg_id, q, call_id, cseq, transport, local,
             remote, expires_unix_ms, user_agent FROM binding ORDER BY user, expires_unix_ms";
        let rows = self.query(sql, [], BindingRow::from_row)?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Dialogs that stood when the program ended. Rows that cannot be read any more are left out.
    pub fn load_dialogs(&self) -> Result<Vec<DialogRecord>, StoreError> {
        let sql = "SELECT id, call_id, local, remote, remote_target, routes, local_cseq, transport,
             local_address, remote_address, we_connected FROM dialog ORDER BY id";
        let rows = self.query(sql, [], dialog_from)?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Bans that hold at `now_unix_ms`; ended ones are forgotten on the way.
    pub fn load_bans(&mut self, now_unix_ms: u64) -> Result<Vec<Ban>, StoreError> {
        self.transact(|connection| {
            connection.execute(
                "DELETE FROM ban WHERE until_unix_ms <= ?1",
                [signed(now_unix_ms)],
            )
        })?;
        self.bans()
    }

    /// Bans in the file, ended ones too.
    pub fn bans(&self) -> Result<Vec<Ban>, StoreError> {
        let sql = "SELECT block, why, since_unix_ms, until_unix_ms, times FROM ban ORDER BY until_unix_ms";
        let rows = self.query(sql, [], ban_from)?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Every counter of one day. Those of long ago are forgotten on the way.
    pub fn load_counters(&mut self, day: i64) -> Result<Vec<(String, u64)>, StoreError> {
        self.transact(|connection| {
            connection.execute("DELETE FROM counter WHERE day < ?1", [day - COUNTER_DAYS])
        })?;
        let sql = "SELECT name, value FROM counter WHERE day = ?1 ORDER BY name";
        self.query(sql, [day], |row| {
            Ok((
                row.get(0)?,
                u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
            ))
        })
    }

    /// A number that changes whenever another process has written into the file.
    pub fn changes_of_others(&self) -> Result<i64, StoreError> {
        let rows = self.query("PRAGMA data_version", [], |row| row.get(0))?;
        Ok(rows.first().copied().unwrap_or_default())
    }
}

fn write_bindings(
    connection: &Connection,
    user: &str,
    bindings: &[BindingRow],
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM binding WHERE user = ?1")?
        .execute([user])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO binding (user, n, contact, params, instance, reg_id, q, call_id, cseq,
         transport, local, remote, expires_unix_ms, user_agent)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    for (n, row) in (1i64..).zip(bindings.iter().take(BINDINGS_PER_USER_MAX)) {
        insert.execute(params![
            user,
            n,
            row.contact,
            row.params,
            row.instance,
            row.reg_id,
            row.q,
            row.call_id,
            row.cseq,
            row.transport,
            row.local.to_string(),
            row.remote.to_string(),
            signed(row.expires_unix_ms),
            row.user_agent,
        ])?;
    }
    Ok(())
}

fn write_dialog(connection: &Connection, dialog: &DialogRecord) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO dialog (id, call_id, local, remote, remote_target, routes, local_cseq,
         transport, local_address, remote_address, we_connected)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    insert.execute(params![
        dialog.id,
        dialog.call_id,
        dialog.local,
        dialog.remote,
        dialog.remote_target,
        serde_json::to_string(&dialog.routes).unwrap_or_default(),
        dialog.local_cseq,
        dialog.flow.transport.to_string(),
        dialog.flow.local.to_string(),
        dialog.flow.remote.to_string(),
        dialog.we_connected,
    ])?;
    Ok(())
}

fn write_ban(connection: &Connection, ban: &Ban) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO ban (block, why, since_unix_ms, until_unix_ms, times)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    insert.execute(params![
        ban.block.to_string(),
        ban.why.as_str(),
        signed(ban.since_unix_ms),
        signed(ban.until_unix_ms),
        ban.times,
    ])?;
    Ok(())
}

/// None: the row holds no transport or address of this program's writing.
fn dialog_from(row: &Row<'_>) -> rusqlite::Result<Option<DialogRecord>> {
    let name: String = row.get(7)?;
    let (local, remote): (String, String) = (row.get(8)?, row.get(9)?);
    let transport = Transport::ALL
        .into_iter()
        .find(|transport| transport.to_string() == name);
    let addresses: (Result<SocketAddr, _>, Result<SocketAddr, _>) = (local.parse(), remote.parse());
    let (Some(transport), (Ok(local), Ok(remote))) = (transport, addresses) else {
        return Ok(None);
    };
    let routes: String = row.get(5)?;
    Ok(Some(DialogRecord {
        id: row.get(0)?,
        call_id: row.get(1)?,
        local: row.get(2)?,
        remote: row.get(3)?,
        remote_target: row.get(4)?,
        routes: serde_json::from_str(&routes).unwrap_or_default(),
        local_cseq: row.get(6)?,
        flow: Flow {
            transport,
            local,
            remote,
            conn: None,
        },
        we_connected: row.get(10)?,
    }))
}

/// None: the row holds no block of this program's writing.
fn ban_from(row: &Row<'_>) -> rusqlite::Result<Option<Ban>> {
    let (block, why): (String, String) = (row.get(0)?, row.get(1)?);
    let (Ok(block), Some(why)) = (block.parse(), BanReason::from_name(&why)) else {
        return Ok(None);
    };
    let time = |value: i64| u64::try_from(value).unwrap_or(0);
    Ok(Some(Ban {
        block,
        why,
        since_unix_ms: time(row.get(2)?),
        until_unix_ms: time(row.get(3)?),
        times: row.get(4)?,
    }))
}
