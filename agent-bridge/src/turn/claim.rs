//! The caller speaks while the floor is ours: playout is paused at once, and what they say decides. A
//! cough, an "uh-huh" or our own echo gives the floor back mid-word; words take it. Owns that decision.
//! PURE.

use std::time::Instant;

use super::state::{Claim, Pause, Phase};
use super::{Action, Turn, ms};
use crate::conversation::Role;
use crate::endpoint::Asked;
use crate::interjection::{Context, Verdict, judge, judge_partial};

/// Words that the recogniser trusts less are no words, where something else than words may have been heard.
const CERTAINTY_MIN: f32 = 0.3;
/// Unless they go on for longer than a laugh or a cough.
const UNTRUSTED_MS_MAX: u32 = 1_200;
/// Speech of this length is more than a noise, even where its words are not known.
const WORDS_MS_MIN: u32 = 300;

impl Turn {
    /// Whether the caller speaks over us and it is not decided what that means. The speech is being kept.
    pub fn is_claimed(&self) -> bool {
        self.claim.is_some()
    }

    pub(super) fn claim(&mut self, now: Instant) {
        let look_ms = self.config.claim_look_ms;
        if let Some(claim) = &mut self.claim {
            // They go on after a pause.
            claim.silent_since = None;
            let cut_at = claim.since + ms(self.config.claim_ms_max);
            claim.due_at = (now + ms(look_ms)).min(cut_at.max(now));
            if let Some(utterance) = claim.utterance.take() {
                self.act(Action::DropUtterance { utterance });
            }
            return;
        }
        let is_quiet = self.voice.is_none();
        if self.config.barge_in || is_quiet {
            self.claim = Some(Claim {
                since: now.checked_sub(ms(self.config.onset_ms)).unwrap_or(now),
                silent_since: None,
                utterance: None,
                due_at: now + ms(look_ms),
            });
            self.act(Action::Pause);
        }
    }

    pub(super) fn claim_paused(&mut self, now: Instant, since: Instant) {
        let words_ms_max = self.config.claim_words_ms_max;
        let barge_in_ms = self.config.barge_in_ms;
        let Some(claim) = &mut self.claim else { return };
        claim.silent_since = Some(since);
        claim.due_at = now + ms(words_ms_max);
        // Too short for a word: wait for the stop. It may be the first half of one.
        if since.saturating_duration_since(claim.since) < ms(barge_in_ms) {
            return;
        }
        if let Some(utterance) = claim.utterance.take() {
            self.act(Action::DropUtterance { utterance });
        }
        let utterance = self.transcribe();
        if let Some(claim) = &mut self.claim {
            claim.utterance = Some(utterance);
        }
    }

    pub(super) fn claim_stopped(&mut self, now: Instant, since: Instant) {
        let Some(claim) = &self.claim else { return };
        let since = claim.silent_since.unwrap_or(since);
        if since.saturating_duration_since(claim.since) < ms(self.config.barge_in_ms) {
            // A cough, a click: nothing was said and nothing was lost, go on mid-word.
            self.give_back(now);
        } else if claim.silent_since.is_none() {
            self.claim_paused(now, since);
        }
    }

    /// Words of the speech over ours: all of them in a pause, those so far while it goes on.
    pub(super) fn claim_heard(&mut self, now: Instant, words: String, certainty: f32) {
        let look_at = now + ms(self.config.claim_look_ms);
        let speaking = self.voice.as_ref().map_or("", |voice| voice.text.as_str());
        let context = Context {
            speaking,
            asked: if speaking.is_empty() {
                self.asked
            } else {
                Asked::by(speaking)
            },
        };
        let Some(claim) = &mut self.claim else { return };
        claim.utterance = None;
        let is_trusted = certainty >= CERTAINTY_MIN;
        let Some(since) = claim.silent_since else {
            match judge_partial(&words, &context) {
                Some(verdict @ (Verdict::Stop | Verdict::Turn)) if is_trusted => {
                    self.goes_on(verdict);
                    self.take_floor();
                    self.user_speaks(now);
                }
                _ => claim.due_at = look_at,
            }
            return;
        };
        // What was heard in an earlier pause of the same speech is in these words, or was none.
        self.murmur = None;
        let is_short = since.saturating_duration_since(claim.since) < ms(UNTRUSTED_MS_MAX);
        let verdict = match judge(&words, &context) {
            // So little that is so doubtful is a murmur, whatever it reads like.
            Verdict::Turn if !is_trusted && is_short => Verdict::Backchannel,
            verdict => verdict,
        };
        match verdict {
            Verdict::Nothing | Verdict::Echo => self.give_back(now),
            Verdict::Backchannel => {
                // In the transcript only when nothing follows: "yeah … but what about" is one entry.
                self.murmur = Some(words);
                self.give_back(now);
            }
            Verdict::Stop | Verdict::Turn => {
                self.goes_on(verdict);
                self.take_floor();
                // The words are known already; only the wait is left.
                self.phase = Phase::Endpointing(Pause {
                    utterance: self.utterances,
                    since,
                    is_forced: false,
                    give_up_at: now,
                    text: Some(words),
                    certainty,
                    prosody: None,
                    model: None,
                });
                self.consider(now);
            }
        }
    }

    pub(super) fn claim_due(&mut self, now: Instant) {
        let Some(claim) = &self.claim else { return };
        let Some(since) = claim.silent_since else {
            let cut_at = claim.since + ms(self.config.claim_ms_max);
            if now >= cut_at {
                self.goes_on(Verdict::Turn);
                self.take_floor();
                self.user_speaks(now);
                return;
            }
            // What have they said so far?
            let utterance = self.transcribe();
            if let Some(claim) = &mut self.claim {
                claim.utterance = Some(utterance);
                claim.due_at = cut_at;
            }
            return;
        };
        // The words do not come. What was long enough to be some must not be lost.
        if since.saturating_duration_since(claim.since) < ms(WORDS_MS_MIN) {
            self.give_back(now);
        } else {
            self.goes_on(Verdict::Turn);
            self.take_floor();
            self.endpoint(now, since, false);
        }
    }

    /// What was said was no claim: go on where the sound was held.
    fn give_back(&mut self, now: Instant) {
        self.end_claim();
        if !self.caller_speaks {
            self.record_murmur(now);
        }
        self.settle(now);
    }

    /// What was murmured over us, once it is sure that it was all.
    pub(super) fn record_murmur(&mut self, now: Instant) {
        if let Some(words) = self.murmur.take() {
            self.record(now, Role::User, words, true, true);
        }
    }

    /// Words of the caller's own over ours: may they be the rest of what was taken for their turn?
    fn goes_on(&mut self, verdict: Verdict) {
        let most_ms = self.config.patience_ms_max;
        if verdict == Verdict::Turn
            && let Some(claim) = &self.claim
        {
            self.patience.spoke(claim.since, most_ms);
        }
    }

    /// It was a claim: drop what we were saying, and what was still to come of it.
    fn take_floor(&mut self) {
        self.murmur = None;
        self.interrupting = self.voice.as_ref().is_some_and(|voice| voice.started);
        self.interrupt();
    }

    /// No decision is open any more; playout may go on.
    pub(super) fn end_claim(&mut self) {
        if let Some(claim) = self.claim.take() {
            if let Some(utterance) = claim.utterance {
                self.act(Action::DropUtterance { utterance });
            }
            self.act(Action::Resume);
        }
    }
}
