//! A gateway in the cloud where the cloud is switched off: it keeps the name and nothing else. What it replaces is
//! dropped, so that nothing in the program could connect there by mistake.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::choice::Nobody;
use crate::gateways::{
    AskHandle, AskRequest, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo, Held,
};

/// Answers every question with the reason why it is not asked.
#[derive(Debug, Clone)]
pub struct Closed(pub GatewayInfo);

const WHY: GatewayError = GatewayError::Held(Held::Nobody(Nobody::CloudOff));

impl Gateway for Closed {
    fn describe(&self) -> GatewayInfo {
        self.0.clone()
    }

    fn ask(&self, _request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        AskHandle::new(tokio::spawn(async move {
            let _ = events.send(GatewayEvent::Failed(WHY)).await;
        }))
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        async { Err(WHY) }.boxed()
    }

    fn warm(&self) {}
}
