//! The reply that is being made: its stream, its failures, and what of it may be handed on. Owns the
//! gate that nothing passes before commit.
//! PURE.

use std::time::Instant;

use super::state::{Piece, TOOL_CALLS_MAX, Voice};
use super::{Action, Blame, HangupReason, ReplyError, ReplyErrorKind, ToolCall, Turn, ms};

impl Turn {
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
            self.failures = 0;
        }
        self.settle(now);
    }

    pub(super) fn reply_tool(&mut self, now: Instant, call: ToolCall) {
        let due_at = now + ms(self.config.reply_timeout_ms);
        let Some(reply) = &mut self.reply else { return };
        reply.due_at = due_at;
        if reply.tool_calls < TOOL_CALLS_MAX {
            reply.tool_calls += 1;
            reply.held.push_back(Piece::Tool(call));
        }
        self.settle(now);
    }

    pub(super) fn reply_failed(&mut self, now: Instant, error: ReplyError) {
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
    pub(super) fn no_answer(&mut self, now: Instant, error: ReplyError) {
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
    pub(super) fn release(&mut self, now: Instant) {
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

    pub(super) fn cancel_reply(&mut self) {
        if let Some(reply) = self.reply.take() {
            self.act(Action::Cancel { id: reply.id });
        }
    }
}
