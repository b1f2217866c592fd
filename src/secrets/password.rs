//! Passwords and tokens nobody has to think up.
//!
//! A phone's password is 20 characters of Crockford's base 32 (digits and letters without I, L, O, U) in
//! groups of four: 100 bits, easy to read out and to type on a small screen. Tokens are 256 bits.

use std::io;

use rand::TryRng;
use rand::rngs::SysRng;

use super::SecretsError;
use crate::redact::Secret;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const GROUPS: usize = 5;
const GROUP_CHARS: usize = 4;

/// 32 random bytes, to be written as one kind of secret.
pub struct Generated([u8; 32]);

/// Takes 32 bytes from the operating system.
pub fn generate() -> Result<Generated, SecretsError> {
    let mut bytes = [0; 32];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| SecretsError::Random(io::Error::other(error)))?;
    Ok(Generated(bytes))
}

impl Generated {
    /// Such as `7q2m-x0fd-9hzk-4w1c-b8te`.
    pub fn phone_password(&self) -> Secret {
        let letters: Vec<char> = self.letters().take(GROUPS * GROUP_CHARS).collect();
        let groups: Vec<String> = letters.chunks(GROUP_CHARS).map(String::from_iter).collect();
        Secret::new(groups.join("-"))
    }

    /// Six digits that are not all the same.
    pub fn pin(&self) -> Secret {
        let bytes = self.0[..8].try_into().unwrap_or_default();
        let number = u64::from_le_bytes(bytes) % 900_000 + 100_000;
        // Too easy to guess ones are few: the next number is as good.
        let number = match number {
            111_111 | 222_222 | 333_333 | 444_444 | 555_555 | 666_666 | 777_777 | 888_888
            | 999_999 | 123_456 | 234_567 | 345_678 | 456_789 | 987_654 | 876_543 | 765_432
            | 654_321 | 543_210 => number - 7,
            number => number,
        };
        Secret::new(number.to_string())
    }

    /// 51 characters without a sign.
    pub fn token(&self) -> Secret {
        Secret::new(self.letters().collect::<String>())
    }

    /// Five bits at a time.
    fn letters(&self) -> impl Iterator<Item = char> {
        let bit = |index: usize| (self.0[index / 8] >> (7 - index % 8)) & 1;
        let count = self.0.len() * 8 / 5;
        (0..count).map(move |letter| {
            let value = (0..5).fold(0, |value, offset| value << 1 | bit(letter * 5 + offset));
            char::from(ALPHABET[usize::from(value)])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let check = |bytes: [u8; 32], password: &str, token_start: &str| {
            let generated = Generated(bytes);
            assert_eq!(generated.phone_password().expose(), password);
            let token = generated.token();
            assert_eq!(token.expose().len(), 51);
            assert!(
                token.expose().starts_with(token_start),
                "{}",
                token.expose()
            );
        };
        check([0; 32], "0000-0000-0000-0000-0000", "0000");
        check([0xff; 32], "zzzz-zzzz-zzzz-zzzz-zzzz", "zzzz");
        let mut counting = [0; 32];
        (0u8..)
            .zip(&mut counting)
            .for_each(|(value, byte)| *byte = value);
        check(counting, "000g-40r4-0m30-e209-185g", "000g40r4");
    }

    #[test]
    fn two_are_never_the_same() {
        let [a, b] = [generate().unwrap(), generate().unwrap()];
        assert_ne!(a.phone_password(), b.phone_password());
        assert_ne!(a.token(), b.token());
    }
}
