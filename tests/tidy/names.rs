//! Names are the field's nouns. A `Manager`, a `Helper` or a `util` says that nobody knew what the thing is.

use crate::tree::{expect_none, rust_files};

const EMPTY_WORDS: [&str; 4] = ["manager", "helper", "utils", "misc"];

fn says_nothing(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "util" || EMPTY_WORDS.iter().any(|word| name.contains(word))
}

/// The name a line declares, if it declares a type, a trait or a module.
fn declared(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        match word {
            "struct" | "enum" | "trait" | "type" | "mod" | "union" => {
                let name = words.next()?;
                return name
                    .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .next();
            }
            _ if word.starts_with("pub") || word == "unsafe" => {}
            _ => return None,
        }
    }
    None
}

#[test]
fn names_say_something() {
    let mut offences = Vec::new();
    for file in rust_files() {
        let stem = file
            .path
            .rsplit('/')
            .next()
            .unwrap_or("")
            .trim_end_matches(".rs");
        if says_nothing(stem) {
            offences.push(file.path.clone());
        }
        for (at, line) in file.code_lines() {
            if let Some(name) = declared(line).filter(|name| says_nothing(name)) {
                offences.push(format!("{}:{at}: {name}", file.path));
            }
        }
    }
    expect_none("files and types are named by what they are", offences);
}

#[test]
fn declarations_are_found() {
    let check = |line, name| assert_eq!(declared(line), name, "{line}");
    check("pub(crate) struct CallManager<T> {", Some("CallManager"));
    check("mod util;", Some("util"));
    check("    pub enum Kind {", Some("Kind"));
    check("let type_of = 1;", None);
    check("impl Trait for Thing {", None);
}
