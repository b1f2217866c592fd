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
    /// Guesses whose answers were whole before they took effect; each takes effect or is called off.
    whole: HashSet<ReplyId>,
    /// What is waited for after the call. No handle: its gateway is done, and its last words are on their way.
    left: HashMap<ReplyId, Option<AskHandle>>,
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
            ReplyEvent::Done | ReplyEvent::Failed(_) => {
                self.texts.remove(&id);
                if !self.committed.remove(&id) {
                    self.whole.insert(id);
                }
            }
            ReplyEvent::ToolCall(_) | ReplyEvent::Progress(_) => {}
        }
    }

    pub(super) fn committed(&mut self, id: ReplyId) {
        if !self.whole.remove(&id) {
            self.committed.insert(id);
        }
        // Guesses from before it will never take effect.
        self.whole.retain(|other| other.0 > id.0);
    }

    /// It is called off. What was left is not: its call is over, and calls off all it knows of.
    pub(super) fn over(&mut self, id: ReplyId) {
        if self.left.contains_key(&id) {
            return;
        }
        self.texts.remove(&id);
        self.committed.remove(&id);
        self.whole.remove(&id);
    }

    /// The call is over: questions that took effect are not called off with it.
    pub(super) fn leave(&mut self, asks: &mut HashMap<ReplyId, AskHandle>) {
        for id in std::mem::take(&mut self.committed) {
            // A gateway that is done is forgotten by its call before its last words have come.
            self.left.insert(id, asks.remove(&id));
        }
        let left = &self.left;
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
            if !matches!(event, ReplyEvent::Done | ReplyEvent::Failed(_)) {
                self.came(id, &event);
                continue;
            }
            let text = self.texts.remove(&id).unwrap_or_default();
            if let Some(ask) = self.left.remove(&id)
                && matches!(event, ReplyEvent::Done)
                && !text.trim().is_empty()
            {
                if let Some(ask) = ask {
                    ask.heard(&text, true);
                }
                door(text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn guesses_that_never_take_effect_are_forgotten() {
        let mut open = OpenReplies::default();
        for id in 1..=100 {
            open.over(ReplyId(id));
            open.came(ReplyId(id), &ReplyEvent::Done);
        }
        open.committed(ReplyId(100));
        assert!(open.whole.is_empty() && open.committed.is_empty());
    }

    #[tokio::test]
    async fn what_took_effect_is_told_whole_and_a_guess_is_not() {
        let (events, inbox) = mpsc::channel(8);
        let mut open = OpenReplies::default();
        let mut asks = HashMap::new();
        for id in 1..=6 {
            asks.insert(
                ReplyId(id),
                AskHandle::new(tokio::spawn(std::future::pending())),
            );
        }
        let text = |text: &str| ReplyEvent::Text(text.to_owned());
        // The second is a guess, and no other: the fourth was finished before, the sixth even before it took effect. The
        // gateway of the fifth is done, and its last words are on their way.
        open.came(ReplyId(6), &text("known"));
        open.came(ReplyId(6), &ReplyEvent::Done);
        for id in [1, 3, 4, 5, 6] {
            open.committed(ReplyId(id));
        }
        open.came(ReplyId(1), &text("It is "));
        open.came(ReplyId(2), &text("a guess"));
        open.came(ReplyId(4), &text("over"));
        open.came(ReplyId(4), &ReplyEvent::Done);
        open.came(ReplyId(5), &text("Almost "));
        asks.remove(&ReplyId(5));
        open.leave(&mut asks);
        assert_eq!(
            asks.len(),
            3,
            "the guess and the finished ones stay with the call"
        );
        // The end of a call calls off all it knows of.
        for id in 1..=6 {
            open.over(ReplyId(id));
        }
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
            (5, text("there.")),
            (5, ReplyEvent::Done),
        ] {
            let id = ReplyId(id);
            events
                .send(Event::Reply { id, event })
                .await
                .unwrap_or_else(|_| panic!("it listens"));
        }
        finished.await.expect("no panic");
        assert_eq!(
            *told.lock().expect("no panic"),
            ["It is built.", "Almost there."]
        );
    }
}
