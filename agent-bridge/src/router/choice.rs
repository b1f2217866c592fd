//! Who in a chain is asked, in which order, and for which reason. Owns what is known of each gateway's health (its
//! failures, its rest, the trial after a rest, the time to its first word), and the rules about the cloud. Asks nobody.
//!
//! A gateway that fails rests: it is asked after the others. After its rest one question is a trial, and until that one
//! has ended the rest goes on for all others. A gateway that could not be reached at all is looked at meanwhile.
//! PURE.

use std::time::{Duration, Instant};

use crate::gateways::{GatewayError, Wait};
use crate::levels::Level;

use super::place::Place;

/// However long a gateway wishes to be left alone, it is tried again after this.
pub const REST_MAX: Duration = Duration::from_secs(300);
/// A trial that nobody has ended is over after this.
const TRIAL_MAX: Duration = Duration::from_secs(120);
/// Questions in a row that it refuses before it rests: one alone is the question's fault.
const REFUSALS_MAX: u32 = 3;
/// How much of a new time to the first word counts.
const FIRST_WORD_SHARE: f32 = 0.25;

/// What a gateway is and can do, as the owner says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    pub place: Place,
    /// It asks its model through our proxy, whose provider is in the cloud.
    pub asks_cloud: bool,
    /// It can be offered tools.
    pub takes_tools: bool,
    /// Letters of a question, with all that was said before, that it can take; none: any number.
    pub chars_max: Option<usize>,
}

impl Traits {
    /// Able to do everything.
    pub fn at(place: Place) -> Traits {
        Traits {
            place,
            asks_cloud: false,
            takes_tools: true,
            chars_max: None,
        }
    }

    /// No question to it goes to the cloud.
    pub fn stays_home(&self) -> bool {
        self.place == Place::Local && !self.asks_cloud
    }

    fn can(&self, question: &Facts) -> bool {
        (self.takes_tools || !question.has_tools)
            && self.chars_max.is_none_or(|max| question.chars <= max)
    }
}

/// When the cloud is asked. With none of these, never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudRules {
    /// The one switch. False: no connection of any kind.
    pub is_allowed: bool,
    /// Those of the cloud stand where the chain has them. False: behind all local ones.
    pub in_chain: bool,
    /// After all local ones have failed, or while they rest.
    pub on_failure: bool,
    /// When no local one can do what the question needs.
    pub on_need: bool,
    /// Whose questions.
    pub levels: Vec<Level>,
    /// Also before the caller's turn is over.
    pub guesses: bool,
    /// The caller is told each time. Excludes guesses.
    pub is_announced: bool,
}

impl Default for CloudRules {
    fn default() -> CloudRules {
        CloudRules {
            is_allowed: true,
            in_chain: false,
            on_failure: true,
            on_need: true,
            levels: vec![Level::Owner, Level::Family],
            guesses: false,
            is_announced: false,
        }
    }
}

impl CloudRules {
    /// Whether there is any question that goes there.
    pub fn is_open(&self) -> bool {
        self.is_allowed && (self.in_chain || self.on_failure || self.on_need)
    }

    pub fn takes_guesses(&self) -> bool {
        self.is_open() && self.guesses && !self.is_announced
    }
}

/// Why a question went to the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloudWhy {
    /// The chain has no other.
    Alone,
    /// The owner has put it there.
    Chain,
    /// No local one can do it.
    Need,
    /// The local ones failed, or rest from failing.
    Failure,
    /// An agent gateway asks its model through our proxy, for no caller of ours.
    Proxy,
}

impl CloudWhy {
    pub fn as_str(self) -> &'static str {
        match self {
            CloudWhy::Alone => "no local gateway is configured",
            CloudWhy::Chain => "the chain says so",
            CloudWhy::Need => "no local gateway can do what it needs",
            CloudWhy::Failure => "the local gateways failed",
            CloudWhy::Proxy => "the agent gateway asks its model",
        }
    }
}

/// What a question is, as far as the choice depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Unknown counts as the least.
    pub level: Option<Level>,
    pub has_tools: bool,
    /// Of all that is sent.
    pub chars: usize,
    /// The caller's turn may not be over.
    pub is_guess: bool,
}

/// One try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its place in the chain.
    pub link: usize,
    /// It is in the cloud, or asks its model there, for this reason.
    pub why: Option<CloudWhy>,
}

/// Why nobody may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Nobody {
    /// All are in the cloud, which is switched off.
    #[error("it is in the cloud, which is switched off")]
    CloudOff,
    /// All are in the cloud, and no rule lets this question go there.
    #[error("it is in the cloud, and no rule lets this question go there")]
    CloudRule,
    /// The question may go to the cloud, but not this early.
    #[error("it is in the cloud, which is asked once the caller's turn is over")]
    Guess,
}

/// Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    pub first_ms: u32,
    /// Between two looks at a gateway that could not be reached.
    pub look_ms: u32,
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    Answered,
    Failed(&'a GatewayError),
    /// Nobody wanted the answer any more: that says nothing of the gateway.
    Unwanted,
}

/// What is known of one gateway.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Health {
    pub is_resting: bool,
    /// Rests in a row.
    pub rests: u32,
    /// Typical time to a first word; none: none has come yet.
    pub first_word_ms: Option<f32>,
}

/// The chain as it is known.
#[derive(Debug)]
pub struct Board {
    rest: Rest,
    rules: CloudRules,
    links: Vec<Link>,
}

#[derive(Debug)]
struct Link {
    traits: Traits,
    state: State,
    rests: u32,
    refusals: u32,
    first_word_ms: Option<f32>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Well,
    Resting {
        until: Instant,
        /// When it is looked at; none: looking tells nothing.
        look_at: Option<Instant>,
    },
    /// One question finds out.
    Trial {
        since: Instant,
    },
}

impl Link {
    fn is_resting(&self, now: Instant) -> bool {
        match self.state {
            State::Well => false,
            State::Resting { until, .. } => now < until,
            State::Trial { since } => now < since + TRIAL_MAX,
        }
    }
}

impl Board {
    pub fn new(traits: Vec<Traits>, rest: Rest, rules: CloudRules) -> Board {
        let link = |traits| Link {
            traits,
            state: State::Well,
            rests: 0,
            refusals: 0,
            first_word_ms: None,
        };
        Board {
            rest,
            rules,
            links: traits.into_iter().map(link).collect(),
        }
    }

    pub fn rules(&self) -> &CloudRules {
        &self.rules
    }

    /// Whom to ask, one after the other. A guess has one step: it is asked of whoever would be asked first, or nobody.
    pub fn order(&self, now: Instant, question: &Facts) -> Result<Vec<Step>, Nobody> {
        self.ranked(question, |link| link.is_resting(now))
    }

    /// Whether anybody would be asked a guess of this caller's, were all of them well.
    pub fn takes_guess(&self, level: Option<Level>) -> bool {
        let question = Facts {
            level,
            has_tools: false,
            chars: 0,
            is_guess: true,
        };
        self.ranked(&question, |_| false).is_ok()
    }

    fn ranked(
        &self,
        question: &Facts,
        is_resting: impl Fn(&Link) -> bool,
    ) -> Result<Vec<Step>, Nobody> {
        let is_local = |link: &&Link| link.traits.stays_home();
        let is_able = |link: &Link| link.traits.can(question);
        let local_is_able = self.links.iter().filter(is_local).any(is_able);
        let mut ranked = Vec::with_capacity(self.links.len());
        for (at, link) in self.links.iter().enumerate() {
            let why = match link.traits.stays_home() {
                true => None,
                false => match self.why(question, at, local_is_able) {
                    Some(why) => Some(why),
                    None => continue,
                },
            };
            let is_behind = why == Some(CloudWhy::Failure);
            // Without a rule about needs, a local one that is not quite able comes before the cloud.
            let is_unable = !is_able(link) || is_behind && !local_is_able;
            let rank = (is_resting(link), is_unable, is_behind, at);
            ranked.push((rank, Step { link: at, why }));
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        let mut steps: Vec<Step> = ranked.into_iter().map(|(_, step)| step).collect();
        let Some(first) = steps.first() else {
            return Err(match self.rules.is_open() {
                false => Nobody::CloudOff,
                true => Nobody::CloudRule,
            });
        };
        if question.is_guess {
            if first.why.is_some() && !self.rules.takes_guesses() {
                return Err(Nobody::Guess);
            }
            steps.truncate(1);
        }
        Ok(steps)
    }

    fn why(&self, question: &Facts, at: usize, local_is_able: bool) -> Option<CloudWhy> {
        let rules = &self.rules;
        let is_local = |link: &Link| link.traits.stays_home();
        let has_local = self.links.iter().any(is_local);
        // Only its model is in the cloud: its tools and its memory are not put behind a model that has none.
        let stays_first =
            self.links[at].traits.asks_cloud && !self.links[..at].iter().any(is_local);
        let level = question.level.unwrap_or(Level::Guest);
        if !rules.is_open() || !rules.levels.contains(&level) {
            None
        } else if !has_local {
            Some(CloudWhy::Alone)
        } else if rules.in_chain || stays_first {
            Some(CloudWhy::Chain)
        } else if rules.on_need && !local_is_able {
            Some(CloudWhy::Need)
        } else {
            rules.on_failure.then_some(CloudWhy::Failure)
        }
    }

    /// This one is asked now.
    pub fn begin(&mut self, now: Instant, link: usize) {
        let Some(link) = self.links.get_mut(link) else {
            return;
        };
        if !matches!(link.state, State::Well) && !link.is_resting(now) {
            link.state = State::Trial { since: now };
        }
    }

    /// Its first word came so long after the question.
    pub fn first_word(&mut self, link: usize, after: Duration) {
        let Some(link) = self.links.get_mut(link) else {
            return;
        };
        let new = after.as_secs_f32() * 1000.0;
        let known = link.first_word_ms.unwrap_or(new);
        link.first_word_ms = Some(known + (new - known) * FIRST_WORD_SHARE);
    }

    /// How the question to this one has ended.
    pub fn ended(&mut self, now: Instant, link: usize, outcome: Outcome<'_>) {
        let rest = self.rest;
        let Some(link) = self.links.get_mut(link) else {
            return;
        };
        match outcome {
            Outcome::Answered => {
                link.state = State::Well;
                link.rests = 0;
                link.refusals = 0;
            }
            // The next question is the trial.
            Outcome::Unwanted => {
                if let State::Trial { .. } = link.state {
                    link.state = State::Resting {
                        until: now,
                        look_at: None,
                    };
                }
            }
            Outcome::Failed(error) => {
                if is_of_the_question(error) {
                    link.refusals += 1;
                    if link.refusals < REFUSALS_MAX && matches!(link.state, State::Well) {
                        return;
                    }
                }
                // Asked for want of others while it rests: that is no second rest.
                if !link.is_resting(now) || matches!(link.state, State::Trial { .. }) {
                    link.rests = link.rests.saturating_add(1);
                }
                let looks = says_something(error).then(|| now + ms(rest.look_ms));
                let until = now + rest_for(rest, link.rests, error);
                let until = match link.state {
                    State::Resting { until: known, .. } => known.max(until),
                    _ => until,
                };
                link.state = State::Resting {
                    until,
                    look_at: looks,
                };
            }
        }
    }

    /// When the next one is to be looked at.
    pub fn next_look(&self) -> Option<Instant> {
        let looks = self.links.iter().filter_map(|link| match link.state {
            State::Resting { look_at, .. } => look_at,
            _ => None,
        });
        looks.min()
    }

    /// Those to look at now; `looked` is to follow for each.
    pub fn look(&mut self, now: Instant) -> Vec<usize> {
        let mut due = Vec::new();
        for (at, link) in self.links.iter_mut().enumerate() {
            if let State::Resting { look_at, .. } = &mut link.state
                && look_at.is_some_and(|at| at <= now)
            {
                *look_at = None;
                due.push(at);
            }
        }
        due
    }

    /// What a look has shown. One that is there again may be tried; one that is not rests until after the next look.
    pub fn looked(&mut self, now: Instant, link: usize, is_there: bool) {
        let look = ms(self.rest.look_ms);
        let Some(link) = self.links.get_mut(link) else {
            return;
        };
        if let State::Resting { until, look_at } = &mut link.state {
            if is_there {
                *until = now.min(*until);
                *look_at = None;
            } else {
                *look_at = Some(now + look);
                *until = (*until).max(now + look * 2);
            }
        }
    }

    pub fn health(&self, now: Instant) -> Vec<Health> {
        let health = |link: &Link| Health {
            is_resting: link.is_resting(now),
            rests: link.rests,
            first_word_ms: link.first_word_ms,
        };
        self.links.iter().map(health).collect()
    }
}

fn rest_for(rest: Rest, rests: u32, error: &GatewayError) -> Duration {
    let doubled = rests.saturating_sub(1).min(8);
    let longest = REST_MAX.max(ms(rest.first_ms));
    let own = (ms(rest.first_ms) * (1 << doubled)).min(longest);
    match error {
        GatewayError::RateLimited {
            retry_after: Some(wanted),
        } => (*wanted).clamp(own, longest),
        _ => own,
    }
}

/// It may have refused this question only.
fn is_of_the_question(error: &GatewayError) -> bool {
    matches!(
        error,
        GatewayError::Refused {
            status: 400 | 413 | 422,
            ..
        }
    )
}

/// Whether a look at the gateway would tell that this is over.
fn says_something(error: &GatewayError) -> bool {
    matches!(
        error,
        GatewayError::Unreachable { .. }
            | GatewayError::Timeout(Wait::Connect)
            | GatewayError::Server { status: 502..=504 }
    )
}

fn ms(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
