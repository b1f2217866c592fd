//! The sentence a turn ends in: where it begins, how it is punctuated, and whether it is English. Owns no
//! judgement of its words.
//! PURE.

use super::tables::*;

/// Bytes at the end of a transcript that are read.
const TAIL_BYTES_MAX: usize = 600;

/// Recognisers put full stops everywhere: weak evidence. One that writes capitals and leaves the stop out
/// says a little more. Its question mark follows from the words in front, so it fills no gap in them.
pub(super) fn punctuation(text: &str, is_whole: bool) -> f32 {
    if text.ends_with("...") || text.ends_with(['…', '-', '–', '—']) {
        return -1.5;
    }
    match text.chars().next_back() {
        Some(',' | ';' | ':') => -1.0,
        Some('?' | '？') if is_whole => 0.7,
        Some('?' | '？' | '.' | '!') => 0.2,
        _ if text.starts_with(char::is_uppercase) => -0.4,
        _ => 0.0,
    }
}

/// The text from the last end of a sentence that has words after it, out of a bounded tail.
pub(super) fn last_sentence(text: &str) -> &str {
    let mut start = text.len().saturating_sub(TAIL_BYTES_MAX);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let tail = &text[start..];
    let mut from = 0;
    let mut end_seen = None;
    for (at, letter) in tail.char_indices() {
        match letter {
            '.' | '?' | '!' | '？' => end_seen = Some(at + letter.len_utf8()),
            letter if letter.is_whitespace() => {}
            letter => {
                if let Some(end) = end_seen.take()
                    // "3.5" and "p.m." end nothing.
                    && tail[end..].starts_with(char::is_whitespace)
                    && letter.is_alphanumeric()
                {
                    from = end;
                }
            }
        }
    }
    &tail[from..]
}

/// Whether the words are of a language that is not read here.
pub(super) fn is_foreign(words: &[String]) -> bool {
    let foreign = words
        .iter()
        .filter(|word| FOREIGN.contains(&word.as_str()))
        .count();
    let is_other_script = |word: &&String| word.chars().any(|letter| letter > '\u{24f}');
    if words.iter().filter(is_other_script).count() * 2 > words.len() {
        return true;
    }
    let lists: [&[&str]; 9] = [
        AUXILIARIES,
        CONTRACTED,
        DETERMINERS,
        PREPOSITIONS,
        QUESTION_WORDS,
        TRANSITIVE,
        PARTICLES,
        CONJUNCTIONS,
        SUBJECTS,
    ];
    let english = words
        .iter()
        .filter(|word| lists.iter().any(|list| list.contains(&word.as_str())))
        .count();
    foreign > english
}
