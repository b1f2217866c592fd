//! What OpenClaw itself says of a conversation, asked over a link of its own. Owns that question and what its answer means.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// On a machine that is busy with starting it.
const LIMIT: Duration = Duration::from_secs(60);

/// Who spoke, and the words, oldest first; 200 at most.
pub async fn history(port: u16, token: &str, session: &str) -> Vec<(String, String)> {
    let params = json!({ "sessionKey": session, "limit": 200 });
    let answer = request(port, token, "chat.history", params).await;
    assert_eq!(answer["ok"], true, "{answer}");
    let rows = answer["payload"]["messages"].as_array().cloned();
    rows.unwrap_or_default().iter().map(row).collect()
}

/// One request of any kind; the frame that answers it.
pub async fn request(port: u16, token: &str, method: &str, params: Value) -> Value {
    let asked = tokio::time::timeout(LIMIT, ask(port, token, method, params)).await;
    asked.expect("OpenClaw answers")
}

async fn ask(port: u16, token: &str, method: &str, params: Value) -> Value {
    let address = format!("ws://127.0.0.1:{port}");
    let (mut socket, _) = tokio_tungstenite::connect_async(address)
        .await
        .expect("a socket");
    loop {
        let frame = socket.next().await.expect("open").expect("a frame");
        let Message::Text(text) = frame else { continue };
        let frame: Value = serde_json::from_str(&text).expect("JSON");
        let asked = match (frame["event"].as_str(), frame["id"].as_str()) {
            (Some("connect.challenge"), _) => {
                let params = json!({ "minProtocol": 4, "maxProtocol": 4, "role": "operator",
                    "scopes": ["operator.read", "operator.write"], "auth": { "token": token },
                    "client": { "id": "gateway-client", "version": "0", "platform": "linux", "mode": "backend" } });
                json!({ "type": "req", "id": "1", "method": "connect", "params": params })
            }
            (_, Some("1")) => {
                assert_eq!(frame["ok"], true, "{frame}");
                json!({ "type": "req", "id": "2", "method": method, "params": params })
            }
            (_, Some("2")) => return frame,
            _ => continue,
        };
        socket
            .send(Message::text(asked.to_string()))
            .await
            .expect("sent");
    }
}

fn row(message: &Value) -> (String, String) {
    let role = message["role"].as_str().unwrap_or_default().to_owned();
    let text = match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    };
    (role, text)
}
