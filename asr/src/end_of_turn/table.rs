//! PURE.
//!
//! The prosody rule's numbers, written by `asr/train/end_of_turn/fit.py`; a new fit replaces this file. Owns nothing
//! else: the arithmetic is `prosody`'s, the measures are `features`'.

use super::features::FEATURES;

/// A measure counts up to this many spreads from its mean.
pub(super) const LIMIT: f32 = 2.5;
/// Log odds of the end of a turn for a pause whose measures are all usual.
pub(super) const BIAS: f32 = 0.009_2;
/// What each measure usually is.
pub(super) const MEAN: [f32; FEATURES] = [
    -1.368_8, 0.944_3, -0.546_1, -0.358_6, -0.863_4, 3.574_3, 0.797_7, -8.541_9, -0.872_3,
    65.868_7, 0.841_8, 157.214_4, 310.009_1, 0.101_3, -0.004_7, 0.148_4, 0.042_8,
];
/// How far it usually strays.
pub(super) const SPREAD: [f32; FEATURES] = [
    2.404_6, 2.466_3, 1.851_6, 0.666_1, 1.829_3, 2.526, 0.211_7, 7.553_7, 5.655_9, 58.554_2,
    0.166_9, 93.817_2, 207.946_9, 0.925_7, 0.206_1, 0.102, 0.191_1,
];
/// Log odds for each spread above the mean.
pub(super) const WEIGHT: [f32; FEATURES] = [
    -0.067, -0.064_4, -0.009_7, -0.012, -0.075_9, 0.011_1, 0.008_1, -0.024_7, -0.032_1, -0.024_8,
    -0.071_7, -0.039_2, 0.010_9, 0.052_9, -0.034_9, -0.015_5, 0.052_3,
];
