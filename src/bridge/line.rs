//! PURE.
//! One dialog of a bridge and what was said in it about media: the last description of each side, and how the next one is
//! written. Owns its version, keys and ports; not whose turn it is to speak (`session`). RFC 3264 section 8.

use sip::offer_answer::{
    AudioCodec, Fingerprint, LocalIce, LocalSecurity, NegotiatedSecurity, SecurityPolicy,
    named_as_before,
};
use sip::relayed::{self, RelayLocal, Relayed};
use sip::sdes::KeySeed;

use super::again::{Keys, Wording};
use super::boundary::{Anchor, LegId, Party};

/// Sections there is room for where the caller has not offered yet.
const STREAMS_LATE: usize = 2;

/// One dialog and what was said in it about media.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) leg: LegId,
    pub(super) party: Party,
    pub(super) anchor: Anchor,
    pub(super) local: RelayLocal,
    /// What the owner wants; `local` has what holds for the offer at hand.
    policy: SecurityPolicy,
    /// The means there are; `local` has those that stand in the offer at hand.
    key_seed: Option<KeySeed>,
    fingerprint: Option<Fingerprint>,
    /// Of all our certificates.
    fingerprints: Vec<Fingerprint>,
    /// How it is best spoken to, as far as it has let us know.
    pub(super) wording: Wording,
    codecs: Vec<AudioCodec>,
    /// Its last description, and our last one to it.
    pub(super) theirs: Option<String>,
    pub(super) ours: Option<String>,
    /// A 2xx has been sent or has come.
    pub(super) stands: bool,
}

/// What makes our descriptions to one leg its own.
#[derive(Debug)]
pub(super) struct Means {
    pub(super) session_id: u64,
    pub(super) policy: SecurityPolicy,
    pub(super) key_seed: KeySeed,
    pub(super) fingerprints: Vec<Fingerprint>,
    pub(super) ice: LocalIce,
    pub(super) codecs: Vec<AudioCodec>,
}

impl Line {
    pub(super) fn new(
        leg: LegId,
        party: Party,
        anchor: Anchor,
        means: Means,
        theirs: Option<String>,
    ) -> Line {
        // A browser encrypts or does not speak at all, by handshake and over checked paths, whatever holds for phones.
        let fingerprint = means.fingerprints.first().cloned();
        let is_web = anchor.is_web && fingerprint.is_some();
        let policy = match is_web {
            true => SecurityPolicy::Required,
            false => means.policy,
        };
        let key_seed = Some(means.key_seed).filter(|_| !is_web);
        Line {
            leg,
            party,
            local: RelayLocal {
                address: anchor.shown,
                ports: Vec::new(),
                session_id: means.session_id,
                session_version: 0,
                rtcp_mux: is_web,
                security: LocalSecurity {
                    policy,
                    signalling_is_private: anchor.is_private,
                    key_seed: key_seed.clone(),
                    fingerprint: fingerprint.clone(),
                    role: None,
                    ice: Some(means.ice),
                    offers_ice: is_web,
                    is_web,
                },
                extra_codecs: Vec::new(),
            },
            anchor,
            policy,
            key_seed,
            fingerprint,
            fingerprints: means.fingerprints,
            wording: Wording::default(),
            codecs: means.codecs,
            theirs,
            ours: None,
            stands: false,
        }
    }

    /// Its packets meet another relay than before, which knows nothing of an old handshake: the next description shows
    /// another certificate, by which it shakes hands again (RFC 8842 section 4), and other names of paths, by which it checks
    /// them again (RFC 8445 section 9). Without either it would go on with keys that only the old relay has.
    pub(super) fn begin_anew(&mut self, means: Means) {
        let shown = self.ours.as_deref().unwrap_or_default();
        let is_shown = |own: &&Fingerprint| shown.contains(&own.to_string());
        let other = self.fingerprints.iter().find(|own| !is_shown(own));
        self.fingerprint = other.or(self.fingerprint.as_ref()).cloned();
        self.local
            .security
            .fingerprint
            .clone_from(&self.fingerprint);
        self.local.security.role = None;
        self.local.security.ice = Some(means.ice);
    }

    pub(super) fn policy(&self) -> SecurityPolicy {
        self.policy
    }

    pub(super) fn set_ports(&mut self, ports: Vec<u16>) {
        self.local.ports = ports;
    }

    pub(super) fn ports(&self) -> Vec<u16> {
        self.local.ports.clone()
    }

    /// Sections to have ports for.
    pub(super) fn streams(&self) -> usize {
        let counted = self.theirs.as_deref().map(relayed::streams);
        counted.map_or(STREAMS_LATE, |count| count.unwrap_or(1).max(1))
    }

    /// What this side last said, as an offer to `other`. A side that stands may be on hold, which is over now.
    pub(super) fn offer_to(&self, other: &mut Line) -> Result<Option<String>, u16> {
        let Some(theirs) = &self.theirs else {
            return Ok(None);
        };
        let theirs = match self.stands {
            true => resumed(theirs),
            false => theirs.clone(),
        };
        self.rewritten_for(&theirs, other).map(Some)
    }

    pub(super) fn rewritten_for(&self, offer: &str, other: &mut Line) -> Result<String, u16> {
        let from = self.security();
        // Optional keys make an offer larger than a datagram should be: they go where they were offered to us, and where
        // signalling is encrypted.
        let has_shown_keys = other.theirs.as_deref().is_some_and(offers_keys);
        let is_worth_it = other.anchor.is_encrypted || has_shown_keys || offers_keys(offer);
        let shakes_hands = other.shakes_hands_for(offer, self);
        let is_optional = other.policy == SecurityPolicy::Optional;
        // A handshake was in the first words already, or stood in for `Insisted`: then it is keys' turn.
        let shakes_hands_anyway =
            has_fingerprint(offer) && !self.local.security.is_web && other.fingerprint.is_some();
        // RFC 3264 section 8.3.1: the protocol of a section stays what it is.
        let is_secure = |sdp: &str| sdp.lines().any(|line| line.contains(" RTP/SAVP"));
        let is_shaken = |sdp: &str| sdp.lines().any(|line| line.contains(" UDP/TLS/RTP/SAVP"));
        if other.stands && other.theirs.as_deref().is_some_and(is_secure) {
            other.wording.keys = Keys::Insisted;
        } else if other.stands && other.theirs.as_deref().is_some_and(is_shaken) {
            other.wording.keys = Keys::Handshake;
        }
        let keys = match other.wording.keys {
            // Without a certificate there are no other words than the usual ones, which were refused.
            Keys::Handshake if other.fingerprint.is_none() => Keys::Usual,
            // Who is called by one who shakes hands is likelier to do so than to want keys in the description.
            Keys::Insisted if shakes_hands && !other.stands => Keys::Handshake,
            Keys::Handshake if is_optional && shakes_hands_anyway && !other.stands => {
                Keys::Insisted
            }
            keys => keys,
        };
        other.local.security.policy = match (other.policy, keys) {
            (SecurityPolicy::Optional, Keys::Insisted | Keys::Handshake) => {
                SecurityPolicy::Required
            }
            (SecurityPolicy::Optional, Keys::Left) => SecurityPolicy::Off,
            (SecurityPolicy::Optional, Keys::Usual) if !is_worth_it && !shakes_hands => {
                SecurityPolicy::Off
            }
            (policy, _) => policy,
        };
        other.local.security.fingerprint = other.fingerprint.clone().filter(|_| shakes_hands);
        other.local.security.key_seed = match keys {
            Keys::Handshake => None,
            _ => other.key_seed.clone(),
        };
        other.local.security.offers_ice |= other.theirs.as_deref().is_some_and(checks_paths);
        other.local.rtcp_mux |= shakes_hands;
        // Keys that a listener to its signalling could read are still better than no call with a phone that wants some.
        other.local.security.signalling_is_private =
            other.anchor.is_private || (is_optional && (has_shown_keys || keys == Keys::Insisted));
        other.local.extra_codecs = match other.wording.is_wide {
            true => other.codecs.clone(),
            false => Vec::new(),
        };
        let last = other.ours.clone();
        let written = |local: &RelayLocal| {
            let rewritten = relayed::rewrite_offer(offer, &from, local)?;
            match &last {
                Some(last) => named_as_before(&rewritten, last),
                None => Ok(rewritten),
            }
        };
        other.describe(
            |local| written(local).map_err(|error| error.to_status()),
            |sdp| sdp.as_str(),
        )
    }

    /// All that may be agreed upon with this side.
    fn security(&self) -> LocalSecurity {
        LocalSecurity {
            policy: self.policy,
            key_seed: self.key_seed.clone(),
            fingerprint: self.fingerprint.clone(),
            ..self.local.security.clone()
        }
    }

    /// Whether keys out of a handshake are offered here: to those who have shown that they can, to those who are called by
    /// one who can, and where keys in the description would not do. Others would get a longer offer for nothing.
    fn shakes_hands_for(&self, offer: &str, from: &Line) -> bool {
        let has_shown = self.theirs.as_deref().is_some_and(has_fingerprint);
        let is_only_way = self.policy == SecurityPolicy::Required && !self.anchor.is_private;
        let is_due = self.local.security.is_web
            || has_shown
            || is_only_way
            || self.wording.keys == Keys::Handshake
            || (has_fingerprint(offer) && !from.local.security.is_web);
        is_due && self.fingerprint.is_some()
    }

    /// The answer of `answerer` for this side, which offered.
    pub(super) fn answer_of(
        &mut self,
        answerer: &mut Line,
        offer: &str,
        offered: &str,
        answer: &str,
    ) -> Result<Relayed, u16> {
        self.local.security = self.security();
        self.local.rtcp_mux |= has_fingerprint(offer);
        let relayed = self.answer_for(answerer, offer, offered, answer)?;
        let streams = || relayed.streams.iter();
        self.keep(streams().map(|stream| &stream.offerer.security));
        answerer.keep(streams().map(|stream| &stream.answerer.security));
        Ok(relayed)
    }

    /// RFC 8842 section 5.5: who began the handshake stays who began it. The names of paths stay as well.
    fn keep<'a>(&mut self, agreed: impl Iterator<Item = &'a NegotiatedSecurity> + Clone) {
        if let Some(first) = agreed.clone().next() {
            self.local.security.role = match first {
                NegotiatedSecurity::Dtls { role, .. } => Some(*role),
                _ => None,
            };
        }
        if let Some(own) = &mut self.local.security.ice {
            own.keep(agreed.filter_map(NegotiatedSecurity::ice));
        }
    }

    fn answer_for(
        &mut self,
        answerer: &Line,
        offer: &str,
        offered: &str,
        answer: &str,
    ) -> Result<Relayed, u16> {
        let theirs = answerer.local.clone();
        self.describe(
            |local| {
                relayed::rewrite_answer(offer, offered, answer, local, &theirs)
                    .map_err(|error| error.to_status())
            },
            |relayed| relayed.sdp.as_str(),
        )
    }

    /// Writes a description to this side. RFC 3264 section 8: its version counts up by one if it says anything new.
    fn describe<T>(
        &mut self,
        write: impl Fn(&RelayLocal) -> Result<T, u16>,
        text: impl Fn(&T) -> &str,
    ) -> Result<T, u16> {
        if self.ours.is_some() {
            let same = write(&self.local)?;
            if self.ours.as_deref() == Some(text(&same)) {
                return Ok(same);
            }
        }
        self.local.session_version += 1;
        let next = write(&self.local)?;
        self.ours = Some(text(&next).to_owned());
        Ok(next)
    }
}

/// Whether a description announces a certificate, RFC 8122.
fn has_fingerprint(sdp: &str) -> bool {
    sdp.lines().any(|line| line.starts_with("a=fingerprint:"))
}

/// Whether its side checks paths, RFC 8839.
fn checks_paths(sdp: &str) -> bool {
    sdp.lines().any(|line| line.starts_with("a=ice-ufrag:"))
}

/// Whether a description has keys, RFC 4568.
fn offers_keys(sdp: &str) -> bool {
    sdp.lines().any(|line| line.starts_with("a=crypto:"))
}

/// The description with every section both ways.
pub(super) fn resumed(sdp: &str) -> String {
    let is_direction = |line: &str| matches!(line, "a=sendonly" | "a=recvonly" | "a=inactive");
    let lines = sdp.lines().map(|line| match is_direction(line.trim_end()) {
        true => "a=sendrecv",
        false => line.trim_end(),
    });
    lines.map(|line| format!("{line}\r\n")).collect()
}
