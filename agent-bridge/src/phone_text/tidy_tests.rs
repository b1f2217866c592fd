//! Markup in, speech out: each row is read whole and letter by letter, with the same result.

use super::*;

fn tidy(pieces: &[&str]) -> String {
    let mut tidy = Tidy::default();
    let mut out = String::new();
    for piece in pieces {
        out.push_str(&tidy.push(piece));
    }
    out.push_str(&tidy.finish());
    out
}

fn check(rows: &[(&str, &str)]) {
    let mut failed = Vec::new();
    for (text, wanted) in rows {
        let letters: Vec<String> = text.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        for (how, got) in [("whole", tidy(&[text])), ("letters", tidy(&letters))] {
            if got != *wanted {
                failed.push(format!(
                    "{text:?} {how}\n  gave   {got:?}\n  wanted {wanted:?}"
                ));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn plain_speech_is_left_alone() {
    check(&[
        ("It is noon.", "It is noon."),
        (
            "Well, it's 3.5 km - roughly.",
            "Well, it's 3.5 km - roughly.",
        ),
        ("Grüße, こんにちは!", "Grüße, こんにちは!"),
        ("A costs $5, B costs €7.", "A costs $5, B costs €7."),
        ("  Leading   and  inner  space ", "Leading and inner space"),
        ("One\nline after\nanother.", "One line after another."),
        ("12. That is the answer.", "12, That is the answer."),
        ("2026 was good.", "2026 was good."),
        ("R&D and AT&T", "R&D and AT&T"),
        ("Wow!! Really?!", "Wow!! Really?!"),
        ("", ""),
    ]);
}

#[test]
fn emphasis_and_code_marks_go() {
    check(&[
        ("This is **bold** and *soft*.", "This is bold and soft."),
        ("This is __bold__ and _soft_.", "This is bold and soft."),
        ("***Both***", "Both"),
        ("Run `make test` now.", "Run make test now."),
        ("~~Wrong~~ right", "Wrong right"),
        ("the max_delay_ms field", "the max delay ms field"),
        ("2 * 3 is 6", "2 times 3 is 6"),
        ("2*3 is 6", "2 times 3 is 6"),
        ("Here:\n```rust\nfn main() {}\n```\nDone.", "Here: Done."),
        ("```\nnever closed", ""),
        ("A star \\* stays", "A star * stays"),
    ]);
}

#[test]
fn lines_become_sentences() {
    check(&[
        ("# Title\nText.", "Title. Text."),
        ("## Two ## \nText.", "Two. Text."),
        ("# One #", "One"),
        ("- Track #9\n- C# code", "Track #9. C# code"),
        ("| -5 | 3-4 |", "-5, 3-4"),
        ("- one\n- two\n- three", "one. two. three"),
        ("* one\n* two", "one. two"),
        ("1. Milk\n2. Eggs", "1, Milk. 2, Eggs"),
        (
            "Things:\n\n- a\n- b\n\nThat is all.",
            "Things: a. b. That is all.",
        ),
        ("First paragraph\n\nSecond", "First paragraph. Second"),
        ("> quoted", "quoted"),
        ("Above\n\n---\n\nBelow", "Above. Below"),
        ("• one\n• two", "one. two"),
        ("| A | B |\n|---|---|\n| 1 | 2 |", "A, B. 1, 2"),
        ("#hashtag", "#hashtag"),
        ("-5 degrees", "-5 degrees"),
    ]);
}

#[test]
fn links_directives_and_tags_go() {
    check(&[
        ("See [the page](https://example.com/a_b).", "See the page."),
        ("![a cat](cat.png) here", "a cat here"),
        ("[[reply_to: 5]]Hello", "Hello"),
        ("Hello [[audio_as_voice]] there", "Hello there"),
        ("True [1], they say [^2].", "True, they say."),
        ("An [aside] here", "An aside here"),
        ("<think>hidden, <b>too</b></think>Shown", "Shown"),
        ("<speak>Hi <break time=\"1s\"/> there</speak>", "Hi there"),
        ("a < b and b > a", "a less than b and b > a"),
        ("Tom &amp; Jerry", "Tom and Jerry"),
        ("an [open bracket", "an open bracket"),
        ("an [[open directive", "an"),
        ("an <open tag", "an"),
    ]);
}

#[test]
fn what_is_not_for_the_ear_goes() {
    check(&[
        ("NO_REPLY", ""),
        ("NO_REPLY\n", ""),
        ("HEARTBEAT_OK", ""),
        ("NO_REPLYING is a word", "NO REPLYING is a word"),
        ("No reply yet.", "No reply yet."),
        ("assistant: Hello", "Hello"),
        ("Assistant: Hello", "Hello"),
        ("AI: Hello", "Hello"),
        ("Ask the assistant: it knows", "Ask the assistant: it knows"),
        ("Aid is near", "Aid is near"),
        ("Great 🎉👍🏽!", "Great!"),
        ("👨‍👩‍👧 family", "family"),
        ("✅ Done ➡️ next", "Done next"),
        ("zero\u{200b}width \u{202e}turned", "zerowidth turned"),
        ("bell\u{7} and\u{1b}[0m", "bell and0m"),
    ]);
}

#[test]
fn it_speaks_as_soon_as_it_can() {
    let mut tidy = Tidy::default();
    assert_eq!(tidy.push("Hello"), "Hello");
    assert_eq!(tidy.push(" there, **fri"), " there, fri");
    assert_eq!(tidy.push("end*"), "end");
    assert_eq!(tidy.push("*."), ".");
    assert_eq!(tidy.finish(), "");
    // What never closes is not held back for ever.
    assert!(!tidy.push(&format!("[{}", "x".repeat(600))).is_empty());
}
