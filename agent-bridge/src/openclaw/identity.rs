//! Who we are to a gateway: an Ed25519 key (RFC 8032) and the proof made with it. Owns the arithmetic; the key's file is
//! `key_file`'s.
//! PURE.

use ring::digest;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::wire::{CLIENT_ID, CLIENT_MODE, Device, PLATFORM, ROLE, SCOPES};

/// Octets of a key's seed.
pub const SEED_BYTES: usize = 32;

/// Our device.
pub struct DeviceKey {
    pair: Ed25519KeyPair,
    id: String,
    public_key: String,
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceKey({})", self.id)
    }
}

impl DeviceKey {
    /// None only for a seed that the library refuses, of which none is known.
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Option<DeviceKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = pair.public_key().as_ref();
        Some(DeviceKey {
            id: hex(digest::digest(&digest::SHA256, public).as_ref()),
            public_key: base64url(public),
            pair,
        })
    }

    /// SHA-256 of the public key, in hexadecimal.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Answers a challenge, in the gateway's third form of proof. `token` is the one sent beside it.
    pub(super) fn prove<'a>(&'a self, nonce: &'a str, at_ms: u64, token: &str) -> Device<'a> {
        let signature = self
            .pair
            .sign(self.statement(nonce, at_ms, token).as_bytes());
        Device {
            id: &self.id,
            public_key: &self.public_key,
            signature: base64url(signature.as_ref()),
            signed_at: at_ms,
            nonce,
        }
    }

    fn statement(&self, nonce: &str, at_ms: u64, token: &str) -> String {
        // The last field is the device's family, of which a server has none.
        format!(
            "v3|{}|{CLIENT_ID}|{CLIENT_MODE}|{ROLE}|{}|{at_ms}|{token}|{nonce}|{PLATFORM}|",
            self.id,
            SCOPES.join(","),
        )
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 4648 section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = 0u32;
        for n in 0..3 {
            group = group << 8 | u32::from(chunk.get(n).copied().unwrap_or(0));
        }
        for n in 0..=chunk.len() {
            let at = (group >> (18 - 6 * n)) & 63;
            out.push(char::from(LETTERS[at as usize]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, UnparsedPublicKey};

    #[test]
    fn a_proof_verifies_and_binds_what_it_says() {
        let key = DeviceKey::from_seed(&[7; 32]).expect("any seed is a key");
        assert_eq!(key.id().len(), 64);
        let device = key.prove("nonce", 1_700_000_000_000, "token");
        let statement = key.statement("nonce", 1_700_000_000_000, "token");
        assert!(
            statement.starts_with(&format!("v3|{}|gateway-client|backend|operator|", key.id()))
        );
        assert!(
            statement.ends_with(
                "|operator.read,operator.write,operator.approvals|1700000000000|token|nonce|linux|"
            ) || statement.contains(
                "operator.read,operator.write,operator.approvals|1700000000000|token|nonce|linux|"
            )
        );
        assert_eq!(
            (device.signed_at, device.nonce),
            (1_700_000_000_000, "nonce")
        );
        let public = key.pair.public_key().as_ref();
        let signature = key.pair.sign(statement.as_bytes());
        assert_eq!(device.signature, base64url(signature.as_ref()));
        let verifier = UnparsedPublicKey::new(&ED25519, public);
        assert!(
            verifier
                .verify(statement.as_bytes(), signature.as_ref())
                .is_ok()
        );
        let other = key.statement("nonce", 1_700_000_000_000, "another");
        assert!(
            verifier
                .verify(other.as_bytes(), signature.as_ref())
                .is_err()
        );
    }

    #[test]
    fn the_letters_are_those_of_rfc_4648() {
        let check = |bytes: &[u8], text: &str| assert_eq!(base64url(bytes), text);
        check(b"", "");
        check(b"f", "Zg");
        check(b"fo", "Zm8");
        check(b"foo", "Zm9v");
        check(b"foob", "Zm9vYg");
        check(&[0xfb, 0xff, 0xfe], "-__-");
    }
}
