//! PURE.
//! Digest authentication, RFC 7616 and RFC 8760, as server and as client. Owns the arithmetic and the algorithms; the
//! rooms below own header fields, nonces, the server's verdict and the client's answer. Does not own accounts or who is
//! locked out (see `guard`).

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

pub(crate) mod client;
pub(crate) mod nonce;
pub(crate) mod server;
#[cfg(test)]
mod tests;

/// RFC 8760 §2.1. `-sess` variants and `auth-int` are neither offered nor taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    /// The token in a challenge.
    pub fn token(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    /// RFC 7616 §3.3: a challenge or answer without the parameter means MD5. `None` for one we do not have.
    pub(crate) fn from_token(token: Option<&str>) -> Option<Algorithm> {
        match token {
            None => Some(Algorithm::Md5),
            Some(token) => [Algorithm::Md5, Algorithm::Sha256]
                .into_iter()
                .find(|a| a.token().eq_ignore_ascii_case(token)),
        }
    }

    /// H() of RFC 7616 §3.4, in lower-case hex.
    pub(crate) fn hash(self, data: &str) -> String {
        #[cfg(test)]
        crate::testing::count_hash();
        match self {
            Algorithm::Md5 => hex(&Md5::digest(data.as_bytes())),
            Algorithm::Sha256 => hex(&Sha256::digest(data.as_bytes())),
        }
    }
}

/// HA1 of RFC 7616 §3.4.2: what a server stores instead of the password. 32 or 64 lower-case hex digits.
pub fn ha1(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> Secret {
    Secret::new(algorithm.hash(&format!("{user}:{realm}:{password}")))
}

/// What RFC 7616 §3.4.1 hashes besides HA1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseInput<'a> {
    pub(crate) nonce: &'a str,
    /// `nc` as sent, and `cnonce`. `None` is the older form of RFC 2617 §3.2.2.1 without qop.
    pub(crate) count: Option<(&'a str, &'a str)>,
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
}

/// KD() of RFC 7616 §3.4.1, with qop=auth where there is a count.
pub(crate) fn response(algorithm: Algorithm, ha1: &Secret, input: ResponseInput<'_>) -> Secret {
    let ha2 = algorithm.hash(&format!("{}:{}", input.method, input.uri));
    let ha1 = ha1.expose();
    Secret::new(match input.count {
        Some((nc, cnonce)) => {
            algorithm.hash(&format!("{ha1}:{}:{nc}:{cnonce}:auth:{ha2}", input.nonce))
        }
        None => algorithm.hash(&format!("{ha1}:{}:{ha2}", input.nonce)),
    })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
