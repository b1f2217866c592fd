//! One clause in playout: its text, what it sounds like, how much of it was handed out, and from these the words that
//! were heard. Works for any voice: no word timestamps are asked for.
//!
//! Owns: the bookkeeping and the speaking rate learned from finished clauses. A word was heard when more than half of
//! it was handed out; where it lies in the sound is found by `align`, only when somebody asks and only for the clause
//! that plays.
//!
//! PURE.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::align::{Extent, Found, align, expected_windows, sounding_windows};
use super::figures::FITTED;
use super::sound::{Listener, WINDOW_SAMPLES};
use super::spoken::read;

/// Bounds of the memory one clause may take.
const TEXT_BYTES_MAX: usize = 8_192;

/// How many times the reference duration the voice takes, learned from finished clauses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SpeakingRate {
    factor: f32,
    learned: bool,
}

/// Slowest and fastest factor believed.
const FACTOR_MIN: f32 = 0.4;
const FACTOR_MAX: f32 = 3.0;
/// A factor is learned from at least so many windows of expected speech.
const LEARN_WINDOWS_MIN: f32 = 40.0;

impl Default for SpeakingRate {
    fn default() -> Self {
        SpeakingRate {
            factor: 1.0,
            learned: false,
        }
    }
}

impl SpeakingRate {
    fn learn(&mut self, factor: f32) {
        let share = if self.learned { 0.4 } else { 1.0 };
        self.factor += share * (factor - self.factor);
        self.learned = true;
    }
}

#[derive(Debug)]
pub(super) struct Clause {
    id: u32,
    text: String,
    closed: bool,
    /// The voice stopped before the end of the text.
    cut_off: bool,
    /// Samples pushed, and of them handed out.
    pushed: u64,
    handed_out: u64,
    /// Most words ever told as heard: a word once heard stays heard, whatever more sound of the clause shows.
    told: AtomicUsize,
    sound: Listener,
}

impl Clause {
    pub(super) fn new(id: u32) -> Clause {
        Clause {
            id,
            text: String::new(),
            closed: false,
            cut_off: false,
            pushed: 0,
            handed_out: 0,
            told: AtomicUsize::new(0),
            sound: Listener::default(),
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn append(&mut self, text: &str, pcm: &[i16]) {
        let text = text.trim();
        if !text.is_empty() && self.text.len() + text.len() < TEXT_BYTES_MAX {
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            self.text.push_str(text);
        }
        self.pushed += pcm.len() as u64;
        self.sound.push(pcm);
    }

    /// No more sound comes for this clause.
    pub(super) fn close(&mut self, rate: &mut SpeakingRate) {
        if self.closed {
            return;
        }
        self.sound.finish();
        self.closed = true;
        let expected = expected_windows(&read(&self.text), &FITTED);
        if self.cut_off || expected < LEARN_WINDOWS_MIN {
            return;
        }
        let factor = sounding_windows(self.sound.windows()) as f32 / expected;
        // Beyond these the text is not what was said: code that is skipped, a sign read at length.
        if (FACTOR_MIN..FACTOR_MAX).contains(&factor) {
            rate.learn(factor);
        }
    }

    /// The voice failed: the words may reach beyond the sound.
    pub(super) fn cut_off(&mut self) {
        self.cut_off = true;
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Books up to `count` samples as handed out and says how many belonged to this clause.
    pub(super) fn hand_out(&mut self, count: usize) -> usize {
        let taken = (self.pushed - self.handed_out).min(count as u64);
        self.handed_out += taken;
        taken as usize
    }

    pub(super) fn words_heard(&self, rate: SpeakingRate) -> Vec<&str> {
        if self.handed_out == 0 {
            return Vec::new();
        }
        if self.closed && !self.cut_off && self.handed_out == self.pushed {
            return self.text.split_whitespace().collect();
        }
        let position = self.handed_out as f32 / WINDOW_SAMPLES as f32;
        let found = self.found(rate);
        let count = found
            .words
            .iter()
            .take_while(|(from, to)| (from + to) / 2.0 < position)
            .count();
        let count = count.max(self.told.fetch_max(count, Ordering::Relaxed));
        self.text.split_whitespace().take(count).collect()
    }

    fn found(&self, rate: SpeakingRate) -> Found {
        let words = read(&self.text);
        let windows = self.sound.windows();
        if self.closed && !self.cut_off {
            let factor =
                sounding_windows(windows) as f32 / expected_windows(&words, &FITTED).max(1.0);
            let factor = factor.clamp(FACTOR_MIN, FACTOR_MAX);
            return align(&words, windows, Extent::Whole, factor, &FITTED);
        }
        let factors: &[f32] = if rate.learned {
            &[1.0]
        } else {
            &[1.0, 0.8, 1.25]
        };
        let mut best: Option<Found> = None;
        for factor in factors {
            let found = align(
                &words,
                windows,
                Extent::Beginning,
                factor * rate.factor,
                &FITTED,
            );
            if best.as_ref().is_none_or(|best| found.score > best.score) {
                best = Some(found);
            }
        }
        best.unwrap_or(Found {
            words: Vec::new(),
            sounds: Vec::new(),
            score: 0.0,
        })
    }
}
