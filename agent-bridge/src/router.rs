//! Several gateways behind one another: the next one is asked when one fails, or hangs, before its first
//! word. Owns the order, the wait for a first word where another one could be asked instead, and the
//! memory of who failed lately. A single gateway needs no router, but loses nothing by one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::approvals::{ApprovalEvent, ApprovalId, ApprovalKind, Decision};
use crate::gateways::{
    AskHandle, AskRequest, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo, Progress,
    Told, Wait,
};

/// Events between a gateway and the router. A gateway waits when it is full.
const EVENTS_MAX: usize = 16;
/// However long a gateway wishes to be left alone, it is tried again after this.
const REST_MAX: Duration = Duration::from_secs(300);

/// Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterConfig {
    /// From the question to a sign of life (a word, a tool, visible thinking), where another gateway
    /// could be asked. The last one asked has its own, longer wait.
    pub fallback_after_ms: u32,
    /// A gateway that failed is asked after all others for so long.
    pub rest_ms: u32,
}

impl Default for RouterConfig {
    fn default() -> RouterConfig {
        RouterConfig {
            fallback_after_ms: 1_500,
            rest_ms: 30_000,
        }
    }
}

/// An ordered chain. The first gateway is the one that is described and checked.
///
/// A speculative question goes to one gateway only and never down the chain: its failure is reported,
/// and remembered, so that the question itself begins with the next one.
#[derive(Clone)]
pub struct Router {
    config: RouterConfig,
    links: Arc<[Link]>,
}

struct Link {
    gateway: Arc<dyn Gateway>,
    /// It failed, and is asked after the others until then.
    rests_until: Mutex<Option<Instant>>,
}

impl Link {
    fn rests(&self, now: Instant) -> bool {
        let until = *self
            .rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| now < until)
    }

    fn set_rest(&self, until: Option<Instant>) {
        *self
            .rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl Router {
    pub fn new(
        first: Arc<dyn Gateway>,
        others: Vec<Arc<dyn Gateway>>,
        config: RouterConfig,
    ) -> Router {
        let link = |gateway| Link {
            gateway,
            rests_until: Mutex::new(None),
        };
        Router {
            config,
            links: std::iter::once(first).chain(others).map(link).collect(),
        }
    }

    fn first(&self) -> &dyn Gateway {
        // `new` puts one there.
        self.links[0].gateway.as_ref()
    }

    /// Those that did not fail lately, then those that did; each in the order of the chain.
    fn order(&self, now: Instant) -> Vec<&Link> {
        let (resting, fresh): (Vec<&Link>, Vec<&Link>) =
            self.links.iter().partition(|link| link.rests(now));
        fresh.into_iter().chain(resting).collect()
    }

    async fn run(
        &self,
        request: AskRequest,
        events: &mpsc::Sender<GatewayEvent>,
        told: &mut watch::Receiver<Told>,
    ) {
        let order = self.order(Instant::now());
        let tries = if request.speculative { 1 } else { order.len() };
        let mut failed = None;
        for (n, link) in order.iter().take(tries).enumerate() {
            if failed.is_some() {
                let trying = Progress::trying(&link.gateway.describe());
                if events.send(GatewayEvent::Progress(trying)).await.is_err() {
                    return;
                }
            }
            let is_last = n + 1 == order.len();
            let patience = (!is_last).then(|| ms(self.config.fallback_after_ms));
            let asked = try_one(
                link.gateway.as_ref(),
                request.clone(),
                patience,
                events,
                told,
            );
            match asked.await {
                Ok(Ending::Answered) => return link.set_rest(None),
                Ok(Ending::Unwanted) => return,
                // It must be told now: what was begun cannot be asked again elsewhere.
                Ok(Ending::Failed) => return link.set_rest(self.rest(None)),
                Err(error) => {
                    link.set_rest(self.rest(Some(&error)));
                    failed = Some(error);
                }
            }
        }
        if let Some(error) = failed {
            let _ = events.send(GatewayEvent::Failed(error)).await;
        }
    }

    fn rest(&self, error: Option<&GatewayError>) -> Option<Instant> {
        let own = ms(self.config.rest_ms);
        let rest = match error {
            Some(GatewayError::RateLimited {
                retry_after: Some(wanted),
            }) => (*wanted).clamp(own, REST_MAX.max(own)),
            _ => own,
        };
        Some(Instant::now() + rest)
    }
}

impl Gateway for Router {
    fn describe(&self) -> GatewayInfo {
        self.first().describe()
    }

    /// All of them: a guess goes to whichever is first just then.
    fn only_answers(&self) -> bool {
        self.links.iter().all(|link| link.gateway.only_answers())
    }

    fn ask(&self, request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        let router = self.clone();
        let (telling, mut told) = watch::channel(Told {
            is_committed: !request.speculative,
            ..Told::default()
        });
        let task = tokio::spawn(async move {
            router.run(request, &events, &mut told).await;
        });
        AskHandle::telling(task, telling)
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        async { self.first().check().await }.boxed()
    }

    fn warm(&self) {
        for link in self.links.iter() {
            link.gateway.warm();
        }
    }

    /// Of the first one that has any. A second agent with tools of its own is asked by nobody in the chain's name.
    fn approvals(&self) -> Option<broadcast::Receiver<ApprovalEvent>> {
        self.links.iter().find_map(|link| link.gateway.approvals())
    }

    fn resolve(
        &self,
        id: ApprovalId,
        kind: ApprovalKind,
        decision: Decision,
    ) -> BoxFuture<'_, Result<(), GatewayError>> {
        let asker = self
            .links
            .iter()
            .find(|link| link.gateway.approvals().is_some());
        match asker {
            Some(link) => link.gateway.resolve(id, kind, decision),
            None => self.first().resolve(id, kind, decision),
        }
    }

    fn news(&self, session: &str) -> Option<mpsc::Receiver<String>> {
        self.links
            .iter()
            .find_map(|link| link.gateway.news(session))
    }
}

/// How a question ended that was handed on.
enum Ending {
    Answered,
    /// After something had been handed on that cannot be taken back; the failure was handed on too.
    Failed,
    Unwanted,
}

/// Hands the answer on. An error is one that came before the first word; at most progress was handed on
/// then. `patience` is the wait for a sign of life; none: the gateway's own.
async fn try_one(
    gateway: &dyn Gateway,
    request: AskRequest,
    patience: Option<Duration>,
    events: &mpsc::Sender<GatewayEvent>,
    told: &mut watch::Receiver<Told>,
) -> Result<Ending, GatewayError> {
    let began = Instant::now();
    let (sender, mut receiver) = mpsc::channel(EVENTS_MAX);
    // Held here, so that leaving it cancels the gateway.
    let asked = gateway.ask(request, sender);
    asked.tell_all(&told.borrow_and_update());
    let mut patience = patience.map(|patience| began + patience);
    let mut has_begun = false;
    loop {
        let impatient = async {
            match patience {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            biased;
            () = events.closed() => return Ok(Ending::Unwanted),
            Ok(()) = told.changed() => {
                asked.tell_all(&told.borrow_and_update());
                continue;
            }
            event = receiver.recv() => event,
            () = impatient => return Err(GatewayError::Timeout(Wait::FirstToken)),
        };
        let event = match event {
            // A task that ends without a word has failed.
            None if has_begun => GatewayEvent::Failed(GatewayError::Cut),
            None => return Err(GatewayError::Cut),
            Some(GatewayEvent::Failed(error)) if !has_begun => return Err(error),
            Some(event) => event,
        };
        patience = None;
        let ending = match &event {
            GatewayEvent::Done { .. } => Some(Ending::Answered),
            GatewayEvent::Failed(_) => Some(Ending::Failed),
            _ => None,
        };
        // A tool that was named may be at work already: asked elsewhere, it would work twice.
        has_begun |= !matches!(
            event,
            GatewayEvent::Progress(Progress::Waiting | Progress::Trying { .. })
        );
        if events.send(event).await.is_err() {
            return Ok(Ending::Unwanted);
        }
        if let Some(ending) = ending {
            // The answer is complete, and how much of it is heard is still to come.
            while asked.wants_to_be_told() && !asked.is_finished() && told.changed().await.is_ok() {
                asked.tell_all(&told.borrow_and_update());
            }
            return Ok(ending);
        }
    }
}

fn ms(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
