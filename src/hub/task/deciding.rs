//! Risky actions by text: asking those who may allow them, and their answers, which never wait behind a turn: the turn waits
//! for them.

use super::*;
use crate::approvals::View;
use crate::store::{NOTED, NOTED_BY};

/// Longer than any network takes that still answers.
const WITHDRAW_MAX: Duration = Duration::from_secs(60);

/// Questions whose places are remembered; a further one stays as it was asked.
const SENT_MAX: usize = 1_024;

/// Questions that are noted for the next run.
const NOTED_MAX: usize = 256;

/// A question at its place, as the next run finds it noted.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Earlier {
    id: String,
    channel: String,
    place: String,
    theirs: String,
}

/// A question on its way, or at its place.
pub(super) struct Sent {
    /// What is asked about.
    question: String,
    channel: String,
    place: String,
    person: String,
    text: String,
    /// It has arrived, with the other side's id of it.
    arrived: Option<Option<String>>,
    /// It is over, and this became of it.
    over: Option<String>,
}

impl Task {
    /// Whether this message was an answer about something risky, and what becomes of it then; else `None`.
    pub(super) fn decides(
        &mut self,
        message: &Inbound,
        person: &str,
    ) -> Option<Result<Received, HubError>> {
        let (is_yes, id) = match &message.body {
            Body::Button { data } => {
                let (is_yes, mark, id) = button(data)?;
                // One of an earlier asking, before a restart of ours, answers nothing: what it hangs on is old.
                let is_now = self.approving.is_marked(id, mark);
                (is_yes, if is_now { id.to_owned() } else { String::new() })
            }
            Body::Text(text) => match wishes::decision(text) {
                Some((is_yes, code)) if self.approving.is_answer(unix_ms(), code, person) => {
                    let id = self.approving.by_code(code, person);
                    (is_yes, id.unwrap_or_default().to_owned())
                }
                _ => return None,
            },
            _ => return None,
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
            let is_button = matches!(message.body, Body::Button { .. });
            let is_over = is_theirs.is_none() && is_button;
            return Some(if is_over {
                Err(HubError::Over)
            } else {
                Ok(Received::Done)
            });
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
        Some(Ok(Received::Done))
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
                let mut persons = self.cx.persons_of(&one.session);
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
        let news = self.approving.set(unix_ms(), &questions, rand::random);
        for id in news.over {
            self.withdraw(&id, &became(&view, &id));
        }
        for (question, code) in news.new {
            let mut is_asked = false;
            for person in &question.persons {
                is_asked |= self.ask_by_text(&question, person, &code);
            }
            if !is_asked {
                // As soon as a channel is there.
                self.approving.forget(&question.id);
            }
        }
    }

    /// Whether there is a way to this person.
    fn ask_by_text(&mut self, question: &Question, person: &str, code: &str) -> bool {
        let id = &question.id;
        let text = wording::approval(&question.what, &question.place, code);
        let letter = Letter {
            matter: OutMatter::Ask {
                text: text.clone(),
                buttons: vec![
                    ("Allow".to_owned(), self.approving.button_of(id, true)),
                    ("Refuse".to_owned(), self.approving.button_of(id, false)),
                ],
            },
            key: Some(format!("ask-{person}-{:x}-{code}", unix_ms())),
            or_page: false,
            ..Letter::text(person, "", "approval")
        };
        let Some(posted) = self.post(letter, None) else {
            return false;
        };
        let sent = Sent {
            question: question.id.clone(),
            channel: posted.channel,
            place: posted.place,
            person: person.to_owned(),
            text,
            arrived: None,
            over: None,
        };
        if self.questions.len() >= SENT_MAX {
            self.questions.retain(|_, sent| sent.over.is_none());
        }
        if self.questions.len() < SENT_MAX {
            self.questions.insert(posted.id, sent);
        }
        true
    }

    /// It does not wait any more: what was not sent is not sent, and what was says so.
    fn withdraw(&mut self, question: &str, words: &str) {
        let is_it = |sent: &&mut Sent| sent.question == question && sent.over.is_none();
        for sent in self.questions.values_mut().filter(is_it) {
            sent.over = Some(words.to_owned());
        }
        let over = self.questions.iter();
        let over: Vec<(String, String)> = over
            .filter(|(_, sent)| sent.question == question)
            .map(|(id, sent)| (id.clone(), sent.person.clone()))
            .collect();
        for (id, person) in over {
            self.show_over(&id);
            self.step(Input::TakeBack { person, prefix: id });
        }
    }

    /// A delivery ended; of a question we remember where it stands now.
    pub(super) fn question_delivered(&mut self, id: &str, outcome: &Outcome) {
        match (self.questions.get_mut(id), outcome) {
            (Some(sent), Outcome::Sent(theirs)) => sent.arrived = Some(theirs.clone()),
            _ => return,
        }
        self.note_questions();
        self.show_over(id);
    }

    /// Writes down which questions show their buttons, for the next run.
    fn note_questions(&self) {
        let here = self.questions.iter().filter_map(|(id, sent)| {
            Some(Earlier {
                id: id.clone(),
                channel: sent.channel.clone(),
                place: sent.place.clone(),
                theirs: sent.arrived.clone()??,
            })
        });
        let all: Vec<Earlier> = here
            .chain(self.earlier.iter().cloned())
            .take(NOTED_MAX)
            .collect();
        let text = serde_json::to_string(&all).unwrap_or_default();
        self.cx
            .recorder
            .queue("questions with buttons", move |store| {
                store.remember(NOTED_BY, NOTED, &text).map(|_| ())
            });
    }

    /// Questions of an earlier run at a channel that is there now: nobody waits for their answers, and they say so.
    pub(super) fn withdraw_earlier(&mut self, channel: &Arc<dyn Channel>) {
        let (here, others) = std::mem::take(&mut self.earlier)
            .into_iter()
            .partition(|one: &Earlier| one.channel == channel.name());
        self.earlier = others;
        for one in here {
            let withdrawal = Withdrawal {
                id: one.id,
                place: one.place,
                theirs: Some(one.theirs),
                text: String::new(),
                words: wording::EARLIER.to_owned(),
            };
            tell_over(channel.clone(), withdrawal);
        }
        self.note_questions();
    }

    /// Tells a question's channel what became of it, once it has arrived and is over.
    fn show_over(&mut self, id: &str) {
        let is_due = |sent: &Sent| sent.arrived.is_some() && sent.over.is_some();
        if !self.questions.get(id).is_some_and(is_due) {
            return;
        }
        let Some(sent) = self.questions.remove(id) else {
            return;
        };
        let Some(channel) = self.cx.channel(&sent.channel) else {
            return;
        };
        let withdrawal = Withdrawal {
            id: id.to_owned(),
            place: sent.place,
            theirs: sent.arrived.flatten(),
            text: sent.text,
            words: sent.over.unwrap_or_default(),
        };
        tell_over(channel, withdrawal);
        self.note_questions();
    }
}

fn tell_over(channel: Arc<dyn Channel>, withdrawal: Withdrawal) {
    tokio::spawn(async move {
        let told = tokio::time::timeout(WITHDRAW_MAX, channel.withdraw(&withdrawal)).await;
        if told.is_err() {
            debug!(delivery = %withdrawal.id, "a question that is over could not be changed");
        }
    });
}

/// Those of the last run, as it wrote them down.
pub(super) fn earlier(noted: &str) -> Vec<Earlier> {
    serde_json::from_str(noted).unwrap_or_default()
}

/// What became of a question, for those who were asked by text.
fn became(view: &View, id: &str) -> String {
    let decided = view.lately.iter().rev().find(|over| over.id == id);
    let is_with_call = view.waiting.iter().any(|one| one.id == id);
    match decided.map(|over| (over.is_allowed, over.channel)) {
        Some((is_allowed, Some(channel))) => wording::decided(is_allowed, channel),
        _ if is_with_call => wording::ON_THE_PHONE.to_owned(),
        _ => wording::NOT_WAITING.to_owned(),
    }
}
