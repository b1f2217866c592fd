//! An answer on its way to the agent gateway, no faster than it is heard: what may go now, and how it ends where the
//! caller stopped listening. Owns the end that no provider wrote; every other byte is the provider's own.
//! PURE.

use serde_json::{Value, json};

use super::frames::data;
use super::recording::{Kind, Recording};

/// An answer without any words is taken for a failure and asked for again. A caller who heard nothing of it is written down
/// like this.
pub const NOTHING_HEARD: &str = "…";

/// How far an answer may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// All of it, as it comes.
    Open,
    /// Up to so many bytes of its text.
    Text(usize),
    /// It ends there: so many bytes of its text, then these words.
    Cut { bytes: usize, rest: String },
}

/// One answer being given out.
#[derive(Debug, Default)]
pub struct Pacing {
    /// Events given out.
    frames: usize,
    /// The text they held.
    given: String,
    is_over: bool,
}

impl Pacing {
    /// The bytes that may go now; often none.
    pub fn step(&mut self, recording: &Recording, until: &Until) -> Vec<u8> {
        let mut out = Vec::new();
        if self.is_over {
            return out;
        }
        while let Some(frame) = recording.frames().get(self.frames) {
            let may_go = match (until, frame.kind) {
                (Until::Open, _) => true,
                (_, Kind::Finish | Kind::Done | Kind::Tool) => false,
                (Until::Text(bytes) | Until::Cut { bytes, .. }, _) => frame.text_end <= *bytes,
            };
            if !may_go {
                break;
            }
            out.extend_from_slice(&frame.bytes);
            self.given
                .push_str(&recording.text()[self.given.len()..frame.text_end]);
            self.frames += 1;
        }
        match until {
            Until::Open => {
                let is_drained = self.frames == recording.frames().len();
                self.is_over = is_drained && recording.ending().is_some();
            }
            Until::Text(_) => {}
            Until::Cut { bytes, rest } => self.cut(recording, *bytes, rest, &mut out),
        }
        out
    }

    fn cut(&mut self, recording: &Recording, bytes: usize, rest: &str, out: &mut Vec<u8>) {
        if let Some(frame) = self.frames.checked_sub(1).map(|n| &recording.frames()[n]) {
            close(&frame.bytes, out);
        }
        let text = recording.text();
        let bytes = floor_boundary(text, bytes).max(self.given.len());
        let mut last = text[self.given.len()..bytes].to_owned();
        last.push_str(rest);
        let mut last = last.trim_end().to_owned();
        if self.given.trim().is_empty() {
            last = last.trim_start().to_owned();
            if last.is_empty() {
                NOTHING_HEARD.clone_into(&mut last);
            }
        }
        let model = recording
            .frames()
            .iter()
            .find_map(|frame| chunk(&frame.bytes));
        let model = model.unwrap_or_else(|| {
            json!({ "id": "offhook", "object": "chat.completion.chunk", "created": 0, "model": "" })
        });
        if !last.is_empty() {
            let role = match self.frames {
                0 => json!({ "role": "assistant", "content": last }),
                _ => json!({ "content": last }),
            };
            out.extend(event(&model, role, None));
            self.given.push_str(&last);
        }
        out.extend(event(&model, json!({}), Some("stop")));
        if let Some(usage) = recording.usage() {
            out.extend_from_slice(&usage.bytes);
            close(&usage.bytes, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.is_over = true;
    }

    /// The agent gateway has all that it gets.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The text that the agent gateway was given.
    pub fn given(&self) -> &str {
        &self.given
    }
}

/// Ends an event that its provider has not ended, as where the stream broke off: what follows would belong to it.
fn close(event: &[u8], out: &mut Vec<u8>) {
    let ends: [&[u8]; 3] = [b"\n\n", b"\r\r", b"\r\n\r\n"];
    if !ends.iter().any(|end| event.ends_with(end)) {
        out.extend_from_slice(b"\n\n");
    }
}

/// The JSON of a chunk that holds a choice.
fn chunk(frame: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_str(&data(frame)?).ok()?;
    value["choices"][0].is_object().then_some(value)
}

/// A chunk like the provider's own, with another delta.
fn event(model: &Value, delta: Value, finish: Option<&str>) -> Vec<u8> {
    let mut chunk = model.clone();
    chunk["choices"] = json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
    if let Some(fields) = chunk.as_object_mut() {
        fields.remove("usage");
        fields.remove("error");
    }
    format!("data: {chunk}\n\n").into_bytes()
}

/// A whole answer of one word, for questions that only keep the agent gateway warm.
pub fn small_answer(text: &str, model: &str) -> Vec<u8> {
    let model =
        json!({ "id": "offhook", "object": "chat.completion.chunk", "created": 0, "model": model });
    let mut out = event(
        &model,
        json!({ "role": "assistant", "content": text }),
        None,
    );
    out.extend(event(&model, json!({}), Some("stop")));
    out.extend_from_slice(b"data: [DONE]\n\n");
    out
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::recording::tests::{DONE, USAGE, answer, chunk as raw, text};
    use super::*;

    fn recorded(frames: &[Vec<u8>]) -> Recording {
        let mut recording = Recording::default();
        for frame in frames {
            recording.push(frame.clone());
        }
        recording
    }

    /// Words and finish reasons of a stream, and whether it was closed.
    fn read(bytes: &[u8]) -> (String, Vec<String>, bool) {
        let recording = {
            let mut frames = super::super::frames::Frames::default();
            frames.push(bytes).expect("short");
            let mut recording = Recording::default();
            while let Some(frame) = frames.next_frame() {
                recording.push(frame);
            }
            recording
        };
        let reasons = recording.frames().iter().filter_map(|f| chunk(&f.bytes));
        let reasons = reasons
            .filter_map(|c| c["choices"][0]["finish_reason"].as_str().map(str::to_owned))
            .collect();
        let is_closed = recording
            .frames()
            .last()
            .is_some_and(|f| f.kind == Kind::Done);
        (recording.text().to_owned(), reasons, is_closed)
    }

    #[test]
    fn an_answer_that_is_heard_to_its_end_is_the_providers() {
        let frames = answer(&["It", " is", " ten", "."]);
        let recording = recorded(&frames);
        let mut pacing = Pacing::default();
        let mut out = Vec::new();
        for bytes in [0, 2, 4, 9] {
            out.extend(pacing.step(&recording, &Until::Text(bytes)));
            let given = pacing.given().len();
            assert!(given <= bytes && !pacing.is_over());
        }
        out.extend(pacing.step(&recording, &Until::Open));
        assert_eq!(out, frames.concat());
        assert!(pacing.is_over());
        assert_eq!(pacing.given(), "It is ten.");
        assert!(pacing.step(&recording, &Until::Open).is_empty());
    }

    #[test]
    fn an_end_is_no_part_of_what_broke_off() {
        for end in ["", "\n", "\r\n"] {
            let mut frames = answer(&["It", " is"]);
            frames.truncate(3);
            let last = frames.pop().expect("its last words");
            frames.push([last.trim_ascii_end(), end.as_bytes()].concat());
            let recording = recorded(&frames);
            let mut pacing = Pacing::default();
            let mut out = pacing.step(&recording, &Until::Text(5));
            let rest = String::new();
            out.extend(pacing.step(&recording, &Until::Cut { bytes: 5, rest }));
            let wanted = ("It is".to_owned(), vec!["stop".to_owned()], true);
            assert_eq!(read(&out), wanted, "{end:?}");
        }
    }

    #[test]
    fn a_cut_ends_at_the_last_heard_word() {
        let words = ["It", " is te", "n o'clock", " now", "."];
        for (first, bytes, rest, wanted) in [
            (0, 5, "", "It is"),
            (2, 5, "", "It is"),
            (5, 5, "", "It is"),
            (0, 9, "", "It is ten"),
            (8, 8, "", "It is te"),
            (0, 6, "", "It is"),
            (0, 5, " my link", "It is my link"),
            (0, 0, "", NOTHING_HEARD),
            (0, 0, " Hello", "Hello"),
            (0, 2, "", "It"),
            (0, 99, "", "It is ten o'clock now."),
        ] {
            for is_ended in [false, true] {
                let mut frames = answer(&words);
                if !is_ended {
                    frames.truncate(words.len() + 1);
                }
                let recording = recorded(&frames);
                let mut pacing = Pacing::default();
                let mut out = pacing.step(&recording, &Until::Text(first));
                let rest = rest.to_owned();
                out.extend(pacing.step(&recording, &Until::Cut { bytes, rest }));
                let (text, reasons, is_closed) = read(&out);
                assert_eq!(text, wanted);
                assert_eq!(pacing.given(), wanted);
                assert_eq!((reasons, is_closed), (vec!["stop".to_owned()], true));
                assert!(pacing.is_over());
                let has_usage = out.windows(USAGE.len()).any(|part| part == USAGE);
                assert_eq!(has_usage, is_ended);
                assert!(pacing.step(&recording, &Until::Open).is_empty());
            }
        }
    }

    #[test]
    fn a_cut_before_anything_came_is_an_answer_too() {
        let mut pacing = Pacing::default();
        let until = Until::Cut {
            bytes: 0,
            rest: String::new(),
        };
        let (text, reasons, is_closed) = read(&pacing.step(&Recording::default(), &until));
        assert_eq!((text.as_str(), is_closed), (NOTHING_HEARD, true));
        assert_eq!(reasons, ["stop"]);
    }

    #[test]
    fn tools_and_ends_wait_for_leave() {
        let call = "{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"look\"}}]}";
        let recording = recorded(&[
            text("Let me look."),
            raw(call, None),
            raw("{}", Some("tool_calls")),
            DONE.to_vec(),
        ]);
        let mut pacing = Pacing::default();
        let held = pacing.step(&recording, &Until::Text(1000));
        assert_eq!(held, text("Let me look."));
        let rest = pacing.step(&recording, &Until::Open);
        assert!(String::from_utf8_lossy(&rest).contains("look"));
        assert!(pacing.is_over());
    }
}
