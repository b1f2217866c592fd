//! Risky actions by text: asking those who may allow them, and their answers, which never wait behind a turn: the turn waits
//! for them.

use super::*;

impl Task {
    /// Whether this message was an answer about something risky; it is decided then.
    pub(super) fn decides(&mut self, message: &Inbound, person: &str) -> bool {
        let (is_yes, id) = match &message.body {
            Body::Button { data } => match button(data) {
                Some((is_yes, id)) => (is_yes, id.to_owned()),
                None => return false,
            },
            Body::Text(text) => match wishes::decision(text) {
                Some((is_yes, code)) => match self.approving.by_code(code, person) {
                    Some(id) => (is_yes, id.to_owned()),
                    None => (is_yes, String::new()),
                },
                None => return false,
            },
            _ => return false,
        };
        let reply = |words: &str| Letter {
            key: Some(format!("said-{}-{}", message.from.channel, message.id)),
            to: Some((message.from.channel.to_owned(), message.place.clone())),
            record_as: (message.from.channel == "web").then_some(Role::Program),
            ..Letter::text(person, words, "answer to a decision")
        };
        let is_theirs = self.approving.was_asked(&id, person);
        let may_decide = is_theirs == Some(true)
            && self.cx.approvals.level(person) >= self.cx.approvals.level_needed();
        let refusing = !is_yes && is_theirs == Some(true);
        if !may_decide && !refusing {
            let words = match is_theirs {
                None => wording::NOT_WAITING,
                Some(_) => wording::NOT_YOURS,
            };
            self.post(reply(words), None);
            return true;
        }
        let (yes, no, gone, frozen) = (
            reply(wording::ALLOWED),
            reply(wording::REFUSED),
            reply(wording::NOT_WAITING),
            reply(wording::FROZEN),
        );
        let (approvals, work, channel) = (
            self.cx.approvals.clone(),
            self.work.clone(),
            message.from.channel,
        );
        tokio::spawn(async move {
            let decision = if is_yes {
                Decision::AllowOnce
            } else {
                Decision::Deny
            };
            let reply = match approvals.decide(id, decision, channel).await {
                Ok(()) if is_yes => yes,
                Ok(()) => no,
                Err(ChannelError::Frozen) => frozen,
                Err(_) => gone,
            };
            let _ = work
                .send(Work::Decided {
                    reply: Box::new(reply),
                })
                .await;
        });
        true
    }

    /// What waits for a yes has changed.
    pub(super) fn approvals(&mut self) {
        self.cx.live.tell_all(&Live::Approvals);
        let view = self.cx.approvals.view();
        let needed = self.cx.approvals.level_needed();
        let allowed = |person: &String| self.cx.approvals.level(person) >= needed;
        let waiting = view.waiting.iter().filter(|one| !one.is_with_call);
        let questions: Vec<Question> = waiting
            .map(|one| {
                let mut persons = self.cx.persons_of(&one.session, self.people.accounts());
                persons.retain(allowed);
                if persons.is_empty() {
                    // Whoever asked may not allow it: the owner may.
                    let owners = self
                        .people
                        .accounts()
                        .filter(|who| self.cx.approvals.level(who) == Level::Owner);
                    persons = owners.filter(|who| allowed(who)).cloned().collect();
                }
                Question {
                    id: one.id.clone(),
                    persons,
                    what: one.what.clone(),
                    place: one.place.clone(),
                }
            })
            .collect();
        for (question, code) in self.approving.set(&questions, rand::random) {
            let mut is_asked = false;
            for person in &question.persons {
                let id = &question.id;
                let letter = Letter {
                    matter: OutMatter::Ask {
                        text: wording::approval(&question.what, &question.place, &code),
                        buttons: vec![
                            ("Allow".to_owned(), format!("approve:{id}")),
                            ("Refuse".to_owned(), format!("deny:{id}")),
                        ],
                    },
                    key: Some(format!("ask-{person}-{:x}-{code}", unix_ms())),
                    or_page: false,
                    ..Letter::text(person, "", "approval")
                };
                is_asked |= self.post(letter, None);
            }
            if !is_asked {
                // As soon as a channel is there.
                self.approving.forget(&question.id);
            }
        }
    }
}
