//! The real OpenClaw has a phone rung: its agent, moved by a scripted model, calls our MCP tool, and a real softphone rings
//! and hears why. Needs `openclaw` on the PATH (npm, with its own node); skipped by name without it.

use crate::baresip::{Phone, Setup, Transport};
use crate::callback::{AT_ANY_HOUR, expect_state, object};
use crate::offhook::{Offhook, free_port};
use crate::peers::{BARESIP, Peer, is_installed, take_floor};
use crate::process::{Folder, Process, wait_until};
use crate::sound::words_in_order;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const OPENCLAW: Peer = Peer {
    program: "openclaw",
    package: "npm openclaw",
};
const NEWS: &str = "Turn the office lamp up";
/// It starts slowly, and its first turn is slower.
const START_LIMIT: Duration = Duration::from_secs(180);

/// A model that answers every request with one call of `voice__call_user`, and what comes back with "Done.".
struct Model {
    port: u16,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Model {
    fn start() -> Model {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                std::thread::spawn(move || answer(stream, &kept));
            }
        });
        Model { port, seen }
    }

    fn requests(&self) -> Vec<Value> {
        self.seen.lock().expect("nobody panics here").clone()
    }
}

fn answer(stream: TcpStream, seen: &Mutex<Vec<Value>>) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim_end().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let has = |key: &str, text: &str| request[key].to_string().contains(text);
    let may_call = has("tools", "voice__call_user") && !has("messages", "\"role\":\"tool\"");
    let (delta, end) = match may_call {
        true => (
            json!({ "role": "assistant", "tool_calls": [{
                "index": 0, "id": "call_1", "type": "function",
                "function": {
                    "name": "voice__call_user",
                    "arguments": json!({ "say": NEWS, "idempotency_key": "lamp" }).to_string(),
                },
            }]}),
            "tool_calls",
        ),
        false => (json!({ "role": "assistant", "content": "Done." }), "stop"),
    };
    seen.lock().expect("nobody panics here").push(request);
    let chunk = |delta: Value, end: Option<&str>| {
        let chunk = json!({
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "scripted",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": end }],
        });
        format!("data: {chunk}\n\n")
    };
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{}{}data: [DONE]\n\n",
        chunk(delta, None),
        chunk(json!({}), Some(end))
    );
    let _ = reader.into_inner().write_all(text.as_bytes());
}

fn gateway_config(gateway: u16, model: u16, offhook: &Offhook, folder: &Folder) -> Value {
    json!({
        "gateway": {
            "mode": "local", "port": gateway, "bind": "loopback",
            "auth": { "mode": "token", "token": "gateway-token" },
            "http": { "endpoints": { "chatCompletions": { "enabled": true } } },
        },
        "models": { "mode": "replace", "providers": { "scripted": {
            "baseUrl": format!("http://127.0.0.1:{model}/v1"),
            "apiKey": "none",
            "api": "openai-completions",
            "models": [{
                "id": "scripted", "name": "Scripted", "reasoning": false, "input": ["text"],
                "cost": { "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0 },
                "contextWindow": 128_000, "maxTokens": 4_096,
            }],
        }}},
        "agents": { "defaults": {
            "model": { "primary": "scripted/scripted" },
            "workspace": folder.path().join("workspace"),
            "skipBootstrap": true,
        }},
        "tools": { "toolSearch": false },
        "mcp": { "servers": { "voice": {
            "url": format!("http://{}/mcp", offhook.web),
            "transport": "streamable-http",
            "headers": { "Authorization": format!("Bearer {}", offhook.api_token()) },
        }}},
    })
}

#[test]
fn an_agent_of_openclaw_has_a_phone_rung() {
    let test = "an_agent_of_openclaw_has_a_phone_rung";
    if !is_installed(test, OPENCLAW) {
        return;
    }
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let offhook = Offhook::start_with("openclaw", AT_ANY_HOUR);
    let account = offhook.first_phone();
    let setup = Setup::silent(&account, Transport::Udp, false);
    let mut phone = Phone::answering(&offhook, &setup);
    let model = Model::start();
    let folder = Folder::new("openclaw-gateway");
    fs::create_dir_all(folder.path().join("workspace")).expect("a writable folder");
    let port = free_port();
    let config = gateway_config(port, model.port, &offhook, &folder);
    let config_path = folder.path().join("openclaw.json");
    fs::write(&config_path, config.to_string()).expect("a writable folder");
    let command = |arguments: &[&str]| {
        let mut command = Command::new("openclaw");
        command
            .args(arguments)
            .env("OPENCLAW_STATE_DIR", folder.path().join("state"))
            .env("OPENCLAW_CONFIG_PATH", &config_path)
            .current_dir(folder.path());
        command
    };
    let doctor = command(&["mcp", "doctor", "voice", "--probe"])
        .output()
        .expect("it starts");
    let found = crate::offhook::text_of(&doctor);
    assert!(doctor.status.success(), "{found}");

    let gateway = Process::start("openclaw", &mut command(&["gateway", "run"]));
    let ask = |path: &str, body: &str| -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(120)))
            .ok()?;
        let method = if body.is_empty() { "GET" } else { "POST" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
             Authorization: Bearer gateway-token\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    };
    let is_ready = wait_until(START_LIMIT, || {
        ask("/readyz", "").is_some_and(|text| text.starts_with("HTTP/1.1 200"))
    });
    assert!(is_ready, "{}", gateway.tail());
    let question = json!({
        "model": "openclaw",
        "user": "test",
        "messages": [{ "role": "user", "content": "Tell me by telephone to turn the lamp up." }],
    });
    let answer = ask("/v1/chat/completions", &question.to_string());
    let requests = model.requests();
    assert!(
        requests.len() >= 2,
        "{answer:?}\n{} requests\n{}",
        requests.len(),
        gateway.tail()
    );
    let (_, listed) = offhook.http("GET", "/api/calls", "");
    let listed = object(&listed);
    let id = listed["requests"][0]["id"].as_str().map(str::to_owned);
    let id = id.unwrap_or_else(|| panic!("nobody was called: {listed:#}"));
    // What our tool said is what the model was told.
    let told = requests
        .iter()
        .any(|request| request.to_string().contains(&id));
    assert!(told, "{id} in none of {} requests", requests.len());
    phone.expect_established(&offhook);
    phone.stay(Duration::from_secs(6));
    phone.hang_up();
    let value = expect_state(&offhook, &id, "heard");
    assert_eq!(object(&value.to_string())["say"], NEWS);
    let heard = offhook.transcribe(&phone.recording());
    assert!(
        words_in_order(NEWS, &heard) >= 3,
        "{heard:?}\n{}",
        offhook.log_tail()
    );
}
