//! Counting, sums, coins and dice. Owns what is said about numbers.
//! PURE.

use rand::{Rng, RngExt};

use super::{COUNT_MAX, DICE_MAX, DemoReply, Question, capital, said};
use crate::gateways::demo::sums::Sum;
use crate::gateways::demo::{numbers, sums};

impl<R: Rng> Question<'_, R> {
    pub(super) fn count(&mut self) -> Option<DemoReply> {
        let at = self.heard.find("count")?;
        let words = &self.heard.words()[at + 1..];
        let mut values = Vec::new();
        let mut index = 0;
        while index < words.len() {
            match numbers::parse(&words[index..]) {
                Some((value, used)) => {
                    values.push(value.round() as i64);
                    index += used;
                }
                None => index += 1,
            }
        }
        let down = self.heard.has_any(&["down", "backwards", "backward"]);
        let (from, to) = match values[..] {
            [] => return Some(said("Tell me how far, for example: count to ten.")),
            [only] if down => (only, 0),
            [only] => (1, only),
            [first, second, ..] => (first, second),
        };
        // Counting down from ten to one, or up: the order told is the order counted.
        let step = if from <= to { 1 } else { -1 };
        let length = from.abs_diff(to).saturating_add(1);
        let counted = length.min(COUNT_MAX as u64) as i64;
        let list: Vec<String> = (0..counted)
            .map(|n| numbers::words(from + n * step))
            .collect();
        let mut text = format!("{}.", capital(&list.join(", ")));
        if length > COUNT_MAX as u64 {
            text.push_str(" And so on. I stop after fifty.");
        }
        Some(said(text))
    }

    pub(super) fn sum(&mut self) -> Option<DemoReply> {
        Some(match sums::find(&self.heard)? {
            Sum::Result { asked, value } => {
                let shown = numbers::show(value);
                let about = shown
                    .replace("minus ", "-")
                    .parse::<f64>()
                    .is_ok_and(|s| (s - value).abs() > 1e-9);
                let is = if about { "is about" } else { "is" };
                said(format!("{} {is} {shown}.", capital(&asked)))
            }
            Sum::ByZero => said("Nothing can be divided by zero."),
            Sum::NotReal => said("A negative number has no real square root."),
            Sum::TooLarge => said("That number is too large for me to read out."),
        })
    }

    pub(super) fn chance(&mut self) -> Option<DemoReply> {
        let heard = &self.heard;
        let throws = heard.has_any(&["flip", "toss", "throw", "roll", "rolls", "role", "cast"]);
        if heard.says(&["heads or tails"]) || (throws && heard.has("coin")) {
            let side = if self.rng.random::<bool>() {
                "Heads"
            } else {
                "Tails"
            };
            return Some(said(format!("{side}.")));
        }
        let values: Vec<u64> = (0..heard.len())
            .filter_map(|at| numbers::parse(&heard.words()[at..]))
            .map(|(value, _)| value.abs() as u64)
            .collect();
        if heard.has_any(&["die", "dice", "dices", "d6", "d20"]) && (throws || heard.len() <= 4) {
            let count = values.first().copied().unwrap_or(1).clamp(1, DICE_MAX);
            let sides = if heard.has("d20") { 20 } else { 6 };
            let eyes: Vec<u64> = (0..count)
                .map(|_| self.rng.random_range(1..=sides))
                .collect();
            let shown: Vec<_> = eyes.iter().map(|n| numbers::words(*n as i64)).collect();
            return Some(said(match &shown[..] {
                [one] => format!("You rolled a {one}."),
                [init @ .., last] => {
                    let total = numbers::words(eyes.iter().sum::<u64>() as i64);
                    format!(
                        "You rolled {} and {last}. Together {total}.",
                        init.join(", ")
                    )
                }
                [] => return None,
            }));
        }
        let picks = heard.has("random")
            || heard.says(&["pick a number", "choose a number", "think of a number"]);
        if picks {
            let (low, high) = match values[..] {
                [] => (1, 10),
                [high] => (1, high.max(1)),
                [a, b, ..] => (a.min(b), a.max(b)),
            };
            let pick = self.rng.random_range(low..=high);
            return Some(said(format!("{}.", capital(&numbers::words(pick as i64)))));
        }
        None
    }
}
