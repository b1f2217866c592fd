//! Answers that are under way when the caller hangs up: those that took effect go on, and whoever holds the other end is
//! given the whole text once it is there. Owns what has come of each; nothing of a guess is told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use agent_bridge::gateways::AskHandle;
use agent_bridge::turn::ReplyId;
use tokio::sync::mpsc;

use super::Event;
use crate::call::ReplyEvent;

/// Text of one answer that is kept; what comes behind it is cut.
const TEXT_BYTES_MAX: usize = 60 * 1024;
/// Answers of one call that are looked after.
const REPLIES_MAX: usize = 16;
/// No answer is waited for longer than this.
const LATE_MAX: Duration = Duration::from_secs(15 * 60);

/// Takes the text of an answer that came too late for its call.
pub type LateDoor = Arc<dyn Fn(String) + Send + Sync>;

#[derive(Default)]
pub(super) struct OpenReplies {
    texts: HashMap<ReplyId, String>,
    committed: HashSet<ReplyId>,
    left: HashMap<ReplyId, AskHandle>,
}

impl OpenReplies {
    /// A piece of a reply, on its way into the call.
    pub(super) fn came(&mut self, id: ReplyId, event: &ReplyEvent) {
        match event {
            ReplyEvent::Text(text) => {
                if self.texts.len() >= REPLIES_MAX && !self.texts.contains_key(&id) {
                    return;
                }
                let kept = self.texts.entry(id).or_default();
                let room = TEXT_BYTES_MAX.saturating_sub(kept.len());
                kept.push_str(&text[..text.floor_char_boundary(room)]);
            }
            ReplyEvent::Done | ReplyEvent::Failed(_) => self.over(id),
            ReplyEvent::ToolCall(_) | ReplyEvent::Progress(_) => {}
        }
    }

    pub(super) fn committed(&mut self, id: ReplyId) {
        self.committed.insert(id);
    }

    /// It is finished, or called off.
    pub(super) fn over(&mut self, id: ReplyId) {
        self.texts.remove(&id);
        self.committed.remove(&id);
    }

    /// The call is over: questions that took effect are not called off with it.
    pub(super) fn leave(&mut self, asks: &mut HashMap<ReplyId, AskHandle>) {
        for id in self.committed.clone() {
            if let Some(ask) = asks.remove(&id)
                && !ask.is_finished()
            {
                let text = self.texts.remove(&id).unwrap_or_default();
                self.texts.insert(id, text);
                self.left.insert(id, ask);
            }
        }
        let left = &self.left;
        self.committed.retain(|id| left.contains_key(id));
        self.texts.retain(|id, _| left.contains_key(id));
    }

    /// Waits for what was left.
    pub(super) async fn finish(mut self, mut inbox: mpsc::Receiver<Event>, door: LateDoor) {
        let until = tokio::time::Instant::now() + LATE_MAX;
        while !self.left.is_empty() {
            let Ok(Some(event)) = tokio::time::timeout_at(until, inbox.recv()).await else {
                return;
            };
            let Event::Reply { id, event } = event else {
                continue;
            };
            let is_done = matches!(event, ReplyEvent::Done);
            let is_over = is_done || matches!(event, ReplyEvent::Failed(_));
            let text = self.texts.get(&id).cloned().unwrap_or_default();
            self.came(id, &event);
            if !is_over {
                continue;
            }
            if let Some(ask) = self.left.remove(&id)
                && is_done
                && !text.trim().is_empty()
            {
                ask.heard(&text, true);
                door(text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn what_took_effect_is_told_whole_and_a_guess_is_not() {
        let (events, inbox) = mpsc::channel(8);
        let mut open = OpenReplies::default();
        let mut asks = HashMap::new();
        for id in 1..=4 {
            asks.insert(
                ReplyId(id),
                AskHandle::new(tokio::spawn(std::future::pending())),
            );
        }
        let text = |text: &str| ReplyEvent::Text(text.to_owned());
        // The first and the third took effect, the second is a guess, the fourth was finished before.
        for id in [1, 3, 4] {
            open.committed(ReplyId(id));
        }
        open.came(ReplyId(1), &text("It is "));
        open.came(ReplyId(2), &text("a guess"));
        open.came(ReplyId(4), &text("over"));
        open.came(ReplyId(4), &ReplyEvent::Done);
        open.leave(&mut asks);
        assert_eq!(
            asks.len(),
            2,
            "the guess and the finished one stay with the call"
        );
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let door = {
            let told = told.clone();
            Arc::new(move |text| told.lock().expect("no panic").push(text)) as LateDoor
        };
        let finished = tokio::spawn(open.finish(inbox, door));
        for (id, event) in [
            (1, text("built.")),
            (2, ReplyEvent::Done),
            (1, ReplyEvent::Done),
            (3, ReplyEvent::Done),
        ] {
            let id = ReplyId(id);
            events
                .send(Event::Reply { id, event })
                .await
                .unwrap_or_else(|_| panic!("it listens"));
        }
        finished.await.expect("no panic");
        assert_eq!(*told.lock().expect("no panic"), ["It is built."]);
    }
}
