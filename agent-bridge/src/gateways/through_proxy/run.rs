//! The gateway's side of a question that was committed: its message sent, its run followed to the end whoever listens, and
//! what it has missed of the turn.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rand::Rng as _;
use tokio::sync::{OwnedMutexGuard, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::{AGAIN_AFTER, Inner, LAST_RUN_MAX, Missed, RUN_MAX, shortened};
use crate::gateways::{GatewayError, Told};
use crate::openclaw::RunEvent;
use crate::proxy::Runner;

/// A run of the gateway's.
pub(super) struct Run {
    pub(super) inner: Arc<Inner>,
    /// When the message before was.
    pub(super) sent_before: Option<Instant>,
    pub(super) key: String,
    pub(super) words: String,
    pub(super) message: String,
    pub(super) runner: Runner,
    pub(super) told: watch::Receiver<Told>,
    pub(super) events: mpsc::Sender<RunEvent>,
}

impl Run {
    pub(super) async fn see_through(mut self) {
        let busy = self
            .inner
            .session(&self.key, |session| session.busy.clone());
        // One run at a time: the next message would end the last run before its reply is written down.
        let held: Option<OwnedMutexGuard<()>> = timeout(LAST_RUN_MAX, busy.lock_owned()).await.ok();
        let is_known = match timeout(RUN_MAX, self.follow()).await {
            Ok(is_known) => is_known,
            Err(_) => self.runner.has_arrived(),
        };
        self.runner.run_over();
        drop(held);
        if !is_known {
            // It is still being heard; an error says that whoever asked is gone.
            drop(self.told.wait_for(|told| told.is_over).await);
        }
        let missed = match is_known {
            true => None,
            false => Some(Missed {
                words: shortened(&self.words),
                heard: shortened(&self.told.borrow().heard),
            }),
        };
        let sent_before = self.sent_before;
        self.inner.session(&self.key, |session| {
            // Nor does it know how it is heard.
            if missed.is_some() {
                session.sent_at = sent_before;
            }
            // Of several turns that were missed the last one is told.
            session.missed = missed;
        });
    }

    /// Whether the gateway knows what was said in this turn. A message that it ignores is sent again, as another run.
    async fn follow(&self) -> bool {
        for pause in std::iter::once(Duration::ZERO).chain(AGAIN_AFTER) {
            sleep(pause).await;
            match self.send_once().await {
                RunEvent::Ignored if !self.runner.has_arrived() => {}
                RunEvent::Done => return true,
                _ => return self.runner.has_arrived(),
            }
        }
        let ignored = RunEvent::Failed(GatewayError::Empty);
        drop(self.events.send(ignored).await);
        false
    }

    /// How the run ends; all of it but `Ignored` is told.
    async fn send_once(&self) -> RunEvent {
        let id = {
            let rng = &self.inner.rng;
            let mut bits = [0; 16];
            rng.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .fill_bytes(&mut bits);
            run_name(bits)
        };
        let sent = self.inner.link.send(&self.key, &self.message, &id).await;
        let mut runs = match sent {
            Ok(runs) => runs,
            Err(error) => {
                let failed = RunEvent::Failed(GatewayError::Link(error));
                let _ = self.events.try_send(failed.clone());
                return failed;
            }
        };
        while let Some(event) = runs.recv().await {
            if event == RunEvent::Ignored {
                return event;
            }
            let last = event.is_last().then(|| event.clone());
            // A listener that is busy speaking loses nothing by it: its text comes from the proxy. One that speaks the
            // gateway's own text is waited for.
            match self.runner.has_arrived() {
                true => drop(self.events.try_send(event)),
                false => drop(self.events.send(event).await),
            }
            if let Some(last) = last {
                return last;
            }
        }
        RunEvent::Failed(GatewayError::Cut)
    }
}

/// A name that no run has had, from random bits. RFC 9562 section 5.4.
pub(super) fn run_name(bits: [u8; 16]) -> String {
    let mut number = u128::from_be_bytes(bits);
    number = number & !(0xf << 76) | (4 << 76);
    number = number & !(0x3 << 62) | (2 << 62);
    let hex = format!("{number:032x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}
