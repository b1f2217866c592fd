//! How complete the words of a turn are. Owns the shapes a text is sorted into and their odds; the words
//! themselves stand in `tables`, the frames of verbs in `frames`. Looks at the last sentence only, and at
//! most at its last words, so that the work is bounded for any length.
//! PURE.

use super::Asked;
use super::frames;
use super::sentence::{is_foreign, last_sentence, punctuation};
use super::tables::*;
use crate::words::{is_filler, numbers, tokens};

/// Words of the last sentence that are read.
const WORDS_MAX: usize = 48;

/// What the end of a turn looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Ends in "um" or the like.
    Filler,
    /// Ends in a word that needs another: article, preposition, conjunction, auxiliary.
    Hanging,
    /// A verb without its object, a request without its matter.
    Stem,
    /// "no wait", "let me see".
    Hesitation,
    /// Fewer digits or letters than there will be.
    ShortNumber,
    /// A word is being spelled and may go on.
    OpenSpelling,
    /// "if it rains tomorrow": a clause that leads to another.
    OpenClause,
    /// "text Daniel": whom, not what.
    MissingContent,
    /// "set an alarm": complete, and commonly followed by a time or a purpose.
    MissingAdjunct,
    /// "at seven", "twenty": a number that may grow.
    GrowingNumber,
    /// A noun alone.
    Fragment,
    /// None of these.
    Plain,
    Acknowledgement,
    Greeting,
    Statement,
    Command,
    Question,
    Answer,
    FullNumber,
    Farewell,
}

impl Shape {
    /// Natural log odds that nothing follows.
    fn log_odds(self) -> f32 {
        match self {
            Shape::Filler => -3.0,
            Shape::Hanging => -3.2,
            Shape::Stem => -2.4,
            Shape::Hesitation => -1.8,
            Shape::ShortNumber => -2.5,
            Shape::OpenSpelling => -1.0,
            Shape::OpenClause => -1.5,
            Shape::MissingContent => -0.8,
            Shape::MissingAdjunct => -0.3,
            Shape::GrowingNumber => -0.4,
            Shape::Fragment => -0.3,
            Shape::Plain => 0.5,
            Shape::Acknowledgement => 1.0,
            Shape::Greeting => 1.2,
            Shape::Statement => 1.2,
            Shape::Command => 1.7,
            Shape::Question => 2.0,
            Shape::Answer => 2.8,
            Shape::FullNumber => 2.8,
            Shape::Farewell => 3.0,
        }
    }

    fn is_whole(self) -> bool {
        self.log_odds() > 0.0
    }
}

/// Natural log odds that the turn is finished. `None` for no words and for languages it does not read.
pub(super) fn log_odds(text: &str, asked: Asked) -> Option<f32> {
    let text = text.trim();
    let sentence = last_sentence(text);
    let mut words = tokens(sentence);
    if words.is_empty() || is_foreign(&words) {
        return None;
    }
    let cut = words.len().saturating_sub(WORDS_MAX);
    words.drain(..cut);
    let shape = shape(&words, asked);
    let mut odds = shape.log_odds();
    let last = words.last().map_or("", String::as_str);
    if shape.is_whole() {
        // Politeness and a time come last.
        if last == "please" || TIMES.contains(&last) {
            odds += 0.6;
        }
        // A long sentence that reads whole is whole more often than a short one.
        odds += 0.05 * (words.len().min(10) as f32 - 4.0).max(0.0);
    }
    Some(odds + punctuation(text))
}

/// Sorts the words of one sentence, fillers included.
pub(super) fn shape(words: &[String], asked: Asked) -> Shape {
    let all: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some(last) = all.last().copied() else {
        return Shape::Plain;
    };
    let text = all.join(" ");
    if let Some(shape) = answer(&all, &text, asked) {
        return shape;
    }
    if is_filler(last) && all.len() > usize::from(is_huh(&text)) {
        return if is_huh(&text) {
            Shape::Acknowledgement
        } else {
            Shape::Filler
        };
    }
    // Fillers inside say nothing about the end.
    let spoken: Vec<&str> = all
        .iter()
        .copied()
        .filter(|word| !is_filler(word))
        .collect();
    let text = spoken.join(" ");
    if let Some(shape) = by_phrase(&spoken, &text) {
        return shape;
    }
    if let Some(shape) = by_number(&spoken, words, asked) {
        return shape;
    }
    if let Some(shape) = by_last_word(&spoken, &text) {
        return shape;
    }
    frames::shape(&spoken)
}

fn is_huh(text: &str) -> bool {
    matches!(text, "uh huh" | "mm hmm" | "mhm" | "mm" | "hm hm")
}

/// Text that answers what we asked.
fn answer(all: &[&str], text: &str, asked: Asked) -> Option<Shape> {
    if asked == Asked::YesNo {
        if is_huh(text) || YES_NO.contains(&text) {
            return Some(Shape::Answer);
        }
        // "yes yes", "no please", "yeah sure": every word answers.
        let is_answer =
            |word: &&str| YES_NO.contains(word) || matches!(*word, "please" | "thanks" | "oh");
        if all.iter().all(is_answer) {
            return Some(Shape::Answer);
        }
    }
    None
}

/// Whole texts and fixed ends.
fn by_phrase(words: &[&str], text: &str) -> Option<Shape> {
    if GREETINGS.contains(&text) {
        return Some(Shape::Greeting);
    }
    let bare = stripped(words).join(" ");
    if STEMS.contains(&bare.as_str()) || STEMS.contains(&text) {
        return Some(Shape::Stem);
    }
    if FAREWELLS.iter().any(|phrase| ends_with(text, phrase)) {
        return Some(Shape::Farewell);
    }
    if HESITATIONS.iter().any(|phrase| ends_with(text, phrase))
        && !WHOLE_ENDS.iter().any(|end| ends_with(text, end))
    {
        return Some(Shape::Hesitation);
    }
    let is_answer = YES_NO.contains(&text);
    (is_answer && !matches!(text, "i can" | "i am" | "it is" | "i will"))
        .then_some(Shape::Acknowledgement)
}

/// Ends in digits, numbers or single letters.
fn by_number(words: &[&str], owned: &[String], asked: Asked) -> Option<Shape> {
    let last = *words.last()?;
    let before = words.len().checked_sub(2).map_or("", |at| words[at]);
    let letters = words
        .iter()
        .rev()
        .take_while(|word| is_letter(word))
        .count();
    // "I" and "a" are words unless letters stand around them.
    let is_spelled =
        letters >= 2 || letters == 1 && !matches!(last, "i" | "a") || letters == words.len();
    let digits = numbers::trailing_digits(owned);
    if is_spelled && digits == 0 {
        return Some(match asked {
            Asked::Spelling if letters < 3 => Shape::ShortNumber,
            Asked::Spelling if letters < 6 => Shape::OpenSpelling,
            Asked::Spelling => Shape::Plain,
            _ if letters >= 2 => Shape::OpenSpelling,
            _ => Shape::Plain,
        });
    }
    if digits == 0 {
        return None;
    }
    let expected = match asked {
        Asked::Digits { count } => {
            Some(count.map_or((3, 5), |count| (usize::from(count), usize::from(count))))
        }
        _ => expected_digits(words),
    };
    if let Some((least, whole)) = expected {
        return Some(if digits < least {
            Shape::ShortNumber
        } else if digits < whole {
            Shape::Plain
        } else {
            Shape::FullNumber
        });
    }
    if words
        .iter()
        .all(|word| numbers::is_number(word) || *word == "oh")
        && words.len() >= 2
        && digits >= 2
    {
        // A string of digits out of nowhere: nobody knows how long it is.
        return Some(if digits < 4 {
            Shape::GrowingNumber
        } else {
            Shape::Plain
        });
    }
    if matches!(before, "for" | "in")
        && !words
            .iter()
            .any(|word| matches!(*word, "alarm" | "table" | "dinner"))
    {
        // "a timer for five": five what?
        return Some(Shape::ShortNumber).filter(|_| frames::wants_unit(words));
    }
    if matches!(before, "at" | "past" | "to" | "for" | "by") || numbers::is_tens(last) {
        return Some(Shape::Plain);
    }
    None
}

/// Least and full count of digits by what the caller says they are.
fn expected_digits(words: &[&str]) -> Option<(usize, usize)> {
    const KINDS: [(&str, usize, usize); 9] = [
        ("pin", 4, 4),
        ("code", 4, 6),
        ("extension", 3, 3),
        ("zip", 5, 5),
        ("phone", 7, 10),
        ("number", 5, 8),
        ("card", 16, 16),
        ("account", 6, 8),
        ("mobile", 7, 10),
    ];
    // The kind stands before the digits: "my pin is …", "extension …".
    let front = words
        .iter()
        .take_while(|word| !numbers::is_number(word) && **word != "oh")
        .copied()
        .collect::<Vec<_>>();
    let tail = &front[front.len().saturating_sub(4)..];
    KINDS
        .iter()
        .find(|(kind, _, _)| tail.contains(kind))
        .map(|(_, least, whole)| (*least, *whole))
}

/// Ends in a word that decides.
fn by_last_word(words: &[&str], text: &str) -> Option<Shape> {
    let last = *words.last()?;
    let at = |back: usize| words.len().checked_sub(back + 1).map_or("", |at| words[at]);
    let before = at(1);
    let first = stripped(words).first().copied().unwrap_or("");
    let asks_what = is_question_word(first);
    if words.len() == 1 && matches!(last, "what" | "why" | "when" | "where" | "who" | "how") {
        return Some(Shape::Question);
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
        let is_asked =
            matches!(last, "when" | "where") && matches!(before, "me" | "know" | "since");
        return Some(if is_asked {
            Shape::Plain
        } else {
            Shape::Hanging
        });
    }
    if PREPOSITIONS.contains(&last) {
        let is_stranded = asks_what
            && (matches!(
                before,
                "it" | "you" | "this" | "that" | "i" | "we" | "they" | "he" | "she"
            ) || matches!(
                before,
                "talk"
                    | "speak"
                    | "go"
                    | "look"
                    | "wait"
                    | "listen"
                    | "come"
                    | "send"
                    | "calling"
                    | "talking"
                    | "speaking"
                    | "going"
            ));
        return Some(if is_stranded {
            Shape::Question
        } else {
            Shape::Hanging
        });
    }
    if PARTICLES.contains(&last) {
        return Some(particle(words, last, before, asks_what));
    }
    if AUXILIARIES.contains(&last) {
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
        "really" | "too" | "then" | "more" | "again" => None,
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
        _ if LEANING.contains(&last) && words.len() > 1 => Some(if last == "not" {
            Shape::Plain
        } else {
            Shape::Stem
        }),
        _ if ADJECTIVES.contains(&last)
            && (DETERMINERS.contains(&before) || ADJECTIVES.contains(&before)) =>
        {
            let is_noun = asks_what && matches!(last, "best" | "last" | "next");
            (!is_noun).then_some(Shape::Hanging)
        }
        _ => None,
    }
}

fn particle(words: &[&str], last: &str, before: &str, asks_what: bool) -> Shape {
    let verbs: &[&str] = if last == "in" {
        IN_VERBS
    } else {
        PARTICLE_VERBS
    };
    let front = &words[..words.len() - 1];
    let Some(verb) = front.iter().rposition(|word| verbs.contains(word)) else {
        let is_stranded =
            asks_what && matches!(before, "it" | "this" | "that" | "you" | "is" | "be");
        return if is_stranded || last == "back" || BE.contains(&before) && words.len() >= 3 {
            Shape::Question
        } else {
            Shape::Hanging
        };
    };
    let has_object = verb + 2 < words.len();
    let stands_alone = matches!(
        (words[verb], last),
        (
            "hang"
                | "wake"
                | "speed"
                | "slow"
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
        "wake" | "call" | "ring" => Shape::MissingAdjunct,
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
    if is_subject(before) && asks_inside {
        return Shape::Plain;
    }
    // "please don't", "what do you do", "what do you have".
    if matches!(
        (before, last),
        (
            "please" | "no" | "i" | "we",
            "don't" | "can't" | "won't" | "didn't"
        )
    ) || matches!(last, "do" | "have") && is_question_word(words[0]) && words.len() > 3
    {
        return Shape::Plain;
    }
    Shape::Hanging
}

fn pronoun(words: &[&str], last: &str, before: &str, first: &str) -> Option<Shape> {
    let asks_what = is_question_word(first);
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

/// One letter, or a letter as some recognisers write its name.
fn is_letter(word: &str) -> bool {
    let mut letters = word.chars();
    matches!((letters.next(), letters.next()), (Some(letter), None) if letter.is_alphabetic())
}

pub(super) fn is_question_word(word: &str) -> bool {
    let stem = word.strip_suffix("'s").unwrap_or(word);
    QUESTION_WORDS.contains(&stem)
}

/// Without the openers in front, as long as something remains.
pub(super) fn stripped<'a, 'b>(words: &'b [&'a str]) -> &'b [&'a str] {
    let openers = words
        .iter()
        .take_while(|word| OPENERS.contains(word))
        .count();
    &words[openers.min(words.len().saturating_sub(1))..]
}

pub(super) fn ends_with(text: &str, phrase: &str) -> bool {
    text.strip_suffix(phrase)
        .is_some_and(|front| front.is_empty() || front.ends_with(' '))
}
