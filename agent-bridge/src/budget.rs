//! What the cloud may cost in one day. Owns the arithmetic: requests, tokens and money of each agent and of all together,
//! what is promised to questions under way, and when that is too much. Owns no clock and no disk: the day is told, what
//! is to be kept is handed out, and what was kept before is handed in.
//!
//! A question is let through if what it will cost at a guess still fits. The guess is held back until the question has
//! ended, so that many calls at once do not spend the same rest twice. Money counts in millionths of whatever currency
//! the prices are in.
//! PURE.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::gateways::Usage;

/// Questions to the cloud that are under way at once. Beyond, none is let through.
pub const HOLDS_MAX: usize = 256;
/// Agents that are counted each by itself; any more count as one.
pub const AGENTS_MAX: usize = 128;
/// Letters that one token is taken for, where nobody says how many there were.
const CHARS_PER_TOKEN: usize = 4;
/// Tokens of an answer before it is known.
const ANSWER_TOKENS: u64 = 400;
const REST: &str = "(other)";

/// Most of one day; none: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    pub requests: Option<u64>,
    /// Of questions and answers together.
    pub tokens: Option<u64>,
    /// Money.
    pub micros: Option<u64>,
}

/// What was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    pub requests: u64,
    pub tokens: u64,
    pub micros: u64,
}

impl Spent {
    fn plus(self, other: Spent) -> Spent {
        Spent {
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
            micros: self.micros.saturating_add(other.micros),
        }
    }
}

/// Millionths of the currency per million tokens, which is the currency per token times a million, twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    pub prompt_micros: u64,
    pub completion_micros: u64,
}

impl Price {
    /// In millionths, rounded up.
    pub fn of(self, usage: Usage) -> u64 {
        let part = |tokens: u64, micros: u64| u128::from(tokens) * u128::from(micros);
        let total = part(usage.prompt_tokens, self.prompt_micros)
            + part(usage.completion_tokens, self.completion_micros);
        u64::try_from(total.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// What is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Requests,
    Tokens,
    Money,
    /// Not the day's: too many questions at this moment.
    Room,
}

/// Which limit keeps a question from the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[error("today's limit for the cloud is reached ({what:?}, {})", if *.is_total { "of all agents" } else { "of this agent" })]
pub struct Reached {
    pub what: What,
    /// It is that of all agents together; else this agent's own.
    pub is_total: bool,
}

impl Reached {
    /// What the caller is told: what is reached.
    pub fn sayable(self) -> &'static str {
        match (self.what, self.is_total) {
            (What::Requests, true) => "Today's limit of questions to the cloud is reached.",
            (What::Requests, false) => {
                "Today's limit of questions to the cloud is reached for this agent."
            }
            (What::Tokens, true) => "Today's limit of words to and from the cloud is reached.",
            (What::Tokens, false) => {
                "Today's limit of words to and from the cloud is reached for this agent."
            }
            (What::Money, true) => "Today's money for the cloud is spent.",
            (What::Money, false) => {
                "Today's money for this agent's questions to the cloud is spent."
            }
            (What::Room, _) => "Too many questions are on their way to the cloud just now.",
        }
    }
}

/// One counter that grew, to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// `AGENT/requests`, `AGENT/tokens` or `AGENT/micros`.
    pub name: String,
    pub day: i64,
    pub by: u64,
}

/// Names a question under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(u64);

#[derive(Debug)]
struct Hold {
    agent: String,
    day: i64,
    price: Price,
    reserved: Spent,
}

/// The day's books.
#[derive(Debug)]
pub struct Ledger {
    total: Limits,
    each: Limits,
    day: i64,
    agents: BTreeMap<String, Spent>,
    holds: BTreeMap<HoldId, Hold>,
    next: u64,
}

impl Ledger {
    /// `total` is for all agents together, `each` for every single one. `day` counts from 1970, whichever midnight it
    /// begins at; `kept` are this day's counters as `Count` named them.
    pub fn new<'a>(
        total: Limits,
        each: Limits,
        day: i64,
        kept: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> Ledger {
        let mut ledger = Ledger {
            total,
            each,
            day,
            agents: BTreeMap::new(),
            holds: BTreeMap::new(),
            next: 0,
        };
        for (name, value) in kept {
            let Some((agent, what)) = name.rsplit_once('/') else {
                continue;
            };
            let mut spent = Spent::default();
            match what {
                "requests" => spent.requests = value,
                "tokens" => spent.tokens = value,
                "micros" => spent.micros = value,
                _ => continue,
            }
            ledger.add(agent, spent);
        }
        ledger
    }

    /// A question is about to leave. It counts as a request from now on, whatever becomes of it.
    pub fn open(
        &mut self,
        day: i64,
        agent: &str,
        guess: Usage,
        price: Price,
    ) -> Result<(HoldId, Vec<Count>), Reached> {
        self.turn_to(day);
        if self.holds.len() >= HOLDS_MAX {
            return Err(Reached {
                what: What::Room,
                is_total: true,
            });
        }
        let agent = self.counted_as(agent);
        let reserved = Spent {
            requests: 0,
            tokens: tokens(guess),
            micros: price.of(guess),
        };
        let next = Spent {
            requests: 1,
            ..reserved
        };
        let of_agent = self.committed(|name| name == agent).plus(next);
        let of_all = self.committed(|_| true).plus(next);
        for (limits, spent, is_total) in [(self.each, of_agent, false), (self.total, of_all, true)]
        {
            if let Some(what) = too_much(limits, spent) {
                return Err(Reached { what, is_total });
            }
        }
        let one = Spent {
            requests: 1,
            ..Spent::default()
        };
        self.add(&agent, one);
        let id = HoldId(self.next);
        self.next += 1;
        let counts = counts(&agent, self.day, one);
        let hold = Hold {
            agent,
            day: self.day,
            price,
            reserved,
        };
        self.holds.insert(id, hold);
        Ok((id, counts))
    }

    /// It has ended, and this is what it took. The money it cost, and what is to be kept; nothing for one that is not
    /// known.
    pub fn close(&mut self, day: i64, id: HoldId, usage: Usage) -> (u64, Vec<Count>) {
        self.turn_to(day);
        let Some(hold) = self.holds.remove(&id) else {
            return (0, Vec::new());
        };
        let spent = Spent {
            requests: 0,
            tokens: tokens(usage),
            micros: hold.price.of(usage),
        };
        // What was asked yesterday is yesterday's.
        if hold.day == self.day {
            self.add(&hold.agent, spent);
        }
        (spent.micros, counts(&hold.agent, hold.day, spent))
    }

    /// What all agents have used today.
    pub fn spent(&self) -> Spent {
        self.agents
            .values()
            .fold(Spent::default(), |sum, spent| sum.plus(*spent))
    }

    /// A clock that is put back by less than a day does not begin a day anew.
    fn turn_to(&mut self, day: i64) {
        if day > self.day || day < self.day - 1 {
            self.day = day;
            self.agents.clear();
        }
    }

    fn counted_as(&self, agent: &str) -> String {
        let is_known = self.agents.contains_key(agent);
        match is_known || self.agents.len() < AGENTS_MAX {
            true => agent.to_owned(),
            false => REST.to_owned(),
        }
    }

    fn add(&mut self, agent: &str, spent: Spent) {
        let agent = self.counted_as(agent);
        let known = self.agents.entry(agent).or_default();
        *known = known.plus(spent);
    }

    /// Used or promised.
    fn committed(&self, is_meant: impl Fn(&str) -> bool) -> Spent {
        let used = self.agents.iter().filter(|(name, _)| is_meant(name));
        let used = used.fold(Spent::default(), |sum, (_, spent)| sum.plus(*spent));
        let holds = self.holds.values();
        let holds = holds.filter(|hold| hold.day == self.day && is_meant(&hold.agent));
        holds.fold(used, |sum, hold| sum.plus(hold.reserved))
    }
}

/// What a question will take at a guess: `chars` letters are sent. `tokens_max` is what the answer is limited to.
pub fn guess(chars: usize, tokens_max: Option<u32>) -> Usage {
    let answer = tokens_max.map_or(ANSWER_TOKENS, |max| u64::from(max).min(ANSWER_TOKENS));
    Usage {
        prompt_tokens: tokens_of(chars),
        completion_tokens: answer,
    }
}

/// Tokens in so many letters, at a guess, rounded up.
pub fn tokens_of(chars: usize) -> u64 {
    chars.div_ceil(CHARS_PER_TOKEN) as u64
}

fn tokens(usage: Usage) -> u64 {
    usage.prompt_tokens.saturating_add(usage.completion_tokens)
}

fn too_much(limits: Limits, spent: Spent) -> Option<What> {
    let is_over = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value > limit);
    if is_over(limits.requests, spent.requests) {
        Some(What::Requests)
    } else if is_over(limits.tokens, spent.tokens) {
        Some(What::Tokens)
    } else {
        is_over(limits.micros, spent.micros).then_some(What::Money)
    }
}

fn counts(agent: &str, day: i64, spent: Spent) -> Vec<Count> {
    let all = [
        ("requests", spent.requests),
        ("tokens", spent.tokens),
        ("micros", spent.micros),
    ];
    let grown = all.into_iter().filter(|(_, by)| *by > 0);
    let count = |(what, by)| Count {
        name: format!("{agent}/{what}"),
        day,
        by,
    };
    grown.map(count).collect()
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
