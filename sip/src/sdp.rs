//! PURE.
//! Session descriptions, RFC 8866 (and the dialects of RFC 2327 and RFC 4566 that phones still speak): read and written.
//! What is agreed upon is decided in `offer_answer`.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

use crate::limits::{SDP_BYTES_MAX, SDP_FORMATS_MAX, SDP_LINES_MAX, SDP_MEDIA_MAX};
use crate::syntax;

#[cfg(test)]
mod tests;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SdpError {
    #[error("not a session description: {0}")]
    Malformed(&'static str),
    #[error("session description over its limits: {0}")]
    TooLarge(&'static str),
}

/// `o=`. Session id and version are numbers by the book and any word in practice, so they stay text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub user: String,
    pub session_id: String,
    pub session_version: String,
    /// As it came: it may be a name.
    pub address: String,
}

/// `c=`: where media goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    Ip(IpAddr),
    /// A host name, or a network that is not the Internet: nothing we can send to.
    Other(String),
}

impl Connection {
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Connection::Ip(address) => Some(*address),
            Connection::Other(_) => None,
        }
    }
}

/// `a=name` or `a=name:value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    pub value: Option<String>,
}

/// `m=` and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, `application` …
    pub kind: String,
    /// Zero refuses the section, RFC 3264 §6.
    pub port: u16,
    /// Number of ports, where one is stated.
    pub port_count: Option<u16>,
    /// `RTP/AVP` …
    pub protocol: String,
    pub formats: Vec<String>,
    pub connection: Option<Connection>,
    pub bandwidth: Vec<String>,
    pub attributes: Vec<Attribute>,
}

/// One session description. Lines we have no use for (`i= u= e= p= r= z= k=`) are read past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub origin: Origin,
    pub name: String,
    pub connection: Option<Connection>,
    pub bandwidth: Vec<String>,
    /// `t=` as it came; `0 0` for a call.
    pub timing: String,
    pub attributes: Vec<Attribute>,
    pub media: Vec<Media>,
}

/// The first attribute of that name. Names compare with regard to case, RFC 8866 §5.13.
fn attribute<'a>(attributes: &'a [Attribute], name: &str) -> Option<Option<&'a str>> {
    attributes
        .iter()
        .find(|one| one.name == name)
        .map(|one| one.value.as_deref())
}

impl Media {
    pub fn attribute(&self, name: &str) -> Option<Option<&str>> {
        attribute(&self.attributes, name)
    }

    /// The values of every attribute of that name.
    pub fn attributes_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes
            .iter()
            .filter(move |one| one.name == name)
            .filter_map(|one| one.value.as_deref())
    }
}

impl Session {
    pub fn attribute(&self, name: &str) -> Option<Option<&str>> {
        attribute(&self.attributes, name)
    }

    /// Reads a session description of at most `SDP_BYTES_MAX`.
    ///
    /// Demands `v=0`, `o=` and `s=`-or-better order only as far as meaning depends on it: what stands before the first
    /// `m=` belongs to the session, what follows to that medium. Unknown line types and attributes are ignored, RFC
    /// 8866 §5.
    pub fn parse(text: &str) -> Result<Session, SdpError> {
        if text.len() > SDP_BYTES_MAX {
            return Err(SdpError::TooLarge("octets"));
        }
        let mut lines = text
            .lines()
            .map(|line| line.trim_end_matches(['\r', ' ', '\t', '\0']));
        // RFC 8866 §5.1: the first line, and the only version.
        if lines.by_ref().find(|line| !line.is_empty()) != Some("v=0") {
            return Err(SdpError::Malformed("it does not start with v=0"));
        }
        let mut origin = None;
        let mut session = Session {
            origin: Origin {
                user: String::new(),
                session_id: String::new(),
                session_version: String::new(),
                address: String::new(),
            },
            name: String::new(),
            connection: None,
            bandwidth: Vec::new(),
            timing: "0 0".to_owned(),
            attributes: Vec::new(),
            media: Vec::new(),
        };
        for (number, line) in lines.enumerate() {
            if number >= SDP_LINES_MAX {
                return Err(SdpError::TooLarge("lines"));
            }
            if line.is_empty() {
                continue;
            }
            // They would go out again with the sections we refuse.
            if line.contains(|c: char| c.is_control() && c != '\t') {
                return Err(SdpError::Malformed("control character in a line"));
            }
            let (kind, value) = line
                .split_once('=')
                .ok_or(SdpError::Malformed("line without an equals sign"))?;
            match kind {
                "m" if session.media.len() >= SDP_MEDIA_MAX => {
                    return Err(SdpError::TooLarge("media sections"));
                }
                "m" => session.media.push(media(value)?),
                "o" if session.media.is_empty() => origin = Some(parse_origin(value)?),
                "s" if session.media.is_empty() => session.name = value.to_owned(),
                "t" if session.media.is_empty() => session.timing = value.to_owned(),
                "c" => {
                    let slot = match session.media.last_mut() {
                        Some(medium) => &mut medium.connection,
                        None => &mut session.connection,
                    };
                    // Several `c=` are for layered multicast; the first is the one.
                    slot.get_or_insert(connection(value)?);
                }
                "b" => match session.media.last_mut() {
                    Some(medium) => medium.bandwidth.push(value.to_owned()),
                    None => session.bandwidth.push(value.to_owned()),
                },
                "a" => {
                    let attribute = parse_attribute(value);
                    match session.media.last_mut() {
                        Some(medium) => medium.attributes.push(attribute),
                        None => session.attributes.push(attribute),
                    }
                }
                "v" => return Err(SdpError::Malformed("a second v=")),
                _ if kind.len() == 1 => {}
                _ => return Err(SdpError::Malformed("line type longer than one letter")),
            }
        }
        session.origin = origin.ok_or(SdpError::Malformed("no o="))?;
        Ok(session)
    }
}

fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split([' ', '\t']).filter(|word| !word.is_empty())
}

/// RFC 8866 §5.2.
fn parse_origin(value: &str) -> Result<Origin, SdpError> {
    // The user name must have no spaces, and has them in some phones: the other five words count from the end.
    let words: Vec<&str> = words(value).collect();
    let [
        user @ ..,
        session_id,
        session_version,
        _network,
        _family,
        address,
    ] = words.as_slice()
    else {
        return Err(SdpError::Malformed("o= has too few words"));
    };
    Ok(Origin {
        user: if user.is_empty() {
            "-".to_owned()
        } else {
            user.join(" ")
        },
        session_id: (*session_id).to_owned(),
        session_version: (*session_version).to_owned(),
        address: (*address).to_owned(),
    })
}

/// RFC 8866 §5.7.
fn connection(value: &str) -> Result<Connection, SdpError> {
    let mut words = words(value);
    let (Some(network), Some(_family), Some(address)) = (words.next(), words.next(), words.next())
    else {
        return Err(SdpError::Malformed("c= has too few words"));
    };
    // A time-to-live or a count may follow, for multicast.
    let address = address.split('/').next().unwrap_or_default();
    if address.is_empty() {
        return Err(SdpError::Malformed("c= without an address"));
    }
    // The family may contradict the address; the address is what packets go to.
    let in_brackets = address.strip_prefix('[');
    let bare = in_brackets.and_then(|inner| inner.strip_suffix(']'));
    match bare.unwrap_or(address).parse() {
        Ok(ip) if network.eq_ignore_ascii_case("IN") => Ok(Connection::Ip(ip)),
        // An address of another network is none of the Internet's, also when we write it on; RFC 2606 §2.
        Ok(_) => Ok(Connection::Other("unknown.invalid".to_owned())),
        Err(_) => Ok(Connection::Other(address.to_owned())),
    }
}

/// RFC 8866 §5.14.
fn media(value: &str) -> Result<Media, SdpError> {
    let mut words = words(value);
    let (Some(kind), Some(port), Some(protocol)) = (words.next(), words.next(), words.next())
    else {
        return Err(SdpError::Malformed("m= has too few words"));
    };
    let port_number = |text| syntax::number(text, u64::from(u16::MAX)).map(|number| number as u16);
    let (port, count) = match port.split_once('/') {
        Some((port, count)) => {
            let count = port_number(count).ok_or(SdpError::Malformed("m= has a bad port count"))?;
            (port, Some(count))
        }
        None => (port, None),
    };
    let port = port_number(port).ok_or(SdpError::Malformed("m= has a bad port"))?;
    let formats: Vec<String> = words.map(str::to_owned).collect();
    if formats.len() > SDP_FORMATS_MAX {
        return Err(SdpError::TooLarge("formats"));
    }
    Ok(Media {
        kind: kind.to_owned(),
        port,
        port_count: count,
        protocol: protocol.to_owned(),
        formats,
        connection: None,
        bandwidth: Vec::new(),
        attributes: Vec::new(),
    })
}

fn parse_attribute(value: &str) -> Attribute {
    match value.split_once(':') {
        Some((name, value)) => Attribute {
            name: name.trim().to_owned(),
            value: Some(value.trim().to_owned()),
        },
        None => Attribute {
            name: value.trim().to_owned(),
            value: None,
        },
    }
}

fn family(address: &str) -> &'static str {
    if address.contains(':') { "IP6" } else { "IP4" }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Connection::Ip(address @ IpAddr::V4(_)) => write!(f, "IN IP4 {address}"),
            Connection::Ip(address @ IpAddr::V6(_)) => write!(f, "IN IP6 {address}"),
            Connection::Other(name) => write!(f, "IN {} {name}", family(name)),
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "a={}:{value}\r\n", self.name),
            None => write!(f, "a={}\r\n", self.name),
        }
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {}", self.kind, self.port)?;
        if let Some(count) = self.port_count {
            write!(f, "/{count}")?;
        }
        write!(f, " {}", self.protocol)?;
        for format in &self.formats {
            write!(f, " {format}")?;
        }
        f.write_str("\r\n")?;
        if let Some(connection) = &self.connection {
            write!(f, "c={connection}\r\n")?;
        }
        for bandwidth in &self.bandwidth {
            write!(f, "b={bandwidth}\r\n")?;
        }
        self.attributes
            .iter()
            .try_for_each(|attribute| write!(f, "{attribute}"))
    }
}

/// In the order RFC 8866 §9 demands, lines ended by CRLF.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin {
            user,
            session_id,
            session_version,
            address,
        } = &self.origin;
        let name = if self.name.is_empty() {
            "-"
        } else {
            &self.name
        };
        write!(
            f,
            "v=0\r\no={user} {session_id} {session_version} IN {} {address}\r\n",
            family(address)
        )?;
        write!(f, "s={name}\r\n")?;
        if let Some(connection) = &self.connection {
            write!(f, "c={connection}\r\n")?;
        }
        for bandwidth in &self.bandwidth {
            write!(f, "b={bandwidth}\r\n")?;
        }
        write!(f, "t={}\r\n", self.timing)?;
        self.attributes
            .iter()
            .try_for_each(|attribute| write!(f, "{attribute}"))?;
        self.media.iter().try_for_each(|media| write!(f, "{media}"))
    }
}
