//! An answer of the model as it comes, kept as the provider's own chunks, so that it can be given out again from any
//! point. Owns what each chunk means; not when it is given out.
//!
//! Bounds: [`BYTES_MAX`] and [`FRAMES_MAX`]; an answer that is longer ends there, as broken.
//! PURE.

use serde::Deserialize;
use serde_json::Value;

use super::frames::data;

/// Hours of speech.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;
pub const FRAMES_MAX: usize = 64 * 1024;
/// Tools named in one answer that are told to anybody.
const TOOLS_MAX: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Part of a tool call.
    Tool,
    /// The model says why it stopped, or that it failed.
    Finish,
    /// `[DONE]`.
    Done,
    /// The role, thoughts, usage, comments.
    Other,
}

/// One event of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub bytes: Vec<u8>,
    pub kind: Kind,
    /// Bytes of the answer's text up to and with this event.
    pub text_end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The model has said that it is done.
    Whole,
    Broken,
}

#[derive(Debug, Default)]
pub struct Recording {
    frames: Vec<Frame>,
    bytes: usize,
    text: String,
    tools: Vec<String>,
    calls_tools: bool,
    is_thinking: bool,
    is_finished: bool,
    usage: Option<usize>,
    ending: Option<Ending>,
}

#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    index: Option<u64>,
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<Value>,
    reasoning_content: Option<Value>,
    reasoning: Option<Value>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Call {
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: Option<String>,
}

impl Recording {
    /// Takes the next event. False: it is full, and over.
    pub fn push(&mut self, bytes: Vec<u8>) -> bool {
        if self.ending.is_some() {
            return false;
        }
        self.bytes += bytes.len();
        if self.bytes > BYTES_MAX || self.frames.len() >= FRAMES_MAX {
            self.ending = Some(Ending::Broken);
            return false;
        }
        let kind = match data(&bytes) {
            Some(data) if data.trim() == "[DONE]" => {
                self.ending = Some(self.proper_ending());
                Kind::Done
            }
            Some(data) => self.read(&data),
            None => Kind::Other,
        };
        self.frames.push(Frame {
            bytes,
            kind,
            text_end: self.text.len(),
        });
        true
    }

    fn read(&mut self, data: &str) -> Kind {
        let Ok(chunk) = serde_json::from_str::<Chunk>(data) else {
            return Kind::Other;
        };
        if chunk.error.is_some_and(|error| !error.is_null()) {
            self.ending = Some(Ending::Broken);
            return Kind::Finish;
        }
        if chunk.usage.is_some_and(|usage| usage.is_object()) {
            self.usage = Some(self.frames.len());
        }
        let mut kind = Kind::Other;
        for choice in chunk.choices.unwrap_or_default() {
            if choice.index.unwrap_or(0) != 0 {
                continue;
            }
            if let Some(delta) = choice.delta {
                kind = self.delta(delta);
            }
            if choice.finish_reason.is_some() {
                self.is_finished = true;
                // Some servers put the last words and the reason into one chunk; the words decide when it may go.
                if kind == Kind::Other {
                    kind = Kind::Finish;
                }
            }
        }
        kind
    }

    fn delta(&mut self, delta: Delta) -> Kind {
        let calls = delta.tool_calls.unwrap_or_default();
        for call in &calls {
            self.calls_tools = true;
            let name = call.function.as_ref().and_then(|f| f.name.as_deref());
            if let Some(name) = name.filter(|name| !name.is_empty())
                && self.tools.len() < TOOLS_MAX
            {
                self.tools.push(name.to_owned());
            }
        }
        let thoughts = [delta.reasoning_content, delta.reasoning];
        self.is_thinking |= thoughts.into_iter().flatten().any(|t| !t.is_null());
        let text = match delta.content {
            Some(Value::String(text)) => text,
            Some(Value::Array(parts)) => parts
                .iter()
                .filter_map(|part| part.get("text").and_then(Value::as_str))
                .collect(),
            _ => String::new(),
        };
        self.text.push_str(&text);
        match (calls.is_empty(), text.is_empty()) {
            (false, _) => Kind::Tool,
            (true, false) => Kind::Text,
            (true, true) => Kind::Other,
        }
    }

    fn proper_ending(&self) -> Ending {
        match self.is_finished {
            true => Ending::Whole,
            false => Ending::Broken,
        }
    }

    /// The connection is at its end; `is_broken`: by an error.
    pub fn end(&mut self, is_broken: bool) {
        let ending = match is_broken {
            true => Ending::Broken,
            false => self.proper_ending(),
        };
        self.ending.get_or_insert(ending);
    }

    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// The answer's words so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Names of the tools that are called.
    pub fn tools(&self) -> &[String] {
        &self.tools
    }

    pub fn calls_tools(&self) -> bool {
        self.calls_tools
    }

    pub fn is_thinking(&self) -> bool {
        self.is_thinking
    }

    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The event that says what the answer cost.
    pub fn usage(&self) -> Option<&Frame> {
        self.usage.and_then(|at| self.frames.get(at))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An event as a provider sends it.
    pub fn chunk(delta: &str, finish: Option<&str>) -> Vec<u8> {
        let finish = finish.map_or_else(|| "null".to_owned(), |reason| format!("\"{reason}\""));
        format!(
            "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
        .into_bytes()
    }

    pub fn text(text: &str) -> Vec<u8> {
        chunk(&serde_json::json!({ "content": text }).to_string(), None)
    }

    pub const DONE: &[u8] = b"data: [DONE]\n\n";
    pub const USAGE: &[u8] = b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\n";

    /// A whole answer of these words.
    pub fn answer(words: &[&str]) -> Vec<Vec<u8>> {
        let mut frames = vec![chunk("{\"role\":\"assistant\",\"content\":\"\"}", None)];
        frames.extend(words.iter().map(|word| text(word)));
        frames.push(chunk("{}", Some("stop")));
        frames.push(USAGE.to_vec());
        frames.push(DONE.to_vec());
        frames
    }

    #[test]
    fn chunks_are_known_by_what_they_say() {
        let call = "{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"look\",\"arguments\":\"\"}}]}";
        let mut recording = Recording::default();
        for (bytes, kind, text_end) in [
            (
                chunk("{\"role\":\"assistant\",\"content\":\"\"}", None),
                Kind::Other,
                0,
            ),
            (b": waiting\n\n".to_vec(), Kind::Other, 0),
            (
                chunk("{\"reasoning_content\":\"hm\"}", None),
                Kind::Other,
                0,
            ),
            (text("Grüße"), Kind::Text, 7),
            (text(" you"), Kind::Text, 11),
            (b"data: not JSON\n\n".to_vec(), Kind::Other, 11),
            (b"data: {\"choices\":null}\n\n".to_vec(), Kind::Other, 11),
            (chunk(call, None), Kind::Tool, 11),
            (
                chunk("{\"content\":null}", Some("tool_calls")),
                Kind::Finish,
                11,
            ),
            (USAGE.to_vec(), Kind::Other, 11),
            (DONE.to_vec(), Kind::Done, 11),
        ] {
            assert_eq!(recording.ending(), None);
            assert!(recording.push(bytes));
            let last = recording.frames().last().expect("pushed");
            assert_eq!((last.kind, last.text_end), (kind, text_end));
        }
        assert_eq!(recording.ending(), Some(Ending::Whole));
        assert_eq!(recording.text(), "Grüße you");
        assert_eq!(recording.tools(), ["look"]);
        assert_eq!(recording.usage().map(|f| f.bytes.as_slice()), Some(USAGE));
        assert!(recording.is_thinking() && !recording.push(DONE.to_vec()));
    }

    #[test]
    fn an_answer_without_an_end_is_broken() {
        for (frames, is_broken, ending) in [
            (vec![text("a")], false, Ending::Broken),
            (vec![text("a"), DONE.to_vec()], false, Ending::Broken),
            (
                vec![chunk("{\"content\":\"a\"}", Some("stop"))],
                false,
                Ending::Whole,
            ),
            (vec![chunk("{}", Some("stop"))], true, Ending::Broken),
            (
                vec![b"data: {\"error\":{\"code\":1}}\n\n".to_vec()],
                false,
                Ending::Broken,
            ),
        ] {
            let mut recording = Recording::default();
            for frame in frames {
                recording.push(frame);
            }
            recording.end(is_broken);
            assert_eq!(recording.ending(), Some(ending));
        }
    }
}
