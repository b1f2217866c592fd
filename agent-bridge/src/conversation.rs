//! A conversation: what was said, by whom and when, over one or several calls. Owns the order, the ids
//! and what of it a request carries. What the assistant said is what was heard.
//! PURE.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::turn::Entry;

/// Messages kept in memory; the oldest leave first. The store keeps them all.
pub const MESSAGES_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// One message of a request to a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub text: String,
}

/// One thing that was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Counts up within the conversation, from 1.
    pub id: u64,
    pub role: Role,
    pub text: String,
    /// Milliseconds since 1970, or since the call began where no start was told.
    pub when_ms: u64,
    /// The call it was said in; empty: in no call.
    pub call: String,
    /// For the assistant: the caller heard all that was meant. False: `text` ends where it was cut.
    pub heard_all: bool,
    /// Said by the program itself and no business of the agent.
    pub aside: bool,
}

/// Messages in order, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    messages: VecDeque<Said>,
    next_id: u64,
    call: String,
    call_began_ms: u64,
}

impl Conversation {
    pub fn new() -> Conversation {
        Conversation::default()
    }

    /// What is pushed from now on belongs to this call, which began at `began_ms` since 1970.
    pub fn begin_call(&mut self, call: &str, began_ms: u64) {
        call.clone_into(&mut self.call);
        self.call_began_ms = began_ms;
    }

    /// Adds what the turn machine recorded. Returns the new message's id.
    pub fn push(&mut self, entry: Entry) -> u64 {
        self.add(Said {
            id: 0,
            role: entry.role,
            text: entry.text,
            when_ms: self.call_began_ms.saturating_add(entry.at_ms),
            call: self.call.clone(),
            heard_all: entry.complete,
            aside: entry.aside,
        })
    }

    /// Adds a message from elsewhere (the store, a text channel). Its id is given anew.
    pub fn add(&mut self, mut said: Said) -> u64 {
        self.next_id += 1;
        said.id = self.next_id;
        if self.messages.len() >= MESSAGES_MAX {
            self.messages.pop_front();
        }
        self.messages.push_back(said);
        self.next_id
    }

    pub fn messages(&self) -> impl ExactSizeIterator<Item = &Said> + DoubleEndedIterator {
        self.messages.iter()
    }

    /// The latest messages that a request carries, oldest first: whole ones, at most `messages_max` of
    /// them with at most `chars_max` letters in total. The latest is always there, cut at its beginning
    /// if it alone is too long. Asides are left out.
    pub fn history(&self, messages_max: usize, chars_max: usize) -> Vec<Message> {
        let mut room = chars_max;
        let mut picked = Vec::new();
        let spoken = self.messages.iter().rev().filter(|said| !said.aside);
        for said in spoken.take(messages_max) {
            let length = said.text.chars().count();
            let text = if length <= room {
                said.text.clone()
            } else if picked.is_empty() && room > 0 {
                said.text.chars().skip(length - room).collect()
            } else {
                break;
            };
            room = room.saturating_sub(length);
            picked.push(Message {
                role: said.role,
                text,
            });
        }
        picked.reverse();
        picked
    }
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
