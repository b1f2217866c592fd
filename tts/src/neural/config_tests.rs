//! Descriptions of voices, whole, odd and hostile.

use super::*;

const WHOLE: &str = r#"{
    "audio": {"sample_rate": 22050, "quality": "medium"},
    "espeak": {"voice": "en-us"},
    "language": {"code": "en_US", "family": "en"},
    "inference": {"noise_scale": 0.5, "length_scale": 1.25, "noise_w": 0.75},
    "phoneme_type": "espeak",
    "num_symbols": 256, "num_speakers": 4,
    "speaker_id_map": {"a": 0},
    "phoneme_id_map": {"_": [0], "^": [1], "$": [2], "a": [14], "ai": [15]}
}"#;

#[test]
fn a_whole_description_is_read() {
    let config = parse(WHOLE.as_bytes()).unwrap();
    assert_eq!(config.sample_rate_hz, 22_050);
    assert_eq!(config.phonemes, Phonemes::Espeak("en-us".to_owned()));
    assert_eq!(config.speakers, 4);
    assert_eq!(config.language, "en-US");
    let scales = Scales {
        noise: 0.5,
        length: 1.25,
        noise_w: 0.75,
    };
    assert_eq!(config.scales, scales);
    assert_eq!(config.ids.ids("ai").ids, [1, 0, 14, 0, 2]);
}

#[test]
fn what_is_left_out_has_a_default() {
    let config = parse(
        br#"{"audio": {"sample_rate": 16000}, "espeak": {"voice": "de"},
             "phoneme_id_map": {"_": [0], "^": [1], "$": [2]}}"#,
    )
    .unwrap();
    assert_eq!((config.speakers, config.language.as_str()), (1, "de"));
    assert_eq!(config.scales.length, 1.0);
}

#[test]
fn what_is_wrong_is_named() {
    for (from, to, field) in [
        ("22050", "7999", "audio.sample_rate"),
        ("22050", "4294983296", "audio.sample_rate"),
        ("22050", "\"22050\"", "audio.sample_rate"),
        ("en-us", "-w/tmp/x", "espeak.voice"),
        ("en-us", "../../x", "espeak.voice"),
        ("en-us", "", "espeak.voice"),
        ("\"espeak\",", "\"pinyin\",", "phoneme_type"),
        ("\"espeak\",", "7,", "phoneme_type"),
        (": 4", ": -1", "num_speakers"),
        (": 4", ": 1e300", "num_speakers"),
        ("1.25", "0", "inference.length_scale"),
        ("1.25", "null", "inference.length_scale"),
        ("0.75", "1e99", "inference.noise_w"),
        ("\"_\"", "\"-\"", "phoneme_id_map"),
        ("[14]", "[-1]", "phoneme_id_map"),
        ("[14]", "[1,2,3,4,5,6,7,8,9]", "phoneme_id_map"),
        ("[14]", "14", "phoneme_id_map"),
        ("\"phoneme_id_map\"", "\"ids\"", "phoneme_id_map"),
    ] {
        let json = WHOLE.replacen(from, to, 1);
        assert_ne!(json, WHOLE, "{from}");
        match parse(json.as_bytes()) {
            Err(ConfigError::Field { field: found, .. }) => assert_eq!(found, field, "{to}"),
            other => panic!("{from} → {to}: {other:?}"),
        }
    }
}

#[test]
fn hostile_bytes_are_refused() {
    assert_eq!(
        parse(&vec![b' '; CONFIG_BYTES_MAX + 1]),
        Err(ConfigError::TooLong)
    );
    for json in ["", "null", "[]", "{", "\u{0}", "{\"audio\":[]}"] {
        assert!(parse(json.as_bytes()).is_err(), "{json}");
    }
    assert!(parse("[".repeat(100_000).as_bytes()).is_err());
}

#[test]
fn mutations_are_answered() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    for _ in 0..5_000 {
        let mut bytes = WHOLE.as_bytes().to_vec();
        for _ in 0..1 + next(4) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = next(256) as u8,
                1 => {
                    bytes.remove(at);
                }
                _ => bytes.insert(at, WHOLE.as_bytes()[next(WHOLE.len())]),
            }
        }
        fuzz::parse_config(&bytes);
    }
}
