//! How complete the words of a turn are. Owns the shapes a text is sorted into and their odds; the words
//! themselves stand in `tables`, the frames of verbs in `frames`. Looks at the last sentence only, and at
//! most at its last words, so that the work is bounded for any length.
//! PURE.

use super::Asked;
use super::frames;
use super::last_word;
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
    /// "set an alarm": a whole sentence, and nobody can do it without the time.
    MissingDetail,
    /// "remind me to feed the cat": complete, and commonly followed by a time, a place or a purpose.
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
            Shape::MissingDetail => -1.1,
            Shape::MissingAdjunct => -0.5,
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
    Some(odds + punctuation(text, shape.is_whole()))
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
    if is_huh(&text) {
        return Shape::Acknowledgement;
    }
    if is_filler(last) {
        return Shape::Filler;
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
    if let Some(shape) = last_word::shape(&spoken, &text) {
        return shape;
    }
    match frames::shape(&spoken) {
        // A name, a day, a thing: all that an open question wants.
        Shape::Fragment | Shape::Plain if asked == Asked::Open => Shape::Statement,
        shape => shape,
    }
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
    // "I don't" is an answer to a question, and otherwise a beginning.
    let is_bare =
        words.len() == 2 && SUBJECTS.contains(&words[0]) || text == "it is" || text == "maybe";
    YES_NO.contains(&text).then_some(if is_bare {
        Shape::OpenClause
    } else {
        Shape::Acknowledgement
    })
}

/// Ends in digits, numbers or single letters.
fn by_number(words: &[&str], owned: &[String], asked: Asked) -> Option<Shape> {
    let last = *words.last()?;
    let letters = words
        .iter()
        .rev()
        .take_while(|word| is_letter(word))
        .count();
    // "I" and "a" are words unless letters stand around them.
    let is_spelled = letters >= 2
        || letters == 1 && !matches!(last, "i" | "a")
        || asked == Asked::Spelling && letters == words.len();
    let digits = numbers::trailing_digits(owned);
    if is_spelled && digits == 0 {
        return Some(match asked {
            Asked::Spelling if letters < 3 => Shape::ShortNumber,
            Asked::Spelling if letters < 5 => Shape::OpenSpelling,
            Asked::Spelling => Shape::Plain,
            _ if letters == 1 && words.contains(&"spelled") => Shape::ShortNumber,
            _ if (2..4).contains(&letters) => Shape::OpenSpelling,
            _ => Shape::Plain,
        });
    }
    if digits == 0 {
        return None;
    }
    let expected = match asked {
        Asked::Digits { count } => {
            Some(count.map_or((4, 6), |count| (usize::from(count), usize::from(count))))
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
    if matches!(words[0], "dial" | "enter") {
        return Some(if digits < 3 {
            Shape::ShortNumber
        } else {
            Shape::Plain
        });
    }
    // What stands before the whole number.
    let number = words
        .iter()
        .rev()
        .take_while(|word| numbers::is_number(word) || **word == "oh")
        .count();
    let before = words
        .len()
        .checked_sub(number + 1)
        .map_or("", |at| words[at]);
    // "a timer for five": five what?
    if matches!(before, "for" | "in" | "wait" | "snooze") && frames::wants_unit(words) {
        return Some(Shape::ShortNumber);
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
