//! PURE.
//! Whom a call rings, for how long, and what comes after: forwarding when busy, unanswered or unregistered, the next member
//! of a group, a message, or the best of the refusals. Owns the order of these; not what rings (`sip`) nor who is meant by
//! a number (`routing`). RFC 3261 section 16.7.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::boundary::{Output, RelayId, Service, Target, View};
use super::line::Line;
use super::{Bridge, Bridges, Charge, Fork, State};
use crate::config::Answerer;
use crate::routing::{Destination, Outside};

/// Forwards in a row: two users who forward to each other must not go on for ever.
const HOPS_MAX: u8 = 5;
/// Phones that ring at once; further ones of the same users stay silent.
const FORKS_MAX: usize = 32;
/// How long a call over a trunk may ring.
const TRUNK_RING: Duration = Duration::from_secs(120);

/// Whose rules hold when nobody answers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whose {
    User(String),
    Group(usize),
    Trunk,
}

/// How a round of ringing came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Unregistered,
    Busy,
    NoAnswer,
}

/// What is still to be tried, and what came of what was.
#[derive(Debug)]
pub(super) struct Hunt {
    /// Who is charged for what is dialled outside.
    payer: Option<String>,
    whose: Option<Whose>,
    hops: u8,
    ring: Duration,
    /// Phones that ring as soon as there are ports.
    pub(super) targets: Vec<Target>,
    /// Members of a group that come after them.
    later: VecDeque<String>,
    statuses: Vec<u16>,
    redirected: Vec<String>,
    /// Somebody's phone was rung since the last forward.
    rang: bool,
    pub(super) day: u32,
    pub(super) longest: Option<Duration>,
    /// Why the call cannot stand, once that is known.
    pub(super) failure: Option<u16>,
}

impl Hunt {
    pub(super) fn new(payer: Option<String>) -> Hunt {
        Hunt {
            payer,
            whose: None,
            hops: 0,
            ring: Duration::ZERO,
            targets: Vec::new(),
            later: VecDeque::new(),
            statuses: Vec::new(),
            redirected: Vec::new(),
            rang: false,
            day: 0,
            longest: None,
            failure: None,
        }
    }

    /// One phone has refused, or was not reached.
    pub(super) fn note(&mut self, status: u16, redirected: Vec<String>) {
        if status >= 300 {
            self.statuses.push(status);
        }
        if self.redirected.is_empty() {
            self.redirected = redirected;
        }
    }

    fn outcome(&self) -> Outcome {
        let is_busy = |status: &u16| matches!(status, 486 | 600 | 603);
        // A registration whose phone is not there any more: switched off, or moved.
        let is_gone = |status: &u16| matches!(status, 404 | 410 | 430 | 502..=504);
        if !self.rang || (!self.statuses.is_empty() && self.statuses.iter().all(is_gone)) {
            Outcome::Unregistered
        } else if self.statuses.iter().any(is_busy) {
            Outcome::Busy
        } else {
            Outcome::NoAnswer
        }
    }
}

/// The best of several refusals, RFC 3261 section 16.7 step 6, as far as it may be passed to a caller: what is between a
/// phone and us (401, 407, 503) stays with us.
pub fn best_status(statuses: &[u16]) -> u16 {
    let decline = statuses
        .iter()
        .copied()
        .filter(|status| *status >= 600)
        .min();
    let rank = |status: &u16| match status {
        486 => 0,
        415 | 420 | 484 | 488 => 1,
        480 | 408 | 487 => 2,
        400..=499 => 3,
        300..=399 => 4,
        _ => 5,
    };
    let best = decline.or_else(|| statuses.iter().copied().min_by_key(rank));
    match best {
        None | Some(401 | 407 | 408 | 487 | 300..=399) => 480,
        Some(503) => 500,
        Some(status) => status,
    }
}

impl Bridges {
    /// Goes after a destination: rings it, hands the call on, or refuses.
    pub(super) fn pursue(
        &mut self,
        now: Instant,
        mut bridge: Bridge,
        destination: Destination,
        view: &dyn View,
    ) {
        bridge.hunt.day = view.day();
        bridge.hunt.rang = false;
        bridge.hunt.statuses.clear();
        bridge.hunt.redirected.clear();
        bridge.hunt.later.clear();
        let plan = view.plan();
        match destination {
            Destination::Service(answerer) => {
                let service = Service {
                    answerer,
                    message_for: None,
                };
                self.serve(now, bridge, service);
            }
            Destination::User(user) => {
                bridge.hunt.ring = seconds(plan.user(&user).ring_s);
                let targets = view.phones(&user);
                bridge.hunt.whose = Some(Whose::User(user));
                self.round(now, bridge, targets, view);
            }
            Destination::Group(at) => {
                let Some(group) = plan.group(at) else {
                    return self.refuse(now, bridge, 404, "the group is gone");
                };
                bridge.hunt.ring = seconds(group.ring_s);
                bridge.hunt.whose = Some(Whose::Group(at));
                let members = plan.members(group);
                if plan.rings_in_turn(group) {
                    bridge.hunt.later = members.into();
                    return self.next_member(now, bridge, view);
                }
                let targets = members.iter().flat_map(|user| view.phones(user)).collect();
                self.round(now, bridge, targets, view);
            }
            Destination::Trunk(outside) => self.go_outside(now, bridge, &outside, view),
        }
    }

    fn go_outside(&mut self, now: Instant, mut bridge: Bridge, outside: &Outside, view: &dyn View) {
        let plan = view.plan();
        let Some(payer) = bridge.hunt.payer.clone() else {
            return self.refuse(now, bridge, 403, "nobody pays for this call");
        };
        let limits = plan.outbound();
        let outgoing = self
            .bridges
            .values()
            .filter_map(|bridge| bridge.charge.as_ref());
        let on_trunk = self.calls_on(outside.trunk);
        let (mut all, mut theirs) = (0, 0);
        for charge in outgoing {
            all += 1;
            theirs += usize::from(charge.user == payer);
        }
        let trunk_max = plan.trunk(outside.trunk).map_or(0, |trunk| trunk.calls_max);
        let refusal = match outside.is_metered {
            _ if on_trunk >= trunk_max => Some("this trunk has as many calls as allowed"),
            true if all >= limits.calls_max => {
                Some("as many calls outside as allowed (`calls_max` in [outbound])")
            }
            true if theirs >= limits.calls_per_user_max => Some(
                "this user has as many calls outside as allowed (`calls_per_user_max` in [outbound])",
            ),
            true if !self.meter.allows(limits, &payer, bridge.hunt.day) => {
                Some("this user has dialled outside as much as allowed today ([outbound])")
            }
            _ => None,
        };
        if let Some(why) = refusal {
            return self.refuse(now, bridge, 403, why);
        }
        let Some(target) = view.outside(outside, &payer) else {
            return self.refuse(now, bridge, 503, "the trunk cannot be reached");
        };
        bridge.charge = Some(Charge {
            user: payer.clone(),
            trunk: outside.trunk,
        });
        if outside.is_metered {
            let day = bridge.hunt.day;
            bridge.hunt.longest = Some(self.meter.longest(limits, &payer, day));
            self.meter.placed(&payer, day);
            self.put(Output::Metered {
                user: payer,
                day,
                calls: 1,
                seconds: 0,
            });
        }
        bridge.hunt.whose = Some(Whose::Trunk);
        bridge.hunt.ring = TRUNK_RING;
        self.round(now, bridge, vec![target], view);
    }

    /// Rings these phones, all at once, as soon as there are ports for them.
    fn round(
        &mut self,
        now: Instant,
        mut bridge: Bridge,
        mut targets: Vec<Target>,
        view: &dyn View,
    ) {
        // Whoever dials their own number wants their other phones.
        let own = bridge.remote;
        targets.retain(|target| target.party != bridge.caller || target.flow.remote != own);
        targets.truncate(FORKS_MAX);
        if targets.is_empty() {
            return self.nobody_answered(now, bridge, view);
        }
        bridge.hunt.rang = true;
        if !bridge.is_begun {
            bridge.is_begun = true;
            self.put(Output::Begun {
                bridge: bridge.id,
                leg: bridge.a.leg,
                caller: bridge.caller.clone(),
                dialled: bridge.dialled.clone(),
                remote: bridge.remote,
            });
        }
        let first = targets[0].anchor.bind;
        let is_one = targets.iter().all(|target| target.anchor.bind == first);
        // Phones on several networks ring at once: the ports must be there for all of them.
        let bind = match (
            is_one,
            targets.iter().all(|target| target.anchor.bind.is_ipv4()),
        ) {
            (true, _) => first,
            (false, true) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            (false, false) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        bridge.hunt.targets = targets;
        bridge.state = State::Opening;
        // Ports of an earlier round serve again where they are on the right network.
        if bridge.relay.is_some() && bridge.relay_b == Some(bind) {
            return self.ring(now, bridge, view);
        }
        self.close_relay(&mut bridge);
        self.open_relay(&mut bridge, bind);
        self.keep(now, bridge);
    }

    pub(super) fn close_relay(&mut self, bridge: &mut Bridge) {
        if let Some(relay) = bridge.relay.take() {
            self.relays.remove(&relay);
            let bridge = bridge.id;
            self.put(Output::CloseRelay { relay, bridge });
        }
    }

    pub(super) fn open_relay(&mut self, bridge: &mut Bridge, b: std::net::IpAddr) {
        let relay = RelayId(self.next());
        bridge.relay = Some(relay);
        bridge.relay_b = Some(b);
        self.relays.insert(relay, bridge.id);
        let streams = bridge.a.streams();
        let addresses = [bridge.a.anchor.bind, b];
        self.put(Output::OpenRelay {
            relay,
            addresses,
            streams,
        });
    }

    pub(super) fn relay_opened(
        &mut self,
        now: Instant,
        relay: RelayId,
        ports: Option<[Vec<u16>; 2]>,
        view: &dyn View,
    ) {
        let Some(mut bridge) = self
            .relays
            .get(&relay)
            .and_then(|id| self.bridges.remove(id))
        else {
            return;
        };
        let Some([a, b]) = ports.filter(|_| bridge.relay == Some(relay)) else {
            if bridge.relay != Some(relay) {
                return self.keep(now, bridge);
            }
            bridge.relay = None;
            self.relays.remove(&relay);
            return self.refuse(now, bridge, 503, "no free ports for sound ([media])");
        };
        bridge.a.set_ports(a);
        bridge.ports_b = b;
        match bridge.state {
            State::Joining => {
                self.join_both(&mut bridge);
                self.keep(now, bridge);
            }
            _ => self.ring(now, bridge, view),
        }
    }

    /// Calls everybody of this round.
    fn ring(&mut self, now: Instant, mut bridge: Bridge, view: &dyn View) {
        bridge.state = State::Ringing;
        let ring = bridge.hunt.ring;
        bridge.ring_until = Some(now + ring);
        let mut refusal = None;
        for target in std::mem::take(&mut bridge.hunt.targets) {
            let leg = self.new_leg();
            let session = self.means();
            let mut line = Line::new(leg, target.party.clone(), target.anchor, session, None);
            line.set_ports(bridge.ports_b.clone());
            let offered = match bridge.a.offer_to(&mut line) {
                Ok(offered) => offered,
                Err(status) => {
                    refusal = Some(status);
                    continue;
                }
            };
            self.ring_one(&mut bridge, line, target, offered, Vec::new());
        }
        match refusal {
            Some(status) if bridge.forks.is_empty() => {
                self.refuse(now, bridge, status, "the caller's media cannot be relayed");
            }
            _ if bridge.forks.is_empty() => self.nobody_answered(now, bridge, view),
            _ => self.keep(now, bridge),
        }
    }

    /// Calls one phone, once its line has what to say.
    pub(super) fn ring_one(
        &mut self,
        bridge: &mut Bridge,
        line: Line,
        target: Target,
        offered: Option<String>,
        refused: Vec<String>,
    ) {
        let leg = line.leg;
        self.legs.insert(leg, bridge.id);
        self.put(Output::Call {
            leg,
            target: target.clone(),
            shown: bridge.shown.clone(),
            dialled: bridge.dialled.clone(),
            offer: offered.clone(),
            ring: bridge.hunt.ring,
        });
        bridge.forks.push(Fork {
            line,
            target,
            offered,
            refused,
            redirected: Vec::new(),
        });
    }

    fn next_member(&mut self, now: Instant, mut bridge: Bridge, view: &dyn View) {
        while let Some(user) = bridge.hunt.later.pop_front() {
            let targets = view.phones(&user);
            let is_other = |target: &Target| {
                target.party != bridge.caller || target.flow.remote != bridge.remote
            };
            if targets.iter().any(is_other) {
                return self.round(now, bridge, targets, view);
            }
        }
        self.nobody_answered(now, bridge, view);
    }

    /// Every phone of this round has refused, was not there, or rang in vain.
    pub(super) fn nobody_answered(&mut self, now: Instant, mut bridge: Bridge, view: &dyn View) {
        bridge.ring_until = None;
        bridge.charge = None;
        if !bridge.hunt.later.is_empty() {
            return self.next_member(now, bridge, view);
        }
        let plan = view.plan();
        let outcome = bridge.hunt.outcome();
        let status = match outcome {
            Outcome::Unregistered => 480,
            _ => best_status(&bridge.hunt.statuses),
        };
        // A caller who refuses the media itself gains nothing from another phone.
        let redirected = std::mem::take(&mut bridge.hunt.redirected)
            .into_iter()
            .next();
        let (forward, message_for, payer) = match bridge.hunt.whose.clone() {
            Some(Whose::User(user)) => {
                let rules = plan.user(&user);
                let forward = match outcome {
                    Outcome::Unregistered => rules.forward_unregistered,
                    Outcome::Busy => rules.forward_busy,
                    Outcome::NoAnswer => rules.forward_no_answer,
                };
                let message = plan.takes_messages(&user).then(|| user.clone());
                (redirected.unwrap_or(forward), message, Some(user))
            }
            Some(Whose::Group(at)) => match plan.group(at) {
                Some(group) => {
                    let owner = Some(group.voicemail.clone())
                        .filter(|owner| plan.takes_messages(owner) && plan.has_account(owner));
                    (group.forward_no_answer.clone(), owner, None)
                }
                None => Default::default(),
            },
            Some(Whose::Trunk) | None => Default::default(),
        };
        if !forward.is_empty() && bridge.hunt.hops < HOPS_MAX {
            bridge.hunt.hops += 1;
            // Whoever forwards pays, not whoever calls them.
            bridge.hunt.payer = payer;
            if let Ok(destination) = plan.find(&forward, bridge.hunt.payer.as_deref()) {
                return self.pursue(now, bridge, destination, view);
            }
        }
        // A caller of the assistant has somebody to leave a message with.
        if let Some(user) = message_for.filter(|_| bridge.errand.is_none()) {
            let service = Service {
                answerer: Answerer::Message,
                message_for: Some(user),
            };
            return self.serve(now, bridge, service);
        }
        let text = match outcome {
            Outcome::Unregistered => "no phone is registered",
            Outcome::Busy => "busy",
            Outcome::NoAnswer => "nobody answered",
        };
        self.refuse(now, bridge, status, text);
    }

    /// Hands the calling side to the assistant, or to whoever takes messages.
    pub(super) fn serve(&mut self, now: Instant, mut bridge: Bridge, service: Service) {
        if bridge.errand.is_some() {
            return self.refuse(now, bridge, 480, "nobody but the assistant would answer");
        }
        let leg = bridge.a.leg;
        self.legs.remove(&leg);
        let standing = bridge.a.stands;
        let offer = match standing {
            true => bridge.a.ours.clone(),
            false => bridge.a.theirs.clone(),
        };
        if let Some(moving) = bridge.moving.take() {
            self.moved(&mut bridge, &moving);
            // The caller of record is whoever is handed over.
            bridge.caller = bridge.a.party.clone();
        }
        for leaver in std::mem::take(&mut bridge.leavers) {
            self.hang_up(leaver, None);
        }
        self.put(Output::Serve {
            leg,
            caller: bridge.caller.clone(),
            dialled: bridge.dialled.clone(),
            standing,
            offer,
            service,
        });
        self.close(now, bridge, "handed to the assistant".to_owned(), false);
    }

    /// Nobody is reached: the caller is refused, or the transfer fails.
    pub(super) fn refuse(&mut self, now: Instant, bridge: Bridge, status: u16, why: &str) {
        if bridge.moving.is_some() {
            return self.transfer_failed(now, bridge, status);
        }
        if bridge.errand.is_some() {
            return self.give_back(now, bridge, status, why);
        }
        let mut bridge = bridge;
        bridge.hunt.failure = Some(status);
        let is_failure = status >= 500;
        let begun = bridge.is_begun;
        if !begun {
            // A call that rang nobody is in the log, not among the records.
            self.put(Output::Refused {
                caller: bridge.caller.clone(),
                dialled: bridge.dialled.clone(),
                status,
                why: why.to_owned(),
            });
        }
        self.over(
            now,
            bridge,
            None,
            None,
            format!("{why} ({status})"),
            is_failure,
        );
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}
