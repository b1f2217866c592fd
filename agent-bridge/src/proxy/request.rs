//! One request of an agent gateway, as far as it must be understood: where its messages stand in the bytes, whose
//! session it is, and what was said last. Owns no bytes of the answer and changes none of the request.
//!
//! The shapes are those of OpenClaw 2026.9.6 with its `openai-completions` adapter: the first message of the caller ends with a line
//! `Runtime: agent=… | session=… | sessionId=… | …`, words begin with a stamp, and a last message may hold what is true
//! just now. Anything else parses too, as a request of nobody's session.
//! PURE.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::stamp;

/// What begins the line that names the session.
const RUNTIME: &str = "\n\nRuntime: agent=";
/// What begins a message that says what is true just now and is in no history.
const PASSING: &str = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>";
/// What stands before the words after a run that was aborted, up to an empty line.
const NOTE: &str = "Note: The previous agent run was ";
/// Messages of one request that are looked at; a longer one is nobody's.
const MESSAGES_MAX: usize = 20_000;
/// Letters of a session's key.
const KEY_BYTES_MAX: usize = 512;

/// Whose request it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub agent: String,
    pub session: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// Instructions: `system` or `developer`.
    System,
    User,
    Assistant,
    Tool,
    Other,
}

/// One message: where it stands and who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub at: Range<usize>,
    pub speaker: Speaker,
    /// What a user said, without stamp, note and the line that names the session.
    pub words: Option<String>,
    /// The gateway has put a note of its own before the words.
    pub is_noted: bool,
    /// The stamp before the words.
    pub stamp: Option<String>,
    /// It says what is true just now, and no user said it.
    pub is_passing: bool,
    /// Its content is text and nothing else.
    pub is_plain: bool,
}

#[derive(Debug, Clone)]
pub struct Request {
    body: Vec<u8>,
    /// The list of messages, its brackets included.
    list: Range<usize>,
    messages: Vec<Place>,
    is_stream: bool,
    origin: Option<Origin>,
}

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    messages: &'a RawValue,
    stream: Option<bool>,
    /// Answers wanted side by side.
    n: Option<u64>,
}

#[derive(Deserialize)]
struct MessageBody<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(default)]
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: Option<String>,
}

impl Content {
    fn text(self) -> String {
        match self {
            Content::Text(text) => text,
            Content::Parts(parts) => parts.into_iter().filter_map(|part| part.text).collect(),
            Content::Other(_) => String::new(),
        }
    }
}

impl Request {
    /// None: no chat completion of one answer, so nothing that could be predicted.
    pub fn parse(body: Vec<u8>) -> Option<Request> {
        let text = std::str::from_utf8(&body).ok()?;
        let outline: Outline<'_> = serde_json::from_str(text).ok()?;
        if outline.n.is_some_and(|n| n != 1) {
            return None;
        }
        let list = place_of(text, outline.messages.get())?;
        let raws: Vec<&RawValue> = serde_json::from_str(outline.messages.get()).ok()?;
        if raws.len() > MESSAGES_MAX {
            return None;
        }
        let mut origin = None;
        let mut messages = Vec::with_capacity(raws.len());
        for raw in raws {
            let at = place_of(text, raw.get())?;
            let message: MessageBody<'_> = serde_json::from_str(raw.get()).ok()?;
            let speaker = match &*message.role {
                "system" | "developer" => Speaker::System,
                "user" => Speaker::User,
                "assistant" => Speaker::Assistant,
                "tool" | "function" => Speaker::Tool,
                _ => Speaker::Other,
            };
            let mut place = Place {
                at,
                speaker,
                words: None,
                is_noted: false,
                stamp: None,
                is_passing: false,
                is_plain: matches!(message.content, Some(Content::Text(_))),
            };
            if speaker == Speaker::User {
                let is_first = !messages
                    .iter()
                    .any(|earlier: &Place| earlier.speaker == Speaker::User);
                let said = message.content.map_or_else(String::new, Content::text);
                place.is_passing = said.trim_start().starts_with(PASSING);
                let (early, rest) = without_note(&said);
                let (stamp, rest) = stamp::split(rest);
                let (late, rest) = without_note(rest);
                place.is_noted = early || late;
                // Only the gateway's own line counts, which comes behind whatever a user may have written.
                let (words, runtime) = match rest.rfind(RUNTIME) {
                    Some(at) if is_first => (&rest[..at], Some(&rest[at..])),
                    _ => (rest, None),
                };
                origin = origin.or_else(|| runtime.and_then(named));
                place.stamp = stamp.map(str::to_owned);
                place.words = (!place.is_passing).then(|| words.to_owned());
            }
            messages.push(place);
        }
        let is_stream = outline.stream.unwrap_or(false);
        Some(Request {
            list,
            messages,
            is_stream,
            origin,
            body,
        })
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn is_stream(&self) -> bool {
        self.is_stream
    }

    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    pub fn messages(&self) -> &[Place] {
        &self.messages
    }

    /// The bytes of one message.
    pub fn message(&self, place: &Place) -> &[u8] {
        &self.body[place.at.clone()]
    }

    /// What stands before and behind the list of messages, its brackets included.
    pub fn around(&self) -> (&[u8], &[u8]) {
        (
            &self.body[..self.list.start + 1],
            &self.body[self.list.end - 1..],
        )
    }

    /// The last thing a user said, if the request waits for the answer to it: its place in the list, and the words.
    pub fn asked(&self) -> Option<(usize, &str)> {
        let (index, last) = self
            .messages
            .iter()
            .enumerate()
            .rfind(|(_, place)| !place.is_passing)?;
        Some((index, last.words.as_deref()?))
    }

    /// The same, but for what has been done about it since: a request in the middle of a turn.
    pub fn words_at(&self, index: usize) -> Option<&str> {
        self.messages.get(index)?.words.as_deref()
    }

    /// The line that names the session, from its line breaks on, as text.
    pub fn runtime(&self) -> Option<String> {
        let first = self
            .messages
            .iter()
            .find(|place| place.speaker == Speaker::User)?;
        let message: MessageBody<'_> = serde_json::from_slice(self.message(first)).ok()?;
        let said = message.content?.text();
        said.rfind(RUNTIME).map(|at| said[at..].to_owned())
    }
}

fn place_of(text: &str, part: &str) -> Option<Range<usize>> {
    let from = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let to = from + part.len();
    (to <= text.len() && !part.is_empty()).then_some(from..to)
}

/// Whether there is a note, and what stands behind it.
fn without_note(said: &str) -> (bool, &str) {
    let noted = said
        .strip_prefix(NOTE)
        .and_then(|rest| rest.split_once("\n\n"));
    noted.map_or((false, said), |(_, words)| (true, words))
}

/// Agent and session of a `Runtime:` line.
fn named(runtime: &str) -> Option<Origin> {
    let line = runtime.trim_start().strip_prefix("Runtime: ")?;
    let field = |name: &str| {
        line.split('|')
            .filter_map(|field| field.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim().to_owned())
            .filter(|value| !value.is_empty() && value.len() <= KEY_BYTES_MAX)
    };
    Some(Origin {
        agent: field("agent")?,
        session: field("session")?,
    })
}

/// A `Runtime:` line with the values of another session. The id of a session that is not known yet is left out.
pub fn renamed(runtime: &str, session: &str) -> String {
    let fields = runtime
        .split(" | ")
        .map(|field| match field.split_once('=') {
            Some(("session", _)) => format!("session={session}"),
            Some(("sessionId", _)) => "sessionId=".to_owned(),
            _ => field.to_owned(),
        });
    fields.collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
#[path = "request_tests.rs"]
pub(crate) mod tests;
