//! Which words of a clause were heard, from the number of its samples handed out. Works for any voice: no word
//! timestamps are asked for.
//!
//! Owns: the estimate. The voiced part of the clause (its quiet edges trimmed) is shared out to the words in
//! proportion to how long each takes to say; a word was heard when more than half of it was handed out. While a clause
//! still grows, its length is estimated with the speaking rate of the clauses before it.
//!
//! PURE.

/// Sound is looked at in windows of 10 ms for its quiet edges.
const WINDOW_SAMPLES: usize = 160;

/// Mean magnitude below which a window is quiet: about -54 dB of full scale.
const QUIET_MEAN: u32 = 64;

/// Bounds of the memory one clause may take.
const TEXT_BYTES_MAX: usize = 8_192;

/// Samples spoken per unit of word weight, learned from finished clauses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SpeakingRate {
    samples_per_weight: f64,
}

impl Default for SpeakingRate {
    fn default() -> Self {
        // About 14 letters a second.
        SpeakingRate {
            samples_per_weight: 1_050.0,
        }
    }
}

impl SpeakingRate {
    fn learn(&mut self, samples: u64, weight: f64) {
        if weight < 5.0 || samples == 0 {
            return;
        }
        let seen = (samples as f64 / weight).clamp(300.0, 4_000.0);
        self.samples_per_weight += 0.5 * (seen - self.samples_per_weight);
    }
}

#[derive(Debug)]
pub(super) struct Clause {
    id: u32,
    text: String,
    closed: bool,
    /// Samples pushed, and of them handed out.
    pushed: u64,
    handed_out: u64,
    /// First voiced sample, and the one after the last.
    voiced: Option<(u64, u64)>,
    window_sum: u32,
    window_count: usize,
}

impl Clause {
    pub(super) fn new(id: u32) -> Clause {
        Clause {
            id,
            text: String::new(),
            closed: false,
            pushed: 0,
            handed_out: 0,
            voiced: None,
            window_sum: 0,
            window_count: 0,
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
        for &sample in pcm {
            self.pushed += 1;
            self.window_sum += u32::from(sample.unsigned_abs());
            self.window_count += 1;
            if self.window_count == WINDOW_SAMPLES {
                self.end_window();
            }
        }
    }

    fn end_window(&mut self) {
        let count = self.window_count as u32;
        if count > 0 && self.window_sum / count >= QUIET_MEAN {
            let from = self.pushed - self.window_count as u64;
            let start = self.voiced.map_or(from, |(start, _)| start);
            self.voiced = Some((start, self.pushed));
        }
        self.window_sum = 0;
        self.window_count = 0;
    }

    /// No more sound comes for this clause.
    pub(super) fn close(&mut self, rate: &mut SpeakingRate) {
        if self.closed {
            return;
        }
        self.end_window();
        self.closed = true;
        if let Some((start, end)) = self.voiced {
            rate.learn(end - start, self.text.split_whitespace().map(weight).sum());
        }
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
        let words: Vec<&str> = self.text.split_whitespace().collect();
        let total: f64 = words.iter().map(|word| weight(word)).sum();
        // A clause that is quiet throughout is taken as spoken evenly.
        let (start, mut end) = self.voiced.unwrap_or((0, self.pushed));
        if !self.closed {
            end = end.max(start + (total * rate.samples_per_weight) as u64);
        }
        let position = self.handed_out.saturating_sub(start) as f64;
        let samples_per_weight = (end - start) as f64 / total;
        let mut before = 0.0;
        let mut heard = Vec::new();
        for word in words {
            let weight = weight(word);
            if position <= (before + weight / 2.0) * samples_per_weight {
                break;
            }
            before += weight;
            heard.push(word);
        }
        heard
    }
}

/// How long a word takes to say, in letters: digits are spoken as words, punctuation as a pause after it.
fn weight(word: &str) -> f64 {
    let mut weight = 1.0;
    for letter in word.chars() {
        weight += match letter {
            '0'..='9' => 3.5,
            'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'A' | 'E' | 'I' | 'O' | 'U' | 'Y' => 1.2,
            letter if letter.is_alphabetic() => 0.9,
            '%' | '&' | '+' | '=' | '€' | '$' | '£' | '@' => 5.0,
            _ => 0.0,
        };
    }
    weight
        + match word.chars().last() {
            Some('.' | '!' | '?' | ':' | ';') => 4.0,
            Some(',') => 2.5,
            _ => 0.0,
        }
}
