//! PURE.
//!
//! The prosody rule's numbers, written by `asr/train/end_of_turn/fit.py`; a new fit replaces this file. Owns nothing
//! else: the arithmetic is `prosody`'s, the measures are `features`'.

use super::features::FEATURES;

/// A measure counts up to this many spreads from its mean.
pub(super) const LIMIT: f32 = 2.5;
/// Log odds of the end of a turn for a pause whose measures are all usual.
pub(super) const BIAS: f32 = 0.007_2;
/// What each measure usually is.
pub(super) const MEAN: [f32; FEATURES] = [
    -1.390_1, 0.955_1, -0.545_1, -0.368_3, -0.883_9, 3.573_1, 0.793_4, -8.553_8, -0.817_2,
    65.811_6, 0.840_3, 156.819_1, 303.775_2, 0.093_8, -0.008_2, 0.151_9, 0.043_2,
];
/// How far it usually strays.
pub(super) const SPREAD: [f32; FEATURES] = [
    2.428_9, 2.488_2, 1.812, 0.657_3, 1.865_8, 2.515_7, 0.213_8, 7.503_6, 5.667, 58.642_5, 0.166_7,
    92.883_2, 201.829, 0.927_4, 0.259_2, 0.100_6, 0.189_7,
];
/// Log odds for each spread above the mean.
pub(super) const WEIGHT: [f32; FEATURES] = [
    -0.076_9, -0.072_3, 0.005_3, -0.006_5, -0.061_1, 0.017_1, 0.026_8, -0.023, -0.026_2, -0.029_1,
    -0.086_2, -0.030_3, 0.005_9, 0.054_7, -0.037_5, -0.014_9, 0.061_3,
];
