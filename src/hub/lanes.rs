//! PURE. Deliveries: one lane per place, in order, one at a time. What cannot be delivered now holds up its lane and nothing
//! else, and is tried again after 1 s, 2 s, 4 s and so on, at most every five minutes, until its time is up. Each step is
//! on disk before the next is taken: an attempt before it is made, its end before the next message goes.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::boundary::{Parcel, UnixMs};

const RETRY_MS: u64 = 1_000;
const RETRY_MS_MAX: u64 = 5 * 60 * 1_000;

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With the other side's id of it.
    Sent(Option<String>),
    Passing {
        why: String,
        retry_ms: Option<u64>,
    },
    Final {
        why: String,
    },
}

/// What is to be done about one parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write down that an attempt begins; then [`Lanes::begin`].
    Try(String),
    /// Its time is up: write that down; then [`Lanes::over`].
    GiveUp { id: String, why: String },
}

/// What follows from the end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Write it down; then [`Lanes::over`].
    Sent {
        id: String,
        theirs: Option<String>,
    },
    GiveUp {
        id: String,
        why: String,
    },
    /// It was called off meanwhile, and has not gone out: write it down; then [`Lanes::over`].
    CalledOff {
        id: String,
    },
    /// Nothing to write: it is tried again.
    Again,
}

/// What follows once an attempt is written down, or cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    Deliver(Box<Parcel>),
    /// It was called off meanwhile: write it down; then [`Lanes::over`].
    CalledOff(String),
    /// It could not be written, and is put off.
    PutOff,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Idle,
    /// A step of this parcel is being written or made.
    Busy {
        id: String,
        /// Nobody wants it any more: this attempt is its last.
        is_called_off: bool,
    },
}

impl State {
    fn busy(id: &str) -> State {
        State::Busy {
            id: id.to_owned(),
            is_called_off: false,
        }
    }

    fn is_called_off(&self) -> bool {
        matches!(self, State::Busy { is_called_off, .. } if *is_called_off)
    }
}

#[derive(Debug)]
struct Lane {
    parcels: VecDeque<Parcel>,
    state: State,
    /// After an attempt that failed.
    not_before: UnixMs,
}

type Place = (String, String);

#[derive(Debug, Default)]
pub struct Lanes {
    /// Empty ones are forgotten. In order, so that a run can be repeated.
    lanes: BTreeMap<Place, Lane>,
    attached: HashSet<String>,
    count: usize,
}

impl Lanes {
    /// Parcels that wait or are under way.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn attach(&mut self, channel: &str) {
        self.attached.insert(channel.to_owned());
    }

    pub fn add(&mut self, parcel: Parcel) {
        let place = (parcel.channel.clone(), parcel.place.clone());
        let lane = self.lanes.entry(place).or_insert_with(|| Lane {
            parcels: VecDeque::new(),
            state: State::Idle,
            not_before: 0,
        });
        lane.parcels.push_back(parcel);
        self.count += 1;
    }

    /// The next step of any lane, until there is none.
    pub fn step(&mut self, now: UnixMs) -> Option<Step> {
        for ((channel, _), lane) in &mut self.lanes {
            if lane.state != State::Idle {
                continue;
            }
            if let Some(late) = lane.parcels.iter().find(|parcel| parcel.until < now) {
                let id = late.id.clone();
                lane.state = State::busy(&id);
                let why = "its time was up before it could be delivered".to_owned();
                return Some(Step::GiveUp { id, why });
            }
            if lane.not_before > now || !self.attached.contains(channel) {
                continue;
            }
            if let Some(parcel) = lane.parcels.iter().find(|parcel| parcel.due <= now) {
                let id = parcel.id.clone();
                lane.state = State::busy(&id);
                return Some(Step::Try(id));
            }
        }
        None
    }

    /// The attempt is written down, or could not be.
    pub fn begin(&mut self, now: UnixMs, id: &str, is_kept: bool) -> Option<Begun> {
        let (lane, at) = self.find(id)?;
        if lane.state.is_called_off() {
            return Some(Begun::CalledOff(id.to_owned()));
        }
        if !is_kept {
            lane.state = State::Idle;
            lane.not_before = now.saturating_add(RETRY_MS);
            return Some(Begun::PutOff);
        }
        let parcel = &mut lane.parcels[at];
        parcel.attempts = parcel.attempts.saturating_add(1);
        Some(Begun::Deliver(Box::new(parcel.clone())))
    }

    pub fn ended(&mut self, now: UnixMs, id: &str, outcome: Outcome) -> Option<End> {
        let (lane, at) = self.find(id)?;
        let parcel = &lane.parcels[at];
        let id = id.to_owned();
        Some(match outcome {
            Outcome::Sent(theirs) => End::Sent { id, theirs },
            Outcome::Final { why } => End::GiveUp { id, why },
            Outcome::Passing { .. } if lane.state.is_called_off() => End::CalledOff { id },
            Outcome::Passing { retry_ms, .. } => {
                let pause =
                    pause(parcel.attempts).max(retry_ms.unwrap_or(0).min(RETRY_MS_MAX * 12));
                lane.not_before = now.saturating_add(pause);
                lane.state = State::Idle;
                End::Again
            }
        })
    }

    /// Its end is written down.
    pub fn over(&mut self, id: &str) {
        let Some((lane, at)) = self.find(id) else {
            return;
        };
        lane.parcels.remove(at);
        lane.state = State::Idle;
        lane.not_before = 0;
        self.count -= 1;
        self.lanes.retain(|_, lane| !lane.parcels.is_empty());
    }

    /// Takes out what fits and is not being sent just now, whatever else is. Their ids. What is being sent ends with that.
    pub fn take_back(&mut self, fits: impl Fn(&Parcel) -> bool) -> Vec<String> {
        let mut taken = Vec::new();
        for lane in self.lanes.values_mut() {
            let state = &mut lane.state;
            lane.parcels.retain(|parcel| {
                if !fits(parcel) {
                    return true;
                }
                match state {
                    State::Busy { id, is_called_off } if *id == parcel.id => {
                        *is_called_off = true;
                        true
                    }
                    _ => {
                        taken.push(parcel.id.clone());
                        false
                    }
                }
            });
        }
        self.count -= taken.len();
        self.lanes.retain(|_, lane| !lane.parcels.is_empty());
        taken
    }

    pub fn next_timeout(&self) -> Option<UnixMs> {
        let idle = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.state == State::Idle);
        idle.filter_map(|((channel, _), lane)| {
            let until = lane
                .parcels
                .iter()
                .map(|parcel| parcel.until.saturating_add(1))
                .min();
            let due = lane.parcels.iter().map(|parcel| parcel.due).min();
            let due = due.filter(|_| self.attached.contains(channel));
            let due = due.map(|due| due.max(lane.not_before));
            due.into_iter().chain(until).min()
        })
        .min()
    }

    pub fn parcel(&self, id: &str) -> Option<&Parcel> {
        let mut all = self.lanes.values().flat_map(|lane| &lane.parcels);
        all.find(|parcel| parcel.id == id)
    }

    fn find(&mut self, id: &str) -> Option<(&mut Lane, usize)> {
        self.lanes.values_mut().find_map(|lane| {
            let at = lane.parcels.iter().position(|parcel| parcel.id == id)?;
            Some((lane, at))
        })
    }
}

fn pause(attempts: u32) -> u64 {
    let times = 1u64 << attempts.saturating_sub(1).min(16);
    (RETRY_MS * times).min(RETRY_MS_MAX)
}
