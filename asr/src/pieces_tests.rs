//! Tables for the memory of pieces: exactness, age, bounds.
use super::*;

fn said(text: &str) -> Decoded {
    Decoded {
        text: text.to_owned(),
        tokens: 1,
        logprob_sum: -0.5,
        truncated: false,
    }
}

fn text(pieces: &mut Pieces, pcm: &[i16], audio_ctx: i32) -> Option<String> {
    pieces
        .decoded(&Sound::new(pcm), audio_ctx)
        .map(|decoded| decoded.text)
}

#[test]
fn only_the_same_samples_and_settings_are_found() {
    let mut pieces = Pieces::new(1 << 20);
    pieces.keep_decoded(&Sound::new(&[1, 2, 3]), 80, said("one"));
    pieces.keep_decoded(&Sound::new(&[1, 2, 3]), 1_500, said("all"));
    pieces.keep_voiced_ms(&Sound::new(&[1, 2, 4]), 40);
    for (pcm, audio_ctx, expected) in [
        (&[1, 2, 3][..], 80, Some("one")),
        (&[1, 2, 3], 1_500, Some("all")),
        (&[1, 2, 3], 90, None),
        (&[1, 2], 80, None),
        (&[1, 2, 3, 0], 80, None),
        (&[1, 2, 4], 80, None),
        (&[], 80, None),
    ] {
        assert_eq!(
            text(&mut pieces, pcm, audio_ctx).as_deref(),
            expected,
            "{pcm:?} {audio_ctx}"
        );
    }
    assert_eq!(pieces.voiced_ms(&Sound::new(&[1, 2, 4])), Some(40));
    assert_eq!(pieces.voiced_ms(&Sound::new(&[1, 2, 3])), None);
    assert_eq!(pieces.len(), 2);
    // The same question answered again replaces; a third setting pushes the oldest decode out.
    pieces.keep_decoded(&Sound::new(&[1, 2, 3]), 80, said("again"));
    pieces.keep_decoded(&Sound::new(&[1, 2, 3]), 512, said("floor"));
    let sound = &[1, 2, 3];
    assert_eq!(text(&mut pieces, sound, 80).as_deref(), Some("again"));
    assert_eq!(text(&mut pieces, sound, 512).as_deref(), Some("floor"));
    assert_eq!(text(&mut pieces, sound, 1_500), None);
    pieces.clear();
    assert!(pieces.is_empty() && pieces.bytes() == 0);
}

#[test]
fn equal_hashes_are_not_believed() {
    let mut pieces = Pieces::new(1 << 20);
    let (one, other) = ([1_i16, 2], [3_i16, 4]);
    let forged = |pcm| Sound { pcm, hash: 7 };
    pieces.keep_decoded(&forged(&one), 80, said("one"));
    assert_eq!(pieces.decoded(&forged(&other), 80), None);
    pieces.keep_decoded(&forged(&other), 80, said("other"));
    for (pcm, expected) in [(&one, "one"), (&other, "other")] {
        assert_eq!(pieces.decoded(&forged(pcm), 80), Some(said(expected)));
    }
}

#[test]
fn the_least_recently_used_goes_first() {
    let clip = |n: i16| vec![n; 1_000];
    let room = 3 * (2_000 + PIECE_OVERHEAD_BYTES);
    let mut pieces = Pieces::new(room);
    for n in 0..3 {
        pieces.keep_decoded(&Sound::new(&clip(n)), 80, said("x"));
    }
    assert!(text(&mut pieces, &clip(0), 80).is_some());
    pieces.keep_decoded(&Sound::new(&clip(3)), 80, said("x"));
    let found: Vec<bool> = (0..4)
        .map(|n| text(&mut pieces, &clip(n), 80).is_some())
        .collect();
    assert_eq!(found, [true, false, true, true]);
    assert_eq!((pieces.len(), pieces.bytes()), (3, room));
    // Too large for the whole memory: not kept, and nothing is lost for it.
    pieces.keep_decoded(&Sound::new(&[9; 6_000]), 80, said("x"));
    assert_eq!((pieces.len(), pieces.bytes()), (3, room));
}

#[test]
fn many_small_pieces_are_bounded_too() {
    let mut pieces = Pieces::new(usize::MAX);
    for n in 0..2 * PIECES_MAX {
        let pcm = [n as i16];
        pieces.keep_voiced_ms(&Sound::new(&pcm), 0);
    }
    assert_eq!(pieces.len(), PIECES_MAX);
    let mut none = Pieces::new(0);
    none.keep_voiced_ms(&Sound::new(&[1]), 0);
    assert!(none.is_empty());
}

#[test]
fn printing_tells_no_words() {
    let mut pieces = Pieces::new(1 << 20);
    pieces.keep_decoded(&Sound::new(&[1]), 80, said("secret"));
    assert!(!format!("{pieces:?} {:?}", said("secret")).contains("secret"));
}
