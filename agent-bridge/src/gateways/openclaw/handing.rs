//! Tier B: what OpenClaw's transcript lacks is handed to our plugin there before a question is sent. Owns the waiting for
//! that, and what is said where it fails; what is lacking is `rows`'s.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::rows::Known;
use super::{Memory, OpenClaw};
use crate::conversation::Message;
use crate::openclaw::companion::{Append, PATIENCE, ROWS_MAX};
use crate::openclaw::{Client, Hello, LinkError};

/// Between the plugin's last moment to write and ours to wait: its answer's way, and that of the request, which it does not
/// see.
const ON_THE_WAY: Duration = Duration::from_millis(200);

impl OpenClaw {
    /// True: the transcript holds what was said before the last question. False: a note has to do, as without a plugin.
    pub(super) async fn hand_over(
        &self,
        client: &Client,
        hello: &Hello,
        key: &str,
        known: &Known,
        messages: &[Message],
    ) -> bool {
        if !hello.companion.is_ready() {
            return false;
        }
        let Some(lacking) = known.lacking(messages) else {
            return false;
        };
        // Whoever asks may be gone before the answer is here, and the next one asks again.
        let name = known.handing.clone().unwrap_or_else(|| self.link.new_run());
        self.link
            .update(key, |memory| memory.known.handing = Some(name.clone()));
        let mut replaces = known.run.clone().filter(|_| lacking.replaces);
        let by = Instant::now() + PATIENCE;
        let handing = async {
            for (n, rows) in lacking.rows.chunks(ROWS_MAX).enumerate() {
                // Of what is left for all of them: later it would stand behind the question.
                let within = by
                    .saturating_duration_since(Instant::now())
                    .saturating_sub(ON_THE_WAY);
                if within.is_zero() {
                    return Err(LinkError::Late);
                }
                let rows = Append {
                    session_key: key.to_owned(),
                    idempotency_key: format!("{name}-{n}"),
                    replaces: replaces.take(),
                    within_ms: within.as_millis().try_into().unwrap_or(u64::MAX),
                    rows: rows.to_vec(),
                };
                client.append(rows).await?;
            }
            Ok(())
        };
        match timeout_at(by, handing)
            .await
            .unwrap_or(Err(LinkError::Late))
        {
            Ok(()) => {
                self.link
                    .update(key, |memory| memory.known.complete(messages));
                true
            }
            Err(error) => {
                self.link.say(&format!(
                    "OpenClaw's companion plugin did not append what was heard, so a note says it: {error}"
                ));
                false
            }
        }
    }

    /// The question was not taken: somebody else may answer it.
    pub(super) fn missed(&self, key: &str, session: &str, question: &str) {
        self.link.know(key, session);
        self.link
            .update(key, |memory: &mut Memory| memory.known.miss(question));
    }
}
