//! What OpenClaw's transcript of a conversation lacks before the next question, as rows of words that were spoken: of its
//! last reply what was heard, and the turns that somebody else answered. Owns what is known of the transcript's end.
//! PURE.

use super::words::{Heard, Reply, heard_of};
use crate::conversation::{Message, Role};
use crate::openclaw::companion::Row;

/// Rows of one conversation that are handed over at once; of more the oldest are left out.
const LACKING_MAX: usize = 64;
/// Stands for a reply of which nothing was heard, as with the model proxy: an empty row is none, and without one OpenClaw
/// joins the questions before and after to one.
const NOTHING: &str = "…";

/// The end of a conversation's transcript, as far as we know it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The last question that stands there.
    pub asked: Option<String>,
    /// While none does: the first one that was to be asked and was not taken.
    pub missed: Option<String>,
    /// What came of the last question. None: what was heard of it stands there too.
    pub reply: Option<Reply>,
    /// The run of that reply. None: it may still go on there.
    pub run: Option<String>,
    /// Names the rows that are being handed over, so that they stand there once, however often that is tried.
    pub handing: Option<String>,
    /// A question was called off before anybody knew whether it was taken.
    pub is_unsure: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// The first row stands instead of the last reply.
    pub replaces: bool,
    pub rows: Vec<Row>,
}

impl Known {
    /// None: the conversation cannot be matched with the transcript, and nothing is to be appended. No rows: the transcript
    /// is true as it is.
    pub fn lacking(&self, messages: &[Message]) -> Option<Lacking> {
        if self.is_unsure {
            return None;
        }
        let question = messages.iter().rposition(is_of_user)?;
        let before = &messages[..question];
        let find = |text: &str| {
            let is_it = |message: &Message| is_of_user(message) && message.text.trim() == text;
            before.iter().rposition(is_it)
        };
        let mut lacking = Lacking::default();
        let rest = match (&self.asked, &self.missed) {
            (Some(asked), _) => {
                let after = &before[find(asked)? + 1..];
                let end = after.iter().position(is_of_user).unwrap_or(after.len());
                let (heard, rest) = after.split_at(end);
                if let Some(text) = self.instead(heard) {
                    // A reply that goes on is not to be replaced.
                    self.run.as_ref()?;
                    lacking.replaces = true;
                    lacking.rows.push(Row::new("assistant", &text));
                }
                rest
            }
            (None, Some(missed)) => &before[find(missed)?..],
            (None, None) => return None,
        };
        lacking.add(rest);
        let kept = usize::from(lacking.replaces);
        let excess = lacking.rows.len().saturating_sub(LACKING_MAX);
        lacking.rows.drain(kept..kept + excess);
        Some(lacking)
    }

    /// What is to stand instead of the last reply. None: nothing, it is as it was heard.
    fn instead(&self, heard: &[Message]) -> Option<String> {
        let reply = self.reply.as_ref()?;
        let heard: Vec<&str> = heard.iter().map(|message| message.text.trim()).collect();
        let heard = heard.join(" ");
        match heard_of(reply, &heard) {
            Heard::Part => Some(heard),
            Heard::Nothing => Some(NOTHING.to_owned()),
            // Somebody else took over. Beside a whole reply it is news, which stands there by itself.
            Heard::Other => reply.is_aborted.then_some(heard),
            Heard::All => None,
        }
    }

    /// All before this question of `messages` stands there now.
    pub fn complete(&mut self, messages: &[Message]) {
        let question = messages.iter().rposition(is_of_user).unwrap_or(0);
        let last = messages[..question]
            .iter()
            .rfind(|message| is_of_user(message));
        if let Some(last) = last {
            self.asked = Some(last.text.trim().to_owned());
        }
        *self = Known {
            asked: self.asked.take(),
            ..Known::default()
        };
    }

    /// This question was not taken.
    pub fn miss(&mut self, question: &str) {
        if self.asked.is_none() && self.missed.is_none() {
            self.missed = Some(question.to_owned());
        }
    }
}

impl Lacking {
    fn add(&mut self, messages: &[Message]) {
        for message in messages {
            let text: String = message
                .text
                .trim()
                .chars()
                .filter(|c| *c == '\n' || !c.is_control())
                .collect();
            let role = match message.role {
                Role::User => "user",
                Role::Assistant => "assistant",
                Role::System | Role::Tool => continue,
            };
            if text.is_empty() {
                continue;
            }
            match self.rows.last_mut() {
                Some(last) if last.role == role && role == "assistant" => {
                    *last = Row::new(role, &format!("{} {text}", last.text));
                }
                _ => self.rows.push(Row::new(role, &text)),
            }
        }
    }
}

/// The last thing that the caller said, which is what is asked.
pub fn question_of(messages: &[Message]) -> String {
    let last = messages.iter().rfind(|message| is_of_user(message));
    last.map_or_else(String::new, |message| message.text.trim().to_owned())
}

fn is_of_user(message: &Message) -> bool {
    message.role == Role::User
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(lines: &[(&str, &str)]) -> Vec<Message> {
        let message = |(who, text): &(&str, &str)| Message {
            role: match *who {
                "c" => Role::User,
                _ => Role::Assistant,
            },
            text: (*text).to_owned(),
        };
        lines.iter().map(message).collect()
    }

    fn known(asked: &str, reply: Option<(&str, bool)>) -> Known {
        Known {
            asked: Some(asked.to_owned()),
            reply: reply.map(|(text, is_aborted)| Reply {
                text: text.to_owned(),
                is_aborted,
            }),
            run: Some("r1".to_owned()),
            ..Known::default()
        }
    }

    /// Rows as `role: text`; the first one that replaces a reply has a `!` before it.
    fn rows(known: &Known, lines: &[(&str, &str)]) -> Option<Vec<String>> {
        let lacking = known.lacking(&conversation(lines))?;
        let shown = |(n, row): (usize, &Row)| {
            let mark = if lacking.replaces && n == 0 { "!" } else { "" };
            format!("{mark}{}: {}", row.role, row.text)
        };
        Some(lacking.rows.iter().enumerate().map(shown).collect())
    }

    #[test]
    fn of_the_last_reply_what_was_heard_is_lacking() {
        let check = |reply: Option<(&str, bool)>, heard: &[&str], expected: &[&str]| {
            let mut lines = vec![("c", "tea?")];
            lines.extend(heard.iter().map(|text| ("a", *text)));
            lines.push(("c", "why?"));
            let found = rows(&known("tea?", reply), &lines);
            assert_eq!(
                found.as_deref(),
                Some(
                    &expected
                        .iter()
                        .map(|row| (*row).to_owned())
                        .collect::<Vec<_>>()[..]
                ),
                "{reply:?} {heard:?}"
            );
        };
        let tea = "I would take the **tea**. It is cheaper.";
        check(
            Some((tea, false)),
            &["I would take the tea. It is cheaper."],
            &[],
        );
        check(
            Some((tea, false)),
            &["I would take"],
            &["!assistant: I would take"],
        );
        check(
            Some((tea, true)),
            &["I would", "take"],
            &["!assistant: I would take"],
        );
        // The model will not see even what was heard to its end.
        check(Some(("Tomato", true)), &["Tomato"], &["!assistant: Tomato"]);
        check(Some((tea, true)), &[], &["!assistant: …"]);
        check(Some((tea, false)), &[], &["!assistant: …"]);
        check(Some(("", true)), &[], &[]);
        // Somebody else took over.
        check(
            Some(("", true)),
            &["It is the other one."],
            &["!assistant: It is the other one."],
        );
        check(
            Some((tea, true)),
            &["From elsewhere."],
            &["!assistant: From elsewhere."],
        );
        // News after a whole reply.
        check(
            Some((tea, false)),
            &["I would take the tea. It is cheaper.", "The build is done."],
            &[],
        );
        check(None, &["Told already."], &[]);
    }

    #[test]
    fn turns_that_somebody_else_answered_are_lacking_once_and_in_order() {
        let mut one = known("tea?", Some(("Yes, tea.", false)));
        let lines = [
            ("c", "tea?"),
            ("a", "Yes,"),
            ("c", "and cake?"),
            ("a", "There is"),
            ("a", "cake."),
            ("c", "hm\u{7}"),
            ("c", "why?"),
        ];
        let expected = [
            "!assistant: Yes,",
            "user: and cake?",
            "assistant: There is cake.",
            "user: hm",
        ];
        assert_eq!(
            rows(&one, &lines).as_deref(),
            Some(&expected.map(str::to_owned)[..])
        );
        one.complete(&conversation(&lines));
        assert_eq!(rows(&one, &lines), Some(vec![]));
        // That question was not taken, and somebody else answered it.
        let more = [&lines[..], &[("a", "Because."), ("c", "I see.")]].concat();
        let expected = ["user: why?", "assistant: Because."];
        let mut one = known("hm\u{7}", None);
        assert_eq!(
            rows(&one, &more).as_deref(),
            Some(&expected.map(str::to_owned)[..])
        );
        one.complete(&conversation(&more));
        assert_eq!(rows(&one, &more), Some(vec![]));
    }

    #[test]
    fn what_cannot_be_matched_is_left_alone() {
        let lines = [("c", "tea?"), ("a", "Yes,"), ("c", "why?")];
        assert_eq!(rows(&Known::default(), &lines), None);
        assert_eq!(rows(&known("coffee?", None), &lines), None);
        assert_eq!(rows(&known("tea?", Some(("Yes, tea.", true))), &[]), None);
        // It may still go on there.
        let going_on = Known {
            run: None,
            ..known("tea?", Some(("Yes, tea.", true)))
        };
        assert_eq!(rows(&going_on, &lines), None);
        let unsure = Known {
            is_unsure: true,
            ..known("tea?", Some(("Yes, tea.", true)))
        };
        assert_eq!(rows(&unsure, &lines), None);
        // Nothing there yet, from the first question on.
        let mut none = Known::default();
        none.miss("tea?");
        none.miss("why?");
        let expected = ["user: tea?", "assistant: Yes,"].map(str::to_owned);
        assert_eq!(rows(&none, &lines).as_deref(), Some(&expected[..]));
        none.complete(&conversation(&lines));
        assert_eq!(none.asked.as_deref(), Some("tea?"));
        assert_eq!(rows(&none, &lines), Some(vec![]));
    }

    #[test]
    fn rows_are_bounded_and_the_oldest_are_left_out() {
        let numbers: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        let mut lines = vec![("c", "tea?"), ("a", "Yes,")];
        lines.extend(numbers.iter().map(|n| ("c", n.as_str())));
        let found = rows(&known("tea?", Some(("Yes, tea.", false))), &lines).unwrap_or_default();
        assert_eq!(found.len(), LACKING_MAX);
        assert_eq!(found[0], "!assistant: Yes,");
        assert_eq!(found.last().map(String::as_str), Some("user: 198"));
    }
}
