//! PURE.
//! The client's side of digest: which challenge to answer and the answer, RFC 7616 §3.4 and RFC 3261 §22.2. Keeps the
//! nonce and its count so that a refresh needs no new challenge.

use super::{Algorithm, ResponseInput, ha1, response};
use crate::header::AuthParams;
use crate::secret::Secret;
use crate::syntax::quote;

/// A challenge we can answer, and how often we did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// The parameter was there, so it is sent back.
    algorithm_named: bool,
    qop_auth: bool,
    pub(crate) stale: bool,
    count: u32,
}

impl Challenge {
    /// RFC 8760 §2.4: the topmost challenge that we can answer.
    pub(crate) fn choose<'a>(
        challenges: impl Iterator<Item = &'a AuthParams>,
    ) -> Option<Challenge> {
        challenges.filter_map(Challenge::read).next()
    }

    fn read(field: &AuthParams) -> Option<Challenge> {
        if !field.is_digest() {
            return None;
        }
        let algorithm = Algorithm::from_token(field.get("algorithm"))?;
        let qop = field.get("qop");
        let qop_auth = qop.is_some_and(|list| {
            list.split(',')
                .any(|one| one.trim().eq_ignore_ascii_case("auth"))
        });
        // A list without `auth` asks for auth-int, which we do not have.
        if qop.is_some_and(|list| !list.trim().is_empty()) && !qop_auth {
            return None;
        }
        Some(Challenge {
            realm: field.get("realm")?.to_owned(),
            nonce: field.get("nonce")?.to_owned(),
            opaque: field.get("opaque").map(str::to_owned),
            algorithm,
            algorithm_named: field.get("algorithm").is_some(),
            qop_auth,
            stale: field
                .get("stale")
                .is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            count: 0,
        })
    }

    /// The value of Authorization or Proxy-Authorization for one request.
    pub(crate) fn answer(
        &mut self,
        user: &str,
        password: &Secret,
        method: &str,
        uri: &str,
        cnonce: &str,
    ) -> String {
        self.count += 1;
        let nc = format!("{:08x}", self.count);
        let secret = ha1(self.algorithm, user, &self.realm, password.expose());
        let count = self.qop_auth.then_some((nc.as_str(), cnonce));
        let input = ResponseInput {
            nonce: &self.nonce,
            count,
            method,
            uri,
        };
        let digest = response(self.algorithm, &secret, input);
        let mut value = format!(
            "Digest username={}, realm={}, nonce=\"{}\", uri=\"{uri}\", response=\"{}\"",
            quote(user),
            quote(&self.realm),
            self.nonce,
            digest.expose()
        );
        if self.algorithm_named {
            value.push_str(&format!(", algorithm={}", self.algorithm.token()));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque=\"{opaque}\""));
        }
        if self.qop_auth {
            value.push_str(&format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\""));
        }
        value
    }
}
