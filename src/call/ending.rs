//! How a call ends: its longest time, a goodbye, and what is called off.
//! PURE.

use super::*;

impl Call {
    /// When the call is ended for its length or for want of a phone.
    pub(super) fn close_due(&self) -> Option<Instant> {
        // A phone that holds us, or only listens, owes no sound; but it does not do so for ever.
        let is_owed = self.is_receiving && !self.is_held;
        let patience = if is_owed { 1 } else { HELD_PATIENCE };
        let gone_at = self.heard_from_at + self.settings.no_audio_hangup * patience;
        let due = self.end_at.min(gone_at);
        (self.closing.is_none() && !self.hung_up).then_some(due)
    }

    pub(super) fn close(&mut self, now: Instant) {
        let (text, cause) = if now >= self.end_at {
            (TOO_LONG_TEXT, HangupCause::LongestCall)
        } else {
            ("", HangupCause::NoAudio)
        };
        self.closing = Some(cause);
        self.say_goodbye(now, text.to_owned(), HangupReason::Drained);
    }

    /// Last words, where somebody listens, then the end.
    pub(super) fn say_goodbye(&mut self, now: Instant, text: String, why: HangupReason) {
        if self.reflector.is_some() {
            self.hang_up(why);
        } else {
            let text = if self.is_held { String::new() } else { text };
            self.turn_event(now, agent_bridge::turn::Event::Drain { text });
        }
    }

    pub(super) fn hang_up(&mut self, why: HangupReason) {
        if !std::mem::replace(&mut self.hung_up, true) {
            let why = self.closing.unwrap_or(HangupCause::Turn(why));
            self.outputs.push_back(CallOutput::Hangup { why });
        }
    }

    pub(super) fn end(&mut self, now: Instant) {
        self.ended = true;
        self.hung_up = true;
        self.desk_input(now, DeskInput::End);
        self.scene_ends();
        if self.reflector.is_none() {
            self.end_turn(now);
        }
        self.wiring.end(&mut self.outputs);
        self.media.goodbye(now);
        self.drain_media(now);
    }

    /// Stops what is being said; what was heard of it is recorded.
    pub(super) fn end_turn(&mut self, now: Instant) {
        let text = String::new();
        self.turn_event(now, agent_bridge::turn::Event::Drain { text });
    }
}
