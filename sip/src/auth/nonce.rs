//! PURE.
//! Nonces that cannot be forged, borrowed or used twice, RFC 7616 §3.3 and §5.4: a time and a serial number under an HMAC
//! bound to the address it was given to, and a window of used counts per nonce. Issuing one keeps no state; only a nonce
//! that answered rightly is remembered.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Counts below the highest by this much are too old to be told apart from replays.
const WINDOW: u32 = 64;
const MAC_LEN: usize = 14;
/// Octets of the time, which lasts for eight thousand years, and of the serial number, which starts again after a while.
const ISSUED_LEN: usize = 6;
const SERIAL_LEN: usize = 4;
const NONCE_LEN: usize = ISSUED_LEN + SERIAL_LEN + MAC_LEN;
/// In base64, without padding. Short, because every challenge to a stranger carries it.
pub(crate) const NONCE_CHARS: usize = NONCE_LEN / 3 * 4;

/// When and as which one a nonce was issued. Orders nonces by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NonceId {
    issued_ms: u64,
    serial: u32,
}

impl NonceId {
    fn octets(self) -> [u8; ISSUED_LEN + SERIAL_LEN] {
        let mut octets = [0; ISSUED_LEN + SERIAL_LEN];
        octets[..ISSUED_LEN].copy_from_slice(&self.issued_ms.to_be_bytes()[8 - ISSUED_LEN..]);
        octets[ISSUED_LEN..].copy_from_slice(&self.serial.to_be_bytes());
        octets
    }
}

/// Why a nonce may not be used. All of them make the answer `stale=true` if its digest is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NonceError {
    /// Not ours, from before a restart, or given to another address.
    Foreign,
    Expired,
    /// This count was used before, or is too far behind.
    Replayed,
}

/// Which counts of one nonce were used: the highest, and bit n for the one n below it.
#[derive(Debug, Clone, Copy)]
struct Window {
    highest: u32,
    used: u64,
}

impl Window {
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let ahead = count - self.highest;
            self.used = if ahead >= WINDOW {
                1
            } else {
                self.used << ahead | 1
            };
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        if behind >= WINDOW || self.used & (1 << behind) != 0 {
            return false;
        }
        self.used |= 1 << behind;
        true
    }
}

#[derive(Debug)]
pub(crate) struct Nonces {
    key: Key,
    serial: u32,
    ttl_ms: u64,
    bound_to_address: bool,
    used: BTreeMap<NonceId, Window>,
    used_max: usize,
    /// Nonces up to this one are stale: their windows had to make room.
    retired: Option<NonceId>,
}

/// Keeps the HMAC key out of `Debug`.
struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Nonces {
    pub(crate) fn new(
        key: [u8; 32],
        ttl_ms: u64,
        bound_to_address: bool,
        used_max: usize,
    ) -> Nonces {
        let used = BTreeMap::new();
        Nonces {
            key: Key(key),
            serial: 0,
            ttl_ms,
            bound_to_address,
            used,
            used_max: used_max.max(1),
            retired: None,
        }
    }

    fn mac(&self, id: NonceId, source: IpAddr) -> [u8; MAC_LEN] {
        #[cfg(test)]
        crate::testing::count_hash();
        // HMAC takes a key of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key.0).expect("HMAC takes any key");
        mac.update(&id.octets());
        if self.bound_to_address {
            mac.update(source.to_canonical().to_string().as_bytes());
        }
        let full = mac.finalize().into_bytes();
        let mut cut = [0; MAC_LEN];
        cut.copy_from_slice(&full[..MAC_LEN]);
        cut
    }

    /// A fresh nonce of `NONCE_CHARS`.
    pub(crate) fn issue(&mut self, now_ms: u64, source: IpAddr) -> String {
        self.serial = self.serial.wrapping_add(1);
        let id = NonceId {
            issued_ms: now_ms,
            serial: self.serial,
        };
        let mut octets = [0; NONCE_LEN];
        octets[..NONCE_LEN - MAC_LEN].copy_from_slice(&id.octets());
        octets[NONCE_LEN - MAC_LEN..].copy_from_slice(&self.mac(id, source));
        URL_SAFE_NO_PAD.encode(octets)
    }

    /// Whether the nonce is ours, young and from this address. Says nothing about its counts.
    pub(crate) fn check(
        &self,
        now_ms: u64,
        nonce: &str,
        source: IpAddr,
    ) -> Result<NonceId, NonceError> {
        let mut bytes = [0; NONCE_LEN];
        let decoded =
            (nonce.len() == NONCE_CHARS).then(|| URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes));
        if !matches!(decoded, Some(Ok(NONCE_LEN))) {
            return Err(NonceError::Foreign);
        }
        let (id, mac) = bytes.split_at(NONCE_LEN - MAC_LEN);
        let (issued, serial) = id.split_at(ISSUED_LEN);
        let number = |octets: &[u8]| octets.iter().fold(0, |n, b| n << 8 | u64::from(*b));
        let id = NonceId {
            issued_ms: number(issued),
            serial: u32::try_from(number(serial)).unwrap_or(0),
        };
        if !bool::from(self.mac(id, source).ct_eq(mac)) {
            return Err(NonceError::Foreign);
        }
        if now_ms.saturating_sub(id.issued_ms) > self.ttl_ms
            || self.retired.is_some_and(|retired| id <= retired)
        {
            return Err(NonceError::Expired);
        }
        Ok(id)
    }

    /// RFC 7616 §3.4: each count is good once. Call only for a right answer, so that strangers cannot fill the table.
    pub(crate) fn take(&mut self, now_ms: u64, id: NonceId, count: u32) -> Result<(), NonceError> {
        if count == 0 {
            return Err(NonceError::Replayed);
        }
        if let Some(window) = self.used.get_mut(&id) {
            return if window.take(count) {
                Ok(())
            } else {
                Err(NonceError::Replayed)
            };
        }
        while self
            .used
            .first_key_value()
            .is_some_and(|(id, _)| now_ms.saturating_sub(id.issued_ms) > self.ttl_ms)
        {
            self.used.pop_first();
        }
        if self.used.len() >= self.used_max {
            // Full: the oldest nonce makes room, and everything as old becomes stale rather than replayable.
            self.retired = self
                .used
                .pop_first()
                .map(|(oldest, _)| oldest)
                .max(self.retired);
            if self.retired.is_some_and(|retired| id <= retired) {
                return Err(NonceError::Expired);
            }
        }
        self.used.insert(
            id,
            Window {
                highest: count,
                used: 1,
            },
        );
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.used.len()
    }
}
