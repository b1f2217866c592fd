//! Long answers in pieces.

use super::*;

#[test]
fn cuts_where_a_reader_would() {
    let words = "word ".repeat(40);
    let cases: &[(&str, usize, &[&str])] = &[
        ("", 64, &[]),
        ("  short  ", 64, &["short"]),
        (
            "The first paragraph is here, whole.\n\nThe second one is here as well, and whole.",
            64,
            &[
                "The first paragraph is here, whole.",
                "The second one is here as well, and whole.",
            ],
        ),
        (
            "This is one sentence that goes on. This is another that would not fit any more.",
            64,
            &[
                "This is one sentence that goes on.",
                "This is another that would not fit any more.",
            ],
        ),
    ];
    for (text, most, expected) in cases {
        assert_eq!(split(text, *most, Unit::Chars), *expected, "{text:?}");
    }
    for piece in split(&words, 64, Unit::Chars) {
        assert!(piece.split(' ').all(|word| word == "word"), "{piece:?}");
    }
}

#[test]
fn a_link_stays_whole() {
    let link = "[the page about it](https://example.org/a/long/path)";
    let text = format!("Some words before the link come here: {link} and after.");
    let pieces = split(&text, 70, Unit::Chars);
    assert!(
        pieces.iter().any(|piece| piece.contains(link)),
        "{pieces:?}"
    );
}

#[test]
fn code_is_closed_and_opened_again() {
    let code = "let a = 1;\n".repeat(30);
    let text = format!("Look:\n```rust\n{code}```\nThat is all.");
    let pieces = split(&text, 100, Unit::Bytes);
    assert!(pieces.len() > 3);
    for piece in &pieces {
        assert!(piece.len() <= 100, "{piece:?}");
        assert_eq!(piece.matches("```").count() % 2, 0, "{piece:?}");
    }
    let lines = pieces.iter().flat_map(|piece| piece.lines());
    assert_eq!(lines.filter(|line| *line == "let a = 1;").count(), 30);
}

/// Whatever it is, it ends, fits, and loses nothing but blanks.
#[test]
fn hostile_texts_end_and_fit() {
    let texts = [
        "x".repeat(1_000),
        "🦀".repeat(500),
        "```".repeat(300),
        "```\n".repeat(300),
        "[".repeat(700),
        format!("[{}](", "a b ".repeat(200)),
        "\u{202e}abc ".repeat(200),
        "\n ".repeat(400) + "end",
        "a\u{300}\u{301}".repeat(300),
        format!("```{}\ncode\n", "z".repeat(200)) + &"line\n".repeat(100),
    ];
    for text in &texts {
        for unit in [Unit::Bytes, Unit::Chars, Unit::Utf16] {
            for most in [0, 64, 65, 100, 4_096] {
                let pieces = split(text, most, unit);
                for piece in &pieces {
                    assert!(
                        unit.length(piece) <= most.max(ROOM_MIN),
                        "{unit:?} {most} {piece:?}"
                    );
                    assert!(!piece.trim().is_empty());
                }
                let letters = |text: &str| {
                    text.chars()
                        .filter(|c| !c.is_whitespace() && *c != '`')
                        .count()
                };
                if !text.contains("zzz") {
                    let sum: usize = pieces.iter().map(|piece| letters(piece)).sum();
                    assert_eq!(sum, letters(text), "{unit:?} {most}");
                }
            }
        }
    }
}
