//! Fuzz bodies of what the words say: any bytes in, properties asserted. Owns no engine; a fuzzer calls them
//! by name, and seeded mutations run with the tests.
//! PURE.

use crate::endpoint::{Asked, Evidence, Strategy, WaitCurve, finished_probability};
use crate::interjection::{Context, Verdict, is_only_stop, judge, judge_partial};
use crate::words::{normalise, same};

const STRATEGIES: [Strategy; 3] = [Strategy::Text, Strategy::Prosody, Strategy::Model];
/// Letters up to which every prefix is judged as a partial transcript.
const PREFIXES_MAX: usize = 200;

/// A transcript of any letters: normalisation is stable, a text is the same turn as itself, probabilities
/// are probabilities, and no prefix is too odd to judge.
pub fn transcript(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let bare = normalise(&text);
    assert_eq!(normalise(&bare), bare, "{text:?}");
    assert!(same(&text, &text));
    assert!(same(&text, &bare), "{text:?}");
    let asked = asked(data.first().copied().unwrap_or(0));
    let cuts = text
        .char_indices()
        .map(|(at, _)| at)
        .take(PREFIXES_MAX)
        .chain([text.len()]);
    for cut in cuts {
        let evidence = Evidence {
            certainty: 1.0,
            text: &text[..cut],
            asked,
            prosody: Some(f32::from(data.len() as u8) / 255.0),
            model: None,
        };
        for strategies in [&STRATEGIES[..1], &STRATEGIES[..]] {
            let probability = finished_probability(strategies, &evidence);
            assert!((0.0..=1.0).contains(&probability), "{probability}");
        }
    }
    let _ = Asked::by(&text);
}

/// Words heard (up to the first zero byte, or all) over words spoken (the rest).
pub fn interjection(data: &[u8]) {
    let cut = data
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(data.len());
    let heard = String::from_utf8_lossy(&data[..cut]);
    let speaking = String::from_utf8_lossy(&data[cut..]);
    let context = Context {
        speaking: &speaking,
        asked: asked(data.len() as u8),
    };
    let verdict = judge(&heard, &context);
    let partial = judge_partial(&heard, &context);
    // A partial is judged as the whole or not at all.
    assert!(
        partial.is_none_or(|partial| partial == verdict),
        "{heard:?}"
    );
    if normalise(&heard).is_empty() {
        assert!(
            matches!(verdict, Verdict::Nothing | Verdict::Backchannel),
            "{heard:?}"
        );
    }
    let _ = is_only_stop(&heard);
}

/// A curve of any numbers: bounded, and never longer for a higher probability.
pub fn wait_curve(data: &[u8]) {
    let word = |at: usize| {
        let bytes = data.get(at * 4..at * 4 + 4).unwrap_or(&[0; 4]);
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    };
    let curve = WaitCurve {
        sure_ms: word(0),
        unsure_ms: word(1),
        unfinished_ms: word(2),
        sure_from: f32::from_bits(word(3)),
        unfinished_below: f32::from_bits(word(4)),
    };
    let longest = curve.sure_ms.max(curve.unsure_ms).max(curve.unfinished_ms);
    let mut last = u32::MAX;
    for step in 0..=64 {
        let wait_ms = curve.wait_ms(step as f32 / 64.0);
        assert!(
            wait_ms <= last && wait_ms <= longest && wait_ms >= curve.sure_ms,
            "{curve:?}"
        );
        last = wait_ms;
    }
    assert!(curve.wait_ms(f32::from_bits(word(5))) <= longest);
}

fn asked(byte: u8) -> Asked {
    match byte % 6 {
        0 => Asked::Nothing,
        1 => Asked::YesNo,
        2 => Asked::Digits { count: None },
        3 => Asked::Digits { count: Some(byte) },
        4 => Asked::Spelling,
        _ => Asked::Open,
    }
}

#[cfg(test)]
#[path = "words_fuzz_tests.rs"]
mod tests;
