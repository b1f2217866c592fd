//! PURE.
//!
//! Long audio as pieces that a model can hear: cut in the pauses, and put together again as one text. Where nobody pauses,
//! neighbouring pieces share a second of sound, and the words heard twice are said once. Does not look for speech (`vad`)
//! and does not decode.

use std::ops::Range;

use crate::{ms_to_samples, plausibility};

/// Length of the stretch whose energy is compared, in milliseconds.
const PROBE_MS: u32 = 100;
/// Step between probes.
const PROBE_STEP_MS: u32 = 20;
/// A cut is looked for in the last part of the window, this many hundredths long.
const SEARCH_PERCENT: usize = 50;
/// A pause is at least this much quieter than the piece as a whole, as a ratio of power: 20 dB.
const PAUSE_POWER_RATIO: f64 = 0.01;
/// Sound shared by two pieces that had to be cut inside speech.
const OVERLAP_MS: u32 = 1_000;
/// Most words that a second of shared sound can hold.
const OVERLAP_WORDS_MAX: usize = 8;
/// Words at the cut itself that may have been heard in half, on either side.
const TORN_WORDS_MAX: usize = 1;

/// One piece of a longer recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Samples of the recording.
    pub range: Range<usize>,
    /// True when the piece begins with sound that the piece before ended with.
    pub overlaps_previous: bool,
}

/// How long pieces should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest piece in samples; taken as two seconds where it is less.
    pub samples_max: usize,
    /// A recording of up to this many samples is left whole, pauses and all.
    pub whole_max: usize,
    /// In a longer one, a piece ends at the first pause that begins this many samples or more after its start, and
    pub pause_from: usize,
    /// lasts at least this many samples.
    pub pause_samples: usize,
}

/// Cuts `pcm` into pieces within `limits`, covering every sample.
///
/// A cut depends on the piece it ends, on its own pause, and on there being more sound than `whole_max` or `samples_max`;
/// never on what that sound is. Once a recording is longer than `whole_max`, all pieces but the last keep their ranges
/// while it grows.
pub fn cut(pcm: &[i16], limits: &Limits) -> Vec<Piece> {
    let samples_max = limits.samples_max.max(2 * ms_to_samples(OVERLAP_MS));
    let mut pieces = Vec::new();
    let (mut start, mut overlaps_previous) = (0, false);
    loop {
        if pcm.len() <= limits.whole_max.min(samples_max) {
            break;
        }
        let rest = &pcm[start..];
        let window = &rest[..rest.len().min(samples_max)];
        let (at, in_pause) = match first_pause(window, limits.pause_from, limits.pause_samples) {
            Some(length) => (start + length, true),
            None if rest.len() > samples_max => quietest(pcm, start, samples_max),
            None => break,
        };
        // A cut inside speech hands the second before it to the next piece too.
        pieces.push(Piece {
            range: start..at,
            overlaps_previous,
        });
        overlaps_previous = !in_pause;
        start = if in_pause {
            at
        } else {
            at - ms_to_samples(OVERLAP_MS)
        };
    }
    if start < pcm.len() {
        pieces.push(Piece {
            range: start..pcm.len(),
            overlaps_previous,
        });
    }
    pieces
}

/// Length of `pcm` up to the middle of its first pause of `pause` samples that begins at `from` or later. A pause is quiet
/// beside the sound before it, from the start of `pcm`.
fn first_pause(pcm: &[i16], from: usize, pause: usize) -> Option<usize> {
    let step = ms_to_samples(PROBE_STEP_MS);
    let pause_steps = pause.div_ceil(step).max(1);
    // Energy before each step, in whole numbers, so that no rounding depends on what came before.
    let mut energy = Vec::with_capacity(pcm.len() / step + 1);
    let mut sum = 0_u64;
    energy.push(sum);
    for stretch in pcm.chunks_exact(step) {
        sum += stretch
            .iter()
            .map(|s| u64::from(s.unsigned_abs()).pow(2))
            .sum::<u64>();
        energy.push(sum);
    }
    let earliest = from.div_ceil(step).max(1);
    let latest = energy.len().checked_sub(pause_steps + 1)?;
    (earliest..=latest)
        .find(|at| {
            let before = energy[*at] as f64 / *at as f64;
            let inside = (energy[at + pause_steps] - energy[*at]) as f64 / pause_steps as f64;
            inside <= before * PAUSE_POWER_RATIO
        })
        .map(|at| (at + pause_steps / 2) * step)
}

/// Middle of the quietest stretch near the end of the window, and whether it is a pause.
fn quietest(pcm: &[i16], start: usize, samples_max: usize) -> (usize, bool) {
    let probe = ms_to_samples(PROBE_MS);
    let window = &pcm[start..start + samples_max];
    let earliest = samples_max - samples_max * SEARCH_PERCENT / 100;
    let mean = power(window);
    let quietest = (earliest..=samples_max - probe)
        .step_by(ms_to_samples(PROBE_STEP_MS))
        .map(|at| (power(&window[at..at + probe]), at))
        // Of equals the last one: longer pieces, fewer of them.
        .min_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
    match quietest {
        Some((power, at)) => (start + at + probe / 2, power <= mean * PAUSE_POWER_RATIO),
        None => (start + samples_max, false),
    }
}

fn power(pcm: &[i16]) -> f64 {
    let sum: f64 = pcm.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
    sum / pcm.len().max(1) as f64
}

/// One text from the texts of consecutive pieces, each with its `overlaps_previous`.
pub fn join<'a>(texts: impl IntoIterator<Item = (&'a str, bool)>) -> String {
    let mut whole = self::texts(texts);
    whole.retain(|text| !text.is_empty());
    whole.join(" ")
}

/// The texts of consecutive pieces, as many as there are, each without the words that another one has: together they
/// are [`join`].
pub fn texts<'a>(texts: impl IntoIterator<Item = (&'a str, bool)>) -> Vec<String> {
    let mut whole: Vec<&str> = Vec::new();
    // Where each text begins among all words.
    let mut starts: Vec<usize> = Vec::new();
    for (text, overlaps_previous) in texts {
        let next: Vec<&str> = text.split_whitespace().collect();
        let (drop_left, drop_right) = if overlaps_previous {
            seam(&whole, &next)
        } else {
            (0, 0)
        };
        whole.truncate(whole.len() - drop_left);
        // A short text before it may be shared whole.
        for start in &mut starts {
            *start = whole.len().min(*start);
        }
        starts.push(whole.len());
        whole.extend(&next[drop_right..]);
    }
    let ends = starts.iter().skip(1).copied().chain([whole.len()]);
    let spans = starts.iter().zip(ends);
    spans
        .map(|(start, end)| whole[*start..end].join(" "))
        .collect()
}

/// How many words to drop from the end of `left` and from the start of `right` so that what both heard is there once.
/// The right piece's hearing of the shared words is kept: it knows how they go on.
fn seam(left: &[&str], right: &[&str]) -> (usize, usize) {
    let key = |word: &&str| plausibility::words(word).concat();
    let tail_from = left
        .len()
        .saturating_sub(OVERLAP_WORDS_MAX + TORN_WORDS_MAX);
    let tail: Vec<String> = left[tail_from..].iter().map(key).collect();
    let head: Vec<String> = right
        .iter()
        .take(OVERLAP_WORDS_MAX + TORN_WORDS_MAX)
        .map(key)
        .collect();
    let mut best = (0, 0, 0);
    for torn_left in 0..=TORN_WORDS_MAX.min(tail.len()) {
        let tail = &tail[..tail.len() - torn_left];
        for torn_right in 0..=TORN_WORDS_MAX.min(head.len()) {
            let head = &head[torn_right..];
            for shared in (1..=tail.len().min(head.len()).min(OVERLAP_WORDS_MAX)).rev() {
                if tail[tail.len() - shared..] == head[..shared] && shared > best.0 {
                    best = (shared, torn_left + shared, torn_right);
                }
            }
        }
    }
    (best.1, best.2)
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
