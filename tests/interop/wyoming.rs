//! Ears and voice over Wyoming, with the package that Home Assistant itself uses as the other side. `.ci/run` installs it;
//! where it is not, the test is skipped by name.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::offhook::{Offhook, free_port};
use crate::peers::{require, take_floor};
use crate::process::{Process, wait_until};
use crate::sound::words_in_order;

/// A Python that can import `wyoming`.
fn python() -> Option<PathBuf> {
    let python = match std::env::var_os("OFFHOOK_WYOMING") {
        Some(python) => PathBuf::from(python),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/wyoming/bin/python"),
    };
    python.is_file().then_some(python)
}

#[test]
fn home_assistants_package_hears_and_speaks() {
    let test = "home_assistants_package_hears_and_speaks";
    let Some(python) = require(test, "the Python package wyoming", ".ci/run", python()) else {
        return;
    };
    let Some(_floor) = take_floor(test, None) else {
        return;
    };
    let port = free_port();
    let config = format!("[wyoming]\nenabled = true\nport = {port}\n");
    let offhook = Offhook::start_with(test, &config);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/wyoming_peer.py");
    let mut peer = Process::start(
        "wyoming",
        Command::new(python)
            .arg(script)
            .args([&port.to_string(), "What time is it?"]),
    );
    let ended = peer.wait_for_end(Duration::from_secs(300));
    let is_good = ended.is_some_and(|status| status.success());
    assert!(is_good, "{}{}", peer.tail(), offhook.log_tail());
    // What it wrote last comes in just after its end.
    peer.expect_output("heard", Duration::from_secs(5));
    let heard_both = || peer.output().matches("heard").count() >= 2;
    wait_until(Duration::from_secs(5), heard_both);
    let out = peer.output().to_lowercase();
    let heard: Vec<&str> = out
        .lines()
        .filter(|line| line.starts_with("heard"))
        .collect();
    assert_eq!(heard.len(), 2, "{out}");
    for line in heard {
        assert_eq!(words_in_order("what time is it", line), 4, "{out}");
    }
}
