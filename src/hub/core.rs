//! PURE. Turns and deliveries: what was taken waits in its conversation, one turn at a time and in order; an answer and all
//! that goes out because of it are written down together; then it is delivered (`lanes`). `handle(now, input)`, then
//! `poll_output()` until `None`, then `next_timeout()`.
//!
//! What is kept is kept first: a message is promised when it is on disk, delivered when its answer is. After a crash
//! [`Core::new`] goes on from what the disk holds. Asking an agent twice after a crash in the middle of its answer is the
//! one thing that cannot be ruled out; nothing of the first answer was shown as kept.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::boundary::{Item, OutMatter, Parcel, UnixMs};
pub use super::lanes::Outcome;
use super::lanes::{Begun, End, Lanes, Step};
use crate::store::{
    InboxRow, MessageRow, NewMessage, OutboxRow, Role, TextChange, TextKept, TextsSaved,
};

/// A write that failed is tried again after this.
const KEEP_AGAIN_MS: u64 = 1_000;

/// Bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoreConfig {
    /// Messages of one conversation that wait for their turn; a further one is refused.
    pub waiting_max: usize,
    /// Turns at once, of all conversations; the next one waits.
    pub turns_max: usize,
    /// Messages on their way out; further letters are refused, answers are not.
    pub out_max: usize,
}

impl Default for CoreConfig {
    fn default() -> CoreConfig {
        CoreConfig {
            waiting_max: 20,
            turns_max: 256,
            out_max: 10_000,
        }
    }
}

/// An answer with all that goes out because of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// What is added to the conversation.
    pub message: Option<NewMessage>,
    pub out: Vec<Parcel>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A message of a person of ours. `message`: as it stands in the conversation, where it has words yet.
    Arrived {
        ticket: u64,
        item: Box<Item>,
        message: Option<NewMessage>,
    },
    /// A letter that goes out by itself.
    Letter {
        ticket: u64,
        parcel: Box<Parcel>,
        message: Option<NewMessage>,
    },
    /// A write is done; `None`: it failed. In whatever order these are told, they take effect in that of the writes.
    Kept {
        keep: u64,
        kept: Option<TextKept>,
    },
    /// A turn is over.
    Answered {
        turn: i64,
        answer: Box<Answer>,
    },
    Attached {
        channel: String,
    },
    Delivered {
        id: String,
        outcome: Outcome,
    },
    /// Letters to this person whose names begin so, and that have not gone out, are called off. One that is being sent just
    /// now may still arrive; if it does not, it is not tried again.
    TakeBack {
        person: String,
        prefix: String,
    },
    Timeout,
}

/// What became of a message or letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Kept(TextKept),
    Again,
    Full,
    /// The disk takes nothing.
    Busy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// To be written in the order of these. `Kept` follows.
    Keep {
        keep: u64,
        change: Box<TextChange>,
    },
    Reply {
        ticket: u64,
        taken: Taken,
    },
    /// `Answered` follows. `message`: its row in the conversation.
    Begin {
        turn: i64,
        item: Box<Item>,
        message: Option<i64>,
    },
    /// The turn is over and on disk; `message` is its answer's row, 0 where words are not kept.
    Done {
        turn: i64,
        message: i64,
    },
    /// `Delivered` follows.
    Deliver(Box<Parcel>),
    /// What was due later has gone out and is written down now; `message` is its row, 0 where words are not kept.
    Recorded {
        message: i64,
        new: Box<NewMessage>,
    },
    /// It was called off before it went out.
    CalledOff {
        parcel_id: String,
    },
    /// It will never arrive.
    Lost {
        parcel_id: String,
        why: String,
    },
}

#[derive(Debug)]
enum Pending {
    Arrival { ticket: u64, item: Box<Item> },
    Letter { ticket: u64, parcel: Box<Parcel> },
    Answer { turn: i64, answer: Box<Answer> },
    Trying { id: String },
    End { change: Box<TextChange>, id: String },
}

#[derive(Debug)]
struct Waiting {
    turn: i64,
    item: Box<Item>,
    message: Option<i64>,
}

#[derive(Debug, Default)]
struct Talk {
    waiting: VecDeque<Waiting>,
    /// Arrivals that are being written.
    arriving: usize,
    running: Option<i64>,
}

#[derive(Debug)]
pub struct Core {
    config: CoreConfig,
    /// Conversations with anything to do. In order, so that a run can be repeated.
    talks: BTreeMap<String, Talk>,
    /// Turns under way, and their conversations.
    running: HashMap<i64, String>,
    lanes: Lanes,
    keeps: HashMap<u64, Pending>,
    /// Letters among them that were called off meanwhile.
    off: BTreeSet<u64>,
    /// Writes that are done before an earlier one is known to be; no more than `keeps`.
    early: BTreeMap<u64, Option<TextKept>>,
    /// The next write whose end may take effect.
    next_kept: u64,
    /// Writes that failed and must not be lost.
    again: Vec<(UnixMs, Pending)>,
    next_keep: u64,
    outputs: VecDeque<Output>,
}

impl Core {
    /// `saved` as the last run has left it. Questions with buttons are not sent again: what they asked is over.
    pub fn new(config: CoreConfig, saved: TextsSaved, now: UnixMs) -> Core {
        let mut core = Core {
            config,
            talks: BTreeMap::new(),
            running: HashMap::new(),
            lanes: Lanes::default(),
            keeps: HashMap::new(),
            off: BTreeSet::new(),
            early: BTreeMap::new(),
            next_kept: 1,
            again: Vec::new(),
            next_keep: 1,
            outputs: VecDeque::new(),
        };
        for row in saved.inbox {
            let (turn, message) = (row.id, row.message);
            match serde_json::from_str(&row.item_json) {
                Ok(item) => core.wait(Waiting {
                    turn,
                    item,
                    message,
                }),
                // Of another program's writing: nobody can answer it any more.
                Err(_) => core.answer(turn, Box::default()),
            }
        }
        for row in saved.outbox {
            let id = row.id.clone();
            match from_row(row) {
                Some(parcel) if !matches!(parcel.matter, OutMatter::Ask { .. }) => {
                    core.lanes.add(parcel)
                }
                _ => core.call_off(id, "of an earlier run"),
            }
        }
        core.go_on(now);
        core
    }

    pub fn handle(&mut self, now: UnixMs, input: Input) {
        debug_assert!(self.outputs.is_empty(), "outputs must be drained");
        match input {
            Input::Arrived {
                ticket,
                item,
                message,
            } => self.arrived(ticket, item, message),
            Input::Letter {
                ticket,
                parcel,
                message,
            } => self.letter(ticket, parcel, message),
            Input::Kept { keep, kept } => self.told(now, keep, kept),
            Input::Answered { turn, answer } => self.answer(turn, answer),
            Input::Attached { channel } => self.lanes.attach(&channel),
            Input::Delivered { id, outcome } => self.delivered(now, &id, outcome),
            Input::TakeBack { person, prefix } => {
                let is_it =
                    |parcel: &Parcel| parcel.person == person && parcel.id.starts_with(&prefix);
                // What is still being written goes no further once it is.
                self.off
                    .extend(self.keeps.iter().filter_map(|(keep, pending)| {
                        let is_off =
                            matches!(pending, Pending::Letter { parcel, .. } if is_it(parcel));
                        is_off.then_some(*keep)
                    }));
                for id in self.lanes.take_back(is_it) {
                    self.called_off(id);
                }
            }
            Input::Timeout => {}
        }
        self.go_on(now);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `Input::Timeout` is due.
    pub fn next_timeout(&self) -> Option<UnixMs> {
        let again = self.again.iter().map(|(due, _)| *due);
        again.chain(self.lanes.next_timeout()).min()
    }

    /// Turns under way and waiting; messages on their way out.
    pub fn load(&self) -> (usize, usize, usize) {
        let waiting = self.talks.values().map(|talk| talk.waiting.len()).sum();
        (self.running.len(), waiting, self.lanes.count())
    }

    fn arrived(&mut self, ticket: u64, item: Box<Item>, message: Option<NewMessage>) {
        let talk = self.talks.entry(item.conversation.clone()).or_default();
        if talk.waiting.len() + talk.arriving >= self.config.waiting_max {
            let taken = Taken::Full;
            self.outputs.push_back(Output::Reply { ticket, taken });
            return;
        }
        talk.arriving += 1;
        let row = InboxRow {
            id: 0,
            channel: item.channel.clone(),
            theirs: item.theirs.clone(),
            at_unix_ms: item.taken_at,
            item_json: serde_json::to_string(&item).unwrap_or_default(),
            message: None,
        };
        self.keep(
            TextChange::Arrived { row, message },
            Pending::Arrival { ticket, item },
        );
    }

    fn letter(&mut self, ticket: u64, parcel: Box<Parcel>, message: Option<NewMessage>) {
        if self.lanes.count() >= self.config.out_max {
            let taken = Taken::Full;
            self.outputs.push_back(Output::Reply { ticket, taken });
            return;
        }
        let row = to_row(&parcel);
        self.keep(
            TextChange::Out { row, message },
            Pending::Letter { ticket, parcel },
        );
    }

    fn answer(&mut self, turn: i64, answer: Box<Answer>) {
        let change = TextChange::Answered {
            inbox: turn,
            answer: answer.message.clone(),
            out: answer.out.iter().map(to_row).collect(),
        };
        self.keep(change, Pending::Answer { turn, answer });
    }

    fn delivered(&mut self, now: UnixMs, id: &str, outcome: Outcome) {
        let parcel = self.lanes.parcel(id);
        let message = parcel.and_then(|parcel| written_late(now, parcel));
        match self.lanes.ended(now, id, outcome) {
            Some(End::Sent { id, theirs }) => {
                let change = TextChange::Sent {
                    id: id.clone(),
                    theirs,
                    message,
                };
                self.end(change, id);
            }
            Some(End::GiveUp { id, why }) => self.give_up(id, why),
            Some(End::CalledOff { id }) => self.called_off(id),
            Some(End::Again) | None => {}
        }
    }

    fn give_up(&mut self, id: String, why: String) {
        self.outputs.push_back(Output::Lost {
            parcel_id: id.clone(),
            why: why.clone(),
        });
        self.call_off(id, &why);
    }

    fn called_off(&mut self, id: String) {
        self.outputs.push_back(Output::CalledOff {
            parcel_id: id.clone(),
        });
        self.call_off(id, "called off");
    }

    fn call_off(&mut self, id: String, why: &str) {
        let change = TextChange::GaveUp {
            id: id.clone(),
            why: why.to_owned(),
        };
        self.end(change, id);
    }

    fn end(&mut self, change: TextChange, id: String) {
        let copy = Box::new(change.clone());
        self.keep(change, Pending::End { change: copy, id });
    }

    fn keep(&mut self, change: TextChange, pending: Pending) {
        let keep = self.next_keep;
        self.next_keep += 1;
        self.keeps.insert(keep, pending);
        let change = Box::new(change);
        self.outputs.push_back(Output::Keep { keep, change });
    }

    /// A later write may be known to be done before an earlier one: it waits for that.
    fn told(&mut self, now: UnixMs, keep: u64, kept: Option<TextKept>) {
        if self.keeps.contains_key(&keep) {
            self.early.insert(keep, kept);
        }
        while let Some(kept) = self.early.remove(&self.next_kept) {
            let keep = self.next_kept;
            self.next_kept += 1;
            self.kept(now, keep, kept);
        }
    }

    fn kept(&mut self, now: UnixMs, keep: u64, kept: Option<TextKept>) {
        let Some(pending) = self.keeps.remove(&keep) else {
            return;
        };
        match (pending, kept) {
            (Pending::Arrival { ticket, item }, kept) => {
                if let Some(talk) = self.talks.get_mut(&item.conversation) {
                    talk.arriving -= 1;
                }
                let taken = match kept {
                    None => Taken::Busy,
                    Some(kept) if !kept.is_new => Taken::Again,
                    Some(kept) => Taken::Kept(kept),
                };
                self.outputs.push_back(Output::Reply { ticket, taken });
                if let Taken::Kept(kept) = taken {
                    let message = (kept.message != 0).then_some(kept.message);
                    self.wait(Waiting {
                        turn: kept.inbox,
                        item,
                        message,
                    });
                }
            }
            (Pending::Letter { ticket, mut parcel }, kept) => {
                let is_off = self.off.remove(&keep);
                let taken = match kept {
                    None => Taken::Busy,
                    Some(kept) if !kept.is_new => Taken::Again,
                    Some(kept) => Taken::Kept(kept),
                };
                self.outputs.push_back(Output::Reply { ticket, taken });
                match taken {
                    Taken::Kept(_) if is_off => self.called_off(parcel.id),
                    Taken::Kept(kept) => {
                        parcel.message = (kept.message != 0).then_some(kept.message);
                        self.lanes.add(*parcel);
                    }
                    _ => {}
                }
            }
            (Pending::Answer { turn, answer }, Some(kept)) => {
                if let Some(conversation) = self.running.remove(&turn)
                    && let Some(talk) = self.talks.get_mut(&conversation)
                {
                    talk.running = None;
                }
                // Known already: it was answered, and what went out because of it is known as well.
                if kept.is_new {
                    for mut parcel in answer.out {
                        parcel.message = (kept.message != 0).then_some(kept.message);
                        self.lanes.add(parcel);
                    }
                }
                let message = kept.message;
                self.outputs.push_back(Output::Done { turn, message });
            }
            (Pending::Trying { id }, kept) => match self.lanes.begin(now, &id, kept.is_some()) {
                Some(Begun::Deliver(parcel)) => {
                    self.outputs.push_back(Output::Deliver(parcel));
                }
                Some(Begun::CalledOff(id)) => self.called_off(id),
                Some(Begun::PutOff) | None => {}
            },
            (Pending::End { change, id }, Some(kept)) => {
                self.lanes.over(&id);
                if let TextChange::Sent {
                    message: Some(new), ..
                } = *change
                    && kept.is_new
                {
                    self.outputs.push_back(Output::Recorded {
                        message: kept.message,
                        new: Box::new(new),
                    });
                }
            }
            // Nothing may follow before this is written.
            (pending @ (Pending::Answer { .. } | Pending::End { .. }), None) => {
                self.again
                    .push((now.saturating_add(KEEP_AGAIN_MS), pending));
            }
        }
    }

    fn wait(&mut self, waiting: Waiting) {
        let talk = self
            .talks
            .entry(waiting.item.conversation.clone())
            .or_default();
        talk.waiting.push_back(waiting);
    }

    /// Whatever can go on.
    fn go_on(&mut self, now: UnixMs) {
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.again)
            .into_iter()
            .partition(|(due, _)| *due <= now);
        self.again = later;
        for (_, pending) in due {
            match pending {
                Pending::Answer { turn, answer } => self.answer(turn, answer),
                Pending::End { change, id } => self.end(*change, id),
                _ => {}
            }
        }
        self.begin_turns();
        while let Some(step) = self.lanes.step(now) {
            match step {
                Step::Try(id) => self.keep(
                    TextChange::Trying { id: id.clone() },
                    Pending::Trying { id },
                ),
                Step::GiveUp { id, why } => self.give_up(id, why),
            }
        }
    }

    fn begin_turns(&mut self) {
        while self.running.len() < self.config.turns_max {
            // The one that has waited longest goes first.
            let free = self
                .talks
                .iter_mut()
                .filter(|(_, talk)| talk.running.is_none());
            let first = free
                .filter_map(|(_, talk)| Some((talk.waiting.front()?.turn, talk)))
                .min_by_key(|(turn, _)| *turn);
            let Some((turn, talk)) = first else { break };
            let Some(next) = talk.waiting.pop_front() else {
                break;
            };
            talk.running = Some(turn);
            self.running.insert(turn, next.item.conversation.clone());
            self.outputs.push_back(Output::Begin {
                turn,
                item: next.item,
                message: next.message,
            });
        }
        self.talks.retain(|_, talk| {
            talk.running.is_some() || talk.arriving > 0 || !talk.waiting.is_empty()
        });
    }
}

/// What is written into the conversation when this parcel has gone out.
fn written_late(now: UnixMs, parcel: &Parcel) -> Option<NewMessage> {
    let OutMatter::Later { text, conversation } = &parcel.matter else {
        return None;
    };
    Some(NewMessage {
        message: MessageRow {
            conversation: conversation.clone(),
            role: Role::Program,
            text: text.clone(),
            heard: None,
            at_unix_ms: now,
            call: None,
            channel: parcel.channel.clone(),
        },
        voice: None,
    })
}

pub fn to_row(parcel: &Parcel) -> OutboxRow {
    OutboxRow {
        id: parcel.id.clone(),
        channel: parcel.channel.clone(),
        place: parcel.place.clone(),
        person: parcel.person.clone(),
        at_unix_ms: parcel.at,
        due_unix_ms: parcel.due,
        until_unix_ms: parcel.until,
        attempts: parcel.attempts,
        body_json: serde_json::to_string(&parcel.matter).unwrap_or_default(),
        reply_to: parcel.reply_to.clone(),
        message: parcel.message,
    }
}

/// None: of another program's writing.
fn from_row(row: OutboxRow) -> Option<Parcel> {
    Some(Parcel {
        matter: serde_json::from_str(&row.body_json).ok()?,
        id: row.id,
        channel: row.channel,
        place: row.place,
        person: row.person,
        at: row.at_unix_ms,
        due: row.due_unix_ms,
        until: row.until_unix_ms,
        attempts: row.attempts,
        reply_to: row.reply_to,
        message: row.message,
    })
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
