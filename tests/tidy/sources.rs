//! What every source file obeys: a header that says what it owns, a length a reader can hold, nothing left unfinished,
//! nothing without a bound, no trace of one person's machine.

use crate::tree::{expect_none, rust_files, text_files};
use std::io::Write;

const LINES_WARN: usize = 600;
const LINES_MAX: usize = 1000;

#[test]
fn every_source_file_says_what_it_owns() {
    let offences = rust_files()
        .iter()
        .filter(|file| file.header().map(|line| line.len()).sum::<usize>() < 20)
        .map(|file| file.path.clone())
        .collect();
    expect_none(
        "a source file begins with `//!` lines: what it owns, and what not",
        offences,
    );
}

#[test]
fn no_file_is_too_long_to_read() {
    let mut offences = Vec::new();
    for file in rust_files() {
        let lines = file.text.lines().count();
        if lines > LINES_MAX {
            offences.push(format!("{}: {lines} lines", file.path));
        } else if lines > LINES_WARN {
            // Written past the test harness, which swallows the output of tests that pass.
            let _ = writeln!(
                std::io::stderr(),
                "tidy: {} has {lines} lines; past {LINES_WARN} a file owes a reason",
                file.path
            );
        }
    }
    expect_none(&format!("at most {LINES_MAX} lines per file"), offences);
}

/// This file names what it looks for, so it does not look into itself.
const SELF: &str = "tests/tidy/sources.rs";

/// Lines of the program's code, comments cut off, that `offends` names a reason for.
fn in_code(offends: impl Fn(&str) -> Option<&'static str>) -> Vec<String> {
    let mut offences = Vec::new();
    for file in rust_files()
        .iter()
        .filter(|file| file.path != SELF && !file.is_test_code())
    {
        for (at, line) in file.code_lines() {
            if let Some(what) = offends(line) {
                offences.push(format!("{}:{at}: {what}", file.path));
            }
        }
    }
    offences
}

#[test]
fn nothing_is_left_unfinished() {
    let macros = ["todo!(", "unimplemented!(", "dbg!("];
    let mut offences = in_code(|line| macros.into_iter().find(|word| line.contains(word)));
    for file in text_files().iter().filter(|file| file.path != SELF) {
        for (at, line) in file.lines() {
            for mark in ["TODO", "FIXME", "XXX:"] {
                if line.contains(mark) {
                    offences.push(format!("{}:{at}: {mark}", file.path));
                }
            }
        }
    }
    expect_none(
        "nothing is left for later without being done or left out",
        offences,
    );
}

#[test]
fn every_queue_has_a_bound() {
    let words = [
        "unbounded_channel",
        "UnboundedSender",
        "unbounded()",
        "mpsc::channel()",
    ];
    let offences = in_code(|line| {
        // With its type written out: no argument is the standard library's, which has no bound; tokio's takes one.
        let typed = line.contains("mpsc::channel::<") && line.contains(">()");
        let word = words.into_iter().find(|word| line.contains(word));
        word.or(typed.then_some("mpsc::channel without a bound"))
    });
    expect_none("no queue without a bound", offences);
}

#[test]
fn no_trace_of_one_machine() {
    // Spelled in halves, so that this file is not its own offence.
    let paths = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/tmp/", "brief"),
        concat!("/tmp/", "t/"),
        concat!("/home/", "user"),
    ];
    let mut offences = Vec::new();
    for file in text_files() {
        for (at, line) in file.lines() {
            for path in paths {
                // A path that begins here, not the tail of a longer one that ends alike.
                let begins = line.match_indices(path).any(|(from, _)| {
                    !line[..from].ends_with(|before: char| {
                        before.is_alphanumeric() || "._-}".contains(before)
                    })
                });
                if begins {
                    offences.push(format!("{}:{at}: {path}", file.path));
                }
            }
        }
    }
    expect_none("no path of a development machine", offences);
}
