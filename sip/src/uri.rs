//! PURE.
//! URIs: SIP and SIPS after RFC 3261 §19.1, tel after RFC 3966 as far as the number, anything else kept whole.
//! Does not own name-addr (see `header`), nor where a URI leads (RFC 3263).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::error::UriError;
use crate::header::Params;
use crate::syntax;

#[cfg(test)]
mod tests;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    /// Lower case.
    Other(String),
}

impl Scheme {
    pub fn is_sip(&self) -> bool {
        matches!(self, Scheme::Sip | Scheme::Sips)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Sip => "sip",
            Scheme::Sips => "sips",
            Scheme::Tel => "tel",
            Scheme::Other(name) => name,
        })
    }
}

/// Host of a URI or of a Via. Names compare without regard to case.
#[derive(Debug, Clone)]
pub enum Host {
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Host {
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::V4(address) => Some(IpAddr::V4(*address)),
            Host::V6(address) => Some(IpAddr::V6(*address)),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Host {
        match address {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        }
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Host) -> bool {
        match (self, other) {
            (Host::Name(a), Host::Name(b)) => a.eq_ignore_ascii_case(b),
            (Host::V4(a), Host::V4(b)) => a == b,
            (Host::V6(a), Host::V6(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Host {}

impl Hash for Host {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Host::Name(name) => name.to_ascii_lowercase().hash(state),
            Host::V4(address) => address.hash(state),
            Host::V6(address) => address.hash(state),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(address) => write!(f, "{address}"),
            Host::V6(address) => write!(f, "[{address}]"),
        }
    }
}

impl FromStr for Host {
    type Err = UriError;

    /// RFC 3261 §25.1 `host`, with the underscore that private networks use.
    fn from_str(text: &str) -> Result<Host, UriError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner
                .strip_suffix(']')
                .ok_or(UriError("IPv6 address without its bracket"))?;
            return ipv6(inner).ok_or(UriError("not an IPv6 address"));
        }
        if let Ok(address) = text.parse() {
            return Ok(Host::V4(address));
        }
        let labels = text.strip_suffix('.').unwrap_or(text);
        let label_is_good = |label: &str| {
            !label.is_empty()
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        };
        if text.len() > 255 || !labels.split('.').all(label_is_good) {
            return Err(UriError("not a host name"));
        }
        // `toplabel` starts with a letter: what ends in a number is an IPv4 address, and it was none.
        let top = labels.rsplit('.').next().unwrap_or_default();
        if top.bytes().all(|b| b.is_ascii_digit()) {
            return Err(UriError("not an IPv4 address"));
        }
        Ok(Host::Name(text.to_owned()))
    }
}

/// RFC 3986 §3.2.2; and RFC 5118 §4.10: the grammar of RFC 3261 put a third colon in front of an IPv4 address at the end,
/// and what was written by it must be read.
fn ipv6(text: &str) -> Option<Host> {
    let address = match text.split_once(":::") {
        Some((before, v4)) if v4.parse::<Ipv4Addr>().is_ok() => format!("{before}::{v4}").parse(),
        _ => text.parse(),
    };
    address.ok().map(Host::V6)
}

/// `host[:port]` of a URI or a Via's sent-by.
pub(crate) fn host_port(text: &str) -> Result<(Host, Option<u16>), UriError> {
    let colon = match text.rfind(']') {
        Some(bracket) => text[bracket..].find(':').map(|at| bracket + at),
        None => text.find(':'),
    };
    let Some(colon) = colon else {
        return Ok((syntax::trim(text).parse()?, None));
    };
    let host = syntax::trim(&text[..colon]).parse()?;
    match syntax::number(syntax::trim(&text[colon + 1..]), u64::from(u16::MAX)) {
        Some(port @ 1..) => Ok((host, Some(port as u16))),
        _ => Err(UriError("not a port")),
    }
}

/// A URI. `user`, `password`, parameters and headers are kept with their `%HH` escapes; compare with `equivalent`.
///
/// A tel URI has its number in `user` and no host. Of other schemes everything after the colon is in `opaque`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Uri {
    pub scheme: Scheme,
    pub user: Option<String>,
    pub password: Option<String>,
    /// An empty name where the scheme is neither sip nor sips.
    pub host: Host,
    pub port: Option<u16>,
    pub params: Params,
    /// What follows the question mark.
    pub headers: Option<String>,
    /// The rest of a URI whose scheme we do not know; empty otherwise.
    pub opaque: String,
}

impl Uri {
    /// A SIP URI. `user` is plain text and gets its escapes here.
    pub fn sip(user: Option<&str>, host: Host, port: Option<u16>) -> Uri {
        Uri {
            scheme: Scheme::Sip,
            user: user
                .map(|user| syntax::escape(user, |c| is_unreserved(c) || "&=+$,;?/".contains(c))),
            password: None,
            host,
            port,
            params: Params::default(),
            headers: None,
            opaque: String::new(),
        }
    }

    /// The user part with its escapes undone.
    pub fn user_decoded(&self) -> Option<String> {
        self.user.as_deref().map(syntax::unescape)
    }

    /// A URI parameter: `None` absent, `Some(None)` present without a value. Names compare without regard to case.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        self.params.get(name)
    }

    /// Whether both name the same resource, RFC 3261 §19.1.4.
    pub fn equivalent(&self, other: &Uri) -> bool {
        let same_text = |a: &Option<String>, b: &Option<String>| {
            a.as_deref().map(comparable) == b.as_deref().map(comparable)
        };
        self.scheme == other.scheme
            && same_text(&self.user, &other.user)
            && same_text(&self.password, &other.password)
            && self.host == other.host
            // An absent port is not the same as the default one.
            && self.port == other.port
            && params_equivalent(&self.params, &other.params)
            && headers_equivalent(self.headers.as_deref(), other.headers.as_deref())
            && comparable(&self.opaque) == comparable(&other.opaque)
    }
}

fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '!' | '~' | '*' | '\'' | '(' | ')')
}

/// RFC 3261 §19.1.4: an octet equals its escape unless it is reserved, so undo every escape but those.
fn comparable(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut normal = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match syntax::escaped_octet(&bytes[at..]) {
            Some(octet) if b";/?:@&=+$,%".contains(&octet) => {
                normal.extend(format!("%{octet:02X}").bytes());
                at += 3;
            }
            Some(octet) => {
                normal.push(octet);
                at += 3;
            }
            None => {
                normal.push(bytes[at]);
                at += 1;
            }
        }
    }
    normal
}

fn params_equivalent(a: &Params, b: &Params) -> bool {
    // RFC 3261 §19.1.4: these never match where only one URI has them; others count only where both have them.
    const ALWAYS_COMPARED: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
    let folded = |value: Option<&str>| value.map(|value| comparable(&value.to_ascii_lowercase()));
    let one_way = |a: &Params, b: &Params| {
        a.iter().all(|(name, value)| match b.get(name) {
            Some(other) => folded(value) == folded(other),
            None => !ALWAYS_COMPARED
                .iter()
                .any(|always| always.eq_ignore_ascii_case(name)),
        })
    };
    one_way(a, b) && one_way(b, a)
}

fn headers_equivalent(a: Option<&str>, b: Option<&str>) -> bool {
    let sorted = |headers: Option<&str>| {
        let mut parts: Vec<(String, Vec<u8>)> = headers
            .unwrap_or_default()
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                (name.to_ascii_lowercase(), comparable(value))
            })
            .collect();
        parts.sort();
        parts
    };
    sorted(a) == sorted(b)
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Uri, UriError> {
        if text
            .chars()
            .any(|c| c.is_ascii_control() || matches!(c, ' ' | '<' | '>' | '"'))
        {
            return Err(UriError("white space, quote or angle bracket in it"));
        }
        let (scheme, rest) = text.split_once(':').ok_or(UriError("no scheme"))?;
        let starts_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        let goes_on_well = scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        if !starts_well || !goes_on_well {
            return Err(UriError("no scheme"));
        }
        if rest.is_empty() {
            return Err(UriError("nothing after the scheme"));
        }
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "sip" => Scheme::Sip,
            "sips" => Scheme::Sips,
            "tel" => Scheme::Tel,
            other => Scheme::Other(other.to_owned()),
        };
        match scheme {
            Scheme::Sip | Scheme::Sips => parse_sip(scheme, rest),
            Scheme::Tel => parse_tel(rest),
            Scheme::Other(_) => Ok(Uri {
                opaque: rest.to_owned(),
                ..empty(scheme)
            }),
        }
    }
}

fn empty(scheme: Scheme) -> Uri {
    Uri {
        scheme,
        ..Uri::sip(None, Host::Name(String::new()), None)
    }
}

fn parse_sip(scheme: Scheme, rest: &str) -> Result<Uri, UriError> {
    let mut uri = empty(scheme);
    let rest = match rest.split_once('@') {
        Some((userinfo, rest)) => {
            let (user, password) = match userinfo.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (userinfo, None),
            };
            // The number sign is not in `user-unreserved`, but people dial it and phones send it bare.
            let user_is_good = |c| {
                is_unreserved(c)
                    || matches!(c, '%' | '&' | '=' | '+' | '$' | ',' | ';' | '?' | '/' | '#')
            };
            if user.is_empty()
                || !user.chars().all(user_is_good)
                || !syntax::has_whole_escapes(user)
            {
                return Err(UriError("bad user part"));
            }
            let password_is_good = |c| is_unreserved(c) || "%&=+$,".contains(c);
            if let Some(password) = password
                && !(password.chars().all(password_is_good) && syntax::has_whole_escapes(password))
            {
                return Err(UriError("bad password part"));
            }
            uri.user = Some(user.to_owned());
            uri.password = password.map(str::to_owned);
            rest
        }
        None => rest,
    };
    let (rest, headers) = match rest.split_once('?') {
        Some((rest, headers)) => (rest, Some(headers)),
        None => (rest, None),
    };
    if let Some(headers) = headers {
        let is_good = |c| is_unreserved(c) || "%[]/?:+$&=".contains(c);
        if headers.is_empty()
            || !headers.chars().all(is_good)
            || !syntax::has_whole_escapes(headers)
        {
            return Err(UriError("bad headers part"));
        }
        uri.headers = Some(headers.to_owned());
    }
    let (address, params) = match rest.split_once(';') {
        Some((address, params)) => (address, Some(params)),
        None => (rest, None),
    };
    (uri.host, uri.port) = host_port(address)?;
    if let Some(params) = params {
        uri.params = Params::parse_uri(params)?;
    }
    Ok(uri)
}

fn parse_tel(rest: &str) -> Result<Uri, UriError> {
    let (number, params) = match rest.split_once(';') {
        Some((number, params)) => (number, Some(params)),
        None => (rest, None),
    };
    // RFC 3966 §3: digits with visual separators; `*` and `#` only in local numbers, which we take too.
    let digits = number.strip_prefix('+').unwrap_or(number);
    if digits.is_empty()
        || !digits
            .chars()
            .all(|c| c.is_ascii_hexdigit() || "-.()*#".contains(c))
    {
        return Err(UriError("not a telephone number"));
    }
    let mut uri = empty(Scheme::Tel);
    uri.user = Some(number.to_owned());
    if let Some(params) = params {
        uri.params = Params::parse_uri(params)?;
    }
    Ok(uri)
}

/// RFC 3261 §25.1 `paramchar`.
pub(crate) fn is_param_char(c: char) -> bool {
    is_unreserved(c) || matches!(c, '%' | '[' | ']' | '/' | ':' | '&' | '+' | '$')
}

impl Uri {
    fn write(&self, f: &mut fmt::Formatter<'_>, password: Option<&str>) -> fmt::Result {
        write!(f, "{}:", self.scheme)?;
        if let Scheme::Other(_) = self.scheme {
            return f.write_str(&self.opaque);
        }
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = password {
                write!(f, ":{password}")?;
            }
        }
        if self.scheme.is_sip() {
            if self.user.is_some() {
                f.write_str("@")?;
            }
            write!(f, "{}", self.host)?;
            if let Some(port) = self.port {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "{}", self.params)?;
        match &self.headers {
            Some(headers) => write!(f, "?{headers}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, self.password.as_deref())
    }
}

/// As `Display`, but the password stays out of logs.
impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, self.password.as_ref().map(|_| "redacted"))
    }
}
