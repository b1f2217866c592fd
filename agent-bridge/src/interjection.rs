//! What words said while we speak mean for our speaking: go on, stop, or give the floor. Owns the words of
//! listening, the words that stop us, and knowing our own words come back. Not the sound: whether there was
//! speech at all is decided elsewhere. English words; others take the floor from two words on.
//!
//! One word alone takes the floor when it commands, asks, answers what we just asked or names a person's
//! need ("operator"); any other single word does not. Coughs, laughter and doors come out of a small
//! recogniser as one odd word, and a caller who meant it says more.
//! PURE.

mod echo;
#[rustfmt::skip]
mod tables;

use crate::endpoint::Asked;
use crate::words::{canonical, is_filler, numbers, tokens};
use tables::*;

/// Bytes of the heard words that are looked at.
const HEARD_BYTES_MAX: usize = 2_000;
/// Words of an agreement; longer ones are a turn.
const AGREEMENT_WORDS_MAX: usize = 8;

/// What we are saying while words are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The reply's text.
    pub speaking: &'a str,
    /// What it asks.
    pub asked: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// No words, or what recognisers invent from noise.
    Nothing,
    /// The caller listens: go on.
    Backchannel,
    /// Our own words: go on.
    Echo,
    /// "Stop", "wait", "never mind": be quiet.
    Stop,
    /// The caller takes the floor.
    Turn,
}

/// Judges a whole transcript.
pub fn judge(text: &str, context: &Context<'_>) -> Verdict {
    let words = spoken(text);
    if words.is_empty() {
        return if tokens(head(text)).is_empty() {
            Verdict::Nothing
        } else {
            // Only "um".
            Verdict::Backchannel
        };
    }
    if words.len() == 1 {
        return judge_one(&words[0], context);
    }
    let rest = echo::rest(&words, context.speaking);
    // "Stop" gets through at the end of our own words, also where one of them may be misheard.
    if !rest.is_empty() && rest.len() < words.len() && is_only_stop_words(rest) {
        return Verdict::Stop;
    }
    if rest.is_empty() || echo::is_run(&words, context.speaking) {
        return Verdict::Echo;
    }
    if rest.len() < words.len() {
        // The rest of an echo is often a torn word: what is left must be clear.
        return match judge_words(rest, context) {
            Verdict::Turn if rest.len() < 2 && !TAKING.contains(&rest[0].as_str()) => Verdict::Echo,
            Verdict::Nothing | Verdict::Backchannel => Verdict::Echo,
            verdict => verdict,
        };
    }
    judge_words(&words, context)
}

/// The same for a transcript of speech that still goes on. `None`: it is too early to tell, as "ok" may
/// become "okay but …".
pub fn judge_partial(text: &str, context: &Context<'_>) -> Option<Verdict> {
    let words = spoken(text);
    if words.is_empty() {
        return None;
    }
    let verdict = judge(text, context);
    match verdict {
        Verdict::Nothing => None,
        // The floor goes to the caller whatever follows.
        Verdict::Stop => Some(Verdict::Stop),
        Verdict::Echo => (words.len() >= 3).then_some(Verdict::Echo),
        Verdict::Backchannel => is_sound_only(&words).then_some(Verdict::Backchannel),
        Verdict::Turn => {
            if words.len() == 1 {
                return is_answer(&words[0], context.asked).then_some(Verdict::Turn);
            }
            // The start of our own words or of an agreement is no turn yet.
            let may_be_echo = words.len() < 3 && echo::may_become(&words, context.speaking);
            let may_agree = AGREEMENTS.iter().any(|phrase| is_start_of(&words, phrase));
            let new = words.iter().filter(|word| !is_agreeing(word)).count();
            (!may_be_echo && !may_agree && new >= 2).then_some(Verdict::Turn)
        }
    }
}

/// "Stop", "never mind" and their like said alone: the floor is taken and no question follows. "Cancel" and
/// "no no" are not among them: they ask for something to be undone or put right.
pub fn is_only_stop(text: &str) -> bool {
    let words = spoken(text);
    let mut rest = without_politeness(&words);
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let Some(length) = longest(rest, STOPS) else {
            return false;
        };
        rest = without_politeness(&rest[length..]);
    }
    true
}

fn judge_one(word: &str, context: &Context<'_>) -> Verdict {
    if is_answer(word, context.asked) {
        return Verdict::Turn;
    }
    if STOPS.contains(&word) || CANCELS.contains(&word) {
        return Verdict::Stop;
    }
    if INVENTED.contains(&word) {
        return Verdict::Nothing;
    }
    if AGREEMENTS.contains(&word) || is_laughter(word) {
        return Verdict::Backchannel;
    }
    let one = [word.to_owned()];
    if echo::is_run(&one, context.speaking) {
        return Verdict::Echo;
    }
    if TAKING.contains(&word) {
        return Verdict::Turn;
    }
    Verdict::Backchannel
}

fn judge_words(words: &[String], context: &Context<'_>) -> Verdict {
    if let [word] = words {
        return judge_one(word, context);
    }
    if INVENTED.iter().any(|phrase| is_phrase(words, phrase)) {
        return Verdict::Nothing;
    }
    if is_stop(words) {
        return Verdict::Stop;
    }
    if is_agreement(words) {
        let answers = context.asked == Asked::YesNo
            && words.iter().any(|word| is_answer(word, context.asked));
        return if answers {
            Verdict::Turn
        } else {
            Verdict::Backchannel
        };
    }
    // The same word over and over, or only words without meaning: noise.
    let is_empty = words.iter().all(|word| EMPTY.contains(&word.as_str()));
    if is_empty && words.len() <= 2 {
        return Verdict::Backchannel;
    }
    Verdict::Turn
}

/// Begins or ends with a phrase that stops us: "wait that's wrong", "your order is … no stop".
fn is_stop(words: &[String]) -> bool {
    let front = without_politeness(words);
    if let Some(length) = longest(front, STOPS) {
        // "Stop the timer", "wait for Anna" are requests; "stop talking" was matched whole.
        let next = front.get(length).map(String::as_str);
        let asks_more = length == 1
            && next.is_some_and(|next| {
                matches!(
                    next,
                    "the"
                        | "my"
                        | "all"
                        | "playing"
                        | "until"
                        | "till"
                        | "for"
                        | "at"
                        | "in"
                        | "on"
                        | "by"
                )
            });
        return !asks_more;
    }
    for from in [words, front] {
        if let Some(length) = longest(from, CANCELS) {
            return without_politeness(&from[length..]).is_empty();
        }
    }
    let denied = |at: usize| {
        at > 0
            && matches!(
                words[at - 1].as_str(),
                "don't" | "not" | "never" | "can't" | "to" | "bus" | "next" | "the" | "a"
            )
    };
    (1..words.len())
        .rev()
        .take(4)
        .any(|at| !denied(at) && is_only_stop_words(&words[at..]))
}

fn is_only_stop_words(words: &[String]) -> bool {
    longest(words, STOPS).is_some_and(|length| without_politeness(&words[length..]).is_empty())
}

/// Every word belongs to an agreement: "yeah okay", "oh I see", "right right".
fn is_agreement(words: &[String]) -> bool {
    if words.len() > AGREEMENT_WORDS_MAX {
        return false;
    }
    let mut rest = words;
    while !rest.is_empty() {
        if is_laughter(&rest[0]) || rest.len() < words.len() && rest[0] == "it" {
            rest = &rest[1..];
            continue;
        }
        let Some(length) = longest(rest, AGREEMENTS) else {
            return false;
        };
        rest = &rest[length..];
    }
    true
}

fn is_agreeing(word: &str) -> bool {
    AGREEMENTS.contains(&word) || is_laughter(word) || is_filler(word)
}

/// Sounds without a word in them: nothing else will come of them.
fn is_sound_only(words: &[String]) -> bool {
    words.iter().all(|word| {
        is_laughter(word)
            || matches!(
                word.as_str(),
                "mm" | "mhm" | "huh" | "mhmm" | "mmhm" | "uh" | "hmm" | "uhhuh"
            )
    }) && (words.len() > 1 || !matches!(words[0].as_str(), "uh" | "hmm" | "huh" | "mm"))
}

fn is_laughter(word: &str) -> bool {
    let is_run = |first: char, second: char| {
        word.len() >= 4
            && word
                .chars()
                .all(|letter| letter == first || letter == second)
            && word.contains(first)
            && word.contains(second)
    };
    matches!(word, "ha" | "haha" | "hehe" | "heh" | "lol" | "hah")
        || is_run('h', 'a')
        || is_run('h', 'e')
        || is_run('h', 'o')
}

/// A single word that answers what we just asked.
fn is_answer(word: &str, asked: Asked) -> bool {
    match asked {
        Asked::YesNo => ANSWERS.contains(&word),
        Asked::Digits { .. } => numbers::is_number(word) || word == "oh",
        Asked::Spelling => word.chars().count() == 1,
        // A name, a day, a place: any word that carries meaning.
        Asked::Open => {
            word.chars().count() >= 3
                && !EMPTY.contains(&word)
                && !is_agreeing(word)
                && !INVENTED.contains(&word)
                && !STOPS.contains(&word)
                && !CANCELS.contains(&word)
        }
        Asked::Nothing => false,
    }
}

/// The words without fillers, except those of "uh-huh" and "mm-hmm".
fn spoken(text: &str) -> Vec<String> {
    let all = tokens(head(text));
    let is_listening = !all.is_empty()
        && all.iter().any(|word| {
            matches!(
                word.as_str(),
                "huh" | "mm" | "mhm" | "mhmm" | "mmhm" | "uhhuh"
            )
        });
    if is_listening {
        return all;
    }
    all.into_iter().filter(|word| !is_filler(word)).collect()
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(HEARD_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn without_politeness(words: &[String]) -> &[String] {
    let skipped = words
        .iter()
        .take_while(|word| POLITENESS.contains(&word.as_str()))
        .count();
    &words[skipped..]
}

/// Words of the longest phrase that the words begin with.
fn longest(words: &[String], phrases: &[&str]) -> Option<usize> {
    phrases
        .iter()
        .filter_map(|phrase| {
            let mut left = words.iter();
            let mut length = 0;
            for word in phrase.split(' ') {
                if left.next().map(String::as_str) != Some(word) {
                    return None;
                }
                length += 1;
            }
            Some(length)
        })
        .max()
}

fn is_phrase(words: &[String], phrase: &str) -> bool {
    longest(words, &[phrase]) == Some(words.len())
}

/// The words are the beginning of the phrase, the last one perhaps cut.
fn is_start_of(words: &[String], phrase: &str) -> bool {
    phrase.starts_with(&words.join(" "))
}

/// The words that echo and `same` compare.
fn comparable(words: &[String]) -> Vec<String> {
    canonical(&words.join(" "))
}

#[cfg(test)]
#[path = "interjection_tests.rs"]
mod tests;
