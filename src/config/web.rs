//! PURE. `[web]`: the page and the API, and who is believed about who is signed in.

use std::net::IpAddr;

use super::keys::bind;
use super::reader::Section;
use super::sections::Bind;

/// `[web]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Web {
    pub enabled: bool,
    pub bind: Vec<Bind>,
    pub port: u16,
    /// Where a reverse proxy serves it: scheme and host, perhaps a port, nothing behind. Empty: nowhere else.
    pub url: String,
    pub forward_auth: ForwardAuth,
}

/// A reverse proxy that has signed somebody in already.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForwardAuth {
    /// The header that names them; empty: nobody is believed.
    pub header: String,
    /// Whose header is believed.
    pub from: Vec<IpAddr>,
    /// Name there, account here. A name that is an account needs no row.
    pub users: Vec<(String, String)>,
}

impl Default for Web {
    fn default() -> Web {
        Web {
            enabled: true,
            bind: vec![Bind::Loopback],
            port: 8060,
            url: String::new(),
            forward_auth: ForwardAuth::default(),
        }
    }
}

pub(super) fn web(section: &mut Section<'_, '_>, d: Web) -> Web {
    let address = "an address such as \"https://phone.example.org\", without a path, or \"\"";
    let header_name = "the name of a header, such as \"Remote-User\", or \"\"";
    let web = Web {
        enabled: section.flag("enabled", d.enabled),
        bind: bind(section, &d.bind),
        port: section.integer("port", d.port, 1..=65_535),
        url: section.parsed("url", d.url, address, origin, String::clone),
        forward_auth: ForwardAuth {
            header: section.parsed(
                "forward_auth_header",
                d.forward_auth.header,
                header_name,
                header,
                String::clone,
            ),
            from: section.list(
                "forward_auth_from",
                &d.forward_auth.from,
                "IP addresses",
                |text| text.parse().ok(),
                IpAddr::to_string,
            ),
            users: section.list(
                "forward_auth_users",
                &d.forward_auth.users,
                "pairs such as \"anna@example.org = anna\"",
                pair,
                |(there, here)| format!("{there} = {here}"),
            ),
        },
    };
    let auth = &web.forward_auth;
    section.require(
        "forward_auth_header",
        auth.header.is_empty() || !auth.from.is_empty(),
        "without `forward_auth_from` nobody's header is believed: give the proxy's addresses",
    );
    web
}

/// Scheme, host and port of a web address; in small letters. RFC 6454 section 4.
fn origin(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    let text = text.trim_end_matches('/').to_ascii_lowercase();
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    (!host.is_empty() && host.len() <= 259 && host.chars().all(plain)).then_some(text)
}

/// A field name, RFC 9110 section 5.1; in small letters.
fn header(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    // Whoever named one of these would believe what every browser sends.
    let everybody = ["cookie", "authorization", "host", "origin", "user-agent"];
    let text = text.to_ascii_lowercase();
    let fits = text.len() <= 64 && text.chars().all(plain) && !everybody.contains(&text.as_str());
    fits.then_some(text)
}

fn pair(text: &str) -> Option<(String, String)> {
    let (there, here) = text.rsplit_once('=')?;
    let (there, here) = (there.trim(), here.trim());
    let fits = |name: &str| !name.is_empty() && name.len() <= 256;
    (fits(there) && fits(here)).then(|| (there.to_owned(), here.to_owned()))
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{check_wrong, read};

    #[test]
    fn addresses_headers_and_pairs_are_read() {
        let text = "[web]\nurl = \"https://Phone.example.org/\"\nforward_auth_header = \"Remote-User\"\n\
                    forward_auth_from = [\"127.0.0.1\"]\nforward_auth_users = [\"anna@example.org = anna\"]\n";
        let web = read(text, &[]).web;
        assert_eq!(web.url, "https://phone.example.org");
        assert_eq!(web.forward_auth.header, "remote-user");
        let pair = ("anna@example.org".to_owned(), "anna".to_owned());
        assert_eq!(web.forward_auth.users, [pair]);
    }

    #[test]
    fn what_would_believe_anybody_is_refused() {
        let rows = [
            ("forward_auth_header = \"Remote-User\"", "forward_auth_from"),
            ("forward_auth_header = \"Cookie\"", "Remote-User"),
            ("url = \"phone.example.org\"", "https://"),
            ("url = \"https://a.example/path\"", "without a path"),
            ("forward_auth_from = [\"proxy\"]", "IP addresses"),
            ("forward_auth_users = [\"anna\"]", "pairs"),
        ];
        for (line, expected) in rows {
            check_wrong(&format!("[web]\n{line}\n"), &[], &[expected]);
        }
    }
}
