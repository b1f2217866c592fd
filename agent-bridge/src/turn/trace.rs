//! A turn's events and actions with their times: what a real call leaves behind and a test replays.
//! PURE.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Action, Event, Turn, TurnConfig};

/// Steps of one call. What comes after is left out, and `is_cut` says so.
pub const STEPS_MAX: usize = 20_000;

/// One event and what followed from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Nanoseconds since the first event of the call.
    pub at_ns: u64,
    pub event: Event,
    pub actions: Vec<Action>,
}

/// Holds what was said in clear: keep it where the conversation is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    pub config: TurnConfig,
    pub steps: Vec<Step>,
    pub is_cut: bool,
}

/// Where a replay left the trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Index into `Trace::steps`.
    pub step: usize,
    pub recorded: Vec<Action>,
    pub replayed: Vec<Action>,
}

impl Trace {
    pub fn new(config: TurnConfig) -> Trace {
        Trace {
            config,
            steps: Vec::new(),
            is_cut: false,
        }
    }

    pub(super) fn event(&mut self, since_start: Duration, event: &Event) {
        if self.steps.len() >= STEPS_MAX {
            self.is_cut = true;
            return;
        }
        self.steps.push(Step {
            at_ns: u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX),
            event: event.clone(),
            actions: Vec::new(),
        });
    }

    pub(super) fn action(&mut self, action: &Action) {
        if !self.is_cut
            && let Some(step) = self.steps.last_mut()
        {
            step.actions.push(action.clone());
        }
    }

    /// Plays the events into a new machine with `config` and lists the steps whose actions differ.
    /// With the recorded config a trace that began with its call has none. Times that no `Instant`
    /// can hold end the replay.
    pub fn replay(&self, config: TurnConfig, base: Instant) -> Vec<Difference> {
        let mut turn = Turn::new(config);
        let mut differences = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            let Some(now) = base.checked_add(Duration::from_nanos(step.at_ns)) else {
                break;
            };
            turn.handle(now, step.event.clone());
            let mut replayed = Vec::new();
            while let Some(action) = turn.poll_action() {
                replayed.push(action);
            }
            if replayed != step.actions {
                differences.push(Difference {
                    step: index,
                    recorded: step.actions.clone(),
                    replayed,
                });
            }
        }
        differences
    }
}
