//! A tool's server for tests: answers as scripted on loopback, and remembers what it was sent. And an owner who decides
//! as told, and remembers what was asked and told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::{Finished, Owner, Ran, Tool};
use crate::approvals::{ApprovalRequest, Decision};
use crate::gateways::{Secret, ToolSpec};
use crate::levels::Level;

#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub method: String,
    pub path: String,
    pub token: String,
    pub key: String,
    pub body: Value,
}

pub struct StandIn {
    pub base: String,
    pub sent: Mutex<Vec<Sent>>,
    /// Status and body, in order; then 200 and "ok".
    pub script: Mutex<VecDeque<(u16, String)>>,
    /// One permit for each answer, where `is_held`.
    pub gate: Semaphore,
    is_held: bool,
}

impl StandIn {
    pub async fn start(script: &[(u16, &str)]) -> Arc<StandIn> {
        StandIn::start_held(script, false).await
    }

    pub async fn start_held(script: &[(u16, &str)], is_held: bool) -> Arc<StandIn> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let script = script
            .iter()
            .map(|(status, body)| (*status, (*body).to_owned()));
        let server = Arc::new(StandIn {
            base: format!("http://{address}"),
            sent: Mutex::default(),
            script: Mutex::new(script.collect()),
            gate: Semaphore::new(0),
            is_held,
        });
        let routes = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        server
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().expect("no panic").clone()
    }

    pub async fn until_sent(&self, count: usize) {
        until(|| self.sent().len() >= count).await;
    }

    /// A tool here, of this name, for everybody.
    pub fn tool(&self, name: &str) -> Tool {
        Tool {
            spec: ToolSpec {
                name: name.to_owned(),
                description: "d".to_owned(),
                parameters: json!({
                    "type": "object",
                    "properties": { "prompt": { "type": "string" } },
                    "required": ["prompt"],
                }),
            },
            url: format!("{}/prompt", self.base),
            token: Some(Secret::new("sesame")),
            timeout: Duration::from_secs(20),
            needs_approval: false,
            levels: vec![Level::Owner, Level::Family, Level::Guest],
            agents: Vec::new(),
            waiting_max: 1,
            job: None,
        }
    }
}

async fn answer(
    State(server): State<Arc<StandIn>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    server.sent.lock().expect("no panic").push(Sent {
        method: method.to_string(),
        path: uri.path().to_owned(),
        token: text("authorization"),
        key: text("idempotency-key"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    if server.is_held {
        server.gate.acquire().await.expect("open").forget();
    }
    let next = server.script.lock().expect("no panic").pop_front();
    let (status, body) = next.unwrap_or((200, "ok".to_owned()));
    let status = StatusCode::from_u16(status).expect("a status");
    let moved = [(header::LOCATION, "http://127.0.0.1:9/elsewhere")];
    (status, moved, body).into_response()
}

/// Waits for what must come to be so.
pub async fn until(mut is_so: impl FnMut() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waited).await;
    waited.expect("it came to be so");
}

/// Says the same to everything.
pub struct Scripted {
    pub decision: Decision,
    pub asked: Mutex<Vec<ApprovalRequest>>,
    pub ran: Mutex<Vec<Ran>>,
    pub finished: Mutex<Vec<Finished>>,
}

impl Scripted {
    pub fn saying(decision: Decision) -> Arc<Scripted> {
        Arc::new(Scripted {
            decision,
            asked: Mutex::default(),
            ran: Mutex::default(),
            finished: Mutex::default(),
        })
    }

    pub fn outcomes(&self) -> Vec<String> {
        let ran = self.ran.lock().expect("no panic");
        ran.iter().map(|run| run.outcome.clone()).collect()
    }
}

impl Owner for Scripted {
    fn permit(&self, request: ApprovalRequest) -> BoxFuture<'_, Decision> {
        self.asked.lock().expect("no panic").push(request);
        let decision = self.decision;
        async move { decision }.boxed()
    }

    fn ran(&self, run: Ran) {
        self.ran.lock().expect("no panic").push(run);
    }

    fn finished(&self, work: Finished) {
        self.finished.lock().expect("no panic").push(work);
    }
}
