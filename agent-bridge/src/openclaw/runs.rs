//! The replies under way: which run belongs to whom, what of its text was handed on, and what a run of nobody means.
//! Owns the table and the piecing together of texts; the link decides when something is sent.
//! PURE.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::wire::{Chat, ChatState, QueueMode, TEXT_BYTES_MAX, Tool};
use crate::gateways::GatewayError;

/// Replies under way at once, of all calls. The next one is refused.
pub const RUNS_MAX: usize = 256;
/// Conversations whose late results somebody wants. The next one is refused.
pub const FOLLOWED_MAX: usize = 256;
/// Runs that are over and are remembered, so that nothing of them counts as news; the oldest is forgotten.
const OVER_MAX: usize = 512;
/// Tool calls of one run that are told; more are not.
const TOOLS_MAX: usize = 128;
/// A caller does not wait longer for a lost link.
pub const RESUME_MAX: Duration = Duration::from_secs(12);
/// Nor for a gateway that wishes a longer pause before the same message: it is as good as busy.
pub const REPEAT_MAX: Duration = Duration::from_secs(2);

/// What becomes of a message. The last one is `Done`, `Ignored`, `Aborted` or `Failed`.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEvent {
    /// The gateway has taken it.
    Started,
    /// More of the reply, as the model wrote it.
    Text(String),
    Tool {
        name: String,
        is_over: bool,
    },
    /// Nothing comes for a while, with reason: the link is being renewed, or a person is asked for approval.
    Waiting,
    Done,
    /// It ended without a word, a tool or even a beginning: the gateway has not taken the message up, as some do with the
    /// first one after a restart. The same words may be sent again, as another run.
    Ignored,
    Aborted,
    Failed(GatewayError),
}

impl RunEvent {
    pub fn is_last(&self) -> bool {
        matches!(
            self,
            RunEvent::Done | RunEvent::Ignored | RunEvent::Aborted | RunEvent::Failed(_)
        )
    }
}

/// A message and what is known of its reply.
#[derive(Debug)]
pub(super) struct Run {
    pub session_key: String,
    pub message: String,
    pub queue_mode: QueueMode,
    /// The start of the gateway that it was sent to last; none: it was not sent yet.
    pub sent_to: Option<String>,
    is_started: bool,
    /// The gateway has begun to work on it.
    has_begun: bool,
    /// All text that was handed on.
    said: String,
    tools: BTreeSet<String>,
    order: u64,
    give_up: Option<Instant>,
    /// When it is sent again, after a refusal that allows it.
    pub again_at: Option<Instant>,
    /// That was done once, for this run or for one before it with the same message.
    is_repeated: bool,
}

impl Run {
    /// Something of it happened that must not happen twice.
    pub fn has_effects(&self) -> bool {
        !self.said.is_empty() || !self.tools.is_empty()
    }
}

#[derive(Debug, Default)]
pub(super) struct Runs {
    open: BTreeMap<String, Run>,
    followed: BTreeSet<String>,
    over: VecDeque<String>,
    /// Messages by session that were repeated and then ignored, so that a new run for one is not repeated as well. Of no
    /// more than `RUNS_MAX` sessions; any other is repeated once more.
    repeated: BTreeMap<String, String>,
    next_order: u64,
}

impl Runs {
    pub fn open(
        &mut self,
        run: String,
        session_key: String,
        message: String,
        queue_mode: QueueMode,
    ) -> bool {
        if self.open.len() >= RUNS_MAX || self.open.contains_key(&run) {
            return false;
        }
        self.next_order += 1;
        let repeated = self.repeated.remove(&session_key);
        let is_repeated = repeated.is_some_and(|known| known == message);
        let begun = Run {
            session_key,
            message,
            queue_mode,
            sent_to: None,
            is_started: false,
            has_begun: false,
            said: String::new(),
            tools: BTreeSet::new(),
            order: self.next_order,
            give_up: None,
            again_at: None,
            is_repeated,
        };
        self.open.insert(run, begun);
        true
    }

    pub fn get_mut(&mut self, run: &str) -> Option<&mut Run> {
        self.open.get_mut(run)
    }

    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// In the order in which they were asked.
    pub fn ids(&self) -> Vec<String> {
        let mut runs: Vec<_> = self.open.iter().collect();
        runs.sort_by_key(|(_, run)| run.order);
        runs.into_iter().map(|(id, _)| id.clone()).collect()
    }

    /// Takes a run out; nothing of it is news any more. Its session, if there was such a run.
    pub fn close(&mut self, run: &str) -> Option<Run> {
        let closed = self.open.remove(run)?;
        if self.over.len() >= OVER_MAX {
            self.over.pop_front();
        }
        self.over.push_back(run.to_owned());
        Some(closed)
    }

    /// Takes a run out of which the rest may still come, as news. Whether it was there.
    pub fn give_up(&mut self, run: &str) -> bool {
        self.open.remove(run).is_some()
    }

    pub fn follow(&mut self, session_key: String) {
        if self.followed.len() < FOLLOWED_MAX {
            self.followed.insert(session_key);
        }
    }

    pub fn unfollow(&mut self, session_key: &str) {
        self.followed.remove(session_key);
    }

    /// The gateway has taken the message.
    pub fn started(&mut self, run: &str) -> Option<RunEvent> {
        let run = self.open.get_mut(run)?;
        run.give_up = None;
        let is_first = !std::mem::replace(&mut run.is_started, true);
        is_first.then_some(RunEvent::Started)
    }

    /// The gateway works on it.
    pub fn begins(&mut self, run: &str) {
        if let Some(run) = self.open.get_mut(run) {
            run.has_begun = true;
        }
    }

    /// The gateway has refused the message and allows it again. False: it is not sent again. Once in all, and never where
    /// something of it was seen.
    pub fn repeat(&mut self, run: &str, now: Instant, after: Duration) -> bool {
        let Some(run) = self.open.get_mut(run) else {
            return false;
        };
        let is_untouched = !run.is_started && !run.has_begun && !run.has_effects();
        if run.is_repeated || !is_untouched || after > REPEAT_MAX {
            return false;
        }
        run.is_repeated = true;
        run.again_at = Some(now + after);
        run.sent_to = None;
        true
    }

    /// Those to be sent again now, in the order in which they were asked.
    pub fn due_again(&self, now: Instant) -> Vec<String> {
        let mut runs = self.ids();
        runs.retain(|id| self.open[id].again_at.is_some_and(|at| at <= now));
        runs
    }

    /// The link is lost: those that are not resumed by then fail.
    pub fn lost(&mut self, now: Instant) -> Vec<String> {
        let mut waiting = Vec::new();
        for (id, run) in &mut self.open {
            if run.give_up.is_none() {
                run.give_up = Some(now + RESUME_MAX);
                waiting.push(id.clone());
            }
        }
        waiting
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        let times = self
            .open
            .values()
            .flat_map(|run| [run.give_up, run.again_at]);
        times.flatten().min()
    }

    pub fn overdue(&self, now: Instant) -> Vec<String> {
        let due = |run: &Run| run.give_up.is_some_and(|by| by <= now);
        let runs = self.open.iter().filter(|(_, run)| due(run));
        runs.map(|(id, _)| id.clone()).collect()
    }

    pub fn tool(&mut self, tool: Tool) -> Option<(String, RunEvent)> {
        let run = self.open.get_mut(&tool.run)?;
        if tool.is_over {
            if !run.tools.contains(&tool.call) {
                return None;
            }
        } else if run.tools.len() >= TOOLS_MAX || !run.tools.insert(tool.call) {
            return None;
        }
        let event = RunEvent::Tool {
            name: tool.name,
            is_over: tool.is_over,
        };
        Some((tool.run, event))
    }

    /// What a frame of a reply means for its run. The last event closes it.
    pub fn chat(&mut self, chat: &Chat) -> Vec<RunEvent> {
        let Some(run) = self.open.get_mut(&chat.run) else {
            return Vec::new();
        };
        run.give_up = None;
        let mut events = Vec::new();
        if matches!(chat.state, ChatState::Delta | ChatState::Final)
            && let Some(text) = more(&mut run.said, chat)
        {
            events.push(RunEvent::Text(text));
        }
        let last = match chat.state {
            ChatState::Delta => return events,
            // With a beginning before it, its end is not the first that the gateway tells of it. We may have missed that.
            ChatState::Final if run.has_begun || run.has_effects() || chat.number > 1 => {
                RunEvent::Done
            }
            ChatState::Final => RunEvent::Ignored,
            ChatState::Aborted => RunEvent::Aborted,
            ChatState::Error => RunEvent::Failed(failure(&chat.error_kind)),
        };
        let is_ignored = last == RunEvent::Ignored;
        events.push(last);
        if let Some(run) = self.close(&chat.run)
            && is_ignored
            && run.is_repeated
            && self.repeated.len() < RUNS_MAX
        {
            self.repeated.insert(run.session_key, run.message);
        }
        events
    }

    /// The reply of a run whose end was missed.
    pub fn finish(&mut self, run: &str, reply: &str) -> Vec<RunEvent> {
        let Some(session_key) = self.open.get(run).map(|run| run.session_key.clone()) else {
            return Vec::new();
        };
        self.chat(&Chat {
            run: run.to_owned(),
            session_key,
            state: ChatState::Final,
            whole: Some(reply.to_owned()),
            delta: String::new(),
            replaces: false,
            error_kind: String::new(),
            number: 0,
        })
    }

    /// The text of a finished run that nobody asked here, in a conversation that somebody listens to.
    pub fn news<'a>(&self, chat: &'a Chat) -> Option<&'a str> {
        let is_ours = self.open.contains_key(&chat.run) || self.over.contains(&chat.run);
        let text = chat
            .whole
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())?;
        let is_wanted =
            chat.state == ChatState::Final && !is_ours && self.followed.contains(&chat.session_key);
        is_wanted.then_some(text)
    }
}

fn failure(kind: &str) -> GatewayError {
    match kind {
        "rate_limit" => GatewayError::RateLimited { retry_after: None },
        "" => GatewayError::Reported {
            code: "run failed".to_owned(),
        },
        kind => GatewayError::Reported {
            code: kind.to_owned(),
        },
    }
}

/// What a frame adds to what was said. Frames hold the whole reply so far, so that one that is missed is made up for. A
/// text that was taken back and replaced cannot be unsaid: the sentence in which the two part is said anew.
fn more(said: &mut String, chat: &Chat) -> Option<String> {
    let whole = match &chat.whole {
        Some(whole) => whole.clone(),
        None if chat.replaces => chat.delta.clone(),
        None if chat.delta.is_empty() || said.len() >= TEXT_BYTES_MAX => return None,
        None => format!("{said}{}", chat.delta),
    };
    if let Some(rest) = whole.strip_prefix(said.as_str()) {
        let rest = rest.to_owned();
        *said = whole;
        return (!rest.is_empty()).then_some(rest);
    }
    // The same with white space cut off, or an older state of it.
    if said.starts_with(whole.trim_end()) {
        return None;
    }
    let common: usize = said
        .chars()
        .zip(whole.chars())
        .take_while(|(a, b)| a == b)
        .map(|(c, _)| c.len_utf8())
        .sum();
    let start = whole[..common]
        .rfind(['.', '!', '?', '\n'])
        .map_or(0, |at| at + 1);
    let rest = format!("\n{}", whole[start..].trim_start());
    *said = whole;
    Some(rest)
}
