//! PURE. The keys of `[sip]` and `[media]` that say how phones connect: streams, certificates, advertised addresses.
//! Types, defaults and reading together; the sockets are `signalling`'s.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use super::reader::Section;

/// TLS and WebSocket listeners, and the bounds of all stream connections.
#[derive(Debug, Clone, PartialEq)]
pub struct Streams {
    pub tls: bool,
    /// `None`: the port after `port`.
    pub tls_port: Option<u16>,
    /// SIP over WebSocket, plain and encrypted on the same port.
    pub ws: bool,
    /// `None`: six after `port`.
    pub ws_port: Option<u16>,
    /// PEM, the server's own certificate first. Without one the program makes its own.
    pub certificate: Option<PathBuf>,
    /// PEM: PKCS #8, PKCS #1 or SEC 1.
    pub certificate_key: Option<PathBuf>,
    /// Origins of web pages that may open a WebSocket. Empty: any; the account decides all the same.
    pub ws_origins: Vec<String>,
    /// Stream connections at once; a further one is closed.
    pub connections_max: usize,
    /// The same from one address (of IPv6, one /64).
    pub connections_per_address_max: usize,
    /// Told to phones that keep their connection alive as RFC 5626 says: the longest silence. 0: not told.
    pub flow_timer_s: u32,
}

impl Default for Streams {
    fn default() -> Streams {
        Streams {
            tls: true,
            tls_port: None,
            ws: true,
            ws_port: None,
            certificate: None,
            certificate_key: None,
            ws_origins: Vec::new(),
            connections_max: 1_024,
            connections_per_address_max: 64,
            flow_timer_s: 240,
        }
    }
}

/// One address of ours and what phones are told instead: `"OUTSIDE"`, `"ADDRESS=OUTSIDE"` or `"INTERFACE=OUTSIDE"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertise {
    pub inside: Inside,
    pub outside: IpAddr,
}

/// Which of our addresses is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inside {
    /// All of the outside address's family but loopback and the tailnet's, which are reached as they are.
    Any,
    Address(IpAddr),
    Interface(String),
}

impl Advertise {
    fn parse(text: &str) -> Option<Advertise> {
        let Some((inside, outside)) = text.split_once('=') else {
            let outside = text.parse().ok()?;
            let inside = Inside::Any;
            return Some(Advertise { inside, outside });
        };
        let (inside, outside) = (inside.trim(), outside.trim().parse::<IpAddr>().ok()?);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '@');
        let inside = match inside.parse() {
            Ok(address) => Inside::Address(address),
            // IFNAMSIZ of Linux, and the BSDs' alike.
            Err(_) if (1..16).contains(&inside.len()) && inside.chars().all(plain) => {
                Inside::Interface(inside.to_owned())
            }
            Err(_) => return None,
        };
        let one_family = match inside {
            Inside::Address(address) => address.is_ipv4() == outside.is_ipv4(),
            _ => true,
        };
        one_family.then_some(Advertise { inside, outside })
    }
}

impl fmt::Display for Advertise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inside {
            Inside::Any => write!(f, "{}", self.outside),
            Inside::Address(address) => write!(f, "{address}={}", self.outside),
            Inside::Interface(name) => write!(f, "{name}={}", self.outside),
        }
    }
}

/// `advertise` of `[sip]` and of `[media]`.
pub(super) fn advertise(section: &mut Section<'_, '_>) -> Vec<Advertise> {
    section.list(
        "advertise",
        &[],
        "an IP address, or ADDRESS=OUTSIDE, or INTERFACE=OUTSIDE",
        Advertise::parse,
        Advertise::to_string,
    )
}

/// The stream keys of `[sip]`; `port` is that of UDP and TCP.
pub(super) fn streams(section: &mut Section<'_, '_>, port: u16) -> Streams {
    let d = Streams::default();
    let streams = Streams {
        tls: section.flag("tls", d.tls),
        tls_port: section.optional_integer("tls_port", d.tls_port, 1..=65_535),
        ws: section.flag("ws", d.ws),
        ws_port: section.optional_integer("ws_port", d.ws_port, 1..=65_535),
        certificate: section.optional_path("certificate"),
        certificate_key: section.optional_path("certificate_key"),
        ws_origins: section.list(
            "ws_origins",
            &d.ws_origins,
            "origins such as \"https://phone.example.org\"",
            origin,
            String::clone,
        ),
        connections_max: section.integer("connections_max", d.connections_max, 1..=65_536),
        connections_per_address_max: section.integer(
            "connections_per_address_max",
            d.connections_per_address_max,
            1..=65_536,
        ),
        flow_timer_s: section.integer("flow_timer_s", d.flow_timer_s, 0..=7_200),
    };
    section.require(
        "certificate",
        streams.certificate.is_some() == streams.certificate_key.is_some(),
        "certificate and certificate_key belong together",
    );
    section.require(
        "tls_port",
        streams.tls_port.is_none_or(|tls| tls != port),
        "the same as port",
    );
    section.require(
        "ws_port",
        streams
            .ws_port
            .is_none_or(|ws| ws != port && Some(ws) != streams.tls_port),
        "the same as another port of [sip]",
    );
    streams
}

/// RFC 6454 §6.2: scheme, host and perhaps a port, in lower case, nothing after.
fn origin(text: &str) -> Option<String> {
    let (scheme, host) = text.split_once("://")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    let fits = ["http", "https"].contains(&scheme)
        && !host.is_empty()
        && host.len() <= 255
        && host.chars().all(plain);
    fits.then(|| text.to_ascii_lowercase())
}

impl super::Sip {
    /// Where TLS listens.
    pub fn tls_port(&self) -> u16 {
        let derived = self.port.checked_add(1).unwrap_or(self.port - 1);
        self.streams.tls_port.unwrap_or(derived)
    }

    /// Where WebSocket listens.
    pub fn ws_port(&self) -> u16 {
        let derived = self.port.checked_add(6).unwrap_or(self.port - 6);
        self.streams.ws_port.unwrap_or(derived)
    }
}

/// The realm stands inside quotes in every challenge; RFC 3261 25.1 would let it escape them, peers
/// often don't cope.
pub(super) fn realm(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ';
    (!text.trim().is_empty() && text.len() <= 64 && text.chars().all(plain))
        .then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn advertised_addresses() {
        for text in [
            "203.0.113.5",
            "10.0.0.5=203.0.113.5",
            "eth0=203.0.113.5",
            "fd00::5=2001:db8::5",
            "2001:db8::5",
        ] {
            let row = Advertise::parse(text).expect(text);
            assert_eq!(row.to_string(), text);
        }
        for text in [
            "",
            "pbx.example",
            "10.0.0.5=",
            "=10.0.0.5",
            "10.0.0.5=2001:db8::5",
            "a name=10.0.0.5",
            "averylonginterfacename=10.0.0.5",
        ] {
            assert_eq!(Advertise::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ports_follow_the_first_unless_given() {
        for (text, expected) in [
            ("", (5061, 5066)),
            ("[sip]\nport = 5070", (5071, 5076)),
            ("[sip]\nport = 65535", (65_534, 65_529)),
            ("[sip]\ntls_port = 443\nws_port = 8443", (443, 8443)),
        ] {
            let (config, _) = Config::parse(text, &[]).expect(text);
            assert_eq!((config.sip.tls_port(), config.sip.ws_port()), expected);
        }
    }

    #[test]
    fn what_belongs_together() {
        for (text, expected) in [
            (
                "certificate = 'a.pem'",
                "certificate and certificate_key belong together",
            ),
            (
                "certificate_key = 'a.pem'",
                "certificate and certificate_key belong together",
            ),
            ("tls_port = 5060", "the same as port"),
            (
                "tls_port = 5062\nws_port = 5062",
                "the same as another port",
            ),
            ("ws_origins = ['phone.example.org']", "origins such as"),
            ("advertise = ['example.org']", "INTERFACE=OUTSIDE"),
            ("bind = ['fe80::1']", "link-local"),
        ] {
            let problems = Config::parse(&format!("[sip]\n{text}"), &[]).expect_err(text);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].message.contains(expected), "{problems:?}");
        }
    }
}
