//! PURE. Questions about risky actions by text: who is asked, under which code, and whose answer counts. What waits is known
//! from the office of approvals; the decision is made there. Owns only the codes and what
//! the buttons of each asking say, which die with the program as the questions do: a button of an earlier run answers nothing.

use std::collections::{BTreeMap, VecDeque};

use super::boundary::UnixMs;

/// Codes of four digits; so many at once never collide for long.
const ASKED_MAX: usize = 256;
/// An answer that comes so much later than its question's end is told so; after that its words are like any others.
const LATE_MS: u64 = 10 * 60 * 1_000;
/// Questions that are over and remembered; the oldest is forgotten.
const OVER_MAX: usize = 64;

/// Something that waits and that nobody is asked about on the phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub id: String,
    pub persons: Vec<String>,
    /// As it may be shown.
    pub what: String,
    pub place: String,
}

#[derive(Debug)]
struct Asked {
    code: String,
    /// What buttons of this asking carry: the same request may have been asked about before, by an earlier run.
    mark: String,
    persons: Vec<String>,
}

/// What has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// To be asked, under this code.
    pub new: Vec<(Question, String)>,
    /// Ids of questions that do not wait any more.
    pub over: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Approving {
    asked: BTreeMap<String, Asked>,
    /// With the time of their end, the oldest first.
    over: VecDeque<(UnixMs, Asked)>,
}

impl Approving {
    /// What waits now. `random` draws a number.
    pub fn set(
        &mut self,
        now: UnixMs,
        waiting: &[Question],
        mut random: impl FnMut() -> u32,
    ) -> News {
        let mut over = Vec::new();
        for (id, asked) in std::mem::take(&mut self.asked) {
            if waiting.iter().any(|one| one.id == id) {
                self.asked.insert(id, asked);
                continue;
            }
            over.push(id);
            if self.over.len() >= OVER_MAX {
                self.over.pop_front();
            }
            self.over.push_back((now, asked));
        }
        let mut new = Vec::new();
        for question in waiting {
            if self.asked.contains_key(&question.id)
                || self.asked.len() >= ASKED_MAX
                || question.persons.is_empty()
            {
                continue;
            }
            let Some(code) = self.free_code(&mut random) else {
                continue;
            };
            let asked = Asked {
                mark: format!("{now:x}-{code}"),
                code: code.clone(),
                persons: question.persons.clone(),
            };
            self.asked.insert(question.id.clone(), asked);
            new.push((question.clone(), code));
        }
        News { new, over }
    }

    /// Whether a yes or no with this code can be this person's answer to a question: something waits for them, or did so
    /// lately under this code. Else it is no business of approvals: "ok 1530" may be about a train.
    pub fn is_answer(&self, now: UnixMs, code: &str, person: &str) -> bool {
        let is_for = |asked: &Asked| asked.persons.iter().any(|who| who == person);
        let mut lately = self.over.iter();
        self.asked.values().any(is_for)
            || lately.any(|(at, asked)| at + LATE_MS > now && asked.code == code && is_for(asked))
    }

    fn free_code(&self, random: &mut impl FnMut() -> u32) -> Option<String> {
        let codes = (0..64).map(|_| format!("{:04}", random() % 10_000));
        let mut free = codes.filter(|code| self.asked.values().all(|one| one.code != *code));
        free.next()
    }

    /// Nobody could be asked: it is asked again.
    pub fn forget(&mut self, id: &str) {
        self.asked.remove(id);
    }

    /// Which question this code belongs to, if this person was asked it.
    pub fn by_code(&self, code: &str, person: &str) -> Option<&str> {
        let mut all = self.asked.iter();
        let found =
            all.find(|(_, one)| one.code == code && one.persons.iter().any(|who| who == person));
        found.map(|(id, _)| id.as_str())
    }

    /// What a button of this question says.
    pub fn button_of(&self, id: &str, is_yes: bool) -> String {
        let mark = self.asked.get(id).map_or("", |asked| &asked.mark);
        let word = if is_yes { "approve" } else { "deny" };
        format!("{word}:{mark}:{id}")
    }

    /// Whether that is the mark of this question as it was asked now.
    pub fn is_marked(&self, id: &str, mark: &str) -> bool {
        self.asked.get(id).is_some_and(|asked| asked.mark == mark)
    }

    /// Whether this person was asked. `None`: nobody was.
    pub fn was_asked(&self, id: &str, person: &str) -> Option<bool> {
        let asked = self.asked.get(id)?;
        Some(asked.persons.iter().any(|who| who == person))
    }
}

/// What the button of ours says: whether it is a yes, the mark of the asking, and to what. One of an older version of the
/// program has no mark.
pub fn button(data: &str) -> Option<(bool, &str, &str)> {
    let yes = data.strip_prefix("approve:").map(|rest| (true, rest));
    let (is_yes, rest) = yes.or_else(|| data.strip_prefix("deny:").map(|rest| (false, rest)))?;
    let (mark, id) = rest.split_once(':').unwrap_or(("", rest));
    Some((is_yes, mark, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_for_those_who_were_asked() {
        let mut approving = Approving::default();
        let question = |id: &str, persons: &[&str]| Question {
            id: id.to_owned(),
            persons: persons.iter().map(|who| (*who).to_owned()).collect(),
            what: "rm".to_owned(),
            place: String::new(),
        };
        let mut numbers = [4_821, 4_821, 17].into_iter();
        let both = [
            question("a", &["anna"]),
            question("b", &["ben", "anna"]),
            question("c", &[]),
        ];
        assert!(!approving.is_answer(0, "4821", "anna"), "nobody was asked");
        let news = approving.set(5, &both, || numbers.next().unwrap_or(9));
        let codes: Vec<&str> = news.new.iter().map(|(_, code)| code.as_str()).collect();
        assert_eq!(codes, ["4821", "0017"]);
        let again = approving.set(6, &both, || 1);
        assert_eq!(again, News::default(), "asked once");
        assert_eq!(approving.by_code("4821", "anna"), Some("a"));
        assert_eq!(approving.by_code("4821", "ben"), None);
        assert_eq!(approving.by_code("0017", "ben"), Some("b"));
        assert_eq!(approving.was_asked("b", "carl"), Some(false));
        assert_eq!(approving.button_of("b", true), "approve:5-0017:b");
        for (id, mark, expected) in [
            ("b", "5-0017", true),
            ("b", "4-0017", false),
            ("b", "", false),
            ("a", "5-0017", false),
            ("none", "", false),
        ] {
            assert_eq!(approving.is_marked(id, mark), expected, "{id} {mark}");
        }
        assert_eq!(approving.set(7, &both[1..], || 1).over, ["a"]);
        assert_eq!(
            approving.by_code("4821", "anna"),
            None,
            "it does not wait any more"
        );
        assert_eq!(approving.was_asked("a", "anna"), None);
        for (now, code, person, expected) in [
            // The second one waits for both of them.
            (8, "1530", "anna", true),
            (8, "1530", "ben", true),
            (8, "1530", "carl", false),
        ] {
            assert_eq!(approving.is_answer(now, code, person), expected, "{person}");
        }
        assert_eq!(approving.set(9, &[], || 1).over, ["b"]);
        for (now, code, person, expected) in [
            (9, "0017", "ben", true),
            (9, "1530", "ben", false),
            (9, "4821", "ben", false),
            (9, "4821", "anna", true),
            (9 + LATE_MS, "0017", "ben", false),
        ] {
            let found = approving.is_answer(now, code, person);
            assert_eq!(found, expected, "{now} {code} {person}");
        }
    }

    #[test]
    fn what_is_over_is_remembered_within_bounds() {
        let mut approving = Approving::default();
        for n in 0..1_000u32 {
            let question = Question {
                id: n.to_string(),
                persons: vec!["anna".to_owned()],
                what: String::new(),
                place: String::new(),
            };
            approving.set(u64::from(n), &[question], || n);
        }
        assert_eq!((approving.asked.len(), approving.over.len()), (1, OVER_MAX));
    }

    #[test]
    fn buttons_are_ours() {
        assert_eq!(button("approve:5-4821:x:1"), Some((true, "5-4821", "x:1")));
        assert_eq!(button("deny:x"), Some((false, "", "x")));
        assert_eq!(button("drop:x"), None);
    }
}
