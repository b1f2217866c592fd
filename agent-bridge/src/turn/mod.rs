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
mod caller;
mod claim;
mod config;
mod event;
mod filler;
mod guess;
pub mod invariants;
mod patience;
mod reply;
mod state;
pub mod trace;
mod voice;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use action::{Action, Entry, HangupReason};
pub use config::{Phrases, Speculation, TurnConfig};
pub use event::{Blame, Event, Judge, Progress, ReplyError, ReplyErrorKind, ReplyId, ToolCall};
pub use guess::Ledger;
pub use state::State;

use crate::conversation::Role;
use crate::endpoint::Asked;
use guess::HitRate;
use patience::Patience;
use state::{Announcement, Claim, Phase, Reply, Stopped, Voice};

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
    claim: Option<Claim>,
    /// Agreement that was heard in a pause which may go on as something else.
    murmur: Option<String>,
    /// The caller has stopped us in the middle and has the floor.
    interrupting: bool,
    /// What our last words asked for.
    asked: Asked,
    /// A guess until it is committed.
    reply: Option<Reply>,
    voice: Option<Voice>,
    stopping: VecDeque<Stopped>,
    announcements: VecDeque<Announcement>,
    actions: VecDeque<Action>,
    utterances: u32,
    replies: u32,
    fillers_said: usize,
    filler_last: String,
    /// Guesses at the present turn of the caller, and the text of one that failed.
    guesses: u32,
    failed_guess: Option<String>,
    hit_rate: HitRate,
    ledger: Ledger,
    patience: Patience,
    failures: u32,
    idle_prompted: bool,
    caller_waits: bool,
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
            claim: None,
            murmur: None,
            interrupting: false,
            asked: Asked::Nothing,
            reply: None,
            voice: None,
            stopping: VecDeque::new(),
            announcements: VecDeque::new(),
            actions: VecDeque::new(),
            utterances: 0,
            replies: 0,
            fillers_said: 0,
            filler_last: String::new(),
            guesses: 0,
            failed_guess: None,
            hit_rate: HitRate::default(),
            ledger: Ledger::default(),
            patience: Patience::default(),
            failures: 0,
            idle_prompted: false,
            caller_waits: false,
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
            Event::SpeechPaused => self.speech_paused(now),
            Event::SpeechResumed => self.speech_resumed(now),
            Event::SpeechStopped => self.speech_stopped(now),
            Event::EndOfTurn { judge, probability } => self.end_of_turn(now, judge, probability),
            Event::Partial { .. } => {}
            Event::Final {
                text, certainty, ..
            } => self.transcribed(now, text, certainty),
            Event::Dtmf { .. } => self.digit(now),
            Event::ReplyText { text, last, .. } => self.reply_text(now, &text, last),
            Event::ReplyToolCall { call, .. } => self.reply_tool(now, call),
            Event::ReplyProgress { progress, .. } => self.reply_progress(now, progress),
            Event::ReplyFailed { error, .. } => self.reply_failed(now, error),
            Event::PlayoutStarted { .. } => self.playout_started(),
            Event::PlayoutStopped {
                id,
                heard,
                complete,
            } => self.playout_stopped(now, id, heard, complete),
            Event::Announce { text } => self.announce(now, text, None),
            Event::Tell { news, text } => self.announce(now, text, Some(news)),
            Event::CallerWaits { waits } => self.caller_waits(now, waits),
            Event::Abort => self.abort(now),
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
            Phase::Endpointing(pause) => self.commit_due(pause),
            Phase::Closing { by, .. } => Some(*by),
            Phase::Thinking | Phase::AgentSpeaking | Phase::Ended => None,
        };
        let reply = self.reply.as_ref();
        let asked = reply.filter(|reply| reply.committed_at.is_some() && !reply.ended);
        let voice = self.voice.as_ref().filter(|voice| !voice.started);
        [
            phase,
            self.claim.as_ref().map(|claim| claim.due_at),
            asked.map(|reply| reply.due_at),
            asked.and_then(|reply| self.filler_due(reply)),
            reply.and_then(|guess| guess.drop_at),
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
            Event::Final { utterance, .. } => match (&self.phase, &self.claim) {
                (Phase::Endpointing(pause), _) => {
                    pause.utterance != *utterance || pause.text.is_some()
                }
                (_, Some(claim)) => claim.utterance != Some(*utterance),
                _ => true,
            },
            Event::ReplyText { id, .. }
            | Event::ReplyToolCall { id, .. }
            | Event::ReplyProgress { id, .. }
            | Event::ReplyFailed { id, .. } => !reply(id),
            Event::PlayoutStarted { id } => !voice(id),
            Event::PlayoutStopped { id, .. } => {
                !voice(id) && !self.stopping.iter().any(|stopped| stopped.id == *id)
            }
            _ => self.phase == Phase::Ended,
        }
    }

    fn act(&mut self, action: Action) {
        #[cfg(debug_assertions)]
        self.checker.action(&action);
        self.actions.push_back(action);
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
            // Nothing is left that could be claimed: what they say is simply their turn.
            let silent_since = self.claim.as_ref().and_then(|claim| claim.silent_since);
            self.end_claim();
            if let Some(since) = silent_since {
                self.endpoint(now, since, false);
            } else if self.caller_speaks {
                self.user_speaks(now);
            } else if let Some(next) = self.announcements.pop_front() {
                self.say_as(now, next);
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
            idle_at: (wait_ms > 0 && !self.caller_waits).then(|| now + ms(wait_ms)),
        };
    }

    // Waits.

    fn timeout(&mut self, now: Instant) {
        if self.claim.as_ref().is_some_and(|claim| claim.due_at <= now) {
            self.claim_due(now);
        }
        if let Some(reply) = &self.reply
            && reply.drop_at.is_some_and(|at| at <= now)
        {
            self.drop_guess();
        }
        if let Some(reply) = &self.reply
            && reply.committed_at.is_some()
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
            Phase::UserSpeaking { cut_at } if *cut_at <= now => self.endpoint(now, now, true),
            Phase::Endpointing(pause) if pause.text.is_none() && pause.give_up_at <= now => {
                let utterance = pause.utterance;
                self.act(Action::DropUtterance { utterance });
                self.drop_guess();
                let text = self.config.phrases.not_understood.clone();
                self.queue(text);
                self.settle(now);
            }
            Phase::Endpointing(_) => self.consider(now),
            Phase::Closing { why, by } if *by <= now => {
                let why = *why;
                self.stop_voice();
                self.hang_up(now, why);
            }
            _ => {}
        }
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
            Phase::Closing { why, .. } => self.hang_up(now, why),
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
