//! Packets encrypted and authenticated, one stream at a time: SRTP and SRTCP, RFC 3711, with the AEAD ciphers of
//! RFC 7714. Owns the transforms (`transform`), the derivation of session keys (`derivation`), packet indices with
//! their rollover counters and the replay windows (`index`). Does not own where keys come from (SDP, or `dtls`), nor
//! sockets, nor what is inside the packets.
//!
//! The `webrtc` project's `rtc-srtp` was looked at first and not taken: it keeps a state for every SSRC it sees before
//! the packet has proved authentic, without a bound; its replay window knows 16 bits of the 48; and it allocates for
//! each packet. The primitives are ring's and the `aes` crate's.
//!
//! Nothing here fails for good: a packet that is forged, replayed or malformed is refused with a reason and leaves no
//! trace, and the next one is judged by itself. Bound: [`SSRCS_MAX`] senders per direction; a further one takes the
//! place of that longest silent.
//!
//! PURE.

mod derivation;
mod index;
mod transform;

use std::fmt;

use thiserror::Error;

use crate::rtp;
use index::Indices;
use transform::Transform;

/// Senders whose counters are kept, per direction and for RTP and RTCP each.
pub const SSRCS_MAX: usize = 16;

/// Octets a packet grows by at most when it is protected: tag and, for RTCP, index.
pub const GROWTH_MAX: usize = 20;

/// RTCP octets that stay in clear: the first header word and the sender, RFC 3711 section 3.4.
const RTCP_CLEAR_LEN: usize = 8;

/// How packets are encrypted and authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// RFC 3711: AES in counter mode, HMAC-SHA1 cut to 10 octets.
    AesCm128HmacSha1_80,
    /// The same with 4 octets on RTP, 10 on RTCP.
    AesCm128HmacSha1_32,
    /// RFC 7714.
    AeadAes128Gcm,
    /// RFC 7714.
    AeadAes256Gcm,
}

impl Suite {
    /// Octets of master key.
    pub const fn key_len(self) -> usize {
        match self {
            Suite::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Octets of master salt.
    pub const fn salt_len(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => 14,
            Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => 12,
        }
    }
}

/// A master key and its salt. `Debug` prints a placeholder.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySalt {
    key: Vec<u8>,
    salt: Vec<u8>,
}

impl KeySalt {
    /// `octets` is the key and then the salt, as in `a=crypto` (RFC 4568 section 6.1). `None` unless there are as many
    /// as `suite` wants.
    pub fn new(suite: Suite, octets: &[u8]) -> Option<KeySalt> {
        (octets.len() == suite.key_len() + suite.salt_len()).then(|| KeySalt {
            key: octets[..suite.key_len()].to_vec(),
            salt: octets[suite.key_len()..].to_vec(),
        })
    }
}

impl fmt::Debug for KeySalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySalt(…)")
    }
}

/// Keys of one stream, one way and the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrtpKeys {
    pub suite: Suite,
    /// What we encrypt with.
    pub send: KeySalt,
    /// What the peer encrypts with.
    pub receive: KeySalt,
    /// Octets in the peer's packets that name its key (MKI, RFC 3711 section 3.1); 0 for none, as in ours.
    pub receive_mki_len: u8,
}

/// Why a packet is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SrtpError {
    #[error("not an RTP or RTCP packet")]
    Malformed,
    #[error("the packet does not prove that it comes from the peer")]
    NotAuthentic,
    #[error("the packet came before, or is too old to tell")]
    Replayed,
    /// RFC 3711 section 9.2: 2^48 packets, 2^31 of RTCP.
    #[error("the key is used up")]
    KeyUsedUp,
}

/// Protection of one stream: packets to the peer and packets from it.
pub struct SrtpContext {
    send: Way,
    receive: Way,
    receive_mki_len: usize,
}

/// One direction.
struct Way {
    rtp: Transform,
    rtcp: Transform,
    rtp_indices: Indices,
    rtcp_indices: Indices,
}

impl Way {
    fn new(suite: Suite, master: &KeySalt) -> Way {
        Way {
            rtp: Transform::rtp(suite, &master.key, &master.salt),
            rtcp: Transform::rtcp(suite, &master.key, &master.salt),
            rtp_indices: Indices::new(),
            rtcp_indices: Indices::new(),
        }
    }
}

impl fmt::Debug for SrtpContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SrtpContext(…)")
    }
}

/// Length of the RTP header with CSRCs and extension, RFC 3550 section 5.1; sequence number and SSRC.
fn rtp_header(packet: &[u8]) -> Option<(usize, u16, u32)> {
    let fixed: &[u8; rtp::HEADER_LEN] = packet.first_chunk()?;
    if fixed[0] >> 6 != 2 || rtp::is_rtcp(packet) {
        return None;
    }
    let mut length = rtp::HEADER_LEN + usize::from(fixed[0] & 0x0f) * 4;
    if fixed[0] & 0x10 != 0 {
        let words = packet.get(length + 2..length + 4)?;
        length += 4 + usize::from(u16::from_be_bytes([words[0], words[1]])) * 4;
    }
    let sequence = u16::from_be_bytes([fixed[2], fixed[3]]);
    let ssrc = u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
    (length <= packet.len()).then_some((length, sequence, ssrc))
}

/// SSRC of the first RTCP packet, of the whole compound's sender.
fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let clear: &[u8; RTCP_CLEAR_LEN] = packet.first_chunk()?;
    rtp::is_rtcp(packet).then(|| u32::from_be_bytes([clear[4], clear[5], clear[6], clear[7]]))
}

impl SrtpContext {
    pub fn new(keys: &SrtpKeys) -> SrtpContext {
        SrtpContext {
            send: Way::new(keys.suite, &keys.send),
            receive: Way::new(keys.suite, &keys.receive),
            receive_mki_len: usize::from(keys.receive_mki_len),
        }
    }

    /// Goes on with other keys: of the direction whose key is the same, counters and windows are kept.
    pub fn rekey(&mut self, old: &SrtpKeys, new: &SrtpKeys) {
        let is_same_suite = old.suite == new.suite;
        if !is_same_suite || old.send != new.send {
            self.send = Way::new(new.suite, &new.send);
        }
        if !is_same_suite || old.receive != new.receive {
            self.receive = Way::new(new.suite, &new.receive);
        }
        self.receive_mki_len = usize::from(new.receive_mki_len);
    }

    /// Encrypts an RTP packet in place; it grows. A number that was sent before under this SSRC is refused: to encrypt
    /// two packets with one number would open both.
    pub fn protect(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        in_vec(packet, GROWTH_MAX, |buffer, len| {
            self.protect_in(buffer, len)
        })
    }

    /// Checks and decrypts an RTP packet in place; it shrinks. Refused, its octets are of no use any more.
    pub fn unprotect(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        in_vec(packet, 0, |buffer, len| self.unprotect_in(buffer, len))
    }

    /// As [`SrtpContext::protect`], for RTCP. The index is of our own counting.
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        in_vec(packet, GROWTH_MAX, |buffer, len| {
            self.protect_rtcp_in(buffer, len)
        })
    }

    /// As [`SrtpContext::unprotect`], for RTCP.
    pub fn unprotect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        in_vec(packet, 0, |buffer, len| self.unprotect_rtcp_in(buffer, len))
    }

    /// [`SrtpContext::protect`] without allocation: the packet is the first `len` octets of `buffer`, behind which
    /// there are at least [`GROWTH_MAX`] more. Says the new length.
    pub fn protect_in(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::Malformed)?;
        let (header, sequence, ssrc) = rtp_header(packet).ok_or(SrtpError::Malformed)?;
        let tag_len = self.send.rtp.tag_len();
        let buffer = buffer
            .get_mut(..len + tag_len)
            .ok_or(SrtpError::Malformed)?;
        let index = self.send.rtp_indices.next(ssrc, sequence)?;
        self.send.rtp.seal(buffer, header, len, ssrc, index);
        self.send.rtp_indices.accept(ssrc, index);
        Ok(len + tag_len)
    }

    /// [`SrtpContext::unprotect`] without allocation. Says the new length.
    pub fn unprotect_in(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get_mut(..len).ok_or(SrtpError::Malformed)?;
        let (header, sequence, ssrc) = rtp_header(packet).ok_or(SrtpError::Malformed)?;
        let tag_len = self.receive.rtp.tag_len();
        let trailer = tag_len + self.receive_mki_len;
        let end = len.checked_sub(trailer).filter(|end| *end >= header);
        let end = end.ok_or(SrtpError::Malformed)?;
        let (mut guesses, refusal) = self.receive.rtp_indices.guesses(ssrc, sequence);
        let (mki_len, rtp) = (self.receive_mki_len, &self.receive.rtp);
        let is_right =
            |packet: &mut [u8], index| rtp.open(packet, header, end, mki_len, ssrc, index);
        let likeliest = guesses.next();
        let mut others = guesses.peekable();
        // A packet that is refused may be left in pieces. Several guesses there are for a sender's first packets, and
        // behind one that was refused.
        let whole = others.peek().map(|_| packet.to_vec());
        let mut index = likeliest.filter(|index| is_right(packet, *index));
        if let (None, Some(whole)) = (index, whole) {
            index = others.find(|index| {
                packet.copy_from_slice(&whole);
                is_right(packet, *index)
            });
        }
        let Some(index) = index else {
            self.receive.rtp_indices.refuse(ssrc);
            return Err(refusal);
        };
        self.receive.rtp_indices.accept(ssrc, index);
        Ok(end)
    }

    /// [`SrtpContext::protect_rtcp`] without allocation.
    pub fn protect_rtcp_in(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::Malformed)?;
        let ssrc = rtcp_ssrc(packet).ok_or(SrtpError::Malformed)?;
        let grown = len + self.send.rtcp.tag_len() + 4;
        let buffer = buffer.get_mut(..grown).ok_or(SrtpError::Malformed)?;
        let index = self.send.rtcp_indices.next_counted(ssrc)?;
        self.send.rtcp.seal_rtcp(buffer, len, ssrc, index);
        self.send.rtcp_indices.accept(ssrc, u64::from(index));
        Ok(grown)
    }

    /// [`SrtpContext::unprotect_rtcp`] without allocation.
    pub fn unprotect_rtcp_in(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get_mut(..len).ok_or(SrtpError::Malformed)?;
        let ssrc = rtcp_ssrc(packet).ok_or(SrtpError::Malformed)?;
        let trailer = self.receive.rtcp.tag_len() + 4 + self.receive_mki_len;
        let end = len
            .checked_sub(trailer)
            .filter(|end| *end >= RTCP_CLEAR_LEN);
        let end = end.ok_or(SrtpError::Malformed)?;
        let rtcp = &self.receive.rtcp;
        let index = rtcp.rtcp_index(packet, self.receive_mki_len);
        self.receive.rtcp_indices.check(ssrc, u64::from(index))?;
        if !rtcp.open_rtcp(packet, end, self.receive_mki_len, ssrc) {
            return Err(SrtpError::NotAuthentic);
        }
        self.receive.rtcp_indices.accept(ssrc, u64::from(index));
        Ok(end)
    }
}

/// Room behind the packet while `work` is at it; its new length afterwards, its old one if it was refused.
fn in_vec(
    packet: &mut Vec<u8>,
    growth: usize,
    work: impl FnOnce(&mut [u8], usize) -> Result<usize, SrtpError>,
) -> Result<(), SrtpError> {
    let len = packet.len();
    packet.resize(len + growth, 0);
    let result = work(packet, len);
    packet.truncate(*result.as_ref().unwrap_or(&len));
    result.map(|_| ())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vector_tests;
