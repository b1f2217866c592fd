//! A question that one gateway asks another on somebody's behalf: what that one tells of the reply goes on, to the last
//! word. Owns only the passing on; what is told is the call's, what is asked the gateways'.

use tokio::sync::watch;

use super::{AskHandle, Told};
use crate::phone_text::Tidy;

/// Dropped early, it passes on what was told last before it closes the question.
pub(crate) struct OnBehalf {
    asked: AskHandle,
    told: watch::Receiver<Told>,
    /// What others have said of the same reply before, as the call tidies it.
    before: String,
}

impl OnBehalf {
    /// `before` is the text of the reply that is not this question's.
    pub(crate) fn new(asked: AskHandle, told: &watch::Receiver<Told>, before: &str) -> OnBehalf {
        let mut tidy = Tidy::default();
        let mut asked = OnBehalf {
            asked,
            told: told.clone(),
            before: tidy.push(before) + &tidy.finish(),
        };
        asked.pass_on();
        asked
    }

    /// Waits for news and passes it on. False: whoever asked is gone.
    pub(crate) async fn told_more(&mut self) -> bool {
        let is_there = self.told.changed().await.is_ok();
        self.pass_on();
        is_there
    }

    /// The answer is complete, and how much of it is heard is still to come: passes that on until the gateway has heard
    /// enough, or whoever asked is gone.
    pub(crate) async fn until_heard(mut self) {
        while self.asked.wants_to_be_told() && !self.asked.is_finished() {
            tokio::select! {
                changed = self.told.changed() => {
                    self.pass_on();
                    if changed.is_err() {
                        return;
                    }
                }
                () = self.asked.finished() => return,
            }
        }
    }

    fn pass_on(&mut self) {
        let mut told = self.told.borrow_and_update().clone();
        if !self.before.is_empty() {
            told.heard = behind(&told.heard, &self.before).to_owned();
        }
        self.asked.tell_all(&told);
    }
}

impl Drop for OnBehalf {
    fn drop(&mut self) {
        self.pass_on();
    }
}

/// The part of what was heard that stands behind `before`. Both were tidied, but not as one text, so letters count.
fn behind<'a>(heard: &'a str, before: &str) -> &'a str {
    let is_letter = |c: &char| c.is_alphanumeric();
    let skipped = before.chars().filter(is_letter).count();
    let mut letters = heard
        .char_indices()
        .filter(|(_, c)| is_letter(c))
        .skip(skipped);
    letters.next().map_or("", |(at, _)| {
        // What begins a sentence without being a letter, such as a quotation mark.
        let mut before = heard[..at].char_indices().rev();
        let blank = before.find(|(_, c)| c.is_whitespace());
        let from = blank.map_or(at, |(n, c)| n + c.len_utf8());
        &heard[from..]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_said_before_is_not_passed_on() {
        for (heard, before, wanted) in [
            ("Let me look. It is ten.", "Let me look.", "It is ten."),
            (
                "Let me look. \"Ten\", it says.",
                "Let me look.",
                "\"Ten\", it says.",
            ),
            // A blank of two octets stands before the first letter.
            (
                "Je regarde.\n«\u{a0}Oui\u{a0}»",
                "Je regarde.",
                "Oui\u{a0}»",
            ),
            ("Let me", "Let me look.", ""),
            ("", "Let me look.", ""),
            ("Let me look.", "Let me look.", ""),
            ("It is", "", "It is"),
        ] {
            assert_eq!(behind(heard, before), wanted, "{heard}");
        }
    }
}
