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
//! (5) Other names begin anew (RFC 8445 section 9): packets go where they went until a check with the new names has come,
//!     and are taken from there until the peer has chosen a path under them.
//!
//! Bound: [`PATHS_MAX`] paths under each pair of names, of which there are two at most; when full the one that was checked longest ago goes, but not the chosen one.
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

/// The paths of one stream, under one pair of names.
#[derive(Debug)]
struct Paths {
    config: IceConfig,
    paths: Vec<Path>,
    chosen: Option<SocketAddr>,
}

/// The paths of one stream.
#[derive(Debug)]
pub struct Ice {
    now: Paths,
    /// Under the names before, as long as nothing is chosen under these.
    before: Option<Paths>,
    /// Checks that did not count.
    pub refused: u64,
}

impl Ice {
    pub fn new(config: IceConfig) -> Ice {
        Ice {
            now: Paths::new(config),
            before: None,
            refused: 0,
        }
    }

    pub fn config(&self) -> &IceConfig {
        &self.now.config
    }

    /// Other names from now on; the same ones change nothing.
    pub fn restart(&mut self, config: &IceConfig) {
        if self.now.config == *config {
            return;
        }
        let old = std::mem::replace(&mut self.now, Paths::new(config.clone()));
        // One that was begun anew and came to nothing has no paths worth keeping.
        if !old.paths.is_empty() {
            self.before = Some(old);
        }
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
        // A peer that has begun anew goes on asking about the old path until it has a new one.
        let both = [Some(&mut self.now), self.before.as_mut()];
        let asked = both.into_iter().flatten().find(|paths| {
            paths.is_named(request.username) && request.is_proven(paths.config.local_pwd.as_bytes())
        });
        let Some(paths) = asked else {
            self.refused += 1;
            return None;
        };
        let password = paths.config.local_pwd.as_bytes();
        if !request.unknown.is_empty() {
            return Some(request.refuse(420, password));
        }
        // We never choose: whoever thinks so has to change his mind.
        if request.controlled {
            return Some(request.refuse(487, password));
        }
        let answer = request.accept(from, password);
        paths.checked(now, from, request.use_candidate);
        if self.now.chosen.is_some() {
            self.before = None;
        }
        Some(answer)
    }

    /// Whether the peer has shown that this is an address of its own.
    pub fn is_path(&self, from: SocketAddr) -> bool {
        let both = [Some(&self.now), self.before.as_ref()];
        both.into_iter().flatten().any(|paths| paths.has(from))
    }

    /// Where packets go.
    pub fn path(&self) -> Option<SocketAddr> {
        let before = || self.before.as_ref().and_then(Paths::best);
        self.now.best().or_else(before)
    }
}

impl Paths {
    fn new(config: IceConfig) -> Paths {
        Paths {
            config,
            paths: Vec::new(),
            chosen: None,
        }
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

    fn has(&self, from: SocketAddr) -> bool {
        self.paths.iter().any(|path| path.address == from)
    }

    fn best(&self) -> Option<SocketAddr> {
        self.chosen
            .or_else(|| self.paths.first().map(|path| path.address))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
