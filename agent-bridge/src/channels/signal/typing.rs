//! "is typing": Signal's sign fades after fifteen seconds, so it is said again while an answer is being made, and taken
//! down behind it. Owns those tasks and their bounds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use super::link::Link;
use super::{Signal, rpc};

const AGAIN: Duration = Duration::from_secs(10);
/// No answer takes longer; a sign that nobody takes down ends by itself after this many.
const TIMES_MAX: u32 = 30;
/// Places with a sign; further ones get none.
const PLACES_MAX: usize = 64;

#[derive(Default)]
pub(super) struct Typing {
    tasks: Mutex<HashMap<String, JoinHandle<()>>>,
}

/// What a sign needs to be said.
struct Sign {
    link: Link,
    requests: Arc<AtomicU64>,
    account: String,
    place: String,
}

impl Sign {
    /// A sign that is not shown is no loss.
    async fn say(&self, is_stopped: bool) {
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        let params = json!({ "recipient": [self.place], "stop": is_stopped });
        let request = rpc::request(id, "sendTyping", &params, &self.account);
        let _ = self.link.call(id, &request).await;
    }
}

impl Typing {
    pub(super) fn set(&self, signal: &Signal, place: &str, is_on: bool) {
        let sign = Sign {
            link: signal.link.clone(),
            requests: signal.requests.clone(),
            account: signal.config.account.clone(),
            place: place.to_owned(),
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|_, task| !task.is_finished());
        if !is_on {
            if let Some(task) = tasks.remove(place) {
                task.abort();
                tokio::spawn(async move { sign.say(true).await });
            }
            return;
        }
        if tasks.len() >= PLACES_MAX || tasks.contains_key(place) {
            return;
        }
        let task = tokio::spawn(async move {
            for _ in 0..TIMES_MAX {
                sign.say(false).await;
                tokio::time::sleep(AGAIN).await;
            }
        });
        tasks.insert(place.to_owned(), task);
    }
}

impl Drop for Typing {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        for task in tasks.values() {
            task.abort();
        }
    }
}
