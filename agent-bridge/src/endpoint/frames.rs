//! What a sentence with whole words at its end still lacks: a verb its object, an alarm its time, a message
//! its content, a clause its main clause. Owns those frames; the end of the text was judged before.
//! PURE.

use super::tables::*;
use super::text::{Shape, is_question_word, stripped};
use crate::words::numbers;

/// Carriers in a row that are taken off ("can you please help me …").
const CARRIERS_MAX: usize = 4;

/// Sorts a sentence that ends in no telling word. `words` without fillers, at least one.
pub(super) fn shape(words: &[&str]) -> Shape {
    let sentence = stripped(words);
    let Some(first) = sentence.first().copied() else {
        return Shape::Plain;
    };
    if is_open_clause(sentence) {
        return Shape::OpenClause;
    }
    let (request, was_carried) = without_carriers(sentence);
    if let Some(shape) = command(request, was_carried) {
        return shape;
    }
    if is_question_word(first) {
        return question(sentence);
    }
    if AUXILIARIES.contains(&first) || CONTRACTED.contains(&first) && first.ends_with("n't") {
        let lacks_object = matches!(sentence, [_, "i" | "we" | "he" | "she" | "they" | "it", last] if TRANSITIVE.contains(last) && !ALONE.contains(last));
        return if lacks_verb(sentence) || lacks_object {
            Shape::Stem
        } else if sentence.get(1) == Some(&"there") && lacks_place(sentence) {
            Shape::MissingDetail
        } else {
            Shape::Question
        };
    }
    statement(sentence)
}

/// Whether a number at the end needs a unit: "a timer for five", "call me in ten".
pub(super) fn wants_unit(words: &[&str]) -> bool {
    words.iter().any(|word| {
        matches!(
            *word,
            "timer"
                | "snooze"
                | "wait"
                | "remind"
                | "call"
                | "reminder"
                | "countdown"
                | "back"
                | "wake"
        )
    })
}

fn is_open_clause(words: &[&str]) -> bool {
    let leads = matches!(
        words[0],
        "if" | "when"
            | "while"
            | "because"
            | "since"
            | "before"
            | "after"
            | "once"
            | "as"
            | "unless"
            | "although"
    );
    // "when is the meeting" is a question; a long one has its main clause by now.
    let is_question = words.get(1).is_some_and(|word| AUXILIARIES.contains(word));
    leads && !is_question && words.len() <= 6 && words.len() > 1 && !words.contains(&"then")
}

fn without_carriers<'a, 'b>(words: &'b [&'a str]) -> (&'b [&'a str], bool) {
    let mut rest = words;
    let mut was_carried = false;
    for _ in 0..CARRIERS_MAX {
        let longest = CARRIERS
            .iter()
            .map(|carrier| carrier.split(' '))
            .filter(|carrier| starts_with(rest, carrier.clone()))
            .map(Iterator::count)
            .max();
        match longest {
            Some(length) if length < rest.len() => {
                rest = &rest[length..];
                was_carried = true;
            }
            _ => break,
        }
    }
    (rest, was_carried)
}

fn starts_with<'a>(words: &[&str], phrase: impl Iterator<Item = &'a str>) -> bool {
    let mut words = words.iter();
    phrase.into_iter().all(|word| words.next() == Some(&word))
}

fn has_time(words: &[&str]) -> bool {
    words
        .iter()
        .any(|word| TIMES.contains(word) || numbers::is_ordinal(word))
        || words.windows(2).any(|pair| {
            matches!(pair[0], "at" | "for" | "in" | "past") && numbers::is_number(pair[1])
        })
}

/// A request by its verb. `None`: no verb of the tables leads.
fn command(words: &[&str], was_carried: bool) -> Option<Shape> {
    let verb = *words.first()?;
    let rest: Vec<&str> = words[1..]
        .iter()
        .copied()
        .filter(|word| *word != "please")
        .collect();
    let has = |word: &str| rest.contains(&word);
    let is_transitive = TRANSITIVE.contains(&verb) || DITRANSITIVE.contains(&verb);
    if is_transitive && rest.is_empty() {
        return Some(if ALONE.contains(&verb) && !was_carried {
            Shape::Fragment
        } else {
            Shape::Stem
        });
    }
    if let [only] = rest[..] {
        if is_transitive && PARTICLES.contains(&only) {
            return Some(Shape::Stem);
        }
        if DITRANSITIVE.contains(&verb) && matches!(only, "me" | "us" | "him" | "her" | "them") {
            return Some(Shape::Stem);
        }
    }
    match verb {
        "remind" => {
            if rest.len() < 2 {
                return Some(Shape::Stem);
            }
            // "remind me to call": whom?
            if has("to")
                && rest
                    .last()
                    .is_some_and(|last| TRANSITIVE.contains(last) && !ALONE.contains(last))
            {
                return Some(Shape::Stem);
            }
            return Some(timed(words));
        }
        "wake" => return Some(timed_wholly(words)),
        "ring" => return Some(timed(words)),
        "call" if has("me") || has("back") => return Some(timed(words)),
        "text" | "message" | "email" | "tell" | "ask" => return Some(message(&rest)),
        "send" | "leave" | "write"
            if has("message") || has("email") || has("text") || has("letter") =>
        {
            let is_told = ["saying", "say", "that", "about", "telling", "tell", "and"]
                .iter()
                .any(|word| has(word));
            return Some(if is_told || rest.len() > 7 {
                Shape::Command
            } else {
                Shape::MissingContent
            });
        }
        "move" | "change" | "reschedule" | "postpone" | "push"
            if !has("to") && !has_time(&rest) =>
        {
            return Some(Shape::MissingAdjunct);
        }
        // "turn the heating": which way?
        "turn" | "switch"
            if !rest.iter().any(|word| {
                PARTICLES.contains(word)
                    || matches!(*word, "to" | "into" | "around" | "left" | "right")
            }) =>
        {
            return Some(Shape::Stem);
        }
        _ => {}
    }
    if lacks_room(verb, &rest) {
        return Some(Shape::MissingAdjunct);
    }
    // A room is booked; a room's lights are made blue.
    let has_room_only =
        has("room") && !matches!(verb, "book" | "reserve" | "need" | "get" | "want");
    if MAKING.contains(&verb)
        && !has_room_only
        && !(verb == "set" && has("to"))
        && rest.iter().any(|word| TIMED.contains(word))
    {
        let is_clock = rest
            .iter()
            .any(|word| matches!(*word, "alarm" | "timer" | "countdown"));
        return Some(if is_clock {
            timed_wholly(words)
        } else {
            timed(words)
        });
    }
    if matches!(verb, "write" | "create" | "make")
        && rest.last().is_some_and(|last| WRITINGS.contains(last))
    {
        return Some(Shape::MissingAdjunct);
    }
    if verb == "add" && !has("to") {
        return Some(Shape::MissingAdjunct);
    }
    if is_transitive || was_carried {
        // "can you help", "let's go": a verb the tables do not know.
        return Some(
            if rest.last().is_some_and(|last| TRANSITIVE.contains(last)) && has("to") {
                Shape::Stem
            } else {
                Shape::Command
            },
        );
    }
    const INTRANSITIVE: [&str; 24] = [
        "stop",
        "pause",
        "continue",
        "repeat",
        "resume",
        "skip",
        "search",
        "look",
        "help",
        "start",
        "run",
        "go",
        "wait",
        "speak",
        "read",
        "dial",
        "spell",
        "count",
        "mute",
        "unmute",
        "restart",
        "reject",
        "approve",
        "translate",
    ];
    // Alone only these are a whole request.
    let is_whole = !rest.is_empty()
        || matches!(
            verb,
            "stop"
                | "pause"
                | "continue"
                | "repeat"
                | "resume"
                | "skip"
                | "help"
                | "mute"
                | "unmute"
        );
    INTRANSITIVE.contains(&verb).then_some(if is_whole {
        Shape::Command
    } else {
        Shape::Fragment
    })
}

/// "turn on the lights": which ones? "the kitchen lights", "the lights in the kitchen" and "all the lights" are told.
pub(super) fn lacks_room(verb: &str, rest: &[&str]) -> bool {
    let told: Vec<&str> = rest
        .iter()
        .copied()
        .filter(|word| !PARTICLES.contains(word) && *word != "the")
        .collect();
    WORKING.contains(&verb) && matches!(told[..], [only] if ROOMED.contains(&only))
}

/// Asks for a time or a price, not for the journey's own fate ("where is the bus").
fn is_of_a_journey(words: &[&str]) -> bool {
    let stem = words[0].strip_suffix("'s").unwrap_or(words[0]);
    matches!(stem, "when" | "what" | "which")
        || stem == "how" && matches!(words.get(1), Some(&("long" | "much")))
}

/// "when is the next train": where to? "the train to Paris" and "from Paris" are told.
fn lacks_place(words: &[&str]) -> bool {
    let is_told = words.iter().any(|word| {
        matches!(
            *word,
            "to" | "from" | "for" | "my" | "his" | "her" | "your" | "our"
        )
    });
    !is_told && words.last().is_some_and(|last| JOURNEYS.contains(last))
}

fn timed(words: &[&str]) -> Shape {
    if has_time(words) {
        Shape::Command
    } else {
        Shape::MissingAdjunct
    }
}

/// The same where the time is the matter itself.
fn timed_wholly(words: &[&str]) -> Shape {
    match timed(words) {
        Shape::MissingAdjunct => Shape::MissingDetail,
        shape => shape,
    }
}

/// "text Daniel" lacks what to say; "tell me a joke" and "text Daniel I am late" do not.
fn message(rest: &[&str]) -> Shape {
    let to_us = matches!(rest.first(), Some(&("me" | "us")));
    let receiver = match rest.first() {
        Some(&("the" | "my" | "a" | "our" | "his" | "her")) => 2,
        _ => 1,
    };
    match rest.len() {
        0 => Shape::Stem,
        1 if to_us => Shape::Stem,
        length if to_us || length > receiver + 1 => Shape::Command,
        _ => Shape::MissingContent,
    }
}

fn question(words: &[&str]) -> Shape {
    let is_what_noun = matches!(words[0], "what" | "which" | "how" | "whose")
        && !words
            .iter()
            .any(|word| AUXILIARIES.contains(word) || word.contains('\''));
    if is_what_noun && words.len() <= 3 && !matches!(words, ["which", "one"] | ["how", "come"]) {
        return Shape::Stem;
    }
    if let Some(at) = words[..words.len() - 1]
        .iter()
        .position(|word| AUXILIARIES.contains(word))
        && lacks_verb(&words[at..])
        && !BE.contains(&words[at])
    {
        return Shape::Stem;
    }
    // "how do I get": where to? "What" and "who" are the object themselves.
    let last = words[words.len() - 1];
    if matches!(words[0], "how" | "where" | "when" | "why")
        && words.len() > 2
        && TRANSITIVE.contains(&last)
        && !ALONE.contains(&last)
    {
        return Shape::Stem;
    }
    if is_of_a_journey(words) && lacks_place(words) {
        return Shape::MissingDetail;
    }
    // The weather is asked for a place and a day.
    if words
        .last()
        .is_some_and(|last| matches!(*last, "weather" | "forecast" | "temperature"))
    {
        return Shape::MissingAdjunct;
    }
    Shape::Question
}

/// An auxiliary and its subject, and nothing after: "can my brother", "is the window". `words` starts with
/// the auxiliary.
fn lacks_verb(words: &[&str]) -> bool {
    // "does that work": the pronoun, not "that" before a noun.
    let verbs = [
        "work", "help", "mean", "look", "sound", "happen", "matter", "cost", "go", "end", "start",
        "stop", "count", "fit", "hurt", "say",
    ];
    let subject = match words.get(1) {
        None => return true,
        Some(&("this" | "that")) if words.get(2).is_some_and(|verb| verbs.contains(verb)) => 1,
        Some(
            &("the" | "a" | "an" | "my" | "your" | "our" | "their" | "his" | "her" | "any"
            | "some" | "this" | "that"),
        ) => 2,
        _ => 1,
    };
    words.len() <= 1 + subject
}

fn statement(words: &[&str]) -> Shape {
    let has_verb = words.iter().any(|word| {
        AUXILIARIES.contains(word) || CONTRACTED.contains(word) || TRANSITIVE.contains(word)
    });
    let starts_subject = matches!(
        words[0],
        "i" | "we" | "he" | "she" | "they" | "you" | "it" | "that" | "there" | "this"
    );
    let last = words[words.len() - 1];
    if starts_subject && words.len() >= 2 {
        let is_short = words.len() <= 3
            && (TRANSITIVE.contains(&last)
                || matches!(last, "think" | "got" | "said" | "wanted" | "heard"));
        return if is_short && !matches!(last, "know" | "see") {
            Shape::Stem
        } else {
            Shape::Statement
        };
    }
    if has_verb && words.len() >= 3 {
        return Shape::Statement;
    }
    if DETERMINERS.contains(&words[0]) && words.len() <= 4 {
        return Shape::Fragment;
    }
    Shape::Plain
}
