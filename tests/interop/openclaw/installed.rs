//! Where the real OpenClaw is installed, for every test and bench that starts it. Owns the places that are looked at.

// Where there is no `peers`, which has it as well.
#[allow(clippy::duplicate_mod)]
#[path = "../required.rs"]
mod required;

use std::path::{Path, PathBuf};

use required::require;

/// The folder that `deploy/openclaw.sh` filled: OFFHOOK_OPENCLAW, or `target/openclaw`. None, said past the test harness,
/// where it is not; a failure where OFFHOOK_REQUIRE_PEERS is set.
pub fn installed(test: &str) -> Option<PathBuf> {
    let given = std::env::var_os("OFFHOOK_OPENCLAW").map(PathBuf::from);
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = ["target/openclaw", "../target/openclaw"].map(|folder| package.join(folder));
    let mut folders = given.into_iter().chain(beside);
    let found = folders.find(|folder| folder.join("complete").is_file());
    require(test, "OpenClaw", "deploy/openclaw.sh", found)
}
