//! PURE.
//! The one piece of STUN that a SIP port needs, RFC 5626 §4.4.2: a Binding request is a keep-alive, and its answer tells
//! the phone under which address it is seen. Formats of RFC 8489. Does not own authentication, of which RFC 5626 §8 wants
//! none here, nor a client, nor the rate at which strangers may ask (see `guard`). The `media` crate reads checks of paths with
//! a codec of its own, which proves names: leaves share nothing, and the few lines both have are cheaper than a sixth leaf.

use std::net::{IpAddr, SocketAddr};

const HEADER_LEN: usize = 20;
/// RFC 8489 §5: tells STUN from everything older, and with the two zero bits before it from SIP.
const MAGIC_COOKIE: u32 = 0x2112_a442;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FINGERPRINT: u16 = 0x8028;
/// Attributes of credentials: understood, and of no interest to a server that asks for none.
const CREDENTIALS: [u16; 5] = [0x0006, 0x0008, 0x001c, 0x001e, 0x0014];
/// Types below this must be understood, RFC 8489 §14.
const OPTIONAL_FROM: u16 = 0x8000;
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// Unknown attributes that are listed back; a request with more is no keep-alive of a phone.
const UNKNOWN_MAX: usize = 4;
/// Octets by which an answer may be longer than its question: the address (24 for IPv6) is all it has to add, or the
/// error code and the list of what was unknown.
pub const GROWTH_MAX: usize = 24;

/// Whether a datagram on a SIP port is STUN: RFC 5626 §8, RFC 8489 §5.
pub fn is_stun(data: &[u8]) -> bool {
    data.len() >= HEADER_LEN && data[0] & 0xc0 == 0 && data[4..8] == MAGIC_COOKIE.to_be_bytes()
}

/// The answer to a Binding request from `source`; `None` for anything else, which is dropped. Never longer than the
/// request by more than `GROWTH_MAX`.
pub fn answer(request: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let length = usize::from(u16_at(request, 2)?);
    let is_whole = length.is_multiple_of(4) && request.len() == HEADER_LEN + length;
    if !is_stun(request) || !is_whole || u16_at(request, 0)? != BINDING_REQUEST {
        return None;
    }
    let mut unknown = Vec::new();
    let mut has_fingerprint = false;
    let mut at = HEADER_LEN;
    while at < request.len() {
        // After a fingerprint nothing may come, RFC 8489 §14.7.
        if has_fingerprint {
            return None;
        }
        let (kind, length) = (u16_at(request, at)?, usize::from(u16_at(request, at + 2)?));
        let value = request.get(at + 4..at + 4 + length)?;
        if kind == FINGERPRINT {
            let found = u32::from_be_bytes(value.try_into().ok()?);
            if found != crc32(&request[..at]) ^ FINGERPRINT_XOR {
                return None;
            }
            has_fingerprint = true;
        } else if kind < OPTIONAL_FROM && !CREDENTIALS.contains(&kind) && !unknown.contains(&kind) {
            unknown.push(kind);
        }
        at += 4 + length.next_multiple_of(4);
    }
    if unknown.len() > UNKNOWN_MAX {
        return None;
    }
    let transaction = &request[4..HEADER_LEN];
    let mut answer = Answer::new(
        match unknown.is_empty() {
            true => BINDING_SUCCESS,
            false => BINDING_ERROR,
        },
        transaction,
    );
    if unknown.is_empty() {
        answer.attribute(XOR_MAPPED_ADDRESS, &xored(source, transaction));
    } else {
        // RFC 8489 §6.3.1: 420, and which they were. The phrase may be empty.
        answer.attribute(ERROR_CODE, &[0, 0, 4, 20]);
        let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        answer.attribute(UNKNOWN_ATTRIBUTES, &list);
    }
    Some(answer.finish(has_fingerprint))
}

struct Answer(Vec<u8>);

impl Answer {
    fn new(kind: u16, transaction: &[u8]) -> Answer {
        let mut bytes = Vec::with_capacity(HEADER_LEN + GROWTH_MAX + 8);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(transaction);
        Answer(bytes)
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

    fn finish(mut self, with_fingerprint: bool) -> Vec<u8> {
        if with_fingerprint {
            // RFC 8489 §14.7: the length counts the fingerprint before it is there.
            self.set_length(8);
            let sum = crc32(&self.0) ^ FINGERPRINT_XOR;
            self.attribute(FINGERPRINT, &sum.to_be_bytes());
        }
        self.0
    }
}

/// RFC 8489 §14.2; `transaction` starts with the magic cookie.
fn xored(source: SocketAddr, transaction: &[u8]) -> Vec<u8> {
    let port = source.port() ^ (MAGIC_COOKIE >> 16) as u16;
    let (family, octets) = match source.ip().to_canonical() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    let mut value = vec![0, family];
    value.extend(port.to_be_bytes());
    value.extend(
        octets
            .iter()
            .zip(transaction)
            .map(|(octet, key)| octet ^ key),
    );
    value
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    let octets = data.get(at..at + 2)?;
    Some(u16::from_be_bytes([octets[0], octets[1]]))
}

/// ITU V.42, as RFC 8489 §14.7 asks. Requests are a few dozen octets long: a table would not pay.
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
