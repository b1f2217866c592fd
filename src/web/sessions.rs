//! PURE. What a link and a cookie are made of, how long they last, and how often somebody may try: RFC 6265 for the
//! cookie. Random bytes and times come from outside.
//!
//! Not here: where hashes are kept (`store::web`).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use sha2::{Digest as _, Sha256};

use crate::redact::Secret;

/// How long a link waits to be used.
pub const LINK_MS: u64 = 10 * 60 * 1000;
/// A browser that was away for longer has to sign in again.
pub const UNUSED_MS_MAX: u64 = 180 * 24 * 3600 * 1000;
/// How often it is written down that a browser was here.
pub const SEEN_EVERY_MS: u64 = 3600 * 1000;
/// What browsers keep a cookie for at most.
const COOKIE_S: u64 = 400 * 24 * 3600;
/// Longest token that is looked at.
const TOKEN_CHARS_MAX: usize = 128;

/// What is kept of a link or a cookie: 64 hexadecimal digits. They hold 255 random bits, so no salt and no slow hash.
pub fn hash(token: &str) -> String {
    let sum = Sha256::digest(token.as_bytes());
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether this can be a token of ours at all.
pub fn is_plausible(token: &str) -> bool {
    !token.is_empty()
        && token.len() <= TOKEN_CHARS_MAX
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The cookie's name: browsers don't keep ports apart, and two of us may run on one machine.
pub fn cookie_name(port: u16) -> String {
    format!("offhook_{port}")
}

/// `Set-Cookie`. No script sees it, no other site sends it, and over https it stays there.
pub fn set_cookie(port: u16, token: &Secret, is_https: bool) -> String {
    let name = cookie_name(port);
    let secure = if is_https { "; Secure" } else { "" };
    format!(
        "{name}={}; Path=/; Max-Age={COOKIE_S}; HttpOnly; SameSite=Strict{secure}",
        token.expose()
    )
}

/// `Set-Cookie` that takes it away.
pub fn clear_cookie(port: u16) -> String {
    format!(
        "{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
        cookie_name(port)
    )
}

/// Our token among the cookies of a `Cookie` header.
pub fn token_in(cookies: &str, port: u16) -> Option<&str> {
    let name = cookie_name(port);
    let mut pairs = cookies
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(key, _)| *key == name)
        .map(|(_, token)| token)
        .filter(|token| is_plausible(token))
}

/// Where a link leads, as a browser on this machine and one elsewhere would open it; the best one first. The token stands
/// behind `#`: browsers send that to nobody, so that no log and no look-ahead uses it up.
pub fn links(url: &str, addresses: &[SocketAddr], token: &Secret) -> Vec<String> {
    let token = token.expose();
    let own = (!url.is_empty()).then(|| format!("{url}/#login={token}"));
    let here = |address: &SocketAddr| {
        let address = match address.ip() {
            ip if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], address.port())),
            _ => *address,
        };
        format!("http://{address}/#login={token}")
    };
    // The same machine has one line, not one per family.
    let has_four = addresses.iter().any(|address| address.is_ipv4());
    let addresses = addresses
        .iter()
        .filter(|address| !(has_four && address.is_ipv6() && address.ip().is_loopback()));
    own.into_iter().chain(addresses.map(here)).collect()
}

/// Tries to sign in, counted by who tries and in all: a window of a minute.
#[derive(Debug, Default)]
pub struct Tries {
    minute: u64,
    all: u32,
    by: HashMap<IpAddr, u32>,
}

/// Of one address in a minute.
const TRIES_MAX: u32 = 10;
/// Of all addresses in a minute. A link is too long to be guessed: this only bounds the work.
const TRIES_MAX_ALL: u32 = 1_000;

impl Tries {
    /// Whether `from` may try now; counts it if so. None: an address that many share. At most `TRIES_MAX_ALL` addresses are
    /// remembered.
    pub fn may(&mut self, from: Option<IpAddr>, now_unix_ms: u64) -> bool {
        let minute = now_unix_ms / 60_000;
        if minute != self.minute {
            *self = Tries {
                minute,
                ..Tries::default()
            };
        }
        if self.all >= TRIES_MAX_ALL {
            return false;
        }
        if let Some(from) = from {
            let count = self.by.entry(from.to_canonical()).or_default();
            if *count >= TRIES_MAX {
                return false;
            }
            *count += 1;
        }
        self.all += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_among_others() {
        let rows = [
            ("offhook_8060=abc", Some("abc")),
            ("a=b; offhook_8060=abc; c=d", Some("abc")),
            ("offhook_8061=abc", None),
            ("xoffhook_8060=abc", None),
            ("offhook_8060=", None),
            ("offhook_8060=a b", None),
            ("offhook_8060=\u{e4}", None),
            ("", None),
            (";;=;", None),
        ];
        for (cookies, token) in rows {
            assert_eq!(token_in(cookies, 8060), token, "{cookies}");
        }
        let long = format!("offhook_8060={}", "a".repeat(TOKEN_CHARS_MAX + 1));
        assert_eq!(token_in(&long, 8060), None);
    }

    #[test]
    fn a_cookie_is_hidden_from_scripts_and_other_sites() {
        let token = Secret::new("abc");
        let plain = set_cookie(8060, &token, false);
        for part in ["offhook_8060=abc;", "HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(plain.contains(part), "{plain}");
        }
        assert!(!plain.contains("Secure"));
        assert!(set_cookie(8060, &token, true).ends_with("; Secure"));
    }

    #[test]
    fn links_lead_where_a_browser_can_go() {
        let token = Secret::new("t");
        let addresses = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter()
                .map(|a| a.parse().expect("an address"))
                .collect()
        };
        let rows: [(&str, &[&str], &[&str]); 4] = [
            (
                "",
                &["127.0.0.1:8060", "[::1]:8060"],
                &["http://127.0.0.1:8060/#login=t"],
            ),
            ("", &["[::1]:8060"], &["http://[::1]:8060/#login=t"]),
            (
                "https://a.example",
                &["127.0.0.1:8060", "100.64.0.7:8060"],
                &[
                    "https://a.example/#login=t",
                    "http://127.0.0.1:8060/#login=t",
                    "http://100.64.0.7:8060/#login=t",
                ],
            ),
            ("", &["0.0.0.0:8060"], &["http://127.0.0.1:8060/#login=t"]),
        ];
        for (url, list, expected) in rows {
            assert_eq!(links(url, &addresses(list), &token), expected);
        }
    }

    #[test]
    fn tries_are_counted_by_address_and_in_all() {
        let mut tries = Tries::default();
        let one = IpAddr::from([192, 0, 2, 1]);
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().expect("an address");
        for n in 0..TRIES_MAX {
            let from = if n % 2 == 0 { one } else { mapped };
            assert!(tries.may(Some(from), 0), "{n}");
        }
        assert!(!tries.may(Some(one), 59_999));
        assert!(
            tries.may(None, 59_999),
            "where many share one, none is shut out"
        );
        assert!(tries.may(Some(one), 60_000));
        let mut tries = Tries::default();
        let all = (0..8).flat_map(|m| (0..=255).map(move |n| IpAddr::from([192, 0, m, n])));
        let allowed = all.filter(|from| tries.may(Some(*from), 0)).count();
        assert_eq!(allowed, TRIES_MAX_ALL as usize);
        assert!(!tries.may(None, 0));
    }

    #[test]
    fn a_hash_is_sha_256_in_hexadecimal() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hash(""), empty);
    }
}
