//! The turn: who has the floor, when the caller is done, when to speak and when to stop.
//!
//! Driving contract: call `handle(now, event)`, then `poll_action()` until it returns `None`, then wait
//! for the next event or for `next_timeout()`, whichever is first, and hand in `Event::Timeout` at that
//! time. A debug assertion fails when actions were left undrained. Same events at the same times give
//! the same actions, so a `Trace` of a real call is a test case.
//!
//! Owns the floor, the reply that is being made, the one voice that may be heard, and every wait
//! between them. Owns no audio, no history and no request: those follow its actions.
//!
//! What holds at every step (see `invariants`): one voice at a time; nothing audible, executed or
//! recorded before `Commit`; every `Speculate` ends in `Commit` or `Cancel`; every `Pause` is followed by
//! `Resume`; after `Hangup` only what was still heard is recorded.
//! PURE.

mod action;
mod config;
mod event;
pub mod invariants;
mod state;
pub mod trace;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use action::{Action, Entry, HangupReason};
pub use config::{Phrases, TurnConfig};
pub use event::{Blame, Event, ReplyError, ReplyErrorKind, ReplyId, ToolCall};
pub use state::State;

use crate::conversation::Role;
use state::{Phase, Piece, Reply, TOOL_CALLS_MAX, Voice};

/// Things the program wants to say that wait for the floor. When full, the oldest is dropped.
const ANNOUNCEMENTS_MAX: usize = 8;
/// Voices that were stopped and whose heard text has not been told. When full, the oldest is forgotten.
const STOPPING_MAX: usize = 8;

/// One call's turn-taking.
#[derive(Debug)]
pub struct Turn {
    config: TurnConfig,
    phase: Phase,
    /// The caller speaks, as far as the voice activity detector knows.
    caller_speaks: bool,
    /// The caller speaks while the floor is ours: when that becomes an interruption. Playout is paused.
    claim_at: Option<Instant>,
    reply: Option<Reply>,
    voice: Option<Voice>,
    /// Stopped voices: id, and whether they were asides.
    stopping: VecDeque<(ReplyId, bool)>,
    announcements: VecDeque<String>,
    actions: VecDeque<Action>,
    utterances: u32,
    replies: u32,
    fillers_said: usize,
    failures: u32,
    idle_prompted: bool,
    began_at: Option<Instant>,
    trace: Option<trace::Trace>,
    #[cfg(debug_assertions)]
    checker: invariants::Checker,
}

impl Turn {
    pub fn new(config: TurnConfig) -> Turn {
        Turn {
            config,
            phase: Phase::Listening { idle_at: None },
            caller_speaks: false,
            claim_at: None,
            reply: None,
            voice: None,
            stopping: VecDeque::new(),
            announcements: VecDeque::new(),
            actions: VecDeque::new(),
            utterances: 0,
            replies: 0,
            fillers_said: 0,
            failures: 0,
            idle_prompted: false,
            began_at: None,
            trace: None,
            #[cfg(debug_assertions)]
            checker: invariants::Checker::default(),
        }
    }

    /// Keeps every event and its actions from now on; `take_trace` hands them out. A trace holds what
    /// was said in clear.
    pub fn start_trace(&mut self) {
        self.trace = Some(trace::Trace::new(self.config.clone()));
    }

    pub fn take_trace(&mut self) -> Option<trace::Trace> {
        self.trace.take()
    }

    pub fn state(&self) -> State {
        self.phase.state()
    }

    /// Applies one event. Drain `poll_action` before the next one.
    pub fn handle(&mut self, now: Instant, event: Event) {
        debug_assert!(
            self.actions.is_empty(),
            "actions must be drained before the next event"
        );
        if self.began_at.is_none() {
            self.began_at = Some(now);
            self.listen(now);
        }
        if let Some(trace) = &mut self.trace {
            trace.event(self.began_at.map_or(Duration::ZERO, |t| now - t), &event);
        }
        #[cfg(debug_assertions)]
        self.checker.event(&event);
        if self.is_stale(&event) {
            return;
        }
        match event {
            Event::SpeechStarted => self.speech_started(now),
            Event::SpeechStopped => self.speech_stopped(now),
            Event::EndOfTurn { .. } | Event::Partial { .. } => {}
            Event::Final { text, .. } => self.transcribed(now, text),
            Event::Dtmf { .. } => self.digit(now),
            Event::ReplyText { text, last, .. } => self.reply_text(now, &text, last),
            Event::ReplyToolCall { call, .. } => self.reply_tool(now, call),
            Event::ReplyFailed { error, .. } => self.reply_failed(now, error),
            Event::PlayoutStarted { .. } => self.playout_started(),
            Event::PlayoutStopped {
                id,
                heard,
                complete,
            } => self.playout_stopped(now, id, heard, complete),
            Event::Announce { text } => self.announce(now, text),
            Event::Drain { text } => self.close(now, &text, HangupReason::Drained),
            Event::Timeout => self.timeout(now),
        }
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front()?;
        if let Some(trace) = &mut self.trace {
            trace.action(&action);
        }
        Some(action)
    }

    /// When `Event::Timeout` is due, if nothing happens before.
    pub fn next_timeout(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Listening { idle_at } => *idle_at,
            Phase::UserSpeaking { cut_at } => Some(*cut_at),
            Phase::Endpointing {
                commit_at,
                give_up_at,
                text,
                ..
            } => Some(if text.is_some() {
                *commit_at
            } else {
                *give_up_at
            }),
            Phase::Closing { by, .. } => Some(*by),
            Phase::Thinking | Phase::AgentSpeaking | Phase::Ended => None,
        };
        let reply = self.reply.as_ref().filter(|reply| !reply.ended);
        let voice = self.voice.as_ref().filter(|voice| !voice.started);
        [
            phase,
            self.claim_at,
            reply.map(|reply| reply.due_at),
            reply.and_then(|reply| self.filler_due(reply)),
            voice.map(|voice| voice.give_up_at),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The one place where answers to questions of the past are dropped.
    fn is_stale(&self, event: &Event) -> bool {
        let reply = |id: &ReplyId| {
            self.reply
                .as_ref()
                .is_some_and(|reply| reply.id == *id && !reply.ended)
        };
        let voice = |id: &ReplyId| self.voice.as_ref().is_some_and(|voice| voice.id == *id);
        match event {
            Event::Final { utterance, .. } => {
                !matches!(&self.phase, Phase::Endpointing { utterance: n, .. } if n == utterance)
            }
            Event::ReplyText { id, .. }
            | Event::ReplyToolCall { id, .. }
            | Event::ReplyFailed { id, .. } => !reply(id),
            Event::PlayoutStarted { id } => !voice(id),
            Event::PlayoutStopped { id, .. } => {
                !voice(id) && !self.stopping.iter().any(|(stopped, _)| stopped == id)
            }
            _ => self.phase == Phase::Ended,
        }
    }

    fn act(&mut self, action: Action) {
        #[cfg(debug_assertions)]
        self.checker.action(&action);
        self.actions.push_back(action);
    }

    // The caller's voice.

    fn speech_started(&mut self, now: Instant) {
        self.caller_speaks = true;
        match self.phase {
            Phase::Listening { .. } => self.user_speaks(now),
            // Resumed before commit: one and the same turn, decoded again as a whole.
            Phase::Endpointing { utterance, .. } => {
                self.act(Action::DropUtterance { utterance });
                self.user_speaks(now);
            }
            Phase::Thinking | Phase::AgentSpeaking => {
                let is_quiet = self.voice.is_none();
                if self.claim_at.is_none() && (self.config.barge_in || is_quiet) {
                    self.claim_at = Some(now + self.claim_window());
                    self.act(Action::Pause);
                }
            }
            Phase::UserSpeaking { .. } | Phase::Closing { .. } | Phase::Ended => {}
        }
    }

    /// From `SpeechStarted` to the moment when the `SpeechStopped` of a burst that is too short would
    /// have arrived at the latest.
    fn claim_window(&self) -> Duration {
        let detected = self.config.hangover_ms.saturating_sub(self.config.onset_ms);
        ms(self.config.barge_in_ms.saturating_add(detected))
    }

    fn speech_stopped(&mut self, now: Instant) {
        self.caller_speaks = false;
        if let Phase::UserSpeaking { .. } = self.phase {
            let silent = self.config.hangover_ms;
            self.endpoint(
                now,
                now + ms(self.config.endpoint_ms.saturating_sub(silent)),
            );
        } else if self.claim_at.take().is_some() {
            // A cough, a click, an "uh-huh": nothing was lost, go on mid-word.
            self.act(Action::Resume);
            self.settle(now);
        }
    }

    fn user_speaks(&mut self, now: Instant) {
        self.phase = Phase::UserSpeaking {
            cut_at: now + ms(self.config.utterance_ms_max),
        };
    }

    fn endpoint(&mut self, now: Instant, commit_at: Instant) {
        self.utterances = self.utterances.wrapping_add(1);
        let utterance = self.utterances;
        self.phase = Phase::Endpointing {
            utterance,
            commit_at,
            give_up_at: (now + ms(self.config.transcript_timeout_ms)).max(commit_at),
            text: None,
        };
        self.act(Action::Transcribe { utterance });
    }

    fn transcribed(&mut self, now: Instant, words: String) {
        if let Phase::Endpointing { text, .. } = &mut self.phase {
            *text = Some(words);
            self.commit_if_due(now);
        }
    }

    fn commit_if_due(&mut self, now: Instant) {
        let Phase::Endpointing {
            commit_at,
            text: Some(text),
            ..
        } = &self.phase
        else {
            return;
        };
        if now < *commit_at {
            return;
        }
        let text: String = text
            .trim()
            .chars()
            .take(self.config.transcript_chars_max)
            .collect();
        if text.is_empty() {
            // A noise. Nothing was said, so nothing is asked.
            self.settle(now);
        } else {
            self.ask(now, text);
        }
    }

    fn ask(&mut self, now: Instant, text: String) {
        self.idle_prompted = false;
        let id = self.new_id();
        let filler = self.config.filler_after_ms;
        self.reply = Some(Reply {
            id,
            committed: true,
            ended: false,
            spoken: false,
            chars: 0,
            tool_calls: 0,
            held: VecDeque::new(),
            due_at: now + ms(self.config.reply_timeout_ms),
            filler_at: (filler > 0 && !self.config.phrases.fillers.is_empty())
                .then(|| now + ms(filler)),
        });
        self.phase = Phase::Thinking;
        self.act(Action::Speculate {
            id,
            text: text.clone(),
        });
        self.act(Action::Commit { id });
        self.record(now, Role::User, text, true, false);
    }

    fn digit(&mut self, now: Instant) {
        match self.phase {
            Phase::Listening { .. } => self.listen(now),
            Phase::AgentSpeaking => {
                self.interrupt();
                self.settle(now);
            }
            _ => {}
        }
    }

    // The reply.

    fn reply_text(&mut self, now: Instant, text: &str, last: bool) {
        let due_at = now + ms(self.config.reply_timeout_ms);
        let chars_max = self.config.reply_chars_max;
        let Some(reply) = &mut self.reply else { return };
        reply.due_at = due_at;
        // Leading white space is not a first word.
        let is_first = !reply.spoken && reply.chars == 0;
        let text = if is_first { text.trim_start() } else { text };
        let room = chars_max - reply.chars;
        let text: String = text.chars().take(room).collect();
        if !text.is_empty() {
            reply.chars += text.chars().count();
            reply.hold_text(&text);
        }
        if last || reply.chars >= chars_max {
            reply.ended = true;
            if reply.chars == 0 && reply.tool_calls == 0 {
                let error = ReplyError {
                    kind: ReplyErrorKind::Empty,
                    blame: Blame::Upstream,
                };
                self.no_answer(now, error);
                return;
            }
            reply.held.push_back(Piece::Last);
            self.failures = 0;
        }
        self.settle(now);
    }

    fn reply_tool(&mut self, now: Instant, call: ToolCall) {
        let due_at = now + ms(self.config.reply_timeout_ms);
        let Some(reply) = &mut self.reply else { return };
        reply.due_at = due_at;
        if reply.tool_calls < TOOL_CALLS_MAX {
            reply.tool_calls += 1;
            reply.held.push_back(Piece::Tool(call));
        }
        self.settle(now);
    }

    fn reply_failed(&mut self, now: Instant, error: ReplyError) {
        let Some(reply) = &mut self.reply else { return };
        if reply.chars == 0 {
            self.no_answer(now, error);
            return;
        }
        // What came is said; what was still to be done is not, for it may be half an intention.
        reply.ended = true;
        reply.held.retain(|piece| matches!(piece, Piece::Text(_)));
        reply.held.push_back(Piece::Last);
        let text = self.config.phrases.answer_cut.clone();
        self.queue(text);
        self.settle(now);
    }

    /// A reply that ended before its first word: said aloud at once, unless the caller has the floor.
    fn no_answer(&mut self, now: Instant, error: ReplyError) {
        let is_claimed = self.claim_at.is_some();
        self.failures = self.failures.saturating_add(1);
        self.stop_voice();
        self.cancel_reply();
        let limit = self.config.failures_max;
        if limit > 0 && self.failures >= limit {
            let text = self.config.phrases.giving_up.clone();
            self.close(now, &text, HangupReason::AgentFailed);
        } else if is_claimed {
            self.settle(now);
        } else {
            self.say(now, error.sayable().to_owned());
        }
    }

    /// Hands on what is held, as far as the floor allows.
    fn release(&mut self, now: Instant) {
        let give_up_at = now + ms(self.config.voice_timeout_ms);
        loop {
            let Some(reply) = &mut self.reply else { return };
            let id = reply.id;
            let is_free = self.voice.as_ref().is_none_or(|voice| voice.id == id);
            if !reply.committed || !is_free || self.claim_at.is_some() {
                return;
            }
            let Some(piece) = reply.held.pop_front() else {
                return;
            };
            let (text, last) = match piece {
                Piece::Tool(call) => {
                    self.act(Action::RunTool { id, call });
                    continue;
                }
                Piece::Text(text) => (text, false),
                Piece::Last => (String::new(), true),
            };
            reply.spoken = true;
            // One action for the end of a text and the end of the reply.
            let is_end = !last && reply.held.front() == Some(&Piece::Last);
            if is_end {
                reply.held.pop_front();
            }
            let last = last || is_end;
            if self.voice.is_none() {
                self.voice = Some(Voice {
                    id,
                    aside: false,
                    started: false,
                    give_up_at,
                });
            }
            self.act(Action::Speak { id, text, last });
        }
    }

    fn cancel_reply(&mut self) {
        if let Some(reply) = self.reply.take() {
            self.act(Action::Cancel { id: reply.id });
        }
    }

    // The voice.

    fn playout_started(&mut self) {
        if let Some(voice) = &mut self.voice {
            voice.started = true;
        }
    }

    fn playout_stopped(&mut self, now: Instant, id: ReplyId, heard: String, complete: bool) {
        if let Some(at) = self.stopping.iter().position(|(stopped, _)| *stopped == id) {
            let aside = self.stopping.remove(at).is_some_and(|(_, aside)| aside);
            self.heard(now, heard, complete, aside);
            return;
        }
        let aside = self.voice.take().is_some_and(|voice| voice.aside);
        self.heard(now, heard, complete, aside);
        if let Phase::Closing { why, .. } = self.phase {
            self.hang_up(why);
            return;
        }
        if let Some(reply) = &self.reply
            && reply.id == id
        {
            if reply.ended && reply.held.is_empty() {
                self.reply = None;
            } else {
                self.cancel_reply();
            }
        }
        self.settle(now);
    }

    fn heard(&mut self, now: Instant, text: String, complete: bool, aside: bool) {
        if !text.trim().is_empty() {
            self.record(now, Role::Assistant, text, complete, aside);
        }
    }

    /// Says something of our own. The voice must be free.
    fn say(&mut self, now: Instant, text: String) {
        debug_assert!(self.voice.is_none());
        let id = self.new_id();
        self.voice = Some(Voice {
            id,
            aside: true,
            started: false,
            give_up_at: now + ms(self.config.voice_timeout_ms),
        });
        if !matches!(self.phase, Phase::Closing { .. }) {
            self.phase = Phase::AgentSpeaking;
        }
        self.act(Action::Speak {
            id,
            text,
            last: true,
        });
    }

    fn stop_voice(&mut self) {
        if let Some(voice) = self.voice.take() {
            if self.stopping.len() >= STOPPING_MAX {
                self.stopping.pop_front();
            }
            self.stopping.push_back((voice.id, voice.aside));
            self.act(Action::StopPlayout { id: voice.id });
        }
    }

    /// Ends what we say and what is being made, and lets playout go on with nothing in it.
    fn interrupt(&mut self) {
        self.stop_voice();
        self.cancel_reply();
        if self.claim_at.take().is_some() {
            self.act(Action::Resume);
        }
    }

    fn announce(&mut self, now: Instant, text: String) {
        if text.trim().is_empty() || matches!(self.phase, Phase::Closing { .. }) {
            return;
        }
        self.queue(text);
        if let Phase::Listening { .. } = self.phase {
            self.settle(now);
        }
    }

    fn queue(&mut self, text: String) {
        if self.announcements.len() >= ANNOUNCEMENTS_MAX {
            self.announcements.pop_front();
        }
        self.announcements.push_back(text);
    }

    fn close(&mut self, now: Instant, text: &str, why: HangupReason) {
        if matches!(self.phase, Phase::Closing { .. } | Phase::Ended) {
            return;
        }
        if let Phase::Endpointing { utterance, .. } = self.phase {
            self.act(Action::DropUtterance { utterance });
        }
        self.interrupt();
        self.announcements.clear();
        if text.trim().is_empty() {
            self.hang_up(why);
            return;
        }
        self.phase = Phase::Closing {
            why,
            by: now + ms(self.config.closing_timeout_ms),
        };
        self.say(now, text.to_owned());
    }

    fn hang_up(&mut self, why: HangupReason) {
        self.phase = Phase::Ended;
        self.act(Action::Hangup { why });
    }

    // The floor.

    /// Finds the phase that follows from what is in hand, after anything that freed the floor or filled
    /// the reply.
    fn settle(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Closing { .. } | Phase::Ended) {
            return;
        }
        self.release(now);
        if self.voice.is_some() {
            self.phase = Phase::AgentSpeaking;
        } else if self.reply.is_some() {
            self.phase = Phase::Thinking;
        } else {
            if self.claim_at.take().is_some() {
                self.act(Action::Resume);
            }
            if self.caller_speaks {
                self.user_speaks(now);
            } else if let Some(text) = self.announcements.pop_front() {
                self.say(now, text);
            } else {
                self.listen(now);
            }
        }
    }

    fn listen(&mut self, now: Instant) {
        let wait_ms = match self.idle_prompted {
            false => self.config.idle_prompt_ms,
            true => self.config.idle_hangup_ms,
        };
        self.phase = Phase::Listening {
            idle_at: (wait_ms > 0).then(|| now + ms(wait_ms)),
        };
    }

    // Waits.

    /// Only silence is filled: not while something is heard, and not while the caller may be speaking.
    fn filler_due(&self, reply: &Reply) -> Option<Instant> {
        let is_silent = self.voice.is_none() && self.claim_at.is_none() && !reply.spoken;
        reply.filler_at.filter(|_| is_silent)
    }

    fn timeout(&mut self, now: Instant) {
        if self.claim_at.is_some_and(|at| at <= now) {
            self.interrupt();
            self.user_speaks(now);
        }
        if let Some(reply) = &self.reply
            && !reply.ended
            && reply.due_at <= now
        {
            let error = ReplyError {
                kind: ReplyErrorKind::Slow,
                blame: Blame::Upstream,
            };
            self.reply_failed(now, error);
        }
        if let Some(voice) = &self.voice
            && !voice.started
            && voice.give_up_at <= now
        {
            self.voice_failed(now);
        }
        if let Some(reply) = &self.reply
            && self.filler_due(reply).is_some_and(|at| at <= now)
        {
            self.fill(now);
        }
        match &self.phase {
            Phase::Listening { idle_at: Some(at) } if *at <= now => self.idle(now),
            Phase::UserSpeaking { cut_at } if *cut_at <= now => self.endpoint(now, now),
            Phase::Endpointing {
                utterance,
                give_up_at,
                text: None,
                ..
            } if *give_up_at <= now => {
                let utterance = *utterance;
                self.act(Action::DropUtterance { utterance });
                let text = self.config.phrases.not_understood.clone();
                self.queue(text);
                self.settle(now);
            }
            Phase::Endpointing { .. } => self.commit_if_due(now),
            Phase::Closing { why, by } if *by <= now => {
                let why = *why;
                self.stop_voice();
                self.hang_up(why);
            }
            _ => {}
        }
    }

    fn fill(&mut self, now: Instant) {
        if let Some(reply) = &mut self.reply {
            reply.filler_at = None;
        }
        let fillers = &self.config.phrases.fillers;
        let text = fillers[self.fillers_said % fillers.len()].clone();
        self.fillers_said += 1;
        self.say(now, text);
    }

    fn idle(&mut self, now: Instant) {
        if self.idle_prompted {
            let text = self.config.phrases.goodbye.clone();
            self.close(now, &text, HangupReason::SilentCaller);
        } else {
            self.idle_prompted = true;
            let text = self.config.phrases.still_there.clone();
            self.say(now, text);
        }
    }

    /// The voice made no sound of what it was given. Trying again would only make the silence longer.
    fn voice_failed(&mut self, now: Instant) {
        let is_reply = match (&self.voice, &self.reply) {
            (Some(voice), Some(reply)) => voice.id == reply.id,
            _ => false,
        };
        self.stop_voice();
        if is_reply {
            self.cancel_reply();
        }
        match self.phase {
            Phase::Closing { why, .. } => self.hang_up(why),
            _ => self.settle(now),
        }
    }

    fn new_id(&mut self) -> ReplyId {
        self.replies = self.replies.wrapping_add(1);
        ReplyId(self.replies)
    }

    fn record(&mut self, now: Instant, role: Role, text: String, complete: bool, aside: bool) {
        let since = self.began_at.map_or(Duration::ZERO, |began| now - began);
        self.act(Action::Record(Entry {
            role,
            text,
            at_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            complete,
            aside,
        }));
    }
}

fn ms(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}
