//! Tones of the telephone: made (`generator`) and told apart from speech (`detector`).
//!
//! PURE.

pub mod detector;
pub mod generator;

pub use detector::{LineTone, ToneDetector};
pub use generator::{Tone, ToneGenerator};

/// Frequencies of the keypad: rows, then columns. ITU-T Q.23.
const DTMF_ROWS_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const DTMF_COLUMNS_HZ: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const DTMF_KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

#[cfg(test)]
mod tests;
