//! Paths that a peer has checked: our side of ICE as one that answers and never asks. RFC 8445 section 2.5 (lite).
//!
//! Owns: whose checks count, which addresses are the peer's, and which of them it has chosen. Does not own: candidates in
//! descriptions, sockets, the packets themselves (`association` lets them through or not).
//!
//! (1) A check counts with our name and the peer's in it and the proof of our password. Any other gets no answer.
//! (2) Where a check came from is a path. Packets are taken from paths alone.
//! (3) Packets go to the path the peer chose last (USE-CANDIDATE); until it has chosen, to the one checked first. A phone
//!     that leaves the Wi-Fi chooses another.
//! (4) Consent (RFC 7675) is the peer's to ask for; each of its checks is answered for the life of the call.
//!
//! Bound: [`PATHS_MAX`] paths; when full the one that was checked longest ago goes, but not the chosen one.
//!
//! PURE.

pub mod stun;

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

pub use stun::is_stun;

/// Paths remembered. A browser with four networks and both families has fewer.
pub const PATHS_MAX: usize = 16;

/// What offer and answer agreed. RFC 8839 section 5.4.
#[derive(Clone, PartialEq, Eq)]
pub struct IceConfig {
    pub local_ufrag: String,
    /// Proves the peer's checks, and our answers.
    pub local_pwd: String,
    pub remote_ufrag: String,
}

impl fmt::Debug for IceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceConfig({}:{})", self.local_ufrag, self.remote_ufrag)
    }
}

#[derive(Debug, Clone, Copy)]
struct Path {
    address: SocketAddr,
    checked: Instant,
}

/// The paths of one stream.
#[derive(Debug)]
pub struct Ice {
    config: IceConfig,
    paths: Vec<Path>,
    chosen: Option<SocketAddr>,
    /// Checks that did not count.
    pub refused: u64,
}

impl Ice {
    pub fn new(config: IceConfig) -> Ice {
        Ice {
            config,
            paths: Vec::new(),
            chosen: None,
            refused: 0,
        }
    }

    pub fn config(&self) -> &IceConfig {
        &self.config
    }

    /// Takes a datagram that [`is_stun`]; the answer goes back to where it came from.
    pub fn check(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
        let request = match stun::read(datagram) {
            Ok(request) => request,
            // Keep-alives (RFC 8445 section 11) and answers to nobody.
            Err(stun::StunError::NotAsked) => return None,
            Err(_) => {
                self.refused += 1;
                return None;
            }
        };
        let password = self.config.local_pwd.as_bytes();
        if !self.is_named(request.username) || !request.is_proven(password) {
            self.refused += 1;
            return None;
        }
        if !request.unknown.is_empty() {
            return Some(request.refuse(420, password));
        }
        // We never choose: whoever thinks so has to change his mind.
        if request.controlled {
            return Some(request.refuse(487, password));
        }
        let answer = request.accept(from, password);
        self.checked(now, from, request.use_candidate);
        Some(answer)
    }

    /// RFC 8445 section 7.2.2: ours, a colon, theirs.
    fn is_named(&self, username: &[u8]) -> bool {
        let names = username.strip_prefix(self.config.local_ufrag.as_bytes());
        let theirs = names.and_then(|rest| rest.strip_prefix(b":"));
        theirs == Some(self.config.remote_ufrag.as_bytes())
    }

    fn checked(&mut self, now: Instant, from: SocketAddr, is_choice: bool) {
        if is_choice {
            self.chosen = Some(from);
        }
        if let Some(path) = self.paths.iter_mut().find(|path| path.address == from) {
            path.checked = now;
            return;
        }
        if self.paths.len() == PATHS_MAX {
            let chosen = self.chosen;
            let others = self.paths.iter().enumerate();
            let oldest = others
                .filter(|(_, path)| Some(path.address) != chosen)
                .min_by_key(|(_, path)| path.checked)
                .map(|(at, _)| at);
            // One of them at most is chosen, so there is an oldest.
            self.paths.remove(oldest.unwrap_or(0));
        }
        self.paths.push(Path {
            address: from,
            checked: now,
        });
    }

    /// Whether the peer has shown that this is an address of its own.
    pub fn is_path(&self, from: SocketAddr) -> bool {
        self.paths.iter().any(|path| path.address == from)
    }

    /// Where packets go.
    pub fn path(&self) -> Option<SocketAddr> {
        self.chosen
            .or_else(|| self.paths.first().map(|path| path.address))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
