//! PURE.
//! Calls that are handed on: blind and attended transfer, and a leg that takes another one's place. Owns who is put together
//! with whom, and what the phone that transferred is told; not REFER itself (`sip`), nor offers and answers (`session`).
//! RFC 3515, RFC 3891, RFC 5589.

use std::net::IpAddr;
use std::time::Instant;

use super::boundary::{LegId, Output, Party, RelayId, Side, View};
use super::line::Line;
use super::{Bridge, Bridges, LEAVE_GRACE, State};

/// A transfer under way.
#[derive(Debug)]
pub(super) struct Moving {
    /// The leg that asked for it.
    pub(super) referrer: LegId,
    /// The call as it was, to go back to.
    before: Option<Box<Before>>,
}

#[derive(Debug)]
struct Before {
    /// Which side the one who transfers was.
    side: Side,
    line: Line,
    relay: Option<RelayId>,
    relay_b: Option<IpAddr>,
    ports_b: Vec<u16>,
    /// Ports of the one who is transferred.
    ports: Vec<u16>,
}

impl Bridges {
    /// A phone wants the one it talks with to talk with somebody else.
    pub(super) fn transfer(
        &mut self,
        now: Instant,
        leg: LegId,
        number: &str,
        replaces: Option<LegId>,
        view: &dyn View,
    ) {
        let Some(bridge) = self.take(leg) else {
            let answer = Err(481);
            return self.put(Output::AnswerTransfer { leg, answer });
        };
        let is_ready =
            bridge.state == State::Up && bridge.exchange.is_none() && bridge.moving.is_none();
        let Some(side) = bridge
            .side_of(leg)
            .filter(|_| is_ready && bridge.b.is_some())
        else {
            self.keep(now, bridge);
            let answer = Err(PENDING);
            return self.put(Output::AnswerTransfer { leg, answer });
        };
        match replaces {
            Some(other) => self.attended(now, bridge, side, other),
            None => self.blind(now, bridge, side, number, view),
        }
    }

    fn blind(
        &mut self,
        now: Instant,
        mut bridge: Bridge,
        side: Side,
        number: &str,
        view: &dyn View,
    ) {
        let Some(line) = bridge.line(side) else {
            return self.keep(now, bridge);
        };
        let (leg, payer) = (line.leg, line.party.payer().map(str::to_owned));
        let destination = match view.plan().find(number, payer.as_deref()) {
            Ok(destination) => destination,
            Err(refused) => {
                self.keep(now, bridge);
                let answer = Err(refused.status());
                return self.put(Output::AnswerTransfer { leg, answer });
            }
        };
        self.put(Output::AnswerTransfer {
            leg,
            answer: Ok(()),
        });
        self.set_aside(&mut bridge, side);
        bridge.hunt = super::Hunt::new(payer);
        self.pursue(now, bridge, destination, view);
    }

    /// The one who transfers steps aside; who is transferred becomes side A.
    fn set_aside(&mut self, bridge: &mut Bridge, side: Side) {
        let Some(b) = bridge.b.take() else {
            return;
        };
        let line = match side {
            Side::A => std::mem::replace(&mut bridge.a, b),
            Side::B => b,
        };
        let referrer = line.leg;
        let relay = bridge.relay.take();
        bridge.old_relays.extend(relay);
        bridge.leavers.push(referrer);
        bridge.told_ringing = false;
        bridge.moving = Some(Moving {
            referrer,
            before: Some(Box::new(Before {
                side,
                line,
                relay,
                relay_b: bridge.relay_b.take(),
                ports_b: std::mem::take(&mut bridge.ports_b),
                ports: bridge.a.ports(),
            })),
        });
    }

    fn attended(&mut self, now: Instant, mut bridge: Bridge, side: Side, other: LegId) {
        let leg = bridge.leg_of(side);
        let Some(leg) = leg else {
            return self.keep(now, bridge);
        };
        let refuse = |all: &mut Bridges, bridge: Bridge, status: u16| {
            all.keep(now, bridge);
            all.put(Output::AnswerTransfer {
                leg,
                answer: Err(status),
            });
        };
        // Both calls must be the same phone's, or at least the same user's.
        let party = bridge.line(side).map(|line| line.party.clone());
        let Some(mut second) = self.take(other) else {
            return refuse(self, bridge, 481);
        };
        let at = second.side_of(other);
        let owner = at
            .and_then(|at| second.line(at))
            .map(|line| line.party.clone());
        let is_theirs = owner.is_some() && owner == party && matches!(party, Some(Party::User(_)));
        let is_free = second.exchange.is_none() && second.moving.is_none();
        let is_early = second.state == State::Ringing && at == Some(Side::A) && !second.a.stands;
        let is_up = second.state == State::Up && second.b.is_some();
        if !is_theirs || !is_free || !(is_early || is_up) {
            let status = if is_theirs { PENDING } else { 403 };
            self.keep(now, second);
            return refuse(self, bridge, status);
        }
        self.put(Output::AnswerTransfer {
            leg,
            answer: Ok(()),
        });
        self.set_aside(&mut bridge, side);
        if let Some(moving) = &mut bridge.moving {
            moving.before = None;
        }
        if is_early {
            // The phones that ring go on ringing, for somebody else.
            bridge.forks = std::mem::take(&mut second.forks);
            bridge.relay = second.relay.take();
            bridge.relay_b = second.relay_b;
            bridge.ports_b = std::mem::take(&mut second.ports_b);
            bridge.hunt = std::mem::replace(&mut second.hunt, super::Hunt::new(None));
            bridge.charge = bridge.charge.take().or(second.charge.take());
            bridge.ring_until = second.ring_until.take();
            let ports = second.a.ports();
            bridge.a.set_ports(ports);
            bridge.state = State::Ringing;
            for fork in &bridge.forks {
                self.legs.insert(fork.line.leg, bridge.id);
            }
            if let Some(relay) = bridge.relay {
                self.relays.insert(relay, bridge.id);
            }
            self.legs.remove(&other);
            self.put(Output::Reject {
                leg: other,
                status: 487,
                reason: Some("SIP;cause=200;text=\"Transferred\"".to_owned()),
            });
        } else {
            let third = match at {
                Some(Side::A) => second.b.take(),
                _ => {
                    let b = second.b.take();
                    b.map(|b| std::mem::replace(&mut second.a, b))
                }
            };
            let Some(third) = third else {
                return self.transfer_failed(now, bridge, 500);
            };
            self.legs.insert(third.leg, bridge.id);
            self.legs.insert(other, bridge.id);
            bridge.leavers.push(other);
            bridge.old_relays.extend(second.relay.take());
            bridge.charge = bridge.charge.take().or(second.charge.take());
            let bind = third.anchor.bind;
            bridge.b = Some(third);
            bridge.state = State::Joining;
            self.open_relay(&mut bridge, bind);
        }
        // Its leg belongs to this bridge now, or to nobody.
        let owner = self.legs.get(&other).copied();
        self.close(now, second, "transferred".to_owned(), false);
        if let Some(owner) = owner {
            self.legs.insert(other, owner);
        }
        self.keep(now, bridge);
    }

    /// The two who were put together have agreed on media, or not.
    pub(super) fn join_ended(
        &mut self,
        now: Instant,
        bridge: &mut Bridge,
        result: Result<(), u16>,
    ) {
        match (result, bridge.moving.take()) {
            (Ok(()), moving) => {
                bridge.state = State::Up;
                if bridge.errand.take().is_some() {
                    self.put(Output::Moved { leg: bridge.a.leg });
                }
                if let Some(moving) = moving {
                    self.moved(bridge, &moving);
                    bridge.leave_by = Some(now + LEAVE_GRACE);
                }
                for leaver in bridge.leavers.clone() {
                    if bridge.replaced == Some(leaver) {
                        bridge.leavers.retain(|leg| *leg != leaver);
                        self.hang_up(leaver, Some("SIP;cause=200;text=\"Replaced\"".to_owned()));
                    }
                }
                let with = bridge.b.as_ref().map(|b| b.party.clone());
                if let Some(with) = with {
                    self.talking(now, bridge, with);
                }
            }
            (Err(status), moving) => {
                if let Some(moving) = moving {
                    self.told(bridge, moving.referrer, status);
                }
                let reason = format!("SIP;cause={status};text=\"No common media\"");
                self.fail(bridge, status, &reason);
            }
        }
    }

    /// The transfer stands: whoever asked for it is told, and what was between them ends.
    pub(super) fn moved(&mut self, bridge: &mut Bridge, moving: &Moving) {
        self.told(bridge, moving.referrer, 200);
        for relay in std::mem::take(&mut bridge.old_relays) {
            self.relays.remove(&relay);
            let bridge = bridge.id;
            self.put(Output::CloseRelay { relay, bridge });
        }
    }

    fn told(&mut self, bridge: &Bridge, leg: LegId, status: u16) {
        if bridge.leavers.contains(&leg) {
            self.put(Output::TransferProgress { leg, status });
        }
    }

    /// Nobody took the call: it goes on as it was, if whoever transferred it is still there.
    pub(super) fn transfer_failed(&mut self, now: Instant, mut bridge: Bridge, status: u16) {
        self.drop_forks(&mut bridge, None);
        let Some(moving) = bridge.moving.take() else {
            return self.over(
                now,
                bridge,
                None,
                None,
                "the transfer failed".to_owned(),
                false,
            );
        };
        self.told(&bridge, moving.referrer, status);
        let is_there = bridge.leavers.contains(&moving.referrer);
        let Some(before) = moving.before.filter(|_| is_there) else {
            let reason = Some(format!("SIP;cause={status};text=\"Transfer failed\""));
            let text = format!("the transfer failed ({status})");
            return self.over(now, bridge, None, reason, text, false);
        };
        let Before {
            side,
            line,
            relay,
            relay_b,
            ports_b,
            ports,
        } = *before;
        self.close_relay(&mut bridge);
        bridge.leavers.retain(|leg| *leg != moving.referrer);
        bridge.old_relays.retain(|old| Some(*old) != relay);
        bridge.relay = relay;
        bridge.relay_b = relay_b;
        bridge.ports_b = ports_b;
        bridge.a.set_ports(ports);
        bridge.b = Some(match side {
            Side::A => std::mem::replace(&mut bridge.a, line),
            Side::B => line,
        });
        bridge.hunt.failure = None;
        bridge.ring_until = None;
        bridge.state = State::Up;
        self.keep(now, bridge);
    }

    /// A new call that takes the place of `replaced` in its bridge.
    pub(super) fn replace(&mut self, now: Instant, bridge: Bridge, replaced: LegId) {
        let Some(mut old) = self.take(replaced) else {
            return self.refuse(now, bridge, 481, "the call to be replaced is gone");
        };
        let side = old.side_of(replaced);
        let is_free = old.exchange.is_none() && old.moving.is_none() && old.state == State::Up;
        let owner = side
            .and_then(|side| old.line(side))
            .map(|line| line.party.clone());
        if !is_free || owner != Some(bridge.caller.clone()) {
            self.keep(now, old);
            return self.refuse(now, bridge, 486, "the call to be replaced cannot be");
        }
        let peer = match side {
            Some(Side::A) => old.b.take(),
            _ => {
                let b = old.b.take();
                b.map(|b| std::mem::replace(&mut old.a, b))
            }
        };
        let Some(peer) = peer else {
            return self.refuse(now, bridge, 481, "the call to be replaced is over");
        };
        let mut bridge = bridge;
        bridge.is_begun = old.is_begun;
        bridge.answered_at = old.answered_at;
        bridge.end_at = old.end_at;
        bridge.charge = old.charge.take();
        self.legs.insert(peer.leg, bridge.id);
        bridge.old_relays.extend(old.relay.take());
        bridge.leavers.push(replaced);
        bridge.replaced = Some(replaced);
        let bind = peer.anchor.bind;
        bridge.b = Some(peer);
        bridge.state = State::Joining;
        self.open_relay(&mut bridge, bind);
        old.is_begun = false;
        self.close(now, old, "replaced".to_owned(), false);
        self.legs.insert(replaced, bridge.id);
        self.keep(now, bridge);
    }
}

/// "Not now": another change of this call is under way.
const PENDING: u16 = 491;
