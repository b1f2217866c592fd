//! A gateway that follows a script: for tests and simulations, never for callers. Owns the script and
//! what was asked of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::{AskHandle, AskRequest, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo};

/// What happens in answer to one question, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum FakeStep {
    Wait(Duration),
    Send(GatewayEvent),
}

/// Answers the first question with the first script, and so on; questions beyond are never answered.
#[derive(Debug, Clone, Default)]
pub struct FakeGateway {
    scripts: Arc<Mutex<VecDeque<Vec<FakeStep>>>>,
    asked: Arc<Mutex<Vec<AskRequest>>>,
    warmed: Arc<AtomicUsize>,
}

impl FakeGateway {
    pub fn new(scripts: impl IntoIterator<Item = Vec<FakeStep>>) -> FakeGateway {
        FakeGateway {
            scripts: Arc::new(Mutex::new(scripts.into_iter().collect())),
            asked: Arc::default(),
            warmed: Arc::default(),
        }
    }

    /// How often it was warmed.
    pub fn warmed(&self) -> usize {
        self.warmed.load(Ordering::Relaxed)
    }

    /// The questions so far.
    pub fn asked(&self) -> Vec<AskRequest> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Gateway for FakeGateway {
    fn describe(&self) -> GatewayInfo {
        GatewayInfo {
            name: "fake".to_owned(),
            model: String::new(),
            address: String::new(),
            demo: false,
        }
    }

    fn only_answers(&self) -> bool {
        true
    }

    fn ask(&self, request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
        let script = self
            .scripts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        AskHandle::new(tokio::spawn(async move {
            let Some(script) = script else {
                return std::future::pending().await;
            };
            for step in script {
                match step {
                    FakeStep::Wait(time) => tokio::time::sleep(time).await,
                    FakeStep::Send(event) => {
                        if events.send(event).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }))
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        let report = CheckReport {
            took: Duration::ZERO,
            models: Vec::new(),
            model_known: None,
        };
        async move { Ok(report) }.boxed()
    }

    fn warm(&self) {
        self.warmed.fetch_add(1, Ordering::Relaxed);
    }
}
