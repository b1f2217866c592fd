//! The rules about waiting, looked at after every step: nobody is held for ever, and the machine sleeps without a
//! timeout only when somebody else is sure to wake it.
//! PURE.

use std::time::Duration;

use agent_bridge::turn::State;

use super::World;

/// Beyond what the settings allow: the detector's own delays.
const SLACK: Duration = Duration::from_millis(500);

impl World {
    /// What holds between two events.
    pub(super) fn check(&self) {
        self.books.check(self.turn.ledger());
        if self.mouth.is_audible()
            && let Some(voice) = &self.mouth.current
        {
            self.books.audible(voice.id);
        }
        assert_eq!(
            self.mouth.is_paused,
            self.turn.is_claimed(),
            "held without a claim, or the other way round"
        );
        if let Some(paused_at) = self.paused_at {
            let longest = self.config.claim_ms_max + self.config.claim_words_ms_max;
            let longest = Duration::from_millis(u64::from(longest)) + SLACK;
            assert!(
                self.now - paused_at <= longest,
                "the sound is held and nobody decides"
            );
        }
        if self.turn.next_timeout().is_none() && !self.story.is_empty() {
            self.check_may_sleep();
        }
    }

    /// Without a timeout the machine may only wait for what is sure to be told.
    fn check_may_sleep(&self) {
        let is_sounding = self
            .mouth
            .current
            .as_ref()
            .is_some_and(|voice| voice.started);
        let is_reply_open = self.books.guess.is_some();
        let may = match self.turn.state() {
            State::Ended => true,
            State::Listening => self.config.idle_prompt_ms == 0 || self.caller_waits,
            // A noise goes on, and will stop.
            State::Endpointing => self.detector.is_speech,
            State::AgentSpeaking => is_sounding && !self.mouth.is_paused,
            State::UserSpeaking | State::Thinking | State::Closing => false,
        };
        assert!(
            may && (!is_reply_open || self.detector.is_speech),
            "asleep for ever in {:?}",
            self.turn.state()
        );
    }
}
