//! Waiting longer for a caller who was cut off. Owns what is added to the wait; the curve owns the rest.
//!
//! Some people pause long inside their sentences. One who goes on within a moment of our taking the turn cannot have heard
//! an answer yet: they had not finished. From then on they are waited for longer, wherever it was not sure that they had,
//! and every turn that was long enough waited for takes a little of that away again.
//! PURE.

use std::time::Instant;

use super::ms;
use crate::endpoint::WaitCurve;

/// Who goes on so soon after the turn was taken has heard no more than a word.
const HEARD_NOTHING_MS: u32 = 1_000;
/// And only so long after their last voice: later it is a thought of its own.
const SAME_THOUGHT_MS: u32 = 2_500;
/// Added each time, and taken away by a turn that was rightly taken.
const GAIN_MS: u32 = 400;
const LOSS_MS: u32 = 20;

/// What one caller has shown of their pauses.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Patience {
    extra_ms: u32,
    taken: Option<Taken>,
}

/// The turn that was taken last because the caller was silent.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Taken {
    last_voice: Instant,
    at: Instant,
}

impl Patience {
    /// Milliseconds of silence before the turn is taken. Nothing is added where it surely is over, all of it from even odds on.
    pub(super) fn wait_ms(&self, curve: &WaitCurve, probability: f32) -> u32 {
        let wait_ms = curve.wait_ms(probability);
        let doubt = wait_ms.saturating_sub(curve.sure_ms);
        let even = curve.unsure_ms.saturating_sub(curve.sure_ms);
        if even == 0 {
            return wait_ms;
        }
        let share = u64::from(self.extra_ms) * u64::from(doubt.min(even)) / u64::from(even);
        wait_ms.saturating_add(u32::try_from(share).unwrap_or(u32::MAX))
    }

    /// A turn is taken after a silence since `last_voice`.
    pub(super) fn took(&mut self, last_voice: Instant, now: Instant) {
        if self.taken.is_some() {
            self.extra_ms = self.extra_ms.saturating_sub(LOSS_MS);
        }
        self.taken = Some(Taken {
            last_voice,
            at: now,
        });
    }

    /// The caller says something of their own, which began at `since`. Adds at most up to `most_ms`.
    pub(super) fn spoke(&mut self, since: Instant, most_ms: u32) {
        let Some(taken) = self.taken.take() else {
            return;
        };
        let is_rest = since <= taken.at + ms(HEARD_NOTHING_MS)
            && since <= taken.last_voice + ms(SAME_THOUGHT_MS);
        if is_rest {
            self.extra_ms = (self.extra_ms + GAIN_MS).min(most_ms);
        }
    }
}
