//! Where a gateway is: on the owner's own machines, or in the cloud. Owns the judgement by address that holds where the
//! config says nothing. RFC 1918 (private), RFC 4193 (unique local), RFC 6598 (shared, which tailnets use), RFC 3927 and
//! RFC 4291 §2.5.6 (link-local), RFC 6761 (`localhost`), RFC 6762 (`local`), RFC 8375 (`home.arpa`).
//! PURE.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Whose machine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The owner's.
    Local,
    /// Anybody else's.
    Cloud,
}

/// Ends of names that only a network of one's own knows.
const OWN_ENDS: [&str; 6] = [
    ".localhost",
    ".local",
    ".home.arpa",
    ".internal",
    ".lan",
    ".ts.net",
];

impl Place {
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Local => "local",
            Place::Cloud => "cloud",
        }
    }

    /// By the host of an address such as `http://127.0.0.1:11434/v1`. What cannot be read is in the cloud, and so is
    /// every name that the whole world can look up.
    pub fn of_url(url: &str) -> Place {
        match reqwest::Url::parse(url.trim()) {
            Ok(url) => Place::of_host(url.host_str().unwrap_or_default()),
            Err(_) => Place::Cloud,
        }
    }

    /// By a host name or an IP address, with or without brackets.
    pub fn of_host(host: &str) -> Place {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse::<IpAddr>() {
            return Place::of_address(address);
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let is_word = !name.is_empty() && !name.contains('.');
        match is_word || OWN_ENDS.iter().any(|end| name.ends_with(end)) {
            true => Place::Local,
            false => Place::Cloud,
        }
    }

    pub fn of_address(address: IpAddr) -> Place {
        let is_own = match address {
            IpAddr::V4(address) => is_own_v4(address),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(address) => is_own_v4(address),
                None => is_own_v6(address),
            },
        };
        if is_own { Place::Local } else { Place::Cloud }
    }
}

fn is_own_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_unspecified()
        || is_shared
}

fn is_own_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    let is_unique_local = first & 0xfe00 == 0xfc00;
    let is_link_local = first & 0xffc0 == 0xfe80;
    address.is_loopback() || address.is_unspecified() || is_unique_local || is_link_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_tell_where_they_are() {
        for (url, place) in [
            ("http://127.0.0.1:11434/v1", Place::Local),
            ("http://localhost:8080", Place::Local),
            ("http://LOCALHOST.:8080", Place::Local),
            ("http://[::1]:8080", Place::Local),
            ("http://0.0.0.0:8080", Place::Local),
            ("http://192.168.1.5", Place::Local),
            ("http://10.1.2.3", Place::Local),
            ("http://172.16.0.1", Place::Local),
            ("http://172.32.0.1", Place::Cloud),
            ("http://169.254.7.7", Place::Local),
            // A tailnet.
            ("http://100.64.0.1", Place::Local),
            ("http://100.127.255.255", Place::Local),
            ("http://100.128.0.1", Place::Cloud),
            ("http://[fd7a:115c:a1e0::1]", Place::Local),
            ("http://box.tail1234.ts.net:4000", Place::Local),
            ("http://[fe80::1]", Place::Local),
            ("http://nas.local", Place::Local),
            ("http://nas.home.arpa", Place::Local),
            // A name of a container network.
            ("http://ollama:11434", Place::Local),
            ("https://api.openai.com/v1", Place::Cloud),
            ("https://8.8.8.8", Place::Cloud),
            ("https://[2001:db8::1]", Place::Cloud),
            // Looks like a name of one's own, and is not.
            ("https://localhost.example.org", Place::Cloud),
            ("https://notlocal", Place::Local),
            ("https://my-local", Place::Local),
            ("https://xlocal.com", Place::Cloud),
            ("https://127.0.0.1.nip.io", Place::Cloud),
            ("https://192.168.1.5@example.com", Place::Cloud),
            // A number that is an address, and one wrapped in the other kind.
            ("http://2130706433", Place::Local),
            ("http://134744072", Place::Cloud),
            ("http://[::ffff:8.8.8.8]", Place::Cloud),
            ("http://[::ffff:10.0.0.1]", Place::Local),
            ("", Place::Cloud),
            ("nonsense", Place::Cloud),
        ] {
            assert_eq!(Place::of_url(url), place, "{url}");
        }
    }
}
