//! PURE.
//! Checked paths as a session description names them, RFC 8839: names and passwords, our candidates, and what a peer
//! says. We answer checks and make none (RFC 8445 section 2.5), so a peer's candidates are not even read: its checks show
//! where it is, and names of hosts among them (`.local`, RFC 8828) are never looked up. Does not own the checks.
//!
//! Taken and offered with a handshake only, and only where RTP and RTCP share a port: browsers want it so, and other
//! phones lose nothing, since without it packets go where SDP and the packets themselves say.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use sha2::{Digest as _, Sha256};

use crate::sdp::{Attribute, Media, Session};
use crate::secret::Secret;

/// RFC 8839 section 5.4: 4 to 256 characters, and 22 to 256.
const UFRAG_LEN: std::ops::RangeInclusive<usize> = 4..=256;
const PWD_LEN: std::ops::RangeInclusive<usize> = 22..=256;

/// RFC 8445 section 5.1.2.1, for a host candidate: type preference 126, one component. The first address goes first.
const PRIORITY_HOST: u32 = 126 << 24 | 255;

/// Our name and password for the checks of one leg.
#[derive(Clone, PartialEq, Eq)]
pub struct LocalIce {
    pub ufrag: String,
    pub pwd: Secret,
    /// Other addresses of ours that lead to the same port, behind the one that media has anyway.
    pub more: Vec<IpAddr>,
    /// The peer's names for which ours are good; empty before anything is agreed upon.
    peers: Vec<String>,
}

impl fmt::Debug for LocalIce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalIce({})", self.ufrag)
    }
}

/// What both sides agreed upon. RFC 8445 section 7.2.2: a check carries both names.
#[derive(Clone, PartialEq, Eq)]
pub struct NegotiatedIce {
    pub local_ufrag: String,
    pub local_pwd: Secret,
    pub remote_ufrag: String,
}

impl fmt::Debug for NegotiatedIce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "NegotiatedIce({}:{})",
            self.local_ufrag, self.remote_ufrag
        )
    }
}

/// RFC 8839 section 5.4: letters, digits, `+` and `/`.
fn is_ice_char(text: &str) -> bool {
    text.bytes()
        .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/'))
}

/// An attribute of the section, else of the session.
fn value<'a>(session: &'a Session, media: &'a Media, name: &str) -> Option<&'a str> {
    let at = media.attribute(name).or_else(|| session.attribute(name));
    at.flatten()
}

/// The name of a peer that checks paths and can do it with us. `None` too where it only answers, as we do (then nobody
/// checks, and SDP's addresses count), or keeps RTCP on a port of its own.
pub(crate) fn remote_ufrag(session: &Session, media: &Media) -> Option<String> {
    let is_lite = session.attribute("ice-lite").is_some();
    let shares_port = media.attribute("rtcp-mux").is_some();
    let ufrag = value(session, media, "ice-ufrag")?;
    let pwd = value(session, media, "ice-pwd")?;
    let is_usable = UFRAG_LEN.contains(&ufrag.len())
        && PWD_LEN.contains(&pwd.len())
        && is_ice_char(ufrag)
        && is_ice_char(pwd);
    (is_usable && shares_port && !is_lite).then(|| ufrag.to_owned())
}

impl LocalIce {
    /// Fresh for each leg: 32 octets that nobody can guess.
    pub fn new(seed: [u8; 32]) -> LocalIce {
        let text = |what: &[u8], len: usize| {
            let mut hash = Sha256::new();
            hash.update(seed);
            hash.update(what);
            let octets = hash.finalize();
            // 64 characters, so six bits of each octet.
            let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let letter = |octet: &u8| char::from(letters[usize::from(octet & 63)]);
            octets.iter().take(len).map(letter).collect::<String>()
        };
        LocalIce {
            ufrag: text(b"ufrag", 8),
            pwd: Secret::new(text(b"pwd", 28)),
            more: Vec::new(),
            peers: Vec::new(),
        }
    }

    /// What the answer to a peer of that name has. One that comes with another name than before begins its checks anew, and
    /// so do we: other names and another password, the same however often it is asked. RFC 8445 section 9.
    pub(crate) fn facing(&self, remote_ufrag: &str) -> LocalIce {
        let is_known = self.peers.iter().any(|peer| peer == remote_ufrag);
        if self.peers.is_empty() || is_known {
            return self.clone();
        }
        let mut seed = Sha256::new();
        seed.update(b"anew");
        seed.update(self.pwd.expose());
        LocalIce {
            more: self.more.clone(),
            ..LocalIce::new(seed.finalize().into())
        }
    }

    /// What was agreed upon for the sections of a description holds for the next ones.
    pub fn keep<'a>(&mut self, agreed: impl IntoIterator<Item = &'a NegotiatedIce>) {
        let agreed: Vec<&NegotiatedIce> = agreed.into_iter().collect();
        if let Some(first) = agreed.first() {
            self.ufrag.clone_from(&first.local_ufrag);
            self.pwd = first.local_pwd.clone();
            self.peers = agreed.iter().map(|one| one.remote_ufrag.clone()).collect();
        }
    }

    /// What is agreed upon with a peer of that name.
    pub(crate) fn with(&self, remote_ufrag: String) -> NegotiatedIce {
        NegotiatedIce {
            local_ufrag: self.ufrag.clone(),
            local_pwd: self.pwd.clone(),
            remote_ufrag,
        }
    }

    /// The lines of a section whose RTP port is `at`.
    pub(crate) fn attributes(&self, at: SocketAddr) -> Vec<Attribute> {
        let attribute = |name: &str, value: String| Attribute {
            name: name.to_owned(),
            value: Some(value),
        };
        let mut lines = vec![
            attribute("ice-ufrag", self.ufrag.clone()),
            attribute("ice-pwd", self.pwd.expose().to_owned()),
        ];
        let others = self.more.iter().filter(|other| **other != at.ip());
        for (place, address) in (0u32..).zip(std::iter::once(&at.ip()).chain(others)) {
            let priority = PRIORITY_HOST + (65_535 - place.min(65_535)) * 256;
            lines.push(attribute(
                "candidate",
                format!(
                    "{} 1 udp {priority} {address} {} typ host",
                    place + 1,
                    at.port()
                ),
            ));
        }
        lines.push(Attribute {
            name: "end-of-candidates".to_owned(),
            value: None,
        });
        lines
    }
}

#[cfg(test)]
#[path = "ice_tests.rs"]
mod tests;
