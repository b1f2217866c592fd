//! Tests of `clause`: where a reply is cut, however it arrives, and that nothing is lost.

use super::*;

/// All clauses of `text`, which arrives in pieces of `size` characters.
fn split(text: &str, size: usize) -> Vec<String> {
    let mut splitter = Splitter::default();
    let mut clauses = Vec::new();
    let letters: Vec<char> = text.chars().collect();
    for piece in letters.chunks(size.max(1)) {
        clauses.extend(splitter.push(&piece.iter().collect::<String>()));
    }
    clauses.extend(splitter.finish());
    clauses
}

#[test]
fn clauses_end_where_a_speaker_would_breathe() {
    let table: &[(&str, &[&str])] = &[
        ("", &[]),
        ("  \n ", &[]),
        ("Hello", &["Hello"]),
        (
            "Yes. I can do that for you right now.",
            &["Yes.", "I can do that for you right now."],
        ),
        (
            "Sure! It is half past nine.",
            &["Sure!", "It is half past nine."],
        ),
        (
            "Of course I can, and the answer is nine.",
            &["Of course I can,", "and the answer is nine."],
        ),
        ("Well, that is it.", &["Well,", "that is it."]),
        ("No, it is not.", &["No, it is not."]),
        (
            "Your next appointment is with the dentist from Hamburg.",
            &["Your next appointment is with the dentist", "from Hamburg."],
        ),
        (
            "The restaurant is open at 7 and the bar at 9.",
            &["The restaurant is open at 7 and the bar", "at 9."],
        ),
        (
            "We will meet them in 5 or 6 days.",
            &["We will meet them in 5 or 6 days."],
        ),
        (
            "I have looked at your calendar today and there is nothing in it.",
            &[
                "I have looked at your calendar today",
                "and there is nothing in it.",
            ],
        ),
        ("Ask Dr. Who. He knows.", &["Ask Dr. Who.", "He knows."]),
        ("It is 3.14 or so. Good.", &["It is 3.14 or so.", "Good."]),
        (
            "Take fruit, e.g. apples. Good.",
            &["Take fruit,", "e.g. apples. Good."],
        ),
        (
            "I saw J. Smith there. Good.",
            &["I saw J. Smith there.", "Good."],
        ),
        (
            "Come at 7:05 p.m. tomorrow. Good.",
            &["Come at 7:05 p.m. tomorrow.", "Good."],
        ),
        (
            "Come at 7:05 p.m. Bring a friend.",
            &["Come at 7:05 p.m.", "Bring a friend."],
        ),
        ("No. That is wrong.", &["No.", "That is wrong."]),
        ("No. 5 is alive. Good.", &["No. 5 is alive.", "Good."]),
        (
            "See https://example.com/a,b.html for it. Good.",
            &["See https://example.com/a,b.html for it.", "Good."],
        ),
        (
            "It is due on November 21, 2026. Good.",
            &["It is due on November 21, 2026.", "Good."],
        ),
        (
            "It costs 1,234.50 dollars. Good.",
            &["It costs 1,234.50 dollars.", "Good."],
        ),
        (
            "He said \"Go.\" Then he left.",
            &["He said \"Go.\"", "Then he left."],
        ),
        (
            "Yes. One. Two. Three. Four. Five. Six. Seven.",
            &["Yes.", "One. Two. Three. Four. Five. Six.", "Seven."],
        ),
        (
            "Use `a. b. C` there. Good.",
            &["Use `a. b. C` there.", "Good."],
        ),
        (
            "See [the first. One](http://x.y) there. Good.",
            &["See [the first. One](http://x.y) there.", "Good."],
        ),
        ("- One\n- Two\n- Three", &["- One", "- Two", "- Three"]),
        ("1. One\n2. Two", &["1. One", "2. Two"]),
        ("a line\nthat goes on", &["a line\nthat goes on"]),
        (
            "Look:\n```\na. B. c\n\nd\n```\nDone.",
            &["Look:", "```\na. B. c\n\nd\n```", "Done."],
        ),
        ("```\nnever closed. Really", &["```\nnever closed. Really"]),
        (
            "これは長い文です。次の文です。",
            &["これは長い文です。", "次の文です。"],
        ),
    ];
    for (text, expected) in table {
        for size in [1, 2, 3, 7, 1_000] {
            assert_eq!(split(text, size), *expected, "in pieces of {size}");
        }
    }
}

#[test]
fn the_first_clause_comes_before_the_sentence_is_written() {
    let mut splitter = Splitter::default();
    assert!(splitter.push("Good morning to you").is_empty());
    assert_eq!(splitter.push(", it is "), ["Good morning to you,"]);
    assert!(splitter.push("nine, and cold").is_empty());
    assert_eq!(splitter.finish().as_deref(), Some("it is nine, and cold"));
    // At the beginning again.
    assert_eq!(splitter.push("Yes. "), ["Yes."]);
}

#[test]
fn long_sentences_are_cut() {
    let without_commas = "word ".repeat(500);
    let with_commas = "some words and then, ".repeat(100);
    let unbroken = "x".repeat(10_000);
    for text in [&without_commas, &with_commas, &unbroken] {
        let config = SplitterConfig::default();
        for clause in split(text, 3) {
            let length = clause.chars().count();
            let limit = match clause.contains(' ') {
                true => config.chars_max,
                false => config.chars_max * UNBROKEN_FACTOR,
            };
            assert!(length <= limit + 1, "{length}: {clause:.40}");
        }
    }
    assert!(
        split(&with_commas, 3)
            .iter()
            .all(|clause| clause.ends_with(','))
    );
}

#[test]
fn endless_code_is_not_kept() {
    let mut splitter = Splitter::default();
    assert!(splitter.push("```\n").is_empty());
    for _ in 0..10_000 {
        assert!(splitter.push("let x = 1; // One. Two.\n").is_empty());
        assert!(splitter.buffer.len() <= FENCE_CHARS_MAX + 100);
    }
    let mut clauses = splitter.push("```\nThat was code. Nice.\n");
    clauses.extend(splitter.finish());
    assert_eq!(clauses.len(), 2);
    assert!(clauses[0].starts_with("```") && clauses[0].ends_with("```"));
    assert_eq!(clauses[1], "That was code. Nice.");
}

#[test]
fn nothing_is_lost_or_cut_apart() {
    const PIECES: &[&str] = &[
        "word",
        "Word",
        "and ",
        "so ",
        " ",
        "  ",
        "\n",
        "\n\n",
        ". ",
        ".",
        ", ",
        "; ",
        ": ",
        "! ",
        "? ",
        "`",
        "```",
        "\n```\n",
        "[",
        "](",
        ")",
        "Dr. ",
        "e.g. ",
        "3.14 ",
        "No. ",
        "5 ",
        "1. ",
        "- ",
        "é",
        "日本。",
        "…",
        "\"",
        "I. ",
        "— ",
        "\r\n",
        "🎉",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for _ in 0..5_000 {
        let mut data = Vec::new();
        for _ in 0..random() % 120 {
            data.extend_from_slice(PIECES[random() % PIECES.len()].as_bytes());
        }
        fuzz::split_any(&data, random() % 9 + 1);
    }
}
