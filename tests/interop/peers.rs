//! Which peers are installed, and taking turns: one interop test at a time, whatever the test harness would like.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A program of somebody else that a test needs.
#[derive(Clone, Copy)]
pub struct Peer {
    pub program: &'static str,
    pub package: &'static str,
}

pub const BARESIP: Peer = Peer {
    program: "baresip",
    package: "baresip-core",
};
pub const SIPP: Peer = Peer {
    program: "sipp",
    package: "sip-tester",
};

pub const PYTHON: Peer = Peer {
    program: "python3",
    package: "python3",
};
pub const OPENSSL: Peer = Peer {
    program: "openssl",
    package: "openssl",
};

/// The right to run; given back when dropped.
pub struct Floor {
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

/// What a test needs that no package has. None, and said so, when it was not `found`.
pub fn require<T>(test: &str, what: &str, from: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        assert!(
            std::env::var_os("OFFHOOK_REQUIRE_PEERS").is_none(),
            "{what} is not installed ({from}) and OFFHOOK_REQUIRE_PEERS is set"
        );
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: {what} is not installed ({from})"
        );
    }
    found
}

/// Whether a test's second peer is there; says so past the test harness where not. Not every machine that must have the
/// others has this one.
pub fn is_installed(test: &str, peer: Peer) -> bool {
    let is_there = find(peer.program).is_some();
    if !is_there {
        let Peer { program, package } = peer;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: {program} is not installed ({package})"
        );
    }
    is_there
}

/// Waits for the floor. `None` when `needs` is not installed: then the test returns at once, and says so past the test
/// harness, which would swallow it.
pub fn take_floor(test: &str, needs: Option<Peer>) -> Option<Floor> {
    if let Some(peer) = needs.filter(|peer| find(peer.program).is_none()) {
        let Peer { program, package } = peer;
        assert!(
            std::env::var_os("OFFHOOK_REQUIRE_PEERS").is_none(),
            "{program} is not installed (package {package}) and OFFHOOK_REQUIRE_PEERS is set"
        );
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: {program} is not installed (apt-get install {package})"
        );
        return None;
    }
    // A test that failed has poisoned nothing that matters to the next one.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Some(Floor { _turn: turn })
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}
