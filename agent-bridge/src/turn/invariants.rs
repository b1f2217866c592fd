//! What every turn keeps, whatever happens: a checker that watches events and actions go by.
//! Built into the machine where debug assertions are on; tests and simulators may run their own.
//! PURE.

use std::collections::VecDeque;

use super::{Action, Event, ReplyId};
use crate::conversation::Role;

/// Replies remembered; an older one is taken as over.
const REPLIES_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Guess,
    Committed,
    Cancelled,
    /// Said by the program itself.
    Own,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    id: ReplyId,
    stage: Stage,
    text_ended: bool,
    is_audible: bool,
}

/// Panics with a sentence at the first action that breaks a rule.
#[derive(Debug, Default)]
pub struct Checker {
    replies: VecDeque<Seen>,
    voice: Option<ReplyId>,
    paused: bool,
    hung_up: bool,
    /// Commits whose words have not been recorded.
    unrecorded: u32,
    transcript: Option<u32>,
}

impl Checker {
    pub fn event(&mut self, event: &Event) {
        // A question that is asked again has its words in the conversation already.
        self.unrecorded = 0;
        match event {
            Event::PlayoutStopped { id, .. } if self.voice == Some(*id) => self.voice = None,
            Event::Final { utterance, .. } if self.transcript == Some(*utterance) => {
                self.transcript = None;
            }
            _ => {}
        }
    }

    pub fn action(&mut self, action: &Action) {
        let is_record = matches!(action, Action::Record(_) | Action::Told { .. });
        assert!(!self.hung_up || is_record, "after Hangup: {action:?}");
        match action {
            Action::Transcribe { utterance } => {
                assert!(self.transcript.is_none(), "two transcripts awaited");
                self.transcript = Some(*utterance);
            }
            Action::DropUtterance { utterance } => {
                if self.transcript == Some(*utterance) {
                    self.transcript = None;
                }
            }
            Action::Speculate { id, .. } => {
                assert!(self.find(*id).is_none(), "{id:?} used twice");
                self.add(*id, Stage::Guess);
            }
            Action::Prepare { id, .. } => {
                let seen = self.find(*id).expect("prepared without a question");
                assert!(
                    matches!(seen.stage, Stage::Guess | Stage::Committed),
                    "prepared after cancel: {id:?}"
                );
                assert!(!seen.is_audible, "prepared what is heard already: {id:?}");
            }
            Action::Commit { id } => {
                let seen = self.find(*id).expect("commit of an unknown reply");
                assert_eq!(seen.stage, Stage::Guess, "commit of {id:?}");
                seen.stage = Stage::Committed;
                self.unrecorded += 1;
            }
            Action::Cancel { id } => {
                let seen = self.find(*id).expect("cancel of an unknown reply");
                assert!(
                    matches!(seen.stage, Stage::Guess | Stage::Committed),
                    "cancel of {id:?}"
                );
                seen.stage = Stage::Cancelled;
                assert_ne!(self.voice, Some(*id), "cancelled while audible");
            }
            Action::Speak { id, last, .. } => self.speak(*id, *last),
            Action::RunTool { id, .. } => {
                let seen = self.find(*id).expect("tool of an unknown reply");
                assert_eq!(seen.stage, Stage::Committed, "tool before commit");
                assert!(!self.paused, "tool while the caller claims the floor");
            }
            Action::Pause => {
                assert!(!self.paused, "paused twice");
                self.paused = true;
            }
            Action::Resume => {
                assert!(self.paused, "resumed without a pause");
                self.paused = false;
            }
            Action::StopPlayout { id } => {
                assert_eq!(self.voice, Some(*id), "stopped what was not playing");
                self.voice = None;
            }
            Action::Record(entry) => {
                if entry.role == Role::User && !entry.aside {
                    assert!(self.unrecorded > 0, "recorded before commit");
                    self.unrecorded -= 1;
                }
            }
            Action::Told { .. } => {}
            Action::Hangup { .. } => {
                self.hung_up = true;
                assert!(!self.paused, "hung up while paused");
                assert!(!self.has_guesses(), "hung up with a guess left open");
            }
        }
    }

    /// A guess that has ended neither in `Commit` nor in `Cancel`.
    pub fn has_guesses(&self) -> bool {
        self.replies.iter().any(|seen| seen.stage == Stage::Guess)
    }

    fn speak(&mut self, id: ReplyId, last: bool) {
        if self.find(id).is_none() {
            self.add(id, Stage::Own);
        }
        let seen = self.find(id).expect("added above");
        assert!(
            matches!(seen.stage, Stage::Committed | Stage::Own),
            "audible before commit or after cancel: {id:?}"
        );
        assert!(!seen.text_ended, "text after the last of {id:?}");
        seen.text_ended = last;
        seen.is_audible = true;
        assert!(
            self.voice.is_none_or(|voice| voice == id),
            "two voices at once"
        );
        self.voice = Some(id);
    }

    fn find(&mut self, id: ReplyId) -> Option<&mut Seen> {
        self.replies.iter_mut().find(|seen| seen.id == id)
    }

    fn add(&mut self, id: ReplyId, stage: Stage) {
        if self.replies.len() >= REPLIES_MAX {
            self.replies.pop_front();
        }
        self.replies.push_back(Seen {
            id,
            stage,
            text_ended: false,
            is_audible: false,
        });
    }
}
