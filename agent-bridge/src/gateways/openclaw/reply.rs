//! One reply under way: its events, its waits, and what becomes of it when nobody wants it any more. Owns these; the
//! conversation around it is the parent's.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::rows::Known;
use super::words::{FirstLine, Reply};
use super::{AGAIN_AFTER, OpenClawConfig, SharedLink, ms};
use crate::gateways::{GatewayError, GatewayEvent, Progress, Wait};
use crate::openclaw::{Client, LinkError, QueueMode, RunEvent};

/// Letters of a reply that are remembered, to compare them with what was heard.
const REPLY_BYTES_MAX: usize = 16 * 1024;
/// While nothing is to be said yet, this often somebody is told that it is being worked on.
const STILL_AT_WORK: Duration = Duration::from_secs(2);
/// The longest that a caller is kept waiting for a tool or an approval; the run itself goes on.
const WORK_MAX: Duration = Duration::from_secs(600);

/// A reply under way. Dropped early, it is aborted there.
pub(super) struct Going<'a> {
    pub(super) link: &'a SharedLink,
    pub(super) config: &'a OpenClawConfig,
    pub(super) client: &'a Client,
    pub(super) key: String,
    pub(super) session: String,
    pub(super) run: String,
    /// What the caller said.
    pub(super) question: String,
    /// What was sent: the same, with notes.
    pub(super) message: String,
    /// How often the message was ignored, and sent again.
    pub(super) ignored: usize,
    pub(super) reply: Reply,
    pub(super) ending: Ending,
    pub(super) events: &'a mpsc::Sender<GatewayEvent>,
    pub(super) first_line: FirstLine,
    /// At work now.
    pub(super) tools: usize,
    /// For an approval, or for the link.
    pub(super) waits: bool,
    /// The gateway has taken the message.
    pub(super) is_started: bool,
    /// A word or a tool has come.
    pub(super) has_begun: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Abort,
    /// It goes on, and its end is news.
    Leave,
    /// It is over.
    None,
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        // One that was not taken has told the gateway nothing: what it would have known then is still owed.
        if self.is_started || self.has_begun {
            let known = Known {
                asked: Some(std::mem::take(&mut self.question)),
                reply: Some(std::mem::take(&mut self.reply)),
                run: (self.ending != Ending::Leave).then(|| self.run.clone()),
                ..Known::default()
            };
            self.link.remember(&self.key, &self.session, known);
        } else if self.ending == Ending::Abort {
            self.link
                .update(&self.key, |memory| memory.known.is_unsure = true);
        }
        match self.ending {
            Ending::Abort => self.client.abort(&self.run),
            Ending::Leave => self.client.leave(&self.run),
            Ending::None => {}
        }
    }
}

impl Going<'_> {
    pub(super) async fn follow(
        &mut self,
        began: Instant,
        mut incoming: mpsc::Receiver<RunEvent>,
    ) -> Result<(), GatewayError> {
        let mut piece_by = began + ms(self.config.first_token_timeout_ms);
        let mut total_by = began + ms(self.config.total_timeout_ms);
        loop {
            let is_at_work = self.tools > 0 || self.waits;
            let late_by = match is_at_work {
                true => began + WORK_MAX,
                false => piece_by.min(total_by),
            };
            let again_at = Instant::now() + STILL_AT_WORK;
            let due = match is_at_work || (self.is_started && !self.has_begun) {
                true => late_by.min(again_at),
                false => late_by,
            };
            let event = tokio::select! {
                event = incoming.recv() => event,
                () = sleep_until(due) => {
                    if Instant::now() >= late_by {
                        return Err(self.too_late(total_by));
                    }
                    self.tell(GatewayEvent::Progress(Progress::Waiting)).await?;
                    continue;
                }
            };
            match event {
                // Taken out by the link: nobody took the events in time.
                None => return Err(GatewayError::Cut),
                // It has the message now: nobody else is to be asked, and it may take its time.
                Some(RunEvent::Started) => {
                    self.is_started = true;
                    self.tell(GatewayEvent::Progress(Progress::Waiting)).await?;
                    continue;
                }
                Some(RunEvent::Text(text)) => {
                    self.has_begun = true;
                    self.waits = false;
                    self.text(&text).await?;
                }
                Some(RunEvent::Tool {
                    name,
                    is_over: false,
                }) => {
                    self.has_begun = true;
                    self.tools += 1;
                    self.tell(GatewayEvent::Progress(Progress::tool(&name)))
                        .await?;
                }
                Some(RunEvent::Tool { is_over: true, .. }) => {
                    self.tools = self.tools.saturating_sub(1);
                    self.waits = false;
                }
                Some(RunEvent::Waiting) => {
                    self.waits = true;
                    self.tell(GatewayEvent::Progress(Progress::Waiting)).await?;
                }
                Some(RunEvent::Done) => {
                    self.ending = Ending::None;
                    self.reply.is_aborted = false;
                    let rest = self.first_line.finish();
                    return self.say(rest).await;
                }
                // Again under a new name; in the end somebody else is asked, or the caller told.
                Some(RunEvent::Ignored) if self.ignored < AGAIN_AFTER.len() => {
                    sleep(AGAIN_AFTER[self.ignored]).await;
                    self.ignored += 1;
                    self.is_started = false;
                    self.run = self.link.new_run();
                    incoming = self.send().await?;
                    continue;
                }
                Some(RunEvent::Ignored) => {
                    self.ending = Ending::None;
                    self.is_started = false;
                    return Err(GatewayError::Empty);
                }
                // By somebody else: in a text channel, or from the gateway's own page.
                Some(RunEvent::Aborted) => {
                    self.ending = Ending::None;
                    return Err(GatewayError::Reported {
                        code: "aborted".to_owned(),
                    });
                }
                Some(RunEvent::Failed(error)) => {
                    self.ending = Ending::None;
                    return Err(error);
                }
            }
            let now = Instant::now();
            piece_by = now + ms(self.config.idle_timeout_ms);
            if self.tools > 0 || self.waits {
                total_by = now + ms(self.config.total_timeout_ms);
            }
        }
    }

    /// An error is its end: there is nothing to abort.
    pub(super) async fn send(&mut self) -> Result<mpsc::Receiver<RunEvent>, LinkError> {
        let (key, run) = (&self.key, &self.run);
        let sent = self
            .client
            .send_as(key, &self.message, run, QueueMode::Interrupt)
            .await;
        sent.inspect_err(|_| self.ending = Ending::None)
    }

    async fn text(&mut self, text: &str) -> Result<(), GatewayError> {
        let text = self.first_line.push(text);
        self.say(text).await
    }

    async fn say(&mut self, text: String) -> Result<(), GatewayError> {
        if text.is_empty() {
            return Ok(());
        }
        if self.reply.text.len() < REPLY_BYTES_MAX {
            self.reply.text.push_str(&text);
        }
        self.tell(GatewayEvent::Text(text)).await
    }

    async fn tell(&self, event: GatewayEvent) -> Result<(), GatewayError> {
        // Nobody listens any more; what is returned reaches nobody either.
        self.events.send(event).await.map_err(|_| GatewayError::Cut)
    }

    fn too_late(&mut self, total_by: Instant) -> GatewayError {
        // Asked elsewhere now, it must not be answered here as well; what was begun is worth its end.
        if self.has_begun {
            self.ending = Ending::Leave;
        }
        GatewayError::Timeout(match self.has_begun {
            _ if Instant::now() >= total_by => Wait::Total,
            true => Wait::Idle,
            false => Wait::FirstToken,
        })
    }
}
