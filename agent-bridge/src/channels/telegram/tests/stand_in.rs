//! `telegram_stand_in`: a small server of our own that speaks as much of the Bot API as is used here. It is not Telegram.
//! And what the program around the channel gives it: memory that a restart survives, and a door.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::super::*;
use super::{LIMIT, TOKEN};
use crate::channels::{Address, MemoryError};

#[derive(Default)]
pub(super) struct Telegraph {
    /// Not receipted yet.
    pub(super) updates: Vec<Value>,
    /// Every request but `getUpdates` and `getMe`: method and body.
    pub(super) asked: Vec<(String, Value)>,
    /// Offsets, in the order they came.
    pub(super) offsets: Vec<Option<i64>>,
    /// Answers of their own for the next requests of a method: status and body, or a cut connection.
    pub(super) answers: HashMap<String, Vec<(u16, Value)>>,
    pub(super) file: Vec<u8>,
    pub(super) file_status: u16,
    pub(super) next_number: i64,
}

/// The stand-in and how to reach it.
#[derive(Clone)]
pub(super) struct StandIn {
    inner: Arc<Mutex<Telegraph>>,
    news: Arc<Notify>,
    pub(super) address: SocketAddr,
}

impl StandIn {
    pub(super) async fn start() -> StandIn {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let stand_in = StandIn {
            inner: Arc::new(Mutex::new(Telegraph {
                next_number: 100,
                file_status: 200,
                ..Telegraph::default()
            })),
            news: Arc::new(Notify::new()),
            address: listener.local_addr().expect("bound"),
        };
        let router = Router::new()
            .route("/file/{bot}/{*path}", get(file))
            .route("/{bot}/{method}", post(method))
            .with_state(stand_in.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        stand_in
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Telegraph) -> T) -> T {
        let result = change(&mut self.inner.lock().expect("no test panics inside"));
        self.news.notify_waiters();
        result
    }

    pub(super) fn update(&self, update: Value) {
        self.with(|inner| inner.updates.push(update));
    }

    pub(super) fn answer_next(&self, method: &str, status: u16, body: Value) {
        self.with(|inner| {
            inner
                .answers
                .entry(method.to_owned())
                .or_default()
                .push((status, body))
        });
    }

    /// Waits until `found` finds something.
    pub(super) async fn wait<T>(&self, mut found: impl FnMut(&mut Telegraph) -> Option<T>) -> T {
        let search = async {
            loop {
                let news = self.news.notified();
                if let Some(result) = found(&mut self.inner.lock().expect("no test panics inside"))
                {
                    return result;
                }
                news.await;
            }
        };
        tokio::time::timeout(LIMIT, search)
            .await
            .expect("it happens")
    }

    /// The bodies of all requests of this method.
    pub(super) fn all(&self, method: &str) -> Vec<Value> {
        let of = |(name, body): &(String, Value)| (name == method).then(|| body.clone());
        self.with(|inner| inner.asked.iter().filter_map(of).collect())
    }

    pub(super) async fn wait_for(&self, method: &str, count: usize) -> Vec<Value> {
        self.wait(|inner| {
            let of = |(name, body): &(String, Value)| (name == method).then(|| body.clone());
            let all: Vec<Value> = inner.asked.iter().filter_map(of).collect();
            (all.len() >= count).then_some(all)
        })
        .await
    }

    pub(super) fn channel(&self, memory: &Arc<Notes>, known: &[&str]) -> Arc<Telegram> {
        let config = TelegramConfig {
            url: format!("http://{}", self.address),
            token: Secret::new(TOKEN),
            groups: vec![-5],
            seed: [1; 32],
        };
        let door = Guests {
            known: known.iter().map(|id| (*id).to_owned()).collect(),
        };
        Arc::new(
            Telegram::new(config, memory.clone(), Arc::new(door)).expect("a good configuration"),
        )
    }
}

async fn file(
    State(stand_in): State<StandIn>,
    Path((bot, _)): Path<(String, String)>,
) -> (StatusCode, Vec<u8>) {
    assert_eq!(bot, format!("bot{TOKEN}"));
    let (status, file) = stand_in.with(|inner| (inner.file_status, inner.file.clone()));
    (StatusCode::from_u16(status).expect("a status"), file)
}

async fn method(
    State(stand_in): State<StandIn>,
    Path((bot, method)): Path<(String, String)>,
    body: Bytes,
) -> (StatusCode, String) {
    assert_eq!(bot, format!("bot{TOKEN}"));
    let body: Value = serde_json::from_slice(&body)
        .unwrap_or_else(|_| json!({ "form": String::from_utf8_lossy(&body) }));
    let own = stand_in.with(|inner| match inner.answers.get_mut(&method) {
        Some(answers) if !answers.is_empty() => Some(answers.remove(0)),
        _ => None,
    });
    if let Some((status, answer)) = own {
        stand_in.with(|inner| inner.asked.push((method, body)));
        return (
            StatusCode::from_u16(status).expect("a status"),
            answer.to_string(),
        );
    }
    let result = match method.as_str() {
        "getMe" => json!({"id": 42, "username": "Offhook_bot"}),
        "getUpdates" => stand_in.updates(body["offset"].as_i64()).await,
        "getFile" => json!({"file_path": "voice/file_1.oga"}),
        _ => {
            let number = stand_in.with(|inner| {
                inner.asked.push((method.clone(), body));
                inner.next_number += 1;
                inner.next_number
            });
            json!({ "message_id": number })
        }
    };
    (
        StatusCode::OK,
        json!({"ok": true, "result": result}).to_string(),
    )
}

impl StandIn {
    /// Holds the question open until there is something, as Telegram does.
    async fn updates(&self, offset: Option<i64>) -> Value {
        self.with(|inner| {
            inner.offsets.push(offset);
            if let Some(offset) = offset {
                inner
                    .updates
                    .retain(|update| update["update_id"].as_i64() >= Some(offset));
            }
        });
        let some = self.wait(|inner| (!inner.updates.is_empty()).then(|| json!(inner.updates)));
        some.await
    }
}

/// Memory that a restart survives.
#[derive(Default)]
pub(super) struct Notes {
    kept: Mutex<HashMap<String, String>>,
    pub(super) is_full: std::sync::atomic::AtomicBool,
}

impl Memory for Notes {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<String>> {
        let value = self
            .kept
            .lock()
            .expect("no test panics inside")
            .get(key)
            .cloned();
        async move { value }.boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), MemoryError>> {
        let is_full = self.is_full.load(std::sync::atomic::Ordering::Relaxed);
        if !is_full {
            let mut kept = self.kept.lock().expect("no test panics inside");
            kept.insert(key.to_owned(), value.to_owned());
        }
        async move { if is_full { Err(MemoryError) } else { Ok(()) } }.boxed()
    }
}

pub(super) struct Guests {
    pub(super) known: Vec<String>,
}

impl Door for Guests {
    fn knows<'a>(&'a self, who: &'a Address) -> BoxFuture<'a, bool> {
        let is_known = self.known.contains(&who.id);
        async move { is_known }.boxed()
    }

    fn code<'a>(&'a self, _who: &'a Address, _name: &'a str) -> BoxFuture<'a, Option<String>> {
        async { Some("ABCD-1234".to_owned()) }.boxed()
    }
}
