//! PURE.
//! Asking a phone again in other words when it refuses a description: with keys in the secure profile, with codecs of ours
//! behind those of the other side, without keys. Owns what is tried next and when nothing is left; not how it is written
//! (`line`). RFC 3261 sections 13.3.1.3 and 14.1, RFC 4568 section 7.

use sip::offer_answer::SecurityPolicy;

use super::boundary::{LegId, Output, Side};
use super::session::Exchange;
use super::{Bridge, Bridges, Fork, State};

/// How a description is worded for one phone. The first way is what nearly every phone takes: what is offered may be
/// chosen, so codecs of ours are added only for who refuses those of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wording {
    pub(super) keys: Keys,
    /// Our codecs stand behind those of the other side: what passes is decoded and encoded again then.
    pub(super) is_wide: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Keys {
    /// As the policy has it: optional keys stand in the plain profile.
    #[default]
    Usual,
    /// The secure profile, for phones that take no other.
    Insisted,
    /// None but those of a handshake, for phones that take no other.
    Handshake,
    /// None, for phones that stumble over them.
    Left,
}

impl Wording {
    /// What to try after a refusal. The cheap reasons come first: a phone that wants keys is more common than two phones
    /// without a codec in common, and one that cannot read keys hardly exists.
    pub(super) fn next(self, policy: SecurityPolicy) -> Option<Wording> {
        let wording = |keys, is_wide| Some(Wording { keys, is_wide });
        match (policy, self.keys, self.is_wide) {
            (SecurityPolicy::Optional, Keys::Usual, false) => wording(Keys::Insisted, false),
            (SecurityPolicy::Optional, Keys::Insisted, false) => wording(Keys::Handshake, false),
            (SecurityPolicy::Optional, Keys::Handshake, false) => wording(Keys::Usual, true),
            (SecurityPolicy::Optional, Keys::Usual, true) => wording(Keys::Insisted, true),
            (SecurityPolicy::Optional, Keys::Insisted, true) => wording(Keys::Handshake, true),
            (SecurityPolicy::Optional, Keys::Handshake, true) => wording(Keys::Left, true),
            // Keys in the description are the usual words where nobody can read them; a handshake does as well.
            (SecurityPolicy::Required, Keys::Usual, is_wide) => wording(Keys::Handshake, is_wide),
            (SecurityPolicy::Required, Keys::Handshake, false) => wording(Keys::Usual, true),
            (SecurityPolicy::Off | SecurityPolicy::Required, keys, false) => wording(keys, true),
            _ => None,
        }
    }
}

/// What a description says, whichever version it is and wherever its packets go.
fn content(sdp: &str) -> String {
    let says = |line: &&str| !line.starts_with("o=");
    sdp.lines().filter(says).collect()
}

/// Refusals that speak of the description, not of the call.
fn is_of_media(status: u16) -> bool {
    matches!(status, 415 | 488 | 606)
}

impl Bridges {
    /// A phone has refused what it was offered: it is called again in other words, if there are any. False: there are none.
    pub(super) fn call_again(&mut self, bridge: &mut Bridge, fork: &Fork, status: u16) -> bool {
        let is_due = bridge.state == State::Ringing && is_of_media(status);
        let Some(last) = fork.offered.as_deref().filter(|_| is_due) else {
            return false;
        };
        let mut refused = fork.refused.clone();
        refused.push(content(last));
        let mut line = fork.line.clone();
        line.leg = self.new_leg();
        while let Some(next) = line.wording.next(line.policy()) {
            line.wording = next;
            // The other words may come to the same, or be none that this side may say.
            let offered = bridge.a.offer_to(&mut line).ok().flatten();
            let offered = offered.filter(|offered| !refused.contains(&content(offered)));
            if offered.is_some() {
                self.ring_one(bridge, line, fork.target.clone(), offered, refused);
                return true;
            }
        }
        false
    }

    /// The phone that answered took nothing of what it was offered, and says so in a 200: it is offered more at once, before
    /// the caller hears of its answer.
    pub(super) fn widen_answer(
        &mut self,
        bridge: &mut Bridge,
        offer: String,
        status: u16,
    ) -> Result<(), u16> {
        let b = bridge.b.as_mut().filter(|b| !b.wording.is_wide);
        let b = b.filter(|_| is_of_media(status)).ok_or(status)?;
        b.wording.is_wide = true;
        let offered = bridge.a.rewritten_for(&offer, b)?;
        let leg = b.leg;
        bridge.state = State::Joining;
        bridge.exchange = Some(Exchange::Replacing {
            offer,
            offered: offered.clone(),
        });
        self.put(Output::Reoffer {
            leg,
            offer: Some(offered),
        });
        Ok(())
    }

    /// A phone that stands has refused an offer: it gets another one with codecs of ours. False: the refusal counts.
    pub(super) fn reoffer_again(
        &mut self,
        bridge: &mut Bridge,
        leg: LegId,
        side: Side,
        result: &Result<Option<String>, u16>,
    ) -> bool {
        if !matches!(result, Err(status) if is_of_media(*status)) {
            return false;
        }
        let mut exchange = bridge.exchange.take();
        let words = match &mut exchange {
            Some(Exchange::Passed { from, offer, .. }) if *from != side => Some(offer.clone()),
            Some(Exchange::Join { offer, .. }) if side == Side::A => Some(offer.clone()),
            Some(Exchange::JoinFirst) if side == Side::A => bridge
                .b
                .as_ref()
                .and_then(|b| b.theirs.as_deref())
                .map(super::line::resumed),
            Some(Exchange::JoinSecond { offer, .. } | Exchange::Replacing { offer, .. })
                if side == Side::B =>
            {
                Some(offer.clone())
            }
            _ => None,
        };
        let again = words.and_then(|offer| {
            let (mine, other) = bridge.pair(side.other())?;
            if std::mem::replace(&mut other.wording.is_wide, true) {
                return None;
            }
            let last = other.ours.as_deref().map(content);
            let again = mine.rewritten_for(&offer, other).ok()?;
            (last != Some(content(&again))).then_some(again)
        });
        if let Some(again) = &again
            && let Some(
                Exchange::Passed { offered, .. }
                | Exchange::Join { offered, .. }
                | Exchange::JoinSecond { offered, .. }
                | Exchange::Replacing { offered, .. },
            ) = &mut exchange
        {
            offered.clone_from(again);
        }
        bridge.exchange = exchange;
        let Some(offer) = again else {
            return false;
        };
        self.put(Output::Reoffer {
            leg,
            offer: Some(offer),
        });
        true
    }
}
