//! PURE.
//! The server's side of digest: the challenge, and the verdict on an answer, RFC 7616 §3.3 to §3.5 and RFC 3261 §22.
//! A wrong password and an unknown name take the same path. Does not own lock-outs (see `guard`) or responses.

use std::collections::HashMap;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::nonce::{NonceError, Nonces};
use super::{Algorithm, ResponseInput, hex, response};
use crate::endpoint::{AuthConfig, User};
use crate::header::{AuthParams, HeaderName};
use crate::message::Request;
use crate::secret::Secret;
use crate::syntax::quote;
use crate::uri::Uri;

/// User-Agents that give up on a 401 with a challenge they do not know, wherever it stands among the others: RFC 8760
/// §2.4 has a client ignore it. Seen with baresip 1.0.0 (libre 1.1.0, Debian 12) and SIPp 3.6.1. A client that does not
/// say what it is may be either.
const MD5_ONLY_CLIENTS: [&str; 3] = ["baresip v0.", "baresip v1.", "SIPp"];

/// Answers read from one request. A phone may send one per algorithm it was offered.
const CREDENTIALS_MAX: usize = 4;

/// What an answer is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted {
        user: String,
    },
    /// No answer for our realm: challenge.
    Missing,
    /// Its nonce is not ours, or not good any more: challenge with stale=true, no failure. The digest was not looked
    /// at, so this tells nobody whether a guess was right.
    Stale,
    /// The digest is right but this count of its nonce was used before: the request came twice, or somebody repeats what
    /// he overheard. Challenge with stale=true where it is not the former.
    Replayed {
        user: String,
    },
    /// Wrong: counts as a failure of this name, then challenge.
    Wrong {
        user: String,
    },
    /// No answer can be read from it: 400.
    Malformed(&'static str),
}

#[derive(Debug)]
pub(crate) struct DigestServer {
    realm: String,
    algorithms: Vec<Algorithm>,
    nonces: Nonces,
    /// Stands in for the HA1 of names that do not exist.
    decoy_key: Secret,
    users: HashMap<String, User>,
    /// Accounts of trunks, which may call and not register.
    trunk_accounts: HashMap<String, User>,
}

impl DigestServer {
    /// `keys`: for nonces and for decoys.
    pub(crate) fn new(realm: &str, config: &AuthConfig, keys: [[u8; 32]; 2]) -> DigestServer {
        let [nonce_key, decoy_key] = keys;
        let ttl_ms = u64::from(config.nonce_ttl_s) * 1000;
        DigestServer {
            realm: realm.to_owned(),
            algorithms: config.algorithms.clone(),
            nonces: Nonces::new(
                nonce_key,
                ttl_ms,
                config.nonce_bound_to_address,
                config.nonces_max,
            ),
            decoy_key: Secret::new(hex(&decoy_key)),
            users: HashMap::new(),
            trunk_accounts: HashMap::new(),
        }
    }

    /// A user's account of the same name goes first.
    pub(crate) fn set_trunk_accounts(&mut self, accounts: impl Iterator<Item = User>) {
        self.trunk_accounts = accounts
            .map(|account| (account.name.clone(), account))
            .collect();
    }

    pub(crate) fn is_trunk_account(&self, name: &str) -> bool {
        !self.users.contains_key(name) && self.trunk_accounts.contains_key(name)
    }

    pub(crate) fn set_users(&mut self, users: Vec<User>) {
        self.users = users
            .into_iter()
            .map(|user| (user.name.clone(), user))
            .collect();
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        self.users.contains_key(name) || self.trunk_accounts.contains_key(name)
    }

    /// WWW-Authenticate values, the preferred algorithm first: RFC 8760 §2.4. `client` is the User-Agent. Without
    /// `opaque`, which RFC 7616 §3.3 leaves to us: the nonce holds all that is to come back.
    pub(crate) fn challenge(
        &mut self,
        now_ms: u64,
        source: IpAddr,
        stale: bool,
        client: Option<&str>,
    ) -> Vec<String> {
        let md5_only = self.algorithms.contains(&Algorithm::Md5)
            && client.is_none_or(|client| {
                MD5_ONLY_CLIENTS
                    .iter()
                    .any(|known| client.starts_with(known))
            });
        let nonce = self.nonces.issue(now_ms, source);
        let realm = quote(&self.realm);
        let stale = if stale { ", stale=true" } else { "" };
        self.algorithms
            .iter()
            .filter(|algorithm| !md5_only || **algorithm == Algorithm::Md5)
            .map(|algorithm| {
                format!(
                    "Digest realm={realm}, nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{stale}",
                    algorithm.token()
                )
            })
            .collect()
    }

    /// Whether a request brings an answer for our realm with an algorithm we offer.
    pub(crate) fn is_answered(&self, request: &Request) -> bool {
        self.answer_in(request).is_some()
    }

    fn answer_in(&self, request: &Request) -> Option<(AuthParams, Algorithm)> {
        let answers = request.headers.credentials(&HeaderName::Authorization);
        let ours = |answer: &AuthParams| {
            answer.is_digest() && answer.get("realm") == Some(self.realm.as_str())
        };
        answers
            .into_iter()
            .take(CREDENTIALS_MAX)
            .filter(ours)
            .find_map(|answer| {
                let algorithm = Algorithm::from_token(answer.get("algorithm"))
                    .filter(|algorithm| self.algorithms.contains(algorithm))?;
                Some((answer, algorithm))
            })
    }

    /// Judges the first answer for our realm with an algorithm we offer.
    pub(crate) fn verify(&mut self, now_ms: u64, request: &Request, source: IpAddr) -> Verdict {
        match self.answer_in(request) {
            Some((answer, algorithm)) => self.judge(now_ms, request, &answer, algorithm, source),
            None => Verdict::Missing,
        }
    }

    fn judge(
        &mut self,
        now_ms: u64,
        request: &Request,
        answer: &AuthParams,
        algorithm: Algorithm,
        source: IpAddr,
    ) -> Verdict {
        let (Some(user), Some(nonce), Some(uri), Some(digest)) = (
            answer.get("username"),
            answer.get("nonce"),
            answer.get("uri"),
            answer.get("response"),
        ) else {
            return Verdict::Malformed("incomplete Authorization");
        };
        let user = user.to_owned();
        // RFC 7616 §3.4: qop was offered, so it must be used; without it nothing would stop a replay.
        let (Some("auth"), Some(nc), Some(cnonce)) =
            (answer.get("qop"), answer.get("nc"), answer.get("cnonce"))
        else {
            return Verdict::Malformed("qop=auth with nc and cnonce is required");
        };
        let is_count = nc.len() == 8 && nc.bytes().all(|b| b.is_ascii_hexdigit());
        let Some(count) = is_count.then(|| u32::from_str_radix(nc, 16).ok()).flatten() else {
            return Verdict::Malformed("nc is not eight hex digits");
        };
        // RFC 7616 §3.4.6: the answer must be for what is asked.
        if !same_resource(uri, &request.uri) {
            return Verdict::Malformed("digest uri is not the Request-URI");
        }
        // RFC 7616 §3.3: stale is said of the nonce alone. Only whoever was given the nonce at this address gets a guess,
        // so a failure always is that address's own.
        let Ok(id) = self.nonces.check(now_ms, nonce, source) else {
            return Verdict::Stale;
        };
        let method = request.method.to_string();
        let expected = self.ha1(algorithm, &user, source);
        let input = ResponseInput {
            nonce,
            count: Some((nc, cnonce)),
            method: &method,
            uri,
        };
        let right =
            response(algorithm, &expected.0, input) == Secret::new(digest.to_ascii_lowercase());
        // Both are looked at in every case, so that a name's existence shows in neither answer nor time.
        if !(right & expected.1) {
            return Verdict::Wrong { user };
        }
        match self.nonces.take(now_ms, id, count) {
            Ok(()) => Verdict::Accepted { user },
            Err(NonceError::Replayed) => Verdict::Replayed { user },
            Err(NonceError::Foreign | NonceError::Expired) => Verdict::Stale,
        }
    }

    /// The stored HA1, or a decoy of the same length that nothing answers to; and whether it is a real one.
    fn ha1(&self, algorithm: Algorithm, user: &str, source: IpAddr) -> (Secret, bool) {
        let decoy = self.decoy(algorithm, user);
        let stored = self
            .users
            .get(user)
            .or_else(|| self.trunk_accounts.get(user))
            .filter(|user| !user.local_only || source.to_canonical().is_loopback());
        let stored = stored.map(|user| match algorithm {
            Algorithm::Md5 => &user.ha1_md5,
            Algorithm::Sha256 => &user.ha1_sha256,
        });
        match stored {
            Some(ha1) if !ha1.is_empty() => (ha1.clone(), true),
            _ => (decoy, false),
        }
    }

    fn decoy(&self, algorithm: Algorithm, user: &str) -> Secret {
        #[cfg(test)]
        crate::testing::count_hash();
        let mut mac = Hmac::<Sha256>::new_from_slice(self.decoy_key.expose().as_bytes())
            .expect("HMAC takes any key");
        mac.update(user.as_bytes());
        let full = mac.finalize().into_bytes();
        Secret::new(match algorithm {
            Algorithm::Md5 => hex(&full[..16]),
            Algorithm::Sha256 => hex(&full),
        })
    }
}

/// Equal text, or the same scheme, user, host and port: parameters get lost on the way through proxies and libraries. A
/// URI without a user names the whole server, and clients disagree whether by its name or its address: any will do.
fn same_resource(digest_uri: &str, request_uri: &Uri) -> bool {
    if digest_uri == request_uri.to_string() {
        return true;
    }
    digest_uri.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme == request_uri.scheme
            && uri.user == request_uri.user
            && (uri.user.is_none()
                || uri
                    .host
                    .to_string()
                    .eq_ignore_ascii_case(&request_uri.host.to_string())
                    && uri.port == request_uri.port)
    })
}
