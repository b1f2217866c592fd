//! PURE.
//! Keys inside a session description, `a=crypto`, RFC 4568 with the suites of RFC 7714. Owns reading, writing and the
//! octets' discretion; does not own which line is taken (`offer_answer`), nor what the keys do.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::syntax;

/// How packets are encrypted and authenticated. Best first in `ALL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// RFC 7714: 32 octets of key, 12 of salt, a tag of 16.
    AeadAes256Gcm,
    /// RFC 7714: 16 octets of key, 12 of salt, a tag of 16.
    AeadAes128Gcm,
    /// RFC 3711: 16 octets of key, 14 of salt, a tag of 10.
    AesCm128HmacSha1_80,
    /// RFC 3711: the same with a tag of 4 on RTP (10 on RTCP).
    AesCm128HmacSha1_32,
}

impl Suite {
    pub const ALL: [Suite; 4] = [
        Suite::AeadAes256Gcm,
        Suite::AeadAes128Gcm,
        Suite::AesCm128HmacSha1_80,
        Suite::AesCm128HmacSha1_32,
    ];

    /// As written in `a=crypto`, RFC 4568 §6.2 and RFC 7714 §14.2.
    pub fn name(self) -> &'static str {
        match self {
            Suite::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Suite::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Suite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// Octets of master key.
    pub fn key_len(self) -> usize {
        match self {
            Suite::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Octets of master salt.
    pub fn salt_len(self) -> usize {
        match self {
            Suite::AeadAes256Gcm | Suite::AeadAes128Gcm => 12,
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => 14,
        }
    }
}

/// A master key and its salt, one behind the other. `Debug` prints a placeholder and there is no `Display`.
#[derive(Clone)]
pub struct KeySalt(Vec<u8>);

impl KeySalt {
    /// `None` unless there are as many octets as `suite` wants.
    pub fn new(suite: Suite, octets: &[u8]) -> Option<KeySalt> {
        (octets.len() == suite.key_len() + suite.salt_len()).then(|| KeySalt(octets.to_vec()))
    }

    /// Key, then salt: for the one place that encrypts with them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeySalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySalt(…)")
    }
}

impl PartialEq for KeySalt {
    fn eq(&self, other: &KeySalt) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeySalt {}

/// Keys of one stream, as agreed upon: one way and the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdesKeys {
    pub suite: Suite,
    /// Ours: what we encrypt with.
    pub send: KeySalt,
    /// Theirs: what we decrypt with.
    pub receive: KeySalt,
    /// Octets in front of the tag of every packet of theirs that name its key; 0 for none, as in all of ours.
    pub receive_mki_len: u8,
}

/// One `a=crypto` line with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CryptoLine {
    /// By which an answer names the line it took.
    pub tag: u32,
    pub suite: Suite,
    pub key: KeySalt,
    /// Octets that name the master key in every packet; 0 for none.
    pub mki_len: u8,
}

/// With padding written; some phones leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// A tag has nine digits at most, RFC 4568 §9.1.
const TAG_MAX: u64 = 999_999_999;
/// RFC 4568 §9.2.
const MKI_LEN_MAX: u64 = 128;
/// RFC 4568 §6.1: no key may protect more packets.
const LIFETIME_EXPONENT_MAX: u64 = 48;

impl CryptoLine {
    /// Reads the value of one `a=crypto`. `None`: malformed, or something we do not do (another suite, several keys, a
    /// demand to leave out encryption or authentication, keys derived anew while they are used); the line is then as if
    /// it were not there, RFC 4568 §6.3.1.
    pub fn parse(value: &str) -> Option<CryptoLine> {
        let mut words = value.split([' ', '\t']).filter(|word| !word.is_empty());
        let tag = syntax::number(words.next()?, TAG_MAX)? as u32;
        let name = words.next()?;
        let suite = Suite::ALL
            .into_iter()
            .find(|suite| suite.name().eq_ignore_ascii_case(name))?;
        let key = words.next()?;
        // RFC 4568 §6.3: an unknown parameter makes the line useless unless it begins with a minus. The size of the
        // replay window is a wish about a window that we keep anyway.
        if words.any(|word| !word.starts_with('-') && !word.starts_with("WSH=")) {
            return None;
        }
        let (method, info) = key.split_once(':')?;
        if !method.eq_ignore_ascii_case("inline") || info.contains(';') {
            return None;
        }
        let mut parts = info.split('|');
        let key = KeySalt::new(suite, &BASE64.decode(parts.next()?).ok()?)?;
        let mut mki_len = 0;
        for (place, part) in parts.enumerate() {
            match part.split_once(':') {
                Some((name, length)) if mki_len == 0 => {
                    syntax::number(name, u64::MAX)?;
                    mki_len =
                        syntax::number(length, MKI_LEN_MAX).filter(|length| *length > 0)? as u8;
                }
                None if place == 0 => is_lifetime(part).then_some(())?,
                _ => return None,
            }
        }
        Some(CryptoLine {
            tag,
            suite,
            key,
            mki_len,
        })
    }

    /// The value of the attribute. A line of ours has neither lifetime nor key name: no call lasts 2^31 packets.
    pub fn to_value(&self) -> String {
        format!(
            "{} {} inline:{}",
            self.tag,
            self.suite.name(),
            BASE64.encode(self.key.expose())
        )
    }
}

/// `2^31` or digits, at least one packet.
fn is_lifetime(text: &str) -> bool {
    match text.strip_prefix("2^") {
        Some(exponent) => syntax::number(exponent, LIFETIME_EXPONENT_MAX).is_some(),
        None => syntax::number(text, 1 << LIFETIME_EXPONENT_MAX).is_some_and(|packets| packets > 0),
    }
}

/// Fresh random octets that the keys of one leg of a call are drawn from, one per line: RFC 4568 §6.1 wants every
/// line's key its own. The same line of a later description gets the same key, so that a re-INVITE does not disturb
/// the stream.
#[derive(Clone)]
pub struct KeySeed([u8; 32]);

impl KeySeed {
    /// Takes octets from a generator fit for keys.
    pub fn new(octets: [u8; 32]) -> KeySeed {
        KeySeed(octets)
    }

    pub fn line(&self, mline: usize, tag: u32, suite: Suite) -> CryptoLine {
        let wanted = suite.key_len() + suite.salt_len();
        let mut octets = Vec::with_capacity(64);
        for round in 0u8..2 {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
            mac.update(suite.name().as_bytes());
            mac.update(&(mline as u64).to_be_bytes());
            mac.update(&tag.to_be_bytes());
            mac.update(&[round]);
            octets.extend_from_slice(&mac.finalize().into_bytes());
        }
        let key = KeySalt::new(suite, &octets[..wanted]).expect("cut to the length");
        CryptoLine {
            tag,
            suite,
            key,
            mki_len: 0,
        }
    }
}

impl fmt::Debug for KeySeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySeed(…)")
    }
}

impl PartialEq for KeySeed {
    fn eq(&self, other: &KeySeed) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeySeed {}

#[cfg(test)]
#[path = "sdes_tests.rs"]
mod tests;
