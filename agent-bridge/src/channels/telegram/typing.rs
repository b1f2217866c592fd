//! "is typing": Telegram's sign fades after five seconds (Bot API, `sendChatAction`), so it is said again while an answer
//! is being made. Owns those tasks and their bounds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use super::wire::Wire;

const AGAIN: Duration = Duration::from_secs(4);
/// No answer takes longer; a sign that nobody takes down ends by itself after this many.
const TIMES_MAX: u32 = 75;
/// Places with a sign; further ones get none.
const PLACES_MAX: usize = 64;

#[derive(Default)]
pub(super) struct Typing {
    tasks: Mutex<HashMap<String, JoinHandle<()>>>,
}

impl Typing {
    pub(super) fn set(&self, wire: &Wire, place: &str, is_on: bool) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|_, task| !task.is_finished());
        if !is_on {
            if let Some(task) = tasks.remove(place) {
                task.abort();
            }
            return;
        }
        if tasks.len() >= PLACES_MAX || tasks.contains_key(place) {
            return;
        }
        let (wire, to) = (wire.clone(), place.to_owned());
        let task = tokio::spawn(async move {
            for _ in 0..TIMES_MAX {
                let body = json!({ "chat_id": to, "action": "typing" });
                // A sign that is not shown is no loss.
                let _ = wire.call("sendChatAction", &body).await;
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
