//! PURE.
//! A caller who talks with the assistant and goes on to somebody else, or sends the assistant there. Owns when such a caller
//! belongs to a bridge and when to the assistant again; not the assistant's part of the call (`switchboard`), nor who may
//! be reached (`routing`). RFC 3515, RFC 5589.
//!
//! Until somebody has taken the call, the caller goes on talking with the assistant: nothing is lost where nobody does.

use std::time::Instant;

use super::boundary::{Adopted, Errand, LegId, Output, Service, View};
use super::line::{Line, Means};
use super::{Bridge, Bridges, Incoming, State};
use crate::config::Answerer;

/// What is to be done with a bridge as soon as nobody holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Its caller goes back to the assistant.
    GiveBack(u16),
    /// Whom it has reached goes to the assistant.
    HandOver(Answerer),
}

impl Bridges {
    pub(super) fn adopt(&mut self, now: Instant, adopted: Adopted, view: &dyn View) {
        let leg = adopted.leg;
        let own = self.means();
        let means = Means {
            session_id: adopted.session_id,
            ..own
        };
        let incoming = Incoming {
            leg,
            caller: adopted.caller,
            shown: adopted.shown,
            dialled: adopted.dialled,
            destination: adopted.destination.clone(),
            offer: Some(adopted.theirs),
            anchor: adopted.anchor,
            remote: adopted.remote,
            replaces: None,
        };
        let mut bridge = self.fresh(incoming, means);
        // What was said so far was said by the assistant, in the same dialog.
        bridge.a.stands = true;
        bridge.a.ours = Some(adopted.ours);
        bridge.a.local.session_version = adopted.session_version;
        bridge.errand = Some(adopted.errand);
        self.legs.insert(leg, bridge.id);
        if self.draining || self.bridges.len() >= self.config.bridges_max {
            let why = "as many calls between phones as allowed are up";
            return self.refuse(now, bridge, 503, why);
        }
        if matches!(adopted.errand, Errand::HandOver(_)) {
            let answer = Ok(());
            self.put(Output::AnswerTransfer { leg, answer });
        }
        self.pursue(now, bridge, adopted.destination, view);
    }

    /// Nobody took the call, or it cannot be joined.
    pub(super) fn give_back(&mut self, now: Instant, mut bridge: Bridge, status: u16, why: &str) {
        self.drop_forks(&mut bridge, None);
        let leg = bridge.a.leg;
        if let Some(Errand::HandOver(_)) = bridge.errand.take() {
            self.put(Output::TransferProgress { leg, status });
        }
        self.legs.remove(&leg);
        self.put(Output::GiveBack { leg, status });
        self.close(now, bridge, format!("{why} ({status})"), false);
    }

    /// Who was called has answered, and is the assistant's from now on.
    fn hand_over(&mut self, now: Instant, mut bridge: Bridge, answerer: Answerer) {
        bridge.errand = None;
        let Some(b) = bridge.b.take() else {
            return self.give_back(now, bridge, 500, "nobody was reached");
        };
        let left = std::mem::replace(&mut bridge.a, b);
        self.put(Output::TransferProgress {
            leg: left.leg,
            status: 200,
        });
        bridge.leavers.push(left.leg);
        bridge.caller = bridge.a.party.clone();
        let service = Service {
            answerer,
            message_for: None,
        };
        self.serve(now, bridge, service);
    }

    pub(super) fn next_for(&mut self, now: Instant, bridge: Bridge, next: Next) {
        match next {
            Next::GiveBack(status) => {
                self.give_back(now, bridge, status, "no media in common");
            }
            Next::HandOver(answerer) => self.hand_over(now, bridge, answerer),
        }
    }

    /// Whether a leg is one of two who talk, with nothing else going on: its other side may go elsewhere.
    pub fn is_talking(&self, leg: LegId) -> bool {
        let bridge = self.legs.get(&leg).and_then(|id| self.bridges.get(id));
        bridge.is_some_and(|bridge| {
            let is_free = bridge.exchange.is_none() && bridge.moving.is_none();
            let is_party = bridge.side_of(leg).is_some() && bridge.b.is_some();
            bridge.state == State::Up && is_free && is_party
        })
    }

    /// The other side of a leg goes to the assistant, and the leg leaves. See [`Bridges::is_talking`].
    pub(super) fn dismiss(&mut self, now: Instant, leg: LegId, service: Service) {
        if !self.is_talking(leg) {
            return;
        }
        let Some(mut bridge) = self.take(leg) else {
            return;
        };
        let Some(b) = bridge.b.take() else {
            return self.keep(now, bridge);
        };
        let left: Line = match bridge.a.leg == leg {
            true => std::mem::replace(&mut bridge.a, b),
            false => b,
        };
        bridge.leavers.push(left.leg);
        bridge.caller = bridge.a.party.clone();
        self.serve(now, bridge, service);
    }
}
