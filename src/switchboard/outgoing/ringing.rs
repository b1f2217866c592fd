//! Phones that ring: a leg for each, the first answer that wins, and what the refusals of all come to. Owns the legs; what is
//! told in the call that follows is next door.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sip::offer_answer::{self, LocalMedia};
use sip::{CallKey, Caller, EndCause, Endpoint, Event, Flow};
use tracing::{error, info, warn};

use super::super::bridging::{CALLS, SECONDS};
use super::super::endings::cause;
use super::super::session::keep;
use super::super::{
    Advertised, Answerer, Command, EngineState, Line, LineState, Switchboard, today,
};
use super::{BUSY, Calling, DECLINED, Leg, Ringing, SHOWN_AS};
use crate::bridge::joint::{call_of, params};
use crate::bridge::{Party, Shown, Target};
use crate::call::driver::Control;
use crate::callbacks::{CallbackId, Input, Outcome, Recipient, Wish};
use crate::records::unix_ms;
use crate::routing::{Destination, Outside};
use crate::store::Lasting;

impl Switchboard {
    pub(super) fn ring(
        &mut self,
        id: CallbackId,
        wish: Wish,
        ring: Duration,
        listen: Duration,
        endpoint: &mut Endpoint,
    ) {
        let (targets, outside) = match self.targets(&wish, endpoint) {
            Ok(found) => found,
            Err(outcome) => return self.outgoing.ended(id, outcome),
        };
        let numbers = self.bridging.plan().numbers();
        let own = numbers.first(Answerer::Agent);
        let number = match wish.number.is_empty() {
            true => own.map(|own| own.number.clone()).unwrap_or_default(),
            false => wish.number.clone(),
        };
        let ring_s = u32::try_from(ring.as_secs()).unwrap_or(u32::MAX);
        let mut ringing = Ringing {
            wish,
            number,
            listen,
            outside,
            legs: HashMap::new(),
            outcome: Outcome::NoAnswer,
            joining: None,
        };
        for target in targets {
            self.ring_one(&id, &mut ringing, target, ring_s, endpoint);
        }
        if ringing.legs.is_empty() {
            let why = "no free ports for sound".to_owned();
            return self.outgoing.ended(id, Outcome::Failed(why));
        }
        if let (Some(_), Recipient::Number(_)) = (&ringing.outside, &ringing.wish.to) {
            self.meter(&ringing.wish.user, 1, Duration::ZERO);
        }
        info!(callback = %id.0, user = %ringing.wish.user, phones = ringing.legs.len(), "calling");
        self.outgoing.rings.insert(id, ringing);
    }

    fn targets(
        &mut self,
        wish: &Wish,
        endpoint: &Endpoint,
    ) -> Result<(Vec<Target>, Option<Outside>), Outcome> {
        let number = match &wish.to {
            Recipient::User(user) => {
                let phones = self.bridging.with(endpoint, |_, _, view| view.phones(user));
                return match phones.is_empty() {
                    true => Err(Outcome::NoPhone),
                    false => Ok((phones, None)),
                };
            }
            Recipient::Number(number) => number,
        };
        // Whether it is on the list of numbers that may be called back was asked when the request was taken, and is asked
        // again by the desk before each call; the rules of what is dialled outside hold besides.
        let found = self.bridging.plan().find(number, Some(&wish.user));
        let outside = match found {
            Ok(Destination::Trunk(outside)) => outside,
            Ok(_) => return Err(Outcome::Refused("this number is not outside".to_owned())),
            Err(why) => return Err(Outcome::Refused(why.to_string())),
        };
        let limits = self.bridging.plan().outbound().clone();
        let payer = &wish.user;
        let way = self.bridging.with(endpoint, |joint, _, view| {
            let allows =
                !outside.is_metered || joint.bridges().meter().allows(&limits, payer, view.day());
            allows.then(|| view.outside(&outside, payer))
        });
        match way {
            None => Err(Outcome::Refused(
                "the day's calls or minutes outside are used up".to_owned(),
            )),
            Some(None) => Err(Outcome::Failed("the trunk is not reached".to_owned())),
            Some(Some(target)) => Ok((vec![target], outside.is_metered.then_some(outside))),
        }
    }

    fn ring_one(
        &mut self,
        id: &CallbackId,
        ringing: &mut Ringing,
        target: Target,
        ring_s: u32,
        endpoint: &mut Endpoint,
    ) {
        let address = target.anchor.bind;
        let (sockets, port) = match self.config.ports.open(address) {
            Ok(opened) => opened,
            Err(error) => return warn!(%error, "a phone is not called"),
        };
        let local = LocalMedia {
            session_id: unix_ms() & 0x7fff_ffff_ffff,
            codecs: self.config.codecs.clone(),
            security: self
                .config
                .security
                .local(target.anchor.is_private, target.anchor.is_web),
            ..LocalMedia::new(Advertised::of(&self.config.advertise, address), port)
        };
        let said = offer_answer::offer(&local);
        let flow = Flow {
            transport: target.flow.transport,
            local: target.flow.local,
            remote: target.flow.remote,
            conn: None,
        };
        let shown = Shown {
            name: SHOWN_AS.to_owned(),
            number: ringing.number.clone(),
        };
        let theirs = target.party.clone();
        let party = match &target.party {
            Party::User(user) => Some(Caller::User(user.clone())),
            Party::Trunk(_) => None,
        };
        let mut wanted = params(target, &shown, "", Some(said.clone()), ring_s);
        wanted.party = wanted.party.or(party);
        let call = endpoint.call(Instant::now(), wanted);
        self.outgoing.legs.insert(call, id.clone());
        ringing.legs.insert(
            call,
            Leg {
                local,
                said,
                sockets,
                flow,
                party: theirs,
            },
        );
    }

    /// Whether an event is of a phone that we ring.
    pub(in crate::switchboard) fn is_of_ours(&self, event: &Event) -> bool {
        call_of(event).is_some_and(|call| self.outgoing.legs.contains_key(&call))
    }

    pub(in crate::switchboard) fn outgoing_event(&mut self, event: Event) -> Vec<Command> {
        match event {
            Event::CallAnswered { call, answer, .. } => self.taken(call, answer.as_deref()),
            Event::CallEnded { call, cause } => {
                self.refused(call, &cause);
                Vec::new()
            }
            Event::Transfer { call, .. } => vec![Command::AnswerTransfer {
                call,
                answer: Err(403),
            }],
            // Ringing, early sound, and whatever else comes before an answer.
            _ => Vec::new(),
        }
    }

    /// Somebody picked up.
    fn taken(&mut self, call: CallKey, answer: Option<&str>) -> Vec<Command> {
        let Some(id) = self.outgoing.legs.remove(&call) else {
            return Vec::new();
        };
        let hang_up = |status: u16, why: &str| {
            let reason = Some(cause(status, why));
            vec![Command::Hangup { call, reason }]
        };
        let Some(ringing) = self.outgoing.rings.get_mut(&id) else {
            return hang_up(487, "Called off");
        };
        let Some(leg) = ringing.legs.remove(&call) else {
            return hang_up(487, "Called off");
        };
        let engines = match &*self.engines.borrow() {
            EngineState::Ready(engines) => Some(engines.clone()),
            EngineState::Warming | EngineState::Failed(_) => None,
        };
        let Some(engines) = engines else {
            ringing.outcome = Outcome::Failed("ears or voice have failed".to_owned());
            let commands = hang_up(503, "Not ready");
            self.settle(&id);
            return commands;
        };
        let negotiated = answer
            .map(|answer| offer_answer::accept_answer(&leg.said, answer, &leg.local))
            .ok_or_else(|| "there is none".to_owned())
            .and_then(|negotiated| negotiated.map_err(|error| error.to_string()));
        let negotiated = match negotiated {
            Ok(negotiated) => negotiated,
            Err(why) => {
                warn!("the answer of a phone that was called is not usable: {why}");
                ringing.outcome = Outcome::Failed("no common media".to_owned());
                let commands = hang_up(488, "unusable answer");
                self.settle(&id);
                return commands;
            }
        };
        let mut leg = leg;
        keep(&mut leg.local.security, &negotiated.security);
        let Some(ringing) = self.outgoing.rings.remove(&id) else {
            return Vec::new();
        };
        let elsewhere = cause(200, "Call completed elsewhere");
        let mut commands = Vec::new();
        for other in ringing.legs.keys() {
            self.outgoing.legs.remove(other);
            let reason = Some(elsewhere.clone());
            commands.push(Command::Hangup {
                call: *other,
                reason,
            });
        }
        let wish = ringing.wish;
        // Whoever answers a number outside is no account, whoever pays for it.
        let user = match &wish.to {
            Recipient::User(user) | Recipient::Number(user) => user.clone(),
        };
        self.calls_total += 1;
        let line = Line {
            user: user.clone(),
            target: ringing.number.clone(),
            shown: self.bridging.shown_of(&leg.party),
            party: leg.party,
            flow: leg.flow,
            service: Answerer::Agent,
            since: Instant::now(),
            record: None,
            state: LineState::Over,
        };
        self.calls.insert(call, line);
        let calling = Calling {
            listen: ringing.listen,
            brief: brief(&wish),
        };
        let control = self.start(
            call,
            &user,
            &ringing.number,
            (Answerer::Agent, None),
            leg.flow,
            None,
            leg.sockets,
            Some(negotiated),
            engines,
            Some(calling),
        );
        let is_up = control.try_send(Control::Confirmed).is_ok();
        let mut record = String::new();
        if let Some(line) = self.calls.get_mut(&call) {
            record = line.record.clone().unwrap_or_default();
            line.state = LineState::Up {
                control,
                local: leg.local,
                said: leg.said,
                heard: answer.map(str::to_owned),
                is_unanswered: false,
            };
        }
        if is_up && self.tell(call, Some(id.clone()), &wish.say, true) {
            if let (Some(_), Some(news)) = (&ringing.outside, self.outgoing.news.last_mut()) {
                news.outside = Some((wish.user.clone(), Instant::now()));
            }
            info!(callback = %id.0, %user, "call taken");
            self.outgoing.tell_desk(Input::Began { id, call: record });
        } else {
            error!("a call of ours was taken, and its task is gone");
            let why = "internal error".to_owned();
            self.outgoing.ended(id, Outcome::Failed(why));
            commands.push(Command::Hangup { call, reason: None });
        }
        commands
    }

    /// A phone does not ring any more.
    fn refused(&mut self, call: CallKey, end: &EndCause) {
        let Some(id) = self.outgoing.legs.remove(&call) else {
            return;
        };
        let Some(ringing) = self.outgoing.rings.get_mut(&id) else {
            return;
        };
        ringing.legs.remove(&call);
        let outcome = match end {
            EndCause::Rejected { status } if BUSY.contains(status) => Outcome::Busy,
            EndCause::Rejected { status: DECLINED } => Outcome::Declined,
            EndCause::Rejected {
                status: 408 | 480 | 487,
            } => Outcome::NoAnswer,
            EndCause::Rejected { status } => {
                Outcome::Failed(format!("the phone refused the call ({status})"))
            }
            EndCause::RangOut | EndCause::Cancelled { .. } => Outcome::NoAnswer,
            EndCause::Failed { status, why } => Outcome::Failed(format!("{why} ({status})")),
            _ => Outcome::Failed("the phone is not reached".to_owned()),
        };
        // A no is worth more than a phone that was silent, and that more than one that is not there.
        let rank = |outcome: &Outcome| match outcome {
            Outcome::Declined => 3,
            Outcome::Busy => 2,
            Outcome::NoAnswer => 1,
            _ => 0,
        };
        let is_first = matches!(ringing.outcome, Outcome::NoAnswer);
        if rank(&outcome) > rank(&ringing.outcome) || (is_first && ringing.legs.is_empty()) {
            ringing.outcome = outcome;
        }
        self.settle(&id);
    }

    /// Tells what came of it once nothing rings any more.
    fn settle(&mut self, id: &CallbackId) {
        let is_over = self
            .outgoing
            .rings
            .get(id)
            .is_some_and(|ringing| ringing.legs.is_empty() && ringing.joining.is_none());
        if is_over && let Some(ringing) = self.outgoing.rings.remove(id) {
            info!(callback = %id.0, user = %ringing.wish.user, "call not taken: {}", ringing.outcome.words());
            self.outgoing.ended(id.clone(), ringing.outcome);
        }
    }

    pub(super) fn stop_ringing(&mut self, id: &CallbackId, why: &str) -> Vec<Command> {
        let Some(ringing) = self.outgoing.rings.get_mut(id) else {
            return Vec::new();
        };
        let legs = std::mem::take(&mut ringing.legs);
        let mut commands = Vec::new();
        for call in legs.into_keys() {
            self.outgoing.legs.remove(&call);
            let reason = Some(cause(487, why));
            commands.push(Command::Hangup { call, reason });
        }
        commands
    }

    pub(super) fn call_off(&mut self, id: &CallbackId) -> Vec<Command> {
        let commands = self.stop_ringing(id, "Called off");
        if self.outgoing.rings.remove(id).is_some() {
            self.outgoing.ended(id.clone(), Outcome::Cancelled);
            return commands;
        }
        let of_call = self
            .outgoing
            .news
            .iter()
            .find(|news| news.id.as_ref() == Some(id) && news.is_opening);
        match of_call.map(|news| news.call) {
            Some(call) => vec![Command::Hangup { call, reason: None }],
            // Told in somebody's own call: that is theirs, and what was queued there is said.
            None => commands,
        }
    }

    /// Counts what was dialled outside, as calls of phones are.
    pub(super) fn meter(&mut self, payer: &str, calls: u32, talked: Duration) {
        let day = today();
        let meter = self.bridging.meter();
        let mut seconds = 0;
        if calls > 0 {
            meter.placed(payer, day);
        } else {
            seconds = meter.talked(payer, day, talked);
        }
        for (name, by) in [(CALLS, calls), (SECONDS, seconds)] {
            if by > 0 {
                self.recorder.keep(Lasting::Count {
                    name: format!("{name}{payer}"),
                    day: i64::from(day),
                    by: u64::from(by),
                });
            }
        }
    }
}

/// What whoever thinks in this call knows of it.
fn brief(wish: &Wish) -> String {
    let mut brief = format!(
        "You have called this person yourself, and begin by telling them: \u{201c}{}\u{201d}",
        wish.say
    );
    if !wish.why.is_empty() {
        brief.push_str(&format!("\nWhy you call: {}", wish.why));
    }
    brief
}
