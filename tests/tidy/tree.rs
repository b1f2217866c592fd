//! The project's own files, read once per rule. Owns the walk and what counts as a source file; judges nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// The five crates that must not know each other.
pub const LEAVES: [&str; 5] = ["sip", "media", "asr", "tts", "agent-bridge"];

/// One text file of the project.
pub struct TextFile {
    /// Relative to the root, with forward slashes.
    pub path: String,
    pub text: String,
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file, in the order of their paths, without build outputs, git's own and the lock files.
pub fn text_files() -> Vec<TextFile> {
    let root = root();
    let mut files = Vec::new();
    walk(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        files.len() > 20,
        "the walk found almost nothing below {root:?}"
    );
    files
}

pub fn rust_files() -> Vec<TextFile> {
    let mut files = text_files();
    files.retain(|file| file.path.ends_with(".rs"));
    files
}

fn walk(root: &Path, folder: &Path, into: &mut Vec<TextFile>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    for entry in entries {
        let entry = entry.expect("a readable folder entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        let kind = entry.file_type().expect("a file type");
        if kind.is_dir() {
            let own_hidden = name == ".ci" || name == ".cargo";
            let foreign = name == "target" || name == "shared" || name == "__pycache__";
            if !foreign && (own_hidden || !name.starts_with('.')) {
                walk(root, &path, into);
            }
        } else if kind.is_file() && is_text(&name) {
            let Ok(text) = fs::read_to_string(&path) else {
                continue; // A torture message or a corpus entry: its bytes are its point.
            };
            let relative = path.strip_prefix(root).expect("below the root");
            into.push(TextFile {
                path: relative.to_string_lossy().replace('\\', "/"),
                text,
            });
        }
    }
}

fn is_text(name: &str) -> bool {
    const EXTENSIONS: [&str; 12] = [
        "rs", "toml", "md", "sh", "py", "xml", "service", "html", "js", "css", "tsv", "txt",
    ];
    match name.rsplit_once('.') {
        Some((_, extension)) => EXTENSIONS.contains(&extension),
        None => name == "Makefile" || name == "run",
    }
}

impl TextFile {
    /// Lines from 1, for messages a terminal can jump to.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
    }

    /// The `//!` lines a file begins with.
    pub fn header(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take_while(|line| line.starts_with("//!"))
    }

    /// Code of the file itself: neither comments nor a `mod tests { ... }` at its end.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut test_attribute = false;
        self.lines()
            .take_while(move |(_, line)| {
                let inline_tests =
                    test_attribute && line.starts_with("mod ") && line.ends_with('{');
                test_attribute = line.trim() == "#[cfg(test)]";
                !inline_tests
            })
            .map(|(at, line)| (at, line.split("//").next().unwrap_or("")))
    }

    /// Tests, their peers and benches: code that is not in the program.
    pub fn is_test_code(&self) -> bool {
        let stem = self
            .path
            .rsplit('/')
            .next()
            .unwrap_or("")
            .trim_end_matches(".rs");
        stem == "tests"
            || stem == "testing"
            || stem.ends_with("_tests")
            || self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.contains("/testing/")
            || self.path.contains("/benches/")
    }
}

/// Fails with all offences at once: one run, one list to work off.
pub fn expect_none(rule: &str, offences: Vec<String>) {
    assert!(
        offences.is_empty(),
        "{rule}\n  {}\n{} in all",
        offences.join("\n  "),
        offences.len()
    );
}
