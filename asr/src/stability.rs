//! PURE.
//!
//! What of a growing transcript will stay: from successive partial texts of one utterance, the words that two partials in
//! a row agree on. Words that became stable are never taken back within the utterance, whatever a later partial says;
//! the final transcript is the recogniser's own and does not pass through here. Does not decode and does not judge words.
//!
//! Words agree when they are equal without case and punctuation. Of a word at the end of a partial the punctuation is not
//! believed, because the speaker goes on: "Turn off." twice is stable as "Turn off".
//!
//! Full: beyond [`WORDS_MAX`] words of one utterance the rest is not looked at.

use crate::plausibility;

/// Most words of one utterance that are compared: several minutes of fast talk.
pub const WORDS_MAX: usize = 1_000;
/// How many of the latest stable words a new partial is laid against. Older ones are taken to be where they were.
const ALIGNED_WORDS_MAX: usize = 40;

/// The partials of one utterance, compared.
#[derive(Clone, Default)]
pub struct Stability {
    stable: String,
    /// The stable words without case and punctuation.
    stable_keys: Vec<String>,
    unstable: String,
    /// Words of the newest partial after the stable ones, as keys.
    unstable_keys: Vec<String>,
}

impl std::fmt::Debug for Stability {
    /// The words are a caller's and stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stability")
            .field("stable_words", &self.stable_keys.len())
            .field("unstable_words", &self.unstable_keys.len())
            .finish()
    }
}

impl Stability {
    /// No words yet.
    pub fn new() -> Stability {
        Stability::default()
    }

    /// Takes the text of the next partial. An empty one makes nothing stable and retracts nothing.
    pub fn push(&mut self, text: &str) {
        let (words, keys) = words_and_keys(text);
        let begin = self.stable_end(&keys);
        let agreed = keys[begin..]
            .iter()
            .zip(&self.unstable_keys)
            .take_while(|(new, old)| new == old)
            .count();
        for n in begin..begin + agreed {
            // At the end of either partial stands punctuation that the next word may prove wrong.
            let is_at_an_end = n + 1 == words.len() || n + 1 - begin == self.unstable_keys.len();
            let word = if is_at_an_end {
                words[n].trim_end_matches(|c: char| !c.is_alphanumeric())
            } else {
                words[n].as_str()
            };
            append(&mut self.stable, word);
        }
        self.stable_keys
            .extend_from_slice(&keys[begin..begin + agreed]);
        self.unstable_keys = keys[begin + agreed..].to_vec();
        self.unstable.clear();
        for word in &words[begin + agreed..] {
            append(&mut self.unstable, word);
        }
    }

    /// The words that stay, separated by single spaces. Grows only, until [`Stability::reset`].
    pub fn stable(&self) -> &str {
        &self.stable
    }

    /// What the newest partial says after the stable words.
    pub fn unstable(&self) -> &str {
        &self.unstable
    }

    /// Forgets everything, for the next utterance.
    pub fn reset(&mut self) {
        *self = Stability::default();
    }

    /// How many words of a new partial stand for the stable ones: as many as make the smallest edit distance to them.
    fn stable_end(&self, keys: &[String]) -> usize {
        let skipped = self.stable_keys.len().saturating_sub(ALIGNED_WORDS_MAX);
        let stable = &self.stable_keys[skipped..];
        let skipped = skipped.min(keys.len());
        let keys = &keys[skipped..];
        // One column per number of words taken from the partial; one round per stable word.
        let mut distances: Vec<usize> = (0..=keys.len()).collect();
        for (n, word) in stable.iter().enumerate() {
            let mut diagonal = distances[0];
            distances[0] = n + 1;
            for (m, key) in keys.iter().enumerate() {
                let above = distances[m + 1];
                distances[m + 1] = (diagonal + usize::from(word != key))
                    .min(above + 1)
                    .min(distances[m] + 1);
                diagonal = above;
            }
        }
        let taken = distances
            .iter()
            .enumerate()
            // Of equals the one that takes as many words as are stable, or as near to that as can be.
            .min_by_key(|(taken, distance)| (**distance, taken.abs_diff(stable.len())))
            .map_or(0, |(taken, _)| taken);
        skipped + taken
    }
}

/// Words as written and as compared; what is no word (a lone dash) is left out.
fn words_and_keys(text: &str) -> (Vec<String>, Vec<String>) {
    text.split_whitespace()
        .filter_map(|word| {
            let key = plausibility::words(word).concat();
            (!key.is_empty()).then(|| (word.to_owned(), key))
        })
        .take(WORDS_MAX)
        .unzip()
}

fn append(text: &mut String, word: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(word);
}

#[cfg(test)]
#[path = "stability_tests.rs"]
mod tests;
