//! The caller's side of the floor: speech, pauses, transcripts, keys. Owns when the caller's turn begins
//! and ends, and what is asked then.
//! PURE.

use std::time::{Duration, Instant};

use super::state::{Pause, Phase, Reply};
use super::{Action, Judge, Turn, ms};
use crate::conversation::Role;
use crate::endpoint::{Evidence, finished_probability};
use crate::interjection::is_only_stop;

impl Turn {
    pub(super) fn speech_started(&mut self, now: Instant) {
        self.caller_speaks = true;
        match self.phase {
            Phase::Listening { .. } => self.user_speaks(now),
            Phase::Endpointing(_) => self.resumed_before_commit(now),
            Phase::Thinking | Phase::AgentSpeaking => self.claim(now),
            Phase::UserSpeaking { .. } | Phase::Closing { .. } | Phase::Ended => {}
        }
    }

    pub(super) fn speech_paused(&mut self, now: Instant) {
        let since = before(now, self.config.pause_ms);
        match &self.phase {
            Phase::UserSpeaking { .. } => self.endpoint(now, since, false),
            Phase::Endpointing(pause) if pause.is_forced => self.hear_again(now, since),
            Phase::Thinking | Phase::AgentSpeaking => self.claim_paused(now, since),
            _ => {}
        }
    }

    pub(super) fn speech_resumed(&mut self, now: Instant) {
        self.caller_speaks = true;
        match self.phase {
            Phase::Endpointing(_) => self.resumed_before_commit(now),
            Phase::Thinking | Phase::AgentSpeaking => self.claim(now),
            Phase::Listening { .. } => self.user_speaks(now),
            _ => {}
        }
    }

    pub(super) fn speech_stopped(&mut self, now: Instant) {
        self.caller_speaks = false;
        if self.claim.is_none() && !matches!(self.phase, Phase::UserSpeaking { .. }) {
            self.record_murmur(now);
        }
        let since = before(now, self.config.hangover_ms);
        match &self.phase {
            Phase::UserSpeaking { .. } => self.endpoint(now, since, false),
            Phase::Endpointing(pause) if pause.is_forced => self.hear_again(now, since),
            Phase::Endpointing(_) => self.consider(now),
            Phase::Thinking | Phase::AgentSpeaking => self.claim_stopped(now, since),
            _ => {}
        }
    }

    pub(super) fn user_speaks(&mut self, now: Instant) {
        self.phase = Phase::UserSpeaking {
            cut_at: now + ms(self.config.utterance_ms_max),
        };
    }

    /// One and the same turn goes on, and will be decoded again as a whole.
    fn resumed_before_commit(&mut self, now: Instant) {
        if let Phase::Endpointing(Pause { utterance, .. }) = self.phase {
            self.act(Action::DropUtterance { utterance });
        }
        self.doubt_guess(now);
        self.user_speaks(now);
    }

    /// Speech that had to be cut has paused before its words came: more of it can be heard now.
    fn hear_again(&mut self, now: Instant, since: Instant) {
        if let Phase::Endpointing(Pause { utterance, .. }) = self.phase {
            self.act(Action::DropUtterance { utterance });
        }
        self.endpoint(now, since, false);
    }

    /// The caller has been silent since `since`; is the turn over?
    pub(super) fn endpoint(&mut self, now: Instant, since: Instant, is_forced: bool) {
        // It is in the transcript that comes.
        self.murmur = None;
        let utterance = self.transcribe();
        self.phase = Phase::Endpointing(Pause {
            utterance,
            since,
            is_forced,
            give_up_at: now + ms(self.config.transcript_timeout_ms),
            text: None,
            certainty: 1.0,
            prosody: None,
            model: None,
        });
    }

    pub(super) fn transcribe(&mut self) -> u32 {
        self.utterances = self.utterances.wrapping_add(1);
        let utterance = self.utterances;
        self.act(Action::Transcribe { utterance });
        utterance
    }

    pub(super) fn transcribed(&mut self, now: Instant, words: String, certainty: f32) {
        let words = words.trim();
        let end = words
            .char_indices()
            .nth(self.config.transcript_chars_max)
            .map_or(words.len(), |(at, _)| at);
        let words = words[..end].to_owned();
        match &mut self.phase {
            Phase::Endpointing(pause) => {
                pause.text = Some(words);
                pause.certainty = certainty;
                self.consider(now);
            }
            _ => self.claim_heard(now, words, certainty),
        }
    }

    pub(super) fn end_of_turn(&mut self, now: Instant, judge: Judge, probability: f32) {
        let Phase::Endpointing(pause) = &mut self.phase else {
            return;
        };
        if !(0.0..=1.0).contains(&probability) {
            return;
        }
        match judge {
            Judge::Prosody => pause.prosody = Some(probability),
            Judge::Model => pause.model = Some(probability),
        }
        self.consider(now);
    }

    /// How finished the turn is at this pause, 0 to 1.
    pub(super) fn finished(&self, pause: &Pause) -> f32 {
        finished_probability(
            &self.config.strategies,
            &Evidence {
                text: pause.text.as_deref().unwrap_or_default(),
                certainty: pause.certainty,
                asked: self.asked,
                prosody: pause.prosody,
                model: pause.model,
            },
        )
    }

    /// When the turn ends if nothing else happens. None while only an event can tell.
    pub(super) fn commit_due(&self, pause: &Pause) -> Option<Instant> {
        match pause.text.as_deref() {
            None => Some(pause.give_up_at),
            // A noise: it is over when the detector says so.
            Some("") => None,
            Some(_) if pause.is_forced => Some(pause.since),
            // More may follow, and what is asked of nobody is let go only with the speech.
            Some(text) if self.caller_speaks && self.interrupting && is_only_stop(text) => None,
            Some(_) => {
                let finished = self.finished(pause);
                let wait_ms = self.patience.wait_ms(&self.config.wait, finished);
                Some(pause.since + ms(wait_ms))
            }
        }
    }

    /// The words are there, or more is known about them: commit, guess, or wait on.
    pub(super) fn consider(&mut self, now: Instant) {
        let Phase::Endpointing(pause) = &self.phase else {
            return;
        };
        let Some(text) = pause.text.clone() else {
            return;
        };
        if text.is_empty() {
            // Nothing was said, so nothing is asked.
            if !self.caller_speaks || pause.is_forced {
                self.drop_guess();
                self.interrupting = false;
                self.settle(now);
            }
            return;
        }
        let (is_forced, since) = (pause.is_forced, pause.since);
        if self.commit_due(pause).is_some_and(|due| due <= now) {
            if !is_forced {
                self.patience.took(since, now);
            }
            self.take_turn(now, text, is_forced);
        } else {
            let probability = self.finished(pause);
            self.guess(now, &text, probability);
        }
    }

    /// The caller's turn is over.
    fn take_turn(&mut self, now: Instant, text: String, is_forced: bool) {
        let is_stop = std::mem::take(&mut self.interrupting) && is_only_stop(&text);
        self.guesses = 0;
        self.failed_guess = None;
        self.idle_prompted = false;
        if is_stop {
            // They wanted silence, and have it. There is nothing to ask.
            self.drop_guess();
            self.record(now, Role::User, text, true, true);
            self.settle(now);
            return;
        }
        if !self.commit_guess(now, &text) {
            self.drop_guess();
            self.ask(now, text.clone());
        }
        self.record(now, Role::User, text, true, false);
        self.phase = Phase::Thinking;
        self.settle(now);
        if is_forced && self.caller_speaks {
            // They have not stopped: what follows is said over the reply.
            self.claim(now);
        }
    }

    /// Asks what counts, at once.
    pub(super) fn ask(&mut self, now: Instant, text: String) {
        let id = self.new_id();
        self.reply = Some(Reply::new(id, text.clone(), now));
        self.act(Action::Speculate {
            id,
            text,
            is_guess: false,
        });
        self.commit(now);
    }

    /// From here the reply in hand may take effect.
    pub(super) fn commit(&mut self, now: Instant) {
        let filler_after = self.config.filler_after_ms;
        let has_fillers = filler_after > 0 && !self.config.phrases.fillers.is_empty();
        let Some(reply) = &mut self.reply else { return };
        reply.committed_at = Some(now);
        reply.drop_at = None;
        reply.due_at = now + ms(self.config.reply_timeout_ms);
        reply.filler_at = has_fillers.then(|| now + ms(filler_after));
        let id = reply.id;
        self.act(Action::Commit { id });
        self.hurry_filler(now);
    }

    pub(super) fn caller_waits(&mut self, now: Instant, waits: bool) {
        self.caller_waits = waits;
        if let Phase::Listening { .. } = self.phase {
            self.listen(now);
        }
    }

    pub(super) fn digit(&mut self, now: Instant) {
        match self.phase {
            Phase::Listening { .. } => self.listen(now),
            Phase::AgentSpeaking => {
                self.stop_voice();
                self.cancel_reply();
                // What they say meanwhile is their turn.
                self.settle(now);
            }
            _ => {}
        }
    }
}

/// A moment that was so long ago; `now` where the clock does not reach back so far.
fn before(now: Instant, ago_ms: u32) -> Instant {
    now.checked_sub(Duration::from_millis(u64::from(ago_ms)))
        .unwrap_or(now)
}
