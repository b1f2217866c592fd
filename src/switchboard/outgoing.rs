//! Calls that the assistant makes: all phones of a user at once, or a number over a trunk; the first who answers talks with
//! it, and the others stop ringing. Whoever is in a call with it already is told there, also when they call while we ring
//! them. Owns the legs that ring and the news on its way into calls; not when anybody is called (`callbacks`).

mod ringing;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sip::offer_answer::LocalMedia;
use sip::{CallKey, Endpoint, Flow};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::{
    Answerer, Command, EngineState, Line, LineState, Switchboard, TransferError, TransferReply,
};
use crate::bridge::Party;
use crate::call::driver::{Control, MediaSockets};
use crate::callbacks::desk::Resolved;
use crate::callbacks::{CallbackId, Input, Outcome, Recipient, Wish};
use crate::routing::{Destination, Outside, canonical};

/// Name shown on the phone that rings.
pub(super) const SHOWN_AS: &str = "Assistant";
/// News on its way into one call; more is put off.
const NEWS_MAX: usize = 8;
/// The answers of phones that are too busy, and of people who do not want to. RFC 3261 section 21.
const BUSY: [u16; 2] = [486, 600];
const DECLINED: u16 = 603;

/// What the desk of call-backs asks of signalling.
#[derive(Debug)]
pub enum Order {
    Ring {
        id: CallbackId,
        wish: Box<Wish>,
        ring: Duration,
        /// Silence after the first words before they are asked for.
        listen: Duration,
        /// Into a call that stands, or not at all.
        join_only: bool,
    },
    HangUp {
        id: CallbackId,
    },
    /// Who is meant; the reply says why nobody is.
    Resolve {
        to: String,
        reply: oneshot::Sender<Result<Resolved, String>>,
    },
    /// Says something in a call that is up, by the name of its record.
    Say {
        call: String,
        text: String,
        reply: oneshot::Sender<bool>,
    },
    /// Ends a call that is up, by the name of its record.
    End {
        call: String,
        reply: oneshot::Sender<bool>,
    },
    /// Puts the caller of a call that is up through to a number that they could dial: by the name of its record.
    PutThrough {
        call: String,
        to: String,
        reply: TransferReply,
    },
}

/// How a call of ours ended, as far as its first words are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nobody had said a word until we gave up.
    Silent,
    Machine,
    Other,
}

/// What is known at the start of a call that we made.
pub(super) struct Calling {
    pub(super) listen: Duration,
    /// For whoever thinks in this call.
    pub(super) brief: String,
}

/// Rings and news. Nothing here is more than the plan has open.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Where the plan hears of it.
    desk: Option<mpsc::Sender<Input>>,
    rings: HashMap<CallbackId, Ringing>,
    legs: HashMap<CallKey, CallbackId>,
    news: Vec<News>,
    news_total: u32,
}

struct Ringing {
    wish: Wish,
    /// The number of ours that calls.
    number: String,
    listen: Duration,
    outside: Option<Outside>,
    legs: HashMap<CallKey, Leg>,
    /// The best of the refusals so far.
    outcome: Outcome,
    /// They have called us meanwhile; it is told there once that call is up.
    joining: Option<CallKey>,
}

struct Leg {
    local: LocalMedia,
    said: String,
    sockets: MediaSockets,
    flow: Flow,
    party: Party,
}

/// Something that is to be told in a call that is up.
struct News {
    number: u32,
    call: CallKey,
    /// None: nobody waits to know.
    id: Option<CallbackId>,
    /// The call was made for it.
    is_opening: bool,
    is_told: bool,
    /// The number outside that is paid for, and since when.
    outside: Option<(String, Instant)>,
}

impl Outgoing {
    fn tell_desk(&self, input: Input) {
        let Some(desk) = &self.desk else { return };
        if let Err(mpsc::error::TrySendError::Full(input)) = desk.try_send(input) {
            // The desk waits for the disk only; what it must know is not lost for that.
            warn!("the desk of call-backs is slow");
            let desk = desk.clone();
            tokio::spawn(async move { desk.send(input).await });
        }
    }

    fn ended(&self, id: CallbackId, outcome: Outcome) {
        self.tell_desk(Input::Ended { id, outcome });
    }
}

impl Switchboard {
    /// From now on calls of ours are told of there.
    pub fn set_desk(&mut self, desk: mpsc::Sender<Input>) {
        self.outgoing.desk = Some(desk);
    }

    /// Carries out what the desk wants.
    pub fn order(&mut self, order: Order, endpoint: &mut Endpoint) -> Vec<Command> {
        match order {
            Order::Ring {
                id,
                wish,
                ring,
                listen,
                join_only,
            } => {
                if let Some(call) = self.call_with(&wish.to) {
                    self.tell_in(call, id, &wish.say);
                } else if join_only || !self.can_call() {
                    self.outgoing.ended(id, Outcome::NotReady);
                } else {
                    self.ring(id, *wish, ring, listen, endpoint);
                }
                Vec::new()
            }
            Order::HangUp { id } => self.call_off(&id),
            Order::Resolve { to, reply } => {
                let _ = reply.send(self.resolve(&to));
                Vec::new()
            }
            Order::Say { call, text, reply } => {
                let found = self.call_named(&call);
                let is_said = found.is_some_and(|call| self.tell(call, None, &text, false));
                let _ = reply.send(is_said);
                Vec::new()
            }
            Order::End { call, reply } => {
                let found = self.call_named(&call);
                let _ = reply.send(found.is_some());
                let ended = found.map(|call| Command::Hangup { call, reason: None });
                ended.into_iter().collect()
            }
            Order::PutThrough { call, to, reply } => match self.call_named(&call) {
                Some(call) => self.transfer(call, &to, reply, endpoint),
                None => {
                    // Whoever asked may have gone.
                    let _ = reply.send(Err(TransferError::NoCall));
                    Vec::new()
                }
            },
        }
    }

    /// An account by name or extension, or a number outside, which the owner pays for. Nobody named: the owner.
    fn resolve(&self, to: &str) -> Result<Resolved, String> {
        let plan = self.bridging.plan();
        let owner = match (self.config.owner.as_str(), plan.accounts()) {
            ("", [only]) => Some(only.as_str()),
            ("", _) => None,
            (owner, _) => Some(owner),
        };
        let to = match (to, owner) {
            ("", Some(owner)) => owner,
            ("", None) => {
                return Err(
                    "say `to`: there are several accounts, and [callbacks] names no `owner`"
                        .to_owned(),
                );
            }
            (to, _) => to,
        };
        match plan.find(to, owner) {
            Ok(Destination::User(user)) => Ok(Resolved {
                to: Recipient::User(user.clone()),
                user,
            }),
            Ok(Destination::Trunk(_)) => Ok(Resolved {
                to: Recipient::Number(canonical(to)),
                // Without an owner nothing outside is found.
                user: owner.unwrap_or_default().to_owned(),
            }),
            Ok(Destination::Service(_) | Destination::Group(_)) => {
                Err("`to` is a service or a group: name one person's account or number".to_owned())
            }
            Err(why) => Err(format!("`to`: {why}")),
        }
    }

    fn can_call(&self) -> bool {
        let is_ready = matches!(&*self.engines.borrow(), EngineState::Ready(_));
        is_ready && !self.draining && self.calls.len() < self.config.calls_max
    }

    /// The call with the assistant that a user is in.
    fn call_with(&self, to: &Recipient) -> Option<CallKey> {
        let Recipient::User(user) = to else {
            return None;
        };
        let theirs = self.calls.iter().find(|(_, line)| {
            line.service == Answerer::Agent
                && line.user == *user
                && matches!(line.state, LineState::Up { .. })
        });
        theirs.map(|(call, _)| *call)
    }

    fn call_named(&self, record: &str) -> Option<CallKey> {
        let named = self
            .calls
            .iter()
            .find(|(_, line)| line.record.as_deref() == Some(record));
        named.map(|(call, _)| *call)
    }

    /// Tells something in a call that is up, for a request that waits to know.
    fn tell_in(&mut self, call: CallKey, id: CallbackId, text: &str) {
        let record = self.calls.get(&call).and_then(|line| line.record.clone());
        let record = record.unwrap_or_default();
        if self.tell(call, Some(id.clone()), text, false) {
            self.outgoing.tell_desk(Input::Began { id, call: record });
        } else {
            self.outgoing.ended(id, Outcome::NotReady);
        }
    }

    fn tell(&mut self, call: CallKey, id: Option<CallbackId>, text: &str, opening: bool) -> bool {
        let of_call = self.outgoing.news.iter().filter(|news| news.call == call);
        let Some(Line {
            state: LineState::Up { control, .. },
            ..
        }) = self.calls.get(&call)
        else {
            return false;
        };
        if of_call.count() >= NEWS_MAX {
            return false;
        }
        self.outgoing.news_total = self.outgoing.news_total.wrapping_add(1);
        let number = self.outgoing.news_total;
        let told = control.try_send(Control::Tell {
            news: number,
            text: text.to_owned(),
            is_opening: opening,
        });
        if told.is_ok() {
            self.outgoing.news.push(News {
                number,
                call,
                id,
                is_opening: opening,
                is_told: false,
                outside: None,
            });
        }
        told.is_ok()
    }

    // Calls of others.

    /// A user calls the assistant while we ring them: their phones stop, and it is told in their call.
    pub(super) fn meet(&mut self, call: CallKey, user: &str) -> Vec<Command> {
        let met: Vec<CallbackId> = self
            .outgoing
            .rings
            .iter()
            .filter(|(_, ringing)| {
                ringing.joining.is_none()
                    && matches!(&ringing.wish.to, Recipient::User(name) if name == user)
            })
            .map(|(id, _)| id.clone())
            .collect();
        let mut commands = Vec::new();
        for id in met {
            if let Some(ringing) = self.outgoing.rings.get_mut(&id) {
                ringing.joining = Some(call);
            }
            commands.extend(self.stop_ringing(&id, "They call us"));
        }
        commands
    }

    /// A call with the assistant is up: what waits for its caller is told there.
    pub(super) fn up(&mut self, call: CallKey) {
        let met: Vec<CallbackId> = self
            .outgoing
            .rings
            .iter()
            .filter(|(_, ringing)| ringing.joining == Some(call))
            .map(|(id, _)| id.clone())
            .collect();
        for id in met {
            if let Some(ringing) = self.outgoing.rings.remove(&id) {
                self.tell_in(call, id, &ringing.wish.say);
            }
        }
        if let Some(line) = self
            .calls
            .get(&call)
            .filter(|line| line.service == Answerer::Agent)
        {
            let user = line.user.clone();
            self.outgoing.tell_desk(Input::CallsIn { user });
        }
    }

    pub(super) fn phone_registered(&self, user: &str) {
        let user = user.to_owned();
        self.outgoing.tell_desk(Input::Registered { user });
    }

    /// What was heard of something that was told.
    pub fn was_told(&mut self, call: CallKey, number: u32, complete: bool) {
        let of_call = |news: &News| news.call == call && news.number == number;
        let Some(at) = self.outgoing.news.iter().position(of_call) else {
            return;
        };
        let news = &mut self.outgoing.news[at];
        if news.is_opening {
            news.is_told = complete;
            if let Some(id) = news.id.clone() {
                self.outgoing.tell_desk(Input::Told { id, complete });
            }
            return;
        }
        let news = self.outgoing.news.remove(at);
        if let Some(id) = news.id {
            let outcome = match complete {
                true => Outcome::Heard,
                false => Outcome::Cut,
            };
            self.outgoing.ended(id, outcome);
        }
    }

    /// A call is over, and whatever was to be told in it.
    pub fn over(&mut self, call: CallKey, ending: Ending) {
        let (over, rest): (Vec<News>, Vec<News>) = std::mem::take(&mut self.outgoing.news)
            .into_iter()
            .partition(|news| news.call == call);
        self.outgoing.news = rest;
        for news in over {
            if let Some((payer, since)) = &news.outside {
                self.meter(payer, 0, since.elapsed());
            }
            let Some(id) = news.id else { continue };
            let outcome = match (news.is_opening, news.is_told, ending) {
                // It was waiting for a pause that never came.
                (false, ..) => Outcome::NotReady,
                (true, true, Ending::Silent) => Outcome::Silent,
                (true, true, _) => Outcome::Heard,
                (true, false, Ending::Machine) => Outcome::Machine,
                (true, false, _) => Outcome::Cut,
            };
            self.outgoing.ended(id, outcome);
        }
        // They hung up before their own call was up.
        let missed: Vec<CallbackId> = self
            .outgoing
            .rings
            .iter()
            .filter(|(_, ringing)| ringing.joining == Some(call))
            .map(|(id, _)| id.clone())
            .collect();
        for id in missed {
            self.outgoing.rings.remove(&id);
            self.outgoing.ended(id, Outcome::NotReady);
        }
    }

    /// The program stops: nothing rings any more.
    pub(super) fn stop_all_ringing(&mut self) -> Vec<Command> {
        let ids: Vec<CallbackId> = self.outgoing.rings.keys().cloned().collect();
        let mut commands = Vec::new();
        for id in ids {
            commands.extend(self.stop_ringing(&id, "The program stops"));
            self.outgoing.rings.remove(&id);
            self.outgoing.ended(id, Outcome::NotReady);
        }
        commands
    }
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
