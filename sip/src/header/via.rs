//! PURE.
//! One value of Via, RFC 3261 §20.42, with the parameters of RFC 3581.

use std::fmt;
use std::net::IpAddr;

use super::Params;
use crate::syntax;
use crate::uri::{self, Host};

/// `SIP/2.0/transport sent-by;params`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// As it came; compare without regard to case.
    pub transport: String,
    pub host: Host,
    pub port: Option<u16>,
    pub params: Params,
}

impl Via {
    /// Says why it cannot be read.
    pub fn parse(text: &str) -> Result<Via, &'static str> {
        let slash = text.find('/').ok_or("no protocol")?;
        let (protocol, rest) = (syntax::trim(&text[..slash]), &text[slash + 1..]);
        let slash = rest.find('/').ok_or("no protocol version")?;
        let (version, rest) = (
            syntax::trim(&rest[..slash]),
            syntax::trim(&rest[slash + 1..]),
        );
        if !protocol.eq_ignore_ascii_case("SIP") || version != "2.0" {
            return Err("not SIP/2.0");
        }
        let space = rest.find([' ', '\t']).ok_or("no sent-by")?;
        let (transport, rest) = (&rest[..space], syntax::trim(&rest[space..]));
        if !syntax::is_token(transport) {
            return Err("bad transport");
        }
        let (sent_by, params) = match rest.split_once(';') {
            Some((sent_by, params)) => (sent_by, Params::parse_header(params)?),
            None => (rest, Params::default()),
        };
        let (host, port) = uri::host_port(syntax::trim(sent_by)).map_err(|_| "bad sent-by")?;
        Ok(Via {
            transport: transport.to_owned(),
            host,
            port,
            params,
        })
    }

    /// RFC 3261 §8.1.1.7. Absent in messages of RFC 2543.
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch").flatten()
    }

    /// RFC 3581 §3: `Some(None)` asks for the port, `Some(Some(port))` tells it.
    pub fn rport(&self) -> Option<Option<u16>> {
        let value = self.params.get("rport")?;
        Some(
            value
                .and_then(|value| syntax::number(value, u64::from(u16::MAX)))
                .map(|port| port as u16),
        )
    }

    /// RFC 3261 §18.2.1. IPv6 is read with and without brackets.
    pub fn received(&self) -> Option<IpAddr> {
        self.params
            .get("received")
            .flatten()?
            .trim_matches(['[', ']'])
            .parse()
            .ok()
    }

    /// The port to send to where nothing else is said, RFC 3261 §18.2.2.
    pub fn port_or_default(&self) -> u16 {
        let is_tls = ["TLS", "WSS"]
            .iter()
            .any(|name| self.transport.eq_ignore_ascii_case(name));
        self.port.unwrap_or(if is_tls { 5061 } else { 5060 })
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}
