//! Which peers are installed, and taking turns: one interop test at a time, whatever the test harness would like.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

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

/// The right to run; given back when dropped. A test that failed while the machine had no time for it says so then.
pub struct Floor {
    _turn: MutexGuard<'static, ()>,
    test: String,
    began: Spent,
}

impl Drop for Floor {
    fn drop(&mut self) {
        let Some(share) = Spent::now().without_time_since(&self.began) else {
            return;
        };
        // tests/run.sh reads this line.
        if std::thread::panicking() && share >= NO_TIME {
            let test = &self.test;
            let percent = share * 100.0;
            let line =
                format!("\nNO TIME {test}: a processor was lacking for {percent:.0} % of it\n");
            // In one piece, lest another test's line comes in between.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}

/// A call in which little is said stays at a twentieth, calls that failed for want of time had one and more. OpenClaw's
/// own start brings a test to nearly a half, so that one with it always has its second try.
const NO_TIME: f64 = 0.25;

/// What the kernel counts since it started: how long any task waited for a processor, and how long the host gave this
/// machine none, both in seconds, and when that was read.
struct Spent {
    at: Instant,
    waited_s: Option<f64>,
    stolen_s: Option<f64>,
}

impl Spent {
    fn now() -> Spent {
        let read = |path| std::fs::read_to_string(path).ok();
        let waited_us = read("/proc/pressure/cpu").and_then(|text| {
            let some = text.lines().find(|line| line.starts_with("some "))?;
            some.rsplit_once("total=")?.1.trim().parse::<f64>().ok()
        });
        // proc_stat(5): the eighth number of the first line, in hundredths of a second, of all processors.
        let stolen =
            read("/proc/stat").and_then(|text| text.split_whitespace().nth(8)?.parse::<f64>().ok());
        Spent {
            at: Instant::now(),
            waited_s: waited_us.map(|us| us / 1e6),
            stolen_s: stolen.map(|ticks| ticks / 100.0),
        }
    }

    /// The share of the time since `began` in which a task was ready and no processor was. None: this kernel counts neither.
    fn without_time_since(&self, began: &Spent) -> Option<f64> {
        let length_s = (self.at - began.at).as_secs_f64().max(0.001);
        let shares = [
            self.waited_s.zip(began.waited_s),
            self.stolen_s.zip(began.stolen_s),
        ];
        let shares = shares.into_iter().flatten();
        shares
            .map(|(now, then)| (now - then) / length_s)
            .reduce(f64::max)
    }
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
    Some(Floor {
        _turn: turn,
        test: test.to_owned(),
        began: Spent::now(),
    })
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}
