//! What is said aloud: the one voice at a time, what was heard of it, and what the program says by
//! itself. Owns the queue of announcements and the goodbye.
//! PURE.

use std::time::Instant;

use super::state::{Phase, Voice};
use super::{ANNOUNCEMENTS_MAX, Action, HangupReason, ReplyId, STOPPING_MAX, Turn, ms};
use crate::conversation::Role;
use crate::endpoint::Asked;

impl Turn {
    pub(super) fn playout_started(&mut self) {
        if let Some(voice) = &mut self.voice {
            voice.started = true;
        }
    }

    pub(super) fn playout_stopped(
        &mut self,
        now: Instant,
        id: ReplyId,
        heard: String,
        complete: bool,
    ) {
        if let Some(at) = self.stopping.iter().position(|(stopped, _)| *stopped == id) {
            let aside = self.stopping.remove(at).is_some_and(|(_, aside)| aside);
            self.heard(now, heard, complete, aside);
            return;
        }
        let aside = self.voice.take().is_some_and(|voice| voice.aside);
        self.heard(now, heard, complete, aside);
        if let Phase::Closing { why, .. } = self.phase {
            self.hang_up(now, why);
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

    pub(super) fn heard(&mut self, now: Instant, text: String, complete: bool, aside: bool) {
        if !text.trim().is_empty() {
            // A question that was only begun has not been asked.
            self.asked = if complete {
                Asked::by(&text)
            } else {
                Asked::Nothing
            };
            self.record(now, Role::Assistant, text, complete, aside);
        }
    }

    /// Says something of our own. The voice must be free.
    pub(super) fn say(&mut self, now: Instant, text: String) {
        debug_assert!(self.voice.is_none());
        let id = self.new_id();
        self.voice = Some(Voice {
            id,
            aside: true,
            started: false,
            text: text.clone(),
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

    pub(super) fn stop_voice(&mut self) {
        if let Some(voice) = self.voice.take() {
            if self.stopping.len() >= STOPPING_MAX {
                self.stopping.pop_front();
            }
            self.stopping.push_back((voice.id, voice.aside));
            self.act(Action::StopPlayout { id: voice.id });
        }
    }

    /// Ends what we say and what is being made, and lets playout go on with nothing in it.
    pub(super) fn interrupt(&mut self) {
        self.stop_voice();
        self.cancel_reply();
        self.end_claim();
    }

    pub(super) fn announce(&mut self, now: Instant, text: String) {
        if text.trim().is_empty() || matches!(self.phase, Phase::Closing { .. }) {
            return;
        }
        self.queue(text);
        if let Phase::Listening { .. } = self.phase {
            self.settle(now);
        }
    }

    pub(super) fn queue(&mut self, text: String) {
        if self.announcements.len() >= ANNOUNCEMENTS_MAX {
            self.announcements.pop_front();
        }
        self.announcements.push_back(text);
    }

    /// Somebody wants all of it to end, and may have more to say.
    pub(super) fn abort(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Closing { .. }) {
            return;
        }
        self.drop_guess();
        self.announcements.clear();
        if let Phase::Endpointing(pause) = &mut self.phase {
            let utterance = pause.utterance;
            match &mut pause.text {
                None => self.act(Action::DropUtterance { utterance }),
                // What was heard is not asked any more, and need not be heard again.
                Some(text) if self.caller_speaks => return text.clear(),
                Some(_) => {}
            }
        }
        self.interrupt();
        self.settle(now);
    }

    pub(super) fn close(&mut self, now: Instant, text: &str, why: HangupReason) {
        if matches!(self.phase, Phase::Closing { .. } | Phase::Ended) {
            return;
        }
        if let Phase::Endpointing(pause) = &self.phase {
            let utterance = pause.utterance;
            self.act(Action::DropUtterance { utterance });
        }
        self.drop_guess();
        self.interrupt();
        self.announcements.clear();
        if text.trim().is_empty() {
            self.hang_up(now, why);
            return;
        }
        self.phase = Phase::Closing {
            why,
            by: now + ms(self.config.closing_timeout_ms),
        };
        self.say(now, text.to_owned());
    }

    pub(super) fn hang_up(&mut self, now: Instant, why: HangupReason) {
        self.record_murmur(now);
        self.phase = Phase::Ended;
        self.act(Action::Hangup { why });
    }
}
