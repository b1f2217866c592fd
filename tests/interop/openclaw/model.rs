//! A model that does what it is told: chat completions as a stream, scripted by the words of the question. Owns the script
//! and what was asked of it; it knows nothing of who asks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::sound::words;

/// Our own MCP tool, as OpenClaw calls it.
const CALL_USER: &str = "voice__call_user";

/// A question that holds one of these has a file of that name made.
const FILES: [&str; 3] = ["timer", "music", "stock"];

/// One request as it came, and whether its answer was wanted to the end.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The last thing a person said, without what OpenClaw adds around it.
    pub question: String,
    /// All of it.
    pub request: Value,
    pub was_cut: bool,
    /// It tells what came of a tool.
    pub has_result: bool,
}

#[derive(Clone)]
pub struct Model {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    counts_lamps: bool,
}

impl Model {
    /// Listens until the test run ends.
    pub fn start() -> Model {
        Model::listening(false)
    }

    /// Whoever says "Turn the office lamp up" to it hears it count.
    pub fn counting_lamps() -> Model {
        Model::listening(true)
    }

    fn listening(counts_lamps: bool) -> Model {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let model = Model {
            address: listener.local_addr().expect("a bound socket"),
            seen: Arc::default(),
            counts_lamps,
        };
        let shared = model.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let model = shared.clone();
                std::thread::spawn(move || model.answer(stream));
            }
        });
        model
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What is said to which question. None: nobody wanted the rest.
    fn script(
        &self,
        stream: &mut TcpStream,
        request: &Value,
        question: &str,
        has_result: bool,
    ) -> Option<()> {
        let asked = question.to_lowercase();
        let has_one_of = |wanted: &[&str]| {
            words(&asked)
                .iter()
                .any(|word| wanted.contains(&word.as_str()))
        };
        if let Some((name, arguments)) = tool(request, question).filter(|_| !has_result) {
            let function = json!({ "name": name, "arguments": arguments.to_string() });
            let call =
                json!({ "index": 0, "id": "call-1", "type": "function", "function": function });
            chunk(stream, json!({ "tool_calls": [call] }), None)?;
            return end(stream, "tool_calls");
        }
        let (text, pause_ms) = match () {
            () if has_result => ("It is done.".to_owned(), 20),
            () if has_one_of(&SUMS) => ("Seventy two.".to_owned(), 20),
            () if asked.contains("count") || self.counts_lamps && has_one_of(&LAMP) => {
                let thing = asked.rsplit(' ').next().unwrap_or_default();
                let thing = thing.trim_end_matches('.');
                (
                    (1..100)
                        .map(|n| format!("{n} {thing}, "))
                        .collect::<String>(),
                    100,
                )
            }
            // Words that the built-in ears know when they are said again.
            () if asked.contains("lamp") => ("Turn the office lamp up.".to_owned(), 20),
            () => (format!("You said: {}.", asked.lines().last()?), 20),
        };
        for word in text.split_inclusive(' ') {
            chunk(stream, json!({ "content": word }), None)?;
            std::thread::sleep(Duration::from_millis(pause_ms));
        }
        end(stream, "stop")
    }

    fn answer(&self, mut stream: TcpStream) -> Option<()> {
        let request = read_request(&stream)?;
        let Some(messages) = request["messages"].as_array() else {
            let body = r#"{"object":"list","data":[{"id":"stub-1","object":"model"}]}"#;
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
            return stream.write_all(format!("{head}{body}").as_bytes()).ok();
        };
        let at = messages.iter().rposition(is_of_a_person).unwrap_or(0);
        let question = text_of(&messages[at]);
        let question = words_of_a_person(&question);
        let has_result = messages[at..]
            .iter()
            .any(|message| message["role"] == "tool");
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        let is_whole = stream.write_all(head.as_bytes()).is_ok()
            && self
                .script(&mut stream, &request, &question, has_result)
                .is_some();
        let seen = Seen {
            question,
            request,
            was_cut: !is_whole,
            has_result,
        };
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seen);
        Some(())
    }
}

/// Words of the golden clips that ask for a sum and, in some tests, for a long answer: the ears may miss some.
const SUMS: [&str; 3] = ["six", "times", "twelve"];
const LAMP: [&str; 3] = ["office", "lamp", "up"];

/// Whether an answer is the long one, by its words.
pub fn is_count(answer: &[String]) -> bool {
    answer.first().is_some_and(|word| word == "1")
}

/// What is said to a question without any of the words above, or to a sum.
pub fn is_answer_to(question: &[String], answer: &[String]) -> bool {
    let said = ["you", "said"]
        .into_iter()
        .chain(question.iter().map(String::as_str));
    answer.iter().eq(["seventy", "two"].iter()) || answer.iter().map(String::as_str).eq(said)
}

/// What it wants done, where it has the tool for it.
fn tool(request: &Value, question: &str) -> Option<(&'static str, Value)> {
    let asked = question.to_lowercase();
    if let Some((_, command)) = asked.split_once("please run ") {
        return Some(("exec", json!({ "command": command.lines().next()? })));
    }
    let Some((_, news)) = question.split_once("by telephone: ") else {
        let thing = FILES.iter().find(|thing| asked.contains(**thing))?;
        let arguments = json!({ "command": format!("touch {thing}.txt") });
        return Some(("exec", arguments));
    };
    let can_call = request["tools"].to_string().contains(CALL_USER);
    let arguments = json!({ "say": news.lines().next()?, "idempotency_key": "news" });
    can_call.then_some((CALL_USER, arguments))
}

fn end(stream: &mut TcpStream, reason: &str) -> Option<()> {
    chunk(stream, json!({}), Some(reason))?;
    stream.write_all(b"data: [DONE]\n\n").ok()
}

fn chunk(stream: &mut TcpStream, delta: Value, reason: Option<&str>) -> Option<()> {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
    let chunk = json!({ "id": "x", "object": "chat.completion.chunk", "created": 0, "model": "stub-1", "choices": [choice] });
    stream
        .write_all(format!("data: {chunk}\n\n").as_bytes())
        .ok()?;
    stream.flush().ok()
}

/// Not one of the notes that OpenClaw puts in as if a user had written them.
fn is_of_a_person(message: &Value) -> bool {
    let text = text_of(message);
    let is_note = ["<<<", "## ", "[openclaw]"]
        .iter()
        .any(|mark| text.trim_start().starts_with(mark));
    message["role"] == "user" && !is_note
}

/// The rows of a request that people have spoken: who, and the words.
pub fn conversation_of(request: &Value) -> Vec<(String, String)> {
    let messages = request["messages"].as_array().into_iter().flatten();
    let spoken = messages.filter(|one| is_of_a_person(one) || one["role"] == "assistant");
    let row = |one: &Value| {
        let role = one["role"].as_str().unwrap_or_default().to_owned();
        (role, words_of_a_person(&text_of(one)))
    };
    spoken
        .map(row)
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

/// Without the time before them, our note that this is a call, and the line about the machine that a conversation begins with.
pub fn words_of_a_person(text: &str) -> String {
    let is_said = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with("(This is a phone call") && !line.contains(" | ")
    };
    let lines = without_time(text).lines().filter(is_said);
    lines.collect::<Vec<_>>().join("\n")
}

/// Without the time that OpenClaw puts before it, `[Sat 2026-11-21 20:21 UTC]`.
fn without_time(text: &str) -> &str {
    let stamp = text
        .strip_prefix('[')
        .and_then(|text| text.split_once("] "));
    match stamp {
        Some((time, rest)) if time.ends_with("UTC") => rest,
        _ => text,
    }
}

fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        content => content.as_str().unwrap_or_default().to_owned(),
    }
}

fn read_request(stream: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(("content-length", value)) = line.to_lowercase().trim().split_once(": ") {
            length = value.parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).unwrap_or(Value::Null))
}
