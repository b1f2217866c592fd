//! What Markdown becomes, as a table: marks are written as letters around the words.

use super::*;

/// `B{…}` bold, `I{…}` italic, `S{…}` struck, `C{…}` code, `Q{…}` quote, `L(address){…}`, `P(language){…}`.
fn shown(text: &str) -> String {
    let mut all = String::new();
    for run in &Rich::read(text).runs {
        let style = &run.style;
        let mut open = String::new();
        for (is_on, letter) in [
            (style.bold, "B"),
            (style.italic, "I"),
            (style.strike, "S"),
            (style.code, "C"),
            (style.quote, "Q"),
        ] {
            if is_on {
                open.push_str(letter);
            }
        }
        if let Some(link) = &style.link {
            open.push_str(&format!("L({link})"));
        }
        if let Some(language) = &style.block {
            open.push_str(&format!("P({language})"));
        }
        match open.is_empty() {
            true => all.push_str(&run.text),
            false => all.push_str(&format!("{open}{{{}}}", run.text)),
        }
    }
    all
}

#[test]
fn marks_become_styles() {
    let cases = [
        ("plain words", "plain words"),
        ("**bold** and *slanted*", "B{bold} and I{slanted}"),
        ("__bold__ and _slanted_", "B{bold} and I{slanted}"),
        ("***both***", "BI{both}"),
        ("~~gone~~ ~not~", "S{gone} ~not~"),
        ("**a *b* c**", "B{a }BI{b}B{ c}"),
        ("snake_case_name and 2*3*4", "snake_case_name and 2*3*4"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("`x < y` and ``a`b``", "C{x < y} and C{a`b}"),
        ("\\*no\\* \\_no\\_", "*no* _no_"),
        ("# Title #\nwords", "B{Title}\nwords"),
        ("#hashtag", "#hashtag"),
        ("- one\n* two\n  + three", "• one\n• two\n  • three"),
        ("- [ ] open\n- [x] done", "☐ open\n☑ done"),
        ("1. one\n2. two", "1. one\n2. two"),
        ("> said\n> twice\nnot", "Q{said\ntwice}\nnot"),
        ("---", "———"),
        (
            "```rust\nlet a = *b;\n```\nend",
            "P(rust){let a = *b;}\nend",
        ),
        ("```\nnever closed **x**", "P(){never closed **x**}"),
        (
            "| a | b |\n|---|---|\n| 1 | 2 |",
            "P(){| a | b |\n|---|---|\n| 1 | 2 |}",
        ),
        (
            "[words](https://a.example/b_c_d)",
            "L(https://a.example/b_c_d){words}",
        ),
        ("[**w**](https://a.example)", "BL(https://a.example){w}"),
        (
            "![picture](https://a.example/x.png)",
            "L(https://a.example/x.png){picture}",
        ),
        ("[bad](javascript:alert(1))", "[bad](javascript:alert(1))"),
        ("[bad](https://a\"onx)", "[bad](https://a\"onx)"),
        (
            "see https://a.example/b_c_d_e *now*",
            "see https://a.example/b_c_d_e I{now}",
        ),
        ("<https://a.example>", "https://a.example"),
        ("<b>html</b> & more", "<b>html</b> & more"),
        ("**never closed", "**never closed"),
        ("*** ** * ` ~~", "*** ** * ` ~~"),
        ("שלום **עולם**", "שלום B{עולם}"),
        ("", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), expected, "{text:?}");
    }
}

#[test]
fn plain_words_keep_addresses() {
    let plain = |text| Rich::read(text).plain();
    assert_eq!(
        plain("[a](https://b.example) **c**"),
        "a (https://b.example) c"
    );
    assert_eq!(
        plain("[a **b**](https://c.example)"),
        "a b (https://c.example)"
    );
    assert_eq!(plain("[](https://b.example)"), "https://b.example");
}

#[test]
fn hostile_marks_end_in_reasonable_work() {
    for text in [
        "*".repeat(60_000),
        "*a ".repeat(20_000),
        "[".repeat(60_000),
        "**[`".repeat(15_000),
        "_*".repeat(30_000),
        "`".repeat(1_001),
        "`".repeat(60_000),
        format!("{} x", "`".repeat(1_500)),
    ] {
        let rich = Rich::read(&text);
        assert!(rich.plain().len() <= text.len());
    }
}
