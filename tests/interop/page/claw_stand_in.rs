//! A stand-in for an OpenClaw gateway, and nothing more: it lets everybody in and would like to run one command. What is
//! decided about that is kept.

use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

pub struct ClawStandIn {
    pub port: u16,
    decided: Arc<Mutex<Vec<Value>>>,
}

impl ClawStandIn {
    /// Wants `command` run in a conversation of `session`.
    pub fn start(command: &'static str, session: &'static str) -> ClawStandIn {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let decided: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = decided.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                std::thread::spawn(move || serve(stream, command, session, &kept));
            }
        });
        ClawStandIn { port, decided }
    }

    /// What was decided, in order.
    pub fn decisions(&self) -> Vec<Value> {
        self.decided.lock().expect("nobody panics here").clone()
    }
}

fn serve(stream: TcpStream, command: &str, session: &str, decided: &Mutex<Vec<Value>>) {
    let Ok(mut socket) = accept(stream) else {
        return;
    };
    let challenge = json!({ "type": "event", "event": "connect.challenge", "payload": { "nonce": "n", "ts": 1 } });
    send(&mut socket, &challenge);
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else {
            continue;
        };
        let Ok(request) = serde_json::from_str::<Value>(&text) else {
            continue;
        };
        let parameters = &request["params"];
        let mut after = None;
        let payload = match request["method"].as_str().unwrap_or("") {
            "connect" => json!({
                "server": { "version": "2026.9.6", "bootId": "b" },
                "auth": { "scopes": ["operator.read", "operator.write", "operator.approvals"] },
            }),
            "exec.approval.list" if decided.lock().is_ok_and(|all| all.is_empty()) => json!([{
                "id": "a1",
                "request": { "command": command, "cwd": "/srv", "host": "gateway", "sessionKey": session },
                "createdAtMs": 1_000, "expiresAtMs": 121_000,
            }]),
            "exec.approval.list" | "plugin.approval.list" => json!([]),
            "exec.approval.resolve" => {
                if let Ok(mut all) = decided.lock() {
                    all.push(parameters.clone());
                }
                let (id, decision) = (&parameters["id"], &parameters["decision"]);
                let payload = json!({ "id": id, "decision": decision, "resolvedBy": "Offhook" });
                after = Some(
                    json!({ "type": "event", "event": "exec.approval.resolved", "payload": payload }),
                );
                json!({})
            }
            _ => json!({}),
        };
        let answer = json!({ "type": "res", "id": request["id"], "ok": true, "payload": payload });
        send(&mut socket, &answer);
        if let Some(event) = after {
            send(&mut socket, &event);
        }
    }
}

fn send(socket: &mut WebSocket<TcpStream>, value: &Value) {
    // A client that is gone is noticed at the next read.
    let _ = socket.send(Message::text(value.to_string()));
}
