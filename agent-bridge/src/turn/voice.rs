//! What is said aloud: the one voice at a time, what was heard of it, and what the program says by
//! itself. Owns the queue of announcements and the goodbye.
//! PURE.

use std::time::Instant;

use super::state::{Announcement, Phase, Stopped, Voice};
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
        let stopped = self.stopping.iter().position(|stopped| stopped.id == id);
        if let Some(stopped) = stopped.and_then(|at| self.stopping.remove(at)) {
            self.told(stopped.news, &heard, complete);
            self.heard(now, heard, complete, stopped.aside);
            return;
        }
        let voice = self.voice.take();
        let aside = voice.as_ref().is_some_and(|voice| voice.aside);
        self.told(voice.and_then(|voice| voice.news), &heard, complete);
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

    fn told(&mut self, news: Option<u32>, heard: &str, complete: bool) {
        if let Some(news) = news {
            let heard = heard.to_owned();
            // What made no sound at all has not been heard, whatever its playout says.
            let complete = complete && !heard.trim().is_empty();
            self.act(Action::Told {
                news,
                heard,
                complete,
            });
        }
    }

    /// Says something of our own. The voice must be free.
    pub(super) fn say(&mut self, now: Instant, text: String) {
        self.say_as(now, Announcement { text, news: None });
    }

    pub(super) fn say_as(&mut self, now: Instant, Announcement { text, news }: Announcement) {
        debug_assert!(self.voice.is_none());
        let id = self.new_id();
        self.voice = Some(Voice {
            id,
            aside: news.is_none(),
            news,
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
            if self.stopping.len() >= STOPPING_MAX
                && let Some(forgotten) = self.stopping.pop_front()
            {
                self.told(forgotten.news, "", false);
            }
            self.stopping.push_back(Stopped {
                id: voice.id,
                aside: voice.aside,
                news: voice.news,
            });
            self.act(Action::StopPlayout { id: voice.id });
        }
    }

    /// Ends what we say and what is being made, and lets playout go on with nothing in it.
    pub(super) fn interrupt(&mut self) {
        self.stop_voice();
        self.cancel_reply();
        self.end_claim();
    }

    /// `news`: told, as part of the conversation.
    pub(super) fn announce(&mut self, now: Instant, text: String, news: Option<u32>) {
        if text.trim().is_empty() || matches!(self.phase, Phase::Closing { .. }) {
            self.told(news, "", false);
            return;
        }
        self.queue_as(Announcement { text, news });
        if let Phase::Listening { .. } = self.phase {
            self.settle(now);
        }
    }

    pub(super) fn queue(&mut self, text: String) {
        self.queue_as(Announcement { text, news: None });
    }

    fn queue_as(&mut self, announcement: Announcement) {
        if self.announcements.len() >= ANNOUNCEMENTS_MAX
            && let Some(dropped) = self.announcements.pop_front()
        {
            self.told(dropped.news, "", false);
        }
        self.announcements.push_back(announcement);
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
        for dropped in std::mem::take(&mut self.announcements) {
            self.told(dropped.news, "", false);
        }
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
