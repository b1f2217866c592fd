//! PURE.
//! Bridges joined to the SIP endpoint: which dialog is which leg, the endpoint's events as inputs, outputs as calls of its
//! methods. The program and the simulator use the same joint. Owns the names of legs on both sides; decides nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use sip::{CallKey, CallParams, Caller, EndCause, Endpoint, Event, HeaderName, NameAddr, Uri};

use super::boundary::*;
use super::{BridgeConfig, Bridges};
use crate::routing::Destination;

/// A call that came in and was found to be for somebody.
#[derive(Debug, Clone)]
pub struct NewCall {
    pub call: CallKey,
    pub caller: Party,
    pub shown: Shown,
    pub dialled: String,
    pub destination: Destination,
    pub offer: Option<String>,
    pub anchor: Anchor,
    pub remote: SocketAddr,
    pub replaces: Option<CallKey>,
}

/// All bridges and their dialogs.
pub struct Joint {
    bridges: Bridges,
    calls: HashMap<LegId, CallKey>,
    legs: HashMap<CallKey, LegId>,
}

impl Joint {
    pub fn new(config: BridgeConfig) -> Joint {
        Joint {
            bridges: Bridges::new(config),
            calls: HashMap::new(),
            legs: HashMap::new(),
        }
    }

    pub fn bridges(&mut self) -> &mut Bridges {
        &mut self.bridges
    }

    pub fn bridges_ref(&self) -> &Bridges {
        &self.bridges
    }

    /// Whether a dialog belongs, or has belonged until just now, to a bridge.
    pub fn owns(&self, call: CallKey) -> bool {
        self.legs.contains_key(&call)
    }

    /// The dialog of a leg.
    pub fn call_of(&self, leg: LegId) -> Option<CallKey> {
        self.calls.get(&leg).copied()
    }

    pub fn leg_of(&self, call: CallKey) -> Option<LegId> {
        self.legs.get(&call).copied()
    }

    /// The leg leaves the bridges; its dialog lives on.
    pub fn release(&mut self, leg: LegId) -> Option<CallKey> {
        let call = self.calls.remove(&leg)?;
        self.legs.remove(&call);
        Some(call)
    }

    pub fn incoming(&mut self, now: Instant, new: NewCall, view: &dyn View) {
        let leg = self.bridges.new_leg();
        self.join(leg, new.call);
        let incoming = Incoming {
            leg,
            caller: new.caller,
            shown: new.shown,
            dialled: new.dialled,
            destination: new.destination,
            offer: new.offer,
            anchor: new.anchor,
            remote: new.remote,
            replaces: new.replaces.and_then(|call| self.legs.get(&call).copied()),
        };
        self.bridges.handle(now, Input::Incoming(incoming), view);
    }

    /// A call with the assistant that goes on to somebody else. `adopted.leg` is given here.
    pub fn adopt(&mut self, now: Instant, call: CallKey, adopted: Adopted, view: &dyn View) {
        let leg = self.bridges.new_leg();
        self.join(leg, call);
        let adopted = Box::new(Adopted { leg, ..adopted });
        self.bridges.handle(now, Input::Adopt(adopted), view);
    }

    fn join(&mut self, leg: LegId, call: CallKey) {
        self.calls.insert(leg, call);
        self.legs.insert(call, leg);
    }

    /// Takes an event of a bridged dialog. What is not of one comes back.
    pub fn event(&mut self, now: Instant, event: Event, view: &dyn View) -> Option<Event> {
        let call = call_of(&event)?;
        let Some(leg) = self.legs.get(&call).copied() else {
            return Some(event);
        };
        let input = match event {
            Event::CallProgress { status, sdp, .. } => Input::Progress { leg, status, sdp },
            Event::CallAnswered { answer, .. } => Input::Answered { leg, answer },
            Event::CallConfirmed { answer, .. } => Input::Confirmed { leg, answer },
            Event::ReInvite { offer, .. } => Input::ReInvite { leg, offer },
            Event::ReofferAnswered { result, .. } => Input::Reoffered { leg, result },
            Event::Redirected { contacts, .. } => Input::Redirected {
                leg,
                numbers: contacts.iter().filter_map(Uri::user_decoded).collect(),
            },
            Event::Transfer {
                target, replaces, ..
            } => Input::Transfer {
                leg,
                number: target.user_decoded().unwrap_or_default(),
                replaces: replaces.and_then(|call| self.legs.get(&call).copied()),
            },
            Event::Digits {
                digit, duration_ms, ..
            } => Input::Digit {
                leg,
                digit,
                duration_ms,
            },
            Event::CallEnded { cause, .. } => {
                self.release(leg);
                Input::Ended {
                    leg,
                    end: leg_end(&cause),
                }
            }
            _ => return None,
        };
        self.bridges.handle(now, input, view);
        None
    }

    pub fn handle(&mut self, now: Instant, input: Input, view: &dyn View) {
        self.bridges.handle(now, input, view);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.bridges.poll_output()
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.bridges.next_timeout()
    }

    /// Carries out what is the endpoint's; what is not comes back.
    ///
    /// A dialog that went away while the output was on its way is no mistake: its end is told by an event.
    pub fn perform(
        &mut self,
        now: Instant,
        output: Output,
        endpoint: &mut Endpoint,
    ) -> Option<Output> {
        let gone = match output {
            Output::Call {
                leg,
                target,
                shown,
                dialled,
                offer,
                ring,
            } => {
                let ring_s = u32::try_from(ring.as_secs())
                    .unwrap_or(u32::MAX)
                    .saturating_add(5);
                let params = params(target, &shown, &dialled, offer, ring_s);
                let call = endpoint.call(now, params);
                self.join(leg, call);
                Ok(())
            }
            Output::Provisional { leg, status, sdp } => {
                self.at(leg, |call| endpoint.provisional(now, call, status, sdp))
            }
            Output::Answer { leg, sdp } => self.at(leg, |call| endpoint.answer(now, call, sdp)),
            Output::Reject {
                leg,
                status,
                reason,
            } => self.at(leg, |call| {
                let reason = reason.map(|reason| (HeaderName::Reason, reason));
                endpoint.reject(now, call, status, reason.into_iter().collect())
            }),
            Output::Hangup { leg, reason } => {
                self.at(leg, |call| endpoint.hangup(now, call, reason))
            }
            Output::Reoffer { leg, offer } => {
                self.at(leg, |call| endpoint.reoffer(now, call, offer))
            }
            Output::Acknowledge { leg, sdp } => {
                self.at(leg, |call| endpoint.acknowledge(now, call, sdp))
            }
            Output::AnswerReinvite { leg, answer } => {
                self.at(leg, |call| endpoint.answer_reinvite(now, call, answer))
            }
            Output::AnswerTransfer { leg, answer } => {
                self.at(leg, |call| endpoint.answer_transfer(now, call, answer))
            }
            Output::TransferProgress { leg, status } => {
                self.at(leg, |call| endpoint.transfer_progress(now, call, status))
            }
            Output::SendDigit {
                leg,
                digit,
                duration_ms,
            } => self.at(leg, |call| {
                endpoint.send_info_digit(now, call, digit, duration_ms)
            }),
            other => return Some(other),
        };
        // Races between an answer and a hang-up make this normal; `CallEnded` is on its way.
        let _ = gone;
        None
    }

    fn at(
        &self,
        leg: LegId,
        act: impl FnOnce(CallKey) -> Result<(), sip::CallError>,
    ) -> Result<(), sip::CallError> {
        match self.calls.get(&leg) {
            Some(call) => act(*call),
            None => Err(sip::CallError::NoSuchCall),
        }
    }
}

/// The dialog an event is about; none for those of registrations.
pub fn call_of(event: &Event) -> Option<CallKey> {
    match event {
        Event::CallProgress { call, .. }
        | Event::CallAnswered { call, .. }
        | Event::CallConfirmed { call, .. }
        | Event::ReInvite { call, .. }
        | Event::ReofferAnswered { call, .. }
        | Event::Redirected { call, .. }
        | Event::Transfer { call, .. }
        | Event::Digits { call, .. }
        | Event::ReferProgress { call, .. }
        | Event::CallEnded { call, .. } => Some(*call),
        _ => None,
    }
}

/// The INVITE to one target.
pub fn params(
    target: Target,
    shown: &Shown,
    dialled: &str,
    offer: Option<String>,
    ring_s: u32,
) -> CallParams {
    let local = target.flow.local;
    let party = match &target.party {
        Party::User(name) => Some(Caller::User(name.clone())),
        Party::Trunk(_) => target
            .trunk
            .as_ref()
            .map(|trunk| Caller::Trunk(trunk.name.clone())),
    };
    let number = |number: &str| (!number.is_empty()).then(|| number.to_owned());
    let mut contact = Uri::sip(
        number(&shown.number).as_deref(),
        target.anchor.shown.into(),
        Some(local.port()),
    );
    if let Some(transport) = target.flow.transport.uri_param() {
        contact.params.set("transport", Some(transport));
    }
    let mut from = NameAddr::new(Uri::sip(
        number(&shown.number).as_deref(),
        target.anchor.shown.into(),
        None,
    ));
    from.display = number(&shown.name);
    let mut headers = Vec::new();
    let mut credentials = None;
    match target.trunk {
        Some(trunk) => {
            let user = match trunk.caller_id.is_empty() {
                true => shown.number.as_str(),
                false => trunk.caller_id.as_str(),
            };
            let domain = sip::Host::Name(trunk.domain.clone());
            from = NameAddr::new(Uri::sip(number(user).as_deref(), domain, None));
            headers = trunk.headers;
            credentials = trunk.credentials;
        }
        // So that a phone with several numbers can show which one was dialled.
        None if !dialled.is_empty() => {
            let called = Uri::sip(Some(dialled), target.anchor.shown.into(), None);
            headers.push((HeaderName::from("P-Called-Party-ID"), format!("<{called}>")));
        }
        None => {}
    }
    CallParams {
        target: target.uri,
        flow: target.flow,
        from,
        contact,
        credentials,
        offer,
        headers,
        to: None,
        ring_s: Some(ring_s),
        party,
    }
}

fn leg_end(cause: &EndCause) -> LegEnd {
    let end = |status: u16, text: &str, is_failure: bool| LegEnd {
        status,
        reason: None,
        text: text.to_owned(),
        is_failure,
    };
    match cause {
        EndCause::ByeReceived { reason } => LegEnd {
            reason: reason.clone(),
            ..end(0, "one side hung up", false)
        },
        EndCause::ByeSent => end(0, "we hung up", false),
        EndCause::Cancelled { reason } => LegEnd {
            reason: reason.clone(),
            ..end(487, "the caller gave up", false)
        },
        EndCause::Rejected { status } => end(*status, "refused", false),
        EndCause::Failed { status, why } => end(*status, why, true),
        EndCause::AckTimeout => end(408, "a phone never acknowledged the answer", true),
        EndCause::TransactionTimeout => end(408, "a phone no longer answers", true),
        EndCause::TransportFailed => end(503, "the connection to a phone broke", true),
        // A variant of ours: it rang as long as it may.
        _ => end(408, "nobody answered", false),
    }
}
