//! Who is signed in to the page: links that sign in once, and the browsers that did. Only hashes are kept: whoever reads
//! this file can't sign in with it.
//!
//! Not here: what a hash is made of, and how long things last (`web::sessions`).

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Store, StoreError, cut, signed};

/// Links that wait to be used; the oldest go.
const LINKS_MAX: i64 = 100;
/// Signed-in browsers of one account; the one that was away longest goes.
const SESSIONS_PER_PERSON_MAX: i64 = 50;

/// A browser that is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSessionRow {
    /// Of its cookie.
    pub hash: String,
    /// The account.
    pub person: String,
    /// What the browser calls itself.
    pub browser: String,
    pub created_unix_ms: u64,
    pub seen_unix_ms: u64,
}

impl Store {
    /// Keeps a link that signs `person` in, once, until `expires_unix_ms`.
    pub fn add_web_link(
        &mut self,
        hash: &str,
        person: &str,
        now_unix_ms: u64,
        expires_unix_ms: u64,
    ) -> Result<(), StoreError> {
        self.transact(|connection| {
            connection.execute(
                "DELETE FROM web_link WHERE expires_unix_ms <= ?1",
                [signed(now_unix_ms)],
            )?;
            connection.execute(
                "INSERT INTO web_link (hash, person, expires_unix_ms) VALUES (?1, ?2, ?3)",
                params![hash, person, signed(expires_unix_ms)],
            )?;
            connection.execute(
                "DELETE FROM web_link WHERE hash NOT IN
                 (SELECT hash FROM web_link ORDER BY expires_unix_ms DESC LIMIT ?1)",
                [LINKS_MAX],
            )?;
            Ok(())
        })
    }

    /// Uses a link up: whom it signs in, and what it has made of `session`, whose person is that of the link. None: there
    /// is no such link, or it is over.
    pub fn use_web_link(
        &mut self,
        link: &str,
        session: &WebSessionRow,
    ) -> Result<Option<String>, StoreError> {
        self.transact(|connection| {
            let found: Option<(String, i64)> = connection
                .query_row(
                    "DELETE FROM web_link WHERE hash = ?1 RETURNING person, expires_unix_ms",
                    [link],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let Some((person, _)) =
                found.filter(|(_, expires)| *expires > signed(session.created_unix_ms))
            else {
                return Ok(None);
            };
            connection.execute(
                "INSERT INTO web_session (hash, person, browser, created_unix_ms, seen_unix_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    session.hash,
                    person,
                    cut(&session.browser),
                    signed(session.created_unix_ms),
                    signed(session.seen_unix_ms),
                ],
            )?;
            connection.execute(
                "DELETE FROM web_session WHERE person = ?1 AND hash NOT IN
                 (SELECT hash FROM web_session WHERE person = ?1
                  ORDER BY seen_unix_ms DESC, rowid DESC LIMIT ?2)",
                params![person, SESSIONS_PER_PERSON_MAX],
            )?;
            Ok(Some(person))
        })
    }

    /// The browser with this cookie, if it was here after `since_unix_ms`.
    pub fn web_session(
        &self,
        hash: &str,
        since_unix_ms: u64,
    ) -> Result<Option<WebSessionRow>, StoreError> {
        let sql = "SELECT hash, person, browser, created_unix_ms, seen_unix_ms FROM web_session
             WHERE hash = ?1 AND seen_unix_ms > ?2";
        let rows = self.query(sql, params![hash, signed(since_unix_ms)], from_row)?;
        Ok(rows.into_iter().next())
    }

    /// The browsers of `person`, the last one seen first.
    pub fn web_sessions(&self, person: &str) -> Result<Vec<WebSessionRow>, StoreError> {
        let sql = "SELECT hash, person, browser, created_unix_ms, seen_unix_ms FROM web_session
             WHERE person = ?1 ORDER BY seen_unix_ms DESC, rowid DESC LIMIT ?2";
        self.query(sql, params![person, SESSIONS_PER_PERSON_MAX], from_row)
    }

    /// The conversation that a voice note belongs to, by the name of its file.
    pub fn voice_note_conversation(&self, name: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT conversation FROM message WHERE voice = ?1 LIMIT 1";
        let rows = self.query(sql, [name], |row| row.get(0))?;
        Ok(rows.into_iter().next())
    }

    /// It was here now.
    pub fn web_session_seen(&mut self, hash: &str, now_unix_ms: u64) -> Result<(), StoreError> {
        self.transact(|connection| {
            connection.execute(
                "UPDATE web_session SET seen_unix_ms = ?2 WHERE hash = ?1",
                params![hash, signed(now_unix_ms)],
            )?;
            Ok(())
        })
    }

    /// Signs out the browsers of `person` whose hash begins so; empty: all of them. How many there were.
    pub fn end_web_sessions(&mut self, person: &str, hash: &str) -> Result<usize, StoreError> {
        self.transact(|connection| {
            if hash.is_empty() {
                connection.execute("DELETE FROM web_link WHERE person = ?1", [person])?;
            }
            connection.execute(
                "DELETE FROM web_session WHERE person = ?1 AND substr(hash, 1, length(?2)) = ?2",
                params![person, hash],
            )
        })
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<WebSessionRow> {
    let time = |column: usize| -> rusqlite::Result<u64> {
        Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
    };
    Ok(WebSessionRow {
        hash: row.get(0)?,
        person: row.get(1)?,
        browser: row.get(2)?,
        created_unix_ms: time(3)?,
        seen_unix_ms: time(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    fn session(hash: &str, at: u64) -> WebSessionRow {
        WebSessionRow {
            hash: hash.to_owned(),
            person: String::new(),
            browser: "Browser".to_owned(),
            created_unix_ms: at,
            seen_unix_ms: at,
        }
    }

    #[test]
    fn a_link_signs_in_once_and_in_time() {
        let scratch = Scratch::new("web-links");
        let mut store = Store::open(&scratch.path().join("a.db")).unwrap();
        store.add_web_link("l1", "anna", 0, 1_000).unwrap();
        store.add_web_link("l2", "anna", 0, 1_000).unwrap();
        let rows = [
            // (link, now, whom)
            ("none", 10, None),
            ("l1", 999, Some("anna")),
            ("l1", 999, None),
            ("l2", 1_000, None),
            ("l2", 10, None),
        ];
        for (n, (link, now, whom)) in rows.into_iter().enumerate() {
            let found = store.use_web_link(link, &session(&format!("s{n}"), now));
            assert_eq!(found.unwrap().as_deref(), whom, "{link} at {now}");
        }
        let sessions = store.web_sessions("anna").unwrap();
        assert_eq!(sessions.len(), 1);
        assert_eq!(sessions[0].hash, "s1");
    }

    #[test]
    fn sessions_end_by_themselves_and_by_hand() {
        let scratch = Scratch::new("web-sessions");
        let mut store = Store::open(&scratch.path().join("a.db")).unwrap();
        for (n, person) in ["anna", "anna", "otto"].into_iter().enumerate() {
            store.add_web_link("l", person, 0, 1_000).unwrap();
            store
                .use_web_link("l", &session(&format!("s{n}"), 10))
                .unwrap();
        }
        assert!(store.web_session("s0", 9).unwrap().is_some());
        assert!(store.web_session("s0", 10).unwrap().is_none());
        store.web_session_seen("s0", 20).unwrap();
        assert!(store.web_session("s0", 10).unwrap().is_some());
        // Another's can't be ended, not even by name.
        assert_eq!(store.end_web_sessions("otto", "s0").unwrap(), 0);
        assert_eq!(store.end_web_sessions("anna", "s0").unwrap(), 1);
        assert_eq!(store.end_web_sessions("anna", "").unwrap(), 1);
        assert!(store.web_session("s2", 0).unwrap().is_some());
    }

    #[test]
    fn links_and_sessions_are_bounded() {
        let scratch = Scratch::new("web-bounds");
        let mut store = Store::open(&scratch.path().join("a.db")).unwrap();
        for n in 0..LINKS_MAX as u64 + 5 {
            let link = format!("l{n}");
            store.add_web_link(&link, "anna", 0, 1_000 + n).unwrap();
        }
        assert!(
            store
                .use_web_link("l0", &session("s", 1))
                .unwrap()
                .is_none()
        );
        for n in 0..SESSIONS_PER_PERSON_MAX as u64 + 5 {
            store.add_web_link("l", "anna", 0, 9_999).unwrap();
            let row = session(&format!("s{n}"), 10 + n);
            store.use_web_link("l", &row).unwrap();
        }
        let kept = store.web_sessions("anna").unwrap();
        assert_eq!(kept.len() as i64, SESSIONS_PER_PERSON_MAX);
        assert!(store.web_session("s0", 0).unwrap().is_none());
    }
}
