//! One packet, sealed and opened. RFC 3711 sections 3.1, 3.4 and 4 (counter mode, HMAC-SHA1), RFC 7714 (GCM).
//!
//! Does not own which index a packet has, nor whether it came before (`index`).
//!
//! PURE.

use aes::Aes128;
use aes::cipher::KeyInit;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use ring::hmac;
use subtle::ConstantTimeEq;

use super::derivation::{Label, counter_mode, derive};
use super::{RTCP_CLEAR_LEN, Suite};

/// RFC 7714 section 5: never cut.
const GCM_TAG_LEN: usize = 16;

/// RFC 3711 section 3.4: the flag in front of the RTCP index that says the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// Session keys of one direction, for RTP or for RTCP.
pub(super) enum Transform {
    Counter {
        cipher: Box<Aes128>,
        salt: [u8; 14],
        mac: Box<hmac::Key>,
        tag_len: usize,
    },
    Gcm {
        key: Box<LessSafeKey>,
        salt: [u8; 12],
    },
}

impl Transform {
    pub(super) fn rtp(suite: Suite, key: &[u8], salt: &[u8]) -> Transform {
        let tag_len = match suite {
            Suite::AesCm128HmacSha1_32 => 4,
            _ => 10,
        };
        let labels = [
            Label::RtpEncryption,
            Label::RtpAuthentication,
            Label::RtpSalt,
        ];
        Transform::new(suite, key, salt, labels, tag_len)
    }

    pub(super) fn rtcp(suite: Suite, key: &[u8], salt: &[u8]) -> Transform {
        let labels = [
            Label::RtcpEncryption,
            Label::RtcpAuthentication,
            Label::RtcpSalt,
        ];
        // RFC 4568 section 6.2.2: the short tag is for RTP only.
        Transform::new(suite, key, salt, labels, 10)
    }

    fn new(suite: Suite, key: &[u8], salt: &[u8], labels: [Label; 3], tag_len: usize) -> Transform {
        let [encryption, authentication, salting] = labels;
        let gcm = |algorithm, session_key: &[u8]| {
            let unbound = UnboundKey::new(algorithm, session_key);
            Transform::Gcm {
                key: Box::new(LessSafeKey::new(unbound.expect("derived to the length"))),
                salt: derive(key, salt, salting),
            }
        };
        match suite {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => {
                let session_key: [u8; 16] = derive(key, salt, encryption);
                let mac_key: [u8; 20] = derive(key, salt, authentication);
                Transform::Counter {
                    cipher: Box::new(Aes128::new(&session_key.into())),
                    salt: derive(key, salt, salting),
                    mac: Box::new(hmac::Key::new(
                        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                        &mac_key,
                    )),
                    tag_len,
                }
            }
            Suite::AeadAes128Gcm => gcm(&AES_128_GCM, &derive::<16>(key, salt, encryption)),
            Suite::AeadAes256Gcm => gcm(&AES_256_GCM, &derive::<32>(key, salt, encryption)),
        }
    }

    pub(super) fn tag_len(&self) -> usize {
        match self {
            Transform::Counter { tag_len, .. } => *tag_len,
            Transform::Gcm { .. } => GCM_TAG_LEN,
        }
    }

    /// Encrypts `buffer[header..len]` and writes the tag behind it, to the end of `buffer`.
    pub(super) fn seal(&self, buffer: &mut [u8], header: usize, len: usize, ssrc: u32, index: u64) {
        match self {
            Transform::Counter {
                cipher,
                salt,
                mac,
                tag_len,
            } => {
                let (packet, tag) = buffer.split_at_mut(len);
                counter_mode(&**cipher, counter(salt, ssrc, index), &mut packet[header..]);
                let rollovers = (index >> 16) as u32;
                let full = authenticate(mac, packet, &rollovers.to_be_bytes());
                tag.copy_from_slice(&full.as_ref()[..*tag_len]);
            }
            Transform::Gcm { key, salt } => {
                let (packet, tag) = buffer.split_at_mut(len);
                let (header, payload) = packet.split_at_mut(header);
                let sealed = key
                    .seal_in_place_separate_tag(
                        rtp_nonce(salt, ssrc, index),
                        Aad::from(header),
                        payload,
                    )
                    .expect("a packet is shorter than GCM's limit");
                tag.copy_from_slice(sealed.as_ref());
            }
        }
    }

    /// Whether the packet is authentic; if so, `packet[header..end]` is decrypted. The key's name lies before the tag,
    /// or behind it with GCM (RFC 7714 section 13.2).
    pub(super) fn open(
        &self,
        packet: &mut [u8],
        header: usize,
        end: usize,
        mki_len: usize,
        ssrc: u32,
        index: u64,
    ) -> bool {
        match self {
            Transform::Counter {
                cipher, salt, mac, ..
            } => {
                let rollovers = (index >> 16) as u32;
                let full = authenticate(mac, &packet[..end], &rollovers.to_be_bytes());
                if !is_tag(&full, &packet[end + mki_len..]) {
                    return false;
                }
                counter_mode(
                    &**cipher,
                    counter(salt, ssrc, index),
                    &mut packet[header..end],
                );
                true
            }
            Transform::Gcm { key, salt } => {
                let (header, rest) = packet.split_at_mut(header);
                let (payload, trailer) = rest.split_at_mut(end - header.len());
                let Ok(tag) = Tag::try_from(&trailer[..GCM_TAG_LEN]) else {
                    return false;
                };
                let nonce = rtp_nonce(salt, ssrc, index);
                key.open_in_place_separate_tag(nonce, Aad::from(&*header), tag, payload, 0..)
                    .is_ok()
            }
        }
    }

    /// Encrypts the RTCP packet `buffer[..len]`; index and tag fill the rest of `buffer`.
    pub(super) fn seal_rtcp(&self, buffer: &mut [u8], len: usize, ssrc: u32, index: u32) {
        let word = (ENCRYPTED | index).to_be_bytes();
        match self {
            Transform::Counter {
                cipher,
                salt,
                mac,
                tag_len,
            } => {
                let start = counter(salt, ssrc, u64::from(index));
                counter_mode(&**cipher, start, &mut buffer[RTCP_CLEAR_LEN..len]);
                buffer[len..len + 4].copy_from_slice(&word);
                let (packet, tag) = buffer.split_at_mut(len + 4);
                let full = authenticate(mac, packet, &[]);
                tag.copy_from_slice(&full.as_ref()[..*tag_len]);
            }
            Transform::Gcm { key, salt } => {
                let aad = rtcp_aad(buffer, word);
                let (packet, trailer) = buffer.split_at_mut(len);
                let sealed = key
                    .seal_in_place_separate_tag(
                        rtcp_nonce(salt, ssrc, index),
                        Aad::from(aad),
                        &mut packet[RTCP_CLEAR_LEN..],
                    )
                    .expect("a packet is shorter than GCM's limit");
                trailer[..GCM_TAG_LEN].copy_from_slice(sealed.as_ref());
                trailer[GCM_TAG_LEN..].copy_from_slice(&word);
            }
        }
    }

    /// Flag and index of an RTCP packet that is long enough.
    fn rtcp_word(&self, packet: &[u8], mki_len: usize) -> [u8; 4] {
        let from = match self {
            Transform::Counter { tag_len, .. } => packet.len() - tag_len - mki_len - 4,
            Transform::Gcm { .. } => packet.len() - mki_len - 4,
        };
        packet[from..from + 4].try_into().expect("four octets")
    }

    pub(super) fn rtcp_index(&self, packet: &[u8], mki_len: usize) -> u32 {
        u32::from_be_bytes(self.rtcp_word(packet, mki_len)) & !ENCRYPTED
    }

    /// Whether the RTCP packet is authentic; if so, `packet[..end]` is in clear.
    pub(super) fn open_rtcp(
        &self,
        packet: &mut [u8],
        end: usize,
        mki_len: usize,
        ssrc: u32,
    ) -> bool {
        let word = self.rtcp_word(packet, mki_len);
        let index = u32::from_be_bytes(word) & !ENCRYPTED;
        let is_encrypted = u32::from_be_bytes(word) & ENCRYPTED != 0;
        match self {
            Transform::Counter {
                cipher, salt, mac, ..
            } => {
                let full = authenticate(mac, &packet[..end + 4], &[]);
                if !is_tag(&full, &packet[end + 4 + mki_len..]) {
                    return false;
                }
                if is_encrypted {
                    let start = counter(salt, ssrc, u64::from(index));
                    counter_mode(&**cipher, start, &mut packet[RTCP_CLEAR_LEN..end]);
                }
                true
            }
            Transform::Gcm { key, salt } => {
                let clear = rtcp_aad(packet, word);
                let nonce = rtcp_nonce(salt, ssrc, index);
                let (body, trailer) = packet.split_at_mut(end);
                let Ok(tag) = Tag::try_from(&trailer[..GCM_TAG_LEN]) else {
                    return false;
                };
                if is_encrypted {
                    let body = &mut body[RTCP_CLEAR_LEN..];
                    return key
                        .open_in_place_separate_tag(nonce, Aad::from(clear), tag, body, 0..)
                        .is_ok();
                }
                // RFC 7714 section 9.3: authenticated as a whole, encrypted not at all.
                let aad: Vec<u8> = body.iter().chain(&word).copied().collect();
                key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, &mut [], 0..)
                    .is_ok()
            }
        }
    }
}

fn authenticate(key: &hmac::Key, packet: &[u8], behind: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(packet);
    context.update(behind);
    context.sign()
}

fn is_tag(full: &hmac::Tag, received: &[u8]) -> bool {
    full.as_ref()[..received.len()].ct_eq(received).into()
}

/// RFC 3711 section 4.1.1: salt, SSRC and index; the last two octets count blocks.
fn counter(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut counter = [0u8; 16];
    counter[..14].copy_from_slice(salt);
    xor(&mut counter[4..8], &ssrc.to_be_bytes());
    xor(&mut counter[8..14], &index.to_be_bytes()[2..]);
    counter
}

/// RFC 7714 section 8.1.
fn rtp_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.to_be_bytes());
    xor(&mut nonce[6..12], &index.to_be_bytes()[2..]);
    Nonce::assume_unique_for_key(nonce)
}

/// RFC 7714 section 9.1.
fn rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.to_be_bytes());
    xor(&mut nonce[8..12], &index.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// RFC 7714 section 9.2: what stays in clear, and the word with flag and index.
fn rtcp_aad(packet: &[u8], word: [u8; 4]) -> [u8; RTCP_CLEAR_LEN + 4] {
    let mut aad = [0u8; RTCP_CLEAR_LEN + 4];
    aad[..RTCP_CLEAR_LEN].copy_from_slice(&packet[..RTCP_CLEAR_LEN]);
    aad[RTCP_CLEAR_LEN..].copy_from_slice(&word);
    aad
}

fn xor(into: &mut [u8], with: &[u8]) {
    for (octet, other) in into.iter_mut().zip(with) {
        *octet ^= other;
    }
}
