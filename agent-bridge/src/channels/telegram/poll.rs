//! Receiving by long polling (Bot API, `getUpdates`): what is asked next, what is offered to the hub and in which order,
//! and when an update counts as received. Owns the offset and the waits after failures; sockets are the shell's.
//!
//! An offset is Telegram's receipt: once it was sent, the updates before it are gone there. So it follows what was kept,
//! one update at a time. It is never written down: Telegram holds what was not receipted for a day, and after a quiet week
//! it may begin with other numbers, for which an old offset would be wrong.
//! PURE.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::answer::{Answer, Refusal};
use super::update::{self, Me, Update, What};
use crate::channels::NotKept;
use crate::channels::backoff::backoff;

/// Updates of one answer.
pub const UPDATES_MAX: u32 = 25;
/// How long Telegram holds a question open while nothing comes.
pub const HOLD: Duration = Duration::from_secs(50);
/// An answer without anything that comes sooner was not held open; the next question waits as long.
const QUICK: Duration = Duration::from_secs(1);
/// Another program receives for this bot: asking often would only disturb it.
const CONFLICT_REST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub enum Input {
    /// The answer to [`Output::AskMe`].
    Me(Answer),
    /// The answer to [`Output::AskUpdates`].
    Updates(Answer),
    /// What became of the update of [`Output::Offer`].
    Settled(Result<(), Unsettled>),
}

/// Why an update is not handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsettled {
    NotKept(NotKept),
    /// Telegram did not accept the token when something of the update was asked for.
    Token,
}

impl From<NotKept> for Unsettled {
    fn from(error: NotKept) -> Unsettled {
        Unsettled::NotKept(error)
    }
}

#[derive(Debug, PartialEq)]
pub enum Output {
    AskMe,
    AskUpdates { offset: Option<i64>, limit: u32 },
    Offer(Update),
}

/// How it stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Connecting,
    Receiving,
    /// With the reason, until the next attempt.
    Resting(String),
    /// The owner must act; nothing is tried any more.
    Stopped(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Me,
    Updates,
    Offer,
}

pub struct Poller {
    me: Option<Me>,
    /// The receipt to be sent: one more than the last update that was handled.
    offset: Option<i64>,
    limit: u32,
    /// Received and not handled yet, oldest first; bounded by what one answer may hold.
    waiting: VecDeque<Update>,
    failures: u32,
    /// The latest question for updates.
    asked_at: Option<Instant>,
    /// What is done after a rest.
    rest: Option<(Instant, Step)>,
    outputs: VecDeque<Output>,
    standing: Standing,
    /// Messages that could not be read at all.
    pub skipped: u64,
    rng: StdRng,
}

impl Poller {
    pub fn new(seed: [u8; 32]) -> Poller {
        Poller {
            me: None,
            offset: None,
            limit: UPDATES_MAX,
            waiting: VecDeque::new(),
            failures: 0,
            asked_at: None,
            rest: None,
            outputs: VecDeque::from([Output::AskMe]),
            standing: Standing::Connecting,
            skipped: 0,
            rng: StdRng::from_seed(seed),
        }
    }

    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    pub fn me(&self) -> Option<&Me> {
        self.me.as_ref()
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.rest.map(|(until, _)| until)
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some((until, step)) = self.rest
            && now >= until
        {
            self.rest = None;
            self.go(now, step);
        }
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        debug_assert!(self.outputs.is_empty(), "drain the outputs first");
        match input {
            Input::Me(Answer::Done(value)) => match Me::read(&value) {
                Some(me) => {
                    self.me = Some(me);
                    self.next(now);
                }
                None => self.rest(now, Step::Me, "what answers is not Telegram's API"),
            },
            Input::Updates(Answer::Done(value)) => self.received(now, &value),
            Input::Updates(Answer::TooLong { head }) => self.too_long(now, &head),
            Input::Me(answer) => self.failed(now, Step::Me, &answer),
            Input::Updates(answer) => self.failed(now, Step::Updates, &answer),
            Input::Settled(Err(Unsettled::NotKept(NotKept::Busy))) => {
                self.rest(now, Step::Offer, "the disk is busy");
            }
            // Whether the bot itself is refused says only a question about the bot.
            Input::Settled(Err(Unsettled::Token)) => {
                self.rest(now, Step::Me, &Refusal::Token.words());
            }
            Input::Settled(_) => {
                self.receipt();
                self.next(now);
            }
        }
    }

    fn received(&mut self, now: Instant, value: &serde_json::Value) {
        self.standing = Standing::Receiving;
        self.limit = UPDATES_MAX;
        if value.as_array().is_some_and(Vec::is_empty) {
            // The receipt has arrived.
            self.offset = None;
            self.failures = 0;
            let is_quick = self.asked_at.is_some_and(|asked| now < asked + QUICK);
            match is_quick {
                true => self.rest = Some((now + QUICK, Step::Updates)),
                false => self.go(now, Step::Updates),
            }
            return;
        }
        let me = self.me.clone().unwrap_or_default();
        let mut updates = update::read(value, &me);
        // What was handled already comes again when its receipt was lost.
        updates.retain(|update| self.offset.is_none_or(|offset| update.id >= offset));
        updates.truncate(UPDATES_MAX as usize);
        if updates.is_empty() {
            return self.rest(now, Step::Updates, "Telegram sends what cannot be read");
        }
        self.failures = 0;
        self.waiting = updates.into();
        self.next(now);
    }

    /// Asks for one at a time, and passes over one that is too long by itself: it must not stop all that follow.
    fn too_long(&mut self, now: Instant, head: &[u8]) {
        if self.limit > 1 {
            self.limit = 1;
            return self.go(now, Step::Updates);
        }
        match update::first_id(head) {
            Some(id) if self.offset.is_none_or(|offset| id >= offset) => {
                self.skipped += 1;
                self.offset = Some(id.saturating_add(1));
                self.go(now, Step::Updates);
            }
            _ => self.rest(now, Step::Updates, "Telegram sends what cannot be read"),
        }
    }

    fn failed(&mut self, now: Instant, step: Step, answer: &Answer) {
        match answer {
            Answer::Refused(refusal @ Refusal::Token) => {
                self.standing = Standing::Stopped(refusal.words());
            }
            Answer::Refused(refusal @ Refusal::Conflict { .. }) => {
                self.rest_for(now, CONFLICT_REST, step, &refusal.words());
            }
            Answer::Refused(refusal @ Refusal::TooMany { retry_after }) => {
                self.rest_for(now, *retry_after, step, &refusal.words());
            }
            Answer::Refused(refusal) => self.rest(now, step, &refusal.words()),
            Answer::NotSent { why } | Answer::Unknown { why } => self.rest(now, step, why),
            Answer::Done(_) | Answer::TooLong { .. } => {
                self.rest(now, step, "Telegram sends what cannot be read");
            }
        }
    }

    fn rest(&mut self, now: Instant, step: Step, why: &str) {
        let wait = backoff(self.failures);
        self.failures = self.failures.saturating_add(1);
        // Half of it is chance, so that many bots do not come back as one.
        let part = self.rng.random_range(0.5..=1.0);
        self.rest_for(now, wait.mul_f64(part), step, why);
    }

    fn rest_for(&mut self, now: Instant, wait: Duration, step: Step, why: &str) {
        self.standing = Standing::Resting(why.to_owned());
        self.rest = Some((now + wait, step));
    }

    /// The oldest update that waits is handled.
    fn receipt(&mut self) {
        if let Some(update) = self.waiting.pop_front() {
            self.offset = Some(update.id.saturating_add(1));
            self.failures = 0;
            self.standing = Standing::Receiving;
        }
    }

    fn next(&mut self, now: Instant) {
        while matches!(self.waiting.front(), Some(update) if update.what == What::Nothing) {
            self.receipt();
        }
        let step = match self.waiting.is_empty() {
            true => Step::Updates,
            false => Step::Offer,
        };
        self.go(now, step);
    }

    fn go(&mut self, now: Instant, step: Step) {
        let output = match step {
            Step::Me => Output::AskMe,
            Step::Updates => {
                self.asked_at = Some(now);
                Output::AskUpdates {
                    offset: self.offset,
                    limit: self.limit,
                }
            }
            Step::Offer => match self.waiting.front() {
                Some(update) => Output::Offer(update.clone()),
                None => return self.go(now, Step::Updates),
            },
        };
        self.outputs.push_back(output);
    }
}

#[cfg(test)]
#[path = "poll_tests.rs"]
mod tests;
