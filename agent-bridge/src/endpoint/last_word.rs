//! What the last word of a sentence says about its end: an article waits for a noun, a preposition for its
//! object, a pronoun for its verb. Owns the exceptions too ("where are you from"). Whole sentences are left
//! to `frames`.
//! PURE.

use super::frames;
use super::tables::*;
use super::text::{Shape, ends_with, is_question_word, stripped};
use crate::words::numbers;

/// Ends in a word that decides.
pub(super) fn shape(words: &[&str], text: &str) -> Option<Shape> {
    let last = *words.last()?;
    let at = |back: usize| words.len().checked_sub(back + 1).map_or("", |at| words[at]);
    let before = at(1);
    let first = stripped(words).first().copied().unwrap_or("");
    let asks_what = is_question_word(first);
    if words.len() == 1 {
        match last {
            "what" | "why" | "who" => return Some(Shape::Question),
            "how" | "when" | "where" => return Some(Shape::Fragment),
            "well" => return Some(Shape::Hesitation),
            "it" | "this" | "that" | "you" | "please" => return Some(Shape::Stem),
            _ => {}
        }
    }
    if WHOLE_ENDS.iter().any(|end| ends_with(text, end)) && !matches!(before, "i'd" | "i") {
        // "do you like", "I want to": whole only as an answer or a question of its own.
        let is_short_to = last == "to"
            && !words
                .iter()
                .any(|word| matches!(*word, "don't" | "you" | "didn't"));
        let is_bare = last == "you" && !asks_what && words.len() <= 2;
        return (!is_short_to && !is_bare)
            .then_some(Shape::Plain)
            .or(Some(Shape::Hanging));
    }
    if DETERMINERS.contains(&last) || CONTRACTED.contains(&last) {
        return Some(Shape::Hanging);
    }
    if CONJUNCTIONS.contains(&last) {
        return Some(match (before, last) {
            ("since", "when") => Shape::Plain,
            ("me" | "know" | "him" | "her", "when" | "where") => Shape::Stem,
            _ => Shape::Hanging,
        });
    }
    if PREPOSITIONS.contains(&last) {
        return Some(if is_stranded(words, before, first) {
            Shape::Question
        } else {
            Shape::Hanging
        });
    }
    if PARTICLES.contains(&last) {
        return Some(particle(words, last, before, first));
    }
    let is_hour = last == "am" && numbers::is_number(before);
    if AUXILIARIES.contains(&last) && !is_month(words) && !is_hour {
        return Some(auxiliary(words, last, before));
    }
    if SUBJECTS.contains(&last) {
        let is_whole =
            asks_what && (BE.contains(&before) || first.ends_with("'s")) && words.len() <= 4;
        return Some(if is_whole {
            Shape::Question
        } else {
            Shape::Hanging
        });
    }
    match last {
        "you" | "it" | "this" | "that" | "these" | "those" => pronoun(words, last, before, first),
        "his" | "her"
            if AUXILIARIES.contains(&before)
                || PREPOSITIONS.contains(&before) && before != "to" =>
        {
            Some(Shape::Plain)
        }
        "his" => Some(Shape::Hanging),
        "what" | "who" | "which" | "how" => Some(Shape::Stem),
        "then" if CONJUNCTIONS.contains(&before) => Some(Shape::Hanging),
        "some" | "any" | "each" | "all"
            if words.len() > 1 && !asks_what && !matches!(before, "at" | "that" | "it") =>
        {
            Some(Shape::Stem)
        }
        "before" | "after" if !matches!(before, "day" | "week" | "me" | "it" | "you") => {
            Some(Shape::GrowingNumber)
        }
        // "are we still", "I already".
        "still" | "already" | "always" | "never" | "ever"
            if SUBJECTS.contains(&before) || matches!(before, "you" | "it" | "that") =>
        {
            Some(Shape::Stem)
        }
        "too" | "then" | "more" | "again" => None,
        "mr" | "mrs" | "ms" | "times" | "minus" | "point" | "divided" | "multiplied"
            if words.len() > 1 =>
        {
            let is_count =
                last == "times" && (before == "many" || numbers::is_number(before) && !asks_what);
            (!is_count).then_some(Shape::Hanging)
        }
        "half" | "quarter" if !matches!(before, "a" | "in") => Some(Shape::GrowingNumber),
        "extension" | "number" | "channel" | "page" | "chapter" | "gate" | "platform"
            if matches!(
                before,
                "to" | "dial" | "call" | "is" | "on" | "from" | "with"
            ) =>
        {
            Some(Shape::Stem)
        }
        "really" if BE.contains(&before) || before == "i'm" => Some(Shape::Stem),
        "even" if BE.contains(&before) => None,
        "next" | "los" | "san" | "hong" | "new" | "saint"
            if PREPOSITIONS.contains(&before) || PARTICLES.contains(&before) =>
        {
            Some(Shape::Hanging)
        }
        "through" if words.contains(&"put") => Some(Shape::Stem),
        "me" | "us" | "him" | "her" | "them" if !asks_what && DITRANSITIVE.contains(&before) => {
            Some(Shape::Stem)
        }
        // "a script that finds".
        _ if before == "that"
            && last.ends_with('s')
            && words.iter().any(|word| WRITINGS.contains(word)) =>
        {
            Some(Shape::Stem)
        }
        _ if LEANING.contains(&last) => Some(if last == "not" {
            Shape::Plain
        } else {
            Shape::Stem
        }),
        _ if ADJECTIVES.contains(&last)
            && (DETERMINERS.contains(&before) || ADJECTIVES.contains(&before)) =>
        {
            let is_noun = asks_what && before == "the" && matches!(last, "best" | "last" | "next");
            (!is_noun).then_some(Shape::Hanging)
        }
        _ => None,
    }
}

/// "where are you from", "what is it for", "who do I talk to"; not "what time is it in".
fn is_stranded(words: &[&str], before: &str, first: &str) -> bool {
    let is_pronoun = SUBJECTS.contains(&before) || matches!(before, "it" | "you" | "this" | "that");
    let is_short = words.len() == 3 || words.len() == 4 && BE.contains(&words[1]);
    matches!(
        first,
        "what" | "where" | "who" | "what's" | "who's" | "where's"
    ) && (STRANDING.contains(&before) || is_pronoun && is_short)
}

fn particle(words: &[&str], last: &str, before: &str, first: &str) -> Shape {
    let asks_what = is_question_word(first);
    // "lock the back".
    if DETERMINERS.contains(&before) {
        return Shape::Hanging;
    }
    let verbs: &[&str] = if last == "in" {
        IN_VERBS
    } else {
        PARTICLE_VERBS
    };
    let front = &words[..words.len() - 1];
    // "what's up", "is the oven on".
    let is_state = BE.contains(&words[0])
        && words.len() > 2
        && matches!(last, "on" | "off" | "up" | "down" | "out" | "back");
    if asks_what && words.len() == 2 && matches!(last, "up" | "on") || is_state {
        return Shape::Question;
    }
    let Some(verb) = front.iter().position(|word| verbs.contains(word)) else {
        return if is_stranded(words, before, first)
            || last == "back"
            || BE.contains(&before) && last != "in" && words.len() >= 3
        {
            Shape::Question
        } else {
            Shape::Hanging
        };
    };
    // "turn the lights off".
    if frames::lacks_room(words[verb], &front[verb + 1..]) {
        return Shape::MissingAdjunct;
    }
    let has_object = verb + 2 < words.len();
    let stands_alone = matches!(
        (words[verb], last),
        (
            "hang"
                | "wake"
                | "speed"
                | "slow"
                | "carry"
                | "speak"
                | "start"
                | "try"
                | "call"
                | "come"
                | "go"
                | "shut"
                | "sit"
                | "stand"
                | "log"
                | "sign"
                | "check"
                | "back"
                | "get"
                | "ring",
            _
        )
    );
    if !has_object && !stands_alone {
        return Shape::Stem;
    }
    match words[verb] {
        // "wake me up", "call me back": when?
        "wake" | "call" | "ring" if matches!(last, "up" | "back") => {
            if verb <= 4 && words[verb] == "wake" {
                Shape::MissingDetail
            } else if verb <= 4 {
                Shape::MissingAdjunct
            } else {
                Shape::Command
            }
        }
        "wake" | "call" | "ring" => Shape::Hanging,
        // A second particle: "turn on the lights in".
        _ if front[verb + 1..]
            .iter()
            .any(|word| PARTICLES.contains(word)) =>
        {
            Shape::Hanging
        }
        _ => Shape::Command,
    }
}

fn auxiliary(words: &[&str], last: &str, before: &str) -> Shape {
    let is_subject = |word: &str| {
        matches!(
            word,
            "i" | "it" | "you" | "we" | "they" | "he" | "she" | "that" | "this"
        )
    };
    let asks_inside = words
        .iter()
        .take(words.len() - 1)
        .skip(1)
        .any(|word| is_question_word(word));
    if is_subject(before) && matches!(words[0], "yes" | "no" | "yeah" | "nope") {
        return Shape::Answer;
    }
    // "do you know where my keys are".
    if asks_inside && (is_subject(before) || BE.contains(&last) && !is_question_word(before)) {
        return Shape::Plain;
    }
    // "please don't", "what do you do", "what do you have".
    if matches!(
        (before, last),
        (
            "please" | "no" | "i" | "we",
            "don't" | "can't" | "won't" | "didn't"
        )
    ) || is_subject(before)
        && (last == "have" && is_question_word(words[0]) && words.len() > 3
            || last == "do" && words[0] == "what")
    {
        return Shape::Plain;
    }
    Shape::Hanging
}

fn pronoun(words: &[&str], last: &str, before: &str, first: &str) -> Option<Shape> {
    let asks_what = is_question_word(first);
    if is_question_word(before) && words.len() > 2 {
        return Some(Shape::Hanging); // "explain what it"
    }
    if before == "that" && last == "this" {
        return Some(Shape::Stem);
    }
    // "why did you do that", "don't do it".
    if before == "do"
        && last != "you"
        && words.len() > 2
        && !is_question_word(words[words.len() - 3])
    {
        return None;
    }
    if BE.contains(&before) {
        // "what time is it", "how are you"; but "is it".
        return Some(if asks_what && words.len() >= 3 {
            Shape::Question
        } else if words.len() <= 2 {
            Shape::Stem
        } else {
            Shape::Plain
        });
    }
    if AUXILIARIES.contains(&before) {
        return Some(Shape::Hanging);
    }
    if CONJUNCTIONS.contains(&before) && before != "when" {
        return Some(Shape::Hanging);
    }
    let is_saying = matches!(
        before,
        "think"
            | "say"
            | "saying"
            | "said"
            | "know"
            | "so"
            | "believe"
            | "hope"
            | "sure"
            | "mention"
            | "him"
            | "her"
            | "them"
            | "script"
            | "program"
            | "function"
            | "one"
    );
    if last == "that" && is_saying && words.len() > 2 {
        return Some(Shape::Stem);
    }
    None
}

/// "the second of May", "next May": not the verb.
fn is_month(words: &[&str]) -> bool {
    let [.., before, "may"] = words else {
        return false;
    };
    matches!(
        *before,
        "of" | "in"
            | "next"
            | "this"
            | "last"
            | "until"
            | "by"
            | "early"
            | "late"
            | "since"
            | "for"
    ) || numbers::is_number(before)
        || numbers::is_ordinal(before)
}
