//! Tables for cutting and joining.
use super::*;

/// Loud for these many tenths of a second, then quiet for those, and so on.
fn sound(tenths: &[usize]) -> Vec<i16> {
    let mut pcm = Vec::new();
    for (n, tenths) in tenths.iter().enumerate() {
        let level = if n % 2 == 0 { 8_000 } else { 20 };
        pcm.extend((0..tenths * 1_600).map(|i| if i % 40 < 20 { level } else { -level }));
    }
    pcm
}

/// Pieces as (start, end, overlaps), in tenths of a second, rounded.
fn check(tenths: &[usize], tenths_max: usize, expected: &[(usize, usize, bool)]) {
    check_sentences(tenths, tenths_max, None, expected);
}

fn check_sentences(
    tenths: &[usize],
    tenths_max: usize,
    sentence_from: Option<usize>,
    expected: &[(usize, usize, bool)],
) {
    let pcm = sound(tenths);
    let limits = Limits {
        samples_max: tenths_max * 1_600,
        sentence_from: sentence_from.map(|tenths| tenths * 1_600),
    };
    let pieces = cut(&pcm, &limits);
    let found: Vec<_> = pieces
        .iter()
        .map(|piece| {
            let round = |samples: usize| (samples + 800) / 1_600;
            (
                round(piece.range.start),
                round(piece.range.end),
                piece.overlaps_previous,
            )
        })
        .collect();
    assert_eq!(found, expected, "{tenths:?}");
    for piece in &pieces {
        assert!(piece.range.len() <= tenths_max * 1_600, "{piece:?}");
    }
    for pair in pieces.windows(2) {
        assert!(pair[1].range.start <= pair[0].range.end, "a gap: {pair:?}");
        assert!(
            pair[1].range.start > pair[0].range.start,
            "no progress: {pair:?}"
        );
    }
}

#[test]
fn cuts_in_pauses() {
    check(&[50], 80, &[(0, 50, false)]);
    check(&[60, 10, 60], 80, &[(0, 70, false), (70, 130, false)]);
    // Of two pauses the later one, though both are as quiet.
    check(&[45, 5, 20, 5, 60], 80, &[(0, 75, false), (75, 135, false)]);
    check(&[], 80, &[]);
}

#[test]
fn shares_a_second_where_nobody_pauses() {
    check(&[100], 80, &[(0, 80, false), (70, 100, true)]);
}

#[test]
fn cuts_between_sentences_for_models_that_want_it() {
    check_sentences(
        &[20, 10, 20, 10, 5, 10, 20],
        80,
        Some(15),
        &[
            (0, 22, false),
            (22, 52, false),
            (52, 69, false),
            (69, 95, false),
        ],
    );
    // What fits is left whole.
    check_sentences(&[20, 10, 20], 80, Some(15), &[(0, 50, false)]);
    // And what has no pause is cut as ever.
    check_sentences(&[100], 80, Some(15), &[(0, 80, false), (70, 100, true)]);
}

#[test]
fn a_window_too_small_to_share_is_widened() {
    let limits = Limits {
        samples_max: 10,
        sentence_from: None,
    };
    let pieces = cut(&sound(&[100]), &limits);
    assert!(pieces.len() < 20 && pieces.iter().all(|piece| piece.range.len() <= 32_000));
}

#[test]
fn joins_without_losing_or_doubling() {
    for (texts, expected) in [
        (
            &[("Turn it on.", false), ("And off.", false)][..],
            "Turn it on. And off.",
        ),
        (
            &[("the quick brown fox", false), ("Brown fox jumps", true)],
            "the quick Brown fox jumps",
        ),
        // A torn word on either side.
        (
            &[
                ("the quick brown fox ju", false),
                ("own fox jumps over", true),
            ],
            "the quick brown fox jumps over",
        ),
        // Not shared sound: said twice.
        (&[("no no", false), ("no no", false)], "no no no no"),
        (
            &[("one two three", false), ("four five", true)],
            "one two three four five",
        ),
        (&[("", false), ("hello", true)], "hello"),
        (&[("hello", false), ("", true)], "hello"),
        (&[], ""),
    ] {
        assert_eq!(join(texts.iter().copied()), expected, "{texts:?}");
    }
}
