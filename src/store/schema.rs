//! The tables, as a list of steps from an empty file to today. `user_version` counts the steps taken. A
//! step that was released is never edited; changes are new steps at the end.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{StoreError, sort};

pub(super) const STEPS: &[&str] = &[
    // 1: the first calls.
    "CREATE TABLE binding (
        user TEXT NOT NULL,
        contact TEXT NOT NULL,
        params TEXT NOT NULL,
        instance TEXT,
        reg_id INTEGER,
        q INTEGER NOT NULL,
        call_id TEXT NOT NULL,
        cseq INTEGER NOT NULL,
        transport TEXT NOT NULL,
        local TEXT NOT NULL,
        remote TEXT NOT NULL,
        expires_unix_ms INTEGER NOT NULL,
        user_agent TEXT
    ) STRICT;
    CREATE INDEX binding_user ON binding (user);
    CREATE TABLE call (
        id TEXT PRIMARY KEY NOT NULL,
        user TEXT NOT NULL,
        number TEXT NOT NULL,
        remote TEXT NOT NULL,
        user_agent TEXT,
        started_unix_ms INTEGER NOT NULL,
        ended_unix_ms INTEGER,
        result TEXT,
        reason TEXT,
        blame TEXT,
        codec TEXT,
        stats TEXT
    ) STRICT;
    CREATE INDEX call_started ON call (started_unix_ms);
    CREATE TABLE turn (
        call TEXT NOT NULL REFERENCES call (id) ON DELETE CASCADE,
        n INTEGER NOT NULL,
        at_unix_ms INTEGER NOT NULL,
        caller_text TEXT NOT NULL,
        reply_text TEXT NOT NULL,
        heard_text TEXT NOT NULL,
        latencies TEXT NOT NULL,
        PRIMARY KEY (call, n)
    ) STRICT;
    CREATE TABLE message (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation TEXT NOT NULL,
        role TEXT NOT NULL,
        text TEXT NOT NULL,
        heard TEXT,
        at_unix_ms INTEGER NOT NULL,
        call TEXT REFERENCES call (id) ON DELETE SET NULL,
        channel TEXT NOT NULL
    ) STRICT;
    CREATE INDEX message_conversation ON message (conversation, id);
    CREATE INDEX message_at ON message (at_unix_ms);
    CREATE INDEX message_call ON message (call);",
    // 2: what speculation brought and cost.
    "ALTER TABLE call ADD COLUMN guesses INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE call ADD COLUMN hits INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE call ADD COLUMN misses INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE call ADD COLUMN saved_ms INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE call ADD COLUMN tokens_wasted INTEGER NOT NULL DEFAULT 0;",
    // 3: bindings found by user alone; dialogs that stand; bans; counters by day.
    "ALTER TABLE binding RENAME TO binding_before;
    CREATE TABLE binding (
        user TEXT NOT NULL,
        n INTEGER NOT NULL,
        contact TEXT NOT NULL,
        params TEXT NOT NULL,
        instance TEXT,
        reg_id INTEGER,
        q INTEGER NOT NULL,
        call_id TEXT NOT NULL,
        cseq INTEGER NOT NULL,
        transport TEXT NOT NULL,
        local TEXT NOT NULL,
        remote TEXT NOT NULL,
        expires_unix_ms INTEGER NOT NULL,
        user_agent TEXT,
        PRIMARY KEY (user, n)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO binding SELECT user, row_number() OVER (PARTITION BY user), contact, params, instance, reg_id, q, call_id, cseq,
        transport, local, remote, expires_unix_ms, user_agent FROM binding_before;
    DROP TABLE binding_before;
    CREATE TABLE dialog (
        id TEXT PRIMARY KEY NOT NULL,
        call_id TEXT NOT NULL,
        local TEXT NOT NULL,
        remote TEXT NOT NULL,
        remote_target TEXT NOT NULL,
        routes TEXT NOT NULL,
        local_cseq INTEGER NOT NULL,
        transport TEXT NOT NULL,
        local_address TEXT NOT NULL,
        remote_address TEXT NOT NULL,
        we_connected INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE ban (
        block TEXT PRIMARY KEY NOT NULL,
        why TEXT NOT NULL,
        since_unix_ms INTEGER NOT NULL,
        until_unix_ms INTEGER NOT NULL,
        times INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE counter (
        name TEXT NOT NULL,
        day INTEGER NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (name, day)
    ) STRICT, WITHOUT ROWID;",
    // 4: what was asked, allowed and refused; what waits for a decision; the stop of all approvals.
    "CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at_unix_ms INTEGER NOT NULL,
        call TEXT,
        user TEXT NOT NULL,
        level TEXT NOT NULL,
        channel TEXT NOT NULL,
        kind TEXT NOT NULL,
        what TEXT NOT NULL,
        result TEXT NOT NULL
    ) STRICT;
    CREATE TABLE approval (
        id TEXT PRIMARY KEY NOT NULL,
        kind TEXT NOT NULL,
        session TEXT NOT NULL,
        what TEXT NOT NULL,
        place TEXT NOT NULL,
        asked_unix_ms INTEGER NOT NULL,
        expires_unix_ms INTEGER NOT NULL,
        decision TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE freeze (
        one INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
        since_unix_ms INTEGER NOT NULL,
        by TEXT NOT NULL
    ) STRICT;",
    // 5: requests to call somebody, and what they became; who answered a turn, and with which tools.
    "CREATE TABLE callback (
        id TEXT PRIMARY KEY NOT NULL,
        asked_unix_ms INTEGER NOT NULL,
        is_over INTEGER NOT NULL,
        record TEXT NOT NULL
    ) STRICT;
    CREATE INDEX callback_asked ON callback (is_over, asked_unix_ms);
    CREATE TABLE notice (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        user TEXT NOT NULL,
        text TEXT NOT NULL,
        why TEXT NOT NULL,
        callback TEXT NOT NULL,
        at_unix_ms INTEGER NOT NULL,
        read_unix_ms INTEGER
    ) STRICT;
    CREATE INDEX notice_user ON notice (user, id);
    ALTER TABLE turn ADD COLUMN gateway TEXT;
    ALTER TABLE turn ADD COLUMN model TEXT;
    ALTER TABLE turn ADD COLUMN tools TEXT;",
    // 6: texts: what came in, what goes out, who is linked to whom, what channels remember; sounds of messages.
    "ALTER TABLE message ADD COLUMN voice TEXT;
    ALTER TABLE message ADD COLUMN answers INTEGER;
    ALTER TABLE notice ADD COLUMN is_voice INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE inbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        channel TEXT NOT NULL,
        theirs TEXT NOT NULL,
        at_unix_ms INTEGER NOT NULL,
        is_over INTEGER NOT NULL,
        item TEXT,
        message INTEGER,
        UNIQUE (channel, theirs)
    ) STRICT;
    CREATE INDEX inbox_open ON inbox (id) WHERE is_over = 0;
    CREATE TABLE outbox (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        channel TEXT NOT NULL,
        place TEXT NOT NULL,
        person TEXT NOT NULL,
        at_unix_ms INTEGER NOT NULL,
        due_unix_ms INTEGER NOT NULL,
        until_unix_ms INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        state TEXT NOT NULL,
        body TEXT,
        reply_to TEXT,
        theirs TEXT,
        message INTEGER,
        why TEXT
    ) STRICT;
    CREATE INDEX outbox_open ON outbox (n) WHERE state = 'waiting';
    CREATE TABLE identity (
        channel TEXT NOT NULL,
        id TEXT NOT NULL,
        person TEXT NOT NULL,
        place TEXT NOT NULL,
        shown_name TEXT NOT NULL,
        linked_unix_ms INTEGER NOT NULL,
        used_unix_ms INTEGER NOT NULL,
        PRIMARY KEY (channel, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE pairing (
        code TEXT PRIMARY KEY NOT NULL,
        channel TEXT NOT NULL,
        id TEXT NOT NULL,
        place TEXT NOT NULL,
        shown_name TEXT NOT NULL,
        asked_unix_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE memory (
        channel TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (channel, key)
    ) STRICT, WITHOUT ROWID;",
    // 7: links that sign a browser in once, and browsers that are signed in; hashes of both.
    "CREATE TABLE web_link (
        hash TEXT PRIMARY KEY NOT NULL,
        person TEXT NOT NULL,
        expires_unix_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE web_session (
        hash TEXT PRIMARY KEY NOT NULL,
        person TEXT NOT NULL,
        browser TEXT NOT NULL,
        created_unix_ms INTEGER NOT NULL,
        seen_unix_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX message_voice ON message (voice) WHERE voice IS NOT NULL;
    CREATE INDEX web_session_person ON web_session (person, seen_unix_ms);",
    // 8: what the other side says has become of a message.
    "ALTER TABLE outbox ADD COLUMN seen TEXT;
    CREATE INDEX outbox_message ON outbox (message) WHERE message IS NOT NULL;",
];

/// The version this program writes.
pub(super) fn version() -> u32 {
    STEPS.len() as u32
}

/// Takes the steps that are missing, all or none.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let sorted = |error| sort(path, error);
    let taken = |connection: &Connection| {
        connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0))
    };
    let newer = |found| StoreError::Newer {
        path: path.to_path_buf(),
        found,
        known: version(),
    };
    match taken(connection).map_err(sorted)? {
        found if found == version() => return Ok(()),
        found if found > version() => return Err(newer(found)),
        _ => {}
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(sorted)?;
    // Asked again under the write lock: two programs may start at once.
    let found = taken(&transaction).map_err(sorted)?;
    if found > version() {
        return Err(newer(found));
    }
    for step in &STEPS[found as usize..] {
        transaction.execute_batch(step).map_err(sorted)?;
    }
    transaction
        .pragma_update(None, "user_version", version())
        .map_err(sorted)?;
    transaction.commit().map_err(sorted)
}
