//! PURE. Whether a request may be believed: who signed in by a proxy's word, whether it comes from our own page, and
//! whether the name it was sent to can be ours.
//!
//! A browser sends cookies along with whatever another site makes it ask for. `SameSite=Strict` stops most of that; here
//! is the rest: every change must carry a header that only a script of our own origin can set, and `Sec-Fetch-Site` or
//! `Origin` must say so too (Fetch standard; RFC 6454 section 7).
//!
//! Not here: cookies (`web::sessions`), bearer tokens (`console`).

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};

use crate::config::{ForwardAuth, Web};
use crate::signalling::page_phone::forwarded_for;

/// A header of our page's requests: no other origin may send it without being asked first, and we never agree.
pub const OWN_HEADER: &str = "x-offhook";

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The account that the proxy names; none where there is no such proxy, or the request did not come from it.
pub fn forwarded(
    auth: &ForwardAuth,
    headers: &HeaderMap,
    from: IpAddr,
    accounts: &[String],
) -> Option<String> {
    if auth.header.is_empty() || !auth.from.contains(&from.to_canonical()) {
        return None;
    }
    // Two of them: one is not the proxy's.
    let mut named = headers.get_all(auth.header.as_str()).iter();
    let (Some(name), None) = (named.next(), named.next()) else {
        return None;
    };
    let name = name.to_str().ok()?.trim();
    let here = auth.users.iter().find(|(there, _)| there == name);
    let account = here.map_or(name, |(_, here)| here);
    accounts.iter().find(|known| *known == account).cloned()
}

/// Who asks, for counting: the address itself, or what a trusted proxy says of it. None: it is this machine's, and may be a
/// proxy's that speaks for everybody.
pub fn client(web: &Web, headers: &HeaderMap, from: IpAddr) -> Option<IpAddr> {
    let from = from.to_canonical();
    let told = match web.forward_auth.from.contains(&from) {
        true => forwarded_for(headers),
        false => None,
    };
    told.or_else(|| (!from.is_loopback()).then_some(from))
}

/// Whether the page is looked at over https, as far as we are told.
pub fn is_https(web: &Web, headers: &HeaderMap, from: IpAddr) -> bool {
    // The browser's own word, which concerns nobody else.
    if text(headers, "origin").is_some_and(|origin| origin.starts_with("https://")) {
        return true;
    }
    let is_proxy = web.forward_auth.from.contains(&from.to_canonical());
    let says_so = text(headers, "x-forwarded-proto") == Some("https");
    (is_proxy && says_so) || (web.url.starts_with("https://") && host(headers) == url_host(web))
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
}

fn url_host(web: &Web) -> Option<&str> {
    web.url.split_once("://").map(|(_, host)| host)
}

/// Whether the Host header can be ours: an address, this machine, or the host of `[web] url`. A name of somebody else's
/// that was made to point here (DNS rebinding) is none of them.
pub fn is_our_host(web: &Web, headers: &HeaderMap) -> bool {
    let Some(host) = host(headers) else {
        return false;
    };
    let is_address = host.parse::<SocketAddr>().is_ok()
        || host.parse::<IpAddr>().is_ok()
        || host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|six| six.parse::<IpAddr>().is_ok());
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    is_address
        || name.eq_ignore_ascii_case("localhost")
        || url_host(web).is_some_and(|ours| ours.eq_ignore_ascii_case(host))
}

/// Whether another site's page has sent this, by what the browser says. Programs say nothing.
pub fn is_of_another_site(headers: &HeaderMap) -> bool {
    text(headers, "sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

/// Whether a change was asked for by our own page.
pub fn is_of_our_page(web: &Web, headers: &HeaderMap) -> bool {
    let is_same_site = text(headers, "sec-fetch-site").map(|site| site == "same-origin");
    let is_same_origin = text(headers, "origin").map(|origin| {
        let of_host = origin.split_once("://").map(|(_, host)| host);
        (of_host.is_some() && of_host == host(headers))
            || (!web.url.is_empty() && origin == web.url)
    });
    // One of the two must be there, and neither may speak against it.
    let says_so = is_same_site.or(is_same_origin) == Some(true);
    says_so && is_same_origin != Some(false) && headers.contains_key(OWN_HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Given = &'static [(&'static str, &'static str)];

    fn headers(rows: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in rows {
            let name: header::HeaderName = name.parse().expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        headers
    }

    fn web() -> Web {
        Web {
            url: "https://phone.example.org".to_owned(),
            forward_auth: ForwardAuth {
                header: "remote-user".to_owned(),
                from: vec![IpAddr::from([127, 0, 0, 1])],
                users: vec![("anna@example.org".to_owned(), "anna".to_owned())],
            },
            ..Web::default()
        }
    }

    #[test]
    fn a_proxy_is_believed_and_nobody_else() {
        let accounts = ["anna".to_owned(), "otto".to_owned()];
        let (proxy, other) = ([127, 0, 0, 1], [192, 0, 2, 1]);
        let rows: [(Given, [u8; 4], Option<&str>); 8] = [
            (&[("remote-user", "otto")], proxy, Some("otto")),
            (&[("Remote-User", "anna@example.org")], proxy, Some("anna")),
            (&[("remote-user", "otto")], other, None),
            (&[("remote-user", "nobody")], proxy, None),
            (&[("remote-user", "")], proxy, None),
            (
                &[("remote-user", "otto"), ("remote-user", "anna")],
                proxy,
                None,
            ),
            (&[("x-user", "otto")], proxy, None),
            (&[], proxy, None),
        ];
        for (given, from, account) in rows {
            let auth = web().forward_auth;
            let found = forwarded(&auth, &headers(given), IpAddr::from(from), &accounts);
            assert_eq!(found.as_deref(), account, "{given:?}");
        }
        let off = ForwardAuth::default();
        let given = headers(&[("remote-user", "otto")]);
        assert_eq!(
            forwarded(&off, &given, IpAddr::from(proxy), &accounts),
            None
        );
    }

    #[test]
    fn tries_are_counted_by_who_makes_them() {
        const FORWARDED: &str = "x-forwarded-for";
        let (proxy, here, other) = ([127, 0, 0, 1], [127, 0, 0, 2], [192, 0, 2, 1]);
        let rows: [(Given, [u8; 4], Option<[u8; 4]>); 6] = [
            (&[], other, Some(other)),
            // Whoever comes from elsewhere may say what they like.
            (&[(FORWARDED, "198.51.100.1")], other, Some(other)),
            (
                &[(FORWARDED, "6.6.6.6, 198.51.100.1")],
                proxy,
                Some([198, 51, 100, 1]),
            ),
            (&[], proxy, None),
            (&[(FORWARDED, "nonsense")], proxy, None),
            // A proxy on this machine that nobody trusts: it may say nothing, and shuts nobody out.
            (&[(FORWARDED, "198.51.100.1")], here, None),
        ];
        for (given, from, expected) in rows {
            let found = client(&web(), &headers(given), IpAddr::from(from));
            assert_eq!(found, expected.map(IpAddr::from), "{given:?} {from:?}");
        }
    }

    #[test]
    fn changes_come_from_our_own_page() {
        let host = ("host", "127.0.0.1:8060");
        let own = (OWN_HEADER, "1");
        let rows: [(&[(&str, &str)], bool); 11] = [
            (&[host, own, ("sec-fetch-site", "same-origin")], true),
            (&[host, own, ("origin", "http://127.0.0.1:8060")], true),
            (
                &[
                    host,
                    own,
                    ("origin", "http://127.0.0.1:8060"),
                    ("sec-fetch-site", "same-origin"),
                ],
                true,
            ),
            // Behind a proxy that names itself as the host.
            (
                &[
                    ("host", "10.0.0.2:8060"),
                    own,
                    ("origin", "https://phone.example.org"),
                ],
                true,
            ),
            (&[host, ("sec-fetch-site", "same-origin")], false),
            (&[host, own], false),
            (&[host, own, ("sec-fetch-site", "none")], false),
            (&[host, own, ("sec-fetch-site", "same-site")], false),
            (&[host, own, ("sec-fetch-site", "cross-site")], false),
            (&[host, own, ("origin", "http://127.0.0.1:9999")], false),
            (
                &[
                    host,
                    own,
                    ("origin", "null"),
                    ("sec-fetch-site", "same-origin"),
                ],
                false,
            ),
        ];
        for (given, expected) in rows {
            assert_eq!(
                is_of_our_page(&web(), &headers(given)),
                expected,
                "{given:?}"
            );
        }
    }

    #[test]
    fn only_our_names_are_ours() {
        let rows = [
            ("127.0.0.1:8060", true),
            ("[::1]:8060", true),
            ("[::1]", true),
            ("100.64.0.7", true),
            ("localhost:8060", true),
            ("LOCALHOST", true),
            ("phone.example.org", true),
            ("evil.example", false),
            ("phone.example.org.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:8060", false),
        ];
        for (name, expected) in rows {
            assert_eq!(
                is_our_host(&web(), &headers(&[("host", name)])),
                expected,
                "{name}"
            );
        }
        assert!(!is_our_host(&web(), &headers(&[])));
    }

    #[test]
    fn https_is_what_the_proxy_says_or_our_own_url() {
        let rows: [(Given, [u8; 4], bool); 5] = [
            (&[("origin", "https://a.ts.net")], [127, 0, 0, 1], true),
            (&[("x-forwarded-proto", "https")], [127, 0, 0, 1], true),
            (&[("x-forwarded-proto", "https")], [192, 0, 2, 1], false),
            (&[("host", "phone.example.org")], [192, 0, 2, 1], true),
            (&[("host", "127.0.0.1:8060")], [127, 0, 0, 1], false),
        ];
        for (given, from, expected) in rows {
            assert_eq!(
                is_https(&web(), &headers(given), IpAddr::from(from)),
                expected
            );
        }
    }
}
