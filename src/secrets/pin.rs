//! PINs of accounts: made with Argon2id (RFC 9106), so that guessing at the file is slow. A PIN has few digits all the
//! same: whoever reads the secret store can find it. What protects it is the mode of that file, and the count of tries.

use argon2::{Algorithm, Argon2, Params, Version};
use std::io;

use agent_bridge::approvals::answer::{PIN_DIGITS_MAX, PIN_DIGITS_MIN};
use agent_bridge::levels::Level;
use rand::TryRng as _;
use rand::rngs::SysRng;
use subtle::ConstantTimeEq as _;

use super::SecretsError;
use crate::redact::Secret;

const NAME: &str = "argon2id";
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// Memory in KiB, passes, lanes: what OWASP's password storage sheet asks for at least.
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// What an account's PIN raises to, and how it is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub level: Level,
    /// `argon2id$KIB$PASSES$LANES$SALT$HASH`, the last two in hex.
    pub(super) hash: Secret,
}

impl Pin {
    /// A fifth of a second or so. Digits only.
    pub fn new(digits: &Secret, level: Level) -> Result<Pin, SecretsError> {
        let text = digits.expose();
        let is_long_enough = (PIN_DIGITS_MIN..=PIN_DIGITS_MAX).contains(&text.len());
        if !is_long_enough || !text.bytes().all(|byte| byte.is_ascii_digit()) || is_plain(text) {
            return Err(SecretsError::BadPin);
        }
        let mut salt = [0; SALT_BYTES];
        let random = SysRng.try_fill_bytes(&mut salt);
        random.map_err(|error| SecretsError::Random(io::Error::other(error)))?;
        let hash = hashed(COST, &salt, digits).ok_or(SecretsError::BadPin)?;
        let (memory_kib, passes, lanes) = COST;
        let (salt, hash) = (hex(&salt), hex(&hash));
        Ok(Pin {
            level,
            hash: Secret::new(format!(
                "{NAME}${memory_kib}${passes}${lanes}${salt}${hash}"
            )),
        })
    }

    /// Whether these are its digits. As slow as making it; a hash that can't be read fits nothing.
    pub fn fits(&self, digits: &Secret) -> bool {
        let parts: Vec<&str> = self.hash.expose().split('$').collect();
        let [NAME, memory_kib, passes, lanes, salt, hash] = parts[..] else {
            return false;
        };
        let cost = (memory_kib.parse(), passes.parse(), lanes.parse());
        let (Ok(memory_kib), Ok(passes), Ok(lanes)) = cost else {
            return false;
        };
        let (Some(salt), Some(hash)) = (bytes(salt), bytes(hash)) else {
            return false;
        };
        // Whoever edits the file does not get to choose what a call costs.
        let is_sane = memory_kib <= COST.0 * 16 && passes <= 16 && lanes <= 16;
        is_sane
            && hashed((memory_kib, passes, lanes), &salt, digits)
                .is_some_and(|found| found.as_slice().ct_eq(&hash).into())
    }
}

fn hashed(cost: (u32, u32, u32), salt: &[u8], digits: &Secret) -> Option<[u8; HASH_BYTES]> {
    let (memory_kib, passes, lanes) = cost;
    let params = Params::new(memory_kib, passes, lanes, Some(HASH_BYTES)).ok()?;
    let mut out = [0; HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(digits.expose().as_bytes(), salt, &mut out)
        .ok()?;
    Some(out)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// One digit over and over, or all in a row: what everybody tries first.
fn is_plain(digits: &str) -> bool {
    let steps = digits.as_bytes().windows(2);
    let steps: Vec<i16> = steps
        .map(|pair| i16::from(pair[1]) - i16::from(pair[0]))
        .collect();
    steps.iter().all(|step| *step == steps[0]) && matches!(steps[0], -1..=1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_known_again() {
        let secret = |text: &str| Secret::new(text);
        let pin = Pin::new(&secret("4071"), Level::Owner).expect("a PIN");
        assert!(pin.fits(&secret("4071")));
        assert!(!pin.fits(&secret("4072")) && !pin.fits(&secret("")));
        assert!(!format!("{pin:?}").contains("argon2"), "{pin:?}");
        let other = Pin::new(&secret("4071"), Level::Owner).expect("a PIN");
        assert_ne!(pin.hash, other.hash, "salted");
        let broken = Pin {
            level: Level::Owner,
            hash: secret("4071"),
        };
        assert!(!broken.fits(&secret("4071")));
    }

    #[test]
    fn bad_pins() {
        for text in [
            "",
            "471",
            "123456789",
            "12a4",
            "４０７１",
            "1234",
            "4321",
            "0000",
            "77777777",
            "12345678",
        ] {
            let made = Pin::new(&Secret::new(text), Level::Owner);
            assert!(matches!(made, Err(SecretsError::BadPin)), "{text}");
        }
    }
}
