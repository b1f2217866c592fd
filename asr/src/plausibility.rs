//! PURE.
//!
//! Whether a text can have been said. Whisper models of OpenAI's training answer near-silence with sentences from film
//! subtitles, name noises in brackets, and now and then fall into a loop. This room knows those three habits; it does not
//! listen to sound itself, but is told how much of it was voiced.

/// Longest text without a pause that a fast talker gets into a second, in letters. Fast speech is about 20.
const LETTERS_PER_S_MAX: u32 = 40;
/// The same for sentences that are known inventions.
const LETTERS_PER_S_MAX_KNOWN: u32 = 20;
/// A phrase must come this often in a row to count as a loop.
const LOOP_REPEATS: usize = 4;
/// Longest phrase looked for in loops, in words.
const LOOP_WORDS_MAX: usize = 8;

/// What OpenAI's models say in silence, in lower case, without punctuation.
const KNOWN_INVENTIONS: [&str; 10] = [
    "you",
    "thank you",
    "thank you very much",
    "thank you so much",
    "thanks for watching",
    "thank you for watching",
    "bye",
    "bye bye",
    "please subscribe",
    "see you next time",
];

/// Takes out what names a noise instead of a word: `[BLANK_AUDIO]`, `(music)`, `*sighs*`, notes.
/// An unclosed bracket is kept, with what follows it.
pub fn strip_noise_names(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['[', '(', '*', '♪', '♫']) {
        kept.push_str(&rest[..at]);
        let Some(open) = rest[at..].chars().next() else {
            break;
        };
        let after = &rest[at + open.len_utf8()..];
        let close = match open {
            '[' => ']',
            '(' => ')',
            other => other,
        };
        match after.find(close) {
            Some(end) => rest = &after[end + close.len_utf8()..],
            None if matches!(open, '♪' | '♫') => rest = after,
            None => {
                kept.push(open);
                rest = after;
            }
        }
    }
    kept.push_str(rest);
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// False when `text` is too long for `voiced_ms` of voice, by a narrower measure for known inventions.
pub fn fits_voice(text: &str, voiced_ms: u32) -> bool {
    let words = words(text);
    let letters = words.iter().map(|word| word.chars().count()).sum::<usize>();
    let limit = if KNOWN_INVENTIONS.contains(&words.join(" ").as_str()) {
        LETTERS_PER_S_MAX_KNOWN
    } else {
        LETTERS_PER_S_MAX
    };
    letters as u64 * 1_000 <= u64::from(limit) * u64::from(voiced_ms)
}

/// Mean log probability of the tokens from which a model is trusted fully, and below which not at all. Of OpenAI's
/// models the second is the threshold at which their own reference decoder tries again. Our own small model is surer of
/// itself: of its test sentences through a telephone line it gets one word in fifteen wrong around the first, and two in
/// three below the second (asr/train/README.md).
pub const TRUSTED_LOGPROB: (f32, f32) = (-0.5, -1.0);
pub const TRUSTED_LOGPROB_MINI: (f32, f32) = (-0.25, -0.75);
/// Letters per second of voice up to which a text can have been said, and from which it cannot: a model that completes
/// what it expects writes more than was said. Of 313 texts that the small model was sure of, those of 20 to 30 letters a
/// second were about as right (33 of 36) as slower ones (259 of 275): the detector's voice is shorter than the speaker's.
const TRUSTED_PACE: (f32, f32) = (28.0, 36.0);

/// How far a text can be trusted, 0 to 1, by the model's own measure and by the voice there was for it.
pub fn certainty(text: &str, avg_logprob: f32, voiced_ms: u32, trusted: (f32, f32)) -> f32 {
    let letters: usize = words(text).iter().map(|word| word.chars().count()).sum();
    if letters == 0 {
        return 1.0;
    }
    let pace = letters as f32 * 1_000.0 / voiced_ms.max(1) as f32;
    let between =
        |value: f32, (full, none): (f32, f32)| ((value - none) / (full - none)).clamp(0.0, 1.0);
    between(avg_logprob, trusted).min(between(pace, TRUSTED_PACE))
}

/// True when the text ends by repeating a phrase four times or more. Single repeated words that people do say (digits,
/// letters, "no no no no") count only from twice that number on.
pub fn is_loop(text: &str) -> bool {
    let words = words(text);
    (1..=LOOP_WORDS_MAX).any(|length| {
        let needed = if length == 1 {
            2 * LOOP_REPEATS
        } else {
            LOOP_REPEATS
        };
        let Some(last) = words.len().checked_sub(length) else {
            return false;
        };
        let phrase = &words[last..];
        let repeats = words
            .rchunks_exact(length)
            .take_while(|chunk| *chunk == phrase)
            .count();
        repeats >= needed
    })
}

/// Words in lower case, with nothing but letters, digits and apostrophes.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| {
            word.chars()
                .filter(|c| c.is_alphanumeric() || *c == '\'')
                .flat_map(char::to_lowercase)
                .collect::<String>()
        })
        .filter(|word| !word.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    //! Tables for the three habits.
    use super::*;

    #[test]
    fn noise_names_go_and_words_stay() {
        for (text, expected) in [
            ("[BLANK_AUDIO]", ""),
            (" (music)", ""),
            ("♪ la la ♪", ""),
            ("♪", ""),
            ("*sighs* Well, yes.", "Well, yes."),
            ("Call me [phone rings] back.", "Call me back."),
            ("Open (unclosed", "Open (unclosed"),
            ("What is 2 * 3?", "What is 2 * 3?"),
            ("", ""),
        ] {
            assert_eq!(strip_noise_names(text), expected, "{text:?}");
        }
    }

    #[test]
    fn long_texts_need_voice() {
        for (text, voiced_ms, expected) in [
            ("Thank you.", 600, true),
            ("Thank you.", 200, false),
            ("Thanks for watching!", 500, false),
            ("Yes.", 160, true),
            ("you", 100, false),
            ("Turn on the lights in the kitchen please.", 1_500, true),
            ("Turn on the lights in the kitchen please.", 200, false),
            ("", 0, true),
        ] {
            assert_eq!(
                fits_voice(text, voiced_ms),
                expected,
                "{text:?} {voiced_ms}"
            );
        }
    }

    #[test]
    fn trust_follows_from_model_and_voice() {
        for (text, logprob, voiced_ms, expected) in [
            ("Set a timer.", -0.05, 800, 1.0),
            ("Set a timer.", -0.5, 800, 0.5),
            ("Set a timer.", -0.9, 800, 0.0),
            // A hurried voice, and eighteen letters in half a second.
            ("Set a timer for an hour.", -0.05, 800, 1.0),
            ("Set a timer for an hour.", -0.05, 500, 0.0),
            ("", -2.0, 0, 1.0),
            ("Yes.", -0.1, 0, 0.0),
        ] {
            let trust = certainty(text, logprob, voiced_ms, TRUSTED_LOGPROB_MINI);
            assert!(
                (trust - expected).abs() < 0.01,
                "{text} {logprob} {voiced_ms}: {trust}"
            );
        }
    }

    #[test]
    fn loops_are_seen_and_digits_are_not() {
        for (text, expected) in [
            (
                "I'm going to the I'm going to the I'm going to the I'm going to the",
                true,
            ),
            ("so so so so so so so so", true),
            ("Two two two two.", false),
            ("No, no, no, no!", false),
            ("Ring ring, ring ring, and go.", false),
            ("", false),
        ] {
            assert_eq!(is_loop(text), expected, "{text:?}");
        }
    }
}
