//! PURE. Questions about risky actions by text: who is asked, under which code, and whose answer counts. What waits is known
//! from the office of approvals; the decision is made there. Owns only the codes, which die with the program as the
//! questions do.

use std::collections::BTreeMap;

/// Codes of four digits; so many at once never collide for long.
const ASKED_MAX: usize = 256;

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
    persons: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Approving {
    asked: BTreeMap<String, Asked>,
}

impl Approving {
    /// What waits now. Those that are to be asked, with their codes. `random` draws a number.
    pub fn set(
        &mut self,
        waiting: &[Question],
        mut random: impl FnMut() -> u32,
    ) -> Vec<(Question, String)> {
        self.asked
            .retain(|id, _| waiting.iter().any(|one| one.id == *id));
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
                code: code.clone(),
                persons: question.persons.clone(),
            };
            self.asked.insert(question.id.clone(), asked);
            new.push((question.clone(), code));
        }
        new
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

    /// Whether this person was asked. `None`: nobody was.
    pub fn was_asked(&self, id: &str, person: &str) -> Option<bool> {
        let asked = self.asked.get(id)?;
        Some(asked.persons.iter().any(|who| who == person))
    }
}

/// What the button of ours says: whether it is a yes, and to what.
pub fn button(data: &str) -> Option<(bool, &str)> {
    let yes = data.strip_prefix("approve:").map(|id| (true, id));
    yes.or_else(|| data.strip_prefix("deny:").map(|id| (false, id)))
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
        let new = approving.set(&both, || numbers.next().unwrap_or(9));
        let codes: Vec<&str> = new.iter().map(|(_, code)| code.as_str()).collect();
        assert_eq!(codes, ["4821", "0017"]);
        assert_eq!(approving.set(&both, || 1), [], "asked once");
        assert_eq!(approving.by_code("4821", "anna"), Some("a"));
        assert_eq!(approving.by_code("4821", "ben"), None);
        assert_eq!(approving.by_code("0017", "ben"), Some("b"));
        assert_eq!(approving.was_asked("b", "carl"), Some(false));
        approving.set(&both[1..], || 1);
        assert_eq!(
            approving.by_code("4821", "anna"),
            None,
            "it does not wait any more"
        );
        assert_eq!(approving.was_asked("a", "anna"), None);
    }

    #[test]
    fn buttons_are_ours() {
        assert_eq!(button("approve:x:1"), Some((true, "x:1")));
        assert_eq!(button("deny:x"), Some((false, "x")));
        assert_eq!(button("drop:x"), None);
    }
}
