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
fn check(
    tenths: &[usize],
    tenths_max: usize,
    whole_max: usize,
    pause_from: usize,
    expected: &[(usize, usize, bool)],
) {
    let pcm = sound(tenths);
    let limits = Limits {
        samples_max: tenths_max * 1_600,
        whole_max: whole_max * 1_600,
        pause_from: pause_from * 1_600,
        pause_samples: 4 * 1_600,
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
    for (tenths, tenths_max, whole_max, pause_from, expected) in [
        (&[][..], 80, 0, 15, &[][..]),
        (&[50], 80, 0, 15, &[(0, 50, false)]),
        // At every pause that is long enough and far enough from the last cut.
        (
            &[20, 10, 20, 10, 5, 10, 20],
            80,
            0,
            15,
            &[
                (0, 22, false),
                (22, 52, false),
                (52, 69, false),
                (69, 95, false),
            ],
        ),
        (&[20, 3, 20], 80, 0, 15, &[(0, 43, false)]),
        (&[10, 4, 20], 80, 0, 15, &[(0, 34, false)]),
        // A pause that has only begun is none yet.
        (&[20, 3], 80, 0, 15, &[(0, 23, false)]),
        (&[20, 4], 80, 0, 15, &[(0, 22, false), (22, 24, false)]),
        // What is short is left whole; what is longer is cut at all its pauses.
        (&[20, 10, 20], 80, 50, 15, &[(0, 50, false)]),
        (
            &[20, 10, 20, 10, 20],
            80,
            50,
            15,
            &[(0, 22, false), (22, 52, false), (52, 80, false)],
        ),
        // None by the rule: in the latest of the quiet places of a full window.
        (
            &[45, 5, 20, 5, 60],
            80,
            0,
            80,
            &[(0, 75, false), (75, 135, false)],
        ),
        // Nobody pauses: a second is shared.
        (&[100], 80, 0, 15, &[(0, 80, false), (70, 100, true)]),
    ] {
        check(tenths, tenths_max, whole_max, pause_from, expected);
    }
}

#[test]
fn finished_pieces_stay_when_the_recording_grows() {
    let limits = Limits {
        samples_max: 40 * 1_600,
        whole_max: 25 * 1_600,
        pause_from: 15 * 1_600,
        pause_samples: 4 * 1_600,
    };
    // Pauses, a stretch without any, and a voice that gets louder afterwards.
    let mut pcm = sound(&[20, 6, 30, 2, 70, 5, 10]);
    pcm.extend(sound(&[10, 6, 30]).iter().map(|s| s.saturating_mul(4)));
    let whole = cut(&pcm, &limits);
    assert!(whole.len() > 5, "{whole:?}");
    let mut before: Vec<Piece> = Vec::new();
    for length in (0..=pcm.len()).step_by(320).chain([pcm.len()]) {
        let pieces = cut(&pcm[..length], &limits);
        let finished = before.len().saturating_sub(1);
        assert_eq!(
            pieces.get(..finished),
            before.get(..finished),
            "at {length}"
        );
        before = pieces;
    }
    assert_eq!(before, whole);
}

#[test]
fn a_window_too_small_to_share_is_widened() {
    let limits = Limits {
        samples_max: 10,
        whole_max: 0,
        pause_from: 5,
        pause_samples: 0,
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
        // The piece between has nothing of its own.
        (
            &[("one two", false), ("two", true), ("two three", true)],
            "one two three",
        ),
        (&[("", false), ("hello", true)], "hello"),
        (&[("hello", false), ("", true)], "hello"),
        (&[], ""),
    ] {
        assert_eq!(join(texts.iter().copied()), expected, "{texts:?}");
        let each = super::texts(texts.iter().copied());
        assert_eq!(each.len(), texts.len());
        let words = each.iter().flat_map(|text| text.split_whitespace());
        assert_eq!(words.collect::<Vec<_>>().join(" "), expected, "{each:?}");
    }
}

#[test]
fn each_piece_keeps_its_own_words() {
    let pieces = [
        ("the quick brown fox", false),
        ("brown fox jumps", true),
        ("over it", false),
    ];
    let expected = ["the quick", "brown fox jumps", "over it"];
    assert_eq!(super::texts(pieces), expected);
}
