//! Asking before the turn is over. Owns the one guess there may be, when making one is worth it, and the
//! ledger of what guessing brought and cost.
//! PURE.

use std::collections::VecDeque;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::state::Reply;
use super::{Action, Turn, ms};
use crate::interjection::is_only_stop;
use crate::words::same;

/// Guesses that the hit rate is taken over.
const RECENT_MAX: usize = 10;
/// Fewer outcomes than this say nothing about the rate.
const RECENT_MIN: usize = 4;
/// A guess is made from this probability on, as long as guesses mostly hit ...
const PROBABILITY_MIN: f32 = 0.2;
/// ... and from this one on when none of them does.
const PROBABILITY_MIN_AT_WORST: f32 = 0.9;
/// A rate of hits from which nothing is held back.
const GOOD_HIT_RATE: f32 = 0.6;
/// Letters of a token, roughly: what a dropped stream has cost can only be estimated.
const LETTERS_PER_TOKEN: u64 = 4;

/// What guessing brought and cost in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    pub guesses: u32,
    /// Released as they were.
    pub hits: u32,
    /// Dropped.
    pub misses: u32,
    /// Sum over the hits of the time from the guess to the commit.
    pub saved_ms: u64,
    /// Estimate from the letters that had come of dropped guesses.
    pub tokens_wasted: u64,
}

/// Outcomes of the latest guesses.
#[derive(Debug, Clone, Default)]
pub(super) struct HitRate(VecDeque<bool>);

impl HitRate {
    fn note(&mut self, is_hit: bool) {
        if self.0.len() >= RECENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(is_hit);
    }

    /// How finished a turn must be to be guessed at.
    fn probability_min(&self) -> f32 {
        if self.0.len() < RECENT_MIN {
            return PROBABILITY_MIN;
        }
        let hits = self.0.iter().filter(|is_hit| **is_hit).count();
        let rate = hits as f32 / self.0.len() as f32;
        let lacking = ((GOOD_HIT_RATE - rate) / GOOD_HIT_RATE).clamp(0.0, 1.0);
        PROBABILITY_MIN + lacking * (PROBABILITY_MIN_AT_WORST - PROBABILITY_MIN)
    }
}

impl Turn {
    /// What guessing brought so far.
    pub fn ledger(&self) -> Ledger {
        self.ledger
    }

    /// The caller pauses, and `text` is what they have said. Asks if that is worth it.
    pub(super) fn guess(&mut self, now: Instant, text: &str, probability: f32) {
        if let Some(reply) = &mut self.reply {
            if same(&reply.question, text) {
                reply.drop_at = None;
                return;
            }
            self.drop_guess();
        }
        let limits = self.config.speculation;
        let is_spent = limits.tokens_wasted_max > 0
            && self.ledger.tokens_wasted >= u64::from(limits.tokens_wasted_max);
        let has_failed = self
            .failed_guess
            .as_ref()
            .is_some_and(|failed| same(failed, text));
        if !limits.enabled
            || is_spent
            || has_failed
            || self.guesses >= limits.guesses_max
            || probability < self.hit_rate.probability_min()
            || (self.interrupting && is_only_stop(text))
        {
            return;
        }
        self.guesses += 1;
        self.ledger.guesses += 1;
        let id = self.new_id();
        let text = text.to_owned();
        self.reply = Some(Reply::new(id, text.clone(), now));
        self.act(Action::Speculate {
            id,
            text,
            is_guess: true,
        });
    }

    /// The turn is over. If what was guessed is what was said, it counts; otherwise nothing happens.
    pub(super) fn commit_guess(&mut self, now: Instant, text: &str) -> bool {
        let Some(reply) = &self.reply else {
            return false;
        };
        if !same(&reply.question, text) {
            return false;
        }
        let saved = now.saturating_duration_since(reply.asked_at);
        self.ledger.hits += 1;
        self.ledger.saved_ms += u64::try_from(saved.as_millis()).unwrap_or(u64::MAX);
        self.hit_rate.note(true);
        self.commit(now);
        true
    }

    /// The caller speaks again. A click or a breath does not make a guess wrong; going on does.
    pub(super) fn doubt_guess(&mut self, now: Instant) {
        let keep_ms = self.config.speculation.keep_ms;
        if let Some(reply) = &mut self.reply {
            reply.drop_at.get_or_insert(now + ms(keep_ms));
        }
    }

    /// Drops the guess there is, if there is one. What has been committed is none.
    pub(super) fn drop_guess(&mut self) {
        if let Some(reply) = &self.reply
            && reply.committed_at.is_none()
        {
            self.ledger.misses += 1;
            self.ledger.tokens_wasted += (reply.chars as u64).div_ceil(LETTERS_PER_TOKEN);
            self.hit_rate.note(false);
            self.cancel_reply();
        }
    }

    /// A guess that failed is asked again at the commit, as a question of its own.
    pub(super) fn guess_failed(&mut self) {
        self.failed_guess = self.reply.as_ref().map(|reply| reply.question.clone());
        self.drop_guess();
    }
}
