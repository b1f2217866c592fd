//! Several gateways behind one another: the next one is asked when one fails before its first word.
//! Owns the order. A single gateway needs no router, but loses nothing by one.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::gateways::{
    AskHandle, AskRequest, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo,
};

/// Events between a gateway and the router. A gateway waits when it is full.
const EVENTS_MAX: usize = 16;

/// An ordered chain. The first gateway is the one that is described and checked.
#[derive(Clone)]
pub struct Router {
    first: Arc<dyn Gateway>,
    others: Vec<Arc<dyn Gateway>>,
}

impl Router {
    pub fn new(first: Arc<dyn Gateway>, others: Vec<Arc<dyn Gateway>>) -> Router {
        Router { first, others }
    }
}

impl Gateway for Router {
    fn describe(&self) -> GatewayInfo {
        self.first.describe()
    }

    fn ask(&self, request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        let router = self.clone();
        AskHandle::new(tokio::spawn(async move {
            let chain = std::iter::once(&router.first).chain(&router.others);
            let mut failed = None;
            for gateway in chain {
                match try_one(gateway.as_ref(), request.clone(), &events).await {
                    Ok(()) => return,
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                let _ = events.send(GatewayEvent::Failed(error)).await;
            }
        }))
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        async { self.first.check().await }.boxed()
    }

    fn warm(&self) {
        self.first.warm();
    }
}

/// Hands the answer on. An error is one that came before the first word; nothing was handed on then.
async fn try_one(
    gateway: &dyn Gateway,
    request: AskRequest,
    events: &mpsc::Sender<GatewayEvent>,
) -> Result<(), GatewayError> {
    let (sender, mut receiver) = mpsc::channel(EVENTS_MAX);
    // Held here, so that cancelling the router cancels the gateway.
    let _asked = gateway.ask(request, sender);
    let mut has_spoken = false;
    loop {
        let event = tokio::select! {
            () = events.closed() => return Ok(()),
            event = receiver.recv() => event,
        };
        let event = match event {
            // A task that ends without a word has failed.
            None if has_spoken => GatewayEvent::Failed(GatewayError::Cut),
            None => return Err(GatewayError::Cut),
            Some(GatewayEvent::Failed(error)) if !has_spoken => return Err(error),
            Some(event) => event,
        };
        let is_last = matches!(event, GatewayEvent::Done { .. } | GatewayEvent::Failed(_));
        has_spoken = true;
        if events.send(event).await.is_err() || is_last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateways::fake::{FakeGateway, FakeStep};
    use crate::turn::ReplyId;

    fn request() -> AskRequest {
        AskRequest {
            reply: ReplyId(1),
            session: "s".into(),
            system: String::new(),
            messages: Vec::new(),
            speculative: false,
            tools: Vec::new(),
        }
    }

    fn text(text: &str) -> FakeStep {
        FakeStep::Send(GatewayEvent::Text(text.into()))
    }

    fn done() -> FakeStep {
        FakeStep::Send(GatewayEvent::Done { usage: None })
    }

    fn failed() -> FakeStep {
        FakeStep::Send(GatewayEvent::Failed(GatewayError::Server { status: 500 }))
    }

    async fn check(first: Vec<FakeStep>, second: Vec<FakeStep>, wanted: &str, asked: usize) {
        let first = FakeGateway::new([first]);
        let second = FakeGateway::new([second]);
        let router = Router::new(Arc::new(first), vec![Arc::new(second.clone())]);
        let (sender, mut receiver) = mpsc::channel(4);
        let _handle = router.ask(request(), sender);
        let mut seen = String::new();
        while let Some(event) = receiver.recv().await {
            match event {
                GatewayEvent::Text(text) => seen.push_str(&text),
                GatewayEvent::ToolCall(_) => seen.push('t'),
                GatewayEvent::Done { .. } => seen.push('.'),
                GatewayEvent::Failed(error) => seen.push_str(&format!("{error:?}")),
            }
        }
        assert_eq!(seen, wanted);
        assert_eq!(second.asked().len(), asked);
    }

    #[tokio::test]
    async fn the_next_is_asked_only_before_the_first_word() {
        check(vec![text("a"), done()], vec![text("b"), done()], "a.", 0).await;
        check(vec![failed()], vec![text("b"), done()], "b.", 1).await;
        check(vec![], vec![text("b"), done()], "b.", 1).await;
        check(
            vec![text("a"), failed()],
            vec![text("b")],
            "aServer { status: 500 }",
            0,
        )
        .await;
        check(vec![text("a")], vec![text("b")], "aCut", 0).await;
        check(vec![failed()], vec![failed()], "Server { status: 500 }", 1).await;
    }
}
