//! PURE.
//! Texts that wait for one person's phones: in order, one on its way at a time, each taken in once and handed out once, for
//! a week at most. Owns what is written down of them; not the disk (`office`), not the phones (`messages`).

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Texts that wait for one person. At the bound the next one is refused.
pub const TEXTS_MAX: usize = 100;
/// Octets of them.
pub const BYTES_MAX: usize = 512 * 1024;
/// Names of texts that were taken in, to know one that comes again. At the bound the oldest is forgotten.
const KNOWN_MAX: usize = 256;
/// After that a text is given up.
pub const KEPT_MS: u64 = 7 * 24 * 3600 * 1000;
/// No word from a phone for so long after a text left: longer than a transaction lasts (RFC 3261 §17.1.2.2).
const UNDER_WAY_MAX: Duration = Duration::from_secs(60);
/// A phone that is registered and does not answer is tried again after this, then after twice as long, and so on.
const RETRY_FIRST: Duration = Duration::from_secs(15);
const RETRY_LONGEST: Duration = Duration::from_secs(15 * 60);
/// So often a text may be put off: for more than three hours, unless phones come and go. Then one whose sender hears of it
/// counts as refused, and any other goes behind the rest: one that no phone likes would stand before all others for a week.
pub const ATTEMPTS_MAX: u32 = 20;

/// A text as phones get it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Names it for ever, and cannot be guessed.
    pub id: String,
    /// Number or name that an answer goes to.
    pub number: String,
    /// As whom it is shown.
    pub name: String,
    pub content_type: String,
    pub body: String,
    pub at_unix_ms: u64,
    /// How often a phone has put it off with a refusal.
    #[serde(default)]
    pub attempt: u32,
    /// The account that hears of it if it never arrives.
    #[serde(default)]
    pub sender: Option<String>,
    /// The hub's delivery that is made with this text, its last.
    #[serde(default)]
    pub delivery: Option<String>,
    /// That of the text as it came from a phone, or one by which receipts for it are known.
    #[serde(default)]
    pub call_id: Option<String>,
    /// The name it was handed in under: its other parts have the same. The shelf's to say.
    #[serde(default)]
    pub whole: Option<String>,
}

/// Without the words.
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text {
            id,
            number,
            content_type,
            body,
            ..
        } = self;
        write!(
            f,
            "Text({id} from {number}, {} bytes of {content_type})",
            body.len()
        )
    }
}

/// What came of handing texts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Kept,
    /// It has been taken in before: nothing changes.
    Known,
    Full,
}

/// What came of sending a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A phone has it.
    Delivered,
    /// Every phone that answered says that it never will take it; the status of one.
    Refused(u16),
    /// A phone said no for now.
    PutOff,
    /// No phone is registered, or none answered.
    Away,
}

/// All texts for one person.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Shelf {
    texts: VecDeque<Text>,
    known: VecDeque<String>,
    /// Host by which this person's phone names us: chats are found by whole addresses.
    #[serde(default)]
    pub domain: Option<String>,
    #[serde(skip)]
    under_way: Option<Instant>,
    #[serde(skip)]
    retry_at: Option<Instant>,
    #[serde(skip)]
    retries: u32,
    /// Nobody was there: only a registration helps.
    #[serde(skip)]
    is_away: bool,
    /// The phones that are there said no for now: that they are still there is no news.
    #[serde(skip)]
    is_put_off: bool,
}

impl Shelf {
    /// Takes in what came under one name: one text, or a long one in parts.
    pub fn put(&mut self, name: &str, texts: Vec<Text>) -> Put {
        if self.is_known(name) {
            return Put::Known;
        }
        let bytes: usize = self
            .texts
            .iter()
            .chain(&texts)
            .map(|text| text.body.len())
            .sum();
        if self.texts.len() + texts.len() > TEXTS_MAX || bytes > BYTES_MAX {
            return Put::Full;
        }
        self.note(name);
        self.texts.extend(texts.into_iter().map(|text| Text {
            whole: Some(name.to_owned()),
            ..text
        }));
        Put::Kept
    }

    fn is_known(&self, name: &str) -> bool {
        self.known.iter().any(|known| known == name)
    }

    fn note(&mut self, name: &str) {
        if self.known.len() >= KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back(name.to_owned());
    }

    /// The disk did not take it: it never came.
    pub fn take_back(&mut self, name: &str, ids: &[String]) {
        self.known.retain(|known| known != name);
        self.texts.retain(|text| !ids.contains(&text.id));
    }

    /// In place of one that was given up, before all others.
    pub fn put_first(&mut self, text: Text) {
        self.texts.push_front(text);
    }

    /// What is to be sent now, if anything; `answered` tells what came of it.
    pub fn next(&mut self, now: Instant) -> Option<Text> {
        let is_due = self.retry_at.is_none_or(|at| at <= now);
        if self.under_way.is_some() || self.is_away || !is_due {
            return None;
        }
        let text = self.texts.front()?.clone();
        self.under_way = Some(now + UNDER_WAY_MAX);
        Some(text)
    }

    /// A phone of this person has registered; `is_new`: it was not there before. What is under way to another, which may
    /// have gone without a word, goes to this one too.
    pub fn phone_came(&mut self, is_new: bool) {
        if self.is_put_off && !is_new {
            return;
        }
        self.under_way = None;
        self.calm();
    }

    fn calm(&mut self) {
        self.is_away = false;
        self.is_put_off = false;
        self.retry_at = None;
        self.retries = 0;
    }

    /// What came of the text with this id. The text that is gone with it, delivered or given up, if it is.
    pub fn answered(&mut self, now: Instant, id: &str, outcome: Outcome) -> Option<Text> {
        let is_it = self.texts.front().is_some_and(|text| text.id == id);
        if !is_it || self.under_way.take().is_none() {
            return None;
        }
        match outcome {
            Outcome::Delivered | Outcome::Refused(_) => {
                self.calm();
                self.texts.pop_front()
            }
            Outcome::PutOff | Outcome::Away => {
                self.is_put_off = outcome == Outcome::PutOff;
                if let Some(text) = self.texts.front_mut().filter(|_| self.is_put_off) {
                    text.attempt = text.attempt.saturating_add(1);
                    let is_too_often = text.attempt >= ATTEMPTS_MAX;
                    if is_too_often && text.sender.is_some() {
                        self.calm();
                        return self.texts.pop_front();
                    }
                    // Nobody would hear that it is lost.
                    if is_too_often && self.gives_way() {
                        self.calm();
                        return None;
                    }
                }
                let wait = RETRY_FIRST.saturating_mul(1 << self.retries.min(10));
                self.retries += 1;
                self.retry_at = Some(now + wait.min(RETRY_LONGEST));
                None
            }
        }
    }

    /// What is left of the first text goes behind all others, in its order: at once where one of them was not put off as
    /// often yet, else when it has had as many tries again. Whether it does.
    fn gives_way(&mut self) -> bool {
        let Some(first) = self.texts.front() else {
            return false;
        };
        let is_part = |text: &&Text| text.whole.is_some() && text.whole == first.whole;
        let parts = self.texts.iter().take_while(is_part).count().max(1);
        let is_round_over = first.attempt.is_multiple_of(ATTEMPTS_MAX);
        let mut before = &first.whole;
        // The first part of each: no other is put off.
        let mut others = self.texts.iter().skip(parts).filter(|text| {
            let is_first = text.whole.is_none() || text.whole != *before;
            before = &text.whole;
            is_first
        });
        let gives_way = others.any(|text| is_round_over || text.attempt < ATTEMPTS_MAX);
        if gives_way {
            self.texts.rotate_left(parts);
        }
        gives_way
    }

    /// There is no phone to send to.
    pub fn nobody_there(&mut self, id: &str) {
        if self.texts.front().is_some_and(|text| text.id == id) {
            self.under_way = None;
            self.is_away = true;
            // Whoever said no for now has gone: that it is there again is news, even by the same binding.
            self.is_put_off = false;
        }
    }

    /// Texts that have waited too long.
    pub fn expire(&mut self, unix_ms: u64) -> Vec<Text> {
        if self.under_way.is_some() {
            return Vec::new();
        }
        let is_old = |text: &Text| text.at_unix_ms.saturating_add(KEPT_MS) <= unix_ms;
        let (old, kept) = self.texts.drain(..).partition(is_old);
        self.texts = kept;
        old.into()
    }

    /// An answer that should have come long ago counts as none.
    pub fn on_timeout(&mut self, now: Instant) {
        if self.under_way.is_some_and(|until| until <= now)
            && let Some(id) = self.texts.front().map(|text| text.id.clone())
        {
            self.answered(now, &id, Outcome::Away);
        }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        match self.under_way {
            Some(until) => Some(until),
            None if self.texts.is_empty() || self.is_away => None,
            None => self.retry_at,
        }
    }
}

#[cfg(test)]
#[path = "shelf_tests.rs"]
mod tests;
