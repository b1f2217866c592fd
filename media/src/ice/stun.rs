//! STUN as connectivity checks use it: a Binding request with a name, a proof and a checksum read from a datagram, and
//! the answer to one written. RFC 8489; the attributes of RFC 8445 section 16.1.
//!
//! Owns the format and both sums. Does not own: who may ask and what follows from it (`ice`), STUN of a SIP port (the
//! `sip` crate has its own, without proofs: leaves share nothing), requests of ours, of which there are none outside tests.
//!
//! PURE.

use std::net::{IpAddr, SocketAddr};

use ring::hmac;
use thiserror::Error;

const HEADER_LEN: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
/// Types below this must be understood, RFC 8489 section 14.
const OPTIONAL_FROM: u16 = 0x8000;

const FINGERPRINT_XOR: u32 = 0x5354_554e;
const INTEGRITY_LEN: usize = 20;
/// Unknown attributes that are listed back.
const UNKNOWN_MAX: usize = 8;
/// Longer ones are no check of anybody.
pub const REQUEST_LEN_MAX: usize = 548;

/// Why a datagram is no check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StunError {
    #[error("not a whole STUN message")]
    Malformed,
    /// An indication, an answer, another method: nothing that wants an answer of ours.
    #[error("not a Binding request")]
    NotAsked,
    #[error("a checksum is missing or wrong")]
    Fingerprint,
}

/// Whether a datagram on a media port is STUN: RFC 7983, RFC 8489 section 5.
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER_LEN && datagram[0] < 4 && datagram[4..8] == MAGIC_COOKIE
}

/// A Binding request as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    bytes: &'a [u8],
    pub username: &'a [u8],
    /// Where the proof stands, and what it is.
    integrity: (usize, &'a [u8]),
    /// RFC 8445 section 7.1.1: what the path would be worth to the peer.
    pub priority: u32,
    /// RFC 8445 section 8.1.1: this is the path.
    pub use_candidate: bool,
    /// The peer believes that we choose the path.
    pub controlled: bool,
    pub unknown: Vec<u16>,
}

/// Reads a Binding request with name, proof and checksum, RFC 8445 section 7.1. What stands behind the proof does not
/// count, RFC 8489 section 14.5. The checksum is verified here, the proof by [`Request::is_proven`].
pub fn read(datagram: &[u8]) -> Result<Request<'_>, StunError> {
    let is_whole = is_stun(datagram)
        && datagram.len() <= REQUEST_LEN_MAX
        && u16_at(datagram, 2).is_some_and(|length| {
            let length = usize::from(length);
            length.is_multiple_of(4) && datagram.len() == HEADER_LEN + length
        });
    if !is_whole {
        return Err(StunError::Malformed);
    }
    if u16_at(datagram, 0) != Some(BINDING_REQUEST) {
        return Err(StunError::NotAsked);
    }
    let mut request = Request {
        bytes: datagram,
        username: &[],
        integrity: (0, &[]),
        priority: 0,
        use_candidate: false,
        controlled: false,
        unknown: Vec::new(),
    };
    let mut at = HEADER_LEN;
    let mut has_fingerprint = false;
    while at < datagram.len() {
        // RFC 8489 section 14.7: the checksum is the last.
        if has_fingerprint {
            return Err(StunError::Malformed);
        }
        let malformed = StunError::Malformed;
        let kind = u16_at(datagram, at).ok_or(malformed)?;
        let length = usize::from(u16_at(datagram, at + 2).ok_or(malformed)?);
        let value = datagram.get(at + 4..at + 4 + length).ok_or(malformed)?;
        let is_counted = request.integrity.0 == 0;
        match kind {
            FINGERPRINT => {
                let found = <[u8; 4]>::try_from(value).map_err(|_| malformed)?;
                if u32::from_be_bytes(found) != crc32(&datagram[..at]) ^ FINGERPRINT_XOR {
                    return Err(StunError::Fingerprint);
                }
                has_fingerprint = true;
            }
            _ if !is_counted => {}
            USERNAME => request.username = value,
            MESSAGE_INTEGRITY if value.len() == INTEGRITY_LEN => request.integrity = (at, value),
            PRIORITY if value.len() == 4 => {
                request.priority = u32::from_be_bytes([value[0], value[1], value[2], value[3]]);
            }
            USE_CANDIDATE if value.is_empty() => request.use_candidate = true,
            ICE_CONTROLLED => request.controlled = true,
            // The stronger proof may stand beside the one of RFC 8445, and is not asked for.
            MESSAGE_INTEGRITY_SHA256 => {}
            MESSAGE_INTEGRITY | PRIORITY | USE_CANDIDATE => return Err(malformed),
            OPTIONAL_FROM.. => {}
            _ if request.unknown.contains(&kind) => {}
            _ if request.unknown.len() < UNKNOWN_MAX => request.unknown.push(kind),
            _ => {}
        }
        at += 4 + length.next_multiple_of(4);
    }
    match has_fingerprint {
        true => Ok(request),
        false => Err(StunError::Fingerprint),
    }
}

impl Request<'_> {
    /// Whether whoever asks knows the password. RFC 8489 section 14.5, short-term credentials.
    pub fn is_proven(&self, password: &[u8]) -> bool {
        let (at, proof) = self.integrity;
        if at == 0 {
            return false;
        }
        // The length in the header counts up to the proof, whatever follows it.
        let length = (at - HEADER_LEN + 4 + INTEGRITY_LEN) as u16;
        let mut signed = self.bytes[..at].to_vec();
        signed[2..4].copy_from_slice(&length.to_be_bytes());
        hmac::verify(&key(password), &signed, proof).is_ok()
    }

    /// The address its sender is seen at. RFC 8445 section 7.3.1.3.
    pub fn accept(&self, source: SocketAddr, password: &[u8]) -> Vec<u8> {
        let mut answer = Message::new(BINDING_SUCCESS, &self.bytes[4..HEADER_LEN]);
        answer.attribute(XOR_MAPPED_ADDRESS, &xored(source, &self.bytes[4..20]));
        answer.finish(password)
    }

    /// A refusal, of those alone who have proven themselves. RFC 8489 section 6.3.1.1 (420), RFC 8445 section 7.3.1.1 (487).
    pub fn refuse(&self, code: u16, password: &[u8]) -> Vec<u8> {
        let mut answer = Message::new(BINDING_ERROR, &self.bytes[4..HEADER_LEN]);
        let (class, number) = ((code / 100) as u8, (code % 100) as u8);
        answer.attribute(ERROR_CODE, &[0, 0, class, number]);
        if code == 420 {
            let list: Vec<u8> = self.unknown.iter().flat_map(|k| k.to_be_bytes()).collect();
            answer.attribute(UNKNOWN_ATTRIBUTES, &list);
        }
        answer.finish(password)
    }
}

/// What a peer asks: for tests and fuzz bodies, which play one.
pub(crate) fn ask(transaction: [u8; 12], username: &str, nominate: bool, pwd: &str) -> Vec<u8> {
    let mut head = MAGIC_COOKIE.to_vec();
    head.extend(transaction);
    let mut request = Message::new(BINDING_REQUEST, &head);
    request.attribute(USERNAME, username.as_bytes());
    request.attribute(PRIORITY, &0x6e00_1eff_u32.to_be_bytes());
    // ICE-CONTROLLING, with its tie-breaker.
    request.attribute(0x802a, &[7; 8]);
    if nominate {
        request.attribute(USE_CANDIDATE, &[]);
    }
    request.finish(pwd.as_bytes())
}

fn key(password: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password)
}

struct Message(Vec<u8>);

impl Message {
    /// `head`: magic cookie and transaction.
    fn new(kind: u16, head: &[u8]) -> Message {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(head);
        Message(bytes)
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.0.extend(kind.to_be_bytes());
        self.0.extend((value.len() as u16).to_be_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.set_length(0);
    }

    fn set_length(&mut self, more: usize) {
        let length = (self.0.len() - HEADER_LEN + more) as u16;
        self.0[2..4].copy_from_slice(&length.to_be_bytes());
    }

    /// Proof, then checksum; the length counts each before it is there.
    fn finish(mut self, password: &[u8]) -> Vec<u8> {
        self.set_length(4 + INTEGRITY_LEN);
        let proof = hmac::sign(&key(password), &self.0);
        self.attribute(MESSAGE_INTEGRITY, proof.as_ref());
        self.set_length(8);
        let sum = crc32(&self.0) ^ FINGERPRINT_XOR;
        self.attribute(FINGERPRINT, &sum.to_be_bytes());
        self.0
    }
}

/// RFC 8489 section 14.2; `head` is magic cookie and transaction.
fn xored(source: SocketAddr, head: &[u8]) -> Vec<u8> {
    let port = source.port() ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]]);
    let (family, octets) = match source.ip().to_canonical() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    let mut value = vec![0, family];
    value.extend(port.to_be_bytes());
    value.extend(octets.iter().zip(head).map(|(octet, key)| octet ^ key));
    value
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    let octets = data.get(at..at + 2)?;
    Some(u16::from_be_bytes([octets[0], octets[1]]))
}

/// ITU V.42, as RFC 8489 section 14.7 asks.
fn crc32(data: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for octet in data {
        sum ^= u32::from(*octet);
        for _ in 0..8 {
            sum = sum >> 1 ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    !sum
}

#[cfg(test)]
#[path = "stun_tests.rs"]
mod tests;
