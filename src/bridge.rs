//! PURE.
//! Calls between two parties, one bridge each: who rings, who answers first, what each side is told of the other's media,
//! and how the end of one side ends the other. Owns legs and what they are to each other; not dialogs (`sip::Endpoint`),
//! not packets (`relay`), not what numbers mean (`routing`), not calls with the assistant (`switchboard`).
//!
//! Contract: after each `handle` take `poll_output` until it is empty, then sleep to `next_timeout`. `OpenRelay` is
//! answered at once. A leg is spoken of until `Input::Ended`, or until an output hands it on or hangs it up.

mod adopt;
mod again;
mod boundary;
mod ends;
mod hunt;
pub mod joint;
mod line;
pub mod meter;
mod session;
mod transfer;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sip::offer_answer::{AudioCodec, Fingerprint, SecurityPolicy};

pub use boundary::*;
use hunt::Hunt;
pub use hunt::best_status;
use line::Line;
pub use meter::Meter;
use session::Exchange;
use transfer::Moving;

/// A phone that transferred is given so long to hang up by itself.
const LEAVE_GRACE: Duration = Duration::from_secs(4);
/// What the losers of a fork are told, RFC 3326.
const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// Bounds and identity.
#[derive(Debug, Clone)]
pub struct BridgeConfig {
    /// At the bound a further call is refused with 503.
    pub bridges_max: usize,
    /// At the bound a user's further call is refused with 486.
    pub per_user_max: usize,
    /// No call lasts longer.
    pub duration_max: Duration,
    /// Keys and origins of our descriptions come from it: from a generator fit for keys.
    pub seed: [u8; 32],
    /// Whether the media of both sides is encrypted, each with keys of its own.
    pub security: SecurityPolicy,
    /// Of our certificates. Whoever goes from one relay to another is shown another one than before, and so shakes hands
    /// again; that wants two. Empty: no handshakes, and so no browsers.
    pub fingerprints: Vec<Fingerprint>,
    /// What we can decode and encode, best first, for two phones that have no codec in common.
    pub codecs: Vec<AudioCodec>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for ports.
    Opening,
    Ringing,
    /// Two parties that stood already are being put together.
    Joining,
    Up,
}

/// A leg that rings.
#[derive(Debug)]
struct Fork {
    line: Line,
    /// Where it is called, should it be called again.
    target: Target,
    /// What it was offered; none where it is asked for its own.
    offered: Option<String>,
    /// What it has refused before.
    refused: Vec<String>,
    redirected: Vec<String>,
}

/// What a call outside costs whom.
#[derive(Debug, Clone)]
struct Charge {
    user: String,
    trunk: usize,
}

#[derive(Debug)]
struct Bridge {
    id: BridgeId,
    state: State,
    caller: Party,
    shown: Shown,
    dialled: String,
    remote: SocketAddr,
    a: Line,
    b: Option<Line>,
    forks: Vec<Fork>,
    /// The fork whose early media A hears.
    early: Option<LegId>,
    told_ringing: bool,
    hunt: Hunt,
    relay: Option<RelayId>,
    /// Address of its B side, and the ports there.
    relay_b: Option<IpAddr>,
    ports_b: Vec<u16>,
    exchange: Option<Exchange>,
    moving: Option<Moving>,
    /// Legs that are on their way out, and relays that end with the transfer.
    leavers: Vec<LegId>,
    /// The leg whose place A takes.
    replaced: Option<LegId>,
    /// A is the assistant's until somebody has taken the call.
    errand: Option<Errand>,
    next: Option<adopt::Next>,
    old_relays: Vec<RelayId>,
    charge: Option<Charge>,
    ring_until: Option<Instant>,
    leave_by: Option<Instant>,
    end_at: Option<Instant>,
    answered_at: Option<Instant>,
    is_begun: bool,
    /// As it stands in the table of timers.
    timer: Option<Instant>,
}

/// All calls between parties.
pub struct Bridges {
    config: BridgeConfig,
    rng: StdRng,
    bridges: BTreeMap<BridgeId, Bridge>,
    legs: HashMap<LegId, BridgeId>,
    relays: HashMap<RelayId, BridgeId>,
    timers: BTreeSet<(Instant, BridgeId)>,
    outputs: VecDeque<Output>,
    meter: Meter,
    last: u64,
    draining: bool,
}

impl Bridges {
    pub fn new(config: BridgeConfig) -> Bridges {
        Bridges {
            rng: StdRng::from_seed(config.seed),
            config,
            bridges: BTreeMap::new(),
            legs: HashMap::new(),
            relays: HashMap::new(),
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
            meter: Meter::default(),
            last: 0,
            draining: false,
        }
    }

    /// Applies one input.
    pub fn handle(&mut self, now: Instant, input: Input, view: &dyn View) {
        match input {
            Input::Incoming(incoming) => self.incoming(now, incoming, view),
            Input::Progress { leg, status, sdp } => {
                self.with(now, leg, |all, bridge| {
                    all.progress(bridge, leg, status, sdp)
                });
            }
            Input::Answered { leg, answer } => {
                let is_known = self.with(now, leg, |all, bridge| {
                    all.answered(now, bridge, leg, answer)
                });
                if !is_known {
                    self.hang_up(leg, Some(ELSEWHERE.to_owned()));
                }
            }
            Input::Confirmed { leg, answer } => {
                self.with(now, leg, |all, bridge| {
                    all.confirmed(now, bridge, leg, answer)
                });
            }
            Input::ReInvite { leg, offer } => {
                let is_known = self.with(now, leg, |all, bridge| all.reinvited(bridge, leg, offer));
                if !is_known {
                    let answer = Err(481);
                    self.put(Output::AnswerReinvite { leg, answer });
                }
            }
            Input::Reoffered { leg, result } => {
                self.with(now, leg, |all, bridge| {
                    all.reoffered(now, bridge, leg, result)
                });
            }
            Input::Redirected { leg, numbers } => {
                self.with(now, leg, |_, bridge| {
                    if let Some(fork) = bridge.forks.iter_mut().find(|fork| fork.line.leg == leg) {
                        fork.redirected = numbers;
                    }
                });
            }
            Input::Transfer {
                leg,
                number,
                replaces,
            } => self.transfer(now, leg, &number, replaces, view),
            Input::Digit {
                leg,
                digit,
                duration_ms,
            } => {
                self.with(now, leg, |all, bridge| {
                    if let Some(other) = bridge.peer_of(leg) {
                        all.put(Output::SendDigit {
                            leg: other,
                            digit,
                            duration_ms,
                        });
                    }
                });
            }
            Input::Adopt(adopted) => self.adopt(now, *adopted, view),
            Input::Dismiss { leg, service } => self.dismiss(now, leg, service),
            Input::Ended { leg, end } => self.ended(now, leg, end, view),
            Input::RelayOpened { relay, ports } => self.relay_opened(now, relay, ports, view),
            Input::RelayQuiet { relay, side } => self.relay_quiet(now, relay, side),
            Input::Timeout => self.timeout(now, view),
            Input::HangUpAll => self.hang_up_all(now),
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// A name for a leg.
    pub fn new_leg(&mut self) -> LegId {
        LegId(self.next())
    }

    /// Whether a leg belongs to a bridge.
    pub fn has(&self, leg: LegId) -> bool {
        self.legs.contains_key(&leg)
    }

    pub fn len(&self) -> usize {
        self.bridges.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bridges.is_empty()
    }

    /// Legs of all bridges, for whoever counts.
    pub fn legs_len(&self) -> usize {
        self.legs.len()
    }

    pub fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }

    /// Calls for the console: caller, what was dialled, when they began.
    pub fn list(&self) -> impl Iterator<Item = (BridgeId, &Party, &str, Option<Instant>)> {
        let row = |bridge: &'_ Bridge| bridge.answered_at;
        self.bridges.values().map(move |bridge| {
            (
                bridge.id,
                &bridge.caller,
                bridge.dialled.as_str(),
                row(bridge),
            )
        })
    }

    /// Calls of a user that are not over.
    pub fn calls_of(&self, user: &str) -> usize {
        let is_theirs =
            |bridge: &&Bridge| matches!(&bridge.caller, Party::User(name) if name == user);
        self.bridges.values().filter(is_theirs).count()
    }

    /// Calls over a trunk, both ways, that are not over.
    pub fn calls_on(&self, trunk: usize) -> usize {
        let is_on = |bridge: &&Bridge| {
            let charged = bridge.charge.as_ref().map(|charge| charge.trunk);
            bridge.caller == Party::Trunk(trunk) || charged == Some(trunk)
        };
        self.bridges.values().filter(is_on).count()
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn put(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Runs `act` on the bridge of a leg. False: it has none.
    fn with(
        &mut self,
        now: Instant,
        leg: LegId,
        act: impl FnOnce(&mut Bridges, &mut Bridge),
    ) -> bool {
        let Some(mut bridge) = self.take(leg) else {
            return false;
        };
        act(self, &mut bridge);
        match bridge.next.take() {
            Some(next) => self.next_for(now, bridge, next),
            None => self.keep(now, bridge),
        }
        true
    }

    /// Takes the bridge of a leg out of the table, until `keep` or `over`.
    fn take(&mut self, leg: LegId) -> Option<Bridge> {
        let id = self.legs.get(&leg)?;
        self.bridges.remove(id)
    }

    fn keep(&mut self, _now: Instant, mut bridge: Bridge) {
        let due = [bridge.ring_until, bridge.leave_by, bridge.end_at]
            .into_iter()
            .flatten()
            .min();
        if bridge.timer != due {
            if let Some(old) = bridge.timer {
                self.timers.remove(&(old, bridge.id));
            }
            if let Some(due) = due {
                self.timers.insert((due, bridge.id));
            }
            bridge.timer = due;
        }
        self.bridges.insert(bridge.id, bridge);
    }

    fn incoming(&mut self, now: Instant, incoming: Incoming, view: &dyn View) {
        let leg = incoming.leg;
        let refusal = match &incoming.caller {
            _ if self.draining || self.bridges.len() >= self.config.bridges_max => Some(503),
            Party::User(name) if self.calls_of(name) >= self.config.per_user_max => Some(486),
            _ => None,
        };
        if let Some(status) = refusal {
            let reason = None;
            return self.put(Output::Reject {
                leg,
                status,
                reason,
            });
        }
        let session = self.means();
        let (destination, replaced) = (incoming.destination.clone(), incoming.replaces);
        let bridge = self.fresh(incoming, session);
        self.legs.insert(leg, bridge.id);
        if let Some(replaced) = replaced {
            return self.replace(now, bridge, replaced);
        }
        self.pursue(now, bridge, destination, view);
    }

    /// A bridge with its calling side and nothing else.
    fn fresh(&mut self, incoming: Incoming, session: line::Means) -> Bridge {
        let id = BridgeId(self.next());
        let payer = incoming.caller.payer().map(str::to_owned);
        Bridge {
            id,
            state: State::Opening,
            a: Line::new(
                incoming.leg,
                incoming.caller.clone(),
                incoming.anchor,
                session,
                incoming.offer,
            ),
            caller: incoming.caller,
            shown: incoming.shown,
            dialled: incoming.dialled,
            remote: incoming.remote,
            b: None,
            forks: Vec::new(),
            early: None,
            told_ringing: false,
            hunt: Hunt::new(payer),
            relay: None,
            relay_b: None,
            ports_b: Vec::new(),
            exchange: None,
            moving: None,
            leavers: Vec::new(),
            replaced: None,
            errand: None,
            next: None,
            old_relays: Vec::new(),
            charge: None,
            ring_until: None,
            leave_by: None,
            end_at: None,
            answered_at: None,
            is_begun: false,
            timer: None,
        }
    }

    fn progress(&mut self, bridge: &mut Bridge, leg: LegId, status: u16, sdp: Option<String>) {
        if bridge.state != State::Ringing || !bridge.forks.iter().any(|fork| fork.line.leg == leg) {
            return;
        }
        if let Some(moving) = &bridge.moving {
            let leg = moving.referrer;
            if !bridge.told_ringing && status >= 180 {
                bridge.told_ringing = true;
                if bridge.leavers.contains(&leg) {
                    self.put(Output::TransferProgress { leg, status: 180 });
                }
            }
            return;
        }
        if let Some(errand) = bridge.errand {
            // The caller hears the assistant until somebody answers.
            let is_asked = matches!(errand, Errand::HandOver(_));
            if is_asked && status >= 180 && !std::mem::replace(&mut bridge.told_ringing, true) {
                let leg = bridge.a.leg;
                self.put(Output::TransferProgress { leg, status: 180 });
            }
            return;
        }
        if let Some(sdp) = sdp
            && bridge.early.is_none_or(|early| early == leg)
            && let Some(ours) = self.early_media(bridge, leg, &sdp)
        {
            bridge.early = Some(leg);
            bridge.told_ringing = true;
            let (leg, status) = (bridge.a.leg, 183);
            let sdp = Some(ours);
            return self.put(Output::Provisional { leg, status, sdp });
        }
        // A phone that rings is told on once; the rest of the fork adds nothing.
        if !bridge.told_ringing && matches!(status, 180 | 183) {
            bridge.told_ringing = true;
            let leg = bridge.a.leg;
            self.put(Output::Provisional {
                leg,
                status: 180,
                sdp: None,
            });
        }
    }

    fn answered(&mut self, now: Instant, bridge: &mut Bridge, leg: LegId, answer: Option<String>) {
        let at = bridge.forks.iter().position(|fork| fork.line.leg == leg);
        let Some(at) = at.filter(|_| bridge.state == State::Ringing) else {
            self.legs.remove(&leg);
            return self.hang_up(leg, Some(ELSEWHERE.to_owned()));
        };
        let winner = bridge.forks.remove(at);
        self.drop_forks(bridge, Some(ELSEWHERE));
        bridge.ring_until = None;
        let with = winner.line.party.clone();
        if let Some(Errand::HandOver(answerer)) = bridge.errand {
            let b = bridge.b.insert(winner.line);
            (b.stands, b.theirs) = (true, answer);
            bridge.next = Some(adopt::Next::HandOver(answerer));
            return;
        }
        let joined = self.first_answer(bridge, winner, answer);
        if let Err(status) = joined {
            let reason = format!("SIP;cause={status};text=\"No common media\"");
            return self.fail(bridge, status, &reason);
        }
        if bridge.a.stands && bridge.state == State::Up {
            self.talking(now, bridge, with);
        }
    }

    /// From now on somebody talks.
    fn talking(&mut self, now: Instant, bridge: &mut Bridge, with: Party) {
        if bridge.answered_at.is_none() {
            bridge.answered_at = Some(now);
            let longest = bridge.hunt.longest.unwrap_or(self.config.duration_max);
            bridge.end_at = Some(now + longest.min(self.config.duration_max));
        }
        self.put(Output::Talking {
            bridge: bridge.id,
            relay: bridge.relay,
            parties: [bridge.a.party.clone(), with],
        });
    }

    /// Ends both sides because they cannot be joined. The bridge is over when its legs say so.
    fn fail(&mut self, bridge: &mut Bridge, status: u16, reason: &str) {
        bridge.hunt.failure = Some(status);
        if let Some(b) = &bridge.b {
            self.hang_up(b.leg, Some(reason.to_owned()));
        }
        if bridge.errand.is_some() {
            bridge.b = None;
            bridge.next = Some(adopt::Next::GiveBack(status));
            return;
        }
        let leg = bridge.a.leg;
        if bridge.a.stands {
            // Its end comes back, and ends the bridge.
            let reason = Some(reason.to_owned());
            self.put(Output::Hangup { leg, reason });
        } else {
            let reason = Some(reason.to_owned());
            self.put(Output::Reject {
                leg,
                status,
                reason,
            });
        }
    }
}

impl Bridge {
    fn line(&mut self, side: Side) -> Option<&mut Line> {
        match side {
            Side::A => Some(&mut self.a),
            Side::B => self.b.as_mut(),
        }
    }

    fn side_of(&self, leg: LegId) -> Option<Side> {
        if self.a.leg == leg {
            return Some(Side::A);
        }
        self.b
            .as_ref()
            .is_some_and(|b| b.leg == leg)
            .then_some(Side::B)
    }

    fn leg_of(&self, side: Side) -> Option<LegId> {
        match side {
            Side::A => Some(self.a.leg),
            Side::B => self.b.as_ref().map(|b| b.leg),
        }
    }

    /// Who a party of this call talks with.
    fn peer_of(&self, leg: LegId) -> Option<LegId> {
        self.leg_of(self.side_of(leg)?.other())
    }
}
