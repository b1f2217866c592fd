//! PURE. What becomes of requests to call somebody: when each is tried, again, or left as a message. Owns every request that
//! is not over, the order of those for one user, quiet hours, retries and limits. Rings nobody and writes nothing: `Output`.
//!
//! What holds: a state is saved before anything follows from it, so that whoever starts again from what was saved loses no
//! request, rings nobody for what was heard, and never rings for one request more often than was asked for. Of one user's
//! requests one rings at a time.

use std::collections::{HashMap, VecDeque};

use super::boundary::*;
use super::quiet::Quiet;

/// Requests that are remembered. Finished ones make room, the oldest first; when none is finished, no new one is taken.
pub const RECORDS_MAX: usize = 500;
const DAY_MS: u64 = 24 * 3600 * 1000;
/// The longest pause between two calls.
const RETRY_MS_MAX: u64 = 6 * 3600 * 1000;
/// When to look again where we could not speak yet.
const NOT_READY_MS: u64 = 5_000;

/// All requests.
#[derive(Debug)]
pub struct Plan {
    config: PlanConfig,
    /// The oldest first.
    records: VecDeque<Record>,
    /// When each user's phones rang within the last day.
    rang: HashMap<String, VecDeque<UnixMs>>,
    outputs: VecDeque<Output>,
}

impl Plan {
    /// `records` as they were saved last, the oldest first. Drain the outputs first thing.
    pub fn new(config: PlanConfig, records: Vec<Record>, now: UnixMs) -> Plan {
        let mut plan = Plan {
            config,
            records: records.into(),
            rang: HashMap::new(),
            outputs: VecDeque::new(),
        };
        let mut rang: Vec<(String, UnixMs)> = Vec::new();
        for record in &plan.records {
            let user = &record.wish.user;
            let times = record.attempts.iter();
            rang.extend(times.map(|attempt| (user.clone(), attempt.at)));
            if let State::Ringing {
                since,
                was_due: None,
            }
            | State::Talking { since, .. } = record.state
            {
                rang.push((user.clone(), since));
            }
        }
        rang.sort_by_key(|(_, at)| *at);
        for (user, at) in rang {
            plan.rang.entry(user).or_default().push_back(at);
        }
        // What was under way has been cut off.
        for at in 0..plan.records.len() {
            let (id, outcome) = match &plan.records[at].state {
                State::Ringing { was_due, .. } => {
                    let outcome = match was_due {
                        Some(_) => Outcome::NotReady,
                        None => Outcome::Interrupted,
                    };
                    (plan.records[at].id.clone(), outcome)
                }
                State::Talking { is_heard, .. } => {
                    let outcome = match is_heard {
                        true => Outcome::Heard,
                        false => Outcome::Cut,
                    };
                    (plan.records[at].id.clone(), outcome)
                }
                _ => continue,
            };
            plan.ended(now, &id, outcome);
        }
        plan.look(now);
        plan
    }

    pub fn records(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter()
    }

    pub fn record(&self, id: &CallbackId) -> Option<&Record> {
        self.records.iter().find(|record| record.id == *id)
    }

    /// Takes a request, under an id that was never used. The id of an earlier one where it is the same request again.
    pub fn ask(&mut self, now: UnixMs, id: CallbackId, wish: Wish) -> Result<CallbackId, AskError> {
        if let Some(key) = &wish.key
            && let Some(known) = self
                .records
                .iter()
                .find(|record| record.wish.key.as_ref() == Some(key))
        {
            let is_same = known.wish.to == wish.to
                && known.wish.say == wish.say
                && known.wish.channel == wish.channel;
            return match is_same {
                true => Ok(known.id.clone()),
                false => Err(AskError::KeyTaken),
            };
        }
        let open = self
            .records
            .iter()
            .filter(|record| record.wish.user == wish.user && !record.state.is_over())
            .count();
        if open >= self.config.open_per_user_max {
            return Err(AskError::TooManyOpen(open));
        }
        if self.records.len() >= RECORDS_MAX {
            let over = self
                .records
                .iter()
                .position(|record| record.state.is_over());
            match over {
                Some(at) => drop(self.records.remove(at)),
                None => return Err(AskError::Full),
            }
        }
        let channel = wish.channel;
        let due = wish.not_before.max(now);
        self.records.push_back(Record {
            id: id.clone(),
            wish,
            asked_at: now,
            state: State::Waiting { due },
            attempts: Vec::new(),
        });
        match channel {
            Channel::Text => self.leave(now, &id, "it was asked for as a message"),
            Channel::VoiceNote => self.leave(now, &id, "it was asked for as a voice note"),
            Channel::Call => {
                self.save(&id, None);
                self.look(now);
            }
        }
        Ok(id)
    }

    pub fn handle(&mut self, now: UnixMs, input: Input) {
        match input {
            Input::Began { id, call } => self.began(now, &id, call),
            Input::Told { id, complete } => self.told(&id, complete),
            Input::Ended { id, outcome } => self.ended(now, &id, outcome),
            Input::Cancel { id } => self.cancel(now, &id),
            Input::CallsIn { user } => self.calls_in(now, &user),
            Input::Registered { user } => self.registered(now, &user),
            Input::Timeout => {}
        }
        self.look(now);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `Input::Timeout` is due.
    pub fn next_timeout(&self) -> Option<UnixMs> {
        let waiting = self
            .records
            .iter()
            .filter(|record| !self.is_held_up(record));
        let due = waiting.filter_map(|record| match record.state {
            State::Waiting { due } => Some(due.min(record.wish.not_after.saturating_add(1))),
            _ => None,
        });
        due.min()
    }

    /// Another request of the same user rings.
    fn is_held_up(&self, record: &Record) -> bool {
        self.records.iter().any(|other| {
            other.wish.user == record.wish.user && matches!(other.state, State::Ringing { .. })
        })
    }

    // What happened.

    fn began(&mut self, now: UnixMs, id: &CallbackId, call: String) {
        let Some(record) = self.find(id) else { return };
        let State::Ringing { since, .. } = record.state else {
            // Called off, and answered in the same moment.
            self.outputs.push_back(Output::HangUp { id: id.clone() });
            return;
        };
        record.state = State::Talking {
            since,
            call,
            is_heard: false,
        };
        let user = record.wish.user.clone();
        self.save(id, None);
        // They are on the line: what else there is can be said.
        self.due_now(now, &user);
    }

    fn told(&mut self, id: &CallbackId, complete: bool) {
        let Some(record) = self.find(id) else { return };
        if let State::Talking { is_heard, .. } = &mut record.state
            && complete
            && !*is_heard
        {
            *is_heard = true;
            self.save(id, None);
        }
    }

    fn ended(&mut self, now: UnixMs, id: &CallbackId, outcome: Outcome) {
        let Some(record) = self.find(id) else { return };
        let (at, call, is_heard) = match &record.state {
            State::Ringing { since, was_due } => {
                if outcome == Outcome::NotReady {
                    let was_due = *was_due;
                    return self.not_ready(now, id, was_due);
                }
                (*since, None, false)
            }
            State::Talking {
                since,
                call,
                is_heard,
            } => (*since, Some(call.clone()), *is_heard),
            _ => return,
        };
        let outcome = match outcome {
            Outcome::Cut if is_heard => Outcome::Heard,
            outcome => outcome,
        };
        let user = record.wish.user.clone();
        record.attempts.push(Attempt {
            at,
            outcome: outcome.clone(),
            call,
        });
        let (tried, wish) = (record.attempts.len(), &record.wish);
        let tried = u32::try_from(tried).unwrap_or(u32::MAX);
        let left = wish.attempts_max.saturating_sub(tried);
        let pause = match &outcome {
            Outcome::Heard => {
                record.state = State::Heard { at: now };
                self.save(id, None);
                return;
            }
            Outcome::Cancelled => {
                record.state = State::Cancelled { at: now };
                self.save(id, None);
                return;
            }
            // They were there, or their machine was: what was not heard is there to be read.
            Outcome::Cut | Outcome::Silent | Outcome::Machine | Outcome::Refused(_) => None,
            Outcome::Declined if !wish.is_urgent => None,
            _ if left == 0 => None,
            Outcome::Busy => Some(self.config.busy_ms),
            Outcome::NoAnswer
            | Outcome::NoPhone
            | Outcome::Failed(_)
            | Outcome::Interrupted
            | Outcome::NotReady
            | Outcome::Declined => Some(pause(self.config.retry_ms, tried)),
        };
        match pause {
            Some(pause) => {
                let due = now.saturating_add(pause);
                self.put_off(id, due);
                // Nor does the phone ring at once for something else; what is urgent is its own reason.
                self.put_off_others(&user, id, due);
            }
            None => self.leave(now, id, &outcome.words()),
        }
    }

    fn not_ready(&mut self, now: UnixMs, id: &CallbackId, was_due: Option<UnixMs>) {
        let soon = now.saturating_add(NOT_READY_MS);
        if was_due.is_none()
            && let Some(user) = self.record(id).map(|record| record.wish.user.clone())
            && let Some(rang) = self.rang.get_mut(&user)
        {
            // It has not rung.
            rang.pop_back();
        }
        self.put_off(id, was_due.unwrap_or(soon).max(soon));
    }

    fn cancel(&mut self, now: UnixMs, id: &CallbackId) {
        let Some(record) = self.find(id) else { return };
        let is_under_way = match record.state {
            State::Waiting { .. } => false,
            State::Ringing { .. } | State::Talking { .. } => true,
            _ => return,
        };
        if let State::Talking { is_heard: true, .. } = record.state {
            // Heard is heard: only the talk about it ends.
            self.outputs.push_back(Output::HangUp { id: id.clone() });
            return;
        }
        if let State::Ringing { since, .. } | State::Talking { since, .. } = record.state {
            record.attempts.push(Attempt {
                at: since,
                outcome: Outcome::Cancelled,
                call: None,
            });
        }
        record.state = State::Cancelled { at: now };
        self.save(id, None);
        if is_under_way {
            self.outputs.push_back(Output::HangUp { id: id.clone() });
        }
    }

    /// What waits for this user and may be told already is told into the call that stands.
    fn calls_in(&mut self, now: UnixMs, user: &str) {
        let waiting: Vec<CallbackId> = self
            .records
            .iter()
            .filter(|record| record.wish.user == user && record.wish.not_before <= now)
            .filter(|record| matches!(record.wish.to, Recipient::User(_)))
            .filter(|record| matches!(record.state, State::Waiting { .. }))
            .map(|record| record.id.clone())
            .collect();
        for id in waiting {
            self.ring(now, &id, true);
        }
    }

    fn registered(&mut self, now: UnixMs, user: &str) {
        let config = &self.config;
        for record in &mut self.records {
            let missed = record.attempts.last().map(|attempt| &attempt.outcome);
            if record.wish.user == user
                && missed == Some(&Outcome::NoPhone)
                && let State::Waiting { due } = &mut record.state
            {
                *due = (*due).min(allowed_at(config, &record.wish, now));
            }
        }
    }

    fn due_now(&mut self, now: UnixMs, user: &str) {
        for record in &mut self.records {
            if record.wish.user == user
                && record.wish.not_before <= now
                && let State::Waiting { due } = &mut record.state
            {
                *due = (*due).min(now);
            }
        }
    }

    // What follows.

    /// Rings for whatever is due, leaves what is too late, and puts off what may not ring now.
    fn look(&mut self, now: UnixMs) {
        let due: Vec<CallbackId> = self
            .records
            .iter()
            .filter(|record| match record.state {
                State::Waiting { due } => due <= now || record.wish.not_after < now,
                _ => false,
            })
            .map(|record| record.id.clone())
            .collect();
        for id in due {
            let Some(record) = self.record(&id) else {
                continue;
            };
            if record.wish.not_after < now {
                let why = match record.attempts.last() {
                    Some(last) => last.outcome.words(),
                    None => "its time was over before it could be said".to_owned(),
                };
                self.leave(now, &id, &why);
                continue;
            }
            if self.is_held_up(record) {
                continue;
            }
            let is_talking = self.records.iter().any(|other| {
                other.wish.user == record.wish.user && matches!(other.state, State::Talking { .. })
            });
            // Into a call that stands nothing rings.
            if is_talking && matches!(record.wish.to, Recipient::User(_)) {
                self.ring(now, &id, true);
                continue;
            }
            let allowed = allowed_at(&self.config, &record.wish, now);
            if allowed > now {
                match allowed > record.wish.not_after {
                    true => self.leave(now, &id, "quiet hours last longer than it may wait"),
                    false => self.put_off(&id, allowed),
                }
                continue;
            }
            let user = record.wish.user.clone();
            let rang = self.rang.entry(user).or_default();
            while rang.front().is_some_and(|at| at + DAY_MS <= now) {
                rang.pop_front();
            }
            if rang.len() >= self.config.calls_per_user_per_day {
                self.leave(now, &id, "as many calls as allowed were made today");
                continue;
            }
            self.ring(now, &id, false);
        }
    }

    fn ring(&mut self, now: UnixMs, id: &CallbackId, join_only: bool) {
        let Some(record) = self.find(id) else { return };
        let was_due = match record.state {
            State::Waiting { due } if join_only => Some(due),
            _ => None,
        };
        record.state = State::Ringing {
            since: now,
            was_due,
        };
        let wish = Box::new(record.wish.clone());
        if !join_only {
            let rang = self.rang.entry(wish.user.clone()).or_default();
            rang.push_back(now);
        }
        self.save(id, None);
        self.outputs.push_back(Output::Ring {
            id: id.clone(),
            wish,
            join_only,
        });
    }

    fn put_off(&mut self, id: &CallbackId, until: UnixMs) {
        if let Some(record) = self.find(id) {
            record.state = State::Waiting { due: until };
            self.save(id, None);
        }
    }

    fn put_off_others(&mut self, user: &str, id: &CallbackId, until: UnixMs) {
        for record in &mut self.records {
            let is_other = record.wish.user == user && record.id != *id && !record.wish.is_urgent;
            if is_other && let State::Waiting { due } = &mut record.state {
                // Not worth a write: a new start may ring for it a little earlier.
                *due = (*due).max(until);
            }
        }
    }

    /// It becomes a message.
    fn leave(&mut self, now: UnixMs, id: &CallbackId, why: &str) {
        let Some(record) = self.find(id) else { return };
        record.state = State::Left {
            at: now,
            why: why.to_owned(),
        };
        let notice = Notice {
            user: record.wish.user.clone(),
            text: record.wish.say.clone(),
            is_voice: record.wish.channel == Channel::VoiceNote,
            why: why.to_owned(),
            callback: id.clone(),
            at: now,
        };
        self.save(id, Some(notice));
    }

    fn save(&mut self, id: &CallbackId, notice: Option<Notice>) {
        if let Some(record) = self.record(id) {
            let record = Box::new(record.clone());
            self.outputs.push_back(Output::Save { record, notice });
        }
    }

    fn find(&mut self, id: &CallbackId) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.id == *id)
    }
}

/// The first moment from `now` on at which a phone may ring for it.
fn allowed_at(config: &PlanConfig, wish: &Wish, now: UnixMs) -> UnixMs {
    let from = wish.not_before.max(now);
    if wish.is_invited || (wish.is_urgent && config.urgent_breaks_quiet) {
        return from;
    }
    let own = config.quiet_of.get(&wish.user.to_lowercase());
    let quiet: &Quiet = own.unwrap_or(&config.quiet);
    quiet.over_at(from)
}

/// After the first call `first_ms`, then three times as long each time.
fn pause(first_ms: u64, tried: u32) -> u64 {
    let times = 3u64.saturating_pow(tried.saturating_sub(1));
    first_ms.saturating_mul(times).min(RETRY_MS_MAX)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
