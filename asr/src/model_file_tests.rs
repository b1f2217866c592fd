//! The embedded model is sound, and each kind of damage has its name.
use super::*;
use crate::clips::Noise;

const VOCABULARY_AT: usize = 48 + 8 + 80 * 201 * 4;

#[test]
fn the_embedded_model_is_what_it_should_be() {
    assert_eq!(
        inspect(embedded()),
        Ok(ModelInfo {
            kind: "mini",
            english_only: true,
            weights: "q5_0",
            quantised: true,
            bytes: embedded().len() as u64,
            n_audio_ctx: 1_500,
            n_text_ctx: 448,
            n_vocab: 51_864,
        })
    );
    // What the program may carry at most.
    assert!(embedded().len() <= 16_000_000);
}

#[test]
fn our_own_model_is_known_at_any_depth() {
    let mut walk = Walk {
        reader: Cursor::new(embedded()),
        left: embedded().len() as u64,
    };
    walk.u32("the magic number").expect("a sound file");
    let mut header = Header::read(&mut walk).expect("a sound file");
    for layers in [2, 4, 6, 12] {
        header.n_audio_layer = layers;
        assert!(header.describe(0).is_mini(), "{layers}");
    }
    // Distilled models of others have two decoder layers too.
    header.state = 384;
    assert_eq!(header.describe(0).kind, "distil");
}

/// Writes a 32 bit number over the embedded model and expects the error to say these words.
fn check(at: usize, number: i32, expected: &str) {
    let mut bytes = embedded().to_vec();
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    let error = inspect(&bytes).expect_err("damaged");
    assert!(
        error.to_string().contains(expected),
        "{at} {number}: {error}"
    );
}

#[test]
fn each_field_is_checked() {
    check(0, 7, "not a Whisper ggml model");
    check(0, i32::from_le_bytes(*b"GGUF"), "GGUF");
    check(0, i32::from_le_bytes(*b"<!DO"), "web page");
    check(4, 512, "n_vocab");
    check(4, 51_867, "n_vocab");
    check(4, 51_863, "shape");
    check(8, 0, "n_audio_ctx");
    check(8, 1_499, "encoder.positional_embedding");
    check(12, 193, "n_text_state");
    check(16, 0, "n_audio_head");
    check(16, 5, "divisor");
    check(20, 1_000_000, "n_audio_layer");
    let layers = i32::from_le_bytes(embedded()[20..24].try_into().expect("four bytes"));
    check(20, layers + 1, "missing");
    check(20, layers - 1, "unknown");
    check(24, -1, "n_text_ctx");
    check(32, 7, "divisor");
    check(40, 128, "filter bands");
    check(44, 0, "ftype");
    check(44, 4, "ftype");
    check(44, 7, "type 6, expected q8_0");
    check(48, 81, "filter bands");
    check(52, 400, "filter bins");
    check(VOCABULARY_AT, 0, "pieces");
    check(VOCABULARY_AT, 60_000, "pieces");
    check(VOCABULARY_AT, -1, "pieces");
    check(VOCABULARY_AT + 4, i32::MAX, "bytes long");
}

#[test]
fn every_cut_is_noticed() {
    let sound = embedded();
    let tail = sound.len() - 3;
    for length in (0..200)
        .chain((200..sound.len()).step_by(400_009))
        .chain([tail])
    {
        let error = inspect(&sound[..length]).expect_err("cut");
        assert!(
            matches!(
                error,
                ModelError::CutShort { .. } | ModelError::TensorsMissing { .. }
            ),
            "{length}: {error}"
        );
    }
    let mut longer = sound.to_vec();
    longer.extend([0; 12]);
    assert!(inspect(&longer).is_err());
}

#[test]
fn a_model_without_tensors_is_refused() {
    // whisper.cpp takes such a file for a test model and crashes when it is used.
    let sound = embedded();
    let mut at = VOCABULARY_AT + 4;
    let count = i32::from_le_bytes(sound[VOCABULARY_AT..at].try_into().expect("four bytes"));
    for _ in 0..count {
        let length = u32::from_le_bytes(sound[at..at + 4].try_into().expect("four bytes"));
        at += 4 + length as usize;
    }
    assert!(matches!(
        inspect(&sound[..at]),
        Err(ModelError::TensorsMissing { .. })
    ));
}

#[test]
fn any_bytes_get_a_verdict() {
    let mut noise = Noise::new(4);
    let mut bytes = embedded()[..VOCABULARY_AT + 4_000].to_vec();
    for _ in 0..2_000 {
        let reach = if noise.bits().is_multiple_of(2) {
            60
        } else {
            bytes.len() as u64
        };
        let at = usize::try_from(noise.bits() % reach).expect("an index");
        let old = std::mem::replace(&mut bytes[at], noise.bits() as u8);
        fuzz::inspect(&bytes);
        bytes[at] = old;
    }
    for length in 0..64 {
        let random: Vec<u8> = (0..length).map(|_| noise.bits() as u8).collect();
        fuzz::inspect(&random);
    }
}
