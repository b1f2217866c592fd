//! The caller's side of the floor: speech, pauses, transcripts, keys. Owns when the caller's turn begins
//! and ends, and what is asked then.
//! PURE.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::state::{Phase, Reply};
use super::{Action, Turn, ms};
use crate::conversation::Role;

impl Turn {
    pub(super) fn speech_started(&mut self, now: Instant) {
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
    pub(super) fn claim_window(&self) -> Duration {
        let detected = self.config.hangover_ms.saturating_sub(self.config.onset_ms);
        ms(self.config.barge_in_ms.saturating_add(detected))
    }

    pub(super) fn speech_stopped(&mut self, now: Instant) {
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

    pub(super) fn user_speaks(&mut self, now: Instant) {
        self.phase = Phase::UserSpeaking {
            cut_at: now + ms(self.config.utterance_ms_max),
        };
    }

    pub(super) fn endpoint(&mut self, now: Instant, commit_at: Instant) {
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

    pub(super) fn transcribed(&mut self, now: Instant, words: String) {
        if let Phase::Endpointing { text, .. } = &mut self.phase {
            *text = Some(words);
            self.commit_if_due(now);
        }
    }

    pub(super) fn commit_if_due(&mut self, now: Instant) {
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

    pub(super) fn ask(&mut self, now: Instant, text: String) {
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
                self.interrupt();
                self.settle(now);
            }
            _ => {}
        }
    }
}
