//! Calls between phones, and over trunks: the shell around the bridges. Owns the ports of relayed calls, what the bridges
//! may see of the world, and their records; decides nothing about a call (`bridge`) and passes no packet (`relay`).

mod outputs;
mod shown;
mod sides;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sip::offer_answer::{Direction, NegotiatedAudio};
use sip::relayed::RelayedSide;
use sip::{Advertised, CallKey, Caller, Endpoint, Event, Flow, FlowTarget, NameAddr};
use tracing::{debug, info, warn};

use super::call_id;
use super::endings::cause;
use super::session::{MediaSecurity, is_private, relay_security, session_config};
use super::trunks::Trunks;
use super::{Command, Line, LineState, Switchboard, Waiting};
use crate::bridge::joint::{Joint, NewCall, call_of};
use crate::bridge::meter::Meter;
use crate::bridge::{
    Adopted, Anchor, BridgeConfig, BridgeEnd, BridgeId, Input, LegId, Output, Party, RelayId,
    Service, Side, Target, View,
};
use crate::call::driver::Summary;
use crate::call::figures::LegFigures;
use crate::call::record::{Blame, CallResult, Termination};
use crate::config::Trunk;
use crate::ports::source_address;
use crate::records::{CallRecorder, CallStart, Recorder, unix_ms};
use crate::relay::{
    RelayEvent, RelayHandle, RelayPeer, RelayPool, Side as RelaySide, TranscodedPeer,
};
use crate::routing::{Destination, DialPlan, Outside, Refused};
use crate::store::Lasting;
use media::dtls::Certificate;
use sides::{LEGS_MAX, Sides, known_codec};

/// One is shown while the other is in use.
const CERTIFICATES: usize = 2;
const DAY_MS: u64 = 24 * 3600 * 1000;
/// Counters of the store: what a user has dialled outside on a day, and what was left in message boxes.
pub(super) const CALLS: &str = "outbound calls of ";
pub(super) const SECONDS: &str = "outbound seconds of ";
const MESSAGES: &str = "messages of ";

/// Today, as limits count: days since 1970, UTC.
pub fn today() -> u32 {
    u32::try_from(unix_ms() / DAY_MS).unwrap_or(u32::MAX)
}

/// What is the same for all relayed calls.
pub struct BridgingConfig {
    pub plan: DialPlan,
    pub trunks: Trunks,
    pub relays: RelayPool,
    pub bridge: BridgeConfig,
    /// Advertised in SDP instead of the socket's address, where the owner configured one.
    pub advertise: Vec<Advertised>,
    /// Counters of today from before the start.
    pub counted: Vec<(String, u64)>,
    /// So long without a packet from a side that should send ends the call.
    pub silence_max: Duration,
}

/// The bridges and what they need of the world.
pub struct Bridging {
    joint: Joint,
    config: BridgingConfig,
    security: MediaSecurity,
    relays: HashMap<RelayId, RelayHandle>,
    sides: HashMap<RelayId, Sides>,
    running: HashMap<BridgeId, Running>,
    /// Messages left today, by caller: the day and how many.
    messages: HashMap<String, (u32, u32)>,
    /// Dialogs of ours with somebody who may be handed to the assistant.
    known: HashMap<CallKey, Known>,
}

struct Known {
    flow: Flow,
    user_agent: Option<String>,
}

/// A call that has a record.
struct Running {
    record: CallRecorder,
    user: String,
    number: String,
    since: Instant,
    summary: Summary,
}

/// What bridges see while they decide.
struct Sight<'a> {
    plan: &'a DialPlan,
    trunks: &'a Trunks,
    endpoint: &'a Endpoint,
    advertise: &'a [Advertised],
    now: Instant,
}

impl View for Sight<'_> {
    fn plan(&self) -> &DialPlan {
        self.plan
    }

    fn phones(&self, user: &str) -> Vec<Target> {
        let targets = self.endpoint.targets(user, self.now);
        targets
            .into_iter()
            .map(|target| Target {
                party: Party::User(user.to_owned()),
                anchor: anchor(target.flow, self.advertise),
                uri: target.uri,
                flow: target.flow,
                trunk: None,
            })
            .collect()
    }

    fn outside(&self, call: &Outside, payer: &str) -> Option<Target> {
        let anchor = |flow| anchor(flow, self.advertise);
        let registered = |trunk: &Trunk| {
            let targets = self.endpoint.targets(&trunk.account, self.now);
            targets
                .into_iter()
                .next()
                .filter(|_| !trunk.account.is_empty())
        };
        self.trunks
            .target(self.plan, call, payer, registered, anchor)
    }

    fn day(&self) -> u32 {
        today()
    }
}

fn anchor(flow: FlowTarget, advertise: &[Advertised]) -> Anchor {
    let bind = source_address(flow.local.ip(), flow.remote);
    Anchor {
        bind,
        shown: Advertised::of(advertise, bind),
        peer: flow.remote.ip().to_canonical(),
        is_private: is_private(flow.transport, flow.remote.ip()),
        is_encrypted: flow.transport.is_secure(),
        is_web: flow.transport.is_web_socket(),
    }
}

fn way_of(flow: Flow) -> FlowTarget {
    FlowTarget {
        transport: flow.transport,
        local: flow.local,
        remote: flow.remote,
    }
}

/// Who calls, and what the phone that rings is shown.
pub(super) struct Arrived {
    pub(super) call: CallKey,
    pub(super) caller: Caller,
    pub(super) from: NameAddr,
    pub(super) target: String,
    pub(super) offer: Option<String>,
    pub(super) flow: Flow,
    pub(super) user_agent: Option<String>,
    pub(super) replaces: Option<CallKey>,
}

impl Bridging {
    /// `security`: how calls with the assistant are protected. The certificates here are other ones: a browser that goes
    /// from there to somebody else learns by it that it has to shake hands again (RFC 8842 section 4). There are two, so that
    /// it learns the same with each transfer.
    pub(super) fn new(mut config: BridgingConfig, security: &MediaSecurity) -> Bridging {
        let is_wanted = !security.certificates.is_empty();
        let made = (0..CERTIFICATES).map(|_| Certificate::generate());
        let own: Result<Vec<Certificate>, _> = made.take_while(|_| is_wanted).collect();
        let own = own.inspect_err(|error| warn!(%error, "no handshakes between phones"));
        let security = MediaSecurity {
            policy: security.policy,
            certificates: own.unwrap_or_default(),
        };
        config.bridge.fingerprints = security.fingerprints();
        let mut joint = Joint::new(config.bridge.clone());
        let mut messages = HashMap::new();
        let mut outside: HashMap<&str, (u32, u32)> = HashMap::new();
        for (name, count) in &config.counted {
            let count = u32::try_from(*count).unwrap_or(u32::MAX);
            if let Some(user) = name.strip_prefix(CALLS) {
                outside.entry(user).or_default().0 = count;
            } else if let Some(user) = name.strip_prefix(SECONDS) {
                outside.entry(user).or_default().1 = count;
            } else if let Some(caller) = name.strip_prefix(MESSAGES) {
                messages.insert(caller.to_owned(), (today(), count));
            }
        }
        for (user, (calls, seconds)) in outside {
            joint
                .bridges()
                .meter()
                .restore(user, today(), calls, seconds);
        }
        Bridging {
            joint,
            messages,
            config,
            security,
            relays: HashMap::new(),
            sides: HashMap::new(),
            running: HashMap::new(),
            known: HashMap::new(),
        }
    }

    pub(super) fn with<T>(
        &mut self,
        endpoint: &Endpoint,
        act: impl FnOnce(&mut Joint, Instant, &dyn View) -> T,
    ) -> T {
        let now = Instant::now();
        let sight = Sight {
            plan: &self.config.plan,
            trunks: &self.config.trunks,
            endpoint,
            advertise: &self.config.advertise,
            now,
        };
        act(&mut self.joint, now, &sight)
    }

    /// What the bridges want done, as commands.
    fn commands(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.joint.poll_output())
            .map(|output| Command::Bridge(Box::new(output)))
            .collect()
    }

    /// What a number means to whoever dials it.
    pub(super) fn find(&self, caller: &Caller, target: &str) -> Result<Destination, Refused> {
        let plan = &self.config.plan;
        match caller {
            Caller::User(name) => plan.find(target, Some(name)),
            Caller::Trunk(name) => match plan.trunk_named(name) {
                Some(trunk) => plan.from_trunk(trunk, target),
                None => Err(Refused::Nobody),
            },
        }
    }

    pub(super) fn set_accounts(&mut self, accounts: Vec<String>) {
        self.config.plan.set_accounts(accounts);
    }

    pub(super) fn trunks_ref(&self) -> &Trunks {
        &self.config.trunks
    }

    /// What users have dialled outside today.
    pub(super) fn meter(&mut self) -> &mut Meter {
        self.joint.bridges().meter()
    }

    pub(super) fn trunks(&mut self) -> &mut Trunks {
        &mut self.config.trunks
    }

    pub(super) fn plan(&self) -> &DialPlan {
        &self.config.plan
    }

    /// Calls of a user or a trunk that are not over.
    pub(super) fn calls_of(&self, caller: &str) -> usize {
        let bridges = self.joint.bridges_ref();
        let trunk = self.config.plan.trunk_named(caller);
        bridges.calls_of(caller) + trunk.map_or(0, |trunk| bridges.calls_on(trunk))
    }

    pub(super) fn trunk_calls_max(&self, name: &str) -> usize {
        let plan = &self.config.plan;
        let trunk = plan.trunk_named(name).and_then(|at| plan.trunk(at));
        trunk.map_or(0, |trunk| trunk.calls_max)
    }

    /// Where the packets of a call over this flow meet us.
    pub(super) fn anchor(&self, flow: Flow) -> Anchor {
        anchor(way_of(flow), &self.config.advertise)
    }

    /// Whether a dialog belongs to a bridge.
    pub(super) fn has(&self, call: CallKey) -> bool {
        self.joint.owns(call)
    }

    /// The leg of a dialog whose other side may go elsewhere.
    pub(super) fn talking_leg(&self, call: CallKey) -> Option<LegId> {
        let leg = self.joint.leg_of(call)?;
        self.joint.bridges_ref().is_talking(leg).then_some(leg)
    }

    pub(super) fn call_of(&self, leg: LegId) -> Option<CallKey> {
        self.joint.call_of(leg)
    }

    /// The dialog of a leg, which is a bridge's no more.
    pub(super) fn release(&mut self, leg: LegId) -> Option<CallKey> {
        let call = self.joint.release(leg)?;
        self.known.remove(&call);
        Some(call)
    }

    /// A call with the assistant that goes on to somebody else.
    pub(super) fn adopt(
        &mut self,
        call: CallKey,
        adopted: Adopted,
        flow: Flow,
        endpoint: &Endpoint,
    ) -> Vec<Command> {
        let user_agent = None;
        self.known.insert(call, Known { flow, user_agent });
        self.with(endpoint, |joint, now, view| {
            joint.adopt(now, call, adopted, view);
        });
        self.commands()
    }

    pub(super) fn incoming(
        &mut self,
        arrived: Arrived,
        destination: Destination,
        endpoint: &Endpoint,
    ) -> Vec<Command> {
        let (caller, shown) = self.shown(&arrived.caller, &arrived.from);
        self.known.insert(
            arrived.call,
            Known {
                flow: arrived.flow,
                user_agent: arrived.user_agent,
            },
        );
        let new = NewCall {
            call: arrived.call,
            caller,
            shown,
            dialled: arrived.target,
            destination,
            offer: arrived.offer,
            anchor: anchor(way_of(arrived.flow), &self.config.advertise),
            remote: arrived.flow.remote,
            replaces: arrived.replaces,
        };
        self.with(endpoint, |joint, now, view| joint.incoming(now, new, view));
        self.commands()
    }

    /// Whether an event is of a bridged dialog.
    pub(super) fn is_meant(&self, event: &Event) -> bool {
        call_of(event).is_some_and(|call| self.joint.owns(call))
    }

    /// An event of a bridged dialog.
    pub(super) fn event(&mut self, event: Event, endpoint: &Endpoint) -> Vec<Command> {
        let ended = match &event {
            Event::CallEnded { call, .. } => Some(*call),
            _ => None,
        };
        self.with(endpoint, |joint, now, view| joint.event(now, event, view));
        if let Some(call) = ended {
            self.known.remove(&call);
        }
        self.commands()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.joint.next_timeout()
    }

    pub(super) fn input(&mut self, input: Input, endpoint: &Endpoint) -> Vec<Command> {
        self.with(endpoint, |joint, now, view| joint.handle(now, input, view));
        self.commands()
    }

    /// Calls for the console: who called whom, for how long.
    pub(super) fn running(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.running.values().map(|running| {
            let seconds = running.since.elapsed().as_secs();
            (running.user.as_str(), running.number.as_str(), seconds)
        })
    }

    fn name(&self, party: &Party) -> String {
        match party {
            Party::User(name) => name.clone(),
            Party::Trunk(at) => {
                let trunk = self.config.plan.trunk(*at);
                trunk.map_or_else(|| "trunk".to_owned(), |trunk| trunk.name.clone())
            }
        }
    }

    /// Two talk, at first or after a transfer.
    fn talking(&mut self, bridge: BridgeId, relay: Option<RelayId>, parties: &[Party; 2]) {
        let parties = parties.each_ref().map(|party| self.name(party));
        if let Some(running) = self.running.get(&bridge) {
            let [caller, with] = &parties;
            info!(user = %running.user, number = %running.number, %caller, %with, "call between phones answered");
        }
        // Nothing is kept of a relay that is gone.
        if let Some(relay) = relay.filter(|relay| self.relays.contains_key(relay)) {
            self.sides.entry(relay).or_default().parties = parties;
        }
    }

    fn connect(
        &mut self,
        relay: RelayId,
        side: Side,
        stream: usize,
        peer: &RelayedSide,
        anchor: Anchor,
        is_fax: bool,
    ) {
        let Some(handle) = self.relays.get(&relay) else {
            return;
        };
        if stream == 0 {
            let codec = peer.formats.iter().find_map(known_codec);
            self.sides.entry(relay).or_default().codecs[side.index()] = codec;
        }
        let clock_rate = |(number, map): &(u8, String)| {
            let rate = map.split('/').nth(1)?.trim().parse().ok()?;
            Some((*number, rate))
        };
        let silence_s = u32::try_from(self.config.silence_max.as_secs()).unwrap_or(u32::MAX);
        let (security, ice) = relay_security(&peer.security, &self.security);
        let peer = RelayPeer {
            remote_rtp: peer.remote_rtp,
            remote_rtcp: peer.remote_rtcp,
            rtcp_mux: peer.rtcp_mux,
            signalled_from: Some(anchor.peer),
            clock_rates_hz: peer.formats.iter().filter_map(clock_rate).collect(),
            telephone_events: peer.telephone_events.clone(),
            security,
            ice,
            // A phone on hold may be silent; fax and pictures may be anyway.
            silence_s: (peer.direction.receives()
                && peer.direction.sends()
                && !is_fax
                && stream == 0)
                .then_some(silence_s),
            is_opaque: is_fax,
        };
        handle.connect(relay_side(side), stream, peer);
    }

    /// Joins two sides that have no codec in common.
    fn transcode(
        &mut self,
        relay: RelayId,
        stream: usize,
        peers: &[NegotiatedAudio; 2],
        cname: &str,
    ) {
        let Some(handle) = self.relays.get(&relay) else {
            return;
        };
        let means = &self.security;
        let silence_s = u32::try_from(self.config.silence_max.as_secs()).unwrap_or(u32::MAX);
        let peers = peers.each_ref().map(|peer| TranscodedPeer {
            config: session_config(Some(peer), cname, means),
            rtcp_mux: peer.rtcp_mux,
            silence_s: (peer.direction == Direction::SendRecv && stream == 0).then_some(silence_s),
        });
        let [a, b] = peers.each_ref().map(|peer| peer.config.codec);
        if stream == 0 {
            self.sides.entry(relay).or_default().codecs = [Some(a), Some(b)];
        }
        info!(caller = ?a, called = ?b, "two phones without a codec in common: their sound is transcoded");
        handle.transcode(stream, peers);
    }

    fn close(&mut self, relay: RelayId, bridge: BridgeId) {
        let Some(handle) = self.relays.remove(&relay) else {
            return;
        };
        let stats = handle.close();
        let sides = self.sides.remove(&relay).unwrap_or_default();
        let Some(running) = self.running.get_mut(&bridge) else {
            return;
        };
        // Sound comes first in the descriptions of nearly every phone. A call that was handed on has legs of each part.
        if let Some(first) = stats.first()
            && running.summary.legs.len() < LEGS_MAX
        {
            let legs = LegFigures::of_relay(first, sides.codecs, sides.parties);
            running.summary.legs.extend(legs);
        }
        for side in stats.iter().flatten() {
            running.summary.packets_received += side.packets_received;
            running.summary.packets_lost += side.packets_lost.max(0);
            running.summary.packets_sent += side.packets_sent;
            running.summary.jitter_ms = running.summary.jitter_ms.max(side.jitter_ms);
        }
    }

    fn over(&mut self, bridge: BridgeId, end: &BridgeEnd) {
        let Some(running) = self.running.remove(&bridge) else {
            return;
        };
        let result = match (end.is_failure, end.was_answered) {
            (true, _) => CallResult::Failed,
            (false, true) => CallResult::Completed,
            (false, false) if end.text.contains("gave up") => CallResult::Cancelled,
            (false, false) => CallResult::Refused,
        };
        let termination = Termination {
            result,
            reason: end.text.clone(),
            blame: if end.is_failure {
                Blame::Peer
            } else {
                Blame::Nobody
            },
        };
        info!(
            user = %running.user,
            number = %running.number,
            talked_s = end.talked.as_secs(),
            received = running.summary.packets_received,
            lost = running.summary.packets_lost,
            mos = ?running.summary.worst_mos(),
            "call between phones ended: {termination}"
        );
        running.record.ended(&termination, &running.summary);
    }
}

fn relay_side(side: Side) -> RelaySide {
    match side {
        Side::A => RelaySide::A,
        Side::B => RelaySide::B,
    }
}
