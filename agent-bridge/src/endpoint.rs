//! How likely the caller's turn is finished, and how long to wait for more. Owns the strategies that judge
//! a pause, their fusion and the curve from probability to wait. Does not own the sound: probabilities of
//! prosody and of an end-of-turn model come in as numbers. Method of the rating: log odds, summed as for
//! independent witnesses (naive Bayes with even prior odds).
//! PURE.

mod asked;
mod frames;
mod last_word;
mod sentence;
#[rustfmt::skip]
mod tables;
mod text;

pub use asked::Asked;

use serde::{Deserialize, Serialize};

/// No single witness is surer than this, in log odds: 0.98.
const WITNESS_LOG_ODDS_MAX: f32 = 4.0;
/// Nor are all of them together: 0.9975.
const SUM_LOG_ODDS_MAX: f32 = 6.0;
/// Prosody over the telephone band is a moderate witness, a trained model of turns a strong one. Text is
/// rated case by case in its own tables.
const PROSODY_WEIGHT: f32 = 0.6;
const MODEL_WEIGHT: f32 = 1.0;
const TEXT_WEIGHT: f32 = 1.0;

/// What is known of a turn at a pause.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence<'a> {
    /// What was heard so far.
    pub text: &'a str,
    /// How far the recogniser can be trusted with it, 0 to 1.
    pub certainty: f32,
    pub asked: Asked,
    /// Probability from pitch, energy and pace that the turn is finished, 0 to 1.
    pub prosody: Option<f32>,
    /// The same from an end-of-turn model, 0 to 1.
    pub model: Option<f32>,
}

/// One witness of a finished turn.
pub trait Judge {
    /// Natural log odds that the turn is finished; `None`: no opinion. Never NaN.
    fn log_odds(&self, evidence: &Evidence<'_>) -> Option<f32>;
}

/// The witnesses there are; a configuration lists those to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// How complete the words are. English; silent for other languages.
    Text,
    Prosody,
    Model,
}

impl Judge for Strategy {
    fn log_odds(&self, evidence: &Evidence<'_>) -> Option<f32> {
        let odds = match self {
            Strategy::Text => {
                // Words that may be others say little; none at all where they are guessed.
                let certainty = evidence.certainty.clamp(0.0, 1.0);
                text::log_odds(evidence.text, evidence.asked)? * TEXT_WEIGHT * certainty
            }
            Strategy::Prosody => logit(evidence.prosody?)? * PROSODY_WEIGHT,
            Strategy::Model => logit(evidence.model?)? * MODEL_WEIGHT,
        };
        Some(odds)
    }
}

/// Combined probability that the turn is finished, 0 to 1. No strategy with an opinion: 0.5. A strategy
/// listed twice counts once.
pub fn finished_probability(strategies: &[Strategy], evidence: &Evidence<'_>) -> f32 {
    let listed = [Strategy::Text, Strategy::Prosody, Strategy::Model];
    let heard: Vec<&dyn Judge> = listed
        .iter()
        .filter(|strategy| strategies.contains(strategy))
        .map(|strategy| strategy as &dyn Judge)
        .collect();
    combined_probability(&heard, evidence)
}

/// The same for any witnesses.
pub fn combined_probability(judges: &[&dyn Judge], evidence: &Evidence<'_>) -> f32 {
    let sum: f32 = judges
        .iter()
        .filter_map(|judge| judge.log_odds(evidence))
        .filter(|odds| !odds.is_nan())
        .map(|odds| odds.clamp(-WITNESS_LOG_ODDS_MAX, WITNESS_LOG_ODDS_MAX))
        .sum();
    let sum = sum.clamp(-SUM_LOG_ODDS_MAX, SUM_LOG_ODDS_MAX);
    1.0 / (1.0 + (-sum).exp())
}

fn logit(probability: f32) -> Option<f32> {
    if probability.is_nan() {
        return None;
    }
    let probability = probability.clamp(0.001, 0.999);
    Some((probability / (1.0 - probability)).ln())
}

/// Probability that the turn is finished → how long to wait after the last voice. Between its corners the
/// wait is interpolated; at even odds it is `unsure_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WaitCurve {
    /// Milliseconds when surely finished.
    pub sure_ms: u32,
    /// Milliseconds when it may be either.
    pub unsure_ms: u32,
    /// Milliseconds when clearly not finished.
    pub unfinished_ms: u32,
    /// Probability from which on the turn is surely finished, 0 to 1.
    pub sure_from: f32,
    /// Probability below which it clearly is not, 0 to 1.
    pub unfinished_below: f32,
}

impl Default for WaitCurve {
    fn default() -> WaitCurve {
        WaitCurve {
            sure_ms: 250,
            unsure_ms: 1_000,
            unfinished_ms: 1_500,
            sure_from: 0.85,
            unfinished_below: 0.2,
        }
    }
}

impl WaitCurve {
    /// Milliseconds, never longer for a higher probability, between `sure_ms` and `unfinished_ms`. Waits
    /// that are configured out of order are raised to the one before; a probability that is no number
    /// counts as even odds.
    pub fn wait_ms(&self, probability: f32) -> u32 {
        let (sure, unsure, unfinished) = {
            let unsure = self.unsure_ms.max(self.sure_ms);
            (self.sure_ms, unsure, self.unfinished_ms.max(unsure))
        };
        let corner = |value: f32, otherwise: f32| {
            if value.is_nan() {
                otherwise
            } else {
                value.clamp(0.0, 1.0)
            }
        };
        let high = corner(self.sure_from, 1.0);
        let low = corner(self.unfinished_below, 0.0).min(high);
        let middle = if low < 0.5 && 0.5 < high {
            0.5
        } else {
            (low + high) / 2.0
        };
        let probability = corner(probability, 0.5);
        if probability >= high {
            return sure;
        }
        if probability <= low {
            return unfinished;
        }
        if probability < middle {
            between(unfinished, unsure, (probability - low) / (middle - low))
        } else {
            between(unsure, sure, (probability - middle) / (high - middle))
        }
    }
}

/// `from` at 0, `to` at 1, where `from` is the longer one.
fn between(from: u32, to: u32, share: f32) -> u32 {
    let fallen = f64::from(from - to) * f64::from(share.clamp(0.0, 1.0));
    from - (fallen.round() as u32).min(from - to)
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
