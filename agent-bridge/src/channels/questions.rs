//! Questions with buttons that were asked at a channel and wait for a press. A press counts only for the message it hangs
//! on, at the place where that was asked, and only for what was offered there: the other side's program can say anything.
//! PURE.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Questions that wait; the oldest is forgotten, and its buttons are dead.
const QUESTIONS_MAX: usize = 64;
/// Buttons of one question.
pub const BUTTONS_MAX: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub place: String,
    /// The other side's id of the message.
    pub message: String,
    pub text: String,
    /// Label and data.
    pub buttons: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Questions {
    all: VecDeque<Question>,
}

impl Questions {
    pub fn read(text: &str) -> Questions {
        let mut all: VecDeque<Question> = serde_json::from_str(text).unwrap_or_default();
        all.truncate(QUESTIONS_MAX);
        Questions { all }
    }

    pub fn written(&self) -> String {
        serde_json::to_string(&self.all).unwrap_or_default()
    }

    pub fn asked(&mut self, question: Question) {
        self.answered(&question.place, &question.message);
        if self.all.len() >= QUESTIONS_MAX {
            self.all.pop_front();
        }
        self.all.push_back(question);
    }

    /// The question at this message, if it waits.
    pub fn at(&self, place: &str, message: &str) -> Option<&Question> {
        let is_it = |question: &&Question| question.place == place && question.message == message;
        self.all.iter().find(is_it)
    }

    pub fn answered(&mut self, place: &str, message: &str) {
        self.all
            .retain(|question| question.place != place || question.message != message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(place: &str, message: &str) -> Question {
        let button = |label: &str| (label.to_owned(), format!("{label}:{message}"));
        Question {
            place: place.to_owned(),
            message: message.to_owned(),
            text: "May I?".to_owned(),
            buttons: vec![button("approve"), button("deny")],
        }
    }

    #[test]
    fn a_press_counts_where_it_was_asked() {
        let mut questions = Questions::default();
        questions.asked(question("9", "5"));
        questions.asked(question("8", "5"));
        let questions = Questions::read(&questions.written());
        assert_eq!(questions.at("9", "5").map(|q| q.place.as_str()), Some("9"));
        assert_eq!(questions.at("9", "6"), None);
        assert_eq!(questions.at("7", "5"), None);
        let mut questions = questions;
        questions.answered("9", "5");
        assert_eq!(questions.at("9", "5"), None);
        assert!(questions.at("8", "5").is_some());
    }

    #[test]
    fn memory_has_a_bound() {
        let mut questions = Questions::default();
        for n in 0..1_000 {
            questions.asked(question("9", &n.to_string()));
        }
        assert_eq!(questions.all.len(), QUESTIONS_MAX);
        assert!(questions.at("9", "999").is_some() && questions.at("9", "0").is_none());
        for odd in ["", "{}", "[1]", "null"] {
            assert_eq!(Questions::read(odd), Questions::default());
        }
    }
}
