//! The reply that is being made: its stream, its failures, and what of it may be handed on. Owns the
//! gate that nothing passes before commit.
//! PURE.

use std::time::Instant;

use super::state::{Piece, TOOL_CALLS_MAX, Voice};
use super::{
    Action, Blame, HangupReason, Progress, ReplyError, ReplyErrorKind, ToolCall, Turn, ms,
};

impl Turn {
    fn is_guess(&self) -> bool {
        self.reply
            .as_ref()
            .is_some_and(|reply| reply.committed_at.is_none())
    }

    /// What has come of the reply, on its way as far as it may go.
    fn hand_on(&mut self, now: Instant) {
        if self.is_guess() {
            self.prepare();
        } else {
            self.settle(now);
        }
    }

    pub(super) fn reply_text(&mut self, now: Instant, text: &str, last: bool) {
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
            if !self.is_guess() {
                self.failures = 0;
            }
        }
        self.hand_on(now);
    }

    pub(super) fn reply_tool(&mut self, now: Instant, call: ToolCall) {
        let due_at = now + ms(self.config.reply_timeout_ms);
        let Some(reply) = &mut self.reply else { return };
        reply.due_at = due_at;
        if reply.tool_calls < TOOL_CALLS_MAX {
            reply.tool_calls += 1;
            // A guess stops here: what follows may depend on what the tool does.
            reply.has_held_tool |= reply.committed_at.is_none();
            reply.held.push_back(Piece::Tool(call));
        }
        self.hand_on(now);
    }

    pub(super) fn reply_progress(&mut self, now: Instant, progress: Progress) {
        let due_at = now + ms(self.config.reply_timeout_ms);
        let Some(reply) = &mut self.reply else { return };
        // Somebody is at work on it.
        reply.due_at = due_at;
        if reply.progress.as_ref() != Some(&progress) && progress != Progress::Waiting {
            reply.progress = Some(progress);
            self.hurry_filler(now);
        }
    }

    /// The caller hears sooner what the agent is busy with than that it is merely slow.
    pub(super) fn hurry_filler(&mut self, now: Instant) {
        let after = ms(self.config.progress_after_ms);
        let is_off = self.config.filler_after_ms == 0 || self.config.progress_after_ms == 0;
        if let Some(reply) = &mut self.reply
            && let Some(committed_at) = reply.committed_at
            && let Some(progress) = &reply.progress
            && !reply.spoken
            && (!is_off || progress.is_promised())
        {
            let at = match progress.is_promised() {
                true => now,
                false => now.max(committed_at + after),
            };
            reply.filler_at = Some(reply.filler_at.map_or(at, |known| known.min(at)));
        }
    }

    pub(super) fn reply_failed(&mut self, now: Instant, error: ReplyError) {
        if self.is_guess() {
            self.guess_failed();
            return;
        }
        let Some(reply) = &mut self.reply else { return };
        if reply.chars == 0 {
            if reply.was_guess() && reply.tool_calls == 0 {
                // A guess is made of one gateway only, and without a second try. The question itself has
                // both coming to it.
                let question = std::mem::take(&mut reply.question);
                self.cancel_reply();
                self.ask(now, question);
                return;
            }
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
    pub(super) fn no_answer(&mut self, now: Instant, error: ReplyError) {
        if self.is_guess() {
            self.guess_failed();
            return;
        }
        let is_claimed = self.claim.is_some();
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
    pub(super) fn release(&mut self, now: Instant) {
        let give_up_at = now + ms(self.config.voice_timeout_ms);
        loop {
            let Some(reply) = &mut self.reply else { return };
            let id = reply.id;
            let is_free = self.voice.as_ref().is_none_or(|voice| voice.id == id);
            if reply.committed_at.is_none() || !is_free || self.claim.is_some() {
                break;
            }
            reply.has_held_tool = false;
            let is_muted = reply.is_prepared && !reply.spoken;
            let (text, last) = match reply.held.front() {
                // What was prepared is heard now, whether or not more of it has come.
                None if is_muted => (String::new(), false),
                None => break,
                Some(Piece::Tool(_)) if is_muted => (String::new(), false),
                Some(_) => match reply.held.pop_front() {
                    Some(Piece::Tool(call)) => {
                        self.act(Action::RunTool { id, call });
                        continue;
                    }
                    Some(Piece::Text(text)) => (text, false),
                    Some(Piece::Last) | None => (String::new(), true),
                },
            };
            reply.spoken = true;
            // One action for the end of a text and the end of the reply.
            let is_end = !last && reply.held.front() == Some(&Piece::Last);
            if is_end {
                reply.held.pop_front();
            }
            let last = last || is_end;
            let voice = self.voice.get_or_insert_with(|| Voice {
                id,
                aside: false,
                news: None,
                started: false,
                text: std::mem::take(&mut reply.prepared),
                give_up_at,
            });
            voice.text.push_str(&text);
            self.act(Action::Speak { id, text, last });
        }
        self.prepare();
    }

    /// Gives the voice a start with what may not be heard yet.
    fn prepare(&mut self) {
        loop {
            let Some(reply) = &mut self.reply else { return };
            if reply.spoken || reply.has_held_tool {
                return;
            }
            let text = match reply.held.front() {
                Some(Piece::Text(_)) => match reply.held.pop_front() {
                    Some(Piece::Text(text)) => text,
                    _ => return,
                },
                // The end stays here: it belongs to what is heard.
                Some(Piece::Last) if reply.is_prepared && !reply.is_wholly_prepared => {
                    String::new()
                }
                _ => return,
            };
            let id = reply.id;
            let last = reply.held.front() == Some(&Piece::Last);
            reply.is_prepared = true;
            reply.is_wholly_prepared |= last;
            reply.prepared.push_str(&text);
            self.act(Action::Prepare { id, text, last });
        }
    }

    pub(super) fn cancel_reply(&mut self) {
        if let Some(reply) = self.reply.take() {
            self.act(Action::Cancel { id: reply.id });
        }
    }
}
