//! What the drills of turn-taking share: an agent that counts, a call in which things are said at set times, and the
//! conversation that the program stored of it.

use crate::baresip::{Phone, Setup, Transport};
use crate::offhook::Offhook;
use crate::process::wait_until;
use crate::sound::Sound;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

/// What the agent says to everything but a sum: half a minute of speech.
pub const COUNT: &str = "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen, \
     fifteen, sixteen, seventeen, eighteen, nineteen, twenty, twenty one, twenty two, twenty three, twenty four, \
     twenty five, twenty six, twenty seven, twenty eight, twenty nine, thirty.";

/// Config for an agent of our own behind the program's OpenAI gateway. It counts, and answers "twelve" with a sum.
pub fn counting_agent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    // Ends with the test run.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    format!(
        "[agent]\nkind = \"openai\"\nurl = \"http://{address}/v1\"\nmodel = \"counting\"\nonly_answers = \"yes\"\n"
    )
}

/// One request, one answer, and the connection is closed.
fn answer(mut stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    let mut length = 0;
    reader.read_line(&mut line).ok()?;
    let is_question = line.starts_with("POST");
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
    let (kind, text) = if is_question {
        let request: serde_json::Value = serde_json::from_slice(&body).ok()?;
        let asked = request["messages"].as_array()?.last()?["content"]
            .to_string()
            .to_lowercase();
        let says = if asked.contains("twelve") {
            "Seventy two."
        } else {
            COUNT
        };
        let chunk =
            serde_json::json!({ "choices": [{ "index": 0, "delta": { "content": says } }] });
        let end = serde_json::json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
        let events = format!("data: {chunk}\n\ndata: {end}\n\ndata: [DONE]\n\n");
        ("text/event-stream", events)
    } else {
        (
            "application/json",
            "{\"object\":\"list\",\"data\":[]}".to_owned(),
        )
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(text.as_bytes()).ok()
}

/// One entry of the stored conversation.
#[derive(Debug, Clone)]
pub struct Message {
    pub role: String,
    pub text: String,
}

/// Dials the assistant, says `says`, stays for `stay_s`, hangs up. What the program stored, and what the phone recorded.
pub fn call(offhook: &Offhook, says: &[(u32, PathBuf)], stay_s: u64) -> (Vec<Message>, Sound) {
    let account = offhook.first_phone();
    let setup = Setup {
        account: &account,
        transport: Transport::Udp,
        says,
        outbound: true,
    };
    let mut phone = Phone::registered(offhook, &setup);
    phone.dial("100");
    phone.expect_established(offhook);
    phone.stay(Duration::from_secs(stay_s));
    let recording = Sound::read(&phone.recording());
    let ended = wait_until(Duration::from_secs(10), || {
        offhook.log().contains("call ended")
    });
    assert!(ended, "{}", offhook.log_tail());
    (conversation(offhook), recording)
}

/// In the order it was said. The store writes behind the call: it is read until nothing is added any more.
fn conversation(offhook: &Offhook) -> Vec<Message> {
    let database = offhook.home().join("offhook.db");
    let mut found = Vec::new();
    let mut before = usize::MAX;
    wait_until(Duration::from_secs(10), || {
        let store = rusqlite::Connection::open(&database).expect("the store opens");
        let mut select = store
            .prepare("SELECT role, text FROM message ORDER BY id")
            .expect("the table of messages");
        let rows = select.query_map([], |row| {
            Ok(Message {
                role: row.get(0)?,
                text: row.get(1)?,
            })
        });
        found = rows.expect("messages").filter_map(Result::ok).collect();
        let is_settled = !found.is_empty() && found.len() == before;
        before = found.len();
        is_settled
    });
    found
}

/// The entries of one side.
pub fn said<'a>(messages: &'a [Message], role: &str) -> Vec<&'a str> {
    let of_role = messages.iter().filter(|message| message.role == role);
    of_role.map(|message| message.text.as_str()).collect()
}
