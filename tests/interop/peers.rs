//! Which peers are installed, and taking turns: one interop test at a time, whatever the test harness would like.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[path = "required.rs"]
mod required;

pub use required::require;

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
pub const LINPHONE: Peer = Peer {
    program: "linphonec",
    package: "linphone-cli",
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
    if let Some(Peer { program, package }) = needs {
        let from = format!("apt-get install {package}");
        require(test, program, &from, find(program))?;
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
