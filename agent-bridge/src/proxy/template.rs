//! The next request of a session, foretold from its last one: the same bytes, the reply it got, and what the caller
//! says now. Owns the memory of last requests, of sessions and of agents.
//!
//! Bounds: [`SESSIONS_MAX`] sessions and [`BYTES_MAX`] bytes in all; the one heard of longest ago is forgotten. A body of more than
//! [`BODY_BYTES_MAX`] is not remembered.
//! PURE.

use std::collections::VecDeque;

use super::request::{Origin, Request, Speaker, renamed};
use super::stamp::Zone;

pub const SESSIONS_MAX: usize = 64;
pub const BYTES_MAX: usize = 64 * 1024 * 1024;
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What became of a request that was remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// It is under way, or nobody here has seen it.
    Unknown,
    /// The text the agent gateway was given.
    Text(String),
}

#[derive(Debug)]
struct Entry {
    origin: Origin,
    request: Request,
    arrived_unix_s: i64,
    answer: Answer,
    number: u64,
}

/// A request that has not been made yet.
#[derive(Debug, Clone)]
pub struct Foretold {
    pub request: Request,
    /// Made from this very session, the last reply included. Otherwise the session may have a past that is not known here.
    pub is_sure: bool,
}

/// Last requests, the newest last.
#[derive(Debug, Default)]
pub struct Templates {
    entries: VecDeque<Entry>,
    bytes: usize,
    count: u64,
}

impl Templates {
    /// Remembers a request that has arrived. What it is known by in `answered`; none if it is not remembered.
    pub fn learn(&mut self, request: &Request, unix_s: i64) -> Option<u64> {
        let origin = request.origin()?.clone();
        self.forget(&origin.session);
        if request.body().len() > BODY_BYTES_MAX {
            return None;
        }
        self.count += 1;
        self.bytes += request.body().len();
        self.entries.push_back(Entry {
            origin,
            request: request.clone(),
            arrived_unix_s: unix_s,
            answer: Answer::Unknown,
            number: self.count,
        });
        while self.entries.len() > SESSIONS_MAX || self.bytes > BYTES_MAX {
            self.drop_at(0);
        }
        Some(self.count)
    }

    /// The agent gateway was given this text as the whole answer to that request, and no tool call.
    pub fn answered(&mut self, number: u64, text: &str) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.number == number) {
            entry.answer = Answer::Text(text.to_owned());
        }
    }

    fn forget(&mut self, session: &str) {
        if let Some(at) = self
            .entries
            .iter()
            .position(|e| e.origin.session == session)
        {
            self.drop_at(at);
        }
    }

    fn drop_at(&mut self, at: usize) {
        if let Some(entry) = self.entries.remove(at) {
            self.bytes -= entry.request.body().len();
        }
    }

    /// Requests of this session, or of its agent, arrive here.
    pub fn knows(&self, session: &str) -> bool {
        self.of(session).is_some()
    }

    /// The session's own entry, else the latest of its agent.
    fn of(&self, session: &str) -> Option<&Entry> {
        let own = self.entries.iter().find(|e| e.origin.session == session);
        own.or_else(|| {
            let agent = agent_of(session)?;
            let mut others = self
                .entries
                .iter()
                .rev()
                .filter(|e| e.origin.agent == agent);
            let calls = others
                .clone()
                .find(|e| e.origin.session.contains(":voice:"));
            calls.or_else(|| others.next())
        })
    }

    /// What the session's gateway will ask when its user says `words` now. None: it cannot be known.
    pub fn foretell(&self, session: &str, words: &str, unix_s: i64) -> Option<Foretold> {
        let entry = self.of(session)?;
        let is_sure = entry.origin.session == session;
        let last = &entry.request;
        let all = last.messages();
        let passing: Vec<&[u8]> = all
            .iter()
            .rev()
            .take_while(|place| place.is_passing)
            .map(|place| last.message(place))
            .collect();
        let kept = &all[..all.len() - passing.len()];
        let stamp = kept.iter().rev().find_map(|place| place.stamp.as_deref());
        let stamp = stamp
            .and_then(|stamp| Zone::of(stamp, entry.arrived_unix_s))
            .and_then(|zone| zone.stamp(unix_s));
        let mut said = match stamp {
            Some(stamp) => format!("[{stamp}] {words}"),
            None => words.to_owned(),
        };
        let mut messages: Vec<Vec<u8>> = Vec::with_capacity(all.len() + 2);
        if is_sure {
            let Answer::Text(answer) = &entry.answer else {
                return None;
            };
            messages.extend(kept.iter().map(|place| last.message(place).to_vec()));
            if !answer.is_empty() {
                messages.push(message("assistant", answer)?);
            }
        } else {
            let system = kept.iter().take_while(|p| p.speaker == Speaker::System);
            messages.extend(system.map(|place| last.message(place).to_vec()));
            said.push_str(&renamed(&last.runtime()?, session));
        }
        messages.push(message("user", &said)?);
        messages.extend(passing.iter().rev().map(|raw| raw.to_vec()));
        let (before, behind) = last.around();
        let body = [before, &messages.join(&b","[..]), behind].concat();
        Some(Foretold {
            request: Request::parse(body)?,
            is_sure,
        })
    }
}

/// A message as the gateway's JSON library writes it: both escape what must be escaped, in the same way, and nothing else.
fn message(role: &str, text: &str) -> Option<Vec<u8>> {
    let text = serde_json::to_string(text).ok()?;
    Some(format!("{{\"role\":\"{role}\",\"content\":{text}}}").into_bytes())
}

/// The agent in a session's key, `agent:<id>:…`.
pub fn agent_of(session: &str) -> Option<&str> {
    session.strip_prefix("agent:")?.split(':').next()
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
