//! PURE.
//! How legs and bridges end: by either side, by a timer, for want of packets, or all at once. Owns what must be put away
//! then: legs, ports, timers, the day's counters, the record.

use std::time::{Duration, Instant};

use super::{Bridge, BridgeEnd, Bridges, LegEnd, LegId, Output, RelayId, Side, State, View};

impl Bridges {
    pub(super) fn ended(&mut self, now: Instant, leg: LegId, end: LegEnd, view: &dyn View) {
        let Some(mut bridge) = self.take(leg) else {
            return;
        };
        self.legs.remove(&leg);
        if let Some(at) = bridge.leavers.iter().position(|leaver| *leaver == leg) {
            bridge.leavers.remove(at);
            return self.keep(now, bridge);
        }
        if let Some(at) = bridge.forks.iter().position(|fork| fork.line.leg == leg) {
            let fork = bridge.forks.remove(at);
            if bridge.early == Some(leg) {
                bridge.early = None;
            }
            if self.call_again(&mut bridge, &fork, end.status) {
                return self.keep(now, bridge);
            }
            bridge.hunt.note(end.status, fork.redirected);
            if bridge.forks.is_empty() && bridge.state == State::Ringing {
                return self.nobody_answered(now, bridge, view);
            }
            return self.keep(now, bridge);
        }
        // One of the two who talk, or the caller of a call that rings.
        let text = match bridge.hunt.failure {
            Some(status) => format!("the two phones have no media in common ({status})"),
            None => end.text,
        };
        let is_failure = end.is_failure || bridge.hunt.failure.is_some();
        self.over(now, bridge, Some(leg), end.reason, text, is_failure);
    }

    /// Ends every leg but `ended`, and the bridge.
    pub(super) fn over(
        &mut self,
        now: Instant,
        mut bridge: Bridge,
        ended: Option<LegId>,
        reason: Option<String>,
        text: String,
        is_failure: bool,
    ) {
        let reason = reason.or_else(|| {
            (!bridge.forks.is_empty()).then(|| "SIP;cause=487;text=\"Caller gave up\"".to_owned())
        });
        // Whoever ends it, the caller does not go back to the assistant.
        bridge.errand = None;
        self.drop_forks(&mut bridge, reason.as_deref());
        let lines = std::iter::once(&bridge.a)
            .chain(&bridge.b)
            .map(|line| (line.leg, line.stands));
        let others: Vec<(LegId, bool)> = lines.filter(|(leg, _)| Some(*leg) != ended).collect();
        for (leg, stands) in others {
            match stands {
                true => self.hang_up(leg, reason.clone()),
                false => {
                    self.legs.remove(&leg);
                    let status = bridge.hunt.failure.unwrap_or(480);
                    self.put(Output::Reject {
                        leg,
                        status,
                        reason: reason.clone(),
                    });
                }
            }
        }
        self.close(now, bridge, text, is_failure);
    }

    /// The bridge is gone; its legs have been seen to.
    pub(super) fn close(
        &mut self,
        now: Instant,
        mut bridge: Bridge,
        text: String,
        is_failure: bool,
    ) {
        if let Some(due) = bridge.timer.take() {
            self.timers.remove(&(due, bridge.id));
        }
        // Who has transferred and not hung up yet.
        for leg in std::mem::take(&mut bridge.leavers) {
            self.hang_up(leg, None);
        }
        let lines = std::iter::once(&bridge.a).chain(&bridge.b);
        for line in lines {
            self.legs.remove(&line.leg);
        }
        let bridge_id = bridge.id;
        let relays = bridge.relay.into_iter().chain(bridge.old_relays);
        for relay in relays {
            self.relays.remove(&relay);
            self.put(Output::CloseRelay {
                relay,
                bridge: bridge_id,
            });
        }
        let talked = bridge
            .answered_at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if let (Some(charge), Some(_)) = (&bridge.charge, bridge.answered_at) {
            let (user, day) = (charge.user.clone(), bridge.hunt.day);
            let seconds = self.meter.talked(&user, day, talked);
            self.put(Output::Metered {
                user,
                day,
                calls: 0,
                seconds,
            });
        }
        if bridge.is_begun {
            let end = BridgeEnd {
                was_answered: bridge.answered_at.is_some(),
                is_failure,
                text,
                talked,
            };
            self.put(Output::Over {
                bridge: bridge_id,
                end,
            });
        }
    }

    pub(super) fn drop_forks(&mut self, bridge: &mut Bridge, reason: Option<&str>) {
        for fork in std::mem::take(&mut bridge.forks) {
            self.hang_up(fork.line.leg, reason.map(str::to_owned));
        }
        bridge.early = None;
    }

    /// The leg is nobody's from now on.
    pub(super) fn hang_up(&mut self, leg: LegId, reason: Option<String>) {
        self.legs.remove(&leg);
        self.put(Output::Hangup { leg, reason });
    }

    pub(super) fn timeout(&mut self, now: Instant, view: &dyn View) {
        while let Some((due, id)) = self.timers.first().copied() {
            if due > now {
                break;
            }
            self.timers.remove(&(due, id));
            let Some(mut bridge) = self.bridges.remove(&id) else {
                continue;
            };
            bridge.timer = None;
            let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            if is_due(bridge.end_at) {
                let reason = Some("SIP;cause=480;text=\"Longest call\"".to_owned());
                let text = "it lasted as long as calls may".to_owned();
                self.over(now, bridge, None, reason, text, false);
                continue;
            }
            if is_due(bridge.leave_by) {
                bridge.leave_by = None;
                for leg in std::mem::take(&mut bridge.leavers) {
                    self.hang_up(leg, None);
                }
            }
            if is_due(bridge.ring_until) {
                bridge.ring_until = None;
                self.drop_forks(&mut bridge, None);
                bridge.hunt.note(408, Vec::new());
                self.nobody_answered(now, bridge, view);
                continue;
            }
            self.keep(now, bridge);
        }
    }

    pub(super) fn relay_quiet(&mut self, now: Instant, relay: RelayId, side: Option<Side>) {
        let Some(bridge) = self
            .relays
            .get(&relay)
            .and_then(|id| self.bridges.remove(id))
        else {
            return;
        };
        if bridge.relay != Some(relay) || bridge.state != State::Up {
            return self.keep(now, bridge);
        }
        let text = match side {
            Some(Side::A) => "no sound came from the caller any more",
            Some(Side::B) => "no sound came from the called side any more",
            None => "the relay failed",
        };
        let reason = Some("SIP;cause=408;text=\"No media\"".to_owned());
        self.over(now, bridge, None, reason, text.to_owned(), true);
    }

    pub(super) fn hang_up_all(&mut self, now: Instant) {
        self.draining = true;
        while let Some((_, bridge)) = self.bridges.pop_first() {
            let text = "the program stopped".to_owned();
            let reason = Some("SIP;cause=503;text=\"Shutting down\"".to_owned());
            self.over(now, bridge, None, reason, text, false);
        }
    }
}
