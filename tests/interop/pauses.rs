//! The caller pauses in the middle of a sentence, with real packets: it is answered once, and after its end.

use crate::drill::{call, said};
use crate::offhook::Offhook;
use crate::peers::{BARESIP, take_floor};
use crate::sound::{Sound, golden, words_in_order};

/// The greeting is over by then.
const AFTER_GREETING_MS: u32 = 4_000;
const PAUSE_MS: u32 = 900;
/// A piece of silence that parts two words of the clip.
const GAP_MS: usize = 20;

/// The clip in two, cut at the quietest place around `part` of its length.
fn halves(clip: &Sound, part: f64) -> (Sound, Sound) {
    let piece = clip.rate_hz as usize * GAP_MS / 1_000;
    let middle = (clip.samples.len() as f64 * part) as usize;
    let reach = clip.rate_hz as usize * 15 / 100;
    let quietest = (middle.saturating_sub(reach)..middle + reach)
        .step_by(piece / 2)
        .min_by_key(|at| {
            let energy = clip.samples[*at..*at + piece].iter();
            energy
                .map(|sample| u64::from(sample.unsigned_abs()))
                .sum::<u64>()
        });
    let at = quietest.expect("a clip has a middle") + piece / 2;
    let half = |samples: &[i16]| Sound {
        rate_hz: clip.rate_hz,
        samples: samples.to_vec(),
    };
    (half(&clip.samples[..at]), half(&clip.samples[at..]))
}

#[test]
fn a_pause_inside_a_sentence_is_no_end() {
    let test = "a_pause_inside_a_sentence_is_no_end";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let offhook = Offhook::start("pause");
    // "Set a timer … for a few minutes."
    let clip = Sound::read(&golden("Set a timer for a few minutes"));
    let (first, second) = halves(&clip, 0.4);
    let rate_hz = first.rate_hz;
    let whole = first.then(&Sound::silence(rate_hz, PAUSE_MS)).then(&second);
    let path = offhook.home().join("paused.wav");
    whole.write(&path);
    let (messages, _) = call(&offhook, &[(AFTER_GREETING_MS, path)], 14);
    let asked = said(&messages, "caller");
    // One question, with words of both halves in it, and one answer to it.
    assert_eq!(asked.len(), 1, "{messages:?}\n{}", offhook.log_tail());
    assert!(
        words_in_order("set a timer minutes", asked[0]) >= 3,
        "{messages:?}"
    );
    let place = messages.iter().position(|message| message.role == "caller");
    let answers = messages.len() - place.unwrap_or_default() - 1;
    assert_eq!(answers, 1, "{messages:?}\n{}", offhook.log_tail());
}
