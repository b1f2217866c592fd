//! Sums as people say them: "twelve times seven", "twenty percent of fifty", "the square root of two".
//! Owns the little grammar and the arithmetic.
//! PURE.

use super::heard::{Heard, Word};
use super::numbers;

/// Larger results are not read out.
const RESULT_MAX: f64 = 1e15;

#[derive(Debug, Clone, PartialEq)]
pub enum Sum {
    /// The sum as it was understood, and its result.
    Result {
        asked: String,
        value: f64,
    },
    ByZero,
    TooLarge,
    /// The square root of something negative.
    NotReal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    ByZero,
    NotReal,
}

/// The sum in an utterance, if it is one.
pub fn find(heard: &Heard<'_>) -> Option<Sum> {
    let words = heard.words();
    let (from, command) = start(words)?;
    let mut parser = Parser {
        words,
        at: from,
        operations: 0,
        refusal: None,
    };
    let value = match command {
        Command::Plain => parser.sum()?,
        Command::With(between, apply) => {
            let first = parser.sum_until(between)?;
            let second = parser.sum()?;
            parser.operations += 1;
            if command.divides() && second == 0.0 {
                parser.refusal = Some(Refusal::ByZero);
            }
            apply(first, second)
        }
    };
    const AFTER: [&str; 9] = [
        "please", "equal", "equals", "is", "make", "makes", "to", "then", "exactly",
    ];
    let is_whole = words[parser.at..]
        .iter()
        .all(|word| AFTER.contains(&word.as_ref()));
    if parser.operations == 0 || !is_whole {
        return None;
    }
    Some(match parser.refusal {
        Some(Refusal::ByZero) => Sum::ByZero,
        Some(Refusal::NotReal) => Sum::NotReal,
        None if !value.is_finite() || value.abs() > RESULT_MAX => Sum::TooLarge,
        None => Sum::Result {
            asked: match command {
                Command::Plain => join(&words[from..parser.at]),
                Command::With(..) => "That".to_owned(),
            },
            value,
        },
    })
}

fn join(words: &[Word]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.text.as_str()).collect();
    words.join(" ")
}

#[derive(Clone, Copy)]
enum Command {
    Plain,
    /// "add three and four": the word between the two, and what is done with them.
    With(&'static str, fn(f64, f64) -> f64),
}

impl Command {
    fn divides(self) -> bool {
        matches!(self, Command::With("by", apply) if apply(1.0, 2.0) < 1.0)
    }
}

/// Where the sum begins, if everything before it only asks for it.
fn start(words: &[Word]) -> Option<(usize, Command)> {
    const BEFORE: [&str; 27] = [
        "what",
        "is",
        "how",
        "much",
        "calculate",
        "compute",
        "tell",
        "me",
        "can",
        "could",
        "you",
        "please",
        "and",
        "so",
        "then",
        "the",
        "result",
        "of",
        "work",
        "out",
        "do",
        "does",
        "are",
        "okay",
        "hey",
        "now",
        "to",
    ];
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let command = match word.as_ref() {
            "add" | "sum" | "total" => Some(Command::With("and", |a, b| a + b)),
            "subtract" => Some(Command::With("from", |a, b| b - a)),
            "multiply" => Some(Command::With("by", |a, b| a * b)),
            "divide" => Some(Command::With("by", |a, b| a / b)),
            _ => None,
        };
        if let Some(command) = command {
            let of = words.get(at + 1).is_some_and(|word| word.text == "of");
            return Some((at + 1 + usize::from(of), command));
        }
        let begins = numbers::parse(&words[at..]).is_some()
            || matches!(word.as_ref(), "square" | "half" | "double" | "twice");
        if begins {
            return Some((at, Command::Plain));
        }
        if !BEFORE.contains(&word.as_ref()) {
            return None;
        }
        at += 1;
    }
    None
}

struct Parser<'a> {
    words: &'a [Word],
    at: usize,
    operations: u32,
    refusal: Option<Refusal>,
}

impl Parser<'_> {
    fn take(&mut self, phrase: &str) -> bool {
        let mut next = self.at;
        for word in phrase.split(' ') {
            if self.words.get(next).is_none_or(|heard| heard.text != word) {
                return false;
            }
            next += 1;
        }
        self.at = next;
        true
    }

    fn take_any(&mut self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.take(phrase))
    }

    fn sum_until(&mut self, between: &str) -> Option<f64> {
        let value = self.product()?;
        let ends = self.take(between) || (between == "by" && self.take("with"));
        (ends || (between == "and" && self.take_any(&["plus", "to"]))).then_some(value)
    }

    fn sum(&mut self) -> Option<f64> {
        let mut value = self.product()?;
        loop {
            if self.take_any(&["plus", "added to", "and add"]) {
                value += self.product()?;
            } else if self.take_any(&["minus", "less", "take away", "subtract"]) {
                value -= self.product()?;
            } else {
                return Some(value);
            }
            self.operations += 1;
        }
    }

    fn product(&mut self) -> Option<f64> {
        let mut value = self.factor()?;
        loop {
            if self.take_any(&["times", "x", "multiplied by", "multiplied with"]) {
                value *= self.factor()?;
            } else if self.take_any(&["divided by", "over", "divided through"]) {
                let divisor = self.factor()?;
                if divisor == 0.0 {
                    self.refusal = Some(Refusal::ByZero);
                }
                value /= divisor;
            } else {
                return Some(value);
            }
            self.operations += 1;
        }
    }

    fn factor(&mut self) -> Option<f64> {
        // Nesting is bounded by the number of words.
        if self.take_any(&["the square root of", "square root of", "square root"]) {
            self.operations += 1;
            let value = self.factor()?;
            if value < 0.0 {
                self.refusal = Some(Refusal::NotReal);
            }
            return Some(value.sqrt());
        }
        if self.take_any(&["half of", "half"]) {
            self.operations += 1;
            return self.factor().map(|value| value / 2.0);
        }
        if self.take_any(&["double", "twice"]) {
            self.operations += 1;
            return self.factor().map(|value| value * 2.0);
        }
        let (value, used) = numbers::parse(&self.words[self.at..])?;
        self.at += used;
        let mut value = value;
        if self.take("squared") {
            self.operations += 1;
            value = value.powi(2);
        } else if self.take("cubed") {
            self.operations += 1;
            value = value.powi(3);
        } else if self.take_any(&["to the power of", "to the power"]) {
            self.operations += 1;
            value = value.powf(self.factor()?);
        } else if self.take_any(&["percent of", "per cent of"]) {
            self.operations += 1;
            value = value / 100.0 * self.factor()?;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_understood_as_said() {
        for (text, wanted) in [
            ("What is twelve times seven?", 84.0),
            ("how much is 3 plus 4 times 5", 23.0),
            ("100 minus 1", 99.0),
            ("100-1", 99.0),
            ("what's nine divided by two", 4.5),
            ("twenty percent of fifty", 10.0),
            ("what is the square root of 144", 12.0),
            ("five squared plus one", 26.0),
            ("two to the power of ten", 1024.0),
            ("add three and four", 7.0),
            ("subtract three from ten", 7.0),
            ("multiply six by seven", 42.0),
            ("divide ten by four please", 2.5),
            ("the sum of one and two", 3.0),
            ("half of thirty", 15.0),
            ("what does two plus two make", 4.0),
            ("minus three times two", -6.0),
        ] {
            match find(&Heard::new(text)) {
                Some(Sum::Result { value, .. }) => assert_eq!(value, wanted, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        for (text, wanted) in [
            ("one divided by zero", Sum::ByZero),
            ("divide one by zero", Sum::ByZero),
            ("square root of minus four", Sum::NotReal),
            ("a million times a billion times 10", Sum::TooLarge),
        ] {
            assert_eq!(find(&Heard::new(text)), Some(wanted), "{text}");
        }
        for text in [
            "seven",
            "I have two dogs and three cats",
            "two plus two dogs",
            "what time is it",
            "plus",
            "three times",
            "",
        ] {
            assert_eq!(find(&Heard::new(text)), None, "{text}");
        }
    }
}
