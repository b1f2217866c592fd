//! Who may depend on whom: five leaves that do not know each other, and one root that joins them.

use crate::tree::{LEAVES, expect_none, root};
use std::fs;

/// What only some crates may use: (dependency, crates allowed to name it).
const RESERVED: [(&str, &[&str]); 7] = [
    ("tokio", &["agent-bridge"]),
    ("reqwest", &["agent-bridge"]),
    ("axum", &["agent-bridge"]),
    ("rusqlite", &[]),
    ("anyhow", &[]),
    ("whisper-rs", &["asr"]),
    ("opus", &["media"]),
];

/// Dependencies of every kind, with those of tests: `[dependencies]`, `[dev-dependencies]`, `[target.*.dependencies]`.
fn dependencies(manifest: &toml::Table) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut tables = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(|t| t.as_table()) {
        tables.extend(targets.values().filter_map(|target| target.as_table()));
    }
    for table in tables {
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let Some(entries) = table.get(section).and_then(|s| s.as_table()) else {
                continue;
            };
            for (name, entry) in entries {
                let package = entry
                    .get("package")
                    .and_then(|p| p.as_str())
                    .unwrap_or(name);
                found.push((package.to_owned(), section == "dev-dependencies"));
            }
        }
    }
    found
}

#[test]
fn leaves_do_not_know_each_other() {
    let mut offences = Vec::new();
    for leaf in LEAVES {
        let path = root().join(leaf).join("Cargo.toml");
        let text = fs::read_to_string(&path).expect("each leaf has a Cargo.toml");
        let manifest: toml::Table = text.parse().expect("a manifest is TOML");
        for (name, for_tests) in dependencies(&manifest) {
            if name.starts_with("offhook") {
                offences.push(format!("{leaf}/Cargo.toml names {name}"));
            }
            for (reserved, allowed) in RESERVED {
                if name == reserved && !for_tests && !allowed.contains(&leaf) {
                    offences.push(format!("{leaf}/Cargo.toml names {name}"));
                }
            }
        }
    }
    expect_none(
        "leaf crates depend on neither each other nor the shell's libraries",
        offences,
    );
}

#[test]
fn leaves_may_not_read_the_clock() {
    let mut offences = Vec::new();
    for leaf in LEAVES {
        let path = root().join(leaf).join("clippy.toml");
        let text = fs::read_to_string(&path).unwrap_or_default();
        for call in [
            "std::time::Instant::now",
            "std::time::SystemTime::now",
            "std::thread::sleep",
        ] {
            if !text.contains(call) {
                offences.push(format!("{leaf}/clippy.toml does not disallow {call}"));
            }
        }
    }
    expect_none("each leaf's clippy.toml bans the clock", offences);
}
