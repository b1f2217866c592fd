//! What the command line has written into the database while the program runs, and when it is looked for.

use std::time::Instant;

use agent_bridge::approvals::Decision;
use tracing::warn;

use super::{Message, Office, POLL};
use crate::store::Freeze;
use crate::switchboard::today;

impl Office {
    pub(super) fn poll(&mut self, now: Instant) {
        self.next_poll = now + POLL;
        if self.tries.turn_day(today()) {
            self.publish();
        }
        if std::mem::replace(&mut self.is_polling, true) {
            return;
        }
        let (recorder, inbox) = (self.recorder.clone(), self.inbox.clone());
        let (epoch, seen) = (self.epoch, self.seen);
        tokio::spawn(async move {
            let read = recorder.with_store(move |store| {
                let version = store.changes_of_others()?;
                if version == seen {
                    return Ok((version, Vec::new(), None));
                }
                let rows = store.approvals()?.into_iter();
                let decided = rows.filter_map(|row| {
                    let is_allowed = row.decision.as_deref()? == "allow";
                    Some((row.id, is_allowed))
                });
                Ok((version, decided.collect(), Some(store.freeze()?)))
            });
            let message = match read.await {
                Ok((version, decisions, Some(freeze))) => Message::Polled {
                    epoch,
                    version,
                    decisions,
                    freeze,
                },
                Ok((version, ..)) => Message::Polled {
                    // Of no time: nothing follows from it.
                    epoch: u64::MAX,
                    version,
                    decisions: Vec::new(),
                    freeze: None,
                },
                Err(error) => {
                    warn!(%error, "decisions of the command line not read");
                    Message::Polled {
                        epoch: u64::MAX,
                        version: seen,
                        decisions: Vec::new(),
                        freeze: None,
                    }
                }
            };
            let _ = inbox.send(message).await;
        });
    }

    pub(super) fn polled(
        &mut self,
        now: Instant,
        epoch: u64,
        version: i64,
        decisions: Vec<(String, bool)>,
        freeze: Option<Freeze>,
    ) {
        self.is_polling = false;
        if epoch == u64::MAX {
            self.seen = version;
            return;
        }
        if epoch != self.epoch {
            // We have stopped or lifted since: what was read is older than that. Read again.
            return;
        }
        self.seen = version;
        if freeze.is_some() != self.board.is_frozen() {
            self.set_frozen(now, freeze.is_some(), "cli", "cli", None);
        }
        for (id, is_allowed) in decisions {
            let decision = match is_allowed {
                true => Decision::AllowOnce,
                false => Decision::Deny,
            };
            let _ = self.decide(now, &id, decision, "cli");
        }
    }
}
