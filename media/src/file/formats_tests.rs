//! Files that other programs wrote (FFmpeg, from one of the golden clips) are read as that clip. They lie in the fuzz
//! corpus, so that each of them is also a seed there.

use super::*;

macro_rules! corpus {
    ($name:literal) => {
        (
            $name,
            &include_bytes!(concat!("../../../tests/fuzz/corpus/sound_file/", $name))[..],
        )
    };
}

/// What all of them were made from.
fn original() -> Vec<i16> {
    let bytes = include_bytes!("../../../tests/golden/speech/seen_01.wav");
    read(bytes).expect("golden").into_internal_rate()
}

/// How alike two clips are, 1 at most, at the best shift of up to 150 ms, and that shift.
fn likeness(a: &[i16], b: &[i16]) -> (f64, usize) {
    let score = |shift: usize| {
        let (mut product, mut left, mut right) = (0.0, 1.0, 1.0);
        for (x, y) in a.iter().zip(&b[shift..]).step_by(7) {
            let (x, y) = (f64::from(*x), f64::from(*y));
            product += x * y;
            left += x * x;
            right += y * y;
        }
        product / f64::sqrt(left * right)
    };
    (0..b.len().min(2_400))
        .map(|shift| (score(shift), shift))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .expect("not empty")
}

#[test]
fn files_of_other_programs_hold_what_was_put_in() {
    let original = original();
    // A lossy codec at 32 kbit/s keeps this much; FLAC keeps all of its part.
    for ((name, bytes), least) in [
        (corpus!("note.m4a"), 0.9),
        (corpus!("fragments.mp4"), 0.9),
        (corpus!("stereo.aac"), 0.9),
        (corpus!("note.mp3"), 0.9),
        (corpus!("tagged.mp3"), 0.9),
        (corpus!("mp3.mp4"), 0.9),
        (corpus!("note.flac"), 0.999),
        (corpus!("note.webm"), 0.8),
        (corpus!("live.webm"), 0.8),
        (corpus!("opus.mp4"), 0.8),
        (corpus!("note.ogg"), 0.8),
    ] {
        let clip = read(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let pcm = clip.into_internal_rate();
        let (score, shift) = likeness(&original, &pcm);
        assert!(score > least, "{name}: {score} at {shift}");
        let expected = match name {
            "note.flac" => 9_600,
            _ => original.len(),
        };
        let longer = pcm.len() as i64 - expected as i64;
        assert!((-400..3_000).contains(&longer), "{name}: {longer}");
        // Cut off: what is there, or a plain word about it, and never more than allowed.
        for part in [2, 3, 5] {
            let _ = read(&bytes[..bytes.len() / part]);
        }
        if name != "note.flac" {
            let too_long = read_up_to(bytes, 1);
            assert_eq!(too_long, Err(FileError::TooLong { max_s: 1 }), "{name}");
        }
    }
}

#[test]
fn a_lie_about_sizes_costs_nothing() {
    // Opus, because AAC costs a hundred times as much to decode.
    let (_, mp4) = corpus!("opus.mp4");
    // 32 bit fields of the index, one after the other, say that there is no end.
    let index = mp4.windows(4).position(|w| w == b"moov").expect("an index");
    for at in (index..mp4.len() - 4).step_by(4) {
        let mut lie = mp4.to_vec();
        lie[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        if let Ok(clip) = read_up_to(&lie, 5) {
            assert!(clip.duration_ms() <= 5_000);
        }
    }
}
