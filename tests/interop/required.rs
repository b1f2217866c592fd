//! What is said where something that a test needs is not installed, past the test harness, which would swallow it.

use std::io::Write as _;

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
