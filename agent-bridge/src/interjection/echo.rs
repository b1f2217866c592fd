//! Whether heard words are our own, come back through the caller's microphone. Owns the comparison of
//! words; the comparison of sound is done elsewhere. Approximate substring search after P. H. Sellers, The
//! theory and computation of evolutionary distances, J. Algorithms 1 (1980).
//! PURE.

use super::comparable;
use crate::words::canonical;

/// Bytes of a reply that are compared; its end is kept, where we are most likely to be.
const SPEAKING_BYTES_MAX: usize = 12_000;
/// Words of an utterance that are compared.
const HEARD_WORDS_MAX: usize = 80;
/// Heard words for each one that may be off.
const WORDS_PER_SLIP: usize = 4;
/// Fewest words of an echo that are taken off when other words follow or lead.
const PART_WORDS_MIN: usize = 3;

/// The heard words that are not exactly a run of what we say: none for an echo, all when nothing matches,
/// otherwise what was said after or before our own words.
pub(super) fn rest<'a>(words: &'a [String], speaking: &str) -> &'a [String] {
    let ours = ours(speaking);
    if ours.is_empty() || words.len() > HEARD_WORDS_MAX {
        return words;
    }
    if is_exact_run(words, &ours) {
        return &[];
    }
    // The longest part at either end that is ours.
    let longest = (PART_WORDS_MIN..words.len()).rev();
    for length in longest {
        if is_exact_run(&words[..length], &ours) {
            return &words[length..];
        }
        if is_exact_run(&words[words.len() - length..], &ours) {
            return &words[..words.len() - length];
        }
    }
    words
}

/// Whether the heard words are a run of what we say with at most one of them off per four.
pub(super) fn is_run(words: &[String], speaking: &str) -> bool {
    words.len() <= HEARD_WORDS_MAX && is_near_run(&comparable(words), &ours(speaking))
}

/// Whether the words so far could go on as ours.
pub(super) fn may_become(words: &[String], speaking: &str) -> bool {
    let ours = ours(speaking);
    let heard = comparable(words);
    // The last word may be torn.
    let Some((_, whole)) = heard.split_last() else {
        return false;
    };
    contains(&ours, &heard) || !whole.is_empty() && contains(&ours, whole)
}

fn ours(speaking: &str) -> Vec<String> {
    let mut start = speaking.len().saturating_sub(SPEAKING_BYTES_MAX);
    while !speaking.is_char_boundary(start) {
        start += 1;
    }
    canonical(&speaking[start..])
}

fn is_exact_run(words: &[String], ours: &[String]) -> bool {
    contains(ours, &comparable(words))
}

fn contains(ours: &[String], heard: &[String]) -> bool {
    !heard.is_empty() && ours.windows(heard.len()).any(|window| window == heard)
}

fn is_near_run(heard: &[String], ours: &[String]) -> bool {
    if heard.is_empty() {
        return false;
    }
    let slips_max = heard.len() / WORDS_PER_SLIP;
    // distance[i]: fewest slips of the first i heard words against a run of ours that ends here.
    let mut distance: Vec<usize> = (0..=heard.len()).collect();
    for our in ours {
        let mut diagonal = distance[0];
        distance[0] = 0;
        for (at, word) in heard.iter().enumerate() {
            let replaced = diagonal + usize::from(word != our);
            diagonal = distance[at + 1];
            distance[at + 1] = replaced.min(distance[at] + 1).min(diagonal + 1);
        }
        if distance[heard.len()] <= slips_max {
            return true;
        }
    }
    false
}
