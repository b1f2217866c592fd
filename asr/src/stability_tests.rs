//! Tables of partials and what is stable after each, and the one promise for any partials at all.
use super::*;
use crate::clips::Noise;

#[test]
fn two_partials_in_a_row_must_agree() {
    for partials in [
        // Each: a partial, then the stable and the unstable words after it.
        &[
            ("Turn", "", "Turn"),
            ("Turn off.", "Turn", "off."),
            ("Turn of the", "Turn", "of the"),
            ("Turn off the heating.", "Turn", "off the heating."),
            ("turn off the heating in", "Turn off the heating", "in"),
            (
                "Turn off the heating in the hall.",
                "Turn off the heating in",
                "the hall.",
            ),
        ][..],
        // Punctuation inside is kept, at the end it is not believed.
        &[
            ("Well, yes.", "", "Well, yes."),
            ("Well, yes.", "Well, yes", ""),
            ("Well, yes. And no.", "Well, yes", "And no."),
            ("Well, yes. And no. Perhaps", "Well, yes And no", "Perhaps"),
        ],
        // Nothing is retracted, and what goes on is found behind a changed beginning.
        &[
            ("I would like to", "", "I would like to"),
            ("I would like to speak", "I would like to", "speak"),
            ("I'd like to speak with", "I would like to speak", "with"),
            (
                "I'd like to speak with Ann",
                "I would like to speak with",
                "Ann",
            ),
        ],
        // A look that hears nothing, or less, changes nothing that is stable.
        &[
            ("one two", "", "one two"),
            ("one two three", "one two", "three"),
            ("", "one two", ""),
            ("one", "one two", ""),
            ("one two three four", "one two", "three four"),
            ("one two three four", "one two three four", ""),
        ],
        // Said twice is said twice.
        &[
            ("no no", "", "no no"),
            ("no no no", "no no", "no"),
            ("no no no no", "no no no", "no"),
        ],
        &[("- …", "", ""), ("- … yes", "", "yes"), ("yes!", "yes", "")],
    ] {
        let mut stability = Stability::new();
        for (partial, stable, unstable) in partials {
            stability.push(partial);
            assert_eq!(
                (stability.stable(), stability.unstable()),
                (*stable, *unstable),
                "after {partial:?}"
            );
        }
        stability.reset();
        assert_eq!((stability.stable(), stability.unstable()), ("", ""));
    }
}

#[test]
fn stable_words_only_grow_whatever_comes() {
    let mut noise = Noise::new(11);
    for _ in 0..200 {
        let mut stability = Stability::new();
        let mut before = String::new();
        for _ in 0..30 {
            let words: Vec<&str> = (0..noise.bits() % 12)
                .map(|_| ["a", "b.", "C", "-", "no", "é…"][(noise.bits() % 6) as usize])
                .collect();
            stability.push(&words.join(" "));
            assert!(stability.stable().starts_with(&before));
            before = stability.stable().to_owned();
        }
    }
}

#[test]
fn a_very_long_text_is_bounded() {
    let mut stability = Stability::new();
    let text = "so ".repeat(50_000);
    for _ in 0..3 {
        stability.push(&text);
    }
    let words = |text: &str| text.split_whitespace().count();
    assert!(words(stability.stable()) + words(stability.unstable()) <= WORDS_MAX);
}
