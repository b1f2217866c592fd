//! A stand-in for an OpenClaw gateway, and nothing more: it lets everybody in, answers every message with the same words,
//! and would then like to run one command. What is decided about that is kept; until then it is listed to whoever comes back.

use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

/// What it says to everything.
pub const WORDS: &str = "I would like to do that for you.";

pub struct ClawStandIn {
    pub port: u16,
    decided: Arc<Mutex<Vec<Value>>>,
}

/// What it would like to do, until that is decided.
type Waiting = Mutex<Vec<Value>>;

impl ClawStandIn {
    /// Wants `command` run in every conversation.
    pub fn start(command: &'static str) -> ClawStandIn {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let decided: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = decided.clone();
        let waiting: Arc<Waiting> = Arc::default();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, waiting) = (kept.clone(), waiting.clone());
                std::thread::spawn(move || serve(stream, command, &kept, &waiting));
            }
        });
        ClawStandIn { port, decided }
    }

    /// What was decided, in order.
    pub fn decisions(&self) -> Vec<Value> {
        self.decided.lock().expect("nobody panics here").clone()
    }
}

fn serve(stream: TcpStream, command: &str, decided: &Mutex<Vec<Value>>, waiting: &Waiting) {
    let Ok(mut socket) = accept(stream) else {
        return;
    };
    event(
        &mut socket,
        "connect.challenge",
        &json!({ "nonce": "n", "ts": 1 }),
    );
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else {
            continue;
        };
        let Ok(request) = serde_json::from_str::<Value>(&text) else {
            continue;
        };
        let parameters = &request["params"];
        let method = request["method"].as_str().unwrap_or("");
        let payload = match method {
            "connect" => json!({
                "server": { "version": "2026.9.6", "bootId": "b" },
                "auth": { "scopes": ["operator.read", "operator.write", "operator.approvals"] },
            }),
            "exec.approval.list" => json!(*waiting.lock().expect("nobody panics here")),
            "plugin.approval.list" => json!([]),
            "chat.send" => json!({ "runId": parameters["idempotencyKey"], "status": "started" }),
            _ => json!({}),
        };
        let answer = json!({ "type": "res", "id": request["id"], "ok": true, "payload": payload });
        send(&mut socket, &answer);
        match method {
            "chat.send" => {
                let session = &parameters["sessionKey"];
                let said = json!({
                    "runId": parameters["idempotencyKey"], "sessionKey": session, "state": "final",
                    "message": { "content": [{ "type": "text", "text": WORDS }] },
                });
                event(&mut socket, "chat", &said);
                // Nobody has asked for anything there.
                if session.as_str().is_some_and(|key| key.ends_with("warmup")) {
                    continue;
                }
                let wish = json!({
                    "id": "a1",
                    "request": { "command": command, "cwd": "/srv", "host": "gateway", "sessionKey": session },
                    "createdAtMs": 1_000, "expiresAtMs": 121_000,
                });
                *waiting.lock().expect("nobody panics here") = vec![wish.clone()];
                event(&mut socket, "exec.approval.requested", &wish);
            }
            "exec.approval.resolve" => {
                waiting.lock().expect("nobody panics here").clear();
                if let Ok(mut all) = decided.lock() {
                    all.push(parameters.clone());
                }
                let (id, decision) = (&parameters["id"], &parameters["decision"]);
                let by = json!({ "id": id, "decision": decision, "resolvedBy": "Offhook" });
                event(&mut socket, "exec.approval.resolved", &by);
            }
            _ => {}
        }
    }
}

fn event(socket: &mut WebSocket<TcpStream>, name: &str, payload: &Value) {
    send(
        socket,
        &json!({ "type": "event", "event": name, "payload": payload }),
    );
}

fn send(socket: &mut WebSocket<TcpStream>, value: &Value) {
    // A client that is gone is noticed at the next read.
    let _ = socket.send(Message::text(value.to_string()));
}
