//! Where the real OpenClaw is installed, for every test and bench that starts it. Owns what is said where it is not.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The folder that `deploy/openclaw.sh` filled: OFFHOOK_OPENCLAW, or `target/openclaw`. None, said past the test harness,
/// where it is not; a failure where OFFHOOK_REQUIRE_PEERS is set.
pub fn installed(test: &str) -> Option<PathBuf> {
    let given = std::env::var_os("OFFHOOK_OPENCLAW").map(PathBuf::from);
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = ["target/openclaw", "../target/openclaw"].map(|folder| package.join(folder));
    let mut folders = given.into_iter().chain(beside);
    let found = folders.find(|folder| folder.join("complete").is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("OFFHOOK_REQUIRE_PEERS").is_none(),
            "OpenClaw is not installed (deploy/openclaw.sh) and OFFHOOK_REQUIRE_PEERS is set"
        );
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: OpenClaw is not installed (deploy/openclaw.sh)"
        );
    }
    found
}
