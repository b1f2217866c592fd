//! Documents that must not drift: commands the README names exist, its settings are accepted by the program, and links
//! between documents lead somewhere.

use crate::tree::{TextFile, expect_none, root, text_files};
use std::fs;
use std::process::Command;

const OFFHOOK: &str = env!("CARGO_BIN_EXE_offhook");

fn documents() -> Vec<TextFile> {
    let mut files = text_files();
    files.retain(|file| file.path.ends_with(".md"));
    files
}

/// Fenced blocks of one language: (first line's number, text).
fn blocks<'a>(document: &'a TextFile, language: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside: Option<bool> = None;
    for (at, line) in document.lines() {
        let fence: Option<&'a str> = line.trim_start().strip_prefix("```");
        match (fence, inside) {
            (Some(named), None) => {
                inside = Some(named.trim() == language);
                if named.trim() == language {
                    found.push((at + 1, String::new()));
                }
            }
            (Some(_), Some(_)) => inside = None,
            (None, Some(true)) => {
                if let Some((_, text)) = found.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            (None, _) => {}
        }
    }
    found
}

/// Commands of all shell blocks, without prompts, comments and the variables set before them.
fn commands(document: &TextFile) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (first, text) in blocks(document, "sh") {
        for (at, line) in text.lines().enumerate() {
            let line = line.trim().trim_start_matches("$ ");
            let words: Vec<String> = line
                .split(" #")
                .next()
                .unwrap_or("")
                .split_whitespace()
                .skip_while(|word| word.contains('=') || *word == "sudo")
                .map(str::to_owned)
                .collect();
            if !words.is_empty() {
                found.push((first + at, words));
            }
        }
    }
    found
}

#[test]
fn make_targets_in_documents_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).expect("the Makefile");
    let targets: Vec<&str> = makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', '#', '.', ' ']))
        .filter_map(|line| line.split_once(':').map(|(target, _)| target))
        .collect();
    let mut offences = Vec::new();
    for document in documents() {
        for (at, words) in commands(&document) {
            let named = words[1..].iter().find(|word| !word.contains('='));
            if words[0] == "make"
                && let Some(target) = named
                && !targets.contains(&target.as_str())
            {
                offences.push(format!("{}:{at}: make {target}", document.path));
            }
        }
    }
    expect_none("documents name only targets the Makefile has", offences);
}

#[test]
fn subcommands_in_documents_exist() {
    let mut offences = Vec::new();
    for document in documents() {
        for (at, words) in commands(&document) {
            let Some(place) = words
                .iter()
                .position(|word| word == "offhook" || word.ends_with("/offhook"))
            else {
                continue;
            };
            if place > 0 {
                continue; // An argument to another program.
            }
            // `offhook user add kitchen`: words until the first that cannot be a subcommand.
            let path: Vec<&str> = words[1..]
                .iter()
                .map(String::as_str)
                .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()))
                .take(2)
                .collect();
            let known = (0..=path.len()).rev().any(|length| {
                let help = Command::new(OFFHOOK)
                    .args(&path[..length])
                    .arg("--help")
                    .output();
                length > 0 && help.is_ok_and(|output| output.status.success())
            });
            if !path.is_empty() && !known {
                offences.push(format!("{}:{at}: {}", document.path, words.join(" ")));
            }
        }
    }
    expect_none("documents name only commands the program has", offences);
}

#[test]
fn settings_in_documents_are_accepted() {
    let home = std::env::temp_dir().join(format!("offhook-tidy-{}", std::process::id()));
    let mut offences = Vec::new();
    for document in documents() {
        for (at, text) in blocks(&document, "toml") {
            let _ = fs::remove_dir_all(&home);
            fs::create_dir_all(&home).expect("a temporary folder");
            fs::write(home.join("offhook.toml"), &text).expect("a writable temporary folder");
            let output = Command::new(OFFHOOK)
                .arg("--home")
                .arg(&home)
                .args(["config", "check"])
                .output()
                .expect("the program starts");
            if !output.status.success() {
                let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                offences.push(format!("{}:{at}: {why}", document.path));
            }
        }
    }
    let _ = fs::remove_dir_all(&home);
    expect_none(
        "settings shown in documents are settings the program takes",
        offences,
    );
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut offences = Vec::new();
    for document in documents() {
        let folder = root().join(&document.path);
        let folder = folder.parent().expect("a document lies in a folder");
        for (at, line) in document.lines() {
            for link in line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                let target = link.split('#').next().unwrap_or("");
                if !target.is_empty() && !target.contains(':') && !folder.join(target).exists() {
                    offences.push(format!("{}:{at}: {link}", document.path));
                }
            }
        }
    }
    expect_none("links between documents lead somewhere", offences);
}
