//! PURE.
//! How media is protected, as a session description says it: SRTP with keys in the description (RFC 4568) or from a
//! handshake beside the media (RFC 5763, RFC 8842), and the policy that chooses. Does not own the parsing of keys
//! (`sdes`), the handshake, nor encryption.
//!
//! Keys in a description are as secret as the signalling that carries it. Where that is neither TLS nor a network that
//! is private by itself, they keep out those who see the media only. So they are offered over private signalling alone,
//! taken over any where protection is optional, and do not satisfy `Required` over clear signalling.

use std::fmt;
use std::net::SocketAddr;

use super::OfferError;
use super::ice::{self, LocalIce, NegotiatedIce};
use crate::sdes::{CryptoLine, KeySeed, SdesKeys, Suite};
use crate::sdp::{Attribute, Media, Session};

/// What is offered and taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecurityPolicy {
    /// Plain RTP only.
    #[default]
    Off,
    /// SRTP with those who can, plain RTP with the rest.
    Optional,
    /// SRTP or no call.
    Required,
}

/// Our means of protection, for one leg of one call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalSecurity {
    pub policy: SecurityPolicy,
    /// Whether nobody on the way can read this leg's signalling: TLS, WSS, loopback, a tailnet.
    pub signalling_is_private: bool,
    /// Fresh for each leg. `None`: no keys in descriptions.
    pub key_seed: Option<KeySeed>,
    /// Of our certificate. `None`: no DTLS.
    pub fingerprint: Option<Fingerprint>,
    /// Our part in the handshake that is already over, kept by later descriptions (RFC 8842 §5.5).
    pub role: Option<DtlsRole>,
    /// Checked paths, beside a handshake. `None`: never.
    pub ice: Option<LocalIce>,
    /// Whether checked paths are offered, not only taken: to browsers, and to those who have them already.
    pub offers_ice: bool,
    /// The other side is a browser, which speaks one profile and no other (RFC 8827 section 6.5, RFC 8834 section 4.2).
    pub is_web: bool,
}

/// What is agreed upon.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NegotiatedSecurity {
    #[default]
    None,
    Sdes(SdesKeys),
    Dtls {
        role: DtlsRole,
        /// Of our certificate, as we have announced it.
        own: Fingerprint,
        /// Of the other side's certificate: what the handshake has to show.
        peer: Fingerprint,
        /// Packets go over checked paths.
        ice: Option<NegotiatedIce>,
    },
}

/// Who begins the handshake, seen from our side. RFC 5763 §5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtlsRole {
    /// We send the ClientHello.
    Active,
    /// We wait for it.
    Passive,
}

/// Hash functions of fingerprints that still prove something, RFC 8122 §5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FingerprintHash {
    Sha256,
    Sha384,
    Sha512,
}

impl FingerprintHash {
    const ALL: [FingerprintHash; 3] = [
        FingerprintHash::Sha256,
        FingerprintHash::Sha384,
        FingerprintHash::Sha512,
    ];

    fn name(self) -> &'static str {
        match self {
            FingerprintHash::Sha256 => "sha-256",
            FingerprintHash::Sha384 => "sha-384",
            FingerprintHash::Sha512 => "sha-512",
        }
    }

    fn len(self) -> usize {
        match self {
            FingerprintHash::Sha256 => 32,
            FingerprintHash::Sha384 => 48,
            FingerprintHash::Sha512 => 64,
        }
    }
}

/// Hash of a certificate as DER, RFC 8122 §5. No secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    pub hash: FingerprintHash,
    pub octets: Vec<u8>,
}

impl Fingerprint {
    /// Reads `sha-256 AB:CD:…`.
    pub fn parse(value: &str) -> Option<Fingerprint> {
        let mut words = value.split_ascii_whitespace();
        let (name, hex) = (words.next()?, words.next()?);
        let hash = FingerprintHash::ALL
            .into_iter()
            .find(|hash| hash.name().eq_ignore_ascii_case(name))?;
        let octet = |pair: &str| {
            let is_hex = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_hex.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        };
        let octets: Option<Vec<u8>> = hex.split(':').take(65).map(octet).collect();
        let octets = octets.filter(|octets| octets.len() == hash.len())?;
        Some(Fingerprint { hash, octets })
    }

    /// The strongest a section shows, or the session for it.
    pub(super) fn of(session: &Session, media: &Media) -> Option<Fingerprint> {
        let strongest = |attributes: &[Attribute]| {
            attributes
                .iter()
                .filter(|one| one.name == "fingerprint")
                .filter_map(|one| Fingerprint::parse(one.value.as_deref()?))
                .max_by_key(|one| one.hash.len())
        };
        strongest(&media.attributes).or_else(|| strongest(&session.attributes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex: Vec<String> = self
            .octets
            .iter()
            .map(|octet| format!("{octet:02X}"))
            .collect();
        write!(f, "{} {}", self.hash.name(), hex.join(":"))
    }
}

/// The transport an `m=` line names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// `RTP/AVP`, RFC 3551, and with feedback, RFC 4585.
    Plain,
    /// `RTP/SAVP`, RFC 3711, and `RTP/SAVPF`, RFC 5124.
    Secure,
    /// `UDP/TLS/RTP/SAVP` and `…/SAVPF`, RFC 5764 §9.
    Dtls,
}

impl Profile {
    pub(crate) fn of(media: &Media) -> Option<Profile> {
        let is = |name: &str| media.protocol.eq_ignore_ascii_case(name);
        if is("RTP/AVP") || is("RTP/AVPF") {
            Some(Profile::Plain)
        } else if is("RTP/SAVP") || is("RTP/SAVPF") {
            Some(Profile::Secure)
        } else if is("UDP/TLS/RTP/SAVP") || is("UDP/TLS/RTP/SAVPF") {
            Some(Profile::Dtls)
        } else {
            None
        }
    }
}

fn attribute(name: &str, value: impl Into<String>) -> Attribute {
    Attribute {
        name: name.to_owned(),
        value: Some(value.into()),
    }
}

/// `a=setup`, RFC 4145 §4; without one the offerer is the active side.
fn setup<'a>(session: &'a Session, media: &'a Media) -> &'a str {
    media
        .attribute("setup")
        .or_else(|| session.attribute("setup"))
        .flatten()
        .unwrap_or("active")
}

/// What is agreed upon for a section that is offered to us, and the attributes that say so in the answer. `at`: where we
/// receive it.
pub(crate) fn answer(
    session: &Session,
    media: &Media,
    mline: usize,
    local: &LocalSecurity,
    at: SocketAddr,
) -> Result<(NegotiatedSecurity, Vec<Attribute>), OfferError> {
    let unsupported = || OfferError::Protocol(media.protocol.clone());
    let profile = Profile::of(media).ok_or_else(unsupported)?;
    if local.policy == SecurityPolicy::Off {
        return match profile {
            Profile::Plain => Ok(Default::default()),
            _ => Err(unsupported()),
        };
    }
    let by_keys = || {
        let seed = local.key_seed.as_ref()?;
        let is_worth_it = local.signalling_is_private || local.policy == SecurityPolicy::Optional;
        if profile == Profile::Dtls || !is_worth_it {
            return None;
        }
        let theirs = media
            .attributes_named("crypto")
            .find_map(CryptoLine::parse)?;
        let ours = seed.line(mline, theirs.tag, theirs.suite);
        let line = attribute("crypto", ours.to_value());
        let keys = SdesKeys {
            suite: theirs.suite,
            send: ours.key,
            receive: theirs.key,
            receive_mki_len: theirs.mki_len,
        };
        Some((NegotiatedSecurity::Sdes(keys), vec![line]))
    };
    let by_handshake = || {
        let own = local.fingerprint.as_ref()?;
        let peer = Fingerprint::of(session, media)?;
        let role = match setup(session, media) {
            "active" => DtlsRole::Passive,
            "passive" => DtlsRole::Active,
            // RFC 5763 §5 likes the answerer active. But a phone behind a NAT can be reached only after it has sent
            // something, and until the handshake is over it sends nothing else.
            "actpass" => local.role.unwrap_or(DtlsRole::Passive),
            _ => return None,
        };
        let mut attributes = vec![
            attribute("fingerprint", own.to_string()),
            attribute("setup", role.as_str()),
        ];
        let paths = local.ice.as_ref().zip(ice::remote_ufrag(session, media));
        let ice = paths.map(|(own, remote_ufrag)| {
            let own = own.facing(&remote_ufrag);
            attributes.extend(own.attributes(at));
            own.with(remote_ufrag)
        });
        let agreed = NegotiatedSecurity::Dtls {
            role,
            own: own.clone(),
            peer,
            ice,
        };
        Some((agreed, attributes))
    };
    // Keys that strangers could have read give way to a handshake; else they are ready at once.
    let secured = if local.signalling_is_private {
        by_keys().or_else(by_handshake)
    } else {
        by_handshake().or_else(by_keys)
    };
    match (secured, profile, local.policy) {
        (Some(secured), _, _) => Ok(secured),
        (None, Profile::Plain, SecurityPolicy::Optional) => Ok(Default::default()),
        (None, Profile::Plain, _) => Err(OfferError::NotSecure),
        (None, _, _) => Err(unsupported()),
    }
}

impl NegotiatedSecurity {
    /// The checked paths, if packets go over such.
    pub fn ice(&self) -> Option<&NegotiatedIce> {
        match self {
            NegotiatedSecurity::Dtls { ice, .. } => ice.as_ref(),
            _ => None,
        }
    }
}

impl DtlsRole {
    pub fn as_str(self) -> &'static str {
        match self {
            DtlsRole::Active => "active",
            DtlsRole::Passive => "passive",
        }
    }
}

/// Suites that we offer, best first: of the strong ones that which costs least. The short tag is taken, not offered.
const OFFERED: [Suite; 3] = [
    Suite::AeadAes128Gcm,
    Suite::AesCm128HmacSha1_80,
    Suite::AeadAes256Gcm,
];

/// The protocol to offer a section with, and its attributes. `with_feedback`: the AVPF family. `at`: where we receive it.
///
/// Optional protection is offered in the plain profile: who knows the attributes answers with them, who does not
/// ignores them.
pub(crate) fn offer(
    local: &LocalSecurity,
    mline: usize,
    with_feedback: bool,
    at: SocketAddr,
) -> (String, Vec<Attribute>) {
    let mut attributes = Vec::new();
    let has_keys = local.signalling_is_private && local.key_seed.is_some();
    let is_required = local.policy == SecurityPolicy::Required;
    if local.policy != SecurityPolicy::Off {
        if let Some(seed) = local.key_seed.as_ref().filter(|_| has_keys) {
            attributes.extend(
                (1..).zip(OFFERED).map(|(tag, suite)| {
                    attribute("crypto", seed.line(mline, tag, suite).to_value())
                }),
            );
        }
        // A secure profile is of one kind; only the plain one can hold both.
        if let Some(own) = local
            .fingerprint
            .as_ref()
            .filter(|_| !(is_required && has_keys))
        {
            attributes.push(attribute("fingerprint", own.to_string()));
            let setup = local.role.map_or("actpass", DtlsRole::as_str);
            attributes.push(attribute("setup", setup));
            if let Some(ice) = local.ice.as_ref().filter(|_| local.offers_ice) {
                attributes.extend(ice.attributes(at));
            }
        }
    }
    let protocol = match (is_required, has_keys || local.fingerprint.is_none()) {
        (false, _) => "RTP/AVP",
        (true, true) => "RTP/SAVP",
        (true, false) => "UDP/TLS/RTP/SAVP",
    };
    let feedback = match with_feedback || local.is_web {
        true => "F",
        false => "",
    };
    (format!("{protocol}{feedback}"), attributes)
}

/// What an answer to a section of ours agrees to.
pub(crate) fn accept(
    offered: &Media,
    session: &Session,
    answered: &Media,
    local: &LocalSecurity,
) -> Result<NegotiatedSecurity, OfferError> {
    let profile =
        Profile::of(answered).ok_or_else(|| OfferError::Protocol(answered.protocol.clone()))?;
    let offered_profile = Profile::of(offered);
    // A plain offer is answered in the secure profile by some, when they take its keys; that says the same.
    let has_attributes = |media: &Media| {
        media.attribute("crypto").is_some() || media.attribute("fingerprint").is_some()
    };
    let fits = offered_profile == Some(profile)
        || (offered_profile == Some(Profile::Plain) && has_attributes(offered));
    if !fits {
        return Err(OfferError::Protocol(answered.protocol.clone()));
    }
    let theirs = answered
        .attributes_named("crypto")
        .find_map(CryptoLine::parse);
    if let Some(theirs) = theirs.filter(|_| profile != Profile::Dtls) {
        // RFC 4568 §5.1.3: the line it took, and no other.
        let ours = offered
            .attributes_named("crypto")
            .filter_map(CryptoLine::parse)
            .find(|ours| ours.tag == theirs.tag && ours.suite == theirs.suite);
        if let Some(ours) = ours {
            return Ok(NegotiatedSecurity::Sdes(SdesKeys {
                suite: theirs.suite,
                send: ours.key,
                receive: theirs.key,
                receive_mki_len: theirs.mki_len,
            }));
        }
        return Err(OfferError::Mismatch("a crypto line that was not offered"));
    }
    let peer = Fingerprint::of(session, answered);
    let own = offered.attribute("fingerprint").flatten();
    if let Some((own, peer)) = own.and_then(Fingerprint::parse).zip(peer) {
        let role = match (local.role, setup(session, answered)) {
            (Some(role), _) => role,
            (None, "active") => DtlsRole::Passive,
            // `actpass` is no answer, RFC 5763 §5; whoever says it waits.
            (None, _) => DtlsRole::Active,
        };
        let was_offered = offered.attribute("ice-ufrag").is_some();
        let paths = local.ice.as_ref().filter(|_| was_offered);
        let ice = paths
            .zip(ice::remote_ufrag(session, answered))
            .map(|(own, remote_ufrag)| own.with(remote_ufrag));
        return Ok(NegotiatedSecurity::Dtls {
            role,
            own,
            peer,
            ice,
        });
    }
    match (profile, local.policy) {
        (Profile::Plain, SecurityPolicy::Required) => Err(OfferError::NotSecure),
        (Profile::Plain, _) => Ok(NegotiatedSecurity::None),
        _ => Err(OfferError::Mismatch("a secure profile without keys")),
    }
}

#[cfg(test)]
#[path = "security_tests.rs"]
mod tests;
