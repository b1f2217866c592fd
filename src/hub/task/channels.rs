//! Channels: each is run for ever, behind a wall, and what it brings is offered to the hub one by one. Owns when one that
//! failed is started again.

use super::*;

/// A channel that ended is started again after this, and later each time.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(5 * 60);
/// One that ran for so long is well again.
const WELL: Duration = Duration::from_secs(10 * 60);

impl Task {
    pub(super) async fn attach(&mut self, channel: Arc<dyn Channel>) {
        let name = channel.name();
        lock(&self.cx.channels).insert(name.to_owned(), channel.clone());
        self.withdraw_earlier(&channel);
        let (inbox, mut arrivals) = mpsc::channel::<Arrival>(INBOX_MAX);
        let hub = self.cx.hub.clone();
        let run = tokio::spawn(kept_running(channel, inbox, AGAIN));
        let read = tokio::spawn(async move {
            while let Some(arrival) = arrivals.recv().await {
                let taken = hub.receive(arrival.message).await;
                let _ = arrival.kept.send(taken.map(|_| ()).map_err(NotKept::from));
            }
        });
        self.beside
            .extend([run.abort_handle(), read.abort_handle()]);
        self.step(Input::Attached {
            channel: name.to_owned(),
        });
        self.notices().await;
        self.approvals();
    }
}

/// A task that ends with whoever holds this.
pub(super) struct Walled<T>(pub JoinHandle<T>);

impl<T> Drop for Walled<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs a channel as long as somebody takes what it brings. Its panic ends neither the channel nor the hub.
async fn kept_running(channel: Arc<dyn Channel>, inbox: mpsc::Sender<Arrival>, again: Duration) {
    let mut failures = 0u32;
    loop {
        let began = tokio::time::Instant::now();
        let mut running = Walled(tokio::spawn(channel.clone().run(inbox.clone())));
        let ended = (&mut running.0).await;
        if inbox.is_closed() {
            return;
        }
        if began.elapsed() >= WELL {
            failures = 0;
        }
        let pause = again.saturating_mul(1 << failures.min(16)).min(AGAIN_MAX);
        failures += 1;
        match ended {
            Ok(()) => warn!(
                channel = channel.name(),
                "it ended, and is started again in {} s",
                pause.as_secs()
            ),
            Err(error) => error!(
                channel = channel.name(),
                %error,
                "it failed, and is started again in {} s",
                pause.as_secs()
            ),
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::FutureExt as _;

    use super::*;

    /// Panics at first, then ends, then brings a message and stays.
    struct Frail(AtomicU32);

    impl Channel for Frail {
        fn name(&self) -> &'static str {
            "signal"
        }

        fn run(self: Arc<Self>, inbox: mpsc::Sender<Arrival>) -> BoxFuture<'static, ()> {
            async move {
                match self.0.fetch_add(1, Ordering::Relaxed) {
                    0 => panic!("as a test"),
                    1 => return,
                    _ => {}
                }
                let (kept, _) = oneshot::channel();
                let message = crate::hub::tests::text("signal", "1", "m", "here");
                let _ = inbox.send(Arrival { message, kept }).await;
                std::future::pending().await
            }
            .boxed()
        }

        fn deliver<'a>(
            &'a self,
            _: &'a Outbound,
        ) -> BoxFuture<'a, Result<Option<String>, DeliveryError>> {
            async { Ok(None) }.boxed()
        }

        fn standing(&self) -> String {
            String::new()
        }
    }

    #[tokio::test]
    async fn a_channel_that_fails_is_started_again() {
        let frail = Arc::new(Frail(AtomicU32::new(0)));
        let (inbox, mut arrivals) = mpsc::channel(1);
        let running = tokio::spawn(kept_running(frail.clone(), inbox, Duration::ZERO));
        assert!(arrivals.recv().await.is_some());
        assert_eq!(frail.0.load(Ordering::Relaxed), 3);
        running.abort();
    }
}
